-- check_schemas() names every difference between a reader's and a writer's schema, with rule, path and pointer.
\pset null NULL

-- Names in JSON texts get their quotes here.
CREATE FUNCTION pg_temp.json(text) RETURNS text LANGUAGE sql AS
$$ SELECT regexp_replace($1, '([A-Za-z_][A-Za-z0-9_.-]*)', '"\1"', 'g') $$;
CREATE FUNCTION pg_temp.differ(reader text, writer text,
    OUT severity text, OUT rule text, OUT path text, OUT detail text, OUT message text) RETURNS SETOF record LANGUAGE sql AS
$$ SELECT * FROM outbox.check_schemas(pg_temp.json(reader), pg_temp.json(writer)) $$;

-- ---- the same schema, and what any reader may do -----------------------------------------------
SELECT * FROM pg_temp.differ('{type: record, name: a.R, fields: [{name: id, type: long}]}', '{type: record, name: a.R, fields: [{name: id, type: long}]}');
-- Another namespace, another order, a field less, one with a default, a nullable one.
SELECT * FROM pg_temp.differ(
    '{type: record, name: b.R, fields: [{name: b, type: [int, string]}, {name: a, type: long}, {name: c, type: [int, string], default: 7}]}',
    '{type: record, name: a.R, fields: [{name: a, type: int}, {name: gone, type: bytes}, {name: b, type: int}]}');

-- ---- NAME: at the root, in items, in a branch; aliases are the reader's, in its namespace --------
SELECT * FROM pg_temp.differ('{type: record, name: Order, fields: []}', '{type: record, name: Invoice, fields: []}');
SELECT * FROM pg_temp.differ('{type: array, items: {type: enum, name: A, symbols: [X]}}', '{type: array, items: {type: enum, name: B, symbols: [X]}}');
SELECT * FROM outbox.check_schemas('["null", {"type": "fixed", "name": "A", "size": 1}]', '["null", {"type": "fixed", "name": "B", "size": 1}]');
SELECT * FROM pg_temp.differ('{type: record, name: n.Order, aliases: [Invoice], fields: []}', '{type: record, name: n.Invoice, fields: []}');
SELECT * FROM pg_temp.differ('{type: record, name: n.Order, aliases: [Invoice], fields: []}', '{type: record, name: other.Invoice, fields: []}');
SELECT * FROM pg_temp.differ('{type: record, name: n.Order, aliases: [other.Invoice], fields: []}', '{type: record, name: other.Invoice, fields: []}');
SELECT * FROM pg_temp.differ('{type: record, name: Invoice, fields: []}', '{type: record, name: Order, aliases: [Invoice], fields: []}');

-- ---- FIELD_NO_DEFAULT, ALIAS_AMBIGUOUS -----------------------------------------------------------
SELECT * FROM pg_temp.differ('{type: record, name: R, fields: [{name: a, type: int}, {name: b, type: string}]}', '{type: record, name: R, fields: [{name: a, type: int}]}');
SELECT * FROM outbox.check_schemas('{"type": "record", "name": "R", "fields": [{"name": "a", "type": ["null", "int"], "default": null}, {"name": "b", "type": "int", "default": "0"}]}',
    '{"type": "record", "name": "R", "fields": []}');
SELECT * FROM pg_temp.differ('{type: record, name: R, fields: [{name: total, type: int, aliases: [amount]}]}', '{type: record, name: R, fields: [{name: amount, type: int}]}');
SELECT * FROM pg_temp.differ('{type: record, name: R, fields: [{name: total, type: int, aliases: [amount, sum]}]}', '{type: record, name: R, fields: [{name: amount, type: int}, {name: sum, type: int}]}');
SELECT * FROM pg_temp.differ('{type: record, name: R, fields: [{name: amount, type: int}, {name: total, type: int, aliases: [amount]}]}', '{type: record, name: R, fields: [{name: amount, type: int}]}');

