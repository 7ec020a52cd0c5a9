#!/bin/bash
# Starts a Kafka of one node on loopback, and prints its host:port.
#   kafka-up.sh DIR     data, log and process id live in DIR; the port chosen at the first start stays
# KAFKA_JAVA_OPTS replaces the option that trades speed for a short start (benchmarks).
set -euo pipefail
. "$(dirname "$0")/lib.sh"
[ $# = 1 ] || die "usage: $0 DIR"
mkdir -p "$1"
dir=$(cd "$1" && pwd)
[ -f "$kafka_dir/.complete" ] || die "no Kafka in $cache: run $here/kafka-fetch.sh"

[ -f "$dir/ports" ] || free_ports 2 >"$dir/ports"
read -r port controller <"$dir/ports"
if is_up "$dir"; then
    echo "127.0.0.1:$port"
    exit 0
fi

cat >"$dir/server.properties" <<PROPERTIES
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$controller
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller
advertised.listeners=PLAINTEXT://127.0.0.1:$port
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
log.dirs=$dir/data
num.partitions=4
auto.create.topics.enable=true
num.network.threads=2
num.io.threads=4
log.cleaner.dedupe.buffer.size=16777216
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
PROPERTIES

run=(java -XX:-UsePerfData -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -Dorg.slf4j.simpleLogger.showDateTime=true)
if [ ! -f "$dir/data/meta.properties" ]; then
    id=$(perl -MMIME::Base64 -e 'my $u = encode_base64(join("", map { chr(int(rand(256))) } 1 .. 16), ""); $u =~ tr!+/!ab!; print substr($u, 0, 22)')
    "${run[@]}" -cp "$kafka_dir/*" kafka.tools.StorageTool format -t "$id" -c "$dir/server.properties" >"$dir/log" 2>&1 \
        || { tail -n 20 "$dir/log" >&2; die "the storage of Kafka could not be formatted"; }
fi
setsid nohup "${run[@]}" -Xms128m -Xmx384m -XX:+UseSerialGC -XX:MaxDirectMemorySize=128m ${KAFKA_JAVA_OPTS:--XX:TieredStopAtLevel=1} \
    -cp "$kafka_dir/*" kafka.Kafka "$dir/server.properties" >>"$dir/log" 2>&1 </dev/null &
echo $! >"$dir/pid"
wait_for 90 "$dir" bash -c "exec 3<>/dev/tcp/127.0.0.1/$port"
echo "127.0.0.1:$port"
