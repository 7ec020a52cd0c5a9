"""What the DDL check costs commands that concern no contract: 2,000 of them in a session, beside a server that does not check."""
import common

ABOUT = {"unchecked": "the event trigger is disabled", "checked": "the DDL check is on"}
CONTENDERS = list(ABOUT)
STATEMENTS = 2000
TARGET = 1.02
COMMANDS = [
    "ALTER TABLE x ADD COLUMN c{n} int",
    "CREATE OR REPLACE VIEW xv AS SELECT id FROM x",
    "CREATE OR REPLACE FUNCTION f(int) RETURNS int LANGUAGE sql AS 'SELECT $1'",
    "ALTER TABLE x DROP COLUMN c{n}",
    "CREATE TABLE y (id int PRIMARY KEY)",
    "CREATE INDEX y_id ON y (id)",
    "ALTER TABLE y SET (fillfactor = 90)",
    "DROP TABLE y CASCADE",
]


def set_up(conn, contracts):
    conn.execute("CREATE EXTENSION outbox_ext; SET synchronous_commit = off")
    conn.execute("CREATE TABLE x (id int PRIMARY KEY); CREATE VIEW xv AS SELECT id FROM x;"
                 "CREATE FUNCTION f(int) RETURNS int LANGUAGE sql AS 'SELECT $1'")
    for n in range(contracts):
        conn.execute(f"""
            CREATE TABLE s{n} (id int PRIMARY KEY, v int);
            CREATE VIEW s{n}_v AS SELECT id, v FROM s{n};
            SELECT outbox.create_contract('c{n}', view => 's{n}_v', source => 's{n}', key => '{{id}}');
            SELECT outbox.create_event_type('C{n}', contract => 'c{n}', emit => 'always');
            SELECT outbox.enable('c{n}')""")


def measure(conn, contender, number):
    pid = conn.info.backend_pid
    conn.execute(f"ALTER EVENT TRIGGER outbox_source_changes {'ENABLE' if contender == 'checked' else 'DISABLE'}")
    conn.execute("VACUUM pg_catalog.pg_attribute, pg_catalog.pg_depend, pg_catalog.pg_class, pg_catalog.pg_type, pg_catalog.pg_rewrite")
    before = common.run_nanoseconds(pid)
    for n in range(STATEMENTS // len(COMMANDS)):
        for command in COMMANDS:
            conn.execute(command.format(n=f"{number}_{n}"))
    return {"us": (common.run_nanoseconds(pid) - before) / 1000 / STATEMENTS}


def main():
    args = common.options(__doc__, rounds=5, contracts=20)
    runs = []
    with common.connect() as conn:
        about = common.machine(conn)
        set_up(conn, args.contracts)
        number = 0
        for round_number in range(-1, args.rounds):
            for contender in common.rotated(CONTENDERS, round_number + 1):
                number += 1
                runs.append({"round": round_number, "contender": contender, **measure(conn, contender, number)})
                # columns that were dropped stay in the catalog
                conn.execute("DROP TABLE x CASCADE; CREATE TABLE x (id int PRIMARY KEY); CREATE VIEW xv AS SELECT id FROM x")
    runs = [r for r in runs if r["round"] >= 0]
    summary = [{"contender": name, "about": ABOUT[name], "us": common.median([r["us"] for r in runs if r["contender"] == name]),
                "paired_ratio": common.paired(runs, name, "unchecked", "us")} for name in CONTENDERS]
    print(f"{STATEMENTS} DDL commands that concern no contract, {args.contracts} contracts, one session; CPU of the backend per command, "
          f"median of {args.rounds} rounds")
    common.table(summary, [("contender", "about", "s"), ("CPU us/command", "us", ".1f"), ("paired ratio", "paired_ratio", ".3f")])
    targets = [common.verdict("checked: CPU / unchecked", summary[1]["paired_ratio"], TARGET)]
    common.save(args.output or "ddl", about, runs, summary, targets)


main()
