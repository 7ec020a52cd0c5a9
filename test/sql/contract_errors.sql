-- Mistakes in create_contract, create_event_type and enable are named, with the remedy.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE SCHEMA ce;
SET search_path = ce, public;
CREATE TABLE ordr (
    ordr_no int PRIMARY KEY, cust_no char(10) NOT NULL, alt_no int UNIQUE, plain_no int NOT NULL,
    amt numeric(10,2), ts timestamp, doc tsvector, price money, ratio numeric);
CREATE TABLE ordr_ln (ordr_no int, ln_no int, PRIMARY KEY (ordr_no, ln_no));
CREATE UNIQUE INDEX ordr_partial ON ordr (plain_no) WHERE plain_no > 0;
CREATE VIEW ok AS SELECT ordr_no AS order_id, cust_no AS customer_id, amt AS amount FROM ordr;

-- names
SELECT outbox.create_contract('1st', view => 'ok', source => 'ordr', key => '{order_id}');
SELECT outbox.create_contract('a-b', view => 'ok', source => 'ordr', key => '{order_id}');
SELECT outbox.create_contract(repeat('x', 56), view => 'ok', source => 'ordr', key => '{order_id}');
SELECT outbox.create_contract(NULL, view => 'ok', source => 'ordr', key => '{order_id}');

-- view and source
SELECT outbox.create_contract('c', view => 'nowhere', source => 'ordr', key => '{order_id}');
SELECT outbox.create_contract('c', view => 'ordr', source => 'ordr', key => '{order_id}');
SELECT outbox.create_contract('c', view => 'ok', source => 'nowhere', key => '{order_id}');
SELECT outbox.create_contract('c', view => 'ok', source => 'ok', key => '{order_id}');
SELECT outbox.create_contract('c', view => 'ok', source => 'ordr_ln', key => '{order_id}');
CREATE TABLE part (id int PRIMARY KEY) PARTITION BY LIST (id);
CREATE TABLE part_1 PARTITION OF part FOR VALUES IN (1);
CREATE VIEW part_v AS SELECT id FROM part;
CREATE VIEW part_1_v AS SELECT id FROM part_1;
SELECT outbox.create_contract('c', view => 'part_v', source => 'part', key => '{id}');
SELECT outbox.create_contract('c', view => 'part_1_v', source => 'part_1', key => '{id}');
CREATE TABLE parent (id int PRIMARY KEY);
CREATE TABLE child () INHERITS (parent);
CREATE VIEW parent_v AS SELECT id FROM parent;
SELECT outbox.create_contract('c', view => 'parent_v', source => 'parent', key => '{id}');
CREATE FOREIGN DATA WRAPPER none;
CREATE SERVER nowhere FOREIGN DATA WRAPPER none;
CREATE FOREIGN TABLE remote (id int) SERVER nowhere;
CREATE VIEW remote_v AS SELECT id FROM remote;
SELECT outbox.create_contract('c', view => 'remote_v', source => 'remote', key => '{id}');
CREATE MATERIALIZED VIEW frozen AS SELECT ordr_no FROM ordr;
SELECT outbox.create_contract('c', view => 'ok', source => 'frozen', key => '{order_id}');

-- the key
SELECT outbox.create_contract('c', view => 'ok', source => 'ordr', key => '{}');
SELECT outbox.create_contract('c', view => 'ok', source => 'ordr', key => '{ordr_no}');
SELECT outbox.create_contract('c', view => 'ok', source => 'ordr', key => '{customer_id}');
SELECT outbox.create_contract('c', view => 'ok', source => 'ordr', key => '{order_id,order_id}');
SELECT outbox.create_contract('c', view => 'ok', source => 'ordr', key => '{{order_id},{order_id}}');
SELECT outbox.create_contract('c', view => 'ok', source => 'ordr', key => '{order_id,NULL}');
CREATE VIEW nullable AS SELECT alt_no FROM ordr;
SELECT outbox.create_contract('c', view => 'nullable', source => 'ordr', key => '{alt_no}');
CREATE VIEW partial AS SELECT plain_no FROM ordr;
SELECT outbox.create_contract('c', view => 'partial', source => 'ordr', key => '{plain_no}');
CREATE VIEW half AS SELECT ordr_no FROM ordr_ln;
SELECT outbox.create_contract('c', view => 'half', source => 'ordr_ln', key => '{ordr_no}');

