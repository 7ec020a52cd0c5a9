#!/usr/bin/env python3
"""Validates every event of outbox.event_json against outbox.json_schema() of its event type, with jsonschema.

Then it spoils events in every way that a schema should notice: a field less, a field more, another type, a word that is none of
the enum, a value out of range. Each of these must fail. Prints "N valid, N invalid, N spoiled, N unnoticed"; the exit status is
1 unless invalid and unnoticed are 0.
"""

import argparse
import copy
import json
import sys

import jsonschema
import psycopg

SPOILED_PER_TYPE = 10
A_DATE = "2001-02-03"
OTHERS = ["a text", 12.5, 2**70, True, None, [], ["x"], {}, {"x": 1}, "no_such_word", A_DATE, "01:02:03"]


def resolve(schema, root):
    """The schema behind references, without the branch for null."""
    while True:
        if "$ref" in schema:
            schema = root if schema["$ref"] == "#" else root["$defs"][schema["$ref"].rpartition("/")[2]]
        elif "anyOf" in schema and {"type": "null"} in schema["anyOf"]:
            schema = next(branch for branch in schema["anyOf"] if branch != {"type": "null"})
        else:
            return schema


def fits(value, schema, nullable, root):
    """Whether the value happens to be right at this place: by the kind of JSON, not by the validator."""
    if value is None:
        return nullable
    if "enum" in schema:
        return value in schema["enum"]
    if "anyOf" in schema:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    kind = schema["type"]
    if kind == "string":
        return isinstance(value, str) and ("pattern" not in schema or schema.get("format") == "date" and value == A_DATE)
    if kind == "boolean":
        return isinstance(value, bool)
    if kind == "integer":
        return isinstance(value, int) and not isinstance(value, bool) and abs(value) < schema["maximum"]
    if kind == "number":
        return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < schema["exclusiveMaximum"]
    if kind == "array":
        return isinstance(value, list) and all(fits(v, resolve(schema["items"], root), False, root) for v in value)
    return isinstance(value, dict) and "additionalProperties" in schema and schema["additionalProperties"] is not False and all(
        isinstance(v, str) for v in value.values())


def places(value, schema, root, path=()):
    """The records inside a value, with their schemas and how to get there."""
    schema = resolve(schema, root)
    if isinstance(value, dict) and "properties" in schema:
        yield path, schema
        for name, member in value.items():
            yield from places(member, schema["properties"][name], root, path + (name,))
    elif isinstance(value, list):
        for i, item in enumerate(value[:2]):
            yield from places(item, schema["items"], root, path + (i,))


def at(value, path):
    for step in path:
        value = value[step]
    return value


def spoiled(payload, root):
    for path, schema in places(payload, root, root):
        for name in schema["properties"]:
            less = copy.deepcopy(payload)
            del at(less, path)[name]
            yield f"{path} without {name}", less
            field = schema["properties"][name]
            nullable = None in field.get("enum", []) or {"type": "null"} in field.get("anyOf", [])
            for other in OTHERS:
                if fits(other, resolve(field, root), nullable, root):
                    continue
                wrong = copy.deepcopy(payload)
                at(wrong, path)[name] = other
                yield f"{path} {name} = {other!r}", wrong
        more = copy.deepcopy(payload)
        at(more, path)["no_such_field"] = None
        yield f"{path} with a field more", more


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--dsn", required=True)
    args = parser.parse_args()
    counts = dict(valid=0, invalid=0, spoiled=0, unnoticed=0)
    with psycopg.connect(args.dsn) as conn:
        validators = {}
        seen = {}
        for kind, version, text in conn.execute("SELECT type, version, payload::text FROM outbox.event_json WHERE error IS NULL"):
            if (kind, version) not in validators:
                (schema,) = conn.execute("SELECT outbox.json_schema(%s, %s)", (kind, version)).fetchone()
                jsonschema.Draft202012Validator.check_schema(schema)
                validators[kind, version] = jsonschema.Draft202012Validator(
                    schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)
            validator = validators[kind, version]
            payload = json.loads(text)
            error = jsonschema.exceptions.best_match(validator.iter_errors(payload))
            counts["valid" if error is None else "invalid"] += 1
            if error is not None:
                print(f"{kind}: {error.message} in {text}", file=sys.stderr)
            seen[kind] = seen.get(kind, 0) + 1
            if seen[kind] > SPOILED_PER_TYPE:
                continue
            for what, bad in spoiled(payload, validator.schema):
                counts["spoiled"] += 1
                if validator.is_valid(bad):
                    counts["unnoticed"] += 1
                    print(f"{kind}: nobody notices {what}", file=sys.stderr)
    print(", ".join(f"{n} {name}" for name, n in counts.items()))
    return 1 if counts["invalid"] or counts["unnoticed"] else 0


if __name__ == "__main__":
    sys.exit(main())
