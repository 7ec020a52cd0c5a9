#!/bin/bash
# Fetches a Kafka broker (54 MB) into the cache, once.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
[ ! -f "$kafka_dir/.complete" ] || exit 0
echo "Fetching Kafka $KAFKA_VERSION" >&2
rm -rf "$kafka_dir"
mkdir -p "$kafka_dir"
maven -f "$here/pom.xml" "-Dkafka.version=$KAFKA_VERSION" dependency:copy-dependencies \
    -DincludeScope=runtime "-DoutputDirectory=$kafka_dir"
touch "$kafka_dir/.complete"
