-- A contract that joins, and rows, functions and commits that are in trouble: the write goes through, nothing is lost.
SET client_min_messages = warning;
CREATE SCHEMA tb;
SET search_path = tb, public;
CREATE TABLE ordr (no int PRIMARY KEY, parts int NOT NULL DEFAULT 1, mode text NOT NULL DEFAULT '');
CREATE TABLE ln (no int, n int, qty int, PRIMARY KEY (no, n));
CREATE TABLE note (t text);
-- what the view's function does depends on the row
CREATE FUNCTION write() RETURNS void VOLATILE LANGUAGE plpgsql AS $$ BEGIN INSERT INTO tb.note VALUES ('orphan'); END $$;
CREATE FUNCTION act(mode text) RETURNS text STABLE LANGUAGE plpgsql AS $$
BEGIN
    IF mode = 'raise' THEN RAISE EXCEPTION 'the function says no';
    ELSIF mode = 'write' THEN PERFORM tb.write();
    ELSIF mode = 'temp' THEN EXECUTE 'SELECT count(*) FROM pg_temp.secret';
    ELSIF mode = 'notify' THEN PERFORM pg_notify('tb', 'x');
    ELSIF mode = 'setting' THEN PERFORM set_config('tb.left', 'behind', false);
    ELSIF mode = 'notice' THEN RAISE WARNING 'old drivers take this for an error';
    ELSIF mode = 'sleep' THEN LOOP PERFORM clock_timestamp(); END LOOP;
    ELSIF mode = 'deep' THEN PERFORM tb.act(mode);
    ELSIF mode = 'who' THEN RETURN current_user;
    END IF;
    RETURN mode;
END $$;
CREATE VIEW order_v AS
SELECT o.no AS order_id, 100 / o.parts AS share, tb.act(o.mode) AS mode, coalesce(l.total, 0) AS total, l.twice
FROM ordr o LEFT JOIN LATERAL (
    SELECT sum(qty)::bigint AS total, (SELECT x.qty FROM ln x WHERE x.no = o.no AND x.n < 3) AS twice FROM ln WHERE ln.no = o.no) l ON true;
SELECT outbox.create_contract('tb_order', view => 'order_v', source => 'ordr', key => '{order_id}');
SELECT outbox.add_source('tb_order', 'ln', key_query => 'row.no');
SELECT outbox.create_event_type('TbPlaced', contract => 'tb_order', emit => 'created');
SELECT outbox.create_event_type('TbChanged', contract => 'tb_order', emit => 'changed', previous => '{total}');
SELECT outbox.create_event_type('TbDeleted', contract => 'tb_order', emit => 'deleted');
SELECT outbox.enable('tb_order');
CREATE TABLE looked AS SELECT coalesce((SELECT max(seq) FROM outbox.event), 0) AS seq, coalesce((SELECT max(id) FROM outbox.dead_letter), 0) AS id;
CREATE VIEW events AS SELECT type, aggregateid AS id, payload->>'share' AS share, payload->>'total' AS total, payload->>'previous_total' AS former,
    concat_ws(' ', headers->>'late', headers->>'redriven') AS marks
FROM outbox.event_json WHERE contract = 'tb_order' AND seq > (SELECT seq FROM looked) ORDER BY seq;
CREATE VIEW letters AS SELECT emit, event_type AS type, stage, sqlstate, key, source_columns AS lookup, before->>'total' AS before, message, state, last_failure
FROM outbox.dead_letter WHERE contract = 'tb_order' AND id > (SELECT id FROM looked) ORDER BY id;
CREATE PROCEDURE look() LANGUAGE sql AS $$
    UPDATE looked SET seq = (SELECT max(seq) FROM outbox.event), id = coalesce((SELECT max(id) FROM outbox.dead_letter), 0) $$;

