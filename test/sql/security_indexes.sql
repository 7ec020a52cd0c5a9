-- Indexes of a source are code of the table's owner. Proving a key looks at them, but runs no function of others as the view's owner.
SET client_min_messages = warning;
CREATE ROLE si_source;
CREATE SCHEMA si AUTHORIZATION si_source;
SET ROLE si_source;
CREATE FUNCTION si.evil() RETURNS void LANGUAGE plpgsql AS $$ BEGIN IF current_user <> 'si_source' THEN RAISE INFO 'ran as %', current_user; END IF; END $$;
CREATE FUNCTION si.one(x int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM si.evil(); RETURN 1; END $$;
CREATE TABLE si.t (id int PRIMARY KEY, a int NOT NULL, b text NOT NULL);
CREATE UNIQUE INDEX si_a ON si.t (id, (si.one(1)));
CREATE UNIQUE INDEX si_b ON si.t (id) WHERE si.one(2) = 1;
CREATE UNIQUE INDEX si_c ON si.t (a) WHERE si.one(3) = 1;
CREATE UNIQUE INDEX si_d ON si.t (lower(b), (si.one(4)));
CREATE TABLE si.u (id int, a int NOT NULL, p int) PARTITION BY LIST (p);
CREATE TABLE si.u1 PARTITION OF si.u FOR VALUES IN (1);
CREATE UNIQUE INDEX si_e ON si.u1 (a) WHERE si.one(5) = 1;
RESET ROLE;
CREATE TABLE public.si_item (id int PRIMARY KEY, x int);
CREATE VIEW si_v AS SELECT id, a, lower(b) AS b FROM si.t;
CREATE VIEW si_w AS SELECT id, a FROM si.u;
\c -
SET outbox.ddl_check = off;
SET client_min_messages = warning;
SELECT outbox.create_contract('si_row', view => 'si_v', source => 'si.t', key => '{id}', evaluate => 'row');
SELECT outbox.create_event_type('SiRow', contract => 'si_row', emit => 'always'), outbox.enable('si_row');
\c -
SET outbox.ddl_check = off;
SET client_min_messages = warning;
SET ROLE si_source;
INSERT INTO si.t VALUES (1, 1, 'x');
RESET ROLE;
SELECT count(*) FROM outbox.preview('si_row');
\echo an index with such functions proves nothing, nor does a hint show its condition
SELECT outbox.create_contract('si_a', view => 'si_v', source => 'si.t', key => '{a}', evaluate => 'row');
SELECT outbox.create_contract('si_b', view => 'si_v', source => 'si.t', key => '{b}', evaluate => 'row');
SELECT outbox.create_contract('si_w', view => 'si_w', source => 'si.u', key => '{a}', evaluate => 'row');
\echo a view of their owner may use them
ALTER VIEW si_v OWNER TO si_source;
SELECT outbox.create_contract('si_own', view => 'si_v', source => 'si.t', key => '{a}', evaluate => 'row');
ALTER VIEW si_v OWNER TO CURRENT_USER;
\echo a migration of somebody else asks for the proof again, as the owner of the view
CREATE UNIQUE INDEX si_a_whole ON si.t (a);
DROP INDEX si.si_c;
DROP INDEX si.si_a_whole;
ALTER TABLE si.t ALTER COLUMN a DROP NOT NULL;
\echo nothing is planned that would run them
SELECT outbox.create_contract('si_commit', view => 'si_v', source => 'si.t', key => '{id}', evaluate => 'commit');
CREATE VIEW si_x AS SELECT id, x FROM public.si_item WHERE si.one(6) = 1;
SELECT outbox.create_contract('si_x', view => 'si_x', source => 'public.si_item', key => '{id}', evaluate => 'commit');
SELECT outbox.create_contract('si_x', view => 'si_x', source => 'public.si_item', key => '{id}', evaluate => 'row');
SELECT outbox.drop_contract('si_row'), outbox.drop_contract('si_own');
