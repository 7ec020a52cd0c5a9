-- or_replace: a migration that runs again does nothing when nothing changed, changes what can change, and is refused what cannot.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE TABLE orr (id int PRIMARY KEY, cust int, qty int, stat char(1));
CREATE TABLE orr_line (id int, line int, sku text, PRIMARY KEY (id, line));
CREATE VIEW orr_v AS SELECT o.id AS order_id, o.cust AS customer_id, o.qty, outbox.decode('orr_stat', o.stat) AS status,
    (SELECT count(*) FROM orr_line l WHERE l.id = o.id) AS lines FROM orr o;
CREATE VIEW orr_other_v AS SELECT id AS order_id, cust AS customer_id FROM orr;

-- The migration file; what changes in it are its arguments.
CREATE FUNCTION migrate(required text[] DEFAULT '{customer_id}', condition text DEFAULT 'old.status IS DISTINCT FROM new.status', expression text DEFAULT 'qty > 0',
    codes jsonb DEFAULT '{"N": "NEW", "P": "PAID"}', key_query text DEFAULT 'row.id', max_fanout int DEFAULT 50, options jsonb DEFAULT '{}', on_reject text DEFAULT 'block_key')
RETURNS void LANGUAGE sql AS $$
    SELECT outbox.create_code_map('orr_stat', codes, or_replace => true);
    SELECT outbox.create_contract('orr_order', view => 'orr_v', source => 'orr', key => '{order_id}', required => required, or_replace => true);
    SELECT outbox.add_source('orr_order', 'orr_line', key_query => key_query, max_fanout => max_fanout, or_replace => true);
    SELECT outbox.create_event_type('OrrPlaced', contract => 'orr_order', emit => 'created', or_replace => true);
    SELECT outbox.create_event_type('OrrPaid', contract => 'orr_order', emit => 'changed', condition => condition, or_replace => true);
    SELECT outbox.add_check('OrrPlaced', 'positive', expression, or_replace => true);
    SELECT outbox.create_sink('orr_log', library => 'outbox_log', options => options, on_reject => on_reject, or_replace => true);
$$;
-- Which tables of the configuration a call writes to, and whether it locks anything of the application.
CREATE FUNCTION written(arguments text DEFAULT '') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    query text := (SELECT string_agg(format('SELECT %L AS t, string_agg(ctid::text || xmin::text || xmax::text, '' '' ORDER BY ctid) AS s FROM outbox_internal.%I', t, t), ' UNION ALL ')
        FROM unnest('{contract,contract_version,source,event_type,check_rule,code_map,event_schema,sink}'::text[]) t);
    before jsonb;
    after jsonb;
BEGIN
    EXECUTE 'SELECT jsonb_object_agg(t, s) FROM (' || query || ') q' INTO before;
    EXECUTE 'SELECT migrate(' || arguments || ')';
    EXECUTE 'SELECT jsonb_object_agg(t, s) FROM (' || query || ') q' INTO after;
    RETURN coalesce((SELECT string_agg(key, ' ' ORDER BY key) FROM jsonb_each_text(after) WHERE value IS DISTINCT FROM before ->> key), 'nothing');
END $$;
CREATE VIEW locks AS SELECT relation::regclass, mode FROM pg_locks WHERE pid = pg_backend_pid() AND relation::regclass::text LIKE 'orr%' AND relation <> 'orr_v'::regclass ORDER BY 1, 2;
CREATE VIEW config AS SELECT c.required, e.name, e.condition, e.checks, (SELECT key_query FROM outbox.source WHERE role = 'child' AND relation = 'orr_line'::regclass) AS key_query,
    (SELECT max_fanout FROM outbox.source WHERE role = 'child' AND relation = 'orr_line'::regclass) AS max_fanout
    FROM outbox.contracts c JOIN outbox.event_types e ON e.contract = c.name WHERE c.name = 'orr_order' ORDER BY e.name;

\echo the first time it creates
SELECT migrate();
SELECT outbox.enable('orr_order');
SELECT * FROM config;
\echo again it does nothing, and locks nothing of the application
BEGIN;
SELECT written();
SELECT * FROM locks;
COMMIT;
SELECT written($$required => '{order_id,customer_id}', key_query => 'SELECT "row".id'$$);
\echo the form in which the key_query is shown is the same one
SELECT written(format('key_query => %L', key_query)) FROM config LIMIT 1;

\echo what changed is changed, and nothing else
INSERT INTO orr VALUES (1, 7, 1, 'N');
SELECT written($$condition => 'new.status = ''PAID'''$$);
SELECT written($$condition => 'new.status = ''PAID''', expression => 'qty > 1'$$);
SELECT written($$condition => 'new.status = ''PAID''', expression => 'qty > 1', max_fanout => 60$$);
SELECT written($$condition => 'new.status = ''PAID''', expression => 'qty > 1', max_fanout => 60, key_query => 'SELECT row.id WHERE row.line > 0'$$);
SELECT written($$condition => 'new.status = ''PAID''', expression => 'qty > 1', max_fanout => 60, key_query => 'SELECT row.id WHERE row.line > 0', codes => '{"N": "FRESH", "S": "SENT"}'$$);
SELECT written($$condition => 'new.status = ''PAID''', expression => 'qty > 1', max_fanout => 60, key_query => 'SELECT row.id WHERE row.line > 0', codes => '{"N": "FRESH", "S": "SENT"}', on_reject => 'skip'$$);
SELECT code, word FROM outbox.code_map WHERE name = 'orr_stat' ORDER BY code;
SELECT * FROM config;
SELECT on_reject, desired_state FROM outbox.sink WHERE name = 'orr_log';
INSERT INTO orr VALUES (2, 7, 1, 'N'), (3, 7, 2, 'N');
INSERT INTO orr_line VALUES (3, 0, 'none'), (3, 1, 'one');
SELECT type, payload FROM outbox.event_json WHERE type LIKE 'Orr%' ORDER BY seq;
SELECT event_type, stage FROM outbox.dead_letter WHERE contract = 'orr_order';

