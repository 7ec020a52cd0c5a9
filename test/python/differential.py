"""A randomised differential test of capture: random tables, contracts and transactions, and an oracle.

  differential.py --dsn ... [--seed N] [--transactions N] [--mode serial|free] [--sessions N]

The oracle never looks at a trigger: it SELECTs a contract's view and knows what must have happened.

serial: one thread drives several sessions, so that their statements interleave while each of them,
  and each commit, happens between two looks at the views. For every statement that stayed, the
  difference of the two looks is exactly what must be in the outbox, transaction by transaction and
  in the order of the statements. (Where a table has a legacy trigger, or one statement is a whole
  block of them, the events must lead from the first look to the second one.)
free: a thread per session; they block each other, deadlock, and commit when they like. Then every
  event must follow from the state that the events before it left, key by key.

In both modes the sum of all events, as an independent reader decodes them (fastavro, with the pinned
schema), must be what `SELECT * FROM contract` shows in the end, and there must be no dead letter and no gap.

A seed makes the same tables and, in the serial mode, the same statements. Prints a line per world; exits
with 1 and the whole story of the first transaction that is wrong.
"""
import argparse
import collections
import datetime
import decimal
import io
import json
import random
import sys
import threading
import uuid

import fastavro
import psycopg

# ---- values ------------------------------------------------------------------------------------


def canonical(value):
    """A value as both readers can have it: the same for equal values, and hashable."""
    if isinstance(value, bool) or value is None or isinstance(value, (int, str)):
        return value
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, decimal.Decimal):
        return str(value.normalize() + 0)
    if isinstance(value, datetime.datetime):
        return (value.astimezone(datetime.timezone.utc) if value.tzinfo else value).isoformat()
    if isinstance(value, (datetime.date, uuid.UUID)):
        return str(value)
    if isinstance(value, (bytes, memoryview)):
        return bytes(value).hex()
    if isinstance(value, dict):
        return tuple(sorted((name, canonical(item)) for name, item in value.items()))
    if isinstance(value, (list, tuple)):
        return tuple(canonical(item) for item in value)
    raise TypeError(type(value))


def literal(value):
    if value is None:
        return "NULL"
    if isinstance(value, (bool, int, float, decimal.Decimal)):
        return str(value)
    return "'" + str(value).replace("'", "''") + "'"


def words(rng):
    return "".join(rng.choice("abcXYZ é'\\,\"%") for _ in range(rng.choice([0, 1, 3, 8, 40])))


# Column types: how a random value is made, and expressions over a column that a view may show.
TYPES = {
    "int": (lambda r: r.choice([0, 1, -1, r.randint(-1000, 1000), 2147480000]), ["{0}", "{0} % 7", "coalesce({0}, -5)", "abs({0}::bigint)"]),
    "bigint": (lambda r: r.choice([0, r.randint(-10**15, 10**15)]), ["{0}", "{0} / 3"]),
    "smallint": (lambda r: r.randint(-300, 300), ["{0}", "{0} > 0"]),
    "text": (words, ["{0}", "upper({0})", "left({0}, 2)", "{0} || '!'", "nullif({0}, '')"]),
    "varchar(60)": (words, ["{0}", "length({0})"]),
    "char(4)": (lambda r: r.choice(["a", "bc", "def", "ghij", " x"]), ["{0}", "btrim({0})"]),
    "numeric(12,2)": (lambda r: decimal.Decimal(r.randint(-10**9, 10**9)) / 100, ["{0}", "({0} * 100)::bigint"]),
    "boolean": (lambda r: r.random() < 0.5, ["{0}", "NOT {0}"]),
    "float8": (lambda r: r.choice([0.5, -1.25, r.random() * 1e6]), ["{0}", "{0} * 2"]),
    "date": (lambda r: datetime.date(2000, 1, 1) + datetime.timedelta(r.randint(0, 9000)), ["{0}", "extract(year FROM {0})::int"]),
    "timestamp": (lambda r: datetime.datetime(2001, 2, 3, 4, 5, 6, r.randint(0, 999999)), ["{0} AT TIME ZONE 'America/New_York'"]),
    "timestamptz": (lambda r: f"20{r.randint(10, 30)}-06-0{r.randint(1, 9)} 12:00:00.{r.randint(0, 999999):06}+02", ["{0}"]),
    "uuid": (lambda r: uuid.UUID(int=r.getrandbits(128)), ["{0}"]),
    "bytea": (lambda r: "\\x" + r.randbytes(r.choice([0, 1, 20])).hex(), ["{0}"]),
    "int[]": (lambda r: "{" + ",".join(str(r.randint(0, 9)) for _ in range(r.randint(0, 4))) + "}", ["{0}", "cardinality({0})"]),
}


class Column:
    def __init__(self, rng, name, optional=True):
        self.name = name
        self.type = rng.choice(list(TYPES))
        self.optional = optional

    def value(self, rng):
        if self.optional and rng.random() < 0.2:
            return "NULL"
        return f"{literal(TYPES[self.type][0](rng))}::{self.type}"


# ---- a world: tables and their contracts ------------------------------------------------------------


