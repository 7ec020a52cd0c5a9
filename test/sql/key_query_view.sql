-- A key_query is a view: what it reads can be renamed and not dropped, it steps aside with its contract, follows the owner
SET outbox.ddl_check = off; -- what it refuses must stay safe all the same
-- of the contract's view, and is out of everybody else's reach.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS outbox_ext;
CREATE SCHEMA kv;
CREATE SCHEMA kv_refs;
SET search_path = kv;
\pset format unaligned
\pset tuples_only on
CREATE TABLE ordr (no int PRIMARY KEY, cust int, note text);
CREATE TABLE cust (id int PRIMARY KEY, nm text);
CREATE TABLE card (card_no int PRIMARY KEY, holder varchar(20) COLLATE "C");
CREATE TABLE kv_refs.ref (holder text COLLATE "C", cust int, old int, PRIMARY KEY (holder, cust));
CREATE INDEX ON ordr (cust);
CREATE VIEW ordr_v AS SELECT o.no, c.nm, (SELECT count(*) FROM card d WHERE d.card_no = o.no) AS cards
FROM ordr o LEFT JOIN cust c ON c.id = o.cust;
SELECT outbox.create_contract('kv', view => 'kv.ordr_v', source => 'kv.ordr', key => '{no}');
SELECT outbox.create_event_type('KvAny', contract => 'kv', emit => 'always');
SELECT outbox.add_source('kv', 'cust', 'SELECT o.no FROM kv.ordr o WHERE o.cust = row.id', max_fanout => 7);
SELECT outbox.add_source('kv', 'card', $$SELECT o.no FROM kv.ordr o JOIN kv_refs.ref r ON r.cust = o.cust WHERE r.holder = row.holder AND o.note <> 'row.card_no' GROUP BY o.no ORDER BY 1$$);
SELECT outbox.enable('kv');
INSERT INTO ordr VALUES (1, 10, 'a'), (2, 20, 'b');
INSERT INTO kv_refs.ref VALUES ('h', 10), ('i', 20);
CREATE FUNCTION told() RETURNS SETOF text LANGUAGE sql AS
$$SELECT e.aggregateid || ' ' || e.payload FROM outbox.event_json e WHERE e.contract = 'kv' AND e.xid = (SELECT max(xid) FROM outbox.event_json WHERE contract = 'kv') ORDER BY e.aggregateid$$;

