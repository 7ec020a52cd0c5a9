-- legacy_view() turns a contract around: what it gives back is what the source has, in every row.
SET client_min_messages = warning;
SET timezone = 'UTC';
CREATE SCHEMA lv;
CREATE TYPE lv.size AS ENUM ('S', 'M');
CREATE DOMAIN lv.amount AS numeric(10,2);
CREATE TABLE lv.item (no char(6) PRIMARY KEY, gone int, nm varchar(20), flag char(1), act int, inact smallint, cents int, cents8 bigint, price lv.amount, i2 int2, i4 int4,
    f4 float4, d date, at timestamp, st text, st2 text, num int, id uuid, sz lv.size, memo text, part text, "odd */ name" text, times int, "order" text);
ALTER TABLE lv.item DROP COLUMN gone;
SELECT outbox.create_code_map('lv', '{"N": "NEW", "S": "SHIPPED", "Ü\\": "it''s"}'), outbox.create_code_map('lv_num', '{"1": "ONE", "2": "TWO"}'),
       outbox.create_code_map('lv_double', '{"A": "SAME", "B": "SAME"}');
CREATE VIEW lv.inner_v AS SELECT *, act = 1 AS active FROM lv.item;
CREATE VIEW lv.item_v AS
SELECT btrim(no) AS item_id, nm AS name, flag = 'Y' AS flagged, active, NOT inact <> 0 AS in_use, (cents / 100.0)::numeric(12,2) AS euros, cents8 * 10 AS mills, price,
       i2::int AS wide, i4::numeric(10,0) AS exact, f4::float8 AS real, d::timestamp AT TIME ZONE 'UTC' AS day, at AT TIME ZONE 'Europe/Berlin' AS moment,
       outbox.decode('lv', st) AS status, outbox.decode('lv_double', st2) AS status2, outbox.decode('lv_num', num) AS number, id::text AS id, sz::text AS size,
       upper(part) AS part, "odd */ name" AS odd_too, times * 0 AS zero, "order" || 'x' AS "group"
FROM lv.inner_v WHERE memo IS NULL;
SELECT outbox.create_contract('lv', view => 'lv.item_v', source => 'lv.item', key => '{item_id}');
SELECT outbox.create_event_type('LvSeen', contract => 'lv', emit => 'always');
INSERT INTO lv.item (no, nm, flag, act, inact, cents, cents8, price, i2, i4, f4, d, at, st, num, id, sz, part, "odd */ name")
SELECT 'C' || i, CASE WHEN i % 3 > 0 THEN 'n' || i END, (ARRAY['Y', 'N', NULL])[i % 3 + 1], i % 2, 1 - i % 2, i * 37 - 500, i::bigint * 123456789, i * 1.37, i, -i, i / 3::float4, date '2020-01-01' + i,
       timestamp '2021-06-01 12:34:56.789' + i * interval '3 days', (ARRAY['N', 'S', 'Ü\', NULL])[i % 4 + 1], i % 2 + 1,
       md5(i::text)::uuid, (ARRAY['S', 'M', NULL])[i % 3 + 1]::lv.size, 'p', 'o' || i FROM generate_series(1, 300) i;
INSERT INTO lv.item (no, memo) VALUES ('HIDDEN', 'not in the view');
SELECT outbox.legacy_view('lv');
SELECT outbox.legacy_view('lv') \gexec
SELECT format('SELECT %L AS derived, count(*) AS rows, count(*) FILTER (WHERE s.%2$I IS DISTINCT FROM l.%2$I) AS differ FROM lv.item s JOIN legacy.item l USING (no)', a.attname, a.attname)
FROM pg_attribute a WHERE a.attrelid = 'legacy.item'::regclass AND a.attnum > 0
AND pg_get_viewdef('legacy.item'::regclass) !~ format('NULL::[^\n]* AS %s,?\n', regexp_replace(quote_ident(a.attname), '([*])', '\\\1')) ORDER BY a.attnum \gexec
SELECT a.attname, format_type(a.atttypid, a.atttypmod) = format_type(b.atttypid, b.atttypmod) AS same_type
FROM pg_attribute a JOIN pg_attribute b ON b.attname = a.attname AND b.attrelid = 'lv.item'::regclass AND b.attnum > 0
WHERE a.attrelid = 'legacy.item'::regclass AND a.attnum > 0 AND format_type(a.atttypid, a.atttypmod) <> format_type(b.atttypid, b.atttypmod);
DROP SCHEMA legacy CASCADE;
-- over the table of another system, which need not be here
SELECT substring(outbox.legacy_view('lv', over => 'crm."Item"') FROM 'FROM[^\n]*');
SELECT substring(outbox.legacy_view('lv', 1, 'read_model') FROM 'FROM[^\n]*');
-- of a table that is joined with itself, the rows that the key is of
CREATE TABLE lv.joined (no char(6) PRIMARY KEY REFERENCES lv.item, extra char(6));
CREATE VIEW lv.joined_v AS SELECT i.no AS item_id, i.nm AS name, j.extra, p.flag AS other FROM lv.item i JOIN lv.joined j USING (no) LEFT JOIN lv.item p ON p.no = j.extra;
SELECT outbox.create_contract('lv_joined', view => 'lv.joined_v', source => 'lv.item', key => '{item_id}');
SELECT regexp_matches(outbox.legacy_view('lv_joined'), '\n    ([^\n]*) AS (no|nm|flag)\M', 'g');
-- what there is not
SELECT outbox.legacy_view('none');
SELECT outbox.legacy_view('lv', 2);
SELECT outbox.legacy_view(NULL);
SELECT outbox.legacy_view('lv', over => 'a..b');
SELECT outbox.detach('lv.item');
SELECT outbox.legacy_view('lv');
SELECT outbox.reattach('lv.item');
SELECT outbox.drop_contract('lv'), outbox.drop_contract('lv_joined');
DROP SCHEMA lv CASCADE;
SELECT outbox.drop_code_map('lv'), outbox.drop_code_map('lv_num'), outbox.drop_code_map('lv_double');
