-- The schema history: what was published under a topic and record name binds new schemas, also when the contract was dropped and created again.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
\set VERBOSITY default
CREATE TABLE sh (id int PRIMARY KEY, qty int, price numeric(10,2), stat text NOT NULL DEFAULT 'new', items jsonb);
CREATE TYPE sh_item AS (sku text, unit_price numeric(10,2));
CREATE TYPE sh_item4 AS (sku text, unit_price numeric(10,4));
CREATE VIEW sh_v AS SELECT id AS order_id, qty, price, stat AS status, ARRAY[ROW('a', price)::sh_item] AS items FROM sh;

-- The contract and its event types, created again over a view with these columns.
CREATE FUNCTION pg_temp.again(columns text, required text[] DEFAULT NULL, level text DEFAULT NULL, topic text DEFAULT 'sh_orders')
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM outbox.drop_contract('sh_order') FROM outbox.contracts WHERE name = 'sh_order';
    DROP VIEW IF EXISTS sh_v;
    EXECUTE 'CREATE VIEW sh_v AS SELECT id AS order_id, ' || columns || ' FROM sh';
    PERFORM outbox.create_contract('sh_order', view => 'sh_v', source => 'sh', key => '{order_id}', required => required, compatibility => level);
    PERFORM outbox.create_event_type('ShPlaced', contract => 'sh_order', emit => 'created', topic => topic);
