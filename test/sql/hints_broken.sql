-- Hints about contracts that do not work any more are promises: what they say is done here, and changes are captured again.
SET outbox.ddl_check = off; -- what it refuses must stay safe all the same
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE SCHEMA hb;
SET search_path = hb;
CREATE TABLE ordr (id int PRIMARY KEY, a int, b text);
CREATE TABLE other (id int PRIMARY KEY, a int, b text);
CREATE VIEW letters AS SELECT contract, event_type, stage, message, hint FROM outbox.dead_letter WHERE contract LIKE 'hb_%' AND state = 'open';
CREATE PROCEDURE forget() LANGUAGE plpgsql AS $$BEGIN
	PERFORM outbox.discard(id, 'seen') FROM outbox.dead_letter WHERE contract LIKE 'hb_%' AND state = 'open';
END$$;
CREATE FUNCTION events() RETURNS SETOF text LANGUAGE sql AS $$
	SELECT type || ' ' || payload FROM outbox.event_json WHERE contract LIKE 'hb_%' AND seq > coalesce(current_setting('hb.seen', true)::bigint, 0) ORDER BY seq $$;
CREATE FUNCTION look() RETURNS void LANGUAGE sql AS $$SELECT set_config('hb.seen', coalesce(max(seq), 0)::text, false) FROM outbox.event$$;
CREATE FUNCTION make(on_invalid text DEFAULT 'dead_letter') RETURNS void LANGUAGE sql AS $$
	SELECT outbox.create_contract('hb_o', view => 'hb.v', source => 'hb.ordr', key => '{id}', on_invalid => on_invalid);
	SELECT outbox.create_event_type('HbO', contract => 'hb_o', emit => 'always');
	SELECT outbox.enable('hb_o') $$;
SELECT look();

\echo == the view is gone
CREATE VIEW v AS SELECT id, a FROM ordr;
SELECT make();
DROP VIEW v;
INSERT INTO ordr VALUES (1, 1, 'x');
SELECT * FROM letters;
SELECT * FROM outbox.preview('hb_o');
SELECT outbox.redrive(contract => 'hb_o');
SELECT last_failure_hint FROM outbox.dead_letter WHERE contract = 'hb_o' AND state = 'open';
BEGIN;
CREATE VIEW v AS SELECT id, a FROM ordr;
SELECT outbox.drop_contract('hb_o');
SELECT make();
COMMIT;
SELECT count(*) FROM outbox.preview('hb_o');
UPDATE ordr SET a = 2;
SELECT events();
CALL forget();

\echo == also of one that is evaluated at commit
SELECT outbox.create_contract('hb_c', view => 'hb.v', source => 'hb.ordr', key => '{id}', evaluate => 'commit');
SELECT outbox.drop_contract('hb_o');
SELECT outbox.create_event_type('HbC', contract => 'hb_c', emit => 'always');
SELECT outbox.enable('hb_c');
DROP VIEW v;
UPDATE ordr SET a = 8;
SELECT * FROM letters;
BEGIN;
CREATE VIEW v AS SELECT id, a FROM ordr;
SELECT outbox.drop_contract('hb_c');
SELECT make();
COMMIT;
SELECT look();
UPDATE ordr SET a = 9;
SELECT events();
CALL forget();

\echo == it reads another table
CREATE OR REPLACE VIEW v AS SELECT id, a FROM other;
UPDATE ordr SET a = 3;
SELECT * FROM letters;
SELECT * FROM outbox.preview('hb_o');
BEGIN;
SELECT outbox.drop_contract('hb_o');
SELECT outbox.create_contract('hb_o', view => 'hb.v', source => 'hb.other', key => '{id}');
SELECT outbox.create_event_type('HbO', contract => 'hb_o', emit => 'always');
SELECT outbox.enable('hb_o');
COMMIT;
SELECT look();
INSERT INTO other VALUES (1, 5);
SELECT events();
CALL forget();
BEGIN;
SELECT outbox.drop_contract('hb_o');
DROP VIEW v;
COMMIT;

\echo == a column of the event has another name
CREATE VIEW v AS SELECT id, a, b FROM ordr;
SELECT make();
ALTER VIEW v RENAME COLUMN a TO z;
INSERT INTO ordr VALUES (2, 1, 'x');
SELECT * FROM letters;
CREATE OR REPLACE VIEW v AS SELECT id, a AS z, b, a FROM ordr;
SELECT look();
SELECT outbox.redrive(contract => 'hb_o');
UPDATE ordr SET a = 2 WHERE id = 2;
SELECT events();
SELECT * FROM letters;

