-- Events exist if and only if their (sub)transaction committed, in the order of the calls; needs preloading, needs test functions.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
SELECT current_database() AS main_db \gset
CREATE DATABASE outbox_writer_test;
\c outbox_writer_test
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE EXTENSION outbox_ext;
CREATE FUNCTION append(schema_id int, aggregatetype text, key text, n int, payload_bytes int) RETURNS void
    LANGUAGE c AS 'outbox_ext', 'outbox_test_append';
CREATE FUNCTION append_late(key text) RETURNS void LANGUAGE c AS 'outbox_ext', 'outbox_test_append_late';
CREATE FUNCTION drain() RETURNS int LANGUAGE c AS 'outbox_ext', 'outbox_test_drain';
CREATE VIEW stored AS SELECT aggregateid AS key, count(*) AS events, min(octet_length(payload)) AS bytes
    FROM outbox.event GROUP BY aggregateid ORDER BY min(seq);

\echo savepoints: rolled back, released, released into one that is rolled back, nested
BEGIN;
SELECT append(1, 't', 'top', 3, 10);
SAVEPOINT a;
SELECT append(1, 't', 'rolled back', 3, 10);
ROLLBACK TO a;
SELECT append(1, 't', 'after rollback', 2, 10);
SAVEPOINT b;
SELECT append(1, 't', 'outer', 2, 10);
SAVEPOINT c;
SELECT append(1, 't', 'inner', 2, 10);
RELEASE c;
ROLLBACK TO b;
SAVEPOINT d;
SELECT append(1, 't', 'released', 2, 10);
RELEASE d;
COMMIT;
SELECT * FROM stored;

\echo more rows than a batch, in a savepoint that is rolled back and one that is released; large payloads
BEGIN;
SAVEPOINT a;
SELECT append(1, 't', 'batches gone', 3000, 10);
ROLLBACK TO a;
SELECT append(1, 't', 'batches', 3000, 10);
SAVEPOINT b;
SELECT append(1, 't', 'batches released', 700, 10);
RELEASE b;
SELECT append(1, 't', 'large', 2, 3000000);
COMMIT;
SELECT * FROM stored WHERE key LIKE 'batches%' OR key = 'large';

\echo exception blocks: every third is undone; far more subtransactions than fit into the buffer
DO $$
BEGIN
    FOR i IN 1..6000 LOOP
        BEGIN
            PERFORM append(1, 't', 'block ' || i % 3, 1, 10);
            IF i % 3 = 0 THEN
                RAISE EXCEPTION 'undone';
            END IF;
        EXCEPTION WHEN raise_exception THEN
        END;
    END LOOP;
END $$;
SELECT * FROM stored WHERE key LIKE 'block%';

\echo an aborted transaction, and prepared ones
BEGIN;
SELECT append(1, 't', 'aborted', 1000, 10);
ROLLBACK;
BEGIN;
SELECT append(1, 't', 'prepared and committed', 2, 10);
PREPARE TRANSACTION 'outbox_kept';
BEGIN;
SELECT append(1, 't', 'prepared and rolled back', 2, 10);
PREPARE TRANSACTION 'outbox_undone';
SELECT count(*) FROM stored WHERE key LIKE 'prepared%' OR key = 'aborted';
COMMIT PREPARED 'outbox_kept';
ROLLBACK PREPARED 'outbox_undone';
SELECT * FROM stored WHERE key LIKE 'prepared%' OR key = 'aborted';

\echo deferred triggers, COMMIT in a procedure, and a pre-commit callback that runs after ours
CREATE TABLE src (k text);
CREATE FUNCTION src_changed() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN PERFORM append(1, 't', NEW.k, 1, 10); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER deferred AFTER INSERT ON src DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION src_changed();
INSERT INTO src VALUES ('deferred');
DO $$ BEGIN INSERT INTO src VALUES ('committed in a block'); COMMIT; INSERT INTO src VALUES ('rolled back in a block'); ROLLBACK; END $$;
\echo a transaction that is read only by the time its deferred triggers run
BEGIN;
INSERT INTO src VALUES ('read only at the end');
SET TRANSACTION READ ONLY;
COMMIT;
SELECT key, events FROM stored WHERE key ~ 'deferred|block$|end$';

