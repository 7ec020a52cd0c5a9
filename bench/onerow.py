"""What capture costs a one-row transaction: pgbench with and without it, one client and eight."""
import pathlib
import tempfile

import common

ABOUT = {
    "no_capture": "no trigger",
    "outbox": "outbox_ext, columns renamed",
    "outbox_mapped": "outbox_ext, with mapping expressions",
    "plpgsql": "PL/pgSQL + jsonb, bigserial key",
}
CONTENDERS = list(ABOUT)
CASES = [(clients, sync) for sync in ("on", "off") for clients in (1, 8)]
TARGET = 0.95


def set_up(conn):
    conn.execute("CREATE EXTENSION outbox_ext; CREATE SCHEMA canonical; CREATE SCHEMA legacy")
    for name in CONTENDERS:
        common.run_sql_file(conn, "legacy.sql", name=name)
        conn.execute(f"CREATE SEQUENCE legacy.{name}_seq CACHE 100")
    common.create_plpgsql(conn, "plpgsql")
    common.create_contract(conn, "outbox", topic="orders")
    common.create_contract(conn, "outbox_mapped", topic="orders", mapped=True)


def measure(conn, script, clients, sync, seconds):
    conn.execute("CHECKPOINT")
    return common.pgbench(conn, script, clients, sync, seconds)


def summarise(runs):
    summary = []
    for clients, sync in CASES:
        part = [r for r in runs if r["clients"] == clients and r["synchronous_commit"] == sync]
        for name in CONTENDERS:
            mine = [r for r in part if r["contender"] == name]
            base = [r for r in part if r["contender"] == "no_capture"]
            tps = common.median([r["tps"] for r in mine])
            cpu = common.median([r["cpu_us"] for r in mine])
            summary.append({
                "contender": name, "about": ABOUT[name], "clients": clients, "synchronous_commit": sync, "tps": round(tps),
                "tps_ratio": round(tps / common.median([r["tps"] for r in base]), 3),
                "paired_ratio": round(common.paired(part, name, "no_capture", "tps"), 3),
                "cpu_us": round(cpu, 1),
                "added_cpu_us": round(cpu - common.median([r["cpu_us"] for r in base]), 1)})
    return summary


def main():
    args = common.options(__doc__, rounds=7, seconds=3)
    with common.connect() as conn, tempfile.TemporaryDirectory() as scripts:
        about = common.machine(conn)
        set_up(conn)
        text = (common.SQL / "onerow.pgbench").read_text()
        for name in CONTENDERS:
            pathlib.Path(scripts, name).write_text(text.replace("{name}", name))
        runs = []
        for number in range(-1, args.rounds):
            for clients, sync in CASES:
                for contender in common.rotated(CONTENDERS, number + 1):
                    run = measure(conn, str(pathlib.Path(scripts, contender)), clients, sync,
                                  args.seconds if number >= 0 else 1)
                    runs.append({"round": number, "contender": contender, "clients": clients,
                                 "synchronous_commit": sync, **run})
        for name in ("outbox", "outbox_mapped"):
            captured = common.scalar(conn, "SELECT count(*) FROM outbox.event WHERE type = %s", ["Placed_" + name])
            assert captured == sum(r["transactions"] for r in runs if r["contender"] == name), name
    runs = [r for r in runs if r["round"] >= 0]
    summary = summarise(runs)
    print(f"One-row INSERT transactions, pgbench -M prepared, {args.seconds} s per run, median of {args.rounds} rounds; "
          "ratios to no capture: of the medians, and the median of each round's ratio")
    common.table(summary, [
        ("contender", "about", "s"), ("clients", "clients", "d"), ("sync. commit", "synchronous_commit", "s"),
        ("tps", "tps", "d"), ("ratio", "tps_ratio", ".3f"), ("paired ratio", "paired_ratio", ".3f"),
        ("server CPU us/tx", "cpu_us", ".1f"), ("added", "added_cpu_us", ".1f")])
    targets = [common.verdict(f"{row['contender']}, {row['clients']} clients: tps / no capture", row["paired_ratio"], TARGET,
                              at_most=False)
               for row in summary if row["contender"].startswith("outbox") and row["synchronous_commit"] == "on"]
    common.save(args.output or "onerow", about, runs, summary, targets)


main()
