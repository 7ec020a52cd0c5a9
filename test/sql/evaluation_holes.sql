-- Code behind a contract that a list of known functions does not name: what it does to the session is undone all the same,
-- and what makes it run later is noticed
SET client_min_messages = warning;
CREATE ROLE eh_owner;
CREATE SCHEMA eh AUTHORIZATION eh_owner;
CREATE TABLE eh.src (id int PRIMARY KEY, word text);
GRANT ALL ON eh.src TO eh_owner;
SET ROLE eh_owner;

\echo settings that were changed directly, by code that a function finds by a name in the row
CREATE FUNCTION eh.set_all() RETURNS int LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM set_config('search_path', 'eh, pg_catalog', false), set_config('lc_monetary', 'POSIX', false), set_config('lc_numeric', 'POSIX', false),
        set_config('lc_time', 'POSIX', false), set_config('default_text_search_config', 'pg_catalog.german', false),
        set_config('client_min_messages', 'debug1', false), set_config('max_parallel_workers_per_gather', '7', false), set_config('app.eh', 'forged', false);
    RETURN 1;
END $$;
CREATE FUNCTION eh.set_and_raise() RETURNS int LANGUAGE plpgsql VOLATILE AS $$ BEGIN PERFORM eh.set_all(); RAISE 'no'; END $$;
CREATE VIEW eh.sets AS SELECT eh.set_all();
CREATE VIEW eh.raises AS SELECT eh.set_and_raise();
CREATE FUNCTION eh.look(name text) RETURNS int LANGUAGE plpgsql STABLE AS $$ DECLARE n int; BEGIN EXECUTE 'SELECT * FROM ' || name INTO n; RETURN n; END $$;
CREATE VIEW eh.by_name AS SELECT id, eh.look(word) AS said FROM eh.src;
RESET ROLE;
CREATE FUNCTION settings() RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(name || '=' || setting, ' ' ORDER BY name) || ' ' || current_setting('app.eh')
    FROM pg_settings WHERE name IN ('search_path', 'lc_monetary', 'lc_numeric', 'lc_time', 'default_text_search_config', 'client_min_messages', 'max_parallel_workers_per_gather') $$;
SELECT outbox.create_contract('eh_name', view => 'eh.by_name', source => 'eh.src', key => '{id}');
SELECT outbox.create_event_type('EhName', contract => 'eh_name', emit => 'created');
SELECT outbox.enable('eh_name');
-- nothing else is left to pin
SET DateStyle = 'ISO, YMD'; SET IntervalStyle = iso_8601; SET TimeZone = 'UTC';
SET lc_monetary = 'C.UTF-8'; SET lc_numeric = 'C.UTF-8'; SET lc_time = 'C.UTF-8'; SET app.eh = 'mine';
SELECT settings() AS before \gset
INSERT INTO eh.src VALUES (1, 'eh.sets');
INSERT INTO eh.src VALUES (2, 'eh.raises');
INSERT INTO eh.src VALUES (3, 'eh.nowhere');
SELECT settings() = :'before' AS unchanged;
BEGIN;
SET LOCAL search_path = eh, public; SET LOCAL lc_time = 'C';
SAVEPOINT s;
INSERT INTO eh.src VALUES (4, 'eh.sets');
ROLLBACK TO s;
INSERT INTO eh.src VALUES (5, 'eh.sets'), (6, 'eh.raises');
SHOW search_path;
SHOW lc_time;
COMMIT;
SELECT settings() = :'before' AS unchanged;
SELECT count(*) FILTER (WHERE message NOT LIKE '%nowhere%') AS others, count(*) AS letters FROM outbox.dead_letter WHERE contract = 'eh_name';
SELECT outbox.drop_contract('eh_name');
TRUNCATE eh.src;
RESET ALL;
SET client_min_messages = warning;

\echo a type that gets code after a contract was compiled, wherever the type is
SET ROLE eh_owner;
CREATE FUNCTION eh.act(what text) RETURNS void LANGUAGE plpgsql VOLATILE AS $$ BEGIN
    PERFORM set_config('app.eh', what, false);
    RAISE NOTICE 'heard by the %', what;
    IF current_query() IS NOT NULL THEN RAISE 'the % knows the statement', what; END IF;
