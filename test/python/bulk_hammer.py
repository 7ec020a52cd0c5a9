"""Bulk and small commits of the same aggregates at once, at random, and an oracle of their order.

  bulk_hammer.py --dsn ... [--seed N] [--transactions N]

Every session has a line of its own in every order of two aggregate types, so that no row lock orders
them: only the locks of the flush do. A transaction changes few or very many orders of one type or of
both; some are rolled back, in part or whole, some fail after their flush, and some sessions are
terminated on their way.

Then, key by key and in the order of seq: what an event says was before is what the event before it
left, the first one begins with what was there, and the last one leaves what the view shows. The number
of events of each transaction is that of the orders it changed. There is no dead letter: nobody waited
for somebody who waited for him.

Prints what it did; exits with 1 and the first thing that is wrong.
"""
import argparse
import collections
import random
import sys
import threading

import psycopg

TYPES = ("a", "b")
KEYS = 2500
BULK, SMALL = 3, 5
CONTRACT = """
CREATE TABLE hammer_{t} (id int PRIMARY KEY);
CREATE TABLE hammer_{t}_ln (id int, n int, qty int, PRIMARY KEY (id, n));
INSERT INTO hammer_{t} SELECT generate_series(1, {keys});
INSERT INTO hammer_{t}_ln SELECT id, n, 0 FROM hammer_{t}, generate_series(1, {sessions}) n;
ANALYZE hammer_{t}_ln;
CREATE VIEW hammer_{t}_v AS SELECT o.id, (SELECT string_agg(l.qty::text, ' ' ORDER BY n) FROM hammer_{t}_ln l WHERE l.id = o.id) AS state FROM hammer_{t} o;
SELECT outbox.create_contract('hammer_{t}', view => 'hammer_{t}_v', source => 'hammer_{t}', key => '{{id}}');
SELECT outbox.add_source('hammer_{t}', 'hammer_{t}_ln', key_query => 'row.id');
SELECT outbox.create_event_type('Hammered_{t}', contract => 'hammer_{t}', emit => 'changed', previous => '{{state}}');
SELECT outbox.enable('hammer_{t}');
"""

# small commits that read while a bulk one does, or came after it
PASSING = """
SELECT count(*) FROM (SELECT *, row_number() OVER () AS place FROM outbox.commit_queue()) q
WHERE state <> 'waiting' AND keys < 257 AND place > (SELECT min(place) FROM (SELECT *, row_number() OVER () AS place FROM outbox.commit_queue()) b WHERE keys IS NULL AND state <> 'waiting')
"""


class Session(threading.Thread):
    """One writer; it knows what it committed."""

    def __init__(self, dsn, number, bulk, transactions, seed):
        super().__init__(daemon=True)
        self.dsn, self.number, self.bulk, self.transactions = dsn, number, bulk, transactions
        self.rng = random.Random(f"{seed}/{number}")
        self.conn, self.counter, self.problem = None, 0, None
        self.did = collections.Counter()

    def connect(self):
        self.conn = psycopg.connect(self.dsn)
        # whoever waits for somebody who waits for him does not get away with it
        self.conn.execute("SET outbox.flush_timeout = '60s'")
        self.conn.commit()

    def change(self, kind, count):
        """Our lines of so many orders, a run of them or here and there; the value is new in every transaction."""
        if self.rng.random() < 0.5:
            first = self.rng.randint(1, KEYS - count + 1)
            keys = list(range(first, first + count))
        else:
            keys = self.rng.sample(range(1, KEYS + 1), count)
        self.conn.execute(f"UPDATE hammer_{kind}_ln SET qty = %s WHERE n = %s AND id = ANY (%s)", [self.counter, self.number, keys])

    def one(self):
        rng, self.counter = self.rng, self.counter + 1
        kinds = rng.choice([("a",), ("b",), ("a", "b"), ("b", "a")])
        for kind in kinds:
            many = self.bulk and rng.random() < 0.7
            self.change(kind, rng.randint(257, 900) if many else rng.randint(1, 5))
        if rng.random() < 0.15:
            self.conn.execute("SAVEPOINT s")
            self.change(rng.choice(TYPES), rng.choice([3, 300]) if self.bulk else 3)
            self.conn.execute("ROLLBACK TO s")
        end = rng.random()
        if end < 0.05:
            self.conn.rollback()
            self.did["rolled back"] += 1
            return
        if end < 0.12:
            self.conn.execute("SELECT hammer_execute_late('SELECT 1 / 0')")
        try:
            self.conn.commit()
            self.did["bulk" if self.bulk else "small"] += 1
        except psycopg.errors.DivisionByZero:
            self.conn.rollback()
            self.did["failed after the flush"] += 1

    def run(self):
        try:
            done = 0
            while done < self.transactions:
                try:
                    if self.conn is None or self.conn.closed:
                        self.connect()
                    self.one()
                    done += 1
                except psycopg.OperationalError:
                    self.did["terminated"] += 1
            self.conn.close()
        except Exception as problem:  # told by the main thread
            self.problem = problem


