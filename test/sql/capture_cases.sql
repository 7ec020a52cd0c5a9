-- Corners that an old application uses: COPY FREEZE, disabled and always-firing triggers, odd session settings, parallel plans, strict isolation, virtual columns.
SET client_min_messages = warning;
CREATE SCHEMA cc;
SET search_path = cc, public;
CREATE TABLE item (id int PRIMARY KEY, d date, ts timestamp, tz timestamptz, f float8, i interval, t text COLLATE "C");
-- every expression depends on some setting of the session, unless capture pins it
CREATE VIEW item_v AS SELECT id, d::text AS d, ts::timestamptz AS ts, tz::text AS tz, f::text AS f, f AS raw, i::text AS i,
    date_trunc('day', tz) AS day, to_char(tz, 'TMDay OF') AS spoken, upper(t) AS t FROM item;
SELECT outbox.create_contract('cc_item', view => 'item_v', source => 'item', key => '{id}');
SELECT outbox.create_event_type('CcItem', contract => 'cc_item', emit => 'created');
SELECT outbox.create_event_type('CcGone', contract => 'cc_item', emit => 'deleted');
SELECT outbox.enable('cc_item');

\echo the same row gives the same bytes in every session
CREATE PROCEDURE put() LANGUAGE sql AS $$
    DELETE FROM cc.item;
    INSERT INTO cc.item VALUES (1, '2024-02-29', '2024-03-10 02:30', '2024-03-10 06:30+00', 1.0 / 3, '1 mon 2 days 03:04:05.6', 'straße');
$$;
CALL put();
SET DateStyle = 'German, DMY';
SET TimeZone = 'America/New_York';
SET extra_float_digits = -15;
SET IntervalStyle = 'sql_standard';
SET bytea_output = 'escape';
SET lc_time = 'C';
SET search_path = pg_temp;
SET default_transaction_read_only = off;
SET transform_null_equals = on;
-- PostgreSQL 19 has no other strings
SELECT current_setting('server_version_num')::int < 190000 AS other_strings \gset
\if :other_strings
SET standard_conforming_strings = off;
\endif
CALL cc.put();
SET search_path = '';
SET TimeZone = 'Asia/Kathmandu';
SET DateStyle = 'Postgres, MDY';
CALL cc.put();
RESET ALL;
SET client_min_messages = warning;
SET search_path = cc, public;
SELECT count(*), count(DISTINCT payload), count(DISTINCT aggregateid) FROM outbox.event WHERE type = 'CcItem';
SELECT payload FROM outbox.event_json WHERE type = 'CcItem' LIMIT 1;

\echo COPY FREEZE into a table that was emptied in the same transaction: rows, and a gap for what was there before
BEGIN;
TRUNCATE item;
COPY item (id, t) FROM stdin WITH (FREEZE);
10	frozen
11	frozen
\.
COMMIT;
SELECT aggregateid, headers FROM outbox.event_json WHERE type = 'CcItem' AND aggregateid IN ('10', '11') ORDER BY seq;
SELECT contract, source, reason FROM outbox.gap WHERE contract = 'cc_item';
DELETE FROM outbox.gap;

\echo DISABLE TRIGGER: no event, status says so; ENABLE ALWAYS captures in the replica role, also TRUNCATE
ALTER TABLE item DISABLE TRIGGER USER;
INSERT INTO item (id) VALUES (20);
SELECT state FROM outbox.status WHERE name = 'cc_item';
ALTER TABLE item ENABLE TRIGGER USER;
INSERT INTO item (id) VALUES (21);
ALTER TABLE item ENABLE ALWAYS TRIGGER "!outbox_cc_item", ENABLE ALWAYS TRIGGER "!outbox!cc_item";
SELECT state, advice FROM outbox.status WHERE name = 'cc_item';
SET session_replication_role = replica;
INSERT INTO item (id) VALUES (22);
TRUNCATE item;
RESET session_replication_role;
INSERT INTO item (id) VALUES (23);
ALTER TABLE item ENABLE REPLICA TRIGGER "!outbox_cc_item";
INSERT INTO item (id) VALUES (24);
SELECT state FROM outbox.status WHERE name = 'cc_item';
ALTER TABLE item ENABLE TRIGGER "!outbox_cc_item", ENABLE TRIGGER "!outbox!cc_item";
SELECT aggregateid FROM outbox.event WHERE type = 'CcItem' AND aggregateid IN ('20', '21', '22', '23', '24') ORDER BY seq;
SELECT reason FROM outbox.gap WHERE contract = 'cc_item';
DELETE FROM outbox.gap;

