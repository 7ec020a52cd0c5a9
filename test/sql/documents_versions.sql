-- The catalog and the documents of a contract with two versions that are published side by side.
SET client_min_messages = warning;
SET timezone = 'UTC';
SET outbox.namespace = 'shop';
CREATE SCHEMA dv;
CREATE TABLE dv.part (no int PRIMARY KEY, nm text, note text);
CREATE VIEW dv.part_v1 AS SELECT no AS part_id, nm AS name, note FROM dv.part;
CREATE VIEW dv.part_v2 AS SELECT no AS part_id, nm AS title FROM dv.part;
SELECT outbox.create_contract('dv', view => 'dv.part_v1', source => 'dv.part', key => '{part_id}');
SELECT outbox.create_event_type('DvMade', contract => 'dv', emit => 'created', topic => 'shop.parts');
SELECT outbox.enable('dv');
SELECT outbox.add_version('dv', view => 'dv.part_v2', publish => 'beside', sunset => '2030-01-01');
SELECT outbox.annotate('dv@1', '{"link": "https://wiki.example.org/old"}'), outbox.annotate('table:dv.part.nm', '{"tags": ["PII"]}');
-- the draft is in the catalog only
SELECT version, state, sunset, topic, fingerprint IS NULL AS unpinned FROM outbox.catalog WHERE contract = 'dv' ORDER BY 1;
SELECT m.key FROM jsonb_each(outbox.asyncapi() #> '{components,messages}') m WHERE m.value ->> 'x-contract' = 'dv' ORDER BY 1;
SELECT outbox.enable('dv');
INSERT INTO dv.part VALUES (1, 'bolt', 'x');
SELECT version, state, sunset, topic, ce_type, pii_fields, events_7_days, example_key, annotations FROM outbox.catalog WHERE contract = 'dv' ORDER BY 1;
SELECT version, path, sources, tags FROM outbox.catalog_field WHERE contract = 'dv' ORDER BY 1, place;
SELECT m.key, m.value ->> 'name' AS name, m.value ->> 'x-sunset' AS sunset, m.value #> '{externalDocs,url}' AS link
FROM jsonb_each(outbox.asyncapi() #> '{components,messages}') m WHERE m.value ->> 'x-contract' = 'dv' ORDER BY 1;
SELECT outbox.odcs('dv') ->> 'version' AS version, jsonb_path_query_array(outbox.odcs('dv'), '$.schema[*].properties[*].name') AS fields;
SELECT outbox.json_schema('DvMade', 1) -> 'required' AS first, outbox.json_schema('DvMade', 2) -> 'required' AS second;
SELECT regexp_matches(outbox.legacy_view('dv', v), '^    ([^/]*[^/ ])[ ,]*(/.*)?$', 'gn') FROM generate_series(1, 2) v;
SELECT regexp_matches(outbox.catalog_markdown(), '^(### DvMade[^\n]*|\| \[DvMade[^|]*).*$', 'gn') AS headings;
SELECT outbox.drop_contract('dv');
DELETE FROM outbox.annotation WHERE object IN ('dv@1', 'dv.part');
DROP SCHEMA dv CASCADE;
