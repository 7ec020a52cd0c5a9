-- Hints about arguments of replays, gaps and sinks are promises: what they say is done here, and it helps; needs preloading.
\set SHOW_CONTEXT never
SET client_min_messages = warning;

\echo == starting what is not there
SELECT outbox.start_relay();
SELECT outbox.create_sink('hints_log', library => 'outbox_log', options => '{"payload": "perhaps"}');
SELECT outbox.create_sink('hints_log', library => 'outbox_log', options => '{"payload": true}');
SELECT outbox.start_relay() LIKE 'The relay of sink "hints_log"%' AS starts;
SELECT outbox.stop_relay('hints_log');

\echo == values of options
SELECT outbox.create_sink('hints_kafka', library => 'outbox_kafka', options => '{"bootstrap.servers": "127.0.0.1:1", "partitioner": "random"}');
SELECT outbox.create_sink('hints_kafka', library => 'outbox_kafka', options => '{"bootstrap.servers": "127.0.0.1:1", "max.in.flight": "6"}');
SELECT outbox.create_sink('hints_kafka', library => 'outbox_kafka', options => '{"bootstrap.servers": "127.0.0.1:1", "partitioner": "murmur2", "max.in.flight": "5"}');
SELECT outbox.drop_sink('hints_kafka');

\echo == replays
SELECT outbox.replay('hints_log', rate => -1);
SELECT events FROM outbox.replay('hints_log', rate => 0);
SELECT outbox.replay('hints_log', topic => '');
SELECT events FROM outbox.replay('hints_log', topic => 'again');
SELECT outbox.replay('hints_log', from_time => '2020-02-01', to_time => '2020-01-01');
SELECT events FROM outbox.replay('hints_log', from_time => '2020-01-01', to_time => '2020-02-01');
SELECT outbox.replay('hints_log', from_seq => 2, to_seq => 1);
SELECT events FROM outbox.replay('hints_log', from_seq => 1, to_seq => 2);
CREATE SCHEMA hc;
CREATE TABLE hc.thing (id int PRIMARY KEY, v int);
CREATE VIEW hc.thing_v AS SELECT id, v FROM hc.thing;
SELECT outbox.create_contract('hc_thing', view => 'hc.thing_v', source => 'hc.thing', key => '{id}');
SELECT outbox.create_event_type('HcThingMade', contract => 'hc_thing', emit => 'created');
SELECT outbox.enable('hc_thing');
SELECT outbox.replay('hints_log', event_type => 'HcThingMode');
SELECT DISTINCT event_type FROM outbox.event_schemas WHERE contract = 'hc_thing';
SELECT events FROM outbox.replay('hints_log', event_type => 'HcThingMade');
SELECT outbox.cancel_replay(0);
INSERT INTO outbox_internal.replay_request (sink_id, rate, system_identifier, database_oid, events, state)
SELECT id, 0, 0, 0, 1, state FROM outbox.sink, unnest('{done,waiting}'::text[]) state WHERE name = 'hints_log';
SELECT max(request) FILTER (WHERE state = 'done') AS done, max(request) FILTER (WHERE state = 'waiting') AS waiting FROM outbox.replays \gset
DO $$BEGIN PERFORM outbox.cancel_replay(request) FROM outbox.replays WHERE state = 'done';
EXCEPTION WHEN OTHERS THEN DECLARE said text; BEGIN GET STACKED DIAGNOSTICS said = PG_EXCEPTION_HINT; RAISE WARNING '%', said; END; END$$;
SELECT outbox.cancel_replay(:waiting);
SELECT state FROM outbox.replays ORDER BY request;

\echo == gaps
TRUNCATE hc.thing;
SELECT advice FROM outbox.status WHERE name = 'hc_thing';
SELECT id AS gap, reason, detail FROM outbox.gap WHERE contract = 'hc_thing' AND resolved_at IS NULL \gset
SELECT outbox.resolve_gap(:gap, '');
SELECT outbox.resolve_gap(:gap, 'loaded again');
SELECT gaps FROM outbox.status WHERE name = 'hc_thing';
SELECT outbox.resolve_gap(0, 'once more');
SELECT count(*) FROM outbox.gap WHERE resolved_at IS NULL AND contract = 'hc_thing';

\echo == names that are not there are no reason to do nothing; the first argument that is wrong is named
SELECT outbox.redrive(contract => 'hc_thong');
SELECT name FROM outbox.status WHERE kind = 'contract' AND name LIKE 'hc\_%';
SELECT outbox.redrive(contract => 'hc_thing');
SELECT outbox.replay('hints_lug', event_type => 'HcThingMode', rate => -1);

SELECT outbox.drop_contract('hc_thing');
SELECT outbox.drop_sink('hints_log');
DROP SCHEMA hc CASCADE;
