-- preview shows what rows would become, validate counts what is wrong in the whole history of a source.
SET client_min_messages = warning;
CREATE SCHEMA va;
SET search_path = va, public;
CREATE TABLE hist (id int PRIMARY KEY, name text, qty int, st text, doc text, hidden boolean);
INSERT INTO hist SELECT i, 'n' || i, 1 + i % 3, 'N', 'd', false FROM generate_series(1, 2000) i;
UPDATE hist SET name = NULL WHERE id % 500 = 0;
UPDATE hist SET qty = 0 WHERE id IN (7, 8, 9);
UPDATE hist SET st = 'Q' WHERE id BETWEEN 20 AND 24;
UPDATE hist SET st = 'Z' WHERE id = 30;
UPDATE hist SET doc = repeat('x', 3000) WHERE id = 40;
UPDATE hist SET hidden = true, name = NULL WHERE id = 50;
SELECT outbox.create_code_map('va.st', '{"N": "NEW"}');
CREATE VIEW hist_v AS SELECT id AS hist_id, name, 6 / qty AS share, outbox.decode('va.st', st) AS status, doc FROM hist WHERE NOT hidden;
SELECT outbox.create_contract('va_hist', view => 'hist_v', source => 'hist', key => '{hist_id}', required => '{name,status}');
\echo without event types there is nothing to try
SELECT * FROM outbox.validate('va_hist');
SELECT outbox.create_event_type('VaCreated', contract => 'va_hist', emit => 'created');
SELECT outbox.create_event_type('VaChanged', contract => 'va_hist', emit => 'changed', condition => 'new.share > 100 / (old.share - old.share)', previous => '{share}');
SELECT outbox.create_event_type('VaDeleted', contract => 'va_hist', emit => 'deleted', condition => 'old.share <> 6');
SELECT outbox.add_check('VaDeleted', 'small', 'share <= 3');
SELECT outbox.add_check('VaCreated', 'raises', '10 / (share - 2) IS NOT NULL');
SET outbox.max_message_bytes = 3000;
SELECT event_type, stage, sqlstate, error, rows, example_key FROM outbox.validate('va_hist') ORDER BY 1 NULLS FIRST, 2, 4;
RESET outbox.max_message_bytes;
\echo nothing was written
SELECT count(*) FROM outbox.dead_letter WHERE contract = 'va_hist';
SELECT count(*) FROM outbox.event_json WHERE contract = 'va_hist';
SELECT event_type, emit, topic, key, headers, payload, error FROM outbox.preview('va_hist', max_rows => 2);
SELECT key, error FROM outbox.preview('va_hist', event_type => 'VaDeleted', max_rows => 3);
SELECT * FROM outbox.preview('va_hist', max_rows => 0);
SELECT * FROM outbox.preview('va_hist', max_rows => -1);
SELECT * FROM outbox.preview(NULL);
\echo a clean history
UPDATE hist SET name = coalesce(name, 'x'), qty = 3, st = 'N', doc = '';
SELECT outbox.drop_check('VaCreated', 'raises');
SELECT * FROM outbox.validate('va_hist');
\echo as the owner of the view: no rights on the source, no validation
CREATE ROLE va_owner;
GRANT USAGE, CREATE ON SCHEMA va TO va_owner;
ALTER VIEW hist_v OWNER TO va_owner;
SELECT * FROM outbox.validate('va_hist');
SELECT * FROM outbox.preview('va_hist');
SELECT * FROM outbox.validate('nowhere');
SELECT outbox.drop_contract('va_hist');
SELECT outbox.drop_code_map('va.st');
DROP SCHEMA va CASCADE;
DROP ROLE va_owner;
