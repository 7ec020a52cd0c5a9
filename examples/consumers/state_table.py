"""Keeps a table of the newest state of each key, from topics that outbox_ext publishes.

docs/consumers.md explains the rules; each is named where the code keeps it. State and offsets are written to
one SQLite file in one transaction, so the program may be killed at any moment and started again.

    pip install confluent-kafka fastavro
    python state_table.py --bootstrap broker:9092 --registry http://registry:8081 \
        --topics crm.customers --deleted shop.customer.customerdeleted --database customers.db

With --once it stops at the present ends of the partitions and prints the state, a JSON object per line.
"""
import argparse
import datetime
import io
import json
import sqlite3
import urllib.request

import fastavro
from confluent_kafka import Consumer, KafkaException, TopicPartition

TABLES = """
CREATE TABLE IF NOT EXISTS state (
    topic text, key text, sequence text NOT NULL,
    row text,                                       -- JSON; NULL: the row is gone, its sequence is kept
    PRIMARY KEY (topic, key));
CREATE TABLE IF NOT EXISTS seen (id text PRIMARY KEY, type text NOT NULL);
CREATE TABLE IF NOT EXISTS position (topic text, partition int, next int NOT NULL, PRIMARY KEY (topic, partition));
"""


class Schemas:
    """Writers' schemas by their number in the registry. A number never changes its meaning, so each is asked for once."""

    def __init__(self, registry):
        self.registry = registry.rstrip("/")
        self.parsed = {}

    def get(self, number):
        if number not in self.parsed:
            with urllib.request.urlopen(f"{self.registry}/schemas/ids/{number}", timeout=30) as answer:
                self.parsed[number] = fastavro.parse_schema(json.loads(json.load(answer)["schema"]))
        return self.parsed[number]

    def decode(self, value):
        """Confluent framing: a zero byte, the schema's number in four bytes, the Avro record."""
        if value[:1] != b"\x00":
            raise ValueError("not Confluent framing: does the sink have a schema.registry.url?")
        return fastavro.schemaless_reader(io.BytesIO(value[5:]), self.get(int.from_bytes(value[1:5], "big")), None)


def plain(value):
    """JSON knows no decimals, instants or bytes: exact text for each. Never float for a decimal."""
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    return str(value)


def apply(db, message, schemas, deleted):
    """One message: the state of its key afterwards is the same however often and however late the message comes."""
    headers = {name: value.decode() for name, value in message.headers() or []}
    place = (message.topic(), (message.key() or b"").decode())

    # Superseded: the event that came before this one says how the row is now.
    if headers.get("ce_superseded") == "true":
        return
    # Older than what is known: a duplicate, a replay, or a redriven event that others of its key overtook.
    # An equal sequence is the same event, or the tombstone that follows it.
    known = db.execute("SELECT sequence FROM state WHERE topic = ? AND key = ?", place).fetchone()
    if known and headers["ce_sequence"] < known[0]:
        return
    # A null value (tombstone) and an event of a deleted row take the row away. The sequence stays, so that an
    # older event does not bring the row back.
    if message.value() is None or headers["ce_type"] in deleted:
        row = None
    else:
        row = json.dumps(schemas.decode(message.value()), default=plain)
    db.execute("INSERT INTO state VALUES (?, ?, ?, ?) ON CONFLICT (topic, key) "
               "DO UPDATE SET sequence = excluded.sequence, row = excluded.row", (*place, headers["ce_sequence"], row))


def count(db, message):
    """What must happen once per event (a mail, a booking) needs the ids that were seen. A tombstone is no event of its own."""
    headers = {name: value.decode() for name, value in message.headers() or []}
    if message.value() is not None:
        db.execute("INSERT INTO seen VALUES (?, ?) ON CONFLICT DO NOTHING", (headers["ce_id"], headers["ce_type"]))


def assign(consumer, db, topics):
    """Every partition, from where the database stands. Returns the ends that they have now."""
    ends = {}
    partitions = []
    for topic in topics:
        for number in consumer.list_topics(topic, timeout=30).topics[topic].partitions:
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=30)
            stored = db.execute("SELECT next FROM position WHERE topic = ? AND partition = ?", (topic, number)).fetchone()
            start = max(low, stored[0] if stored else 0)
            partitions.append(TopicPartition(topic, number, start))
            if start < high:
                ends[topic, number] = high
    consumer.assign(partitions)
    return ends


def run(options):
    db = sqlite3.connect(options.database)
    db.executescript(TABLES)
    schemas = Schemas(options.registry)
    consumer = Consumer({"bootstrap.servers": options.bootstrap, "group.id": "state-table", "enable.auto.commit": False,
                         "auto.offset.reset": "earliest"})
    ends = assign(consumer, db, options.topics.split(","))
    done = 0
    while (ends or not options.once) and done != options.max_messages:
        message = consumer.poll(1.0)
        if message is None:
            continue
        if message.error():
            raise KafkaException(message.error())
        # State and position in one transaction: neither is ahead of the other after a crash.
        with db:
            apply(db, message, schemas, set(options.deleted.split(",")))
            count(db, message)
            db.execute("INSERT INTO position VALUES (?, ?, ?) ON CONFLICT (topic, partition) DO UPDATE SET next = excluded.next",
                       (message.topic(), message.partition(), message.offset() + 1))
        done += 1
        if message.offset() + 1 >= ends.get((message.topic(), message.partition()), message.offset() + 2):
            del ends[message.topic(), message.partition()]
    consumer.close()
    return db


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--registry", required=True)
    parser.add_argument("--topics", required=True, help="separated by commas")
    parser.add_argument("--deleted", default="", help="ce_type of the events that say that a row is gone, separated by commas")
    parser.add_argument("--database", default=":memory:")
    parser.add_argument("--once", action="store_true", help="stop at the present ends, and print the state")
    parser.add_argument("--max-messages", type=int, default=-1, help="stop after so many")
    options = parser.parse_args()

    db = run(options)
    for topic, key, row in db.execute("SELECT topic, key, row FROM state WHERE row IS NOT NULL ORDER BY topic, key"):
        print(json.dumps({"topic": topic, "key": key, "row": json.loads(row)}))
    for kind, events in db.execute("SELECT type, count(*) FROM seen GROUP BY type ORDER BY type"):
        print(json.dumps({"type": kind, "events": events}))


if __name__ == "__main__":
    main()
