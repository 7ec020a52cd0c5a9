"""Values of a schema as Avro binary, written by hand, and what fastavro reads of them with two schemas."""
import datetime
import decimal
import io
import json
import re
import struct
import uuid

import fastavro

import pairs

# Where fastavro is not what the specification says: the reason, as read_differently() tells it.
BY_NAME = "does not find a type that the reader's schema only names where the writer's defines it"
FASTAVRO = {BY_NAME}

RANGES = {None: 1 << 31, "date": 20000, "time-millis": 86400000, "time-micros": 86400000000, "timestamp-millis": 1 << 40, "timestamp-micros": 1 << 50,
          "local-timestamp-millis": 1 << 40, "local-timestamp-micros": 1 << 50}
EXACT = (decimal.Decimal, datetime.date, datetime.time, uuid.UUID)  # datetime.datetime is a date


def number(value):
    value = value << 1 if value >= 0 else (-value << 1) - 1
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def value(random, node, depth=0):
    """A random value of the schema; short where it is deep."""
    k = pairs.kind(node)
    logical = node.get("logicalType") if isinstance(node, dict) else None
    if k == "union":
        branches = range(len(node))
        if depth > 6:
            branches = [i for i in branches if pairs.kind(node[i]) not in ("record", "array", "map")] or branches
        branch = random.choice(branches)
        return number(branch) + value(random, node[branch], depth + 1)
    if k == "record":
        return b"".join(value(random, field["type"], depth + 1) for field in node["fields"])
    if k in ("array", "map"):
        count = 0 if depth > 6 else random.randrange(3)
        items = b"".join((number(2) + b"k%d" % i if k == "map" else b"") + value(random, node["items" if k == "array" else "values"], depth + 1) for i in range(count))
        return (number(count) + items if count else b"") + number(0)
    if k == "enum":
        return number(random.randrange(len(node["symbols"])))
    if logical == "decimal":
        digits = number_bytes(random.randrange(-10 ** node["precision"] + 1, 10 ** node["precision"]))
        if k == "bytes":
            return number(len(digits)) + digits
        return (b"\xff" if digits[0] & 0x80 else b"\0") * (node["size"] - len(digits)) + digits
    if k == "fixed":
        return bytes(random.randrange(128) for _ in range(node["size"]))
    if k in ("int", "long"):
        bound = RANGES.get(logical, 1 << 31)
        return number(random.randrange(0 if logical and logical.startswith("time-") else -bound, bound))
    if k == "string":
        letters = str(uuid.UUID(int=random.getrandbits(128))).encode() if logical == "uuid" else b"text"[:random.randrange(5)]
        return number(len(letters)) + letters
    if k == "bytes":
        return number(3) + b"abc"
    return {"null": b"", "boolean": b"\1", "float": struct.pack("<f", random.randrange(100)), "double": struct.pack("<d", random.random())}[k]


def number_bytes(unscaled):
    return unscaled.to_bytes(unscaled.bit_length() // 8 + 1, "big", signed=True)


def difference(written, read, path=""):
    """Where a decimal, an instant, a day, a time or a UUID is another one; None if nowhere."""
    if isinstance(written, dict) and isinstance(read, dict):
        found = [difference(written[name], read[name], f"{path}.{name}") for name in written if name in read]
    elif isinstance(written, list) and isinstance(read, list):
        if len(written) != len(read):
            return f"{path}: another count"
        found = [difference(a, b, f"{path}[{i}]") for i, (a, b) in enumerate(zip(written, read))]
    elif isinstance(written, EXACT) or isinstance(read, EXACT):
        same = str(written) == str(read) if isinstance(written, uuid.UUID) or isinstance(read, uuid.UUID) else type(written) is type(read) and written == read
        return None if same else f"{path}: written {written!r}, read {read!r}"
    else:
        return None
    return next((one for one in found if one is not None), None)


def only_names(message, reader):
    """Is it a mismatch of a type that is only named in what fastavro shows of the reader's schema?"""
    _, found, shown = message.partition(" is not " if " is not " in message else " not found in ")
    shown = re.sub(r"'name': '[^']*'", "", shown)
    return bool(found) and any(re.search(rf"(^|'){re.escape(name)}('|$)", shown) for name in re.findall(r'"name": "([^"]+\.[^"]+)"', reader))


def read_differently(random, writer, texts, count):
    """None when fastavro reads count values with the reader's schema as with the writer's; otherwise what is wrong."""
    reader_schema, writer_schema = (fastavro.parse_schema(json.loads(text)) for text in texts)
    for _ in range(count):
        data = value(random, writer)
        stream = io.BytesIO(data)
        written = fastavro.schemaless_reader(stream, writer_schema)
        assert stream.read() == b""
        try:
            read = fastavro.schemaless_reader(io.BytesIO(data), writer_schema, reader_schema)
        except Exception as error:  # whatever a reader raises
            if only_names(str(error), texts[0]):
                return BY_NAME
            return f"{type(error).__name__}: {error}"
        wrong = difference(written, read)
        if wrong is not None:
            return wrong
    return None
