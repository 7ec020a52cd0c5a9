#!/bin/bash
# A private copy of the PostgreSQL installation, so that builds, tests and the demo never touch
# the machine's own server. Only bin is copied: a server finds its library, share and include
# directories relative to its own executable, so those are directories of links, and what we
# install lands beside the links.
#   private_server.sh ROOT [MAJOR]      prints the private pg_config
set -euo pipefail
major=${2:-15}
system=/usr/lib/postgresql/$major
[ $# -ge 1 ] || { echo "usage: $0 ROOT [MAJOR]" >&2; exit 1; }
if [ ! -x "$system/bin/pg_config" ] || [ ! -d "$system/lib/pgxs" ]; then
    echo "error: PostgreSQL $major with its development files is not installed" >&2
    echo "hint:  Install postgresql-$major and postgresql-server-dev-$major, or run tools/install_deps.sh demo." >&2
    exit 1
fi
mkdir -p "$1"
root=$(cd "$1" && pwd)
bin=$root/lib/postgresql/$major/bin

# link_into TARGET SOURCE: links every entry of SOURCE, the directories named after it excepted.
link_into()
{
    local target=$1 source=$2 entry name
    shift 2
    mkdir -p "$target"
    for entry in "$source"/*; do
        name=$(basename "$entry")
        case " $* " in *" $name "*) ;; *) ln -sfn "$entry" "$target/$name" ;; esac
    done
}

# The stamp names the release copied: an upgraded package is copied again.
stamp="layout 2, $("$system/bin/postgres" --version)"
if [ "$(cat "$root/.ready-$major" 2>/dev/null)" != "$stamp" ]; then
    rm -rf "$root/lib/postgresql/$major" "$root/share/postgresql/$major"
    if [ -L "$root/include" ]; then rm -f "$root/include"; else rm -rf "$root/include/postgresql/$major"; fi
    mkdir -p "$bin"
    cp -a "$system/bin/." "$bin/"
    link_into "$root/lib/postgresql/$major/lib" "$system/lib"
    link_into "$root/share/postgresql/$major" "/usr/share/postgresql/$major" extension
    link_into "$root/share/postgresql/$major/extension" "/usr/share/postgresql/$major/extension"
    link_into "$root/include/postgresql" /usr/include/postgresql 15 16 17 18 19
    link_into "$root/include/postgresql/$major/server" "/usr/include/postgresql/$major/server" extension
    printf '%s\n' "$stamp" >"$root/.ready-$major"
fi
echo "$bin/pg_config"