-- other arguments
SELECT outbox.create_contract('c', view => 'ok', source => 'ordr', key => '{order_id}', required => '{colour}');
SELECT outbox.create_contract('c', view => 'ok', source => 'ordr', key => '{order_id}', required => '{amount.unit}');
SELECT outbox.create_contract('c', view => 'ok', source => 'ordr', key => '{order_id}', aggregate_id => '{colour}');
SELECT outbox.create_contract('c', view => 'ok', source => 'ordr', key => '{order_id}', aggregate_type => 'with space');
SELECT outbox.create_contract('c', view => 'ok', source => 'ordr', key => '{order_id}', evaluate => 'sometimes');
SELECT outbox.create_contract('c', view => 'ok', source => 'ordr', key => '{order_id}', evaluate => 'commit');
SELECT outbox.create_contract('c', view => 'ok', source => 'ordr', key => '{order_id}', on_invalid => 'ignore');

-- views that need more than a row of their source, by construct
CREATE VIEW v_join AS SELECT o.ordr_no FROM ordr o JOIN ordr_ln l USING (ordr_no);
CREATE VIEW v_comma AS SELECT o.ordr_no FROM ordr o, ordr_ln l;
CREATE VIEW v_agg AS SELECT ordr_no, count(*) AS n FROM ordr GROUP BY ordr_no;
CREATE VIEW v_sub AS SELECT ordr_no, (SELECT count(*) FROM ordr_ln) AS n FROM ordr;
CREATE VIEW v_distinct AS SELECT DISTINCT ordr_no FROM ordr;
CREATE VIEW v_limit AS SELECT ordr_no FROM ordr LIMIT 5;
CREATE VIEW v_window AS SELECT ordr_no, row_number() OVER () AS n FROM ordr;
CREATE VIEW v_srf AS SELECT ordr_no, generate_series(1, 2) AS n FROM ordr;
CREATE VIEW v_union AS SELECT ordr_no FROM ordr UNION ALL SELECT ordr_no FROM ordr;
CREATE VIEW v_with AS WITH x AS (SELECT ordr_no FROM ordr) SELECT ordr_no FROM x;
CREATE VIEW v_values AS SELECT 1 AS ordr_no;
CREATE VIEW v_function AS SELECT x AS ordr_no FROM generate_series(1, 3) x;
CREATE VIEW v_invoker WITH (security_invoker) AS SELECT ordr_no FROM ordr;
CREATE VIEW v_ctid AS SELECT ordr_no, ctid::text AS place FROM ordr;
CREATE VIEW v_row AS SELECT ordr_no, to_jsonb(o) AS everything FROM ordr o;
CREATE VIEW v_sample AS SELECT ordr_no FROM ordr TABLESAMPLE system (10);
CREATE VIEW v_over_join AS SELECT * FROM v_join;
SELECT outbox.create_contract('c', view => 'v_join', source => 'ordr', key => '{ordr_no}');
SELECT outbox.create_contract('c', view => 'v_comma', source => 'ordr', key => '{ordr_no}');
SELECT outbox.create_contract('c', view => 'v_agg', source => 'ordr', key => '{ordr_no}');
SELECT outbox.create_contract('c', view => 'v_sub', source => 'ordr', key => '{ordr_no}');
SELECT outbox.create_contract('c', view => 'v_distinct', source => 'ordr', key => '{ordr_no}');
SELECT outbox.create_contract('c', view => 'v_limit', source => 'ordr', key => '{ordr_no}');
SELECT outbox.create_contract('c', view => 'v_window', source => 'ordr', key => '{ordr_no}');
SELECT outbox.create_contract('c', view => 'v_srf', source => 'ordr', key => '{ordr_no}');
SELECT outbox.create_contract('c', view => 'v_union', source => 'ordr', key => '{ordr_no}');
SELECT outbox.create_contract('c', view => 'v_with', source => 'ordr', key => '{ordr_no}');
SELECT outbox.create_contract('c', view => 'v_values', source => 'ordr', key => '{ordr_no}');
SELECT outbox.create_contract('c', view => 'v_function', source => 'ordr', key => '{ordr_no}');
SELECT outbox.create_contract('c', view => 'v_invoker', source => 'ordr', key => '{ordr_no}');
SELECT outbox.create_contract('c', view => 'v_ctid', source => 'ordr', key => '{ordr_no}');
SELECT outbox.create_contract('c', view => 'v_row', source => 'ordr', key => '{ordr_no}');
SELECT outbox.create_contract('c', view => 'v_sample', source => 'ordr', key => '{ordr_no}');
SELECT outbox.create_contract('c', view => 'v_over_join', source => 'ordr', key => '{ordr_no}');

