-- DDL on a source that would give two rows one key fails in its own COMMIT, judged by its result; a table that takes the source's name leaves a gap.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE ROLE ds_owner;
CREATE SCHEMA ds AUTHORIZATION ds_owner;
SET search_path = ds, public;
SET ROLE ds_owner; -- who has no rights on the outbox
CREATE TABLE ev (id int PRIMARY KEY, body text);
CREATE TABLE head (id int PRIMARY KEY, name text);
CREATE TABLE line (head int, ln int, PRIMARY KEY (head, ln));
CREATE VIEW ev_v AS SELECT id AS event_id, body FROM ev;
CREATE VIEW head_v AS SELECT h.id AS head_id, h.name, (SELECT count(*) FROM line l WHERE l.head = h.id) AS lines FROM head h;
RESET ROLE;
SELECT outbox.create_contract('ds_ev', view => 'ev_v', source => 'ev', key => '{event_id}');
SELECT outbox.create_event_type('DsEv', contract => 'ds_ev', emit => 'created');
SELECT outbox.create_contract('ds_head', view => 'head_v', source => 'head', key => '{head_id}');
SELECT outbox.create_event_type('DsHead', contract => 'ds_head', emit => 'created');
SELECT outbox.enable('ds_ev'), outbox.enable('ds_head');
SET ROLE ds_owner;
INSERT INTO ev VALUES (1, 'a'), (2, 'b');

\echo column names that are swapped: what the view reads is not the key any more
ALTER TABLE ev ADD COLUMN id_new bigint NOT NULL DEFAULT 0;
UPDATE ev SET id_new = id;
CREATE UNIQUE INDEX ev_id_new ON ev (id_new);
BEGIN;
ALTER TABLE ev DROP CONSTRAINT ev_pkey;
ALTER TABLE ev RENAME id TO id_old;
ALTER TABLE ev RENAME id_new TO id;
ALTER TABLE ev ADD CONSTRAINT ev_pkey PRIMARY KEY USING INDEX ev_id_new;
COMMIT;
\echo the remedies: an index over the column that the view reads; the view of the new column; or the contract switched off
BEGIN;
ALTER TABLE ev DROP CONSTRAINT ev_pkey;
ALTER TABLE ev RENAME id TO id_old;
ALTER TABLE ev RENAME id_new TO id;
ALTER TABLE ev ADD CONSTRAINT ev_pkey PRIMARY KEY USING INDEX ev_id_new;
CREATE UNIQUE INDEX ON ev (id_old);
ALTER TABLE ev ALTER id_old SET NOT NULL;
COMMIT;
RESET ROLE;
SELECT count(*) FROM outbox.detach('ev');
SET ROLE ds_owner;
DROP INDEX ev_id_old_idx;
ALTER TABLE ev ALTER id_old DROP NOT NULL;
CREATE VIEW ev_v AS SELECT id::int AS event_id, body FROM ev;
RESET ROLE;
SELECT count(*) FROM outbox.reattach('ev');
SET ROLE ds_owner;
INSERT INTO ev (id, body) VALUES (3, 'c'), (4, 'd');
SELECT conname FROM pg_constraint WHERE conrelid = 'ev'::regclass AND contype = 'p' \gset
RESET ROLE;
SELECT aggregateid FROM outbox.event_json WHERE contract = 'ds_ev' ORDER BY seq;
SET ROLE ds_owner;

\echo the index of the key goes, or its NOT NULL; alone, in a function, of a contract that is evaluated at commit
ALTER TABLE ev DROP CONSTRAINT :conname;
ALTER TABLE head DROP CONSTRAINT head_pkey;
DO $$ BEGIN ALTER TABLE head DROP CONSTRAINT head_pkey; END $$;
CREATE UNIQUE INDEX head_other ON head (id);
ALTER TABLE head DROP CONSTRAINT head_pkey;
ALTER TABLE head ALTER id DROP NOT NULL;
DROP INDEX head_other;
DROP INDEX CONCURRENTLY head_other;
SELECT indisvalid FROM pg_index WHERE indexrelid = 'head_other'::regclass;
\echo rolled back, made good again, or not of the key
BEGIN;
SAVEPOINT a;
DROP INDEX head_other;
ROLLBACK TO a;
COMMIT;
BEGIN;
DROP INDEX head_other;
ALTER TABLE head ADD PRIMARY KEY (id);
COMMIT;
CREATE INDEX head_name ON head (name);
DROP INDEX head_name;
ALTER TABLE head ADD COLUMN more int, ALTER name SET DEFAULT 'x';
ALTER TABLE line ADD COLUMN more int;
INSERT INTO head VALUES (1, 'x');
\echo a contract that is switched off is not judged, and enable() judges it
RESET ROLE;
SELECT outbox.disable('ds_head');
SET ROLE ds_owner;
ALTER TABLE head DROP CONSTRAINT head_pkey;
ALTER TABLE head ADD PRIMARY KEY (id);
RESET ROLE;
SELECT outbox.enable('ds_head');
\echo nor a key that was not proven before
ALTER EVENT TRIGGER outbox_source_changes DISABLE;
ALTER TABLE head DROP CONSTRAINT head_pkey;
ALTER EVENT TRIGGER outbox_source_changes ENABLE;
ALTER TABLE head ADD COLUMN still int;
ALTER TABLE head ADD PRIMARY KEY (id);

