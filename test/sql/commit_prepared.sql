-- Prepared transactions read when they are prepared and give the aggregate back; needs preloading (max_prepared_transactions > 0).
SET client_min_messages = warning;
CREATE SCHEMA cp;
SET search_path = cp, public;
CREATE TABLE ordr (no int PRIMARY KEY);
CREATE TABLE ln (no int, n int, qty int, PRIMARY KEY (no, n));
CREATE VIEW order_v AS SELECT o.no AS order_id, (SELECT sum(qty) FROM ln WHERE ln.no = o.no) AS total FROM ordr o;
SELECT outbox.create_contract('cp_order', view => 'order_v', source => 'ordr', key => '{order_id}');
SELECT outbox.add_source('cp_order', 'ln', key_query => 'row.no');
SELECT outbox.create_event_type('CpPlaced', contract => 'cp_order', emit => 'created');
SELECT outbox.create_event_type('CpChanged', contract => 'cp_order', emit => 'changed', previous => '{total}');
SELECT outbox.enable('cp_order');
CREATE VIEW events AS SELECT type, aggregateid AS id, payload->>'total' AS total, payload->>'previous_total' AS former
FROM outbox.event_json WHERE contract = 'cp_order' ORDER BY seq;
BEGIN;
INSERT INTO ordr VALUES (1), (2);
INSERT INTO ln VALUES (1, 1, 1), (1, 2, 1);
PREPARE TRANSACTION 'cp1';
SELECT * FROM events;
COMMIT PREPARED 'cp1';
SELECT * FROM events;
\echo while one is prepared, the order is not locked, and nothing is late
BEGIN;
UPDATE ln SET qty = 10 WHERE n = 1;
SAVEPOINT a;
INSERT INTO ln VALUES (2, 1, 1);
ROLLBACK TO a;
PREPARE TRANSACTION 'cp2';
SELECT count(*) FROM outbox.commit_queue();
UPDATE ln SET qty = 20 WHERE n = 2;
BEGIN;
DELETE FROM ln WHERE n = 2;
PREPARE TRANSACTION 'cp3';
ROLLBACK PREPARED 'cp3';
COMMIT PREPARED 'cp2';
SELECT * FROM events;
SELECT count(*) FROM outbox.dead_letter WHERE contract = 'cp_order';
\echo many keys: groups of them are given back, too
INSERT INTO ordr SELECT generate_series(10, 1000);
BEGIN;
INSERT INTO ln SELECT no, 9, 9 FROM ordr WHERE no >= 10;
SELECT count(*) FROM outbox.commit_queue();
PREPARE TRANSACTION 'cp4';
SELECT count(*) FROM outbox.commit_queue();
COMMIT PREPARED 'cp4';
SELECT type, count(*), count(DISTINCT id) FROM events GROUP BY type;
SELECT outbox.drop_contract('cp_order');
DROP SCHEMA cp CASCADE;
