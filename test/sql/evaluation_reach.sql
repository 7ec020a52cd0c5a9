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
    SELECT string_agg(DISTINCT p.proname, ' ' ORDER BY p.proname) INTO result
    FROM unnest(outbox_test_reach('reached'::regclass, planned)) AS f(oid) JOIN pg_proc p ON p.oid = f.oid
    WHERE p.pronamespace = current_schema()::regnamespace;
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
    'p::text', 'ps::text', 'to_jsonb(p)', 'format(''%s'', p)', 'xmlelement(name e, p)', 'greatest(p, p)', 'p = p', 'ps = ps', 'ROW(p) = ROW(p)',
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
-- what planning evaluates
SELECT 'planned → ' || reach('1', true);
