"""Topics for the benchmarks: created anew for every run, counted afterwards."""
import os
import time

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

BROKER = os.environ["KAFKA_BROKER"]
PARTITIONS = 4


def recreate(topic):
    """The topic, empty. Deleting is finished in the background, so creating is tried until it succeeds."""
    admin = AdminClient({"bootstrap.servers": BROKER})
    if topic in admin.list_topics(timeout=30).topics:
        admin.delete_topics([topic])[topic].result(30)
    deadline = time.monotonic() + 60
    while True:
        try:
            admin.create_topics([NewTopic(topic, PARTITIONS, 1)])[topic].result(30)
            break
        except KafkaException:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
    while len(getattr(admin.list_topics(topic, timeout=30).topics[topic], "partitions", {})) < PARTITIONS:
        if time.monotonic() > deadline:
            raise SystemExit(f"topic {topic} has no partitions")
        time.sleep(0.1)


def messages(topic):
    """How many messages the broker holds."""
    consumer = Consumer({"bootstrap.servers": BROKER, "group.id": "bench"})
    try:
        offsets = [consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=30) for p in range(PARTITIONS)]
    finally:
        consumer.close()
    return sum(high - low for low, high in offsets)
