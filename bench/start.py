"""What the first round trip costs: from start_relay() to the last acknowledgement of a small backlog, with topics of 1, 16 and 1,000 partitions."""
import json
import time

import common
import kafka_topics

PARTITIONS = [1, 16, 1000]
TOPIC = "bench.start"
REPORT = "SELECT pid, acked, state, last_error FROM outbox_internal.relay_report() WHERE sink = 'kafka'"


def set_up(events):
    with common.connect() as conn:
        conn.execute("CREATE EXTENSION outbox_ext; CREATE SCHEMA canonical")
        common.run_sql_file(conn, "staging.sql", rows=events)
        common.run_sql_file(conn, "legacy.sql", name="orders")
        common.create_contract(conn, "orders", topic=TOPIC)
        conn.execute("INSERT INTO legacy.orders SELECT * FROM legacy.staging")
        conn.execute("CHECKPOINT")


def start(partitions, events):
    """A new topic, and a new sink twice: the first one pays for what the broker does with a partition's first batch."""
    kafka_topics.PARTITIONS = partitions
    kafka_topics.recreate(TOPIC)
    drain(events)
    run = drain(events)
    in_kafka = kafka_topics.messages(TOPIC)
    assert in_kafka == 2 * events, f"{in_kafka} messages in Kafka, twice {events} captured"
    return run


def drain(events):
    with common.connect() as conn:
        options = {"bootstrap.servers": kafka_topics.BROKER}
        conn.execute("SELECT outbox.create_sink('kafka', library => 'outbox_kafka', options => %s)", [json.dumps(options)])
        first, acked, begin = None, 0, time.perf_counter()
        conn.execute("SELECT outbox.start_relay('kafka')")
        while acked < events:
            time.sleep(0.002)
            pid, now, state, error = conn.execute(REPORT).fetchone()
            acked = now or 0
            if acked > 0 and first is None:
                first = time.perf_counter()
            if time.perf_counter() - begin > 300 or state == "blocked":
                raise SystemExit(f"the relay acknowledged {acked} of {events}, state {state}: {error}")
        end = time.perf_counter()
        cpu = common.cpu_seconds(pid)
        conn.execute("SELECT outbox.stop_relay('kafka')")
        common.poll(lambda: conn.execute(REPORT).fetchone()[2] == "stopped", 30, "the relay does not stop")
        conn.execute("SELECT outbox.drop_sink('kafka')")
    return {"to_first_ack_s": round(first - begin, 4), "seconds": round(end - begin, 4), "drain_s": round(end - first, 4),
            "per_second": round(events / (end - begin)), "cpu_us": round(cpu / events * 1e6, 2)}


def main():
    args = common.options(__doc__, rounds=5, events=100000)
    with common.connect() as conn:
        about = common.machine(conn)
    set_up(args.events)
    runs = []
    for number in range(-1, args.rounds):
        # the first round warms up
        for partitions in common.rotated(PARTITIONS, number + 1):
            runs.append({"round": number, "partitions": partitions, **start(partitions, args.events)})
    runs = [r for r in runs if r["round"] >= 0]
    summary = []
    for partitions in PARTITIONS:
        mine = [r for r in runs if r["partitions"] == partitions]
        summary.append({"partitions": partitions, **{f: round(common.median([r[f] for r in mine]), 4) for f in
                                                     ("to_first_ack_s", "seconds", "drain_s", "per_second", "cpu_us")}})
    print(f"Backlog of {args.events} events, from start_relay(); one broker, lz4, idempotent, acks=all; median of {args.rounds} rounds")
    common.table(summary, [("partitions", "partitions", "d"), ("to first ack s", "to_first_ack_s", ".3f"), ("to last ack s", "seconds", ".3f"),
                           ("first to last s", "drain_s", ".3f"), ("events/s", "per_second", ".0f"), ("CPU us/event", "cpu_us", ".2f")])
    common.save(args.output or "start", about, runs, summary, [])


main()
