"""Who is compared in peers.py: how each captures the inserts of legacy.orders and brings them to a topic."""
import json
import os
import pathlib
import subprocess
import sys

import common
import kafka_topics

PEERS = common.TOP / "bench" / "peers"


class Contender:
    """One way from a table to Kafka, in a database of its own."""
    name = about = ""
    server = {}     # keywords for a connection to its server

    def __init__(self, database, topic, folder):
        self.database, self.topic, self.folder, self.process = database, topic, folder, None

    def connect(self):
        return common.connect(self.database, **self.server)

    def capture(self, conn):
        """Creates the trigger on legacy.orders."""

    def start(self):
        """Starts what publishes."""

    def run(self, *command, cwd=None, env=None):
        with open(self.folder / f"{self.name}.log", "ab") as log:
            self.process = subprocess.Popen([str(part) for part in command], stdout=log, stderr=log, cwd=cwd or self.folder,
                                            env={**os.environ, "PGDATABASE": self.database, **(env or {})})

    def stop(self):
        if self.process is not None:
            self.process.terminate()
            self.process.wait(60)
            self.process = None

    def check(self):
        if self.process is not None and self.process.poll() is not None:
            log = (self.folder / f"{self.name}.log").read_text(errors="replace")
            raise SystemExit(f"{self.about} ended:\n{log[-3000:]}")

    def own_pid(self):
        """The process outside the server."""
        return self.process.pid if self.process else None

    def memory_pid(self, _conn):
        return self.own_pid()

    def left(self, conn):
        """(rows that wait for vacuum, bytes of the outbox) after all was published."""
        return left_by(conn, "false")


def left_by(conn, condition):
    return conn.execute("SELECT coalesce(sum(pg_stat_get_dead_tuples(oid)), 0)::bigint, coalesce(sum(pg_total_relation_size(oid)), 0)::bigint "
                        "FROM pg_class WHERE relkind = 'r' AND " + condition).fetchone()


class NoCapture(Contender):
    name, about = "none", "no capture, no relay"


class Outbox(Contender):
    name, about = "outbox", "outbox_ext"
    headers = "cloudevents"

    def capture(self, conn):
        conn.execute("CREATE EXTENSION outbox_ext; CREATE SCHEMA canonical")
        common.create_contract(conn, "orders", topic=self.topic)
        options = json.dumps({"bootstrap.servers": kafka_topics.BROKER, "headers": self.headers})
        conn.execute("SELECT outbox.create_sink('kafka', library => 'outbox_kafka', options => %s)", [options])

    def start(self):
        with self.connect() as conn:
            conn.execute("SELECT outbox.start_relay('kafka')")

    def stop(self):
        with self.connect() as conn:
            conn.execute("SELECT outbox.stop_relay('kafka')")
            common.poll(lambda: common.scalar(conn, "SELECT pid IS NULL FROM outbox_internal.relay_report() WHERE sink = 'kafka'"), 30,
                        "the relay does not stop")

    def memory_pid(self, conn):
        return common.scalar(conn, "SELECT pid FROM outbox_internal.relay_report() WHERE sink = 'kafka'")

    def left(self, conn):
        return left_by(conn, "relnamespace = 'outbox_internal'::regnamespace")


class OutboxMinimal(Outbox):
    """With as many headers as the peers send: a header costs more than anything else about a message."""
    name, about, headers = "outbox_minimal", "outbox_ext, id and type as headers", "minimal"


class Poller(Contender):
    name, about = "poller", "PL/pgSQL trigger + Python relay"
    table = "legacy.outbox_orders"

    def capture(self, conn):
        common.create_plpgsql(conn, "orders")

    def start(self):
        self.run(sys.executable, PEERS / "poller.py", self.topic, self.table)

    def left(self, conn):
        return left_by(conn, "relnamespace = 'legacy'::regnamespace AND relname ~ 'outbox'")


class Pgq(Contender):
    name, about = "pgq", "PGQ + Python consumer"

    def capture(self, conn):
        document = (common.SQL / "document_plain.sql").read_text()
        common.run_sql_file(conn, "pgq.sql", document="\n" + document.rstrip("\n"))

    def start(self):
        self.run(sys.executable, PEERS / "pgq_relay.py", self.topic, "bench", "relay")

    def left(self, conn):
        return left_by(conn, "relnamespace = 'pgq'::regnamespace")


class Debezium(Contender):
    name, about = "debezium", "Debezium Server, outbox table"
    home = os.environ.get("DEBEZIUM_HOME", "")
    java = os.environ.get("DEBEZIUM_JAVA_HOME", "")

    # the only server with wal_level = logical
    server = {"host": os.environ.get("LOGICAL_HOST"), "port": os.environ.get("LOGICAL_PORT")}

    def capture(self, conn):
        common.create_plpgsql(conn, "orders", key="uuid DEFAULT gen_random_uuid()")
        conn.execute("CREATE PUBLICATION to_debezium FOR TABLE legacy.outbox_orders")
        conn.execute("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", [self.database])

    def start(self):
        folder, home = self.folder / self.database, pathlib.Path(self.home)
        (folder / "config").mkdir(parents=True)
        for entry in home.iterdir():
            if entry.name != "config":
                (folder / entry.name).symlink_to(entry)
        text = (PEERS / "debezium.properties").read_text()
        for name, value in {"broker": kafka_topics.BROKER, "folder": folder, "port": self.server["port"], "database": self.database,
                            "slot": self.database, "topic": self.topic, "http_port": os.environ["DEBEZIUM_HTTP_PORT"]}.items():
            text = text.replace("{" + name + "}", str(value))
        (folder / "config" / "application.properties").write_text(text)
        # the script ends with exec: the process is the JVM
        self.run("bash", "run.sh", cwd=folder, env={"JAVA_HOME": self.java, "JAVA_OPTS": "-Xmx1g"})

    def stop(self):
        super().stop()
        with self.connect() as conn:
            common.poll(lambda: not common.scalar(conn, "SELECT active FROM pg_replication_slots WHERE slot_name = %s", [self.database]),
                        60, "the replication slot stays in use")
            conn.execute("SELECT pg_drop_replication_slot(%s)", [self.database])

    def left(self, conn):
        return left_by(conn, "relnamespace = 'legacy'::regnamespace AND relname ~ 'outbox'")
