#!/bin/bash
# What capture adds to a write, counted in instructions of the backend by callgrind: exact to a per cent on a machine
# that does other things meanwhile, where time is not.
#   instructions.sh [--beside DIR] [--rows N]
# --beside DIR: a checkout of another version, for the same counts side by side. It must be one that its own
# bench/run.sh has built. --rows: of the bulk INSERT, 4000; a quarter as many one-row transactions.
# The contenders are those of bench/write.py without PL/pgSQL. Nothing is left behind.
set -euo pipefail
. "$(dirname "$0")/../tools/lib.sh"
cd "$TOP"

contenders='no_trigger noop outbox outbox_mapped outbox_foreign'
values="'C0000001', 'N', '2004-05-06 07:08:09+00', '2004-05-06 07:08:09+00', '2004-06-01', 12.34, true, 'Reykjavik', 'please ring twice'"
beside=
rows=4000
while [ $# -gt 0 ]; do
    case $1 in
        --beside) beside=$(cd "$2" && pwd) ;;
        --rows) rows=$2 ;;
        *) die "usage: $0 [--beside DIR] [--rows N]" ;;
    esac
    shift 2
done
command -v valgrind >/dev/null || die "valgrind is not installed" "apt-get install valgrind"

scratch=
cleanup()
{
    [ -z "$scratch" ] || { server_stop "$scratch/here"; server_stop "$scratch/beside"; rm -rf "$scratch"; }
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# The tables and contracts of bench/write.py.
set_up()
{
    local name kind
    echo "CREATE EXTENSION outbox_ext; CREATE SCHEMA canonical;"
    sed "s/{rows}/$((rows + 1001))/" bench/sql/staging.sql
    for name in $contenders; do
        sed "s/{name}/$name/g" bench/sql/legacy.sql
    done
    for name in noop outbox outbox_mapped outbox_foreign; do
        kind=${name#outbox_}
        case $kind in mapped | foreign) ;; *) kind=plain ;; esac
        sed "s/{name}/$name/g" "bench/sql/contract_$kind.sql"
        sed "s/{name}/$name/g; s/{event_type}/Placed_$name/g; s/{topic}/orders/g" bench/sql/contract.sql
    done
    echo "SELECT outbox.disable('noop'); VACUUM FREEZE ANALYZE; CHECKPOINT;"
}

# In a subshell, for it changes what this script's functions mean: SIDE DIR
make_side()
{
    cd "$2"
    . tools/lib.sh
    use_private_postgres
    as_server mkdir "$scratch/$1"
    server_start "$scratch/$1" "shared_preload_libraries = 'outbox_ext'" "autovacuum = off"
    set_up_sql | psql -Xq -v ON_ERROR_STOP=1 >"$scratch/$1.log"
    server_stop "$scratch/$1"
}

# The instructions of a single-user backend that runs the statements on stdin: SIDE DIR
count()
{
    local side=$scratch/$1
    cd "$2"
    . tools/lib.sh
    use_private_postgres
    rm -rf "$side/copy"
    cp -a "$side/data" "$side/copy"
    as_server valgrind --tool=callgrind --callgrind-out-file=/dev/null "$PG_BIN/postgres" --single -D "$side/copy" postgres \
        >"$side/out" 2>"$side/err"
    sed -n 's/.*Collected : \([0-9]*\).*/\1/p' "$side/err"
}

# The first row is not counted, nor is the start of a session: the difference of two runs is. SIDE DIR NAME
per_row()
{
    local few many
    few=$(bulk "$3" 1000 | count "$1" "$2")
    many=$(bulk "$3" $((1000 + rows)) | count "$1" "$2")
    echo $(((many - few) / rows))
}

per_transaction()
{
    local few many
    few=$(single "$3" 200 | count "$1" "$2")
    many=$(single "$3" $((200 + rows / 4)) | count "$1" "$2")
    echo $(((many - few) / (rows / 4)))
}

bulk()
{
    echo "INSERT INTO legacy.$1 SELECT * FROM legacy.staging WHERE ordr_no = 1"
    echo "INSERT INTO legacy.$1 SELECT * FROM legacy.staging WHERE ordr_no BETWEEN 2 AND $2"
}

single()
{
    local i
    for ((i = 1; i <= $2; i++)); do echo "INSERT INTO legacy.$1 VALUES ($i, $values)"; done
}

# One line per contender: instructions over no trigger. SIDE DIR
measure()
{
    local name row tx base_row base_tx
    for name in $contenders; do
        row=$(per_row "$1" "$2" "$name")
        tx=$(per_transaction "$1" "$2" "$name")
        [ "$name" != no_trigger ] || { base_row=$row base_tx=$tx; }
        printf '%-16s %-8s %12d %12d %14d %12d\n' "$name" "$1" "$row" $((row - base_row)) "$tx" $((tx - base_tx))
    done
}

tools/install_deps.sh test
use_private_postgres
mkdir -p build/log
{ make -s -j2 PG_CONFIG="$PG_CONFIG" all && make -s PG_CONFIG="$PG_CONFIG" install; } >build/log/bench.log 2>&1 || die "the build failed"
scratch=$(scratch_dir)
sql=$(set_up)
set_up_sql() { printf '%s\n' "$sql"; }
printf '%-16s %-8s %12s %12s %14s %12s\n' contender version per_row added per_transaction added
(make_side here "$TOP")
measure here "$TOP"
if [ -n "$beside" ]; then
    (make_side beside "$beside")
    measure beside "$beside"
fi
