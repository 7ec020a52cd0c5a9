#!/bin/bash
# The whole suite, from nothing: what is missing is installed, everything is built with -Werror
# into a private copy of PostgreSQL and run against private servers, which are gone at the end.
#   all.sh                 every part
#   ONLY="regress tap"     some: lint unit regress isolation installcheck pgtap tap demo soak cassert matrix
#   ONLY=valgrind          the regression tests under valgrind, which is not among every part
#   PROVE_TESTS=...        some TAP files
# Every part runs even when an earlier one failed; the exit status is 1 if any did.
set -uo pipefail
. "$(dirname "$0")/../../tools/lib.sh"
cd "$TOP" || exit 1
export TEST_FUNCTIONS=1

parts=${ONLY:-lint unit regress isolation installcheck pgtap tap demo soak cassert matrix}
failed=()
scratch=

cleanup()
{
    if [ -n "$scratch" ]; then
        server_stop "$scratch"
        [ ! -d "$scratch/brokers/kafka" ] || as_server test/brokers/kafka-down.sh "$scratch/brokers/kafka" --wipe >/dev/null 2>&1
        [ ! -d "$scratch/brokers/registry" ] || as_server test/brokers/registry-down.sh "$scratch/brokers/registry" --wipe >/dev/null 2>&1
        rm -rf "$scratch"
    fi
}
trap cleanup EXIT
trap 'exit 130' INT TERM

title()
{
    printf '\n== %s\n' "$*"
}

# A directory below build/ that the server's user may write to, empty.
output_dir()
{
    rm -rf "build/$1"
    mkdir -p "build/$1"
    [ "$(id -u)" != 0 ] || chown "$(server_user):" "build/$1"
}

# Runs a command quietly; shows the end of its log when it fails.
quietly()
{
    local name=$1
    shift
    mkdir -p build/log
    "$@" >"build/log/$name.log" 2>&1 && return 0
    tail -n 40 "build/log/$name.log" >&2
    return 1
}