\echo what was seen under a savepoint that is rolled back does not count
BEGIN;
SAVEPOINT s;
CREATE OR REPLACE VIEW head_v AS SELECT length(h.name) AS head_id, h.name, (SELECT count(*) FROM line l WHERE l.head = h.id) AS lines FROM head h;
ALTER TABLE head ADD COLUMN undone int;
ROLLBACK TO s;
ALTER TABLE head DROP CONSTRAINT head_pkey;
COMMIT;
\echo nor what the transaction put right again
BEGIN;
CREATE OR REPLACE VIEW head_v AS SELECT length(h.name) AS head_id, h.name, (SELECT count(*) FROM line l WHERE l.head = h.id) AS lines FROM head h;
ALTER TABLE head ADD COLUMN undone int;
CREATE OR REPLACE VIEW head_v AS SELECT h.id AS head_id, h.name, (SELECT count(*) FROM line l WHERE l.head = h.id) AS lines FROM head h;
ALTER TABLE head DROP CONSTRAINT head_pkey;
COMMIT;
\echo with CASCADE goes what an index is built of
CREATE COLLATION ds_order FROM "C";
CREATE TABLE word (w text NOT NULL, n int);
CREATE UNIQUE INDEX word_w ON word (w COLLATE ds_order);
CREATE VIEW word_v AS SELECT w AS word, n FROM word;
SELECT outbox.create_contract('ds_word', view => 'word_v', source => 'word', key => '{word}');
SELECT outbox.create_event_type('DsWord', contract => 'ds_word', emit => 'created');
SELECT outbox.enable('ds_word');
DROP COLLATION ds_order CASCADE;
BEGIN;
DROP COLLATION ds_order CASCADE;
CREATE UNIQUE INDEX word_w ON word (w);
COMMIT;
SELECT outbox.drop_contract('ds_word');
DROP TABLE word CASCADE;

\echo tables that inherit from a source: status says so, and its advice helps
CREATE TABLE heir () INHERITS (head);
SELECT state, advice FROM outbox.status WHERE name = 'ds_head';
ALTER TABLE heir NO INHERIT head;
SELECT state, advice FROM outbox.status WHERE name = 'ds_head';

\echo another table takes the name of the source
SET ROLE ds_owner;
CREATE TABLE head_new (LIKE head INCLUDING ALL);
BEGIN;
ALTER TABLE head RENAME TO head_old;
ALTER TABLE head_new RENAME TO head;
COMMIT;
INSERT INTO head VALUES (5, 'not captured');
RESET ROLE;
SELECT contract, source, reason, detail FROM outbox.gap WHERE contract = 'ds_head';
SELECT state, advice FROM outbox.status WHERE name = 'ds_head';
SELECT substring(advice FROM 'SELECT [^;]*') AS command FROM outbox.status WHERE name = 'ds_head' \gset
SELECT outbox.drop_contract('ds_head');
CREATE OR REPLACE VIEW head_v AS SELECT h.id AS head_id, h.name, (SELECT count(*) FROM line l WHERE l.head = h.id) AS lines FROM head h;
SELECT outbox.create_contract('ds_head', view => 'head_v', source => 'head', key => '{head_id}');
SELECT outbox.create_event_type('DsHead', contract => 'ds_head', emit => 'created');
SELECT outbox.enable('ds_head');
:command;
INSERT INTO head VALUES (6, 'captured');
SELECT aggregateid FROM outbox.event_json WHERE contract = 'ds_head' ORDER BY seq;
SELECT state, advice FROM outbox.status WHERE name = 'ds_head';
\echo as well when the table is called an index
CREATE TABLE head_new (LIKE head INCLUDING ALL);
BEGIN;
ALTER INDEX head RENAME TO head_old2;
ALTER INDEX head_new RENAME TO head;
COMMIT;
SELECT contract, source, reason, detail FROM outbox.gap WHERE contract = 'ds_head' AND resolved_at IS NULL;
BEGIN;
ALTER INDEX head RENAME TO head_new;
ALTER INDEX head_old2 RENAME TO head;
COMMIT;
DROP TABLE head_new;
DELETE FROM outbox.gap WHERE contract = 'ds_head' AND resolved_at IS NULL;
\echo a name alone that changes is followed; and a schema
ALTER TABLE head RENAME TO head_named;
ALTER TABLE head_named SET SCHEMA public;
INSERT INTO head_named VALUES (7, 'captured');
ALTER TABLE head_named SET SCHEMA ds;
SELECT count(*) FROM outbox.gap WHERE contract = 'ds_head' AND resolved_at IS NULL;

SELECT outbox.drop_contract('ds_head'), outbox.drop_contract('ds_ev');
DELETE FROM outbox.gap WHERE contract LIKE 'ds_%';
DROP SCHEMA ds CASCADE;
DROP ROLE ds_owner;
