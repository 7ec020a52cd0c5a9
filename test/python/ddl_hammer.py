"""An application that writes all the time, and a DBA who does everything he may do to the outbox beside it.

No session of the application may see an error: no deadlock, no table that cannot be opened. Every transaction also writes
to a ledger, which tells what must have been captured by the contracts that stay (--mode stay). With --mode drop the
extension itself is dropped and created again; then only the rows count.

Keys belong to one writer each, so that the application has no deadlocks of its own.
"""
import argparse
import collections
import random
import re
import sys
import threading
import time

import psycopg

TABLES = """
CREATE TABLE ledger (writer int, n int, keys int, PRIMARY KEY (writer, n));
CREATE TABLE acct (id int PRIMARY KEY, v int);
CREATE TABLE head (id int PRIMARY KEY, v int);
CREATE TABLE line (head_id int REFERENCES head, ln int, qty int, PRIMARY KEY (head_id, ln));
CREATE TABLE part (id int, region text, v int, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE part_a PARTITION OF part FOR VALUES IN ('a');
CREATE TABLE part_b PARTITION OF part FOR VALUES IN ('b');
CREATE TABLE gone_line (head_id int, ln int, PRIMARY KEY (head_id, ln));
CREATE ROLE hammer_reader;
CREATE ROLE hammer_owner SUPERUSER;
"""

# The contracts that nothing happens to, and those that come and go.
KEPT = {
    "ledger": """
CREATE OR REPLACE VIEW ledger_v AS SELECT writer, n, keys FROM ledger;
SELECT outbox.create_contract('ledger', view => 'ledger_v', source => 'ledger', key => '{writer,n}');
SELECT outbox.create_event_type('Ledger', contract => 'ledger', emit => 'created');
SELECT outbox.enable('ledger');
""",
    "kept": """
CREATE OR REPLACE VIEW kept_v AS SELECT h.id, h.v, (SELECT count(*) FROM line l WHERE l.head_id = h.id) AS lines FROM head h;
SELECT outbox.create_contract('kept', view => 'kept_v', source => 'head', key => '{id}');
SELECT outbox.add_source('kept', 'line', key_query => 'row.head_id');
SELECT outbox.create_event_type('Kept', contract => 'kept', emit => 'always');
SELECT outbox.enable('kept');
""",
}
CONTRACTS = {
    "acct": """
CREATE OR REPLACE VIEW acct_v AS SELECT id, outbox.decode('v', v::bigint) AS word, v FROM acct;
SELECT outbox.create_contract('acct', view => 'acct_v', source => 'acct', key => '{id}');
SELECT outbox.create_event_type('Acct', contract => 'acct', emit => 'always');
SELECT outbox.enable('acct');
""",
    "head": """
CREATE OR REPLACE VIEW head_v AS SELECT h.id, (SELECT sum(qty) FROM line l WHERE l.head_id = h.id) AS qty FROM head h;
SELECT outbox.create_contract('head', view => 'head_v', source => 'head', key => '{id}');
SELECT outbox.add_source('head', 'line', key_query => 'row.head_id');
SELECT outbox.create_event_type('Head', contract => 'head', emit => 'changed');
SELECT outbox.enable('head');
""",
    "part": """
CREATE OR REPLACE VIEW part_v AS SELECT id, v, region FROM part;
SELECT outbox.create_contract('part', view => 'part_v', source => 'part', key => '{id,region}');
SELECT outbox.create_event_type('Part', contract => 'part', emit => 'always');
SELECT outbox.enable('part');
""",
    "gone": """
CREATE TABLE IF NOT EXISTS gone_head (id int PRIMARY KEY, v int);
CREATE OR REPLACE VIEW gone_v AS SELECT h.id, (SELECT count(*) FROM gone_line l WHERE l.head_id = h.id) AS lines FROM gone_head h;
SELECT outbox.create_contract('gone', view => 'gone_v', source => 'gone_head', key => '{id}');
SELECT outbox.add_source('gone', 'gone_line', key_query => 'row.head_id');
SELECT outbox.create_event_type('Gone', contract => 'gone', emit => 'always');
SELECT outbox.enable('gone');
""",
}
DROP_VIEWS = "DROP VIEW IF EXISTS acct_v, head_v, part_v, gone_v, ledger_v, kept_v"

# What a DBA's command may end with. Deadlocks among commands of DBAs are theirs.
ALLOWED = {
    "55P03",  # lock_not_available
    "40P01",  # deadlock_detected
    "42704", "42P01", "3F000", "42883",  # something is not there at present
    "42710", "42P07",  # it is there already
    "55000",  # object_not_in_prerequisite_state
    "2BP01",  # dependent_objects_still_exist
    "42P17", "42809", "22023",
    "55006",  # object_in_use
    "23505",  # two create the same
}
# What PostgreSQL itself says to commands that meet.
ALLOWED_WORDS = re.compile(r"could not open relation with OID|tuple concurrently (updated|deleted)")


