-- The queue of touched keys when it does not fit into memory, and flush() for tests that run in one transaction.
SET client_min_messages = warning;
CREATE SCHEMA cq;
SET search_path = cq, public;
CREATE TABLE acct (no int, region text COLLATE "C", v int, PRIMARY KEY (no, region));
CREATE TABLE entry (no int, region text COLLATE "C", n int, PRIMARY KEY (no, region, n));
CREATE VIEW acct_v AS SELECT a.no, a.region, a.v, coalesce(e.entries, 0) AS entries
FROM acct a LEFT JOIN LATERAL (SELECT count(*)::int AS entries FROM entry WHERE entry.no = a.no AND entry.region = a.region) e ON true;
SELECT outbox.create_contract('cq_acct', view => 'acct_v', source => 'acct', key => '{no,region}');
SELECT outbox.add_source('cq_acct', 'entry', key_query => 'row.no, row.region');
SELECT outbox.create_event_type('CqOpened', contract => 'cq_acct', emit => 'created');
SELECT outbox.create_event_type('CqChanged', contract => 'cq_acct', emit => 'changed', previous => '{v,entries}');
SELECT outbox.create_event_type('CqClosed', contract => 'cq_acct', emit => 'deleted');
SELECT outbox.enable('cq_acct');
CREATE TABLE looked AS SELECT coalesce((SELECT max(seq) FROM outbox.event), 0) AS seq;
CREATE VIEW events AS SELECT row_number() OVER (ORDER BY seq) AS n, type, payload->>'no' AS no, payload->>'v' AS v, payload->>'entries' AS entries,
    payload->>'previous_v' AS former_v, payload->>'previous_entries' AS former
FROM outbox.event_json WHERE contract = 'cq_acct' AND seq > (SELECT seq FROM looked);
CREATE PROCEDURE look() LANGUAGE sql AS $$ UPDATE looked SET seq = (SELECT max(seq) FROM outbox.event) $$;

\echo keys in a file: in the order of their first touch, each once, although touched before and after
SET outbox.queue_memory = '64kB';
BEGIN;
INSERT INTO acct SELECT i, 'region ' || i % 7, 1 FROM generate_series(1, 5000) i;
INSERT INTO entry SELECT i, 'region ' || i % 7, 1 FROM generate_series(5000, 1, -1) i;
UPDATE acct SET v = 2;
COMMIT;
SELECT type, count(*), count(DISTINCT no), min(v), max(v), min(entries), bool_and(n = no::int) AS in_order FROM events GROUP BY type;
CALL look();
\echo savepoints cut keys off, in memory and in the file
BEGIN;
UPDATE acct SET v = 3 WHERE no <= 1500;
SAVEPOINT a;
UPDATE acct SET v = 3 WHERE no <= 3000;
SAVEPOINT b;
UPDATE acct SET v = 3;
ROLLBACK TO b;
UPDATE acct SET v = 3 WHERE no BETWEEN 2001 AND 3500;
RELEASE b;
SAVEPOINT c;
DELETE FROM entry;
ROLLBACK TO c;
COMMIT;
SELECT type, count(*), min(no::int), max(no::int), bool_and(n = no::int) AS in_order FROM events GROUP BY type;
CALL look();
BEGIN;
SAVEPOINT a;
UPDATE acct SET v = 4 WHERE no <= 4000;
ROLLBACK TO a;
COMMIT;
BEGIN;
UPDATE acct SET v = 4 WHERE no <= 3;
SAVEPOINT a;
UPDATE acct SET v = 4;
ROLLBACK TO a;
UPDATE acct SET v = 5 WHERE no = 2;
COMMIT;
SELECT * FROM events;
CALL look();
\echo a key that was touched last and taken back is queued again
BEGIN;
SAVEPOINT a;
UPDATE acct SET v = 50 WHERE no = 1;
ROLLBACK TO a;
UPDATE acct SET v = 5 WHERE no = 1;
COMMIT;
BEGIN;
UPDATE acct SET v = 51 WHERE no = 1;
SAVEPOINT a;
UPDATE acct SET v = 50 WHERE no = 22;
SAVEPOINT b;
UPDATE acct SET v = 50 WHERE no = 333;
ROLLBACK TO a;
UPDATE acct SET v = 51 WHERE no IN (22, 333);
COMMIT;
SELECT * FROM events;
CALL look();
\echo a session that may not use temporary files keeps the keys in memory
SET temp_file_limit = 0;
BEGIN;
UPDATE acct SET v = 6;
DELETE FROM entry;
COMMIT;
RESET temp_file_limit;
SELECT type, count(*), count(DISTINCT no) FROM events GROUP BY type;
CALL look();
RESET outbox.queue_memory;

