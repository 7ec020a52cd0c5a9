#!/bin/bash
# The rules that a grep can hold: boundaries between the layers, and habits that cost more than they save.
#   lint.sh       prints every breach with its place; exit status 1 if there is one
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
breaches=0
rules=0

# Without a tool its rule is not checked; LINT_STRICT says that it must be (test/run/all.sh installs all).
skip()
{
    echo "lint: $1"
    [ -z "${LINT_STRICT:-}" ] || breaches=$((breaches + 1))
}

# forbid WHAT PATTERN FILE...: no line of the files may match.
forbid()
{
    local what=$1 pattern=$2 found
    shift 2
    rules=$((rules + 1))
    [ $# -gt 0 ] || return 0
    found=$(grep -nHE -- "$pattern" "$@") || return 0
    breaches=$((breaches + 1))
    printf 'lint: %s\n%s\n' "$what" "$found"
}

# The files of the shipped sources that match a name and are not below the excluded folder.
sources()
{
    find src -name '*.[ch]' ${1:+-not -path "$1/*"} | sort
}

mapfile -t all < <(sources)
mapfile -t outside_avro < <(sources src/avro)
mapfile -t outside_kafka < <(sources src/sinks/kafka)
mapfile -t core < <(sources src/sinks)
mapfile -t not_compat < <(sources | grep -v '^src/compat\.h$')
mapfile -t headers < <(find src -name '*.h' | sort)
mapfile -t capture < <(find src/capture -name '*.[ch]' | sort)
mapfile -t letters < <(find src/letters -name '*.[ch]' | sort)
mapfile -t c_files < <(find src test tools -name '*.[ch]' -not -path '*/build/*' | sort)
mapfile -t scripts < <(find sql src tools test bench examples Makefile -type f \
    \( -name '*.[ch]' -o -name '*.sql' -o -name '*.p[lmy]' -o -name '*.sh' -o -name Makefile \) -not -path test/lint.sh 2>/dev/null | sort)

# Boundaries
forbid 'libavro belongs to src/avro/' '#include <avro(\.h|/)' "${outside_avro[@]}"
forbid 'librdkafka belongs to src/sinks/kafka/' '#include <librdkafka/' "${outside_kafka[@]}"
forbid 'libcurl belongs to src/sinks/' '#include <curl/' "${core[@]}"
# The name of a library that ships with us may stand in a hint.
forbid 'the core names no broker' '(^|[^_a-z])[Kk]afka|rdkafka|[Rr]abbit|\bNATS\b' \
    $(printf '%s\n' "${core[@]}" | grep -v '^src/guc\.c$')
# What counts uses is of a leaf, a slot, a server's history (timeline) or a sink's life (attempt).
forbid 'leaf_generation or slot_generation, never plain generation' '(^|[^_a-zA-Z])generations?\b' "${all[@]}"
forbid 'version tests belong to src/compat.h' 'PG_VERSION_NUM' "${not_compat[@]}"

# Capture of a row contract runs no query.
forbid 'no SPI in capture' '\bSPI_|executor/spi\.h|\bOutbox(Select|Run|RunPlanned)\b' "${capture[@]}"

# Statements and their rows go through one place; SPI_connect and SPI_finish say who asks.
mapfile -t not_query < <(sources | grep -v '^src/util/query\.c$')
forbid 'statements are OutboxSelect() and OutboxRun() (src/util/query.c)' '\bSPI_(execute\w*|getbinval|processed|tuptable)\b' "${not_query[@]}"
forbid 'a setting for a while is OutboxSetInScope() or OutboxSetInTransaction() (src/util/util.h)' \
    '\bset_config_option\(' $(sources | grep -vE '^src/(util/util\.h|contract/environment/settings\.c)$')

# Errors are caught in one way.
mapfile -t not_catch < <(sources | grep -v '^src/util/catch\.c$')
forbid 'catching in a subtransaction is OutboxCatch() (src/util/catch.h)' '\b(BeginInternalSubTransaction|RollbackAndReleaseCurrentSubTransaction)\b' "${not_catch[@]}"

# Habits
forbid 'headers do not include postgres.h' '#include "postgres\.h"' "${headers[@]}"
# pg_sleep() is for the pause of a polling loop in SQL, and (100 s) for a statement that is to be cancelled.
forbid 'wait on a latch or poll, never sleep' \
    '\bpg_sleep *\((0\.[1-9]|[1-9][0-9]?(\.[0-9]+)?\))|\bpg_usleep\b|\busleep *\(|\bnanosleep *\(|[^_.a-zA-Z]sleep *\([0-9]' "${scripts[@]}"
forbid 'no leftovers' '\b(TODO|FIXME|XXX|HACK)\b' "${scripts[@]}"
forbid 'no elog(WARNING/NOTICE) and no text to a legacy session' '\b(elog|ereport)\((WARNING|NOTICE|INFO)\b' "${capture[@]}" "${letters[@]}"

# The relay's page names each file of its rooms, and no other.
check_relay_page()
{
    rules=$((rules + 1))
    local page=src/relay/README.md found
    found=$(for file in src/relay/*/*.c; do
        name=$(basename "$file")
        grep -q "[|,] $name[ ,]" "$page" || [[ $name == keeper_*.c ]] || echo "$page does not name $name"
    done
    sed -n '/^| room/,/^$/p' "$page" | grep -oE '[a-z_]+\.c' | while read -r name; do
        ls src/relay/*/"$name" >/dev/null 2>&1 || echo "$page names $name, which is not there"
    done)
    [ -n "$found" ] || return 0
    breaches=$((breaches + 1))
    printf 'lint: the table of %s is not true\n%s\n' "$page" "$found"
}
check_relay_page

# Every error carries an SQLSTATE: errcode, or one of the functions that set it.
check_errcode()
{
    rules=$((rules + 1))
    local found
    found=$(awk '
        FNR == 1 { pending = 0 }
        /ereport\((ERROR|FATAL),/ { pending = 1; line = FNR; text = ""; }
        pending { text = text $0
            if (/;[ \t]*$/) {
                if (text !~ /errcode|err_[a-z_]*\(/) print FILENAME ":" line ": ereport without an errcode"
                pending = 0
            } }' "${all[@]}")
    [ -z "$found" ] || { breaches=$((breaches + 1)); printf 'lint: every error has an errcode\n%s\n' "$found"; }
}

# A header that needs what its includer happened to include breaks the next includer.
check_headers()
{
    rules=$((rules + 1))
    local header include cflags found=
    include=$(${PG_CONFIG:-pg_config} --includedir-server 2>/dev/null) || { skip "no pg_config, headers not compiled"; return; }
    cflags="-fsyntax-only -Wall -Wextra -Werror -Wno-unused-parameter -Wno-sign-compare -Wno-missing-field-initializers -Isrc -I$include -D_GNU_SOURCE"
    for header in "${headers[@]}"; do
        printf '#include "postgres.h"\n#include "%s"\n' "${header#src/}" \
            | ${CC:-cc} $cflags -I"$(dirname "$header")" -x c - 2>build/lint.err || found+="$header"$'\n'"$(head -n 5 build/lint.err)"$'\n'
    done
    [ -z "$found" ] || { breaches=$((breaches + 1)); printf 'lint: every header compiles alone after postgres.h\n%s\n' "$found"; }
}

# A room (a folder of src/) uses its own headers and those of the rooms below it. The files in src/ itself are for all; what
# starts the library and what declares the settings (outbox_ext.c, guc.c) know everything.
check_rooms()
{
    rules=$((rules + 1))
    local found
    found=$(find src -mindepth 2 -name '*.[ch]' -not -path 'src/sinks/*' | sort | xargs awk '
        BEGIN { while ((getline line < "test/rooms") > 0) if (line !~ /^#/) level[line] = ++rooms }
        FNR == 1 { room = FILENAME; sub(/^src\//, "", room); sub(/\/[^\/]*$/, "", room)
            if (!(room in level)) print FILENAME ": its room is not in test/rooms" }
        /^#include "[a-z_\/]*\// { target = header = $2; gsub(/"/, "", target); gsub(/"/, "", header); sub(/\/[^\/]*$/, "", target)
            # PostgreSQL has a folder catalog/, too
            if (target in level && level[target] > level[room] && (getline line < ("src/" header)) >= 0) print FILENAME ":" FNR ": " room "/ must not use " target "/" }')
    [ -z "$found" ] || { breaches=$((breaches + 1)); printf 'lint: rooms use rooms below them only (test/rooms)\n%s\n' "$found"; }
}

# A room's header lists what that room offers. avro/ has one for all its rooms, outbox_sink.h what a sink's library defines.
check_room_headers()
{
    rules=$((rules + 1))
    local found
    found=$(find src -mindepth 2 -name '*.[ch]' -not -path 'src/sinks/*' -not -name outbox_sink.h -not -name outbox_avro.h | sort | xargs awk '
        { room = FILENAME; sub(/\/[^\/]*$/, "", room) }
        FILENAME ~ /\.c$/ && /^[A-Za-z_]+[A-Za-z0-9_]*\(/ { name = $0; sub(/\(.*/, "", name); defined[room, name] = 1 }
        FILENAME ~ /\.h$/ && /^extern .*\(/ { name = $0; sub(/ *pg_attribute_printf.*/, "", name); sub(/\(.*/, "", name); sub(/.*[ *]/, "", name)
            declared[FILENAME ": " name] = room SUBSEP name }
        END { for (place in declared) if (!(declared[place] in defined)) print place " is not defined in that room" }' | sort)
    [ -z "$found" ] || { breaches=$((breaches + 1)); printf 'lint: a header declares what its room defines\n%s\n' "$found"; }
}

# What a page names is there: functions of ours, and files of the sources.
check_pages()
{
    rules=$((rules + 1))
    local pages found name place
    mapfile -t pages < <(git ls-files '*.md' | grep -v '^CHANGELOG\.md$')
    found=$(grep -noE '\boutbox(_internal)?\.[a-z_]+\(' "${pages[@]}" | while IFS=: read -r page line name; do
        name=${name%(}
        grep -qE "CREATE (OR REPLACE )?(FUNCTION|PROCEDURE) ${name/./\\.}\\(" sql/[0-9][0-9]_*.sql || echo "$page:$line: there is no function $name()"
    done
    grep -noE '\b(src|test|tools|bench|sql|examples|docs)/[a-z_0-9/]+\.(c|h|sql|sh|py|pl|md|java)\b' "${pages[@]}" | while IFS=: read -r page line name; do
        [ -e "$name" ] || [ -e "$(dirname "$page")/$name" ] || echo "$page:$line: there is no file $name"
    done)
    [ -z "$found" ] || { breaches=$((breaches + 1)); printf 'lint: pages name what is there\n%s\n' "$found"; }
}

# Not a breach: some subjects are large. But whoever adds to such a file or room should look for the cut.
warn_sizes()
{
    find src -name '*.c' -not -path 'src/sinks/*' | xargs wc -l | awk '$1 > 400 && $2 != "total" { print "lint: note: " $2 " has " $1 " lines, more than 400" }'
    find src -mindepth 1 -type d | while read -r room; do
        files=$(find "$room" -maxdepth 1 -name '*.[ch]' | wc -l)
        [ "$files" -le 20 ] || echo "lint: note: $room has $files files, more than 20"
    done
}

# A function that does not fit on two screens does more than one thing.
check_length()
{
    rules=$((rules + 1))
    local found
    found=$(awk '
        FNR == 1 { start = 0 }
        /^[a-zA-Z_].*\(/ { name = $0 }
        /^\{/ { start = FNR }
        /^\}/ { if (start && FNR - start > 100) print FILENAME ":" start ": " FNR - start + 1 " lines: " name; start = 0 }
        ' $(printf '%s\n' "${all[@]}" | grep '\.c$'))
    [ -z "$found" ] || { breaches=$((breaches + 1)); printf 'lint: functions have at most 100 lines\n%s\n' "$found"; }
}

# Formatters of different versions disagree: the format is what version 14 makes of it (make format).
check_format()
{
    rules=$((rules + 1))
    local found
    local formatter
    formatter=$(command -v clang-format-14 || command -v clang-format || echo false)
    # Debian 12 has it (make deps); another version formats otherwise
    "$formatter" --version 2>/dev/null | grep -q ' version 14\.' || { echo "lint: no clang-format 14, format not checked"; return; }
    found=$("$formatter" --style=file --dry-run "${c_files[@]}" 2>&1 | grep -oE '^[^:]+:[0-9]+' | awk -F: '!seen[$1]++')
    [ -z "$found" ] || { breaches=$((breaches + 1)); printf 'lint: not formatted (make format); the first place of each file\n%s\n' "$found"; }
}

# The script that CREATE EXTENSION runs as a superuser, and its functions, must not find a stranger's objects.
check_sql()
{
    rules=$((rules + 1))
    local found
    [ -x build/venv/bin/pgspot ] || { skip "no pgspot, SQL not checked (make deps)"; return; }
    cat sql/[0-9][0-9]_*.sql | grep -v '^\\' >build/pgspot.sql
    found=$(build/venv/bin/pgspot build/pgspot.sql 2>&1)
    [[ $found == *"Errors: 0 Warnings: 0 Unknown: 0"* ]] \
        || { breaches=$((breaches + 1)); printf 'lint: pgspot finds nothing unsafe\n%s\n' "$found"; }
}

# Subjects of commits are read in lists. Older ones are as they are; where the history is not there, there is nothing to look at.
SUBJECTS_SINCE=be013f2caf03e7ed0af67d42f7927501c419e06e
check_subjects()
{
    rules=$((rules + 1))
    local found
    git merge-base --is-ancestor "$SUBJECTS_SINCE" HEAD 2>/dev/null || { echo "lint: no history, subjects not checked"; return; }
    found=$(git log --no-merges --format='%h %s' "$SUBJECTS_SINCE..HEAD" \
        | awk '{ subject = $0; sub(/^[^ ]+ /, "", subject) } length(subject) > 72 || subject ~ /\.$/ { print }')
    [ -z "$found" ] || { breaches=$((breaches + 1)); printf 'lint: subjects of commits have at most 72 characters and no period\n%s\n' "$found"; }
}

# A banner names the test that a promise rests on.
check_named_tests()
{
    rules=$((rules + 1))
    local found
    found=$(grep -rohE --include='*.[ch]' '\btest/(t|sql|isolation/specs)/[a-z0-9_]+\.(pl|sql|spec)' src | sort -u | while read -r name; do [ -f "$name" ] || echo "$name"; done)
    [ -z "$found" ] || { breaches=$((breaches + 1)); printf 'lint: tests that src/ names exist\n%s\n' "$found"; }
}

# The page that says which room obeys a setting is right. Settings that it leaves out are not its fault.
check_setting_rooms()
{
    rules=$((rules + 1))
    local found
    found=$(grep -E '^\| `outbox\.' docs/architecture.md | while IFS='|' read -r _ settings rooms _; do
        for setting in $(grep -oE 'outbox\.[a-z_]+' <<<"$settings"); do
            for room in $(grep -oE '[a-z/]+/' <<<"$rooms"); do
                grep -qw "${setting/./_}" src/"$room"*.c 2>/dev/null || echo "docs/architecture.md: $room does not read $setting"
            done
        done
    done)
    [ -z "$found" ] || { breaches=$((breaches + 1)); printf 'lint: the settings of each room\n%s\n' "$found"; }
}

# What a package index reads names the script and the version that are built.
check_meta()
{
    rules=$((rules + 1))
    local version found
    version=$(sed -n "s/^default_version *= *'\(.*\)'/\1/p" outbox_ext.control)
    found=$(grep -nE '"(file|version)":' META.json | grep -vF -e "\"outbox_ext--$version.sql\"" -e "\"$version\"" -e '"1.0.0"')
    [ -z "$found" ] || { breaches=$((breaches + 1)); printf 'lint: META.json says what is built (%s)\n%s\n' "$version" "$found"; }
}

# The scripts must not lean on the machine they were written on.
forbid 'no path of a developer machine' '(/home|/root)/[a-z]' "${scripts[@]}"

mkdir -p build
check_errcode
check_headers
check_rooms
check_room_headers
check_pages
warn_sizes
check_length
check_sql
check_meta
check_named_tests
check_setting_rooms
check_subjects
check_format
echo "lint: $rules rules over ${#scripts[@]} files, $breaches broken"
[ $breaches = 0 ]