build()
{
    title "Build"
    use_private_postgres
    local module
    quietly build make -s -j2 PG_CONFIG="$PG_CONFIG" COPT=-Werror all || die "the build failed (build/log/build.log)"
    quietly install make -s PG_CONFIG="$PG_CONFIG" COPT=-Werror install || die "the installation failed (build/log/install.log)"
    for module in test/modules/*/; do
        [ -f "${module}Makefile" ] || continue
        quietly "module-$(basename "$module")" make -s -C "$module" PG_CONFIG="$PG_CONFIG" COPT=-Werror all install \
            || die "the test module $module did not build"
    done
    [ ! -f tools/mock_broker.c ] || quietly mock_broker make -s build/mock_broker PG_CONFIG="$PG_CONFIG" \
        || die "tools/mock_broker.c did not build"
    echo "warning-free with -Wall -Wextra -Werror, $("$PG_CONFIG" --version)"
}

# One server for the parts that use SQL only.
start_shared_server()
{
    [ -z "$scratch" ] || [ ! -d "$scratch/data" ] || return 0
    [ -n "$scratch" ] || scratch=$(scratch_dir)
    server_start "$scratch" "shared_preload_libraries = 'outbox_ext'" \
        "max_prepared_transactions = 10" "outbox.ring_size = 64" "outbox.poll_interval = '200ms'"
}

names()
{
    local f
    for f in "$1"/*"$2"; do
        [ ! -f "$f" ] || basename "$f" "$2"
    done
}

# pg_regress looks for expected/ beside its output (15) or below the current directory (16 and later).
# The databases have the names that installcheck gives them.
regress_with()
{
    local part=$1 program=$2 inputdir=$3 database=$4 rc=0
    shift 4
    [ $# -gt 0 ] || { echo "no tests"; return 0; }
    start_shared_server
    output_dir "$part"
    [ "$part" != regress ] || ln -s "$TOP/expected" build/regress/expected
    as_server "$program" --inputdir="$inputdir" --outputdir="build/$part" --bindir="$PG_BIN" --dbname="$database" \
        --host="$PGHOST" --port="$PGPORT" --user=postgres --load-extension=outbox_ext "$@" || rc=1
    [ $rc = 0 ] || { head -n 200 "build/$part/regression.diffs"; show_server_log; }
    return $rc
}

# A failed test's own errors are in its output; here is what the server did not survive.
show_server_log()
{
    mkdir -p build/log
    cp "$scratch/server.log" build/log/server.log
    grep -E 'PANIC|FATAL|TRAP:|terminated by signal|terminating any other' build/log/server.log | tail -n 20
    echo "-- the whole server log: build/log/server.log"
}

run_lint()
{
    LINT_STRICT=1 test/lint.sh
}

run_unit()
{
    [ -f test/unit/Makefile ] || { echo "no tests"; return 0; }
    make -s -C test/unit check PG_CONFIG="$PG_CONFIG"
}

run_regress()
{
    mapfile -t tests < <(names test/sql .sql)
    regress_with regress "$PGXS_TESTS/regress/pg_regress" test contrib_regression "${tests[@]}"
}

# With a server of its own; it needs minutes. Times are not what the tests' limits expect: what they
# find is shown, and memcheck decides.
run_valgrind()
{
    command -v valgrind >/dev/null || die "valgrind is not installed" "apt-get install valgrind"
    [ -z "$scratch" ] || { server_stop "$scratch"; rm -rf "$scratch"; scratch=; }
    output_dir valgrind
    export VALGRIND_DIR=$TOP/test/valgrind VALGRIND_LOG=$TOP/build/valgrind VALGRIND_POSTGRES=$PG_BIN/postgres
    SERVER_PROGRAM=$TOP/test/valgrind/postgres
    run_regress || echo "-- some tests differ under valgrind"
    server_stop "$scratch"
    build/venv/bin/python test/valgrind/report.py build/valgrind "$TOP/src/"
}

run_isolation()
{
    mapfile -t tests < <(names test/isolation/specs .spec)
    regress_with isolation "$PGXS_TESTS/isolation/pg_isolation_regress" test/isolation isolation_regression "${tests[@]}"
}

# The classic way, against a server that does not preload the library. In a subshell: the server that the
# other parts use stays the one that is named.
run_installcheck()
{
    local dir
    dir=$(scratch_dir)
    mkdir -p build/log
    (
        trap 'server_stop "$dir"; rm -rf "$dir"' EXIT
        server_start "$dir"
        make -s installcheck PG_CONFIG="$PG_CONFIG"
    ) >build/log/installcheck.log 2>&1 && { grep -E '^ ?All [0-9]+ tests passed|^# All' build/log/installcheck.log; return 0; }
    grep -E 'FAILED|^not ok|^error:|^hint:' build/log/installcheck.log
    head -n 100 regression.diffs output_iso/regression.diffs 2>/dev/null
    return 1
}

# The last line says that what was captured was published and consumed; nothing is left behind, so it can be run
# again; and a broker that does not answer is named, with what to do.
run_demo()
{
    local round rc=0
    demo_dir=$(scratch_dir)
    unset BROKER REGISTRY
    for round in 1 2; do
        run_one_demo 0 '^demo: ok captured=([1-9][0-9]*) published=\1 consumed=\1 dead_letters=[1-9][0-9]*$' || rc=1
    done
    BROKER=127.0.0.1:1 run_one_demo 1 '^error: no broker answers at 127\.0\.0\.1:1$' || rc=1
    grep -q '^hint:' build/log/demo.log || { echo "demo: no hint with an unreachable broker"; rc=1; }
    rm -rf "$demo_dir"
    return $rc
}

# run_one_demo STATUS LINE: what it must exit with, and say.
run_one_demo()
{
    local rc=0 deadline left
    mkdir -p build/log
    TMPDIR=$demo_dir tools/demo.sh >build/log/demo.log 2>&1 || rc=$?
    [ $rc = "$1" ] || { tail -n 40 build/log/demo.log; echo "demo: exit status $rc instead of $1"; return 1; }
    grep -E "$2" build/log/demo.log || { tail -n 40 build/log/demo.log; echo "demo: no line is like $2"; return 1; }
    # the embedded broker ends when its input does
    deadline=$((SECONDS + 30))
    while left=$(pgrep -af "$demo_dir") && [ $SECONDS -lt $deadline ]; do read -r -t 0.1 <> <(:) || :; done
    [ -z "$left" ] || { printf 'demo: processes are left behind:\n%s\n' "$left"; return 1; }
    [ -z "$(ls -A "$demo_dir")" ] || { echo "demo: files are left behind:"; find "$demo_dir" | head -n 20; return 1; }
}

# Every file gets a database of its own, with pgtap and outbox_ext.
run_pgtap()
{
    local rc=0 t db
    compgen -G 'test/pgtap/*.sql' >/dev/null || { echo "no tests"; return 0; }
    start_shared_server
    as_server psql -Xq -v ON_ERROR_STOP=1 -c 'CREATE DATABASE outbox_pgtap' \
        -c '\c outbox_pgtap' -c 'CREATE EXTENSION pgtap' -c 'CREATE EXTENSION outbox_ext' || return 1
    as_server pg_prove --dbname outbox_pgtap test/pgtap/*.sql examples/pgtap/*.sql || rc=1
    [ $rc = 0 ] || show_server_log
    return $rc
}

# The real brokers are fetched and started before the tests, when one of them asks for them.
run_tap()
{
    local tests=${PROVE_TESTS:-} rc=0
    [ -n "$tests" ] || tests=$(ls test/t/*.pl 2>/dev/null) || { echo "no tests"; return 0; }
    [ -n "$scratch" ] || scratch=$(scratch_dir)
    # shellcheck disable=SC2086
    if grep -lqE "$REAL_BROKER" $tests; then
        test/brokers/kafka-fetch.sh && test/brokers/registry-fetch.sh || return 1
    fi
    # shellcheck disable=SC2086
    if grep -lq 'OutboxCompat->java' $tests; then
        test/compat/fetch.sh >/dev/null || return 1
    fi
    # shellcheck disable=SC2086
    if grep -lq 'OutboxValidators->' $tests; then
        test/documents/fetch.sh >/dev/null || return 1
    fi
    as_server mkdir -p "$scratch/brokers"
    output_dir tap
    # shellcheck disable=SC2086
    as_server env HOME="$scratch" TMPDIR="$scratch" TESTDIR="$TOP/build/tap" \
        TESTDATADIR="$TOP/build/tap/tmp_check" TESTLOGDIR="$TOP/build/tap/tmp_check/log" PG_REGRESS="$PGXS_TESTS/regress/pg_regress" \
        PERL5LIB="${OUTBOX_PG_PERL:-$PGXS_TESTS/perl}:$TOP/test/perl" PG_TEST_TIMEOUT_DEFAULT="${PG_TEST_TIMEOUT_DEFAULT:-60}" \
        OUTBOX_TEST_BROKERS="$scratch/brokers" prove --timer $tests || rc=1
    if [ $rc != 0 ]; then
        echo "-- end of the newest logs (build/tap/tmp_check/log)"
        for f in $(ls -t build/tap/tmp_check/log/*_*.log build/tap/tmp_check/log/regress_log_* 2>/dev/null | head -n 3); do
            echo "-- $f"
            tail -n 30 "$f"
        done
    fi
    return $rc
}

# A short one: make soak kills 200 times.
run_soak()
{
    test/run/soak.sh --kills 20 --events 50000
}

# A server that checks itself.
run_cassert()
{
    elsewhere "a server with assertions" env -u OUTBOX_PG_CONFIG ONLY="regress isolation" test/cassert.sh
}

# The newest PostgreSQL that is released.
run_matrix()
{
    elsewhere "PostgreSQL 18" env ONLY="regress isolation" test/matrix.sh 18
}

# elsewhere WHAT COMMAND...: where a server cannot be had the others' results still count, but not silently;
# continuous integration must not lose it unnoticed.
elsewhere()
{
    local what=$1 rc=0
    shift
    "$@" || rc=$?
    [ $rc = 77 ] || return $rc
    echo "=============================================================="
    echo "  NOT TESTED: $what. The reason is above."
    echo "=============================================================="
    [ "${CI:-}" != true ]
}

# test/matrix.sh has installed the rest.
if [ -z "${OUTBOX_PG_CONFIG:-}" ]; then
    tools/install_deps.sh test || exit 1
elif [[ " $parts " =~ " "(tap|soak)" " ]]; then
    tools/install_deps.sh python || exit 1
fi
run_in_readable_copy test/run/all.sh
build
PGXS_TESTS=$(dirname "$("$PG_CONFIG" --pgxs)")/../test
for part in $parts; do
    title "$part"
    "run_$part" || failed+=("$part")
done
echo
if [ ${#failed[@]} -gt 0 ]; then
    echo "test: FAILED: ${failed[*]}"
    exit 1
fi
echo "test: ok: $parts"