\echo flush: refused outside of tests
SELECT outbox.flush();
SET outbox.test_mode = on;
\echo every flush compares with the one before
BEGIN;
SELECT outbox.flush();
UPDATE acct SET v = 10 WHERE no = 1;
SELECT outbox.flush();
SELECT * FROM events;
UPDATE acct SET v = 11 WHERE no = 1;
INSERT INTO entry SELECT no, region, 1 FROM acct WHERE no = 1;
SELECT outbox.flush();
SELECT outbox.flush();
DELETE FROM entry;
INSERT INTO acct VALUES (9001, 'x', 1);
SELECT outbox.flush();
DELETE FROM acct WHERE no = 9001;
SELECT outbox.flush();
SELECT * FROM events;
\echo what a rolled-back subtransaction flushed is flushed again, from where it was
SAVEPOINT a;
UPDATE acct SET v = 12 WHERE no = 1;
SELECT outbox.flush();
ROLLBACK TO a;
UPDATE acct SET v = 20 WHERE no = 2;
SAVEPOINT b;
UPDATE acct SET v = 21 WHERE no = 3;
SELECT outbox.flush();
UPDATE acct SET v = 22 WHERE no = 3;
SELECT outbox.flush();
ROLLBACK TO b;
UPDATE acct SET v = 23 WHERE no = 3;
COMMIT;
SELECT * FROM events;
CALL look();
\echo what a released one flushed stays flushed
BEGIN;
UPDATE acct SET v = 30 WHERE no = 1;
SAVEPOINT a;
UPDATE acct SET v = 30 WHERE no = 2;
SELECT outbox.flush();
RELEASE a;
UPDATE acct SET v = 31 WHERE no = 2;
SAVEPOINT b;
UPDATE acct SET v = 32 WHERE no = 2;
SAVEPOINT c;
SELECT outbox.flush();
RELEASE c;
ROLLBACK TO b;
UPDATE acct SET v = 31 WHERE no = 1;
COMMIT;
SELECT * FROM events;
CALL look();
DO $$ BEGIN
    UPDATE acct SET v = 40 WHERE no = 1;
    BEGIN
        UPDATE acct SET v = 41 WHERE no = 2;
        PERFORM outbox.flush();
        RAISE EXCEPTION 'gone';
    EXCEPTION WHEN raise_exception THEN NULL;
    END;
END $$;
SELECT * FROM events;
CALL look();
\echo tables made in the transaction of the test itself
BEGIN;
CREATE TABLE made (id int PRIMARY KEY, v int);
CREATE VIEW made_v AS SELECT m.id, m.v FROM made m;
SELECT outbox.create_contract('cq_made', view => 'made_v', source => 'made', key => '{id}', evaluate => 'commit');
SELECT outbox.create_event_type('CqMade', contract => 'cq_made', emit => 'created');
SELECT outbox.create_event_type('CqMadeChanged', contract => 'cq_made', emit => 'changed', condition => 'new.v > old.v');
SELECT outbox.enable('cq_made');
INSERT INTO made VALUES (1, 1);
SELECT outbox.flush();
UPDATE made SET v = 2;
SELECT outbox.flush();
UPDATE made SET v = 1;
SELECT outbox.flush();
SELECT type, payload FROM outbox.event_json WHERE contract = 'cq_made' ORDER BY seq;
ROLLBACK;
SELECT outbox.drop_contract('cq_acct');

\echo equal keys of one spelling or another are one key
CREATE TABLE word (w numeric PRIMARY KEY);
CREATE TABLE hit (w numeric, n int);
CREATE INDEX ON hit (w);
CREATE VIEW word_v AS SELECT w.w::numeric(8,2) AS word, (SELECT count(*)::int FROM hit WHERE hit.w = w.w) AS hits FROM word w;
SELECT outbox.create_contract('cq_word', view => 'word_v', source => 'word', key => '{word}');
SELECT outbox.add_source('cq_word', 'hit', key_query => 'row.w');
SELECT outbox.create_event_type('CqWord', contract => 'cq_word', emit => 'created');
SELECT outbox.create_event_type('CqWordHit', contract => 'cq_word', emit => 'changed');
SELECT outbox.create_event_type('CqWordGone', contract => 'cq_word', emit => 'deleted');
SELECT outbox.enable('cq_word');
INSERT INTO word VALUES (1.0);
INSERT INTO hit VALUES (1, 1), (1.000, 2), (3, 3);
UPDATE word SET w = 1.00;
SELECT type, payload FROM outbox.event_json WHERE contract = 'cq_word' ORDER BY seq;
SELECT outbox.drop_contract('cq_word');
SELECT count(*) FROM outbox.dead_letter WHERE contract LIKE 'cq\_%';
DROP SCHEMA cq CASCADE;
