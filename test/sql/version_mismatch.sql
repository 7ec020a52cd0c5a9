-- Library and SQL objects of different versions: configuration is refused, capture goes on, status says what to do.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE TABLE mismatch (id int PRIMARY KEY, v text);
CREATE VIEW mismatch_v AS SELECT id, v FROM mismatch;
SELECT outbox.create_contract('mismatch', view => 'mismatch_v', source => 'mismatch', key => '{id}');
SELECT outbox.create_event_type('MismatchSeen', contract => 'mismatch', emit => 'created');
SELECT outbox.add_check('MismatchSeen', 'short', 'length(v) < 10');
SELECT outbox.enable('mismatch');
SELECT extversion = outbox_internal.library_version() AS same FROM pg_extension WHERE extname = 'outbox_ext';

UPDATE pg_extension SET extversion = '0.0.9' WHERE extname = 'outbox_ext';

\echo what a function says when it is called with plausible values; NULL: nothing
CREATE FUNCTION pg_temp.outcome(function regprocedure) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    arguments text;
BEGIN
    SELECT string_agg(CASE t::regtype::text WHEN 'text[]' THEN '''{x}''::text[]' WHEN 'integer[]' THEN '''{1}''::int[]' WHEN 'jsonb' THEN '''{"x": "y"}''::jsonb'
                      WHEN 'bytea' THEN '''x''::bytea' WHEN 'text' THEN '''x''::text'
                      WHEN 'timestamp with time zone' THEN 'now()' WHEN 'interval' THEN '''1 s''::interval'
                      WHEN 'uuid' THEN 'gen_random_uuid()' WHEN 'xid8' THEN '''1''::xid8' ELSE '1::' || t::regtype END, ', ' ORDER BY o)
    INTO arguments FROM unnest((SELECT proargtypes::oid[] FROM pg_proc WHERE oid = function)) WITH ORDINALITY AS a (t, o);
    EXECUTE format('SELECT count(*) FROM %s(%s)', function::regproc, arguments);
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    RETURN sqlstate || ' ' || sqlerrm;
END $$;
\echo functions that answer all the same: what status and events are made of
SELECT oid::regprocedure FROM pg_proc
WHERE pronamespace IN ('outbox'::regnamespace, 'outbox_internal'::regnamespace) AND prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)
AND pg_temp.outcome(oid) IS DISTINCT FROM format('55000 extension outbox_ext has version 0.0.9 in this database, but the loaded library has version %s',
                                                 outbox_internal.library_version())
ORDER BY oid::regprocedure::text COLLATE "C";

\echo the remedy
SELECT replace(advice, outbox_internal.library_version(), 'N') AS advice, state FROM outbox.status WHERE kind = 'extension';
SELECT state, advice FROM outbox.status WHERE name = 'mismatch';

\echo capture goes on, also in a session that compiles the contract now
INSERT INTO mismatch VALUES (1, 'one');
\c -
SET client_min_messages = warning;
INSERT INTO mismatch VALUES (2, 'two');
SELECT aggregateid, payload FROM outbox.event_json WHERE type = 'MismatchSeen' ORDER BY seq;
SELECT count(*) FROM outbox.dead_letter WHERE contract = 'mismatch';

\echo a newer script has appended columns that this library does not know
BEGIN;
ALTER EVENT TRIGGER outbox_refuse_ddl DISABLE;
SELECT string_agg(format('ALTER TABLE outbox_internal.%s ADD COLUMN newer_%s text', t, i), ';') AS newer
FROM unnest('{gap,dead_letter_entry}'::text[]) t, generate_series(1, 30) i \gset
:newer;
INSERT INTO mismatch VALUES (3, 'much too long');
TRUNCATE mismatch;
SELECT reason, num_nulls(newer_1, newer_15, newer_30) FROM outbox_internal.gap WHERE contract = 'mismatch';
SELECT stage, num_nulls(newer_1, newer_15, newer_30) FROM outbox_internal.dead_letter_entry WHERE contract = 'mismatch';
ROLLBACK;

UPDATE pg_extension SET extversion = outbox_internal.library_version() WHERE extname = 'outbox_ext';
SELECT state <> 'version mismatch' AS well FROM outbox.status WHERE kind = 'extension';
SELECT outbox.drop_contract('mismatch');
DROP TABLE mismatch CASCADE;
