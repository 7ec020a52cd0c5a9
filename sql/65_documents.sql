-- What consumers, reviewers and other tools read of contracts. What the functions of schema outbox return is written by
-- functions of the same names in schema outbox_internal, which src/contract/documents/documents_sql.c calls.

CREATE FUNCTION outbox_internal.schema_fields(
    schema text,
    OUT place int, OUT path text, OUT record text, OUT field text, OUT type text, OUT nullable boolean, OUT doc text)
RETURNS SETOF record LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 1000 ROWS 50
AS 'MODULE_PATHNAME', 'outbox_schema_fields';
COMMENT ON FUNCTION outbox_internal.schema_fields(text) IS
'The fields of an event''s Avro schema, those of nested records behind the field that they are in. path: items[].sku, attributes{} (of a map); record and field: where the field is defined; type: decimal(12,2), array<shop.Line>. At most 20000. Errors: invalid_schema_definition';

CREATE FUNCTION outbox_internal.schema_json(schema text, words jsonb)
RETURNS jsonb LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'outbox_schema_json';
COMMENT ON FUNCTION outbox_internal.schema_json(text, jsonb) IS
'An event''s Avro schema as JSON Schema (draft 2020-12) of what outbox.event_json shows. words: the texts that a field is one of, as {"<record> <field>": ["PLACED"]}. Errors: invalid_schema_definition';

CREATE FUNCTION outbox_internal.view_fields(
    view regclass,
    OUT path text, OUT type text, OUT sources text[], OUT maps text[], OUT constants text[])
RETURNS SETOF record LANGUAGE c STABLE STRICT PARALLEL UNSAFE COST 10000 ROWS 20
AS 'MODULE_PATHNAME', 'outbox_view_fields';
COMMENT ON FUNCTION outbox_internal.view_fields(regclass) IS
'The columns of a view and the fields of the rows in them (items[].sku): PostgreSQL type, columns of tables behind it, code maps on the way. constants: not null where every value is a word of these maps, null, or one of these constants. No rows: it is no view';

CREATE FUNCTION outbox_internal.view_path(path text, previous text[])
RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN substr((regexp_match(path, '^[^.[{]+'))[1], 10) = ANY (previous) AND path ~ '^previous_' THEN substr(path, 10) ELSE path END
$$;
COMMENT ON FUNCTION outbox_internal.view_path(text, text[]) IS
'The place in the contract''s view of a field of its schema: that of previous_total is total';

CREATE FUNCTION outbox_internal.field_words(schema text, view regclass, previous text[])
RETURNS jsonb LANGUAGE sql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(jsonb_object_agg(w.name, w.words), '{}')
    FROM (SELECT format('%s %s', s.record, s.field) AS name, min(w.words::text)::jsonb AS words
          FROM outbox_internal.schema_fields(schema) s
          LEFT JOIN outbox_internal.view_fields(view) f ON f.path = outbox_internal.view_path(s.path, previous)
          LEFT JOIN LATERAL (
              SELECT jsonb_agg(DISTINCT u.word) AS words
              FROM (SELECT m.word FROM outbox_internal.code_map m WHERE m.name = ANY (f.maps)
                    UNION ALL SELECT unnest(f.constants)) u
              WHERE f.constants IS NOT NULL) w ON true
          GROUP BY 1
          -- a record that is used in several places has one definition
          HAVING count(*) = count(w.words) AND count(DISTINCT w.words) = 1) w
$$;
COMMENT ON FUNCTION outbox_internal.field_words(text, regclass, text[]) IS
'The words that text fields of a schema can have, by the code maps as they are now, for schema_json()';

CREATE FUNCTION outbox_internal.json_schema(event_type text, version int)
RETURNS jsonb LANGUAGE sql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT outbox_internal.schema_json(a.schema, outbox_internal.field_words(a.schema, v.view, coalesce(s.previous, e.previous, '{}')))
    FROM (SELECT outbox.avro_schema(json_schema.event_type, json_schema.version) AS schema) a
    LEFT JOIN outbox_internal.event_type e ON e.name = json_schema.event_type
    LEFT JOIN LATERAL (SELECT p.version, p.previous FROM outbox_internal.event_schema p
                       WHERE p.event_type_id = e.id AND p.schema = a.schema AND p.version = coalesce(json_schema.version, p.version)
                       ORDER BY p.version DESC LIMIT 1) s ON true
    LEFT JOIN LATERAL (SELECT c.view FROM outbox_internal.contract_version c
                       WHERE c.contract_id = e.contract_id AND c.version = coalesce(s.version, json_schema.version, c.version)
                       ORDER BY c.version DESC LIMIT 1) v ON true
