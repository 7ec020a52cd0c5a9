#!/bin/bash
# Fetches Debezium Server (781 MB) into the cache, once; prints its directory. Needs Maven.
set -euo pipefail
. "$(dirname "$0")/../../test/brokers/lib.sh"
DEBEZIUM_VERSION=3.6.0.Final
dir=$cache/debezium-$DEBEZIUM_VERSION
if [ ! -f "$dir/.complete" ]; then
    echo "Fetching Debezium Server $DEBEZIUM_VERSION (781 MB)" >&2
    rm -rf "$dir"
    mkdir -p "$dir"
    maven dependency:copy "-Dartifact=io.debezium:debezium-server-dist:$DEBEZIUM_VERSION:tar.gz" "-DoutputDirectory=$dir" \
        -Dmdep.useBaseVersion=true
    tar -C "$dir" --strip-components=1 -xzf "$dir"/debezium-server-dist-*.tar.gz
    rm "$dir"/debezium-server-dist-*.tar.gz
    touch "$dir/.complete"
fi
echo "$dir"
