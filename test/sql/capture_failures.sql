-- Whatever an evaluation raises, the write goes on where it may, and the session is left as it was.
SET client_min_messages = warning;
CREATE ROLE fail_owner;
CREATE ROLE fail_writer;
CREATE SCHEMA fail AUTHORIZATION fail_owner;
GRANT USAGE ON SCHEMA fail TO fail_writer;
CREATE TABLE fail.item (id int PRIMARY KEY, n int, name text);
GRANT SELECT, TRIGGER ON fail.item TO fail_owner;
GRANT SELECT, INSERT, UPDATE, DELETE ON fail.item TO fail_writer;
CREATE FUNCTION fail.strange(int) RETURNS int LANGUAGE plpgsql STABLE AS $$
BEGIN
    CASE $1
        WHEN 1 THEN RAISE EXCEPTION 'cannot be mapped';
        WHEN 2 THEN RAISE EXCEPTION 'try again' USING ERRCODE = 'serialization_failure';
        WHEN 3 THEN RAISE EXCEPTION 'no space' USING ERRCODE = 'disk_full';
        WHEN 4 THEN PERFORM pg_sleep(100);
        ELSE NULL;
    END CASE;
    RETURN $1;
END $$;
ALTER FUNCTION fail.strange(int) OWNER TO fail_owner;
REVOKE EXECUTE ON FUNCTION fail.strange(int) FROM PUBLIC;
SET ROLE fail_owner;
CREATE VIEW fail.item_v AS SELECT id, fail.strange(n) AS n, name FROM fail.item;
RESET ROLE;
SELECT outbox.create_contract('fail_item', view => 'fail.item_v', source => 'fail.item', key => '{id}');
SELECT outbox.create_event_type('FailCreated', contract => 'fail_item', emit => 'created');
SELECT outbox.enable('fail_item');
CREATE VIEW fail.captured AS SELECT aggregateid FROM outbox.event_json WHERE contract = 'fail_item' ORDER BY seq OFFSET 0; -- other tests' keys are no numbers

\echo a function that only the owner of the view may execute: evaluation goes on after an error, whoever writes
SET ROLE fail_writer;
INSERT INTO fail.item VALUES (1, 1, 'bad');
INSERT INTO fail.item VALUES (2, 0, 'good'), (3, 1, 'bad'), (4, 0, 'good');
RESET ROLE;
SELECT * FROM fail.captured;
SELECT key, message FROM outbox.dead_letter WHERE contract = 'fail_item' ORDER BY id;
SELECT key, error FROM outbox.preview('fail_item');

\echo an error that the writer has to see, caught by an exception block: only that block is undone; what a function raises under the same SQLSTATE is no such error
CREATE PROCEDURE fail.try(id int, n int, condition text) LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO fail.item VALUES (id, 0, 'before the block');
    BEGIN
        INSERT INTO fail.item VALUES (id + 1, 0, 'undone');
        INSERT INTO fail.item VALUES (id + 2, n, 'raises');
    EXCEPTION WHEN serialization_failure OR disk_full OR query_canceled THEN
        INSERT INTO fail.item VALUES (id + 3, 0, 'handler of ' || condition);
    END;
    INSERT INTO fail.item VALUES (id + 4, 0, 'after the block');
END $$;
CALL fail.try(10, 2, 'serialization failure');
CALL fail.try(20, 3, 'disk full');
SET statement_timeout = '200ms';
CALL fail.try(30, 4, 'timeout');
RESET statement_timeout;
SELECT id, name FROM fail.item WHERE id BETWEEN 10 AND 39 ORDER BY id;
SELECT * FROM fail.captured WHERE aggregateid::int BETWEEN 10 AND 39;

\echo not caught: the statement fails, the session and its role are as before
SET ROLE fail_writer;
SET statement_timeout = '200ms';
INSERT INTO fail.item VALUES (40, 4, 'raises');
RESET statement_timeout;
SELECT current_user;
INSERT INTO fail.item VALUES (41, 0, 'next');
RESET ROLE;
SELECT * FROM fail.captured WHERE aggregateid::int >= 40;
SELECT key, sqlstate, message FROM outbox.dead_letter WHERE contract = 'fail_item' ORDER BY id;

