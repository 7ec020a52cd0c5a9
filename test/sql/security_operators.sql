-- The planner takes an operator's negator and commutator for it, and asks them for estimates: they count like the operator itself.
SET client_min_messages = warning;
\set VERBOSITY default
CREATE ROLE op_other;
CREATE ROLE op_owner;
CREATE SCHEMA opr AUTHORIZATION op_other;
GRANT USAGE ON SCHEMA opr TO PUBLIC;
CREATE TABLE public.opr_item (id int PRIMARY KEY, a int, b int);
CREATE TABLE public.so_other_item (id int PRIMARY KEY, a int, b bigint);
INSERT INTO public.so_other_item SELECT n, n % 3, n % 5 FROM generate_series(1, 1000) n;
ANALYZE public.so_other_item;
SET ROLE op_other;
CREATE FUNCTION opr.evil() RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE INFO 'ran as %', current_user; END $$;
CREATE FUNCTION opr.ne(x int, y int) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM opr.evil(); RETURN x <> y; END $$;
CREATE FUNCTION opr.gt(x bigint, y int) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM opr.evil(); RETURN x > y; END $$;
CREATE OPERATOR opr.=== (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq, NEGATOR = OPERATOR(opr.!==), RESTRICT = neqsel, JOIN = neqjoinsel);
CREATE OPERATOR opr.!== (LEFTARG = int, RIGHTARG = int, FUNCTION = opr.ne, NEGATOR = OPERATOR(opr.===));
CREATE OPERATOR opr.<<< (LEFTARG = int, RIGHTARG = bigint, FUNCTION = int48lt, COMMUTATOR = OPERATOR(opr.>>>), RESTRICT = scalarltsel);
CREATE OPERATOR opr.>>> (LEFTARG = bigint, RIGHTARG = int, FUNCTION = opr.gt, COMMUTATOR = OPERATOR(opr.<<<), RESTRICT = scalargtsel);
-- the negator of a commutator
CREATE OPERATOR opr.&<& (LEFTARG = int, RIGHTARG = bigint, FUNCTION = int48lt, COMMUTATOR = OPERATOR(opr.&>&));
CREATE OPERATOR opr.&>& (LEFTARG = bigint, RIGHTARG = int, FUNCTION = int84gt, COMMUTATOR = OPERATOR(opr.&<&), NEGATOR = OPERATOR(opr.&<=&));
CREATE OPERATOR opr.&<=& (LEFTARG = bigint, RIGHTARG = int, FUNCTION = opr.gt, NEGATOR = OPERATOR(opr.&>&));
RESET ROLE;
CREATE FUNCTION so_views(at text, OUT name text, OUT refused text) RETURNS SETOF record LANGUAGE plpgsql AS $$
BEGIN
    FOR name IN SELECT relname FROM pg_class WHERE relname LIKE 'so\_v%' AND relkind = 'v' ORDER BY 1 LOOP
        BEGIN
            PERFORM outbox.create_contract(name, view => 'public.' || name, source => 'public.opr_item', key => '{id}', evaluate => at);
            PERFORM outbox.create_event_type('E' || name, contract => name, emit => 'always'), outbox.enable(name);
            refused := 'no';
        EXCEPTION WHEN insufficient_privilege OR feature_not_supported THEN
            refused := sqlerrm;
        END;
        RETURN NEXT;
    END LOOP;
