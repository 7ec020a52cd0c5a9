-- Versions of a contract that is evaluated at commit: one query per version, one lock, events paired by key.
SET outbox.ddl_check = off; -- what it refuses must stay safe all the same
CREATE TABLE vc_order (id int PRIMARY KEY, nm text NOT NULL);
CREATE TABLE vc_line (id int PRIMARY KEY, order_id int NOT NULL REFERENCES vc_order ON DELETE CASCADE, qty int);
CREATE INDEX ON vc_line (order_id);
CREATE VIEW vc_order_v1 AS SELECT o.id, o.nm AS name, (SELECT sum(l.qty)::bigint FROM vc_line l WHERE l.order_id = o.id) AS total FROM vc_order o;
CREATE VIEW vc_order_v2 AS SELECT o.id, upper(o.nm) AS title, (SELECT count(*) FROM vc_line l WHERE l.order_id = o.id) AS lines FROM vc_order o WHERE o.nm <> 'hidden';
SELECT outbox.create_contract('vc_order', 'vc_order_v1', 'vc_order', '{id}', required => '{name}');
SELECT outbox.add_source('vc_order', 'vc_line', 'row.order_id');
SELECT outbox.create_event_type('VcPlaced', 'vc_order', 'created', topic => 'vc.orders');
SELECT outbox.create_event_type('VcChanged', 'vc_order', 'changed', topic => 'vc.orders');
SELECT outbox.create_event_type('VcGone', 'vc_order', 'deleted', topic => 'vc.orders', tombstone => 'after');
SELECT outbox.enable('vc_order');
CREATE VIEW vc_events AS
SELECT e.seq, s.event_type, s.version, s.topic, e.flags,
       (SELECT f.type FROM outbox.event f WHERE f.id::text = e.headers ->> 'changeid' AND f.seq < e.seq) AS pair, j.payload
FROM outbox.event e JOIN outbox.event_json j USING (seq) JOIN outbox.event_schema s ON s.id = e.schema_id WHERE s.contract = 'vc_order';
INSERT INTO vc_order VALUES (1, 'Anne');

\echo another way to evaluate, and another key
CREATE VIEW vc_row AS SELECT id, nm AS name FROM vc_order;
SELECT outbox.add_version('vc_order', 'vc_row', required => '{name}', publish => 'beside');
SELECT outbox.drop_version('vc_order', 2);
CREATE VIEW vc_lines AS SELECT l.id, o.nm AS name, (SELECT 1 FROM vc_line x WHERE x.id = l.id) AS one FROM vc_line l JOIN vc_order o ON o.id = l.order_id;
SELECT outbox.add_version('vc_order', 'vc_lines', publish => 'beside');

\echo beside
SELECT outbox.add_version('vc_order', 'vc_order_v2', required => '{title}', suffix => '.two');
UPDATE vc_order SET nm = 'Anna';
SELECT outbox.enable('vc_order');
BEGIN;
INSERT INTO vc_order VALUES (2, 'Bert');
INSERT INTO vc_line VALUES (1, 2, 5), (2, 1, 7);
COMMIT;
UPDATE vc_line SET qty = 6 WHERE id = 1;
UPDATE vc_order SET nm = 'hidden' WHERE id = 1;
UPDATE vc_order SET id = 3 WHERE id = 1 AND NOT EXISTS (SELECT FROM vc_line WHERE order_id = 1);
DELETE FROM vc_line;
DELETE FROM vc_order;
SELECT event_type, version, topic, flags, pair, payload FROM vc_events ORDER BY seq;

\echo a version that does not work any more leaves letters of its own
DROP VIEW vc_order_v2;
INSERT INTO vc_order VALUES (4, 'Carl');
SELECT version, event_type, stage, key, message FROM outbox.dead_letter WHERE contract = 'vc_order' ORDER BY id;
SELECT outbox.redrive(contract => 'vc_order');
SELECT version, state, last_failure FROM outbox.dead_letter WHERE contract = 'vc_order' ORDER BY id;
SELECT outbox.retire_version('vc_order', 2);
UPDATE vc_order SET nm = 'Carla';
SELECT outbox.redrive(contract => 'vc_order');
SELECT version, state, last_failure FROM outbox.dead_letter WHERE contract = 'vc_order' ORDER BY id;
SELECT event_type, version, topic, flags, pair, payload FROM vc_events ORDER BY seq DESC LIMIT 2;
SELECT outbox.discard(id, 'retired') FROM outbox.dead_letter WHERE contract = 'vc_order' AND state = 'open';

\echo a letter is tried under its version
CREATE VIEW vc_order_v3 AS SELECT o.id, o.nm AS title, (SELECT 10 / count(*) FROM vc_line l WHERE l.order_id = o.id) AS share FROM vc_order o;
SELECT outbox.add_version('vc_order', 'vc_order_v3', required => '{title}');
SELECT outbox.enable('vc_order');
UPDATE vc_order SET nm = 'Dora';
SELECT version, event_type, stage, key, message FROM outbox.dead_letter WHERE contract = 'vc_order' AND state = 'open' ORDER BY id;
INSERT INTO vc_line VALUES (1, 4, 5);
SELECT outbox.redrive(contract => 'vc_order');
SELECT version, state, last_failure FROM outbox.dead_letter WHERE contract = 'vc_order' ORDER BY id;
SELECT event_type, version, topic, flags, pair, payload FROM vc_events ORDER BY seq DESC LIMIT 4;

\echo the first version is retired, and the key queries go on
SELECT outbox.retire_version('vc_order', 1);
INSERT INTO vc_line VALUES (2, 4, 5);
SELECT event_type, version, topic, flags, pair, payload FROM vc_events ORDER BY seq DESC LIMIT 1;
SELECT outbox.detach('vc_line');
SELECT outbox.reattach('vc_line');
INSERT INTO vc_line VALUES (3, 4, 5);
SELECT event_type, version, topic, flags, pair, payload FROM vc_events ORDER BY seq DESC LIMIT 1;
SELECT reason, source FROM outbox.gap WHERE contract = 'vc_order' ORDER BY 1;
SELECT outbox.disable('vc_order');
SELECT outbox.drop_contract('vc_order');
