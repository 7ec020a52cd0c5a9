#!/bin/bash
# Changes a broker's dynamic configuration (quotas, users, certificates) with Kafka's own tool.
#   kafka-configs.sh HOST:PORT OPTION...     the options of kafka-configs.sh of Kafka
set -euo pipefail
. "$(dirname "$0")/lib.sh"
[ $# -gt 1 ] || die "usage: $0 HOST:PORT OPTION..."
[ -f "$kafka_dir/.complete" ] || die "no Kafka in $cache: run $here/kafka-fetch.sh"
exec java -XX:-UsePerfData -XX:TieredStopAtLevel=1 -Xmx128m -Dorg.slf4j.simpleLogger.defaultLogLevel=error -cp "$kafka_dir/*" \
    kafka.admin.ConfigCommand --bootstrap-server "$1" "${@:2}"
