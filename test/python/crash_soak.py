"""Kills a server that publishes, again and again, while an application writes; then says what got lost.

  crash_soak.py DIR [--kills 200] [--events 1000000] [--seed N] [--writers 4] [--kafka HOST:PORT]

DIR is empty and the user's own; PATH has PostgreSQL's programs with outbox_ext and outbox_fault installed. A kill is
SIGKILL to the relay, the launcher, a backend, any other process of the server, or the postmaster, or an immediate
shutdown; between kills the two sinks misbehave, and each start of the postmaster has other settings. With --kafka the sink
is the real one, and what a consumer reads from its topics is judged; with --proxy, too, the proxy (kafka_proxy.py, its
rules in DIR/rules) answers batches with errors of a broker. Everything random
follows from the seed, which is printed; the timing of processes does not, so a seed repeats the plan, not the run.
Ends when there were enough kills and enough events; crash_check.py has the last word.
"""
import argparse
import collections
import json
import logging
import os
import pathlib
import random
import signal
import subprocess
import sys
import threading
import time

import psycopg

import crash_check
import crash_kafka

KEYS = 5000
TOPICS = ["accounts", "ledger"]
SINKS = ["first", "second"]
PREPARED_KEYS = range(100001, 100021)
VICTIMS = {"relay": 35, "launcher": 8, "backend": 20, "other": 7, "postmaster": 15, "immediate": 15}
TITLES = {"relay": "outbox relay", "launcher": "outbox launcher", "backend": " soak "}
START_SECONDS = 60
DRAIN_SECONDS = 300
# What a broker says for a moment, and of its state of a producer; of a topic, which is then tried again after pauses that grow.
# None of it is the fault of a record.
PASSING = [3, 5, 6, 7, 19, 20, 45, 47, 56, 59]
BLOCKING = [2, 29, 32]


class Server:
    """A cluster in a directory of its own, and its processes."""

    def __init__(self, folder, rng):
        self.folder, self.data, self.rng = folder, folder / "data", rng
        self.dsn = f"host={folder} port=5432 user=postgres dbname=soak connect_timeout=10"
        subprocess.run(["initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"],
                       check=True, stdout=subprocess.DEVNULL)
        settings = {"listen_addresses": "''", "unix_socket_directories": f"'{folder}'", "port": 5432,
                    "shared_preload_libraries": "outbox_ext", "outbox.sink_libraries": "'outbox_fault, outbox_kafka'",
                    # what a killed process has written survives it; only a machine that dies asks for more
                    "fsync": "off", "max_prepared_transactions": 40, "max_wal_size": "2GB", "log_line_prefix": "'%m [%p] %b '",
                    "deadlock_timeout": "100ms", "restart_after_crash": "on"}
        with open(self.data / "postgresql.conf", "a", encoding="ascii") as file:
            file.writelines(f"{name} = {value}\n" for name, value in settings.items())

    def start(self):
        """With settings of its own each time. Orphans of a killed postmaster may still hold the shared memory."""
        pick = self.rng.choice
        options = {"wal_writer_delay": pick(["10ms", "200ms", "10s"]), "outbox.ring_size": pick([64, 1024, 65536]),
                   "outbox.max_sorted_events": pick([2000, 1048576]), "outbox.max_in_flight": pick([50, 2000, 65536]),
                   "outbox.poll_interval": pick(["50ms", "1s"]), "outbox.leaf_size": pick(["64kB", "1MB", "1GB"]),
                   "outbox.leaf_age": pick(["1s", "1d"]), "outbox.max_leaves": pick([4, 100]), "outbox.retention": pick(["0", "0", "5s"]), "shared_buffers": pick(["8MB", "64MB"])}
        command = ["pg_ctl", "-D", self.data, "-l", self.folder / "log", "-w", "-s", "-t", str(START_SECONDS), "start",
                   "-o", " ".join(f"-c {name}={value}" for name, value in options.items())]
        until(START_SECONDS, lambda: subprocess.run(command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0,
              "the server does not start")

    def stop(self, mode):
        subprocess.run(["pg_ctl", "-D", self.data, "-m", mode, "-w", "-s", "-t", str(START_SECONDS), "stop"], check=True)

    def postmaster(self):
        return int((self.data / "postmaster.pid").read_text(encoding="ascii").split()[0])

    def children(self):
        """(process id, title) of what the postmaster has started."""
        postmaster = self.postmaster()
        found = []
        for pid in pathlib.Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text(encoding="ascii").split():
            try:
                title = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            found.append((int(pid), title))
        return found

    def pick(self, victim):
        """A process to kill; None: there is none of that kind just now."""
        if victim == "other":
            pids = [pid for pid, title in self.children() if not any(t in title for t in TITLES.values())]
        else:
            pids = [pid for pid, title in self.children() if TITLES[victim] in title]
        return self.rng.choice(pids) if pids else None

    def kill(self, victim):
        """False: nobody was there to be killed."""
        if victim == "immediate":
            self.stop("immediate")
            self.start()
            return True
        pid = self.postmaster() if victim == "postmaster" else self.pick(victim)
        if pid is None:
            return False
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return False
        until(START_SECONDS, lambda: not alive(pid), f"process {pid} does not end")
        if victim == "postmaster":
            self.start()
        return True

    def connect(self, seconds=START_SECONDS):
        """Waits for a server that recovers."""
        made = []

        def attempt():
            try:
                made.append(psycopg.connect(self.dsn, autocommit=True))
            except psycopg.OperationalError:
                return False
            return True
        until(seconds, attempt, "the server does not answer")
        return made[0]

    def ask(self, query):
        """One value; asked again when the server goes away meanwhile."""
        while True:
            try:
                with self.connect() as conn:
                    return conn.execute(query).fetchone()[0]
            except psycopg.OperationalError:
                continue


def until(seconds, condition, what):
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"time is up: {what}")
        pause.wait(0.02)


def alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


class Writer(threading.Thread):
    """A client of the application, which goes on after every crash."""

    def __init__(self, server, seed, stop):
        super().__init__(daemon=True)
        self.server, self.rng, self.stop, self.failure = server, random.Random(seed), stop, None

    def run(self):
        while not self.stop.is_set():
            try:
                with psycopg.connect(self.server.dsn, autocommit=True) as conn:
                    conn.execute("SET lock_timeout = '200ms'")
                    while not self.stop.is_set():
                        try:
                            self.transaction(conn)
                        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
                            conn.execute("ROLLBACK")
            except (psycopg.OperationalError, psycopg.InterfaceError):
                self.stop.wait(0.1)
            except Exception as error:  # pylint: disable=broad-except
                # an error that no crash explains is a finding
                self.failure = error
                return

    def keys(self, most):
        return self.rng.sample(range(1, KEYS + 1), self.rng.randint(1, most))

    def transaction(self, conn):
        what = self.rng.random()
        if self.rng.random() < 0.5:
            conn.execute(f"SET synchronous_commit = {self.rng.choice(['on', 'off', 'off'])}")
        if what < 0.45:
            conn.execute("SELECT app.change(%s)", [self.keys(1)])
        elif what < 0.75:
            conn.execute("SELECT app.change(%s)", [self.keys(40)])
        elif what < 0.80:
            conn.execute("SELECT app.close(%s)", self.keys(1))
        elif what < 0.82:
            conn.execute("SELECT app.change(%s)", [self.keys(KEYS)])
        else:
            self.several(conn)

    def several(self, conn):
        """Savepoints, some rolled back; sometimes all of it is."""
        with conn.transaction(force_rollback=self.rng.random() < 0.1):
            for _ in range(self.rng.randint(1, 4)):
                conn.execute("SELECT app.change(%s)", [self.keys(10)])
                with conn.transaction(force_rollback=self.rng.random() < 0.4):
                    conn.execute("SELECT app.change(%s)", [self.keys(10)])


class Preparer(Writer):
    """Transactions that are prepared, and ended much later, over crashes and restarts."""

    def transaction(self, conn):
        if self.rng.random() < 0.5:
            conn.execute("BEGIN")
            conn.execute("SELECT app.change(%s)", [self.rng.sample(PREPARED_KEYS, 3)])
            conn.execute(f"PREPARE TRANSACTION 'p{self.rng.getrandbits(60)}'")
        else:
            self.stop.wait(self.rng.random())
            for (name,) in conn.execute("SELECT gid FROM pg_prepared_xacts").fetchall():
                if self.rng.random() < 0.3:
                    conn.execute(f"{'ROLLBACK' if self.rng.random() < 0.2 else 'COMMIT'} PREPARED '{name}'")


