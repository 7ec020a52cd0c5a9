#!/bin/bash
# Starts a Kafka of one node on loopback, and prints its host:port.
#   kafka-up.sh DIR     data, log and process id live in DIR; the ports chosen at the first start stay
# It also listens with TLS and with TLS and SASL/PLAIN (user shop); certificates and password are made
# at the first start: DIR/tls and DIR/sasl hold host:port, DIR/ca.pem and DIR/password what clients need.
# KAFKA_PROXY is the host:port of a proxy: DIR/proxied holds the host:port where it finds the broker, and clients that
# come that way are told to come back through it.
# KAFKA_PROPERTIES is a file of further properties, which win.
# KAFKA_JAVA_OPTS replaces the option that trades speed for a short start (benchmarks).
set -euo pipefail
. "$(dirname "$0")/lib.sh"
[ $# = 1 ] || die "usage: $0 DIR"
mkdir -p "$1"
dir=$(cd "$1" && pwd)
[ -f "$kafka_dir/.complete" ] || die "no Kafka in $cache: run $here/kafka-fetch.sh"

[ -f "$dir/ports" ] || free_ports 5 >"$dir/ports"
read -r port controller tls sasl proxied <"$dir/ports"
if is_up "$dir"; then
    echo "127.0.0.1:$port"
    exit 0
fi

# A key and a certificate for 127.0.0.1, and the authority that signed it.
make_certificates()
{
    local key=(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes)
    openssl req -x509 "${key[@]}" -days 30 -subj "/CN=outbox test authority" -keyout "$dir/ca.key" -out "$dir/ca.pem"
    openssl req "${key[@]}" -subj "/CN=outbox test broker" -keyout "$dir/broker.key" -out "$dir/broker.csr"
    openssl x509 -req -in "$dir/broker.csr" -CA "$dir/ca.pem" -CAkey "$dir/ca.key" -CAcreateserial -days 30 \
        -extfile <(echo "subjectAltName=IP:127.0.0.1") -out "$dir/broker.crt"
    cat "$dir/broker.key" "$dir/broker.crt" >"$dir/broker.pem"
}
if [ ! -f "$dir/password" ]; then
    make_certificates >"$dir/log" 2>&1 || { tail -n 20 "$dir/log" >&2; die "no certificates could be made"; }
    openssl rand -hex 16 >"$dir/password"
fi
echo "127.0.0.1:$tls" >"$dir/tls"
echo "127.0.0.1:$sasl" >"$dir/sasl"

listen=''
advertise=''
if [ -n "${KAFKA_PROXY:-}" ]; then
    listen=",PROXIED://127.0.0.1:$proxied"
    advertise=",PROXIED://$KAFKA_PROXY"
    echo "127.0.0.1:$proxied" >"$dir/proxied"
fi

cat >"$dir/server.properties" <<PROPERTIES
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$controller
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller,SSL://127.0.0.1:$tls,SASL_SSL://127.0.0.1:$sasl$listen
advertised.listeners=PLAINTEXT://127.0.0.1:$port,SSL://127.0.0.1:$tls,SASL_SSL://127.0.0.1:$sasl$advertise
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_SSL:SASL_SSL,PROXIED:PLAINTEXT
ssl.keystore.type=PEM
ssl.keystore.location=$dir/broker.pem
sasl.enabled.mechanisms=PLAIN
listener.name.sasl_ssl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_shop="$(cat "$dir/password")";
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
[ -z "${KAFKA_PROPERTIES:-}" ] || cat "$KAFKA_PROPERTIES" >>"$dir/server.properties"

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
