-- Who made the change, in a header of event types that ask for it: the setting, else the session's user; not of what is told later.
SET client_min_messages = warning;
CREATE SCHEMA ea;
SET search_path = ea;
CREATE TABLE mark (seq bigint);
CREATE FUNCTION events() RETURNS TABLE (type text, id text, actor text, headers jsonb) LANGUAGE sql AS
$$ SELECT type, aggregateid, headers ->> 'actor', headers - 'actor' FROM outbox.event_json WHERE type LIKE 'Ea%' AND seq > (SELECT coalesce(max(seq), 0) FROM ea.mark) ORDER BY seq $$;
CREATE FUNCTION next() RETURNS void LANGUAGE sql AS $$ INSERT INTO ea.mark SELECT max(seq) FROM outbox.event_json $$;
CREATE ROLE ea_clerk;
CREATE ROLE "ea ""Ö""";
CREATE ROLE ea_boss;
GRANT ea_boss TO ea_clerk;
CREATE TABLE doc (id int PRIMARY KEY, qty int, tenant text);
GRANT USAGE ON SCHEMA ea TO ea_clerk, "ea ""Ö""", ea_boss;
GRANT ALL ON doc TO ea_clerk, "ea ""Ö""", ea_boss;
CREATE VIEW doc_v AS SELECT id AS doc_id, 100 / qty AS share, tenant AS tenant_id FROM doc;
SELECT outbox.create_contract('ea_' || e, view => 'doc_v', source => 'doc', key => '{doc_id}', evaluate => e) FROM unnest('{row,commit}'::text[]) e;
SELECT outbox.create_event_type('Ea' || c || e, contract => 'ea_' || lower(c), emit => lower(e), actor => true,
	headers => CASE e WHEN 'Changed' THEN '{tenant_id}'::text[] END, tombstone => CASE e WHEN 'Deleted' THEN 'instead' END)
FROM unnest('{Row,Commit}'::text[]) c, unnest('{Created,Changed,Deleted}'::text[]) e;
SELECT outbox.create_event_type('EaSilent', contract => 'ea_row', emit => 'created');
SELECT outbox.enable('ea_row'), outbox.enable('ea_commit');

\echo == the user of the session, whatever role it has set
SET SESSION AUTHORIZATION ea_clerk;
INSERT INTO doc VALUES (1, 1, 't');
SET ROLE ea_boss;
INSERT INTO doc VALUES (2, 1, 't');
RESET SESSION AUTHORIZATION;
SET SESSION AUTHORIZATION "ea ""Ö""";
INSERT INTO doc VALUES (3, 1, 't');
RESET SESSION AUTHORIZATION;
SELECT * FROM events();

\echo == the setting, for a transaction; beside other headers
SELECT next();
BEGIN;
SET LOCAL outbox.actor = 'alice@example.org';
SET LOCAL outbox.correlation_id = 'c-1';
UPDATE doc SET qty = 2 WHERE id = 1;
COMMIT;
SET outbox.actor = 'bob';
UPDATE doc SET qty = 4, tenant = NULL WHERE id = 1;
DELETE FROM doc WHERE id = 1;
RESET outbox.actor;
SELECT * FROM events();

\echo == per row the setting at the change counts, at commit the one at the end
SELECT next();
BEGIN;
SET LOCAL outbox.actor = 'first';
UPDATE doc SET qty = 5 WHERE id = 2;
SET LOCAL outbox.actor = 'second';
UPDATE doc SET qty = 6 WHERE id = 3;
COMMIT;
SELECT * FROM events();

\echo == a value with more than 1 kB or with control characters counts as not set
SELECT next();
SET SESSION AUTHORIZATION ea_clerk;
BEGIN; SELECT length(set_config('outbox.actor', repeat('x', 1024), true)); INSERT INTO doc VALUES (10, 1); COMMIT;
BEGIN; SELECT length(set_config('outbox.actor', repeat('x', 1025), true)); INSERT INTO doc VALUES (11, 1); COMMIT;
BEGIN; SELECT length(set_config('outbox.actor', E'a\nb', true)); INSERT INTO doc VALUES (12, 1); COMMIT;
RESET SESSION AUTHORIZATION;
SELECT type, id, length(actor), left(actor, 8) FROM events() WHERE type = 'EaRowCreated';

\echo == a row that cannot be mapped: the null value of its deletion says who, a redriven event does not
INSERT INTO doc VALUES (20, 0), (21, 0);
SELECT next();
SET outbox.actor = 'carol';
DELETE FROM doc WHERE id = 20;
UPDATE doc SET qty = 1 WHERE id = 21;
SELECT outbox.redrive(contract => 'ea_row'), outbox.redrive(contract => 'ea_commit');
SELECT * FROM events();
SELECT name, actor FROM outbox.event_types WHERE name LIKE 'Ea%' ORDER BY name;

\echo == NULL is not asked for
SELECT outbox.create_event_type('EaNull', contract => 'ea_row', emit => 'created', actor => NULL);
SELECT actor FROM outbox.event_types WHERE name = 'EaNull';

SELECT outbox.drop_contract('ea_row'), outbox.drop_contract('ea_commit');
DROP SCHEMA ea CASCADE;
DROP ROLE ea_clerk, "ea ""Ö""", ea_boss;
