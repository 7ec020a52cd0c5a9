-- Triggers of the application that change rows of their own statement: the last event of a key that is not marked as superseded is the row's state.
SET client_min_messages = warning;
CREATE SCHEMA ov;
SET search_path = ov, public;
CREATE TABLE doc (id int PRIMARY KEY, v int, del boolean NOT NULL DEFAULT false, unread int);
CREATE VIEW doc_v AS SELECT id, v FROM doc WHERE NOT del;
SELECT outbox.create_contract('ov_doc', view => 'doc_v', source => 'doc', key => '{id}');
SELECT outbox.create_event_type('OvCreated', contract => 'ov_doc', emit => 'created');
SELECT outbox.create_event_type('OvChanged', contract => 'ov_doc', emit => 'changed');
SELECT outbox.create_event_type('OvDeleted', contract => 'ov_doc', emit => 'deleted', tombstone => 'after');
SELECT outbox.create_event_type('OvErased', contract => 'ov_doc', emit => 'deleted', tombstone => 'instead');
SELECT outbox.enable('ov_doc');
CREATE FUNCTION news(OUT type text, OUT aggregateid text, OUT v text, OUT superseded text, OUT tombstone text) RETURNS SETOF record LANGUAGE sql AS $$
    SELECT type, aggregateid, payload->>'v', headers->>'superseded', headers->>'tombstone' FROM outbox.event_json
    WHERE contract = 'ov_doc' AND xid = (SELECT max(xid) FROM outbox.event) ORDER BY seq OFFSET 2
