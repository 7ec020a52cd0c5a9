-- What is not published does not keep back what is: a null value needs the key alone, an event what is now; contracts per row and at commit.
SET client_min_messages = warning;
CREATE SCHEMA ts;
SET search_path = ts, public;
CREATE TABLE sub (id int PRIMARY KEY, grp text, price numeric(10,2), ratio int, nm text, ends timestamptz, tags text[]);
CREATE TABLE tag (sub_id int, t text);
CREATE INDEX ON tag (sub_id);
CREATE VIEW sub_v AS SELECT id, grp, price, 100 / ratio AS share, nm FROM sub;
CREATE VIEW tagged_v AS SELECT s.id, s.grp, s.price, 100 / s.ratio AS share, s.nm, (SELECT count(*) FROM tag t WHERE t.sub_id = s.id) AS tags FROM sub s;
CREATE FUNCTION show(which text, OUT type text, OUT aggregateid text, OUT payload jsonb, OUT tombstone text, OUT error text) RETURNS SETOF record
LANGUAGE sql AS $$
    SELECT type, aggregateid, payload, headers->>'tombstone', error FROM outbox.event_json WHERE contract = which AND type !~ 'State$' ORDER BY seq
$$;
CREATE FUNCTION make(c text, v text, agg text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM outbox.create_contract(c, view => v, source => 'ts.sub', key => '{id}', required => '{nm}', aggregate_id => agg);
    PERFORM outbox.create_event_type(c || 'State', contract => c, emit => 'created');
    PERFORM outbox.create_event_type(c || 'Erased', contract => c, emit => 'deleted', tombstone => 'instead');
    PERFORM outbox.create_event_type(c || 'Gone', contract => c, emit => 'deleted', tombstone => 'after');
    PERFORM outbox.create_event_type(c || 'Plain', contract => c, emit => 'deleted');
    PERFORM outbox.create_event_type(c || 'Dear', contract => c, emit => 'deleted', tombstone => 'instead', condition => 'old.price > 100');
    PERFORM outbox.add_check(c || 'Gone', 'not_odd', 'nm <> ''odd''');
    PERFORM outbox.enable(c);
END $$;
SELECT make('ts_row', 'ts.sub_v', '{id}'), make('ts_commit', 'ts.tagged_v', '{grp,id}');
SELECT evaluate, name FROM outbox.contract WHERE name LIKE 'ts%' ORDER BY 2;
INSERT INTO sub SELECT g, 'g', 10, 1, 'n' FROM generate_series(1, 7) g;

\echo no Avro form; not mappable; a required field missing; a check; fine; too large
UPDATE sub SET price = 'NaN' WHERE id = 1;
UPDATE sub SET ratio = 0 WHERE id = 2;
UPDATE sub SET nm = NULL WHERE id = 3;
UPDATE sub SET nm = 'odd' WHERE id = 4;
UPDATE sub SET nm = repeat('x', 1100000) WHERE id = 6;
DELETE FROM sub WHERE id <= 6;
\echo a key that changes: the former row is gone
UPDATE sub SET ratio = 0 WHERE id = 7;
UPDATE sub SET id = 8 WHERE id = 7;
UPDATE sub SET id = 9, ratio = 1 WHERE id = 8;
SELECT * FROM show('ts_row');
SELECT event_type, emit, stage, key, message FROM outbox.dead_letter WHERE contract = 'ts_row' ORDER BY id;
SELECT * FROM show('ts_commit');
SELECT event_type, emit, stage, key, message FROM outbox.dead_letter WHERE contract = 'ts_commit' ORDER BY id;

\echo a deleted event with its null value after it, tried again, brings another one
SELECT outbox.drop_check('ts_rowGone', 'not_odd');
SELECT outbox.redrive(id) FROM outbox.dead_letter WHERE event_type = 'ts_rowGone' AND stage = 'check';
SELECT type, aggregateid, payload, headers FROM outbox.event_json ORDER BY seq DESC LIMIT 1;

\echo validate does not complain of a row whose null value is all that is published
SELECT outbox.create_contract('ts_look', view => 'sub_v', source => 'sub', key => '{id}', required => '{nm}');
SELECT outbox.create_event_type('TsErased', contract => 'ts_look', emit => 'deleted', tombstone => 'instead');
SELECT outbox.create_event_type('TsGone', contract => 'ts_look', emit => 'deleted', tombstone => 'after');
INSERT INTO sub VALUES (20, 'g', 'NaN', 1, 'n');
SELECT event_type, stage, error, rows FROM outbox.validate('ts_look');
SELECT event_type, key, payload, error FROM outbox.preview('ts_look') WHERE key = '20' ORDER BY 1;
SELECT outbox.drop_contract('ts_look'), outbox.drop_contract('ts_row'), outbox.drop_contract('ts_commit');

\echo strict contracts refuse what makes a dead letter, and no more
CREATE VIEW strict_v AS SELECT id, price, nm FROM sub;
SELECT outbox.create_contract('ts_strict', view => 'strict_v', source => 'sub', key => '{id}', on_invalid => 'abort');
SELECT outbox.create_event_type('TsStrictErased', contract => 'ts_strict', emit => 'deleted', tombstone => 'instead');
SELECT outbox.enable('ts_strict');
DELETE FROM sub WHERE id = 20;
SELECT outbox.create_event_type('TsStrictGone', contract => 'ts_strict', emit => 'deleted', tombstone => 'after');
INSERT INTO sub VALUES (20, 'g', 'NaN', 1, 'n');
\set VERBOSITY terse
DELETE FROM sub WHERE id = 20;
\set VERBOSITY default
SELECT * FROM show('ts_strict');
SELECT outbox.drop_contract('ts_strict');
TRUNCATE sub;

\echo a former value that no event can carry is null; its repair is an event; the others stay
CREATE VIEW repair_v AS SELECT id, price, ends, tags, grp FROM sub;
SELECT outbox.create_contract('ts_repair', view => 'repair_v', source => 'sub', key => '{id}');
SELECT outbox.create_event_type('TsRepaired', contract => 'ts_repair', emit => 'changed', previous => '{price,ends,tags,grp}');
SELECT outbox.enable('ts_repair');
SELECT outbox.create_contract('ts_repair_commit', view => 'repair_v', source => 'sub', key => '{id}', evaluate => 'commit');
SELECT outbox.create_event_type('TsRepairedAtCommit', contract => 'ts_repair_commit', emit => 'changed', previous => '{price,ends,tags,grp}');
SELECT outbox.enable('ts_repair_commit');
INSERT INTO sub (id, price, ends, tags, grp) VALUES (1, 10, 'infinity', '{a}', 'g'), (2, 'NaN', '2024-01-01Z', '{a}', 'g'),
    (3, 5, '2024-01-01Z', '{a,NULL}', 'g'), (4, 'NaN', '-infinity', '{NULL}', NULL);
UPDATE sub SET ends = '2024-01-01Z' WHERE id = 1;
UPDATE sub SET price = 7 WHERE id = 2;
UPDATE sub SET tags = '{a,b}' WHERE id = 3;
UPDATE sub SET price = 1, ends = '2024-01-01Z', tags = '{}', grp = 'h' WHERE id = 4;
\echo but what is now must have one
UPDATE sub SET price = 'NaN' WHERE id = 4;
SELECT type, payload FROM outbox.event_json WHERE contract LIKE 'ts_repair%' ORDER BY contract, seq;
SELECT contract, event_type, key, message FROM outbox.dead_letter WHERE contract LIKE 'ts_repair%' ORDER BY id;
SELECT outbox.drop_contract('ts_repair'), outbox.drop_contract('ts_repair_commit');
