"""Topics for the benchmarks: created anew for every run, counted afterwards."""
import os
import time

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic

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


def forget_soon(topic):
    """The broker keeps little of it: for more messages than its disk should hold."""
    wanted = ConfigResource(ConfigResource.Type.TOPIC, topic, set_config={"retention.bytes": str(64 << 20), "segment.bytes": str(32 << 20)})
    admin = AdminClient({"bootstrap.servers": BROKER})
    admin.alter_configs([wanted])[wanted].result(30)


def produced(topic):
    """How many messages it has been given since it was created."""
    consumer = Consumer({"bootstrap.servers": BROKER, "group.id": "bench"})
    try:
        return sum(consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=30)[1] for p in range(PARTITIONS))
    finally:
        consumer.close()
