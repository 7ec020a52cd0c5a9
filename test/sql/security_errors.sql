-- An error that the server raises reaches the writer; the same SQLSTATE raised by a function of the view's owner does not; needs test functions.
SET client_min_messages = warning;
CREATE SCHEMA forge;
CREATE FUNCTION forge.by_server(sqlstate text, file text) RETURNS void
LANGUAGE c STRICT AS '$libdir/outbox_ext', 'outbox_test_raise';

\echo the same SQLSTATEs, raised by the server and by a function; per row and at commit
CREATE FUNCTION forge.raise(state text, file text) RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF file = 'pl_exec.c' THEN
        RAISE EXCEPTION 'forged' USING ERRCODE = state;
    ELSIF file IS NOT NULL THEN
        PERFORM forge.by_server(state, file);
    END IF;
    RETURN state;
END $$;
CREATE TABLE forge.by_row (id int PRIMARY KEY, state text, file text);
CREATE TABLE forge.at_commit (id int PRIMARY KEY, state text, file text);
CREATE VIEW forge.by_row_v AS SELECT id, forge.raise(state, file) AS state FROM forge.by_row;
CREATE VIEW forge.at_commit_v AS SELECT id, forge.raise(state, file) AS state FROM forge.at_commit;
SELECT outbox.create_contract('forge_by_row', view => 'forge.by_row_v', source => 'forge.by_row', key => '{id}');
SELECT outbox.create_contract('forge_at_commit', view => 'forge.at_commit_v', source => 'forge.at_commit', key => '{id}', evaluate => 'commit');
SELECT outbox.create_event_type('ForgeByRow', contract => 'forge_by_row', emit => 'created');
SELECT outbox.create_event_type('ForgeAtCommit', contract => 'forge_at_commit', emit => 'created');
SELECT outbox.enable('forge_by_row'), outbox.enable('forge_at_commit');

CREATE TABLE forge.attempt (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, state text, file text, writer_sees bool);
INSERT INTO forge.attempt (state, file, writer_sees) VALUES
    ('57014', 'postgres.c', true), ('57P01', 'postgres.c', true), ('57P01', 'bgworker.c', true),
    ('40001', 'predicate.c', true), ('40001', 'postgres.c', true),
    ('53100', 'md.c', true), ('53100', 'fd.c', true), ('53100', 'buffile.c', true), ('53100', 'dsm_impl.c', true),
    ('58030', 'bufmgr.c', true), ('58030', 'fd.c', true), ('58P01', 'md.c', true), ('58P01', 'slru.c', true), ('XX001', 'bufmgr.c', true), ('XX002', 'nbtpage.c', true);
-- the same states by a function; by extensions and languages in C; and by a file of the server that raises others
INSERT INTO forge.attempt (state, file, writer_sees)
SELECT a.state, f.file, false
FROM (SELECT DISTINCT state FROM forge.attempt) a CROSS JOIN unnest('{pl_exec.c,plpy_elog.c,connection.c,dfmgr.c}'::text[]) f (file)
ORDER BY 1, 2;
INSERT INTO forge.attempt (state, file, writer_sees) VALUES
    ('57014', 'md.c', false), ('40001', 'md.c', false), ('40001', 'nodeModifyTable.c', false), ('40001', 'nodeLockRows.c', false),
    ('40001', 'heapam_handler.c', false), ('40001', 'trigger.c', false), ('40001', 'ri_triggers.c', false), ('53100', 'nodeLockRows.c', false), ('58P01', 'fd.c', false), ('58P02', 'fd.c', false), ('58P01', 'xlogutils.c', false), ('P0004', 'pl_exec.c', false), ('22012', 'postgres.c', false);
\set VERBOSITY sqlstate
SELECT format('INSERT INTO forge.%I VALUES (%s, %L, %L)', t, id, state, file)
FROM forge.attempt, unnest('{by_row,at_commit}'::text[]) t WHERE writer_sees ORDER BY t, id \gexec
\set VERBOSITY default
INSERT INTO forge.by_row SELECT id, state, file FROM forge.attempt WHERE NOT writer_sees;
INSERT INTO forge.at_commit SELECT id, state, file FROM forge.attempt WHERE NOT writer_sees;
\echo nothing is there of the writes that failed, and a dead letter of each of the others
SELECT count(*) FROM (SELECT id FROM forge.by_row UNION ALL SELECT id FROM forge.at_commit) w JOIN forge.attempt USING (id) WHERE writer_sees;
SELECT l.contract, count(*), count(*) FILTER (WHERE l.sqlstate = a.state AND a.writer_sees = false) AS right
FROM outbox.dead_letter l JOIN forge.attempt a ON a.id = (l.key->>'id')::int WHERE l.contract LIKE 'forge%' GROUP BY 1 ORDER BY 1;
SELECT count(*) FROM forge.attempt WHERE NOT writer_sees;

