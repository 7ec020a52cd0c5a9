#!/bin/bash
# Runs one benchmark in a private PostgreSQL server of its own, with the extension preloaded, and with
# a private Kafka if the benchmark needs one. Durable settings: fsync is on.
#   run.sh NAME [OPTION...]     NAME: write, onerow, drain, start, latency, rejections, peers, orders, bulk, oneorder, idle, storage, ddl; the options are those of bench/NAME.py
# Everything is gone afterwards but bench/results/NAME.json.
set -euo pipefail
. "$(dirname "$0")/../tools/lib.sh"
cd "$TOP"

NAMES=$(printf '%s\n' write onerow drain start latency rejections peers orders bulk oneorder idle storage ddl)
name=${1:-}
[ -f "bench/$name.py" ] && grep -qx "$name" <<<"$NAMES" || die "usage: $0 write|onerow|drain|start|latency|rejections|peers|orders|bulk|oneorder|idle|storage|ddl [OPTION...]"
shift
scratch=

cleanup()
{
    local dir
    if [ -n "$scratch" ]; then
        server_stop "$scratch"
        for dir in logical unfiltered; do
            [ ! -d "$scratch/$dir" ] || server_stop "$scratch/$dir"
        done
        [ ! -d "$scratch/kafka" ] || as_server test/brokers/kafka-down.sh "$scratch/kafka" --wipe >/dev/null 2>&1 || :
        rm -rf "$scratch"
    fi
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# As an optimising user builds it: assertions off, the compiler flags of the server; and the functions that
# make events without contracts.
build()
{
    export TEST_FUNCTIONS=1
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

# The first Java that Debezium Server runs on; nothing if there is none.
java_21()
{
    local home version
    for home in "${JAVA_HOME:-}" /usr/lib/jvm/*; do
        [ -x "$home/bin/java" ] || continue
        version=$("$home/bin/java" -version 2>&1 | sed -nE '1s/.*"([0-9]+).*/\1/p')
        [ "${version:-0}" -lt 21 ] || { echo "$home"; return; }
    done
}

# What the peers need and the tests do not. A peer that cannot be had is left out, which peers.py says.
install_peers()
{
    local f home root=${PG_BIN%/lib/postgresql/*}
    if [ ! -f "/usr/share/postgresql/$PG_MAJOR/extension/pgq.control" ]; then
        { [ "$(id -u)" = 0 ] || command -v sudo >/dev/null; } \
            && $([ "$(id -u)" = 0 ] || echo sudo) apt-get install -q -y --no-install-recommends "postgresql-$PG_MAJOR-pgq3" >/dev/null 2>&1 || :
    fi
    for f in "/usr/share/postgresql/$PG_MAJOR/extension"/pgq*; do
        [ ! -f "$f" ] || ln -sfn "$f" "$root/share/postgresql/$PG_MAJOR/extension/"
    done
    for f in "/usr/lib/postgresql/$PG_MAJOR/lib"/pgq*; do
        [ ! -f "$f" ] || ln -sfn "$f" "$root/lib/postgresql/$PG_MAJOR/lib/"
    done
    home=$(java_21)
    if [ -n "$home" ]; then
        DEBEZIUM_HOME=$(bench/peers/debezium-fetch.sh) || DEBEZIUM_HOME=
        export DEBEZIUM_HOME DEBEZIUM_JAVA_HOME=$home
    fi
    build/venv/bin/python -c 'import matplotlib' 2>/dev/null \
        || build/venv/bin/pip install -q --disable-pip-version-check -r bench/requirements.txt || die "no matplotlib"
}

# A second server, for the peer that needs wal_level = logical and TCP.
start_logical_server()
{
    read -r LOGICAL_PORT DEBEZIUM_HTTP_PORT <<<"$(. test/brokers/lib.sh && free_ports 2)"
    LOGICAL_HOST=127.0.0.1
    export LOGICAL_HOST LOGICAL_PORT DEBEZIUM_HTTP_PORT
    as_server mkdir "$scratch/logical"
    (server_start "$scratch/logical" "${settings[@]}" "wal_level = logical" "listen_addresses = '127.0.0.1'" "port = $LOGICAL_PORT")
}

# A second server, in which bulk transactions say nothing of their keys.
start_unfiltered_server()
{
    UNFILTERED_HOST=$scratch/unfiltered
    export UNFILTERED_HOST
    as_server mkdir "$UNFILTERED_HOST"
    (server_start "$UNFILTERED_HOST" "${settings[@]}" "outbox.bulk_filter_memory = 0")
}

tools/install_deps.sh test
# where the results go also when a copy is what runs
export BENCH_RESULTS=${BENCH_RESULTS:-$TOP/bench/results}
run_in_readable_copy bench/run.sh "$name" "$@"
use_private_postgres
build
# shellcheck disable=SC2046
case $name in
    drain) build_driver rdkafka_limit $(pkg-config --cflags --libs rdkafka) ;;
    latency | peers | idle) build_driver latency $(pkg-config --cflags --libs rdkafka) -I"$("$PG_CONFIG" --includedir)" -lpq -lpthread ;;
esac
if [ "$name" = peers ]; then
    # shellcheck disable=SC2046
    build_driver rdkafka_limit $(pkg-config --cflags --libs rdkafka)
    install_peers
fi
scratch=$(scratch_dir)
# WAL segments are recycled, as in a server that has been running for a while: new ones cost a write of zeros.
settings=("shared_preload_libraries = 'outbox_ext'" "fsync = on" "shared_buffers = 512MB" "max_wal_size = 16GB" "min_wal_size = 4GB"
    "checkpoint_timeout = 1h" "autovacuum = off" "max_connections = 40" "max_worker_processes = 16")
[ "$name" != oneorder ] || settings+=("max_connections = 220")
server_start "$scratch" "${settings[@]}"
case $name in drain | start | latency | rejections | peers | idle | storage) start_kafka ;; esac
[ "$name" != peers ] || start_logical_server
[ "$name" != bulk ] || start_unfiltered_server
# The parent's command is what reproduces the figures.
BENCH_COMMAND="bench/run.sh $name${*:+ $*}" build/venv/bin/python "bench/$name.py" "$@"