\echo == a column of the key has another name
ALTER VIEW v RENAME COLUMN id TO nr;
UPDATE ordr SET a = 3 WHERE id = 2;
SELECT * FROM outbox.preview('hb_o');
ALTER VIEW v RENAME COLUMN nr TO id;
SELECT look();
SELECT outbox.redrive(contract => 'hb_o');
SELECT events();
SELECT * FROM letters;
CALL forget();

\echo == a column of a condition has another name
SELECT outbox.create_event_type('HbIf', contract => 'hb_o', emit => 'changed', condition => 'new.a > 3');
SELECT outbox.add_check('HbIf', 'small', 'a < 9');
ALTER VIEW v RENAME COLUMN a TO aa;
UPDATE ordr SET a = 4 WHERE id = 2;
SELECT * FROM letters;
ALTER VIEW v RENAME COLUMN aa TO a;
SELECT look();
SELECT outbox.redrive(contract => 'hb_o');
SELECT events();
SELECT * FROM letters;
\echo == the letter of a check shows it
UPDATE ordr SET a = 10 WHERE id = 2;
SELECT message, detail, hint FROM outbox.dead_letter WHERE contract = 'hb_o' AND state = 'open';
SELECT outbox.drop_check('HbIf', 'small');
SELECT outbox.add_check('HbIf', 'small', 'a < 11');
SELECT look();
SELECT outbox.redrive(contract => 'hb_o');
SELECT events();
SELECT * FROM letters;
SELECT outbox.drop_event_type('HbIf');

\echo == an index is gone below one that is evaluated at commit
CREATE TABLE part (id int PRIMARY KEY, ordr_id int);
CREATE INDEX part_ordr ON part (ordr_id);
CREATE VIEW counts AS SELECT o.id, o.b, l.n FROM ordr o LEFT JOIN LATERAL (SELECT count(*) AS n FROM part x WHERE x.ordr_id = o.id) l ON true;
SELECT outbox.create_contract('hb_i', view => 'hb.counts', source => 'hb.ordr', key => '{id}');
SELECT outbox.create_event_type('HbI', contract => 'hb_i', emit => 'always');
SELECT outbox.enable('hb_i');
DROP INDEX part_ordr;
UPDATE ordr SET b = 'y' WHERE id = 2;
SELECT * FROM letters;
SELECT look();
SELECT substring(hint FROM 'CREATE INDEX [^;]*') AS create_index, substring(hint FROM 'SELECT outbox.redrive[^)]*\)') AS redrive FROM letters \gset
:create_index;
:redrive;
SELECT events();
SELECT * FROM letters;

\echo == a column of the view has another name below one that is evaluated at commit
ALTER VIEW counts RENAME COLUMN id TO nr;
UPDATE ordr SET b = 'z' WHERE id = 2;
SELECT * FROM letters;
ALTER VIEW counts RENAME COLUMN nr TO id;
SELECT look();
:redrive;
SELECT events();
SELECT * FROM letters;
SELECT outbox.drop_contract('hb_i');
UPDATE ordr SET b = 'x' WHERE id = 2;

\echo == writes that are refused are told what mends it, too
SELECT outbox.create_contract('hb_i', view => 'hb.counts', source => 'hb.ordr', key => '{id}', evaluate => 'commit', on_invalid => 'abort');
SELECT outbox.create_event_type('HbI', contract => 'hb_i', emit => 'always');
SELECT outbox.enable('hb_i');
DROP INDEX part_ordr_id_idx;
UPDATE ordr SET b = 'w' WHERE id = 2;
:create_index;
UPDATE ordr SET b = 'w' WHERE id = 2;
SELECT outbox.drop_contract('hb_i');
CALL forget();

\echo == the key reads fewer columns
CREATE TABLE pair (a int, b int, c int, PRIMARY KEY (a, b));
CREATE VIEW pair_v AS SELECT a, b, c FROM pair;
SELECT outbox.create_contract('hb_p', view => 'hb.pair_v', source => 'hb.pair', key => '{a,b}');
SELECT outbox.create_event_type('HbP', contract => 'hb_p', emit => 'always');
SELECT outbox.enable('hb_p');
CREATE OR REPLACE VIEW pair_v AS SELECT a, a AS b, c FROM pair;
INSERT INTO pair VALUES (1, 2, 3);
SELECT * FROM letters;
SELECT * FROM outbox.preview('hb_p');
CREATE OR REPLACE VIEW pair_v AS SELECT a, b, c FROM pair;
SELECT look();
UPDATE pair SET c = 4;
SELECT events();
CALL forget();
SELECT outbox.drop_contract('hb_p');