\echo a function that is declared leakproof and raises nevertheless
CREATE FUNCTION fail.quiet(int) RETURNS int LANGUAGE plpgsql IMMUTABLE LEAKPROOF AS $$ BEGIN RETURN 1 / $1; END $$;
CREATE TABLE fail.leak (id int PRIMARY KEY, n int);
CREATE VIEW fail.leak_v AS SELECT id, fail.quiet(n) AS n FROM fail.leak;
SELECT outbox.create_contract('fail_leak', view => 'fail.leak_v', source => 'fail.leak', key => '{id}');
SELECT outbox.create_event_type('FailLeak', contract => 'fail_leak', emit => 'created');
SELECT outbox.enable('fail_leak');
INSERT INTO fail.leak VALUES (1, 0);
SELECT key, message FROM outbox.dead_letter WHERE contract = 'fail_leak';

\echo whatever a function raises, the write goes through: evaluated per row, and at commit
CREATE FUNCTION fail.raise(text) RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF $1 <> 'none' THEN
        RAISE EXCEPTION 'raised' USING ERRCODE = $1;
    END IF;
    RETURN $1;
END $$;
CREATE TABLE fail.by_row (id int PRIMARY KEY, code text);
CREATE TABLE fail.at_commit (id int PRIMARY KEY, code text);
CREATE VIEW fail.by_row_v AS SELECT id, fail.raise(code) AS code FROM fail.by_row;
CREATE VIEW fail.at_commit_v AS SELECT id, fail.raise(code) AS code FROM fail.at_commit;
SELECT outbox.create_contract('fail_by_row', view => 'fail.by_row_v', source => 'fail.by_row', key => '{id}');
SELECT outbox.create_contract('fail_at_commit', view => 'fail.at_commit_v', source => 'fail.at_commit', key => '{id}', evaluate => 'commit');
SELECT outbox.create_event_type('FailByRow', contract => 'fail_by_row', emit => 'created');
SELECT outbox.create_event_type('FailAtCommit', contract => 'fail_at_commit', emit => 'created');
SELECT outbox.enable('fail_by_row'), outbox.enable('fail_at_commit');
CREATE TABLE fail.code (n int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, code text);
INSERT INTO fail.code (code)
SELECT code FROM unnest('{57014,57000,57P01,57P02,57P03,57P04,57P05,40001,53100,58000,58030,58P01,58P02,XX001,XX002,P0004,53200,53000,53300,54000,54001,XX000,P0001,22012,40P01,55P03,25006,08006}'::text[]) code;
\set VERBOSITY sqlstate
SELECT format('INSERT INTO fail.%I VALUES (%s, %L)', t, n, code) FROM fail.code, unnest('{by_row,at_commit}'::text[]) t ORDER BY t, n \gexec
\set VERBOSITY default
\echo what is not there of a write
SELECT c.code FROM fail.code c WHERE (n NOT IN (SELECT id FROM fail.by_row) OR n NOT IN (SELECT id FROM fail.at_commit));
SELECT contract, stage, count(*), string_agg(sqlstate, ' ' ORDER BY id) FROM outbox.dead_letter WHERE contract IN ('fail_by_row', 'fail_at_commit') GROUP BY 1, 2 ORDER BY 1, 2;
INSERT INTO fail.by_row VALUES (1000, 'none');
INSERT INTO fail.at_commit VALUES (1000, 'none');
SELECT type, aggregateid FROM outbox.event_json WHERE contract IN ('fail_by_row', 'fail_at_commit') ORDER BY seq;
SELECT outbox.drop_contract('fail_by_row'), outbox.drop_contract('fail_at_commit');

SELECT outbox.drop_contract('fail_leak');
SELECT outbox.drop_contract('fail_item');
DELETE FROM outbox.dead_letter_entry WHERE contract LIKE 'fail_%';
DROP SCHEMA fail CASCADE;
DROP ROLE fail_owner, fail_writer;
