-- What a redrive must not do: need a person for what is late, double, publish a row as gone that is there, stop at what fails.
SET client_min_messages = warning;
CREATE SCHEMA re;
SET search_path = re, public;
CREATE TABLE ordr (no int PRIMARY KEY, name text, parts int NOT NULL DEFAULT 1);
CREATE TABLE cust (no int PRIMARY KEY);
CREATE FUNCTION act(name text) RETURNS text STABLE LANGUAGE plpgsql AS $$
BEGIN
    IF name = 'sleep' THEN LOOP PERFORM clock_timestamp(); END LOOP; END IF;
    RETURN nullif(name, 'null');
END $$;
CREATE VIEW order_v AS SELECT o.no AS order_id, re.act(o.name) AS name, 100 / o.parts AS share FROM ordr o LEFT JOIN cust c ON c.no = o.no;
SELECT outbox.create_contract('re_order', view => 'order_v', source => 'ordr', key => '{order_id}', required => '{name}');
SELECT outbox.create_event_type('RePlaced', contract => 're_order', emit => 'created');
SELECT outbox.create_event_type('ReChanged', contract => 're_order', emit => 'changed');
SELECT outbox.create_event_type('ReDeleted', contract => 're_order', emit => 'deleted');
SELECT outbox.create_event_type('ReTouched', contract => 're_order', emit => 'always');
SELECT outbox.enable('re_order');
CREATE VIEW letters AS SELECT row_number() OVER (ORDER BY id) AS n, event_type, emit, stage, source_columns AS lookup, message, attempts, state, resolution, last_failure
FROM outbox.dead_letter WHERE contract LIKE 're_%';
CREATE VIEW events AS SELECT type, aggregateid AS id, payload->>'name' AS name, headers FROM outbox.event_json WHERE contract LIKE 're_%' ORDER BY seq;

\echo a key whose row before nobody knows, neither the letter nor the outbox: the row counts as changed
ALTER TABLE ordr DISABLE TRIGGER USER;
INSERT INTO ordr VALUES (1, 'sleep'), (2, 'sleep'), (3, 'three'), (4, 'four');
ALTER TABLE ordr ENABLE TRIGGER USER;
SET outbox.flush_timeout = '50ms';
UPDATE ordr SET parts = 2 WHERE no = 1;
UPDATE ordr SET parts = 2 WHERE no = 2;
RESET outbox.flush_timeout;
ALTER TABLE ordr DISABLE TRIGGER USER;
UPDATE ordr SET name = 'null' WHERE no = 1;
UPDATE ordr SET name = 'awake' WHERE no = 2;
ALTER TABLE ordr ENABLE TRIGGER USER;
SELECT n, event_type, emit, stage, lookup FROM letters;
\echo when it fails, it is tried again
SELECT outbox.redrive(contract => 're_order', max_rows => 1);
SELECT outbox.redrive((SELECT min(id) FROM outbox.dead_letter WHERE contract = 're_order' AND state = 'open'));
SELECT n, event_type, lookup, message, last_failure, attempts, state FROM letters;
ALTER TABLE ordr DISABLE TRIGGER USER;
UPDATE ordr SET name = 'one' WHERE no = 1;
ALTER TABLE ordr ENABLE TRIGGER USER;
SELECT outbox.redrive(contract => 're_order');
SELECT n, event_type, lookup, message, attempts, state, resolution FROM letters;
SELECT * FROM events;
\echo nothing is left to a person
SELECT outbox.redrive(), outbox.redrive(contract => 're_order');

\echo but of a row that is gone, and of which nobody knows what it was
ALTER TABLE ordr DISABLE TRIGGER USER;
INSERT INTO ordr VALUES (6, 'sleep');
ALTER TABLE ordr ENABLE TRIGGER USER;
SET outbox.flush_timeout = '50ms';
UPDATE ordr SET parts = 2 WHERE no = 6;
RESET outbox.flush_timeout;
ALTER TABLE ordr DISABLE TRIGGER USER;
DELETE FROM ordr WHERE no = 6;
ALTER TABLE ordr ENABLE TRIGGER USER;
SELECT outbox.redrive(contract => 're_order');
SELECT source_columns, last_failure, last_failure_hint, state FROM outbox.dead_letter WHERE contract = 're_order' AND state = 'open';
SELECT count(outbox.discard(id, 'test')) FROM outbox.dead_letter WHERE contract = 're_order' AND state = 'open';

