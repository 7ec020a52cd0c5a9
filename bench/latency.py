"""From commit to consumer: latency of single events through the relay and a real Kafka, beside a client that produces itself."""
import contextlib
import json
import os
import subprocess

import common
import kafka_topics

RATES = [100, 1000]
# more than one connection commits, not waiting for the disk: what it can do is the rate
SATURATED = 100000
IDLE_XIDS = 200000
TARGETS_MS = {"p50_ms": 1.0, "p99_ms": 5.0}
TARGET_CPU = 0.2
FIGURES = ("per_second", "p50_ms", "p90_ms", "p99_ms", "p999_ms", "max_ms", "relay_cpu")
TOPIC = "bench.latency"
CONTENDERS = [(who, rate) for rate in RATES for who in ("direct", "relay")] + [("idle", RATES[-1]), ("relay", SATURATED)]
ABOUT = {"direct": "client produces after commit", "relay": "outbox_ext", "idle": "outbox_ext, beside an old idle writer"}
INSERT = ("INSERT INTO legacy.{table} VALUES ($1::int, 'C001234', 'N', now(), now(), current_date, 12.34, true, 'Springfield', "
          "'please ring twice; if nobody answers, leave it with the neighbours')")


def set_up(conn):
    kafka_topics.recreate(TOPIC)
    conn.execute("CREATE EXTENSION outbox_ext; CREATE SCHEMA canonical; CREATE SCHEMA legacy")
    common.run_sql_file(conn, "legacy.sql", name="orders")
    common.run_sql_file(conn, "legacy.sql", name="uncaptured")
    common.create_contract(conn, "orders", topic=TOPIC)
    options = json.dumps({"bootstrap.servers": kafka_topics.BROKER})
    conn.execute("SELECT outbox.create_sink('kafka', library => 'outbox_kafka', options => %s)", [options])
    conn.execute("SELECT outbox.start_relay('kafka')")


def relay_pid(conn):
    return common.scalar(conn, "SELECT pid FROM outbox_internal.relay_report() WHERE sink = 'kafka' AND state = 'running'")


def percentile(ordered, share):
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


@contextlib.contextmanager
def idle_writer():
    """A transaction that has written an event and stays open, while the server uses as many transaction ids as in hours."""
    with common.connect() as idle, common.connect() as busy:
        idle.execute("BEGIN")
        idle.execute(INSERT.replace("{table}", "orders").replace("$1::int", "-1"))
        busy.execute("SET synchronous_commit = off")
        busy.execute(f"DO $$BEGIN FOR i IN 1..{IDLE_XIDS} LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END$$")
        yield
        idle.execute("ROLLBACK")


def measure(conn, who, rate, seconds, first_key):
    if who == "idle":
        with idle_writer():
            return measure(conn, "relay", rate, seconds, first_key)
    pid = relay_pid(conn)
    cpu = common.cpu_seconds(pid)
    done = subprocess.run([common.TOP / "build/bench/latency", who, kafka_topics.BROKER, TOPIC, str(rate), str(seconds),
                           str(first_key), INSERT.replace("{table}", "orders" if who == "relay" else "uncaptured")], capture_output=True, text=True, check=False,
                          env={**os.environ, "PGOPTIONS": f"-c synchronous_commit={'off' if rate == SATURATED else 'on'}"})
    if not done.stdout:
        raise SystemExit(done.stderr)
    run = json.loads(done.stdout)
    assert run["received"] == run["rows"], f"{run['received']} of {run['rows']} events arrived"
    ordered = sorted(run.pop("latencies_us"))
    duration = run["rows"] / rate + run["behind_us"] / 1e6
    run["per_second"] = round(run["rows"] / duration)
    return run | {name: round(percentile(ordered, share) / 1000, 3) for name, share in
                  (("p50_ms", 0.5), ("p90_ms", 0.9), ("p99_ms", 0.99), ("p999_ms", 0.999), ("max_ms", 1.0))} | {
        "relay_cpu": round((common.cpu_seconds(pid) - cpu) / duration, 4)}


def main():
    args = common.options(__doc__, rounds=5, seconds=20, saturated_rows=50000)
    with common.connect() as conn:
        about = common.machine(conn)
        set_up(conn)
        common.poll(lambda: conn.execute("SELECT FROM outbox_internal.relay_report() WHERE state = 'running'").rowcount == 1, 30,
                    "the relay does not run")
        measure(conn, "relay", 1000, 5, 1)
        runs, key = [], 10000
        for number in range(args.rounds):
            for who, rate in common.rotated(CONTENDERS, number, group=2):
                seconds = args.seconds if rate != SATURATED else args.saturated_rows / SATURATED
                runs.append({"round": number, "who": who, "rate": rate, **measure(conn, who, rate, seconds, key)})
                key += int(rate * seconds)
        captured = common.scalar(conn, "SELECT count(*) FROM outbox.event")
    in_kafka = kafka_topics.messages(TOPIC)
    produced = sum(r["rows"] for r in runs if r["who"] == "direct")
    assert in_kafka == captured + produced, f"{in_kafka} messages in Kafka, {captured} captured, {produced} produced"
    summary = []
    for who, rate in CONTENDERS:
        mine = [r for r in runs if r["rate"] == rate and r["who"] == who]
        summary.append({"who": who, "about": ABOUT[who], "rate": rate, **{f: round(common.median([r[f] for r in mine]), 4) for f in FIGURES}})
        if who == "direct":
            summary[-1]["relay_cpu"] = None
        elif who == "relay" and rate in RATES:
            part = [{**r, "contender": r["who"]} for r in runs if r["rate"] == rate]
            for name in TARGETS_MS:
                summary[-1]["paired_" + name[:3]] = round(common.paired(part, "relay", "direct", name), 3)
    print(f"Commit -> consumer, one-row transactions of one connection, {args.seconds} s per run, median of {args.rounds} runs; "
          f"headers cloudevents, {kafka_topics.PARTITIONS} partitions, fsync on")
    common.table(summary, [("contender", "about", "s"), ("events/s", "per_second", ".0f"), ("p50 ms", "p50_ms", ".2f"), ("p90 ms", "p90_ms", ".2f"), ("p99 ms", "p99_ms", ".2f"),
                           ("p99.9 ms", "p999_ms", ".2f"),
                           ("paired p50", "paired_p50", ".2f"), ("paired p99", "paired_p99", ".2f"), ("max ms", "max_ms", ".1f"), ("relay CPU, cores", "relay_cpu", ".3f")])
    relay = [row for row in summary if row["who"] == "relay" and row["rate"] in RATES]
    targets = [common.verdict(f"{row['rate']}/s: {name[:3]} ms", row[name], limit) for row in relay for name, limit in TARGETS_MS.items()]
    targets.append(common.verdict(f"{relay[-1]['rate']}/s: relay CPU in cores", relay[-1]["relay_cpu"], TARGET_CPU))
    common.save(args.output or "latency", about, runs, summary, targets)


main()
