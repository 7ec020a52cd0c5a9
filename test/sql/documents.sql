-- asyncapi(), catalog_markdown() and odcs() of a small contract, word by word.
SET client_min_messages = warning;
-- other tests leave some
SELECT count(outbox.drop_contract(name)) >= 0 AS dropped FROM outbox.contracts;
SET outbox.namespace = 'shop';
SELECT regexp_replace(outbox.catalog_markdown(), '(Events of )[^\n]+', '\1DATABASE');
SELECT outbox.asyncapi() - '{id,info}'::text[] AS asyncapi;
CREATE SCHEMA dc;
CREATE TABLE dc.ordr (no int PRIMARY KEY, st char(1), note text);
CREATE TABLE dc.line (ordr_no int, pos int, sku text, PRIMARY KEY (ordr_no, pos));
CREATE VIEW dc.item AS SELECT ordr_no, sku FROM dc.line;
CREATE VIEW dc.order_v AS SELECT o.no AS order_id, outbox.decode('dc', st) AS status, o.note,
    coalesce((SELECT array_agg(i) FROM dc.item i WHERE i.ordr_no = o.no), '{}') AS items FROM dc.ordr o;
COMMENT ON VIEW dc.order_v IS E'An order\nof *somebody* | us';
COMMENT ON COLUMN dc.order_v.note IS 'Written by <hand>';
SELECT outbox.create_code_map('dc', '{"N": "NEW", "S": "SHIPPED"}');
SELECT outbox.create_contract('dc', view => 'dc.order_v', source => 'dc.ordr', key => '{order_id}', required => '{items,items.sku}');
SELECT outbox.add_source('dc', 'dc.line', key_query => 'row.ordr_no');
SELECT outbox.create_event_type('DcMade', contract => 'dc', emit => 'created', topic => 'shop.{region}/orders');
SELECT outbox.create_event_type('DcShipped', contract => 'dc', emit => 'changed', condition => $$new.status = 'SHIPPED'$$, previous => '{status}', tombstone => 'none');
SELECT outbox.add_check('DcShipped', 'has_items', 'cardinality(items) > 0');
SELECT outbox.annotate('dc', '{"owner": "sales", "domain": "commerce", "link": "https://wiki.example.org/dc", "tags": ["core"]}');
SELECT outbox.annotate('dc.note', '{"classification": "secret"}'), outbox.annotate('table:dc.line.sku', '{"tags": ["article", "PII"]}');
-- a draft has no schema
SELECT outbox.asyncapi() #> '{components,messages}' AS messages;
SELECT outbox.odcs('dc') - 'id';
SELECT outbox.enable('dc');
SELECT regexp_replace(outbox.catalog_markdown(), '(Events of )[^\n]+', '\1DATABASE');
SELECT jsonb_pretty((outbox.asyncapi('{"p": {"host": "b:9092", "protocol": "kafka"}}') #- '{components,messages,DcMade}') - '{id,info}'::text[]);
SELECT jsonb_pretty((outbox.odcs('dc') #- '{schema,0}') - 'id');
-- a version that took the place of another one; the catalog has both, the documents the one that is published
SELECT outbox.alter_event_type('DcShipped', previous => '{status,note}');
SELECT event_type, version, state, (SELECT count(*) FROM outbox.catalog_field f WHERE f.event_type = c.event_type AND f.version = c.version) AS fields
FROM outbox.catalog c WHERE contract = 'dc' ORDER BY 1, 2;
SELECT m.key, m.value -> 'x-version' AS version, jsonb_array_length(m.value #> '{payload,schema,fields}') AS fields
FROM jsonb_each(outbox.asyncapi() #> '{components,messages}') m ORDER BY 1;
SELECT outbox.odcs('dc') ->> 'version' AS version, jsonb_path_query(outbox.odcs('dc'), '$.schema[*] ? (@.name == "DcShipped").properties[*].name') AS field;
SELECT regexp_matches(outbox.catalog_markdown(), '^### [^\n]*|^\| `previous[^|]*', 'gn') AS headings;
SELECT outbox.json_schema('DcShipped') -> 'required' AS newest, outbox.json_schema('DcShipped', 1) -> 'required' AS first;
-- topics that differ in what a reference cannot have
SELECT outbox.create_event_type('DcGone', contract => 'dc', emit => 'deleted', topic => 'shop.{region}_orders');
SELECT key, value ->> 'address' AS address FROM jsonb_each(outbox.asyncapi() -> 'channels') ORDER BY key;
SELECT outbox.odcs('none');
SELECT outbox.odcs(NULL);
SELECT outbox.asyncapi('[]');
SELECT outbox.asyncapi(NULL) = outbox.asyncapi() AS same;
-- a reader may
CREATE ROLE regress_documents_reader;
SELECT outbox.grant_access('regress_documents_reader', 'reader');
SET ROLE regress_documents_reader;
SELECT outbox.asyncapi() ->> 'asyncapi', outbox.odcs('dc') ->> 'kind', outbox.catalog_markdown() LIKE '# Events of %';
RESET ROLE;
DROP OWNED BY regress_documents_reader;
DROP ROLE regress_documents_reader;
SELECT outbox.drop_contract('dc'), outbox.drop_code_map('dc');
DELETE FROM outbox.annotation WHERE object IN ('dc', 'dc.line');
DROP SCHEMA dc CASCADE;
