-- Nanoseconds to encode one record, per kind of row, and to compare one unchanged column.
--   psql -d <database with outbox_ext> -X -f bench/sql/avro_encode.sql
\set ON_ERROR_STOP 1
SET client_min_messages = warning;
BEGIN;
CREATE SCHEMA avro_bench;
SET search_path = avro_bench;
CREATE FUNCTION avro_schema(relation regclass, namespace text, record text, required text[]) RETURNS text
LANGUAGE c STRICT AS '$libdir/outbox_ext', 'outbox_test_avro_schema';
CREATE FUNCTION avro_time(schema text, row_value record, loops int) RETURNS float8
LANGUAGE c STRICT AS '$libdir/outbox_ext', 'outbox_test_avro_time';
CREATE FUNCTION avro_equal_time(schema text, a record, b record, col int, loops int) RETURNS float8
LANGUAGE c STRICT AS '$libdir/outbox_ext', 'outbox_test_avro_equal_time';

CREATE VIEW plain AS SELECT 42 AS a, 123456789012::int8 AS b, true AS c, 'customer-17'::text AS d, '2024-02-29 12:00+02'::timestamptz AS e,
    2.5::float8 AS f, 'SHIPPED'::text AS g, 7::int2 AS h, '2024-02-29'::date AS i, NULL::int AS j;
CREATE VIEW money AS SELECT 42 AS a, 123456789012::int8 AS b, true AS c, 'customer-17'::text AS d, '2024-02-29 12:00+02'::timestamptz AS e,
    '12345.67'::numeric(10,2) AS f, 'SHIPPED'::text AS g, 7::int2 AS h, '2024-02-29'::date AS i, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid AS j;
CREATE VIEW one_numeric AS SELECT '12345.67'::numeric(10,2) AS a;
CREATE VIEW one_uuid AS SELECT 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid AS a;
CREATE VIEW one_text AS SELECT 'customer-17'::text AS a;
CREATE VIEW lines AS SELECT 1 AS line_no, 'SKU-1'::text AS sku, 3 AS quantity, '9.99'::numeric(10,2) AS price;
CREATE VIEW nested AS SELECT 42 AS a, ARRAY(SELECT l FROM lines AS l, generate_series(1, 3)) AS items;

\set loops 3000000
SELECT round, plain, money, one_numeric, one_uuid, one_text, nested FROM generate_series(1, 5) AS round,
    LATERAL (SELECT avro_time(avro_schema('plain', 'b', 'E', '{a,b,d}'), p, :loops + round)::numeric(8,1) AS plain FROM plain AS p) AS t1,
    LATERAL (SELECT avro_time(avro_schema('money', 'b', 'E', '{a,b,d}'), p, :loops + round)::numeric(8,1) AS money FROM money AS p) AS t2,
    LATERAL (SELECT avro_time(avro_schema('one_numeric', 'b', 'E', '{a}'), p, :loops + round)::numeric(8,1) AS one_numeric FROM one_numeric AS p) AS t3,
    LATERAL (SELECT avro_time(avro_schema('one_uuid', 'b', 'E', '{a}'), p, :loops + round)::numeric(8,1) AS one_uuid FROM one_uuid AS p) AS t4,
    LATERAL (SELECT avro_time(avro_schema('one_text', 'b', 'E', '{a}'), p, :loops + round)::numeric(8,1) AS one_text FROM one_text AS p) AS t5,
    LATERAL (SELECT avro_time(avro_schema('nested', 'b', 'E', '{a,items}'), p, :loops / 10 + round)::numeric(8,1) AS nested FROM nested AS p) AS t6;
SELECT attnum AS col, format_type(atttypid, atttypmod) AS type, avro_equal_time(avro_schema('money', 'b', 'E', '{}'), x, y, attnum, :loops)::numeric(8,1) AS equal
FROM pg_attribute, money AS x, money AS y WHERE attrelid = 'money'::regclass AND attnum > 0 ORDER BY attnum;
ROLLBACK;
