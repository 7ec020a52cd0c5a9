-- What is published does not depend on what a session has set: every setting that a user may change is pinned, or
-- harmless for a reason (needs test functions)
SET client_min_messages = warning;
SET search_path = public;
CREATE FUNCTION outbox_test_pinned() RETURNS TABLE (name text, value text)
    LANGUAGE c AS 'outbox_ext', 'outbox_test_pinned';

-- A setting that neither list has is a decision to be taken. Does it change the value of an expression, or which rows
-- a query gives? Then src/contract/environment/settings.c pins it.
CREATE TABLE harmless (pattern text PRIMARY KEY, reason text NOT NULL);
INSERT INTO harmless VALUES
    ('outbox\..*', 'our own; what a contract''s code may see of them is the writer''s by design'),
    ('application_name', 'only what asks for it by name sees it, as it sees session_user'),
    ('client_encoding', 'texts are converted on the way to the client'),
    ('client_min_messages', 'pinned beside the others: nothing but errors is sent'),
    ('max_parallel_workers_per_gather', 'pinned beside the others: no parallel workers'),
    ('lc_messages', 'the language of messages, in dead letters too'),
    ('log_.*|debug_.*|trace_.*|track_.*|timing_clock_source|backtrace_functions|event_source|exit_on_error|update_process_title|compute_query_id', 'what the server writes down about itself'),
    ('log_parameter_max_length_on_error', 'as above'),
    ('(enable|geqo|jit|parallel|min_parallel|force_parallel|cpu|seq|random|min_eager_agg)_.*|geqo|jit|effective_.*|(from|join)_collapse_limit|cursor_tuple_fraction|recursive_worktable_factor|max_parallel_.*|default_statistics_target|stats_fetch_consistency|optimize_bounded_sort',
        'how a query is run, not what it gives; where a plan matters src/contract/plan/planner_world.c pins it'),
    ('(maintenance_)?work_mem|hash_mem_multiplier|temp_(buffers|file_limit|tablespaces)|logical_decoding_work_mem|max_stack_depth|maintenance_io_concurrency|backend_flush_after|io_.*|file_copy_method|file_extend_method|synchronize_seqscans',
        'resources; the order of rows that no ORDER BY promises'),
    ('(statement|lock|transaction|deadlock|idle_in_transaction_session|idle_session|wal_sender|wal_receiver)_timeout|client_connection_check_interval|tcp_.*',
        'how long the writer waits for his own statement; transaction_timeout, which acts at once, is refused to code'),
    ('commit_.*|synchronous_commit|wal_.*|vacuum_.*|gin_pending_list_limit|default_(tablespace|table_access_method|toast_compression)|allow_in_place_tablespaces|ignore_checksum_failure|zero_damaged_pages',
        'how the server stores what is written'),
    ('default_transaction_.*', 'transactions to come'),
    ('transaction_.*', 'what the writer''s transaction is, by design'),
    ('session_replication_role', 'whether triggers fire, ours too'),
    ('check_function_bodies|escape_string_warning|icu_validation_level|password_encryption|scram_iterations|createrole_self_grant|event_triggers|allow_(system_table_mods|alter_system)|lo_compat_privileges|md5_password_warnings',
        'what DDL says and refuses, or a message that is not sent'),
    ('(local|session|shared)_preload_libraries|dynamic_library_path|extension_(destdir|control_path)|output_plugin_libraries', 'where code is loaded from, which a user may not change in effect'),
    ('restrict_nonsystem_relation_kind', 'pinned where the server has it'),
    ('composite_type_mismatch', 'whether a broken row type is an error, for superusers');
\echo neither pinned nor harmless (settings of extensions have two parts and stay as the writer has them)
SELECT name, context FROM pg_settings s
WHERE context IN ('user', 'superuser') AND (name NOT LIKE '%.%' OR name LIKE 'outbox.%')
    AND NOT EXISTS (SELECT FROM harmless h WHERE s.name ~ ('^(' || h.pattern || ')$'))
    AND NOT EXISTS (SELECT FROM outbox_test_pinned() p WHERE lower(p.name) = lower(s.name))
ORDER BY name;
\echo pinned settings have the values that are pinned, and those only (where this server has them)
CREATE FUNCTION seen(id int) RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT string_agg(p.name || ': ' || current_setting(p.name), ', ') FROM public.outbox_test_pinned() p
            WHERE current_setting(p.name, true) <> p.value);
END $$;
CREATE TABLE looked (id int PRIMARY KEY);
CREATE VIEW looked_v AS SELECT id, seen(id) AS different FROM looked;
SELECT outbox.create_contract('es_look', view => 'looked_v', source => 'looked', key => '{id}');
SELECT outbox.create_event_type('EsLook', contract => 'es_look', emit => 'created');
SELECT outbox.enable('es_look');
-- as different as they can be
SET quote_all_identifiers = on; SET DateStyle = 'German'; SET IntervalStyle = 'sql_standard'; SET TimeZone = 'Asia/Kolkata';
SET timezone_abbreviations = 'Australia'; SET extra_float_digits = -3; SET bytea_output = 'escape'; SET xmlbinary = hex;
SET xmloption = document; SET array_nulls = off; SET default_text_search_config = 'pg_catalog.german';
-- PostgreSQL 19 has no other strings
SELECT current_setting('server_version_num')::int < 190000 AS other_strings \gset
\if :other_strings
SET standard_conforming_strings = off;
\endif
SET backslash_quote = on; SET transform_null_equals = on; SET row_security = off;
SET gin_fuzzy_search_limit = 5; SET constraint_exclusion = on; SET plan_cache_mode = force_generic_plan;
SET lc_monetary = 'POSIX'; SET lc_numeric = 'POSIX'; SET lc_time = 'POSIX';
INSERT INTO looked VALUES (1);
\echo the session has its own again
SELECT count(*) AS taken_away FROM outbox_test_pinned() p WHERE current_setting(p.name, true) = p.value AND p.name <> 'restrict_nonsystem_relation_kind'
    AND (p.name <> 'standard_conforming_strings' OR :'other_strings');
