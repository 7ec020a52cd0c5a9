-- What cannot become an event is kept with its reason, and the write goes through.
SET outbox.ddl_check = off; -- what it refuses must stay safe all the same
SET client_min_messages = warning;
CREATE SCHEMA dl;
SET search_path = dl, public;
CREATE TABLE item (id int PRIMARY KEY, name text, price float8, qty int, secret text);
CREATE VIEW item_v AS SELECT id AS item_id, name, (price * 100)::int AS cents, 100 / qty AS share FROM item;
SELECT outbox.create_contract('dl_item', view => 'item_v', source => 'item', key => '{item_id}', required => '{name}');
SELECT outbox.create_event_type('DlCreated', contract => 'dl_item', emit => 'created');
SELECT outbox.create_event_type('DlChanged', contract => 'dl_item', emit => 'changed', condition => '1 / (new.share - 7) IS NOT NULL');
SELECT outbox.create_event_type('DlAfter', contract => 'dl_item', emit => 'changed', previous => '{name}');
SELECT outbox.enable('dl_item');
CREATE VIEW letters AS SELECT row_number() OVER (ORDER BY id) AS n, event_type, emit, key, stage, sqlstate, message, source_columns, before
FROM outbox.dead_letter WHERE contract LIKE 'dl_%';

\echo mapping: division by zero, overflow; encoding: required but NULL
INSERT INTO item VALUES (1, 'good', 1.5, 10, 'hidden'), (2, 'zero', 1, 0, 'hidden'), (3, NULL, 1, 1, 'hidden'), (4, 'huge', 1e300, 1, 'hidden');
\echo a row that was bad counts as changed, with an unknown row before
UPDATE item SET qty = 4 WHERE id = 2;
UPDATE item SET name = 'three' WHERE id = 3;
\echo a condition that raises concerns its event type only
UPDATE item SET qty = 14 WHERE id = 1;
\echo a good row turns bad: what it was is kept
UPDATE item SET qty = 0 WHERE id = 1;
\echo a bad row with another key: the former row is gone all the same, but nobody asked for deleted
UPDATE item SET id = 5, qty = 0 WHERE id = 2;
\echo no event type of that emit: no dead letter
DELETE FROM item WHERE id = 1;
SELECT type, aggregateid, payload FROM outbox.event_json WHERE contract = 'dl_item' ORDER BY seq;
SELECT * FROM letters ORDER BY n;
SELECT count(*) FROM item;

\echo the dead letter goes with its transaction
BEGIN;
INSERT INTO item VALUES (20, 'x', 1, 0);
ROLLBACK;
SELECT count(*) FROM letters WHERE key ->> 'item_id' = '20';

\echo too large for a message
SET outbox.max_message_bytes = 2048;
INSERT INTO item VALUES (30, repeat('x', 3000), 1, 1);
RESET outbox.max_message_bytes;
SELECT event_type, key, stage, sqlstate, message FROM letters WHERE key ->> 'item_id' = '30';

\echo a column of the view goes away, or changes its type: map, and status says so
CREATE OR REPLACE VIEW item_v AS SELECT id AS item_id, name, (price * 100)::int AS cents, 100 / qty AS share, 'appended'::text AS extra FROM item;
INSERT INTO item VALUES (40, 'appended is not published', 1, 1);
SELECT payload FROM outbox.event_json WHERE contract = 'dl_item' AND aggregateid = '40';
ALTER VIEW item_v RENAME COLUMN cents TO pennies;
INSERT INTO item VALUES (41, 'renamed', 1, 1);
SELECT event_type, key, stage, sqlstate, message FROM letters WHERE key ->> 'item_id' = '41';
ALTER VIEW item_v RENAME COLUMN pennies TO cents;
INSERT INTO item VALUES (42, 'back', 1, 1);
SELECT payload FROM outbox.event_json WHERE contract = 'dl_item' AND aggregateid = '42';

\echo the view goes away: the key columns of the source are kept
DROP VIEW item_v;
INSERT INTO item VALUES (43, 'no view', 1, 1, 'hidden');
SELECT event_type, emit, stage, sqlstate, message, source_columns FROM letters ORDER BY n DESC LIMIT 1;
SELECT kind, name, state, advice FROM outbox.status WHERE name = 'dl_item';

\echo the trigger has the name of no contract any more: one gap per transaction
ALTER TRIGGER "!outbox_dl_item" ON item RENAME TO "!outbox_dl_gone";
INSERT INTO item VALUES (44, 'gap', 1, 1), (45, 'gap', 1, 1);
SELECT contract, source, reason FROM outbox.gap WHERE contract LIKE 'dl_%' ORDER BY id;

\echo on_invalid = abort is the strict choice
CREATE TABLE strict (id int PRIMARY KEY, name text);
CREATE VIEW strict_v AS SELECT id, name FROM strict;
SELECT outbox.create_contract('dl_strict', view => 'strict_v', source => 'strict', key => '{id}', required => '{name}', on_invalid => 'abort');
SELECT outbox.create_event_type('StrictCreated', contract => 'dl_strict', emit => 'created');
SELECT outbox.enable('dl_strict');
\set VERBOSITY terse
INSERT INTO strict VALUES (1, 'fine'), (2, NULL);
\set VERBOSITY default
INSERT INTO strict VALUES (1, 'fine');
SELECT count(*) FROM strict;

\echo TRUNCATE leaves a gap
TRUNCATE strict;
SELECT contract, source, reason FROM outbox.gap WHERE contract LIKE 'dl_%' ORDER BY id;
SELECT kind, name, gaps FROM outbox.status WHERE name = 'dl_strict';

\echo 1,001 failures in one transaction: the last one carries its key only
CREATE TABLE many (id int PRIMARY KEY, name text);
CREATE VIEW many_v AS SELECT id, name FROM many;
SELECT outbox.create_contract('dl_many', view => 'many_v', source => 'many', key => '{id}', required => '{name}');
SELECT outbox.create_event_type('ManyCreated', contract => 'dl_many', emit => 'created');
SELECT outbox.enable('dl_many');
INSERT INTO many SELECT i FROM generate_series(1, 1001) i;
SELECT count(*), count(key), count(source_columns) FROM outbox.dead_letter WHERE contract = 'dl_many';

SELECT outbox.drop_contract('dl_many');
SELECT outbox.drop_contract('dl_strict');
DROP TABLE item CASCADE;
DELETE FROM outbox.dead_letter_entry WHERE contract LIKE 'dl_%';
DELETE FROM outbox.gap WHERE contract LIKE 'dl_%';
DROP SCHEMA dl CASCADE;
