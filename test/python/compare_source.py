"""Compares what consumers read with the rows of the source: every row, every field, exactly.

The messages are decoded by fastavro with the schema of the registry, logical types undecoded; what
to expect is computed by the server from the source table (not through the contract's view) and read
with psycopg. Nothing of outbox_ext takes part in either.

  compare_source.py --dsn ... --bootstrap ... [--registry ...] --topic T --event-type NAME
                    --table TABLE --key COLUMN [--fields JSON]

--fields maps a field to an SQL expression over the source table; other fields are columns of the
same name. Prints one line per difference and a last line with the counts; exit status 1 if they differ.
"""
import argparse
import decimal
import json
import math
import pathlib
import struct
import sys

import psycopg

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))
import consume  # noqa: E402

# How the server is asked for a value that Avro carries in another form; other types: their output.
EXPRESSIONS = {
    "date": "({0} - DATE '1970-01-01')",
    "time": "(extract(epoch FROM {0}) * 1000000)::bigint",
    "timestamptz": "(extract(epoch FROM {0}) * 1000000)::bigint",
    "float4": "{0}::float8",
    "bpchar": "{0}::text",
    "bool": "{0}", "int2": "{0}", "int4": "{0}", "int8": "{0}", "float8": "{0}", "bytea": "{0}", "numeric": "{0}",
}


def expression(connection, table, field, given):
    """The SQL of what a field must hold; its type decides the form."""
    sql = given.get(field, '"%s"' % field)
    base = connection.execute(
        f"""SELECT coalesce(b.typname, t.typname), coalesce(b.typtype, t.typtype), t.typelem <> 0 AND t.typlen = -1
            FROM (SELECT pg_typeof({sql})::oid AS oid FROM (SELECT) one LEFT JOIN {table} ON true LIMIT 1) AS p
            JOIN pg_type t ON t.oid = p.oid LEFT JOIN pg_type b ON b.oid = nullif(t.typbasetype, 0)""").fetchone()
    name, kind, is_array = base
    if is_array:
        return sql
    if kind == "c":
        return f"to_jsonb({sql})"
    return EXPRESSIONS.get(name, "CASE WHEN {0} IS NOT NULL THEN format('%s', {0}) END").format(f"({sql})")


def branch(avro_type):
    """The type beside null, and whether null is allowed."""
    if isinstance(avro_type, list):
        return next(t for t in avro_type if t != "null"), True
    return avro_type, False


def same(avro_type, got, want):
    avro_type, _ = branch(avro_type)
    if got is None or want is None:
        return got is None and want is None
    kind = avro_type["type"] if isinstance(avro_type, dict) else avro_type
    if isinstance(avro_type, dict) and avro_type.get("logicalType") == "decimal":
        value = decimal.Decimal(int.from_bytes(got, "big", signed=True)).scaleb(
            -avro_type.get("scale", 0), decimal.Context(prec=2000))
        return value == want
    if kind == "array":
        return len(got) == len(want) and all(same(avro_type["items"], g, w) for g, w in zip(got, want))
    if kind == "record":
        return all(same(f["type"], got[f["name"]], want[f["name"]]) for f in avro_type["fields"])
    if kind in ("float", "double"):
        if math.isnan(want):
            return math.isnan(got)
        size = "<f" if kind == "float" else "<d"
        return struct.pack(size, got) == struct.pack(size, want)
    return type(got) is type(want) and got == want


def source_rows(connection, table, key, fields, given):
    columns = ", ".join(f"{expression(connection, table, f, given)} AS \"{f}\"" for f in fields)
    cursor = connection.execute(f"SELECT {key}::text, {columns} FROM {table}")
    return {row[0]: dict(zip(fields, row[1:])) for row in cursor}


def captured_events(connection, event_type):
    cursor = connection.execute("SELECT id::text, aggregateid, payload FROM outbox.event WHERE type = %s", (event_type,))
    return {row[0]: row[1:] for row in cursor}


def differences(options, connection, messages, schemas):
    """Yields a line for every difference; the last item is the summary."""
    events = captured_events(connection, options.event_type)
    rows = fields = None
    seen = set()
    for message in messages:
        headers = {k: v.decode() for k, v in message.headers()}
        identity, record = consume.decode(message.value(), schemas)
        schema = json.loads(schemas.text(identity))
        if schema["name"] != options.event_type:
            continue
        if rows is None:
            fields = {f["name"]: f["type"] for f in schema["fields"]}
            rows = source_rows(connection, options.table, options.key, list(fields), options.fields)
        key = message.key().decode()
        if headers["ce_id"] in seen:
            continue
        seen.add(headers["ce_id"])
        aggregate, payload = events.get(headers["ce_id"], (None, None))
        if aggregate != key:
            yield f"message {headers['ce_id']}: key {key!r}, captured with {aggregate!r}"
        elif not message.value().endswith(payload):
            yield f"message {headers['ce_id']}: its bytes are not those that were captured"
        row = rows.pop(key, None)
        if row is None:
            yield f"key {key!r}: no such row, or a second event for it"
            continue
        for name, avro_type in fields.items():
            if not same(avro_type, record[name], row[name]):
                yield f"key {key!r} field {name}: read {record[name]!r}, the source holds {row[name]!r}"
    for key in sorted(rows or {}):
        yield f"key {key!r}: no event"
    for missing in sorted(set(events) - seen):
        yield f"event {missing} was captured and not read"
    if not seen:
        yield "nothing was read"
    yield f"rows={len(seen)} fields={len(fields or {})}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("dsn", "bootstrap", "topic", "event-type", "table", "key"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--registry")
    parser.add_argument("--fields", type=json.loads, default={})
    options = parser.parse_args()
    with psycopg.connect(options.dsn, autocommit=True) as connection:
        connection.execute("SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; SET IntervalStyle = 'iso_8601'; "
                           "SET extra_float_digits = 1; SET bytea_output = 'hex'")
        texts = () if options.registry else [r[0] for r in connection.execute("SELECT schema FROM outbox.event_schema")]
        schemas = consume.Schemas(options.registry, texts, plain=True)
        messages = [m for m in consume.read_messages(options.bootstrap, [options.topic]) if m.value() is not None]
        lines = list(differences(options, connection, messages, schemas))
    print("\n".join(lines))
    sys.exit(0 if len(lines) == 1 else 1)


if __name__ == "__main__":
    main()