\echo a change of schemas goes through the comparison
SELECT outbox.create_contract('orr_order', view => 'orr_v', source => 'orr', key => '{order_id}', or_replace => true);
SELECT outbox.create_contract('orr_order', view => 'orr_v', source => 'orr', key => '{order_id}', required => '{customer_id}', compatibility => 'FULL_TRANSITIVE', or_replace => true);
SELECT outbox.create_event_type('OrrPlaced', contract => 'orr_order', emit => 'created', topic => 'orr_orders', or_replace => true);
SELECT version, event_type, topic FROM outbox.event_schemas WHERE contract = 'orr_order' ORDER BY id;

\echo what cannot change
SELECT outbox.create_contract('orr_order', view => 'orr_other_v', source => 'orr', key => '{order_id}', or_replace => true);
SELECT outbox.create_contract('orr_order', view => 'orr_v', source => 'orr_line', key => '{order_id}', or_replace => true);
SELECT outbox.create_contract('orr_order', view => 'orr_v', source => 'orr', key => '{order_id,qty}', or_replace => true);
SELECT outbox.create_contract('orr_order', view => 'orr_v', source => 'orr', key => '{order_id}', aggregate_id => '{customer_id}', or_replace => true);
SELECT outbox.create_contract('orr_order', view => 'orr_v', source => 'orr', key => '{order_id}', aggregate_type => 'other', or_replace => true);
SELECT outbox.create_contract('orr_order', view => 'orr_v', source => 'orr', key => '{order_id}', evaluate => 'row', or_replace => true);
SELECT outbox.create_event_type('OrrPlaced', contract => 'orr_order', emit => 'deleted', or_replace => true);
SELECT outbox.create_event_type('OrrGone', contract => 'orr_order', emit => 'deleted', or_replace => true);
SELECT outbox.create_event_type('OrrGone', contract => 'orr_order', emit => 'deleted', tombstone => 'after', or_replace => true);
SELECT outbox.create_sink('orr_log', library => 'outbox_log', start_at => 'now', or_replace => true);
SELECT outbox.create_sink('orr_log', library => 'outbox_kafka', or_replace => true);
SELECT outbox.add_source('orr_order', 'orr', key_query => 'row.id', or_replace => true);
SELECT outbox.add_source('orr_order', 'orr_line', key_query => 'row.sku', or_replace => true);
SELECT outbox.add_source('orr_order', 'orr_line', key_query => 'row.id', max_fanout => 0, or_replace => true);
SELECT outbox.add_check('OrrPlaced', 'positive', 'nope > 1', or_replace => true);
SELECT outbox.create_code_map('orr_stat', '{}', or_replace => true);
SELECT outbox.create_contract('orr_second', view => 'orr_other_v', source => 'orr', key => '{order_id}', evaluate => 'commit', aggregate_type => 'orr_second', or_replace => true);
SELECT outbox.create_event_type('OrrPlaced', contract => 'orr_second', emit => 'created', or_replace => true);
SELECT * FROM config;

\echo without or_replace: which word does it
SELECT outbox.create_contract('orr_order', view => 'orr_v', source => 'orr', key => '{order_id}', or_replace => false);
SELECT outbox.create_contract('orr_order', view => 'orr_v', source => 'orr', key => '{order_id}', or_replace => NULL);
SELECT outbox.create_event_type('OrrPlaced', contract => 'orr_order', emit => 'created');
SELECT outbox.add_check('OrrPlaced', 'positive', 'qty > 0');
SELECT outbox.add_source('orr_order', 'orr_line', key_query => 'row.id');
SELECT outbox.create_code_map('orr_stat', '{"N": "NEW"}');
SELECT outbox.create_sink('orr_log', library => 'outbox_log');

\echo the rights are asked for all the same
CREATE ROLE orr_stranger;
SELECT outbox.grant_access('orr_stranger', 'admin');
SET ROLE orr_stranger;
SELECT outbox.create_contract('orr_order', view => 'orr_v', source => 'orr', key => '{order_id}', or_replace => true);
SELECT outbox.create_event_type('OrrPlaced', contract => 'orr_order', emit => 'created', topic => 'x', or_replace => true);
SELECT outbox.add_source('orr_order', 'orr_line', key_query => 'row.id', or_replace => true);
SELECT outbox.add_check('OrrPlaced', 'positive', 'false', or_replace => true);
SELECT outbox.create_code_map('orr_stat', '{"N": "NEW"}', or_replace => true);
SELECT outbox.create_sink('orr_log', library => 'outbox_log', options => '{"path": {"file": "/etc/passwd"}}', or_replace => true);
RESET ROLE;

SELECT outbox.drop_contract('orr_order'), outbox.drop_contract('orr_second'), outbox.drop_code_map('orr_stat'), outbox.drop_sink('orr_log');
DROP OWNED BY orr_stranger;
DROP ROLE orr_stranger;
DROP VIEW config, locks;
DROP FUNCTION migrate, written;
DROP TABLE orr, orr_line CASCADE;
