-- Collations of ICU: what they say does not reach a writer, what they refuse is a dead letter (needs test functions);
-- evaluation_icu_1.out is for a server built without ICU
SET client_min_messages = warning;
SET search_path = public;
SELECT count(*) = 0 AS no_icu FROM pg_collation WHERE collname = 'und-x-icu' \gset
\if :no_icu
\quit
\endif
CREATE COLLATION ei_nd (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE ei (id int PRIMARY KEY, t text, w text COLLATE "und-x-icu", n text COLLATE ei_nd);
CREATE FUNCTION outbox_test_traits(view oid) RETURNS int LANGUAGE c AS 'outbox_ext', 'outbox_test_traits';
CREATE VIEW ei_nd_equal AS SELECT t COLLATE ei_nd = 'a' AS x FROM ei;
CREATE VIEW ei_icu_less AS SELECT t COLLATE "und-x-icu" < 'a' AS x FROM ei;
SELECT v, outbox_test_traits(v) & 1024 <> 0 AS may_raise, outbox_test_traits(v) & 256 <> 0 AS speaks, outbox_test_traits(v) & (512 | 255) <> 0 AS else
FROM unnest('{ei_nd_equal,ei_icu_less}'::regclass[]) v;

\echo the version of a collation has changed: nobody who writes hears of it
CREATE VIEW ei_collation AS SELECT id, w < 'b' AS small, upper(w) AS big FROM ei;
SELECT outbox.create_contract('ei_' || e, view => 'ei_collation', source => 'ei', key => '{id}', evaluate => e, aggregate_type => 'ei_' || e),
    outbox.create_event_type('E' || e, contract => 'ei_' || e, emit => 'created'), outbox.enable('ei_' || e)
FROM unnest('{row,commit}'::text[]) e;
UPDATE pg_collation SET collversion = '0.0' WHERE collname = 'und-x-icu';
\c -
SET client_min_messages = debug1;
INSERT INTO ei VALUES (1, 'a', 'a');
SET client_min_messages = warning;
UPDATE pg_collation SET collversion = pg_collation_actual_version(oid) WHERE collname = 'und-x-icu';
SELECT contract, payload FROM outbox.event_json WHERE contract LIKE 'ei\_%' ORDER BY contract;

\echo what a collation refuses
CREATE VIEW ei_start AS SELECT id, starts_with(n, 'X') AS is_x FROM ei;
SELECT outbox.create_contract('ei_start', view => 'ei_start', source => 'ei', key => '{id}'), outbox.create_event_type('EStart', contract => 'ei_start', emit => 'created'), outbox.enable('ei_start');
INSERT INTO ei (id, n) VALUES (2, 'X');
SELECT contract, key, stage, sqlstate, message FROM outbox.dead_letter WHERE contract LIKE 'ei\_%' ORDER BY id;
SELECT outbox.drop_contract(name) FROM outbox.contract WHERE name LIKE 'ei\_%';
DROP TABLE ei CASCADE;
DROP COLLATION ei_nd;
DROP FUNCTION outbox_test_traits(oid);
