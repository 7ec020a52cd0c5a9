#!/bin/bash
# Sends lines KEY<tab>VALUE from its input to a topic with Kafka's own producer, as a Java application would.
#   kafka-produce.sh HOST:PORT TOPIC
set -euo pipefail
. "$(dirname "$0")/lib.sh"
[ $# = 2 ] || die "usage: $0 HOST:PORT TOPIC"
[ -f "$kafka_dir/.complete" ] || die "no Kafka in $cache: run $here/kafka-fetch.sh"
exec java -XX:-UsePerfData -XX:TieredStopAtLevel=1 -Xmx128m -Dorg.slf4j.simpleLogger.defaultLogLevel=error -cp "$kafka_dir/*" \
    org.apache.kafka.tools.ConsoleProducer --bootstrap-server "$1" --topic "$2" --reader-property parse.key=true \
    --command-property acks=all
