-- A trigger that is not, or no longer, the one that enable() made never breaks a write and never speaks for a contract.
SET client_min_messages = warning;
CREATE ROLE trig_owner;
CREATE SCHEMA trig;
GRANT USAGE, CREATE ON SCHEMA trig TO trig_owner;
SET search_path = trig, public;
CREATE TABLE item (id int PRIMARY KEY, n int);
CREATE VIEW item_v AS SELECT id, n FROM item;
SELECT outbox.create_contract('trig_item', view => 'item_v', source => 'item', key => '{id}');
SELECT outbox.create_event_type('TrigCreated', contract => 'trig_item', emit => 'created');
SELECT outbox.enable('trig_item');
CREATE VIEW gaps AS SELECT contract, source, reason FROM outbox.gap WHERE contract IN ('trig_item', 'trig_item_insert', 'trig_gone', 'renamed', 't') ORDER BY id;

\echo renamed by the owner of the source: the write goes on, a gap says that nothing was captured
ALTER TRIGGER "!outbox_trig_item" ON item RENAME TO renamed;
ALTER TRIGGER "!outbox!trig_item" ON item RENAME TO t;
INSERT INTO item VALUES (1, 1), (2, 1);
TRUNCATE item;
SELECT * FROM gaps;
SELECT state FROM outbox.status WHERE name = 'trig_item';
ALTER TRIGGER renamed ON item RENAME TO "!outbox_trig_item";
ALTER TRIGGER t ON item RENAME TO "!outbox!trig_item";
INSERT INTO item VALUES (3, 1);
SELECT type, aggregateid FROM outbox.event_json WHERE contract = 'trig_item';

\echo a table of somebody else under the name of the contract: no event, no dead letter, no gap
SET ROLE trig_owner;
CREATE TABLE other (id int);
CREATE TRIGGER "!outbox_trig_item" AFTER INSERT OR UPDATE OR DELETE ON other FOR EACH ROW EXECUTE FUNCTION outbox.capture();
CREATE TRIGGER "!outbox!trig_item" AFTER TRUNCATE ON other FOR EACH STATEMENT EXECUTE FUNCTION outbox.capture_truncate();
CREATE TRIGGER "!outbox!trig_item_insert" AFTER INSERT ON other FOR EACH STATEMENT EXECUTE FUNCTION outbox.capture_truncate();
INSERT INTO other VALUES (1);
UPDATE other SET id = 2;
TRUNCATE other;
DROP TABLE other;
RESET ROLE;
SELECT * FROM gaps OFFSET 2;
SELECT count(*) FROM outbox.dead_letter WHERE contract = 'trig_item';

\echo the trigger has the name of no contract: one gap, which a rolled-back savepoint does not take along
ALTER TRIGGER "!outbox_trig_item" ON item RENAME TO "!outbox_trig_gone";
BEGIN;
SAVEPOINT a;
INSERT INTO item VALUES (10, 1);
ROLLBACK TO a;
INSERT INTO item VALUES (11, 1);
SAVEPOINT b;
INSERT INTO item VALUES (12, 1);
RELEASE b;
INSERT INTO item VALUES (13, 1);
COMMIT;
SELECT * FROM gaps OFFSET 2;
\echo nothing is recorded of a table that is no source any more
DELETE FROM outbox.contract WHERE name = 'trig_item';
INSERT INTO item VALUES (14, 1);
SELECT * FROM gaps OFFSET 3;

DELETE FROM outbox.gap WHERE contract IN ('trig_item', 'trig_gone', 'renamed', 't');
DROP SCHEMA trig CASCADE;
DROP ROLE trig_owner;