\echo an event that is not wanted of the row as it is now: resolved, and it says so
CREATE TABLE item (id int PRIMARY KEY, name text, stat text);
CREATE VIEW item_v AS SELECT id AS item_id, name, stat FROM item;
SELECT outbox.create_contract('re_item', view => 'item_v', source => 'item', key => '{item_id}', required => '{name}');
SELECT outbox.create_event_type('ReShipped', contract => 're_item', emit => 'changed', condition => $$new.stat = 'S'$$);
SELECT outbox.create_event_type('ReGone', contract => 're_item', emit => 'deleted');
SELECT outbox.add_check('ReGone', 'empty', 'stat IS NULL');
SELECT outbox.enable('re_item');
INSERT INTO item SELECT i, 'item', 'P' FROM generate_series(1, 9) i;
UPDATE item SET name = NULL, stat = 'S' WHERE id = 1;
UPDATE item SET name = 'mended', stat = 'P' WHERE id = 1;
SELECT outbox.redrive(contract => 're_item');
SELECT event_type, state, resolution FROM letters ORDER BY n DESC LIMIT 1;

\echo a row that is there again is not published as deleted
DELETE FROM item WHERE id IN (2, 3);
SELECT outbox.drop_check('ReGone', 'empty');
INSERT INTO item VALUES (2, 'again', 'P');
SELECT outbox.redrive(contract => 're_item');
SELECT event_type, lookup->'id' AS id, message, last_failure, state FROM letters WHERE event_type = 'ReGone' ORDER BY n;
SELECT type, id FROM events WHERE type = 'ReGone';
SELECT count(outbox.discard(id, 'test')) FROM outbox.dead_letter WHERE contract = 're_item' AND state = 'open';
\echo nor of a contract evaluated at commit
SELECT outbox.add_check('ReDeleted', 'never', 'share < 0');
DELETE FROM ordr WHERE no IN (3, 4);
INSERT INTO ordr VALUES (3, 'again');
SELECT outbox.drop_check('ReDeleted', 'never');
SELECT outbox.redrive(contract => 're_order');
SELECT event_type, lookup, message, last_failure, state FROM letters WHERE event_type = 'ReDeleted' ORDER BY n;
SELECT type, id FROM events WHERE type = 'ReDeleted';
SELECT count(outbox.discard(id, 'test')) FROM outbox.dead_letter WHERE contract = 're_order' AND state = 'open';

\echo what fails again and again lets others have their turn
UPDATE item SET name = NULL, stat = 'S' WHERE id > 3;
ALTER TABLE item DISABLE TRIGGER USER;
UPDATE item SET name = 'nine' WHERE id = 9;
ALTER TABLE item ENABLE TRIGGER USER;
SELECT outbox.redrive(contract => 're_item', max_rows => 3);
SELECT outbox.redrive(contract => 're_item', max_rows => 3);
SELECT id, name FROM events WHERE type = 'ReShipped';
SELECT count(outbox.discard(id, 'test')) FROM outbox.dead_letter WHERE contract = 're_item' AND state = 'open';

\echo the row is locked with no more rights than to read it
CREATE ROLE re_owner;
CREATE TABLE part (id int, name text, PRIMARY KEY (id)) PARTITION BY RANGE (id);
CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (1) TO (100);
CREATE VIEW inner_v AS SELECT id, name FROM part;
GRANT USAGE ON SCHEMA re TO re_owner;
GRANT SELECT (id, name), TRIGGER ON part TO re_owner;
GRANT SELECT ON inner_v TO re_owner;
CREATE VIEW part_v AS SELECT id, name FROM inner_v WHERE id > 0;
ALTER VIEW inner_v OWNER TO re_owner;
ALTER VIEW part_v OWNER TO re_owner;
SELECT outbox.create_contract('re_part', view => 'part_v', source => 'part', key => '{id}', required => '{name}');
SELECT outbox.create_event_type('RePart', contract => 're_part', emit => 'created');
SELECT outbox.enable('re_part');
INSERT INTO part VALUES (1, NULL);
ALTER TABLE part DISABLE TRIGGER USER;
UPDATE part SET name = 'mended';
ALTER TABLE part ENABLE TRIGGER USER;
BEGIN;
SELECT outbox.redrive(contract => 're_part');
SELECT xmax <> 0 AS locked FROM part;
COMMIT;
SELECT id, name FROM events WHERE type = 'RePart';

\echo a limit that lets nothing through is a mistake
SELECT outbox.redrive(max_rows => -1);
SELECT outbox.redrive(contract => 're_part', max_rows => 0);
SELECT outbox_internal.redrive_late(-5);
SELECT outbox_internal.redrive_late(0);

SELECT outbox.drop_contract(name) FROM (VALUES ('re_part'), ('re_item'), ('re_order')) c (name);
DELETE FROM outbox.dead_letter_entry WHERE contract LIKE 're_%';
DROP SCHEMA re CASCADE;
DROP ROLE re_owner;
