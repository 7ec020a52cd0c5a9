-- DDL that breaks a live contract fails in its own COMMIT, judged by its result; what the contract survives goes through.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE ROLE dk_owner;
CREATE ROLE dk_other;
CREATE ROLE dk_late;
CREATE SCHEMA dk AUTHORIZATION dk_owner;
GRANT ALL ON SCHEMA dk TO dk_other;
SET search_path = dk, public;
SET ROLE dk_owner; -- who has no rights on the outbox
CREATE TYPE colour AS ENUM ('red', 'green');
CREATE TYPE part AS (name text, paint colour);
CREATE TYPE whole AS (main part, parts part[]);
CREATE DOMAIN amount AS numeric(10,2);
CREATE FUNCTION doubled(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2';
CREATE FUNCTION wanted(int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1 > 0';
CREATE FUNCTION valid(int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1 > 0';
CREATE FUNCTION of_row(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1';
CREATE TABLE item (id int PRIMARY KEY, n int, price amount, built whole, unread int);
CREATE VIEW below AS SELECT id, doubled(n) AS n, price, built FROM item;
CREATE VIEW item_v AS SELECT id AS item_id, n, price, built FROM below;
CREATE TABLE head (id int PRIMARY KEY, name text);
CREATE TABLE line (head int, ln int, tint colour, PRIMARY KEY (head, ln));
CREATE VIEW head_v AS SELECT h.id AS head_id, h.name, (SELECT count(*) FROM line l WHERE l.head = h.id) AS lines FROM head h;
RESET ROLE;
SELECT outbox.create_contract('dk_item', view => 'item_v', source => 'item', key => '{item_id}');
SELECT outbox.create_event_type('DkItem', contract => 'dk_item', emit => 'changed', condition => 'dk.wanted(new.n)', previous => '{price}');
SELECT outbox.create_event_type('DkMade', contract => 'dk_item', emit => 'created');
SELECT outbox.add_check('DkMade', 'valid', 'dk.valid(item_id)');
SELECT outbox.create_contract('dk_head', view => 'head_v', source => 'head', key => '{head_id}');
SELECT outbox.add_source('dk_head', 'line', key_query => 'dk.of_row(row.head)');
SELECT outbox.create_event_type('DkHead', contract => 'dk_head', emit => 'always');
SELECT outbox.enable('dk_item'), outbox.enable('dk_head');
SET ROLE dk_owner;
INSERT INTO item VALUES (1, 1, 1.50, ROW(ROW('x', 'red'), ARRAY[ROW('y', 'green')::part])::whole);

\echo == the view goes: alone, below, with what it reads, with the schema
DROP VIEW item_v;
DROP VIEW below CASCADE;
DROP TABLE item CASCADE;
DROP TABLE item CASCADE \;  CREATE TABLE item (id int PRIMARY KEY);
ALTER TABLE item DROP COLUMN price CASCADE;
DROP FUNCTION doubled CASCADE;
DROP TYPE colour CASCADE;
DROP SCHEMA dk CASCADE;
DO $$ BEGIN DROP VIEW item_v; END $$;
DROP FUNCTION of_row CASCADE;
DROP TABLE line CASCADE;
\echo == dropped and created again: the contract follows the name; what is written between is a dead letter
BEGIN;
DROP VIEW item_v;
CREATE VIEW item_v AS SELECT id AS item_id, n, price, built FROM below;
COMMIT;
INSERT INTO item VALUES (2, 2, 2.50);
BEGIN;
DROP VIEW below CASCADE;
INSERT INTO item VALUES (3, 3, 3.50);
CREATE VIEW item_v AS SELECT i.id AS item_id, i.n * 2 AS n, i.price, i.built FROM item i;
COMMIT;
INSERT INTO item VALUES (4, 4, 4.50);
RESET ROLE;
SELECT type, aggregateid FROM outbox.event_json WHERE contract = 'dk_item' ORDER BY seq;
SELECT source_columns, message FROM outbox.dead_letter WHERE contract = 'dk_item' ORDER BY id;
DELETE FROM outbox.dead_letter_entry WHERE contract = 'dk_item';
SELECT view FROM outbox.contracts WHERE name = 'dk_item';
SELECT state, advice FROM outbox.status WHERE name = 'dk_item';
SET ROLE dk_owner;
\echo == created again in another way
BEGIN; DROP VIEW item_v; CREATE VIEW item_v AS SELECT id AS item_id, n * 2 AS n, price FROM item; COMMIT;
BEGIN; DROP VIEW item_v; CREATE VIEW item_v AS SELECT id AS item_id, (n * 2)::bigint AS n, price, built FROM item; COMMIT;
BEGIN; DROP VIEW item_v; CREATE VIEW item_v AS SELECT n AS item_id, n * 2 AS n, price, built FROM item; COMMIT;
BEGIN; DROP VIEW item_v; CREATE TABLE item_v (item_id int, n int, price numeric, built whole); COMMIT;
BEGIN; DROP VIEW item_v; CREATE VIEW item_v AS SELECT id AS item_id, n * 2 AS n, price::numeric(12,2) AS price, built FROM item; COMMIT;
BEGIN; DROP VIEW item_v; CREATE VIEW item_v AS SELECT id AS item_id, n * 2 AS n, price, built FROM item WHERE n > 0; COMMIT;
BEGIN; DROP VIEW item_v; SET LOCAL ROLE NONE; SET LOCAL ROLE dk_other; CREATE VIEW item_v AS SELECT 1 AS item_id; COMMIT;
\echo == columns of the view, by either command
ALTER VIEW item_v RENAME COLUMN price TO cost;
ALTER TABLE item_v RENAME COLUMN n TO m;
ALTER VIEW item_v RENAME COLUMN item_id TO id;
\echo == another name or schema of the view, an option, a comment, a column of the table: followed
ALTER VIEW item_v RENAME TO item_w;
ALTER VIEW item_w RENAME TO item_v;
RESET ROLE;
ALTER VIEW item_v SET SCHEMA public;
ALTER VIEW public.item_v SET SCHEMA dk;
SET ROLE dk_owner;
ALTER VIEW item_v SET (security_barrier = true);
COMMENT ON COLUMN item_v.n IS 'twice';
ALTER TABLE item RENAME price TO prc;
ALTER TABLE item RENAME prc TO price;
ALTER TABLE item DROP COLUMN unread;
\echo == columns that are appended are not published, and status says so
CREATE OR REPLACE VIEW item_v AS SELECT id AS item_id, n * 2 AS n, price, built, now() AS at, point(1, 2) AS spot FROM item;
RESET ROLE;
SELECT advice FROM outbox.status WHERE name = 'dk_item';
SET ROLE dk_owner;
BEGIN; DROP VIEW item_v; CREATE VIEW item_v AS SELECT id AS item_id, n * 2 AS n, price, built FROM item; COMMIT;
\echo == types inside: an enum in a composite type in an array in another one
ALTER TYPE colour ADD VALUE 'blue';
ALTER TYPE colour RENAME VALUE 'red' TO 'rot';
ALTER TYPE part RENAME ATTRIBUTE paint TO shade;
ALTER TYPE part DROP ATTRIBUTE paint;
ALTER TYPE whole ALTER ATTRIBUTE main TYPE text;
ALTER TYPE part ADD ATTRIBUTE weight int;
ALTER TYPE part DROP ATTRIBUTE weight;
ALTER TYPE colour RENAME TO color;
ALTER TYPE color RENAME TO colour;
\echo == a domain: its checks are no part of the schema
ALTER DOMAIN amount ADD CHECK (value < 1000);
ALTER DOMAIN amount RENAME TO sum_of_money;
ALTER DOMAIN sum_of_money RENAME TO amount;
\echo == functions that a condition, a check or a key_query names
DROP FUNCTION wanted;
DROP FUNCTION valid;
ALTER FUNCTION wanted RENAME TO unwanted;
RESET ROLE;
ALTER FUNCTION valid SET SCHEMA public;
SET ROLE dk_owner;
ALTER FUNCTION of_row RENAME TO of_line;
ALTER FUNCTION of_line RENAME TO of_row;
CREATE OR REPLACE FUNCTION wanted(int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1 > 1';
BEGIN; DROP FUNCTION wanted; CREATE FUNCTION wanted(int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1 > 0'; COMMIT;
\echo == rights and owners
RESET ROLE;
ALTER VIEW item_v OWNER TO dk_other;
GRANT SELECT, TRIGGER ON item TO dk_other;
ALTER FUNCTION wanted OWNER TO dk_other;
ALTER FUNCTION wanted OWNER TO CURRENT_USER;
ALTER FUNCTION valid OWNER TO CURRENT_USER;
ALTER FUNCTION doubled OWNER TO CURRENT_USER;
BEGIN; ALTER VIEW item_v OWNER TO dk_other; SELECT outbox.enable('dk_item'); COMMIT;
REVOKE SELECT ON item FROM dk_other;
REVOKE ALL ON ALL TABLES IN SCHEMA dk FROM dk_other;
REVOKE SELECT ON item FROM dk_late;
BEGIN; REVOKE SELECT ON item FROM dk_other; GRANT SELECT (id, n, price, built) ON item TO dk_other; COMMIT;
ALTER TABLE item ENABLE ROW LEVEL SECURITY;
DROP OWNED BY dk_other;
GRANT ALL ON SCHEMA dk TO dk_other;
BEGIN; ALTER VIEW item_v OWNER TO dk_owner; SELECT outbox.enable('dk_item'); COMMIT;
ALTER TABLE item ENABLE ROW LEVEL SECURITY; -- does not apply to its owner
ALTER TABLE item FORCE ROW LEVEL SECURITY;
ALTER TABLE item DISABLE ROW LEVEL SECURITY;
SET ROLE dk_owner;
\echo == the key, and a plan without its index
ALTER TABLE item DROP CONSTRAINT item_pkey;
ALTER TABLE line DROP CONSTRAINT line_pkey;
\echo == a trigger that is switched off is told by status
ALTER TABLE item DISABLE TRIGGER ALL;
ALTER TABLE item DISABLE TRIGGER USER;
RESET ROLE;
SELECT state, advice FROM outbox.status WHERE name = 'dk_item';
SET ROLE dk_owner;
ALTER TABLE item ENABLE TRIGGER USER;
\echo == several steps, savepoints, blocks: the result counts
BEGIN;
ALTER VIEW item_v RENAME COLUMN n TO m;
SAVEPOINT a;
DROP VIEW item_v;
ROLLBACK TO a;
ALTER VIEW item_v RENAME COLUMN m TO n;
COMMIT;
BEGIN;
SAVEPOINT a;
ALTER VIEW item_v RENAME COLUMN n TO m;
RELEASE a;
COMMIT;
DO $$ BEGIN ALTER VIEW item_v RENAME COLUMN n TO m; ALTER VIEW item_v RENAME COLUMN m TO n; END $$;
DO $$ BEGIN ALTER VIEW item_v RENAME COLUMN n TO m; EXCEPTION WHEN OTHERS THEN RAISE; END $$;
BEGIN;
ALTER VIEW item_v RENAME COLUMN n TO m;
PREPARE TRANSACTION 'dk';
\echo == all contracts that one command breaks
RESET ROLE;
CREATE VIEW tints AS SELECT head, ln, tint FROM line;
SELECT outbox.create_contract('dk_tint', view => 'tints', source => 'line', key => '{head,ln}');
SELECT outbox.create_event_type('DkTint', contract => 'dk_tint', emit => 'changed');
SELECT outbox.enable('dk_tint');
-- whatever the order of their rows in the table
UPDATE outbox_internal.contract SET on_invalid = on_invalid WHERE name = 'dk_item';
ALTER TYPE colour ADD VALUE 'blue';
\echo == told only: outbox.ddl_check = log
SET outbox.ddl_check = log;
ALTER VIEW tints RENAME COLUMN tint TO t;
RESET outbox.ddl_check;
SELECT command_tag, contract, what FROM outbox.ddl_check_log;
SELECT state, advice FROM outbox.status WHERE name = 'dk_tint';
ALTER VIEW tints RENAME COLUMN t TO tint;
SELECT outbox.enable('dk_tint');
SELECT advice FROM outbox.status WHERE name = 'dk_tint';
\echo == a contract that is broken already is no reason to refuse anything, nor is one that is disabled or detached
SET outbox.ddl_check = off;
ALTER VIEW item_v RENAME COLUMN n TO m;
ALTER TYPE colour ADD VALUE 'blue';
SET outbox.ddl_check = enforce;
ALTER TABLE item ADD COLUMN more int;
ALTER TYPE colour ADD VALUE 'black';
ALTER VIEW item_v RENAME COLUMN price TO cost;
ALTER VIEW item_v RENAME COLUMN cost TO price;
ALTER VIEW item_v RENAME COLUMN m TO n;
SELECT outbox.disable('dk_item');
DROP VIEW item_v;
CREATE VIEW item_v AS SELECT id AS item_id, n * 2 AS n, price, built FROM item;
ALTER VIEW item_v OWNER TO dk_owner;
SELECT outbox.enable('dk_item');
SELECT outbox.drop_contract('dk_item');
SELECT count(*) FROM outbox.detach('head');
ALTER TABLE head DROP COLUMN name;
ALTER TABLE head ADD COLUMN name text;
SELECT count(*) FROM outbox.reattach('head');
BEGIN; DROP VIEW head_v; SELECT outbox.drop_contract('dk_head'); COMMIT;
\echo == who may switch it off
SET ROLE dk_owner;
SET outbox.ddl_check = off;
RESET ROLE;
\echo == each active version of a contract, and no draft
CREATE TABLE ver (id int PRIMARY KEY, v int);
CREATE VIEW ver_1 AS SELECT id, v FROM ver;
CREATE VIEW ver_2 AS SELECT id, v AS w FROM ver;
SELECT outbox.create_contract('dk_ver', view => 'ver_1', source => 'ver', key => '{id}');
SELECT outbox.create_event_type('DkVer', contract => 'dk_ver', emit => 'changed');
SELECT outbox.enable('dk_ver');
SELECT outbox.add_version('dk_ver', view => 'ver_2', publish => 'beside');
ALTER VIEW ver_2 RENAME COLUMN w TO x;
ALTER VIEW ver_2 RENAME COLUMN x TO w;
SELECT outbox.enable('dk_ver');
ALTER VIEW ver_1 RENAME COLUMN v TO x;
ALTER VIEW ver_2 RENAME COLUMN w TO x;
DROP VIEW ver_2;
BEGIN; DROP VIEW ver_2; CREATE VIEW ver_2 AS SELECT id, v + 0 AS w FROM ver; COMMIT;
INSERT INTO ver VALUES (1, 1);
UPDATE ver SET v = 2;
SELECT version, payload FROM outbox.event_json WHERE contract = 'dk_ver' ORDER BY seq;
SELECT outbox.drop_contract('dk_ver');
\echo == DDL of others
CREATE TABLE theirs (id int PRIMARY KEY, c text);
CREATE VIEW theirs_v AS SELECT * FROM theirs;
ALTER VIEW theirs_v RENAME COLUMN c TO d;
DROP TABLE theirs CASCADE;
CREATE TYPE mood AS ENUM ('sad');
ALTER TYPE mood ADD VALUE 'happy';
DROP TYPE mood CASCADE;
SELECT outbox.drop_contract('dk_tint');
SELECT count(*) FROM outbox.gap WHERE contract LIKE 'dk_%' AND resolved_at IS NULL AND reason <> 'detached';
DELETE FROM outbox.gap WHERE contract LIKE 'dk_%';
DELETE FROM outbox_internal.ddl_check_log;
DROP SCHEMA dk CASCADE;
DROP OWNED BY dk_other, dk_late, dk_owner;
DROP ROLE dk_owner, dk_other, dk_late;
