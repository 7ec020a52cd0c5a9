-- Another library changes sources in a pre-commit callback that runs after our flush, which needs test functions: its events are not lost.
SET client_min_messages = warning;
CREATE SCHEMA st;
SET search_path = st, public;
CREATE FUNCTION execute_late(command text) RETURNS void LANGUAGE c AS 'outbox_ext', 'outbox_test_execute_late';
CREATE TABLE ordr (no int PRIMARY KEY, st text);
CREATE TABLE ln (no int, n int, qty int, PRIMARY KEY (no, n));
CREATE VIEW order_v AS SELECT o.no AS order_id, o.st AS status, (SELECT sum(qty) FROM ln WHERE ln.no = o.no) AS total FROM ordr o;
SELECT outbox.create_contract('st_order', view => 'order_v', source => 'ordr', key => '{order_id}');
SELECT outbox.add_source('st_order', 'ln', key_query => 'row.no');
SELECT outbox.create_event_type('StPlaced', contract => 'st_order', emit => 'created');
SELECT outbox.create_event_type('StChanged', contract => 'st_order', emit => 'changed', previous => '{total}');
SELECT outbox.enable('st_order');
CREATE VIEW events AS SELECT type, aggregateid AS id, payload->>'status' AS status, payload->>'total' AS total, payload->>'previous_total' AS former
FROM outbox.event_json WHERE contract = 'st_order' ORDER BY seq;
INSERT INTO ordr VALUES (1, 'a'), (2, 'b');
INSERT INTO ln VALUES (1, 1, 1), (2, 1, 1);
\echo a statement over several rows is one event per order, after those of the transaction
BEGIN;
UPDATE ln SET qty = 2 WHERE no = 1;
SELECT execute_late('UPDATE ln SET qty = qty + 10');
COMMIT;
\echo without anything before it; with a trigger of the application that changes more
CREATE FUNCTION more() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE ordr SET st = st || '+' WHERE no = NEW.no; RETURN NULL; END $$;
CREATE TRIGGER more AFTER UPDATE ON ln FOR EACH ROW EXECUTE FUNCTION more();
SELECT execute_late('UPDATE ln SET qty = 50 WHERE no = 2');
\echo a statement that fires no executor
SELECT execute_late($$COPY ln FROM PROGRAM 'printf "1\t2\t5\n2\t2\t5\n"'$$);
SELECT execute_late('INSERT INTO ordr VALUES (3, ''c''); INSERT INTO ln VALUES (3, 1, 1)');
SELECT execute_late('DO $d$ BEGIN UPDATE ln SET qty = 7 WHERE no = 3; BEGIN UPDATE ln SET qty = 8 WHERE no = 3; RAISE ''no''; EXCEPTION WHEN raise_exception THEN NULL; END; END $d$');
SELECT * FROM events;
SELECT count(*) FROM outbox.dead_letter WHERE contract = 'st_order';
SELECT outbox.drop_contract('st_order');
DROP SCHEMA st CASCADE;
