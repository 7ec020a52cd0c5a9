-- What a late key must not lose: its next attempt, and what it was to tell while others commit the key in time.
SET client_min_messages = warning;
CREATE SCHEMA rl;
SET search_path = rl, public;
CREATE TABLE ordr (no int PRIMARY KEY, status text, note text, parts int NOT NULL DEFAULT 1);
CREATE TABLE slow (status text PRIMARY KEY);
CREATE TABLE cust (no int PRIMARY KEY);
CREATE FUNCTION act(status text) RETURNS text STABLE LANGUAGE plpgsql AS $$
BEGIN
    WHILE EXISTS (SELECT FROM rl.slow s WHERE s.status = act.status) LOOP PERFORM clock_timestamp(); END LOOP;
    RETURN status;
END $$;
CREATE VIEW order_v AS SELECT o.no AS order_id, rl.act(o.status) AS status, o.note, 100 / o.parts AS share FROM ordr o LEFT JOIN cust c ON c.no = o.no;
SELECT outbox.create_contract('rl_order', view => 'order_v', source => 'ordr', key => '{order_id}');
SELECT outbox.create_event_type('RlPlaced', contract => 'rl_order', emit => 'created');
SELECT outbox.create_event_type('RlChanged', contract => 'rl_order', emit => 'changed', previous => '{status}');
SELECT outbox.create_event_type('RlShipped', contract => 'rl_order', emit => 'changed', condition => $$old.status <> 'S' AND new.status = 'S'$$);
SELECT outbox.create_event_type('RlDeleted', contract => 'rl_order', emit => 'deleted');
SELECT outbox.create_event_type('RlLost', contract => 'rl_order', emit => 'deleted', condition => $$old.status = 'N'$$);
SELECT outbox.enable('rl_order');
CREATE VIEW letters AS SELECT row_number() OVER (ORDER BY id) AS n, emit, key, before->>'status' AS before, attempts, state, resolution, last_failure
FROM outbox.dead_letter WHERE contract LIKE 'rl_%';
CREATE VIEW events AS SELECT type, aggregateid AS id, payload->>'status' AS status, payload->>'previous_status' AS previous, payload->>'note' AS note, headers
FROM outbox.event_json WHERE contract LIKE 'rl_%' ORDER BY seq;
-- runs a command that is late because rows of the status are slow to read
CREATE PROCEDURE late(status text, command text) LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO rl.slow VALUES (status);
    COMMIT;
    SET LOCAL outbox.flush_timeout = '50ms';
    EXECUTE command;
    COMMIT;
    DELETE FROM rl.slow;
END $$;

\echo somebody ships the order and is late, another one notes something in time
INSERT INTO ordr VALUES (1, 'N', '');
CALL late('S', $$UPDATE ordr SET status = 'S' WHERE no = 1$$);
UPDATE ordr SET note = 'x' WHERE no = 1;
SELECT * FROM letters;
SELECT outbox_internal.redrive_late();
SELECT * FROM events WHERE id = '1';

\echo somebody places an order and is late, another one notes something in time
CALL late('S', $$INSERT INTO ordr VALUES (2, 'S', '')$$);
UPDATE ordr SET note = 'x' WHERE no = 2;
SELECT outbox_internal.redrive_late();
SELECT * FROM events WHERE id = '2';

\echo it comes back in time: nothing has happened on the whole way, and the state is told once
INSERT INTO ordr VALUES (3, 'N', '');
CALL late('S', $$UPDATE ordr SET status = 'S' WHERE no = 3$$);
UPDATE ordr SET status = 'N' WHERE no = 3;
SELECT outbox_internal.redrive_late();
SELECT * FROM events WHERE id = '3';

\echo it is deleted in time: what a deleted row had when it was told last counts, too
INSERT INTO ordr VALUES (4, 'N', '');
CALL late('S', $$UPDATE ordr SET status = 'S' WHERE no = 4$$);
DELETE FROM ordr WHERE no = 4;
SELECT outbox_internal.redrive_late();
SELECT * FROM events WHERE id = '4';

\echo it is created late and deleted in time: there was nothing
CALL late('S', $$INSERT INTO ordr VALUES (5, 'S', '')$$);
DELETE FROM ordr WHERE no = 5;
SELECT outbox_internal.redrive_late();
SELECT * FROM events WHERE id = '5';
SELECT n, state, resolution, last_failure FROM letters;

