-- Texts are UTF-8 on the wire whatever the database's encoding is; needs test functions.
SET client_min_messages = warning;
DROP DATABASE IF EXISTS regress_outbox_latin1;
DROP DATABASE IF EXISTS regress_outbox_sql_ascii;
CREATE DATABASE regress_outbox_latin1 TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C';
CREATE DATABASE regress_outbox_sql_ascii TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C';
SELECT current_database() AS home \gset

\c regress_outbox_latin1
SET client_min_messages = warning;
CREATE EXTENSION outbox_ext;
CREATE FUNCTION avro_schema(relation regclass, namespace text, record text, required text[]) RETURNS text
LANGUAGE c STRICT AS '$libdir/outbox_ext', 'outbox_test_avro_schema';
CREATE FUNCTION avro_encode(schema text, row_value record) RETURNS bytea
LANGUAGE c STRICT AS '$libdir/outbox_ext', 'outbox_test_avro_encode';
CREATE FUNCTION avro_decode(schema text, bytes bytea) RETURNS jsonb
LANGUAGE c STRICT AS '$libdir/outbox_ext', 'outbox_test_avro_decode';
CREATE FUNCTION avro_second_opinion(schema text, bytes bytea) RETURNS text
LANGUAGE c STRICT AS '$libdir/outbox_ext', 'outbox_test_avro_second_opinion';
CREATE FUNCTION avro_fingerprint(schema text) RETURNS bigint
LANGUAGE c STRICT AS '$libdir/outbox_ext', 'outbox_test_avro_fingerprint';
SET client_encoding = 'SQL_ASCII';
CREATE TABLE texts (t text, c char(5), n name, j jsonb, m outbox.string_map, a text[]);
INSERT INTO texts SELECT s, s, s, to_jsonb(s), jsonb_build_object(s, s)::outbox.string_map, ARRAY[s] FROM convert_from('\xe4', 'LATIN1') AS s;
DO $$ BEGIN EXECUTE format('COMMENT ON COLUMN texts.t IS %L', convert_from('\xe4', 'LATIN1')); END $$;
SELECT avro_schema('texts', 't', 'E', '{}') AS schema \gset
SELECT avro_fingerprint(:'schema') = avro_fingerprint(replace(:'schema', convert_from('\xe4', 'LATIN1'), 'ae')) AS doc_does_not_matter,
       convert_to((:'schema'::jsonb #>> '{fields,0,doc}'), 'UTF8') AS doc;
SELECT avro_encode(:'schema', texts) AS bytes, avro_second_opinion(:'schema', avro_encode(:'schema', texts)) AS difference FROM texts;
SELECT d.t = texts.t AND d.c = texts.c AND d.n = texts.n AND (d.j #>> '{}')::jsonb = texts.j AND d.m = texts.m AND d.a = texts.a AS same
FROM texts, jsonb_populate_record(NULL::texts, avro_decode(:'schema', avro_encode(:'schema', texts))) AS d;
-- a euro sign, which LATIN1 does not have
SELECT avro_decode(:'schema', '\x0206e282ac0000000000');

\c regress_outbox_sql_ascii
SET client_min_messages = warning;
CREATE EXTENSION outbox_ext;
CREATE FUNCTION avro_schema(relation regclass, namespace text, record text, required text[]) RETURNS text
LANGUAGE c STRICT AS '$libdir/outbox_ext', 'outbox_test_avro_schema';
CREATE FUNCTION avro_encode(schema text, row_value record) RETURNS bytea
LANGUAGE c STRICT AS '$libdir/outbox_ext', 'outbox_test_avro_encode';
CREATE FUNCTION avro_decode(schema text, bytes bytea) RETURNS jsonb
LANGUAGE c STRICT AS '$libdir/outbox_ext', 'outbox_test_avro_decode';
CREATE TABLE texts (t text);
INSERT INTO texts VALUES (E'\xc3\xa4');
SELECT avro_schema('texts', 't', 'E', '{}') AS schema \gset
SELECT avro_encode(:'schema', texts), convert_to(avro_decode(:'schema', avro_encode(:'schema', texts)) ->> 't', 'SQL_ASCII') FROM texts;
UPDATE texts SET t = E'\xe4';
SELECT avro_encode(:'schema', texts) FROM texts;
COMMENT ON COLUMN texts.t IS E'\xe4';
SELECT avro_schema('texts', 't', 'E', '{}');

\c :home
SET client_min_messages = warning;
DROP DATABASE regress_outbox_latin1;
DROP DATABASE regress_outbox_sql_ascii;
