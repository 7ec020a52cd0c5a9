-- Every PostgreSQL type becomes the Avro type of the type map, or is refused with a remedy; needs test functions.
\set VERBOSITY default
SET client_min_messages = warning;
CREATE SCHEMA avro_schema_test;
SET search_path = avro_schema_test;
SET timezone = 'UTC';
CREATE FUNCTION avro_schema(relation regclass, namespace text, record text, required text[]) RETURNS text
LANGUAGE c STRICT AS '$libdir/outbox_ext', 'outbox_test_avro_schema';
CREATE FUNCTION avro_traits(schema text, row_value record) RETURNS text
LANGUAGE c STRICT AS '$libdir/outbox_ext', 'outbox_test_avro_traits';

-- The type of a view's only column v in the schema, or why there is none.
CREATE FUNCTION mapped(type text, value text DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    field jsonb;
    detail text;
    hint text;
BEGIN
    EXECUTE format('CREATE VIEW one AS SELECT %L::%s AS v', value, type);
    field := avro_schema('one', 'test', 'Event', '{v}')::jsonb #> '{fields,0,type}';
    DROP VIEW one;
    RETURN field;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    RETURN format(E'%s %s\nDETAIL: %s\nHINT: %s', SQLSTATE, SQLERRM, detail, hint);
END $$;

CREATE TYPE mood AS ENUM ('sad', 'ok', 'HAPPY');
CREATE TYPE bad_labels AS ENUM ('fine', 'in transit');
CREATE TYPE no_labels AS ENUM ();
CREATE TYPE "odd name" AS ENUM ('a');
CREATE TYPE pair AS (a int, b numeric(8,3));
CREATE TYPE naive AS (a int, at timestamp);
CREATE TYPE odd_field AS (a int, "two words" text);
CREATE TYPE outer_pair AS (left_pair pair, right_pair pair, moods mood[]);
CREATE DOMAIN short_text AS varchar(10);
CREATE DOMAIN amount AS numeric(12,2) CHECK (VALUE >= 0);
CREATE DOMAIN fine_amount AS amount;
CREATE DOMAIN labels AS outbox.string_map;

-- scalars
SELECT t AS type, mapped(t) FROM unnest(ARRAY[
    'boolean', 'smallint', 'integer', 'bigint', 'real', 'double precision',
    'text', 'varchar', 'varchar(5)', 'char(4)', 'name', '"char"', 'bytea',
    'numeric(10,2)', 'numeric(5,0)', 'numeric(1000,500)', 'numeric(3,3)',
    'date', 'time', 'time(3)', 'timestamptz', 'timestamptz(0)', 'uuid', 'json', 'jsonb',
    'outbox.string_map', 'mood', 'short_text', 'amount', 'fine_amount', 'labels',
    'interval', 'inet', 'cidr', 'macaddr', 'int4range', 'tstzrange', 'int4multirange', 'xml', 'point', 'bit(3)',
    'timetz', 'tsquery', 'pg_lsn', 'regclass', 'oid']) WITH ORDINALITY AS u(t, n) ORDER BY n;

-- nested types
\pset format unaligned
\pset tuples_only on
SELECT t AS type, mapped(t) FROM unnest(ARRAY[
    'int[]', 'text[]', 'numeric(9,4)[]', 'mood[]', 'amount[]', 'pair', 'pair[]', 'outer_pair']) WITH ORDINALITY AS u(t, n) ORDER BY n;

-- refusals
SELECT mapped('timestamp');
SELECT mapped('timestamp[]');
SELECT mapped('naive');
SELECT mapped('numeric');
SELECT mapped('numeric[]');
SELECT mapped('numeric(5,-2)');
SELECT mapped('numeric(3,5)');
SELECT mapped('money');
SELECT mapped('tsvector');
SELECT mapped('money[]');
SELECT mapped('bad_labels');
SELECT mapped('no_labels');
SELECT mapped('"odd name"');
SELECT mapped('odd_field');
\pset format aligned
\pset tuples_only off

-- typmods get lost: the refusal prints the cast
CREATE VIEW lost AS SELECT round(12.345, 2) AS total;
SELECT avro_schema('lost', 'test', 'Event', '{}');
CREATE VIEW odd_column AS SELECT 1 AS "größe";
SELECT avro_schema('odd_column', 'test', 'Event', '{}');
CREATE VIEW fine AS SELECT 1 AS a;
SELECT avro_schema('fine', 'test', 'Event-1', '{}');
SELECT avro_schema('fine', 'te st', 'Event', '{}');

-- two types of one name, and a type with the name of the event
CREATE SCHEMA avro_schema_other;
CREATE TYPE avro_schema_other.mood AS ENUM ('x');
CREATE VIEW twice AS SELECT 'ok'::mood AS a, 'x'::avro_schema_other.mood AS b;
SELECT avro_schema('twice', 'test', 'Event', '{}');
CREATE VIEW own_name AS SELECT 'ok'::mood AS a;
SELECT avro_schema('own_name', 'test', 'mood', '{}');

-- the label UNKNOWN is the default symbol, where the type is written out
CREATE TYPE state AS ENUM ('open', 'UNKNOWN');
CREATE TYPE lower_state AS ENUM ('open', 'unknown');
CREATE TYPE two_states AS (a state, b state[]);
CREATE VIEW states AS SELECT 'open'::state AS s, NULL::two_states AS t, 'open'::lower_state AS l;
SELECT avro_schema('states', 'test', 'Event', '{s}');

-- the whole text: optional and required columns, comments, a nested record at its second use
CREATE TABLE lines (order_id int, line_no int, sku text, price numeric(10,2));
CREATE VIEW order_line AS SELECT * FROM lines;
COMMENT ON VIEW order_line IS 'One line';
COMMENT ON COLUMN order_line.sku IS 'Stock keeping "unit" \ tab	and
new line';
CREATE VIEW whole AS
SELECT 1 AS order_id, 'x'::text AS note, NULL::order_line AS first_line, ARRAY[]::order_line[] AS lines, 'ok'::mood AS mood;
COMMENT ON VIEW whole IS U&'Gr\00F6\00DFe';
COMMENT ON COLUMN whole.note IS 'May be empty';
SELECT avro_schema('whole', 'shop.order', 'OrderPlaced', '{order_id,lines}');
SELECT avro_schema('whole', '', 'OrderPlaced', '{order_id,lines}');

-- required fields of nested rows; an array is passed through
SELECT avro_schema('whole', 'shop', 'OrderPlaced', '{lines,lines.sku,lines.order_id,first_line.sku,first_line.order_id}');
SELECT avro_schema('whole', 'shop', 'OrderPlaced', '{lines.sku}');
SELECT avro_schema('whole', 'shop', 'OrderPlaced', '{lines.color}');
SELECT avro_schema('whole', 'shop', 'OrderPlaced', '{lines.sku.color,first_line.sku}');
CREATE VIEW outer_row AS SELECT ROW(NULL, NULL, NULL)::outer_pair AS o;
SELECT avro_schema('outer_row', 'shop', 'E', '{o.left_pair.a,o.right_pair.a,o.moods}');
CREATE VIEW outer_rows AS SELECT NULL::outer_pair AS o, ARRAY[]::outer_pair[] AS more;
SELECT avro_schema('outer_rows', 'shop', 'E', '{o.left_pair.a,o.right_pair.a,o.moods,more.moods}');
SELECT avro_schema('outer_rows', 'shop', 'E', '{o.left_pair.a,o.moods}');

CREATE VIEW empty AS SELECT;
SELECT avro_schema('empty', 'test', 'Event', '{}');

-- dropped attributes are no fields
ALTER TABLE lines DROP COLUMN line_no CASCADE;
CREATE VIEW after_drop AS SELECT lines AS l FROM lines;
SELECT avro_schema('after_drop', 'test', 'Event', '{l}');

-- what calls functions that may raise or that look at settings
CREATE TYPE text_range AS RANGE (subtype = text, collation = "C");
SELECT avro_traits(avro_schema('fine', 'test', 'Event', '{}'), fine) FROM fine;
CREATE VIEW with_inet AS SELECT '::1'::inet AS a;
SELECT avro_traits(avro_schema('with_inet', 'test', 'Event', '{}'), with_inet) FROM with_inet;
CREATE VIEW with_interval AS SELECT '1 day'::interval AS a;
SELECT avro_traits(avro_schema('with_interval', 'test', 'Event', '{}'), with_interval) FROM with_interval;
CREATE VIEW with_interval_array AS SELECT ARRAY['1 day'::interval] AS a;
SELECT avro_traits(avro_schema('with_interval_array', 'test', 'Event', '{}'), with_interval_array) FROM with_interval_array;
CREATE VIEW with_user_type AS SELECT '[a,b)'::text_range AS a;
SELECT avro_traits(avro_schema('with_user_type', 'test', 'Event', '{}'), with_user_type) FROM with_user_type;

DROP SCHEMA avro_schema_test, avro_schema_other CASCADE;
