"""Compares outbox.check_schemas() with other judges on pairs of schemas from a seed.

  compare.py --dsn ... --seed N --pairs N java DIR       Avro for Java, whose jars are in DIR: verdict, rule and path
  compare.py --dsn ... --seed N --pairs N values         fastavro: what is compatible is read, as it was written
  compare.py --dsn ... --seed N --pairs N registry URL   a schema registry: verdict

What may differ is in ALLOWED, each with its reason; anything else is printed, and the exit status is 1.
"""
import argparse
import collections
import http.client
import json
import os
import random
import re
import subprocess
import sys
import urllib.parse

import psycopg

import pairs
import values

HERE = os.path.dirname(os.path.abspath(__file__))

# The rules that Avro's own comparison does not have.
ALLOWED = {
    "DECIMAL_SCALE": 'Avro 1.12, "Decimal": "For the purposes of schema resolution, two schemas that are decimal logical types match if '
                     'their scales and precisions match". Avro for Java, and so registries, do not look.',
    "DECIMAL_PRECISION": "The same sentence.",
    "LOGICAL": 'Avro 1.12, "Logical Types": the type "is always serialized using its underlying Avro type", so that the types resolve; '
               "but 1 is another instant in millis than in micros, and another thing as a date.",
    "ALIAS_AMBIGUOUS": 'Avro 1.12, "Aliases": a writer\'s schema "is rewritten using aliases from the reader\'s schema", which two fields that '
                       "match one cannot be. Avro for Java throws for one reader field; for one writer field it and fastavro take different values.",
}
JAVA_RULES = {"NAME_MISMATCH": "NAME", "FIXED_SIZE_MISMATCH": "FIXED_SIZE", "MISSING_ENUM_SYMBOLS": "ENUM_SYMBOL",
              "READER_FIELD_MISSING_DEFAULT_VALUE": "FIELD_NO_DEFAULT", "TYPE_MISMATCH": "TYPE", "MISSING_UNION_BRANCH": "UNION_BRANCH"}


def our_rows(dsn, texts):
    """For each pair (reader, writer) our rows (severity, rule, path)."""
    rows = [[] for _ in texts]
    with psycopg.connect(dsn) as connection:
        for row in connection.execute(
                "SELECT n, severity, rule, path FROM unnest(%s::text[], %s::text[]) WITH ORDINALITY AS pair (reader, writer, n), "
                "LATERAL outbox.check_schemas(reader, writer)", ([r for r, _ in texts], [w for _, w in texts])):
            rows[row[0] - 1].append(row[1:])
    return rows


def errors(rows):
    return {(rule, re.sub("<[^>]*>", "", path)) for severity, rule, path in rows if severity == "error"}


class Report:
    def __init__(self):
        self.counts = collections.Counter()
        self.wrong = 0

    def fail(self, what, text, *details):
        self.wrong += 1
        if self.wrong <= 5:
            print(f"NOT EXPLAINED: {what}\n  reader {text[0]}\n  writer {text[1]}")
            for detail in details:
                print("  " + str(detail))

    def end(self):
        for name, count in sorted(self.counts.items()):
            print(f"{count:6d} {name}")
        print(f"{self.wrong:6d} not explained")
        return self.wrong > 0


# ---- Avro for Java -----------------------------------------------------------------------------


def java_path(node, location, passed=None):
    """Java's location as a path of ours, from this type of the reader's; None where it leads nowhere.

    passed gets the path to each named type on the way.
    """
    path = ""
    tokens = [token for token in location.split("/") if token]
    while tokens:
        if passed is not None and pairs.kind(node) in pairs.NAMED:
            passed.append(path)
        token = tokens.pop(0)
        if token == "fields" and pairs.kind(node) == "record" and tokens and int(tokens[0]) < len(node["fields"]):
            field = node["fields"][int(tokens.pop(0))]
            path += ("." if path else "") + field["name"]
            node = field["type"]
            if tokens and tokens[0] == "type":
                tokens.pop(0)
        elif (token, pairs.kind(node)) in (("items", "array"), ("values", "map")):
            path += "[]" if token == "items" else "{}"
            node = node[token]
        elif token in ("name", "symbols", "size"):
            return path
        elif not token.isdigit() or (tokens and pairs.kind(node) == "union"):
            return None
        # else the number of a branch of the writer's
    return path


def explain_java(report, pair, text, rows, answer):
    verdict, *theirs = answer.split("\t")
    ours = errors(rows)
    beyond = {(rule, path) for rule, path in ours if rule in ALLOWED}
    if verdict == "invalid":
        if "fields not set yet" in theirs[0]:
            report.counts["a default inside its own record: Avro for Java cannot parse it"] += 1
        else:
            report.fail("no schema for Java", text, answer)
        return
    if verdict == "throws":
        if "matches multiple fields" in theirs[0] and any(rule == "ALIAS_AMBIGUOUS" for rule, _ in ours):
            report.counts["ALIAS_AMBIGUOUS: Java throws"] += 1
        else:
            report.fail("Java throws", text, answer, rows)
        return
    if verdict == "compatible":
        if not ours:
            report.counts["both: compatible"] += 1
        elif ours == beyond:
            for rule in {rule for rule, _ in ours}:
                report.counts[f"{rule}: compatible for Java only"] += 1
        else:
            report.fail("Java: compatible", text, rows)
        return
    if not ours - beyond:
        report.fail("Java: incompatible", text, answer, rows)
        return
    report.counts["both: incompatible"] += 1
    explain_places(report, pair[0], text, ours - beyond, [one.split(" ") for one in theirs])


