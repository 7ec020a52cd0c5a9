-- Contracts that join: the view is read by its keys, whatever stands between it and its source; sources touch the right keys.
SET outbox.ddl_check = off; -- what it refuses must stay safe all the same
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS outbox_ext;
CREATE SCHEMA cj;
SET search_path = cj, public;
SET TimeZone = 'UTC';
SET DateStyle = 'ISO';
\pset format unaligned
\pset tuples_only on

-- What has happened since the last look: type, key, payload or the dead letter's reason, in order.
CREATE TABLE seen (seq bigint, letter bigint);
INSERT INTO seen SELECT coalesce(max(seq), 0), (SELECT coalesce(max(id), 0) FROM outbox.dead_letter) FROM outbox.event_json;
CREATE FUNCTION news() RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE last seen;
BEGIN
    SELECT * INTO last FROM seen;
    RETURN QUERY SELECT concat_ws(' ', e.type, e.aggregateid, coalesce(e.payload::text, e.error)) FROM outbox.event_json e WHERE e.seq > last.seq ORDER BY e.seq;
    RETURN QUERY SELECT concat_ws(' ', 'dead letter', d.event_type, d.stage, d.sqlstate, d.message, d.detail, d.key, d.source_columns) FROM outbox.dead_letter d WHERE d.id > last.letter ORDER BY d.id;
    UPDATE seen SET seq = (SELECT coalesce(max(e.seq), 0) FROM outbox.event_json e), letter = (SELECT coalesce(max(id), 0) FROM outbox.dead_letter);
END $$;
-- A contract over a view with an event type of every emit, enabled.
CREATE FUNCTION watch(name text, source text, key text, required text DEFAULT NULL) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM outbox.create_contract(name, view => 'cj.' || name, source => source, key => key::text[], required => required::text[], evaluate => 'commit');
    PERFORM outbox.create_event_type(name || '_created', contract => name, emit => 'created');
    PERFORM outbox.create_event_type(name || '_changed', contract => name, emit => 'changed');
    PERFORM outbox.create_event_type(name || '_deleted', contract => name, emit => 'deleted');
    PERFORM outbox.enable(name);
END $$;

CREATE TABLE ordr (ordr_no int PRIMARY KEY, cust_no char(8), note text, stat_cd char(1) NOT NULL DEFAULT 'N');
CREATE TABLE ordr_ln (ordr_no int NOT NULL, ln_no int NOT NULL, sku_cd text, qty int, unt_prc numeric(10,2), remark text, PRIMARY KEY (ordr_no, ln_no));
CREATE TABLE cust (cust_no char(8) PRIMARY KEY, nm text, secret text);
CREATE INDEX ON ordr (cust_no);

\echo ---- an order with its lines as rows of a view, and its customer
CREATE VIEW line AS SELECT n.ordr_no AS order_id, n.ln_no AS line_no, n.sku_cd AS sku, n.qty AS quantity FROM ordr_ln n;
CREATE VIEW cj_order AS
SELECT o.ordr_no AS order_id, btrim(o.cust_no) AS customer_id, c.nm AS customer, coalesce(l.items, '{}') AS items
FROM ordr o LEFT JOIN cust c USING (cust_no) LEFT JOIN LATERAL (
    SELECT array_agg(x ORDER BY x.line_no) AS items FROM line x WHERE x.order_id = o.ordr_no) l ON true;
SELECT watch('cj_order', 'ordr', '{order_id}', '{order_id,items,items.sku}');
SELECT outbox.add_source('cj_order', 'ordr_ln', 'row.ordr_no');
SELECT outbox.add_source('cj_order', 'cust', 'SELECT o.ordr_no FROM cj.ordr o WHERE o.cust_no = row.cust_no', max_fanout => 3);
-- triggers on every source, at once, and what is configured
SELECT tgrelid::regclass, tgname FROM pg_trigger WHERE tgname LIKE '!outbox%cj_order' ORDER BY tgname, tgrelid::regclass::text;
SELECT relation, role, key_columns, key_query, max_fanout FROM outbox.source s JOIN outbox.contract c ON c.id = s.contract_id AND c.name = 'cj_order' ORDER BY relation::text;

