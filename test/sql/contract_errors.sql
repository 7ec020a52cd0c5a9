-- Mistakes in create_contract, create_event_type and enable are named, with the remedy.
SET client_min_messages = warning;
CREATE SCHEMA ce;
SET search_path = ce, public;
-- What a statement raises: SQLSTATE and message, detail, hint; or that it went through.
CREATE FUNCTION mistake(statement text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    detail text;
    hint text;
BEGIN
    EXECUTE statement;
    RETURN NEXT 'no error';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    RETURN NEXT SQLSTATE || ' ' || SQLERRM;
    IF detail <> '' THEN RETURN NEXT 'DETAIL:  ' || detail; END IF;
    IF hint <> '' THEN RETURN NEXT 'HINT:  ' || hint; END IF;
END $$;
\pset tuples_only
CREATE TABLE ordr (
    ordr_no int PRIMARY KEY, cust_no char(10) NOT NULL, alt_no int UNIQUE, plain_no int NOT NULL,
    amt numeric(10,2), ts timestamp, doc tsvector, price money, ratio numeric);
CREATE TABLE ordr_ln (ordr_no int, ln_no int, PRIMARY KEY (ordr_no, ln_no));
CREATE UNIQUE INDEX ordr_partial ON ordr (plain_no) WHERE plain_no > 0;
CREATE VIEW ok AS SELECT ordr_no AS order_id, cust_no AS customer_id, amt AS amount FROM ordr;

-- names
SELECT mistake($sql$SELECT outbox.create_contract('1st', view => 'ok', source => 'ordr', key => '{order_id}')$sql$);
SELECT mistake($sql$SELECT outbox.create_contract('a-b', view => 'ok', source => 'ordr', key => '{order_id}')$sql$);
SELECT mistake($sql$SELECT outbox.create_contract(repeat('x', 56), view => 'ok', source => 'ordr', key => '{order_id}')$sql$);
SELECT mistake($sql$SELECT outbox.create_contract(NULL, view => 'ok', source => 'ordr', key => '{order_id}')$sql$);

-- view and source
SELECT mistake($sql$SELECT outbox.create_contract('c', view => 'nowhere', source => 'ordr', key => '{order_id}')$sql$);
SELECT mistake($sql$SELECT outbox.create_contract('c', view => 'ordr', source => 'ordr', key => '{order_id}')$sql$);
SELECT mistake($sql$SELECT outbox.create_contract('c', view => 'ok', source => 'nowhere', key => '{order_id}')$sql$);
SELECT mistake($sql$SELECT outbox.create_contract('c', view => 'ok', source => 'ok', key => '{order_id}')$sql$);
SELECT mistake($sql$SELECT outbox.create_contract('c', view => 'ok', source => 'ordr_ln', key => '{order_id}')$sql$);
CREATE TABLE part (id int NOT NULL) PARTITION BY LIST (id);
CREATE TABLE part_1 PARTITION OF part FOR VALUES IN (1);
CREATE VIEW part_v AS SELECT id FROM part;
CREATE VIEW part_1_v AS SELECT id FROM part_1;
SELECT mistake($sql$SELECT outbox.create_contract('c', view => 'part_v', source => 'part', key => '{id}')$sql$);
SELECT mistake($sql$SELECT outbox.create_contract('c', view => 'part_1_v', source => 'part_1', key => '{id}')$sql$);
CREATE VIEW part_tableoid AS SELECT id, tableoid AS t FROM part;
SELECT mistake($sql$SELECT outbox.create_contract('c', view => 'part_tableoid', source => 'part', key => '{id}', evaluate => 'row')$sql$);
CREATE TABLE parent (id int PRIMARY KEY);
CREATE TABLE child () INHERITS (parent);
CREATE VIEW parent_v AS SELECT id FROM parent;
SELECT mistake($sql$SELECT outbox.create_contract('c', view => 'parent_v', source => 'parent', key => '{id}')$sql$);
CREATE FOREIGN DATA WRAPPER none;
CREATE SERVER nowhere FOREIGN DATA WRAPPER none;
CREATE FOREIGN TABLE remote (id int) SERVER nowhere;
CREATE VIEW remote_v AS SELECT id FROM remote;
SELECT mistake($sql$SELECT outbox.create_contract('c', view => 'remote_v', source => 'remote', key => '{id}')$sql$);
CREATE FOREIGN TABLE part_2 PARTITION OF part FOR VALUES IN (2) SERVER nowhere;
SELECT mistake($sql$SELECT outbox.create_contract('c', view => 'part_v', source => 'part', key => '{id}')$sql$);
CREATE MATERIALIZED VIEW frozen AS SELECT ordr_no FROM ordr;
SELECT mistake($sql$SELECT outbox.create_contract('c', view => 'ok', source => 'frozen', key => '{order_id}')$sql$);

-- the key
SELECT mistake($sql$SELECT outbox.create_contract('c', view => 'ok', source => 'ordr', key => '{}')$sql$);
SELECT mistake($sql$SELECT outbox.create_contract('c', view => 'ok', source => 'ordr', key => '{ordr_no}')$sql$);
SELECT mistake($sql$SELECT outbox.create_contract('c', view => 'ok', source => 'ordr', key => '{customer_id}')$sql$);
SELECT mistake($sql$SELECT outbox.create_contract('c', view => 'ok', source => 'ordr', key => '{order_id,order_id}')$sql$);
SELECT mistake($sql$SELECT outbox.create_contract('c', view => 'ok', source => 'ordr', key => '{{order_id},{order_id}}')$sql$);
SELECT mistake($sql$SELECT outbox.create_contract('c', view => 'ok', source => 'ordr', key => '{order_id,NULL}')$sql$);
CREATE VIEW nullable AS SELECT alt_no FROM ordr;
SELECT mistake($sql$SELECT outbox.create_contract('c', view => 'nullable', source => 'ordr', key => '{alt_no}')$sql$);
CREATE VIEW partial AS SELECT plain_no FROM ordr;
SELECT mistake($sql$SELECT outbox.create_contract('c', view => 'partial', source => 'ordr', key => '{plain_no}')$sql$);
CREATE VIEW half AS SELECT ordr_no FROM ordr_ln;
SELECT mistake($sql$SELECT outbox.create_contract('c', view => 'half', source => 'ordr_ln', key => '{ordr_no}')$sql$);
-- unique indexes that prove nothing, and their neighbour that does
CREATE TABLE weak (
    id int PRIMARY KEY, late int NOT NULL UNIQUE DEFERRABLE INITIALLY IMMEDIATE, later int NOT NULL UNIQUE DEFERRABLE INITIALLY DEFERRED,
    low text NOT NULL, twin int NOT NULL, wide int NOT NULL, more int NOT NULL);
CREATE UNIQUE INDEX weak_low ON weak (lower(low));
INSERT INTO weak VALUES (1, 1, 1, 'a', 7, 1, 1), (2, 2, 2, 'b', 7, 2, 2);
CREATE UNIQUE INDEX CONCURRENTLY weak_twin ON weak (twin);
SELECT indisvalid, indisunique FROM pg_index WHERE indexrelid = 'weak_twin'::regclass;
DELETE FROM weak;
CREATE UNIQUE INDEX weak_wide ON weak (wide) INCLUDE (more);
CREATE VIEW weak_v AS SELECT id, late, later, low, lower(low) AS lowered, twin, wide, more FROM weak;
SELECT k, e, mistake(format('SELECT outbox.create_contract(''w_%2$s'', view => ''weak_v'', source => ''weak'', key => ''{%1$s}'', evaluate => %2$L)', k, e))
FROM unnest('{late,later,low,lowered,twin,more,wide}'::text[]) k, unnest('{row,commit}'::text[]) e;
SELECT outbox.drop_contract('w_row'), outbox.drop_contract('w_commit');
-- repaired
REINDEX INDEX weak_twin;
ALTER TABLE weak DROP CONSTRAINT weak_late_key, ADD UNIQUE (late);
SELECT k, mistake(format('SELECT outbox.create_contract(''w_%1$s'', view => ''weak_v'', source => ''weak'', key => ''{%1$s}'')', k))
FROM unnest('{twin,late}'::text[]) k;
SELECT outbox.drop_contract('w_twin'), outbox.drop_contract('w_late');

-- other arguments
SELECT mistake($sql$SELECT outbox.create_contract('c', view => 'ok', source => 'ordr', key => '{order_id}', required => '{colour}')$sql$);
SELECT mistake($sql$SELECT outbox.create_contract('c', view => 'ok', source => 'ordr', key => '{order_id}', required => '{amount.unit}')$sql$);
SELECT mistake($sql$SELECT outbox.create_contract('c', view => 'ok', source => 'ordr', key => '{order_id}', aggregate_id => '{colour}')$sql$);
SELECT mistake($sql$SELECT outbox.create_contract('c', view => 'ok', source => 'ordr', key => '{order_id}', aggregate_id => '{order_id.part}')$sql$);
SELECT mistake($sql$SELECT outbox.create_contract('c', view => 'ok', source => 'ordr', key => '{order_id.part}')$sql$);
SELECT mistake($sql$SELECT outbox.create_contract('c', view => 'ok', source => 'ordr', key => '{order_id}', aggregate_type => 'with space')$sql$);
SELECT mistake($sql$SELECT outbox.create_contract('c', view => 'ok', source => 'ordr', key => '{order_id}', evaluate => 'sometimes')$sql$);
SELECT mistake($sql$SELECT outbox.create_contract('c', view => 'ok', source => 'ordr', key => '{order_id}', on_invalid => 'ignore')$sql$);
SELECT mistake($sql$SELECT outbox.create_contract('c', view => 'ok', source => 'ordr', key => '{order_id}', on_truncate => 'ignore')$sql$);

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
SELECT mistake($sql$SELECT outbox.create_contract('c', view => 'v_join', source => 'ordr', key => '{ordr_no}', evaluate => 'row')$sql$);
SELECT mistake($sql$SELECT outbox.create_contract('c', view => 'v_comma', source => 'ordr', key => '{ordr_no}', evaluate => 'row')$sql$);
SELECT mistake($sql$SELECT outbox.create_contract('c', view => 'v_agg', source => 'ordr', key => '{ordr_no}', evaluate => 'row')$sql$);
SELECT mistake($sql$SELECT outbox.create_contract('c', view => 'v_sub', source => 'ordr', key => '{ordr_no}', evaluate => 'row')$sql$);
SELECT mistake($sql$SELECT outbox.create_contract('c', view => 'v_distinct', source => 'ordr', key => '{ordr_no}', evaluate => 'row')$sql$);
SELECT mistake($sql$SELECT outbox.create_contract('c', view => 'v_limit', source => 'ordr', key => '{ordr_no}', evaluate => 'row')$sql$);
SELECT mistake($sql$SELECT outbox.create_contract('c', view => 'v_window', source => 'ordr', key => '{ordr_no}', evaluate => 'row')$sql$);
SELECT mistake($sql$SELECT outbox.create_contract('c', view => 'v_srf', source => 'ordr', key => '{ordr_no}', evaluate => 'row')$sql$);
SELECT mistake($sql$SELECT outbox.create_contract('c', view => 'v_union', source => 'ordr', key => '{ordr_no}', evaluate => 'row')$sql$);
SELECT mistake($sql$SELECT outbox.create_contract('c', view => 'v_with', source => 'ordr', key => '{ordr_no}', evaluate => 'row')$sql$);
SELECT mistake($sql$SELECT outbox.create_contract('c', view => 'v_values', source => 'ordr', key => '{ordr_no}', evaluate => 'row')$sql$);
SELECT mistake($sql$SELECT outbox.create_contract('c', view => 'v_function', source => 'ordr', key => '{ordr_no}', evaluate => 'row')$sql$);
SELECT mistake($sql$SELECT outbox.create_contract('c', view => 'v_invoker', source => 'ordr', key => '{ordr_no}', evaluate => 'row')$sql$);
SELECT mistake($sql$SELECT outbox.create_contract('c', view => 'v_ctid', source => 'ordr', key => '{ordr_no}', evaluate => 'row')$sql$);
SELECT mistake($sql$SELECT outbox.create_contract('c', view => 'v_row', source => 'ordr', key => '{ordr_no}', evaluate => 'row')$sql$);
SELECT mistake($sql$SELECT outbox.create_contract('c', view => 'v_sample', source => 'ordr', key => '{ordr_no}', evaluate => 'row')$sql$);
SELECT mistake($sql$SELECT outbox.create_contract('c', view => 'v_over_join', source => 'ordr', key => '{ordr_no}', evaluate => 'row')$sql$);

-- expressions and types
CREATE FUNCTION slow(int) RETURNS int LANGUAGE sql STABLE SECURITY DEFINER AS 'SELECT $1 + 1';
CREATE VIEW v_volatile AS SELECT ordr_no, random() AS luck FROM ordr;
CREATE VIEW v_where AS SELECT ordr_no FROM ordr WHERE clock_timestamp() > '2020-01-01';
CREATE VIEW v_sql AS SELECT ordr_no, slow(plain_no) AS n FROM ordr;
CREATE VIEW v_ts AS SELECT ordr_no, ts FROM ordr;
CREATE VIEW v_numeric AS SELECT ordr_no, round(amt) AS rounded FROM ordr;
CREATE VIEW v_coalesce AS SELECT ordr_no, coalesce(amt, 0) AS amount FROM ordr;
CREATE VIEW v_case AS SELECT ordr_no, CASE WHEN amt > 0 THEN amt WHEN ratio > 0 THEN ratio END AS amount FROM ordr;
CREATE VIEW v_minus AS SELECT ordr_no, -amt AS amount FROM ordr;
CREATE VIEW v_sum AS SELECT ordr_no, amt + 1 AS amount FROM ordr;
CREATE VIEW v_negative_scale AS SELECT ordr_no, amt::numeric(5,-2) AS amount FROM ordr;
CREATE VIEW v_large_scale AS SELECT ordr_no, amt::numeric(3,5) AS amount FROM ordr;
CREATE TYPE odd AS ENUM ('in stock', 'sold-out');
CREATE TABLE typed (id int PRIMARY KEY, e odd, r int4range[], d date[]);
CREATE VIEW v_enum AS SELECT id, e FROM typed;

CREATE VIEW v_unknown AS SELECT ordr_no, array[ts] AS times FROM ordr;
CREATE VIEW v_tsvector AS SELECT ordr_no, doc FROM ordr;
CREATE VIEW v_money AS SELECT ordr_no, price FROM ordr;
CREATE VIEW v_name AS SELECT ordr_no, amt AS "total-amount" FROM ordr;
SELECT mistake($sql$SELECT outbox.create_contract('c', view => 'v_volatile', source => 'ordr', key => '{ordr_no}')$sql$);
SELECT mistake($sql$SELECT outbox.create_contract('c', view => 'v_where', source => 'ordr', key => '{ordr_no}')$sql$);
SELECT mistake($sql$SELECT outbox.create_contract('c', view => 'v_sql', source => 'ordr', key => '{ordr_no}')$sql$);
SELECT mistake($sql$SELECT outbox.create_contract('c', view => 'v_ts', source => 'ordr', key => '{ordr_no}')$sql$);
SELECT mistake($sql$SELECT outbox.create_contract('c', view => 'v_numeric', source => 'ordr', key => '{ordr_no}')$sql$);
SELECT mistake($sql$SELECT outbox.create_contract('c', view => 'v_coalesce', source => 'ordr', key => '{ordr_no}')$sql$);
SELECT mistake($sql$SELECT outbox.create_contract('c', view => 'v_case', source => 'ordr', key => '{ordr_no}')$sql$);
SELECT mistake($sql$SELECT outbox.create_contract('c', view => 'v_minus', source => 'ordr', key => '{ordr_no}')$sql$);
SELECT mistake($sql$SELECT outbox.create_contract('c', view => 'v_sum', source => 'ordr', key => '{ordr_no}')$sql$);
SELECT mistake($sql$SELECT outbox.create_contract('c', view => 'v_negative_scale', source => 'ordr', key => '{ordr_no}')$sql$);
SELECT mistake($sql$SELECT outbox.create_contract('c', view => 'v_large_scale', source => 'ordr', key => '{ordr_no}')$sql$);
SELECT mistake($sql$SELECT outbox.create_contract('c', view => 'v_enum', source => 'typed', key => '{id}')$sql$);
SELECT mistake($sql$SELECT outbox.create_contract('c', view => 'v_unknown', source => 'ordr', key => '{ordr_no}')$sql$);
SELECT mistake($sql$SELECT outbox.create_contract('c', view => 'v_tsvector', source => 'ordr', key => '{ordr_no}')$sql$);
SELECT mistake($sql$SELECT outbox.create_contract('c', view => 'v_money', source => 'ordr', key => '{ordr_no}')$sql$);
SELECT mistake($sql$SELECT outbox.create_contract('c', view => 'v_name', source => 'ordr', key => '{ordr_no}')$sql$);

-- real to numeric keeps six digits, wherever it happens on the way to a column
CREATE TABLE money_old (id int PRIMARY KEY, r real, rs real[], d float8, n numeric(10,2), other text);
CREATE TABLE money_line (id int, no int, r real, PRIMARY KEY (id, no));
CREATE FUNCTION to_money(real) RETURNS numeric LANGUAGE sql IMMUTABLE AS 'SELECT $1::numeric(10,2)';
CREATE DOMAIN weight AS real;
CREATE TYPE priced AS (price numeric(10,2));
SELECT 12345.67::real::numeric(10,2) AS lossy, 12345.67::real::float8::numeric(10,2) AS kept;
-- creates a view and a contract of it; views that were refused are gone
CREATE FUNCTION lossy(query text, evaluate text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE 'CREATE VIEW ce.lossy_v AS ' || query;
    RETURN QUERY SELECT * FROM ce.mistake(format($q$SELECT outbox.create_contract('l', view => 'ce.lossy_v', source => 'ce.money_old', key => '{id}', evaluate => %L)$q$, evaluate));
    PERFORM outbox.drop_contract(name) FROM outbox.contract WHERE name = 'l';
    DROP VIEW ce.lossy_v;
END $$;
SELECT e, lossy('SELECT id, r::numeric(10,2) AS price FROM ce.money_old', e) FROM unnest('{row,commit}'::text[]) e;
SELECT e, lossy('SELECT id, coalesce(round(r::numeric, 2), 0)::numeric(10,2) AS price FROM ce.money_old', e) FROM unnest('{row,commit}'::text[]) e;
SELECT e, lossy('SELECT id, r::ce.weight::numeric(10,2) AS price FROM ce.money_old', e) FROM unnest('{row,commit}'::text[]) e;
SELECT e, lossy('SELECT id, rs::numeric(10,2)[] AS prices FROM ce.money_old', e) FROM unnest('{row,commit}'::text[]) e;
SELECT e, lossy('SELECT id, ROW(r)::ce.priced AS price FROM ce.money_old', e) FROM unnest('{row,commit}'::text[]) e;
SELECT e, lossy('SELECT id, ce.to_money(r)::numeric(10,2) AS price FROM ce.money_old', e) FROM unnest('{row,commit}'::text[]) e;
SELECT e, lossy('SELECT id, price FROM (SELECT id, (r * 2)::real::numeric(10,2) AS price FROM ce.money_old) x', e) FROM unnest('{row,commit}'::text[]) e;
SELECT lossy('SELECT id, (SELECT sum(l.r::numeric(10,2))::numeric(10,2) FROM ce.money_line l WHERE l.id = m.id) AS price FROM ce.money_old m', 'commit');
SELECT lossy('SELECT m.id, l.price FROM ce.money_old m LEFT JOIN LATERAL (SELECT max(price)::numeric(10,2) AS price FROM (SELECT r::numeric AS price FROM ce.money_line l WHERE l.id = m.id UNION ALL SELECT 0) u) l ON true', 'commit');
-- and what is fine: other ways, and a column that the contract does not show
SELECT e, lossy('SELECT id, r, r::float8::numeric(10,2) AS price, d::numeric(10,2) AS d, n::real AS nr FROM ce.money_old', e) FROM unnest('{row,commit}'::text[]) e;
SELECT e, lossy('SELECT id, n FROM (SELECT id, n, r::numeric(10,2) AS price FROM ce.money_old) x', e) FROM unnest('{row,commit}'::text[]) e;
SELECT e, lossy('SELECT id, n FROM ce.money_old WHERE r::numeric < 7', e) FROM unnest('{row,commit}'::text[]) e;

-- event types
SELECT mistake($sql$SELECT outbox.create_contract('c', view => 'ok', source => 'ordr', key => '{order_id}')$sql$);
SELECT mistake($sql$SELECT outbox.create_contract('c', view => 'ok', source => 'ordr', key => '{order_id}')$sql$);
SELECT mistake($sql$SELECT outbox.create_event_type('Placed', contract => 'nowhere', emit => 'created')$sql$);
SELECT mistake($sql$SELECT outbox.create_event_type('Order.Placed', contract => 'c', emit => 'created')$sql$);
SELECT mistake($sql$SELECT outbox.create_event_type('Placed', contract => 'c', emit => 'inserted')$sql$);
SELECT mistake($sql$SELECT outbox.create_event_type('Placed', contract => 'c', emit => 'created', condition => 'new.amount >')$sql$);
SELECT mistake($sql$SELECT outbox.create_event_type('Placed', contract => 'c', emit => 'created', condition => 'true; DROP TABLE ordr')$sql$);
SELECT mistake($sql$SELECT outbox.create_event_type('Placed', contract => 'c', emit => 'created', condition => 'new.colour = 1')$sql$);
SELECT mistake($sql$SELECT outbox.create_event_type('Placed', contract => 'c', emit => 'created', condition => 'amount > 1')$sql$);
SELECT mistake($sql$SELECT outbox.create_event_type('Placed', contract => 'c', emit => 'created', condition => 'new.amount')$sql$);
SELECT mistake($sql$SELECT outbox.create_event_type('Placed', contract => 'c', emit => 'created', condition => 'exists (SELECT FROM ce.ordr)')$sql$);
SELECT mistake($sql$SELECT outbox.create_event_type('Placed', contract => 'c', emit => 'created', condition => 'sum(new.amount) > 1')$sql$);
SELECT mistake($sql$SELECT outbox.create_event_type('Placed', contract => 'c', emit => 'created', condition => 'true FROM ce.ordr')$sql$);
SELECT mistake($sql$SELECT outbox.create_event_type('Placed', contract => 'c', emit => 'created', condition => 'random() > 0.5')$sql$);
SELECT mistake($sql$SELECT outbox.create_event_type('Placed', contract => 'c', emit => 'created', condition => 'new IS NOT NULL')$sql$);
SELECT mistake($sql$SELECT outbox.create_event_type('Placed', contract => 'c', emit => 'created', previous => '{colour}')$sql$);
SELECT mistake($sql$SELECT outbox.create_event_type('Placed', contract => 'c', emit => 'created', previous => '{amount,amount}')$sql$);
SELECT mistake($sql$SELECT outbox.create_event_type('Placed', contract => 'c', emit => 'created', topic => '')$sql$);
SELECT mistake($sql$SELECT outbox.create_event_type('Placed', contract => 'c', emit => 'created', tombstone => 'after')$sql$);
SELECT mistake($sql$SELECT outbox.create_event_type('Placed', contract => 'c', emit => 'deleted', tombstone => 'before')$sql$);
SELECT mistake($sql$SELECT outbox.create_event_type('Placed', contract => 'c', emit => 'created')$sql$);
SELECT mistake($sql$SELECT outbox.create_event_type('Placed', contract => 'c', emit => 'created')$sql$);
SELECT mistake($sql$SELECT outbox.create_event_type(repeat('x', 64), contract => 'c', emit => 'created')$sql$);
SELECT mistake($sql$SELECT outbox.add_check('Placed', repeat('x', 64), 'true')$sql$);
SELECT mistake($sql$SELECT outbox.drop_event_type('Shipped')$sql$);
SELECT mistake($sql$SELECT outbox.avro_schema('Shipped')$sql$);
SELECT mistake($sql$SELECT outbox.avro_schema('Placed', 7)$sql$);
SELECT mistake($sql$SELECT outbox.enable('nowhere')$sql$);
SELECT mistake($sql$SELECT outbox.disable('nowhere')$sql$);
SELECT mistake($sql$SELECT outbox.drop_contract('nowhere')$sql$);
SELECT mistake($sql$SELECT * FROM outbox.preview('nowhere')$sql$);
SELECT mistake($sql$SELECT * FROM outbox.preview('c', event_type => 'Shipped')$sql$);

-- outbox.event is written by capture alone
SELECT mistake($sql$INSERT INTO outbox.event SELECT 1, '1', now(), gen_random_uuid(), 1, 1::smallint, 0::smallint, 'a', 'b', 'c'$sql$);
SELECT mistake($sql$TRUNCATE outbox.event$sql$);

SELECT mistake($sql$SELECT outbox.drop_contract('c')$sql$);
DROP SCHEMA ce CASCADE;
DROP FOREIGN DATA WRAPPER none CASCADE;
