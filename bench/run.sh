#!/bin/bash
# Runs one benchmark in a private PostgreSQL server of its own, with the extension preloaded, and with
# a private Kafka if the benchmark needs one. Durable settings: fsync is on.
#   run.sh NAME [OPTION...]     NAME: write, onerow, drain, latency; the options are those of bench/NAME.py
# Everything is gone afterwards but bench/results/NAME.json.
set -euo pipefail
. "$(dirname "$0")/../tools/lib.sh"
cd "$TOP"

name=${1:-}
[ -f "bench/$name.py" ] && [ "$name" != common ] || die "usage: $0 write|onerow|drain|latency [OPTION...]"
shift
scratch=

cleanup()
{
    if [ -n "$scratch" ]; then
        server_stop "$scratch"
        [ ! -d "$scratch/kafka" ] || as_server test/brokers/kafka-down.sh "$scratch/kafka" --wipe >/dev/null 2>&1 || :
        rm -rf "$scratch"
    fi
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# As an optimising user builds it: assertions off, the compiler flags of the server.
build()
{
    local log=build/log/bench.log
    mkdir -p build/log
    { make -s -j2 PG_CONFIG="$PG_CONFIG" all && make -s PG_CONFIG="$PG_CONFIG" install; } >"$log" 2>&1 \
        || { tail -n 25 "$log" >&2; die "the build failed"; }
}

build_driver()
{
    local source=bench/$1.c
    shift
    mkdir -p build/bench
    cc -O2 -Wall -Wextra -Werror -o "build/bench/$(basename "$source" .c)" "$source" "$@" || die "$source did not build"
}

start_kafka()
{
    test/brokers/kafka-fetch.sh >/dev/null || die "no Kafka"
    as_server mkdir -p "$scratch/kafka"
    # the compiler that a broker in production runs with, not the one for short tests
    KAFKA_BROKER=$(KAFKA_JAVA_OPTS=-XX:+TieredCompilation as_server test/brokers/kafka-up.sh "$scratch/kafka" | tail -n 1)
    export KAFKA_BROKER
}

tools/install_deps.sh test
run_in_readable_copy bench/run.sh "$name" "$@"
use_private_postgres
build
# shellcheck disable=SC2046
case $name in
    drain) build_driver rdkafka_limit $(pkg-config --cflags --libs rdkafka) ;;
    latency) build_driver latency $(pkg-config --cflags --libs rdkafka) -I"$("$PG_CONFIG" --includedir)" -lpq -lpthread ;;
esac
scratch=$(scratch_dir)
# WAL segments are recycled, as in a server that has been running for a while: new ones cost a write of zeros.
server_start "$scratch" "shared_preload_libraries = 'outbox_ext'" "fsync = on" "shared_buffers = 512MB" \
    "max_wal_size = 16GB" "min_wal_size = 4GB" "checkpoint_timeout = 1h" "autovacuum = off" "max_connections = 40" "max_worker_processes = 16"
case $name in drain | latency) start_kafka ;; esac
# The parent's command is what reproduces the figures.
BENCH_COMMAND="bench/run.sh $name${*:+ $*}" build/venv/bin/python "bench/$name.py" "$@"
