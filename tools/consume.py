"""Reads Kafka topics from their beginning and decodes the messages with fastavro: an independent
reader of what outbox_ext publishes. One JSON object per line: topic, partition, offset, key,
headers, schema_name, value (null for a tombstone), timestamp (milliseconds; when the writer had it).

Schemas come from a registry (Confluent framing), or from a file of JSON lines with a member
"schema" (single-object encoding): their fingerprints are computed here, not taken from the writer.

Without --count it reads up to the ends that the partitions have when it starts; with --count it
waits for that many messages and fails when time is up.

--registry dataschema asks the registry that a message's header ce_dataschema names, each for itself.

As a module: Schemas, read_messages() and decode() give the values as Python objects.
"""
import argparse
import base64
import datetime
import decimal
import io
import json
import sys
import time
import urllib.request
import uuid

import fastavro
import fastavro.schema
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition


class Schemas:
    """Schemas by registry id and by CRC-64-AVRO fingerprint; parsed once.

    plain=True leaves logical types undecoded (days, microseconds, unscaled bytes): Python's dates
    end before PostgreSQL's do.
    """

    def __init__(self, registry=None, texts=(), plain=False):
        self.registry = registry.rstrip("/") if registry else None
        self.plain = plain
        self.texts = {}
        self.parsed = {}
        for text in texts:
            canonical = fastavro.schema.to_parsing_canonical_form(json.loads(text))
            self.texts["%016x" % fingerprint(canonical)] = text

    def text(self, identity):
        """The schema text of a registry id (int) or a fingerprint (hexadecimal string)."""
        if identity not in self.texts:
            if not self.registry:
                raise LookupError(f"no schema with fingerprint {identity}")
            with urllib.request.urlopen(f"{self.registry}/schemas/ids/{identity}", timeout=30) as answer:
                self.texts[identity] = json.load(answer)["schema"]
        return self.texts[identity]

    def get(self, identity):
        if identity not in self.parsed:
            schema = json.loads(self.text(identity))
            self.parsed[identity] = fastavro.parse_schema(without_logical_types(schema) if self.plain else schema)
        return self.parsed[identity]


def fingerprint(canonical):
    return int.from_bytes(bytes.fromhex(fastavro.schema.fingerprint(canonical, "CRC-64-AVRO")), "little")


def without_logical_types(schema):
    if isinstance(schema, list):
        return [without_logical_types(s) for s in schema]
    if not isinstance(schema, dict):
        return schema
    drop = () if schema.get("type") in ("record", "enum") else ("logicalType", "precision", "scale")
    copy = {k: v for k, v in schema.items() if k not in drop}
    for member in ("type", "items", "values", "fields"):
        if isinstance(copy.get(member), (list, dict)):
            copy[member] = without_logical_types(copy[member])
    return copy


def decode(data, schemas):
    """Framed bytes -> (identity of the schema, decoded record). Raises when bytes are left over."""
    if data[:1] == b"\x00":
        identity, body = int.from_bytes(data[1:5], "big"), data[5:]
    elif data[:2] == b"\xc3\x01":
        identity, body = "%016x" % int.from_bytes(data[2:10], "little"), data[10:]
    else:
        raise ValueError(f"neither Confluent framing nor single-object encoding: {data[:4]!r}")
    stream = io.BytesIO(body)
    record = fastavro.schemaless_reader(stream, schemas.get(identity), None)
    if stream.read(1):
        raise ValueError("bytes are left after the record")
    return identity, record


def partitions_of(consumer, topics):
    metadata = consumer.list_topics(timeout=30)
    found = []
    for topic in topics:
        known = metadata.topics.get(topic)
        if known is not None and known.error is None:
            found += [TopicPartition(topic, p, OFFSET_BEGINNING) for p in sorted(known.partitions)]
    return found


def read_messages(bootstrap, topics, count=None, timeout=30.0):
    """Yields raw confluent_kafka messages, in order per partition. See the module's text about count."""
    consumer = Consumer({
        "bootstrap.servers": bootstrap,
        "group.id": f"outbox-reader-{uuid.uuid4()}",
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
        "allow.auto.create.topics": False,
    })
    deadline = time.monotonic() + timeout
    try:
        partitions = partitions_of(consumer, topics)
        while count and not partitions and time.monotonic() < deadline:
            consumer.poll(0.2)
            partitions = partitions_of(consumer, topics)
        ends = {(p.topic, p.partition): consumer.get_watermark_offsets(p, timeout=30)[1] for p in partitions}
        left = {place for place, end in ends.items() if end > 0}
        consumer.incremental_assign(partitions)
        seen = 0
        while (seen < count) if count is not None else left:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{seen} messages in {timeout:.0f} s, expected {count or sum(ends.values())}")
            message = consumer.poll(0.2)
            if message is None:
                if count is not None and len({p.topic for p in partitions}) < len(topics):
                    new = [p for p in partitions_of(consumer, topics) if p not in partitions]
                    consumer.incremental_assign(new)
                    partitions += new
                continue
            if message.error():
                raise KafkaException(message.error())
            seen += 1
            if message.offset() + 1 >= ends.get((message.topic(), message.partition()), 0):
                left.discard((message.topic(), message.partition()))
            yield message
    finally:
        consumer.close()


def as_json(value):
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, (decimal.Decimal, uuid.UUID)):
        return str(value)
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    raise TypeError(f"no JSON form of {type(value)}")


def named_registry(message):
    """The registry's base URL, from the header that names the schema."""
    url = dict(message.headers() or []).get("ce_dataschema", b"").decode()
    return url.rsplit("/schemas/ids/", 1)[0]


def describe(message, schemas, lenient=False):
    value, name, identity, error = message.value(), None, None, None
    if isinstance(schemas, dict):
        schemas = schemas.setdefault(named_registry(message), Schemas(named_registry(message)))
    if value is not None:
        try:
            identity, value = decode(value, schemas)
            name = schemas.get(identity)["name"]
        except Exception as caught:
            if not lenient:
                raise
            error, value = str(caught), None
    return {
        "error": error,
        "topic": message.topic(),
        "partition": message.partition(),
        "offset": message.offset(),
        "timestamp": message.timestamp()[1],
        "key": message.key().decode() if message.key() is not None else None,
        "headers": {k: v.decode() if v is not None else None for k, v in message.headers() or []},
        "schema_id": identity,
        "schema_name": name,
        "value": value,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bootstrap", required=True, help="host:port of a broker")
    parser.add_argument("--topics", required=True, help="comma-separated")
    parser.add_argument("--registry", help="base URL of a schema registry with the Confluent API")
    parser.add_argument("--lenient", action="store_true", help="a message that cannot be decoded has an error, and no value")
    parser.add_argument("--schemas", help="file of JSON lines, each with a member \"schema\" (its text)")
    parser.add_argument("--count", type=int, help="wait for this many messages")
    parser.add_argument("--timeout", type=float, default=30.0, help="seconds, default 30")
    options = parser.parse_args()
    texts = []
    if options.schemas:
        with open(options.schemas, encoding="utf-8") as lines:
            texts = [json.loads(line)["schema"] for line in lines if line.strip()]
    schemas = {} if options.registry == "dataschema" else Schemas(options.registry, texts)
    for message in read_messages(options.bootstrap, options.topics.split(","), options.count, options.timeout):
        json.dump(describe(message, schemas, options.lenient), sys.stdout, ensure_ascii=False, default=as_json)
        sys.stdout.write("\n")


if __name__ == "__main__":
    main()