-- ---- TYPE and promotions: all pairs of primitives ------------------------------------------------
SELECT reader, string_agg(writer || CASE severity WHEN 'error' THEN '!' WHEN 'warning' THEN '~' ELSE '' END, ' ' ORDER BY w) AS "reads (! error, ~ warning)"
FROM unnest(ARRAY['null', 'boolean', 'int', 'long', 'float', 'double', 'bytes', 'string']) WITH ORDINALITY AS r (reader, n),
    unnest(ARRAY['null', 'boolean', 'int', 'long', 'float', 'double', 'bytes', 'string']) WITH ORDINALITY AS s (writer, w)
    LEFT JOIN LATERAL outbox.check_schemas(to_json(reader)::text, to_json(writer)::text) ON true
GROUP BY n, reader ORDER BY n;
SELECT rule, message FROM outbox.check_schemas('"double"', '"long"');
SELECT rule, message FROM outbox.check_schemas('"int"', '"string"');
SELECT * FROM pg_temp.differ('{type: record, name: R, fields: [{name: tags, type: {type: map, values: {type: array, items: int}}}]}',
    '{type: record, name: R, fields: [{name: tags, type: {type: map, values: {type: array, items: long}}}]}');

-- ---- unions --------------------------------------------------------------------------------------
-- A reader without null; a branch that nothing takes; inside a nullable record the path goes on.
SELECT * FROM outbox.check_schemas('"int"', '["null", "int"]');
SELECT * FROM outbox.check_schemas('["null", "int"]', '["null", "string"]');
SELECT * FROM outbox.check_schemas(
    '{"type": "record", "name": "R", "fields": [{"name": "items", "type": ["null", {"type": "array", "items": ["null", {"type": "record", "name": "Item", "fields": [{"name": "unit_price", "type": ["null", "int"]}, {"name": "sku", "type": "string"}]}]}]}]}',
    '{"type": "record", "name": "R", "fields": [{"name": "items", "type": ["null", {"type": "array", "items": ["null", {"type": "record", "name": "Item", "fields": [{"name": "unit_price", "type": ["null", "long"]}]}]}]}]}');
-- With several branches beside null the path names the branch.
SELECT * FROM pg_temp.differ('[string, {type: record, name: p.Card, fields: [{name: number, type: int}]}, {type: record, name: p.Cash, fields: [{name: paid, type: int}]}]',
    '[string, {type: record, name: p.Card, fields: [{name: number, type: string}]}, {type: record, name: p.Cash, fields: [{name: paid, type: int}]}]');
-- Readers do not agree which of these branches takes an int.
SELECT * FROM outbox.check_schemas('["long", "int"]', '"int"');
-- Of the same short name, the one that fits; of the same full name, that one.
SELECT severity, rule, path FROM pg_temp.differ('[{type: record, name: a.I, fields: [{name: x, type: int}]}, {type: record, name: b.I, fields: []}]', '{type: record, name: c.I, fields: []}');
SELECT severity, rule, path FROM pg_temp.differ('[{type: record, name: a.I, fields: [{name: x, type: int}]}, {type: record, name: b.I, fields: []}]', '{type: record, name: a.I, fields: []}');

-- ---- ENUM_SYMBOL, FIXED_SIZE ---------------------------------------------------------------------
SELECT * FROM pg_temp.differ('{type: enum, name: E, symbols: [NEW, PAID]}', '{type: enum, name: E, symbols: [NEW, SHIPPED, PAID, LOST]}');
SELECT * FROM pg_temp.differ('{type: enum, name: E, symbols: [NEW, UNKNOWN], default: UNKNOWN}', '{type: enum, name: E, symbols: [NEW, SHIPPED]}');
SELECT * FROM pg_temp.differ('{type: enum, name: E, symbols: [NEW]}', '{type: enum, name: E, symbols: [NEW, UNKNOWN], default: UNKNOWN}');
SELECT * FROM outbox.check_schemas('{"type": "fixed", "name": "F", "size": 4}', '{"type": "fixed", "name": "F", "size": 8}');