class Hammer:
    def __init__(self, arguments):
        self.arguments = arguments
        self.stop = threading.Event()
        self.lock = threading.Lock()
        self.failures = []
        self.outcomes = collections.Counter()

    def connect(self, name):
        return psycopg.connect(self.arguments.dsn, autocommit=True, application_name=name)

    def fail(self, who, statement, error):
        with self.lock:
            self.failures.append(f"{who}: {statement}: {getattr(error, 'sqlstate', None)} {error}")
        self.stop.set()

    def count(self, what, outcome):
        with self.lock:
            self.outcomes[what, outcome] += 1


class Writer(threading.Thread):
    """Transactions of all shapes on its own keys; a key of head counts once per transaction."""

    def __init__(self, hammer, number):
        super().__init__()
        self.hammer = hammer
        self.number = number
        self.random = random.Random(f"{hammer.arguments.seed} writer {number}")
        self.n = 0
        self.committed = 0
        self.statement = ""

    def execute(self, statement):
        self.statement = statement
        self.connection.execute(statement)

    def key(self):
        return self.number * 1000 + self.random.randrange(5)

    def run(self):
        try:
            self.connection = self.hammer.connect("writer")
            with self.connection:
                while not self.hammer.stop.is_set():
                    self.transaction()
        except psycopg.Error as error:
            self.hammer.fail(f"writer {self.number}", self.statement, error)

    def transaction(self):
        self.n += 1
        heads = set()
        self.execute("BEGIN ISOLATION LEVEL REPEATABLE READ" if self.random.random() < 0.1 else "BEGIN")
        # all sources together are to be had only where not every transaction uses all of them
        for _ in range(self.random.randrange(1, 6 if self.hammer.arguments.mode == "stay" else 3)):
            if self.random.random() < 0.15:
                self.execute("SAVEPOINT s")
                kept = set(heads)
                self.change(kept)
                if self.random.random() < 0.5:
                    self.execute("ROLLBACK TO s")
                else:
                    heads = kept
            else:
                self.change(heads)
            if self.random.random() < 0.1:
                self.pause(0.01)
        self.execute(f"INSERT INTO ledger VALUES ({self.number}, {self.n}, {len(heads)})")
        if self.random.random() < 0.02:
            self.pause(0.15)
        if self.random.random() < 0.05:
            self.execute(f"PREPARE TRANSACTION 'w{self.number}'")
            self.pause(0.03)
            self.execute(f"COMMIT PREPARED 'w{self.number}'")
            self.committed += 1
        elif self.random.random() < 0.05:
            self.execute("ROLLBACK")
        else:
            self.execute("COMMIT")
            self.committed += 1
        self.hammer.count("transaction", "done")

    def pause(self, longest):
        self.hammer.stop.wait(self.random.random() * longest)

    def change(self, heads):
        key = self.key()
        choice = self.random.randrange(7)
        if choice == 0:
            self.execute(f"INSERT INTO acct VALUES ({key}, 1) ON CONFLICT (id) DO UPDATE SET v = acct.v + 1")
        elif choice == 1:
            self.execute(f"DELETE FROM acct WHERE id = {key}")
        elif choice == 2:
            heads.add(key)
            self.execute(f"UPDATE head SET v = v + 1 WHERE id = {key}")
        elif choice == 3:
            heads.add(key)
            self.execute(f"INSERT INTO line SELECT {key}, coalesce(max(ln), 0) + 1, 1 FROM line WHERE head_id = {key}")
        elif choice == 4:
            self.execute(f"INSERT INTO part SELECT {key}, 'a', 1 WHERE NOT EXISTS (SELECT FROM part WHERE id = {key})")
            self.execute(f"UPDATE part SET region = CASE region WHEN 'a' THEN 'b' ELSE 'a' END WHERE id = {key}")
        elif choice == 5:
            self.execute(f"INSERT INTO gone_line SELECT {key}, coalesce(max(ln), 0) + 1 FROM gone_line WHERE head_id = {key}")
        else:
            self.execute(f"INSERT INTO acct SELECT -{key} - 100000 * i, i FROM generate_series(1, 80) i ON CONFLICT (id) DO UPDATE SET v = acct.v + 1")


