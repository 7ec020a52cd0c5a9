-- A view that is replaced after its schemas were pinned: each event type goes by its own schema.
SET outbox.ddl_check = off; -- what it refuses must stay safe all the same
SET client_min_messages = warning;
CREATE SCHEMA vr;
SET search_path = vr, public;
CREATE TABLE item (day date PRIMARY KEY, n int, note text);
CREATE VIEW item_v AS SELECT day, n FROM item;
SELECT outbox.create_contract('vr_item', view => 'item_v', source => 'item', key => '{day}');
SELECT outbox.create_event_type('VrOld', contract => 'vr_item', emit => 'changed');
SELECT outbox.enable('vr_item');

\echo an appended column is the business of event types that were created with it
CREATE OR REPLACE VIEW item_v AS SELECT day, n, note FROM item;
SELECT outbox.create_event_type('VrNew', contract => 'vr_item', emit => 'changed');
INSERT INTO item VALUES ('2024-02-03', 1, 'one');
UPDATE item SET note = 'two';
UPDATE item SET n = 2;
SELECT type, payload FROM outbox.event_json WHERE contract = 'vr_item' ORDER BY seq;

\echo no event type fits any more: every change is a dead letter, none is taken for no change
SELECT outbox.drop_event_type('VrOld');
ALTER VIEW item_v RENAME COLUMN n TO renamed;
UPDATE item SET n = 3;
UPDATE item SET note = 'three';
SELECT event_type, emit, key, stage, message FROM outbox.dead_letter WHERE contract = 'vr_item' ORDER BY id;

\echo the view is gone: the key is written down the same way in every session
DROP VIEW item_v;
SET DateStyle = 'German';
UPDATE item SET note = 'four';
RESET DateStyle;
SELECT source_columns FROM outbox.dead_letter WHERE contract = 'vr_item' ORDER BY id DESC LIMIT 1;

\echo types inside the view change under a session that has used them
CREATE TYPE address AS (street text, zip int);
CREATE TYPE colour AS ENUM ('red', 'green');
CREATE TABLE place (id int PRIMARY KEY, street text, zip int, paint colour);
CREATE VIEW place_v AS SELECT id, ARRAY[ROW(street, zip)::address] AS addresses, paint FROM place;
SELECT outbox.create_contract('vr_place', view => 'place_v', source => 'place', key => '{id}');
SELECT outbox.create_event_type('VrPlace', contract => 'vr_place', emit => 'created');
SELECT outbox.enable('vr_place');
INSERT INTO place VALUES (1, 'first', 1, 'red');
ALTER TYPE address ADD ATTRIBUTE appended text;
INSERT INTO place VALUES (2, 'appended', 2, 'green');
ALTER TYPE address RENAME ATTRIBUTE zip TO postcode;
INSERT INTO place VALUES (3, 'renamed', 3, 'red');
ALTER TYPE address RENAME ATTRIBUTE postcode TO zip;
INSERT INTO place VALUES (4, 'renamed back', 4, 'red');
ALTER TYPE colour RENAME VALUE 'green' TO 'lime';
INSERT INTO place VALUES (5, 'another label', 5, 'lime');
SELECT payload FROM outbox.event_json WHERE contract = 'vr_place' ORDER BY seq;
SELECT key, message FROM outbox.dead_letter WHERE contract = 'vr_place' ORDER BY id;
SELECT outbox.drop_contract('vr_place');

\echo the key is not a key any more; tables inherit from the source
CREATE TABLE parent (id int PRIMARY KEY);
CREATE VIEW parent_v AS SELECT id FROM parent;
SELECT outbox.create_contract('vr_parent', view => 'parent_v', source => 'parent', key => '{id}');
SELECT outbox.create_event_type('VrParent', contract => 'vr_parent', emit => 'created');
SELECT outbox.enable('vr_parent');
CREATE OR REPLACE VIEW parent_v AS SELECT 1 AS id FROM parent;
INSERT INTO parent VALUES (1), (2);
SELECT source_columns, message FROM outbox.dead_letter WHERE contract = 'vr_parent' ORDER BY id;
SELECT count(*) FROM outbox.event_json WHERE contract = 'vr_parent';
DELETE FROM outbox.dead_letter_entry WHERE contract = 'vr_parent';
CREATE TABLE heir () INHERITS (parent);
SELECT advice FROM outbox.status WHERE name = 'vr_parent';
SELECT outbox.drop_contract('vr_parent');

\echo names of code maps that come from data do not pile up in the session
SELECT count(outbox.decode('vr no map ' || i, 'x')) FROM generate_series(1, 1000) i;
SELECT count(*) < 100 AS bounded FROM pg_backend_memory_contexts WHERE name = 'outbox code map';

SELECT outbox.drop_contract('vr_item');
DELETE FROM outbox.dead_letter_entry WHERE contract LIKE 'vr_%';
DROP SCHEMA vr CASCADE;
