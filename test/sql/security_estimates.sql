-- The planner calls operators on statistics to estimate. An operator over a function that is refused to code behind a contract is refused
-- before that, also as a negator, in SQL functions that are inlined, and outside of the subquery that has the statistics.
SET client_min_messages = warning;
CREATE ROLE se_owner;
CREATE SCHEMA se AUTHORIZATION se_owner;
CREATE TABLE public.se_item (id int PRIMARY KEY, name text);
GRANT SELECT ON public.se_item TO se_owner;
SET ROLE se_owner;
CREATE TABLE se.common AS SELECT 4711 AS k FROM generate_series(1, 100);
ANALYZE se.common;
CREATE FUNCTION se.never(int, int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT false';
CREATE OPERATOR se.=== (LEFTARG = int, RIGHTARG = int, FUNCTION = pg_catalog.pg_advisory_unlock, RESTRICT = eqsel);
CREATE OPERATOR se.!!! (LEFTARG = int, RIGHTARG = int, FUNCTION = pg_catalog.pg_try_advisory_lock, RESTRICT = eqsel, NEGATOR = OPERATOR(se.!!?));
CREATE OPERATOR se.!!? (LEFTARG = int, RIGHTARG = int, FUNCTION = se.never, RESTRICT = neqsel, NEGATOR = OPERATOR(se.!!!));
CREATE FUNCTION se.inlined(k int) RETURNS bool LANGUAGE sql VOLATILE AS $$ SELECT k OPERATOR(se.===) 1 $$;
CREATE FUNCTION se.f(x text) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
    query pg_catalog.text;
    y pg_catalog.text := '';
BEGIN
    FOREACH query IN ARRAY ARRAY[
        'SELECT 1 FROM se.common WHERE k OPERATOR(se.===) 1',
        'SELECT 1 FROM se.common WHERE k OPERATOR(se.!!!) 2',
        'SELECT 1 FROM se.common WHERE k OPERATOR(se.!!?) 3',
        'SELECT 1 FROM se.common WHERE k OPERATOR(se.!!!) ANY (ARRAY[4, 5])',
        'SELECT 1 FROM se.common WHERE se.inlined(k)',
        'SELECT 1 FROM (SELECT k FROM se.common OFFSET 0) s WHERE k OPERATOR(se.!!!) 6',
        'WITH c AS MATERIALIZED (SELECT k FROM se.common) SELECT 1 FROM c WHERE se.inlined(k)',
        'WITH c AS MATERIALIZED (SELECT k FROM se.common) SELECT 1 FROM c WHERE k OPERATOR(se.!!!) 7',
        'SELECT 1 FROM se.common a JOIN se.common b ON a.k OPERATOR(se.!!!) b.k WHERE a.k = 1',
        'SELECT 1 FROM se.common WHERE k = 1']
    LOOP
        BEGIN
            EXECUTE 'SELECT count(*) FROM (' || query || ' LIMIT 0) s';
            y := y || 'planned ';
        EXCEPTION WHEN others THEN
            y := y || 'refused ';
        END;
    END LOOP;
    RETURN y;
END $$;
CREATE VIEW se.item_v AS SELECT id, se.f(name) AS name FROM public.se_item;
RESET ROLE;
SELECT outbox.create_contract('se_item', view => 'se.item_v', source => 'public.se_item', key => '{id}');
SELECT outbox.create_event_type('SeItem', contract => 'se_item', emit => 'always'), outbox.enable('se_item');
SELECT pg_advisory_lock(4711, 1);
INSERT INTO public.se_item VALUES (1, 'x');
SELECT classid, objid, mode FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid() ORDER BY 1, 2;
SELECT payload->>'name' AS name FROM outbox.event_json WHERE contract = 'se_item';
\echo the session itself may use such operators
EXPLAIN (COSTS off) SELECT 1 FROM se.common WHERE k OPERATOR(se.===) 1;
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid();
SELECT outbox.drop_contract('se_item');
