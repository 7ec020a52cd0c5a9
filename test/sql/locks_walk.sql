-- A flush walks over all keys of its transaction several times: each walk can be cancelled. Needs test functions.
SET client_min_messages = warning;
CREATE FUNCTION lw_walk() RETURNS int LANGUAGE c AS 'outbox_ext', 'outbox_test_cancelled_walk';
CREATE TABLE lw (id int PRIMARY KEY);
CREATE VIEW lw_v AS SELECT id FROM lw;
SELECT outbox.create_contract('lw', view => 'lw_v', source => 'lw', key => '{id}', evaluate => 'commit');
SELECT outbox.create_event_type('Lw', contract => 'lw', emit => 'created');
SELECT outbox.enable('lw');
BEGIN;
INSERT INTO lw SELECT generate_series(1, 1000);
SAVEPOINT before;
SELECT lw_walk();
ROLLBACK TO before;
COMMIT;
SELECT count(*) FROM outbox.event WHERE type = 'Lw';
SELECT outbox.drop_contract('lw');
DROP TABLE lw CASCADE;
DROP FUNCTION lw_walk;