\echo ---- as a DBA sees it
SELECT c.relname, pg_get_userbyid(c.relowner) = current_user, obj_description(c.oid) FROM pg_class c JOIN outbox.source s ON s.key_view = c.oid
JOIN outbox.contract t ON t.id = s.contract_id WHERE t.name = 'kv' ORDER BY 1;
SELECT key_query FROM outbox.source WHERE key_query IS NOT NULL ORDER BY relation::text;
-- what it says can be given again, after a comment
SELECT key_query AS again FROM outbox.source WHERE relation = 'card'::regclass \gset
BEGIN;
SELECT outbox.drop_contract('kv');
SELECT count(*) FROM pg_class WHERE relname ~ '^kv_.*_key_query';
SELECT outbox.create_contract('kv', view => 'kv.ordr_v', source => 'kv.ordr', key => '{no}');
SELECT outbox.add_source('kv', 'card', '/* by /* its */ holder */ -- or so
  /**/' || :'again');
SELECT key_query = :'again' FROM outbox.source WHERE relation = 'card'::regclass;
ROLLBACK;

\echo ---- columns, tables and schemas are renamed, those that a key_query alone reads, too
ALTER TABLE card RENAME holder TO "Holder";
ALTER TABLE kv_refs.ref RENAME holder TO held_by;
ALTER TABLE kv_refs.ref RENAME TO reference;
ALTER SCHEMA kv_refs RENAME TO "kv-refs";
ALTER TABLE cust RENAME id TO "row";
ALTER TABLE card RENAME TO cards;
SELECT key_query FROM outbox.source WHERE key_query IS NOT NULL ORDER BY relation::text;
INSERT INTO cards VALUES (1, 'h');
SELECT * FROM told();
INSERT INTO cust VALUES (20, 'Zed');
SELECT * FROM told();

\echo ---- what it reads is not dropped, nor does it change its type
ALTER TABLE "kv-refs".reference DROP COLUMN held_by;
DROP TABLE "kv-refs".reference;
ALTER TABLE cards DROP COLUMN "Holder";
-- the detail has a period since PostgreSQL 19
\set VERBOSITY terse
ALTER TABLE cards ALTER COLUMN "Holder" TYPE text;
\set VERBOSITY default
ALTER TABLE "kv-refs".reference DROP COLUMN old;

\echo ---- it steps aside
SELECT outbox.detach('"kv-refs".reference');
SELECT key_query, detached_view FROM outbox.source WHERE relation = 'cards'::regclass;
SELECT state, advice FROM outbox.status WHERE name = 'kv';
ALTER TABLE cards ALTER COLUMN "Holder" TYPE text;
ALTER TABLE "kv-refs".reference ALTER COLUMN cust TYPE bigint;
INSERT INTO cards VALUES (2, 'i');
SELECT outbox.reattach('"kv-refs".reference');
SELECT key_query, detached_view FROM outbox.source WHERE relation = 'cards'::regclass;
SELECT state FROM outbox.status WHERE name = 'kv';
SELECT DISTINCT source, reason FROM outbox.gap WHERE contract = 'kv';
SELECT obj_description(key_view::oid) FROM outbox.source WHERE relation = 'cards'::regclass;
INSERT INTO cards VALUES (3, 'i');
SELECT * FROM told();

\echo ---- reattach() proves it
BEGIN;
SELECT count(*) FROM outbox.detach('cust');
DROP INDEX ordr_cust_idx;
SAVEPOINT s;
SELECT outbox.reattach('cust');
ROLLBACK TO s;
CREATE INDEX ON kv.ordr (cust);
SELECT count(*) FROM outbox.reattach('cust');
ROLLBACK;

\echo ---- where the tables do not fit it any more, the contract goes
BEGIN;
SELECT count(*) FROM outbox.detach('cards');
ALTER TABLE cards RENAME "Holder" TO owner;
SAVEPOINT s;
SELECT outbox.reattach('cards');
ROLLBACK TO s;
SELECT outbox.drop_contract('kv');
SELECT outbox.reattach('cards');
SELECT count(*) FROM pg_class WHERE relname ~ '^kv_.*_key_query';
ROLLBACK;

\echo ---- it goes with CASCADE, and can be given anew
DROP TABLE "kv-refs".reference CASCADE;
SELECT key_query FROM outbox.source WHERE relation = 'cards'::regclass;
SELECT state, advice FROM outbox.status WHERE name = 'kv';
INSERT INTO cards VALUES (4, 'i');
SELECT stage, sqlstate, message, last_failure_hint, source_columns FROM outbox.dead_letter WHERE contract = 'kv';
SELECT outbox.enable('kv');
SELECT outbox.add_source('kv', 'cards', 'row.card_no', max_fanout => 3);
SELECT outbox.add_source('kv', 'cards', 'row.card_no');
SELECT key_query, max_fanout FROM outbox.source WHERE relation = 'cards'::regclass;
SELECT state FROM outbox.status WHERE name = 'kv';
UPDATE cards SET card_no = 20 WHERE card_no = 1;
SELECT * FROM told();

\echo ---- whose it is
CREATE ROLE kv_owner;
CREATE ROLE kv_stranger;
GRANT ALL ON SCHEMA kv TO kv_owner, kv_stranger;
GRANT SELECT, TRIGGER ON ALL TABLES IN SCHEMA kv TO kv_owner;
SELECT outbox.grant_access(r, 'admin') FROM unnest('{kv_owner,kv_stranger}'::text[]) r;
ALTER VIEW ordr_v OWNER TO kv_owner;
SELECT relname, pg_get_userbyid(relowner) = current_user FROM pg_class WHERE relname ~ '^kv_.*_key_query' ORDER BY 1;
INSERT INTO cards VALUES (5, 'i');
SELECT message FROM outbox.dead_letter WHERE contract = 'kv' ORDER BY id DESC LIMIT 1;
SELECT outbox.enable('kv');
SELECT relname, pg_get_userbyid(relowner) FROM pg_class WHERE relname ~ '^kv_.*_key_query' ORDER BY 1;
UPDATE cards SET card_no = 1 WHERE card_no = 5;
SELECT * FROM told();
-- alone it is nobody's to give away
ALTER VIEW outbox_internal.kv_cust_key_query OWNER TO kv_stranger;
UPDATE cust SET nm = 'Zoe';
SELECT message, last_failure_hint FROM outbox.dead_letter WHERE contract = 'kv' ORDER BY id DESC LIMIT 1;
SELECT outbox.enable('kv');
UPDATE cust SET nm = 'Zoe';
SELECT * FROM told();
-- its owner, and a stranger, who may do everything that grant_access() gives
SET ROLE kv_owner;
SELECT * FROM outbox_internal.kv_cust_key_query;
CREATE OR REPLACE VIEW outbox_internal.kv_cust_key_query AS SELECT 1 AS no;
ALTER VIEW outbox_internal.kv_cust_key_query SET (security_barrier);
ALTER VIEW outbox_internal.kv_cust_key_query RENAME TO mine;
ALTER VIEW outbox_internal.kv_cust_key_query SET SCHEMA kv;
COMMENT ON VIEW outbox_internal.kv_cust_key_query IS 'mine';
CREATE RULE r AS ON INSERT TO outbox_internal.kv_cust_key_query DO INSTEAD NOTHING;
DROP VIEW outbox_internal.kv_cust_key_query;
-- what it sees of its own key_query is what it may see
SELECT key_query FROM outbox.source WHERE key_query IS NOT NULL ORDER BY relation::text;
SELECT outbox_internal.key_query_text('kv.ordr_v');
-- it detaches and reattaches without any right on our schema
SELECT outbox.detach('kv.cust');
SELECT outbox.reattach('kv.cust');
SET ROLE kv_stranger;
CREATE OR REPLACE VIEW outbox_internal.kv_cust_key_query AS SELECT 1 AS no;
CREATE VIEW outbox_internal.kv_ordr_key_query AS SELECT 1 AS no;
DROP VIEW outbox_internal.kv_cust_key_query;
SELECT outbox.add_source('kv', 'cards', 'row.card_no');
RESET ROLE;
SELECT relname, pg_get_userbyid(relowner) FROM pg_class WHERE relname ~ '^kv_.*_key_query' ORDER BY 1;
-- what a superuser puts in its place is looked at again
BEGIN;
CREATE OR REPLACE VIEW outbox_internal.kv_cust_key_query AS SELECT o.no FROM kv.ordr o;
UPDATE cust SET nm = 'Zac';
SELECT message, last_failure_hint FROM outbox.dead_letter WHERE contract = 'kv' ORDER BY id DESC LIMIT 1;
CREATE FUNCTION kv.bad(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1';
ALTER FUNCTION kv.bad OWNER TO kv_stranger;
CREATE OR REPLACE VIEW outbox_internal.kv_cust_key_query AS SELECT q.no FROM kv.cust AS "row", LATERAL (SELECT kv.bad("row"."row") AS no) q;
UPDATE cust SET nm = 'Zac';
SELECT message FROM outbox.dead_letter WHERE contract = 'kv' ORDER BY id DESC LIMIT 1;
CREATE OR REPLACE VIEW outbox_internal.kv_cust_key_query AS SELECT q.no FROM kv.cust AS "row", LATERAL (SELECT "row"."row" / 10 AS no) q;
SELECT count(*) AS letters FROM outbox.dead_letter WHERE contract = 'kv' \gset
UPDATE cust SET nm = 'Zen';
COMMIT;
SELECT count(*) - :letters FROM outbox.dead_letter WHERE contract = 'kv';
SELECT * FROM told();

\echo ---- what is no table is told so, whatever the key_query
CREATE SEQUENCE numbers;
CREATE TYPE pair AS (card_no int);
CREATE MATERIALIZED VIEW cards_mv AS SELECT * FROM cards;
GRANT SELECT ON numbers, cards_mv TO kv_owner;
SELECT outbox.add_source('kv', 'card_pkey', 'row.card_no');
SELECT outbox.add_source('kv', 'numbers', 'row.last_value');
SELECT outbox.add_source('kv', 'pair', 'row.card_no');
SELECT outbox.add_source('kv', 'cards_mv', 'row.card_no');

\echo ---- names: two tables of one name, a name that is too long, quotes
CREATE SCHEMA "kv 2";
CREATE TABLE "kv 2".cards (card_no int);
CREATE TABLE "kv 2"."a table with quotes "" and a name as long as it can be äöü 1234" (card_no int);
GRANT SELECT, TRIGGER ON ALL TABLES IN SCHEMA "kv 2" TO kv_owner;
SELECT outbox.add_source('kv', '"kv 2".cards', 'row.card_no');
SELECT outbox.add_source('kv', '"kv 2"."a table with quotes "" and a name as long as it can be äöü 1234"', 'SELECT row.card_no UNION SELECT 2');
SELECT key_view FROM outbox.source WHERE key_view IS NOT NULL ORDER BY relation::text;
SELECT outbox.drop_contract('kv');
SELECT count(*) FROM pg_class WHERE relname ~ '_key_query';

DROP SCHEMA kv, "kv-refs", "kv 2" CASCADE;
DROP OWNED BY kv_owner, kv_stranger;
DROP ROLE kv_owner, kv_stranger;
