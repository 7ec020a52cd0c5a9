-- Tables that the transaction rewrites: what they held before is unknown, a gap says so, and nothing is reported as created that was there.
SET client_min_messages = warning;
CREATE SCHEMA rw;
SET search_path = rw, public;
CREATE TABLE ordr (no int PRIMARY KEY, st text);
CREATE TABLE ln (no int, n int, qty int, PRIMARY KEY (no, n));
CREATE VIEW order_v AS
SELECT o.no AS order_id, o.st AS status, coalesce(l.total, 0) AS total
FROM ordr o LEFT JOIN LATERAL (SELECT sum(qty)::bigint AS total FROM ln WHERE ln.no = o.no) l ON true;
SELECT outbox.create_contract('rw_order', view => 'order_v', source => 'ordr', key => '{order_id}');
SELECT outbox.add_source('rw_order', 'ln', key_query => 'row.no');
SELECT outbox.create_event_type('RwPlaced', contract => 'rw_order', emit => 'created');
SELECT outbox.create_event_type('RwChanged', contract => 'rw_order', emit => 'changed', previous => '{total}');
SELECT outbox.create_event_type('RwDeleted', contract => 'rw_order', emit => 'deleted');
SELECT outbox.enable('rw_order');
CREATE TABLE looked AS SELECT coalesce((SELECT max(seq) FROM outbox.event), 0) AS seq, coalesce((SELECT max(id) FROM outbox.gap), 0) AS id;
CREATE VIEW events AS SELECT type, aggregateid AS id, payload->>'total' AS total, payload->>'previous_total' AS former
FROM outbox.event_json WHERE contract = 'rw_order' AND seq > (SELECT seq FROM looked) ORDER BY seq;
CREATE VIEW gaps AS SELECT source, reason FROM outbox.gap WHERE contract = 'rw_order' AND id > (SELECT id FROM looked) ORDER BY id;
CREATE PROCEDURE look() LANGUAGE sql AS $$
    UPDATE looked SET seq = (SELECT max(seq) FROM outbox.event), id = coalesce((SELECT max(id) FROM outbox.gap), 0) $$;
INSERT INTO ordr VALUES (1, 'a'), (2, 'b');
INSERT INTO ln VALUES (1, 1, 5), (2, 1, 6);
CALL look();

\echo TRUNCATE and loaded again: not created, not what the frozen rows pretend
BEGIN;
TRUNCATE ln;
COPY ln FROM stdin WITH (FREEZE);
1	1	50
2	1	6
\.
COMMIT;
SELECT * FROM events;
SELECT * FROM gaps;
CALL look();
BEGIN;
TRUNCATE ordr, ln;
INSERT INTO ordr VALUES (1, 'again'), (3, 'new');
COMMIT;
SELECT * FROM events;
SELECT * FROM gaps;
CALL look();
\echo rewritten by ALTER TABLE
BEGIN;
ALTER TABLE ln SET UNLOGGED;
INSERT INTO ln VALUES (1, 2, 7);
COMMIT;
SELECT * FROM events;
SELECT * FROM gaps;
CALL look();
ALTER TABLE ln SET LOGGED;
BEGIN;
ALTER TABLE ln ADD COLUMN r float8 DEFAULT random();
UPDATE ln SET qty = 8 WHERE no = 1;
COMMIT;
SELECT * FROM events;
SELECT * FROM gaps;
CALL look();
\echo rewritten by CLUSTER, which keeps the rows but looks like the others
BEGIN;
CLUSTER ln USING ln_pkey;
UPDATE ln SET qty = 11 WHERE no = 1;
COMMIT;
SELECT * FROM events;
SELECT * FROM gaps;
CALL look();
\echo in a transaction of its own it is nothing
CLUSTER ln;
UPDATE ln SET qty = 12 WHERE no = 1;
SELECT * FROM events;
SELECT * FROM gaps;
CALL look();
\echo rolled back, the rewrite is none
BEGIN;
SAVEPOINT a;
ALTER TABLE ln SET UNLOGGED;
ROLLBACK TO a;
UPDATE ln SET qty = 9 WHERE no = 1;
COMMIT;
SELECT * FROM events;
SELECT * FROM gaps;
CALL look();
\echo what keeps the rows where they are is none either
BEGIN;
CREATE INDEX ON ln (qty);
REINDEX TABLE ln;
ALTER TABLE ln ADD COLUMN plain int DEFAULT 7;
UPDATE ln SET qty = 10 WHERE no = 1;
COMMIT;
SELECT * FROM events;
SELECT * FROM gaps;
CALL look();
\echo a table made in the transaction whose rows are frozen
BEGIN;
CREATE TABLE extra (no int PRIMARY KEY, v int);
COPY extra FROM stdin WITH (FREEZE);
1	3
\.
CREATE OR REPLACE VIEW order_v AS
SELECT o.no AS order_id, o.st AS status, coalesce(l.total, 0) + coalesce(e.v, 0) AS total
FROM ordr o LEFT JOIN LATERAL (SELECT sum(qty)::bigint AS total FROM ln WHERE ln.no = o.no) l ON true
LEFT JOIN extra e ON e.no = o.no;
UPDATE ordr SET st = 'extra';
INSERT INTO ordr VALUES (4, 'new');
COMMIT;
SELECT * FROM events;
SELECT * FROM gaps;
SELECT count(*) FROM outbox.dead_letter WHERE contract = 'rw_order';
SELECT outbox.drop_contract('rw_order');
DROP SCHEMA rw CASCADE;