\echo a parallel query in a transaction whose events are still in memory
CREATE TABLE lot AS SELECT i AS id, 'text ' || i AS t FROM generate_series(1000, 3999) i;
ANALYZE lot;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 2;
CREATE FUNCTION plan_is_parallel(query text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    plan json;
BEGIN
    EXECUTE 'EXPLAIN (FORMAT json) ' || query INTO plan;
    RETURN plan::text LIKE '%Gather%';
END $$;
SELECT plan_is_parallel('SELECT count(*) FROM cc.lot WHERE length(t) > 3');
BEGIN;
INSERT INTO item (id, t) SELECT i, 'before' FROM generate_series(100, 199) i;
SELECT count(*) FROM lot WHERE length(t) > 3;
INSERT INTO item (id, t) SELECT i, 'after' FROM generate_series(200, 299) i;
COMMIT;
SELECT count(*), count(DISTINCT aggregateid) FROM outbox.event WHERE type = 'CcItem' AND aggregateid::int BETWEEN 100 AND 299;
\echo a contract is read by a parallel plan, too: decode() keeps its part of it in the leader
SELECT outbox.create_code_map('cc', '{"1": "one"}');
CREATE VIEW lot_v AS SELECT id, outbox.decode('cc', (id % 2)::text) AS word, t FROM lot;
SELECT word, count(*) FROM lot_v GROUP BY 1 ORDER BY 1;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;
RESET max_parallel_workers_per_gather;
SELECT outbox.drop_code_map('cc');

\echo SERIALIZABLE and REPEATABLE READ writers, read-only ones, and cursors
DELETE FROM item;
BEGIN ISOLATION LEVEL SERIALIZABLE;
INSERT INTO item (id, t) VALUES (30, 'serializable');
SAVEPOINT a;
INSERT INTO item (id, t) VALUES (31, 'not kept');
ROLLBACK TO a;
COMMIT;
BEGIN ISOLATION LEVEL REPEATABLE READ;
DECLARE c CURSOR FOR SELECT id FROM item ORDER BY id FOR UPDATE;
FETCH c;
DELETE FROM item WHERE CURRENT OF c;
COMMIT;
BEGIN READ ONLY;
SELECT count(*) FROM item;
COMMIT;
SELECT type, aggregateid FROM outbox.event WHERE type LIKE 'Cc%' AND aggregateid IN ('30', '31') ORDER BY seq;

\echo a virtual generated column is refused where PostgreSQL has it
CREATE FUNCTION virtual_column() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('server_version_num')::int >= 180000 THEN
        EXECUTE 'CREATE TABLE virtual (id int PRIMARY KEY, twice int GENERATED ALWAYS AS (id * 2) VIRTUAL)';
        EXECUTE 'CREATE VIEW virtual_v AS SELECT id, twice FROM virtual';
        PERFORM outbox.create_contract('cc_virtual', view => 'virtual_v', source => 'virtual', key => '{id}', evaluate => 'row');
        RETURN 'accepted';
    END IF;
    RETURN 'the view "virtual_v" cannot be evaluated per row';
EXCEPTION WHEN feature_not_supported THEN
    RETURN SQLERRM;
END $$;
SELECT virtual_column();

SELECT outbox.drop_contract('cc_item');
DROP SCHEMA cc CASCADE;