INSERT INTO cust VALUES ('C1', 'Ann', 'x'), ('C2', 'Bob', 'y');
BEGIN;
INSERT INTO ordr VALUES (1, 'C1'), (2, 'C1'), (3, 'C2');
INSERT INTO ordr_ln VALUES (1, 1, 'A', 1, 1), (1, 2, 'B', 2, 2), (2, 1, 'C', 3, 3);
COMMIT;
SELECT * FROM news();
-- a line that moves concerns both orders
UPDATE ordr_ln SET ordr_no = 3, ln_no = 1 WHERE ordr_no = 1 AND ln_no = 2;
SELECT * FROM news();
-- a customer concerns all orders of his
UPDATE cust SET nm = 'Anna' WHERE cust_no = 'C1';
SELECT * FROM news();
-- columns that neither the view nor a key_query reads concern nobody
UPDATE cust SET secret = 'z';
UPDATE ordr SET note = 'called twice', stat_cd = 'X';
UPDATE ordr_ln SET unt_prc = unt_prc + 1, remark = 'late';
SELECT * FROM news();
-- a row of a nested view that lacks what is required; more orders than max_fanout
UPDATE ordr_ln SET sku_cd = NULL WHERE ordr_no = 2;
INSERT INTO ordr SELECT i, 'C2' FROM generate_series(11, 15) i;
SELECT count(*) FROM news();
UPDATE cust SET nm = 'Bobby' WHERE cust_no = 'C2';
SELECT * FROM news();
-- what status says when a trigger of any source is off
SELECT state, advice FROM outbox.status WHERE name = 'cj_order';
UPDATE outbox.dead_letter_entry SET state = 'discarded' WHERE contract = 'cj_order';
SELECT state, advice FROM outbox.status WHERE name = 'cj_order';
ALTER TABLE ordr_ln DISABLE TRIGGER "!outbox_cj_order";
SELECT state, advice FROM outbox.status WHERE name = 'cj_order';
ALTER TABLE ordr_ln ENABLE TRIGGER "!outbox_cj_order";
DROP TRIGGER "!outbox_cj_order" ON cust;
SELECT state, advice FROM outbox.status WHERE name = 'cj_order';
SELECT outbox.enable('cj_order');
SELECT state, advice FROM outbox.status WHERE name = 'cj_order';
-- a changed key is a delete and a create
DELETE FROM ordr WHERE ordr_no > 10;
SELECT count(*) FROM news();
UPDATE ordr SET ordr_no = 4 WHERE ordr_no = 3;
SELECT * FROM news();
DELETE FROM ordr_ln WHERE ordr_no = 1;
DELETE FROM ordr WHERE ordr_no = 1;
SELECT * FROM news();
SELECT outbox.drop_contract('cj_order');
SELECT count(*) FROM pg_trigger WHERE tgname LIKE '!outbox%cj_order';

\echo ---- between the view and its source: casts, views over views, grouping, DISTINCT, junk columns, merged join columns
DELETE FROM ordr;
INSERT INTO ordr VALUES (1, 'C1'), (2, 'C2'), (3, NULL);
DELETE FROM ordr_ln;
INSERT INTO ordr_ln VALUES (1, 1, 'A', 1, 1), (1, 2, 'B', 2, 2), (2, 1, 'C', 3, 3);
CREATE FUNCTION try(query text, key text DEFAULT 'id', source text DEFAULT 'ordr') RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE 'CREATE VIEW cj.tried AS ' || query;
    PERFORM outbox.create_contract('cj_tried', view => 'cj.tried', source => source, key => ('{' || key || '}')::text[], evaluate => 'commit');
    PERFORM outbox.create_event_type('cj_tried_created', contract => 'cj_tried', emit => 'created');
    -- as many rows as the view has, and the same
    RETURN QUERY EXECUTE 'SELECT t.n || '' rows'' || CASE WHEN t.n = p.n AND t.all = p.all THEN '' as in the view'' ELSE '' NOT AS IN THE VIEW: '' || p.all::text END'
        ' FROM (SELECT count(*) AS n, coalesce(jsonb_agg(to_jsonb(t) ORDER BY to_jsonb(t)), ''[]'') AS all FROM cj.tried t) t,'
        ' (SELECT count(*) AS n, coalesce(jsonb_agg(payload ORDER BY payload), ''[]'') AS all FROM outbox.preview(''cj_tried'', max_rows => 1000)) p';
    PERFORM outbox.drop_contract('cj_tried');
    DROP VIEW cj.tried;
