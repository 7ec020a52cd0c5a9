-- Versions at their edges: retired while keys wait, changed for all at once, created again, exported.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE SCHEMA ve;
SET search_path = ve;
CREATE TABLE ordr (no int PRIMARY KEY, st text, nm text);
CREATE TABLE line (ordr_no int, pos int, PRIMARY KEY (ordr_no, pos));
CREATE VIEW full_1 AS SELECT no AS id, st AS status, (SELECT count(*) FROM line l WHERE l.ordr_no = o.no) AS lines FROM ordr o;
CREATE VIEW full_2 AS SELECT no AS id, st AS state, (SELECT count(*) FROM line l WHERE l.ordr_no = o.no) AS lines FROM ordr o;
SELECT outbox.create_contract('ve_full', view => 'full_1', source => 'ordr', key => '{id}', evaluate => 'commit');
SELECT outbox.add_source('ve_full', source => 'line', key_query => 'row.ordr_no');
SELECT outbox.create_event_type('VeFull', contract => 've_full', emit => 'always');
SELECT outbox.enable('ve_full');
SELECT outbox.add_version('ve_full', view => 'full_2', publish => 'beside');
SELECT outbox.enable('ve_full');
CREATE VIEW seen AS SELECT topic, count(*), count(DISTINCT e.id) AS ids FROM outbox.event e JOIN outbox.event_schema s ON s.id = e.schema_id
WHERE s.contract = 've_full' GROUP BY topic;

\echo == the first version is retired while keys wait: the other makes its event once
BEGIN;
INSERT INTO ordr VALUES (1, 'N', 'a');
SELECT outbox.retire_version('ve_full', 1, force => true);
COMMIT;
SELECT * FROM seen ORDER BY topic COLLATE "C";
INSERT INTO line VALUES (1, 1);
SELECT * FROM seen ORDER BY topic COLLATE "C";

\echo == what is changed for all versions must do in all of them
CREATE VIEW row_1 AS SELECT no AS id, st AS status FROM ordr;
CREATE VIEW row_2 AS SELECT no AS id, st AS state FROM ordr;
SELECT outbox.create_contract('ve_row', view => 'row_1', source => 'ordr', key => '{id}');
SELECT outbox.create_event_type('VeMade', contract => 've_row', emit => 'created');
SELECT outbox.create_event_type('VeChanged', contract => 've_row', emit => 'changed');
SELECT outbox.enable('ve_row');
SELECT outbox.add_version('ve_row', view => 'row_2', publish => 'beside');
SELECT outbox.create_event_type('VeNew', contract => 've_row', emit => 'created', versions => '{2}');
SELECT outbox.enable('ve_row');
SELECT outbox.alter_event_type('VeMade', condition => 'new.status <> ''X''');
SELECT outbox.alter_event_type('VeMade', headers => '{status}');
SELECT outbox.create_event_type('VeNew', contract => 've_row', emit => 'created', versions => '{1}', or_replace => true);
SELECT outbox.create_event_type('VeNew', contract => 've_row', emit => 'created', versions => '{2}', or_replace => true);
INSERT INTO ordr VALUES (2, 'N', 'b');
SELECT contract, version, message FROM outbox.dead_letter WHERE contract LIKE 've%';

\echo == the export names the version that is published, with what it has of its own
SELECT outbox.alter_event_type('VeMade', version => 1, condition => 'new.status = ''N''');
SELECT regexp_replace(line, E'\\s+', ' ', 'g') FROM regexp_split_to_table(outbox.export_config(), E'\n') AS line WHERE line ~ 've_row|VeMade|VeNew|first of its versions';

\echo == letters of a later version, when the contract was dropped and created again
SELECT outbox.retire_version('ve_row', 1, force => true);
SET outbox.ddl_check = off;
ALTER VIEW row_2 RENAME COLUMN state TO lost;
RESET outbox.ddl_check;
INSERT INTO ordr VALUES (3, 'N', 'c');
SELECT contract, version, stage, state FROM outbox.dead_letter WHERE contract = 've_row';
ALTER VIEW row_2 RENAME COLUMN lost TO state;
BEGIN;
SELECT outbox.drop_contract('ve_row');
SELECT outbox.create_contract('ve_row', view => 'row_2', source => 'ordr', key => '{id}', compatibility => 'NONE');
SELECT outbox.create_event_type('VeMade', contract => 've_row', emit => 'created');
SELECT outbox.create_event_type('VeNew', contract => 've_row', emit => 'created');
SELECT outbox.enable('ve_row');
COMMIT;
SELECT outbox.redrive(contract => 've_row') > 0 AS redriven;
SELECT contract, version, stage, state FROM outbox.dead_letter WHERE contract = 've_row';
SELECT outbox.drop_contract('ve_full'), outbox.drop_contract('ve_row');
