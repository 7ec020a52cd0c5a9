-- uninstall(): says what it will do, does it, and DROP EXTENSION needs no CASCADE; views that used decode() show the same rows.
SET client_min_messages = warning;
CREATE DATABASE outbox_uninstall_test;
\c outbox_uninstall_test
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE EXTENSION outbox_ext;
CREATE ROLE un_owner;
CREATE ROLE un_reader;
CREATE SCHEMA un AUTHORIZATION un_owner;
CREATE TABLE un.ordr (ordr_no int PRIMARY KEY, stat char(2), kind bigint, attr jsonb, map text DEFAULT 'stat');
GRANT SELECT ON un.ordr TO un_owner;
SELECT outbox.create_code_map('stat', '{"N": "NEW", "S ": "padded", "it''s": "quoted", "ß": "sharp", "SS": "two"}');
SELECT outbox.create_code_map('kind', '{"1": "one", "-7": "minus seven", "01": "never"}');
SET ROLE un_owner;
CREATE VIEW un.order_v WITH (security_barrier) AS
SELECT ordr_no AS order_id, outbox.decode('stat', btrim(stat)) AS status, outbox.decode('stat', stat::text) AS padded,
       (SELECT outbox.decode('kind', kind) WHERE ordr_no > 0) AS kind, outbox.decode('empty', stat::text) AS nothing,
       outbox.decode('no map', stat::text) AS no_map
FROM un.ordr;
ALTER VIEW un.order_v RENAME COLUMN nothing TO renamed;
COMMENT ON COLUMN un.order_v.status IS 'a word';
GRANT SELECT ON un.order_v TO un_reader;
CREATE VIEW un.mapped AS SELECT ordr_no, attr::outbox.string_map AS attr, outbox.decode('kind', kind) AS kind FROM un.ordr;
CREATE VIEW un.on_mapped AS SELECT * FROM un.mapped;
GRANT SELECT (attr) ON un.on_mapped TO un_reader;
RESET ROLE;
CREATE VIEW un.plain AS SELECT * FROM un.ordr;
CREATE VIEW un.dashboard AS SELECT name, state FROM outbox.status;
CREATE VIEW un.on_dashboard AS SELECT * FROM un.dashboard;
CREATE VIEW un.row_v AS SELECT ordr_no AS order_id, outbox.decode('stat', stat) AS status FROM un.ordr;
CREATE VIEW un.any_map AS SELECT ordr_no, outbox.decode(map, stat::text) AS word FROM un.ordr;
CREATE TABLE un.part (id int PRIMARY KEY) PARTITION BY LIST (id);
CREATE TABLE un.part_1 PARTITION OF un.part FOR VALUES IN (1);
CREATE VIEW un.part_v AS SELECT id FROM un.part;
SELECT outbox.create_contract('un_part', view => 'un.part_v', source => 'un.part', key => '{id}');
SELECT outbox.enable('un_part');
SELECT outbox.create_contract('un_order', view => 'un.row_v', source => 'un.ordr', key => '{order_id}');
SELECT outbox.create_event_type('UnPlaced', contract => 'un_order', emit => 'created');
SELECT outbox.enable('un_order');
SELECT outbox.create_sink('un_log', library => 'outbox_log');
INSERT INTO un.ordr VALUES (1, 'N', 1, '{"a": "b"}'), (2, 'S', -7, NULL), (3, NULL, NULL, '{}'), (4, 'ß', 8, NULL), (5, 'SS', 1, NULL);

\echo what would be lost is counted first
CREATE DOMAIN un.small AS bigint CHECK (value < 100);
CREATE TABLE un.bad (id int PRIMARY KEY, n bigint);
CREATE VIEW un.bad_v AS SELECT id, n::un.small AS n FROM un.bad;
SELECT outbox.create_contract('un_bad', view => 'un.bad_v', source => 'un.bad', key => '{id}');
SELECT outbox.create_event_type('UnBad', contract => 'un_bad', emit => 'created');
SELECT outbox.enable('un_bad');
INSERT INTO un.bad VALUES (1, 1000), (2, 2000);
SELECT action, object, command, restore FROM outbox.uninstall() WHERE step <= 2;
SELECT outbox.discard(id, 'test') IS NOT NULL AS discarded FROM outbox.dead_letter WHERE contract = 'un_bad';
SELECT outbox.drop_contract('un_bad');
DROP VIEW un.bad_v;
DROP TABLE un.bad;
DROP DOMAIN un.small;
SELECT outbox.start_relay('un_log') IS NOT NULL AS started;

\echo it fails as it is
\set VERBOSITY terse
DROP EXTENSION outbox_ext;
\set VERBOSITY default

