-- What reads xml: its warnings do not reach a writer, the functions of its fields are found (needs test functions);
-- evaluation_xml_1.out is for a server built without libxml
SET client_min_messages = warning;
SELECT count(*) = 0 AS no_xml FROM pg_config WHERE name = 'CONFIGURE' AND setting LIKE '%--with-libxml%' \gset
\if :no_xml
\quit
\endif
CREATE SCHEMA ex;
SET search_path = ex;
CREATE TABLE ex (id int PRIMARY KEY, x xml);
CREATE VIEW ex_xpath AS SELECT id, xpath_exists('/*/b', x) AS has_b FROM ex;
SELECT outbox.create_contract('ex_' || e, view => 'ex_xpath', source => 'ex', key => '{id}', evaluate => e, aggregate_type => 'ex_' || e),
    outbox.create_event_type('E' || e, contract => 'ex_' || e, emit => 'created'), outbox.enable('ex_' || e)
FROM unnest('{row,commit}'::text[]) e;
\c -
SET client_min_messages = debug1;
SET search_path = ex;
INSERT INTO ex VALUES (1, '<a xmlns="foo"><b>1</b></a>');
SET client_min_messages = warning;
SELECT contract, payload FROM outbox.event_json WHERE contract LIKE 'ex\_%' ORDER BY contract;
SELECT contract, message FROM outbox.dead_letter WHERE contract LIKE 'ex\_%';
SELECT outbox.drop_contract(name) FROM outbox.contract WHERE name LIKE 'ex\_%';

-- the functions of this schema that the expression reaches
CREATE FUNCTION outbox_test_reach(view oid, planned boolean) RETURNS oid[]
    LANGUAGE c AS 'outbox_ext', 'outbox_test_reach';
CREATE FUNCTION ex_in_check(text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN true; END';
CREATE DOMAIN ex_d AS text CHECK (ex_in_check(VALUE));
CREATE TYPE ex_pair AS (a int, b ex_d);
CREATE FUNCTION ex_cast(ex_pair) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN 1; END';
CREATE CAST (ex_pair AS int) WITH FUNCTION ex_cast(ex_pair);
ALTER TABLE ex ADD p ex_pair;
CREATE VIEW ex_element AS SELECT xmlelement(name e, p) AS x FROM ex;
CREATE VIEW ex_element_cast AS SELECT xmlelement(name e, p::int) AS x FROM ex;
CREATE VIEW ex_table AS SELECT c FROM ex, XMLTABLE('/a' PASSING x COLUMNS c ex_d);
SELECT v, ARRAY(SELECT f::regproc FROM unnest(outbox_test_reach(v, false)) f WHERE f >= 16384 ORDER BY 1) AS reaches
FROM unnest('{ex_element,ex_element_cast,ex_table}'::regclass[]) v;
DROP SCHEMA ex CASCADE;
