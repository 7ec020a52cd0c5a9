"""What the benchmarks share: the machine's description, rounds of alternated contenders, result files, tables."""
import argparse
import datetime
import json
import os
import pathlib
import re
import statistics
import subprocess
import time

import psycopg

TOP = pathlib.Path(__file__).resolve().parent.parent
SQL = TOP / "bench" / "sql"
RESULTS = pathlib.Path(os.environ.get("BENCH_RESULTS", TOP / "bench" / "results"))


def options(description, rounds, **defaults):
    """Every option has a default and ends up in the result file."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--rounds", type=int, default=rounds, help="rounds that count (default %(default)s)")
    parser.add_argument("--output", help="name of the result file (default: the benchmark's name)")
    for name, value in defaults.items():
        parser.add_argument("--" + name.replace("_", "-"), type=type(value), default=value, help="default %(default)s")
    return parser.parse_args()


def connect(dbname="postgres", **server):
    """The private server that run.sh started (PGHOST, PGPORT, PGUSER), or another one."""
    return psycopg.connect(dbname=dbname, autocommit=True, **server)


def run_sql_file(conn, file, **variables):
    """A file of bench/sql; {name} in it is replaced."""
    text = (SQL / file).read_text()
    for key, value in variables.items():
        text = text.replace("{" + key + "}", str(value))
    conn.execute(text)


def create_plpgsql(conn, name, mapped=False, key="bigserial"):
    """The table legacy.NAME's trigger as teams write it; mapped: with the expressions of contract_mapped.sql."""
    document = (SQL / ("document_mapped.sql" if mapped else "document_plain.sql")).read_text()
    run_sql_file(conn, "plpgsql.sql", document="\n" + document.rstrip("\n"), name=name, id=key)


def create_contract(conn, name, topic, mapped=False, foreign=False):
    """A contract over the table legacy.NAME, enabled, with one event type for inserts."""
    run_sql_file(conn, "contract_foreign.sql" if foreign else "contract_mapped.sql" if mapped else "contract_plain.sql",
                 name=name)
    run_sql_file(conn, "contract.sql", name=name, event_type="Placed_" + name, topic=topic)


def scalar(conn, query, params=None):
    return conn.execute(query, params).fetchone()[0]


def cpu_seconds(pid):
    """User and system time of all threads of a process so far; to 10 ms."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def server_cpu_seconds(postmaster):
    """All processes of a server so far: those that live, and those that the postmaster has waited for; to 10 ms."""
    seconds = ended_children_cpu(postmaster)
    for pid in children(postmaster):
        try:
            seconds += cpu_seconds(pid)
        except OSError:
            continue
    return seconds


def postmaster_pid(conn):
    return scalar(conn, "SELECT pg_read_file('postmaster.pid')").split()[0]


def children(postmaster):
    return set(pathlib.Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split())


def ended_children_cpu(postmaster):
    """CPU of all backends that have ended and that the postmaster has waited for."""
    fields = pathlib.Path(f"/proc/{postmaster}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


def pgbench(conn, script, clients, sync, seconds):
    """Transactions per second, latency, and the CPU that the clients' backends used per transaction."""
    postmaster = postmaster_pid(conn)
    before, cpu = children(postmaster), ended_children_cpu(postmaster)
    out = subprocess.run(
        ["pgbench", "-n", "-M", "prepared", "-c", str(clients), "-j", str(min(clients, 2)), "-T", str(seconds),
         "-f", script, "postgres"],
        env={**os.environ, "PGOPTIONS": f"-c synchronous_commit={sync}"}, capture_output=True, text=True, check=True).stdout
    poll(lambda: children(postmaster) <= before, 10, "backends of pgbench do not end")
    done = int(re.search(r"actually processed: (\d+)", out).group(1))
    return {"tps": round(float(re.search(r"tps = ([\d.]+) \(without", out).group(1)), 1), "transactions": done,
            "latency_us": round(float(re.search(r"latency average = ([\d.]+) ms", out).group(1)) * 1000, 1),
            "cpu_us": round((ended_children_cpu(postmaster) - cpu) / done * 1e6, 2)}