$$;
COMMENT ON FUNCTION outbox_internal.json_schema(text, int) IS 'What outbox.json_schema() returns';

CREATE FUNCTION outbox.json_schema(event_type text, version int DEFAULT NULL)
RETURNS jsonb LANGUAGE c STABLE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'outbox_json_schema';
COMMENT ON FUNCTION outbox.json_schema(text, int) IS
'JSON Schema (draft 2020-12) of an event type''s payload as outbox.event_json shows it and sinks of JSON publish it: of a pinned version (NULL: the newest), or, before enable(), of the schema that would be pinned. Every field is required, others are not allowed. A text whose every value is a word of a code map has the words of the map as it is now. Errors: undefined_object, null_value_not_allowed';

CREATE FUNCTION outbox.annotate(target text, properties jsonb)
RETURNS void LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'outbox_annotate';
COMMENT ON FUNCTION outbox.annotate(text, jsonb) IS
'Adds to what is said of a contract (order), a version (order@2), an event type (OrderPlaced), a field of one of these (order.items.sku) or a table or column (table:public.cust.email): an object whose members replace those of the same name; null takes one away. Known: owner, domain, steward, slo, classification, tags (an array of strings), link; others are kept as well. Kept by name, also when a contract is dropped. Needs the rights that configure the contract, or TRIGGER on the table. Errors: undefined_object, invalid_parameter_value, null_value_not_allowed, invalid_name, insufficient_privilege';

CREATE FUNCTION outbox.legacy_view(contract text, version int DEFAULT NULL, over text DEFAULT NULL)
RETURNS text LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'outbox_legacy_view';
COMMENT ON FUNCTION outbox.legacy_view(text, int, text) IS
'DDL of a view legacy.<table> with the columns of the contract''s first source, out of the contract''s columns: of the view of a version (NULL: the newest), or of the relation over, which has the same columns and need not exist here. Runs nothing. What cannot be given back is NULL, and a comment says so; where a flag is taken for one of two values, too. Errors: undefined_object, undefined_table, null_value_not_allowed, invalid_name';

-- ---- the catalog ---------------------------------------------------------------------------------

CREATE VIEW outbox.catalog_field AS
SELECT c.name AS contract, e.name AS event_type, v.version, s.place, s.path, s.type, f.type AS pg_type, s.nullable, s.doc,
       ARRAY(SELECT DISTINCT t.tag FROM outbox_internal.annotation a, pg_catalog.jsonb_array_elements_text(a.value) t (tag)
             WHERE a.key = 'tags' AND (a.kind = 'contract' AND a.object = c.name AND a.field = p.field
                                       OR a.kind = 'event_type' AND a.object = e.name AND a.field = p.field
                                       OR a.kind = 'table' AND a.object || '.' || pg_catalog.quote_ident(a.field) = ANY (f.sources))
             ORDER BY t.tag) AS tags,
       coalesce(f.sources, '{}') AS sources,
       p.map AS code_map,
       (SELECT pg_catalog.jsonb_object_agg(m.code, m.word) FROM outbox_internal.code_map m WHERE m.name = p.map) AS codes,
       -- what is said last of the table's column, then of the contract's field, then of the event type's
       coalesce((SELECT pg_catalog.jsonb_object_agg(a.key, a.value ORDER BY a.kind = 'event_type', a.kind = 'contract', a.object, a.field)
                 FROM outbox_internal.annotation a
                 WHERE a.kind = 'contract' AND a.object = c.name AND a.field = p.field
                    OR a.kind = 'event_type' AND a.object = e.name AND a.field = p.field
                    OR a.kind = 'table' AND a.object || '.' || pg_catalog.quote_ident(a.field) = ANY (f.sources)), '{}') AS annotations
FROM outbox_internal.contract c
JOIN outbox_internal.event_type e ON e.contract_id = c.id
JOIN outbox_internal.contract_version v ON v.contract_id = c.id
JOIN outbox_internal.event_schema i ON i.event_type_id = e.id AND i.version = v.version
CROSS JOIN LATERAL outbox_internal.schema_fields(i.schema) s
LEFT JOIN (SELECT w.contract_id, w.version, f.* FROM outbox_internal.contract_version w, outbox_internal.view_fields(w.view) f) f
       ON f.contract_id = c.id AND f.version = v.version AND f.path = outbox_internal.view_path(s.path, i.previous)
CROSS JOIN LATERAL (SELECT pg_catalog.regexp_replace(outbox_internal.view_path(s.path, i.previous), '[][{}]', '', 'g') AS field,
                           CASE WHEN s.type = 'string' THEN f.maps[1] END AS map) p;
