-- What each level of access may do and may not, what a writer with no right at all can bring about, and what dead letters tell.
\set ON_ERROR_STOP on
\set QUIET on
\pset format unaligned
\pset tuples_only on
\pset pager off
-- Not in one transaction: events are there when theirs is committed.
SET client_min_messages = warning;
SELECT * FROM no_plan();

CREATE ROLE roles_writer;
CREATE ROLE roles_reader;
CREATE ROLE roles_operator;
CREATE ROLE roles_admin;
CREATE ROLE roles_owner;
DO $do$ BEGIN PERFORM outbox.grant_access('roles_reader', 'reader'); END $do$;
DO $do$ BEGIN PERFORM outbox.grant_access('roles_operator', 'operator'); END $do$;
DO $do$ BEGIN PERFORM outbox.grant_access('roles_admin', 'admin'); END $do$;
CREATE SCHEMA roles AUTHORIZATION roles_owner;
GRANT USAGE, CREATE ON SCHEMA roles TO roles_writer;
CREATE TABLE roles.account (id int PRIMARY KEY, holder text, share int, secret text);
GRANT SELECT (id, holder, share) ON roles.account TO roles_owner;
GRANT INSERT, UPDATE, DELETE, SELECT ON roles.account TO roles_writer;
CREATE VIEW roles.account_v AS SELECT id AS account_id, holder, 100 / share AS percent FROM roles.account;
ALTER VIEW roles.account_v OWNER TO roles_owner;
DO $do$ BEGIN PERFORM outbox.create_contract('roles', view => 'roles.account_v', source => 'roles.account', key => '{account_id}', required => '{holder}'); END $do$;
DO $do$ BEGIN PERFORM outbox.create_event_type('RolesOpened', contract => 'roles', emit => 'created', condition => '1 / (new.percent - 50) IS NOT NULL'); END $do$;
DO $do$ BEGIN PERFORM outbox.create_event_type('RolesChanged', contract => 'roles', emit => 'changed'); END $do$;
DO $do$ BEGIN PERFORM outbox.create_event_type('RolesClosed', contract => 'roles', emit => 'deleted'); END $do$;
DO $do$ BEGIN PERFORM outbox.add_check('RolesOpened', 'many', 'percent > 1'); END $do$;
DO $do$ BEGIN PERFORM outbox.enable('roles'); END $do$;

-- Answers as a role, whatever the present one is; the SQLSTATE if it fails, else NULL.
CREATE FUNCTION roles.outcome(role name, command text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('SET LOCAL ROLE %I', role);
    EXECUTE command;
    RESET ROLE;
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    RESET ROLE;
    RETURN sqlstate;
END $$;

-- ---- functions -----------------------------------------------------------------------------------

CREATE VIEW roles.functions AS
SELECT p.oid, proname, format('SELECT %s.%I(%s)', pronamespace::regnamespace, proname,
       (SELECT string_agg('(SELECT NULL::' || t::regtype || ')', ', ' ORDER BY o) FROM unnest(proargtypes::oid[]) WITH ORDINALITY AS a (t, o))) AS call
FROM pg_proc p WHERE pronamespace IN ('outbox'::regnamespace, 'outbox_internal'::regnamespace) AND prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype);

SELECT is_empty($$SELECT call FROM roles.functions WHERE proname <> 'decode' AND roles.outcome('roles_writer', call) IS DISTINCT FROM '42501'$$,
    'a writer may call nothing but decode()');
SELECT is_empty($$SELECT r, call FROM roles.functions, unnest('{roles_reader,roles_operator,roles_admin}'::name[]) r
    WHERE NOT has_function_privilege(r, oid, 'EXECUTE') AND roles.outcome(r, call) IS DISTINCT FROM '42501'$$,
    'what is not granted is refused');
SELECT is_empty($$SELECT call FROM roles.functions WHERE has_function_privilege('roles_admin', oid, 'EXECUTE')
    AND proname IN ('grant_access', 'uninstall', 'uninstall_plan', 'lock_tables', 'view_commands', 'dependent_views', 'contract_views', 'view_without_decode')$$,
    'what is for the owner is not for an admin');
SELECT is_empty($$SELECT call FROM roles.functions WHERE has_function_privilege('roles_reader', oid, 'EXECUTE')
    AND proname NOT IN ('decode', 'decode_payload') AND proname ~ 'create|drop|enable|disable|start|stop|pause|resume|redrive|discard|add_|attach|detach|replay$'$$,
    'a reader changes nothing');
