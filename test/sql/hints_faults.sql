-- create_event_type() and add_source() name all faults in one error; when the hints of all were followed there is none.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE SCHEMA hf;
SET search_path = hf;
CREATE TABLE ordr (id int PRIMARY KEY, a int, previous_a int);
CREATE TABLE line (no int PRIMARY KEY, ordr_id int, n int);
CREATE INDEX ON line (ordr_id);
CREATE VIEW ordr_v AS SELECT o.id, o.a, o.previous_a, (SELECT sum(l.n) FROM line l WHERE l.ordr_id = o.id) AS total FROM ordr o;
SELECT outbox.create_contract('hf_ordr', view => 'hf.ordr_v', source => 'hf.ordr', key => '{id}');
SELECT outbox.create_event_type('HfTaken', contract => 'hf_ordr', emit => 'created');

\echo == an event type
SELECT outbox.create_event_type('HfTaken', contract => 'hf_ordr', emit => 'sometimes', topic => '', tombstone => 'after',
	condition => 'new.totl > 1', previous => '{total,nothing,never,a,total}');
SELECT outbox.create_event_type('9', contract => 'hf_ordr', emit => 'deleted', tombstone => 'perhaps');
SELECT outbox.create_event_type('HfFree', contract => 'hf_ordr', emit => 'deleted', topic => 'hf', tombstone => 'after',
	condition => 'old.total > 1', previous => '{total}');
\echo one fault is told as it is
SELECT outbox.create_event_type('HfOther', contract => 'hf_ordr', emit => 'created', tombstone => 'after');

\echo == a source
CREATE VIEW line_v AS SELECT * FROM line;
SELECT outbox.add_source('hf_ordr', 'hf.line_v', key_query => 'row.ordr', max_fanout => 0);
SELECT outbox.add_source('hf_ordr', 'hf.ordr', key_query => 'row.idd', max_fanout => 0);
SELECT outbox.add_source('hf_ordr', 'hf.line', key_query => 'row.ordr_id');
SELECT outbox.add_source('hf_ordr', 'hf.line', key_query => 'row.ordr_id', max_fanout => 1000001);
SELECT outbox.enable('hf_ordr');
INSERT INTO ordr VALUES (1, 1);
INSERT INTO line VALUES (1, 1, 5);
DELETE FROM ordr;
SELECT type, payload, headers FROM outbox.event_json WHERE contract = 'hf_ordr' ORDER BY seq;

CREATE VIEW row_v AS SELECT no, n FROM line;
SELECT outbox.create_contract('hf_row', view => 'hf.row_v', source => 'hf.line', key => '{no}');
SELECT outbox.add_source('hf_row', 'hf.row_v', key_query => 'nonsense', max_fanout => -1);

SELECT outbox.drop_contract('hf_row'), outbox.drop_contract('hf_ordr');
RESET search_path;
DROP SCHEMA hf CASCADE;
