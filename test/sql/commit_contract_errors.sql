-- Contracts that join: every view, source and key_query that cannot be read at commit is refused, with reason and remedy.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS outbox_ext;
CREATE SCHEMA jx;
SET search_path = jx;

CREATE TABLE ordr (ordr_no int PRIMARY KEY, shop_no int NOT NULL, cust_no text, alt_no text, doc jsonb, UNIQUE (shop_no, ordr_no));
CREATE TABLE ordr_ln (ordr_no int NOT NULL, ln_no int, sku text, qty int);
CREATE TABLE cust (cust_no text PRIMARY KEY, nm text, region text);
CREATE TABLE region (cd text, nm text);
CREATE TABLE shop (shop_no int, nm text);

-- What a statement raises: SQLSTATE and message, detail, hint; or that it went through.
CREATE FUNCTION mistake(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE msg text; detail text; hint text;
BEGIN
    EXECUTE command;
    RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS msg = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    RETURN format(E'%s %s%s%s', SQLSTATE, msg, coalesce(E'\n DETAIL:  ' || nullif(detail, ''), ''), coalesce(E'\n HINT:  ' || nullif(hint, ''), ''));
END $$;
CREATE FUNCTION contract(query text, key text DEFAULT 'ordr_no', source text DEFAULT 'ordr') RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE 'DROP VIEW IF EXISTS jx.v; CREATE VIEW jx.v AS ' || query;
    RETURN mistake(format('SELECT outbox.create_contract(''jx'', view => ''v'', source => %L, key => %L, evaluate => ''commit'')', source, '{' || key || '}'));
END $$;
\pset tuples_only on
\pset format unaligned

\echo ---- tables without an index for their join
BEGIN; SELECT contract('SELECT o.ordr_no, l.sku FROM ordr o JOIN ordr_ln l ON l.ordr_no = o.ordr_no'); ROLLBACK;
BEGIN; SELECT contract('SELECT o.ordr_no, s.nm FROM ordr o JOIN shop s USING (shop_no)'); ROLLBACK;
BEGIN; SELECT contract('SELECT o.ordr_no, s.nm FROM ordr o, shop s WHERE s.shop_no + 1 = o.shop_no'); ROLLBACK;
BEGIN; SELECT contract('SELECT o.ordr_no, s.nm FROM ordr o CROSS JOIN shop s'); ROLLBACK;
BEGIN; SELECT contract('SELECT o.ordr_no, s.nm FROM ordr o JOIN shop s ON s.shop_no > o.shop_no'); ROLLBACK;
BEGIN; SELECT contract('SELECT o.ordr_no, (SELECT count(*) FROM ordr_ln) AS n FROM ordr o'); ROLLBACK;
BEGIN; SELECT contract('SELECT o.ordr_no, (SELECT count(*) FROM ordr_ln l WHERE l.ordr_no = o.ordr_no AND l.ln_no = o.shop_no) AS n FROM ordr o'); ROLLBACK;
BEGIN; SELECT contract('SELECT o.ordr_no, EXISTS (SELECT FROM region r WHERE r.cd = c.region) AS known FROM ordr o LEFT JOIN cust c USING (cust_no)'); ROLLBACK;
BEGIN; SELECT contract('WITH t AS (SELECT ordr_no, sum(qty) AS n FROM ordr_ln GROUP BY ordr_no) SELECT o.ordr_no, t.n FROM ordr o LEFT JOIN t USING (ordr_no)'); ROLLBACK;
-- the name is quoted, and seen through views
BEGIN;
CREATE TABLE "Odd lines" ("Order no" int, n int);
CREATE VIEW lines AS SELECT "Order no" AS id, n FROM (SELECT * FROM "Odd lines") x;
SELECT contract('SELECT o.ordr_no, l.n FROM ordr o LEFT JOIN lines l ON l.id = o.ordr_no');
ROLLBACK;
-- the index is there, but a grouped subquery does not get the key; LATERAL passes it
BEGIN;
CREATE INDEX ON ordr_ln (ordr_no);
SELECT contract('SELECT o.ordr_no, l.n FROM ordr o LEFT JOIN (SELECT ordr_no, count(*) AS n FROM ordr_ln GROUP BY ordr_no) l ON l.ordr_no = o.ordr_no');
SELECT contract('SELECT o.ordr_no, l.n FROM ordr o LEFT JOIN LATERAL (SELECT count(*) AS n FROM ordr_ln x WHERE x.ordr_no = o.ordr_no) l ON true');
ROLLBACK;
-- an index that does not serve: partial
BEGIN;
CREATE INDEX ON ordr_ln (ordr_no) WHERE qty > 0;
SELECT contract('SELECT o.ordr_no, l.n FROM ordr o LEFT JOIN LATERAL (SELECT count(*) AS n FROM ordr_ln x WHERE x.ordr_no = o.ordr_no) l ON true');
ROLLBACK;
-- a partition without the index
BEGIN;
CREATE TABLE part (id int, n int) PARTITION BY LIST (n);
CREATE TABLE part_1 PARTITION OF part FOR VALUES IN (1);
CREATE TABLE part_2 PARTITION OF part FOR VALUES IN (2);
CREATE INDEX ON part_1 (id);
SELECT contract('SELECT o.ordr_no, p.n FROM ordr o JOIN part p ON p.id = o.ordr_no');
CREATE INDEX ON part (id);
SELECT contract('SELECT o.ordr_no, p.n FROM ordr o JOIN part p ON p.id = o.ordr_no');
ROLLBACK;

-- of tables that inherit the one without it is named
BEGIN;
CREATE TABLE old_line (id int, n int);
CREATE INDEX ON old_line (id);
CREATE TABLE older_line () INHERITS (old_line);
SELECT contract('SELECT o.ordr_no, l.n FROM ordr o LEFT JOIN old_line l ON l.id = o.ordr_no');
CREATE INDEX ON older_line (id);
SELECT contract('SELECT o.ordr_no, l.n FROM ordr o LEFT JOIN old_line l ON l.id = o.ordr_no');
ROLLBACK;
-- constants find one row by a unique index, and not else; OR needs an index on both sides
CREATE UNIQUE INDEX region_cd ON region (cd);
CREATE INDEX line_no ON ordr_ln (ordr_no);
BEGIN; SELECT contract('SELECT o.ordr_no, (SELECT nm FROM region WHERE cd = ''EU'') AS eu FROM ordr o'); ROLLBACK;
BEGIN; SELECT contract('SELECT o.ordr_no, r.nm FROM ordr o CROSS JOIN region r WHERE r.cd = ''EU'''); ROLLBACK;
BEGIN; SELECT contract('SELECT o.ordr_no, (SELECT max(cd) FROM region) AS last FROM ordr o'); ROLLBACK;
BEGIN; SELECT contract('SELECT o.ordr_no, (SELECT count(*) FROM ordr_ln WHERE ordr_no = 3) AS n FROM ordr o'); ROLLBACK;
BEGIN; SELECT contract('SELECT o.ordr_no, (SELECT count(*) FROM ordr_ln l WHERE l.ordr_no = o.ordr_no OR l.ordr_no = -o.ordr_no) AS n FROM ordr o'); ROLLBACK;
BEGIN; SELECT contract('SELECT o.ordr_no, (SELECT count(*) FROM ordr_ln l WHERE l.ordr_no = o.ordr_no OR l.qty = 3) AS n FROM ordr o'); ROLLBACK;
BEGIN; SELECT contract('SELECT o.ordr_no FROM ordr o WHERE NOT EXISTS (SELECT FROM ordr_ln l WHERE l.ordr_no = o.ordr_no)'); ROLLBACK;
BEGIN; CREATE INDEX ON ordr_ln (qty); SELECT contract('SELECT o.ordr_no FROM ordr o WHERE o.ordr_no NOT IN (SELECT qty FROM ordr_ln)'); ROLLBACK;
DROP INDEX region_cd, line_no;

\echo ---- the root and the key
BEGIN; SELECT contract('SELECT c.cust_no AS ordr_no FROM cust c'); ROLLBACK;
BEGIN; SELECT contract('SELECT o.ordr_no, c.cust_no FROM ordr o JOIN cust c USING (cust_no)', 'ordr_no,cust_no', 'cust'); ROLLBACK;
BEGIN; SELECT contract('SELECT o.ordr_no, c.nm FROM ordr o JOIN cust c ON c.cust_no = o.cust_no', 'ordr_no,nm'); ROLLBACK;
BEGIN; SELECT contract('SELECT a.ordr_no, b.shop_no FROM ordr a JOIN ordr b ON a.ordr_no = b.ordr_no', 'ordr_no,shop_no'); ROLLBACK;
BEGIN; SELECT contract('SELECT 1 AS ordr_no, shop_no FROM ordr'); ROLLBACK;
BEGIN; SELECT contract('SELECT (SELECT ordr_no) AS ordr_no FROM ordr'); ROLLBACK;
BEGIN; SELECT contract('SELECT x AS ordr_no FROM generate_series(1, 3) x'); ROLLBACK;
BEGIN; SELECT contract('SELECT ctid::text AS ordr_no FROM ordr'); ROLLBACK;
BEGIN; SELECT contract('SELECT to_json(o)::text AS ordr_no FROM ordr o'); ROLLBACK;
BEGIN; SELECT contract('SELECT to_json(o)::text AS ordr_no FROM (SELECT * FROM ordr) o'); ROLLBACK;
BEGIN; SELECT contract('SELECT x.n AS ordr_no FROM cust c, LATERAL (SELECT c.cust_no AS n FROM ordr o WHERE o.cust_no = c.cust_no) x'); ROLLBACK;
BEGIN; SELECT contract('SELECT shop_no AS ordr_no FROM ordr'); ROLLBACK;
BEGIN; SELECT contract('SELECT alt_no AS ordr_no FROM ordr'); ROLLBACK;
BEGIN; SELECT contract('SELECT ordr_no FROM ordr', 'nothing'); ROLLBACK;
BEGIN;
CREATE TABLE odd (j json, id int PRIMARY KEY);
SELECT contract('SELECT id || j::text AS ordr_no FROM odd', source => 'odd');
ROLLBACK;

\echo ---- where the source stands
BEGIN; SELECT contract('SELECT ordr_no FROM ordr UNION ALL SELECT ordr_no FROM ordr'); ROLLBACK;
BEGIN; SELECT contract('SELECT ordr_no FROM (SELECT ordr_no FROM ordr EXCEPT SELECT ordr_no FROM ordr_ln) x'); ROLLBACK;
BEGIN; SELECT contract('SELECT ordr_no FROM ordr LIMIT 5'); ROLLBACK;
BEGIN; SELECT contract('SELECT x.ordr_no FROM (SELECT ordr_no FROM ordr ORDER BY 1 OFFSET 1) x'); ROLLBACK;
BEGIN; SELECT contract('SELECT ordr_no, row_number() OVER (ORDER BY shop_no) AS n FROM ordr'); ROLLBACK;
BEGIN; SELECT contract('SELECT ordr_no, generate_series(1, 2) AS n FROM ordr'); ROLLBACK;
BEGIN; SELECT contract('SELECT ordr_no, count(*) AS n FROM ordr GROUP BY GROUPING SETS ((ordr_no), ())'); ROLLBACK;
BEGIN; SELECT contract('SELECT shop_no AS ordr_no, count(*) AS n FROM ordr GROUP BY shop_no'); ROLLBACK;
BEGIN; SELECT contract('SELECT max(ordr_no) AS ordr_no, count(*) AS n FROM ordr GROUP BY shop_no'); ROLLBACK;
BEGIN; SELECT contract('SELECT max(ordr_no) AS ordr_no FROM ordr'); ROLLBACK;
BEGIN; SELECT contract('SELECT ordr_no::text AS ordr_no, count(*) AS n FROM ordr GROUP BY ordr_no::text'); ROLLBACK;
BEGIN; SELECT contract('SELECT DISTINCT ordr_no::text AS ordr_no FROM ordr'); ROLLBACK;
BEGIN; SELECT contract('SELECT DISTINCT ON (shop_no) ordr_no FROM ordr'); ROLLBACK;
BEGIN; SELECT contract('WITH x AS (SELECT ordr_no FROM ordr) SELECT ordr_no FROM x'); ROLLBACK;
BEGIN; SELECT contract('SELECT o.ordr_no, c.nm FROM cust c LEFT JOIN ordr o USING (cust_no)'); ROLLBACK;
BEGIN; SELECT contract('SELECT o.ordr_no, c.nm FROM ordr o RIGHT JOIN cust c USING (cust_no)'); ROLLBACK;
BEGIN; SELECT contract('SELECT o.ordr_no, c.nm FROM ordr o FULL JOIN cust c USING (cust_no)'); ROLLBACK;
BEGIN; SELECT contract('SELECT o.ordr_no, c.nm FROM (ordr o JOIN shop s USING (shop_no)) RIGHT JOIN cust c USING (cust_no)'); ROLLBACK;

\echo ---- what must not be read at commit
CREATE FUNCTION roll() RETURNS int LANGUAGE sql VOLATILE AS 'SELECT 4';
CREATE VIEW luck AS SELECT cust_no, roll() AS n FROM cust;
BEGIN; SELECT contract('SELECT ordr_no, random() AS luck FROM ordr'); ROLLBACK;
BEGIN; SELECT contract('SELECT o.ordr_no, x.n FROM ordr o JOIN luck x USING (cust_no)'); ROLLBACK;
BEGIN; SELECT contract('SELECT o.ordr_no, (SELECT max(n) FROM luck WHERE luck.cust_no = o.cust_no) AS n FROM ordr o'); ROLLBACK;
BEGIN; SELECT contract('SELECT o.ordr_no, r AS n FROM ordr o, roll() r'); ROLLBACK;
BEGIN; SELECT contract('SELECT o.ordr_no FROM ordr o ORDER BY random()'); ROLLBACK;
BEGIN; SELECT contract('SELECT o.ordr_no FROM ordr o FOR UPDATE'); ROLLBACK;
BEGIN; SELECT contract('SELECT o.ordr_no, l.nm FROM ordr o, LATERAL (SELECT nm FROM cust c WHERE c.cust_no = o.cust_no FOR SHARE) l'); ROLLBACK;
BEGIN; SELECT contract('SELECT o.ordr_no FROM ordr o TABLESAMPLE system (10)'); ROLLBACK;
BEGIN;
CREATE FOREIGN DATA WRAPPER nowhere;
CREATE SERVER nowhere FOREIGN DATA WRAPPER nowhere;
CREATE FOREIGN TABLE far (id int) SERVER nowhere;
SELECT contract('SELECT o.ordr_no, f.id FROM ordr o JOIN far f ON f.id = o.shop_no');
SELECT contract('SELECT o.ordr_no, (SELECT max(id) FROM (SELECT * FROM far) f) AS id FROM ordr o');
CREATE TABLE near (id int) PARTITION BY LIST (id);
CREATE INDEX ON near (id);
CREATE TABLE near_1 PARTITION OF near FOR VALUES IN (1);
CREATE FOREIGN TABLE near_2 PARTITION OF near FOR VALUES IN (2) SERVER nowhere;
SELECT contract('SELECT o.ordr_no, n.id FROM ordr o JOIN near n ON n.id = o.shop_no');
ROLLBACK;
BEGIN;
CREATE TEMP TABLE mine (id int PRIMARY KEY);
CREATE TEMP VIEW v AS SELECT o.ordr_no, m.id FROM jx.ordr o JOIN mine m ON m.id = o.shop_no;
SELECT mistake($$SELECT outbox.create_contract('jx', view => 'pg_temp.v', source => 'ordr', key => '{ordr_no}')$$);
ROLLBACK;
BEGIN;
CREATE VIEW invoker WITH (security_invoker) AS SELECT * FROM cust;
SELECT contract('SELECT o.ordr_no, c.nm FROM ordr o JOIN invoker c USING (cust_no)');
CREATE OR REPLACE VIEW v WITH (security_invoker) AS SELECT o.ordr_no, c.nm FROM ordr o JOIN cust c USING (cust_no);
SELECT mistake($$SELECT outbox.create_contract('jx', view => 'v', source => 'ordr', key => '{ordr_no}')$$);
ROLLBACK;

\echo ---- rights
CREATE ROLE jx_owner;
CREATE ROLE jx_other;
GRANT USAGE, CREATE ON SCHEMA jx TO jx_owner;
GRANT USAGE ON SCHEMA jx TO jx_other;
SELECT outbox.grant_access('jx_owner', 'admin');
SELECT outbox.grant_access('jx_other', 'admin');
GRANT SELECT, TRIGGER ON ordr TO jx_owner, jx_other;
GRANT SELECT, TRIGGER ON ordr_ln TO jx_owner;
GRANT SELECT (cust_no, nm) ON cust TO jx_owner;
CREATE INDEX ON ordr_ln (ordr_no);
SET ROLE jx_owner;
CREATE VIEW narrow AS SELECT o.ordr_no, c.nm FROM ordr o LEFT JOIN cust c USING (cust_no);
CREATE VIEW wide AS SELECT o.ordr_no, c.region FROM ordr o LEFT JOIN cust c USING (cust_no);
SELECT mistake($$SELECT outbox.create_contract('jx', view => 'wide', source => 'ordr', key => '{ordr_no}')$$);
SELECT mistake($$SELECT outbox.create_contract('jx_narrow', view => 'narrow', source => 'ordr', key => '{ordr_no}')$$);
SELECT mistake($$SELECT outbox.add_source('jx_narrow', 'cust', 'SELECT o.ordr_no FROM jx.ordr o WHERE o.cust_no = row.cust_no')$$);
SELECT mistake($$SELECT outbox.add_source('jx_narrow', 'ordr_ln', 'SELECT shop_no FROM jx.shop WHERE shop_no = row.ordr_no')$$);
RESET ROLE;
SET ROLE jx_other;
SELECT mistake($$SELECT outbox.create_contract('jx', view => 'narrow', source => 'ordr', key => '{ordr_no}')$$);
SELECT mistake($$SELECT outbox.add_source('jx_narrow', 'ordr_ln', 'row.ordr_no')$$);
RESET ROLE;
ALTER TABLE cust ENABLE ROW LEVEL SECURITY;
SET ROLE jx_owner;
SELECT mistake($$SELECT outbox.create_contract('jx', view => 'narrow', source => 'ordr', key => '{ordr_no}')$$);
SELECT mistake($$SELECT outbox.add_source('jx_narrow', 'ordr_ln', 'SELECT ordr_no FROM jx.ordr JOIN jx.cust USING (cust_no) WHERE ordr_no = row.ordr_no')$$);
RESET ROLE;
ALTER TABLE cust DISABLE ROW LEVEL SECURITY;

\echo ---- one way of evaluation per aggregate type
CREATE VIEW plain AS SELECT ordr_no, cust_no FROM ordr;
SELECT outbox.create_contract('jx_plain', view => 'plain', source => 'ordr', key => '{ordr_no}', aggregate_type => 'mixed');
CREATE VIEW joined AS SELECT o.ordr_no, c.nm FROM ordr o LEFT JOIN cust c USING (cust_no);
SELECT mistake($$SELECT outbox.create_contract('jx', view => 'joined', source => 'ordr', key => '{ordr_no}', aggregate_type => 'mixed')$$);
SELECT mistake($$SELECT outbox.create_contract('jx', view => 'joined', source => 'ordr', key => '{ordr_no}', evaluate => 'row')$$);
SELECT outbox.drop_contract('jx_plain');
SELECT outbox.create_contract('jx_joined', view => 'joined', source => 'ordr', key => '{ordr_no}', aggregate_type => 'mixed');
SELECT mistake($$SELECT outbox.create_contract('jx_plain', view => 'plain', source => 'ordr', key => '{ordr_no}', aggregate_type => 'mixed')$$);
SELECT mistake($$SELECT outbox.create_contract('jx_plain', view => 'plain', source => 'ordr', key => '{ordr_no}', aggregate_type => 'mixed', evaluate => 'commit')$$);

\echo ---- sources
CREATE VIEW both_keys AS SELECT o.shop_no, o.ordr_no::text AS order_id, c.nm FROM ordr o LEFT JOIN cust c USING (cust_no);
SELECT outbox.create_contract('jx_both', view => 'both_keys', source => 'ordr', key => '{shop_no,order_id}');
SELECT outbox.create_contract('jx_row', view => 'plain', source => 'ordr', key => '{ordr_no}');
CREATE TABLE part (id int, n int) PARTITION BY LIST (n);
CREATE TABLE part_1 PARTITION OF part FOR VALUES IN (1);
CREATE TEMP TABLE passing (id int);
SELECT mistake($$SELECT outbox.add_source('nowhere', 'ordr_ln', 'row.ordr_no')$$);
SELECT mistake($$SELECT outbox.add_source(NULL, 'ordr_ln', 'row.ordr_no')$$);
SELECT mistake($$SELECT outbox.add_source('jx_joined', NULL, 'row.ordr_no')$$);
SELECT mistake($$SELECT outbox.add_source('jx_joined', 'ordr_ln', NULL)$$);
SELECT mistake($$SELECT outbox.add_source('jx_row', 'ordr_ln', 'row.ordr_no')$$);
SELECT mistake($$SELECT outbox.add_source('jx_joined', 'missing', 'row.ordr_no')$$);
SELECT mistake($$SELECT outbox.add_source('jx_joined', 'ordr', 'row.ordr_no')$$);
SELECT mistake($$SELECT outbox.add_source('jx_joined', 'plain', 'row.ordr_no')$$);
SELECT mistake($$SELECT outbox.add_source('jx_joined', 'part_1', 'row.id')$$);
SELECT mistake($$SELECT outbox.add_source('jx_joined', 'passing', 'row.id')$$);
SELECT mistake($$SELECT outbox.add_source('jx_joined', 'pg_catalog.pg_class', 'row.oid')$$);
SELECT mistake($$SELECT outbox.add_source('jx_joined', 'ordr_ln', 'row.ordr_no', 0)$$);
SELECT mistake($$SELECT outbox.add_source('jx_joined', 'ordr_ln', 'row.ordr_no', 2000000)$$);

\echo ---- key_query
SELECT mistake($$SELECT outbox.add_source('jx_joined', 'ordr_ln', '')$$);
SELECT mistake($$SELECT outbox.add_source('jx_joined', 'ordr_ln', 'row.ordr_no +')$$);
SELECT mistake($$SELECT outbox.add_source('jx_joined', 'ordr_ln', 'row.colour')$$);
SELECT mistake($$SELECT outbox.add_source('jx_joined', 'ordr_ln', 'ordr_no')$$);
SELECT mistake($$SELECT outbox.add_source('jx_joined', 'ordr_ln', 'row')$$);
SELECT mistake($$SELECT outbox.add_source('jx_joined', 'ordr_ln', 'row.*')$$);
SELECT mistake($$SELECT outbox.add_source('jx_joined', 'ordr_ln', 'row.ctid')$$);
SELECT mistake($$SELECT outbox.add_source('jx_joined', 'ordr_ln', 'row.ordr_no, row.ln_no')$$);
SELECT mistake($$SELECT outbox.add_source('jx_both', 'ordr_ln', 'row.ordr_no')$$);
SELECT mistake($$SELECT outbox.add_source('jx_joined', 'ordr_ln', 'row.sku')$$);
SELECT mistake($$SELECT outbox.add_source('jx_joined', 'ordr_ln', 'row.ordr_no + random()::int')$$);
SELECT mistake($$SELECT outbox.add_source('jx_joined', 'ordr_ln', 'no_such_function(row.ordr_no)')$$);
SELECT mistake($$SELECT outbox.add_source('jx_joined', 'cust', 'SELECT ordr_no FROM ordr WHERE cust_no = row.cust_no')$$);
SELECT mistake($$SELECT outbox.add_source('jx_joined', 'cust', 'SELECT ordr_no FROM jx.ordr WHERE cust_no = row.colour')$$);
SELECT mistake($$SELECT outbox.add_source('jx_joined', 'cust', 'SELECT o.ordr_no FROM jx.ordr o WHERE o.cust_no = row.cust_no')$$);
SELECT mistake($$SELECT outbox.add_source('jx_joined', 'cust', 'o.ordr_no FROM jx.plain o WHERE btrim(o.cust_no) = btrim(row.cust_no)')$$);
SELECT mistake($$SELECT outbox.add_source('jx_joined', 'cust', 'SELECT n FROM jx.luck WHERE cust_no = row.cust_no')$$);
CREATE INDEX ON ordr (cust_no);
SELECT mistake($$SELECT outbox.add_source('jx_joined', 'cust', 'SELECT ordr_no, shop_no FROM jx.ordr WHERE cust_no = row.cust_no')$$);
SELECT mistake($$SELECT outbox.add_source('jx_joined', 'cust', 'SELECT doc FROM jx.ordr WHERE cust_no = row.cust_no')$$);
SELECT mistake($$SELECT outbox.add_source('jx_joined', 'cust', 'SELECT jx.roll() FROM jx.ordr WHERE cust_no = row.cust_no')$$);
SELECT mistake($$SELECT outbox.add_source('jx_joined', 'cust', 'SELECT ordr_no FROM jx.ordr; SELECT 1')$$);
SELECT mistake($$SELECT outbox.add_source('jx_joined', 'cust', 'WITH x AS (DELETE FROM jx.ordr RETURNING ordr_no) SELECT ordr_no FROM x')$$);
SELECT mistake($$SELECT outbox.add_source('jx_joined', 'cust', 'DELETE FROM jx.ordr RETURNING ordr_no')$$);
SELECT mistake($$SELECT outbox.add_source('jx_joined', 'cust', 'SELECT ordr_no INTO jx.x FROM jx.ordr')$$);
SELECT mistake($$SELECT outbox.add_source('jx_joined', 'cust', 'SELECT ordr_no FROM jx.ordr FOR UPDATE')$$);
SELECT mistake($$SELECT outbox.add_source('jx_joined', 'cust', 'SELECT id FROM passing')$$);
SELECT mistake($$SELECT outbox.add_source('jx_joined', 'cust', 'SELECT id FROM pg_temp.passing')$$);
SELECT mistake($$SELECT outbox.add_source('jx_joined', 'cust', 'SELECT $1')$$);
SELECT mistake($$SELECT outbox.add_source('jx_joined', 'ordr_ln', 'row.ordr_no')$$);
SELECT mistake($$SELECT outbox.add_source('jx_joined', 'ordr_ln', 'row.ordr_no')$$);

\echo ---- where a message points
SELECT outbox.add_source('jx_joined', 'cust', 'row.cust_no::int, row.colour');
SELECT outbox.add_source('jx_joined', 'cust', E'-- orders of the customer\nSELECT ordr_no FROM jx.ordr\nWHERE cust = row.cust_no');

SELECT outbox.drop_contract(name) FROM outbox.contract WHERE name LIKE 'jx%';
DROP SCHEMA jx CASCADE;
DROP OWNED BY jx_owner, jx_other;
DROP ROLE jx_owner, jx_other;
