"""From commit to consumer: latency of single events through the relay and a real Kafka."""
import json
import subprocess

import common
import kafka_topics

RATES = [100, 1000]
TARGETS_MS = {"p50_ms": 1.0, "p99_ms": 5.0}
TARGET_CPU = 0.2
TOPIC = "bench.latency"
INSERT = ("INSERT INTO legacy.orders VALUES ($1::int, 'C001234', 'N', now(), now(), current_date, 12.34, true, 'Springfield', "
          "'please ring twice; if nobody answers, leave it with the neighbours')")


def set_up(conn):
    kafka_topics.recreate(TOPIC)
    conn.execute("CREATE EXTENSION outbox_ext; CREATE SCHEMA canonical; CREATE SCHEMA legacy")
    common.run_sql_file(conn, "legacy.sql", name="orders")
    common.create_contract(conn, "orders", topic=TOPIC)
    options = json.dumps({"bootstrap.servers": kafka_topics.BROKER})
    conn.execute("SELECT outbox.create_sink('kafka', library => 'outbox_kafka', options => %s)", [options])
    conn.execute("SELECT outbox.start_relay('kafka')")


def relay_pid(conn):
    return common.scalar(conn, "SELECT pid FROM outbox.relay_report() WHERE sink = 'kafka' AND state = 'running'")


def percentile(ordered, share):
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def measure(conn, rate, seconds, first_key):
    pid = relay_pid(conn)
    cpu = common.cpu_seconds(pid)
    done = subprocess.run([common.TOP / "build/bench/latency", kafka_topics.BROKER, TOPIC, str(rate), str(seconds),
                           str(first_key), INSERT], capture_output=True, text=True, check=False)
    if not done.stdout:
        raise SystemExit(done.stderr)
    run = json.loads(done.stdout)
    assert run["received"] == run["rows"], f"{run['received']} of {run['rows']} events arrived"
    ordered = sorted(run.pop("latencies_us"))
    return run | {name: round(percentile(ordered, share) / 1000, 3) for name, share in
                  (("p50_ms", 0.5), ("p90_ms", 0.9), ("p99_ms", 0.99), ("p999_ms", 0.999), ("max_ms", 1.0))} | {
        "relay_cpu": round((common.cpu_seconds(pid) - cpu) / seconds, 4)}


def main():
    args = common.options(__doc__, rounds=5, seconds=20)
    with common.connect() as conn:
        about = common.machine(conn)
        set_up(conn)
        common.poll(lambda: conn.execute("SELECT FROM outbox.relay_report() WHERE state = 'running'").rowcount == 1, 30,
                    "the relay does not run")
        measure(conn, 1000, 5, 1)
        runs, key = [], 10000
        for number in range(args.rounds):
            for rate in common.rotated(RATES, number):
                runs.append({"round": number, "rate": rate, **measure(conn, rate, args.seconds, key)})
                key += rate * args.seconds
        captured = common.scalar(conn, "SELECT count(*) FROM outbox.event")
    in_kafka = kafka_topics.messages(TOPIC)
    assert in_kafka == captured, f"{in_kafka} messages in Kafka, {captured} captured"
    summary = []
    for rate in RATES:
        mine = [r for r in runs if r["rate"] == rate]
        summary.append({"rate": rate, **{f: round(common.median([r[f] for r in mine]), 4)
                                         for f in ("p50_ms", "p90_ms", "p99_ms", "p999_ms", "max_ms", "relay_cpu")}})
    print(f"Commit -> consumer, one-row transactions of one connection, {args.seconds} s per run, median of {args.rounds} runs; "
          f"headers cloudevents, {kafka_topics.PARTITIONS} partitions, fsync on")
    common.table(summary, [("events/s", "rate", "d"), ("p50 ms", "p50_ms", ".2f"), ("p90 ms", "p90_ms", ".2f"), ("p99 ms", "p99_ms", ".2f"),
                           ("p99.9 ms", "p999_ms", ".2f"), ("max ms", "max_ms", ".1f"), ("relay CPU, cores", "relay_cpu", ".3f")])
    targets = [common.verdict(f"{row['rate']}/s: {name[:3]} ms", row[name], limit)
               for row in summary for name, limit in TARGETS_MS.items()]
    targets.append(common.verdict("1000/s: relay CPU in cores", summary[1]["relay_cpu"], TARGET_CPU))
    common.save(args.output or "latency", about, runs, summary, targets)


main()