\echo one bad order among many: a dead letter, the others are events
INSERT INTO ordr SELECT i, CASE WHEN i = 700 THEN 0 ELSE i END FROM generate_series(1, 1100) i;
SELECT count(*), min(id::int), max(id::int) FROM events;
SELECT * FROM letters;
CALL look();
\echo repaired: changed, and no second dead letter for what it was before
UPDATE ordr SET parts = 7 WHERE no = 700;
SELECT * FROM events;
SELECT * FROM letters;
\echo redriven it is what it is now
SELECT outbox.redrive(contract => 'tb_order');
SELECT * FROM events;
CALL look();
\echo bad, and deleted while bad: its last row is not known
UPDATE ordr SET parts = 0 WHERE no = 5;
DELETE FROM ordr WHERE no = 5;
SELECT * FROM letters;
SELECT outbox.redrive(contract => 'tb_order');
SELECT state, sqlstate, message, last_failure FROM letters;
SELECT count(outbox.discard(id, 'test')) FROM outbox.dead_letter WHERE contract = 'tb_order' AND state = 'open';
CALL look();
\echo two rows where one is expected: a subquery, a dead letter
INSERT INTO ln VALUES (6, 1, 1), (6, 2, 2), (7, 1, 1);
SELECT * FROM events;
SELECT * FROM letters;
CALL look();

\echo functions behind the view: what they must not do concerns their key alone, and leaves nothing
CREATE TEMP TABLE secret (t text);
BEGIN;
UPDATE ordr SET mode = 'raise' WHERE no = 10;
UPDATE ordr SET mode = 'write' WHERE no = 11;
UPDATE ordr SET mode = 'temp' WHERE no = 12;
UPDATE ordr SET mode = 'deep' WHERE no = 13;
UPDATE ln SET qty = qty + 1 WHERE no = 7;
COMMIT;
SELECT emit, stage, sqlstate, lookup, before, message, state FROM letters;
SELECT * FROM events;
SELECT count(*) AS orphans FROM note;
SELECT count(outbox.discard(id, 'test')) FROM outbox.dead_letter WHERE contract = 'tb_order' AND state = 'open';
CALL look();
LISTEN tb;
UPDATE ordr SET mode = 'notify' WHERE no = 14;
UPDATE ordr SET mode = 'setting' WHERE no = 15;
SET client_min_messages = debug1;
UPDATE ordr SET mode = 'notice' WHERE no = 16;
SET client_min_messages = warning;
UNLISTEN tb;
SELECT current_setting('tb.left', true) AS left_behind;
SELECT * FROM events;
SELECT * FROM letters;
\echo it runs as the owner, whoever writes
CREATE ROLE tb_writer;
GRANT USAGE ON SCHEMA tb TO tb_writer;
GRANT SELECT, UPDATE ON ordr TO tb_writer;
SET ROLE tb_writer;
UPDATE ordr SET mode = 'who' WHERE no = 17;
RESET ROLE;
SELECT payload->>'mode' = session_user AS owner FROM outbox.event_json WHERE contract = 'tb_order' ORDER BY seq DESC LIMIT 1;
CALL look();