class Table:
    """A source. Its key is never used again when nothing but the application keeps it unique."""

    def __init__(self, rng, schema, name, parent=None):
        self.name = f"{schema}.{name}"
        self.short = name
        self.parent = parent
        self.columns = [Column(rng, f"c{i}") for i in range(rng.randint(2, 6))]
        self.unread = Column(rng, "unread")
        self.composite = parent is None and rng.random() < 0.25
        self.partitions = rng.choice([0, 0, 2, 3]) if parent is None else rng.choice([0, 0, 0, 2])
        self.generated = rng.random() < 0.3
        # what old triggers do: change the row before it is written, update it again, keep a moved one out
        self.legacy = rng.choice([None, None, None, "before", "after", "suppress"])
        self.next_key = 1000
        self.lock = threading.Lock()

    def fresh_key(self):
        with self.lock:
            self.next_key += 1
            return self.next_key

    def definition(self, rng):
        fillers = [f"gone{i} int" for i in range(rng.randint(0, 2))]
        columns = [f"{c.name} {c.type}" for c in self.columns + [self.unread]]
        columns += ["id int NOT NULL", "flag char(1) NOT NULL DEFAULT 'N'", "part int NOT NULL DEFAULT 0",
                    "touched int NOT NULL DEFAULT 0"]
        if self.composite:
            columns.append("sub varchar(10) NOT NULL DEFAULT 's'")
        if self.parent:
            columns.append("parent_id int")
        if self.generated:
            columns.append("gen int GENERATED ALWAYS AS (id * 2) STORED")
        columns += fillers
        rng.shuffle(columns)
        return columns, [f.split()[0] for f in fillers]

    def create(self, rng):
        columns, fillers = self.definition(rng)
        by = " PARTITION BY LIST (part)" if self.partitions else ""
        sql = [f"CREATE TABLE {self.name} ({', '.join(columns)}){by}"]
        key = "id, sub" if self.composite else "id"
        for i in range(self.partitions):
            if rng.random() < 0.5:
                sql.append(f"CREATE TABLE {self.name}_{i} PARTITION OF {self.name} FOR VALUES IN ({i})")
            else:   # columns in another order
                own, own_fillers = columns + [f"extra{i} int"], [f"extra{i}"]
                rng.shuffle(own)
                sql.append(f"CREATE TABLE {self.name}_{i} ({', '.join(own)})")
                sql += [f"ALTER TABLE {self.name}_{i} DROP COLUMN {f}" for f in own_fillers]
                sql.append(f"ALTER TABLE {self.name} ATTACH PARTITION {self.name}_{i} FOR VALUES IN ({i})")
            sql.append(f"CREATE UNIQUE INDEX ON {self.name}_{i} ({key})")
        if not self.partitions:
            sql.append(f"ALTER TABLE {self.name} ADD PRIMARY KEY ({key})")
        sql += [f"ALTER TABLE {self.name} DROP COLUMN {f}" for f in fillers if rng.random() < 0.7]
        if self.parent:
            if not self.parent.partitions and not self.parent.composite:
                action = rng.choice(["CASCADE", "SET NULL"])
                sql.append(f"ALTER TABLE {self.name} ADD FOREIGN KEY (parent_id) REFERENCES {self.parent.name}"
                           f" ON DELETE {action} ON UPDATE CASCADE" + rng.choice(["", " DEFERRABLE INITIALLY DEFERRED"]))
            sql.append(f"CREATE INDEX ON {self.name} (parent_id)")
        if self.legacy == "before":
            sql += [f"CREATE FUNCTION {self.name}_f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                    f" NEW.touched := NEW.touched + 1; RETURN NEW; END $$",
                    f"CREATE TRIGGER legacy BEFORE UPDATE ON {self.name} FOR EACH ROW EXECUTE FUNCTION {self.name}_f()"]
        elif self.legacy == "after":
            # of other rows of the statement it would run ahead: their events are marked as superseded
            sub = " AND sub = NEW.sub" if self.composite else ""
            sql += [f"CREATE FUNCTION {self.name}_f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                    f" IF pg_trigger_depth() < 2 THEN UPDATE {self.name} SET touched = touched + 1 WHERE id = NEW.id{sub}; END IF;"
                    f" RETURN NULL; END $$",
                    f"CREATE TRIGGER legacy AFTER INSERT OR UPDATE ON {self.name} FOR EACH ROW EXECUTE FUNCTION {self.name}_f()"]
        elif self.legacy == "suppress":
            sql.append(f"CREATE FUNCTION {self.name}_f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                       f" IF NEW.flag = 'L' THEN RETURN NULL; END IF; RETURN NEW; END $$")
            sql += [f"CREATE TRIGGER legacy BEFORE INSERT ON {self.name}_{i} FOR EACH ROW EXECUTE FUNCTION {self.name}_f()"
                    for i in range(self.partitions)]
        return sql

    def values(self, rng, key):
        """A row to insert: column names and SQL values."""
        row = {c.name: c.value(rng) for c in self.columns + [self.unread] if rng.random() < 0.8}
        row["id"] = str(key)
        if self.composite:
            row["sub"] = literal(rng.choice(["s", "t", "a,b", "c\\d"]))
        if self.partitions:
            row["part"] = str(rng.randrange(self.partitions))
        if rng.random() < 0.1:
            row["flag"] = "'X'"
        if self.parent and rng.random() < 0.9:
            row["parent_id"] = f"(SELECT id FROM {self.parent.name} ORDER BY id OFFSET {rng.randint(0, 5)} LIMIT 1)"
        return row


class RowContract:
    """A view over one table, evaluated per row or, if so asked, at commit."""

    def __init__(self, rng, schema, table, evaluate):
        self.name = f"{schema}_{table.short}"
        self.view = f"{schema}.{table.short}_v"
        self.table = table
        self.tables = [table]
        self.evaluate = evaluate if evaluate != "mixed" else rng.choice(["row", "commit"])
        self.json = set()           # columns that are compared as JSON
        self.key = ["key_id", "key_sub"] if table.composite else ["key_id"]
        self.aggregate = self.key   # columns of the message key

    def create(self, rng):
        shown = ["id AS key_id"] + (["sub AS key_sub"] if self.table.composite else [])
        for column in self.table.columns:
            if rng.random() < 0.85:
                expression = rng.choice(TYPES[column.type][1]).format(column.name)
                shown.append(f"{expression} AS {column.name}_x")
        if self.table.partitions:
            shown.append("part AS part_x")
        if self.table.legacy:
            shown.append("touched AS touched_x")
        if self.table.generated:
            shown.append("gen AS gen_x")
        if self.table.parent:
            shown.append("parent_id AS parent_x")
        shown += self.regroup(rng, "")
        where = rng.choice([" WHERE flag <> 'X'", " WHERE flag = 'N'", ""])
        sql = [f"CREATE VIEW {self.view}_inner AS SELECT {', '.join(shown)}, flag FROM {self.table.name}",
               f"CREATE VIEW {self.view} AS SELECT {', '.join(s.split(' AS ')[-1] for s in shown)} FROM {self.view}_inner{where}"]
        if rng.random() < 0.5:
            sql = [f"CREATE VIEW {self.view} AS SELECT {', '.join(shown)} FROM {self.table.name}{where}"]
        return sql

    def regroup(self, rng, alias):
        """Lets some contracts have another message key: columns that several rows share and that change, never NULL."""
        if rng.random() < 0.6:
            return []
        groups = {"group_id": f"abs({alias}id % 3)", "group_flag": f"translate({alias}flag::text, 'XN', ',\\')"}
        self.aggregate = rng.choice([["group_id"], ["group_flag"], ["group_flag", "group_id"], ["group_id", "key_id"]])
        return [f"{groups[g]} AS {g}" for g in self.aggregate if g in groups]

    def declare(self, rng, columns):
        aggregate = "" if self.aggregate is self.key else f", aggregate_id => '{{{','.join(self.aggregate)}}}'"
        previous = "{" + ",".join(columns) + "}"
        key = "{" + ",".join(self.key) + "}"
        return [
            f"SELECT outbox.create_contract('{self.name}', view => '{self.view}', source => '{self.table.name}',"
            f" key => '{key}', evaluate => '{self.evaluate}'{aggregate})",
            f"SELECT outbox.create_event_type('{self.name}_created', contract => '{self.name}', emit => 'created')",
            f"SELECT outbox.create_event_type('{self.name}_changed', contract => '{self.name}', emit => 'changed', previous => '{previous}')",
            f"SELECT outbox.create_event_type('{self.name}_deleted', contract => '{self.name}', emit => 'deleted')",
            f"SELECT outbox.enable('{self.name}')"]


class JoinedContract(RowContract):
    """A parent with what its children say, evaluated at commit."""

    def __init__(self, rng, schema, parent, child):
        super().__init__(rng, schema, parent, "commit")
        self.name = f"{schema}_{parent.short}_joined"
        self.view = f"{schema}.{parent.short}_joined"
        self.child = child
        self.tables = [parent, child]
        self.json = set()

    def create(self, rng):
        parent, child = self.table, self.child
        shown = ["p.id AS key_id"] + [f"p.{c.name} AS {c.name}_p" for c in parent.columns
                  if rng.random() < 0.6 and c.type not in ("timestamp", "char(4)")]
        shown += self.regroup(rng, "p.")
        mine = "c.parent_id = p.id" + rng.choice(["", " AND c.flag <> 'X'"])
        lines = f"SELECT c.id AS line_id, c.flag::text AS flag, c.touched AS touched, c.parent_id FROM {child.name} c"
        sql = [f"CREATE VIEW {self.view}_line AS {lines}"]
        extra = rng.choice([
            ("l.n, l.total, l.ids", f"LEFT JOIN LATERAL (SELECT count(*)::int AS n, sum(c.id)::bigint AS total,"
                                    f" array_agg(c.id ORDER BY c.id) AS ids FROM {child.name} c WHERE {mine}) l ON true"),
            ("l.items", f"LEFT JOIN LATERAL (SELECT array_agg(x ORDER BY x.line_id) AS items FROM {self.view}_line x"
                        f" WHERE x.parent_id = p.id) l ON true"),
            (f"(SELECT sum(c.id)::int FROM {child.name} c WHERE {mine}) AS summed,"
             f" (SELECT count(*) FROM {child.name} c WHERE {mine}) > 1 AS several", ""),
        ])
        if extra[0] == "l.items":
            self.json.add("items")
        where = rng.choice(["", " WHERE p.flag <> 'X'", f" WHERE (SELECT count(*) FROM {child.name} c WHERE {mine}) > 0"])
        sql.append(f"CREATE VIEW {self.view} AS SELECT {', '.join(shown)}, {extra[0]} FROM {parent.name} p {extra[1]}{where}")
        return sql

    def declare(self, rng, columns):
        script = super().declare(rng, columns)
        # A SELECT that reads tables sees what the writer's statement sees, and not a parent that others put there
        # until the commit. Such a contract could not keep what is asked of it here.
        query = rng.choice(["row.parent_id", "SELECT v.k FROM (VALUES (row.parent_id), (row.parent_id)) v (k)"])
        script.insert(1, f"SELECT outbox.add_source('{self.name}', '{self.child.name}', key_query => '{query}')")
        return script


class World:
    def __init__(self, rng, number, evaluate):
        self.schema = f"w{number}"
        self.number = number
        self.tables = []
        self.contracts = []
        for i in range(rng.randint(1, 2)):
            parent = Table(rng, self.schema, f"p{i}")
            child = Table(rng, self.schema, f"c{i}", parent)
            self.tables += [parent, child]
            self.contracts += [RowContract(rng, self.schema, parent, evaluate), RowContract(rng, self.schema, child, evaluate)]
            if evaluate != "row" and not parent.composite:
                self.contracts.append(JoinedContract(rng, self.schema, parent, child))
        self.joined = evaluate != "row"

    def create(self, connection, rng, script):
        script.append(f"CREATE SCHEMA {self.schema}")
        for table in self.tables:
            script += table.create(rng)
        for contract in self.contracts:
            script += contract.create(rng)
        for table in self.tables:   # rows from before
            for i in range(rng.randint(0, 6)):
                row = table.values(rng, i)
                script.append(f"INSERT INTO {table.name} ({', '.join(row)}) VALUES ({', '.join(row.values())})")
        for statement in script:
            connection.execute(statement)
        for contract in self.contracts:
            contract.columns = [c.name for c in connection.execute(f"SELECT * FROM {contract.view} LIMIT 0").description]
            for statement in contract.declare(rng, contract.columns):
                script.append(statement)
                connection.execute(statement)

    def drop(self, connection):
        connection.execute("SET client_min_messages = warning")
        for contract in self.contracts:
            connection.execute(f"SELECT outbox.drop_contract('{contract.name}')")
        connection.execute(f"DROP SCHEMA {self.schema} CASCADE")

    def related(self, table):
        """Contracts that a statement on this table may concern: its family, for cascades."""
        family = {table, table.parent} | {t for t in self.tables if t.parent is table}
        return [c for c in self.contracts if family & set(c.tables)]


# ---- random statements -----------------------------------------------------------------------------


class Statement:
    def __init__(self, sql, table, exact=True, copy=None):
        self.sql = sql
        self.table = table
        self.exact = exact      # each row at most once: the difference of two looks says all
        self.copy = copy        # lines for COPY


def some_rows(rng, table, keys):
    """A WHERE clause."""
    choice = rng.random()
    if choice < 0.6 and keys:
        return f"id = {rng.choice(keys)}"
    if choice < 0.8 and keys:
        return f"id IN ({', '.join(str(k) for k in rng.sample(keys, min(len(keys), 3)))})"
    if choice < 0.9:
        return f"id % {rng.randint(2, 4)} = 0"
    if choice < 0.95:
        return "flag = 'X'"
    return "true"


def assignments(rng, table):
    """What an UPDATE sets; never the key."""
    sets = [f"{c.name} = {c.value(rng)}" for c in table.columns if rng.random() < 0.4]
    choice = rng.random()
    if choice < 0.1:
        sets.append(f"flag = {rng.choice(['X', 'N', 'M'])!r}")
    elif choice < 0.2:
        sets = [f"{table.columns[0].name} = {table.columns[0].name}"]
    elif choice < 0.3:
        sets = [f"unread = {table.unread.value(rng)}"]
    elif choice < 0.5 and table.partitions:
        sets.append(f"part = {rng.randrange(table.partitions)}")
        if table.legacy == "suppress" and rng.random() < 0.5:
            sets.append("flag = 'L'")
    elif choice < 0.6 and table.parent:
        sets.append(f"parent_id = (SELECT id FROM {table.parent.name} ORDER BY id OFFSET {rng.randint(0, 5)} LIMIT 1)")
    return sets or [f"unread = {table.unread.value(rng)}"]


def new_key(rng, table, keys):
    """Mostly a new key; one that was there before only where an index over all partitions, that is none, says no."""
    if not table.partitions and rng.random() < 0.4:
        return rng.randint(0, 12)
    return table.fresh_key()


def insert(rng, table, keys):
    row = table.values(rng, new_key(rng, table, keys))
    names, values = ", ".join(row), ", ".join(row.values())
    key = "id, sub" if table.composite else "id"
    choice = rng.random()
    if choice < 0.25 and not table.partitions:
        action = rng.choice(["DO NOTHING", "DO UPDATE SET " + ", ".join(assignments(rng, table))])
        return Statement(f"INSERT INTO {table.name} AS t ({names}) VALUES ({values}) ON CONFLICT ({key}) {action}", table)
    if choice < 0.4:
        sets = ", ".join(assignments(rng, table))
        matched = rng.choice([f"UPDATE SET {sets}", "DELETE", "DO NOTHING"])
        fresh = table.fresh_key()
        return Statement(
            f"MERGE INTO {table.name} t USING (VALUES ({rng.choice(keys or [1])}), ({fresh})) v (k) ON t.id = v.k"
            f" WHEN MATCHED THEN {matched} WHEN NOT MATCHED AND v.k = {fresh} THEN INSERT (id, flag) VALUES (v.k, 'N')", table)
    if choice < 0.5:
        lines = [f"{table.fresh_key()}\t{rng.choice('NX')}" for _ in range(rng.randint(1, 4))]
        return Statement(f"COPY {table.name} (id, flag) FROM STDIN", table, copy="\n".join(lines) + "\n")
    if choice < 0.6:
        return Statement(f"INSERT INTO {table.name} (id) SELECT {table.fresh_key()} + 100000 * i FROM generate_series(1, {rng.randint(2, 20)}) i", table)
    if choice < 0.7 and table.partitions:
        part = int(row["part"])
        return Statement(f"INSERT INTO {table.name}_{part} ({names}) VALUES ({values})", table)
    return Statement(f"INSERT INTO {table.name} ({names}) VALUES ({values})", table)


def update(rng, table, keys):
    where = some_rows(rng, table, keys)
    if rng.random() < 0.1 and keys:
        sets = f"id = {new_key(rng, table, keys)}" + rng.choice(["", ", " + ", ".join(assignments(rng, table))])
        return Statement(f"UPDATE {table.name} SET {sets} WHERE id = {rng.choice(keys)}", table)
    target = table.name
    sets = assignments(rng, table)
    if table.partitions and rng.random() < 0.2 and not any(s.startswith("part ") for s in sets):
        target = f"{table.name}_{rng.randrange(table.partitions)}"
    return Statement(f"UPDATE {target} SET {', '.join(sets)} WHERE {where}", table)


def delete(rng, table, keys):
    where = some_rows(rng, table, keys)
    if where == "true" and rng.random() < 0.8:
        where = "id % 3 = 1"
    return Statement(f"DELETE FROM {table.name} WHERE {where}", table)


def block(rng, table, keys):
    """Several statements in one, with an EXCEPTION block that may catch something."""
    inner = [random_statement(rng, table, keys, nested=True).sql for _ in range(rng.randint(1, 3))]
    if rng.random() < 0.5:
        inner.append("PERFORM 1 / (random() * 0)::int")
    handler = random_statement(rng, table, keys, nested=True).sql
    body = "; ".join(inner)
    return Statement(f"DO $block$ BEGIN {random_statement(rng, table, keys, nested=True).sql}; BEGIN {body};"
                     f" EXCEPTION WHEN division_by_zero OR integrity_constraint_violation THEN {handler}; END; END $block$",
                     table, exact=False)


def writable_cte(rng, table, keys):
    one, other = rng.sample(keys, 2)
    sets = ", ".join(assignments(rng, table))
    return Statement(f"WITH a AS (UPDATE {table.name} SET {sets} WHERE id = {one} RETURNING id),"
                     f" b AS (INSERT INTO {table.name} (id) VALUES ({table.fresh_key()}))"
                     f" DELETE FROM {table.name} WHERE id = {other}", table)


def random_statement(rng, table, keys, nested=False):
    choice = rng.random()
    if len(keys) > 60 and choice < 0.3:
        return Statement(f"DELETE FROM {table.name} WHERE id % 3 = {rng.randint(0, 2)}", table)
    if choice < 0.3:
        statement = insert(rng, table, keys)
        return statement if not (nested and statement.copy) else update(rng, table, keys)
    if choice < 0.75:
        return update(rng, table, keys)
    if choice < 0.88:
        return delete(rng, table, keys)
    if not nested and choice < 0.95:
        return block(rng, table, keys)
    if len(keys) >= 2:
        return writable_cte(rng, table, keys)
    return insert(rng, table, keys) if not nested else update(rng, table, keys)


# ---- looks and transitions ----------------------------------------------------------------------------


def message_key(names, row):
    parts = [str(row[name]) for name in names]
    if len(parts) == 1:
        return parts[0]
    return ",".join(p.replace("\\", "\\\\").replace(",", "\\,") for p in parts)


def look(connection, contract):
    shown = "*" if not contract.json else ", ".join(
        f"to_jsonb({c}) AS {c}" if c in contract.json else c for c in contract.columns)
    cursor = connection.execute(f"SELECT {shown} FROM {contract.view}", prepare=False)
    names = [c.name for c in cursor.description]
    padded = [c.type_code == 1042 for c in cursor.description]      # char(n): the blanks are no part of the value
    rows = {}
    for values in cursor:
        row = {n: canonical(v.rstrip(" ") if p and v else v) for n, v, p in zip(names, values, padded)}
        key = message_key(contract.key, row)
        if key in rows:
            raise Twice(f"the key {key} is there twice in {contract.view}")
        rows[key] = row
    return rows


def transitions(contract, before, after):
    found = collections.Counter()
    for key in before.keys() | after.keys():
        old, new = before.get(key), after.get(key)
        if old == new:
            continue
        kind = "created" if old is None else "deleted" if new is None else "changed"
        found[event(contract.name, kind, key, new or old, old if kind == "changed" else None)] += 1
    return found


def event(contract, kind, key, row, previous):
    return (contract, kind, key, tuple(sorted(row.items(), key=lambda i: i[0])),
            tuple(sorted(previous.items(), key=lambda i: i[0])) if previous is not None else None)


class Wrong(Exception):
    pass


class Twice(Wrong):
    """
    An old snapshot sees a row that others have deleted since, beside the one that its own transaction put in
    its place: nobody can say what such a look means.
    """


def apply(state, happened):
    """What a consumer does with an event, and what it may rely on."""
    contract, kind, key, row, previous = happened
    present = state.get((contract, key))
    if kind == "created" and present is not None:
        raise Wrong(f"created, but there is {present}: {happened}")
    if kind != "created" and present is None:
        raise Wrong(f"{kind}, but there is none: {happened}")
    if kind == "changed" and previous != present:
        raise Wrong(f"changed, but before it was {present}: {happened}")
    if kind == "changed" and row == present:
        raise Wrong(f"changed, but nothing is different: {happened}")
    if kind == "deleted" and row != present:
        raise Wrong(f"deleted, but it was {present}: {happened}")
    if kind == "deleted":
        del state[contract, key]
    else:
        state[contract, key] = row


def flat(contract, rows):
    return {(contract.name, key): tuple(sorted(row.items(), key=lambda i: i[0])) for key, row in rows.items()}


# ---- the outbox, read independently ---------------------------------------------------------------------


class Reader:
    def __init__(self, connection, world):
        self.connection = connection
        self.contracts = {c.name: c for c in world.contracts}
        self.schemas = {}
        self.seq = connection.execute("SELECT coalesce(max(seq), 0) FROM outbox.event").fetchone()[0]

    def schema(self, number):
        if number not in self.schemas:
            text, contract, event_type = self.connection.execute(
                "SELECT schema, contract, event_type FROM outbox.event_schema WHERE id = %s", [number]).fetchone()
            self.schemas[number] = fastavro.parse_schema(json.loads(text), named_schemas={}), contract, event_type
        return self.schemas[number]

    def events(self):
        """[(xid, flags, event)] since the last call, by seq."""
        found = []
        rows = self.connection.execute(
            "SELECT seq, xid::text::bigint, schema_id, flags, aggregateid, type, payload FROM outbox.event"
            " WHERE seq > %s ORDER BY seq", [self.seq])
        for seq, xid, schema_id, flags, aggregate, event_type, payload in rows:
            self.seq = seq
            schema, contract, name = self.schema(schema_id)
            assert name == event_type
            record = fastavro.schemaless_reader(io.BytesIO(payload), schema)
            row = {n: canonical(v) for n, v in record.items() if not n.startswith("previous_")}
            previous = {n[9:]: canonical(v) for n, v in record.items() if n.startswith("previous_")}
            kind = event_type.rsplit("_", 1)[1]
            key = message_key(self.contracts[contract].key, row)
            if aggregate != message_key(self.contracts[contract].aggregate, row):
                raise Wrong(f"the message key {aggregate!r} is not of this row: {kind} {row}")
            found.append((xid, flags, event(contract, kind, key, row, previous if kind == "changed" else None)))
        return found


# ---- the serial mode ----------------------------------------------------------------------------------------


def isolation_level(rng, connection):
    """On 16 (seen with 16.11) a MERGE goes on although the row was changed after the transaction's snapshot: what it deletes, no look has seen."""
    level = rng.choice(["READ COMMITTED"] * 4 + ["REPEATABLE READ", "SERIALIZABLE"])
    return "READ COMMITTED" if connection.info.server_version // 10000 == 16 else level


class Session:
    """One connection of the application, driven step by step."""

    def __init__(self, driver, number):
        self.driver = driver
        self.number = number
        self.connection = psycopg.connect(driver.dsn, autocommit=True)
        self.connection.execute("SET lock_timeout = '3ms'")
        self.reset()

    def reset(self):
        self.open = False
        self.story = []             # all statements, for a person
        self.parts = []             # what each statement that stays must have made: (exact, before, after) by contract
        self.savepoints = []        # (name, number of parts)
        self.seen = {}              # contract -> (version of the committed state, rows)
        self.left = 0
        self.isolation = None

    def run(self, sql):
        self.story.append(f"-- {self.number}: {sql}")
        self.driver.script.append(f"/* {self.number} */ {sql};")
        self.connection.execute(sql, prepare=False)

    def view(self, contract, fresh=False):
        version = self.driver.version if self.isolation == "READ COMMITTED" else 0
        if fresh or contract not in self.seen or self.seen[contract][0] != version:
            self.seen[contract] = (version, look(self.connection, contract))
        return self.seen[contract][1]

    def step(self, rng):
        if not self.open:
            self.reset()
            self.isolation = isolation_level(rng, self.connection)
            self.run(f"BEGIN ISOLATION LEVEL {self.isolation}")
            self.open = True
            self.left = rng.choice([1, 1, 2, 3, 5, 8])
            return
        try:
            if self.left == 0:
                self.finish(rng)
            elif rng.random() < 0.2:
                self.savepoint(rng)
            else:
                self.left -= 1
                self.write(rng)
        except Twice:
            if self.isolation == "READ COMMITTED":
                raise
            self.run("ROLLBACK")
            self.open = False
        except psycopg.Error as error:
            if error.sqlstate is None or error.sqlstate[:2] in ("XX", "58") or "outbox" in str(error):
                raise Wrong(f"the application got an error of ours: {error}") from error
            self.story.append(f"-- {error.sqlstate} {str(error).splitlines()[0]}")
            if self.open:       # otherwise it was the COMMIT that failed
                self.recover(rng)

    def recover(self, rng):
        if self.savepoints and rng.random() < 0.8:
            name, parts = self.savepoints[-1]
            self.run(f"ROLLBACK TO {name}")
            del self.parts[parts:]
            self.seen = {}
        else:
            self.run("ROLLBACK")
            self.open = False

    def savepoint(self, rng):
        choice = rng.random()
        if choice < 0.5 or not self.savepoints:
            name = f"s{len(self.savepoints)}"
            self.run(f"SAVEPOINT {name}")
            self.savepoints.append((name, len(self.parts)))
        elif choice < 0.75:
            at = rng.randrange(len(self.savepoints))
            self.run(f"ROLLBACK TO {self.savepoints[at][0]}")
            del self.savepoints[at + 1:]
            del self.parts[self.savepoints[at][1]:]
            self.seen = {}
        else:
            at = rng.randrange(len(self.savepoints))
            self.run(f"RELEASE {self.savepoints[at][0]}")
            del self.savepoints[at:]

    def write(self, rng):
        table = rng.choice(self.driver.world.tables)
        contracts = [c for c in self.driver.world.related(table)
                     if c.evaluate == "row" or (c.table is table and len(c.tables) == 1)]
        before = {c: self.view(c) for c in contracts}
        keys = self.driver.keys(table, before)
        statement = random_statement(rng, table, keys)
        if rng.random() < 0.7 and not self.savepoints:
            self.savepoint(rng)
        if statement.copy:
            self.story.append(f"-- {self.number}: {statement.sql}\n{statement.copy}")
            self.driver.script.append(f"/* {self.number} */ {statement.sql};\n{statement.copy}\\.")
            with self.connection.cursor().copy(statement.sql) as copy:
                copy.write(statement.copy)
        else:
            self.run(statement.sql)
        after = {c: self.view(c, fresh=True) for c in contracts}
        exact = statement.exact and not any(t.legacy in ("after", "suppress") for c in contracts for t in c.tables)
        rows = [c for c in contracts if c.evaluate == "row"]
        self.parts.append((exact, {c: before[c] for c in rows}, {c: after[c] for c in rows}))

    def finish(self, rng):
        choice = rng.random()
        if choice < 0.15:
            self.run("ROLLBACK")
            self.open = False
            return
        xid = self.connection.execute("SELECT pg_current_xact_id_if_assigned()::text::bigint", prepare=False).fetchone()[0]
        if choice < 0.3 and self.isolation == "READ COMMITTED":
            name = f"{self.driver.world.schema}_{self.number}_{self.driver.done}"
            at_commit = {c: self.view(c, fresh=True) for c in self.driver.at_commit}
            self.open = False
            self.run(f"PREPARE TRANSACTION '{name}'")
            self.driver.was_prepared(name, xid, self.parts, self.story, at_commit)
            return
        self.open = False
        self.run("COMMIT")
        self.driver.committed(xid, self.parts, self.story)


class Serial:
    def __init__(self, dsn, world, sessions, observer):
        self.dsn = dsn
        self.world = world
        self.observer = observer
        self.version = 1
        self.done = 0
        self.prepared = []
        self.expected = {}          # xid -> (parts, story)
        self.order = []             # xids in commit order
        self.script = []
        self.at_commit = [c for c in world.contracts if c.evaluate == "commit"]
        self.shown = {c: look(observer, c) for c in self.at_commit}     # what is committed
        self.sessions = [Session(self, i) for i in range(sessions)]

    def keys(self, table, views):
        contract = next(c for c in views if c.tables == [table])
        return sorted({row["key_id"] for row in views[contract].values()})

    def committed(self, xid, parts, story, by_commit=None):
        """What contracts at commit made of it is the difference between two looks of a third party."""
        self.version += 1
        self.done += 1
        before, self.shown = self.shown, {c: look(self.observer, c) for c in self.at_commit}
        if xid is not None:
            parts = parts + [by_commit or (True, before, self.shown)]
            self.expected[xid] = (parts, list(story))
            self.order.append(xid)

    def was_prepared(self, name, xid, parts, story, at_commit):
        """
        It was read when it was prepared. Without the lock that orders what joined contracts show, so then it
        must not wait for others.
        """
        self.prepared.append((name, xid, parts, list(story), (True, self.shown, at_commit)))
        if self.world.joined:
            self.end_prepared(random.Random(name))

    def end_prepared(self, rng):
        name, xid, parts, story, by_commit = self.prepared.pop(rng.randrange(len(self.prepared)))
        end = rng.choice(["COMMIT", "COMMIT", "ROLLBACK"])
        self.script.append(f"{end} PREPARED '{name}';")
        self.observer.execute(f"{end} PREPARED '{name}'")
        if end == "COMMIT":
            self.committed(xid, parts, story, by_commit)

    def run(self, rng, transactions):
        while self.done < transactions:
            if self.prepared and (rng.random() < 0.05 or len(self.prepared) > 3):
                self.end_prepared(rng)
            else:
                rng.choice(self.sessions).step(rng)
        for session in self.sessions:
            if session.open:
                session.run("ROLLBACK")
            session.connection.close()
        while self.prepared:
            self.end_prepared(rng)

    def check(self, start, events):
        """Transaction by transaction, in the order of their commits; returns the state that all events lead to."""
        by_xid = collections.defaultdict(list)
        for xid, flags, happened in events:
            by_xid[xid].append(happened)
        state = dict(start)
        for xid in self.order:
            parts, story = self.expected[xid]
            happened = by_xid.pop(xid, [])
            try:
                if all(exact for exact, _, _ in parts):
                    check_exactly(parts, happened)
                check_path(parts, happened, state)
            except Wrong as wrong:
                raise Wrong(f"transaction {xid}: {wrong}\n" + "\n".join(story))
        if by_xid:
            raise Wrong(f"events of transactions that were rolled back or changed nothing: {list(by_xid.items())[:3]}")
        return state


def check_exactly(parts, events):
    """Statement by statement: what two looks differ by, each difference once."""
    at = 0
    for _, before, after in parts:
        wanted = collections.Counter()
        for contract in before:
            wanted += transitions(contract, before[contract], after[contract])
        got = collections.Counter(events[at:at + sum(wanted.values())])
        at += sum(wanted.values())
        if got != wanted:
            raise Wrong(f"missing {list((wanted - got).elements())}, not expected {list((got - wanted).elements())}")
    if at < len(events):
        raise Wrong(f"not expected {events[at:]}")


def check_path(parts, events, state):
    """
    Every event follows from the state before it, and together they lead to what the transaction saw last
    of the rows that it changed. Rows of others are theirs.
    """
    former = {(e[0], e[2]): state.get((e[0], e[2])) for e in events}
    for happened in events:
        apply(state, happened)
    last = {}
    for _, before, after in parts:
        for contract in before:
            old, new = flat(contract, before[contract]), flat(contract, after[contract])
            for key in old.keys() | new.keys():
                if old.get(key) != new.get(key):
                    last[key] = new.get(key)
    for key, value in last.items():
        if state.get(key) != value:
            raise Wrong(f"{key} is {value}, by the events {state.get(key)}: {events}")
    for key in former.keys() - last.keys():
        if state.get(key) != former[key]:
            raise Wrong(f"{key} was not changed, by the events it is {state.get(key)}: {events}")


# ---- the free mode ----------------------------------------------------------------------------------------------


class Free(threading.Thread):
    """A session that does what it likes, when it likes."""

    def __init__(self, dsn, world, seed, transactions, number):
        super().__init__()
        self.dsn = dsn
        self.world = world
        self.rng = random.Random(seed)
        self.transactions = transactions
        self.number = number
        self.done = 0
        self.failure = None

    def run(self):
        try:
            with psycopg.connect(self.dsn, autocommit=True) as connection:
                connection.execute("SET deadlock_timeout = '10ms'")
                connection.execute("SET lock_timeout = '150ms'")
                while self.done < self.transactions:
                    self.transaction(connection)
        except Exception as error:  # noqa: BLE001: reported by the main thread
            self.failure = error

    def transaction(self, connection):
        rng = self.rng
        isolation = isolation_level(rng, connection)
        try:
            connection.execute(f"BEGIN ISOLATION LEVEL {isolation}", prepare=False)
            for _ in range(rng.choice([1, 1, 2, 3, 5])):
                self.write(connection)
            self.end(connection)
        except psycopg.Error as error:
            if error.sqlstate is None or error.sqlstate[:2] in ("XX", "58") or "outbox" in str(error):
                raise Wrong(f"the application got an error of ours: {error}") from error
            connection.execute("ROLLBACK", prepare=False)

    def write(self, connection):
        rng = self.rng
        table = rng.choice(self.world.tables)
        statement = random_statement(rng, table, list(range(0, 13)) + [table.next_key - rng.randint(0, 20) for _ in range(6)])
        guarded = rng.random() < 0.5
        if guarded:
            connection.execute("SAVEPOINT s", prepare=False)
        try:
            if statement.copy:
                with connection.cursor().copy(statement.sql) as copy:
                    copy.write(statement.copy)
            else:
                connection.execute(statement.sql, prepare=False)
        except psycopg.Error:
            if not guarded:
                raise
            connection.execute("ROLLBACK TO s", prepare=False)
        if guarded:
            connection.execute(rng.choice(["RELEASE s", "RELEASE s", "ROLLBACK TO s"]), prepare=False)

    def end(self, connection):
        choice = self.rng.random()
        if choice < 0.1:
            connection.execute("ROLLBACK", prepare=False)
            return
        if choice < 0.2 and not self.world.joined:
            name = f"{self.world.schema}_{self.number}_{self.done}"
            connection.execute(f"PREPARE TRANSACTION '{name}'", prepare=False)
            connection.execute(f"{self.rng.choice(['COMMIT', 'ROLLBACK'])} PREPARED '{name}'", prepare=False)
        else:
            connection.execute("COMMIT", prepare=False)
        self.done += 1


def run_free(dsn, world, rng, sessions, transactions):
    threads = [Free(dsn, world, rng.random(), transactions // sessions, i) for i in range(sessions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for thread in threads:
        if thread.failure:
            raise thread.failure
    return sum(thread.done for thread in threads)


def check_free(start, events):
    """By seq, key by key: an event follows from the one before it."""
    state = dict(start)
    superseded = 0
    for _, flags, happened in events:
        superseded += flags & 1
        apply(state, happened)
    return state


# ---- all together ---------------------------------------------------------------------------------------------------


def looks(connection, world):
    state = {}
    for contract in world.contracts:
        state.update(flat(contract, look(connection, contract)))
    return state


def check_end(connection, world, state):
    shown = looks(connection, world)
    if shown != state:
        keys = [k for k in shown.keys() | state.keys() if shown.get(k) != state.get(k)]
        raise Wrong("the sum of all events is not what the view shows: "
                    + "; ".join(f"{k}: {shown.get(k)}, by the events {state.get(k)}" for k in keys[:5]))
    for table in ("dead_letter_entry", "gap"):
        rows = connection.execute(f"SELECT * FROM outbox.{table}").fetchall()
        if rows:
            raise Wrong(f"there are rows in outbox.{table}: {rows[:3]}")


def run_world(arguments, number):
    """A world lives in its own schema, from the same seed always the same."""
    rng = random.Random(f"{arguments.seed}/{number}")
    transactions = min(arguments.world_size, arguments.transactions)
    world = World(rng, number, arguments.evaluate)
    script = []
    with psycopg.connect(arguments.dsn, autocommit=True) as observer:
        try:
            world.create(observer, rng, script)
            reader = Reader(observer, world)
            start = looks(observer, world)
            if arguments.mode == "serial":
                driver = Serial(arguments.dsn, world, rng.randint(2, arguments.sessions), observer)
                script.append("-- by session:")
                driver.script = script
                driver.run(rng, transactions)
                events = reader.events()
                state = driver.check(start, events)
                done = driver.done
            else:
                done = run_free(arguments.dsn, world, rng, arguments.sessions, transactions)
                events = reader.events()
                state = check_free(start, events)
            check_end(observer, world, state)
            if not arguments.keep:
                world.drop(observer)
        except Exception:
            if arguments.script:
                with open(arguments.script, "w", encoding="utf-8") as file:
                    file.write("\n".join(s if s.endswith((";", "\\.")) or s.startswith("--") else s + ";" for s in script) + "\n")
            raise
    return done, len(events)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--dsn", required=True)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--transactions", type=int, default=1000)
    parser.add_argument("--world-size", type=int, default=250, help="transactions on the same tables")
    parser.add_argument("--first-world", type=int, default=0)
    parser.add_argument("--sessions", type=int, default=4)
    parser.add_argument("--mode", choices=["serial", "free"], default="serial")
    parser.add_argument("--evaluate", choices=["row", "commit", "mixed"], default="row")
    parser.add_argument("--keep", action="store_true", help="leave the tables")
    parser.add_argument("--script", help="where to write the SQL of a world that failed")
    arguments = parser.parse_args()
    arguments.dsn += " options='-c jit=off'"    # it takes longer than a look at a small view
    if arguments.seed is None:
        arguments.seed = random.SystemRandom().randrange(10**6)

    print(f"seed {arguments.seed}", flush=True)
    number = arguments.first_world
    transactions = events = 0
    while transactions < arguments.transactions:
        try:
            done, captured = run_world(arguments, number)
        except Exception as error:  # noqa: BLE001: the world must be named
            print(f"differential: FAILED in world {number} of seed {arguments.seed}, mode {arguments.mode}:"
                  f" {type(error).__name__}: {error}", flush=True)
            if not isinstance(error, Wrong):
                raise
            return 1
        transactions += done
        events += captured
        number += 1
    print(f"differential: ok mode={arguments.mode} worlds={number - arguments.first_world} transactions={transactions} events={events}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
