"""Contracts evaluated at commit, and the extremes: an order with its lines, bulk loads, updates nobody reads, huge statements."""
import pathlib
import tempfile
import threading
import time

import common

ABOUT = {"none": "no capture", "plpgsql": "PL/pgSQL deferred constraint trigger", "outbox": "outbox_ext, at commit"}
CONTENDERS = list(ABOUT)
UNREAD = {"noop": "C trigger that does nothing (contract disabled)", "row": "outbox_ext, per row", "outbox": "outbox_ext, at commit"}
LINES = 5
TARGET_UNREAD_US = 0.3


class Memory(threading.Thread):
    """The largest private memory of a process while the block runs."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.status, self.over, self.before, self.peak = pathlib.Path(f"/proc/{pid}/status"), threading.Event(), 0, 0

    def now(self):
        line = next(l for l in self.status.read_text().splitlines() if l.startswith("RssAnon"))
        return int(line.split()[1]) * 1024

    def run(self):
        while not self.over.wait(0.01):
            self.peak = max(self.peak, self.now())

    def __enter__(self):
        self.before = self.peak = self.now()
        self.start()
        return self

    def __exit__(self, *_):
        self.peak = max(self.peak, self.now())
        self.over.set()
        self.join()

    def megabytes(self):
        return round((self.peak - self.before) / 2**20, 1)


def create_orders(conn, names):
    for name in names:
        common.run_sql_file(conn, "order_tables.sql", name=name)
        conn.execute(f"CREATE SEQUENCE legacy.{name}_seq CACHE 100")
        if name.startswith("plpgsql"):
            common.run_sql_file(conn, "order_plpgsql.sql", name=name)
        elif name.startswith("outbox"):
            common.run_sql_file(conn, "order_contract.sql", name=name)


def set_up(conn):
    conn.execute("CREATE EXTENSION outbox_ext; CREATE SCHEMA canonical; CREATE SCHEMA legacy")
    create_orders(conn, CONTENDERS)
    for name in ("noop", "row"):
        common.run_sql_file(conn, "legacy.sql", name=name)
        common.create_contract(conn, name, topic="orders")
    conn.execute("SELECT outbox.disable('noop')")


def events(conn, name):
    if name.startswith("plpgsql"):
        return common.scalar(conn, f"SELECT count(*) FROM legacy.outbox_{name}")
    return common.scalar(conn, "SELECT count(*) FROM outbox.event WHERE type LIKE %s", [f"Placed\\_{name}"])


def empty(conn, *tables):
    conn.execute(f"SET outbox.capture = off; TRUNCATE {', '.join('legacy.' + t for t in tables)}; RESET outbox.capture")


def one_order(args, runs):
    """An order with five lines in one transaction, one client."""
    text = (common.SQL / "order.pgbench").read_text()
    with common.connect() as conn, tempfile.TemporaryDirectory() as folder:
        for name in CONTENDERS:
            pathlib.Path(folder, name).write_text(text.replace("{name}", name))
        for number in range(-1, args.rounds):
            for sync in ("on", "off"):
                for name in common.rotated(CONTENDERS, number + 1):
                    conn.execute("CHECKPOINT")
                    before = events(conn, name)
                    run = common.pgbench(conn, str(pathlib.Path(folder, name)), 1, sync, args.seconds if number >= 0 else 1)
                    assert events(conn, name) - before == (0 if name == "none" else run["transactions"]), name
                    if number >= 0:
                        runs.append({"what": "one order", "round": number, "contender": name, "synchronous_commit": sync, **run})


def timed(conn, statements):
    """Seconds, those of them on a CPU, and the memory that the backend needed, of one transaction."""
    pid = common.scalar(conn, "SELECT pg_backend_pid()")
    with Memory(pid) as memory:
        start, cpu = time.perf_counter(), common.run_nanoseconds(pid)
        with conn.transaction():
            for statement in statements:
                conn.execute(statement)
        seconds, cpu = time.perf_counter() - start, common.run_nanoseconds(pid) - cpu
    return {"seconds": round(seconds, 3), "cpu_s": round(cpu / 1e9, 4), "memory_mb": memory.megabytes()}


def bulk(args, runs):
    """Many orders and their lines in one transaction."""
    for number in range(args.bulk_rounds):
        for name in common.rotated(CONTENDERS, number):
            with common.connect() as conn:
                empty(conn, name, name + "_ln")
                before = events(conn, name)
                conn.execute("CHECKPOINT")
                run = timed(conn, [
                    f"INSERT INTO legacy.{name} SELECT i, 'C001234', 'N', now() FROM generate_series(1, {args.orders}) i",
                    f"INSERT INTO legacy.{name}_ln SELECT i, l, 'SKU-' || l, 1 + l % 3, l * 1.25, 'B' || l "
                    f"FROM generate_series(1, {args.orders}) i, generate_series(1, {LINES}) l"])
                assert events(conn, name) - before == (0 if name == "none" else args.orders), name
            runs.append({"what": "bulk", "round": number, "contender": name, **run})


def unread(args, runs):
    """UPDATE of a column that the contract does not read: of a line's bin, and of a column outside a row contract's view."""
    rows = args.rows
    with common.connect() as conn:
        conn.execute("ALTER TABLE legacy.noop ADD extra int; ALTER TABLE legacy.row ADD extra int")
        for name in ("noop", "row"):
            conn.execute(f"SET outbox.capture = off; INSERT INTO legacy.{name} SELECT i, 'C1', 'N', now(), now(), current_date, 1.25, true, "
                         f"'Springfield', 'none' FROM generate_series(1, {rows}) i; RESET outbox.capture")
        empty(conn, "outbox", "outbox_ln", "none_ln")
        for name in ("outbox", "none"):
            conn.execute(f"SET outbox.capture = off; INSERT INTO legacy.{name}_ln SELECT i / 5, i % 5, 'SKU', 1, 1.25, 'B' FROM generate_series(1, {rows}) i; "
                         "RESET outbox.capture")
        conn.execute("CREATE TRIGGER \"!noop\" AFTER UPDATE ON legacy.none_ln FOR EACH ROW EXECUTE FUNCTION outbox.capture('noop')")
    statements = {"noop": "UPDATE legacy.noop SET extra = {n}", "row": "UPDATE legacy.row SET extra = {n}",
                  "noop_line": "UPDATE legacy.none_ln SET bin_loc = '{n}'", "outbox": "UPDATE legacy.outbox_ln SET bin_loc = '{n}'"}
    for number in range(-1, args.rounds):
        for name in common.rotated(list(statements), number + 1):
            with common.connect() as conn:
                before = common.scalar(conn, "SELECT count(*) FROM outbox.event")
                conn.execute("CHECKPOINT")
                run = timed(conn, [statements[name].replace("{n}", str(number))])
                assert common.scalar(conn, "SELECT count(*) FROM outbox.event") == before, name
                table = {"outbox": "outbox_ln", "noop_line": "none_ln"}.get(name, name)
                conn.execute(f"VACUUM legacy.{table}")
            if number >= 0:
                runs.append({"what": "unread", "round": number, "contender": name, **run})


def huge(args, runs):
    """One statement over very many rows; PostgreSQL's own queue of trigger events is in the first figure too."""
    for name in ("noop", "row"):
        with common.connect() as conn:
            empty(conn, name)
            before = events(conn, name)
            run = timed(conn, [f"INSERT INTO legacy.{name} SELECT i, 'C1', 'N', now(), now(), current_date, 1.25, true, 'Springfield', 'none' "
                               f"FROM generate_series(1, {args.statement_rows}) i"])
            assert events(conn, name) - before == (args.statement_rows if name == "row" else 0), name
            empty(conn, name)
        runs.append({"what": "huge", "round": 0, "contender": name, **run})


