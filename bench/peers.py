"""From a table to Kafka, side by side: outbox_ext and what teams use instead, on one machine in one run."""
import json
import os
import pathlib
import subprocess
import time

import common
import contenders
import kafka_topics
import report
from confluent_kafka import Consumer, TopicPartition

ALL = [contenders.NoCapture, contenders.Outbox, contenders.OutboxMinimal, contenders.Pgq, contenders.Poller, contenders.Debezium]
RATES = [100, 1000]
INSERT = ("INSERT INTO legacy.orders VALUES ($1::int, 'C001234', 'N', now(), now(), current_date, 12.34, true, 'Springfield', "
          "'please ring twice; if nobody answers, leave it with the neighbours')")
HEADERS = "cloudevents"
PATIENCE_SECONDS = 300
ASK_SECONDS, LOOK_SECONDS = 0.01, 0.1


class Arrivals:
    """How many messages a topic holds."""

    def __init__(self, topic):
        self.topic = topic
        self.consumer = Consumer({"bootstrap.servers": kafka_topics.BROKER, "group.id": "bench"})

    def count(self):
        ends = [self.consumer.get_watermark_offsets(TopicPartition(self.topic, p), timeout=30) for p in range(kafka_topics.PARTITIONS)]
        return sum(high - low for low, high in ends)

    def close(self):
        self.consumer.close()


def write(conn, rows):
    """Bulk insert with and without the trigger: what capture adds to a row, and the WAL of both."""
    figures = {}
    for table in ("base", "orders"):
        lsn = common.scalar(conn, "SELECT pg_current_wal_insert_lsn()")
        start = time.perf_counter()
        conn.execute(f"INSERT INTO legacy.{table} SELECT * FROM legacy.staging")
        figures[table] = time.perf_counter() - start
        figures[table + "_wal"] = int(common.scalar(conn, "SELECT pg_current_wal_insert_lsn() - %s::pg_lsn", [lsn]))
    return {"write_us": round((figures["orders"] - figures["base"]) / rows * 1e6, 3),
            "write_wal": figures["orders_wal"] - figures["base_wal"]}


def drain(contender, conn, postmaster, events):
    """The backlog, from the first message that arrives to the last: starting and connecting not included."""
    arrivals = Arrivals(contender.topic)
    lsn = common.scalar(conn, "SELECT pg_current_wal_insert_lsn()")
    start = time.perf_counter()
    contender.start()
    memory = count = first_count = looked = 0
    first = cpu = None
    while count < events:
        count = arrivals.count()
        now = time.perf_counter()
        if first is None and count > 0:
            first, first_count = now, count
            cpu = cpu_now(contender, postmaster)
        if count > 0 and now > looked + LOOK_SECONDS:
            # seldom: who measures takes a CPU from those who are measured
            looked = now
            pid = contender.memory_pid(conn)
            memory = max(memory, common.resident_bytes(pid) if pid else 0)
        time.sleep(ASK_SECONDS)
        if now - start > PATIENCE_SECONDS:
            raise SystemExit(f"{contender.about}: {count} of {events} events arrived")
        contender.check()
    cpu = cpu_now(contender, postmaster) - cpu
    arrivals.close()
    assert count == events, f"{contender.about}: {count} messages for {events} events"
    settle(conn)
    share = events - first_count
    return {"per_second": round(share / (now - first)), "startup_s": round(first - start, 3), "cpu_us": round(cpu / share * 1e6, 2),
            "memory_mb": round(memory / 2**20, 1),
            "drain_wal": int(common.scalar(conn, "SELECT pg_current_wal_insert_lsn() - %s::pg_lsn", [lsn]))}


def settle(conn, quiet=0.3, at_most=2.0):
    """Until what is left of publishing is written: no WAL for a moment, or some moments (a ticker never rests)."""
    deadline = time.monotonic() + at_most
    before = None
    while time.monotonic() < deadline:
        now = common.scalar(conn, "SELECT pg_current_wal_insert_lsn()")
        if now == before:
            return
        before = now
        time.sleep(quiet)


def cpu_now(contender, postmaster):
    pid = contender.own_pid()
    return common.server_cpu_seconds(postmaster) + (common.cpu_seconds(pid) if pid else 0)


def latency(contender, rate, seconds, first_key, insert=INSERT, who="relay"):
    server = {"PGDATABASE": contender.database, **{"PG" + k.upper(): v for k, v in contender.server.items()}}
    done = subprocess.run([common.TOP / "build/bench/latency", who, kafka_topics.BROKER, contender.topic, str(rate), str(seconds),
                           str(first_key), insert], capture_output=True, text=True, check=False, env={**os.environ, **server})
    if not done.stdout:
        raise SystemExit(f"{contender.about}: {done.stderr}")
    run = json.loads(done.stdout)
    assert run["received"] == run["rows"], f"{contender.about}: {run['received']} of {run['rows']} events arrived"
    ordered = sorted(run["latencies_us"])
    return {f"p{name}_{rate}_ms": round(ordered[min(int(len(ordered) * share), len(ordered) - 1)] / 1000, 3)
            for name, share in (("50", 0.5), ("99", 0.99))}


