-- A row before that cannot be mapped: unknown but for its key, and never silently gone.
SET client_min_messages = warning;
CREATE SCHEMA tu;
SET search_path = tu, public;
CREATE TABLE item (id int PRIMARY KEY, n int, hidden boolean DEFAULT false);
CREATE VIEW item_v AS SELECT id, 10 / n AS share FROM item WHERE NOT hidden;
SELECT outbox.create_contract('tu_item', view => 'item_v', source => 'item', key => '{id}');
SELECT outbox.create_event_type('TuCreated', contract => 'tu_item', emit => 'created');
SELECT outbox.create_event_type('TuChanged', contract => 'tu_item', emit => 'changed');
SELECT outbox.create_event_type('TuDeleted', contract => 'tu_item', emit => 'deleted', condition => 'old.id < 1000');
SELECT outbox.enable('tu_item');
CREATE TABLE seen (seq bigint, letter bigint);
CREATE PROCEDURE look() LANGUAGE sql AS $$
    INSERT INTO tu.seen SELECT last_value, (SELECT coalesce(max(id), 0) FROM outbox.dead_letter_entry) FROM outbox_internal.event_seq;
$$;
CREATE VIEW results AS
    SELECT type AS what, aggregateid AS key, payload::text AS shows FROM outbox.event_json
    WHERE contract = 'tu_item' AND seq > (SELECT max(seq) FROM seen)
    UNION ALL
    SELECT 'dead letter: ' || emit, key ->> 'id', message || ', from ' || source_columns::text || coalesce(', was ' || before::text, '')
    FROM outbox.dead_letter WHERE contract = 'tu_item' AND id > (SELECT max(letter) FROM seen);

\echo rows that were good once and are bad now, without our knowing
INSERT INTO item VALUES (1, 1), (2, 2), (3, 2), (4, 2), (5, 2);
ALTER TABLE item DISABLE TRIGGER USER;
UPDATE item SET n = 0;
ALTER TABLE item ENABLE TRIGGER USER;
\echo repaired under the same key: changed, no dead letter
CALL look();
UPDATE item SET n = 5 WHERE id = 1;
SELECT * FROM results;
\echo repaired under another key: the former row is gone, which cannot be published
CALL look();
UPDATE item SET n = 5, id = 12 WHERE id = 2;
SELECT * FROM results;
\echo still bad, under another key: both
CALL look();
UPDATE item SET id = 13 WHERE id = 3;
SELECT * FROM results;
\echo leaves the view, or the table
CALL look();
UPDATE item SET hidden = true WHERE id = 4;
DELETE FROM item WHERE id = 5;
SELECT * FROM results;
\echo a good row turns bad under another key: the former row is deleted, the new one a dead letter with its own key
CALL look();
UPDATE item SET id = 11, n = 0 WHERE id = 1;
SELECT * FROM results;

SELECT outbox.drop_contract('tu_item');
DELETE FROM outbox.dead_letter_entry WHERE contract = 'tu_item';
DROP SCHEMA tu CASCADE;