COMMENT ON VIEW outbox.catalog_field IS
'One row per field of each pinned schema: what it is, what is behind it, what is said of it. path: items[].sku, as in check_schemas()';
COMMENT ON COLUMN outbox.catalog_field.sources IS 'Columns of tables that the value is computed from, as schema.table.column; conditions on rows do not count';
COMMENT ON COLUMN outbox.catalog_field.tags IS 'Of annotate(): of the field, and of the columns that it is computed from';
COMMENT ON COLUMN outbox.catalog_field.codes IS 'The code map''s codes and words as they are now';

CREATE VIEW outbox.catalog AS
SELECT c.name AS contract, e.name AS event_type, v.version, v.state,
       -- a draft keeps what enable() will set for the versions before it
       CASE WHEN v.state <> 'draft' THEN v.sunset END AS sunset,
       coalesce(s.topic, e.topic) AS topic, coalesce(s.ce_type, e.ce_type) AS ce_type, r.subjects, r.registered_ids,
       c.key, c.aggregate_id AS message_key,
       n.annotations ->> 'owner' AS owner, n.annotations ->> 'domain' AS domain,
       coalesce(s.schema::jsonb ->> 'doc', pg_catalog.obj_description(v.view, 'pg_class')) AS doc,
       s.fingerprint, c.compatibility AS level,
       (SELECT coalesce(pg_catalog.jsonb_object_agg(k.name, k.expression), '{}')
        FROM outbox_internal.check_rule k WHERE k.event_type_id = e.id) AS checks,
       ARRAY(SELECT f.path FROM outbox.catalog_field f
             WHERE f.contract = c.name AND f.event_type = e.name AND f.version = v.version
             AND ('pii' = ANY (pg_catalog.lower(f.tags::text)::text[]) OR pg_catalog.lower(f.annotations ->> 'classification') = 'pii')
             ORDER BY f.place) AS pii_fields,
       coalesce(x.events_7_days, 0) AS events_7_days, x.last_event, x.example_key, n.annotations
FROM outbox_internal.contract c
JOIN outbox_internal.event_type e ON e.contract_id = c.id
JOIN outbox_internal.contract_version v ON v.contract_id = c.id
LEFT JOIN outbox_internal.event_schema s ON s.event_type_id = e.id AND s.version = v.version
CROSS JOIN LATERAL (
    SELECT coalesce(pg_catalog.jsonb_object_agg(a.key, a.value ORDER BY a.kind = 'event_type', a.kind = 'version'), '{}') AS annotations
    FROM outbox_internal.annotation a
    WHERE a.field = '' AND (a.kind = 'contract' AND a.object = c.name OR a.kind = 'version' AND a.object = c.name || '@' || v.version
                            OR a.kind = 'event_type' AND a.object = e.name)) n
CROSS JOIN LATERAL (
    SELECT coalesce(pg_catalog.jsonb_object_agg(k.name, g.subject), '{}') AS subjects,
           coalesce(pg_catalog.jsonb_object_agg(k.name, g.registered_id), '{}') AS registered_ids
    FROM outbox_internal.schema_registration g JOIN outbox_internal.sink k ON k.id = g.sink_id WHERE g.schema_id = s.id) r
LEFT JOIN (
    SELECT v.schema_id, pg_catalog.count(*) FILTER (WHERE v.occurred_at > pg_catalog.now() - interval '7 days') AS events_7_days,
           pg_catalog.max(v.occurred_at) AS last_event, pg_catalog.max(v.aggregateid COLLATE "C") AS example_key
    FROM outbox.event v GROUP BY v.schema_id) x ON x.schema_id = s.id;
COMMENT ON VIEW outbox.catalog IS
'One row per event type and version of its contract: where it goes, what it is, whose it is. Events are counted in the outbox, which is read for that; those that were recycled do not count';
COMMENT ON COLUMN outbox.catalog.sunset IS 'Until when the version is published; null: nobody has said';
COMMENT ON COLUMN outbox.catalog.subjects IS 'Sink and subject under which its schema registry has the schema; registered_ids: the ids there';
COMMENT ON COLUMN outbox.catalog.pii_fields IS 'Fields with the tag PII, or classification PII; also by the columns of tables behind them';
COMMENT ON COLUMN outbox.catalog.level IS 'What its schemas have to be compatible with';
COMMENT ON COLUMN outbox.catalog.annotations IS 'Of annotate(): of the contract, replaced by those of the version, replaced by those of the event type';
