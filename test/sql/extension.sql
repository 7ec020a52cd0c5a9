-- DROP EXTENSION takes triggers and schema along without CASCADE, and CREATE EXTENSION starts afresh.
SET client_min_messages = warning;
CREATE DATABASE outbox_extension_test;
\c outbox_extension_test
SET client_min_messages = warning;
CREATE EXTENSION outbox_ext;
CREATE TABLE t (id int PRIMARY KEY, v text);
CREATE VIEW t_v AS SELECT id, v FROM t;
SELECT outbox.create_contract('t', view => 't_v', source => 't', key => '{id}');
SELECT outbox.create_event_type('TCreated', contract => 't', emit => 'created');
SELECT outbox.enable('t');
INSERT INTO t VALUES (1, 'one');
SELECT count(*) FROM outbox.event;
\echo objects of the extension are documented
SELECT pg_describe_object(d.classid, d.objid, 0) AS undocumented
FROM pg_depend d
WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
  AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'outbox_ext')
  AND d.classid IN ('pg_class'::regclass, 'pg_proc'::regclass, 'pg_namespace'::regclass)
  AND obj_description(d.objid, d.classid::regclass::text) IS NULL
  AND NOT (d.classid = 'pg_class'::regclass AND (SELECT relkind FROM pg_class c WHERE c.oid = d.objid) IN ('i', 'S'));
\echo a view of ours that uses decode() or another function would make DROP fail; a source does not
BEGIN;
INSERT INTO t VALUES (2, 'captured, then the extension goes');
SAVEPOINT a;
DROP EXTENSION outbox_ext;
ROLLBACK TO a;
INSERT INTO t VALUES (3, 'three');
COMMIT;
SELECT count(*) FROM outbox.event;
DROP EXTENSION outbox_ext;
SELECT tgname FROM pg_trigger WHERE tgrelid = 't'::regclass;
SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'outbox%';
INSERT INTO t VALUES (4, 'four');
CREATE EXTENSION outbox_ext;
SELECT count(*) FROM outbox.event;
SELECT outbox.create_contract('t', view => 't_v', source => 't', key => '{id}');
SELECT outbox.create_event_type('TCreated', contract => 't', emit => 'created');
SELECT outbox.enable('t');
INSERT INTO t VALUES (5, 'five');
SELECT seq, type, aggregateid, payload FROM outbox.event_json;
\echo dropping a source or a column under a contract
ALTER TABLE t RENAME COLUMN v TO value;
INSERT INTO t VALUES (6, 'six');
ALTER TABLE t DROP COLUMN value;
ALTER TABLE t ADD COLUMN more int DEFAULT 7;
INSERT INTO t VALUES (7, 'seven', 8);
ALTER TABLE t RENAME TO renamed;
INSERT INTO renamed VALUES (8, 'eight', 9);
SELECT aggregateid, payload FROM outbox.event_json ORDER BY seq;
SET outbox.ddl_check = off;
DROP TABLE renamed CASCADE;
SELECT name, state, advice FROM outbox.status WHERE kind = 'contract';
SELECT outbox.drop_contract('t');
SELECT name FROM outbox.status WHERE kind = 'contract';
\c contrib_regression
DROP DATABASE outbox_extension_test WITH (FORCE);
