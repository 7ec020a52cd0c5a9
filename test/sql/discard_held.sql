-- discard_held() gives up events that a topic or a registry never takes: what counts, what is recorded, what is refused.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
SELECT outbox.create_sink('main', library => 'outbox_kafka', options => '{"bootstrap.servers": "localhost:1", "topic.prefix": "p.", "schema.registry.url": "http://localhost:1"}');
SELECT outbox.create_sink('plain', library => 'outbox_log');
SELECT outbox.create_sink('single', library => 'outbox_kafka', options => '{"bootstrap.servers": "localhost:1", "schema.registry.url": "http://localhost:1", "subject.strategy": "RecordName"}');
INSERT INTO outbox.event_schema (id, contract, event_type, version, topic, ce_type, schema, fingerprint)
SELECT i, 'c', 'Type' || i, 1, t, 'ce' || i, format('{"type":"record","name":"Type%s","namespace":"shop.c","fields":[]}', i), i
FROM (VALUES (1001, 'Bad names'), (1002, 'orders'), (1003, 'orders'), (1004, 'good'), (1005, 'sp''ecial')) v (i, t);
INSERT INTO outbox_internal.held_event (seq, xid, occurred_at, id, schema_id, leaf, flags, aggregate_type, message_key, event_type, payload, sink_id, state, letter)
SELECT seq, '3', now(), ('00000000-0000-0000-0000-' || lpad(seq::text, 12, '0'))::uuid, schema, 1, 0, 'c', 'k' || seq % 2, 'Type' || schema, '\x01', k.id, state, letter
FROM (VALUES (1, 1001, 'main', 'held', NULL), (2, 1001, 'main', 'held', NULL), (3, 1002, 'main', 'held', NULL), (4, 1003, 'main', 'held', NULL),
    (5, 1004, 'main', 'rejected', 901), (6, 1004, 'main', 'held', NULL), (7, 1001, 'main', 'redrive', 902), (8, 1001, 'main', 'rejected', 903),
    (9, 1001, 'plain', 'held', NULL), (10, 1001, 'single', 'held', NULL), (11, 1005, 'plain', 'held', NULL)) v (seq, schema, sink, state, letter)
JOIN outbox.sink k ON k.name = v.sink;
INSERT INTO outbox_internal.dead_letter_entry (id, contract, event_type, stage, sqlstate, message, sink, state)
VALUES (901, 'c', 'Type1004', 'publish', '38000', 'too large', 'main', 'open'), (902, 'c', 'Type1001', 'publish', '38000', 'too large', 'main', 'redriven'),
    (903, 'c', 'Type1001', 'publish', '38000', 'too large', 'main', 'open');
INSERT INTO outbox_internal.blocked_route (sink_id, topic, schema_id, reason, tries, tried_at, next_try)
SELECT k.id, v.topic, v.schema, v.reason, 1, '2026-01-01', '2026-01-01'
FROM (VALUES ('main', 'Bad names', 0, 'Broker: Invalid topic'), ('main', 'orders', 1002, 'refuses it (409)'), ('plain', 'Bad names', 0, 'no topic'),
    ('plain', 'sp''ecial', 0, 'no topic'), ('single', 'Bad names', 1001, 'refused')) v (sink, topic, schema, reason)
JOIN outbox.sink k ON k.name = v.sink;
-- position: everything, for sink main; nothing is recorded for the others
INSERT INTO outbox_internal.relay_progress (sink_id, snap_last, system_identifier, database_oid)
SELECT id, '4:4:', 1, 1 FROM outbox.sink WHERE name = 'main';
CREATE FUNCTION pg_temp.held() RETURNS TABLE (sink text, seq bigint, state text, payload bytea) LANGUAGE sql AS
$$ SELECT k.name, h.seq, h.state, h.payload FROM outbox.held_event h JOIN outbox.sink k ON k.id = h.sink_id ORDER BY 1, 2 $$;

