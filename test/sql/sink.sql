-- Sinks are created, started, stopped and dropped; mistakes are named with the remedy; needs preloading.
\set SHOW_CONTEXT never
SET client_min_messages = warning;

\echo names
SELECT outbox.create_sink('9lives', 'outbox_log');
SELECT outbox.create_sink('a-b', 'outbox_log');
SELECT outbox.create_sink('', 'outbox_log');
SELECT outbox.create_sink(repeat('x', 64), 'outbox_log');
SELECT outbox.create_sink(NULL, 'outbox_log');
SELECT outbox.create_sink('sink_test', NULL);

\echo libraries
SELECT outbox.create_sink('sink_test', '/tmp/evil');
SELECT outbox.create_sink('sink_test', 'plpgsql');
SELECT outbox.create_sink('sink_test', '../outbox_log');

\echo options and start
SELECT outbox.create_sink('sink_test', 'outbox_log', '[]');
SELECT outbox.create_sink('sink_test', 'outbox_log', '{"no_such_option": 1}');
SELECT outbox.create_sink('sink_test', 'outbox_log', '{"topic.prefix": "a b"}');
SELECT outbox.create_sink('sink_test', 'outbox_log', start_at => 'yesterday');

\echo created stopped; defaults; NULL means default
SELECT outbox.create_sink('sink_test', library => 'outbox_log');
SELECT outbox.create_sink('sink_null', 'outbox_log', NULL, NULL);
SELECT outbox.create_sink('sink_now', 'outbox_log', start_at => 'now');
SELECT outbox.create_sink('sink_test', 'outbox_log');
SELECT name, library, options, start_at, desired_state FROM outbox.sink WHERE name LIKE 'sink_%' ORDER BY name;
SELECT s.name, p.snap_last IS NOT NULL AS has_position, p.database_oid = d.oid AS ours, p.acked
FROM outbox.sink s JOIN outbox.relay_progress p ON p.sink_id = s.id, pg_database d
WHERE s.name LIKE 'sink_%' AND d.datname = current_database();
SELECT sink, state, pid FROM outbox_internal.relay_report() WHERE sink LIKE 'sink_%' ORDER BY sink;

\echo starting and stopping what does not exist
SELECT outbox.start_relay('nobody');
SELECT outbox.stop_relay('nobody');
SELECT outbox.drop_sink('nobody');
SELECT outbox.drop_sink(NULL);

\echo a start that is rolled back starts nothing
BEGIN;
SELECT outbox.start_relay('sink_now');
ROLLBACK;
SELECT desired_state FROM outbox.sink WHERE name = 'sink_now';

\echo a running sink is not dropped; the relay comes and goes
CREATE FUNCTION wait_for_state(which text, wanted text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    seen text;
BEGIN
    LOOP
        SELECT state INTO seen FROM outbox_internal.relay_report() WHERE sink = which;
        EXIT WHEN seen = wanted OR clock_timestamp() > now() + interval '30 s';
    END LOOP;
    RETURN seen;
END $$;
SELECT outbox.start_relay('sink_now');
SELECT wait_for_state('sink_now', 'running');
SELECT regexp_replace(outbox.start_relay('sink_now'), '\d+', 'N');
SELECT outbox.drop_sink('sink_now');
SELECT (system_identifier = (pg_control_system()).system_identifier) AS this_cluster,
       database_oid = (SELECT oid FROM pg_database WHERE datname = current_database()) AS this_database, site
FROM outbox.sink WHERE name = 'sink_now';
SELECT outbox.stop_relay('sink_now');
SELECT wait_for_state('sink_now', 'stopped');

\echo rights: EXECUTE decides, the tables stay closed
CREATE ROLE sink_nobody;
SET ROLE sink_nobody;
SELECT outbox.create_sink('sink_mine', 'outbox_log');
SELECT outbox.start_relay();
SELECT * FROM outbox.sink;
RESET ROLE;
GRANT USAGE ON SCHEMA outbox TO sink_nobody;
GRANT EXECUTE ON FUNCTION outbox.create_sink(text, text, jsonb, text, text, boolean), outbox.drop_sink(text) TO sink_nobody;
SET ROLE sink_nobody;
SELECT outbox.create_sink('sink_mine', 'outbox_log');
SELECT outbox.create_sink('sink_file', 'outbox_log', '{"payload": {"file": "/etc/hostname"}}');
SELECT outbox.drop_sink('sink_mine');
RESET ROLE;
REVOKE ALL ON FUNCTION outbox.create_sink(text, text, jsonb, text, text, boolean), outbox.drop_sink(text) FROM sink_nobody;
REVOKE USAGE ON SCHEMA outbox FROM sink_nobody;
DROP ROLE sink_nobody;

SELECT outbox.drop_sink('sink_test');
SELECT outbox.drop_sink('sink_null');
SELECT outbox.drop_sink('sink_now');
SELECT count(*) FROM outbox.relay_progress p WHERE NOT EXISTS (SELECT FROM outbox.sink s WHERE s.id = p.sink_id);
DROP FUNCTION wait_for_state(text, text);

-- what follows a rejected event
SELECT outbox.create_sink('sink_policy', 'outbox_log', on_reject => 'never');
SELECT outbox.create_sink('sink_policy', 'outbox_log', on_reject => 'skip');
SELECT name, on_reject FROM outbox.sinks WHERE name = 'sink_policy';
SELECT outbox.drop_sink('sink_policy');
