-- The assertions for pgTAP pass when they should, fail when they should, and say what was there.
\set ON_ERROR_STOP on
\set QUIET on
\pset format unaligned
\pset tuples_only on
\pset pager off
SET client_min_messages = warning;
CREATE SCHEMA tapped;
CREATE TABLE tapped.parcel (no int PRIMARY KEY, weight numeric(8,2), code text, note text);
CREATE TABLE tapped.leg (parcel_no int, leg int, city text, PRIMARY KEY (parcel_no, leg));
CREATE VIEW tapped.parcel_v AS SELECT no AS parcel_id, weight, outbox.decode('tapped', code) AS status FROM tapped.parcel;
CREATE VIEW tapped.leg_v AS SELECT leg, city FROM tapped.leg;
CREATE VIEW tapped.route_v AS SELECT p.no AS parcel_id, (SELECT count(*) FROM tapped.leg l WHERE l.parcel_no = p.no) AS legs FROM tapped.parcel p;
DO $do$ BEGIN
    PERFORM outbox.create_code_map('tapped', '{"P": "PACKED"}');
    PERFORM outbox.create_contract('tapped', view => 'tapped.parcel_v', source => 'tapped.parcel', key => '{parcel_id}', required => '{weight}');
    PERFORM outbox.create_event_type('TappedMade', contract => 'tapped', emit => 'created');
    PERFORM outbox.create_event_type('TappedGone', contract => 'tapped', emit => 'deleted');
    PERFORM outbox.create_contract('tapped_route', view => 'tapped.route_v', source => 'tapped.parcel', key => '{parcel_id}');
    PERFORM outbox.add_source('tapped_route', 'tapped.leg', key_query => 'row.parcel_no');
    PERFORM outbox.create_event_type('RouteChanged', contract => 'tapped_route', emit => 'changed');
    PERFORM outbox.enable('tapped'), outbox.enable('tapped_route');
END $do$;
-- another transaction's events and dead letters are nobody's business
INSERT INTO tapped.parcel VALUES (1, 2, 'P', ''), (2, NULL, 'P', '');

-- ---- events --------------------------------------------------------------------------------------

BEGIN;
SELECT * FROM no_plan();
SET LOCAL outbox.test_mode = on;
SELECT check_test(outbox.tap_event('TappedMade', '{"parcel_id": 1}'), false, 'tap_event: an event of another transaction', 'TappedMade of {"parcel_id": 1}',
    E'expected: TappedMade {"parcel_id": 1}\n     got: no such event');
SELECT check_test(outbox.tap_dead_letter('tapped'), false, 'tap_dead_letter: of another transaction', 'dead letter of tapped ',
    E'expected: any key any stage: %\n     got: no dead letter');
SELECT check_test(outbox.tap_no_event('tapped'), true, 'tap_no_event: none yet', 'no event of tapped {}');
SELECT check_test(outbox.tap_events('tapped', '{}'), true, 'tap_events: none yet', 'events of tapped');
INSERT INTO tapped.parcel VALUES (3, 4, 'P', ''), (4, NULL, 'P', ''), (5, 0.5, 'Q', '');
SAVEPOINT s;
INSERT INTO tapped.parcel VALUES (6, 7, 'P', '');
ROLLBACK TO s;
RELEASE s;
INSERT INTO tapped.leg VALUES (1, 1, 'Bern');
SELECT check_test(outbox.tap_event('TappedMade', '{"parcel_id": 3}', '{"weight": 4.00, "status": "PACKED"}'), true, 'tap_event: it is there');
SELECT check_test(outbox.tap_event('TappedMade', '{"parcel_id": 3}', '{"weight": 5}'), false, 'tap_event: with another value', 'TappedMade of {"parcel_id": 3}',
    E'expected: TappedMade {"weight": 5, "parcel_id": 3}\n'
    '     got: TappedMade {"status": "PACKED", "weight": 4.00, "parcel_id": 3}\n     got: TappedMade {"status": null, "weight": 0.50, "parcel_id": 5}');
SELECT check_test(outbox.tap_event('TappedMade', '{"parcel_id": 6}'), false, 'tap_event: of a savepoint that was rolled back');
SELECT check_test(outbox.tap_event('RouteChanged', '{"parcel_id": 1}', '{"legs": 1}'), true, 'tap_event: of a contract that is evaluated at commit');
SELECT check_test(outbox.tap_events('tapped', '{TappedMade,TappedMade}'), true, 'tap_events: all of them');
SELECT check_test(outbox.tap_events('tapped', '{TappedMade}'), false, 'tap_events: one more than expected', 'events of tapped',
    E'expected: {TappedMade}\n     got: {TappedMade,TappedMade}');
SELECT check_test(outbox.tap_no_event('tapped', '{"parcel_id": 4}'), true, 'tap_no_event: none of this key');
SELECT check_test(outbox.tap_no_event('tapped', '{"parcel_id": 3}'), false, 'tap_no_event: there is one', 'no event of tapped {"parcel_id": 3}',
    E'expected: no event\n     got: TappedMade {"status": "PACKED", "weight": 4.00, "parcel_id": 3}');
