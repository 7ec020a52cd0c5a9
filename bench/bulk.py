"""Small orders commit while a transaction with very many orders flushes: how long their commits take, and whether they are late."""
import os
import statistics
import threading
import time

import common

ABOUT = {"alone": "no bulk transaction", "waits": "a bulk transaction flushes, no filter (outbox.bulk_filter_memory = 0)",
         "passes": "a bulk transaction flushes, and says which keys it has"}
LINES = 5
TABLE = "legacy.outbox"
SIZES = (257, 10000, 100000, 1000000)


def server(contender):
    return {"host": os.environ["UNFILTERED_HOST"]} if contender == "waits" else {}


def set_up(conn):
    conn.execute("CREATE EXTENSION outbox_ext; CREATE SCHEMA canonical; CREATE SCHEMA legacy")
    common.run_sql_file(conn, "order_tables.sql", name="outbox")
    common.run_sql_file(conn, "order_contract.sql", name="outbox")
    # the bulk transaction's numbers are below
    conn.execute("CREATE SEQUENCE legacy.outbox_seq START 100000001")
    conn.execute("CREATE FUNCTION bulk_filter(bigint) RETURNS float8[] LANGUAGE c AS 'outbox_ext', 'outbox_test_bulk_filter'")


class Shop(threading.Thread):
    """One client: an order with five lines per transaction; when each COMMIT began and how long it took."""

    def __init__(self, contender):
        super().__init__(daemon=True)
        self.contender, self.over, self.commits = contender, threading.Event(), []

    def run(self):
        with common.connect(**server(self.contender)) as conn:
            while not self.over.is_set():
                conn.execute("BEGIN")
                conn.execute(f"INSERT INTO {TABLE} VALUES (nextval('{TABLE}_seq'), 'C001234', 'N', now())")
                conn.execute(f"INSERT INTO {TABLE}_ln SELECT currval('{TABLE}_seq'), i, 'SKU-' || i, 1 + i % 3, 1.25, 'B' || i FROM generate_series(1, {LINES}) i")
                start = time.perf_counter()
                conn.execute("COMMIT")
                self.commits.append((start, time.perf_counter() - start))


def begin_bulk(conn, orders):
    conn.execute("BEGIN")
    conn.execute(f"INSERT INTO {TABLE} SELECT i, 'C001234', 'N', now() FROM generate_series(1, {orders}) i")
    conn.execute(f"INSERT INTO {TABLE}_ln SELECT i, l, 'SKU-' || l, 1 + l % 3, l * 1.25, 'B' || l "
                 f"FROM generate_series(1, {orders}) i, generate_series(1, {LINES}) l")


def measure(contender, args):
    with common.connect(**server(contender)) as conn:
        letters = common.scalar(conn, "SELECT count(*) FROM outbox.dead_letter WHERE stage = 'flush'")
        shops = [Shop(contender) for _ in range(args.clients)]
        conn.execute(f"SET outbox.capture = off; TRUNCATE {TABLE}, {TABLE}_ln; RESET outbox.capture")
        conn.execute("CHECKPOINT")
        if contender != "alone":
            begin_bulk(conn, args.orders)
        for shop in shops:
            shop.start()
        common.poll(lambda: all(shop.commits for shop in shops), 60, "nobody commits")
        begin = time.perf_counter()
        if contender == "alone":
            time.sleep(args.seconds)
        else:
            conn.execute("COMMIT")
        end = time.perf_counter()
        for shop in shops:
            shop.over.set()
            shop.join()
        times = sorted(took for shop in shops for start, took in shop.commits if begin <= start < end)
        late = common.scalar(conn, "SELECT count(*) FROM outbox.dead_letter WHERE stage = 'flush'") - letters
        # two make a percentile
        cut = statistics.quantiles(times, n=100, method="inclusive") if len(times) > 1 else times * 99
        return {"bulk_commit_s": round(end - begin, 3) if contender != "alone" else None, "commits": len(times), "late": late,
                "p50_ms": round(cut[49] * 1000, 3), "p99_ms": round(cut[98] * 1000, 3), "max_ms": round(times[-1] * 1000, 3)}


def filters():
    """What it costs to publish a key, to ask for one, and how often the answer is wrong."""
    with common.connect() as conn:
        found = [(n, [common.scalar(conn, "SELECT bulk_filter(%s)", [n]) for _ in range(9)]) for n in SIZES]
    return [{"keys": n, "publish_ns": common.median([r[0] for r in runs]), "ask_ns": common.median([r[1] for r in runs]), "wrong": runs[0][3] / n} for n, runs in found]


def main():
    args = common.options(__doc__, rounds=3, orders=100000, clients=2, seconds=5.0)
    with common.connect() as conn:
        about = common.machine(conn)
        set_up(conn)
    with common.connect(**server("waits")) as conn:
        set_up(conn)
    runs = [{"round": number, "contender": contender, **measure(contender, args)}
            for number in range(args.rounds) for contender in common.rotated(list(ABOUT), number)]
    summary = []
    for name, text in ABOUT.items():
        mine = [r for r in runs if r["contender"] == name]
        summary.append({"contender": name, "about": text, **{f: common.median([r[f] for r in mine]) for f in ("p50_ms", "p99_ms", "max_ms", "commits", "late")},
                        "range": f"{min(r['p99_ms'] for r in mine):g}-{max(r['p99_ms'] for r in mine):g}",
                        "bulk_commit_s": common.median([r["bulk_commit_s"] for r in mine]) if name != "alone" else None})
    print(f"\nCOMMIT of an order with {LINES} lines, {args.clients} clients, while one of {args.orders} orders commits; medians of {args.rounds} rounds")
    common.table(summary, [("case", "about", "s"), ("p50 ms", "p50_ms", ".2f"), ("p99 ms", "p99_ms", ".1f"), ("range of p99", "range", "s"), ("max ms", "max_ms", ".1f"),
                           ("commits", "commits", ".0f"), ("late", "late", ".0f"), ("bulk COMMIT s", "bulk_commit_s", ".2f")])
    costs = filters()
    common.table(costs, [("keys", "keys", "d"), ("publish, ns/key", "publish_ns", ".1f"), ("ask, ns/key", "ask_ns", ".1f"), ("wrong answers", "wrong", ".5f")])
    common.save(args.output or "bulk", about, runs, summary + costs, [])


main()
