#!/bin/bash
# Fetches Avro for Java (8 MB) into the cache, once, and prints where it is. Maven compares the checksums.
set -euo pipefail
. "$(dirname "$0")/../brokers/lib.sh"
here=$(cd "$(dirname "$0")" && pwd)
avro_dir=$cache/avro-1.12.1
if [ ! -f "$avro_dir/.complete" ]; then
    echo "Fetching Avro for Java" >&2
    rm -rf "$avro_dir"
    mkdir -p "$avro_dir"
    maven -C -f "$here/pom.xml" -Davro.version=1.12.1 dependency:copy-dependencies -DincludeScope=runtime "-DoutputDirectory=$avro_dir"
    touch "$avro_dir/.complete"
fi
echo "$avro_dir"
