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
CREATE VIEW fail.captured AS SELECT aggregateid FROM outbox.event_json WHERE contract = 'fail_item' ORDER BY seq;

\echo a function that only the owner of the view may execute: evaluation goes on after an error, whoever writes
SET ROLE fail_writer;
INSERT INTO fail.item VALUES (1, 1, 'bad');
INSERT INTO fail.item VALUES (2, 0, 'good'), (3, 1, 'bad'), (4, 0, 'good');
RESET ROLE;
SELECT * FROM fail.captured;
SELECT key, message FROM outbox.dead_letter WHERE contract = 'fail_item' ORDER BY id;
SELECT key, error FROM outbox.preview('fail_item');

\echo errors that the writer has to see, caught by an exception block: only that block is undone
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
INSERT INTO fail.item VALUES (40, 2, 'raises');
SELECT current_user;
INSERT INTO fail.item VALUES (41, 0, 'next');
RESET ROLE;
SELECT * FROM fail.captured WHERE aggregateid::int >= 40;
SELECT count(*) FROM outbox.dead_letter WHERE contract = 'fail_item';

\echo a function that is declared leakproof and raises nevertheless
CREATE FUNCTION fail.quiet(int) RETURNS int LANGUAGE plpgsql IMMUTABLE LEAKPROOF AS $$ BEGIN RETURN 1 / $1; END $$;
CREATE TABLE fail.leak (id int PRIMARY KEY, n int);
CREATE VIEW fail.leak_v AS SELECT id, fail.quiet(n) AS n FROM fail.leak;
SELECT outbox.create_contract('fail_leak', view => 'fail.leak_v', source => 'fail.leak', key => '{id}');
SELECT outbox.create_event_type('FailLeak', contract => 'fail_leak', emit => 'created');
SELECT outbox.enable('fail_leak');
INSERT INTO fail.leak VALUES (1, 0);
SELECT key, message FROM outbox.dead_letter WHERE contract = 'fail_leak';

SELECT outbox.drop_contract('fail_leak');
SELECT outbox.drop_contract('fail_item');
DELETE FROM outbox.dead_letter_entry WHERE contract LIKE 'fail_%';
DROP SCHEMA fail CASCADE;
DROP ROLE fail_owner, fail_writer;