SELECT is_empty($$SELECT proname FROM pg_proc WHERE pronamespace IN ('outbox'::regnamespace, 'outbox_internal'::regnamespace) AND prosecdef$$,
    'no function borrows the rights of its owner by SECURITY DEFINER');
SELECT is_empty($$SELECT p.oid::regprocedure FROM pg_proc p JOIN pg_language l ON l.oid = prolang
    WHERE pronamespace IN ('outbox'::regnamespace, 'outbox_internal'::regnamespace) AND lanname <> 'c' AND NOT coalesce(proconfig, '{}') @> ARRAY['search_path=pg_catalog, pg_temp']$$,
    'every function that is not in C pins search_path');

-- ---- relations -----------------------------------------------------------------------------------

CREATE VIEW roles.relations AS
SELECT oid, oid::regclass::text AS name, relkind FROM pg_class
WHERE relnamespace IN ('outbox'::regnamespace, 'outbox_internal'::regnamespace) AND relkind IN ('r', 'p', 'v', 'S');

SELECT is_empty($$SELECT r, name, p FROM roles.relations, unnest('{roles_writer,roles_reader,roles_operator,roles_admin}'::name[]) r,
    unnest('{INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER}'::text[]) p WHERE relkind <> 'S' AND has_table_privilege(r, oid, p)$$,
    'nobody writes to our tables himself');
SELECT is_empty($$SELECT r, name FROM roles.relations, unnest('{roles_writer,roles_reader,roles_operator,roles_admin}'::name[]) r
    WHERE relkind = 'S' AND has_sequence_privilege(r, oid, 'USAGE, SELECT, UPDATE')$$, 'nor to a sequence');
SELECT is_empty($$SELECT name FROM roles.relations WHERE relkind <> 'S' AND roles.outcome('roles_writer', 'SELECT FROM ' || name) IS DISTINCT FROM '42501'$$,
    'a writer reads nothing');
SELECT is_empty($$SELECT name FROM roles.relations WHERE relkind <> 'S' AND has_table_privilege('roles_reader', oid, 'SELECT')
    AND roles.outcome('roles_reader', 'SELECT * FROM ' || name) IS NOT NULL$$, 'a reader can read every view that is granted to him');
SELECT set_eq($$SELECT name FROM roles.relations JOIN pg_class c USING (oid) WHERE relnamespace = 'outbox'::regnamespace
    AND (c.relkind = 'p' OR c.relname IN (SELECT relname FROM pg_class WHERE relnamespace = 'outbox_internal'::regnamespace AND relkind = 'r')) AND roles.outcome('roles_reader', 'SELECT FROM ' || name) IS NULL$$,
    ARRAY['outbox.gap', 'outbox.ddl_check_log', 'outbox.source', 'outbox.code_map', 'outbox.detached_view'], 'of the tables below them he reads the gaps, and what hints name');
SELECT is_empty($$SELECT name FROM roles.relations WHERE relkind <> 'S' AND roles.outcome('roles_admin', 'SELECT FROM ' || name) IS NULL
    AND roles.outcome('roles_reader', 'SELECT FROM ' || name) IS NOT NULL$$, 'and an admin reads no more: sinks'' options with passwords least of all');
SELECT is_empty($$SELECT r FROM unnest('{roles_writer,roles_reader,roles_operator,roles_admin}'::name[]) r
    WHERE roles.outcome(r, 'CREATE TABLE outbox.mine ()') IS DISTINCT FROM '42501'$$, 'nobody creates anything in schema outbox');
SELECT is_empty($$SELECT r, name FROM unnest('{roles_writer,roles_reader,roles_operator,roles_admin}'::name[]) r, roles.relations
    WHERE name LIKE 'outbox_internal.%' AND relkind <> 'S' AND roles.outcome(r, 'PREPARE p AS SELECT FROM ' || name) IS DISTINCT FROM '42501'$$,
    'nor names anything in schema outbox_internal');

-- ---- settings ------------------------------------------------------------------------------------

SELECT is_empty($$SELECT r, s FROM unnest('{roles_writer,roles_admin}'::name[]) r,
    unnest('{"outbox.capture = off", "outbox.max_message_bytes = 2000", "outbox.sink_libraries = ''x''"}'::text[]) s
    WHERE roles.outcome(r, 'SET LOCAL ' || s) IS DISTINCT FROM '42501'$$, 'switching capture off is for superusers');