END $$;
CREATE FUNCTION eh.ok(x text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM eh.act('check'); RETURN true; END $$;
CREATE TYPE eh.label AS ENUM ('a', 'b');
CREATE FUNCTION eh.to_json(x eh.label) RETURNS json LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM eh.act('cast'); RETURN '"by cast"'; END $$;
CREATE DOMAIN eh.inner AS text; CREATE DOMAIN eh.outer AS eh.inner;
CREATE TYPE eh.pair AS (x int, y eh.outer);
CREATE TYPE eh.pairs AS (list eh.pair[]);
CREATE VIEW eh.v_domain AS SELECT id, (word::eh.outer)::text AS said FROM eh.src;
CREATE VIEW eh.v_array AS SELECT id, (('{' || word || '}')::eh.outer[])::text AS said FROM eh.src;
CREATE VIEW eh.v_row AS SELECT id, (ROW(id, word)::eh.pair)::text AS said FROM eh.src;
CREATE VIEW eh.v_text AS SELECT id, ('("{""(1,' || word || ')""}")')::eh.pairs::text AS said FROM eh.src;
CREATE VIEW eh.v_json AS SELECT id, to_json(word::eh.label)::text AS said FROM eh.src;
CREATE VIEW eh.v_populate AS SELECT id, jsonb_populate_record(NULL::eh.pair, jsonb_build_object('x', 1, 'y', word))::text AS said FROM eh.src;
RESET ROLE;
SELECT outbox.create_contract(v, view => 'eh.' || v, source => 'eh.src', key => '{id}'), outbox.create_event_type(v, contract => v, emit => 'created'), outbox.enable(v)
FROM unnest('{v_domain,v_array,v_row,v_text,v_json,v_populate}'::text[]) v;
-- a key_query, whose keys are made of the type
CREATE TABLE eh.child (src int, word text);
GRANT SELECT ON eh.child TO eh_owner;
SELECT outbox.create_contract('v_commit', view => 'eh.v_domain', source => 'eh.src', key => '{id}', evaluate => 'commit', aggregate_type => 'v_commit');
SELECT outbox.add_source('v_commit', 'eh.child', key_query => 'CASE WHEN (''{'' || row.word || ''}'')::eh.outer[] IS NOT NULL THEN row.src END');
SELECT outbox.create_event_type('v_commit', contract => 'v_commit', emit => 'always'), outbox.enable('v_commit');
SET DateStyle = 'ISO, YMD'; SET IntervalStyle = iso_8601; SET TimeZone = 'UTC'; SET app.eh = 'mine'; SET client_min_messages = notice;
INSERT INTO eh.src VALUES (1, 'a');
INSERT INTO eh.child VALUES (1, 'a');
SET ROLE eh_owner;
CREATE CAST (eh.label AS json) WITH FUNCTION eh.to_json(eh.label);
ALTER DOMAIN eh.inner ADD CHECK (eh.ok(VALUE)) NOT VALID;
RESET ROLE;
INSERT INTO eh.src VALUES (2, 'a');
INSERT INTO eh.child VALUES (2, 'b');
SHOW app.eh;
SELECT type, aggregateid, payload->>'said' AS said FROM outbox.event_json WHERE contract LIKE 'v\_%' AND aggregateid = '2' AND type = 'v_json';
SELECT contract, message FROM outbox.dead_letter WHERE contract LIKE 'v\_%';
SET client_min_messages = warning;
SELECT outbox.drop_contract(name) FROM outbox.contract WHERE name LIKE 'v\_%';
RESET ALL;
SET client_min_messages = warning;

\echo a view that is created again, by whoever may: parsing its constants runs code of its owner
SET ROLE eh_owner;
CREATE FUNCTION eh.ok(x int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN true; END $$;
CREATE DOMAIN eh.number AS int CHECK (eh.ok(VALUE));
CREATE VIEW eh.again AS SELECT id, word, '{5}'::eh.number[] AS numbers FROM eh.src;
RESET ROLE;
SELECT outbox.create_contract('eh_again', view => 'eh.again', source => 'eh.src', key => '{id}');
SELECT outbox.create_event_type('EhAgain', contract => 'eh_again', emit => 'created'), outbox.enable('eh_again');
SELECT count(*) AS views FROM outbox.detach('eh.src');
SET ROLE eh_owner;
CREATE TABLE eh.asked (what text);
CREATE FUNCTION eh.ask() RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM eh.set_all(), set_config('client_min_messages', 'error', false);
    INSERT INTO eh.asked VALUES (concat_ws(' ', current_user, left(current_query(), 11)));
    IF current_setting('app.lock', true) = 'on' THEN PERFORM pg_advisory_lock(4711); END IF;
    IF current_setting('app.seed', true) = 'on' THEN PERFORM setseed(0.5); END IF;
END $$;
CREATE OR REPLACE FUNCTION eh.ok(x int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM eh.ask(); RETURN true; END $$;
RESET ROLE;
-- an event trigger may go on with what the database does at every command
CREATE TABLE eh.ddl_log (id int GENERATED ALWAYS AS IDENTITY, number bigserial, tag text);
GRANT INSERT ON eh.ddl_log TO PUBLIC; GRANT USAGE ON SEQUENCE eh.ddl_log_number_seq TO PUBLIC;
CREATE FUNCTION eh_log() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO eh.ddl_log (tag) VALUES (tg_tag);
    EXECUTE 'GRANT SELECT ON eh.again TO PUBLIC';
    PERFORM pg_notify('eh', tg_tag);
END $$;
CREATE EVENT TRIGGER eh_log ON ddl_command_end WHEN TAG IN ('CREATE VIEW') EXECUTE FUNCTION eh_log();
SET DateStyle = 'ISO, YMD'; SET IntervalStyle = iso_8601; SET TimeZone = 'UTC'; SET app.eh = 'mine';
SELECT settings() AS before \gset
SET app.lock = on;
SELECT outbox.reattach('eh.src');
SET app.lock = off; SET app.seed = on;
SELECT outbox.reattach('eh.src');
SET app.seed = off;
SELECT settings() = :'before' AS unchanged, (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory') AS locks;
SELECT count(*) AS views FROM outbox.reattach('eh.src');
SELECT settings() = :'before' AS unchanged;
SELECT DISTINCT what FROM eh.asked;
SELECT tag, number > 0 AS numbered FROM eh.ddl_log;
DROP EVENT TRIGGER eh_log;
DROP FUNCTION eh_log();
SELECT outbox.drop_contract('eh_again');
RESET ALL;
SET client_min_messages = warning;

\echo numbers of identity columns, which lastval() would report to the writer
SET ROLE eh_owner;
CREATE TABLE eh.numbered (id bigint GENERATED ALWAYS AS IDENTITY, x text);
CREATE TABLE eh.plain (x text);
CREATE FUNCTION eh.write(command text) RETURNS void LANGUAGE plpgsql VOLATILE AS $$ BEGIN EXECUTE command; END $$;
CREATE FUNCTION eh.written(command text) RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
    PERFORM eh.write(command);
    RETURN 'done';
EXCEPTION WHEN OTHERS THEN RETURN SQLERRM;
END $$;
CREATE VIEW eh.writes AS SELECT id, eh.written(word) AS said FROM eh.src;
INSERT INTO eh.numbered (x) VALUES ('a');
RESET ROLE;
SELECT outbox.create_contract('eh_writes', view => 'eh.writes', source => 'eh.src', key => '{id}');
SELECT outbox.create_event_type('EhWrites', contract => 'eh_writes', emit => 'created'), outbox.enable('eh_writes');
CREATE SEQUENCE eh.app START 500;
SELECT nextval('eh.app');
TRUNCATE eh.src;
INSERT INTO eh.src SELECT row_number() OVER (), c FROM unnest(ARRAY[
    $$INSERT INTO eh.numbered (x) VALUES ('a')$$,
    $$INSERT INTO eh.numbered (x) VALUES ('a'), ('b')$$,
    $$INSERT INTO eh.numbered (x) SELECT x FROM eh.plain$$,
    $$WITH n AS (INSERT INTO eh.numbered (x) VALUES ('a') RETURNING x) SELECT x FROM n$$,
    $$UPDATE eh.numbered SET id = DEFAULT$$,
    $$MERGE INTO eh.numbered n USING (SELECT 'b' AS x) s ON n.x = s.x WHEN NOT MATCHED THEN INSERT (x) VALUES ('b')$$,
    $$UPDATE eh.numbered SET x = 'c'$$,
    $$DELETE FROM eh.numbered$$,
    $$INSERT INTO eh.plain VALUES ('a')$$]) c;
SELECT aggregateid, payload->>'said' AS said FROM outbox.event_json WHERE contract = 'eh_writes' ORDER BY seq;
SELECT message FROM outbox.dead_letter WHERE contract = 'eh_writes';
SELECT lastval();
SELECT outbox.drop_contract('eh_writes');

\echo the clock of a transaction (older servers have none)
SELECT count(set_config(name, '1h', false)) IN (0, 1) AS set FROM pg_settings WHERE name = 'transaction_timeout';
SET ROLE eh_owner;
CREATE FUNCTION eh.hurry(millis text) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM set_config('transaction_timeout', millis, true);
END $$;
DO $$
BEGIN
    EXECUTE format($f$CREATE FUNCTION eh.hurry() RETURNS void LANGUAGE plpgsql VOLATILE %s AS $b$ BEGIN PERFORM eh.hurry('1'); END $b$ $f$,
        (SELECT 'SET transaction_timeout = 1' FROM pg_settings WHERE name = 'transaction_timeout'));
END $$;
CREATE FUNCTION eh.hurried(millis text) RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF millis = '' THEN PERFORM eh.hurry(); ELSE PERFORM eh.hurry(millis); END IF;
    RETURN 'set';
EXCEPTION WHEN OTHERS THEN RETURN SQLERRM ~ '^(transaction_timeout cannot be set while|unrecognized configuration parameter)';
END $$;
CREATE VIEW eh.hurries AS SELECT id, eh.hurried(word) AS said FROM eh.src;
CREATE VIEW eh.hurries_late AS SELECT id, eh.hurried(word) AS said FROM eh.src;
RESET ROLE;
SELECT outbox.create_contract('eh_hurries', view => 'eh.hurries', source => 'eh.src', key => '{id}');
SELECT outbox.create_contract('eh_hurries_late', view => 'eh.hurries_late', source => 'eh.src', key => '{id}', evaluate => 'commit');
SELECT outbox.create_event_type('EhHurries' || c, contract => 'eh_hurries' || c, emit => 'created') FROM unnest('{"",_late}'::text[]) c;
SELECT outbox.enable('eh_hurries'), outbox.enable('eh_hurries_late');
TRUNCATE eh.src;
INSERT INTO eh.src VALUES (1, '1'), (2, '0'), (3, '1d'), (4, '');
SELECT type, aggregateid, payload->>'said' AS refused FROM outbox.event_json WHERE contract LIKE 'eh_hurries%' ORDER BY type, seq;
SELECT coalesce(current_setting('transaction_timeout', true), '1h') AS kept;
SELECT outbox.drop_contract('eh_hurries'), outbox.drop_contract('eh_hurries_late');

\echo large objects that the writer has open are his; by their oids they are for whoever has the rights
SET ROLE eh_owner;
CREATE FUNCTION eh.large(call text) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    result text;
BEGIN
    EXECUTE 'SELECT ' || call INTO result;
    RETURN 'done';
EXCEPTION WHEN OTHERS THEN RETURN SQLERRM;
END $$;
CREATE FUNCTION eh.enlarged(call text) RETURNS text LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN eh.large(call); END $$;
CREATE VIEW eh.larges AS SELECT id, eh.enlarged(word) AS said FROM eh.src;
SELECT lo_from_bytea(0, 'his') AS his \gset
RESET ROLE;
SELECT lo_from_bytea(0, 'secret') AS secret, lo_from_bytea(0, 'mine') AS mine \gset
SELECT outbox.create_contract('eh_larges', view => 'eh.larges', source => 'eh.src', key => '{id}');
SELECT outbox.create_contract('eh_larges_c', view => 'eh.larges', source => 'eh.src', key => '{id}', evaluate => 'commit');
SELECT outbox.create_event_type('EhLarges', contract => 'eh_larges', emit => 'created'), outbox.create_event_type('EhLargesC', contract => 'eh_larges_c', emit => 'created'),
    outbox.enable('eh_larges'), outbox.enable('eh_larges_c');
TRUNCATE eh.src;
BEGIN;
SELECT lo_open(:secret, x'40000'::int), lo_open(:mine, x'60000'::int);
INSERT INTO eh.src SELECT row_number() OVER (), replace(replace(c, 'SECRET', :'secret'), 'HIS', :'his')
FROM unnest('{"loread(0, 10)","lowrite(1, ''forged'')","lo_lseek(0, 3, 0)","lo_lseek64(0, 3, 0)",lo_tell(0),lo_tell64(0),"lo_truncate(1, 0)","lo_truncate64(1, 0)",lo_close(0),
    "lo_open(HIS, 262144)","lo_get(SECRET) IS NULL","lo_get(HIS)"}'::text[]) WITH ORDINALITY u (c, n);
SELECT loread(0, 10), lo_tell(1);
COMMIT;
SELECT DISTINCT contract, replace(payload->>'said', :'secret', 'SECRET') AS said FROM outbox.event_json WHERE contract LIKE 'eh_larges%' ORDER BY 1, 2;
SELECT message FROM outbox.dead_letter WHERE contract LIKE 'eh_larges%';
SELECT lo_get(:mine), lo_unlink(:mine), lo_unlink(:secret), lo_unlink(:his);
SELECT outbox.drop_contract('eh_larges'), outbox.drop_contract('eh_larges_c');

DROP FUNCTION settings();
DROP SCHEMA eh CASCADE;
DROP ROLE eh_owner;