END $$;
SELECT try('SELECT ordr_no AS id, stat_cd FROM ordr');
SELECT try('SELECT ordr_no::text AS id, stat_cd FROM ordr');
SELECT try('SELECT x.id FROM (SELECT y.id FROM (SELECT ordr_no + 100 AS id, note FROM ordr WHERE cust_no IS NOT NULL) y) x');
SELECT try('SELECT x.id, c.nm FROM (SELECT ordr_no AS id, cust_no FROM ordr ORDER BY stat_cd, note, ordr_no) x JOIN cust c ON c.cust_no = x.cust_no');
SELECT try('SELECT o.ordr_no AS id, count(l.ln_no) AS lines FROM ordr o LEFT JOIN ordr_ln l ON l.ordr_no = o.ordr_no GROUP BY o.ordr_no');
SELECT try('SELECT o.ordr_no AS id, o.note, sum(l.qty)::int AS qty FROM ordr o LEFT JOIN ordr_ln l ON l.ordr_no = o.ordr_no GROUP BY o.ordr_no HAVING count(l.qty) > 0 ORDER BY max(l.sku_cd)');
SELECT try('SELECT o.ordr_no * 2 AS id, count(l.ln_no) AS lines FROM ordr o LEFT JOIN ordr_ln l ON l.ordr_no = o.ordr_no GROUP BY o.ordr_no, o.ordr_no * 2');
SELECT try('SELECT g.id, g.lines, c.nm FROM (SELECT o.ordr_no AS id, o.cust_no, count(l.ln_no) AS lines FROM ordr o LEFT JOIN ordr_ln l USING (ordr_no) GROUP BY o.ordr_no) g LEFT JOIN cust c ON c.cust_no = g.cust_no');
SELECT try('SELECT ordr_no AS id, count(*) AS lines FROM ordr JOIN ordr_ln USING (ordr_no) GROUP BY ordr_no');
SELECT try('SELECT ordr_no AS id, stat_cd FROM ordr LEFT JOIN ordr_ln USING (ordr_no) WHERE ln_no = 1');
SELECT try('SELECT DISTINCT o.ordr_no AS id, o.stat_cd FROM ordr o JOIN ordr_ln l ON l.ordr_no = o.ordr_no');
SELECT try('SELECT x.id FROM (SELECT DISTINCT o.ordr_no AS id, o.stat_cd FROM ordr o JOIN ordr_ln l ON l.ordr_no = o.ordr_no) x');
SELECT try('SELECT DISTINCT ON (o.ordr_no) o.ordr_no + 7 AS id, l.sku_cd AS first FROM ordr o JOIN ordr_ln l ON l.ordr_no = o.ordr_no ORDER BY o.ordr_no, l.ln_no');
SELECT try('SELECT o.ordr_no AS id, (SELECT string_agg(l.sku_cd, '','' ORDER BY l.ln_no) FROM ordr_ln l WHERE l.ordr_no = o.ordr_no) AS skus FROM ordr o');
SELECT try('SELECT o.ordr_no AS id, EXISTS (SELECT FROM ordr_ln l WHERE l.ordr_no = o.ordr_no AND l.qty > 1) AS large FROM ordr o');
SELECT try('SELECT o.ordr_no AS id, ARRAY(SELECT l.sku_cd FROM ordr_ln l WHERE l.ordr_no = o.ordr_no ORDER BY l.ln_no) AS skus FROM ordr o WHERE o.ordr_no IN (SELECT ordr_no FROM ordr_ln)');
SELECT try('SELECT o.ordr_no AS id, l.n FROM ordr o, LATERAL (SELECT count(*) OVER () AS n FROM ordr_ln l WHERE l.ordr_no = o.ordr_no LIMIT 1) l');
SELECT try('SELECT o.ordr_no AS id, l.sku_cd FROM ordr o LEFT JOIN LATERAL (SELECT sku_cd FROM ordr_ln WHERE ordr_no = o.ordr_no UNION ALL SELECT sku_cd FROM ordr_ln WHERE ordr_no = -o.ordr_no ORDER BY 1 LIMIT 1) l ON true');
SELECT try('SELECT o.ordr_no AS id, p.ordr_no AS before FROM ordr o LEFT JOIN ordr p ON p.ordr_no = o.ordr_no - 1');
SELECT try('SELECT c.nm, o.ordr_no AS id FROM cust c RIGHT JOIN ordr o ON o.cust_no = c.cust_no');
SELECT try('SELECT l.ordr_no AS order_id, l.ln_no::text AS line_no, o.stat_cd FROM ordr_ln l JOIN ordr o ON o.ordr_no = l.ordr_no', 'line_no,order_id', 'ordr_ln');
SELECT try('SELECT l.ordr_no || ''/'' || l.ln_no AS id, o.stat_cd FROM ordr_ln l JOIN ordr o ON o.ordr_no = l.ordr_no', 'id', 'ordr_ln');
SELECT try('SELECT x.line_no, x.order_id, x.n FROM (SELECT l.ordr_no AS order_id, l.ln_no AS line_no, count(*) AS n FROM ordr_ln l JOIN ordr o ON o.ordr_no = l.ordr_no GROUP BY 1, 2) x', 'line_no,order_id', 'ordr_ln');
SELECT try('SELECT btrim(cust_no) AS id, nm, (SELECT count(*) FROM ordr o WHERE o.cust_no = c.cust_no) AS orders FROM cust c', 'id', 'cust');
SELECT try('SELECT btrim(cust_no) AS id, nm FROM cust c', 'id', 'cust');
-- what a session has switched off or made dear does not change the plan
SET enable_nestloop = off; SET enable_indexscan = off; SET enable_bitmapscan = off; SET random_page_cost = 1000; SET search_path = cj, pg_catalog, public;
SELECT try('SELECT o.ordr_no AS id, c.nm FROM ordr o JOIN cust c USING (cust_no)');
RESET enable_nestloop; RESET enable_indexscan; RESET enable_bitmapscan; RESET random_page_cost; SET search_path = cj, public;