\echo a file or directory that a function asks for and that is not there is no trouble of the storage
CREATE FUNCTION forge.look(what text) RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF what = 'directory' THEN PERFORM pg_ls_dir('nowhere'); END IF;
    IF what = 'log' THEN PERFORM * FROM pg_ls_logdir(); END IF;
    IF what = 'file' THEN PERFORM pg_read_file('nowhere'); END IF;
    RETURN what;
END $$;
CREATE TABLE forge.files (id int PRIMARY KEY, what text);
CREATE VIEW forge.files_v AS SELECT id, forge.look(what) AS what FROM forge.files;
SELECT outbox.create_contract('forge_files', view => 'forge.files_v', source => 'forge.files', key => '{id}');
SELECT outbox.create_event_type('ForgeFiles', contract => 'forge_files', emit => 'always');
SELECT outbox.enable('forge_files');
INSERT INTO forge.files VALUES (1, 'directory'), (2, 'log'), (3, 'file'), (4, 'none');
SELECT key, sqlstate FROM outbox.dead_letter WHERE contract = 'forge_files' ORDER BY id;
SELECT outbox.drop_contract('forge_files');

\echo a real cancel and a forged one; a function that catches a cancel and raises it again passes it on
CREATE FUNCTION forge.wait(how text) RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF how IN ('wait', 'pass on') THEN PERFORM pg_sleep(100); END IF;
    IF how = 'forge' THEN RAISE query_canceled USING MESSAGE = 'canceling statement due to user request'; END IF;
    RETURN how;
EXCEPTION WHEN query_canceled THEN
    RAISE;
END $$;
CREATE TABLE forge.waiting (id int PRIMARY KEY, how text);
CREATE VIEW forge.waiting_v AS SELECT id, forge.wait(how) AS how FROM forge.waiting;
SELECT outbox.create_contract('forge_wait', view => 'forge.waiting_v', source => 'forge.waiting', key => '{id}');
SELECT outbox.create_event_type('ForgeWait', contract => 'forge_wait', emit => 'created');
SELECT outbox.enable('forge_wait');
SET statement_timeout = '200ms';
INSERT INTO forge.waiting VALUES (1, 'wait');
INSERT INTO forge.waiting VALUES (2, 'pass on');
RESET statement_timeout;
INSERT INTO forge.waiting VALUES (3, 'forge');
SELECT id, how FROM forge.waiting;
SELECT key, sqlstate, message FROM outbox.dead_letter WHERE contract = 'forge_wait';

\echo anybody may name a library that does not exist: that is no missing file of a table
CREATE FUNCTION forge.load() RETURNS void LANGUAGE plpgsql AS $$ BEGIN LOAD '$libdir/plugins/none'; END $$;
CREATE FUNCTION forge.load(id int) RETURNS int LANGUAGE plpgsql STABLE AS $$ BEGIN PERFORM forge.load(); RETURN id; END $$;
CREATE TABLE forge.loading (id int PRIMARY KEY);
CREATE VIEW forge.loading_v AS SELECT id, CASE WHEN id > 0 THEN forge.load(id) END AS loaded FROM forge.loading;
SELECT outbox.create_contract('forge_load', view => 'forge.loading_v', source => 'forge.loading', key => '{id}');
SELECT outbox.create_event_type('ForgeLoad', contract => 'forge_load', emit => 'created');
SELECT outbox.enable('forge_load');
INSERT INTO forge.loading VALUES (1);
SELECT key, sqlstate FROM outbox.dead_letter WHERE contract = 'forge_load';

SELECT outbox.drop_contract(name) FROM outbox.contract WHERE name LIKE 'forge%';
DELETE FROM outbox.dead_letter_entry WHERE contract LIKE 'forge%';
DROP SCHEMA forge CASCADE;
