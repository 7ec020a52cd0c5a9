-- A role without rights locks no leaf of outbox.event, however the statement is made that names it; needs preloading.
SET client_min_messages = warning;
CREATE ROLE sl_nobody;
CREATE ROLE sl_reader;
SELECT outbox.grant_access('sl_reader', 'reader');
GRANT TEMP ON DATABASE :"DBNAME" TO sl_nobody, sl_reader;
CREATE SCHEMA sl AUTHORIZATION sl_nobody;
GRANT USAGE ON SCHEMA sl TO PUBLIC;

\echo the planner calls look() for every table below sl.parent, when it has locked the leaves of what is named before
SET ROLE sl_nobody;
CREATE FUNCTION sl.look(x int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    n bigint := (SELECT count(*) FROM pg_locks l JOIN pg_inherits i ON i.inhrelid = l.relation
                 WHERE i.inhparent = 'outbox.event'::regclass AND l.pid = pg_backend_pid());
BEGIN
    IF n > 0 THEN RAISE WARNING 'leaves are locked'; END IF;
    RETURN x;
END $$;
CREATE TABLE sl.parent (a bigint, t text);
CREATE TABLE sl.child (CHECK (a > sl.look(0))) INHERITS (sl.parent);
CREATE TABLE sl.mine (a bigint);
CREATE VIEW sl.event_v AS SELECT seq, type FROM outbox.event;
CREATE FUNCTION sl.event_f() RETURNS SETOF bigint LANGUAGE sql STABLE AS $$ SELECT seq FROM outbox.event $$;
GRANT SELECT ON ALL TABLES IN SCHEMA sl TO PUBLIC;
RESET ROLE;
SELECT count(*) >= 0 AS superuser FROM outbox.event e, sl.parent p WHERE e.seq = p.a AND p.a > 0;

CREATE TABLE sl.attempt (n int GENERATED ALWAYS AS IDENTITY, statement text);
INSERT INTO sl.attempt (statement) VALUES
    ('DELETE FROM outbox.event e USING sl.parent p WHERE e.seq = p.a AND p.a > 0'),
    ('UPDATE outbox.event e SET type = p.t FROM sl.parent p WHERE e.seq = p.a AND p.a > 0'),
    ('MERGE INTO outbox.event e USING sl.parent p ON e.seq = p.a AND p.a > 0 WHEN MATCHED THEN DELETE'),
    ('MERGE INTO outbox.event e USING (SELECT a FROM sl.parent WHERE a > 0) p ON e.seq = p.a WHEN MATCHED THEN UPDATE SET type = ''x'' WHEN NOT MATCHED THEN DO NOTHING'),
    ('SELECT FROM outbox.event e, sl.parent p WHERE e.seq = p.a AND p.a > 0'),
    ('SELECT FROM outbox.event e, sl.parent p WHERE e.seq = p.a AND p.a > 0 FOR UPDATE'),
    ('SELECT FROM outbox.event e, sl.parent p WHERE e.seq = p.a AND p.a > 0 FOR SHARE OF e'),
    ('SELECT count(*) FROM outbox.event e JOIN sl.parent p ON e.seq = p.a WHERE p.a > 0 GROUP BY e.leaf'),
    ('SELECT min(e.seq) FROM outbox.event e WHERE EXISTS (SELECT FROM sl.parent p WHERE p.a = e.seq AND p.a > 0)'),
    ('SELECT max(seq), (SELECT count(*) FROM sl.parent p WHERE p.a > 0) FROM outbox.event'),
    ('SELECT (SELECT count(*) FROM outbox.event e WHERE e.seq = p.a) FROM sl.parent p WHERE p.a > 0'),
    ('SELECT FROM sl.parent p WHERE p.a > 0 AND p.a IN (SELECT seq FROM outbox.event)'),
    ('SELECT FROM sl.parent p WHERE p.a > 0 AND p.a NOT IN (SELECT seq FROM outbox.event OFFSET 0)'),
    ('WITH e AS MATERIALIZED (SELECT seq FROM outbox.event) SELECT FROM e, sl.parent p WHERE e.seq = p.a AND p.a > 0'),
    ('WITH e AS (DELETE FROM outbox.event RETURNING seq) SELECT FROM e, sl.parent p WHERE e.seq = p.a AND p.a > 0'),
    ('WITH RECURSIVE e AS (SELECT seq FROM outbox.event UNION ALL SELECT f.seq + 1 FROM e, outbox.event f JOIN sl.parent p ON p.a = f.seq AND p.a > 0) SELECT FROM e'),
    ('SELECT seq FROM outbox.event UNION ALL SELECT a FROM sl.parent p WHERE p.a > 0'),
    ('SELECT seq FROM outbox.event INTERSECT SELECT a FROM sl.parent p WHERE p.a > 0'),
    ('SELECT FROM (SELECT seq FROM outbox.event ORDER BY seq LIMIT 1) e, sl.parent p WHERE e.seq = p.a AND p.a > 0'),
    ('SELECT FROM sl.parent p, LATERAL (SELECT seq FROM outbox.event e WHERE e.seq = p.a OFFSET 0) e WHERE p.a > 0'),
    ('SELECT FROM sl.event_v e, sl.parent p WHERE e.seq = p.a AND p.a > 0'),
    ('DELETE FROM sl.event_v e USING sl.parent p WHERE e.seq = p.a AND p.a > 0'),
    ('SELECT FROM sl.event_f() e, sl.parent p WHERE e = p.a AND p.a > 0'),
    ('INSERT INTO sl.mine SELECT seq FROM outbox.event e JOIN sl.parent p ON e.seq = p.a AND p.a > 0'),
    ('CREATE TEMP TABLE sl_made AS SELECT seq FROM outbox.event e JOIN sl.parent p ON e.seq = p.a AND p.a > 0'),
    ('EXPLAIN DELETE FROM outbox.event e USING sl.parent p WHERE e.seq = p.a AND p.a > 0'),
    ('DECLARE sl_cursor CURSOR FOR SELECT FROM outbox.event e, sl.parent p WHERE e.seq = p.a AND p.a > 0'),
    ('PREPARE sl_prepared AS DELETE FROM outbox.event e USING sl.parent p WHERE e.seq = p.a AND p.a > 0; EXECUTE sl_prepared'),
    ('PREPARE sl_prepared_2 AS DELETE FROM outbox.event e USING sl.parent p WHERE e.seq = p.a AND p.a > 0; EXPLAIN EXECUTE sl_prepared_2'),
    ('DO $do$ BEGIN FOR i IN 1..3 LOOP PERFORM FROM outbox.event e, sl.parent p WHERE e.seq = p.a AND p.a > 0; END LOOP; END $do$'),
    ('SELECT query_to_xml(''SELECT FROM outbox.event e, sl.parent p WHERE e.seq = p.a AND p.a > 0'', true, true, '''')');
-- every view of ours, with the rights of its owner
INSERT INTO sl.attempt (statement)
SELECT format('SELECT FROM %s e, sl.parent p WHERE e::text = p.t AND p.a > 0', oid::regclass)
FROM pg_class WHERE relnamespace = 'outbox'::regnamespace AND relkind = 'v' ORDER BY relname COLLATE "C";
GRANT SELECT ON sl.attempt TO PUBLIC;
CREATE FUNCTION sl.outcome(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    RETURN 'done';
EXCEPTION WHEN OTHERS THEN
    RETURN sqlstate;
END $$;

\echo nobody: a warning would tell of a lock
SET ROLE sl_nobody;
SELECT count(*) > 50 AS many FROM sl.attempt;
SELECT statement, sl.outcome(statement) FROM sl.attempt WHERE sl.outcome(statement) <> '42501' ORDER BY n;
\echo as a statement of the client
DELETE FROM outbox.event e USING sl.parent p WHERE e.seq = p.a AND p.a > 0;
COPY (SELECT FROM outbox.event e, sl.parent p WHERE e.seq = p.a AND p.a > 0) TO STDOUT;
COPY (DELETE FROM outbox.event e USING sl.parent p WHERE e.seq = p.a AND p.a > 0 RETURNING e.seq) TO STDOUT;
RESET ROLE;
\echo a reader reads by the views that are granted, and nothing else
SET ROLE sl_reader;
SELECT count(*) FROM sl.attempt WHERE n <= 31 AND sl.outcome(statement) = 'done';
SELECT sl.outcome('SELECT FROM outbox.event_json e, sl.parent p WHERE e.seq = p.a AND p.a > 0');
RESET ROLE;
\echo parents of others are planned as ever
CREATE TABLE sl.event (seq bigint) PARTITION BY LIST (seq);
CREATE TABLE sl.event_1 PARTITION OF sl.event FOR VALUES IN (1);
SELECT count(*) FROM sl.event;

REVOKE TEMP ON DATABASE :"DBNAME" FROM sl_nobody, sl_reader;
DROP SCHEMA sl CASCADE;
DROP OWNED BY sl_reader;
DROP ROLE sl_nobody, sl_reader;
