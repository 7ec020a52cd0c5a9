"""Pairs of Avro schemas from a seed: for whoever compares verdicts on them.

A schema is a graph of dictionaries as in JSON, where a named type that is used twice is one object; text()
writes it out. Half of the pairs are schemas as the extension's type map makes them, three deep, and a
mutation of each; half are anything that Avro allows: aliases, recursion, defaults, unions of names.
"""
import copy
import json

PRIMITIVES = ["null", "boolean", "int", "long", "float", "double", "bytes", "string"]
NAMED = ("record", "enum", "fixed")
LOGICAL = [("int", "date"), ("int", "time-millis"), ("long", "time-micros"), ("long", "timestamp-millis"), ("long", "timestamp-micros"),
           ("long", "local-timestamp-millis"), ("long", "local-timestamp-micros"), ("string", "uuid"), ("bytes", "decimal")]


def kind(node):
    if isinstance(node, list):
        return "union"
    return node if isinstance(node, str) else node["type"]


# ---- writing -----------------------------------------------------------------------------------


def default_of(node, depth=0):
    """A value of the type as a default has it: of the first branch of a union."""
    if depth > 8:
        raise ValueError("no end")
    k = kind(node)
    if k == "union":
        return default_of(node[0], depth + 1)
    if k == "record":
        return {field["name"]: default_of(field["type"], depth + 1) for field in node["fields"]}
    if k == "enum":
        return node["symbols"][0]
    if k == "fixed":
        return "\u0001" * node["size"]
    return {"null": None, "boolean": False, "int": 0, "long": 0, "float": 0.5, "double": 0, "bytes": "", "string": "x", "array": [], "map": {}}[k]


def written(node, seen):
    k = kind(node)
    if k == "union":
        return [written(branch, seen) for branch in node]
    if isinstance(node, str):
        return node
    if k in NAMED:
        if node["name"] in seen:
            return node["name"]
        seen.add(node["name"])
    result = {key: value for key, value in node.items() if key not in ("fields", "items", "values")}
    if k == "record":
        result["fields"] = []
        for field in node["fields"]:
            one = {key: value for key, value in field.items() if key != "has_default"}
            one["type"] = written(field["type"], seen)
            if field.get("has_default"):
                one["default"] = default_of(field["type"])
            result["fields"].append(one)
    elif k == "array":
        result["items"] = written(node["items"], seen)
    elif k == "map":
        result["values"] = written(node["values"], seen)
    return result


def text(node):
    return json.dumps(written(node, set()))


# ---- what a schema may not be ------------------------------------------------------------------


def nodes(root):
    """Every type of a schema, once."""
    found, todo = {}, [root]
    while todo:
        node = todo.pop()
        if isinstance(node, str) or id(node) in found:
            continue
        found[id(node)] = node
        if isinstance(node, list):
            todo += node
        else:
            todo += [field["type"] for field in node.get("fields", [])] + [node[key] for key in ("items", "values") if key in node]
    return list(found.values())


def endless(root):
    """Whether a record contains itself with no way out."""
    records = [node for node in nodes(root) if kind(node) == "record"]
    finite = set()

    def ends(node):
        k = kind(node)
        if k == "record":
            return id(node) in finite
        return any(map(ends, node)) if k == "union" else True

    while True:
        more = [r for r in records if id(r) not in finite and all(ends(field["type"]) for field in r["fields"])]
        if not more:
            return len(finite) < len(records)
        finite.update(id(r) for r in more)


def valid(root):
    names = {}
    for node in nodes(root):
        if isinstance(node, list):
            marks = [branch["name"] if kind(branch) in NAMED else kind(branch) for branch in node]
            if "union" in marks or len(set(marks)) < len(marks) or not marks:
                return False
        elif kind(node) in NAMED:
            if "precision" in node and node["precision"] > (8 * node["size"] - 1) * 30103 // 100000:
                return False
            if names.setdefault(node["name"], node) is not node or node["name"] in node.get("aliases", ()):
                return False
            if kind(node) == "record":
                fields = [name for field in node["fields"] for name in [field["name"]] + field.get("aliases", [])]
                if len(set(fields)) < len(fields):
                    return False
    return not endless(root)


