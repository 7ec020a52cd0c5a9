-- An xml value is encoded as its text; avro_xml_1.out is for a server built without libxml; needs test functions.
SET client_min_messages = warning;
CREATE SCHEMA avro_xml_test;
SET search_path = avro_xml_test, outbox;
CREATE FUNCTION avro_schema(relation regclass, namespace text, record text, required text[]) RETURNS text
LANGUAGE c STRICT AS '$libdir/outbox_ext', 'outbox_test_avro_schema';
CREATE FUNCTION avro_encode(schema text, row_value record) RETURNS bytea
LANGUAGE c STRICT AS '$libdir/outbox_ext', 'outbox_test_avro_encode';
CREATE FUNCTION avro_second_opinion(schema text, bytes bytea) RETURNS text
LANGUAGE c STRICT AS '$libdir/outbox_ext', 'outbox_test_avro_second_opinion';
CREATE TABLE document (content xml);
INSERT INTO document VALUES ('<a>x</a>');
SELECT avro_schema('document', 'test', 'Event', '{}') AS schema \gset
SELECT content, avro_encode(:'schema', document) AS bytes,
       avro_second_opinion(:'schema', avro_encode(:'schema', document)) AS problem
FROM document;
RESET search_path;
DROP SCHEMA avro_xml_test CASCADE;
