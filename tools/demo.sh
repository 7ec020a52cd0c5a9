#!/bin/bash
# make demo: legacy rows in, decoded Avro events out of a broker, from nothing.
#   BROKER=host:port REGISTRY=url     a real Kafka, and a schema registry, instead of the embedded broker
# Everything runs in a private server and a scratch directory that are gone at the end. The last line is
#   demo: ok captured=N published=N consumed=N dead_letters=M
# and the exit status is 1 when the three counts differ.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$TOP"
broker=${BROKER:-}
registry=${REGISTRY:-}
prefix=
scratch=

cleanup()
{
    local status=$?
    [ -z "$scratch" ] || {
        exec 3>&-
        [ $status = 0 ] || show_failure
        server_stop "$scratch"
        rm -rf "$scratch"
    }
    exit $status
}

show_failure()
{
    {
        echo "demo: failed; the end of the server's log:"
        tail -n 15 "$scratch/server.log" 2>/dev/null || :
        [ ! -s "$scratch/step.log" ] || { echo "and of the last step:"; tail -n 15 "$scratch/step.log"; }
        echo "hint:  Build leftovers are the usual cause: make distclean, then make demo again."
        [ -z "$broker" ] || [ -z "${BROKER:-}" ] || echo "hint:  Is $broker reachable, and does it create topics on demand or hold $prefix* already?"
    } >&2
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# Lines longer than the terminal is wide end with an ellipsis.
cut_lines()
{
    build/venv/bin/python -c 'import sys; w = int(sys.argv[1])
for line in map(str.rstrip, sys.stdin):
    print(line if len(line) <= w else line[:w - 1] + "…")' "$width"
}

# title WORDS SENTENCE: a section, and what it shows.
title()
{
    printf '\n== %s\n%s\n\n' "$1" "$2" | fold -s -w "$width"
}

# Runs a step quietly, in a subshell; its words are shown if it fails.
step()
{
    say "$1"
    shift
    ("$@") >"${scratch:-build}/step.log" 2>&1 || { [ -n "$scratch" ] || tail -n 25 build/step.log >&2; exit 1; }
}

query()
{
    as_server psql -XAtq -v ON_ERROR_STOP=1 -c "$1"
}

table()
{
    as_server psql -Xq -v ON_ERROR_STOP=1 -P footer=off -P null=- -c "$1" | cut_lines
}

build()
{
    use_private_postgres
    make -s -j2 PG_CONFIG="$PG_CONFIG" all
    make -s PG_CONFIG="$PG_CONFIG" install
    make -s build/mock_broker PG_CONFIG="$PG_CONFIG"
}

# One of the brokers that BROKER names takes a connection; asked before anything is built or started.
check_broker()
{
    local address host
    for address in ${broker//,/ }; do
        [[ $address == *:* ]] || address+=:9092
        host=${address%:*}
        host=${host#[}
        ! timeout 5 bash -c 'exec 4<>"/dev/tcp/$0/$1"' "${host%]}" "${address##*:}" 2>/dev/null || return 0
    done
    die "no broker answers at $broker" "Start it or correct BROKER=host:port; without BROKER the demo brings a broker of its own."
}

# The embedded broker lives as long as descriptor 3 is open.
start_broker()
{
    [ -z "$broker" ] || { prefix="demo_$(date +%Y%m%d%H%M%S)."; return 0; }
    exec 3> >(exec build/mock_broker "$scratch/broker" >"$scratch/broker.log" 2>&1)
    poll 20 test -s "$scratch/broker" || { cat "$scratch/broker.log" >&2; die "the embedded broker did not start"; }
    broker=$(cat "$scratch/broker")
}

load_example()
{
    as_server psql -Xq -d postgres -c 'CREATE DATABASE northwind'
    cd examples/northwind
    as_server psql -Xq -v ON_ERROR_STOP=1 -d northwind -f 01_schema.sql
    as_server psql -Xq -v ON_ERROR_STOP=1 -d northwind -v topic_prefix="$prefix" -f 02_contracts.sql
    as_server psql -Xq -v ON_ERROR_STOP=1 -d northwind -v options="$(sink_options)" <<'SQL'
SELECT outbox.create_sink('kafka', library => 'outbox_kafka', options => :'options');
SELECT outbox.start_relay('kafka');
SQL
}

sink_options()
{
    printf '{"bootstrap.servers":"%s"%s}' "$broker" "${registry:+,\"schema.registry.url\":\"$registry\"}"
}

everything_published()
{
    [ "$(query "SELECT acked = (SELECT count(*) FROM outbox.event) FROM outbox.relay_progress")" = t ]
}

run_writes()
{
    (cd examples/northwind && as_server psql -Xq -v ON_ERROR_STOP=1 -f 03_writes.sql -f 04_dead_letters.sql >/dev/null)
}

await_publishing()
{
    poll 60 everything_published || {
        as_server psql -Xxq -c "SELECT * FROM outbox.status WHERE kind = 'sink'"
        die "the relay did not publish everything in 60 s" "The status above says what it waits for."
    }
}

# Reads every topic to its end with an independent client that knows the schemas from the registry,
# or (without one) from the table where they are pinned.
consume()
{
    local schemas=$scratch/schemas.jsonl topics
    query "SELECT json_build_object('fingerprint', fingerprint::text, 'schema', schema) FROM outbox.event_schema" >"$schemas"
    topics=$(query "SELECT string_agg(DISTINCT topic, ',') FROM outbox.event_schema")
    build/venv/bin/python tools/consume.py --bootstrap "$broker" --topics "$topics" \
        ${registry:+--registry "$registry"} --schemas "$schemas" >"$scratch/messages.jsonl"
}

show_view()
{
    title "A contract is a view" "This SQL is the whole translation of one legacy table. Whoever can read a view can review it."
    echo "CREATE VIEW canonical.product_v1 AS"
    query "SELECT pg_get_viewdef('canonical.product_v1', true)"
}

show_mapping()
{
    title Mapping "Which legacy tables make which events: an event type is a transition of a contract's row."
    table "SELECT (SELECT string_agg(s.relation::text, ', ' ORDER BY s.role DESC) FROM outbox.source s WHERE s.contract_id = c.id)
                      AS \"legacy tables\", e.name AS \"event type\", e.topic, e.emit,
                  coalesce(e.condition, '') AS condition
           FROM outbox.event_type e JOIN outbox.contract c ON c.id = e.contract_id ORDER BY e.id"
    printf '\nThe Avro schema of PriceChanged, made from the types of the view and its comments:\n\n'
    table "SELECT f ->> 'name' AS field, coalesce(f ->> 'doc', '') AS doc, f -> 'type' AS type
           FROM jsonb_array_elements(outbox.avro_schema('PriceChanged')::jsonb -> 'fields') AS f"
}

# show_update SQL: a statement of the legacy application, and the events that it made.
show_update()
{
    local before
    before=$(query "SELECT coalesce(max(seq), 0) FROM outbox.event")
    echo "    $1;"
    query "$1"
    query "SELECT type || '  key ' || aggregateid || E'\n' || payload FROM outbox.event_json WHERE seq > $before ORDER BY seq" \
        | sed 's/^/        /' | cut_lines >"$scratch/made"
    if [ -s "$scratch/made" ]; then cat "$scratch/made"; else echo "        no event"; fi
}

show_updates()
{
    title "Two updates" "The application writes as it always did. A change that a contract publishes becomes an event in the same transaction; any other change costs a comparison."
    show_update "UPDATE products SET unit_price = 20.5 WHERE product_id = 1"
    show_update "UPDATE products SET reorder_level = reorder_level + 1 WHERE product_id = 1"
}

show_status()
{
    title Status "What a DBA looks at first: everything that is not as it should be has a state and an advice."
    table "SELECT kind, name, state, captured, published, pending, dead_letters, coalesce(advice, '') AS advice FROM outbox.status"
}

show_first_events()
{
    title "First events" "The first message of every event type, as an independent client read and decoded it from the broker."
    build/venv/bin/python tools/demo_report.py first "$scratch/messages.jsonl" "$width"
}

show_counts()
{
    title Counts "Nothing is lost: what was captured in the database and what a consumer got."
    query "SELECT type || E'\t' || count(*) FROM outbox.event GROUP BY type ORDER BY min(seq)" >"$scratch/captured"
    build/venv/bin/python tools/demo_report.py counts "$scratch/messages.jsonl" "$scratch/captured"
}

show_dead_letters()
{
    title "Dead letters" "Rows that break the contract stop nobody: they wait here with their reason until somebody redrives or discards them."
    table "SELECT id, coalesce(event_type, emit) AS \"event type\", key, stage, state, message, coalesce(resolution, '') AS resolution
           FROM outbox.dead_letter ORDER BY id"
}

show_what_next()
{
    title "What next" "Everything above was made by the three files below; the pages say how to begin with your own tables."
    cat <<'EOF'
    examples/northwind/02_contracts.sql   the contracts
    examples/northwind/03_writes.sql      the legacy application
    examples/northwind/04_dead_letters.sql  an operator at work
    README.md                             ten minutes with one table of yours
    docs/contracts.md                     all that a contract can say
    docs/consumers.md                     for the team that reads the events
EOF
    [ -z "${BROKER:-}" ] || {
        printf '\nOn %s these topics stay behind: %s*' "$BROKER" "$prefix"
        [ -z "$registry" ] || printf '; and their subjects in %s' "$registry"
        printf '.\nDelete them when you have seen enough.\n'
    }
}

# What the terminal has, in a log 100 columns.
width=$(stty size <&2 2>/dev/null | cut -d' ' -f2 || :)
[ "${width:-0}" -ge 60 ] || width=100

[ -z "$broker" ] || check_broker
mkdir -p build
started=$SECONDS
tools/install_deps.sh demo
run_in_readable_copy tools/demo.sh
installed=$SECONDS
step "Building" build
use_private_postgres
scratch=$(scratch_dir)
say "Starting a private PostgreSQL in $scratch"
server_start "$scratch" "shared_preload_libraries = 'outbox_ext'"
start_broker
step "Installing the contracts of examples/northwind; publishing to ${BROKER:-an embedded broker, $broker}" load_example
export PGDATABASE=northwind
show_view
show_mapping
echo
step "Letting the legacy application write" run_writes
show_updates
echo
step "Publishing" await_publishing
step "Consuming" consume
show_status
show_first_events
show_counts
show_dead_letters
show_what_next

captured=$(query "SELECT count(*) FROM outbox.event")
published=$(query "SELECT acked FROM outbox.relay_progress")
consumed=$(build/venv/bin/python tools/demo_report.py consumed "$scratch/messages.jsonl")
dead=$(query "SELECT count(*) FROM outbox.dead_letter")
say ""
say "Installed in $((installed - started)) s, ran in $((SECONDS - installed)) s."
result=ok
[ "$captured" = "$published" ] && [ "$published" = "$consumed" ] && [ "$captured" != 0 ] || result=FAILED
echo
echo "demo: $result captured=$captured published=$published consumed=$consumed dead_letters=$dead"
[ $result = ok ]