-- ---- logical types: what Avro's own rules call compatible ----------------------------------------
CREATE FUNCTION pg_temp.dec(p int, s int) RETURNS text LANGUAGE sql AS
$$ SELECT format('{"type": "bytes", "logicalType": "decimal", "precision": %s, "scale": %s}', p, s) $$;
CREATE FUNCTION pg_temp.log(type text, logical text) RETURNS text LANGUAGE sql AS
$$ SELECT format('{"type": "%s", "logicalType": "%s"}', type, logical) $$;
SELECT d.* FROM outbox.check_schemas(pg_temp.dec(12, 4), pg_temp.dec(12, 2)) AS d;
SELECT d.* FROM outbox.check_schemas(pg_temp.dec(10, 2), pg_temp.dec(12, 2)) AS d;
SELECT d.* FROM outbox.check_schemas(pg_temp.dec(14, 2), pg_temp.dec(12, 2)) AS d;
SELECT reader, writer, d.severity, d.rule, d.message
FROM (VALUES
    (1, pg_temp.log('long', 'timestamp-millis'), pg_temp.log('long', 'timestamp-micros')),
    (2, pg_temp.log('long', 'local-timestamp-micros'), pg_temp.log('long', 'timestamp-micros')),
    (3, '"long"', pg_temp.log('long', 'timestamp-micros')),
    (4, pg_temp.log('long', 'timestamp-micros'), '"long"'),
    (5, '"long"', pg_temp.log('int', 'date')),
    (6, '"int"', pg_temp.log('int', 'date')),
    (7, pg_temp.log('long', 'time-micros'), pg_temp.log('int', 'time-millis')),
    (8, '"bytes"', pg_temp.dec(12, 2)),
    (9, '"string"', pg_temp.dec(12, 2)),
    (10, '"string"', pg_temp.log('string', 'uuid')),
    (11, pg_temp.log('string', 'uuid'), '"string"'),
    (12, pg_temp.log('string', 'iban'), '"string"'),
    (13, pg_temp.log('string', 'date'), '"string"'),
    (14, '["null", ' || pg_temp.log('long', 'timestamp-millis') || ']', '["null", ' || pg_temp.log('long', 'timestamp-micros') || ']'))
    AS pair (n, reader, writer)
    LEFT JOIN LATERAL outbox.check_schemas(reader, writer) AS d ON true
ORDER BY n, d.rule;
SELECT d.* FROM outbox.check_schemas('{"type": "fixed", "name": "F", "size": 8, "logicalType": "decimal", "precision": 18, "scale": 4}',
    '{"type": "fixed", "name": "F", "size": 8, "logicalType": "decimal", "precision": 18, "scale": 2}') AS d;

-- ---- recursion, and types that are used twice ----------------------------------------------------
SELECT * FROM outbox.check_schemas(
    '{"type": "record", "name": "Node", "fields": [{"name": "value", "type": "int"}, {"name": "next", "type": ["null", "Node"], "default": null}]}',
    '{"type": "record", "name": "Node", "fields": [{"name": "value", "type": "int"}, {"name": "next", "type": ["null", "Node"]}]}');
SELECT * FROM outbox.check_schemas(
    '{"type": "record", "name": "Node", "fields": [{"name": "value", "type": "int"}, {"name": "next", "type": ["null", "Node"], "default": null}]}',
    '{"type": "record", "name": "Node", "fields": [{"name": "value", "type": "long"}, {"name": "next", "type": ["null", "Node"]}]}');
SELECT severity, rule, path, detail FROM pg_temp.differ(
    '{type: record, name: R, fields: [{name: billing, type: {type: record, name: Address, fields: [{name: zip, type: int}]}}, {name: shipping, type: Address}]}',
    '{type: record, name: R, fields: [{name: billing, type: {type: record, name: Address, fields: [{name: zip, type: string}]}}, {name: shipping, type: Address}]}');

-- ---- a contract's own schema ---------------------------------------------------------------------
CREATE TABLE ordr (id integer PRIMARY KEY, amount numeric(12,2), at timestamptz);
CREATE VIEW order_v1 AS SELECT id, amount, at FROM ordr;
SELECT outbox.create_contract('order', view => 'order_v1', source => 'ordr', key => '{id}', required => '{id}');
SELECT outbox.create_event_type('OrderPlaced', contract => 'order', emit => 'created');
SELECT outbox.avro_schema('OrderPlaced') AS schema \gset
SELECT * FROM outbox.check_schemas(:'schema', :'schema');
SELECT severity, rule, path, detail, message FROM outbox.check_schemas(replace(:'schema', '"scale": 2', '"scale": 4'), :'schema');
SELECT severity, rule, path, detail, message FROM outbox.check_schemas(replace(:'schema', 'timestamp-micros', 'timestamp-millis'), :'schema');
SELECT outbox.drop_contract('order');
DROP VIEW order_v1;
DROP TABLE ordr;