\echo == the owner of the view is gone
CREATE ROLE hb_former;
CREATE ROLE hb_present;
GRANT USAGE ON SCHEMA hb TO hb_former, hb_present;
GRANT SELECT ON ordr TO hb_former, hb_present;
ALTER VIEW v OWNER TO hb_former;
SELECT outbox.enable('hb_o');
SET ROLE hb_former;
SELECT count(*) FROM v;
RESET ROLE;
REASSIGN OWNED BY hb_former TO hb_present;
DROP OWNED BY hb_former;
DROP ROLE hb_former;
UPDATE ordr SET a = 5 WHERE id = 2;
SELECT * FROM letters;
SELECT outbox.enable('hb_o');
SELECT look();
UPDATE ordr SET a = 6 WHERE id = 2;
SELECT events();
CALL forget();
BEGIN;
SELECT outbox.drop_contract('hb_o');
DROP VIEW v;
COMMIT;
DROP OWNED BY hb_present;
DROP ROLE hb_present;

\echo == writes are refused: mend or disable it; correct the row, or the key_query
CREATE VIEW v AS SELECT id, a FROM ordr;
SELECT make('abort');
DROP VIEW v;
INSERT INTO ordr VALUES (11, 1, 'x');
SELECT outbox.disable('hb_o');
INSERT INTO ordr VALUES (11, 1, 'x');
CREATE VIEW v AS SELECT id, a FROM ordr;
BEGIN;
SELECT outbox.drop_contract('hb_o');
SELECT make('abort');
COMMIT;
SELECT look();
UPDATE ordr SET a = 7 WHERE id = 11;
SELECT events();
BEGIN;
SELECT outbox.drop_contract('hb_o');
DROP VIEW v;
COMMIT;
CREATE TABLE line (no int PRIMARY KEY, ordr_id int, n int);
CREATE INDEX ON line (ordr_id);
CREATE VIEW full_v AS SELECT o.id, (SELECT sum(l.n) FROM line l WHERE l.ordr_id = o.id) AS total FROM ordr o;
CREATE PROCEDURE make_full(key_query text) LANGUAGE plpgsql AS $$BEGIN
	PERFORM outbox.create_contract('hb_f', view => 'hb.full_v', source => 'hb.ordr', key => '{id}', on_invalid => 'abort');
	PERFORM outbox.add_source('hb_f', 'hb.line', key_query => key_query);
	PERFORM outbox.create_event_type('HbF', contract => 'hb_f', emit => 'always');
	PERFORM outbox.enable('hb_f');
END$$;
CALL make_full('row.ordr_id / row.n');
SELECT look();
INSERT INTO line VALUES (1, 11, 0);
INSERT INTO line VALUES (1, 11, 1);
SELECT events();
SELECT outbox.drop_contract('hb_f');
CALL make_full('row.ordr_id');
SELECT look();
INSERT INTO line VALUES (2, 11, 0);
SELECT events();
SELECT outbox.drop_contract('hb_f');

\echo == what code behind a contract must not do: it computes its value from rows and arguments alone, then
CREATE TABLE numbered (id int GENERATED ALWAYS AS IDENTITY, v int);
CREATE FUNCTION g(i int) RETURNS int LANGUAGE plpgsql AS $$BEGIN CREATE TABLE hb.made (); RETURN i; END$$;
CREATE FUNCTION f(i int) RETURNS int LANGUAGE plpgsql STABLE AS $$DECLARE n int; BEGIN EXECUTE 'SELECT hb.g($1)' INTO n USING i; RETURN n; END$$;
CREATE VIEW v AS SELECT id, f(a) AS a FROM ordr;
SELECT make();
INSERT INTO ordr VALUES (21, 1, 'x');
CREATE OR REPLACE FUNCTION g(i int) RETURNS int LANGUAGE plpgsql AS $$BEGIN PERFORM pg_notify('a', 'b'); RETURN i; END$$;
INSERT INTO ordr VALUES (22, 1, 'x');
CREATE OR REPLACE FUNCTION g(i int) RETURNS int LANGUAGE plpgsql AS $$BEGIN INSERT INTO hb.numbered (v) VALUES (i); RETURN i; END$$;
INSERT INTO ordr VALUES (23, 1, 'x');
SELECT * FROM letters;
CREATE OR REPLACE FUNCTION g(i int) RETURNS int LANGUAGE plpgsql AS $$BEGIN RETURN i + 1; END$$;
SELECT look();
INSERT INTO ordr VALUES (24, 1, 'x');
SELECT outbox.redrive(contract => 'hb_o');
SELECT events();
SELECT * FROM letters;