def prepare(contender, rows):
    with common.connect(**contender.server) as conn:
        conn.execute(f"CREATE DATABASE {contender.database}")
    with contender.connect() as conn:
        common.run_sql_file(conn, "staging.sql", rows=rows)
        for table in ("base", "orders"):
            common.run_sql_file(conn, "legacy.sql", name=table)
        contender.capture(conn)
        conn.execute("CHECKPOINT")
    kafka_topics.recreate(contender.topic)


def one(kind, number, seconds, folder, events):
    """One round of one contender."""
    contender = kind(f"{kind.name}_{number + 1}", f"bench.{kind.name}", folder)
    prepare(contender, events)
    with contender.connect() as conn:
        data = common.scalar(conn, "SHOW data_directory")
        postmaster = pathlib.Path(data, "postmaster.pid").read_text(encoding="ascii").split()[0]
        run = write(conn, events)
        if kind is contenders.NoCapture:
            run = {"write_us": 0.0} | {k: v for rate in RATES for k, v in
                                       latency(contender, rate, seconds, 10**8 + rate * 10**6, who="direct").items()}
        else:
            try:
                run |= drain(contender, conn, postmaster, events)
                for rate in RATES:
                    run |= latency(contender, rate, seconds, 10**8 + rate * 10**6)
            finally:
                contender.stop()
            run["wal_bytes"] = round((run.pop("write_wal") + run["drain_wal"]) / events, 1)
            run["dead_rows"], run["left_bytes"] = contender.left(conn)
        sample = payloads(contender, conn)
    with common.connect(**contender.server) as conn:
        conn.execute(f"DROP DATABASE {contender.database} WITH (FORCE)")
    return run, sample


def payloads(contender, conn):
    """Real ones, for librdkafka alone."""
    if contender.name != "outbox":
        return None
    rows = conn.execute("SELECT payload FROM outbox.event ORDER BY seq LIMIT 12000").fetchall()
    path = pathlib.Path(os.environ["HOME"], "payloads")
    path.write_bytes(b"".join(row[0] for row in rows))
    return f"{sum(len(row[0]) for row in rows) // len(rows)}@{path}"


def limit(events, sample):
    """librdkafka from prepared memory, with the messages and settings of outbox_ext."""
    topic = "bench.limit"
    kafka_topics.recreate(topic)
    out = subprocess.run([common.TOP / "build/bench/rdkafka_limit", kafka_topics.BROKER, topic, str(events), sample, HEADERS],
                         capture_output=True, text=True, check=True).stdout
    run = json.loads(out)
    assert kafka_topics.messages(topic) == events
    return {"per_second": run["per_second"], "cpu_us": run["cpu_us"]}


def wanted(names):
    """The contenders that this machine can run."""
    kinds = [kind for kind in ALL if kind.name in names.split(",")]
    with common.connect() as conn:
        if common.scalar(conn, "SELECT count(*) FROM pg_available_extensions WHERE name = 'pgq'") == 0:
            kinds = [kind for kind in kinds if kind is not contenders.Pgq]
            print("left out: PGQ (its extension is not installed)")
    if not contenders.Debezium.home:
        kinds = [kind for kind in kinds if kind is not contenders.Debezium]
        print("left out: Debezium Server (no Java 21 or newer)")
    return kinds


def main():
    args = common.options(__doc__, rounds=3, events=300000, seconds=10, contenders=",".join(kind.name for kind in ALL))
    with common.connect() as conn:
        about = common.machine(conn)
    folder = pathlib.Path(os.environ["HOME"], "peers")
    folder.mkdir()
    kinds, runs, sample = wanted(args.contenders), [], None
    for number in range(-1, args.rounds):
        # the first round warms up: the broker's compiler above all
        events, seconds = (args.events, args.seconds) if number >= 0 else (max(args.events // 4, 1000), min(args.seconds, 2))
        for kind in common.rotated(kinds, number + 1):
            run, found = one(kind, number, seconds, folder, events)
            sample = found or sample
            runs.append({"round": number, "contender": kind.name, "about": kind.about, **run})
        if sample is not None:
            runs.append({"round": number, "contender": "limit", "about": "librdkafka alone", **limit(events, sample)})
    runs = [r for r in runs if r["round"] >= 0]
    about |= {"events": args.events, "seconds_per_latency_run": args.seconds}
    targets = report.peers(runs, args, about)
    common.save(args.output or "peers", about, runs, report.summary(runs), targets)


main()
