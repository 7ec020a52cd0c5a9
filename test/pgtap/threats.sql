-- What each role can do to each asset of docs/security.md, and what stops it: a test per cell of its table.
\set ON_ERROR_STOP on
\set QUIET on
\pset format unaligned
\pset tuples_only on
\pset pager off
SET client_min_messages = warning;
SELECT * FROM no_plan();

CREATE SCHEMA threat;
CREATE ROLE threat_nobody;
CREATE ROLE threat_writer;
CREATE ROLE threat_source;
CREATE ROLE threat_view;
CREATE ROLE threat_reader;
CREATE ROLE threat_operator;
CREATE ROLE threat_admin;
CREATE ROLE threat_database;
DO $do$ BEGIN PERFORM outbox.grant_access('threat_reader', 'reader'); END $do$;
DO $do$ BEGIN PERFORM outbox.grant_access('threat_operator', 'operator'); END $do$;
DO $do$ BEGIN PERFORM outbox.grant_access('threat_admin', 'admin'); END $do$;
DO $do$ BEGIN EXECUTE format('ALTER DATABASE %I OWNER TO threat_database', current_database()); END $do$;
GRANT USAGE, CREATE ON SCHEMA threat TO PUBLIC;
CREATE VIEW threat.roles AS SELECT rolname FROM pg_roles WHERE rolname LIKE 'threat%';

CREATE TABLE threat.account (id int PRIMARY KEY, holder text, secret text);
ALTER TABLE threat.account OWNER TO threat_source;
GRANT INSERT, UPDATE, DELETE, SELECT ON threat.account TO threat_writer;
GRANT SELECT (id, holder) ON threat.account TO threat_view;
CREATE FUNCTION threat.who() RETURNS text LANGUAGE plpgsql STABLE AS $$BEGIN RETURN current_user || ' for ' || session_user; END$$;
ALTER FUNCTION threat.who() OWNER TO threat_view;
CREATE VIEW threat.account_v AS SELECT id AS account_id, holder, threat.who() AS who FROM threat.account;
ALTER VIEW threat.account_v OWNER TO threat_view;
CREATE TABLE threat.private (id int PRIMARY KEY, v text);
CREATE VIEW threat.private_v AS SELECT id, v FROM threat.private;
DO $do$ BEGIN PERFORM outbox.create_contract('threat', view => 'threat.account_v', source => 'threat.account', key => '{account_id}', evaluate => 'commit'); END $do$;
DO $do$ BEGIN PERFORM outbox.create_event_type('ThreatOpened', contract => 'threat', emit => 'always'); END $do$;
DO $do$ BEGIN PERFORM outbox.enable('threat'); END $do$;
DO $do$ BEGIN PERFORM outbox.create_code_map('threat.map', '{"A": "ALPHA"}'); END $do$;
DO $do$ BEGIN PERFORM outbox.create_sink('threat', library => 'outbox_kafka', options => '{"bootstrap.servers": "127.0.0.1:1", "sasl.password": "s3cret",
	"schema.registry.url": "http://127.0.0.1:1", "schema.registry.basic.auth": "user:s3cret", "ssl.key.pem": "s3cret"}'); END $do$;

