-- Nothing below an error reaches the session of a writer
SET client_min_messages = warning;
SET search_path = public;
CREATE TABLE eq (id int PRIMARY KEY, t text);
CREATE FUNCTION eq_speak(t text) RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN RAISE DEBUG 'debug'; RAISE LOG 'log'; RAISE NOTICE 'notice'; RAISE WARNING 'warning'; RETURN t; END $$;
CREATE FUNCTION eq_check(t text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RAISE WARNING 'checked'; RETURN true; END $$;
CREATE DOMAIN eq_domain AS text CHECK (eq_check(VALUE));
CREATE VIEW eq_function AS SELECT id, eq_speak(t) AS t FROM eq;
CREATE VIEW eq_domains AS SELECT id, (t::eq_domain)::text AS t FROM eq;
CREATE VIEW eq_builtin AS SELECT id, length(to_tsvector('english'::regconfig, t)) AS words, numnode(plainto_tsquery('english'::regconfig, left(t, 3))) AS q FROM eq;
SELECT outbox.create_contract(c || '_' || e, view => c, source => 'eq', key => '{id}', evaluate => e, aggregate_type => c || '_' || e),
    outbox.create_event_type('E' || c || '_' || e, contract => c || '_' || e, emit => 'created'),
    outbox.add_check('E' || c || '_' || e, 'k', 'id > 0 AND to_tsquery(''english''::regconfig, ''the'') IS NOT NULL'), outbox.enable(c || '_' || e)
FROM unnest('{eq_function,eq_domains,eq_builtin}'::text[]) c, unnest('{row,commit}'::text[]) e;
\c -
SET client_min_messages = debug1;
INSERT INTO eq VALUES (1, 'the ' || repeat('x', 3000));
SET client_min_messages = warning;
SELECT contract, left(payload::text, 60) FROM outbox.event_json WHERE contract LIKE 'eq\_%' ORDER BY contract;
SELECT contract, message FROM outbox.dead_letter WHERE contract LIKE 'eq\_%' ORDER BY contract;
SELECT outbox.drop_contract(name) FROM outbox.contract WHERE name LIKE 'eq\_%';
DROP TABLE eq CASCADE;
DROP DOMAIN eq_domain; DROP FUNCTION eq_speak, eq_check;
