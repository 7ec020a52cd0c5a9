"""A relay as teams write it: a table is emptied in batches, each batch is flushed to Kafka before its transaction ends.

  poller.py TOPIC TABLE     connection from PGHOST, ...; broker from KAFKA_BROKER; ends with SIGTERM
"""
import os
import sys
import threading

import psycopg
from confluent_kafka import Producer

BATCH = 1000
IDLE_SECONDS = 0.05
TAKE = """
DELETE FROM {table} WHERE id IN (SELECT id FROM {table} ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED)
RETURNING id, aggregateid, type, payload::text"""


def main():
    topic, table = sys.argv[1:]
    producer = Producer({"bootstrap.servers": os.environ["KAFKA_BROKER"], "enable.idempotence": True, "acks": "all",
                         "compression.type": "lz4", "linger.ms": 5})
    idle = threading.Event()
    take = TAKE.format(table=table)
    with psycopg.connect() as conn:
        while True:
            rows = conn.execute(take, [BATCH]).fetchall()
            for number, key, kind, payload in sorted(rows):
                producer.produce(topic, key=key, value=payload, headers=[("id", str(number)), ("type", kind)])
            if producer.flush() > 0:
                raise SystemExit("not everything was delivered")
            conn.commit()
            if len(rows) < BATCH and idle.wait(IDLE_SECONDS if not rows else 0):
                return


main()
