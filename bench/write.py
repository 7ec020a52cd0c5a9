"""What capture adds to a bulk INSERT: time and WAL per row, against no trigger and against a PL/pgSQL trigger."""
import time

import common

CONTENDERS = ["no_trigger", "noop", "plpgsql", "plpgsql_uuid", "outbox", "outbox_mapped"]
ABOUT = {
    "no_trigger": "no trigger",
    "noop": "C trigger that does nothing (contract disabled)",
    "plpgsql": "PL/pgSQL + jsonb, bigserial key",
    "plpgsql_uuid": "PL/pgSQL + jsonb, random uuid key",
    "outbox": "outbox_ext, columns renamed",
    "outbox_mapped": "outbox_ext, expressions that may raise",
}
TARGET_TIME, TARGET_WAL = 0.2, 0.5


def set_up(conn, rows):
    conn.execute("CREATE EXTENSION outbox_ext; CREATE SCHEMA canonical")
    common.run_sql_file(conn, "staging.sql", rows=rows)
    conn.execute("VACUUM ANALYZE legacy.staging")
    for name in CONTENDERS:
        common.run_sql_file(conn, "legacy.sql", name=name)
    common.run_sql_file(conn, "plpgsql.sql", name="plpgsql", id="bigserial")
    common.run_sql_file(conn, "plpgsql.sql", name="plpgsql_uuid", id="uuid DEFAULT gen_random_uuid()")
    for name in ("noop", "outbox", "outbox_mapped"):
        common.run_sql_file(conn, "contract_mapped.sql" if name == "outbox_mapped" else "contract_plain.sql", name=name)
        common.run_sql_file(conn, "contract.sql", name=name, event_type="Placed_" + name, topic="orders")
    conn.execute("SELECT outbox.disable('noop')")


def events(conn, contender):
    """Events that the contender has made so far."""
    if contender.startswith("plpgsql"):
        return common.scalar(conn, f"SELECT count(*) FROM legacy.outbox_{contender}")
    if contender.startswith("outbox"):
        return common.scalar(conn, "SELECT count(*) FROM outbox.event WHERE type = %s", ["Placed_" + contender])
    return 0


def empty(conn, contender):
    """A cheap start for every run; the kill switch keeps the TRUNCATE out of the gaps."""
    conn.execute(f"SET outbox.capture = off; TRUNCATE legacy.{contender}; RESET outbox.capture")
    if contender.startswith("plpgsql"):
        conn.execute(f"TRUNCATE legacy.outbox_{contender}")


def measure(contender):
    """One INSERT ... SELECT in a session of its own, its caches warmed up by one row."""
    with common.connect() as conn:
        pid = common.scalar(conn, "SELECT pg_backend_pid()")
        empty(conn, contender)
        insert = f"INSERT INTO legacy.{contender} SELECT * FROM legacy.staging"
        conn.execute(insert + " WHERE ordr_no = 1")
        conn.execute(f"SET outbox.capture = off; DELETE FROM legacy.{contender}; RESET outbox.capture")
        before = events(conn, contender)
        conn.execute("CHECKPOINT")
        lsn = common.scalar(conn, "SELECT pg_current_wal_insert_lsn()")
        cpu, start = common.run_nanoseconds(pid), time.perf_counter()
        conn.execute(insert)
        wall, cpu = time.perf_counter() - start, common.run_nanoseconds(pid) - cpu
        wal = common.scalar(conn, "SELECT pg_current_wal_insert_lsn() - %s::pg_lsn", [lsn])
        return {"wall_s": round(wall, 6), "cpu_s": round(cpu / 1e9, 6), "wal_bytes": int(wal),
                "events": events(conn, contender) - before}


def summarise(runs, rows):
    of = {c: {f: common.median([r[f] for r in runs if r["contender"] == c]) for f in ("wall_s", "cpu_s", "wal_bytes")}
          for c in CONTENDERS}
    summary = []
    for name in CONTENDERS:
        added = {f: of[name][f] - of["no_trigger"][f] for f in of[name]}
        plpgsql = {f: of["plpgsql"][f] - of["no_trigger"][f] for f in of[name]}
        compare = name.startswith("outbox")
        summary.append({
            "contender": name, "about": ABOUT[name], "wall_s": round(of[name]["wall_s"], 3),
            "added_us_per_row": round(added["wall_s"] / rows * 1e6, 3),
            "added_cpu_us_per_row": round(added["cpu_s"] / rows * 1e6, 3),
            "added_wal_bytes_per_row": round(added["wal_bytes"] / rows, 1),
            "time_ratio": round(added["wall_s"] / plpgsql["wall_s"], 3) if compare else None,
            "cpu_ratio": round(added["cpu_s"] / plpgsql["cpu_s"], 3) if compare else None,
            "wal_ratio": round(added["wal_bytes"] / plpgsql["wal_bytes"], 3) if compare else None,
        })
    return summary


def main():
    args = common.options(__doc__, rounds=7, rows=300000)
    with common.connect() as conn:
        about = common.machine(conn)
        set_up(conn, args.rows)
    runs = []
    for number in range(-1, args.rounds):
        for contender in common.rotated(CONTENDERS, number + 1):
            run = {"round": number, "contender": contender, **measure(contender)}
            expected = 0 if contender in ("no_trigger", "noop") else args.rows
            assert run["events"] == expected, run
            if number >= 0:
                runs.append(run)
    summary = summarise(runs, args.rows)
    print(f"INSERT ... SELECT of {args.rows} rows, median of {args.rounds} rounds; added = over no trigger; "
          "ratios: added / added by PL/pgSQL with bigserial")
    common.table(summary, [
        ("contender", "about", "s"), ("s", "wall_s", ".3f"), ("added us/row", "added_us_per_row", ".2f"),
        ("added CPU us/row", "added_cpu_us_per_row", ".2f"), ("added WAL B/row", "added_wal_bytes_per_row", ".0f"),
        ("time ratio", "time_ratio", ".3f"), ("CPU ratio", "cpu_ratio", ".3f"), ("WAL ratio", "wal_ratio", ".3f")])
    by_name = {row["contender"]: row for row in summary}
    targets = []
    for name in ("outbox", "outbox_mapped"):
        targets.append(common.verdict(f"{name}: added time / PL/pgSQL", by_name[name]["time_ratio"], TARGET_TIME))
        targets.append(common.verdict(f"{name}: added WAL / PL/pgSQL", by_name[name]["wal_ratio"], TARGET_WAL))
    common.save(args.output or "write", {**about, "rows": args.rows}, runs, summary, targets)


main()