\echo == temporary tables in a function that runs at commit
CREATE OR REPLACE FUNCTION f(i int) RETURNS int LANGUAGE plpgsql STABLE AS $$BEGIN RETURN (SELECT max(v) FROM pg_temp.mine); END$$;
SELECT outbox.drop_contract('hb_o');
SELECT outbox.create_contract('hb_o', view => 'hb.v', source => 'hb.ordr', key => '{id}', evaluate => 'commit');
SELECT outbox.create_event_type('HbO', contract => 'hb_o', emit => 'always');
SELECT outbox.enable('hb_o');
CREATE TEMP TABLE mine (v int);
INSERT INTO ordr VALUES (31, 1, 'x');
SELECT * FROM letters;
CREATE TABLE ours (v int);
INSERT INTO ours VALUES (31);
CREATE OR REPLACE FUNCTION f(i int) RETURNS int LANGUAGE plpgsql STABLE AS $$BEGIN RETURN (SELECT max(v) FROM hb.ours); END$$;
SELECT look();
INSERT INTO ordr VALUES (32, 1, 'x');
SELECT outbox.redrive(contract => 'hb_o');
SELECT events();
SELECT * FROM letters;

\echo == a function that ran as its owner runs as somebody else
CREATE ROLE hb_owner;
CREATE ROLE hb_stranger;
GRANT ALL ON SCHEMA hb TO hb_owner, hb_stranger;
GRANT SELECT ON ordr TO hb_owner;
CREATE FUNCTION inner_f(i int) RETURNS int LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$BEGIN RETURN i + 1; END$$;
ALTER FUNCTION inner_f OWNER TO hb_stranger;
CREATE FUNCTION outer_f(i int) RETURNS int LANGUAGE plpgsql STABLE AS $$BEGIN RETURN hb.inner_f(i); END$$;
ALTER FUNCTION outer_f OWNER TO hb_owner;
SELECT outbox.drop_contract('hb_o');
CREATE VIEW w AS SELECT id, outer_f(a) AS a FROM ordr;
ALTER VIEW w OWNER TO hb_owner;
CREATE VIEW w2 AS SELECT id, inner_f(a) AS a FROM ordr;
ALTER VIEW w2 OWNER TO hb_owner;
SELECT outbox.create_contract('hb_o', view => 'hb.w', source => 'hb.ordr', key => '{id}');
SELECT outbox.create_event_type('HbO', contract => 'hb_o', emit => 'always');
SELECT outbox.enable('hb_o');
SELECT outbox.create_contract('hb_p', view => 'hb.w2', source => 'hb.ordr', key => '{id}', compatibility => 'NONE');
SELECT outbox.create_event_type('HbP', contract => 'hb_p', emit => 'always');
SELECT outbox.enable('hb_p');
INSERT INTO ordr VALUES (40, 1, 'x');
ALTER FUNCTION inner_f SECURITY INVOKER;
INSERT INTO ordr VALUES (41, 1, 'x');
SELECT * FROM letters;
ALTER FUNCTION inner_f SECURITY DEFINER;
SELECT look();
INSERT INTO ordr VALUES (42, 1, 'x');
SELECT outbox.redrive(contract => 'hb_o') + outbox.redrive(contract => 'hb_p') AS redriven;
SELECT events();
SELECT * FROM letters;
ALTER FUNCTION inner_f SECURITY INVOKER;
INSERT INTO ordr VALUES (43, 1, 'x');
ALTER FUNCTION inner_f OWNER TO hb_owner;
SELECT look();
SELECT outbox.redrive(contract => 'hb_o') + outbox.redrive(contract => 'hb_p') AS redriven;
SELECT events();
SELECT * FROM letters;

SELECT outbox.drop_contract('hb_p');
SELECT outbox.drop_contract('hb_o');
RESET search_path;
DROP SCHEMA hb CASCADE;
DROP ROLE hb_owner, hb_stranger;