\echo ---- key types
-- citext and a collation that ignores case, where the server has them
DO $$
BEGIN
    CREATE EXTENSION IF NOT EXISTS citext SCHEMA public;
    CREATE DOMAIN any_case AS public.citext;
EXCEPTION WHEN OTHERS THEN
    CREATE DOMAIN any_case AS text;
END $$;
DO $$
BEGIN
    CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
EXCEPTION WHEN OTHERS THEN
    CREATE COLLATION ci FROM "C";
END $$;
CREATE DOMAIN code AS varchar(10) CHECK (VALUE <> '');
CREATE TYPE kind AS ENUM ('a', 'b');
CREATE TABLE other (id int PRIMARY KEY, n int);
INSERT INTO other VALUES (1, 10);
CREATE TABLE typed (v varchar(5), c char(5), d code, x any_case, e kind, u uuid, n numeric(8,2), t timestamptz, i text COLLATE ci, o text COLLATE "C", other int,
    UNIQUE (v), UNIQUE (c), UNIQUE (d), UNIQUE (x), UNIQUE (e), UNIQUE (u), UNIQUE (n), UNIQUE (t), UNIQUE (i), UNIQUE (o, i, v));
ALTER TABLE typed ALTER v SET NOT NULL, ALTER c SET NOT NULL, ALTER d SET NOT NULL, ALTER x SET NOT NULL, ALTER e SET NOT NULL, ALTER u SET NOT NULL,
    ALTER n SET NOT NULL, ALTER t SET NOT NULL, ALTER i SET NOT NULL, ALTER o SET NOT NULL;
INSERT INTO typed VALUES
    ('a', 'a', 'a', 'Bob', 'a', '00000000-0000-0000-0000-00000000000a', 1.50, '2026-01-01 00:00+00', 'Eve', 'x', 1),
    ('b', 'b', 'b', 'Cid', 'b', '00000000-0000-0000-0000-00000000000b', 2, '2026-01-02 00:00+00', 'Dan', 'y', 2);
