"""How fast the relay publishes a backlog to a real Kafka, against librdkafka alone with the same messages."""
import json
import os
import pathlib
import subprocess
import time

import common
import kafka_topics

HEADERS = ["none", "minimal", "cloudevents"]
CONTENDERS = [(who, headers) for headers in HEADERS for who in ("librdkafka", "relay")]
TARGET_RATE, TARGET_CPU, TARGET_RSS_MB, TARGET_IDLE = 0.7, 5.0, 150, 0.005
IDLE_SECONDS = 5
TOPIC = "bench.orders"


def capture_backlog(number, events, mapped):
    """A database of its own with a captured backlog; no relay runs. Returns its name and a file with real payloads."""
    name = f"drain_{number + 1}"
    with common.connect() as conn:
        conn.execute(f"CREATE DATABASE {name}")
    with common.connect(name) as conn:
        conn.execute("CREATE EXTENSION outbox_ext; CREATE SCHEMA canonical")
        common.run_sql_file(conn, "staging.sql", rows=events)
        common.run_sql_file(conn, "legacy.sql", name="orders")
        common.create_contract(conn, "orders", topic=TOPIC, mapped=mapped)
        lsn = common.scalar(conn, "SELECT pg_current_wal_insert_lsn()")
        start = time.perf_counter()
        conn.execute("INSERT INTO legacy.orders SELECT * FROM legacy.staging")
        backlog = {
            "capture_s": round(time.perf_counter() - start, 3),
            "capture_wal_bytes": int(common.scalar(conn, "SELECT pg_current_wal_insert_lsn() - %s::pg_lsn", [lsn])),
        }
        captured, size = conn.execute("SELECT count(*), round(avg(length(payload))) FROM outbox.event").fetchone()
        assert captured == events, captured
        sample = pathlib.Path(os.environ["HOME"], "payloads")
        payloads = conn.execute("SELECT payload FROM outbox.event ORDER BY seq LIMIT 12000").fetchall()
        sample.write_bytes(b"".join(row[0] for row in payloads))
        conn.execute("DROP TABLE legacy.staging")
        conn.execute("CHECKPOINT")
    return name, backlog | {"payload_bytes": int(size)}, sample


def drain_by_relay(database, headers, events, linger):
    """From start_relay() to the last acknowledgement. The sink is new, so it publishes everything."""
    kafka_topics.recreate(TOPIC)
    options = {"bootstrap.servers": kafka_topics.BROKER, "headers": headers}
    if linger >= 0:
        options["linger.ms"] = str(linger)
    report = "SELECT pid, acked, state, last_error FROM outbox_internal.relay_report() WHERE sink = 'kafka'"
    with common.connect(database) as conn:
        conn.execute("SELECT outbox.create_sink('kafka', library => 'outbox_kafka', options => %s)", [json.dumps(options)])
        lsn = common.scalar(conn, "SELECT pg_current_wal_insert_lsn()")
        first, rss, acked, pid = None, 0, 0, None
        start = time.perf_counter()
        conn.execute("SELECT outbox.start_relay('kafka')")
        while acked < events:
            time.sleep(0.005)
            pid, now_acked, state, error = conn.execute(report).fetchone()
            acked = now_acked or 0
            if acked > 0:
                first = first or time.perf_counter()
                rss = max(rss, common.resident_bytes(pid))
            if time.perf_counter() - start > 300 or state == "blocked":
                raise SystemExit(f"the relay acknowledged {acked} of {events}, state {state}: {error}")
        seconds = time.perf_counter() - start
        cpu = common.cpu_seconds(pid)
        wal = common.scalar(conn, "SELECT pg_current_wal_insert_lsn() - %s::pg_lsn", [lsn])
        common.poll(lambda: common.scalar(conn, "SELECT acked FROM outbox.relay_progress") == events, 10, "position not stored")
        idle = common.cpu_seconds(pid)
        time.sleep(IDLE_SECONDS)
        idle = common.cpu_seconds(pid) - idle
        conn.execute("SELECT outbox.stop_relay('kafka')")
        common.poll(lambda: conn.execute(report).fetchone()[2] == "stopped", 30, "the relay does not stop")
        conn.execute("SELECT outbox.drop_sink('kafka')")
    in_kafka = kafka_topics.messages(TOPIC)
    assert in_kafka == events, f"{in_kafka} messages in Kafka, {events} captured"
    return {"per_second": round(events / seconds), "seconds": round(seconds, 4), "to_first_ack_s": round(first - start, 4),
            "cpu_us": round(cpu / events * 1e6, 3), "rss_mb": round(rss / 2**20, 1), "wal_bytes": int(wal),
            "idle_cpu": round(idle / IDLE_SECONDS, 4)}


