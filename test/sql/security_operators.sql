-- The planner takes an operator's negator and commutator for it, and asks them for estimates: they count like the operator itself.
SET client_min_messages = warning;
\set VERBOSITY default
CREATE ROLE so_other;
CREATE ROLE so_owner;
CREATE SCHEMA so AUTHORIZATION so_other;
GRANT USAGE ON SCHEMA so TO PUBLIC;
CREATE TABLE public.so_item (id int PRIMARY KEY, a int, b int);
CREATE TABLE public.so_other_item (id int PRIMARY KEY, a int, b bigint);
INSERT INTO public.so_other_item SELECT n, n % 3, n % 5 FROM generate_series(1, 1000) n;
ANALYZE public.so_other_item;
SET ROLE so_other;
CREATE FUNCTION so.evil() RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE INFO 'ran as %', current_user; END $$;
CREATE FUNCTION so.ne(x int, y int) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM so.evil(); RETURN x <> y; END $$;
CREATE FUNCTION so.gt(x bigint, y int) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM so.evil(); RETURN x > y; END $$;
CREATE OPERATOR so.=== (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq, NEGATOR = OPERATOR(so.!==), RESTRICT = neqsel, JOIN = neqjoinsel);
CREATE OPERATOR so.!== (LEFTARG = int, RIGHTARG = int, FUNCTION = so.ne, NEGATOR = OPERATOR(so.===));
CREATE OPERATOR so.<<< (LEFTARG = int, RIGHTARG = bigint, FUNCTION = int48lt, COMMUTATOR = OPERATOR(so.>>>), RESTRICT = scalarltsel);
CREATE OPERATOR so.>>> (LEFTARG = bigint, RIGHTARG = int, FUNCTION = so.gt, COMMUTATOR = OPERATOR(so.<<<), RESTRICT = scalargtsel);
-- the negator of a commutator
CREATE OPERATOR so.&<& (LEFTARG = int, RIGHTARG = bigint, FUNCTION = int48lt, COMMUTATOR = OPERATOR(so.&>&));
CREATE OPERATOR so.&>& (LEFTARG = bigint, RIGHTARG = int, FUNCTION = int84gt, COMMUTATOR = OPERATOR(so.&<&), NEGATOR = OPERATOR(so.&<=&));
CREATE OPERATOR so.&<=& (LEFTARG = bigint, RIGHTARG = int, FUNCTION = so.gt, NEGATOR = OPERATOR(so.&>&));
RESET ROLE;
CREATE FUNCTION so_views(at text, OUT name text, OUT refused text) RETURNS SETOF record LANGUAGE plpgsql AS $$
BEGIN
    FOR name IN SELECT relname FROM pg_class WHERE relname LIKE 'so\_v%' AND relkind = 'v' ORDER BY 1 LOOP
        BEGIN
            PERFORM outbox.create_contract(name, view => 'public.' || name, source => 'public.so_item', key => '{id}', evaluate => at);
            PERFORM outbox.create_event_type('E' || name, contract => name, emit => 'always'), outbox.enable(name);
            refused := 'no';
        EXCEPTION WHEN insufficient_privilege OR feature_not_supported THEN
            refused := sqlerrm;
        END;
        RETURN NEXT;
    END LOOP;