RESET ALL;
SET client_min_messages = warning;
SELECT payload FROM outbox.event_json WHERE contract = 'es_look';
SELECT message FROM outbox.dead_letter WHERE contract = 'es_look';

\echo what is parsed: the text of a condition, a check and a key_query mean the same in every session
CREATE TABLE parsed (id int PRIMARY KEY, phone text);
CREATE VIEW parsed_v AS SELECT id, phone FROM parsed;
\if :other_strings
SET standard_conforming_strings = off;
\endif
SET transform_null_equals = on;
SELECT outbox.create_contract('es_parse', view => 'parsed_v', source => 'parsed', key => '{id}');
SELECT outbox.create_event_type('EsPhone', contract => 'es_parse', emit => 'created', condition => E'new.phone ~ \'^\\d+$\'');
SELECT outbox.create_event_type('EsAll', contract => 'es_parse', emit => 'created');
SELECT outbox.create_event_type('EsNull', contract => 'es_parse', emit => 'created', condition => 'old.phone = NULL');
SELECT outbox.add_check('EsAll', 'digits', E'phone ~ \'\\d\'');
SELECT outbox.enable('es_parse');
RESET ALL;
SET client_min_messages = warning;
\c -
\if :other_strings
SET standard_conforming_strings = off;
\endif
SET transform_null_equals = on;
INSERT INTO parsed VALUES (1, '12345');
\c -
INSERT INTO parsed VALUES (2, '12345');
SELECT type, aggregateid FROM outbox.event_json WHERE contract = 'es_parse' ORDER BY seq;
SELECT event_type, message FROM outbox.dead_letter WHERE contract = 'es_parse';

\echo what is run: one value per row, whatever the session has set
SET client_min_messages = warning;
CREATE TABLE run (id int PRIMARY KEY, b bytea, x text, ts text, arr text, m money, f float8, i interval, d date);
CREATE FUNCTION es_via_function(date, float8, money, bytea) RETURNS text LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN format('%s %s %s %s', $1, $2, $3, $4); END $$;
CREATE VIEW run_v AS SELECT id, ts::timestamptz AS at, arr::text[] AS tags, to_tsvector(x)::text AS words, m::numeric(12,2) AS price,
    f::text AS float_text, i::text AS interval_text, d::text AS date_text, b::text AS bytes, to_char(1.5, '9D9') AS number, 'run'::regclass::text AS name,
    quote_ident(x) AS quoted, to_json(d)::text AS json, concat(f, d, b) AS mixed, ARRAY[f]::text AS floats, ROW(d, f)::text AS record,
    to_char(d::timestamp, 'TMMonth') AS month, point(f, f)::text AS point, es_via_function(d, f, m, b) AS by_function FROM run;
SELECT outbox.create_contract('es_run', view => 'run_v', source => 'run', key => '{id}');
SELECT outbox.create_event_type('EsRun', contract => 'es_run', emit => 'always');
SELECT outbox.enable('es_run');
-- the same, read at commit
SELECT outbox.create_contract('es_read', view => 'run_v', source => 'run', key => '{id}', evaluate => 'commit');
SELECT outbox.create_event_type('EsRead', contract => 'es_read', emit => 'always');
SELECT outbox.enable('es_read');
SET outbox.test_mode = on;
INSERT INTO run VALUES (1, '\x00ff', 'cat dogs', '2024-01-01 10:00 EST', '{a,b}', 12.34, 0.1 + 0.2, '1 day 2 hours', '2024-02-01');
DO $$
DECLARE
    pair text;
BEGIN
    FOREACH pair IN ARRAY ARRAY['DateStyle=German', 'IntervalStyle=sql_standard', 'TimeZone=Asia/Kolkata', 'timezone_abbreviations=Australia',
        'extra_float_digits=-3', 'bytea_output=escape', 'array_nulls=off', 'quote_all_identifiers=on', 'default_text_search_config=english',
        'search_path=pg_temp', 'lc_monetary=POSIX', 'lc_time=POSIX', 'transform_null_equals=on',
        CASE WHEN current_setting('server_version_num')::int < 190000 THEN 'standard_conforming_strings=off' ELSE 'backslash_quote=on' END] LOOP
        PERFORM set_config(split_part(pair, '=', 1), split_part(pair, '=', 2), true);
        UPDATE public.run SET id = id + 1;
        PERFORM outbox.flush();
        PERFORM set_config(split_part(pair, '=', 1), r.reset_val, true) FROM pg_settings r WHERE lower(r.name) = lower(split_part(pair, '=', 1));
    END LOOP;
END $$;
SELECT contract, count(*) AS events, count(DISTINCT payload - 'id') AS payloads FROM outbox.event_json WHERE contract IN ('es_run', 'es_read') GROUP BY contract;
SELECT count(DISTINCT payload - 'id') AS payloads FROM outbox.event_json WHERE contract IN ('es_run', 'es_read');
SELECT DISTINCT message FROM outbox.dead_letter WHERE contract = 'es_run';
SELECT jsonb_pretty(payload) FROM outbox.event_json WHERE contract = 'es_run' ORDER BY seq LIMIT 1;

SELECT outbox.drop_contract(name) FROM outbox.contract WHERE name LIKE 'es\_%';
DROP TABLE looked, parsed, run, harmless CASCADE;
DROP FUNCTION outbox_test_pinned(), seen(int), es_via_function(date, float8, money, bytea);
