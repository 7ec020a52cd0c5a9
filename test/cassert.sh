#!/bin/bash
# Tests on a PostgreSQL that checks itself: built from the distribution's source with --enable-cassert.
#   cassert.sh                               ONLY="unit regress isolation pgtap tap", see run/all.sh
#   ONLY="regress isolation" cassert.sh      what the whole suite does
#   PROVE_TESTS="test/t/001_real_kafka.pl" ONLY=tap cassert.sh
# It takes apt-get and a Debian mirror with sources. The server is built in about two minutes at first and kept in
# $OUTBOX_CACHE/cassert, by default build/cassert; removing that directory starts over. Every call tests a copy of the
# sources, in build/cassert-run, with a copy of the server.
#   exit status: 0 passed, 1 failed, 77 this machine cannot make the server (the words say why)
set -uo pipefail
. "$(dirname "$0")/../tools/lib.sh"
cd "$TOP" || exit 1
cache=${OUTBOX_CASSERT_CACHE:-${OUTBOX_CACHE:-$TOP/build}/cassert}
server=$cache/pg$PG_MAJOR
run=$TOP/build/cassert-run
log=$cache/pg$PG_MAJOR.log
build_limit=1800	# seconds; two minutes on a quiet machine
unavailable=77

cannot()
{
    tail -n 15 "$log" >&2
    say "cassert: no server with assertions can be built on this machine: $1 ($log)"
    exit $unavailable
}

# The newest source that the mirror still has: an index may name one that is gone. apt-get looks at the checksums; its
# lists are kept apart, so that neither root nor a change of the machine's sources is needed.
fetch_source()
{
    local apt=$cache/apt version options
    mkdir -p "$apt/parts" "$apt/lists/partial" "$apt/cache/archives/partial"
    cat /etc/apt/sources.list.d/debian.sources 2>/dev/null | sed 's/^Types:.*/Types: deb-src/' >"$apt/parts/source.sources"
    cat /etc/apt/sources.list 2>/dev/null | sed -n 's/^deb \(.*\)/deb-src \1/p' >"$apt/parts/source.list"
    options=(-q -o "Dir::Etc::sourcelist=/dev/null" -o "Dir::Etc::sourceparts=$apt/parts" -o "Dir::State::lists=$apt/lists"
        -o "Dir::Cache=$apt/cache" -o "APT::Sandbox::User=$(id -un)" -o Acquire::Check-Valid-Until=false)
    timeout 200 apt-get "${options[@]}" update || return 1
    for version in $(apt-cache "${options[@]}" showsrc --only-source "postgresql-$PG_MAJOR" | sed -n 's/^Version: //p' | sort -rVu); do
        (cd "$work" && timeout 200 apt-get "${options[@]}" source --download-only "postgresql-$PG_MAJOR=$version") && break
    done
    tar -C "$work" --strip-components=1 -xjf "$work"/postgresql-*.orig.tar.bz2
}

# What the tests use of it, without optimizing for long.
build_server()
{
    local dir started=$SECONDS
    cd "$work" || return 1
    ./configure --quiet --prefix="$server" --enable-cassert --with-icu --with-libxml --without-readline CFLAGS=-O1 || return 1
    make -s -j"$(nproc)" -C src/backend generated-headers && make -s -j"$(nproc)" -C src/backend || return 1
    for dir in common port fe_utils timezone include interfaces/libpq backend backend/utils/mb/conversion_procs backend/snowball \
        backend/replication/libpqwalreceiver backend/replication/pgoutput bin/initdb bin/pg_ctl bin/psql bin/pg_config bin/pg_dump \
        bin/pg_basebackup bin/pg_controldata bin/pg_resetwal bin/pg_upgrade bin/scripts pl/plpgsql makefiles test/regress test/isolation \
        ../contrib/pageinspect ../contrib/amcheck ../config; do
        [ ! -f "src/$dir/Makefile" ] || make -s -j"$(nproc)" -C "src/$dir" all install || return 1
    done
    make -s -C src install-local || return 1
    echo "$("$server/bin/postgres" --version) built in $((SECONDS - started)) s"
}

make_server()
{
    local missing=
    for tool in apt-get gcc make perl bzip2 pkg-config; do command -v $tool >/dev/null || missing+=" $tool"; done
    [ -z "$missing" ] || cannot "these programs are missing:$missing"
    say "Building a PostgreSQL $PG_MAJOR with assertions in $server"
    rm -rf "$server"
    work=$(mktemp -d "$cache/build.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    (fetch_source) >"$log" 2>&1 || cannot "its source could not be fetched"
    export -f build_server
    work=$work server=$server timeout "$build_limit" bash -c build_server >>"$log" 2>&1 || cannot "it does not build"
    cp "/usr/share/postgresql/$PG_MAJOR"/extension/pgtap* "$server/share/postgresql/extension/" || cannot "there is no pgtap"
    touch "$server/.ready"
    tail -n 1 "$log"
}

# Copies of the sources without what was built for another server, and of the server, for what is installed into it.
copy_all()
{
    rm -rf "$run"
    mkdir -p "$run/src/build" "$run/server"
    tar --exclude=./.git --exclude=./build --exclude='*.o' --exclude='*.so' --exclude='*.bc' -cf - . | tar -C "$run/src" --no-same-owner -xf - \
        && cp -a "$server/." "$run/server/" && { [ ! -d build/venv ] || ln -s "$TOP/build/venv" "$run/src/build/venv"; }
}

mkdir -p "$cache" || exit 1
exec 9>"$server.lock"
flock -w "$build_limit" 9 || die "another run has used $server for $build_limit s"
[ -e "$server/.ready" ] || make_server
copy_all || die "the sources or the server could not be copied to $run"
exec 9>&-
started=$SECONDS
rc=0
ONLY=${ONLY:-unit regress isolation pgtap tap} OUTBOX_PG_CONFIG=$run/server/bin/pg_config \
    OUTBOX_PG_PERL=/usr/lib/postgresql/$PG_MAJOR/lib/pgxs/src/test/perl "$run/src/test/run/all.sh" || rc=1
echo "cassert: $("$run/server/bin/postgres" --version): $([ $rc = 0 ] && echo ok || echo FAILED) in $((SECONDS - started)) s"
[ $rc != 0 ] || rm -rf "$run"
exit $rc