SELECT k, try(format('SELECT y.%1$I::text AS id, o.n FROM cj.typed y LEFT JOIN cj.other o ON o.id = y.other', k), 'id', 'cj.typed') FROM unnest('{v,c,d,x,e,u,n,t,i}'::text[]) k;
SELECT try('SELECT o, i, v, x.n FROM typed y LEFT JOIN LATERAL (SELECT n FROM other WHERE id = y.other) x ON true', 'v,o,i', 'typed');

\echo ---- a key that raises, and two rows for one key, are found one by one
CREATE VIEW cj_bad AS SELECT o.ordr_no AS id, 6 / (o.ordr_no - 2) AS share, l.sku_cd AS sku FROM ordr o LEFT JOIN ordr_ln l ON l.ordr_no = o.ordr_no AND l.qty > 0;
SELECT watch('cj_bad', 'ordr', '{id}');
SELECT outbox.add_source('cj_bad', 'ordr_ln', 'row.ordr_no');
SELECT event_type, key, payload, error FROM outbox.preview('cj_bad');
SELECT * FROM outbox.validate('cj_bad');
-- 250 good keys around: more than a batch
INSERT INTO ordr SELECT i, NULL FROM generate_series(100, 349) i;
SELECT count(*) FROM news();
SELECT * FROM outbox.validate('cj_bad');
SELECT count(*), count(payload) FROM outbox.preview('cj_bad', 'cj_bad_created', max_rows => 1000);
SELECT count(*), count(payload) FROM outbox.preview('cj_bad', 'cj_bad_created', max_rows => 120);
SELECT outbox.drop_contract('cj_bad');
DELETE FROM ordr WHERE ordr_no > 99;

\echo ---- the view and what is behind it change after enable
CREATE VIEW inner_v AS SELECT ordr_no AS id, stat_cd AS status, note FROM ordr;
CREATE VIEW cj_live AS SELECT i.id, i.status, c.n FROM inner_v i LEFT JOIN LATERAL (SELECT count(*) AS n FROM ordr_ln l WHERE l.ordr_no = i.id) c ON true;
SELECT watch('cj_live', 'ordr', '{id}');
SELECT outbox.add_source('cj_live', 'ordr_ln', 'row.ordr_no');
UPDATE ordr SET stat_cd = 'A' WHERE ordr_no = 1;
UPDATE ordr SET note = 'not read' WHERE ordr_no = 1;
SELECT * FROM news();
-- an inner view, replaced
CREATE OR REPLACE VIEW inner_v AS SELECT ordr_no AS id, coalesce(note, stat_cd)::char(1) AS status, note FROM ordr;
UPDATE ordr SET note = 'Q' WHERE ordr_no = 1;
SELECT * FROM news();
-- an appended column neither costs nor fails
CREATE OR REPLACE VIEW cj_live AS SELECT i.id, i.status, c.n, 1 / (i.id - 1) AS later FROM inner_v i LEFT JOIN LATERAL (SELECT count(*) AS n FROM ordr_ln l WHERE l.ordr_no = i.id) c ON true;
UPDATE ordr SET note = 'R' WHERE ordr_no = 1;
SELECT * FROM news();
-- columns renamed below the view
ALTER TABLE ordr RENAME ordr_no TO order_number;
UPDATE ordr SET note = 'S' WHERE order_number = 1;
SELECT * FROM news();
ALTER TABLE ordr RENAME order_number TO ordr_no;
-- an index that goes leaves a contract that is refused: letters, not a slow application
ALTER TABLE ordr_ln DROP CONSTRAINT ordr_ln_pkey;
UPDATE ordr SET note = 'T' WHERE ordr_no = 1;
SELECT * FROM news();
CREATE INDEX ON ordr_ln (ordr_no);
UPDATE ordr SET note = 'U' WHERE ordr_no = 1;
SELECT * FROM news();
SELECT outbox.drop_contract('cj_live');

