-- Hints about views, functions, sources and code maps are promises: what they say is done here, and the trouble is gone.
SET outbox.ddl_check = off; -- what it refuses must stay safe all the same
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE SCHEMA hv;
SET search_path = hv;
CREATE TABLE ordr (id int PRIMARY KEY, cust_id int, ref text, st text);
CREATE TABLE line (id int PRIMARY KEY, ordr_id int, sku text, tenant int);
CREATE TABLE cust (id int PRIMARY KEY, nm text);
CREATE TABLE product (sku text PRIMARY KEY, nm text);
CREATE TABLE noted (message text, hint text);
-- Runs a statement; keeps its error for the next follow().
CREATE FUNCTION attempt(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE text text; note text;
BEGIN
	EXECUTE statement;
	RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS text = MESSAGE_TEXT, note = PG_EXCEPTION_HINT;
	DELETE FROM noted;
	INSERT INTO noted VALUES (text, note);
	RETURN text || E'\n  ' || note;
END $$;
-- Runs the statements of the last hint, word for word.
CREATE FUNCTION follow() RETURNS text LANGUAGE plpgsql AS $$
DECLARE said text := (SELECT substring(n.hint FROM '(?:CREATE|ALTER|GRANT).*;') FROM noted n);
BEGIN
	EXECUTE said;
	RETURN said;
END $$;
CREATE FUNCTION contract(name text, query text DEFAULT NULL, evaluate text DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	IF query IS NOT NULL THEN
		EXECUTE format('CREATE OR REPLACE VIEW %I AS %s', name, query);
	END IF;
	RETURN attempt(format('SELECT outbox.create_contract(%L, view => %L, source => ''hv.ordr'', key => ''{id}'', evaluate => %L)', name, 'hv.' || name, evaluate));
END $$;

\echo == an index: of a child, of two tables at once, with the columns that count and no others
SELECT contract('hv_1', 'SELECT o.id, (SELECT string_agg(p.nm, '','' ORDER BY l.id) FROM line l JOIN product p ON p.sku = l.sku WHERE l.ordr_id = o.id AND l.tenant > 0) AS x FROM ordr o');
SELECT follow();
SELECT contract('hv_1');
CREATE TABLE box (no int, ordr_id int);
CREATE TABLE seal (no int, box_no int);
SELECT contract('hv_2', 'SELECT o.id, (SELECT count(*) FROM box b JOIN seal s ON s.box_no = b.no WHERE b.ordr_id = o.id) AS x FROM ordr o');
SELECT follow();
SELECT contract('hv_2');
\echo == an expression, a collation, both sides of an OR, each branch of a UNION ALL
CREATE TABLE note (ordr_ref text, other_ref text COLLATE "C");
SELECT contract('hv_3', 'SELECT o.id, (SELECT count(*) FROM note n WHERE lower(n.ordr_ref) = o.ref) AS x, (SELECT count(*) FROM note n WHERE n.ordr_ref = o.ref COLLATE "C") AS y FROM ordr o');
SELECT follow();
SELECT contract('hv_3');
CREATE TABLE transfer (src int, dst int);
SELECT contract('hv_4', 'SELECT o.id, (SELECT count(*) FROM transfer t WHERE t.src = o.id OR t.dst = o.id) AS x FROM ordr o');
SELECT follow();
SELECT contract('hv_4');
CREATE TABLE old_line (ordr_id int);
SELECT contract('hv_5', 'SELECT o.id, (SELECT count(*) FROM (SELECT ordr_id FROM line UNION ALL SELECT ordr_id FROM old_line) u WHERE u.ordr_id = o.id) AS x FROM ordr o');
SELECT follow();
SELECT contract('hv_5');
\echo == a table that inherits
CREATE TABLE log (ordr_id int);
CREATE TABLE log_2020 () INHERITS (log);
SELECT contract('hv_6', 'SELECT o.id, (SELECT count(*) FROM log g WHERE g.ordr_id = o.id) AS x FROM ordr o');
SELECT follow();
SELECT contract('hv_6');
\echo == LATERAL
SELECT contract('hv_7', 'SELECT o.id, l.n FROM ordr o LEFT JOIN (SELECT ordr_id, count(*) AS n FROM line GROUP BY ordr_id) l ON l.ordr_id = o.id');
SELECT contract('hv_7', 'SELECT o.id, l.n FROM ordr o LEFT JOIN LATERAL (SELECT ordr_id, count(*) AS n FROM line WHERE ordr_id = o.id GROUP BY ordr_id) l ON true');
\echo == ... around a view that groups
CREATE VIEW totals AS SELECT ordr_id, count(*) AS n FROM line GROUP BY ordr_id;
SELECT contract('hv_8', 'SELECT o.id, t.n FROM ordr o LEFT JOIN LATERAL (SELECT n FROM totals WHERE totals.ordr_id = o.id) t ON true');
SELECT contract('hv_8', 'SELECT o.id, t.n FROM ordr o LEFT JOIN LATERAL (SELECT count(*) AS n FROM line WHERE line.ordr_id = o.id) t ON true');
\echo == NOT IN
SELECT contract('hv_9', 'SELECT o.id FROM ordr o WHERE o.id NOT IN (SELECT ordr_id FROM line)');
SELECT contract('hv_9', 'SELECT o.id FROM ordr o WHERE NOT EXISTS (SELECT FROM line WHERE ordr_id = o.id)');
\echo == no equality at all
SELECT contract('hv_10', 'SELECT o.id, c.nm FROM ordr o JOIN cust c ON c.id > o.cust_id AND c.nm = ''x''');
SELECT contract('hv_10', 'SELECT o.id, c.nm FROM ordr o JOIN cust c ON c.id = o.cust_id AND c.nm = ''x''');

\echo == all faults of a view in one run
CREATE TABLE bulk (no int, ordr_id int);
SELECT contract('hv_11', 'SELECT o.id, (SELECT count(*) FROM bulk b WHERE b.ordr_id = o.id) AS x, 1.5 AS y, now()::timestamp AS z FROM ordr o');
SELECT contract('hv_12', 'SELECT o.id, 1.5 AS "odd name", random() AS r, o.ref::money AS m FROM ordr o');
SELECT attempt($$SELECT outbox.create_contract('hv_13', view => 'hv.hv_1', source => 'hv.ordr', key => '{nothing}', aggregate_id => '{no}', required => '{id,never}')$$);

\echo == functions in SQL that are not inlined
CREATE FUNCTION stable_in(t timestamptz) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT to_char(t, 'YYYY') $$;
CREATE FUNCTION strict_in(t text) RETURNS text LANGUAGE sql STRICT IMMUTABLE AS $$ SELECT coalesce(t, '') || 'x' $$;
CREATE FUNCTION definer_in(t text) RETURNS text LANGUAGE sql STABLE SECURITY DEFINER AS $$ SELECT t || 'x' $$;
CREATE FUNCTION set_in(t text) RETURNS text LANGUAGE sql STABLE SET datestyle = 'ISO' AS $$ SELECT t || 'x' $$;
CREATE TABLE at (id int PRIMARY KEY, t timestamptz, s text);
CREATE VIEW f1 AS SELECT id, stable_in(t) AS x FROM at;
CREATE VIEW f2 AS SELECT id, strict_in(s) AS x FROM at;
CREATE VIEW f3 AS SELECT id, definer_in(s) AS x FROM at;
CREATE VIEW f4 AS SELECT id, set_in(s) AS x FROM at;
CREATE FUNCTION per_row(name text) RETURNS text LANGUAGE sql AS
$$ SELECT hv.attempt(format('SELECT outbox.create_contract(''hv_%s'', view => ''hv.%s'', source => ''hv.at'', key => ''{id}'')', name, name)) $$;
SELECT per_row('f1'), follow(), per_row('f1');
SELECT per_row('f2'), follow(), per_row('f2');
SELECT per_row('f3'), follow(), per_row('f3');
SELECT per_row('f4'), follow(), per_row('f4');

\echo == a contract that exists: changed in one transaction
SELECT attempt($$SELECT outbox.create_contract('hv_f1', view => 'hv.f1', source => 'hv.at', key => '{id}')$$);
BEGIN;
SELECT outbox.drop_contract('hv_f1');
SELECT outbox.create_contract('hv_f1', view => 'hv.f1', source => 'hv.at', key => '{id}', on_invalid => 'abort');
COMMIT;

\echo == columns of the key that may be NULL
CREATE TABLE pair (a int, b int, UNIQUE (a, b));
CREATE VIEW pairs AS SELECT a, b FROM pair;
SELECT attempt($$SELECT outbox.create_contract('hv_pairs', view => 'hv.pairs', source => 'hv.pair', key => '{a,b}')$$);
SELECT follow();
SELECT attempt($$SELECT outbox.create_contract('hv_pairs', view => 'hv.pairs', source => 'hv.pair', key => '{a,b}')$$);

\echo == a code map that does not exist: validate says it, enable refuses it
CREATE VIEW mapped AS SELECT id, outbox.decode('hv.st', st) AS status, outbox.decode('hv.ref', ref) AS ref FROM ordr;
SELECT outbox.create_contract('hv_mapped', view => 'hv.mapped', source => 'hv.ordr', key => '{id}');
SELECT outbox.create_event_type('HvMapped', contract => 'hv_mapped', emit => 'created', condition => $$new.status <> outbox.decode('hv.third', 'x')$$);
SELECT error, sqlstate, rows FROM outbox.validate('hv_mapped') ORDER BY error;
SELECT attempt($$SELECT outbox.enable('hv_mapped')$$);
SELECT count(*) FROM (SELECT outbox.create_code_map(m, '{"N": "NEW"}') FROM unnest('{hv.st,hv.ref,hv.third}'::text[]) m) x;
SELECT attempt($$SELECT outbox.enable('hv_mapped')$$);
\echo == codes that no map knows are counted, required or not
INSERT INTO ordr VALUES (1, 1, 'N', 'N'), (2, 1, 'N', 'Q'), (3, 1, 'Z', 'Q'), (4, 1, 'N', 'Q');
SELECT event_type, stage, sqlstate, error, rows, example_key FROM outbox.validate('hv_mapped') ORDER BY error;

\echo == a table that is no source: validate and status name it
CREATE VIEW named AS SELECT o.id, c.nm FROM ordr o LEFT JOIN cust c ON c.id = o.cust_id;
SELECT outbox.create_contract('hv_named', view => 'hv.named', source => 'hv.ordr', key => '{id}');
SELECT outbox.create_event_type('HvNamed', contract => 'hv_named', emit => 'changed', previous => '{nm}');
SELECT outbox.enable('hv_named');
SELECT stage, sqlstate, error, rows FROM outbox.validate('hv_named');
SELECT advice FROM outbox.status WHERE kind = 'contract' AND name = 'hv_named';
SELECT attempt($$SELECT outbox.add_source('hv_named', 'hv.cust', key_query => 'SELECT o.id FROM hv.ordr o WHERE o.cust_id = row.id', max_fanout => 3)$$);
SELECT follow();
SELECT outbox.add_source('hv_named', 'hv.cust', key_query => 'SELECT o.id FROM hv.ordr o WHERE o.cust_id = row.id', max_fanout => 3);
SELECT stage, error FROM outbox.validate('hv_named');
SELECT advice FROM outbox.status WHERE kind = 'contract' AND name = 'hv_named';

\echo == more rows than max_fanout
INSERT INTO cust VALUES (1, 'old');
SELECT stage, message, hint FROM outbox.dead_letter WHERE contract = 'hv_named' AND state = 'open';
SELECT outbox.alter_contract('hv_named', max_fanout => 10);
UPDATE cust SET nm = 'old.';
UPDATE cust SET nm = 'old';
SELECT DISTINCT ON (aggregateid) aggregateid, payload FROM outbox.event_json WHERE type = 'HvNamed' ORDER BY aggregateid, seq DESC;
SELECT count(outbox.discard(id, 'the row was changed again')) FROM outbox.dead_letter WHERE contract = 'hv_named' AND state = 'open';

\echo == an enum label that the schema does not have
CREATE TYPE mood AS ENUM ('fine', 'sad');
CREATE TABLE person (id int PRIMARY KEY, m mood);
CREATE VIEW people AS SELECT id, m FROM person;
SELECT outbox.create_contract('hv_people', view => 'hv.people', source => 'hv.person', key => '{id}');
SELECT outbox.create_event_type('HvPerson', contract => 'hv_people', emit => 'created');
SELECT outbox.enable('hv_people');
ALTER TYPE mood ADD VALUE 'merry';
INSERT INTO person VALUES (1, 'merry');
SELECT message, hint FROM outbox.dead_letter WHERE contract = 'hv_people' AND state = 'open';
BEGIN;
SELECT outbox.drop_contract('hv_people');
SELECT outbox.create_contract('hv_people', view => 'hv.people', source => 'hv.person', key => '{id}', compatibility => 'BACKWARD');
SELECT outbox.create_event_type('HvPerson', contract => 'hv_people', emit => 'created');
SELECT outbox.enable('hv_people');
COMMIT;
SELECT outbox.redrive(contract => 'hv_people');
SELECT payload FROM outbox.event_json WHERE type = 'HvPerson';

\echo == values without room in their field: the range is said
CREATE TABLE amount (id int PRIMARY KEY, n numeric, d date, t timestamptz);
CREATE VIEW amounts AS SELECT id, n::numeric(8, 2) AS n, d, t FROM amount;
SELECT outbox.create_contract('hv_amounts', view => 'hv.amounts', source => 'hv.amount', key => '{id}');
SELECT outbox.create_event_type('HvAmount', contract => 'hv_amounts', emit => 'created');
SELECT outbox.enable('hv_amounts');
INSERT INTO amount VALUES (1, 'NaN'), (2, 10000000), (3, 1);
INSERT INTO amount (id, d) VALUES (4, 'infinity'), (5, '20000-01-01');
INSERT INTO amount (id, t) VALUES (6, '-infinity'), (7, '20000-01-01');
SELECT message, detail FROM outbox.dead_letter WHERE contract = 'hv_amounts' ORDER BY id;
SELECT outbox.drop_contract(name) FROM outbox.status WHERE kind = 'contract' AND name LIKE 'hv\_%';
DROP SCHEMA hv CASCADE;
SELECT outbox.drop_code_map(m) FROM unnest('{hv.st,hv.ref,hv.third}'::text[]) m;
