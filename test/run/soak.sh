#!/bin/bash
# Kills a private server that publishes, while an application writes, and compares what reached the broker with what
# was committed: test/python/crash_soak.py says how. The seed is printed.
#   soak.sh [--kills 200] [--events 1000000] [--seed N] [--writers 4]
#   KAFKA=1 soak.sh ...     to a real Kafka instead of a file that stands for one
#   KAFKA=1 PROXY=1 soak.sh ...     with a proxy in front of it that answers batches with errors at random
# When something was wrong, the deliveries, what was committed and the server's log are kept in build/soak.
set -euo pipefail
. "$(dirname "$0")/../../tools/lib.sh"
cd "$TOP"

[ -n "${OUTBOX_PG_CONFIG:-}" ] || tools/install_deps.sh test
run_in_readable_copy test/run/soak.sh "$@"
use_private_postgres
mkdir -p build/log
{ make -s -j2 PG_CONFIG="$PG_CONFIG" all && make -s PG_CONFIG="$PG_CONFIG" install \
    && make -s -C test/modules/outbox_fault PG_CONFIG="$PG_CONFIG" all install; } >build/log/soak.log 2>&1 \
    || { tail -n 25 build/log/soak.log >&2; die "the build failed"; }
scratch=$(scratch_dir)
cleanup()
{
    [ ! -d "$scratch/kafka" ] || as_server test/brokers/kafka-down.sh "$scratch/kafka" --wipe >/dev/null 2>&1 || :
    rm -rf "$scratch"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# The broker has to know of it when it starts; it ends with this script.
start_proxy()
{
    as_server bash -c 'echo "[]" >"$0"' "$scratch/soak/rules"
    as_server env PYTHONDONTWRITEBYTECODE=1 KAFKA_PROXY_PARENT=$$ build/venv/bin/python test/python/kafka_proxy.py \
        "$scratch/proxy" "$scratch/kafka/proxied" "$scratch/soak/rules" &
    poll 30 test -s "$scratch/proxy" || die "the proxy does not start"
    KAFKA_PROXY=$(cat "$scratch/proxy")
    export KAFKA_PROXY
    more=(--proxy "$KAFKA_PROXY")
}

more=()
build/venv/bin/python test/python/crash_check.py --self-test
if [ -n "${KAFKA:-}" ]; then
    test/brokers/kafka-fetch.sh || die "no Kafka"
    as_server mkdir "$scratch/kafka" "$scratch/soak"
    [ -z "${PROXY:-}" ] || start_proxy
    set -- --kafka "$(as_server test/brokers/kafka-up.sh "$scratch/kafka" | tail -n 1)" "${more[@]}" "$@"
else
    [ -z "${PROXY:-}" ] || die "PROXY=1 is a proxy before Kafka" "add KAFKA=1"
    as_server mkdir "$scratch/soak"
fi
rc=0
as_server env HOME="$scratch" PYTHONDONTWRITEBYTECODE=1 build/venv/bin/python test/python/crash_soak.py "$scratch/soak" "$@" || rc=$?
if [ $rc != 0 ]; then
    rm -rf build/soak
    mkdir -p build/soak
    for f in broker.first broker.second truth schemas log; do [ ! -f "$scratch/soak/$f" ] || mv "$scratch/soak/$f" build/soak/; done
    echo "kept in build/soak: broker.*, truth, schemas, log"
fi
exit $rc
