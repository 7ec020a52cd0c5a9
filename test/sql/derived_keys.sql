-- Keys that are expressions: status says when two rows of the source could have one key, and until when.
SET client_min_messages = warning;
CREATE SCHEMA dk;
SET search_path = dk, public;
CREATE TABLE cust (cust_no char(8) PRIMARY KEY, alt varchar(8) NOT NULL UNIQUE, small smallint NOT NULL UNIQUE, nm text);
CREATE TABLE pair (a varchar(8), b varchar(8), n int, PRIMARY KEY (a, b));
CREATE TABLE part (a varchar(8), n int, PRIMARY KEY (a)) PARTITION BY LIST (a);
CREATE TABLE part_1 PARTITION OF part DEFAULT;
-- Declares and enables a contract over a view of these columns; what status then advises.
CREATE FUNCTION advice(columns text, key text, source text, evaluate text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE VIEW dk.v AS SELECT %s FROM dk.%I', columns, source);
    PERFORM outbox.create_contract('dk', view => 'dk.v', source => 'dk.' || source, key => key::text[], evaluate => evaluate,
        compatibility => 'NONE'); -- one contract after the other, with keys of all kinds
    PERFORM outbox.create_event_type('Dk', contract => 'dk', emit => 'created');
    PERFORM outbox.enable('dk');
    RETURN (SELECT s.advice FROM outbox.status s WHERE s.name = 'dk');
END $$;
CREATE FUNCTION in_both(columns text, key text, source text) RETURNS TABLE (same bool, advice text) LANGUAGE plpgsql AS $$
DECLARE
    a text[];
BEGIN
    FOR i IN 1 .. 2 LOOP
        a[i] := dk.advice(columns, key, source, (ARRAY['row', 'commit'])[i]);
        PERFORM outbox.drop_contract('dk');
        DROP VIEW dk.v;
    END LOOP;
    RETURN QUERY SELECT a[1] IS NOT DISTINCT FROM a[2], a[1];
END $$;

\echo plain columns and wider ones need no advice
SELECT * FROM in_both('cust_no AS id, nm', '{id}', 'cust');
SELECT * FROM in_both('cust_no::text AS id, nm', '{id}', 'cust');
SELECT * FROM in_both('alt::text::varchar AS id, nm', '{id}', 'cust');
SELECT * FROM in_both('small::bigint AS id, nm', '{id}', 'cust');
SELECT * FROM in_both('small::text AS id, nm', '{id}', 'cust');
SELECT * FROM in_both('a, b, n', '{a,b}', 'pair');

\echo what may make two values one does
SELECT * FROM in_both('btrim(cust_no) AS id, nm', '{id}', 'cust');
SELECT * FROM in_both('btrim(alt) AS "Id", nm', '{Id}', 'cust');
SELECT * FROM in_both('alt::varchar(4) AS id, nm', '{id}', 'cust');
SELECT * FROM in_both('small::int / 2 AS id, nm', '{id}', 'cust');
SELECT * FROM in_both('a, upper(b) AS b, n', '{a,b}', 'pair');
SELECT * FROM in_both('a || b AS ab, n', '{ab}', 'pair');
SELECT * FROM in_both('btrim(a) AS a, n', '{a}', 'part');

\echo the number of the table, a constant per row, does no harm either
SELECT advice('tableoid AS part, cust_no AS id, nm', '{part,id}', 'cust', 'row');
SELECT outbox.drop_contract('dk');
DROP VIEW v;

\echo a derived column beside plain ones that are unique alone does no harm
SELECT * FROM in_both('small, btrim(alt) AS alt, nm', '{small,alt}', 'cust');
SELECT * FROM in_both('small, 7 AS seven, nm', '{small,seven}', 'cust');

\echo a unique index over the expression rules it out, when enable() looks again; one that is partial does not
SELECT advice('btrim(cust_no) AS id, nm', '{id}', 'cust', 'row');
CREATE UNIQUE INDEX cust_partial ON cust (btrim(cust_no)) WHERE nm IS NOT NULL;
CREATE INDEX cust_plain ON cust (btrim(cust_no));
CREATE UNIQUE INDEX cust_other ON cust (upper(cust_no));
CREATE UNIQUE INDEX cust_more ON cust (btrim(cust_no), nm);
SELECT outbox.enable('dk');
SELECT advice IS NULL AS quiet FROM outbox.status WHERE name = 'dk';
CREATE UNIQUE INDEX cust_trimmed ON cust (btrim(cust_no));
SELECT outbox.enable('dk');
SELECT advice FROM outbox.status WHERE name = 'dk';
\echo its query finds them; and more urgent advice comes first
DROP INDEX cust_trimmed;
SELECT outbox.enable('dk');
INSERT INTO cust VALUES ('C1', 'a', 1, NULL), (' C1', 'b', 2, NULL), ('C2', 'c', 3, NULL);
SELECT substring(advice, 'SELECT .* HAVING count\(\*\) > 1') AS query FROM outbox.status WHERE name = 'dk' \gset
:query;
SELECT outbox.disable('dk');
SELECT advice FROM outbox.status WHERE name = 'dk';
SELECT outbox.drop_contract('dk');
DROP VIEW v;

\echo an index over one expression and a plain column
CREATE UNIQUE INDEX ON pair (upper(b), a);
SELECT * FROM in_both('a, upper(b) AS b, n', '{a,b}', 'pair');
SELECT * FROM in_both('lower(a) AS a, upper(b) AS b, n', '{a,b}', 'pair');

DROP SCHEMA dk CASCADE;