def middle(runs, field, **where):
    values = [r[field] for r in runs if all(r.get(k) == v for k, v in where.items())]
    return common.median(values)


def spread(runs, field, **where):
    values = [r[field] for r in runs if all(r.get(k) == v for k, v in where.items())]
    return f"{min(values):g}-{max(values):g}"


def report(args, runs):
    summary, targets = [], []
    for sync in ("on", "off"):
        for name in CONTENDERS:
            where = {"what": "one order", "contender": name, "synchronous_commit": sync}
            base = {**where, "contender": "none"}
            summary.append({"case": f"order + {LINES} lines, synchronous_commit = {sync}", "about": ABOUT[name], "value": middle(runs, "latency_us", **where),
                            "added": middle(runs, "latency_us", **where) - middle(runs, "latency_us", **base),
                            "cpu": middle(runs, "cpu_us", **where) - middle(runs, "cpu_us", **base), "range": spread(runs, "latency_us", **where), "unit": "us/transaction"})
    for name in CONTENDERS:
        where = {"what": "bulk", "contender": name}
        summary.append({"case": f"{args.orders} orders + {args.orders * LINES} lines in one transaction", "about": ABOUT[name],
                        "value": middle(runs, "seconds", **where), "added": middle(runs, "seconds", **where) - middle(runs, "seconds", what="bulk", contender="none"),
                        "cpu": (middle(runs, "cpu_s", **where) - middle(runs, "cpu_s", what="bulk", contender="none")) * 1e6 / args.orders,
                        "memory": middle(runs, "memory_mb", **where), "range": spread(runs, "seconds", **where), "unit": "s"})
    for name, base in (("row", "noop"), ("outbox", "noop_line")):
        cpu = {c: middle(runs, "cpu_s", what="unread", contender=c) for c in (name, base)}
        added = (cpu[name] - cpu[base]) / args.rows * 1e6
        summary.append({"case": f"UPDATE of {args.rows} rows, nothing that is read", "about": UNREAD[name],
                        "value": cpu[name] / args.rows * 1e6, "added": added, "range": spread(runs, "cpu_s", what="unread", contender=name) + " s", "unit": "us of CPU/row"})
        targets.append(common.verdict(f"UPDATE of what nobody reads, {UNREAD[name]}: CPU us/row over a trigger that does nothing", added, TARGET_UNREAD_US))
    for name in ("noop", "row"):
        where = {"what": "huge", "contender": name}
        summary.append({"case": f"INSERT of {args.statement_rows} rows in one statement", "about": UNREAD[name], "value": middle(runs, "seconds", **where),
                        "added": middle(runs, "seconds", **where) - middle(runs, "seconds", what="huge", contender="noop"),
                        "memory": middle(runs, "memory_mb", **where), "unit": "s"})
    print(f"\nMedians of {args.rounds} rounds ({args.bulk_rounds} of the bulk load)")
    common.table(summary, [("case", "case", "s"), ("contender", "about", "s"), ("median", "value", ".2f"), ("added", "added", ".2f"), ("unit", "unit", "s"),
                           ("added CPU us/transaction or order", "cpu", ".1f"), ("peak private MB", "memory", ".0f"), ("range", "range", "s")])
    return summary, targets


def main():
    args = common.options(__doc__, rounds=5, seconds=3, orders=100000, bulk_rounds=3, rows=300000, statement_rows=2000000)
    with common.connect() as conn:
        about = common.machine(conn)
        set_up(conn)
    runs = []
    one_order(args, runs)
    bulk(args, runs)
    unread(args, runs)
    huge(args, runs)
    summary, targets = report(args, runs)
    common.save(args.output or "orders", about, runs, summary, targets)


main()
