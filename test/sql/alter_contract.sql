-- Contracts and event types change in place: live at commit, compatible changes as the next version, and nothing at all when nothing changes.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
SET TimeZone = 'UTC';
CREATE TABLE ac (id int PRIMARY KEY, cust int, qty int, stat text);
CREATE TABLE ac_line (id int, line int, sku text, PRIMARY KEY (id, line));
CREATE VIEW ac_v AS SELECT id AS order_id, cust AS customer_id, qty, stat AS status FROM ac;
CREATE FUNCTION pg_temp.outcome(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    RETURN 'ok';
EXCEPTION WHEN OTHERS THEN
    RETURN sqlstate || ' ' || sqlerrm;
END $$;
CREATE VIEW contracts AS SELECT required, on_invalid, on_truncate, compatibility, enabled FROM outbox.contracts WHERE name = 'ac_order';
CREATE VIEW types AS SELECT name, condition, previous, topic, ce_type FROM outbox.event_types WHERE contract = 'ac_order' ORDER BY name;
CREATE VIEW versions AS SELECT v.version, v.state FROM outbox.contract_version v JOIN outbox.contract c ON c.id = v.contract_id WHERE c.name = 'ac_order' ORDER BY 1;
CREATE VIEW pinned AS SELECT version, event_type, topic, ce_type, previous,
    ARRAY(SELECT f ->> 'name' || CASE WHEN jsonb_typeof(f -> 'type') = 'array' THEN '?' ELSE '' END FROM jsonb_array_elements(schema::jsonb -> 'fields') f) AS fields
    FROM outbox.event_schemas WHERE contract = 'ac_order' ORDER BY version, event_type;
CREATE VIEW events AS SELECT j.type, s.version, s.topic, j.payload FROM outbox.event e JOIN outbox.event_json j USING (seq)
    JOIN outbox.event_schemas s ON s.id = e.schema_id WHERE s.contract = 'ac_order' ORDER BY e.seq;

SELECT outbox.create_contract('ac_order', view => 'ac_v', source => 'ac', key => '{order_id}', required => '{status}');
SELECT outbox.create_event_type('AcPlaced', contract => 'ac_order', emit => 'created');
SELECT outbox.create_event_type('AcChanged', contract => 'ac_order', emit => 'changed', condition => 'old.status <> new.status');

\echo before the first enable(): no version, whatever changes
SELECT outbox.alter_contract('ac_order', required => '{qty}');
SELECT outbox.alter_contract('ac_order', required => '{}');
SELECT outbox.alter_event_type('AcPlaced', topic => 'ac_first');
SELECT * FROM contracts;
SELECT * FROM types;
SELECT * FROM pinned;
SELECT * FROM versions;
SELECT outbox.alter_contract('ac_order', required => '{status}');
SELECT outbox.alter_event_type('AcPlaced', topic => 'DEFAULT');
SELECT outbox.enable('ac_order');
INSERT INTO ac VALUES (1, 7, 5, 'new');

\echo what is no matter of schemas is live at commit, and is no version
SELECT outbox.alter_contract('ac_order', on_invalid => 'abort', on_truncate => 'reject', compatibility => 'FULL_TRANSITIVE');
SELECT * FROM contracts;
INSERT INTO ac VALUES (2, 7, 5, NULL);
TRUNCATE ac;
SELECT outbox.alter_contract('ac_order', on_invalid => 'DEFAULT', on_truncate => 'DEFAULT', compatibility => 'DEFAULT');
SELECT * FROM contracts;
INSERT INTO ac VALUES (2, 7, 5, NULL);
SELECT stage, message FROM outbox.dead_letter WHERE contract = 'ac_order';
SELECT outbox.alter_event_type('AcChanged', condition => 'old.qty <> new.qty');
UPDATE ac SET stat = 'paid' WHERE id = 1;
UPDATE ac SET qty = 6 WHERE id = 1;
SELECT outbox.alter_event_type('AcChanged', condition => 'DEFAULT');
UPDATE ac SET cust = 8 WHERE id = 1;
SELECT * FROM types;
SELECT * FROM versions;
SELECT * FROM events;

\echo in a transaction that is rolled back nothing has changed
BEGIN;
SELECT outbox.alter_event_type('AcChanged', condition => 'false', topic => 'ac_gone');
ROLLBACK;
SELECT * FROM types;

\echo a compatible change of schemas is the next version, in the place of the present one
SELECT outbox.alter_event_type('AcChanged', previous => '{qty}');
UPDATE ac SET qty = 7 WHERE id = 1;
SELECT outbox.alter_event_type('AcPlaced', topic => 'ac_new', ce_type => 'shop.placed');
INSERT INTO ac VALUES (3, 9, 1, 'new');
SELECT * FROM versions;
SELECT * FROM pinned;
SELECT * FROM events OFFSET 3;

\echo an incompatible one is refused
SELECT outbox.alter_contract('ac_order', required => '{status,qty}');
SELECT outbox.alter_contract('ac_order', required => '{}');
SELECT * FROM versions;
SELECT required FROM contracts;
\echo unless the level lets it pass, also when that changes in the same call
SELECT outbox.alter_contract('ac_order', required => '{}', compatibility => 'BACKWARD');
INSERT INTO ac VALUES (4, 9, 1, NULL);
SELECT required, compatibility FROM contracts;
SELECT * FROM events ORDER BY payload ->> 'order_id' DESC LIMIT 1;
SELECT outbox.alter_contract('ac_order', required => '{status}', compatibility => 'NONE');
SELECT outbox.alter_contract('ac_order', compatibility => 'DEFAULT');

\echo nothing changes when nothing is said, or what is there already
CREATE FUNCTION pg_temp.writes(statement text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    before text := (SELECT string_agg(t.xmin::text || t.ctid::text, ' ' ORDER BY 1) FROM (SELECT xmin, ctid FROM outbox_internal.contract UNION ALL SELECT xmin, ctid FROM outbox_internal.contract_version
                    UNION ALL SELECT xmin, ctid FROM outbox_internal.event_type UNION ALL SELECT xmin, ctid FROM outbox_internal.event_schema UNION ALL SELECT xmin, ctid FROM outbox_internal.source) t);
BEGIN
    EXECUTE statement;
    RETURN (before <> (SELECT string_agg(t.xmin::text || t.ctid::text, ' ' ORDER BY 1) FROM (SELECT xmin, ctid FROM outbox_internal.contract UNION ALL SELECT xmin, ctid FROM outbox_internal.contract_version
                    UNION ALL SELECT xmin, ctid FROM outbox_internal.event_type UNION ALL SELECT xmin, ctid FROM outbox_internal.event_schema UNION ALL SELECT xmin, ctid FROM outbox_internal.source) t))::int;
END $$;
SELECT pg_temp.writes($$SELECT outbox.alter_contract('ac_order')$$) AS nothing,
       pg_temp.writes($$SELECT outbox.alter_contract('ac_order', required => '{status,order_id}', on_invalid => 'dead_letter', on_truncate => 'gap', compatibility => 'FULL')$$) AS the_same,
       pg_temp.writes($$SELECT outbox.alter_event_type('AcChanged')$$) AS nothing_of_a_type,
       pg_temp.writes($$SELECT outbox.alter_event_type('AcChanged', condition => 'DEFAULT', previous => '{qty}', topic => 'ac_order', ce_type => 'DEFAULT')$$) AS the_same_of_a_type;

\echo a disabled contract that was enabled before
SELECT outbox.disable('ac_order');
SELECT outbox.alter_event_type('AcChanged', previous => '{}');
SELECT enabled, (SELECT max(version) FROM versions) AS version FROM contracts;
SELECT outbox.enable('ac_order');
UPDATE ac SET qty = 8 WHERE id = 1;
SELECT payload FROM events ORDER BY version DESC LIMIT 1;

\echo headers
SELECT outbox.alter_event_type('AcChanged', headers => '{customer_id}');
UPDATE ac SET qty = 9 WHERE id = 1;
SELECT headers::text LIKE '%"customer_id": "8"%' AS in_headers FROM outbox.event ORDER BY seq DESC LIMIT 1;
SELECT outbox.alter_event_type('AcChanged', headers => '{}');
SELECT headers, (SELECT max(version) FROM versions) AS version FROM outbox.event_types WHERE name = 'AcChanged';

\echo max_fanout
SELECT outbox.alter_contract('ac_order', max_fanout => 10);
CREATE VIEW ac_lines AS SELECT o.id AS order_id, (SELECT count(*) FROM ac_line l WHERE l.id = o.id) AS lines FROM ac o;
SELECT outbox.create_contract('ac_counted', view => 'ac_lines', source => 'ac', key => '{order_id}', evaluate => 'commit', aggregate_type => 'ac_counted');
SELECT outbox.add_source('ac_counted', 'ac_line', key_query => 'row.id');
SELECT outbox.alter_contract('ac_counted', max_fanout => 10);
SELECT relation, max_fanout FROM outbox.source WHERE role = 'child';
SELECT outbox.alter_contract('ac_counted', max_fanout => 20, source => 'ac_line');
SELECT relation, max_fanout FROM outbox.source WHERE role = 'child';
SELECT outbox.alter_contract('ac_counted', max_fanout => 0);
SELECT outbox.alter_contract('ac_counted', max_fanout => 20, source => 'ac');
SELECT outbox.alter_contract('ac_counted', source => 'ac_line');

\echo what is refused
SELECT outbox.alter_contract('ac_none');
SELECT outbox.alter_contract(NULL);
SELECT outbox.alter_contract('ac_order', required => '{nope}');
SELECT outbox.alter_contract('ac_order', required => '{status.nope}');
SELECT outbox.alter_contract('ac_order', on_invalid => 'ignore');
SELECT outbox.alter_contract('ac_order', on_truncate => 'ignore');
SELECT outbox.alter_contract('ac_order', compatibility => 'ANY');
SELECT outbox.alter_event_type('AcNone');
SELECT outbox.alter_event_type('AcChanged', condition => 'new.nope');
SELECT outbox.alter_event_type('AcChanged', previous => '{nope}');
SELECT outbox.alter_event_type('AcChanged', topic => '');
\echo of strangers
CREATE ROLE ac_stranger;
SELECT outbox.grant_access('ac_stranger', 'admin');
SET ROLE ac_stranger;
SELECT pg_temp.outcome($$SELECT outbox.alter_contract('ac_order', on_invalid => 'abort')$$), pg_temp.outcome($$SELECT outbox.alter_event_type('AcChanged', condition => 'false')$$);
RESET ROLE;
SELECT outbox.drop_contract('ac_order'), outbox.drop_contract('ac_counted');
DROP OWNED BY ac_stranger;
DROP ROLE ac_stranger;
DROP VIEW events, pinned, versions, types, contracts, ac_lines;
DROP TABLE ac, ac_line CASCADE;
