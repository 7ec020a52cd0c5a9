# What the scripts of tools/ and test/ share: messages, the server's user, a private server.
# To be sourced.
TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
PG_MAJOR=${PG_MAJOR:-15}

say()
{
    printf '%s\n' "$*" >&2
}

# die MESSAGE [WHAT TO DO]
die()
{
    printf 'error: %s\n' "$1" >&2
    [ $# -lt 2 ] || printf 'hint:  %s\n' "$2" >&2
    exit 1
}

# poll SECONDS COMMAND...: until the command succeeds; false when time is up.
poll()
{
    local deadline=$((SECONDS + $1))
    shift
    until "$@"; do
        [ $SECONDS -lt $deadline ] || return 1
        read -r -t 0.1 <> <(:) || :
    done
}

# PostgreSQL refuses to run as root: root lends the servers (and whatever talks to them) this user.
server_user()
{
    if [ "$(id -u)" = 0 ]; then echo "${OUTBOX_SERVER_USER:-postgres}"; else id -un; fi
}

as_server()
{
    if [ "$(id -u)" = 0 ]; then
        local user
        user=$(server_user)
        setpriv --reuid="$user" --regid="$(id -g "$user")" --init-groups -- "$@"
    else
        "$@"
    fi
}

# A scratch directory that belongs to the server's user, with a path short enough for sockets.
scratch_dir()
{
    local dir
    dir=$(mktemp -d "${TMPDIR:-/tmp}/outbox.XXXXXX")
    [ ${#dir} -lt 60 ] || { rmdir "$dir"; dir=$(mktemp -d /tmp/outbox.XXXXXX); }
    [ "$(id -u)" != 0 ] || chown "$(server_user):" "$dir"
    echo "$dir"
}

# The private installation (tools/private_server.sh); sets PG_CONFIG and puts its programs first.
# On a machine made for one test, test/matrix.sh says which installation is private already.
use_private_postgres()
{
    PG_CONFIG=${OUTBOX_PG_CONFIG:-$("$TOP/tools/private_server.sh" "$TOP/build/root" "$PG_MAJOR")}
    PG_BIN=$(dirname "$PG_CONFIG")
    export PG_CONFIG PATH="$PG_BIN:$PATH"
    unset PGHOST PGPORT PGUSER PGDATABASE PGSERVICE PGOPTIONS PGDATA
}

# Whether the server's user can read what is built here: below somebody's private directory it cannot.
tree_is_readable()
{
    as_server test -r "$TOP/Makefile" && as_server test -x "$TOP/tools"
}

# What a TAP test says that starts a real broker.
REAL_BROKER='OutboxBroker->((strict_)?kafka|(own_)?registry)'

# run_in_readable_copy SCRIPT [ARG...]: returns if the tree is readable to the servers; otherwise runs
# the script in a copy that is, and exits with its status. What was downloaded is copied, not fetched; what
# was built comes back, so that the next run need not build it again.
run_in_readable_copy()
{
    local copy rc=0
    ! tree_is_readable || return 0
    copy=$(scratch_dir)
    chmod 755 "$copy"
    say "The user $(server_user) cannot read $TOP: running in a copy, $copy"
    export OUTBOX_MATRIX_CACHE=${OUTBOX_MATRIX_CACHE:-${OUTBOX_CACHE:-$TOP/build}/matrix}
    tar -C "$TOP" --exclude=./.git --exclude=./build/matrix -cf - . | tar -C "$copy" --no-same-owner -xf -
    "$copy/$1" "${@:2}" || rc=$?
    (cd "$copy" && find . \( -name '*.o' -o -name '*.so' \) -not -path './build/*' -newer "$TOP/Makefile" -print0
        [ ! -e "$copy/build/linked" ] || printf './build/linked\0'
        [ ! -e "$copy/build/mock_broker" ] || printf './build/mock_broker\0') \
        | tar -C "$copy" --null -T - -cf - | tar -C "$TOP" --no-same-owner -xf - || :
    rm -rf "$copy"
    exit $rc
}

# server_start DIR [SETTING...]: a cluster in DIR/data on a socket in DIR, port 5432, superuser postgres.
# SERVER_PROGRAM is run in place of postgres, if it is set.
server_start()
{
    local dir=$1 setting
    shift
    export HOME=$dir PGHOST=$dir PGPORT=5432 PGUSER=postgres PGDATABASE=postgres
    as_server initdb -D "$dir/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 --no-sync >"$dir/initdb.log" 2>&1 \
        || { cat "$dir/initdb.log" >&2; die "initdb failed"; }
    {
        printf '%s\n' "listen_addresses = ''" "unix_socket_directories = '$dir'" "port = 5432" "fsync = off" \
            "shared_buffers = 64MB" "max_wal_size = 512MB" "log_line_prefix = '%m [%p] %b '"
        for setting in "$@"; do printf '%s\n' "$setting"; done
    } | as_server tee -a "$dir/data/postgresql.conf" >/dev/null
    as_server pg_ctl -D "$dir/data" -l "$dir/server.log" -w -t 60 -s ${SERVER_PROGRAM:+-p "$SERVER_PROGRAM"} start \
        >"$dir/pg_ctl.log" 2>&1 \
        || { tail -n 25 "$dir/server.log" "$dir/pg_ctl.log" >&2; die "the private PostgreSQL server did not start"; }
}

# server_stop DIR: safe to call twice and before a start.
server_stop()
{
    [ ! -f "$1/data/postmaster.pid" ] || as_server pg_ctl -D "$1/data" -m fast -w -t 60 -s stop >/dev/null 2>&1 \
        || as_server pg_ctl -D "$1/data" -m immediate -w -t 60 -s stop >/dev/null 2>&1 || :
}