\echo an attempt that fails is not the last one, however many there were: an hour later comes the next
INSERT INTO ordr VALUES (6, 'N', '');
CALL late('S', $$UPDATE ordr SET status = 'S', parts = 2 WHERE no = 6$$);
ALTER TABLE ordr DISABLE TRIGGER USER;
UPDATE ordr SET parts = 0 WHERE no = 6;
ALTER TABLE ordr ENABLE TRIGGER USER;
SELECT outbox_internal.redrive_late();
SELECT outbox_internal.redrive_late() AS too_early;
SELECT n, attempts, state, last_failure FROM letters WHERE state = 'open';
UPDATE outbox_internal.dead_letter_entry SET attempts = 1000, created_at = now() - interval '1 year', tried_at = now() - interval '59 min' WHERE contract = 'rl_order' AND state = 'open';
SELECT outbox_internal.redrive_late() AS too_early;
UPDATE outbox_internal.dead_letter_entry SET tried_at = now() - interval '61 min' WHERE contract = 'rl_order' AND state = 'open';
SELECT outbox_internal.redrive_late();
SELECT n, attempts, state, last_failure FROM letters WHERE state = 'open';
ALTER TABLE ordr DISABLE TRIGGER USER;
UPDATE ordr SET parts = 1 WHERE no = 6;
ALTER TABLE ordr ENABLE TRIGGER USER;
UPDATE outbox_internal.dead_letter_entry SET tried_at = now() - interval '61 min' WHERE contract = 'rl_order' AND state = 'open';
SELECT outbox_internal.redrive_late();
SELECT * FROM events WHERE id = '6';

\echo a row that is gone, and could not be read any more, is found in the outbox by its key, also when that is computed from columns of the source
CREATE TABLE item (no text, kind int, status text NOT NULL, UNIQUE (no, kind));
CREATE VIEW item_v AS SELECT kind * 2 AS double, upper(lower(i.no)) || '-' || kind AS item_id, rl.act(status) AS status FROM item i LEFT JOIN cust c ON c.no = i.kind;
ALTER TABLE item ALTER no SET NOT NULL, ALTER kind SET NOT NULL;
SELECT outbox.create_contract('rl_item', view => 'item_v', source => 'item', key => '{item_id,double}');
SELECT outbox.create_event_type('RlItem', contract => 'rl_item', emit => 'created');
SELECT outbox.create_event_type('RlItemGone', contract => 'rl_item', emit => 'deleted');
SELECT outbox.enable('rl_item');
INSERT INTO item VALUES ('a', 1, 'N'), ('b', 1, 'N'), ('a', 2, 'N');
CALL late('N', $$DELETE FROM item WHERE no = 'a' AND kind = 1$$);
SELECT key, before, state FROM outbox.dead_letter WHERE contract = 'rl_item';
SELECT outbox_internal.redrive_late();
SELECT type, aggregateid, payload, headers FROM outbox.event_json WHERE contract = 'rl_item' ORDER BY seq;

\echo a late key change, and another one in time: the first key is told as gone, unless others have told of it since
CREATE TABLE art (id int PRIMARY KEY, code text NOT NULL UNIQUE, status text NOT NULL DEFAULT 'N');
CREATE VIEW art_v AS SELECT code, a.id, rl.act(status) AS status FROM art a LEFT JOIN cust c ON c.no = a.id;
SELECT outbox.create_contract('rl_art', view => 'art_v', source => 'art', key => '{code}');
SELECT outbox.create_event_type('RlArt', contract => 'rl_art', emit => 'always');
SELECT outbox.create_event_type('RlArtGone', contract => 'rl_art', emit => 'deleted', tombstone => 'after');
SELECT outbox.enable('rl_art');
INSERT INTO art VALUES (1, 'A'), (2, 'X');
SELECT coalesce(max(seq), 0) AS seq FROM outbox.event \gset
CALL late('S', $$UPDATE art SET code = 'B', status = 'S' WHERE id = 1$$);
UPDATE art SET code = 'C' WHERE id = 1;
CALL late('S', $$UPDATE art SET code = 'Y', status = 'S' WHERE id = 2$$);
UPDATE art SET code = 'Z' WHERE id = 2;
INSERT INTO art VALUES (3, 'X');
SELECT key, before, state FROM outbox.dead_letter WHERE contract = 'rl_art' ORDER BY id;
SELECT outbox_internal.redrive_late();
SELECT type, aggregateid, payload, headers FROM outbox.event_json WHERE contract = 'rl_art' AND seq > :seq ORDER BY seq;

SELECT outbox.drop_contract(name) FROM outbox.contract WHERE name LIKE 'rl_%';
DROP SCHEMA rl CASCADE;
