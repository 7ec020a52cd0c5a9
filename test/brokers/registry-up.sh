#!/bin/bash
# Starts a schema registry on loopback, and prints the URL of its Confluent API.
#   registry-up.sh DIR      data, log and process id live in DIR; the port chosen at the first start stays
# Its own default checks no compatibility; here it starts as registries in use do: BACKWARD.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
[ $# = 1 ] || die "usage: $0 DIR"
mkdir -p "$1"
dir=$(cd "$1" && pwd)
[ -f "$registry_dir/.complete" ] || die "no registry in $cache: run $here/registry-fetch.sh"

[ -f "$dir/ports" ] || free_ports 2 >"$dir/ports"
read -r port management <"$dir/ports"
url=http://127.0.0.1:$port/apis/ccompat/v7
if is_up "$dir"; then
    echo "$url"
    exit 0
fi

jar=$(find "$registry_dir" -name '*run*.jar' | sort | head -n 1)
setsid nohup java -XX:-UsePerfData -Xms64m -Xmx320m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \
    -Dquarkus.http.host=127.0.0.1 "-Dquarkus.http.port=$port" \
    -Dquarkus.management.host=127.0.0.1 "-Dquarkus.management.port=$management" \
    -Dapicurio.storage.kind=sql -Dapicurio.storage.sql.kind=h2 "-Dapicurio.datasource.url=jdbc:h2:file:$dir/registry" \
    -Dapicurio.datasource.username=sa -Dapicurio.datasource.password=sa -Dquarkus.log.level=WARN \
    -jar "$jar" >>"$dir/log" 2>&1 </dev/null &
echo $! >"$dir/pid"
wait_for 120 "$dir" curl -sf "$url/subjects"
curl -sf -o /dev/null -X PUT -H 'Content-Type: application/vnd.schemaregistry.v1+json' \
    -d '{"compatibility":"BACKWARD"}' "$url/config" || die "the registry did not accept its compatibility level"
echo "$url"
