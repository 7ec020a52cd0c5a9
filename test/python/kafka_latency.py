"""How long messages of a topic take from the change to a consumer: kafka_latency.py BOOTSTRAP TOPIC SECONDS

Reads what arrives from now on, and prints JSON: n, p50, p99 and max in milliseconds, first copies only.
"""
import datetime
import json
import sys
import time

from confluent_kafka import OFFSET_END, Consumer, TopicPartition


def main():
    bootstrap, topic, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "latency", "enable.auto.commit": False, "fetch.wait.max.ms": 10})
    partitions = consumer.list_topics(topic, timeout=30).topics[topic].partitions
    consumer.assign([TopicPartition(topic, p, OFFSET_END) for p in partitions])
    end, seen, took = time.time() + seconds, set(), []
    while time.time() < end:
        for message in consumer.consume(500, 0.05):
            if message.error():
                continue
            now, headers = time.time(), dict(message.headers())
            if headers["ce_id"] in seen:
                continue
            seen.add(headers["ce_id"])
            changed = datetime.datetime.fromisoformat(headers["ce_time"].decode().replace("Z", "+00:00"))
            took.append((now - changed.timestamp()) * 1000)
    consumer.close()
    took.sort()
    at = lambda share: round(took[min(int(len(took) * share), len(took) - 1)], 1) if took else None
    print(json.dumps({"n": len(took), "p50": at(0.5), "p99": at(0.99), "max": at(1)}))


if __name__ == "__main__":
    main()