def drain_by_librdkafka(headers, events, payload, linger):
    kafka_topics.recreate(TOPIC)
    more = [] if linger < 0 else [f"linger.ms={linger}"]
    out = subprocess.run([common.TOP / "build/bench/rdkafka_limit", kafka_topics.BROKER, TOPIC, str(events), payload, headers, *more],
                         capture_output=True, text=True, check=True).stdout
    run = json.loads(out)
    in_kafka = kafka_topics.messages(TOPIC)
    assert in_kafka == events, f"{in_kafka} messages in Kafka, {events} produced"
    return {"per_second": run["per_second"], "seconds": run["seconds"], "cpu_us": run["cpu_us"]}


def summarise(runs):
    summary = []
    for headers in HEADERS:
        of = {who: [r for r in runs if r["headers"] == headers and r["who"] == who] for who in ("librdkafka", "relay")}
        middle = lambda who, field: common.median([r[field] for r in of[who]])
        limit = middle("librdkafka", "per_second")
        summary.append({"who": "librdkafka alone", "headers": headers, "per_second": round(limit),
                        "cpu_us": round(middle("librdkafka", "cpu_us"), 2)})
        part = [{**r, "contender": r["who"]} for who in of for r in of[who]]
        summary.append({
            "who": "relay", "headers": headers, "per_second": round(middle("relay", "per_second")),
            "ratio": round(middle("relay", "per_second") / limit, 3),
            "paired_ratio": round(common.paired(part, "relay", "librdkafka", "per_second"), 3),
            "cpu_us": round(middle("relay", "cpu_us"), 2), "rss_mb": round(max(r["rss_mb"] for r in of["relay"]), 1),
            "idle_cpu": round(middle("relay", "idle_cpu"), 4), "to_first_ack_s": round(middle("relay", "to_first_ack_s"), 3)})
    return summary


def main():
    args = common.options(__doc__, rounds=5, events=1000000, mapped=0, linger=-1)
    with common.connect() as conn:
        about = common.machine(conn)
    runs, backlogs = [], []
    for number in range(-1, args.rounds):
        # the first round warms up: the broker's compiler above all
        events = args.events if number >= 0 else max(args.events // 4, 1000)
        database, backlog, sample = capture_backlog(number, events, args.mapped)
        payload = f"{backlog['payload_bytes']}@{sample}"
        for who, headers in common.rotated(CONTENDERS, number + 1, group=2):
            if who == "relay":
                run = drain_by_relay(database, headers, events, args.linger)
            else:
                run = drain_by_librdkafka(headers, events, payload, args.linger)
            runs.append({"round": number, "who": who, "headers": headers, **run})
        backlogs.append(backlog)
        with common.connect() as conn:
            conn.execute(f"DROP DATABASE {database} WITH (FORCE)")
    runs = [r for r in runs if r["round"] >= 0]
    summary = summarise(runs)
    print(f"Backlog of {args.events} events of {backlogs[-1]['payload_bytes']} B to Kafka, {kafka_topics.PARTITIONS} partitions, lz4, "
          f"idempotent, acks=all; median of {args.rounds} rounds; relay: from start_relay() to the last acknowledgement")
    common.table(summary, [
        ("contender", "who", "s"), ("headers", "headers", "s"), ("events/s", "per_second", "d"), ("ratio", "ratio", ".3f"),
        ("paired ratio", "paired_ratio", ".3f"), ("CPU us/event", "cpu_us", ".2f"), ("to first ack s", "to_first_ack_s", ".3f"),
        ("private MB", "rss_mb", ".0f"), ("idle CPU", "idle_cpu", ".4f")])
    targets = []
    for row in summary:
        if row["who"] == "relay":
            targets.append(common.verdict(f"{row['headers']}: relay / librdkafka alone", row["paired_ratio"], TARGET_RATE, at_most=False))
            targets.append(common.verdict(f"{row['headers']}: CPU us per event", row["cpu_us"], TARGET_CPU))
            targets.append(common.verdict(f"{row['headers']}: private memory MB", row["rss_mb"], TARGET_RSS_MB))
            targets.append(common.verdict(f"{row['headers']}: idle relay, share of a core", row["idle_cpu"], TARGET_IDLE))
    about |= {"events": args.events, "backlogs": backlogs}
    common.save(args.output or "drain", about, runs, summary, targets)


main()
