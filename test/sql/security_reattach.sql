-- Views are created again with the rights of their owners: reattach() and uninstall() lend nobody theirs, and give no name to a stranger's view.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE ROLE sr_owner;
CREATE ROLE "sr Stranger";
CREATE SCHEMA sr;
GRANT USAGE ON SCHEMA sr TO PUBLIC;
GRANT CREATE ON SCHEMA sr TO sr_owner, "sr Stranger";
CREATE TABLE sr.item (id int PRIMARY KEY, name text, code text);
GRANT SELECT ON sr.item TO sr_owner, "sr Stranger";
CREATE TABLE sr.ran (by_role name, what text);
GRANT INSERT ON sr.ran TO PUBLIC;
SELECT outbox.create_code_map('sr_code', '{"a": "A"}');
SET ROLE sr_owner;
CREATE FUNCTION sr.note(what text) RETURNS void LANGUAGE sql VOLATILE AS $$ INSERT INTO sr.ran VALUES (current_user, what) $$;
CREATE FUNCTION sr.ck(x int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN true; END $$;
CREATE DOMAIN sr.dom AS int CHECK (sr.ck(VALUE));
CREATE VIEW sr.item_v AS SELECT id, name, '{5}'::sr.dom[] AS tags, outbox.decode('sr_code', code) AS code, E'\\a' AS text,
    date '2026-02-01' AS day, interval '1 day 2 hours' AS span FROM sr.item;
RESET ROLE;
SELECT outbox.create_contract('sr_item', view => 'sr.item_v', source => 'sr.item', key => '{id}');
SELECT outbox.create_event_type('SrItem', contract => 'sr_item', emit => 'created');
SELECT outbox.enable('sr_item');
SELECT pg_get_viewdef('sr.item_v') AS definition \gset
-- now the check says who runs it, and would do what it could
SET ROLE sr_owner;
CREATE OR REPLACE FUNCTION sr.ck(x int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    PERFORM sr.note('check');
    BEGIN EXECUTE 'RESET ROLE'; PERFORM sr.note('reset role'); EXCEPTION WHEN OTHERS THEN NULL; END;
    BEGIN EXECUTE 'SET SESSION AUTHORIZATION DEFAULT'; PERFORM sr.note('session'); EXCEPTION WHEN OTHERS THEN NULL; END;
    RETURN true;
END $$;
RESET ROLE;

\echo reattach: in the settings of whoever detaches and whoever reattaches the view is the same
SET datestyle = 'SQL, DMY';
SET intervalstyle = 'sql_standard';
SELECT * FROM outbox.detach('sr.item');
RESET datestyle;
RESET intervalstyle;
-- PostgreSQL 19 has no other strings
SELECT current_setting('server_version_num')::int < 190000 AS other_strings \gset
\if :other_strings
SET standard_conforming_strings = off;
\endif
SELECT * FROM outbox.reattach('sr.item');
RESET standard_conforming_strings;
SELECT pg_get_viewdef('sr.item_v') = :'definition' AS same, pg_get_userbyid(relowner) FROM pg_class WHERE oid = 'sr.item_v'::regclass;
SELECT DISTINCT by_role, what FROM sr.ran ORDER BY 1, 2;
INSERT INTO sr.item VALUES (1, 'x', 'a');
SELECT payload->>'code' FROM outbox.event_json WHERE contract = 'sr_item';

\echo an owner who may create nothing: the GRANT is named
SELECT count(*) FROM outbox.detach('sr.item');
REVOKE CREATE ON SCHEMA sr FROM sr_owner;
SELECT * FROM outbox.reattach('sr.item');
GRANT USAGE, CREATE ON SCHEMA sr TO sr_owner;
SELECT * FROM outbox.reattach('sr.item');
REVOKE CREATE ON SCHEMA sr FROM sr_owner;

\echo uninstall
BEGIN;
TRUNCATE sr.ran;
SAVEPOINT may_not;
SELECT count(*) FROM outbox.uninstall(execute => true);
ROLLBACK TO may_not;
GRANT USAGE, CREATE ON SCHEMA sr TO sr_owner;
SELECT action, object FROM outbox.uninstall(execute => true) WHERE object IN ('sr_item', 'sr.item_v');
SELECT DISTINCT by_role, what FROM sr.ran ORDER BY 1, 2;
SELECT pg_get_viewdef('sr.item_v') ~ 'decode' AS decodes;
ROLLBACK;
GRANT CREATE ON SCHEMA sr TO sr_owner;

\echo somebody else takes the name meanwhile
SELECT count(*) FROM outbox.detach('sr.item');
SET ROLE "sr Stranger";
CREATE VIEW sr.item_v AS SELECT id, name, '{5}'::int[] AS tags, code, 'a'::text AS text, date '2026-02-01' AS day, interval '1 day' AS span FROM sr.item;
RESET ROLE;
SELECT * FROM outbox.reattach('sr.item');
ALTER VIEW sr.item_v OWNER TO sr_owner;
SELECT * FROM outbox.reattach('sr.item');
SELECT count(*) FROM outbox.detach('sr.item');
SET ROLE "sr Stranger";
CREATE TABLE sr.item_v (id int, name text);
RESET ROLE;
SELECT * FROM outbox.reattach('sr.item');
DROP TABLE sr.item_v;
SET ROLE "sr Stranger";
CREATE VIEW sr.item_v AS SELECT id, name FROM sr.item;
RESET ROLE;
SELECT * FROM outbox.reattach('sr.item');
DROP VIEW sr.item_v;
SELECT * FROM outbox.reattach('sr.item');
SELECT state FROM outbox.status WHERE name = 'sr_item';

\echo a role that is renamed meanwhile, and one that is not there any more
SELECT count(*) FROM outbox.detach('sr.item');
ALTER ROLE sr_owner RENAME TO "sr Owner";
CREATE ROLE sr_owner;
SELECT * FROM outbox.reattach('sr.item');
SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = 'sr.item_v'::regclass;
SELECT state FROM outbox.status WHERE name = 'sr_item';
DROP ROLE sr_owner;
SELECT count(*) FROM outbox.detach('sr.item');
UPDATE outbox.detached_view SET owner = 'sr_gone', role = 'sr_gone', owner_id = '1/10', role_id = NULL;
SELECT * FROM outbox.reattach('sr.item');
UPDATE outbox.detached_view SET owner = 'sr Owner', role = 'sr Owner';
SELECT * FROM outbox.reattach('sr.item');

\echo a view of a superuser that runs the check of somebody else when it is created
CREATE VIEW sr.report AS SELECT name, '{1}'::sr.dom[] AS tags FROM sr.item_v;
SELECT count(*) FROM outbox.detach('sr.item');
TRUNCATE sr.ran;
SELECT * FROM outbox.reattach('sr.item');
SELECT DISTINCT by_role, what FROM sr.ran ORDER BY 1, 2;
ALTER FUNCTION sr.ck(integer) OWNER TO CURRENT_USER;
SELECT * FROM outbox.reattach('sr.item');

SELECT outbox.drop_contract('sr_item'), outbox.drop_code_map('sr_code');
DELETE FROM outbox.gap WHERE contract LIKE 'sr_%';
DROP SCHEMA sr CASCADE;
DROP ROLE "sr Owner", "sr Stranger";
