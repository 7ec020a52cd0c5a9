-- Hints about schemas are promises: what they say is done here, and the trouble is gone.
\set VERBOSITY default
SET client_min_messages = warning;
CREATE SCHEMA hs;
SET search_path = hs;
SET outbox.namespace = 'hs';
CREATE FUNCTION attempt(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE message text; detail text; hint text;
BEGIN
	EXECUTE statement;
	RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN E'\n' || message || E'\n' || detail || E'\n' || hint;
END $$;
CREATE TABLE o (id int PRIMARY KEY, st text);
CREATE TABLE l (id int PRIMARY KEY, o_id int, sku text);
CREATE INDEX ON l (o_id);

\echo == previous of a list, with required fields inside
CREATE VIEW item AS SELECT id AS no, o_id, sku FROM l;
CREATE VIEW v AS SELECT o.id AS order_id, coalesce((SELECT array_agg(i ORDER BY i.no) FROM item i WHERE i.o_id = o.id), '{}') AS items FROM o;
SELECT outbox.create_contract('hs_list', view => 'hs.v', source => 'hs.o', key => '{order_id}', required => '{items,items.sku}');
SELECT outbox.add_source('hs_list', 'hs.l', key_query => 'row.o_id');
SELECT outbox.create_event_type('HsListChanged', contract => 'hs_list', emit => 'changed', previous => '{items}');
SELECT jsonb_pretty(outbox.avro_schema('HsListChanged')::jsonb -> 'fields' -> 2);
SELECT outbox.enable('hs_list');
INSERT INTO o VALUES (1);
INSERT INTO l VALUES (1, 1, 'A');
UPDATE l SET sku = 'B';
SELECT payload FROM outbox.event_json WHERE type = 'HsListChanged' ORDER BY seq;
SELECT count(*) FROM outbox.dead_letter WHERE contract = 'hs_list';

\echo == a field that is required in one place and not in another
CREATE TYPE addr AS (street text, zip text);
CREATE VIEW a AS SELECT id, ROW(st, st)::addr AS bill, ROW(st, st)::addr AS ship FROM o;
SELECT attempt($$SELECT outbox.create_contract('hs_a', view => 'hs.a', source => 'hs.o', key => '{id}', required => '{bill.street}')$$);
SELECT attempt($$SELECT outbox.create_contract('hs_a', view => 'hs.a', source => 'hs.o', key => '{id}', required => '{bill.street,ship.street}')$$);
CREATE TYPE addr2 AS (street text, zip text);
CREATE VIEW a2 AS SELECT id, ROW(st, st)::addr AS bill, ROW(st, st)::addr2 AS ship FROM o;
SELECT attempt($$SELECT outbox.create_contract('hs_a2', view => 'hs.a2', source => 'hs.o', key => '{id}', required => '{bill.street}')$$);

\echo == names that Avro reserves: of an event type, of an enum, of a nested row
SELECT attempt($$SELECT outbox.create_event_type('null', contract => 'hs_a', emit => 'changed')$$);
SELECT attempt($$SELECT outbox.create_event_type('string', contract => 'hs_a', emit => 'changed')$$);
SELECT attempt($$SELECT outbox.create_event_type('HsString', contract => 'hs_a', emit => 'changed')$$);
CREATE TYPE "double" AS ENUM ('A', 'B');
CREATE VIEW e AS SELECT id, 'A'::"double" AS d FROM o;
SELECT attempt($$SELECT outbox.create_contract('hs_e', view => 'hs.e', source => 'hs.o', key => '{id}')$$);
ALTER TYPE "double" RENAME TO twofold;
SELECT attempt($$SELECT outbox.create_contract('hs_e', view => 'hs.e', source => 'hs.o', key => '{id}')$$);
CREATE VIEW "bytes" AS SELECT id AS no, o_id, sku FROM l;
CREATE VIEW n AS SELECT o.id, (SELECT array_agg(i ORDER BY i.no) FROM "bytes" i WHERE i.o_id = o.id) AS items FROM o;
SELECT attempt($$SELECT outbox.create_contract('hs_n', view => 'hs.n', source => 'hs.o', key => '{id}')$$);
ALTER VIEW "bytes" RENAME TO octets;
SELECT attempt($$SELECT outbox.create_contract('hs_n', view => 'hs.n', source => 'hs.o', key => '{id}')$$);

SELECT outbox.drop_contract(name) FROM (VALUES ('hs_list'), ('hs_a'), ('hs_a2'), ('hs_e'), ('hs_n')) c (name);
DROP SCHEMA hs CASCADE;
