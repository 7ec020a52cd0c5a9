#!/bin/bash
# Fetches a schema registry with the Confluent API (Apicurio, 104 MB) into the cache, once.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
[ ! -f "$registry_dir/.complete" ] || exit 0
echo "Fetching the schema registry $REGISTRY_VERSION" >&2
rm -rf "$registry_dir"
mkdir -p "$registry_dir"
maven dependency:copy "-Dartifact=io.apicurio:apicurio-registry-app:$REGISTRY_VERSION:tar.gz:all" "-DoutputDirectory=$registry_dir"
tar -C "$registry_dir" -xzf "$registry_dir/apicurio-registry-app-$REGISTRY_VERSION-all.tar.gz"
rm -f "$registry_dir"/*.tar.gz
touch "$registry_dir/.complete"