\echo what would be done, and nothing is done by asking
CREATE TABLE un.rows AS SELECT 'order_v' AS view, v::text AS row FROM un.order_v v UNION ALL SELECT 'mapped', v::text FROM un.on_mapped v;
CREATE TABLE un.steps AS SELECT * FROM outbox.uninstall();
SELECT action, object, restore IS NOT NULL AS can_be_restored FROM un.steps WHERE action <> 'create view' AND action NOT LIKE 'lose %' ORDER BY step;
SELECT DISTINCT action, object FROM un.steps WHERE action = 'create view' ORDER BY 2;
SELECT count(*) FROM pg_trigger WHERE tgrelid = 'un.ordr'::regclass;
SELECT state FROM outbox.status WHERE name = 'un_order';

\echo obstacles: named, and nothing is done
CREATE TABLE un.attrs (a outbox.string_map);
CREATE MATERIALIZED VIEW un.stored AS SELECT * FROM un.order_v;
CREATE MATERIALIZED VIEW un.decoded AS SELECT outbox.decode('kind', 1) AS kind;
CREATE FUNCTION un.f() RETURNS text LANGUAGE sql BEGIN ATOMIC SELECT outbox.decode('kind', 1); END;
ALTER TABLE un.ordr ADD CONSTRAINT known CHECK (outbox.decode('stat', stat) <> 'x');
SELECT object FROM outbox.uninstall() WHERE action = 'obstacle' ORDER BY 1;
SELECT count(*) FROM outbox.uninstall(execute => true);
SELECT enabled FROM outbox.contract;
DROP TABLE un.attrs;
DROP MATERIALIZED VIEW un.decoded;
DROP FUNCTION un.f();
ALTER TABLE un.ordr DROP CONSTRAINT known;
SELECT count(*) AS detached FROM outbox.detach('un.ordr');
SELECT object FROM outbox.uninstall() WHERE action = 'obstacle';
SELECT outbox.reattach('un.ordr');

\echo only the owner of the extension
SELECT outbox.grant_access('un_owner', 'admin');
SET ROLE un_owner;
SELECT * FROM outbox.uninstall();
RESET ROLE;

\echo done
SELECT count(*) = (SELECT count(*) FROM un.steps WHERE action NOT LIKE 'lose %') AS as_said FROM outbox.uninstall(execute => true) WHERE action NOT LIKE 'lose %';
SELECT kind, name FROM outbox.status;
SELECT desired_state FROM outbox.sink;
SELECT tgname FROM pg_trigger WHERE tgrelid = 'un.ordr'::regclass;
SELECT * FROM outbox.uninstall() WHERE action NOT LIKE 'lose %';
DROP EXTENSION outbox_ext;
SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'outbox%';

\echo the views show what they showed, to whom they showed it
(SELECT 'order_v' AS view, v::text AS row FROM un.order_v v UNION ALL SELECT 'mapped', v::text FROM un.on_mapped v)
EXCEPT TABLE un.rows;
SELECT * FROM un.order_v ORDER BY 1;
SELECT relname, relowner::regrole, reloptions FROM pg_class WHERE relnamespace = 'un'::regnamespace AND relkind IN ('v', 'm') ORDER BY 1;
SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'un.on_mapped'::regclass AND attname = 'attr';
SELECT has_table_privilege('un_reader', 'un.order_v', 'SELECT') AS reads, has_column_privilege('un_reader', 'un.on_mapped', 'attr', 'SELECT') AS reads_attr,
       col_description('un.order_v'::regclass, 2);
INSERT INTO un.ordr VALUES (6, 'N', 1, NULL);

\echo and back again: the migration file, or what uninstall() gave for it
CREATE EXTENSION outbox_ext;
SELECT outbox.create_code_map('stat', '{"N": "NEW again"}');
DO $$
DECLARE
    command text;
BEGIN
    DROP VIEW un.mapped CASCADE;
    FOR command IN SELECT restore FROM un.steps WHERE action IN ('replace view', 'drop view') ORDER BY action = 'drop view', step DESC LOOP
        EXECUTE command;
    END LOOP;
END $$;
SELECT relname FROM pg_class WHERE relnamespace = 'un'::regnamespace AND relkind = 'v' ORDER BY 1;
SELECT order_id, status FROM un.order_v WHERE order_id = 6;
SELECT relowner::regrole FROM pg_class WHERE oid = 'un.on_mapped'::regclass;
SELECT count(*) FROM outbox.uninstall(execute => true);
DROP EXTENSION outbox_ext;
\c contrib_regression
SET client_min_messages = warning;
DROP DATABASE outbox_uninstall_test WITH (FORCE);
DROP ROLE un_owner, un_reader;