\echo what is refused
SELECT outbox.discard_held(NULL, topic => 'Bad names', reason => 'x');
SELECT outbox.discard_held('main', topic => 'Bad names');
SELECT outbox.discard_held('main', topic => 'Bad names', reason => '');
SELECT outbox.discard_held('main', reason => 'x');
SELECT outbox.discard_held('mian', topic => 'Bad names', reason => 'x');
SELECT outbox.discard_held('main', topic => 'p.Bad names', reason => 'x');
SELECT outbox.discard_held('main', subject => 'orders-shop.c.Type1002', reason => 'x');
SELECT outbox.discard_held('main', topic => 'good', reason => 'x');
SELECT outbox.discard_held('main', subject => 'p.orders-shop.c.Type1003', reason => 'x');
SELECT outbox.discard_held('main', topic => 'good', subject => 'p.orders-shop.c.Type1002', reason => 'x');
SELECT outbox.discard_held('plain', subject => 'Bad names-shop.c.Type1001', reason => 'x');
SELECT count(*) AS untouched FROM pg_temp.held() WHERE state <> 'discarded';

\echo status names it, and what it says can be executed
SELECT name, substring(advice FROM 'If it never.*') FROM outbox.status WHERE kind = 'topic' ORDER BY 1;
SELECT substring(advice FROM 'SELECT outbox.discard_held.*\)') AS command FROM outbox.status WHERE kind = 'topic' AND name LIKE '%sp''ecial' \gset
:command;

\echo a topic; what was rejected stays
SELECT outbox.discard_held('main', topic => 'Bad names', reason => 'nobody reads it');
SELECT resolved FROM outbox.sink WHERE name IN ('main', 'plain') ORDER BY name;
SELECT * FROM pg_temp.held() WHERE sink = 'main';
SELECT event_type, key, message, event_id, payload, state, resolved_by = session_user AS by_me, resolved_at IS NOT NULL AS at, resolution, last_failure
FROM outbox.dead_letter WHERE sink = 'main' ORDER BY event_id, id;
SELECT outbox.discard_held('main', topic => 'Bad names', reason => 'again');

\echo a subject; another schema of the topic is not of it
SELECT outbox.discard_held('main', subject => 'p.orders-shop.c.Type1002', reason => 'refused for good');
SELECT outbox.discard_held('single', subject => 'shop.c.Type1001', topic => 'Bad names', reason => 'refused for good');
SELECT outbox.discard_held('plain', topic => 'Bad names', reason => 'x');
SELECT message, resolution FROM outbox.dead_letter WHERE event_type = 'Type1002';

\echo without a recorded position the rows stay for a crash, without payload, and nobody counts them
SELECT * FROM pg_temp.held();
SELECT sink, seq, state FROM outbox.held_events ORDER BY seq;
SELECT name, pending FROM outbox.status WHERE kind = 'topic' ORDER BY 1;
SELECT name, pending - min(pending) OVER () AS more FROM outbox.status WHERE kind = 'sink' ORDER BY 1;

\echo it is rolled back with its transaction, and for operators
UPDATE outbox_internal.held_event SET state = 'held', payload = '\x01' WHERE seq = 10;
BEGIN;
SELECT outbox.discard_held('single', topic => 'Bad names', reason => 'x');
ROLLBACK;
SELECT * FROM pg_temp.held() WHERE sink = 'single';
CREATE ROLE discard_reader;
CREATE ROLE discard_operator;
SELECT outbox.grant_access('discard_reader', 'reader'), outbox.grant_access('discard_operator', 'operator');
SET ROLE discard_reader;
SELECT outbox.discard_held('single', topic => 'Bad names', reason => 'x');
SET ROLE discard_operator;
SELECT outbox.discard_held('single', topic => 'Bad names', reason => 'x');
RESET ROLE;

DROP OWNED BY discard_reader, discard_operator;
DROP ROLE discard_reader, discard_operator;
DELETE FROM outbox_internal.dead_letter_entry WHERE contract = 'c';
SELECT outbox.drop_sink('main'), outbox.drop_sink('plain'), outbox.drop_sink('single');
DELETE FROM outbox_internal.event_schema WHERE contract = 'c';
