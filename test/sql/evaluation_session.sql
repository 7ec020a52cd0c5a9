-- Code behind a contract gets nothing of the writer's session and leaves nothing in it; nor of whoever creates,
-- previews or redrives a contract
SET client_min_messages = warning;
CREATE ROLE ev_owner; CREATE ROLE ev_admin SUPERUSER;
CREATE SCHEMA ev AUTHORIZATION ev_owner; GRANT USAGE ON SCHEMA ev TO PUBLIC;
CREATE TABLE ev.src (id int PRIMARY KEY, mode text);
CREATE TABLE ev.heard (who text, what text);
GRANT ALL ON ev.src, ev.heard TO ev_owner;
CREATE SEQUENCE ev.seq OWNED BY NONE; ALTER SEQUENCE ev.seq OWNER TO ev_owner;
SET ROLE ev_owner;

-- what a function does, by the row's mode; it says who it was when that is not its owner
CREATE FUNCTION ev.act(mode text) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE result text := mode;
BEGIN
    IF current_user <> 'ev_owner' THEN RAISE EXCEPTION 'runs as %', current_user; END IF;
    CASE split_part(mode, ' ', 1)
        WHEN 'set' THEN PERFORM set_config('search_path', 'ev, pg_catalog', false), set_config('TimeZone', 'Asia/Kolkata', false),
                set_config('client_min_messages', 'debug1', false), set_config('lc_monetary', 'POSIX', false);
        WHEN 'set-and-raise' THEN PERFORM set_config('search_path', 'ev, pg_catalog', false), set_config('client_min_messages', 'debug1', false),
                set_config('lc_monetary', 'POSIX', false), set_config('default_text_search_config', 'pg_catalog.german', false); RAISE 'no';
        WHEN 'query' THEN result := current_query();
        WHEN 'statements' THEN SELECT string_agg(statement, ';') INTO result FROM pg_prepared_statements;
        WHEN 'cursors' THEN SELECT string_agg(c.statement, ';') INTO result FROM pg_cursors c;
        WHEN 'lock' THEN PERFORM pg_advisory_lock(4711);
        WHEN 'try' THEN PERFORM pg_try_advisory_xact_lock_shared(47, 11);
        WHEN 'nextval' THEN PERFORM nextval('ev.seq');
        WHEN 'setval' THEN PERFORM setval('ev.seq', 100);
        WHEN 'lastval' THEN PERFORM lastval();
        WHEN 'seed' THEN PERFORM setseed(0.5);
        WHEN 'notify' THEN PERFORM pg_notify('ev', 'x');
        WHEN 'execute' THEN EXECUTE substr(mode, 9);
        WHEN 'role' THEN PERFORM set_config('role', 'ev_admin', false);
        WHEN 'session' THEN PERFORM set_config('session_authorization', 'ev_admin', false);
        WHEN 'app' THEN result := concat_ws(' ', current_setting('app.user', true), session_user = current_setting('app.session'));
        ELSE NULL;
    END CASE;
    RETURN coalesce(result, 'nothing');
