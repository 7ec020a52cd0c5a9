-- Versions of a contract that are published beside each other, evaluated per row: events, letters, the end of the overlap.
SET outbox.ddl_check = off; -- what it refuses must stay safe all the same
CREATE TABLE vb_order (order_no int PRIMARY KEY, st char(1) NOT NULL, amt numeric(10,2), nm text);
CREATE VIEW vb_order_v1 AS SELECT order_no AS order_id, st AS status, amt AS amount FROM vb_order;
CREATE VIEW vb_order_v2 AS SELECT order_no AS order_id, st AS state, amt::text AS amount, nm AS name FROM vb_order WHERE st <> 'H';
SELECT outbox.create_contract('vb_order', 'vb_order_v1', 'vb_order', '{order_id}', required => '{status}');
SELECT outbox.create_event_type('VbPlaced', 'vb_order', 'created', topic => 'vb.orders');
SELECT outbox.create_event_type('VbChanged', 'vb_order', 'changed', condition => 'new.status <> ''X''', previous => '{status}', topic => 'vb.orders');
SELECT outbox.create_event_type('VbGone', 'vb_order', 'deleted', topic => 'vb.orders', tombstone => 'after');
SELECT outbox.add_check('VbChanged', 'positive', 'amount > 0');
SELECT outbox.enable('vb_order');
CREATE VIEW vb_events AS
SELECT e.seq, s.event_type, s.version, s.topic, e.flags, e.headers - 'changeid' AS headers,
       (SELECT f.type FROM outbox.event f WHERE f.id::text = e.headers ->> 'changeid' AND f.seq < e.seq) AS pair, j.payload
FROM outbox.event e JOIN outbox.event_json j USING (seq) JOIN outbox.event_schema s ON s.id = e.schema_id WHERE s.contract = 'vb_order';
INSERT INTO vb_order VALUES (1, 'N', 10, 'Anne');

\echo a version that is not compatible is published beside
SELECT outbox.add_version('vb_order', 'vb_order_v2', required => '{state}', suffix => 'a b');
SELECT outbox.add_version('vb_order', 'vb_order_v2', required => '{state}', sunset => '2001-01-01');
SELECT outbox.create_contract('vb_other', 'vb_order_v1', 'vb_order', '{order_id}');
SELECT outbox.create_event_type('VbOther', 'vb_other', 'created', topic => 'vb.orders.two');
SELECT outbox.add_version('vb_order', 'vb_order_v2', required => '{state}', suffix => '.two');
SELECT outbox.alter_event_type('VbChanged', 2, condition => 'new.state <> ''X''', previous => '{state}', topic => 'vb.orders');
BEGIN;
SELECT outbox.drop_check('VbChanged', 'positive');
SELECT outbox.add_check('VbChanged', 'positive', 'amount > 0', versions => '{1}');
COMMIT;
SELECT outbox.enable('vb_order');
SELECT outbox.drop_contract('vb_other');
SELECT outbox.alter_event_type('VbChanged', 2, topic => 'DEFAULT');
SELECT event_type, topic, headers ->> 'ce_type' AS ce_type, payload, error FROM outbox.preview('vb_order', version => 2)
ORDER BY 1;
SELECT * FROM outbox.validate('vb_order', 2);
SELECT outbox.avro_schema('VbPlaced', 2)::json ->> 'namespace' LIKE '%.vb_order.v2' AS namespace;
SELECT outbox.drop_version('vb_order', 2);
SELECT outbox.add_version('vb_order', 'vb_order_v2', required => '{state}', sunset => '2999-01-02 03:04:05+00');
SELECT outbox.alter_event_type('VbChanged', 2, condition => 'new.state <> ''X''', previous => '{state}');
UPDATE vb_order SET amt = 11;
SELECT outbox.enable('vb_order');
SELECT event_type, version, topic, ce_type LIKE '%.v2' AS ce_v2 FROM outbox.event_schema WHERE contract = 'vb_order' ORDER BY id;

\echo one event per change and version, in order, paired by event type and transition
BEGIN;
SET LOCAL outbox.correlation_id = 'c1';
UPDATE vb_order SET amt = 12;
INSERT INTO vb_order VALUES (2, 'N', 5, 'Bert');
COMMIT;
UPDATE vb_order SET nm = 'Berta' WHERE order_no = 2;
UPDATE vb_order SET st = 'H' WHERE order_no = 2;
UPDATE vb_order SET order_no = 3 WHERE order_no = 1;
DELETE FROM vb_order WHERE order_no = 3;
SELECT event_type, version, topic, flags, headers, pair, payload FROM vb_events ORDER BY seq;

