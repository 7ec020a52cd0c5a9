-- Every scalar type, extremes included, encodes to the same bytes whatever the session's settings are.
SET client_min_messages = warning;
CREATE SCHEMA ty;
SET search_path = ty, public;
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN code AS varchar(8) CHECK (VALUE <> '');
CREATE TABLE everything (
    id int PRIMARY KEY, b boolean, i2 int2, i4 int4, i8 int8, f4 float4, f8 float8, t text, vc varchar(20), c char(8), n name,
    by bytea, num numeric(12,3), d date, tm time, tz timestamptz, u uuid, j json, jb jsonb, m mood, dom code,
    iv interval, ip inet, r int4range, ts timestamp, ttz timetz, bits bit(4), pt point);
CREATE VIEW everything_v AS
SELECT id, b, i2, i4, i8, f4, f8, t, vc, c, n, by, num, d, tm, tz, u, j, jb, m, dom, iv, ip, r,
       ts AT TIME ZONE 'America/New_York' AS ts_ny, ttz, bits, pt, tz::text AS tz_text, d::text AS d_text, f8::text AS f8_text
FROM everything;
SELECT outbox.create_contract('ty_everything', view => 'everything_v', source => 'everything', key => '{id}');
SELECT outbox.create_event_type('TyTouched', contract => 'ty_everything', emit => 'always');
SELECT f -> 'name' AS name, f -> 'type' AS type FROM jsonb_array_elements(outbox.avro_schema('TyTouched')::jsonb -> 'fields') f;
SELECT outbox.enable('ty_everything');
INSERT INTO everything VALUES
(1, true, 32767, 2147483647, 9223372036854775807, 3.4028235e38, 1.7976931348623157e308, 'Grüße, мир, 世界 🦉', repeat('é', 20), 'pad', 'name',
 '\x00ff80', 999999999.999, '9999-12-31', '23:59:59.999999', '9999-12-31 23:59:59.999999+00', 'ffffffff-ffff-ffff-ffff-ffffffffffff',
 '{"a": 1}', '{"b": [1, null]}', 'happy', 'X1', '1 year 2 mons 3 days 04:05:06.789', '2001:db8::1/64', '[1,5)', '2024-03-10 02:30:00', '23:59:59+14', '1010', '(1.5,-2)');
INSERT INTO everything VALUES
(2, false, -32768, -2147483648, -9223372036854775808, -1e-37, 2.2250738585072014e-308, '', '', '', '',
 '', -999999999.999, '0001-01-01', '00:00', '0001-01-01 00:00:00+00', '00000000-0000-0000-0000-000000000000',
 '[]', 'null', 'sad', 'Y', '-1 day', '10.0.0.1', 'empty', '1970-01-01', '00:00+00', '0000', '(0,0)');
INSERT INTO everything VALUES
(3, NULL, NULL, NULL, NULL, 'NaN', '-Infinity', E'\t"\\', NULL, 'inner sp', NULL, NULL, 0.001);
INSERT INTO everything (id) VALUES (4);
SELECT e.aggregateid, e.error, f.key, f.value FROM outbox.event_json e, jsonb_each_text(e.payload) f
WHERE contract = 'ty_everything' ORDER BY e.seq, f.key COLLATE "C";
\echo libavro agrees with our own decoder
SELECT key, error FROM outbox.preview('ty_everything');
\echo what Avro cannot carry becomes a dead letter of stage encode
INSERT INTO everything (id, d) VALUES (10, 'infinity'), (11, '0044-03-15 BC');
INSERT INTO everything (id, tz) VALUES (12, '-infinity');
INSERT INTO everything (id, num) VALUES (13, 'NaN');
SELECT key, stage, sqlstate, message, detail FROM outbox.dead_letter WHERE contract = 'ty_everything' ORDER BY id;
\echo odd session settings: identical bytes
CREATE TEMP TABLE plain AS SELECT aggregateid, payload FROM outbox.event WHERE type = 'TyTouched';
SET DateStyle = 'German'; SET TimeZone = 'Asia/Kathmandu'; SET extra_float_digits = -4; SET IntervalStyle = 'sql_standard';
SET bytea_output = 'escape'; SET search_path = pg_temp; SET xmloption = 'document';
UPDATE ty.everything SET i4 = i4 WHERE id < 10;
RESET ALL;
SELECT count(*) AS events, count(DISTINCT e.payload) AS distinct_payloads, count(DISTINCT e.aggregateid) AS rows
FROM outbox.event e WHERE type = 'TyTouched' AND aggregateid IN (SELECT aggregateid FROM plain);
SET client_min_messages = warning;
SELECT outbox.drop_contract('ty_everything');
DELETE FROM outbox.dead_letter_entry WHERE contract = 'ty_everything';
DROP SCHEMA ty CASCADE;
