-- Code behind a contract does not see the functions and statements of the writer around it.
SET client_min_messages = warning;
CREATE ROLE sc_owner;
CREATE SCHEMA sc;
GRANT USAGE, CREATE ON SCHEMA sc TO sc_owner;
CREATE TABLE sc.by_row (id int PRIMARY KEY, name text);
CREATE TABLE sc.at_commit (id int PRIMARY KEY, name text);
CREATE TABLE sc.checked (id int PRIMARY KEY, name text);
GRANT SELECT ON sc.by_row, sc.at_commit, sc.checked TO sc_owner;
SET ROLE sc_owner;
CREATE FUNCTION sc.context() RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
    stack text;
    caught text;
BEGIN
    GET DIAGNOSTICS stack = PG_CONTEXT;
    BEGIN
        RAISE division_by_zero;
    EXCEPTION WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS caught = PG_EXCEPTION_CONTEXT;
    END;
    RETURN stack || ' | ' || caught;
END $$;
CREATE FUNCTION sc.fails(name text) RETURNS text LANGUAGE plpgsql STABLE AS $$ BEGIN RAISE EXCEPTION 'context: %', sc.context(); END $$;
CREATE VIEW sc.by_row_v AS SELECT id, sc.context() AS seen FROM sc.by_row;
CREATE VIEW sc.at_commit_v AS SELECT id, sc.context() AS seen FROM sc.at_commit;
CREATE VIEW sc.checked_v AS SELECT id, CASE WHEN id > 0 THEN sc.fails(name) END AS seen FROM sc.checked;
RESET ROLE;
SELECT outbox.create_contract('sc_by_row', view => 'sc.by_row_v', source => 'sc.by_row', key => '{id}'),
    outbox.create_contract('sc_at_commit', view => 'sc.at_commit_v', source => 'sc.at_commit', key => '{id}', evaluate => 'commit'),
    outbox.create_contract('sc_checked', view => 'sc.checked_v', source => 'sc.checked', key => '{id}');
SELECT outbox.create_event_type('ScByRow', contract => 'sc_by_row', emit => 'created'),
    outbox.create_event_type('ScAtCommit', contract => 'sc_at_commit', emit => 'created'),
    outbox.create_event_type('ScChecked', contract => 'sc_checked', emit => 'created');
SELECT outbox.enable('sc_by_row'), outbox.enable('sc_at_commit'), outbox.enable('sc_checked');

CREATE FUNCTION sc.writes(secret text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    stack text;
BEGIN
    EXECUTE format('INSERT INTO sc.by_row VALUES (1, ''a'') /* %s */', secret);
    EXECUTE format('INSERT INTO sc.at_commit VALUES (1, ''a'') /* %s */', secret);
    EXECUTE format('INSERT INTO sc.checked VALUES (1, ''a'') /* %s */', secret);
    GET DIAGNOSTICS stack = PG_CONTEXT;
    RETURN stack;
END $$;
\echo the context of the writer is whole afterwards
DO $$ BEGIN RAISE WARNING '%', sc.writes('hush'); END $$;
SELECT type, payload ->> 'seen' AS seen FROM outbox.event_json WHERE contract LIKE 'sc^_%' ESCAPE '^' ORDER BY seq;
SELECT message, detail FROM outbox.dead_letter WHERE contract = 'sc_checked';
\echo an error that ends the statement of the writer in an evaluation leaves nothing behind, either
CREATE FUNCTION sc.sleeps() RETURNS text LANGUAGE plpgsql STABLE AS $$ BEGIN PERFORM pg_sleep(100); RETURN ''; END $$;
ALTER FUNCTION sc.sleeps() OWNER TO sc_owner;
CREATE OR REPLACE FUNCTION sc.context() RETURNS text LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN sc.sleeps(); END $$;
CREATE FUNCTION sc.stack() RETURNS text LANGUAGE plpgsql AS $$ DECLARE stack text; BEGIN GET DIAGNOSTICS stack = PG_CONTEXT; RETURN stack; END $$;
SET statement_timeout = '200ms';
\set VERBOSITY terse
DO $$
BEGIN
    BEGIN
        INSERT INTO sc.by_row VALUES (2, 'b');
    EXCEPTION WHEN query_canceled THEN
        RAISE WARNING '%', sc.stack();
    END;
    RAISE WARNING '%', sc.stack();
END $$;
INSERT INTO sc.by_row VALUES (3, 'c');
RESET statement_timeout;
SELECT sc.stack();
SELECT outbox.drop_contract('sc_by_row'), outbox.drop_contract('sc_at_commit'), outbox.drop_contract('sc_checked');
DROP SCHEMA sc CASCADE;
DROP ROLE sc_owner;
