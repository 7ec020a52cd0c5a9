-- Dead letters are worked by a person: mended and redriven, or discarded with a reason.
SET client_min_messages = warning;
CREATE SCHEMA rd;
SET search_path = rd, public;
CREATE TABLE item (id int PRIMARY KEY, name text, qty int, tags text[]);
CREATE VIEW item_v AS SELECT id AS item_id, name, 100 / qty AS share, tags FROM item;
SELECT outbox.create_contract('rd_item', view => 'item_v', source => 'item', key => '{item_id}', required => '{name}');
SELECT outbox.create_event_type('RdCreated', contract => 'rd_item', emit => 'created');
SELECT outbox.create_event_type('RdShare', contract => 'rd_item', emit => 'changed', condition => 'new.share IS DISTINCT FROM old.share', previous => '{share,tags}');
SELECT outbox.create_event_type('RdChanged', contract => 'rd_item', emit => 'changed');
SELECT outbox.create_event_type('RdDeleted', contract => 'rd_item', emit => 'deleted');
SELECT outbox.add_check('RdDeleted', 'sold_out', 'share < 0');
SELECT outbox.enable('rd_item');
CREATE VIEW open AS SELECT row_number() OVER (ORDER BY id) AS n, event_type, emit, key, stage, sqlstate, message, hint, attempts, state, resolved_by IS NOT NULL AS resolved, resolution, last_failure, last_failure_hint
FROM outbox.dead_letter WHERE contract = 'rd_item';
CREATE VIEW events AS SELECT type, aggregateid, payload, headers FROM outbox.event_json WHERE contract = 'rd_item' ORDER BY seq;

INSERT INTO item VALUES (1, NULL, 10, NULL), (2, 'two', 0, NULL), (3, 'three', 5, '{a,"b c"}'), (4, 'four', 1, NULL);
UPDATE item SET qty = 0 WHERE id = 3;
DELETE FROM item WHERE id = 4;
SELECT * FROM open;
\echo nothing was mended: all stay, with one more attempt
SELECT outbox.redrive();
SELECT n, event_type, message, attempts, state FROM open;
\echo one is mended
ALTER TABLE item DISABLE TRIGGER "!outbox_rd_item";
UPDATE item SET name = 'one' WHERE id = 1;
SELECT outbox.redrive(contract => 'rd_item', max_rows => 1);
\echo the rest is mended, one row is gone
UPDATE item SET qty = 4 WHERE id = 3;
DELETE FROM item WHERE id = 2;
ALTER TABLE item ENABLE TRIGGER "!outbox_rd_item";
SELECT outbox.redrive(contract => 'nowhere');
SELECT outbox.redrive();
SELECT * FROM events;
SELECT * FROM open;
\echo the deleted row fails its check until the check is dropped
SELECT outbox.drop_check('RdDeleted', 'sold_out');
SELECT outbox.redrive();
SELECT type, payload, headers FROM events WHERE type = 'RdDeleted';
\echo discard what is not needed
SELECT outbox.discard((SELECT id FROM outbox.dead_letter WHERE contract = 'rd_item' AND state = 'open' ORDER BY id LIMIT 1), 'the row was a test');
SELECT n, state, attempts, resolved, resolution FROM open;
\echo mistakes
SELECT outbox.discard(-1, 'gone');
SELECT outbox.discard(NULL, 'x');
SELECT outbox.discard(1, '');
SELECT outbox.redrive(-1);
\echo a rolled-back redrive leaves the dead letter open
INSERT INTO item VALUES (9, NULL, 1, NULL);
UPDATE item SET name = 'nine' WHERE id = 9;
BEGIN;
SELECT outbox.redrive(contract => 'rd_item');
ROLLBACK;
SELECT state FROM open WHERE key ->> 'item_id' = '9';
SELECT outbox.redrive(contract => 'rd_item');
SELECT type, payload, headers FROM events WHERE aggregateid = '9';
\echo the event type or the contract is gone
INSERT INTO item VALUES (10, NULL, 1, NULL);
SELECT outbox.drop_event_type('RdCreated');
SELECT outbox.redrive();
SELECT outbox.drop_contract('rd_item');
SELECT outbox.redrive();
SELECT state, message, last_failure, last_failure_hint, attempts FROM open WHERE key ->> 'item_id' = '10';
DELETE FROM outbox.dead_letter_entry WHERE contract = 'rd_item';
DROP SCHEMA rd CASCADE;
