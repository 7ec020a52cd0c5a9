"""A hundred million events through leaves of a few MB: what the storage, the vacuum and the catalogs make of it."""
import json
import threading
import time

import common
import kafka_topics

TOPIC = "bench.storage"
BATCH = 200000
LEAF_KB = 16384
BACKLOG = 2000000
SAMPLE_SECONDS = 5
PATIENCE_SECONDS = 600
INSERT = ("INSERT INTO legacy.orders SELECT g, 'C001234', 'N', now(), now(), current_date, 12.34, true, 'Springfield', "
          "'please ring twice; if nobody answers, leave it with the neighbours' FROM generate_series(%s::int, %s::int) AS g")
SAMPLE = """
    SELECT (SELECT coalesce(sum(acked), 0) FROM outbox.relay_progress) AS acked,
           (SELECT sum(pg_total_relation_size(relation)) FROM outbox.leaf) / 1024 AS leaf_kb,
           (SELECT count(*) FROM outbox.leaf) AS leaves,
           (SELECT sum(leaf_generation) FROM outbox.leaf) AS leaf_uses,
           (SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE n.nspname = 'outbox_internal' AND c.relkind = 'r' AND NOT c.relispartition) / 1024 AS state_kb,
           (SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relnamespace = 'pg_catalog'::regnamespace AND relkind = 'r') / 1024 AS catalog_kb,
           (SELECT sum(autovacuum_count) FROM pg_stat_all_tables WHERE schemaname = 'outbox_internal') AS vacuums,
           (SELECT sum(n_dead_tup) FROM pg_stat_all_tables WHERE schemaname = 'outbox_internal') AS dead_rows
"""


def set_up(conn):
    kafka_topics.recreate(TOPIC)
    kafka_topics.forget_soon(TOPIC)
    for name, value in (("outbox.leaf_size", LEAF_KB), ("outbox.retention", 0), ("autovacuum", "on"), ("autovacuum_naptime", "10s"), ("max_wal_size", "4GB")):
        conn.execute(f"ALTER SYSTEM SET {name} = '{value}'")
    conn.execute("SELECT pg_reload_conf()")
    conn.execute("CREATE EXTENSION outbox_ext; CREATE SCHEMA canonical; CREATE SCHEMA legacy")
    common.run_sql_file(conn, "legacy.sql", name="orders")
    common.create_contract(conn, "orders", topic=TOPIC)
    options = json.dumps({"bootstrap.servers": kafka_topics.BROKER})
    conn.execute("SELECT outbox.create_sink('kafka', library => 'outbox_kafka', options => %s)", [options])
    conn.execute("SELECT outbox.start_relay('kafka')")


class Writer(threading.Thread):
    """Writes as fast as the relay publishes: it waits while there is a backlog. The legacy table itself is emptied now and then, unseen."""

    def __init__(self, events):
        super().__init__(daemon=True)
        self.events, self.written, self.acked = events, 0, 0

    def run(self):
        with common.connect() as conn:
            conn.execute("SET synchronous_commit = off")
            while self.written < self.events:
                if self.written - self.acked > BACKLOG:
                    time.sleep(0.05)
                    continue
                conn.execute(INSERT, [self.written + 1, self.written + BATCH])
                self.written += BATCH
                if self.written % (10 * BATCH) == 0:
                    conn.execute("SET session_replication_role = replica")
                    conn.execute("TRUNCATE legacy.orders")
                    conn.execute("SET session_replication_role = origin")


def sample(conn, started):
    cursor = conn.execute(SAMPLE)
    return {"seconds": round(time.monotonic() - started, 1)} | {c.name: int(v or 0) for c, v in zip(cursor.description, cursor.fetchone())}


def main():
    args = common.options(__doc__, rounds=1, events=100000000)
    args.events -= args.events % BATCH
    with common.connect() as conn:
        about = common.machine(conn)
        set_up(conn)
        writer, runs, started, moved = Writer(args.events), [], time.monotonic(), time.monotonic()
        writer.start()
        while writer.acked < args.events:
            time.sleep(SAMPLE_SECONDS)
            runs.append(sample(conn, started))
            moved = time.monotonic() if runs[-1]["acked"] > writer.acked else moved
            writer.acked = runs[-1]["acked"]
            if not writer.is_alive() and writer.written < args.events or time.monotonic() > moved + PATIENCE_SECONDS:
                raise SystemExit(f"{writer.written} events written, {writer.acked} published: no progress")
        published = time.monotonic() - started
        conn.execute("CHECKPOINT")
        common.poll(lambda: common.scalar(conn, "SELECT count(*) <= 1 FROM outbox.leaf WHERE state <> 'empty'"), 60, "leaves are not emptied", 0.5)
        runs.append(sample(conn, started))
        gaps, letters = conn.execute("SELECT (SELECT count(*) FROM outbox.gap), (SELECT count(*) FROM outbox.dead_letter)").fetchone()
    assert kafka_topics.produced(TOPIC) == args.events and gaps == 0 and letters == 0, f"{kafka_topics.produced(TOPIC)} messages, {gaps} gaps, {letters} dead letters"
    parts = 10
    summary = [{"part": f"{n + 1}/{parts}", **{f: max(r[f] for r in part) for f in runs[0]}} for n in range(parts)
               if (part := [r for r in runs[:-1] if n * args.events < r["acked"] * parts <= (n + 1) * args.events])]
    summary.append({"part": "end", **runs[-1]})
    print(f"{args.events} events in {published:.0f} s ({args.events / published:.0f}/s, writing included), leaves of {LEAF_KB // 1024} MB, retention 0, autovacuum on; "
          f"the most that was seen in each tenth")
    common.table(summary, [("part", "part", "s"), ("acked", "acked", "d"), ("leaves, kB", "leaf_kb", "d"), ("leaves", "leaves", "d"), ("times filled", "leaf_uses", "d"),
                           ("other tables of outbox, kB", "state_kb", "d"), ("pg_catalog, kB", "catalog_kb", "d"), ("autovacuums in outbox", "vacuums", "d"), ("dead rows", "dead_rows", "d")])
    common.save(args.output or "storage", about, runs, summary, [])


main()