SELECT check_test(outbox.tap_dead_letter('tapped', '{"parcel_id": 4}', 'encode', '%weight%'), true, 'tap_dead_letter: it is there');
SELECT check_test(outbox.tap_dead_letter('tapped'), true, 'tap_dead_letter: any');
SELECT check_test(outbox.tap_dead_letter('tapped', '{"parcel_id": 4}', 'map'), false, 'tap_dead_letter: of another stage', 'dead letter of tapped {"parcel_id": 4}',
    E'expected: {"parcel_id": 4} map: %\n     got: {"parcel_id": 4} encode: required column "weight" is NULL');
SELECT throws_ok($$SELECT outbox.tap_event('TapedMade', '{}')$$, '42704', 'event type "TapedMade" does not exist', 'tap_event: a name that there is not');
SELECT throws_ok($$SELECT outbox.tap_no_event('taped')$$, '42704', 'contract "taped" does not exist', 'tap_no_event: a name that there is not');
SELECT throws_ok($$SELECT outbox.tap_no_event('tapped', '{"no": 1}')$$, '22023', '{"no": 1} has other columns than the key of contract "tapped"',
    'tap_no_event: what no event has');
SELECT throws_ok($$SELECT outbox.tap_events('taped', '{}')$$, '42704', 'contract "taped" does not exist', 'tap_events: a name that there is not');
SELECT throws_ok($$SELECT outbox.tap_dead_letter('taped')$$, '42704', 'contract "taped" does not exist', 'tap_dead_letter: a name that there is not');
SET LOCAL outbox.test_mode = off;
SELECT throws_ok($$SELECT outbox.tap_events('tapped', '{}')$$, '55000', NULL, 'without outbox.test_mode the hint says so');

-- ---- the contract --------------------------------------------------------------------------------

SELECT check_test(outbox.tap_preview_clean('tapped'), false, 'tap_preview_clean: a row without weight', 'every row of tapped can be published',
    (SELECT E'expected: no row with an error' || string_agg(format(E'\n     got: 2 rows, %s encode: required column "weight" is NULL, for example {"parcel_id": 2}', t), '')
     FROM unnest('{TappedMade,TappedGone}'::text[]) t));
SELECT check_test(outbox.tap_codes_known('tapped'), false, 'tap_codes_known: a code without a word', 'every code of tapped has a word',
    E'expected: no unknown code\n     got: 1 rows: unknown codes, which are published as null: "Q" of code map "tapped", for example {"parcel_id": 5}');
DELETE FROM tapped.parcel WHERE weight IS NULL OR code = 'Q';
SELECT check_test(outbox.tap_preview_clean('tapped'), true, 'tap_preview_clean: no such row');
SELECT check_test(outbox.tap_codes_known('tapped'), true, 'tap_codes_known: no such code');
SELECT check_test(outbox.tap_covers('tapped.parcel', '{note}'), true, 'tap_covers: all but one that is known');
SELECT check_test(outbox.tap_covers('tapped.parcel'), false, 'tap_covers: one that nobody has decided about', 'every column of tapped.parcel is published',
    E'expected: no column without a field\n     got: note');
ALTER TABLE tapped.parcel ADD COLUMN extra int;
SELECT check_test(outbox.tap_covers('tapped.parcel', '{note}'), false, 'tap_covers: a column that was added', 'every column of tapped.parcel is published',
    E'expected: no column without a field\n     got: extra');
SELECT throws_ok($$SELECT outbox.tap_covers('tapped.parcel', '{nothing,note}')$$, '42703', 'table tapped.parcel has no column nothing', 'tap_covers: a column that there is not');
SELECT check_test(outbox.tap_schema('TappedMade', 1, fingerprint), true, 'tap_schema: as it is pinned') FROM outbox.catalog WHERE event_type = 'TappedMade';
SELECT check_test(outbox.tap_schema('TappedMade', 1, 7), false, 'tap_schema: another one', 'schema of TappedMade, version 1',
    format(E'expected: 7\n     got: %s', fingerprint)) FROM outbox.catalog WHERE event_type = 'TappedMade';
SELECT check_test(outbox.tap_schema('TappedMade', 9, 7), false, 'tap_schema: no such version', 'schema of TappedMade, version 9',
    E'expected: 7\n     got: no such version is pinned');
SELECT check_test(outbox.tap_compatible('tapped'), true, 'tap_compatible: the view is as it was');
DO $do$ BEGIN
    PERFORM outbox.disable('tapped');
    DROP VIEW tapped.route_v CASCADE;
    ALTER VIEW tapped.parcel_v RENAME COLUMN weight TO mass;
    UPDATE outbox.contract SET required = '{parcel_id,mass}' WHERE name = 'tapped';
END $do$;
SELECT check_test(outbox.tap_compatible('tapped'), false, 'tap_compatible: a field that got another name', 'consumers of tapped can read what its view gives',
    (SELECT 'expected: no difference that enable() refuses' || string_agg(format(E'\n     got: %s against version 1, %s: FIELD_NO_DEFAULT %s: not written, and the reader has no default', t, d, f), '')
     FROM unnest('{TappedMade,TappedGone}'::text[]) t, (VALUES ('backward', 'mass'), ('forward', 'weight')) v (d, f)));
SELECT * FROM finish(true);
ROLLBACK;

DO $do$ BEGIN PERFORM outbox.drop_contract('tapped'), outbox.drop_contract('tapped_route'), outbox.drop_code_map('tapped'); END $do$;
DROP SCHEMA tapped CASCADE;