-- The SQLSTATE with which a command of a role fails; NULL: it does not.
CREATE FUNCTION threat.outcome(role name, command text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('SET LOCAL ROLE %I', role);
    EXECUTE command;
    RESET ROLE;
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    RESET ROLE;
    RETURN sqlstate;
END $$;
CREATE VIEW threat.relations AS
SELECT oid, oid::regclass::text AS name, relkind FROM pg_class
WHERE relnamespace IN ('outbox'::regnamespace, 'outbox_internal'::regnamespace) AND relkind IN ('r', 'p', 'v');

-- ---- rows that a role may not read -----------------------------------------------------------------

SELECT is_empty($$SELECT rolname, name FROM threat.roles, threat.relations WHERE rolname NOT IN ('threat_reader', 'threat_operator', 'threat_admin')
    AND threat.outcome(rolname, 'SELECT FROM ' || name) IS DISTINCT FROM '42501'$$,
    'nobody, writer, owner of a source, of a view, of the database × rows: no relation of the outbox can be read');
SELECT is_empty($$SELECT rolname, name FROM threat.roles, threat.relations WHERE rolname IN ('threat_reader', 'threat_operator', 'threat_admin')
    AND (name LIKE 'outbox_internal.%' OR name IN ('outbox.sink', 'outbox.event', 'outbox.dead_letter_entry')) AND threat.outcome(rolname, 'SELECT FROM ' || name) IS DISTINCT FROM '42501'$$,
    'reader, operator, admin × rows: only through the views that are granted');
INSERT INTO threat.account VALUES (1, 'ann', 'hush');
SELECT is_empty($$SELECT rolname, name FROM threat.roles, threat.relations WHERE has_table_privilege(rolname, oid, 'SELECT')
    AND (xpath('/row/n/text()', query_to_xml(format('SELECT count(*) AS n FROM %s x WHERE x::text LIKE ''%%hush%%''', name), false, true, '')))[1]::text <> '0'$$,
    'every role × rows: no view shows a column that no contract reads');
SELECT is(threat.outcome('threat_admin', $$SELECT outbox.create_contract('threat_2', view => 'threat.private_v', source => 'threat.private', key => '{id}')$$), '42501',
    'admin × rows: no contract of a view whose owner he is not');
SELECT is_empty($$SELECT c, threat.outcome('threat_admin', c) FROM unnest(ARRAY['SELECT * FROM outbox.preview(''threat'')', 'SELECT * FROM outbox.validate(''threat'')']) c
    WHERE threat.outcome('threat_admin', c) IS DISTINCT FROM '42501'$$, 'admin × rows: nor a look at the rows of one');
SELECT is(threat.outcome('threat_view', 'SELECT secret FROM threat.account'), '42501', 'owner of a view × rows: what is not granted is not read');

-- ---- events that are not true -----------------------------------------------------------------------

SELECT is_empty($$SELECT rolname, name, c FROM threat.roles, threat.relations,
    unnest(ARRAY['DELETE FROM %s', 'TRUNCATE %s', 'INSERT INTO %s DEFAULT VALUES', 'ALTER TABLE %s OWNER TO CURRENT_USER', 'DROP TABLE %s']) c
    WHERE relkind <> 'v' AND threat.outcome(rolname, format(c, name)) IS DISTINCT FROM '42501'$$, 'every role × events: no table of ours is written to');
SELECT is_empty($$SELECT rolname, name FROM threat.roles, threat.relations WHERE relkind = 'v' AND threat.outcome(rolname, format('DELETE FROM %s', name)) IS NULL$$,
    'every role × events: nor through a view');
SELECT is(threat.outcome(current_user, 'INSERT INTO outbox.event SELECT * FROM outbox.event LIMIT 1'), '55000', 'superuser × events: an event is not written by SQL, either');
SELECT is_empty($$SELECT rolname FROM threat.roles WHERE threat.outcome(rolname, format($c$
    CREATE TABLE threat.forged_%1$s (id int PRIMARY KEY, holder text, secret text);
    CREATE TRIGGER "!outbox_threat" AFTER INSERT ON threat.forged_%1$s FOR EACH ROW EXECUTE FUNCTION outbox.capture();
    CREATE TRIGGER "!outbox_threat_t" AFTER TRUNCATE ON threat.forged_%1$s FOR EACH STATEMENT EXECUTE FUNCTION outbox.capture_truncate();
    INSERT INTO threat.forged_%1$s VALUES (66, 'forged', ''); TRUNCATE threat.forged_%1$s$c$, rolname)) IS NOT NULL$$, 'every role × events: puts our triggers on a table of his own');
SELECT is_empty($$SELECT aggregateid FROM outbox.event_json WHERE contract = 'threat' AND aggregateid <> '1'$$, '... and makes no event');
SELECT is_empty($$SELECT id FROM outbox.dead_letter WHERE contract = 'threat' UNION ALL SELECT id FROM outbox.gap WHERE contract = 'threat'$$, '... no dead letter and no gap');
SELECT is_empty($$SELECT c FROM unnest(ARRAY['SELECT outbox.drop_contract(''threat'')', 'SELECT outbox.disable(''threat'')', 'SELECT outbox.enable(''threat'')',
    'SELECT outbox.create_event_type(''ThreatForged'', contract => ''threat'', emit => ''created'')', 'SELECT outbox.drop_event_type(''ThreatOpened'')',
    'SELECT outbox.add_check(''ThreatOpened'', ''never'', ''false'')', 'SELECT outbox.add_source(''threat'', ''threat.private'', key_query => ''row.id'')',
    'SELECT outbox.detach(''threat.account'')', 'SELECT outbox.drop_code_map(''threat.map'')']) c
    WHERE threat.outcome('threat_admin', c) IS DISTINCT FROM '42501'$$, 'admin × events: contracts and code maps of others are not his');
SELECT is_empty($$SELECT rolname FROM threat.roles WHERE threat.outcome(rolname, 'ALTER TABLE threat.account DISABLE TRIGGER "!outbox_threat"') IS NULL AND rolname <> 'threat_source'$$,
    'every role but the owner of the source × events: capture of it is not switched off');
SELECT is_empty($$SELECT rolname, s FROM threat.roles, unnest('{"outbox.capture = off", "session_replication_role = replica"}'::text[]) s
    WHERE threat.outcome(rolname, 'SET LOCAL ' || s) IS DISTINCT FROM '42501'$$, 'every role × events: nor by a setting');
SELECT is(threat.outcome('threat_database', format('ALTER DATABASE %I SET outbox.capture = off', current_database())), '42501', 'owner of the database × events: nor by one of the database');

-- ---- the application's writes ------------------------------------------------------------------------

SELECT is_empty($$SELECT rolname, name, c FROM threat.roles, threat.relations,
    unnest(ARRAY['LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', 'CREATE RULE r AS ON INSERT TO %s DO INSTEAD NOTHING', 'CREATE INDEX ON %s ((1))', 'COMMENT ON TABLE %s IS ''x''',
        'CREATE TRIGGER t BEFORE INSERT ON %s FOR EACH ROW EXECUTE FUNCTION outbox.capture()', 'CREATE STATISTICS threat.s ON (1), (2) FROM %s', 'ALTER TABLE %s SET (fillfactor = 10)']) c
    WHERE threat.outcome(rolname, format(c, name)) IS NULL$$, 'every role × writes: nothing is locked or changed that writers need');
SELECT is_empty($$SELECT rolname, name FROM threat.roles, threat.relations WHERE name LIKE 'outbox_internal.%'
    AND threat.outcome(rolname, format('PREPARE threat AS DELETE FROM %s', name)) IS DISTINCT FROM '42501'$$, 'every role × writes: nor named, which takes a lock before rights are asked for');
SELECT is(threat.outcome('threat_writer', $$SELECT set_config('outbox.correlation_id', repeat('x', 10000000), true); INSERT INTO threat.account VALUES (2, 'bob', 'hush')$$), NULL,
    'writer × writes: what he says of his transaction makes none fail');

-- ---- delivery ------------------------------------------------------------------------------------------

SELECT is_empty($$SELECT rolname, c FROM threat.roles, unnest(ARRAY['SELECT outbox.start_relay()', 'SELECT outbox.stop_relay()', 'SELECT outbox.pause()', 'SELECT outbox.resume()',
    'SELECT outbox.drop_sink(''threat'')', 'SELECT outbox.discard(1, ''x'')', 'SELECT outbox.redrive(1)']) c
    WHERE rolname NOT IN ('threat_operator', 'threat_admin') AND threat.outcome(rolname, c) NOT IN ('42501', '42883')$$, 'every role below operator × delivery: relays and letters are not his');
SELECT is(threat.outcome('threat_operator', $$SELECT outbox.drop_sink('threat')$$), '42501', 'operator × delivery: sinks are not his');
SELECT is_empty($$SELECT rolname, pid FROM threat.roles, pg_stat_activity WHERE backend_type LIKE 'outbox%'
    AND threat.outcome(rolname, format('SELECT pg_terminate_backend(%s)', pid)) IS DISTINCT FROM '42501'$$, 'every role × delivery: our processes are not ended');

-- ---- rights of others --------------------------------------------------------------------------------

SET ROLE threat_writer;
INSERT INTO threat.account VALUES (3, 'cyd', 'hush');
RESET ROLE;
SELECT results_eq($$SELECT DISTINCT payload ->> 'who' FROM outbox.event_json WHERE contract = 'threat'$$, format('VALUES (''threat_view for %s'')', session_user),
    'owner of a view × rights: his function runs as he, whoever writes');
-- code of the table's owner runs in every session that reads the table, so also where his table is evaluated
SET outbox.ddl_check = off; -- it would refuse the row level security
SET ROLE threat_source;
CREATE TABLE threat.ran (as_role name);
GRANT INSERT ON threat.ran TO PUBLIC;
CREATE FUNCTION threat.policy() RETURNS bool LANGUAGE plpgsql AS $$BEGIN INSERT INTO threat.ran VALUES (current_user); RETURN true; END$$;
ALTER TABLE threat.account ENABLE ROW LEVEL SECURITY;
CREATE POLICY threat ON threat.account USING (threat.policy()) WITH CHECK (threat.policy());
RESET ROLE;
SET ROLE threat_writer;
INSERT INTO threat.account VALUES (4, 'dan', 'hush');
UPDATE threat.account SET holder = 'dana' WHERE id = 4;
RESET ROLE;
DO $do$ BEGIN PERFORM outbox.redrive(contract => 'threat'); END $do$;
SELECT set_eq('SELECT as_role FROM threat.ran', ARRAY['threat_writer'::name], 'owner of a source × rights: his policy runs as who writes, not as the owner of the view or who redrives');
ALTER TABLE threat.account DISABLE ROW LEVEL SECURITY;
DROP POLICY threat ON threat.account;
-- what a writer puts in the way of a function that sets its own search_path
SET ROLE threat_view;
CREATE TABLE threat.hint (as_role name);
CREATE FUNCTION threat.hinted() RETURNS text LANGUAGE plpgsql STABLE SET search_path = threat AS $$BEGIN RETURN coalesce((SELECT as_role FROM hint), 'none'); END$$;
CREATE OR REPLACE FUNCTION threat.who() RETURNS text LANGUAGE plpgsql STABLE AS $$BEGIN RETURN threat.hinted(); END$$;
RESET ROLE;
SET ROLE threat_writer;
CREATE FUNCTION threat.forged() RETURNS name LANGUAGE sql AS 'SELECT current_user';
CREATE TEMP VIEW hint AS SELECT threat.forged() AS as_role;
GRANT SELECT ON hint TO PUBLIC;
SELECT is(threat.hinted(), 'threat_writer', 'writer × rights: a temporary view stands for the table in calls of his own');
INSERT INTO threat.account VALUES (5, 'eve', 'hush');
DROP VIEW hint;
RESET ROLE;
SELECT is((SELECT payload ->> 'who' FROM outbox.event_json WHERE contract = 'threat' AND aggregateid = '5'), 'none', '... and not where his rows are evaluated');

SELECT is_empty($$SELECT rolname FROM threat.roles WHERE threat.outcome(rolname, 'SELECT outbox.uninstall(true)') IS DISTINCT FROM '42501'
    OR threat.outcome(rolname, 'SELECT outbox.grant_access(''threat_nobody'', ''admin'')') IS DISTINCT FROM '42501'
    OR threat.outcome(rolname, 'DROP EXTENSION outbox_ext') IS DISTINCT FROM '42501'$$, 'every role × rights: the extension is its owner''s, the database''s owner included');
SELECT is_empty($$SELECT rolname FROM threat.roles WHERE threat.outcome(rolname, 'CREATE FUNCTION outbox.evil() RETURNS int LANGUAGE sql AS ''SELECT 1''') IS DISTINCT FROM '42501'
    AND rolname <> 'threat_database'$$, 'every role × rights: nothing is put into our schemas');

-- ---- the server ----------------------------------------------------------------------------------------

SELECT is_empty($$SELECT rolname, name FROM threat.roles, pg_settings WHERE name LIKE 'outbox.%' AND context <> 'user'
    AND threat.outcome(rolname, format('SET LOCAL %s TO DEFAULT', name)) NOT IN ('42501', '55P02')$$, 'every role × server: no setting of an administrator is changed');
SELECT is_empty($$SELECT o FROM unnest(ARRAY['{"ssl.ca.location": "/etc/passwd"}', '{"sasl.password": {"file": "/etc/passwd"}}', '{"sasl.kerberos.keytab": "/etc/passwd"}']) o
    WHERE threat.outcome('threat_admin', format('SELECT outbox.create_sink(''threat_2'', library => ''outbox_kafka'', options => ''{"bootstrap.servers": "a:1"}''::jsonb || %L)', o)) IS DISTINCT FROM '42501'$$,
    'admin × server: no file is read');
SELECT is_empty($$SELECT l FROM unnest('{plpgsql,auto_explain,/tmp/evil,../evil}'::text[]) l
    WHERE threat.outcome('threat_admin', format('SELECT outbox.create_sink(''threat_2'', library => %L)', l)) NOT IN ('42501', '42602')$$, 'admin × server: no library of his choice is loaded');
SET outbox.http_hosts = 'registry.example.com';
SELECT is(threat.outcome('threat_admin', $$SELECT outbox.create_sink('threat_2', library => 'outbox_kafka', options => '{"bootstrap.servers": "a:1", "schema.registry.url": "http://169.254.169.254"}')$$),
    '42501', 'admin × server: no host is asked that is not allowed');
RESET outbox.http_hosts;

-- ---- secrets of sinks -----------------------------------------------------------------------------------

SELECT is_empty($$SELECT rolname, name FROM threat.roles, threat.relations WHERE has_table_privilege(rolname, oid, 'SELECT')
    AND (xpath('/row/n/text()', query_to_xml(format('SELECT count(*) AS n FROM %s x WHERE x::text LIKE ''%%s3cret%%''', name), false, true, '')))[1]::text <> '0'$$,
    'every role × secrets: no relation that he may read has one');

SELECT * FROM finish();

DO $do$ BEGIN PERFORM outbox.drop_sink('threat'); END $do$;
DO $do$ BEGIN PERFORM outbox.drop_contract('threat'); END $do$;
DO $do$ BEGIN PERFORM outbox.drop_code_map('threat.map'); END $do$;
DO $do$ BEGIN EXECUTE format('ALTER DATABASE %I OWNER TO postgres', current_database()); END $do$;
DROP SCHEMA threat CASCADE;
DROP OWNED BY threat_nobody, threat_writer, threat_source, threat_view, threat_reader, threat_operator, threat_admin, threat_database;
DROP ROLE threat_nobody, threat_writer, threat_source, threat_view, threat_reader, threat_operator, threat_admin, threat_database;