SELECT is(roles.outcome('roles_writer', 'SET LOCAL outbox.correlation_id = ''c-1'''), NULL, 'naming a correlation is for everybody');

-- ---- a writer who tries --------------------------------------------------------------------------

SELECT is(roles.outcome('roles_writer', $$INSERT INTO roles.account VALUES (1, 'ann', 10, 'hush')$$), NULL, 'a writer with no right on the outbox writes');
SELECT results_eq($$SELECT aggregateid, payload FROM outbox.event_json WHERE contract = 'roles'$$,
    $$VALUES ('1', '{"holder": "ann", "percent": 10, "account_id": 1}'::jsonb)$$, 'and his write is captured');
SELECT is_empty($$SELECT f FROM unnest('{outbox.capture(),outbox.capture_truncate(),outbox_internal.refuse_write(),outbox_internal.check_sink_options(),outbox_internal.config_changed()}'::text[]) f
    WHERE roles.outcome(CASE WHEN f LIKE 'outbox.capture%' THEN 'roles_writer' ELSE current_user END, 'SELECT ' || f) IS DISTINCT FROM '39P01'$$,
    'trigger functions refuse to be called as functions');
SELECT is(roles.outcome('roles_writer', $$
    CREATE TABLE roles.forged (id int PRIMARY KEY, holder text, share int, secret text);
    CREATE TRIGGER "!outbox_roles" AFTER INSERT ON roles.forged FOR EACH ROW EXECUTE FUNCTION outbox.capture();
    INSERT INTO roles.forged VALUES (2, 'forged', 10, '')$$), NULL, 'a writer may put our trigger on a table of his own');
SELECT is_empty($$SELECT aggregateid FROM outbox.event_json WHERE contract = 'roles' AND aggregateid <> '1'$$, 'which makes no event of somebody else''s contract');
SELECT is_empty($$SELECT id FROM outbox.dead_letter WHERE contract = 'roles'$$, 'and no dead letter');
SELECT is_empty($$SELECT id FROM outbox.gap WHERE contract = 'roles'$$, 'and no gap');

-- ---- dead letters tell what the contract reads, and nothing else ---------------------------------

INSERT INTO roles.account VALUES (10, 'map', 0, 'hush');
INSERT INTO roles.account VALUES (11, NULL, 10, 'hush');
INSERT INTO roles.account VALUES (12, 'condition', 2, 'hush');
INSERT INTO roles.account VALUES (13, 'check', 100, 'hush');
UPDATE roles.account SET share = 0, secret = 'hush' WHERE id = 1;
SET outbox.max_message_bytes = 1024;
INSERT INTO roles.account VALUES (14, repeat('long', 500), 10, 'hush');
RESET outbox.max_message_bytes;
SET outbox.ddl_check = off;
ALTER VIEW roles.account_v RENAME COLUMN holder TO renamed;
INSERT INTO roles.account VALUES (15, 'renamed', 10, 'hush');
SELECT set_eq($$SELECT DISTINCT stage FROM outbox.dead_letter WHERE contract = 'roles'$$, ARRAY['map', 'encode', 'condition', 'check', 'size'], 'at every stage');
SELECT ok((SELECT count(*) >= 7 FROM outbox.dead_letter WHERE contract = 'roles'), 'each makes a dead letter');
SELECT is_empty($$SELECT id, d FROM outbox.dead_letter d WHERE contract = 'roles' AND d::text ~ 'hush|secret'$$, 'none names or holds the column that no contract reads');
SELECT is_empty($$SELECT id FROM outbox.dead_letter, jsonb_object_keys(source_columns) k WHERE contract = 'roles' AND k NOT IN ('id', 'holder', 'share')$$,
    'source_columns holds only columns that the contract reads');
SELECT is_empty($$SELECT payload FROM outbox.event_json WHERE contract = 'roles' AND payload::text ~ 'hush|secret'$$, 'nor does an event');

SELECT * FROM finish();

DO $do$ BEGIN PERFORM outbox.drop_contract('roles'); END $do$;
DELETE FROM outbox.dead_letter_entry WHERE contract = 'roles';
DROP SCHEMA roles CASCADE;
DROP OWNED BY roles_reader, roles_operator, roles_admin, roles_writer, roles_owner;
DROP ROLE roles_reader, roles_operator, roles_admin, roles_writer, roles_owner;
