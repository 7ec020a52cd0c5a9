-- A dead letter keeps what was captured: nothing is cut that is read back, json stays its text, reasons survive failed attempts.
SET client_min_messages = warning;
CREATE SCHEMA lw;
SET search_path = lw, public;
CREATE TYPE pair AS (n numeric(6,2), j json);
CREATE TABLE doc (id text PRIMARY KEY, body text, j json, jb jsonb, list json[], both_of pair, mood text, bad boolean NOT NULL DEFAULT false);
CREATE VIEW doc_v AS SELECT id, body, j, jb, list, both_of, mood, bad FROM doc;
CREATE TABLE note (doc_id text, t text);
CREATE INDEX ON note (doc_id);
CREATE VIEW noted_v AS SELECT d.id, d.body, d.j, d.jb, d.list, d.both_of, d.mood, d.bad, (SELECT count(*) FROM note n WHERE n.doc_id = d.id) AS notes FROM doc d;
CREATE FUNCTION make(c text, v text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM outbox.create_contract(c, view => v, source => 'lw.doc', key => '{id}');
    PERFORM outbox.create_event_type(c || '_changed', contract => c, emit => 'changed', previous => '{body,j,jb,list,both_of}');
    PERFORM outbox.create_event_type(c || '_deleted', contract => c, emit => 'deleted');
    PERFORM outbox.add_check(c || '_changed', 'good', 'NOT bad');
    PERFORM outbox.add_check(c || '_deleted', 'good', 'NOT bad');
    PERFORM outbox.enable(c);
END $$;
SELECT make('lw_row', 'lw.doc_v'), make('lw_commit', 'lw.noted_v');

\echo a whole row before, whatever it holds, and a key longer than what is shown of a value
INSERT INTO doc SELECT repeat('k', 9000), repeat('é', 400000), E'{"b":1,  "a":"\\u0000","b":2}', 'null', '{"{\"z\": 1,\"z\":2}",3}', '(1.5,"[ 1 ]")', 'm', true;
INSERT INTO doc VALUES ('a', 'x', '"text"', '"text"', '{}', '(,)', NULL, true), ('b', NULL, NULL, NULL, NULL, NULL, 'm', true),
    ('c', 'x', '1', '{"a": [1, null, {}]}', NULL, NULL, 'm', true);
UPDATE doc SET body = 'new', j = '{}', jb = '[]', list = '{}', both_of = NULL;
DELETE FROM doc;
CREATE TABLE kept AS SELECT * FROM outbox.dead_letter WHERE contract LIKE 'lw%';
SELECT contract, event_type, count(*), max(length(before->>'body')), max(length(key->>'id')) FROM kept GROUP BY 1, 2 ORDER BY 1, 2;
SELECT jsonb_pretty(source_columns #- '{id}' #- '{body}') FROM kept WHERE event_type = 'lw_row_changed' AND length(key->>'id') > 10;
SELECT length(source_columns->>'id') FROM kept WHERE event_type = 'lw_commit_deleted' ORDER BY 1 DESC LIMIT 1;
SELECT right(source_columns->>'id', 30) FROM kept WHERE event_type = 'lw_row_deleted' ORDER BY length(key->>'id') DESC LIMIT 1;
SELECT outbox.drop_check(c || '_' || e, 'good') FROM unnest('{lw_row,lw_commit}'::text[]) c, unnest('{changed,deleted}'::text[]) e;
\echo published as if nothing had been wrong
SELECT outbox.redrive(contract => 'lw_row'), outbox.redrive(contract => 'lw_commit');
SELECT type, count(*), max(length(payload->>'body')) FROM outbox.event_json WHERE contract LIKE 'lw%' GROUP BY 1 ORDER BY 1;
SELECT type, payload - 'id' - 'body' - 'bad' FROM outbox.event_json WHERE contract LIKE 'lw%' AND type LIKE '%deleted' ORDER BY type, length(aggregateid), aggregateid;
SELECT last_failure, count(*) FROM outbox.dead_letter WHERE contract LIKE 'lw%' AND state = 'open' GROUP BY 1;
\echo what they were before, too: the rows are changed ones again
INSERT INTO doc SELECT key->>'id', 'again' FROM kept WHERE event_type = 'lw_row_changed';
SELECT outbox.redrive(contract => 'lw_row'), outbox.redrive(contract => 'lw_commit');
SELECT type, length(payload->>'previous_body') AS body, payload->'previous_j' AS j, payload->'previous_jb' AS jb, payload->'previous_list' AS list, payload->'previous_both_of' AS both_of
FROM outbox.event_json WHERE contract LIKE 'lw%' AND type LIKE '%changed' ORDER BY type, length(aggregateid), aggregateid;
SELECT count(*) FROM outbox.dead_letter WHERE contract LIKE 'lw%' AND state = 'open';

\echo why it is there stays, why it was tried in vain is said beside it, and an unchanged letter can still be redriven
SELECT outbox.add_check('lw_row_deleted', 'never', 'false');
DELETE FROM doc WHERE id = 'a';
SELECT outbox.add_check('lw_row_deleted', 'neither', 'bad IS NULL');
SELECT outbox.drop_check('lw_row_deleted', 'never');
SELECT outbox.redrive(contract => 'lw_row');
SELECT message, hint, attempts, last_failure, last_failure_hint FROM outbox.dead_letter WHERE contract = 'lw_row' AND state = 'open';
SELECT outbox.drop_check('lw_row_deleted', 'neither');
SELECT outbox.redrive(contract => 'lw_row');
SELECT message, state, attempts, last_failure FROM outbox.dead_letter WHERE contract = 'lw_row' ORDER BY id DESC LIMIT 1;

\echo a message about a long value says how much is missing
CREATE TABLE num (id int PRIMARY KEY, v text);
CREATE VIEW num_v AS SELECT id, v::int AS v FROM num;
SELECT outbox.create_contract('lw_num', view => 'num_v', source => 'num', key => '{id}');
SELECT outbox.create_event_type('LwNum', contract => 'lw_num', emit => 'created');
SELECT outbox.create_event_type('LwNumChanged', contract => 'lw_num', emit => 'changed');
SELECT outbox.enable('lw_num');
INSERT INTO num VALUES (1, repeat('nine', 5000));
SELECT left(message, 60), right(message, 40), octet_length(message) < 8300 AS bounded FROM outbox.dead_letter WHERE contract = 'lw_num';

\echo the row is gone, and no event type would tell: closed, with the true reason; at commit as well
DELETE FROM num WHERE id = 1;
CREATE VIEW counted_v AS SELECT n.id, n.v::int AS v, (SELECT count(*) FROM note x WHERE x.doc_id = n.v) AS notes FROM num n;
SELECT outbox.create_contract('lw_counted', view => 'counted_v', source => 'num', key => '{id}');
SELECT outbox.create_event_type('LwCounted', contract => 'lw_counted', emit => 'created');
SELECT outbox.enable('lw_counted');
INSERT INTO num VALUES (2, 'two');
DELETE FROM num;
SELECT outbox.redrive(contract => 'lw_num'), outbox.redrive(contract => 'lw_counted');
SELECT contract, emit, left(message, 40) AS message, state, resolution FROM outbox.dead_letter WHERE contract IN ('lw_num', 'lw_counted') ORDER BY contract, id;
SELECT outbox.drop_contract(c) FROM unnest('{lw_row,lw_commit,lw_num,lw_counted}'::text[]) c;
