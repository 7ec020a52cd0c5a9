-- While a contract's configuration cannot be read its dead letters still say which row they are about.
SET outbox.ddl_check = off; -- what it refuses must stay safe all the same
SET client_min_messages = warning;
CREATE SCHEMA bc;
SET search_path = bc, public;
CREATE TABLE ordr (no int PRIMARY KEY, name text, secret text);
CREATE TABLE "a table with a very long name, and äöü in it 123456789012" ("the first part of its key, long, too" int,
    "the first part of its key, long, two" int, no int, PRIMARY KEY ("the first part of its key, long, too", "the first part of its key, long, two"));
CREATE TABLE tag (a int NOT NULL, b int NOT NULL, no int, UNIQUE (a, b));
CREATE TABLE heap (no int);
CREATE INDEX ON heap (no);
CREATE VIEW order_v AS SELECT o.no AS order_id, o.name, (SELECT count(*) FROM heap h WHERE h.no = o.no) AS heaps FROM ordr o;
SELECT outbox.create_contract('bc_order', view => 'order_v', source => 'ordr', key => '{order_id}');
SELECT outbox.add_source('bc_order', '"a table with a very long name, and äöü in it 123456789012"', key_query => 'abs(row.no)');
SELECT outbox.add_source('bc_order', 'tag', key_query => 'row.no');
SELECT outbox.add_source('bc_order', 'heap', key_query => 'row.no');
SELECT outbox.create_event_type('BcPlaced', contract => 'bc_order', emit => 'created');
SELECT outbox.enable('bc_order');
CREATE VIEW letters AS SELECT row_number() OVER (ORDER BY id) AS n, emit, stage, message, key, source_columns, detail, hint, state, last_failure
FROM outbox.dead_letter WHERE contract = 'bc_order';

\echo a word in the configuration that this version does not know
ALTER EVENT TRIGGER outbox_refuse_ddl DISABLE;
ALTER TABLE outbox_internal.event_type DROP CONSTRAINT event_type_emit_check;
UPDATE outbox.event_type SET emit = 'foreseen' WHERE name = 'BcPlaced';
INSERT INTO ordr VALUES (1, 'one', 'hidden');
UPDATE ordr SET no = 2;
DELETE FROM ordr;
INSERT INTO "a table with a very long name, and äöü in it 123456789012" VALUES (1, 2, 3);
INSERT INTO tag VALUES (4, 5, 6);
INSERT INTO heap VALUES (7);
SELECT n, emit, stage, message, key, source_columns FROM letters ORDER BY n;
SELECT DISTINCT detail, hint FROM letters ORDER BY detail;

\echo for a person: a redrive does not take these for lookup keys
UPDATE outbox.event_type SET emit = 'created' WHERE name = 'BcPlaced';
ALTER TABLE outbox_internal.event_type ADD CONSTRAINT event_type_emit_check CHECK (emit IN ('created', 'changed', 'deleted', 'always'));
ALTER EVENT TRIGGER outbox_refuse_ddl ENABLE ALWAYS;
SELECT outbox.redrive(contract => 'bc_order');
SELECT count(*), message, last_failure, state FROM letters GROUP BY message, last_failure, state;
SELECT count(*) FROM outbox.event_json WHERE contract = 'bc_order';

\echo names longer than a name of PostgreSQL, of a child whose contract does not compile
DROP VIEW order_v;
INSERT INTO "a table with a very long name, and äöü in it 123456789012" VALUES (11, 12, 13);
SELECT source_columns FROM letters ORDER BY n DESC LIMIT 1;
SELECT count(outbox.discard(id, 'test')) FROM outbox.dead_letter WHERE contract = 'bc_order' AND state = 'open';
SELECT outbox.drop_contract('bc_order');
DROP SCHEMA bc CASCADE;