def run_nanoseconds(pid):
    """Time the main thread of a process has been running so far."""
    return int(pathlib.Path(f"/proc/{pid}/schedstat").read_text().split()[0])


def resident_bytes(pid):
    """Private memory of a process: resident, without what is shared with the other servers."""
    fields = pathlib.Path(f"/proc/{pid}/statm").read_text().split()
    return (int(fields[1]) - int(fields[2])) * os.sysconf("SC_PAGE_SIZE")


def poll(condition, seconds, what, interval=0.005):
    """Waits until condition() is true; raises when time is up."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"time is up: {what}")
        time.sleep(interval)


def rotated(contenders, number, group=1):
    """The contenders in another order each round, so that none always follows the same one; groups of them stay together."""
    groups = [contenders[i:i + group] for i in range(0, len(contenders), group)]
    shift = number % len(groups)
    order = [c for g in groups[shift:] + groups[:shift] for c in g]
    return order if number % 2 == 0 else order[::-1]


def median(values):
    return statistics.median(values)


def paired(runs, contender, base, field):
    """Median over the rounds of contender / base: what disturbs a whole round cancels out."""
    rounds = sorted({r["round"] for r in runs})
    value = {(r["round"], r["contender"]): r[field] for r in runs}
    return median([value[n, contender] / value[n, base] for n in rounds])


def machine(conn):
    model = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo", encoding="utf-8")
                  if line.startswith("model name")), "unknown")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    described = subprocess.run(["git", "-c", f"safe.directory={TOP}", "-C", str(TOP), "describe", "--always", "--dirty"],
                               capture_output=True, text=True, check=False).stdout.strip()
    return {
        "cpus": os.cpu_count(),
        "cpu_model": model,
        "memory_gb": round(memory),
        "kernel": os.uname().release,
        "postgresql": scalar(conn, "SHOW server_version"),
        "git": described or "unknown",
        "niceness": os.nice(0),
        "load_at_start": round(os.getloadavg()[0], 2),
        "settings": {name: scalar(conn, f"SHOW {name}") for name in
                     ("fsync", "shared_buffers", "max_wal_size", "wal_level", "full_page_writes", "autovacuum")},
    }


def cpu_pressure():
    """Share of the last five minutes in which some process waited for a CPU: how busy the machine was, with us on it."""
    try:
        some = pathlib.Path("/proc/pressure/cpu").read_text().split("avg300=")[1]
    except OSError:
        return None
    return round(float(some.split()[0]) / 100, 2)


def save(name, about, runs, summary, targets):
    """bench/results/NAME.json: every run's raw figures, and what was made of them."""
    path = RESULTS / f"{name}.json"
    RESULTS.mkdir(exist_ok=True)
    document = {
        "benchmark": name,
        "date": datetime.date.today().isoformat(),
        "command": os.environ.get("BENCH_COMMAND", ""),
        "machine": {**about, "load_at_end": round(os.getloadavg()[0], 2), "cpu_pressure_at_end": cpu_pressure()},
        "targets": targets,
        "summary": summary,
        "runs": "RUNS",
    }
    lines = ",\n    ".join(json.dumps(run) for run in runs)
    path.write_text(json.dumps(document, indent=2).replace('"RUNS"', f"[\n    {lines}\n  ]") + "\n")
    print(f"\nRaw figures: bench/results/{path.name}")
    print(f"Again with:  {document['command']}")


def table(rows, columns):
    """Prints dicts as a table; columns: (title, field, format)."""
    cells = [[title for title, _, _ in columns]]
    for row in rows:
        cells.append(["" if row.get(field) is None else format(row[field], form) for _, field, form in columns])
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    for number, line in enumerate(cells):
        print("  ".join(cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(line, widths))))
        if number == 0:
            print("  ".join("-" * w for w in widths))


def verdict(text, value, limit, at_most=True):
    """One line: a target, and whether it was met."""
    met = value <= limit if at_most else value >= limit
    print(f"{'met ' if met else 'MISSED'}  {text}: {value:.3g} (target {'<=' if at_most else '>='} {limit})")
    return {"target": text, "value": round(value, 4), "limit": limit, "met": met}
