"""Compares what reached a broker, through any number of crashes, with what an application committed.

The application numbers the changes of each of its keys 1, 2, 3, ... in its own tables, inside the transactions
that make the changes; what it wrote follows from key and number. So its tables say exactly which events must
exist, in which order and with which payload. Nothing here asks outbox_ext for an opinion: the deliveries are
the lines that test/modules/outbox_fault wrote, payloads are decoded by fastavro with the schemas given.

  crash_check.py DELIVERIES TRUTH SCHEMAS     prints the counts, one line per violation; exit status 1 if there is one
  crash_check.py --self-test                  every kind of violation is found in made-up deliveries

TRUTH: lines "key version" (the newest change of the key), "key version deleted" (the row was deleted after that
change) and "key version committed" (the last change of the key in a transaction). Changes and deletions are events of a
contract that is evaluated per row, commits those of one that is evaluated at commit. SCHEMAS: JSON, event type to Avro schema.
"""
import collections
import contextlib
import decimal
import hashlib
import io
import json
import pathlib
import sys
import tempfile

import fastavro

CREATED, CHANGED, DELETED, COMMITTED = "AccountOpened", "AccountChanged", "AccountClosed", "LedgerChanged"
# at least: the payload comes last
FIELDS = 10
SHOWN = 20


def content(key, version):
    """What the application writes; crash_soak.py has the same in SQL."""
    return {"account_id": key, "version": version,
            "balance": decimal.Decimal((key * 7919 + version * 104729) % 10000000).scaleb(-2),
            "remark": chr(97 + version % 26) * ((key + version) % 60)}


class Truth:
    """Which events must exist. The rank of an event is its place among those of its contract and key."""

    def __init__(self, path):
        self.newest, self.deleted, self.committed = {}, set(), set()
        for line in open(path, encoding="ascii"):
            key, version, *rest = line.split()
            if rest:
                (self.deleted if rest == ["deleted"] else self.committed).add((int(key), int(version)))
            else:
                self.newest[int(key)] = int(version)
        self.events = sum(self.newest.values()) + len(self.deleted) + len(self.committed)

    def kind(self, key, version):
        """The event type of a change."""
        return CREATED if version == 1 or (key, version - 1) in self.deleted else CHANGED

    def has(self, contract, key, rank):
        version = rank // 2
        if contract == COMMITTED:
            return (key, version) in self.committed
        if rank % 2:
            return (key, version) in self.deleted
        return 1 <= version <= self.newest.get(key, 0)

    def all(self):
        """Every event: contract, key, rank."""
        for key, newest in self.newest.items():
            for version in range(1, newest + 1):
                yield CHANGED, key, 2 * version
        for key, version in self.deleted:
            yield CHANGED, key, 2 * version + 1
        for key, version in self.committed:
            yield COMMITTED, key, 2 * version

    def record(self, event_type, key, version):
        """The payload of an event."""
        if event_type == COMMITTED and (key, version) in self.deleted:
            return {"account_id": key, "version": version, "balance": None, "remark": None}
        return content(key, version)


class Check:
    def __init__(self, truth, schemas):
        self.truth = truth
        self.schemas = {name: fastavro.parse_schema(json.loads(schema)) for name, schema in schemas.items()}
        self.seen = {}      # (contract, key, rank): id and digest of the first delivery
        self.ranks = {}     # (contract, key): highest rank delivered so far
        self.count = collections.Counter(lost=0, invented=0, disordered=0, altered=0)
        self.said = 0

    def violation(self, kind, text):
        self.count[kind] += 1
        self.said += 1
        if self.said <= SHOWN:
            print(f"{kind}: {text}")

    def deliver(self, number, line):
        fields = line.rstrip("\n").split("\t")
        if fields[-1] == "torn":
            self.count["torn"] += 1
            return
        if len(fields) < FIELDS:
            self.violation("altered", f"line {number} has only {len(fields)} fields")
            return
        self.count["deliveries"] += 1
        _, event_id, message_key, event_type, *_, payload = fields
        data = bytes.fromhex(payload)
        # 16 bytes each: there are millions
        digest = hashlib.md5(event_id.encode()).digest() + hashlib.md5(event_type.encode() + b" " + data).digest()
        stream = io.BytesIO(data)
        try:
            record = fastavro.schemaless_reader(stream, self.schemas[event_type])
            key, version = record["account_id"], record["version"]
        except Exception as error:  # whatever a broken payload makes a decoder raise
            self.violation("altered", f"line {number}: {event_type} cannot be decoded: {error!r}")
            return
        rank = 2 * version + (event_type == DELETED)
        what = f"line {number}: key {key} version {version} {event_type} {event_id}"
        contract = COMMITTED if event_type == COMMITTED else CHANGED
        if (contract, key, rank) in self.seen:
            self.count["duplicates"] += 1
            if self.seen[contract, key, rank] != digest:
                self.violation("altered", f"{what}: delivered before with another id or payload")
            return
        self.seen[contract, key, rank] = digest
        if not self.truth.has(contract, key, rank):
            self.violation("invented", what)
            return
        if message_key != str(key) or stream.read() or record != self.truth.record(event_type, key, version) \
                or event_type not in (DELETED, COMMITTED, self.truth.kind(key, version)):
            self.violation("altered", f"{what}: {record}")
        newest = self.ranks.get((contract, key), 0)
        if rank < newest:
            self.violation("disordered", f"{what}: after version {newest // 2}")
        self.ranks[contract, key] = max(rank, newest)

    def finish(self):
        for contract, key, rank in self.truth.all():
            if (contract, key, rank) not in self.seen:
                self.violation("lost", f"{contract} of key {key} version {rank // 2}{' deleted' if rank % 2 else ''}")
        ids = set()
        for what, digest in self.seen.items():
            if digest[:16] in ids:
                self.violation("altered", f"{what} has the id of another event")
            ids.add(digest[:16])
        return not any(self.count[kind] for kind in ("lost", "invented", "disordered", "altered"))

    def summary(self):
        names = ("deliveries", "duplicates", "torn", "lost", "invented", "disordered", "altered")
        return f"events={self.truth.events} " + " ".join(f"{name}={self.count[name]}" for name in names)


