-- Columns of a contract as headers of its messages: their text, where there is none, and which columns may be one.
SET client_min_messages = warning;
CREATE SCHEMA eh;
SET search_path = eh;
CREATE FUNCTION attempt(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE message text; detail text; hint text;
BEGIN
	EXECUTE command;
	RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN format(E'%s %s\n%s\n%s', SQLSTATE, message, detail, hint);
END $$;
CREATE TABLE mark (seq bigint);
CREATE FUNCTION events() RETURNS TABLE (type text, id text, headers jsonb) LANGUAGE sql AS
$$ SELECT type, aggregateid, headers FROM outbox.event_json WHERE type ~ '^Eh(Row|Commit|Plain|Item|Bad)' AND seq > coalesce((SELECT max(m.seq) FROM eh.mark m), 0) ORDER BY seq $$;
CREATE FUNCTION next() RETURNS void LANGUAGE sql AS $$ INSERT INTO eh.mark SELECT max(seq) FROM outbox.event_json $$;

CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TYPE pair AS (a int, b int);
CREATE DOMAIN code AS varchar(8);
CREATE TABLE doc (id int PRIMARY KEY, tenant text, region code, pad char(6), n numeric(9,2), f float8, b boolean, at timestamptz, d date, u uuid,
	m mood, raw bytea, span interval, j jsonb, arr int[], p pair);
CREATE VIEW doc_v AS SELECT id AS doc_id, tenant AS tenant_id, region, pad, n, f, b, at, d, u, m, raw, span, j, arr, p, tenant AS "Tenant",
	tenant AS ce_tenant, tenant AS traceparent, tenant AS _tenant FROM doc;

\echo == which columns may be headers
SELECT outbox.create_contract('eh_row', view => 'doc_v', source => 'doc', key => '{doc_id}');
SELECT attempt(format('SELECT outbox.create_event_type(''EhBad'', contract => ''eh_row'', emit => ''changed'', headers => %L)', h))
FROM unnest('{"{nobody}","{region,region}","{Tenant}","{ce_tenant}","{traceparent}","{_tenant}","{arr}","{p}","{NULL}","{nobody,p,Tenant}"}'::text[]) h;

\echo == as text, whatever the settings of the session are; null is no header
SELECT outbox.create_contract('eh_commit', view => 'doc_v', source => 'doc', key => '{doc_id}', evaluate => 'commit');
SELECT outbox.create_event_type('Eh' || c || e, contract => 'eh_' || lower(c), emit => lower(e), headers => '{tenant_id,doc_id,region,pad,n,f,b,at,d,u,m,raw,span,j}',
	tombstone => CASE e WHEN 'Deleted' THEN 'after' END)
FROM unnest('{Row,Commit}'::text[]) c, unnest('{Created,Changed,Deleted}'::text[]) e;
SELECT outbox.create_event_type('EhPlain', contract => 'eh_row', emit => 'created');
SELECT outbox.enable('eh_row'), outbox.enable('eh_commit');
SET datestyle = 'German'; SET timezone = 'Asia/Tokyo'; SET extra_float_digits = -15; SET bytea_output = 'escape'; SET intervalstyle = 'postgres_verbose';
INSERT INTO doc VALUES (1, 'Käthe "x"', 'eu', 'ab', 12.5, 0.1::float8 + 0.2, true, '2026-01-02 03:04:05.678+00', '2026-01-02',
	'018e0b3c-6d5f-7c3a-9f51-2b7c8e0d4a11', 'ok', '\x00ff', '1 day 02:00', '{"a": 1}', '{1}', ROW(1, 2));
INSERT INTO doc (id) VALUES (2);
RESET ALL;
SET search_path = eh;
SET client_min_messages = warning;
SELECT type, id, jsonb_pretty(headers) FROM events() WHERE id = '1' AND type <> 'EhPlain';
SELECT * FROM events() WHERE id = '2' OR type = 'EhPlain';
SELECT count(DISTINCT headers) FROM events() WHERE id = '1' AND type <> 'EhPlain';

\echo == beside the ids of the transaction; a deleted row has those it had; a change is one even if only a header shows it
SELECT next();
BEGIN;
SET LOCAL outbox.correlation_id = 'c-1';
UPDATE doc SET tenant = 'moved' WHERE id = 2;
DELETE FROM doc WHERE id = 2;
COMMIT;
SELECT type, id, headers FROM events();

\echo == what preview shows
SELECT event_type, headers FROM outbox.preview('eh_row') WHERE event_type IN ('EhRowChanged', 'EhPlain');
SELECT DISTINCT headers ->> 'tenant_id', headers ->> 'at' FROM outbox.preview('eh_commit');
SELECT name, headers FROM outbox.event_types WHERE contract = 'eh_row' ORDER BY name;

\echo == a row that cannot be published: its null value has the headers that can be told
CREATE TABLE item (id int PRIMARY KEY, tenant text, qty int);
CREATE VIEW item_v AS SELECT id AS item_id, tenant AS tenant_id, 100 / qty AS share FROM item;
SELECT outbox.create_contract('eh_item', view => 'item_v', source => 'item', key => '{item_id}');
SELECT outbox.create_event_type('EhItem' || e, contract => 'eh_item', emit => lower(e), headers => '{tenant_id,item_id}',
	tombstone => CASE e WHEN 'Deleted' THEN 'after' END) FROM unnest('{Created,Changed,Deleted}'::text[]) e;
SELECT outbox.add_check('EhItemDeleted', 'kept', 'old.tenant_id <> ''kept''');
SELECT outbox.enable('eh_item');
INSERT INTO item VALUES (1, 'a', 1), (2, 'b', 0), (3, 'kept', 1);
SELECT next();
DELETE FROM item WHERE id = 3;
DELETE FROM item WHERE id = 2;
SELECT * FROM events();
SELECT stage, event_type, key FROM outbox.dead_letter WHERE contract = 'eh_item' ORDER BY id;

\echo == redriven: of the row as it is then
INSERT INTO item VALUES (4, 'first', 0);
UPDATE item SET tenant = 'later', qty = 1 WHERE id = 4;
SELECT next();
SELECT outbox.redrive(contract => 'eh_item');
SELECT * FROM events();

\echo == headers count as part of the message
SET outbox.max_message_bytes = 10000;
SELECT next();
INSERT INTO doc (id, tenant) VALUES (10, repeat('x', 1600));
SELECT type FROM events();
SELECT event_type, stage FROM outbox.dead_letter WHERE contract LIKE 'eh_%' AND stage = 'size' ORDER BY id;
SELECT event_type, stage FROM outbox.validate('eh_row') ORDER BY 1;
RESET outbox.max_message_bytes;

\echo == an expression of the view behind it changes, and a column that is renamed is the trouble of every row
CREATE OR REPLACE VIEW item_v AS SELECT id AS item_id, upper(tenant) AS tenant_id, 100 / qty AS share FROM item;
SELECT next();
UPDATE item SET tenant = 'now upper' WHERE id = 4;
SET outbox.ddl_check = off;
ALTER VIEW item_v RENAME COLUMN tenant_id TO customer_id;
UPDATE item SET tenant = 'lost' WHERE id = 4;
ALTER VIEW item_v RENAME COLUMN customer_id TO tenant_id;
SELECT * FROM events();
SELECT stage, message FROM outbox.dead_letter WHERE contract = 'eh_item' ORDER BY id DESC LIMIT 1;

SELECT outbox.drop_contract(name) FROM outbox.contracts WHERE name LIKE 'eh_%';
DROP SCHEMA eh CASCADE;
