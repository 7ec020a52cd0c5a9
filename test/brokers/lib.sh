# What the broker scripts share. To be sourced.
# Artefacts come from Maven Central, as Maven is configured on this machine, into a cache that is
# kept between runs: $OUTBOX_CACHE, by default build/brokers.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../.." && pwd)
cache=${OUTBOX_CACHE:-$top/build/brokers}
KAFKA_VERSION=4.3.1
REGISTRY_VERSION=3.0.9		# the last line that runs on Java 17
kafka_dir=$cache/kafka-$KAFKA_VERSION
registry_dir=$cache/registry-$REGISTRY_VERSION

die()
{
    echo "error: $*" >&2
    exit 1
}

# maven GOAL...: quiet; shows its words when it fails.
maven()
{
    local log
    log=$(mktemp)
    if ! mvn -B -q "$@" >"$log" 2>&1; then
        tail -n 15 "$log" >&2
        rm -f "$log"
        die "Maven could not fetch the artefacts; check that its repositories can be reached"
    fi
    rm -f "$log"
}

# free_ports N: N ports nobody listens on, outside the range that clients get theirs from.
free_ports()
{
    perl -MIO::Socket::INET -e '
        my @held;
        while (@held < $ARGV[0]) {
            my $s = IO::Socket::INET->new(LocalAddr => "127.0.0.1", LocalPort => 20000 + int(rand(10000)),
                Proto => "tcp", Listen => 1, ReuseAddr => 0) or next;
            push @held, $s;
        }
        print join(" ", map { $_->sockport } @held), "\n";' "$1"
}

# is_up DIR: whether the process of DIR/pid lives.
is_up()
{
    [ -f "$1/pid" ] && kill -0 "$(cat "$1/pid")" 2>/dev/null
}

# wait_for SECONDS DIR COMMAND...: polls until the command succeeds; fails when the process is gone or time is up.
wait_for()
{
    local deadline=$((SECONDS + $1)) dir=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        if ! is_up "$dir" || [ $SECONDS -ge $deadline ]; then
            tail -n 30 "$dir/log" >&2
            die "$(basename "$dir") did not become ready; its log is above"
        fi
        read -r -t 0.1 <> <(:) || :
    done
}

# stop DIR [--kill] [--wipe]: ends the process and waits for it; its data stays unless wiped.
stop()
{
    local dir=$1 signal=TERM wipe= pid tries=0
    shift
    while [ $# -gt 0 ]; do
        case $1 in
            --kill) signal=KILL ;;
            --wipe) wipe=1 ;;
            *) die "unknown option $1" ;;
        esac
        shift
    done
    if is_up "$dir"; then
        pid=$(cat "$dir/pid")
        kill -$signal "$pid"
        while kill -0 "$pid" 2>/dev/null; do
            tries=$((tries + 1))
            [ $tries -lt 300 ] || kill -KILL "$pid" 2>/dev/null || :
            [ $tries -lt 400 ] || die "process $pid does not end"
            read -r -t 0.1 <> <(:) || :
        done
    fi
    rm -f "$dir/pid"
    [ -z "$wipe" ] || rm -rf "$dir"
}