-- ---- what is no schema ---------------------------------------------------------------------------
SELECT * FROM outbox.check_schemas('{', '"int"');
SELECT * FROM outbox.check_schemas('"int"', '"integer"');
SELECT * FROM outbox.check_schemas(NULL, '"int"');
SELECT * FROM outbox.check_schemas('"int"', NULL);
SELECT * FROM outbox.check_schemas('{"type": "enum", "name": "E", "symbols": ["A"], "default": "B"}', '"int"');
SELECT * FROM outbox.check_schemas('{"type": "record", "name": "R", "aliases": "S", "fields": []}', '"int"');
SELECT * FROM outbox.check_schemas('{"type": "record", "name": "R", "fields": [{"name": "a", "type": "int", "aliases": ["a.b"]}]}', '"int"');

-- ---- what is too much ----------------------------------------------------------------------------
SELECT * FROM outbox.check_schemas('"int"', repeat(' ', 600000) || '"int"');
-- Types that lead to each other without being nested, 600 deep; the reader's walk begins with the last of them.
CREATE FUNCTION pg_temp.chain(n int, side text, one text) RETURNS text LANGUAGE sql AS $$
    SELECT format('{"type": "record", "name": "A", "fields": [{"name": "%s", "default": {}, "type": {"type": "record", "name": "M", "fields": [%s]}}, {"name": "z", "type": "T%s"}]}',
        side, string_agg(replace(replace(CASE i WHEN 0 THEN '{"name": "f0", "type": {"type": "record", "name": "T0", "fields": [{"name": "leaf", "type": "LEAF"}]}}' ELSE one END, '$i', i::text), '$j', (i - 1)::text), ',' ORDER BY i), n - 1)
    FROM generate_series(0, n - 1) AS i $$;
\set one '{"name": "f$i", "type": {"type": "record", "name": "T$i", "fields": [{"name": "x", "type": "T$j"}]}}'
\set two '{"name": "f$i", "type": {"type": "record", "name": "T$i", "fields": [{"name": "x", "type": "T$j"}, {"name": "y", "type": "T$j"}]}}'
SELECT * FROM outbox.check_schemas(replace(pg_temp.chain(600, 'r', :'one'), 'LEAF', 'int'), replace(pg_temp.chain(600, 'w', :'one'), 'LEAF', 'int'));
-- 2^39 places: none differs; all differ.
SELECT * FROM outbox.check_schemas(replace(pg_temp.chain(40, 'r', :'two'), 'LEAF', 'int'), replace(pg_temp.chain(40, 'w', :'two'), 'LEAF', 'int'));
SELECT * FROM outbox.check_schemas(replace(pg_temp.chain(40, 'r', :'two'), 'LEAF', 'int'), replace(pg_temp.chain(40, 'w', :'two'), 'LEAF', 'string'));
-- 2,500 fields with 6 aliases each, none of them written; and a comparison can be cancelled.
SELECT format('{"type": "record", "name": "R", "fields": [%s]}', string_agg(format('{"name": "r%s", "type": "int", "default": 0, "aliases": ["a", "b", "c", "d", "e", "f"]}', i), ',')) AS aliases,
    format('{"type": "record", "name": "R", "fields": [%s]}', string_agg(format('{"name": "w%s", "type": "int"}', i), ',')) AS fields
FROM generate_series(1, 2500) AS i \gset
SELECT * FROM outbox.check_schemas(:'aliases', :'fields');
SET statement_timeout = '1ms';
\set VERBOSITY sqlstate
SELECT * FROM outbox.check_schemas(:'aliases', :'fields');
\set VERBOSITY default
RESET statement_timeout;

-- ---- who may -------------------------------------------------------------------------------------
CREATE ROLE check_schemas_nobody;
CREATE ROLE check_schemas_reader;
SELECT outbox.grant_access('check_schemas_reader', 'reader');
SET ROLE check_schemas_nobody;
SELECT * FROM outbox.check_schemas('"int"', '"long"');
SET ROLE check_schemas_reader;
SELECT * FROM outbox.check_schemas('"int"', '"long"');
RESET ROLE;
DROP OWNED BY check_schemas_reader;
DROP ROLE check_schemas_nobody, check_schemas_reader;