def disturb(conn, sessions, rng):
    """Terminates bulk sessions now and then, and counts those who pass; until all are done."""
    passing = 0
    while any(s.is_alive() for s in sessions):
        passing += conn.execute(PASSING).fetchone()[0]
        if rng.random() < 0.002:
            victim = rng.choice([s for s in sessions if s.bulk])
            if victim.is_alive() and victim.conn and not victim.conn.closed:
                conn.execute("SELECT pg_terminate_backend(%s)", [victim.conn.info.backend_pid])
    return passing


def fail(message):
    print(message)
    sys.exit(1)


def check(conn):
    events = 0
    for kind in TYPES:
        state, changed = {}, collections.Counter()
        initial = " ".join("0" * (BULK + SMALL))
        rows = conn.execute("SELECT seq, xid::text, aggregateid::int, payload->>'previous_state', payload->>'state' FROM outbox.event_json "
                            "WHERE contract = %s ORDER BY seq", [f"hammer_{kind}"]).fetchall()
        for seq, xid, key, before, after in rows:
            if before != state.get(key, initial):
                fail(f"{kind} {key}: event {seq} says that {before} was before; the event before it left {state.get(key, initial)}")
            # one transaction changes one line
            if sum(x != y for x, y in zip(before.split(), after.split())) != 1:
                fail(f"{kind} {key}: event {seq} of transaction {xid} is more than one change: {before} -> {after}")
            state[key] = after
            changed[xid] += 1
        for key, now in conn.execute(f"SELECT id, state FROM hammer_{kind}_v"):
            if state.get(key, initial) != now:
                fail(f"{kind} {key}: the last event leaves {state.get(key, initial)}, the table has {now}")
        events += len(rows)
        if max(changed.values()) <= 256 or min(changed.values()) > 5:
            fail("bulk and small commits were both expected")
    letters = conn.execute("SELECT stage, message, count(*), min(key::text) FROM outbox.dead_letter GROUP BY 1, 2").fetchall()
    if letters:
        fail(f"dead letters: {letters}")
    left = conn.execute("SELECT count(*) FROM outbox.commit_queue()").fetchone()[0]
    if left:
        fail(f"{left} locks are left")
    return events


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dsn", required=True)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--transactions", type=int, default=1500, help="of all sessions together")
    args = parser.parse_args()
    print(f"seed {args.seed}", flush=True)
    with psycopg.connect(args.dsn, autocommit=True) as conn:
        conn.execute("CREATE FUNCTION hammer_execute_late(command text) RETURNS void LANGUAGE c AS 'outbox_ext', 'outbox_test_execute_late'")
        for kind in TYPES:
            conn.execute(CONTRACT.format(t=kind, keys=KEYS, sessions=BULK + SMALL))
        # of ten transactions nine are small
        sessions = [Session(args.dsn, n + 1, n < BULK, args.transactions // (10 * BULK) if n < BULK else args.transactions * 9 // (10 * SMALL), args.seed)
                    for n in range(BULK + SMALL)]
        for session in sessions:
            session.start()
        passing = disturb(conn, sessions, random.Random(args.seed))
        did = collections.Counter()
        for session in sessions:
            if session.problem:
                fail(f"session {session.number}: {session.problem!r}")
            did.update(session.did)
        conn.execute("SELECT pg_stat_clear_snapshot()")
        events = check(conn)
        if passing == 0:
            fail("nobody was seen to pass a bulk commit")
    print(f"{events} events, {passing} times somebody was seen to pass; {dict(did)}")


main()
