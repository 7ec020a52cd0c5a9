-- Code behind a contract that a list of known functions does not name: what it does to the session is undone all the same,
-- and what makes it run later is noticed
SET client_min_messages = warning;
CREATE ROLE eh_owner;
CREATE SCHEMA eh AUTHORIZATION eh_owner;
CREATE TABLE eh.src (id int PRIMARY KEY, word text);
GRANT ALL ON eh.src TO eh_owner;
SET ROLE eh_owner;

\echo settings that were changed directly, by code that a built-in function finds by itself
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
CREATE VIEW eh.by_xml AS SELECT id, table_to_xml(word::regclass, true, true, '') IS NOT NULL AS said FROM eh.src;
RESET ROLE;
CREATE FUNCTION settings() RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(name || '=' || setting, ' ' ORDER BY name) || ' ' || current_setting('app.eh')
    FROM pg_settings WHERE name IN ('search_path', 'lc_monetary', 'lc_numeric', 'lc_time', 'default_text_search_config', 'client_min_messages', 'max_parallel_workers_per_gather') $$;
SELECT outbox.create_contract('eh_xml', view => 'eh.by_xml', source => 'eh.src', key => '{id}');
SELECT outbox.create_event_type('EhXml', contract => 'eh_xml', emit => 'created');
SELECT outbox.enable('eh_xml');
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
SELECT count(*) FILTER (WHERE message NOT LIKE '%nowhere%') AS others, count(*) AS letters FROM outbox.dead_letter WHERE contract = 'eh_xml';
SELECT outbox.drop_contract('eh_xml');
TRUNCATE eh.src;
RESET ALL;
SET client_min_messages = warning;

DROP FUNCTION settings();
DROP SCHEMA eh CASCADE;
DROP ROLE eh_owner;