\echo a letter of one version does not cost the event of the other
UPDATE vb_order SET amt = -1, st = 'N' WHERE order_no = 2;
ALTER VIEW vb_order_v2 RENAME COLUMN state TO condition;
UPDATE vb_order SET amt = 7 WHERE order_no = 2;
SELECT version, event_type, stage, message FROM outbox.dead_letter WHERE contract = 'vb_order' ORDER BY id;
SELECT event_type, version, topic, flags, headers, pair, payload FROM vb_events ORDER BY seq DESC LIMIT 3;
SELECT outbox.redrive(contract => 'vb_order');
ALTER VIEW vb_order_v2 RENAME COLUMN condition TO state;
SELECT outbox.redrive(contract => 'vb_order');
SELECT version, state, last_failure FROM outbox.dead_letter WHERE contract = 'vb_order' ORDER BY id;
SELECT event_type, version, topic, flags, headers, pair, payload FROM vb_events ORDER BY seq DESC LIMIT 2;

\echo a third version takes the place of the second
CREATE OR REPLACE VIEW vb_order_v2 AS SELECT order_no AS order_id, st AS state, amt::text AS amount, nm AS name, upper(nm) AS shouted FROM vb_order WHERE st <> 'H';
SELECT outbox.add_version('vb_order');
SELECT outbox.enable('vb_order');
UPDATE vb_order SET amt = 8 WHERE order_no = 2;
SELECT event_type, version, topic, flags, headers, pair, payload FROM vb_events ORDER BY seq DESC LIMIT 2;
SELECT name, state, dead_letters, left(advice, 11) AS advice FROM outbox.status WHERE kind = 'version' ORDER BY name;

\echo detached and back
SELECT outbox.detach('vb_order');
UPDATE vb_order SET amt = 9 WHERE order_no = 2;
SELECT outbox.add_version('vb_order');
SELECT reason, count(*) FROM outbox.gap WHERE contract = 'vb_order' GROUP BY 1;
SELECT outbox.reattach('vb_order');
UPDATE vb_order SET amt = 10 WHERE order_no = 2;
SELECT event_type, version, topic, flags, headers, pair, payload FROM vb_events ORDER BY seq DESC LIMIT 2;

\echo the end of the overlap
DROP VIEW vb_order_v1 CASCADE;
UPDATE vb_order SET amt = 11 WHERE order_no = 2;
SELECT outbox.retire_version('vb_order', 1);
SELECT outbox.add_version('vb_order', publish => 'instead');
SELECT outbox.retire_version('vb_order', 1, force => true);
SELECT outbox.redrive(contract => 'vb_order');
SELECT version, state, last_failure FROM outbox.dead_letter WHERE contract = 'vb_order' AND state = 'open' ORDER BY id;
UPDATE vb_order SET amt = 12 WHERE order_no = 2;
SELECT event_type, version, topic, flags, headers, pair, payload FROM vb_events ORDER BY seq DESC LIMIT 1;
SELECT outbox.enable('vb_order');
SELECT version, state, publish, suffix, line, sunset IS NOT NULL AS sunset FROM outbox.contract_version JOIN outbox.contract c ON c.id = contract_id WHERE c.name = 'vb_order' ORDER BY 1;

\echo a draft whose place is gone, and what a sink has not got
SELECT outbox.drop_version('vb_order', 4);
CREATE VIEW vb_order_v4 AS SELECT order_no AS order_id, st AS state FROM vb_order;
SELECT outbox.add_version('vb_order', 'vb_order_v4', publish => 'beside', suffix => '.four', required => '{state}');
BEGIN;
SELECT outbox.drop_check('VbChanged', 'positive');
COMMIT;
SELECT outbox.enable('vb_order');
SELECT outbox.add_version('vb_order', publish => 'instead');
SELECT outbox.retire_version('vb_order', 5);
SELECT outbox.enable('vb_order');
SELECT outbox.drop_version('vb_order', 6);
SELECT outbox.add_version('vb_order', 'vb_order_v4', publish => 'beside', required => '{state}');
SELECT outbox.enable('vb_order');
UPDATE vb_order SET st = 'M';
SELECT outbox.create_sink('vb_sink', 'outbox_log');
SELECT outbox.retire_version('vb_order', 4);
SELECT outbox.drop_sink('vb_sink');
SELECT outbox.retire_version('vb_order', 4);
SELECT outbox.disable('vb_order');
SELECT outbox.drop_contract('vb_order');
