-- The assertions for pgTAP with the rights of an admin, with pgTAP in another schema, and without it.
\set ON_ERROR_STOP on
\set QUIET on
\pset format unaligned
\pset tuples_only on
\pset pager off
SET client_min_messages = warning;
BEGIN;
SET LOCAL outbox.test_mode = on;
SET LOCAL search_path = pg_catalog;
CREATE SCHEMA "Tap 1";
ALTER EXTENSION pgtap SET SCHEMA "Tap 1";
-- a function of somebody else, which a search by name alone would find
CREATE ROLE tapped_admin;
CREATE ROLE tapped_stranger;
CREATE SCHEMA elsewhere AUTHORIZATION tapped_stranger;
CREATE FUNCTION elsewhere.ok(boolean, text) RETURNS text LANGUAGE sql AS $$SELECT 'not ok - the wrong function'$$;
CREATE FUNCTION elsewhere.diag(text) RETURNS text LANGUAGE sql AS $$SELECT 'not ok - the wrong function'$$;
ALTER FUNCTION elsewhere.ok OWNER TO tapped_stranger;
ALTER FUNCTION elsewhere.diag OWNER TO tapped_stranger;
GRANT USAGE ON SCHEMA "Tap 1", elsewhere TO PUBLIC;

CREATE SCHEMA tapped_too;
CREATE TABLE tapped_too.parcel (no int PRIMARY KEY, weight numeric(8,2));
CREATE VIEW tapped_too.parcel_v AS SELECT no AS parcel_id, weight FROM tapped_too.parcel;
DO $do$ BEGIN
    PERFORM outbox.create_contract('tapped_too', view => 'tapped_too.parcel_v', source => 'tapped_too.parcel', key => '{parcel_id}');
    PERFORM outbox.create_event_type('TappedToo', contract => 'tapped_too', emit => 'created');
    PERFORM outbox.enable('tapped_too');
    PERFORM outbox.grant_access('tapped_admin', 'admin');
END $do$;
GRANT USAGE ON SCHEMA tapped_too TO tapped_admin;
GRANT INSERT ON tapped_too.parcel TO tapped_admin;

SET LOCAL ROLE tapped_admin;
SET LOCAL search_path = "Tap 1", pg_catalog;
SELECT * FROM no_plan();
INSERT INTO tapped_too.parcel VALUES (7, 1);
SELECT outbox.tap_event('TappedToo', '{"parcel_id": 7}');
SELECT outbox.tap_events('tapped_too', '{TappedToo}');
SELECT outbox.tap_covers('tapped_too.parcel');
SELECT is(current_setting('search_path'), '"Tap 1", pg_catalog', 'search_path is as it was');
SELECT * FROM finish(true);
RESET ROLE;

-- an EXCEPTION block, because throws_ok() is gone; where none is raised, this fails
DROP EXTENSION pgtap;
DO $do$ BEGIN
    SET LOCAL ROLE tapped_admin;
    PERFORM outbox.tap_result(true, '');
    RAISE 'tap_result() worked without pgTAP';
EXCEPTION WHEN undefined_function THEN
    IF sqlerrm <> 'pgTAP is not installed in this database' THEN
        RAISE;
    END IF;
END $do$;
-- functions of a superuser do as well
ALTER FUNCTION elsewhere.ok OWNER TO postgres;
ALTER FUNCTION elsewhere.diag OWNER TO postgres;
DO $do$ BEGIN
    IF outbox.tap_result(true, '') <> 'not ok - the wrong function' THEN
        RAISE 'the functions of a superuser were not found';
    END IF;
END $do$;
ROLLBACK;
