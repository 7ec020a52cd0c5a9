-- Whatever switches a contract on proves its key, as create_contract() did.
\set VERBOSITY default
SET client_min_messages = warning;
CREATE SCHEMA ke;
SET search_path = ke;
CREATE TABLE item (id int NOT NULL, nm text);
CREATE UNIQUE INDEX item_id ON item (id);
CREATE VIEW item_v AS SELECT id, nm FROM item;
CREATE TABLE ordr (no int NOT NULL, nm text);
CREATE UNIQUE INDEX ordr_no ON ordr (no);
CREATE INDEX ordr_search ON ordr (no);
CREATE VIEW ordr_v AS SELECT o.no, (SELECT max(p.nm) FROM ordr p WHERE p.no = o.no) AS nm FROM ordr o;
SELECT outbox.create_contract('ke_item', view => 'ke.item_v', source => 'ke.item', key => '{id}');
SELECT outbox.create_event_type('KeItem', contract => 'ke_item', emit => 'always');
SELECT outbox.create_contract('ke_ordr', view => 'ke.ordr_v', source => 'ke.ordr', key => '{no}', evaluate => 'commit');
SELECT outbox.create_event_type('KeOrdr', contract => 'ke_ordr', emit => 'always');

\echo == the index goes before the contract is enabled at all
DROP INDEX item_id, ordr_no;
SELECT outbox.enable('ke_item');
SELECT outbox.enable('ke_ordr');
SELECT stage, sqlstate, rows, error FROM outbox.validate('ke_item') WHERE sqlstate IS NOT NULL;
SELECT stage, sqlstate, rows, error FROM outbox.validate('ke_ordr') WHERE sqlstate IS NOT NULL;
CREATE UNIQUE INDEX item_id ON item (id);
CREATE UNIQUE INDEX ordr_no ON ordr (no);
SELECT outbox.enable('ke_item'), outbox.enable('ke_ordr');
SELECT stage, sqlstate, rows, error FROM outbox.validate('ke_item') WHERE sqlstate IS NOT NULL;

\echo == while it is disabled
SELECT outbox.disable('ke_item'), outbox.disable('ke_ordr');
DROP INDEX item_id, ordr_no;
SELECT outbox.enable('ke_item');
SELECT outbox.enable('ke_ordr');
SELECT name, enabled FROM outbox.contract WHERE name LIKE 'ke%' ORDER BY 1;
CREATE UNIQUE INDEX item_id ON item (id);
CREATE UNIQUE INDEX ordr_no ON ordr (no);
ALTER TABLE item ALTER COLUMN id DROP NOT NULL;
SELECT outbox.enable('ke_item');
ALTER TABLE item ALTER COLUMN id SET NOT NULL;
SELECT outbox.enable('ke_item'), outbox.enable('ke_ordr');

\echo == while its view is away
SELECT outbox.detach('ke.item');
SELECT outbox.detach('ke.ordr');
DROP INDEX item_id, ordr_no;
SELECT outbox.reattach('ke.item');
SELECT outbox.reattach('ke.ordr');
CREATE UNIQUE INDEX item_id ON item (id);
CREATE UNIQUE INDEX ordr_no ON ordr (no);
SELECT outbox.reattach('ke.item');
SELECT outbox.reattach('ke.ordr');

\echo == while nobody watched
ALTER EVENT TRIGGER outbox_source_changes DISABLE;
DROP INDEX item_id;
ALTER EVENT TRIGGER outbox_source_changes ENABLE;
SELECT outbox.enable('ke_item');
SELECT stage, sqlstate, rows, error FROM outbox.validate('ke_item') WHERE sqlstate IS NOT NULL;
CREATE UNIQUE INDEX item_id ON item (id);
INSERT INTO item VALUES (1, 'one');
SELECT type, aggregateid FROM outbox.event_json WHERE contract = 'ke_item' ORDER BY seq;

SELECT outbox.drop_contract('ke_item'), outbox.drop_contract('ke_ordr');
DROP SCHEMA ke CASCADE;