class Dba(threading.Thread):
    def __init__(self, hammer, number, commands, longest_pause=0.1):
        super().__init__()
        self.hammer = hammer
        self.longest_pause = longest_pause
        self.number = number
        self.random = random.Random(f"{hammer.arguments.seed} dba {number}")
        self.commands = commands

    def run(self):
        try:
            self.connection = self.hammer.connect("dba")
            with self.connection:
                while not self.hammer.stop.is_set():
                    self.command()
        except psycopg.Error as error:
            self.hammer.fail(f"dba {self.number}", "connection", error)

    def command(self):
        name = self.random.choice(sorted(self.commands))
        for statement in self.commands[name](self.random):
            try:
                self.connection.execute(statement)
                outcome = "done"
            except psycopg.Error as error:
                outcome = error.sqlstate
                if self.connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
                    self.connection.execute("ROLLBACK")
                if error.sqlstate not in ALLOWED and not ALLOWED_WORDS.search(str(error)):
                    self.hammer.fail(f"dba {self.number}, {name}", statement, error)
            self.hammer.count(f"{name}, {statement[:40]}" if name.startswith("how") and "DROP" in statement else name, outcome)
            if outcome != "done":
                break
        self.hammer.stop.wait(self.random.random() * self.longest_pause)


def table(rng):
    return rng.choice(
        "contract contract_version source event_type check_rule code_map event_schema sink relay_progress leaf gap"
        " dead_letter_entry event_1 event_2 event_3".split())


def together(rng, statements):
    """In one transaction, which may be rolled back."""
    return ["BEGIN", *statements, rng.choice(["COMMIT", "ROLLBACK"])]


def contract_commands(names):
    def recreate(rng):
        name = rng.choice(names)
        drop = f"SELECT outbox.drop_contract('{name}')"
        if rng.random() < 0.5:
            return together(rng, [drop, CONTRACTS[name]])
        return [drop, CONTRACTS[name]]

    def recreate_all(rng):
        some = rng.sample(names, rng.randrange(2, len(names) + 1))
        return together(rng, [f"SELECT outbox.drop_contract('{n}')" for n in some] + [CONTRACTS[n] for n in some])

    return {
        "recreate": recreate,
        "recreate several": recreate_all,
        "switch": lambda rng: [f"SELECT outbox.disable('{rng.choice(names)}')", f"SELECT outbox.enable('{rng.choice(names)}')"],
        "enable": lambda rng: [CONTRACTS[rng.choice(names)]],
        "detach": lambda rng: [f"SELECT outbox.detach('{rng.choice(['acct', 'part'])}')"],
        "reattach": lambda rng: [f"SELECT outbox.reattach('{rng.choice(['acct', 'part'])}')"],
        "event type": lambda rng: together(rng, [
            "SELECT outbox.drop_event_type('Acct')",
            "SELECT outbox.create_event_type('Acct', contract => 'acct', emit => 'always')"]),
        "root": lambda rng: ["DROP TABLE IF EXISTS gone_head CASCADE", "SELECT outbox.drop_contract('gone')", CONTRACTS["gone"]],
        "partition": lambda rng: [
            "ALTER TABLE part DETACH PARTITION part_c" if rng.random() < 0.5 else "DROP TABLE IF EXISTS part_c",
            "CREATE TABLE IF NOT EXISTS part_c PARTITION OF part FOR VALUES IN ('c')",
            "DROP TABLE IF EXISTS part_c"],
    }


def outbox_commands():
    return {
        "sink": lambda rng: [
            "SELECT outbox.create_sink('extra', library => 'outbox_log')", "SELECT outbox.start_relay('extra')",
            "SELECT outbox.stop_relay('extra')", "SELECT outbox.drop_sink('extra')"],
        "code map": lambda rng: together(rng, [
            "SELECT outbox.drop_code_map('v')", "SELECT outbox.create_code_map('v', '{\"1\": \"one\"}')"]),
        "grant": lambda rng: [f"SELECT outbox.grant_access('hammer_reader', '{rng.choice(['reader', 'operator', 'admin'])}')"],
        "drop owned": lambda rng: ["DROP OWNED BY hammer_reader"],
        "vacuum full": lambda rng: [f"VACUUM FULL outbox_internal.{table(rng)}"],
        "vacuum": lambda rng: [f"VACUUM (ANALYZE) outbox_internal.{table(rng)}"],
        "cluster": lambda rng: [rng.choice(["CLUSTER outbox_internal.dead_letter_entry USING dead_letter_entry_pkey", "CLUSTER outbox_internal.contract USING contract_pkey"])],
        "reindex": lambda rng: [f"REINDEX TABLE outbox_internal.{table(rng)}"],
        "reindex schema": lambda rng: ["REINDEX SCHEMA outbox_internal"],
        "truncate": lambda rng: [rng.choice(["TRUNCATE outbox_internal.gap", "BEGIN; TRUNCATE outbox_internal.dead_letter_entry; ROLLBACK"])],
        "truncate events": lambda rng: [f"TRUNCATE {rng.choice(['outbox.event', 'outbox_internal.event_1', 'outbox_internal.event_2'])}"],
        "read": lambda rng: together(rng, ["SELECT count(*) FROM outbox.status", "SELECT count(*) FROM outbox.event_json", "SELECT pg_sleep(0.05)"]),
        "redrive": lambda rng: ["SELECT outbox.redrive()"],
        "preview": lambda rng: [f"SELECT * FROM outbox.preview('{rng.choice(sorted(CONTRACTS))}')"],
        "validate": lambda rng: [f"SELECT * FROM outbox.validate('{rng.choice(sorted(CONTRACTS))}')"],
        # what update scripts do
        "update all": lambda rng: together(rng, ["SELECT outbox.lock_tables()", "ALTER EVENT TRIGGER outbox_refuse_ddl DISABLE"] + [
            f"ALTER TABLE outbox{t} ADD COLUMN IF NOT EXISTS newer int"
            for t in ("_internal.dead_letter_entry", ".event", "_internal.gap", "_internal.contract", "_internal.leaf")]
            + ["ALTER EVENT TRIGGER outbox_refuse_ddl ENABLE ALWAYS"]),
        "update": lambda rng: together(rng, [
            "ALTER TABLE outbox_internal.sink ALTER COLUMN library SET STATISTICS 10",
            "ALTER TABLE outbox_internal.contract ALTER COLUMN name SET STATISTICS 10",
            "ALTER TABLE outbox_internal.event_schema ALTER COLUMN schema SET STATISTICS 10"]),
    }