END $$;
CREATE VIEW so_v1_not AS SELECT id, NOT (a OPERATOR(so.===) b) AS x FROM so_item;
CREATE VIEW so_v2_where AS SELECT id, a FROM so_item WHERE NOT (a OPERATOR(so.===) b);
CREATE VIEW so_v3_any AS SELECT id, NOT (a OPERATOR(so.===) ANY (ARRAY[1, 2])) AS x FROM so_item;
CREATE VIEW so_v4_all AS SELECT id, a OPERATOR(so.===) ALL (ARRAY[b, 2]) AS x FROM so_item;
CREATE VIEW so_v5_false AS SELECT id, (a OPERATOR(so.===) b) = false AS x FROM so_item;
CREATE VIEW so_v6_commuted AS SELECT id, a OPERATOR(so.<<<) b::bigint AS x FROM so_item;
CREATE VIEW so_v7_further AS SELECT id, NOT (a OPERATOR(so.&<&) b::bigint) AS x FROM so_item;
CREATE VIEW so_v8_plain AS SELECT id, NOT (a = b) AS x FROM so_item WHERE NOT a IN (1, 2);
SELECT * FROM so_views('row');
SELECT outbox.drop_contract('so_v8_plain');
CREATE VIEW so_v9_estimate AS SELECT t.id, (SELECT s.id FROM so_other_item s WHERE s.id = t.id AND s.a OPERATOR(so.===) 1) AS x FROM so_item t;
CREATE VIEW so_va_estimate AS SELECT t.id, (SELECT s.id FROM so_other_item s WHERE s.id = t.id AND 2 OPERATOR(so.<<<) s.b) AS x FROM so_item t;
CREATE VIEW so_vb_subquery AS SELECT t.id, t.a OPERATOR(so.===) ANY (SELECT s.a FROM so_other_item s WHERE s.id = t.id) AS x FROM so_item t;
CREATE VIEW so_vc_join AS SELECT t.id, s.a AS x FROM so_item t JOIN so_other_item s ON s.id = t.id AND s.a OPERATOR(so.===) t.b;
SELECT * FROM so_views('commit');
INSERT INTO so_item VALUES (1, 1, 2);
SELECT contract, message FROM outbox.dead_letter WHERE contract LIKE 'so\_%';

-- conditions and checks are the same
SELECT outbox.create_event_type('SoCondition', contract => 'so_v8_plain', emit => 'always', condition => 'new.id OPERATOR(so.===) 1');
\set VERBOSITY terse
SELECT outbox.add_check('Eso_v8_plain', 'so_check', 'id OPERATOR(so.===) 1');
-- a role runs its own
GRANT so_other TO so_owner;
GRANT SELECT ON so_item, so_other_item TO so_owner;
ALTER VIEW so_v1_not OWNER TO so_owner;
SELECT outbox.create_contract('so_v1_not', view => 'so_v1_not', source => 'so_item', key => '{id}', evaluate => 'row');

-- members of a family of PostgreSQL's that a superuser added for a type of theirs
CREATE TYPE so.pair AS (x int);
ALTER TYPE so.pair OWNER TO so_other;
SET ROLE so_other;
CREATE FUNCTION so.eq(x so.pair, y so.pair) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM so.evil(); RETURN x.x = y.x; END $$;
CREATE FUNCTION so.lt(x so.pair, y so.pair) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM so.evil(); RETURN x.x < y.x; END $$;
CREATE FUNCTION so.cmp(x so.pair, y so.pair) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM so.evil(); RETURN x.x - y.x; END $$;
CREATE OPERATOR so.= (LEFTARG = so.pair, RIGHTARG = so.pair, FUNCTION = so.eq);
CREATE OPERATOR so.< (LEFTARG = so.pair, RIGHTARG = so.pair, FUNCTION = so.lt);
RESET ROLE;
ALTER FUNCTION so.eq OWNER TO postgres;
ALTER FUNCTION so.lt OWNER TO postgres;
CREATE OPERATOR CLASS so.pair_ops DEFAULT FOR TYPE so.pair USING btree FAMILY pg_catalog.integer_ops AS OPERATOR 1 so.<, OPERATOR 3 so.=, FUNCTION 1 so.cmp(so.pair, so.pair);
CREATE TABLE so_pair (id int PRIMARY KEY, p so.pair);
CREATE VIEW so_vd_family AS SELECT id, greatest(p, ROW(1)::so.pair) IS NULL AS x FROM so_pair;
SELECT outbox.create_contract('so_vd_family', view => 'so_vd_family', source => 'so_pair', key => '{id}');
DROP OPERATOR CLASS so.pair_ops USING btree;
SELECT outbox.drop_contract('so_v8_plain'), outbox.drop_contract('so_v1_not');
