-- What a contract calls runs as the owner of its view, so it must belong to this role, to one that it is a member of, or to a superuser.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE ROLE sf_owner;
CREATE ROLE sf_helper;
CREATE ROLE sf_group;
CREATE ROLE sf_top;
GRANT sf_top TO sf_group;
GRANT sf_group TO sf_owner;
CREATE SCHEMA sf;
GRANT USAGE, CREATE ON SCHEMA sf TO sf_owner, sf_helper, sf_group, sf_top;
CREATE TABLE sf.item (id int PRIMARY KEY, name text, n int);
CREATE TABLE sf.line (item int, ln int, n int, PRIMARY KEY (item, ln));
GRANT SELECT, TRIGGER ON sf.item, sf.line TO sf_owner;
CREATE TABLE sf.ran (by_role name);
GRANT INSERT ON sf.ran TO PUBLIC;

-- everything that can hide a function of another owner; each notes who runs it
SET ROLE sf_helper;
CREATE FUNCTION sf.note() RETURNS void LANGUAGE sql VOLATILE AS $$ INSERT INTO sf.ran VALUES (current_user) $$;
CREATE FUNCTION sf.f(x int) RETURNS int LANGUAGE plpgsql STABLE AS $$ BEGIN PERFORM sf.note(); RETURN x; END $$;
CREATE FUNCTION sf.yes(x int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM sf.note(); RETURN true; END $$;
CREATE FUNCTION sf.plus(a int, b int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM sf.note(); RETURN a + b; END $$;
CREATE FUNCTION sf.inlined(x int) RETURNS int LANGUAGE sql IMMUTABLE AS $$ SELECT x + 1 $$;
CREATE FUNCTION sf.defaults(x int, y int DEFAULT sf.f(1)) RETURNS int LANGUAGE sql STABLE AS $$ SELECT x $$;
CREATE OPERATOR sf.<+> (FUNCTION = sf.plus, LEFTARG = int, RIGHTARG = int);
CREATE DOMAIN sf.dom AS int CHECK (sf.yes(VALUE));
CREATE TYPE sf.pair AS (a int, b int);
CREATE FUNCTION sf.to_pair(x int) RETURNS sf.pair LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM sf.note(); RETURN ROW(x, x)::sf.pair; END $$;
CREATE CAST (int AS sf.pair) WITH FUNCTION sf.to_pair(int);
CREATE AGGREGATE sf.total (int) (SFUNC = sf.plus, STYPE = int, INITCOND = '0');
CREATE TYPE sf.word AS ENUM ('x');
CREATE FUNCTION sf.to_json(x sf.word) RETURNS json LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM sf.note(); RETURN '1'; END $$;
CREATE CAST (sf.word AS json) WITH FUNCTION sf.to_json(sf.word);
RESET ROLE;
CREATE FUNCTION sf.shapeless(x int) RETURNS record LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN ROW(x); END $$;
-- casts belong to whoever owns a type; the view may be of anybody
CREATE FUNCTION sf.view(body text, owner text DEFAULT 'sf_owner') RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM outbox.drop_contract(name) FROM outbox.contract WHERE name = 'sf_item';
    DROP VIEW IF EXISTS sf.item_v;
    EXECUTE 'CREATE VIEW sf.item_v AS ' || body;
    EXECUTE format('ALTER VIEW sf.item_v OWNER TO %I', owner);
END $$;
CREATE FUNCTION sf.try(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    hint text;
BEGIN
    EXECUTE command;
    RETURN 'done';
EXCEPTION WHEN insufficient_privilege THEN
    GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
    RETURN sqlerrm || ' -> ' || hint;
END $$;
CREATE TABLE sf.body (n int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body text);
INSERT INTO sf.body (body) VALUES
    ('SELECT id, sf.f(n) AS n FROM sf.item'),
    ('SELECT id, n FROM sf.item WHERE sf.yes(n)'),
    ('SELECT id, n OPERATOR(sf.<+>) 1 AS n FROM sf.item'),
    ('SELECT id, n::sf.dom AS n FROM sf.item'),
    ('SELECT id, name::sf.dom AS n FROM sf.item'),
    ('SELECT id, ARRAY[n]::sf.dom[] AS n FROM sf.item'),
    ('SELECT id, (n::sf.pair).a AS n FROM sf.item'),
    ('SELECT id, sf.inlined(n) AS n FROM sf.item'),
    ('SELECT id, sf.defaults(n) AS n FROM sf.item'),
    ('SELECT id, coalesce(n, CASE WHEN n > 1 THEN sf.f(2) END) AS n FROM sf.item'),
    ('SELECT i.id, (SELECT sf.total(l.n) FROM sf.line l WHERE l.item = i.id) AS n FROM sf.item i'),
    ('SELECT i.id, (SELECT max(l.n) FROM sf.line l WHERE l.item = i.id AND sf.yes(l.n)) AS n FROM sf.item i'),
    ('SELECT i.id, l.n FROM sf.item i LEFT JOIN LATERAL (SELECT sf.f(x.n) AS n FROM sf.line x WHERE x.item = i.id ORDER BY sf.f(x.n) LIMIT 1) l ON true'),
    ('WITH w AS (SELECT item, sf.f(n) AS n FROM sf.line) SELECT i.id, (SELECT max(w.n) FROM w WHERE w.item = i.id) AS n FROM sf.item i'),
    -- fields of anonymous records
    ('SELECT id, row_to_json(ROW(name::sf.word))::text AS n FROM sf.item'),
    ('SELECT i.id, (SELECT json_agg(x)::text FROM (SELECT i.name::sf.word AS w) x) AS n FROM sf.item i'),
    ('SELECT id, (SELECT array_to_json(array_agg(x))::text FROM (VALUES (name::sf.word)) x(w)) AS n FROM sf.item'),
    ('SELECT id, to_json(sf.shapeless(n))::text AS n FROM sf.item'),
    -- column definition lists
    ('SELECT id, (SELECT x.a::int FROM jsonb_to_record(jsonb_build_object(''a'', n)) x(a sf.dom)) AS n FROM sf.item'),
    ('SELECT id, (SELECT x.a[1]::int FROM ROWS FROM (json_to_recordset(''[]'') AS (b text, a sf.dom[])) x) AS n FROM sf.item'),
    -- functions of PostgreSQL that run what a value names
    ('SELECT id, table_to_xml(''sf.line'', true, true, '''')::text AS n FROM sf.item'),
    ('SELECT id, domain_in(name::cstring, ''sf.dom''::regtype, -1) IS NULL AS n FROM sf.item');
\echo behind the view
SELECT n, sf.view(body), sf.try($$SELECT outbox.create_contract('sf_item', view => 'sf.item_v', source => 'sf.item', key => '{id}')$$) FROM sf.body ORDER BY n;
SELECT DISTINCT by_role FROM sf.ran;

\echo behind conditions, checks, key_queries, and literals in them
SELECT sf.view('SELECT i.id, i.n, (SELECT array_agg(l.n::int) FROM sf.line l WHERE l.item = i.id) AS lines FROM sf.item i');
SELECT outbox.create_contract('sf_item', view => 'sf.item_v', source => 'sf.item', key => '{id}');
SELECT outbox.create_event_type('SfItem', contract => 'sf_item', emit => 'created');
SELECT sf.try(format($$SELECT outbox.create_event_type('SfNo', contract => 'sf_item', emit => 'created', condition => %L)$$, condition))
FROM unnest(ARRAY['sf.yes(new.n)', 'new.n OPERATOR(sf.<+>) 1 = 2', 'new.n::sf.dom > 1', $$new.n = ANY ('{1}'::sf.dom[])$$, $$new.lines = '{1}'::sf.dom[]::int[]$$,
                  $$table_to_xml('sf.line', true, true, '') IS DOCUMENT$$, $$array_in('{1}', 'sf.dom'::regtype, -1) IS NULL$$, 'to_json(sf.shapeless(new.n)) IS NULL']) condition;
SELECT sf.try(format($$SELECT outbox.add_check('SfItem', 'no', %L)$$, expression))
FROM unnest(ARRAY['sf.yes(n)', 'sf.inlined(n) > 1', $$n = ANY ('{1}'::sf.dom[])$$, $$schema_to_xml('sf', true, true, '') IS DOCUMENT$$, $$row_to_json(ROW('x'::sf.word)) IS NULL$$]) expression;
SELECT sf.try(format($$SELECT outbox.add_source('sf_item', 'sf.line', key_query => %L)$$, key_query))
FROM unnest(ARRAY['sf.f(row.item)', 'row.item::sf.dom', 'SELECT i.id FROM sf.item i WHERE i.id = row.item AND sf.yes(i.n)', $$SELECT i.id FROM sf.item i WHERE i.id = row.item AND i.n = ANY ('{1}'::sf.dom[])$$,
                  $$SELECT x.a FROM jsonb_to_record('{}') x(a sf.dom)$$, $$SELECT row.item WHERE database_to_xml(true, true, '') IS DOCUMENT$$]) key_query;
SELECT DISTINCT by_role FROM sf.ran;

\echo in an index of a table that is read, which planning may evaluate
SELECT sf.view('SELECT i.id, i.n, (SELECT count(*) FROM sf.line l WHERE l.item = i.id) AS lines FROM sf.item i');
CREATE INDEX line_yes ON sf.line (item) WHERE sf.yes(1);
TRUNCATE sf.ran;
SELECT sf.try($$SELECT outbox.create_contract('sf_item', view => 'sf.item_v', source => 'sf.item', key => '{id}')$$);
SELECT DISTINCT by_role FROM sf.ran;
DROP INDEX sf.line_yes;

\echo what may be called: what the owner owns, or a role that it is a member of, directly or not; what a superuser owns; SECURITY DEFINER
CREATE TABLE sf.remedy (n int GENERATED ALWAYS AS IDENTITY, command text);
INSERT INTO sf.remedy (command) VALUES
    ('ALTER FUNCTION sf.f(int) OWNER TO sf_owner'), ('ALTER FUNCTION sf.f(int) OWNER TO sf_group'), ('ALTER FUNCTION sf.f(int) OWNER TO sf_top'),
    ('ALTER FUNCTION sf.f(int) OWNER TO CURRENT_USER'), ('ALTER FUNCTION sf.f(int) SECURITY DEFINER'), ('GRANT sf_helper TO sf_owner'), ('GRANT sf_helper TO sf_top');
CREATE FUNCTION sf.remedied(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    result text;
BEGIN
    PERFORM sf.view('SELECT id, sf.f(n) AS n FROM sf.item');
    EXECUTE command;
    result := sf.try($c$SELECT outbox.create_contract('sf_item', view => 'sf.item_v', source => 'sf.item', key => '{id}')$c$);
    ALTER FUNCTION sf.f(int) OWNER TO sf_helper;
    ALTER FUNCTION sf.f(int) SECURITY INVOKER;
    REVOKE sf_helper FROM sf_owner, sf_top;
    RETURN result;
END $$;
SET client_min_messages = error; -- of a REVOKE of what was not granted
SELECT command, sf.remedied(command) FROM sf.remedy ORDER BY n;
SET client_min_messages = warning;

\echo a superuser's view runs superusers' functions only; the hint is a remedy
SELECT sf.view('SELECT id, sf.f(n) AS n FROM sf.item', current_user);
SELECT sf.try($$SELECT outbox.create_contract('sf_item', view => 'sf.item_v', source => 'sf.item', key => '{id}')$$) AS refused \gset
\echo :refused
SELECT substring(:'refused' FROM '-> (ALTER VIEW [^;]*)') AS command \gset
:command;
GRANT SELECT ON sf.item TO sf_helper;
SELECT outbox.create_contract('sf_item', view => 'sf.item_v', source => 'sf.item', key => '{id}');
SELECT outbox.create_event_type('SfItem', contract => 'sf_item', emit => 'created');
SELECT outbox.enable('sf_item');
TRUNCATE sf.ran;
INSERT INTO sf.item VALUES (1, 'x', 1);
SELECT DISTINCT by_role FROM sf.ran;
\echo superusers are members of every role: that does not count
GRANT sf_helper TO CURRENT_USER;
SELECT sf.view('SELECT id, sf.f(n) AS n FROM sf.item', current_user);
SELECT sf.try($$SELECT outbox.create_contract('sf_item', view => 'sf.item_v', source => 'sf.item', key => '{id}')$$) <> 'done' AS refused;
REVOKE sf_helper FROM CURRENT_USER;

\echo trusted at first, and not later: enable refuses; a live contract makes dead letters and runs nothing
GRANT sf_helper TO sf_owner;
SELECT sf.view('SELECT id, sf.f(n) AS n FROM sf.item');
SELECT outbox.create_contract('sf_item', view => 'sf.item_v', source => 'sf.item', key => '{id}');
SELECT outbox.create_event_type('SfItem', contract => 'sf_item', emit => 'created', condition => 'sf.yes(new.n)');
REVOKE sf_helper FROM sf_owner;
SELECT sf.try($$SELECT outbox.enable('sf_item')$$);
SELECT sf.try($$SELECT * FROM outbox.preview('sf_item')$$);
GRANT sf_helper TO sf_owner;
SELECT outbox.enable('sf_item');
INSERT INTO sf.item VALUES (2, 'x', 1);
REVOKE sf_helper FROM sf_owner;
TRUNCATE sf.ran;
INSERT INTO sf.item VALUES (3, 'x', 1);
GRANT sf_helper TO sf_owner;
INSERT INTO sf.item VALUES (4, 'x', 1);
ALTER FUNCTION sf.yes(int) OWNER TO sf_top;
ALTER FUNCTION sf.f(int) OWNER TO sf_top;
REVOKE sf_helper FROM sf_owner;
INSERT INTO sf.item VALUES (5, 'x', 1);
SELECT DISTINCT by_role FROM sf.ran;
SELECT aggregateid FROM outbox.event_json WHERE contract = 'sf_item' AND aggregateid <> '1' ORDER BY seq;
SELECT stage, sqlstate, source_columns, message FROM outbox.dead_letter WHERE contract = 'sf_item';

SELECT outbox.drop_contract('sf_item');
DELETE FROM outbox.dead_letter_entry WHERE contract = 'sf_item';
DROP SCHEMA sf CASCADE;
DROP ROLE sf_owner, sf_helper, sf_group, sf_top;