\echo isolation levels
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT append(1, 't', 'repeatable read', 1, 10);
COMMIT;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT append(1, 't', 'serializable', 1, 5000);
COMMIT;
SELECT * FROM stored WHERE key IN ('repeatable read', 'serializable');

\echo lastval() of the session stays what the application made it
CREATE TABLE app (id serial, x int);
ALTER SEQUENCE app_id_seq RESTART 1000;
INSERT INTO app (x) VALUES (1);
SELECT append(1, 't', 'lastval', 5, 10);
SELECT lastval();

\echo identity: unique ids of version 7, unique numbers, in the order of the calls, the top-level xid
SELECT count(*) = count(DISTINCT id) AS ids, count(*) = count(DISTINCT seq) AS numbers,
       bool_and(id::text ~ '^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$') AS version_7,
       bool_and(pg_xact_status(xid) = 'committed') AS committed, min(leaf) AS leaf, max(leaf) AS leaf_too
FROM outbox.event;
BEGIN;
SAVEPOINT a;
SELECT append(1, 't', 'xid', 1, 10);
RELEASE a;
SELECT append(1, 't', 'xid', 1, 10);
SELECT pg_current_xact_id() AS mine \gset
COMMIT;
SELECT bool_and(xid = :'mine'::xid8) AS top_level, count(*) FROM outbox.event WHERE aggregateid = 'xid';

\echo trace context and correlation; malformed values are left out
BEGIN;
SET LOCAL outbox.traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
SET LOCAL outbox.correlation_id = 'corr "1"';
SELECT append(1, 't', 'traced', 1, 10);
SET LOCAL outbox.causation_id = 'cause';
SET LOCAL outbox.traceparent = 'cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-the-future-will-bring';
SELECT append(1, 't', 'traced', 1, 10);
SET LOCAL outbox.traceparent = '00-00000000000000000000000000000000-00f067aa0ba902b7-01';
SET LOCAL outbox.correlation_id = '';
SELECT append(1, 't', 'traced', 1, 10);
SET LOCAL outbox.traceparent = '00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01';
SET LOCAL outbox.causation_id = '';
SELECT append(1, 't', 'traced', 1, 10);
COMMIT;
SELECT tracingspancontext, headers FROM outbox.event WHERE aggregateid = 'traced' ORDER BY seq;

\echo hints: the first look scans; a committed and a rolled back savepoint; nothing for an aborted transaction
SELECT drain();
SELECT drain();
BEGIN;
SELECT append(1, 't', 'hint', 1, 10);
SELECT drain();
COMMIT;
SELECT drain();
BEGIN;
SELECT append(1, 't', 'hint', 1, 10);
ROLLBACK;
SELECT drain();
SELECT append_late('late');
SELECT key, events FROM stored WHERE key = 'late';
SELECT drain() > 0 AS late_hint;
\echo more hints than the ring has entries (64 in tests): lost, and all is well afterwards
DO $$ BEGIN FOR i IN 0..current_setting('outbox.ring_size')::int LOOP
    PERFORM append(1, 't', 'overflow', 1, 10); COMMIT; END LOOP; END $$;
SELECT drain();
SELECT append(1, 't', 'after overflow', 1, 10);
SELECT drain();

\echo DROP EXTENSION in a transaction that has events, undone and not
BEGIN;
SELECT append(1, 't', 'before', 2, 10);
SAVEPOINT a;
DROP EXTENSION outbox_ext CASCADE;
CREATE EXTENSION outbox_ext;
SELECT append(1, 't', 'undone', 2, 10);
ROLLBACK TO a;
SELECT append(1, 't', 'after', 2, 10);
COMMIT;
SELECT key, events FROM stored WHERE key IN ('before', 'undone', 'after');
BEGIN;
SELECT append(1, 't', 'dropped', 2, 10);
DROP EXTENSION outbox_ext CASCADE;
COMMIT;
CREATE EXTENSION outbox_ext;
BEGIN;
SELECT append(1, 't', 'dropped again', 2, 10);
DROP EXTENSION outbox_ext;
CREATE EXTENSION outbox_ext;
SELECT append(1, 't', 'new', 2, 10);
COMMIT;
SELECT aggregateid, seq FROM outbox.event ORDER BY seq;
\echo the ring follows the new installation
SELECT drain();
SELECT append(1, 't', 'newest', 1, 10);
SELECT drain();

\c :main_db
DROP DATABASE outbox_writer_test;
