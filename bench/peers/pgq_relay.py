"""A PGQ consumer that publishes to Kafka, with the ticker beside it; batches are read through a cursor.

  pgq_relay.py TOPIC QUEUE CONSUMER     connection from PGHOST, ...; broker from KAFKA_BROKER; ends with SIGTERM
"""
import os
import sys
import threading

import psycopg
from confluent_kafka import Producer

TICK_SECONDS = 0.1
LOOK_SECONDS = 0.01
FETCH = 10000


def tick(queue, stop):
    """What pgqd does with ticker_period = 0.1; its rotation is left to the end."""
    with psycopg.connect(autocommit=True) as conn:
        while not stop.wait(TICK_SECONDS):
            conn.execute("SELECT pgq.ticker(%s)", [queue])


def publish(conn, producer, topic, batch):
    events = conn.execute("SELECT * FROM pgq.get_batch_cursor(%s, 'batch', %s)", [batch, FETCH]).fetchall()
    while events:
        for number, _, _, _, kind, data, key, *_ in events:
            while True:
                try:
                    producer.produce(topic, key=key, value=data, headers=[("id", str(number)), ("type", kind)])
                    break
                except BufferError:
                    producer.poll(0.01)
        producer.poll(0)
        events = conn.execute(f"FETCH {FETCH} FROM batch").fetchall() if len(events) == FETCH else []
    if producer.flush() > 0:
        raise SystemExit("not everything was delivered")


def main():
    topic, queue, consumer = sys.argv[1:]
    producer = Producer({"bootstrap.servers": os.environ["KAFKA_BROKER"], "enable.idempotence": True, "acks": "all",
                         "compression.type": "lz4", "linger.ms": 5})
    stop = threading.Event()
    threading.Thread(target=tick, args=(queue, stop), daemon=True).start()
    with psycopg.connect() as conn:
        while True:
            batch = conn.execute("SELECT pgq.next_batch(%s, %s)", [queue, consumer]).fetchone()[0]
            if batch is not None:
                publish(conn, producer, topic, batch)
                conn.execute("SELECT pgq.finish_batch(%s)", [batch])
            conn.commit()
            if batch is None:
                stop.wait(LOOK_SECONDS)


main()
