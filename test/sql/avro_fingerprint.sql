-- Fingerprints are those of other implementations, and what is no schema is refused with a reason; needs test functions.
SET client_min_messages = warning;
CREATE SCHEMA avro_fingerprint_test;
SET search_path = avro_fingerprint_test;
CREATE FUNCTION avro_fingerprint(schema text) RETURNS bigint
LANGUAGE c STRICT AS '$libdir/outbox_ext', 'outbox_test_avro_fingerprint';

-- The Avro project's own vectors (share/test/data/schema-tests.txt) and others; all computed with fastavro 1.13.
CREATE TABLE vectors (n int GENERATED ALWAYS AS IDENTITY, fingerprint bigint, schema text);
INSERT INTO vectors (fingerprint, schema) VALUES
(7195948357588979594, '"null"'),
(7195948357588979594, '{"type":"null"}'),
(-6970731678124411036, '"boolean"'),
(8247732601305521295, '"int"'),
(-3434872931120570953, '"long"'),
(5583340709985441680, '"float"'),
(-8181574048448539266, '"double"'),
(5746618253357095269, '"bytes"'),
(-8142146995180207161, '"string"'),
(-5232228896498058493, '["int"]'),
(5392556393470105090, '["int","boolean"]'),
(-7474301792809991011, '["null","string"]'),
(1756455273707447556, '{"type":"fixed","name":"foo","size":15}'),
(8954456242127713061, '{"type":"fixed","name":"foo","namespace":"x.y","size":32}'),
(9106076447727006457, '{"namespace":"x.y","type":"fixed","name":"a.b.foo","doc":"foo bar","size":32}'),
(-6342190197741309591, '{"type":"enum","name":"foo","symbols":["A1"]}'),
(-4448647247586288245, '{"name":"x.y.z.foo","type":"enum","doc":"foo bar","symbols":["A1","A2"]}'),
(7424167949001545251, '{"type":"array","items":{"type":"enum","name":"foo","symbols":["A1"]}}'),
(5173863359338286051, '{"type":"map","values":{"type":"enum","name":"foo","symbols":["A1"]}}'),
(-4824392279771201922, '{"type":"record","name":"foo","fields":[]}'),
(-7757108862180654911, '{"type":"record","name":"foo","namespace":"x.y","fields":[{"name":"f1","type":["null","int"],"default":null,"doc":"d"},{"name":"f2","type":{"type":"bytes","logicalType":"decimal","precision":10,"scale":2}}]}'),
(65937722839820916, '{"type":"record","name":"foo","doc":"foo bar","fields":[{"type":["null","foo"],"name":"f1","default":null},{"name":"f2","type":{"type":"array","items":"foo"}}]}'),
(1543354350460375424, '{"type":"record","name":"a.R","fields":[{"name":"e","type":{"type":"enum","name":"E","symbols":["X"]}},{"name":"again","type":"E"},{"name":"other","type":{"type":"record","name":"b.S","fields":[{"name":"m","type":{"type":"map","values":"a.E"}}]}},{"name":"s","type":"b.S"}]}'),
(357548786788910053, '{"type":"record","name":"foo","fields":[{"name":"d","type":{"type":"int","logicalType":"date"},"aliases":["x"]},{"name":"u","type":{"type":"string","logicalType":"uuid"}},{"name":"t","type":{"type":"long","logicalType":"timestamp-micros"}}]}');
SELECT count(*) AS vectors, count(*) FILTER (WHERE fingerprint = avro_fingerprint(schema)) AS equal FROM vectors;
SELECT n, fingerprint, avro_fingerprint(schema), schema FROM vectors WHERE fingerprint <> avro_fingerprint(schema) ORDER BY n;

-- what does not matter to a reader does not change the fingerprint
SELECT avro_fingerprint('{"type": "record", "name": "E", "namespace": "t", "doc": "x", "fields": [{"name": "a", "type": ["null", "string"], "default": null, "doc": "y"}]}')
     = avro_fingerprint('{"fields":[{"type":["null",{"type":"string"}],"name":"a"}],"name":"t.E","type":"record"}') AS same;

