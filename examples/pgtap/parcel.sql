-- A test of a contract, for pg_prove: copy it, put your tables and your migration in the place of the ones here.
--   pg_prove --dbname shop_test parcel.sql
-- All is in one transaction that is rolled back. The database has the extensions pgtap and outbox_ext.
\set ON_ERROR_STOP on
\set QUIET on
\pset format unaligned
\pset tuples_only on
\pset pager off
BEGIN;
SET LOCAL client_min_messages = warning;
SET LOCAL outbox.test_mode = on;
SET LOCAL outbox.namespace = 'shop';
SELECT no_plan();

-- The application's tables, and the migration under test: with \i in a test of yours.
CREATE SCHEMA shop;
SET LOCAL search_path = shop, public;
CREATE TABLE prcl (prcl_no int PRIMARY KEY, wgt numeric(8,2), stat_cd char(1) NOT NULL, rmk text, mod_tms timestamp);
DO $migration$ BEGIN
    PERFORM outbox.create_code_map('parcel_status', '{"P": "PACKED", "L": "LOST"}');
    CREATE VIEW parcel_v1 AS SELECT prcl_no AS parcel_id, wgt AS weight, outbox.decode('parcel_status', stat_cd) AS status FROM prcl;
    PERFORM outbox.create_contract('parcel', view => 'parcel_v1', source => 'prcl', key => '{parcel_id}', required => '{weight}');
    PERFORM outbox.create_event_type('ParcelPacked', contract => 'parcel', emit => 'created');
    PERFORM outbox.create_event_type('ParcelLost', contract => 'parcel', emit => 'changed', condition => $$new.status = 'LOST' AND old.status <> 'LOST'$$);
    PERFORM outbox.enable('parcel');
END $migration$;

-- The application at work.
INSERT INTO prcl VALUES (1, 2.5, 'P'), (2, NULL, 'P'), (3, 4, 'P');
UPDATE prcl SET stat_cd = 'L' WHERE prcl_no = 1;
UPDATE prcl SET mod_tms = now() WHERE wgt IS NOT NULL;

-- What consumers get.
SELECT outbox.tap_event('ParcelPacked', '{"parcel_id": 1}', '{"weight": 2.5, "status": "PACKED"}');
SELECT outbox.tap_event('ParcelLost', '{"parcel_id": 1}');
SELECT outbox.tap_events('parcel', '{ParcelPacked,ParcelPacked,ParcelLost}');
SELECT outbox.tap_no_event('parcel', '{"parcel_id": 2}');
SELECT outbox.tap_dead_letter('parcel', '{"parcel_id": 2}', 'encode', '%"weight" is NULL');

-- What the contract is: a change of the schema is a change of this line, which a reviewer sees.
SELECT outbox.tap_schema('ParcelLost', 1, -6462722546848223397);
SELECT outbox.tap_compatible('parcel');
-- Every column is published, but those that somebody has decided about.
SELECT outbox.tap_covers('prcl', '{rmk,mod_tms}');
-- All rows that there are; run these in a copy of production, too.
DELETE FROM prcl WHERE wgt IS NULL;
SELECT outbox.tap_preview_clean('parcel');
SELECT outbox.tap_codes_known('parcel');

SELECT finish(true);
ROLLBACK;