def recursive(root):
    """Whether a record is used inside itself."""
    return any(node is record for record in nodes(root) if kind(record) == "record" for field in record["fields"] for node in nodes(field["type"]))


# ---- making ------------------------------------------------------------------------------------


class Maker:
    def __init__(self, random, anything):
        self.random = random
        self.anything = anything
        self.named = []
        self.count = 0

    def name(self):
        self.count += 1
        return f"{self.random.choice(['a.', 'b.', 'a.b.'] if self.anything else ['shop.'])}N{self.count}"

    def decimal(self):
        precision = self.random.randint(1, 18)
        return {"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": self.random.randint(0, min(precision, 6))}

    def scalar(self):
        choice = self.random.random()
        if choice < 0.5:
            return self.random.choice(PRIMITIVES[1:])
        base, logical = self.random.choice(LOGICAL if self.anything else [pair for pair in LOGICAL if pair[1] in ("date", "time-micros", "timestamp-micros", "uuid", "decimal")])
        return self.decimal() if logical == "decimal" else {"type": base, "logicalType": logical}

    def type(self, depth):
        choice = self.random.random()
        if depth <= 0 or choice < 0.45:
            return self.scalar()
        if self.named and choice < (0.6 if self.anything else 0.5):
            return self.random.choice(self.named)
        if choice < 0.68:
            return {"type": "array", "items": self.field_type(depth - 1)}
        if choice < 0.74:
            return {"type": "map", "values": self.field_type(depth - 1) if self.anything else "string"}
        if choice < 0.84:
            return self.enum()
        if self.anything and choice < 0.9:
            return self.fixed()
        return self.record(depth - 1)

    def enum(self):
        node = {"type": "enum", "name": self.name(), "symbols": [f"S{i}" for i in range(self.random.randint(1, 4))]}
        if self.random.random() < 0.3:
            node["default"] = self.random.choice(node["symbols"])
        self.named.append(node)
        return node

    def fixed(self):
        node = {"type": "fixed", "name": self.name(), "size": self.random.choice([4, 8, 12, 16])}
        if self.random.random() < 0.3:
            node.update(logicalType="decimal", precision=9, scale=self.random.randint(0, 3))
        self.named.append(node)
        return node

    def union(self, depth):
        branches, marks = [], set()
        for _ in range(self.random.randint(1, 5)):
            branch = "null" if self.random.random() < 0.3 else self.type(depth - 1)
            mark = branch["name"] if kind(branch) in NAMED else kind(branch)
            if mark not in marks:
                marks.add(mark)
                branches.append(branch)
        return branches

    def field_type(self, depth):
        if self.anything and self.random.random() < 0.3:
            return self.union(depth)
        node = self.type(depth)
        return ["null", node] if self.random.random() < 0.7 and kind(node) != "null" else node

    def record(self, depth):
        node = {"type": "record", "name": self.name(), "fields": []}
        if self.anything:
            self.named.append(node)  # so that it may be used inside
        for i in range(self.random.randint(1, 5)):
            field = {"name": f"f{i}", "type": self.field_type(depth)}
            nullable = kind(field["type"]) == "union" and field["type"][0] == "null"
            if nullable if not self.anything else self.random.random() < 0.4:
                field["has_default"] = True
            node["fields"].append(field)
        if not self.anything:
            self.named.append(node)
        return node

    def schema(self):
        while True:
            self.named, self.count = [], 0
            root = self.record(3) if not self.anything or self.random.random() < 0.8 else self.field_type(3)
            if usable(root):
                return root


def usable(root):
    try:
        return valid(root) and len(text(root)) < 6000
    except ValueError:
        return False


# ---- changing ----------------------------------------------------------------------------------


def places(root):
    """(container, key) of every type."""
    found = []
    for node in nodes(root):
        if isinstance(node, list):
            found += [(node, i) for i in range(len(node))]
        else:
            found += [(field, "type") for field in node.get("fields", [])] + [(node, key) for key in ("items", "values") if key in node]
    return found