def check(deliveries, truth, schemas):
    """Prints violations; returns whether there is none, and the counts as a line."""
    with open(schemas, encoding="utf-8") as file:
        checking = Check(Truth(truth), json.load(file))
    with open(deliveries, encoding="utf-8", newline="\n") as file:
        for number, line in enumerate(file, 1):
            checking.deliver(number, line)
    good = checking.finish()
    return good, checking.summary()


# ---- self-test --------------------------------------------------------------------------------

SCHEMA = {"type": "record", "namespace": "soak", "fields": [
    {"name": "account_id", "type": "int"}, {"name": "version", "type": "long"},
    {"name": "balance", "type": ["null", {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2}]},
    {"name": "remark", "type": ["null", "string"]}]}


def made_up(key, version, event_type, event_id=None, record=None):
    """A delivery as the fault sink writes it."""
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(dict(SCHEMA, name=event_type)), record or content(key, version))
    event_id = event_id or hashlib.md5(f"{key} {version} {event_type}".encode()).hexdigest().ljust(36, "0")
    return "\t".join(["1", event_id, str(key), event_type, "value", "1", "", "", "5", "1", "topic", out.getvalue().hex()])


def self_test():
    good = [made_up(1, 1, CREATED), made_up(2, 1, CREATED), made_up(1, 2, CHANGED), made_up(1, 2, DELETED),
            made_up(1, 3, CREATED), made_up(2, 2, CHANGED)]
    commits = [made_up(2, 2, COMMITTED), made_up(1, 2, COMMITTED, None, {"account_id": 1, "version": 2, "balance": None, "remark": None}),
               made_up(1, 3, COMMITTED)]
    wrong = dict(content(2, 2), remark="?")
    cases = {
        "as it should be": (good, {}),
        "a repetition": (good[:3] + good[1:], {}),
        "a torn line, repeated": (good[:2] + [good[2][:50] + "\ttorn"] + good[2:], {}),
        "a lost change": (good[:-1], {"lost": 1}),
        "a lost deletion": (good[:3] + good[4:], {"lost": 1}),
        "a change too many": (good + [made_up(2, 3, CHANGED)], {"invented": 1}),
        "a key nobody knows": (good + [made_up(3, 1, CREATED)], {"invented": 1}),
        "a deletion nobody made": (good + [made_up(2, 2, DELETED)], {"invented": 1}),
        "an older change after a newer": ([good[2], good[0], *good[1:2], *good[3:]], {"disordered": 1}),
        "a deletion after what followed it": (good[:3] + [good[4], good[3], good[5]], {"disordered": 1}),
        "repeated with another id": (good + [made_up(2, 2, CHANGED, "x" * 36)], {"altered": 1}),
        "repeated with another payload": (good + [made_up(2, 2, CHANGED, None, wrong)], {"altered": 1}),
        "not what was written": (good[:-1] + [made_up(2, 2, CHANGED, None, wrong)], {"altered": 1}),
        "another type": (good[:-1] + [made_up(2, 2, CREATED)], {"altered": 1}),
        "one id for two": (good[:-1] + [made_up(2, 2, CHANGED, good[0].split("\t")[1])], {"altered": 1}),
        "no Avro": (good[:-1] + [good[-1][:-4]], {"altered": 1, "lost": 1}),
        "a commit that never was": (good + [made_up(2, 1, COMMITTED)], {"invented": 1}),
        "a commit after a later one": (good, {"disordered": 1}, [commits[0], commits[2], commits[1]]),
        "a lost commit": (good, {"lost": 1}, commits[:2]),
        "a commit with what was deleted": (good, {"altered": 1}, [commits[0], made_up(1, 2, COMMITTED), commits[2]]),
        "half a line": (good[:-1] + [good[-1][:60]], {"altered": 1, "lost": 1}),
    }
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder)
        (path / "truth").write_text("1 3\n2 2\n1 2 deleted\n2 2 committed\n1 2 committed\n1 3 committed\n")
        (path / "schemas").write_text(json.dumps({t: json.dumps(dict(SCHEMA, name=t)) for t in (CREATED, CHANGED, DELETED, COMMITTED)}))
        for name, (lines, expected, *others) in cases.items():
            (path / "deliveries").write_text("".join(line + "\n" for line in (others[0] if others else commits) + lines))
            with contextlib.redirect_stdout(io.StringIO()):
                fine, line = check(path / "deliveries", path / "truth", path / "schemas")
            counts = dict(part.split("=") for part in line.split())
            found = {kind: int(counts[kind]) for kind in ("lost", "invented", "disordered", "altered") if counts[kind] != "0"}
            if found != expected or fine != (not expected):
                raise SystemExit(f"self-test: {name}: found {found}, expected {expected}")
    print(f"checker: {len(cases)} made-up cases judged right")


def main():
    if sys.argv[1:] == ["--self-test"]:
        self_test()
        return
    if len(sys.argv) != 4:
        raise SystemExit(__doc__)
    good, line = check(*sys.argv[1:])
    print(line)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