\echo ---- functions in the view and in a key_query, replaced
CREATE FUNCTION word(c text) RETURNS text LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN 'old ' || c; END $$;
CREATE FUNCTION parent(n int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT n';
CREATE FUNCTION lines(n int) RETURNS bigint LANGUAGE sql STABLE AS 'SELECT count(*) FROM cj.ordr_ln WHERE ordr_no = n AND remark IS NULL';
CREATE VIEW cj_fn AS SELECT o.ordr_no AS id, cj.word(o.stat_cd) AS status, cj.lines(o.ordr_no) AS n, c.nm FROM ordr o LEFT JOIN cust c USING (cust_no);
SELECT watch('cj_fn', 'ordr', '{id}');
SELECT outbox.add_source('cj_fn', 'ordr_ln', 'cj.parent(row.ordr_no)');
UPDATE ordr SET stat_cd = 'W' WHERE ordr_no = 1;
SELECT * FROM news();
CREATE OR REPLACE FUNCTION word(c text) RETURNS text LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN 'new ' || c; END $$;
UPDATE ordr SET stat_cd = 'V' WHERE ordr_no = 1;
SELECT * FROM news();
-- which columns a function reads cannot be known, so every column counts
UPDATE ordr_ln SET remark = 'gone' WHERE ordr_no = 1 AND ln_no = 1;
SELECT * FROM news();
CREATE OR REPLACE FUNCTION parent(n int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT n + 1';
UPDATE ordr_ln SET remark = 'gone' WHERE ordr_no = 1 AND ln_no = 2;
SELECT * FROM news();
UPDATE ordr_ln SET remark = NULL WHERE ordr_no = 1;
SELECT * FROM news();
SELECT outbox.drop_contract('cj_fn');

\echo ---- several key columns, key_query as an expression list and as a query, NULLs
CREATE TABLE part (a int, b text, n int, PRIMARY KEY (a, b)) PARTITION BY LIST (a);
CREATE TABLE part_1 PARTITION OF part FOR VALUES IN (1);
CREATE TABLE part_2 (n int, gone int, b text NOT NULL, a int NOT NULL);
ALTER TABLE part_2 DROP gone;
ALTER TABLE part ATTACH PARTITION part_2 FOR VALUES IN (2);
CREATE TABLE child (id int, pa int, pb varchar(20), v int) PARTITION BY LIST (v);
CREATE TABLE child_1 PARTITION OF child FOR VALUES IN (1, 2);
CREATE TABLE child_3 (v int, x int, pb varchar(20), id int, pa int);
ALTER TABLE child_3 DROP x;
ALTER TABLE child ATTACH PARTITION child_3 FOR VALUES IN (3);
CREATE INDEX ON child (pb, pa);
CREATE INDEX ON part (n);
CREATE VIEW cj_part AS SELECT p.b, p.a, p.n, (SELECT array_agg(c.v ORDER BY c.v) FROM child c WHERE c.pa = p.a AND c.pb = p.b) AS vs FROM part p;
SELECT watch('cj_part', 'part', '{b,a}');
SELECT outbox.add_source('cj_part', 'child', 'row.pb, row.pa');
SELECT outbox.add_source('cj_part', 'other', 'SELECT p.b, p.a FROM cj.part p WHERE p.n = row.n -- every part');
INSERT INTO part VALUES (1, 'x', 10), (2, 'x', 20), (2, 'y', 30);
INSERT INTO child VALUES (1, 1, 'x', 1), (2, 2, 'y', 3), (3, NULL, 'y', 1);
SELECT * FROM news();
UPDATE child SET v = 3 WHERE id = 1;
UPDATE child SET pa = 2, pb = 'x' WHERE id = 2;
UPDATE child SET pa = 1, pb = 'x' WHERE id = 3;
SELECT * FROM news();
UPDATE part SET a = 1 WHERE b = 'y';
UPDATE other SET n = 20 WHERE id = 1;
SELECT * FROM news();
SELECT outbox.drop_contract('cj_part');

\echo ---- whose rights and settings: the views' owners', whoever writes
CREATE ROLE cj_owner;
CREATE ROLE cj_writer;
CREATE ROLE cj_inner;
GRANT USAGE, CREATE ON SCHEMA cj TO cj_owner, cj_inner;
GRANT USAGE ON SCHEMA cj TO cj_writer;
GRANT SELECT, TRIGGER ON ordr, cust TO cj_owner;
GRANT SELECT, INSERT, UPDATE ON ordr, cust TO cj_writer;
GRANT SELECT ON ordr_ln TO cj_inner;
SELECT outbox.grant_access('cj_owner', 'admin');
SET ROLE cj_inner;
CREATE VIEW inner_lines WITH (security_barrier) AS SELECT ordr_no AS order_id, sku_cd AS sku FROM ordr_ln WHERE qty > 0;
GRANT SELECT ON inner_lines TO cj_owner;
SET ROLE cj_owner;
CREATE FUNCTION whoami() RETURNS text LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN current_user || ' ' || current_setting('search_path') || ' ' || current_setting('DateStyle'); END $$;
CREATE VIEW cj_rights AS
SELECT o.ordr_no AS id, btrim(o.cust_no) AS customer, c.nm, cj.whoami() AS seen_by, (SELECT count(*) FROM inner_lines l WHERE l.order_id = o.ordr_no) AS lines
FROM ordr o LEFT JOIN cust c USING (cust_no);
SELECT outbox.create_contract('cj_rights', view => 'cj_rights', source => 'ordr', key => '{id}');
SELECT outbox.create_event_type('cj_rights_changed', contract => 'cj_rights', emit => 'changed', condition => 'old.customer = new.customer');
SELECT outbox.add_source('cj_rights', 'cust', 'SELECT o.ordr_no FROM cj.ordr o WHERE o.cust_no = row.cust_no');
SELECT outbox.enable('cj_rights');
RESET ROLE;
-- a writer who may not read the lines, and whose search_path has another "=" and btrim()
CREATE SCHEMA evil;
GRANT USAGE ON SCHEMA evil TO cj_writer;
CREATE FUNCTION evil.never(int, int) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'evil'; END $$;
CREATE FUNCTION evil.never(char, char) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'evil'; END $$;
CREATE FUNCTION evil.btrim(char) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'evil'; END $$;
CREATE OPERATOR evil.= (FUNCTION = evil.never, LEFTARG = int, RIGHTARG = int);
CREATE OPERATOR evil.= (FUNCTION = evil.never, LEFTARG = char, RIGHTARG = char);
SET ROLE cj_writer;
SET search_path = evil, pg_catalog;
SET DateStyle = 'German';
UPDATE cj.ordr SET cust_no = 'C1' WHERE ordr_no OPERATOR(pg_catalog.=) 2;
UPDATE cj.cust SET nm = 'Anne' WHERE cust_no OPERATOR(pg_catalog.=) 'C1';
RESET ROLE;
SET DateStyle = 'ISO';
SET search_path = cj, public;
SELECT * FROM news();
-- rights that go, and row level security that comes, make letters and no half events
REVOKE SELECT ON cust FROM cj_owner;
UPDATE cust SET nm = 'Ann' WHERE cust_no = 'C1';
SELECT * FROM news();
GRANT SELECT ON cust TO cj_owner;
REVOKE SELECT ON ordr_ln FROM cj_inner;
UPDATE cust SET nm = 'Anna' WHERE cust_no = 'C1';
SELECT * FROM news();
GRANT SELECT ON ordr_ln TO cj_inner;
ALTER TABLE ordr_ln ENABLE ROW LEVEL SECURITY;
UPDATE cust SET nm = 'Annie' WHERE cust_no = 'C1';
SELECT * FROM news();
ALTER TABLE ordr_ln DISABLE ROW LEVEL SECURITY;
UPDATE cust SET nm = 'Anita' WHERE cust_no = 'C1';
SELECT * FROM news();
SELECT outbox.drop_contract('cj_rights');

\echo ---- a source that is not there any more; a source added twice is refused, dropped with its contract
CREATE TABLE gone (ordr_no int);
CREATE VIEW cj_gone AS SELECT o.ordr_no AS id, c.nm FROM ordr o LEFT JOIN cust c USING (cust_no);
SELECT watch('cj_gone', 'ordr', '{id}');
SELECT outbox.add_source('cj_gone', 'gone', 'row.ordr_no');
DROP TABLE gone;
DROP TABLE gone CASCADE;
UPDATE ordr SET cust_no = 'C2' WHERE ordr_no = 1;
SELECT * FROM news();
SELECT outbox.enable('cj_gone');
SELECT outbox.drop_contract('cj_gone');

DROP SCHEMA cj, evil CASCADE;
DROP OWNED BY cj_owner, cj_inner, cj_writer;
DROP ROLE cj_owner, cj_inner, cj_writer;
