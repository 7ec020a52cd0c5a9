-- Hints about our own tables, versions and settings are promises: what they say is done here, and it helps; needs preloading.
\set SHOW_CONTEXT never
SET client_min_messages = warning;

\echo == an index on a view of ours
CREATE INDEX hr_reason ON outbox.gap (reason);
CREATE INDEX hr_reason ON outbox_internal.gap (reason);
DROP INDEX outbox_internal.hr_reason;

\echo == a column of ours: another version brings it, nobody else
ALTER TABLE outbox_internal.gap ADD COLUMN hr_more int;
ALTER SCHEMA outbox RENAME TO hr_outbox;

\echo == another version of the library
BEGIN;
UPDATE pg_extension SET extversion = '0.0.9' WHERE extname = 'outbox_ext';
DO $$DECLARE said text; BEGIN PERFORM outbox.create_code_map('hr_codes', '{"a": "A"}');
EXCEPTION WHEN OTHERS THEN GET STACKED DIAGNOSTICS said = PG_EXCEPTION_HINT; RAISE WARNING '%', said; END$$;
ROLLBACK;
SELECT outbox.create_code_map('hr_codes', '{"a": "A"}');
SELECT outbox.drop_code_map('hr_codes');

\echo == a leaf without its row
CREATE TABLE hr_thing (id int PRIMARY KEY, v int);
CREATE VIEW hr_thing_v AS SELECT id, v FROM hr_thing;
SELECT outbox.create_contract('hr_thing', view => 'public.hr_thing_v', source => 'public.hr_thing', key => '{id}');
SELECT outbox.create_event_type('HrThingMade', contract => 'hr_thing', emit => 'created');
SELECT outbox.enable('hr_thing');
INSERT INTO hr_thing VALUES (1, 1);
\c -
BEGIN;
DELETE FROM outbox_internal.leaf;
INSERT INTO hr_thing VALUES (2, 1);
COMMIT;
INSERT INTO hr_thing VALUES (2, 1);
SELECT type, payload FROM outbox.event_json WHERE contract = 'hr_thing';
SELECT outbox.drop_contract('hr_thing');
DROP VIEW hr_thing_v;
DROP TABLE hr_thing;

\echo == a file with a zero byte as the value of an option
SET client_min_messages = warning;
\set SHOW_CONTEXT never
SELECT current_setting('data_directory') || '/hr_value' AS file \gset
SELECT format('{"bootstrap.servers": "127.0.0.1:1", "sasl.password": {"file": "%s"}}', :'file') AS options \gset
COPY (SELECT 'secret') TO :'file' (FORMAT binary);
DO $$DECLARE said text; BEGIN PERFORM outbox.create_sink('hr_sink', library => 'outbox_kafka',
	options => format('{"bootstrap.servers": "127.0.0.1:1", "sasl.password": {"file": "%s/hr_value"}}', current_setting('data_directory'))::jsonb);
EXCEPTION WHEN OTHERS THEN GET STACKED DIAGNOSTICS said = PG_EXCEPTION_HINT; RAISE WARNING '%', said; END$$;
COPY (SELECT 'secret') TO :'file';
SELECT outbox.create_sink('hr_sink', library => 'outbox_kafka', options => :'options');
SELECT outbox.drop_sink('hr_sink');

\echo == a list of libraries that is none
SET outbox.sink_libraries = '"outbox_log';
SELECT outbox.create_sink('hr_log', library => 'outbox_log');
SET outbox.sink_libraries = 'outbox_log, outbox_kafka';
SELECT outbox.create_sink('hr_log', library => 'outbox_log');
SELECT outbox.drop_sink('hr_log');