END $$;
CREATE FUNCTION ev.ok(mode text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM ev.act(mode); RETURN true; END $$;
CREATE FUNCTION ev.said(mode text) RETURNS text LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN ev.act(mode); END $$;
CREATE DOMAIN ev.checked AS text CHECK (ev.ok(VALUE));
CREATE VIEW ev.per_row AS SELECT id, ev.said(mode) AS said FROM ev.src;
-- no function is named here
CREATE VIEW ev.by_domain AS SELECT id, (mode::ev.checked)::text AS said FROM ev.src;
CREATE VIEW ev.by_array AS SELECT id, (ARRAY[mode]::ev.checked[])::text[] AS said FROM ev.src;
RESET ROLE;
SELECT outbox.create_contract('ev_row', view => 'ev.per_row', source => 'ev.src', key => '{id}');
SELECT outbox.create_contract('ev_domain', view => 'ev.by_domain', source => 'ev.src', key => '{id}');
SELECT outbox.create_contract('ev_array', view => 'ev.by_array', source => 'ev.src', key => '{id}');
SELECT outbox.create_contract('ev_commit', view => 'ev.per_row', source => 'ev.src', key => '{id}', evaluate => 'commit', aggregate_type => 'ev_commit');
SELECT outbox.create_event_type('Ev_' || c, contract => 'ev_' || c, emit => 'created'), outbox.enable('ev_' || c) FROM unnest('{row,domain,array,commit}'::text[]) c;
CREATE FUNCTION outcome(what text) RETURNS TABLE (contract text, said text) LANGUAGE plpgsql AS $$
DECLARE seen bigint := coalesce((SELECT max(seq) FROM outbox.event), 0);
        letters bigint := coalesce((SELECT max(id) FROM outbox.dead_letter), 0);
BEGIN
    INSERT INTO ev.src SELECT coalesce(max(id), 0) + 1, what FROM ev.src;
    PERFORM outbox.flush();
    RETURN QUERY SELECT e.contract, e.payload->>'said' FROM outbox.event_json e WHERE e.seq > seen
        UNION ALL SELECT l.contract, 'ERROR: ' || l.message FROM outbox.dead_letter l WHERE l.id > letters ORDER BY 1;
END $$;
SET outbox.test_mode = on;
\pset format unaligned
\pset tuples_only on
\echo nothing of the session is changed, also when the code raises
SET lc_monetary = 'C.UTF-8'; SET default_text_search_config = 'pg_catalog.english';
SELECT * FROM outcome('set');
SELECT * FROM outcome('set-and-raise');
SELECT name, setting FROM pg_settings WHERE name IN ('search_path', 'client_min_messages', 'lc_monetary', 'default_text_search_config', 'max_parallel_workers_per_gather') ORDER BY name;
RESET lc_monetary; RESET default_text_search_config;
BEGIN;
SAVEPOINT s;
SELECT * FROM outcome('set-and-raise') LIMIT 1;
ROLLBACK TO s;
SELECT current_query();
SHOW client_min_messages;
COMMIT;
\echo the statement, prepared ones and cursors are hidden
PREPARE secret AS SELECT 'secret';
DECLARE secret CURSOR WITH HOLD FOR SELECT 'secret';
SELECT * FROM outcome('query');
SELECT * FROM outcome('statements');
SELECT * FROM outcome('cursors');
CLOSE secret; DEALLOCATE secret;
SELECT current_query() LIKE '%current_query%' AS own_again;
\echo what no rollback takes back is refused
SELECT m, o.said FROM unnest('{lock,try,nextval,setval,lastval,seed}'::text[]) m, outcome(m) o WHERE o.contract = 'ev_row';
SELECT o.* FROM outcome('notify') o;
SELECT m, o.said FROM unnest(ARRAY['execute LISTEN x', 'execute SET CONSTRAINTS ALL IMMEDIATE', 'execute PREPARE x AS SELECT 1', 'execute LOCK TABLE ev.src',
    'execute CREATE TEMP TABLE x ()', 'execute DISCARD ALL', 'execute SET TRANSACTION READ ONLY', 'execute DO $x$BEGIN END$x$', 'execute DECLARE x CURSOR WITH HOLD FOR SELECT 1',
    'execute SET LOCAL work_mem = ''1MB''', 'role', 'session']) m, outcome(m) o WHERE o.contract = 'ev_domain';
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory';
SELECT last_value, is_called FROM ev.seq;
\echo settings of two parts and the user of the session are those of the writer, by design
SELECT set_config('app.session', session_user, false), set_config('app.user', 'me', false);
SELECT * FROM outcome('app');

\echo parsing and planning run code as the owner of the view, whoever asks for it
SET ROLE ev_owner;
CREATE FUNCTION ev.folded(x int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM ev.note('folded'); RETURN x; END $$;
CREATE FUNCTION ev.note(what text) RETURNS void LANGUAGE plpgsql VOLATILE AS $$ BEGIN INSERT INTO ev.heard VALUES (current_user, what); END $$;
CREATE FUNCTION ev.literal(x text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM ev.note('literal'); RETURN true; END $$;
CREATE DOMAIN ev.noted AS text CHECK (ev.literal(VALUE));
CREATE TYPE ev.noted_pair AS (a ev.noted);
CREATE VIEW ev.plans AS SELECT id, mode, ev.folded(1) AS version, '(x)'::ev.noted_pair AS pair FROM ev.src;
CREATE VIEW ev.plans_commit AS SELECT s.id, s.mode, ev.folded(1) AS version FROM ev.src s WHERE s.id > ev.folded(0);
RESET ROLE;
CREATE FUNCTION as_whom(command text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM ev.heard;
    BEGIN
        EXECUTE command;
    EXCEPTION WHEN OTHERS THEN RETURN command || ' → ' || SQLERRM;
    END;
    RETURN command || ' → ' || coalesce((SELECT string_agg(DISTINCT who, ' ') FROM ev.heard), 'runs nothing');
END $$;
SELECT as_whom(c) FROM unnest(ARRAY[
    $$SELECT outbox.create_contract('ev_plan', view => 'ev.plans', source => 'ev.src', key => '{id}')$$,
    $$SELECT outbox.create_event_type('EvPlan', contract => 'ev_plan', emit => 'created', condition => 'new.mode <> (''x''::ev.noted)::text AND ev.folded(2) = 2')$$,
    $$SELECT outbox.add_check('EvPlan', 'c', 'mode <> (''x''::ev.noted)::text')$$,
    $$SELECT outbox.avro_schema('EvPlan')$$,
    $$SELECT outbox.preview('ev_plan')$$,
    $$SELECT outbox.validate('ev_plan')$$,
    $$SELECT outbox.enable('ev_plan')$$,
    $$INSERT INTO ev.src VALUES (1000, 'x')$$,
    $$SELECT outbox.create_contract('ev_plan_commit', view => 'ev.plans_commit', source => 'ev.src', key => '{id}', evaluate => 'commit')$$,
    $$SELECT outbox.create_event_type('EvPlanCommit', contract => 'ev_plan_commit', emit => 'always')$$,
    $$SELECT outbox.add_source('ev_plan_commit', 'ev.heard', key_query => 'CASE WHEN ev.folded(3) = 3 AND row.who <> (''x''::ev.noted)::text THEN 1 END')$$,
    $$SELECT outbox.preview('ev_plan_commit')$$,
    $$SELECT outbox.enable('ev_plan_commit')$$
]) c;

\echo a key that is read from a dead letter is checked by its domain as the owner
SET ROLE ev_owner;
CREATE FUNCTION ev.key_ok(x int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN IF current_user <> 'ev_owner' THEN RAISE 'checked as %', current_user; END IF; RETURN true; END $$;
RESET ROLE;
CREATE DOMAIN ev.key AS int;
CREATE TABLE ev.keyed (id ev.key PRIMARY KEY, n int);
GRANT SELECT ON ev.keyed TO ev_owner;
SET ROLE ev_owner;
CREATE VIEW ev.keyed_v AS SELECT id, 1 / n AS share FROM ev.keyed;
RESET ROLE;
SELECT outbox.create_contract('ev_keyed', view => 'ev.keyed_v', source => 'ev.keyed', key => '{id}', evaluate => 'commit');
SELECT outbox.create_event_type('EvKeyed', contract => 'ev_keyed', emit => 'created');
SELECT outbox.enable('ev_keyed');
INSERT INTO ev.keyed VALUES (1, 0);
UPDATE ev.keyed SET n = 1;
ALTER DOMAIN ev.key ADD CHECK (ev.key_ok(VALUE)) NOT VALID;
SELECT outbox.redrive(contract => 'ev_keyed');
SELECT state, message FROM outbox.dead_letter WHERE contract = 'ev_keyed';

SELECT outbox.drop_contract(name) FROM outbox.contract WHERE name LIKE 'ev\_%';
DROP FUNCTION outcome, as_whom;
DROP SCHEMA ev CASCADE;
DROP ROLE ev_owner, ev_admin;
