-- What each level of grant_access() may do, and that a writer of legacy tables may do nothing.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE ROLE access_reader;
CREATE ROLE access_operator;
CREATE ROLE access_admin;
CREATE ROLE access_writer;
SELECT outbox.grant_access('access_reader', 'reader');
SELECT outbox.grant_access('access_operator', level => 'operator');
SELECT outbox.grant_access(role => 'access_admin', level => 'admin');

\echo mistakes
SELECT outbox.grant_access('access_reader', 'owner');
SELECT outbox.grant_access('access nobody', 'reader');
SELECT outbox.grant_access('public', 'reader');
SELECT outbox.grant_access(NULL, 'reader');
SELECT outbox.grant_access('access_reader', NULL);
GRANT EXECUTE ON FUNCTION outbox.grant_access(text, text) TO access_admin;
SET ROLE access_admin;
SELECT outbox.grant_access('access_writer', 'reader');
RESET ROLE;
REVOKE EXECUTE ON FUNCTION outbox.grant_access(text, text) FROM access_admin;

\pset format unaligned
\echo every function; trigger functions and decode() are for everybody, grant_access() for the owner
SELECT p.oid::regprocedure AS function, string_agg(substr(r, 8), ' ' ORDER BY o) AS may_execute
FROM pg_proc p LEFT JOIN unnest('{access_writer,access_reader,access_operator,access_admin}'::text[]) WITH ORDINALITY AS a (r, o)
    ON has_function_privilege(r, p.oid, 'EXECUTE')
WHERE pronamespace IN ('outbox'::regnamespace, 'outbox_internal'::regnamespace) AND prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)
GROUP BY p.oid ORDER BY count(r), p.oid::regprocedure::text COLLATE "C";
\echo every relation
SELECT c.oid::regclass AS relation, string_agg(substr(r, 8), ' ' ORDER BY o) AS may_select
FROM pg_class c JOIN unnest('{access_writer,access_reader,access_operator,access_admin}'::text[]) WITH ORDINALITY AS a (r, o)
    ON has_table_privilege(r, c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, TRIGGER')
WHERE relnamespace = 'outbox'::regnamespace AND relkind IN ('r', 'p', 'v')
GROUP BY c.oid ORDER BY c.oid::regclass::text COLLATE "C";

\echo a contract to work with
CREATE TABLE access_t (id int PRIMARY KEY, v text);
CREATE VIEW access_v AS SELECT id, v FROM access_t;
GRANT INSERT ON access_t TO access_writer;
SELECT outbox.create_contract('access', view => 'access_v', source => 'access_t', key => '{id}');
SELECT outbox.create_event_type('AccessSeen', contract => 'access', emit => 'created');
SELECT outbox.enable('access');
SELECT outbox.create_sink('access_sink', 'outbox_log');

SET ROLE access_writer;
INSERT INTO access_t VALUES (1, 'written by the writer');
SELECT * FROM outbox.status;
SELECT * FROM outbox.event_json;
SELECT * FROM outbox.event;
SELECT outbox.stop_relay('access_sink');

SET ROLE access_reader;
SELECT kind, name, state FROM outbox.status WHERE name LIKE 'access%';
SELECT payload FROM outbox.event_json WHERE type = 'AccessSeen';
SELECT count(*) FROM outbox.dead_letter WHERE contract = 'access';
SELECT count(*) FROM outbox.gap WHERE contract = 'access';
SELECT name, library, options FROM outbox.sinks WHERE name = 'access_sink';
SELECT options FROM outbox.sink;
SELECT outbox.stop_relay('access_sink');
SELECT outbox.discard(1, 'not mine');

SET ROLE access_operator;
SELECT count(*) FROM outbox.status WHERE name LIKE 'access%';
SELECT outbox.stop_relay('access_sink');
SELECT outbox.pause('access_sink');
SELECT outbox.discard(0, 'no such one');
SELECT outbox.redrive(contract => 'access');
SELECT outbox.create_sink('access_two', 'outbox_log');
SELECT outbox.disable('access');

SET ROLE access_admin;
SELECT count(*) FROM outbox.status WHERE name LIKE 'access%';
SELECT outbox.stop_relay('access_sink');
SELECT outbox.create_sink('access_two', 'outbox_log');
SELECT outbox.drop_sink('access_two');
SELECT outbox.create_code_map('access', '{"a": "A"}');
SELECT outbox.drop_code_map('access');
SELECT options FROM outbox.sink;
\echo the rights on the source and its view are still needed
SELECT outbox.create_event_type('AccessLost', contract => 'access', emit => 'deleted');
SELECT outbox.drop_contract('access');
RESET ROLE;

SELECT outbox.drop_sink('access_sink');
SELECT outbox.drop_contract('access');
DROP TABLE access_t CASCADE;
DROP OWNED BY access_reader, access_operator, access_admin, access_writer;
\echo nothing is left of it
SELECT count(*) FROM pg_class WHERE relacl::text LIKE '%access\_%';
DROP ROLE access_reader, access_operator, access_admin, access_writer;
