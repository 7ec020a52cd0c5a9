-- A migration of several commands over a contract that was not sound before: what the first one takes is not taken for
-- gone before by the next.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE SCHEMA ca;
SET search_path = ca;
CREATE TABLE item (id int NOT NULL, n int);
CREATE UNIQUE INDEX item_key ON item (id);
CREATE VIEW item_v AS SELECT id AS item_id, n FROM item;
SELECT outbox.create_contract('ca_item', view => 'item_v', source => 'item', key => '{item_id}');
SELECT outbox.create_event_type('CaItem', contract => 'ca_item', emit => 'always');
SELECT outbox.enable('ca_item');
SET outbox.ddl_check = off;
DROP INDEX item_key;
RESET outbox.ddl_check;
BEGIN;
DROP VIEW item_v;
ALTER TABLE item ADD x int;
ALTER TABLE item ADD y int;
COMMIT;
SELECT count(*) AS views FROM pg_views WHERE schemaname = 'ca';
\echo gone before: nobody is stopped
SET outbox.ddl_check = off;
DROP VIEW item_v;
RESET outbox.ddl_check;
BEGIN;
ALTER TABLE item ADD x int;
ALTER TABLE item ADD y int;
COMMIT;
SELECT outbox.drop_contract('ca_item');
