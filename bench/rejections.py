"""Do thousands of events that the broker rejects hold up another topic of the sink?"""
import json
import os
import subprocess
import tempfile
import time

from confluent_kafka.admin import AdminClient, ConfigResource

import common
import kafka_topics

BIG, OTHER = "bench.rejected", "bench.others"
RATE = 200
PAD = "(SELECT string_agg(md5(random()::text || g.g || h), '') FROM generate_series(1, 100) h)"
FIGURES = ("p50", "p99", "max", "n")
TARGET_RATIO, TARGET_SECONDS = 2.0, 10


def topic(name, **config):
    kafka_topics.recreate(name)
    if config:
        wanted = ConfigResource(ConfigResource.Type.TOPIC, name, set_config=config)
        admin = AdminClient({"bootstrap.servers": kafka_topics.BROKER})
        admin.alter_configs([wanted])[wanted].result(30)


def set_up(conn):
    topic(BIG, **{"max.message.bytes": "2000"})
    topic(OTHER)
    conn.execute("CREATE EXTENSION outbox_ext")
    for table, where in (("big", BIG), ("other", OTHER)):
        conn.execute(f"CREATE TABLE {table} (id integer PRIMARY KEY, version integer NOT NULL, pad text)")
        conn.execute(f"CREATE VIEW {table}_v AS SELECT id, version, pad FROM {table}")
        conn.execute(f"SELECT outbox.create_contract('{table}', view => '{table}_v', source => '{table}', key => '{{id}}')")
        conn.execute(f"SELECT outbox.create_event_type('{table}Always', contract => '{table}', emit => 'always', topic => '{where}')")
        conn.execute(f"SELECT outbox.enable('{table}')")
    conn.execute("INSERT INTO other SELECT g, 0 FROM generate_series(1, 20) g")
    options = json.dumps({"bootstrap.servers": kafka_topics.BROKER})
    conn.execute("SELECT outbox.create_sink('kafka', library => 'outbox_kafka', options => %s)", [options])
    conn.execute("SELECT outbox.start_relay('kafka')")
    common.poll(lambda: pending(conn) == 0, 30, "the relay does not publish")


def pending(conn):
    return common.scalar(conn, "SELECT pending FROM outbox.status WHERE kind = 'sink'")


def letters(conn):
    return common.scalar(conn, "SELECT count(*) FROM outbox.dead_letter WHERE state = 'open'")


def measure(conn, seconds, rejected, first):
    """Latency of the other topic, in milliseconds, and how long the letters took; rejected = 0: undisturbed."""
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
        script.write("\\set id random(1, 20)\nUPDATE other SET version = version + 1 WHERE id = :id;\n")
        script.flush()
        with subprocess.Popen(["pgbench", "-n", "-c", "1", "-R", str(RATE), "-T", str(seconds + 3), "-f", script.name, "postgres"],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as writers, \
                subprocess.Popen([common.TOP / "build/venv/bin/python", common.TOP / "test/python/kafka_latency.py", kafka_topics.BROKER, OTHER, str(seconds)],
                                 stdout=subprocess.PIPE, text=True) as reader:
            took = None
            if rejected:
                before = letters(conn)
                conn.execute(f"INSERT INTO big SELECT g, 1, {PAD} FROM generate_series({first}, {first + rejected - 1}) AS g(g)")
                begin = time.perf_counter()
                common.poll(lambda: letters(conn) == before + rejected, 120, "not all are dead letters", 0.02)
                took = time.perf_counter() - begin
            out, _ = reader.communicate()
            writers.wait()
    run = json.loads(out)
    return {**{f: run[f] for f in FIGURES}, "letters_s": took}


def main():
    args = common.options(__doc__, rounds=3, seconds=15, rejected=3000)
    with common.connect() as conn:
        about = common.machine(conn)
        set_up(conn)
        measure(conn, 3, 300, 1)
        runs, first = [], 1000
        for number in range(args.rounds):
            for who in common.rotated(["undisturbed", "beside rejections"], number):
                rejected = args.rejected if who != "undisturbed" else 0
                runs.append({"round": number, "contender": who, **measure(conn, args.seconds, rejected, first)})
                first += rejected
    summary = []
    for who in ("undisturbed", "beside rejections"):
        mine = [r for r in runs if r["contender"] == who]
        summary.append({"contender": who, **{f: round(common.median([r[f] for r in mine]), 2) for f in FIGURES}})
        if who != "undisturbed":
            summary[-1]["letters_s"] = round(common.median([r["letters_s"] for r in mine]), 2)
    ratio = common.paired(runs, "beside rejections", "undisturbed", "p99")
    print(f"{RATE} events/s in one topic, {args.rejected} events at once in another, whose broker rejects each; {args.seconds} s, median of {args.rounds} rounds")
    common.table(summary, [("contender", "contender", "s"), ("p50 ms", "p50", ".1f"), ("p99 ms", "p99", ".1f"), ("max ms", "max", ".1f"), ("events", "n", ".0f"),
                           ("until all are dead letters, s", "letters_s", ".2f")])
    targets = [common.verdict("p99 beside rejections / undisturbed", ratio, TARGET_RATIO), common.verdict("seconds until all are dead letters", summary[-1]["letters_s"], TARGET_SECONDS)]
    common.save(args.output or "rejections", about, runs, summary, targets)


main()
