#!/bin/bash
# Installs what is missing to build outbox_ext and to run its demo or its tests, from the
# distribution's packages and the Python package index as this machine is configured to reach them.
#   install_deps.sh demo|test|python        python: its packages only
# Quiet and quick when everything is there. The machine's own PostgreSQL is left alone: when the
# server has to be installed, no "main" cluster is created and none is touched or started.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

profile=${1:-}
case $profile in
    demo | test | python) ;;
    *) die "usage: $0 demo|test|python" ;;
esac

packages=(gcc libc6-dev make pkg-config
    "postgresql-$PG_MAJOR" "postgresql-server-dev-$PG_MAJOR"
    libavro-dev libjansson-dev librdkafka-dev libcurl4-openssl-dev python3 python3-venv)
if [ "$profile" = test ]; then
    packages+=("postgresql-$PG_MAJOR-pgtap" libtap-parser-sourcehandler-pgtap-perl libipc-run-perl perl
        openjdk-17-jdk-headless maven curl git openssl procps
        bzip2 libicu-dev libxml2-dev) # the last three for test/cassert.sh
    # validators of documents; a node that is there comes with its npm
    command -v npm >/dev/null || packages+=(nodejs npm)
    # another version formats otherwise, so where there is none of this one the format is not checked
    [ "$(. /etc/os-release && echo "${ID:-}${VERSION_ID:-}")" != debian12 ] || packages+=(clang-format-14)
fi

missing_packages()
{
    local p
    for p in "${packages[@]}"; do
        dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null | grep -qx installed || printf '%s\n' "$p"
    done
}

# Runs a command as root; the words of a failed one are shown, of a successful one are not.
as_root()
{
    local log rc=0 prefix=()
    [ "$(id -u)" = 0 ] || prefix=(sudo)
    log=$(mktemp)
    "${prefix[@]}" "$@" >"$log" 2>&1 || rc=$?
    [ $rc = 0 ] || tail -n 25 "$log" >&2
    rm -f "$log"
    return $rc
}

# postgresql-common reads this directory before it decides about the "main" cluster.
cluster_conf=/etc/postgresql-common/createcluster.d/outbox_ext_install.conf
forbid_main_cluster()
{
    trap allow_main_cluster EXIT
    as_root sh -c "mkdir -p '${cluster_conf%/*}' && echo 'create_main_cluster = false' >'$cluster_conf'"
}
allow_main_cluster()
{
    as_root sh -c "rm -f '$cluster_conf'; rmdir '${cluster_conf%/*}' 2>/dev/null || :"
}

install_packages()
{
    mapfile -t wanted < <(missing_packages)
    [ ${#wanted[@]} -gt 0 ] || return 0
    command -v apt-get >/dev/null || die "these packages are missing and there is no apt-get to install them: ${wanted[*]}" \
        "Install their equivalents by hand, then run this again."
    [ "$(id -u)" = 0 ] || command -v sudo >/dev/null || die "these packages are missing: ${wanted[*]}" \
        "Run as root, or install sudo, or let an administrator install them."
    say "Installing ${wanted[*]}"
    as_root apt-get update -q || say "apt-get update failed; trying with the package lists that are there"
    forbid_main_cluster
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${wanted[@]}" \
        || die "apt-get could not install: ${wanted[*]}" \
            "Read its words above. On another release than Debian 12 set PG_MAJOR to the PostgreSQL that it offers (15 to 19)."
    allow_main_cluster
    trap - EXIT
}

# The consumer and the tests speak Kafka and Avro through independent Python clients.
# The system's interpreter is preferred: one in a home directory is unreadable for the server's user.
install_python()
{
    local stamp python log
    stamp=$(cksum <test/requirements.txt)
    [ "$(cat build/venv/.requirements 2>/dev/null)" != "$stamp" ] || return 0
    say "Setting up Python packages in build/venv"
    rm -rf build/venv
    log=$(mktemp)
    for python in /usr/bin/python3 python3; do
        "$python" -m venv build/venv >"$log" 2>&1 && break
    done
    [ -x build/venv/bin/pip ] || { cat "$log" >&2; die "could not create a Python environment in build/venv" \
        "Install python3-venv."; }
    rm -f "$log"
    install_requirements test/requirements.txt
    printf '%s\n' "$stamp" >build/venv/.requirements
}

install_requirements()
{
    local log
    log=$(mktemp)
    build/venv/bin/pip install -q --disable-pip-version-check -r "$1" >"$log" 2>&1 \
        || { tail -n 15 "$log" >&2; die "could not install the Python packages of $1" \
            "They come from the package index that pip is configured for; check that it can be reached."; }
    rm -f "$log"
}

# The demo does without these.
install_lint()
{
    local stamp
    stamp=$(cksum <test/lint-requirements.txt)
    [ "$(cat build/venv/.lint-requirements 2>/dev/null)" != "$stamp" ] || return 0
    install_requirements test/lint-requirements.txt
    printf '%s\n' "$stamp" >build/venv/.lint-requirements
}

cd "$TOP"
mkdir -p build
[ "$profile" = python ] || install_packages
install_python
[ "$profile" != test ] || install_lint
