"""Many clients change one order: what it costs to commit one after the other, beside clients that have an order each."""
import os
import pathlib
import tempfile

import common

ABOUT = {"own": "an order each", "one": "one order"}
CONTENDERS = list(ABOUT)
CLIENTS = (1, 20, 80, 200)
# of one client that changes the order alone
TARGET = 0.8

TABLES = """
CREATE EXTENSION outbox_ext;
CREATE TABLE ordr (id int PRIMARY KEY);
CREATE TABLE line (id int, n int, qty int NOT NULL DEFAULT 0, PRIMARY KEY (id, n)) WITH (fillfactor = 50);
INSERT INTO ordr SELECT generate_series(0, {clients});
INSERT INTO line SELECT 0, generate_series(1, {clients}) UNION ALL SELECT generate_series(1, {clients}), 1;
ANALYZE ordr, line;
CREATE VIEW ordr_v AS SELECT o.id, (SELECT sum(qty) FROM line l WHERE l.id = o.id) AS total FROM ordr o;
SELECT outbox.create_contract('ordr', view => 'ordr_v', source => 'ordr', key => '{{id}}');
SELECT outbox.add_source('ordr', 'line', key_query => 'row.id');
SELECT outbox.create_event_type('Changed', contract => 'ordr', emit => 'changed', previous => '{{total}}');
SELECT outbox.enable('ordr');
"""
# every client has a line of its own, so that no row lock orders them
SCRIPTS = {"own": "UPDATE line SET qty = qty + 1 WHERE id = :client_id + 1 AND n = 1;\n",
           "one": "UPDATE line SET qty = qty + 1 WHERE id = 0 AND n = :client_id + 1;\n"}


def measure(conn, script, clients, args):
    letters = common.scalar(conn, "SELECT count(*) FROM outbox.dead_letter")
    conn.execute("CHECKPOINT")
    run = common.pgbench(conn, script, clients, f"on -c commit_delay={args.commit_ms * 1000} -c commit_siblings=0", args.seconds)
    return {**run, "letters": common.scalar(conn, "SELECT count(*) FROM outbox.dead_letter") - letters}


def out_of_order(conn):
    """Events of the one order that do not go on from the event before, other than after a letter."""
    return common.scalar(conn, "SELECT count(*) FROM (SELECT payload->>'previous_total' AS before, lag(payload->>'total') OVER (ORDER BY seq) AS last "
                               "FROM outbox.event_json WHERE aggregateid = '0') e WHERE before <> last")


def main():
    args = common.options(__doc__, rounds=3, seconds=5, commit_ms=8)
    with common.connect() as conn, tempfile.TemporaryDirectory() as scripts:
        about = common.machine(conn)
        conn.execute(TABLES.format(clients=max(CLIENTS)))
        for name, text in SCRIPTS.items():
            pathlib.Path(scripts, name).write_text(text)
        runs = [{"round": number, "contender": contender, "clients": clients,
                 **measure(conn, os.path.join(scripts, contender), clients, args)}
                for number in range(args.rounds) for clients in CLIENTS for contender in common.rotated(CONTENDERS, number)]
        wrong = out_of_order(conn)
    summary = []
    for clients in CLIENTS:
        for name, text in ABOUT.items():
            mine = [r for r in runs if r["contender"] == name and r["clients"] == clients]
            alone = [r for r in runs if r["contender"] == name and r["clients"] == 1]
            tps = common.median([r["tps"] for r in mine])
            summary.append({"contender": name, "about": text, "clients": clients, "tps": tps, "ratio": round(tps / common.median([r["tps"] for r in alone]), 3),
                            "latency_ms": common.median([r["latency_us"] for r in mine]) / 1000,
                            "letters": sum(r["letters"] for r in mine)})
    print(f"\nUPDATE of a line, every commit of {args.commit_ms} ms, {args.seconds} s per run, medians of {args.rounds} rounds; {wrong} events of the one order are out of order")
    common.table(summary, [("clients change", "about", "s"), ("clients", "clients", "d"), ("tps", "tps", ".0f"), ("to 1 client", "ratio", ".2f"),
                           ("latency ms", "latency_ms", ".1f"), ("dead letters, all rounds", "letters", "d")])
    targets = [common.verdict(f"one order, {row['clients']} clients: tps / 1 client", row["ratio"], TARGET, at_most=False)
               for row in summary if row["contender"] == "one" and row["clients"] > 1]
    targets.append(common.verdict("dead letters", sum(row["letters"] for row in summary), 0))
    targets.append(common.verdict("events out of order", wrong, 0))
    common.save(args.output or "oneorder", about, runs, summary, targets)


main()