-- what is no schema
CREATE FUNCTION refused(schema text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    detail text;
BEGIN
    PERFORM avro_fingerprint(schema);
    RETURN 'accepted';
EXCEPTION WHEN invalid_schema_definition THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
    RETURN detail;
END $$;
\pset format unaligned
\pset tuples_only on
SELECT left(s, 110), refused(s) FROM unnest(ARRAY[
'', '{', 'null', '1', '"number"', '{}', '{"type": 1}', '{"type": "int", "type": "long"}', '"int" x', '"a\u0000b"', '[]',
'{"type": "fixed", "name": "f", "size": -1}', '{"type": "fixed", "name": "f"}', '{"type": "fixed", "name": "f", "size": 1.5}', '{"type": "fixed", "name": "f", "size": 2147483648}',
'{"type": "record", "name": "R"}', '{"type": "record", "fields": []}', '{"type": "record", "name": "1R", "fields": []}', '{"type": "record", "name": "a..b", "fields": []}', '{"type": "record", "name": "int", "fields": []}',
'{"type": "record", "name": "R", "namespace": "a-b", "fields": []}', '{"type": "record", "name": "R", "fields": [1]}', '{"type": "record", "name": "R", "fields": [{"name": "a"}]}', '{"type": "record", "name": "R", "fields": [{"type": "int"}]}',
'{"type": "record", "name": "R", "fields": [{"name": "größe", "type": "int"}]}', '{"type": "record", "name": "R", "fields": [{"name": "a.b", "type": "int"}]}',
'{"type": "record", "name": "R", "fields": [{"name": "a", "type": "int"}, {"name": "a", "type": "int"}]}',
'{"type": "record", "name": "R", "fields": [{"name": "a", "type": "int", "default": null}]}', '{"type": "record", "name": "R", "fields": [{"name": "a", "type": ["int", "null"], "default": null}]}',
'{"type": "record", "name": "R", "fields": [{"name": "a", "type": "R"}]}', '{"type": "record", "name": "R", "fields": [{"name": "a", "type": ["R"]}]}', '{"type": "record", "name": "R", "fields": [{"name": "a", "type": ["null", "R"]}]}',
'{"type": "record", "name": "R", "fields": [{"name": "a", "type": {"type": "record", "name": "S", "fields": [{"name": "b", "type": "R"}]}}]}',
'{"type": "record", "name": "R", "fields": [{"name": "a", "type": {"type": "record", "name": "R", "fields": []}}]}',
'{"type": "record", "name": "R", "fields": [{"name": "a", "type": "S"}, {"name": "b", "type": {"type": "record", "name": "S", "fields": []}}]}',
'{"type": "enum", "name": "E"}', '{"type": "enum", "name": "E", "symbols": []}', '{"type": "enum", "name": "E", "symbols": ["a", "a"]}', '{"type": "enum", "name": "E", "symbols": ["in transit"]}', '{"type": "enum", "name": "E", "symbols": [1]}',
'{"type": "array"}', '{"type": "map", "items": "int"}', '["int", "int"]', '["int", {"type": "int"}]', '["int", ["long"]]', '[{"type": "array", "items": "int"}, {"type": "array", "items": "long"}]',
'{"type": "bytes", "logicalType": "decimal"}', '{"type": "bytes", "logicalType": "decimal", "precision": 0}', '{"type": "bytes", "logicalType": "decimal", "precision": 2, "scale": 3}', '{"type": "bytes", "logicalType": "decimal", "precision": 2, "scale": -1}',
'{"type": "string", "logicalType": "decimal"}', '{"type": "int", "logicalType": "unheard-of"}'
]) WITH ORDINALITY AS u(s, n) ORDER BY n;
SELECT 'depth ' || d, refused(repeat('{"type": "array", "items": ', d) || '"int"' || repeat('}', d)) FROM unnest(ARRAY[64, 65, 5000]) AS d;

DROP SCHEMA avro_fingerprint_test CASCADE;
