"""Kafka's side of crash_soak.py: topics, and what a consumer finds in them, in the form of the fault sink."""
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

PARTITIONS = 4
# C3 01 and the fingerprint of the schema: single-object encoding
FRAME = 10


def create_topics(broker, topics):
    admin = AdminClient({"bootstrap.servers": broker})
    for future in admin.create_topics([NewTopic(topic, PARTITIONS, 1) for topic in topics]).values():
        future.result(60)


def dump(broker, topics, types, path):
    """Every message of the topics, one partition after the other: the order of a key is that of its partition."""
    consumer = Consumer({"bootstrap.servers": broker, "group.id": "judge", "enable.auto.commit": False, "enable.partition.eof": False})
    with open(path, "w", encoding="ascii") as out:
        for topic in topics:
            for number in range(PARTITIONS):
                partition = TopicPartition(topic, number, OFFSET_BEGINNING)
                _, end = consumer.get_watermark_offsets(partition, timeout=30)
                consumer.assign([partition])
                position = 0
                while position < end:
                    for message in consumer.consume(min(10000, end - position), 10):
                        if message.error():
                            raise SystemExit(f"{topic}/{number}: {message.error()}")
                        position = message.offset() + 1
                        out.write(line(message, types))
    consumer.close()


def line(message, types):
    headers = {name: (value or b"").decode() for name, value in message.headers() or []}
    value = message.value()
    assert value[:2] == b"\xc3\x01", "no single-object encoding"
    return "\t".join(["0", headers["ce_id"], message.key().decode(), types.get(headers["ce_type"], "?"), "value", "0", "", "", "0", "0", message.topic(), "0",
                      value[FRAME:].hex()]) + "\n"
