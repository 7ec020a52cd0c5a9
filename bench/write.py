"""What capture adds to a bulk INSERT: time and WAL per row, against no trigger and against a PL/pgSQL trigger."""
import time

import common

ABOUT = {
    "no_trigger": "no trigger",
    "noop": "C trigger that does nothing (contract disabled)",
    "plpgsql": "PL/pgSQL + jsonb, bigserial key",
    "plpgsql_uuid": "PL/pgSQL + jsonb, random uuid key",
    "plpgsql_mapped": "PL/pgSQL + jsonb, with mapping expressions",
    "outbox": "outbox_ext, columns renamed",
    "outbox_mapped": "outbox_ext, with mapping expressions",
    "outbox_foreign": "outbox_ext, columns renamed, one by a PL/pgSQL function",
}
CONTENDERS = list(ABOUT)
# Who does the same work in PL/pgSQL.
RIVAL = {"outbox": "plpgsql", "outbox_mapped": "plpgsql_mapped"}
TARGET_TIME, TARGET_WAL = 0.2, 0.5


def set_up(conn, rows):
    conn.execute("CREATE EXTENSION outbox_ext; CREATE SCHEMA canonical")
    common.run_sql_file(conn, "staging.sql", rows=rows)
    conn.execute("VACUUM ANALYZE legacy.staging")
    for name in CONTENDERS:
        common.run_sql_file(conn, "legacy.sql", name=name)
    common.create_plpgsql(conn, "plpgsql")
    common.create_plpgsql(conn, "plpgsql_uuid", key="uuid DEFAULT gen_random_uuid()")
    common.create_plpgsql(conn, "plpgsql_mapped", mapped=True)
    for name in ("noop", "outbox", "outbox_mapped", "outbox_foreign"):
        common.create_contract(conn, name, topic="orders", mapped=name == "outbox_mapped", foreign=name == "outbox_foreign")
    conn.execute("SELECT outbox.disable('noop')")
    common.run_sql_file(conn, "contract_mapped.sql", name="staging")


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


def columns(conn, relation):
    return common.scalar(conn, "SELECT string_agg(quote_ident(attname), ',') FROM pg_attribute "
                               "WHERE attrelid = %s::regclass AND attnum > 0", [relation])


def measure_expressions(conn):
    """The mapping expressions in a plain query, without any capture: no contender can be faster than that."""
    pid = common.scalar(conn, "SELECT pg_backend_pid()")
    conn.execute("SET max_parallel_workers_per_gather = 0; SET jit = off")
    cpu = {}
    for relation in ("legacy.staging", "canonical.staging_v1"):
        query = f"SELECT FROM (SELECT * FROM {relation} OFFSET 0) AS r WHERE num_nonnulls({columns(conn, relation)}) = 0"
        start = common.run_nanoseconds(pid)
        conn.execute(query)
        cpu[relation] = common.run_nanoseconds(pid) - start
    return {"cpu_s": round((cpu["canonical.staging_v1"] - cpu["legacy.staging"]) / 1e9, 6)}


def summarise(runs, rows):
    of = {c: {f: common.median([r[f] for r in runs if r["contender"] == c]) for f in ("wall_s", "cpu_s", "wal_bytes")}
          for c in CONTENDERS}
    added = {c: {f: of[c][f] - of["no_trigger"][f] for f in of[c]} for c in CONTENDERS}
    summary = []
    for name in CONTENDERS:
        row = {
            "contender": name, "about": ABOUT[name], "wall_s": round(of[name]["wall_s"], 3),
            "added_us_per_row": round(added[name]["wall_s"] / rows * 1e6, 3),
            "added_cpu_us_per_row": round(added[name]["cpu_s"] / rows * 1e6, 3),
            "added_wal_bytes_per_row": round(added[name]["wal_bytes"] / rows, 1),
        }
        if name in RIVAL:
            rival = added[RIVAL[name]]
            row |= {"rival": RIVAL[name], "time_ratio": round(added[name]["wall_s"] / rival["wall_s"], 3),
                    "cpu_ratio": round(added[name]["cpu_s"] / rival["cpu_s"], 3),
                    "wal_ratio": round(added[name]["wal_bytes"] / rival["wal_bytes"], 3)}
        summary.append(row)
    return summary


def main():
    args = common.options(__doc__, rounds=7, rows=300000)
    with common.connect() as conn:
        about = common.machine(conn)
        set_up(conn, args.rows)
    runs, alone = [], []
    for number in range(-1, args.rounds):
        for contender in common.rotated(CONTENDERS, number + 1):
            run = {"round": number, "contender": contender, **measure(contender)}
            expected = 0 if contender in ("no_trigger", "noop") else args.rows
            assert run["events"] == expected, run
            if number >= 0:
                runs.append(run)
        if number >= 0:
            with common.connect() as conn:
                alone.append({"round": number, "contender": "expressions_alone", **measure_expressions(conn)})
    summary = summarise(runs, args.rows)
    print(f"INSERT ... SELECT of {args.rows} rows, median of {args.rounds} rounds; added = over no trigger; "
          "ratios: added / added by PL/pgSQL that does the same")
    common.table(summary, [
        ("contender", "about", "s"), ("s", "wall_s", ".3f"), ("added us/row", "added_us_per_row", ".2f"),
        ("added CPU us/row", "added_cpu_us_per_row", ".2f"), ("added WAL B/row", "added_wal_bytes_per_row", ".0f"),
        ("time ratio", "time_ratio", ".3f"), ("CPU ratio", "cpu_ratio", ".3f"), ("WAL ratio", "wal_ratio", ".3f")])
    expressions = common.median([r["cpu_s"] for r in alone]) / args.rows * 1e6
    print(f"The mapping expressions alone, in a plain query: {expressions:.2f} us of CPU per row")
    by_name = {row["contender"]: row for row in summary}
    targets = []
    for name in RIVAL:
        targets.append(common.verdict(f"{name} / {RIVAL[name]}: added time", by_name[name]["time_ratio"], TARGET_TIME))
        targets.append(common.verdict(f"{name} / {RIVAL[name]}: added WAL", by_name[name]["wal_ratio"], TARGET_WAL))
    common.save(args.output or "write", {**about, "rows": args.rows, "expressions_alone_cpu_us_per_row": round(expressions, 3)},
                runs + alone, summary, targets)


main()