DROPS = {
    "drop": ["DROP EXTENSION outbox_ext"],
    "drop cascade": ["DROP EXTENSION outbox_ext CASCADE"],
    "drop owned": ["DROP OWNED BY hammer_owner CASCADE"],
    "uninstall": ["SELECT outbox.uninstall(execute => true)", "DROP EXTENSION outbox_ext"],
    "uninstall at once": ["BEGIN; SELECT outbox.uninstall(execute => true); DROP EXTENSION outbox_ext; COMMIT"],
    "drop and create": [f"BEGIN; DROP EXTENSION outbox_ext CASCADE; {DROP_VIEWS}; CREATE EXTENSION outbox_ext; COMMIT"],
    "drop and roll back": ["BEGIN; DROP EXTENSION outbox_ext CASCADE; ROLLBACK"],
}


def install(with_kept):
    """One contract per transaction, as the documentation says it of busy systems."""
    return ["SET ROLE hammer_owner; CREATE EXTENSION IF NOT EXISTS outbox_ext; RESET ROLE",
            "SELECT outbox.create_code_map('v', '{\"1\": \"one\"}')", *(KEPT.values() if with_kept else []), *CONTRACTS.values()]


def drop_commands():
    """One after the other: installed, used for a moment, dropped in one of the ways."""
    def cycle(how):
        return lambda rng: [
            f"BEGIN; DROP EXTENSION IF EXISTS outbox_ext CASCADE; {DROP_VIEWS}; COMMIT", *install(False),
            "SELECT outbox.create_sink('drain', library => 'outbox_log')", "SELECT outbox.start_relay('drain')",
            f"SELECT pg_sleep({rng.random() * 0.2})", *DROPS[how]]

    return {f"how: {how}": cycle(how) for how in DROPS}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dsn", required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--mode", choices=["stay", "drop"], required=True)
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--writers", type=int, default=4)
    arguments = parser.parse_args()
    hammer = Hammer(arguments)

    with hammer.connect("setup") as setup:
        setup.execute(TABLES)
        for number in range(arguments.writers):
            setup.execute(f"INSERT INTO head SELECT {number * 1000} + i, 0 FROM generate_series(0, 4) i")
        for statement in install(arguments.mode == "stay"):
            setup.execute(statement)
    writers = [Writer(hammer, number) for number in range(arguments.writers)]
    if arguments.mode == "stay":
        dbas = [Dba(hammer, 0, contract_commands(sorted(CONTRACTS))), Dba(hammer, 1, outbox_commands()),
                Dba(hammer, 2, {**outbox_commands(), **contract_commands(sorted(CONTRACTS))})]
    else:
        dbas = [Dba(hammer, 0, drop_commands()), Dba(hammer, 1, {**outbox_commands(), **contract_commands(sorted(CONTRACTS))}, 1)]
    for thread in writers + dbas:
        thread.start()
    hammer.stop.wait(arguments.seconds)
    hammer.stop.set()
    for thread in writers + dbas:
        thread.join()

    with hammer.connect("check") as check:
        rows = check.execute("SELECT count(*) FROM ledger").fetchone()[0]
    if rows != sum(writer.committed for writer in writers):
        hammer.failures.append(f"the ledger has {rows} rows, but {sum(writer.committed for writer in writers)} were committed")
    for (what, outcome), count in sorted(hammer.outcomes.items()):
        print(f"{what}: {outcome}: {count}")
    for failure in hammer.failures:
        print(f"FAILED {failure}", file=sys.stderr)
    return 1 if hammer.failures else 0


if __name__ == "__main__":
    sys.exit(main())
