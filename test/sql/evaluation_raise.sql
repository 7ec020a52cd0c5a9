-- What may raise is known function by function: a row that a contract cannot evaluate is a dead letter, never an
-- error of the write
SET client_min_messages = warning;
SET search_path = public;
CREATE TABLE er (id int PRIMARY KEY, t text, c circle, j jsonb, p char(3), b bytea, a int[], r int4range);
-- by condition, so that nothing else makes the contract careful; conditions name pg_catalog alone
CREATE VIEW er_v AS SELECT id, t, c::text AS c, j, p FROM er;
CREATE FUNCTION may_raise(expression text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE traits int;
BEGIN
    EXECUTE format('CREATE VIEW er_judged AS SELECT %s AS x FROM er', expression);
    traits := outbox_test_traits('er_judged'::regclass);
    DROP VIEW er_judged;
    RETURN expression || ' → ' || CASE WHEN traits & 1024 <> 0 THEN 'may raise' ELSE 'never raises' END ||
        CASE WHEN traits & 256 <> 0 THEN ', speaks' ELSE '' END || CASE WHEN traits & 512 <> 0 THEN ', foreign' ELSE '' END ||
        CASE WHEN traits & 255 <> 0 THEN ', reads settings' ELSE '' END;
END $$;
CREATE FUNCTION outbox_test_traits(view oid) RETURNS int LANGUAGE c AS 'outbox_ext', 'outbox_test_traits';
CREATE FUNCTION er_check(text) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true';
CREATE DOMAIN er_domain AS text CHECK (er_check(VALUE));
CREATE DOMAIN er_plain AS text;
\pset format unaligned
\pset tuples_only on
SELECT may_raise(e) FROM unnest(ARRAY[
    'id', 'id = 1', 'id::bigint', 't = ''a''', 't < ''a''', 't COLLATE "C" < ''a''', 'coalesce(t, ''a'')', 'CASE WHEN id > 0 THEN t END',
    'starts_with(t, ''a'')', 'c < c', 'md5(t)', 'sha256(b)', 'p::text', 'btrim(t)', 'id + 1', '1 / id',
    'a = a', 'a = ARRAY[id]', 'greatest(t, t)', 't::int', 'id::text', 't IN (''a'', ''b'')', 'id = ANY (a)', 'r', 'r = r', 'ROW(id) = ROW(1)', 't::varchar(2)', 't::char(2)',
    't::er_domain', 't::er_plain', 'ARRAY[t]::er_domain[]', 'now()', 'current_user', 'current_date', 'quote_ident(t)', 'b::text', 'to_tsvector(''simple''::regconfig, t)',
    't::timestamptz', 'timezone(''EST'', ''2024-01-01''::timestamp)', 'to_jsonb(id)'
]) e;
\echo the write goes through, and the row is a dead letter
CREATE TABLE er_row (id int PRIMARY KEY, t text, c circle, j jsonb);
CREATE VIEW er_circle AS SELECT id, c < circle '<(0,0),1>' AS is_small FROM er_row;
CREATE VIEW er_json AS SELECT id, j FROM er_row;
SELECT outbox.create_contract(c, view => c, source => 'er_row', key => '{id}'), outbox.create_event_type('E' || c, contract => c, emit => 'created'), outbox.enable(c)
FROM unnest('{er_circle,er_json}'::text[]) c;
INSERT INTO er_row VALUES (1, 'X', '<(0,0),1e200>', '{}');
-- less than 1 MB stored, more than 1 GB of text
DO $$
DECLARE j jsonb := '[1e131071]';
BEGIN
    FOR i IN 1..14 LOOP j := j || j; END LOOP;
    INSERT INTO er_row VALUES (2, NULL, NULL, j);
END $$;
-- what is long but fits is published
SET outbox.max_message_bytes = '10MB';
INSERT INTO er_row SELECT 3, NULL, NULL, jsonb_build_object('k', repeat(E'\x01"', 20000), 'n', 1e1000, 'l', jsonb_agg(i)) FROM generate_series(1, 20000) i;
SELECT id FROM er_row ORDER BY id;
SELECT contract, key, stage, sqlstate, message FROM outbox.dead_letter WHERE contract LIKE 'er\_%' ORDER BY id;
SELECT e.payload->>'j' = r.j::text AS same FROM outbox.event_json e JOIN er_row r ON r.id = 3 WHERE e.contract = 'er_json' AND e.aggregateid = '3';
SELECT outbox.drop_contract(c) FROM unnest('{er_circle,er_json}'::text[]) c;
DROP TABLE er, er_row CASCADE;
DROP DOMAIN er_domain, er_plain; DROP FUNCTION er_check(text), may_raise(text), outbox_test_traits(oid);
