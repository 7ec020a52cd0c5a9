"""What a transaction costs that has written events and stays open for an hour: latency and storage, beside a database without one."""
import contextlib
import json
import os
import subprocess
import time

import common
import kafka_topics

DATABASES = ["control", "idle"]
ABOUT = {"control": "no old transaction", "idle": "beside an idle writer"}
RATE = 100
BULK_ROWS = 20000
LEAF_KB = 4096
RUN_SECONDS = 10
MINUTE_SECONDS = 60
INSERT = ("INSERT INTO legacy.orders VALUES ($1::int, 'C001234', 'N', now(), now(), current_date, 12.34, true, 'Springfield', "
          "'please ring twice; if nobody answers, leave it with the neighbours')")
STORAGE = """
    SELECT (SELECT sum(pg_relation_size(relation)) FROM outbox.leaf) / 1024 AS leaf_kb,
           (SELECT count(*) FROM outbox.leaf_status WHERE state NOT IN ('empty', 'current')) AS leaves_held,
           (SELECT sum(leaf_generation) FROM outbox.leaf) AS leaf_uses,
           (SELECT pg_total_relation_size('outbox_internal.relay_progress') + pg_total_relation_size('outbox_internal.leaf')) / 1024 AS state_kb,
           (SELECT count(*) FROM outbox.event) AS rows_kept
"""


def topic(database):
    return f"bench.idle.{database}"


def set_up(database):
    kafka_topics.recreate(topic(database))
    with common.connect() as conn:
        conn.execute(f"CREATE DATABASE {database}")
    with common.connect(database) as conn:
        conn.execute("CREATE EXTENSION outbox_ext; CREATE SCHEMA canonical; CREATE SCHEMA legacy")
        common.run_sql_file(conn, "legacy.sql", name="orders")
        common.create_contract(conn, "orders", topic=topic(database))
        options = json.dumps({"bootstrap.servers": kafka_topics.BROKER})
        conn.execute("SELECT outbox.create_sink('kafka', library => 'outbox_kafka', options => %s)", [options])
        conn.execute("SELECT outbox.start_relay('kafka')")
        common.poll(lambda: common.scalar(conn, "SELECT EXISTS (SELECT FROM outbox.relay_status WHERE state = 'running')"), 30, "the relay does not run")


def settings(conn):
    """Small leaves that are emptied at once, so that the storage shows what is held; vacuum as everywhere."""
    for name, value in (("outbox.leaf_size", LEAF_KB), ("outbox.retention", 0), ("autovacuum", "on"), ("autovacuum_naptime", "15s")):
        conn.execute(f"ALTER SYSTEM SET {name} = '{value}'")
    conn.execute("SELECT pg_reload_conf()")


def latency(database, first_key):
    done = subprocess.run([common.TOP / "build/bench/latency", "relay", kafka_topics.BROKER, topic(database), str(RATE), str(RUN_SECONDS),
                           str(first_key), INSERT], capture_output=True, text=True, check=False, env={**os.environ, "PGDATABASE": database})
    if not done.stdout:
        raise SystemExit(done.stderr)
    run = json.loads(done.stdout)
    assert run["received"] == run["rows"], f"{run['received']} of {run['rows']} events arrived"
    ordered = sorted(run["latencies_us"])
    return {f"p{share}_ms": round(ordered[min(len(ordered) * share // 100, len(ordered) - 1)] / 1000, 3) for share in (50, 99)}


def bulk(conn, first_key):
    """More events than a session keeps to itself until it commits: they are in a leaf, which is then held."""
    rows = f"generate_series({first_key}, {first_key + BULK_ROWS - 1}) AS g"
    conn.execute(INSERT.replace("VALUES ($1::int,", "SELECT g,").replace("neighbours')", f"neighbours' FROM {rows}"))


def published(conn):
    return common.scalar(conn, "SELECT coalesce(sum(pending), 0) FROM outbox.relay_status") == 0


def storage(database):
    """When all but what the idle transaction wrote is published, and the keeper has had time to look."""
    with common.connect(database) as conn, contextlib.suppress(SystemExit):
        common.poll(lambda: published(conn), 10, "events are pending")
    with common.connect(database) as conn:
        cursor = conn.execute(STORAGE)
        return {column.name: int(value or 0) for column, value in zip(cursor.description, cursor.fetchone())}


def minute(number, key, opened):
    runs, start = [], time.monotonic()
    for database in common.rotated(DATABASES, number):
        with common.connect(database) as conn:
            bulk(conn, key)
        runs.append({"round": number, "contender": database, "minutes_open": round((time.monotonic() - opened) / 60, 1),
                     **latency(database, key + BULK_ROWS), **storage(database)})
    time.sleep(max(0, start + MINUTE_SECONDS - time.monotonic()))
    return runs


def main():
    args = common.options(__doc__, rounds=60)
    with common.connect() as conn:
        about = common.machine(conn)
        settings(conn)
    for database in DATABASES:
        set_up(database)
        latency(database, 1)
    with common.connect("idle") as writer:
        writer.execute("BEGIN")
        bulk(writer, -BULK_ROWS)
        opened, runs, key = time.monotonic(), [], 10000
        for number in range(args.rounds):
            runs += minute(number, key, opened)
            key += 2 * BULK_ROWS
        writer.execute("COMMIT")
    for database in DATABASES:
        expected = args.rounds * (BULK_ROWS + RATE * RUN_SECONDS) + RATE * RUN_SECONDS + BULK_ROWS * (database == "idle")
        common.poll(lambda d=database, n=expected: kafka_topics.messages(topic(d)) == n, 60, f"{database}: not {expected} messages", 0.5)
    summary = [{"contender": c, "about": ABOUT[c], **{f: round(common.median([r[f] for r in runs if r["contender"] == c]), 3) for f in ("p50_ms", "p99_ms")},
                **{f: max(r[f] for r in runs if r["contender"] == c) for f in ("leaf_kb", "leaves_held", "leaf_uses", "state_kb", "rows_kept")}} for c in DATABASES]
    print(f"{args.rounds} minutes, {RATE} one-row transactions a second for {RUN_SECONDS} s and {BULK_ROWS} rows at once in each; leaves of {LEAF_KB // 1024} MB, "
          f"retention 0, autovacuum on. Latency: median of the minutes; the rest: the most that was seen")
    common.table(summary, [("contender", "about", "s"), ("p50 ms", "p50_ms", ".2f"), ("p99 ms", "p99_ms", ".2f"), ("leaves, kB", "leaf_kb", "d"), ("leaves held", "leaves_held", "d"),
                           ("times a leaf was filled", "leaf_uses", "d"), ("relay_progress and leaf, kB", "state_kb", "d"), ("rows kept", "rows_kept", "d")])
    print(f"paired ratio of p50: {common.paired(runs, 'idle', 'control', 'p50_ms'):.2f}, of p99: {common.paired(runs, 'idle', 'control', 'p99_ms'):.2f}")
    common.save(args.output or "idle", about, runs, summary, [])


main()