END $$;
CREATE FUNCTION pg_temp.outcome(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    RETURN 'ok';
EXCEPTION WHEN OTHERS THEN
    RETURN sqlstate;
END $$;

\echo a column too many, a column less, the same
SELECT pg_temp.again('qty, stat AS status');
SELECT * FROM outbox.check_compatibility('sh_order');
SELECT outbox.enable('sh_order');
SELECT pg_temp.again('qty, stat AS status, price');
SELECT outbox.enable('sh_order');
SELECT pg_temp.again('qty, stat AS status');
SELECT outbox.enable('sh_order');
SELECT version, topic, record, key, aggregate_id, emit, tombstone, forgotten_at FROM outbox.event_schemas WHERE contract = 'sh_order' ORDER BY id;

\echo what consumers could not read, with its remedies
SELECT pg_temp.again('qty::bigint AS qty, stat AS status', required => '{status}');
SELECT outbox.enable('sh_order');
\x
SELECT * FROM outbox.check_compatibility('sh_order');
\x
SELECT enabled, (SELECT count(*) FROM outbox.event_schemas WHERE contract = 'sh_order') AS pinned FROM outbox.contracts WHERE name = 'sh_order';

\echo the remedies, run
SELECT pg_temp.again('qty::integer AS qty, stat AS status');
SELECT outbox.enable('sh_order');

\echo levels: backward, forward, both, none
CREATE VIEW sh_narrow AS SELECT id AS order_id, stat AS status FROM sh;
CREATE VIEW sh_wide AS SELECT id AS order_id, qty::bigint AS qty, stat AS status FROM sh;
SELECT level, direction, rule, path FROM unnest('{NONE,BACKWARD,FORWARD,FULL,BACKWARD_TRANSITIVE,FORWARD_TRANSITIVE,FULL_TRANSITIVE}'::text[]) level,
    outbox.check_compatibility('sh_order', 'sh_wide', level) WHERE severity = 'error' ORDER BY 1, 2, 3;
SELECT count(*) AS narrow FROM outbox.check_compatibility('sh_order', 'sh_narrow', 'FULL');
SELECT outbox.check_compatibility('sh_order', level => 'full');
SELECT outbox.check_compatibility('sh_order', 'sh');
SELECT outbox.check_compatibility('sh_order', 'sh_none');
SELECT outbox.check_compatibility('sh_none');
SELECT outbox.check_compatibility(NULL);

\echo a transitive level looks at the whole history, another one at the newest
SELECT pg_temp.again('price, stat AS status', topic => 'sh_long', level => 'NONE');
SELECT outbox.enable('sh_order');
SELECT pg_temp.again('price::numeric(10,4) AS price, stat AS status', topic => 'sh_long', level => 'NONE');
SELECT outbox.enable('sh_order');
SELECT level, count(*) FROM unnest('{FULL,FULL_TRANSITIVE}'::text[]) level, outbox.check_compatibility('sh_order', level => level) GROUP BY 1 ORDER BY 1;
SELECT pg_temp.again('price::numeric(10,4) AS price, stat AS status', topic => 'sh_long', level => 'FULL_TRANSITIVE');
SELECT pg_temp.outcome($$SELECT outbox.enable('sh_order')$$);
SELECT compatibility FROM outbox.contracts WHERE name = 'sh_order';
SELECT pg_temp.again('qty', level => 'HALF');

\echo inside of rows
SELECT pg_temp.again('ARRAY[ROW(''a'', price)::sh_item] AS items', topic => 'sh_items');
SELECT outbox.enable('sh_order');
SELECT pg_temp.again('ARRAY[ROW(''a'', price)::sh_item4] AS items', topic => 'sh_items');
SELECT direction, rule, path, message, remedy FROM outbox.check_compatibility('sh_order') WHERE rule = 'DECIMAL_SCALE';
SELECT pg_temp.again('ARRAY[ROW(''a'', price)::sh_item] AS items', topic => 'sh_items', required => '{items.unit_price}');
SELECT direction, rule, path, message, remedy FROM outbox.check_compatibility('sh_order');

\echo another topic has a history of its own; so has another name
SELECT pg_temp.again('qty::bigint AS qty', topic => 'sh_other');
SELECT outbox.enable('sh_order');

\echo the promise beside the schema
SELECT pg_temp.again('qty::bigint AS qty', topic => 'sh_other');
SELECT outbox.drop_contract('sh_order');
SELECT outbox.create_contract('sh_order', view => 'sh_v', source => 'sh', key => '{order_id}', aggregate_id => '{order_id,qty}', compatibility => 'BACKWARD');
SELECT outbox.create_event_type('ShPlaced', contract => 'sh_order', emit => 'deleted', topic => 'sh_other', tombstone => 'after');
SELECT direction, severity, rule, path, message, remedy FROM outbox.check_compatibility('sh_order') WHERE direction IS NULL;
SELECT pg_temp.outcome($$SELECT outbox.enable('sh_order')$$);

\echo an event type that joins an enabled contract is looked at, too
SELECT pg_temp.again('qty, stat AS status');
SELECT outbox.enable('sh_order');
SELECT outbox.create_event_type('ShGone', contract => 'sh_order', emit => 'deleted', topic => 'sh_orders');
SELECT outbox.drop_event_type('ShGone');
SELECT pg_temp.outcome($$SELECT outbox.create_event_type('ShGone', contract => 'sh_order', emit => 'created', topic => 'sh_orders')$$);
SELECT pg_temp.outcome($$SELECT outbox.create_event_type('ShGone', contract => 'sh_order', emit => 'deleted', topic => 'sh_gone')$$);

\echo forgetting: recorded, and for good reasons only
SELECT pg_temp.again('qty::bigint AS qty');
SELECT pg_temp.outcome($$SELECT outbox.enable('sh_order')$$);
SELECT outbox.forget_schema_history('ShPlaced', NULL);
SELECT outbox.forget_schema_history('ShPlaced', '');
SELECT outbox.forget_schema_history('ShNever', 'none');
SELECT outbox.forget_schema_history(NULL, 'none');
SELECT outbox.forget_schema_history('ShPlaced', 'no consumer yet');
SELECT outbox.enable('sh_order');
SELECT version, topic, forgotten_at IS NOT NULL AS forgotten, forgotten_by = current_user AS by_me, forgotten_reason
FROM outbox.event_schemas WHERE event_type = 'ShPlaced' AND topic = 'sh_orders' ORDER BY id;
SELECT outbox.drop_contract('sh_order');
\echo also of an event type that is not there any more
SELECT outbox.forget_schema_history('ShPlaced', 'gone');
SELECT outbox.forget_schema_history('ShPlaced', 'gone');

DROP TABLE sh CASCADE;
DROP TYPE sh_item, sh_item4;
