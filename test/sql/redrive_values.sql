-- A redriven deletion publishes the row before as it was: whole, and JSON as JSON.
SET client_min_messages = warning;
CREATE SCHEMA rv;
SET search_path = rv, public;
CREATE TABLE item (id int PRIMARY KEY, long text, doc jsonb, fields outbox.string_map, price numeric(10,2), at timestamptz, bits bytea, words text[], f float8);
CREATE VIEW item_v AS SELECT * FROM item;
SELECT outbox.create_contract('rv_item', view => 'item_v', source => 'item', key => '{id}');
SELECT outbox.create_event_type('RvDeleted', contract => 'rv_item', emit => 'deleted');
SELECT outbox.enable('rv_item');
CREATE VIEW events AS SELECT seq, payload FROM outbox.event_json WHERE contract = 'rv_item';
CREATE TABLE origin AS SELECT * FROM item;
INSERT INTO origin VALUES (1, repeat('x', 20000), '{"a": [1, "two"]}', '{"k": "v"}', 1.50, '2024-01-02 03:04:05.678901+02', '\x00ff', '{a,"b c"}', 1.0 / 3);
INSERT INTO item SELECT * FROM origin;
DELETE FROM item;
SELECT payload - 'long' - 'f' AS payload, length(payload ->> 'long') FROM events;

SELECT outbox.add_check('RvDeleted', 'never', 'false');
INSERT INTO item SELECT * FROM origin;
DELETE FROM item;
SELECT before - 'long' - 'f' AS before FROM outbox.dead_letter WHERE contract = 'rv_item';
SELECT outbox.drop_check('RvDeleted', 'never');
SELECT outbox.redrive(contract => 'rv_item');
SELECT count(*), count(DISTINCT payload) AS different FROM events;

SELECT outbox.drop_contract('rv_item');
DELETE FROM outbox.dead_letter_entry WHERE contract = 'rv_item';
DROP SCHEMA rv CASCADE;
