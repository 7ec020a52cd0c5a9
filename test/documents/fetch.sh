#!/bin/bash
# Fetches the validators of documents into the cache, once, and prints where they are: node_modules of the locked packages,
# and datacontract-cli in a Python environment of its own (130 MB).
set -euo pipefail
. "$(dirname "$0")/../brokers/lib.sh"
here=$(cd "$(dirname "$0")" && pwd)
DATACONTRACT_VERSION=1.2.8
dir=$cache/documents-$(cat "$here/package-lock.json" "$here/fetch.sh" | cksum | cut -d' ' -f1)

# quietly WHAT COMMAND...: shows its words when it fails.
quietly()
{
    local what=$1 log
    shift
    log=$(mktemp)
    "$@" >"$log" 2>&1 || { tail -n 15 "$log" >&2; rm -f "$log"; die "could not fetch $what; check that the package registry can be reached"; }
    rm -f "$log"
}

if [ ! -f "$dir/.complete" ]; then
    echo "Fetching the validators of documents" >&2
    command -v npm >/dev/null || die "there is no npm (make deps)"
    rm -rf "$dir"
    mkdir -p "$dir"
    cp "$here/package.json" "$here/package-lock.json" "$dir"
    quietly "packages of npm" npm ci --prefix "$dir" --ignore-scripts --no-audit --no-fund
    for python in /usr/bin/python3 python3; do
        "$python" -m venv "$dir/venv" >/dev/null 2>&1 && break
    done
    quietly "datacontract-cli" "$dir/venv/bin/pip" install -q --disable-pip-version-check "datacontract-cli==$DATACONTRACT_VERSION"
    chmod -R a+rX "$dir"
    touch "$dir/.complete"
fi
echo "$dir"
