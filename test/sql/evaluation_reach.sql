-- Which functions a view may call: every way in which PostgreSQL calls one is found (needs test functions)
SET client_min_messages = warning;
CREATE FUNCTION outbox_test_reach(view oid, planned boolean) RETURNS oid[]
    LANGUAGE c AS 'outbox_ext', 'outbox_test_reach';

-- the functions of this schema that the expression reaches, of a table with columns of all types below
CREATE FUNCTION reach(expression text, planned boolean DEFAULT false, from_where text DEFAULT 'FROM t') RETURNS text
LANGUAGE plpgsql AS $$
DECLARE result text;
BEGIN
    EXECUTE format('CREATE VIEW reached AS SELECT %s AS x %s', expression, from_where);
    -- ?: code that nothing names
    SELECT string_agg(DISTINCT coalesce(p.proname, '?'), ' ' ORDER BY coalesce(p.proname, '?')) INTO result
    FROM unnest(outbox_test_reach('reached'::regclass, planned)) AS f(oid) LEFT JOIN pg_proc p ON p.oid = f.oid
    WHERE p.pronamespace = current_schema()::regnamespace OR p.oid IS NULL;
    DROP VIEW reached;
    RETURN coalesce(result, '-');
END $$;

CREATE FUNCTION plain(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1; END';
CREATE FUNCTION in_default() RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN 1; END';
CREATE FUNCTION with_default(int, int DEFAULT in_default()) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1; END';
CREATE FUNCTION in_check(text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN true; END';
CREATE FUNCTION in_outer_check(text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN true; END';
CREATE DOMAIN d AS text CHECK (in_check(VALUE));
CREATE DOMAIN dd AS d CHECK (in_outer_check(VALUE));
CREATE TYPE pair AS (a int, b d);
CREATE DOMAIN d_pair AS pair CHECK ((VALUE).a > 0);
CREATE FUNCTION op_function(text, int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN true; END';
CREATE OPERATOR ~@~ (LEFTARG = text, RIGHTARG = int, FUNCTION = op_function);
CREATE FUNCTION cast_function(pair) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN 1; END';
CREATE CAST (pair AS int) WITH FUNCTION cast_function(pair) AS ASSIGNMENT;
CREATE FUNCTION json_cast(pair) RETURNS json LANGUAGE plpgsql IMMUTABLE AS $$BEGIN RETURN '1'; END$$;
CREATE CAST (pair AS json) WITH FUNCTION json_cast(pair);
CREATE FUNCTION step(int, int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1; END';
CREATE FUNCTION finish(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1; END';
CREATE AGGREGATE total(int) (sfunc = step, stype = int, finalfunc = finish);
CREATE FUNCTION delta(text, text) RETURNS float8 LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN 0; END';
CREATE TYPE text_range AS RANGE (subtype = text, subtype_diff = delta);
-- sorting, hashing and comparing by functions of an operator class
CREATE FUNCTION less(pair, pair) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN true; END';
CREATE FUNCTION same(pair, pair) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN true; END';
CREATE FUNCTION compare(pair, pair) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN 0; END';
CREATE OPERATOR <! (LEFTARG = pair, RIGHTARG = pair, FUNCTION = less);
CREATE OPERATOR =! (LEFTARG = pair, RIGHTARG = pair, FUNCTION = same);
CREATE OPERATOR CLASS pair_ops DEFAULT FOR TYPE pair USING btree AS OPERATOR 1 <!, OPERATOR 3 =!, FUNCTION 1 compare(pair, pair);

CREATE FUNCTION in_index(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1; END';
CREATE FUNCTION in_predicate(int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN true; END';
CREATE FUNCTION in_constraint(int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN true; END';
CREATE FUNCTION in_statistics(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1; END';
CREATE FUNCTION in_partition(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1; END';
CREATE TABLE t (i int CHECK (in_constraint(i)), s text, v d, vv dd, p pair, r text_range, ps pair[], vs d[], x xml, j jsonb) PARTITION BY RANGE (in_partition(i));
CREATE TABLE t1 PARTITION OF t DEFAULT;
CREATE INDEX ON t1 (in_index(i)) WHERE in_predicate(i);
CREATE STATISTICS t1_statistics ON (in_statistics(i)), s FROM t1;

\pset format unaligned
\pset tuples_only on
SELECT e || ' → ' || reach(e) FROM unnest(ARRAY[
    -- only handed on
    'v', 'ps', 'p', 'i + 1',
    -- called by name, operator, cast
    'plain(i)', 'with_default(i)', 's ~@~ i', 's ~@~ ANY (ARRAY[i])', 'p::int',
    'CASE WHEN i > 0 THEN coalesce(plain(i), 1) END', '(SELECT plain(i))', 'ARRAY[plain(i)]', '(ROW(plain(i))).f1',
    -- domains
    's::d', 's::dd', 'ARRAY[s]::d[]', 'ROW(1, s)::pair', 'x::text::d', '(1, s)::text', 's::d_pair', 's::pair[]', 's::text_range',
    'jsonb_populate_record(NULL::pair, j)', '(jsonb_populate_record(NULL::pair, j)).a',
    -- printed, compared, hashed by something that takes any type
    'p::text', 'ps::text', 'to_jsonb(p)', 'format(''%s'', p)', 'greatest(p, p)', 'p = p', 'ps = ps', 'ROW(p) = ROW(p)',
    'array_position(ps, p)', 'r @> s', 'p =! p'
]) e;
SELECT e || ' → ' || reach(e) FROM unnest(ARRAY[
    'total(i)', 'max(i) FILTER (WHERE plain(i) > 0)', 'array_agg(i ORDER BY p USING <!)', 'jsonb_agg(p)', 'count(DISTINCT p)',
    'total(i) OVER (PARTITION BY s)', 'row_number() OVER (ORDER BY p)'
]) e;
SELECT e || ' → ' || reach('1', from_where => e) FROM unnest(ARRAY[
    'FROM t WHERE plain(i) > 0', 'FROM t ORDER BY p', 'FROM t GROUP BY p', 'FROM t a JOIN t b ON a.p =! b.p', 'FROM t a JOIN t b USING (p)',
    'FROM plain(1)', 'FROM (VALUES (plain(1))) v', 'FROM t LIMIT plain(1)', 'FROM (SELECT plain(i) FROM t) s', 'FROM t, LATERAL (SELECT plain(t.i) UNION SELECT 1) u',
    'FROM t, XMLTABLE(''/a'' PASSING x COLUMNS c d)', 'FROM t TABLESAMPLE BERNOULLI (plain(1))', 'FROM unnest(ARRAY[plain(1)])'
]) e;
-- anonymous records: what is done with them is done with their fields
CREATE FUNCTION shapeless(int) RETURNS record LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN ROW($1); END';
CREATE FUNCTION shaped(OUT a pair, OUT b int) LANGUAGE plpgsql IMMUTABLE AS 'BEGIN END';
SELECT e || ' → ' || reach(e) FROM unnest(ARRAY[
    '(ROW(p)).f1', 'ROW(p) IS NULL', 'row_to_json(ROW(p))', 'to_json(ROW(ROW(p)))', 'jsonb_build_object(''a'', ROW(p))', 'array_to_json(ARRAY[ROW(p)])', 'ROW(vv, p)::text',
    'hash_record(ROW(p))', 'concat(ROW(i))', 'to_json(coalesce(ROW(1), ROW(p)))', 'to_json(NULL::record)',
    '(SELECT json_agg(q) FROM (SELECT p) q)', '(SELECT json_agg(q) FROM (SELECT i) q)', '(SELECT array_to_json(array_agg(q)) FROM (VALUES (p)) q(e))',
    '(WITH q AS (SELECT p) SELECT to_json(q) FROM q)', '(SELECT to_json(q) FROM (SELECT p) y, LATERAL (SELECT y AS q) z)', '(SELECT to_json(q) FROM ((SELECT p) y CROSS JOIN (SELECT 1) z) q)',
    '(SELECT (SELECT to_json(q)) FROM (SELECT p) q)', '(SELECT to_json(q) FROM ROWS FROM (unnest(ps), unnest(vs)) q)',
    'to_json(shaped())', '(SELECT to_json(q) FROM shaped() q)', 'to_json(shapeless(i))', '(SELECT to_json(q) FROM shapeless(i) q(a int))', '(SELECT to_json(q) FROM shapeless(i) q(a pair))',
    'shapeless(i) = ROW(1)', 'json_populate_record(ROW(s::d), ''{}'') IS NULL', '(SELECT count(s.stavalues1) FROM pg_statistic s)', '(SELECT to_json(s.stavalues1) FROM pg_statistic s LIMIT 1)'
]) e;
-- column definition lists
SELECT e || ' → ' || reach(e) FROM unnest(ARRAY[
    '(SELECT a FROM jsonb_to_record(j) q(a d))', '(SELECT a FROM jsonb_to_recordset(j) q(b int, a d[]))', '(SELECT a FROM json_to_record(j::json) q(a pair))',
    '(SELECT a FROM ROWS FROM (jsonb_to_record(j) AS (a d), plain(1)) q)', '(SELECT to_json(q) FROM jsonb_to_record(j) q(a pair))', '(SELECT a FROM jsonb_to_record(j) q(a text))'
]) e;
-- what sorts, hashes and compares without naming an operator
SELECT e || ' → ' || reach('1', from_where => e) FROM unnest(ARRAY[
    'FROM t ORDER BY ps', 'FROM t GROUP BY ps', 'FROM (SELECT DISTINCT ps FROM t) x', 'FROM (SELECT p FROM t UNION SELECT p FROM t) x', 'FROM t WHERE ROW(p, p) <! ROW(p, p)', 'FROM t ORDER BY ROW(p)'
]) e;
-- built-in functions that run what a value names
SELECT e || ' → ' || reach(e) FROM unnest(ARRAY[
    'table_to_xml(''t'', true, true, '''')', 'table_to_xmlschema(''t'', true, true, '''')', 'query_to_xml(s, true, true, '''')', 'query_to_xmlschema(s, true, true, '''')',
    'cursor_to_xml(''c'', 1, true, true, '''')', 'schema_to_xml(''public'', true, true, '''')', 'database_to_xml_and_xmlschema(true, true, '''')',
    'ts_rewrite(''a'', s)', 'ts_rewrite(''a'', ''a''::tsquery, ''b'')', '(SELECT count(*) FROM ts_stat(s))', 'satisfies_hash_partition(1, 2, 1, i)',
    'domain_in(s::cstring, ''d''::regtype, -1) IS NULL', 'array_in(s::cstring, ''d''::regtype, -1) IS NULL', 'record_in(s::cstring, ''pair''::regtype, -1) IS NULL',
    'range_in(s::cstring, ''text_range''::regtype, -1) IS NULL', 's::int[]', 'to_regtype(s)', 'format_type(i::oid, 1)'
]) e;
-- what planning evaluates
SELECT 'planned → ' || reach('1', true);