def explain_places(report, reader, text, ours, theirs):
    """Rule and path: Java's are ours, or ours are inside the union at which Java ends.

    Java compares a type that is used in several places once, and within a union it starts a location anew:
    then its location is one within some type of the reader.
    """
    types = pairs.nodes(reader)

    def dotted(path):
        return "." + path if path and path[0] not in "[{" else path

    def meets(rule, our_rule, our_path):
        if rule == "UNION_BRANCH":  # we go on inside
            return lambda path: our_path.startswith(path), lambda path: dotted(path) in "." + our_path
        # Java compares an enum that has a default symbol and is not written with the record.
        same = rule == our_rule or (rule, our_rule) == ("TYPE", "FIELD_NO_DEFAULT")
        return lambda path: same and our_path == path, lambda path: same and ("." + our_path).endswith(dotted(path))

    def exactly(rule, location, one):
        path = java_path(reader, location)
        return path is not None and meets(rule, *one)[0](path)

    def within(rule, location, one):
        for one_type in types:
            passed = [""]
            path = java_path(one_type, location, passed)
            if path is not None and any(meets(rule, *one)[1](path[len(prefix):].lstrip(".")) for prefix in passed):
                return True
        return False

    named = [(JAVA_RULES[rule], location) for rule, location in theirs]
    for rule, location in named:
        if any(exactly(rule, location, one) for one in ours):
            report.counts["places of Java's that are ours" if rule != "UNION_BRANCH" else "unions of Java's where we report the place inside, or the union"] += 1
        elif any(within(rule, location, one) for one in ours):
            report.counts["places of Java's that are ours, within a type"] += 1
        else:
            report.fail("Java only", text, (rule, location), ours)
    for one in ours:
        if any(exactly(*their, one) or within(*their, one) for their in named):
            continue
        if pairs.recursive(reader):
            report.counts["a record inside itself: Java keeps what it found while it assumed that it fits"] += 1
        else:
            report.fail("ours only", text, one, theirs)


def java(options, report, made, texts):
    done = subprocess.run(["java", "-XX:-UsePerfData", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx256m", "-cp", options.where + "/*", HERE + "/Compatibility.java"],
                          input="".join(f"{r}\t{w}\n" for r, w in texts), stdout=subprocess.PIPE, text=True, check=True)
    answers = done.stdout.splitlines()
    assert len(answers) == len(texts)
    for pair, text, rows, answer in zip(made, texts, our_rows(options.dsn, texts), answers):
        explain_java(report, pair, text, rows, answer)


# ---- a registry --------------------------------------------------------------------------------


def registry(options, report, made, texts):
    """Registers the writer's schema and asks for the reader's, at the registry's level BACKWARD."""
    url = urllib.parse.urlsplit(options.where)
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=30)

    def post(path, schema):
        connection.request("POST", url.path + path, json.dumps({"schema": schema}), {"Content-Type": "application/vnd.schemaregistry.v1+json"})
        response = connection.getresponse()
        return response.status, json.loads(response.read())

    for n, (pair, text, rows) in enumerate(zip(made, texts, our_rows(options.dsn, texts))):
        subject = f"compat-{options.seed}-{n}"
        status, answer = post(f"/subjects/{subject}/versions", text[1])
        if status == 200:
            status, answer = post(f"/compatibility/subjects/{subject}/versions/latest", text[0])
        ours = {rule for rule, _ in errors(rows)}
        if status in (422, 500) and any(map(pairs.recursive, pair)):
            report.counts["a record inside itself, which the registry cannot read: a fault of Apicurio's"] += 1
        elif status != 200:
            report.fail("the registry refuses", text, status, answer)
        elif answer["is_compatible"] == (not ours):
            report.counts["both: compatible" if not ours else "both: incompatible"] += 1
        elif answer["is_compatible"] and ours <= set(ALLOWED):
            for rule in ours:
                report.counts[f"{rule}: compatible for the registry only"] += 1
        else:
            report.fail(f"the registry: {answer}", text, rows)


# ---- fastavro ----------------------------------------------------------------------------------


def check_values(options, report, made, texts):
    """What we call compatible without a doubt is read by fastavro, with the same decimals and instants."""
    numbers = random.Random(options.seed)
    for pair, text, rows in zip(made, texts, our_rows(options.dsn, texts)):
        if errors(rows) or any(rule == "UNION_BRANCH" for _, rule, _ in rows):
            report.counts["not compatible, or readers differ: no value is read"] += 1
            continue
        wrong = values.read_differently(numbers, pair[1], text, 20)
        if wrong is None:
            report.counts["read as they were written, 20 values each"] += 1
        elif wrong in values.FASTAVRO:
            report.counts[f"fastavro: {wrong}"] += 1
        else:
            report.fail("read otherwise", text, wrong, rows)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--dsn", required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--pairs", type=int, required=True)
    parser.add_argument("judge", choices=["java", "values", "registry"])
    parser.add_argument("where", nargs="?")
    options = parser.parse_args()
    print(f"seed {options.seed}")
    made = list(pairs.pairs(random.Random(options.seed), options.pairs))
    texts = [(pairs.text(reader), pairs.text(writer)) for reader, writer in made]
    report = Report()
    {"java": java, "values": check_values, "registry": registry}[options.judge](options, report, made, texts)
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