END $$;
CREATE VIEW so_v1_not AS SELECT id, NOT (a OPERATOR(opr.===) b) AS x FROM opr_item;
CREATE VIEW so_v2_where AS SELECT id, a FROM opr_item WHERE NOT (a OPERATOR(opr.===) b);
CREATE VIEW so_v3_any AS SELECT id, NOT (a OPERATOR(opr.===) ANY (ARRAY[1, 2])) AS x FROM opr_item;
CREATE VIEW so_v4_all AS SELECT id, a OPERATOR(opr.===) ALL (ARRAY[b, 2]) AS x FROM opr_item;
CREATE VIEW so_v5_false AS SELECT id, (a OPERATOR(opr.===) b) = false AS x FROM opr_item;
CREATE VIEW so_v6_commuted AS SELECT id, a OPERATOR(opr.<<<) b::bigint AS x FROM opr_item;
CREATE VIEW so_v7_further AS SELECT id, NOT (a OPERATOR(opr.&<&) b::bigint) AS x FROM opr_item;
CREATE VIEW so_v8_plain AS SELECT id, NOT (a = b) AS x FROM opr_item WHERE NOT a IN (1, 2);
SELECT * FROM so_views('row');
SELECT outbox.drop_contract('so_v8_plain');
CREATE VIEW so_v9_estimate AS SELECT t.id, (SELECT s.id FROM so_other_item s WHERE s.id = t.id AND s.a OPERATOR(opr.===) 1) AS x FROM opr_item t;
CREATE VIEW so_va_estimate AS SELECT t.id, (SELECT s.id FROM so_other_item s WHERE s.id = t.id AND 2 OPERATOR(opr.<<<) s.b) AS x FROM opr_item t;
CREATE VIEW so_vb_subquery AS SELECT t.id, t.a OPERATOR(opr.===) ANY (SELECT s.a FROM so_other_item s WHERE s.id = t.id) AS x FROM opr_item t;
CREATE VIEW so_vc_join AS SELECT t.id, s.a AS x FROM opr_item t JOIN so_other_item s ON s.id = t.id AND s.a OPERATOR(opr.===) t.b;
SELECT * FROM so_views('commit');
INSERT INTO opr_item VALUES (1, 1, 2);
SELECT contract, message FROM outbox.dead_letter WHERE contract LIKE 'opr\_%';

-- conditions and checks are the same
SELECT outbox.create_event_type('SoCondition', contract => 'so_v8_plain', emit => 'always', condition => 'new.id OPERATOR(opr.===) 1');
\set VERBOSITY terse
SELECT outbox.add_check('Eso_v8_plain', 'so_check', 'id OPERATOR(opr.===) 1');
-- a role runs its own
GRANT op_other TO op_owner;
GRANT SELECT ON opr_item, so_other_item TO op_owner;
ALTER VIEW so_v1_not OWNER TO op_owner;
SELECT outbox.create_contract('so_v1_not', view => 'so_v1_not', source => 'opr_item', key => '{id}', evaluate => 'row');

-- members of a family of PostgreSQL's that a superuser added for a type of theirs
CREATE TYPE opr.pair AS (x int);
ALTER TYPE opr.pair OWNER TO op_other;
SET ROLE op_other;
CREATE FUNCTION opr.eq(x opr.pair, y opr.pair) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM opr.evil(); RETURN x.x = y.x; END $$;
CREATE FUNCTION opr.lt(x opr.pair, y opr.pair) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM opr.evil(); RETURN x.x < y.x; END $$;
CREATE FUNCTION opr.cmp(x opr.pair, y opr.pair) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM opr.evil(); RETURN x.x - y.x; END $$;
CREATE OPERATOR opr.= (LEFTARG = opr.pair, RIGHTARG = opr.pair, FUNCTION = opr.eq);
CREATE OPERATOR opr.< (LEFTARG = opr.pair, RIGHTARG = opr.pair, FUNCTION = opr.lt);
RESET ROLE;
ALTER FUNCTION opr.eq OWNER TO postgres;
ALTER FUNCTION opr.lt OWNER TO postgres;
CREATE OPERATOR CLASS opr.pair_ops DEFAULT FOR TYPE opr.pair USING btree FAMILY pg_catalog.integer_ops AS OPERATOR 1 opr.<, OPERATOR 3 opr.=, FUNCTION 1 opr.cmp(opr.pair, opr.pair);
CREATE TABLE so_pair (id int PRIMARY KEY, p opr.pair);
CREATE VIEW so_vd_family AS SELECT id, greatest(p, ROW(1)::opr.pair) IS NULL AS x FROM so_pair;
SELECT outbox.create_contract('so_vd_family', view => 'so_vd_family', source => 'so_pair', key => '{id}');
DROP OPERATOR CLASS opr.pair_ops USING btree;
SELECT outbox.drop_contract('so_v8_plain'), outbox.drop_contract('so_v1_not');