\echo a commit does not wait for a slow view
SET outbox.flush_timeout = '50ms';
BEGIN;
UPDATE ordr SET mode = 'sleep' WHERE no = 20;
UPDATE ln SET qty = 5 WHERE no = 7;
INSERT INTO ordr VALUES (2001, 1, 'sleep');
COMMIT;
SELECT * FROM events;
SELECT emit, stage, sqlstate, key, lookup, before, message FROM letters;
\echo the timer is over, and took no later statement along
SELECT count(*) FROM generate_series(1, 1000000);
\echo late: a person can ask for it, too. Slow as it is it stays
SELECT outbox.redrive(contract => 'tb_order', max_rows => 1);
SELECT sqlstate, message, last_failure, state FROM letters LIMIT 1;
SELECT outbox.discard(min(id), 'test') FROM outbox.dead_letter WHERE contract = 'tb_order' AND state = 'open';
RESET outbox.flush_timeout;
ALTER TABLE ordr DISABLE TRIGGER USER;
UPDATE ordr SET mode = 'awake' WHERE mode = 'sleep';
ALTER TABLE ordr ENABLE TRIGGER USER;
SELECT outbox.redrive(contract => 'tb_order');
SELECT * FROM events;
SELECT emit, type, stage, lookup, before, state, message FROM letters;
CALL look();
\echo what the relay does: its events are late, not redriven
SET outbox.flush_timeout = '50ms';
BEGIN;
INSERT INTO ordr VALUES (2002, 1, 'sleep');
UPDATE ordr SET mode = 'sleep' WHERE no = 22;
COMMIT;
ALTER TABLE ordr DISABLE TRIGGER USER;
UPDATE ordr SET mode = 'awake' WHERE mode = 'sleep';
ALTER TABLE ordr ENABLE TRIGGER USER;
RESET outbox.flush_timeout;
SELECT emit, stage, lookup, before FROM letters;
-- the outbox is read for some 50 ms at a time
SELECT sum(outbox_internal.redrive_late()) >= 2 AS taken_up FROM generate_series(1, 100);
SELECT * FROM events;
SELECT emit, type, stage, lookup, state, message FROM letters;
CALL look();

\echo the row after fails only in a dead letter of one event type: checks, conditions, required fields
SELECT outbox.add_check('TbChanged', 'small', 'total < 1000');
UPDATE ln SET qty = 5000 WHERE no = 7;
SELECT emit, type, stage, sqlstate, key, lookup, before, message FROM letters;
UPDATE ln SET qty = 50 WHERE no = 7;
SELECT outbox.redrive(contract => 'tb_order', max_rows => 1);
SELECT * FROM events;

\echo what cannot be mapped, or is late, fails the transaction of a strict contract
CREATE VIEW strict_v AS SELECT * FROM order_v;
SELECT outbox.create_contract('tb_strict', view => 'strict_v', source => 'ordr', key => '{order_id}', on_invalid => 'abort');
SELECT outbox.create_event_type('TbStrict', contract => 'tb_strict', emit => 'changed');
SELECT outbox.enable('tb_strict');
SELECT outbox.disable('tb_order');
BEGIN;
UPDATE ordr SET parts = 0 WHERE no = 30;
COMMIT;
SET outbox.flush_timeout = '50ms';
BEGIN;
UPDATE ordr SET mode = 'sleep' WHERE no = 30;
COMMIT;
RESET outbox.flush_timeout;
SELECT * FROM ordr WHERE no = 30;
SELECT outbox.drop_contract('tb_strict');
SELECT outbox.drop_contract('tb_order');

\echo a contract whose view shows two rows for a key
CREATE TABLE twin (no int PRIMARY KEY, other int);
CREATE VIEW twin_v AS SELECT a.no AS id, b.other FROM twin a LEFT JOIN twin b ON b.no = a.no;
SELECT outbox.create_contract('tb_twin', view => 'twin_v', source => 'twin', key => '{id}');
SELECT outbox.create_event_type('TbTwin', contract => 'tb_twin', emit => 'created');
SELECT outbox.enable('tb_twin');
CREATE TABLE pair (no int, other int);
CREATE INDEX ON pair (no);
CREATE OR REPLACE VIEW twin_v AS SELECT a.no AS id, b.other FROM twin a LEFT JOIN pair b ON b.no = a.no;
INSERT INTO pair VALUES (1, 1), (1, 2), (2, 1);
INSERT INTO twin VALUES (1), (2);
SELECT aggregateid, payload FROM outbox.event_json WHERE contract = 'tb_twin';
SELECT stage, sqlstate, key, message, hint FROM outbox.dead_letter WHERE contract = 'tb_twin';
SELECT outbox.drop_contract('tb_twin');
DROP SCHEMA tb CASCADE;
DROP ROLE tb_writer;
