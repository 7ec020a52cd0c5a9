#!/bin/bash
# A private copy of the PostgreSQL installation, so that builds, tests and the demo never touch
# the machine's own server: lib and share are links, only bin is copied, because the server
# finds its library and share directories relative to its own executable.
#   private_server.sh ROOT [MAJOR]      prints the private pg_config
set -euo pipefail
root=$1; major=${2:-15}
system=/usr/lib/postgresql/$major
[ -x "$system/bin/pg_config" ] || { echo "PostgreSQL $major with its development files is not installed (postgresql-server-dev-$major)" >&2; exit 1; }
mkdir -p "$root"; root=$(cd "$root" && pwd)
config=$root/lib/postgresql/$major/bin/pg_config
if [ ! -e "$root/.ready-$major" ]; then
    mkdir -p "$root/lib/postgresql/$major/"{bin,lib} "$root/share/postgresql/$major/extension"
    cp -a "$system/bin/." "$root/lib/postgresql/$major/bin/"
    for f in "$system/lib/"*; do ln -sfn "$f" "$root/lib/postgresql/$major/lib/"; done
    for f in "/usr/share/postgresql/$major/"*; do
        [ "$(basename "$f")" = extension ] || ln -sfn "$f" "$root/share/postgresql/$major/"
    done
    for f in "/usr/share/postgresql/$major/extension/"*; do ln -sfn "$f" "$root/share/postgresql/$major/extension/"; done
    ln -sfn /usr/include "$root/include"
    touch "$root/.ready-$major"
fi
echo "$config"