$$;
CREATE FUNCTION react() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF pg_trigger_depth() = 1 AND current_setting('ov.reaction', true) <> '' THEN
        EXECUTE current_setting('ov.reaction');
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER react AFTER INSERT OR UPDATE OR DELETE ON doc FOR EACH ROW EXECUTE FUNCTION react();
CREATE FUNCTION run(statement text, reaction text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE 'TRUNCATE ov.doc';
    PERFORM set_config('ov.reaction', '', true);
    INSERT INTO ov.doc VALUES (1, 1), (2, 1);
    PERFORM set_config('ov.reaction', reaction, true);
    EXECUTE statement;
END $$;

\echo soft deleted, and brought back; deleted, and inserted again: the null value would erase it, so there is none
SELECT run('UPDATE ov.doc SET del = true', 'UPDATE ov.doc SET del = false WHERE id = 2 AND del');
SELECT * FROM news();
SELECT run('DELETE FROM ov.doc', 'INSERT INTO ov.doc VALUES (2, 7) ON CONFLICT DO NOTHING');
SELECT * FROM news();
\echo brought back and gone again: the inner deletion is the last word
SELECT run('DELETE FROM ov.doc', 'INSERT INTO ov.doc VALUES (2, 7) ON CONFLICT DO NOTHING; DELETE FROM ov.doc WHERE id = 2');
SELECT * FROM news();
\echo changed again; changed again where the contract does not look: nothing is superseded
SELECT run('UPDATE ov.doc SET v = 2', 'UPDATE ov.doc SET v = 3 WHERE id = 2 AND v <> 3');
SELECT * FROM news();
SELECT run('UPDATE ov.doc SET v = 2', 'UPDATE ov.doc SET unread = 1 WHERE id = 2');
SELECT * FROM news();
\echo the reaction is rolled back
SELECT run('UPDATE ov.doc SET del = true',
    'DO $d$ BEGIN UPDATE ov.doc SET del = false WHERE id = 2; RAISE ''no''; EXCEPTION WHEN raise_exception THEN NULL; END $d$');
SELECT * FROM news();
\echo a key that goes and comes
SELECT run('UPDATE ov.doc SET id = id + 10', 'UPDATE ov.doc SET id = 2 WHERE id = 12');
SELECT * FROM news();
\echo the next statement is not concerned
BEGIN;
SELECT run('UPDATE ov.doc SET del = true', 'UPDATE ov.doc SET del = false WHERE id = 2 AND del');
SET LOCAL ov.reaction = '';
DELETE FROM doc WHERE id = 2;
COMMIT;
SELECT * FROM news();

\echo at random, and partitioned as well: who leaves superseded events out ends with the rows of the view
CREATE TABLE plain (id int PRIMARY KEY, v int NOT NULL, del boolean NOT NULL DEFAULT false, unread int);
CREATE TABLE part (id int NOT NULL, v int NOT NULL, del boolean NOT NULL DEFAULT false, unread int) PARTITION BY LIST ((v % 3));
CREATE TABLE part0 PARTITION OF part FOR VALUES IN (0);
CREATE TABLE part1 PARTITION OF part FOR VALUES IN (1);
CREATE TABLE part2 PARTITION OF part FOR VALUES IN (2);
CREATE UNIQUE INDEX ON part0 (id);
CREATE UNIQUE INDEX ON part1 (id);
CREATE UNIQUE INDEX ON part2 (id);
CREATE VIEW plain_v AS SELECT id, v FROM plain WHERE NOT del;
CREATE VIEW part_v AS SELECT id, v FROM part WHERE NOT del;
SELECT outbox.create_contract('ovr_' || t, view => t || '_v', source => t, key => '{id}'),
    outbox.create_event_type(t || '_created', contract => 'ovr_' || t, emit => 'created'),
    outbox.create_event_type(t || '_changed', contract => 'ovr_' || t, emit => 'changed'),
    outbox.create_event_type(t || '_deleted', contract => 'ovr_' || t, emit => 'deleted', tombstone => 'after'),
    outbox.enable('ovr_' || t)
FROM unnest('{plain,part}'::text[]) t;
CREATE FUNCTION some_statement(t text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    range text := format('id BETWEEN %s AND %s', (random() * 6)::int, (random() * 9)::int);
    one int := (random() * 8)::int;
    n int := (random() * 8)::int;
BEGIN
    RETURN CASE n
        WHEN 0 THEN format('UPDATE %s SET del = NOT del WHERE %s', t, range)
        WHEN 1 THEN format('DELETE FROM %s WHERE %s', t, range)
        WHEN 2 THEN format('INSERT INTO %s SELECT g, 3 * g FROM generate_series(%s, %s) g WHERE NOT EXISTS (SELECT FROM %s x WHERE x.id = g)', t, one, one + 2, t)
        WHEN 3 THEN format('UPDATE %s SET v = v + 3 WHERE %s', t, range)
        WHEN 4 THEN format('UPDATE %s SET unread = 1 WHERE %s', t, range)
        WHEN 5 THEN format('UPDATE %s SET id = id + 20 WHERE id = %s AND NOT EXISTS (SELECT FROM %s x WHERE x.id = %s)', t, one, t, one + 20)
        WHEN 6 THEN format('UPDATE %s SET id = id - 20 WHERE id = %s AND NOT EXISTS (SELECT FROM %s x WHERE x.id = %s)', t, one + 20, t, one)
        WHEN 7 THEN format('UPDATE %s SET v = v + 1 WHERE %s', t, range)
        ELSE format('INSERT INTO %s SELECT %s, 3 * %s WHERE NOT EXISTS (SELECT FROM %s x WHERE x.id = %s)', t, one, one, t, one)
    END;
END $$;
CREATE FUNCTION react_at_random() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF pg_trigger_depth() < 4 AND random() < 0.5 THEN
        BEGIN
            EXECUTE ov.some_statement(TG_ARGV[0]);
            IF random() < 0.2 THEN RAISE 'no'; END IF;
        EXCEPTION WHEN raise_exception OR unique_violation THEN NULL;
        END;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER react AFTER INSERT OR UPDATE OR DELETE ON plain FOR EACH ROW EXECUTE FUNCTION react_at_random('ov.plain');
CREATE TRIGGER react AFTER INSERT OR UPDATE OR DELETE ON part FOR EACH ROW EXECUTE FUNCTION react_at_random('ov.part');
CREATE VIEW consumer AS
SELECT contract, (e.payload->>'id')::int AS id, (e.payload->>'v')::int AS v FROM (
    SELECT DISTINCT ON (contract, aggregateid) contract, type, payload FROM outbox.event_json
    WHERE contract LIKE 'ovr%' AND NOT headers ? 'superseded'
    ORDER BY contract, aggregateid, seq DESC) e
WHERE e.type !~ 'deleted';
DO $$
DECLARE
    seed float8 := round(random()::numeric, 6);
    statement text;
    t text;
    wrong jsonb;
BEGIN
    PERFORM setseed(seed);
    FOR n IN 1..400 LOOP
        FOREACH t IN ARRAY '{ov.plain,ov.part}'::text[] LOOP
            statement := ov.some_statement(t);
            BEGIN
                EXECUTE statement;
            EXCEPTION WHEN unique_violation THEN NULL;
            END;
        END LOOP;
        COMMIT;
        CONTINUE WHEN n % 20 <> 0;
        SELECT jsonb_agg(x) INTO wrong FROM (
            (SELECT 'ovr_plain' AS contract, id, v FROM ov.plain_v UNION ALL SELECT 'ovr_part', id, v FROM ov.part_v EXCEPT TABLE ov.consumer)
            UNION ALL
            (TABLE ov.consumer EXCEPT (SELECT 'ovr_plain' AS contract, id, v FROM ov.plain_v UNION ALL SELECT 'ovr_part', id, v FROM ov.part_v))) x;
        IF wrong IS NOT NULL THEN
            RAISE EXCEPTION 'seed %, statement %: %', seed, n, wrong;
        END IF;
    END LOOP;
    ASSERT (SELECT count(*) > 50 FROM outbox.event WHERE flags & 1 <> 0), 'too few superseded events: the test tests nothing';
END $$;
SELECT outbox.drop_contract('ov_doc'), outbox.drop_contract('ovr_plain'), outbox.drop_contract('ovr_part');