def change(maker, root):
    """One thing that a developer might do, on a place of its own choice."""
    random = maker.random
    all_nodes = [node for node in nodes(root) if not isinstance(node, list)]
    records = [node for node in all_nodes if kind(node) == "record"]
    named = [node for node in all_nodes if kind(node) in NAMED]
    logical = [node for node in all_nodes if "logicalType" in node]
    enums = [node for node in all_nodes if kind(node) == "enum"]
    spots = places(root)
    what = random.randrange(16)
    if what == 0 and records:
        random.choice(records)["fields"].append({"name": f"new{random.randrange(4)}", "type": maker.field_type(1), "has_default": random.random() < 0.6})
    elif what == 1 and records:
        fields = random.choice(records)["fields"]
        if fields:
            fields.pop(random.randrange(len(fields)))
    elif what == 2 and records:
        fields = random.choice(records)["fields"]
        if fields:
            field = random.choice(fields)
            if random.random() < 0.6:
                field["aliases"] = [field["name"]]
            field["name"] = f"renamed{random.randrange(4)}"
    elif what == 3 and records:
        random.shuffle(random.choice(records)["fields"])
    elif what == 4 and records:
        field = random.choice(random.choice(records)["fields"] or [{}])
        if field:
            field["has_default"] = not field.get("has_default")
    elif what in (5, 6) and spots:
        container, key = random.choice(spots)
        old = kind(container[key])
        container[key] = random.choice({"int": ["long", "double", "float"], "long": ["int", "double"], "float": ["double", "int"], "double": ["float"],
                                        "string": ["bytes", "int"], "bytes": ["string"]}.get(old, [maker.scalar()]))
    elif what in (7, 8) and logical:
        node = random.choice(logical)
        if node["logicalType"] == "decimal":
            node["precision"] = max(1, node["precision"] + random.choice([-2, 0, 2]))
            node["scale"] = min(node["precision"], max(0, node["scale"] + random.choice([-1, 0, 1])))
        elif random.random() < 0.3:
            del node["logicalType"]
        else:
            node["logicalType"] = random.choice([name for base, name in LOGICAL if base == node["type"]])
    elif what in (9, 10) and enums:
        node = random.choice(enums)
        if random.random() < 0.6:
            node["symbols"].append(f"S{len(node['symbols'])}")
        elif len(node["symbols"]) > 1 and node.get("default") != node["symbols"][-1]:
            node["symbols"].pop()
        elif "default" in node:
            del node["default"]
    elif what == 11 and named:
        node = random.choice(named)
        if random.random() < 0.5:
            node["aliases"] = [node["name"]]
        node["name"] = random.choice(["a.", "c."]) + (node["name"].split(".")[-1] if random.random() < 0.5 else f"Renamed{random.randrange(3)}")
    elif what == 12 and spots:
        container, key = random.choice(spots)
        node = container[key]
        if kind(node) == "union" and len(node) == 2 and node[0] == "null":
            container[key] = node[1]
        elif kind(node) not in ("union", "null"):
            container[key] = ["null", node]
    elif what == 13 and spots:
        container, key = random.choice(spots)
        container[key] = maker.type(1)
    elif what == 14:
        unions = [node for node in nodes(root) if isinstance(node, list)]
        if unions:
            node = random.choice(unions)
            if maker.anything and random.random() < 0.5:
                random.shuffle(node)
            elif len(node) > 1 and random.random() < 0.5:
                node.pop(random.randrange(len(node)))
            else:
                node.append(maker.scalar())
    elif what == 15 and [node for node in named if kind(node) == "fixed"]:
        random.choice([node for node in named if kind(node) == "fixed"])["size"] = random.choice([4, 8, 12, 16])


def pairs(random, count):
    """count pairs (reader, writer): each schema readable alone, as graphs."""
    for i in range(count):
        maker = Maker(random, anything=i % 2 == 1)
        while True:
            reader = maker.schema()
            if maker.anything and random.random() < 0.15:
                writer = Maker(random, anything=True).schema()
            else:
                writer = copy.deepcopy(reader)
                maker.named = []
                for _ in range(random.choice([1, 1, 2, 3])):
                    change(maker, writer)
            if usable(writer) and text(writer) != text(reader):
                break
        yield (reader, writer) if random.random() < 0.5 else (writer, reader)