class Soak:
    def __init__(self, options, folder):
        self.options, self.folder = options, folder
        self.rng = random.Random(options.seed)
        self.server = Server(folder, self.rng)
        self.killed = collections.Counter()
        self.facts = {}
        self.sinks = SINKS if options.kafka is None else SINKS[:1]
        self.stop = threading.Event()
        self.writers = []

    def control(self, sink, **faults):
        """What the sink does wrong from now on."""
        new = self.folder / "control.new"
        new.write_text("".join(f"{name}={value}\n" for name, value in faults.items()), encoding="ascii")
        new.rename(self.folder / f"control.{sink}")

    def fail_batches(self, calm=False):
        """What the proxy does from now on."""
        rng, rules = self.rng, []
        if not calm and rng.random() < 0.7:
            rules = [{"code": code, "batch": rng.choice([0, 1, 2]), "times": 0, "chance": rng.choice([0.01, 0.1, 0.3]), "delay": rng.choice([0, 0.02, 0.2])}
                     for code in rng.sample(PASSING, 3) + rng.sample(BLOCKING, rng.random() < 0.1)]
        new = self.folder / "rules.new"
        new.write_text(json.dumps(rules), encoding="ascii")
        new.rename(self.folder / "rules")

    def misbehave(self, sink):
        if self.options.proxy is not None:
            self.fail_batches()
        rng, faults = self.rng, {}
        if rng.random() < 0.5:
            faults["capacity"] = rng.choice([1, 20, 500, 5000])
        if rng.random() < 0.3:
            faults["delay_ms"] = rng.choice([1, 5, 30])
        if rng.random() < 0.2:
            faults["reverse"] = 1
        if rng.random() < 0.15:
            faults[rng.choice(["raise_after", "retry_after"])] = rng.choice([1, 100, 3000])
        if rng.random() < 0.05:
            faults["down"] = 1
        self.control(sink, **faults)

    def set_up(self):
        self.server.start()
        subprocess.run(["createdb", "-h", self.folder, "-p", "5432", "-U", "postgres", "soak"], check=True)
        with self.server.connect() as conn:
            conn.execute(pathlib.Path(__file__).with_suffix(".sql").read_text(encoding="utf-8"))
            conn.execute("INSERT INTO app.tally SELECT i, 0 FROM generate_series(1, %s) i", [KEYS])
            conn.execute("INSERT INTO app.tally SELECT unnest(%s::int[]), 0", [list(PREPARED_KEYS)])
            conn.execute("SELECT outbox.enable('ledger')")
            if self.options.kafka is not None:
                crash_kafka.create_topics(self.options.kafka, TOPICS)
            for sink in self.sinks:
                library, settings = "outbox_fault", {"file": str(self.folder / f"broker.{sink}"),
                                                     "control": str(self.folder / f"control.{sink}"), "payloads": "true"}
                if self.options.kafka is not None:
                    library, settings = "outbox_kafka", {"bootstrap.servers": self.options.proxy or self.options.kafka}
                conn.execute("SELECT outbox.create_sink(%s, library => %s, options => %s)", [sink, library, json.dumps(settings)])
                conn.execute("SELECT outbox.start_relay(%s)", [sink])
        kinds = [Writer] * self.options.writers + [Preparer]
        self.writers = [kind(self.server, self.rng.getrandbits(64), self.stop) for kind in kinds]
        for writer in self.writers:
            writer.start()

    def captured(self):
        """Events of the contract that is evaluated per row; those of the other would take longer and longer to count."""
        return int(self.server.ask("SELECT (SELECT sum(version) FROM app.tally) + (SELECT count(*) FROM app.deletion)"))

    def storm(self):
        """Kills until there were enough kills and enough events."""
        started = time.monotonic()
        captured = said = 0
        while sum(self.killed.values()) < self.options.kills or captured < self.options.events:
            for sink in self.sinks:
                self.misbehave(sink)
            self.stop.wait(self.rng.choice([0.02, 0.3, 1.0]) * self.rng.random() + self.rng.random() * self.options.pause)
            if sum(self.killed.values()) < self.options.kills:
                victim = self.rng.choices(list(VICTIMS), VICTIMS.values())[0]
                if self.server.kill(victim):
                    self.killed[victim] += 1
            captured = self.captured()
            done = sum(self.killed.values())
            if done % 10 == 0 and done > said:
                said = done
                print(f"{time.monotonic() - started:6.0f} s  {done} kills  {captured} events", file=sys.stderr, flush=True)
            for writer in self.writers:
                if writer.failure is not None:
                    raise SystemExit(f"a writer failed: {writer.failure!r}")

    def calm(self):
        """No more writes; everything that is committed shall arrive."""
        self.stop.set()
        for writer in self.writers:
            writer.join(START_SECONDS)
        for sink in self.sinks:
            self.control(sink)
        if self.options.proxy is not None:
            self.fail_batches(calm=True)
        with self.server.connect() as conn:
            for (name,) in conn.execute("SELECT gid FROM pg_prepared_xacts").fetchall():
                conn.execute(f"COMMIT PREPARED '{name}'")
            # COMMIT PREPARED wakes no relay and counts as pending only when one looks: what wakes it comes after
            conn.execute("SELECT app.change(ARRAY[1])")
        pending = "SELECT max(pending) FROM outbox.status WHERE kind = 'sink'"
        deadline = time.monotonic() + DRAIN_SECONDS
        while self.server.ask(pending) > 0 and time.monotonic() < deadline:
            threading.Event().wait(0.1)
        print(f"{DRAIN_SECONDS - deadline + time.monotonic():6.0f} s  until everything was published", file=sys.stderr, flush=True)
        with self.server.connect() as conn:
            truth = conn.execute("SELECT key, version, '' FROM app.tally UNION ALL SELECT key, version, 'deleted' FROM app.deletion "
                                 "UNION ALL SELECT key, max(version), 'committed' FROM app.change GROUP BY xid, key")
            with open(self.folder / "truth", "w", encoding="ascii") as file:
                file.writelines(f"{key} {version} {what}\n" for key, version, what in truth)
            schemas = dict(conn.execute("SELECT event_type, schema FROM outbox.event_schema").fetchall())
            (self.folder / "schemas").write_text(json.dumps(schemas), encoding="utf-8")
            types = dict(conn.execute("SELECT ce_type, event_type FROM outbox.event_schema").fetchall())
            self.facts["dead_letters"] = conn.execute("SELECT count(*) FROM outbox.dead_letter").fetchone()[0]
            self.facts["gaps"] = conn.execute("SELECT count(*) FROM outbox.gap").fetchone()[0]
            self.facts["emptied_leaves"] = int(conn.execute("SELECT sum(leaf_generation - 1) FROM outbox.leaf").fetchone()[0])
        self.server.stop("fast")
        # what the count of a complete leaf finds missing was lost before
        self.facts["rescues"] = (self.folder / "log").read_text(errors="replace").count("sinks have not acknowledged all events of leaf")
        if self.options.kafka is not None:
            crash_kafka.dump(self.options.kafka, TOPICS, types, self.folder / f"broker.{self.sinks[0]}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dir", type=pathlib.Path)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--events", type=int, default=1000000)
    parser.add_argument("--writers", type=int, default=4)
    parser.add_argument("--pause", type=float, default=1.0, help="longest additional time between kills, seconds")
    parser.add_argument("--kafka", help="HOST:PORT of a broker")
    parser.add_argument("--proxy", help="HOST:PORT of kafka_proxy.py in front of it")
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args()
    if options.seed is None:
        options.seed = random.SystemRandom().getrandbits(32)
    print(f"crash soak: seed {options.seed}, {options.kills} kills, {options.events} events", flush=True)

    # connections that break are what this is about
    logging.getLogger("psycopg").setLevel(logging.CRITICAL)
    soak = Soak(options, options.dir)
    soak.set_up()
    try:
        soak.storm()
        soak.calm()
    except BaseException:
        soak.stop.set()
        subprocess.run(["pg_ctl", "-D", soak.server.data, "-m", "immediate", "-s", "stop"], check=False, stderr=subprocess.DEVNULL)
        raise
    fine = not any(soak.facts[name] for name in ("dead_letters", "gaps", "rescues"))
    kinds = ", ".join(f"{name} {soak.killed[name]}" for name in VICTIMS)
    facts = " ".join(f"{name}={value}" for name, value in soak.facts.items())
    print(f"crash soak: seed={options.seed} kills={sum(soak.killed.values())} ({kinds}) {facts}")
    for sink in soak.sinks:
        good, line = crash_check.check(options.dir / f"broker.{sink}", options.dir / "truth", options.dir / "schemas")
        print(f"crash soak: sink={sink} {line}")
        fine = fine and good
    sys.exit(0 if fine else 1)


if __name__ == "__main__":
    main()
