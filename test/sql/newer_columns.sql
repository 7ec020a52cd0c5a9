-- A library that is older than the SQL objects: columns that a later version appended to outbox.event stay empty.
SET client_min_messages = warning;
CREATE DATABASE regress_newer;
\c regress_newer
SET client_min_messages = warning;
CREATE EXTENSION outbox_ext;
CREATE TABLE nc_t (id int PRIMARY KEY, v text);
CREATE VIEW nc_v AS SELECT id, v FROM nc_t;
SELECT outbox.create_contract('nc', view => 'nc_v', source => 'nc_t', key => '{id}');
SELECT outbox.create_event_type('NcChanged', 'nc', 'always');
SELECT outbox.enable('nc');
-- as the script of a later version would
BEGIN;
SELECT outbox.lock_tables();
ALTER EVENT TRIGGER outbox_refuse_ddl DISABLE;
ALTER TABLE outbox.event ADD COLUMN newer int, ADD COLUMN newest text;
ALTER TABLE outbox_internal.dead_letter_entry ADD COLUMN newer int;
ALTER TABLE outbox_internal.gap ADD COLUMN newer int;
ALTER EVENT TRIGGER outbox_refuse_ddl ENABLE ALWAYS;
COMMIT;
\c
INSERT INTO nc_t VALUES (1, 'a'), (2, repeat('long', 5000));
UPDATE nc_t SET v = v || '!' WHERE id = 1;
DELETE FROM nc_t WHERE id = 2;
SELECT type, aggregateid, left(payload->>'v', 8) AS v FROM outbox.event_json ORDER BY seq;
SELECT count(*), count(newer), count(newest) FROM outbox.event;
SELECT count(*) FROM outbox.dead_letter;
\c contrib_regression
DROP DATABASE regress_newer;
