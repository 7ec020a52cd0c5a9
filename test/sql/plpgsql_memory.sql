-- A recursive function in PL/pgSQL with a variable of somebody else's type is compiled again after each evaluation, but not for each
-- call in it: no compiled copy is left behind, whether it ends well or with an error.
SET client_min_messages = warning;
CREATE ROLE plm_owner;
CREATE ROLE plm_other;
CREATE SCHEMA plm AUTHORIZATION plm_owner;
CREATE TYPE plm.pair AS (a int, b int);
ALTER TYPE plm.pair OWNER TO plm_other;
CREATE TABLE plm.item (id int PRIMARY KEY, depth int);
GRANT SELECT ON plm.item TO plm_owner;
SET ROLE plm_owner;
CREATE FUNCTION plm.down(n int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE p plm.pair;
BEGIN
    IF n <= 0 THEN RETURN 10 / (n + 1); END IF;
    p.a := n;
    RETURN plm.down(n - CASE WHEN n = 13 THEN 14 ELSE 1 END) + p.a;
END $$;
CREATE VIEW plm.item_v AS SELECT id, plm.down(depth) AS down FROM plm.item;
RESET ROLE;
SELECT outbox.create_contract('plm', view => 'plm.item_v', source => 'plm.item', key => '{id}');
SELECT outbox.create_event_type('Plm', contract => 'plm', emit => 'always'), outbox.enable('plm');
CREATE FUNCTION plm.copies() RETURNS bigint LANGUAGE sql AS $$ SELECT count(*) FROM pg_backend_memory_contexts WHERE name LIKE 'PL/pgSQL function%' $$;

\c -
INSERT INTO plm.item VALUES (1, 3);
SELECT plm.copies() AS copies \gset
INSERT INTO plm.item SELECT i, 9 FROM generate_series(2, 50) i;
SELECT plm.copies() - :copies AS more;
\echo with an error, 13 divides by zero
INSERT INTO plm.item SELECT i, 20 FROM generate_series(51, 60) i;
SELECT plm.copies() - :copies AS more;
INSERT INTO plm.item VALUES (61, 2);
SELECT plm.copies() - :copies AS more;
SELECT payload->>'down' AS down, count(*) FROM outbox.event_json WHERE contract = 'plm' GROUP BY 1 ORDER BY 1;
SELECT message, count(*) FROM outbox.dead_letter WHERE contract = 'plm' GROUP BY 1;
SELECT count(outbox.discard(id, 'test')::text) FROM outbox.dead_letter WHERE contract = 'plm';
SELECT outbox.drop_contract('plm');
DROP VIEW plm.item_v;
DROP TABLE plm.item;
DROP FUNCTION plm.copies, plm.down;
DROP TYPE plm.pair;
DROP SCHEMA plm;
DROP ROLE plm_owner, plm_other;