-- expressions and types
CREATE FUNCTION slow(int) RETURNS int LANGUAGE sql STABLE SECURITY DEFINER AS 'SELECT $1 + 1';
CREATE VIEW v_volatile AS SELECT ordr_no, random() AS luck FROM ordr;
CREATE VIEW v_where AS SELECT ordr_no FROM ordr WHERE clock_timestamp() > '2020-01-01';
CREATE VIEW v_sql AS SELECT ordr_no, slow(plain_no) AS n FROM ordr;
CREATE VIEW v_ts AS SELECT ordr_no, ts FROM ordr;
CREATE VIEW v_numeric AS SELECT ordr_no, round(amt) AS rounded FROM ordr;
CREATE VIEW v_tsvector AS SELECT ordr_no, doc FROM ordr;
CREATE VIEW v_money AS SELECT ordr_no, price FROM ordr;
CREATE VIEW v_name AS SELECT ordr_no, amt AS "total-amount" FROM ordr;
SELECT outbox.create_contract('c', view => 'v_volatile', source => 'ordr', key => '{ordr_no}');
SELECT outbox.create_contract('c', view => 'v_where', source => 'ordr', key => '{ordr_no}');
SELECT outbox.create_contract('c', view => 'v_sql', source => 'ordr', key => '{ordr_no}');
SELECT outbox.create_contract('c', view => 'v_ts', source => 'ordr', key => '{ordr_no}');
SELECT outbox.create_contract('c', view => 'v_numeric', source => 'ordr', key => '{ordr_no}');
SELECT outbox.create_contract('c', view => 'v_tsvector', source => 'ordr', key => '{ordr_no}');
SELECT outbox.create_contract('c', view => 'v_money', source => 'ordr', key => '{ordr_no}');
SELECT outbox.create_contract('c', view => 'v_name', source => 'ordr', key => '{ordr_no}');

-- event types
SELECT outbox.create_contract('c', view => 'ok', source => 'ordr', key => '{order_id}');
SELECT outbox.create_contract('c', view => 'ok', source => 'ordr', key => '{order_id}');
SELECT outbox.create_event_type('Placed', contract => 'nowhere', emit => 'created');
SELECT outbox.create_event_type('Order.Placed', contract => 'c', emit => 'created');
SELECT outbox.create_event_type('Placed', contract => 'c', emit => 'inserted');
SELECT outbox.create_event_type('Placed', contract => 'c', emit => 'created', condition => 'new.amount >');
SELECT outbox.create_event_type('Placed', contract => 'c', emit => 'created', condition => 'true; DROP TABLE ordr');
SELECT outbox.create_event_type('Placed', contract => 'c', emit => 'created', condition => 'new.colour = 1');
\set VERBOSITY terse
SELECT outbox.create_event_type('Placed', contract => 'c', emit => 'created', condition => 'amount > 1');
\set VERBOSITY default
SELECT outbox.create_event_type('Placed', contract => 'c', emit => 'created', condition => 'new.amount');
SELECT outbox.create_event_type('Placed', contract => 'c', emit => 'created', condition => 'exists (SELECT FROM ce.ordr)');
SELECT outbox.create_event_type('Placed', contract => 'c', emit => 'created', condition => 'sum(new.amount) > 1');
SELECT outbox.create_event_type('Placed', contract => 'c', emit => 'created', condition => 'true FROM ce.ordr');
SELECT outbox.create_event_type('Placed', contract => 'c', emit => 'created', condition => 'random() > 0.5');
SELECT outbox.create_event_type('Placed', contract => 'c', emit => 'created', condition => 'new IS NOT NULL');
SELECT outbox.create_event_type('Placed', contract => 'c', emit => 'created', previous => '{colour}');
SELECT outbox.create_event_type('Placed', contract => 'c', emit => 'created', previous => '{amount,amount}');
SELECT outbox.create_event_type('Placed', contract => 'c', emit => 'created', topic => '');
SELECT outbox.create_event_type('Placed', contract => 'c', emit => 'created', tombstone => 'after');
SELECT outbox.create_event_type('Placed', contract => 'c', emit => 'deleted', tombstone => 'before');
SELECT outbox.create_event_type('Placed', contract => 'c', emit => 'created');
SELECT outbox.create_event_type('Placed', contract => 'c', emit => 'created');
SELECT outbox.drop_event_type('Shipped');
SELECT outbox.avro_schema('Shipped');
SELECT outbox.avro_schema('Placed', 7);
SELECT outbox.enable('nowhere');
SELECT outbox.disable('nowhere');
SELECT outbox.drop_contract('nowhere');
SELECT * FROM outbox.preview('nowhere');
SELECT * FROM outbox.preview('c', event_type => 'Shipped');

-- outbox.event is written by capture alone
INSERT INTO outbox.event SELECT 1, '1', now(), gen_random_uuid(), 1, 1::smallint, 0::smallint, 'a', 'b', 'c';
TRUNCATE outbox.event;

SELECT outbox.drop_contract('c');
DROP SCHEMA ce CASCADE;
DROP FOREIGN DATA WRAPPER none CASCADE;
