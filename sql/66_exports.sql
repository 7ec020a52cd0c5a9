-- Documents for consumers and catalogues. Each is one query over the catalog; outbox.<name>() runs it (documents_sql.c).

CREATE FUNCTION outbox_internal.asyncapi(servers jsonb)
RETURNS jsonb LANGUAGE sql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
    WITH events AS (
        SELECT c.*, s.schema, t.tombstone, k.aggregate_type, c.event_type || CASE WHEN n.versions > 1 THEN '.v' || c.version ELSE '' END AS id
        FROM outbox.catalog c
        JOIN outbox_internal.contract k ON k.name = c.contract
        JOIN outbox_internal.event_type t ON t.name = c.event_type
        JOIN outbox_internal.event_schema s ON s.event_type_id = t.id AND s.version = c.version
        CROSS JOIN LATERAL (SELECT count(*) AS versions FROM outbox_internal.event_schema p
                            JOIN outbox_internal.contract_version v ON v.contract_id = k.id AND v.version = p.version AND v.state = 'active'
                            WHERE p.event_type_id = t.id) n
        WHERE c.state = 'active'
    ), topics AS (
        -- a topic's name may have characters that make a reference another one; two that differ in these alone get numbers
        SELECT e.topic, regexp_replace(e.topic, '[^A-Za-z0-9_.-]', '_', 'g')
                   || coalesce('_' || nullif(row_number() OVER (PARTITION BY regexp_replace(e.topic, '[^A-Za-z0-9_.-]', '_', 'g') ORDER BY e.topic COLLATE "C"), 1), '') AS id, array_agg(e.id ORDER BY e.id) AS messages,
               string_agg(DISTINCT e.aggregate_type, ', ' ORDER BY e.aggregate_type) AS about,
               bool_or(e.tombstone <> 'none') AS tombstones
        FROM events e GROUP BY e.topic
    )
    SELECT jsonb_build_object(
        'asyncapi', '3.0.0',
        'id', 'urn:outbox:' || regexp_replace(o.database, '[^A-Za-z0-9_.-]', '_', 'g'),
        'info', jsonb_build_object(
            'title', 'Events of ' || o.database,
            'version', '1.' || (SELECT count(*) FROM outbox_internal.event_schema)::text || '.0',
            'description', 'Changes in the tables of database ' || o.database || ', captured in the same transaction and published at least once, in order for each message key.'),
        'defaultContentType', 'application/avro',
        'servers', servers,
        'channels', (SELECT coalesce(jsonb_object_agg(t.id, jsonb_strip_nulls(jsonb_build_object(
                'address', t.topic,
                'parameters', (SELECT jsonb_object_agg(p[1], jsonb_build_object('description', 'Column of the contract'))
                               FROM regexp_matches(t.topic, '[{]([A-Za-z0-9_-]+)[}]', 'g') p),
                'description', 'Events of ' || t.about || CASE WHEN t.tombstones THEN '. A message without a value says that the row of its key is gone.' ELSE '' END,
                'messages', (SELECT jsonb_object_agg(m, jsonb_build_object('$ref', '#/components/messages/' || m)) FROM unnest(t.messages) m),
                'bindings', jsonb_build_object('kafka', jsonb_build_object('topic', t.topic, 'bindingVersion', '0.5.0'))))), '{}') FROM topics t),
        'operations', (SELECT coalesce(jsonb_object_agg('publish_' || t.id, jsonb_build_object(
                'action', 'send',
                'channel', jsonb_build_object('$ref', '#/channels/' || t.id),
                'messages', (SELECT jsonb_agg(jsonb_build_object('$ref', '#/channels/' || t.id || '/messages/' || m)) FROM unnest(t.messages) m))), '{}') FROM topics t),
        'components', jsonb_build_object(
            'messages', (SELECT coalesce(jsonb_object_agg(e.id, jsonb_strip_nulls(jsonb_build_object(
                'name', e.ce_type,
                'title', e.event_type,
                'summary', e.doc,
                'contentType', 'application/avro',
                'traits', jsonb_build_array(jsonb_build_object('$ref', '#/components/messageTraits/cloudEvents')),
                'bindings', jsonb_build_object('kafka', jsonb_build_object('bindingVersion', '0.5.0',
                    'key', jsonb_build_object('type', 'string', 'description', array_to_string(e.message_key, ', ')))),
                'tags', (SELECT jsonb_agg(jsonb_build_object('name', g)) FROM jsonb_array_elements_text(e.annotations -> 'tags') g),
                'externalDocs', CASE WHEN e.annotations ->> 'link' ~ '^https?://' THEN jsonb_build_object('url', e.annotations ->> 'link') END,
                'x-contract', e.contract, 'x-version', e.version, 'x-owner', e.owner, 'x-domain', e.domain,
                'x-sunset', to_char(e.sunset AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')))
                -- nulls in a schema are its own
                || jsonb_build_object('payload', jsonb_build_object(
                    'schemaFormat', 'application/vnd.apache.avro+json;version=1.9.0', 'schema', e.schema::jsonb))), '{}') FROM events e),
            'messageTraits', jsonb_build_object('cloudEvents', jsonb_build_object(
                'headers', jsonb_build_object('type', 'object',
                    'properties', (SELECT jsonb_object_agg(h.name, jsonb_build_object('type', 'string', 'description', h.what))
                                   FROM (VALUES ('ce_specversion', 'Version of CloudEvents: 1.0'), ('ce_id', 'UUID version 7, the same for every delivery'),
                                                ('ce_source', 'Where it comes from'), ('ce_type', 'What happened'), ('ce_time', 'When, in RFC 3339'),
                                                ('ce_subject', 'Message key'), ('ce_partitionkey', 'Message key'), ('ce_sequence', 'Grows within a message key'),
                                                ('ce_dataschema', 'Where the schema is'), ('ce_sunset', 'Until when this version is published'),
                                                ('ce_changeid', 'ce_id of the same change in the lowest version'), ('traceparent', 'W3C trace context')) h (name, what)))))))
    FROM outbox_internal.origin o
$$;
COMMENT ON FUNCTION outbox_internal.asyncapi(jsonb) IS 'What outbox.asyncapi() returns';

CREATE FUNCTION outbox.asyncapi(servers jsonb DEFAULT '{}')
RETURNS jsonb LANGUAGE c STABLE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'outbox_asyncapi';
COMMENT ON FUNCTION outbox.asyncapi(jsonb) IS
'AsyncAPI 3.0.0 document of all versions that are published: a channel for each topic, a message for each event type with its pinned Avro schema, message key and CloudEvents headers, and x-owner, x-domain, x-sunset, x-contract, x-version. servers: what stands under servers there. Errors: invalid_parameter_value';

CREATE FUNCTION outbox_internal.markdown(words text)
RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT regexp_replace(regexp_replace(btrim(words), '\s+', ' ', 'g'), '([]\\`*_{}[<>#|~])', '\\\1', 'g')
$$;
COMMENT ON FUNCTION outbox_internal.markdown(text) IS 'A text as Markdown that shows it as it is, on one line';

CREATE FUNCTION outbox_internal.catalog_markdown()
RETURNS text LANGUAGE sql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
    WITH events AS (
        SELECT c.*, c.event_type || CASE WHEN count(*) OVER (PARTITION BY c.event_type) > 1 THEN ' version ' || c.version ELSE '' END AS title
        FROM outbox.catalog c WHERE c.state <> 'retired'
    ), fields AS (
        SELECT f.contract, f.event_type, f.version,
               string_agg(format(E'| `%s` | %s%s | %s | %s | %s |\n', f.path, outbox_internal.markdown(f.type), CASE WHEN f.nullable THEN ' or null' ELSE '' END,
                                 coalesce(outbox_internal.markdown(f.doc), ''), outbox_internal.markdown(array_to_string(f.sources, ', ')),
                                 outbox_internal.markdown(concat_ws('; ', nullif(array_to_string(f.tags, ', '), ''),
                                     (SELECT 'one of ' || string_agg(DISTINCT w.value, ', ' ORDER BY w.value) FROM jsonb_each_text(f.codes) w)))),
                          '' ORDER BY f.place) AS rows
        FROM outbox.catalog_field f GROUP BY 1, 2, 3
    ), sections AS (
        SELECT e.contract, string_agg(concat(
            E'\n### ', outbox_internal.markdown(e.title), E'\n\n',
            CASE WHEN e.state <> 'active' THEN format(E'**%s**\n\n', e.state) END,
            outbox_internal.markdown(e.doc) || E'\n\n',
            E'| | |\n| --- | --- |\n',
            format(E'| Topic | `%s` |\n| CloudEvents type | `%s` |\n| Message key | %s |\n', e.topic, e.ce_type, outbox_internal.markdown(array_to_string(e.message_key, ', '))),
            CASE WHEN e.condition IS NOT NULL THEN format(E'| When | %s, %s |\n', e.emit, outbox_internal.markdown(e.condition)) ELSE format(E'| When | %s |\n', e.emit) END,
            (SELECT format(E'| Checks | %s |\n', string_agg(outbox_internal.markdown(k.key || ': ' || k.value), ', ' ORDER BY k.key)) FROM jsonb_each_text(e.checks) k HAVING count(*) > 0),
            '| Owner | ' || outbox_internal.markdown(e.owner) || E' |\n', '| Domain | ' || outbox_internal.markdown(e.domain) || E' |\n',
            CASE WHEN e.sunset IS NOT NULL THEN format(E'| Published until | %s |\n', to_char(e.sunset AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI "UTC"')) END,
            CASE WHEN e.pii_fields <> '{}' THEN format(E'| Personal data | %s |\n', outbox_internal.markdown(array_to_string(e.pii_fields, ', '))) END,
            '| Fingerprint | ' || e.fingerprint || E' |\n',
            E'\n| Field | Type | Meaning | Source | Remarks |\n| --- | --- | --- | --- | --- |\n' || f.rows), '' ORDER BY e.event_type COLLATE "C", e.version) AS text
        FROM (SELECT e.*, t.condition, t.emit FROM events e JOIN outbox_internal.event_type t ON t.name = e.event_type) e
        LEFT JOIN fields f USING (contract, event_type, version) GROUP BY 1
    )
    SELECT rtrim(concat(E'# Events of ', outbox_internal.markdown(o.database), E'\n\n| Event type | Contract | Topic | Owner | Meaning |\n| --- | --- | --- | --- | --- |\n',
        (SELECT string_agg(format(E'| [%s](#%s) | [%s](#contract-%s) | `%s` | %s | %s |\n', outbox_internal.markdown(e.title), replace(lower(e.title), ' ', '-'),
                                  outbox_internal.markdown(e.contract), lower(e.contract), e.topic, coalesce(outbox_internal.markdown(e.owner), ''), coalesce(outbox_internal.markdown(e.doc), '')),
                           '' ORDER BY e.contract COLLATE "C", e.event_type COLLATE "C", e.version) FROM events e),
        (SELECT string_agg(concat(E'\n## Contract ', outbox_internal.markdown(s.contract), E'\n', s.text), '' ORDER BY s.contract COLLATE "C") FROM sections s)), E'\n')
    FROM outbox_internal.origin o
$$;
COMMENT ON FUNCTION outbox_internal.catalog_markdown() IS 'What outbox.catalog_markdown() returns';

CREATE FUNCTION outbox.catalog_markdown()
RETURNS text LANGUAGE c STABLE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'outbox_catalog_markdown';
COMMENT ON FUNCTION outbox.catalog_markdown() IS
'The catalog as a page in Markdown: a table of the event types, and a section for each with its fields, their meaning, and the columns of tables behind them. Retired versions are left out';

CREATE FUNCTION outbox_internal.odcs_properties(event_type text, version int, prefix text, key text[])
RETURNS jsonb LANGUAGE sql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
    -- a field of the record at prefix, and what its type is
    SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
        'name', f.name, 'description', f.doc, 'physicalType', f.type, 'required', NOT f.nullable,
        'primaryKey', CASE WHEN f.path = ANY (key) THEN true END, 'primaryKeyPosition', array_position(key, f.path),
        'logicalType', CASE WHEN f.type LIKE 'array<%' THEN 'array' ELSE f.logical END,
        'items', CASE WHEN f.type LIKE 'array<%' THEN jsonb_build_object('logicalType', f.logical) || coalesce(jsonb_build_object('properties', f.inner), '{}') END,
        'properties', CASE WHEN f.type NOT LIKE 'array<%' THEN f.inner END,
        'classification', f.annotations ->> 'classification',
        'tags', CASE WHEN f.tags <> '{}' THEN to_jsonb(f.tags) END,
        'transformSourceObjects', CASE WHEN f.sources <> '{}' THEN to_jsonb(f.sources) END)) ORDER BY f.place)
    FROM (
        SELECT c.*, substr(c.path, length(prefix) + 1) AS name, n.inner,
               CASE WHEN n.inner IS NOT NULL OR c.type LIKE 'map<%' THEN 'object'
                    WHEN t.type IN ('int', 'long') THEN 'integer' WHEN t.type IN ('float', 'double') OR t.type LIKE 'decimal(%' THEN 'number'
                    WHEN t.type = 'boolean' THEN 'boolean' WHEN t.type = 'date' THEN 'date' WHEN t.type = 'timestamp-micros' THEN 'timestamp'
                    WHEN t.type = 'time-micros' THEN 'time' ELSE 'string' END AS logical
        FROM outbox.catalog_field c
        CROSS JOIN LATERAL (SELECT regexp_replace(c.type, '^array<(.*)>$', '\1') AS type) t
        CROSS JOIN LATERAL (SELECT CASE WHEN EXISTS (SELECT FROM outbox.catalog_field d WHERE d.event_type = c.event_type AND d.version = c.version
                                                     AND starts_with(d.path, c.path || CASE WHEN c.type LIKE 'array<%' THEN '[].' ELSE '.' END))
                                        THEN outbox_internal.odcs_properties(c.event_type, c.version, c.path || CASE WHEN c.type LIKE 'array<%' THEN '[].' ELSE '.' END, '{}') END AS inner) n
        WHERE c.event_type = odcs_properties.event_type AND c.version = odcs_properties.version
          AND starts_with(c.path, prefix) AND substr(c.path, length(prefix) + 1) ~ '^[^.[{]+$') f
$$;
COMMENT ON FUNCTION outbox_internal.odcs_properties(text, int, text, text[]) IS 'The fields at a place of a pinned schema, for odcs()';

CREATE FUNCTION outbox_internal.odcs(contract text)
RETURNS jsonb LANGUAGE sql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT jsonb_strip_nulls(jsonb_build_object(
        'apiVersion', 'v3.1.0', 'kind', 'DataContract',
        'id', format('urn:outbox:%s:%s', regexp_replace(o.database, '[^A-Za-z0-9_.-]', '_', 'g'), c.name),
        'name', c.name, 'version', v.version || '.0.0', 'status', CASE WHEN v.state = 'draft' THEN 'draft' WHEN c.enabled THEN 'active' ELSE 'deprecated' END,
        'domain', a.annotations ->> 'domain', 'dataProduct', a.annotations ->> 'dataProduct',
        'description', CASE WHEN obj_description(v.view, 'pg_class') IS NOT NULL THEN jsonb_build_object('purpose', obj_description(v.view, 'pg_class')) END,
        'tags', a.annotations -> 'tags',
        'team', CASE WHEN a.annotations ? 'owner' THEN jsonb_build_object('name', a.annotations ->> 'owner') END,
        'authoritativeDefinitions', CASE WHEN a.annotations ? 'link' THEN jsonb_build_array(jsonb_build_object('type', 'documentation', 'url', a.annotations ->> 'link')) END,
        'schema', (SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
                'name', e.event_type, 'physicalName', e.topic, 'physicalType', 'topic', 'logicalType', 'object', 'description', e.doc,
                'dataGranularityDescription', 'one message for each change of a row',
                'tags', e.annotations -> 'tags',
                'customProperties', jsonb_build_array(jsonb_build_object('property', 'ceType', 'value', e.ce_type), jsonb_build_object('property', 'fingerprint', 'value', e.fingerprint::text)),
                'properties', outbox_internal.odcs_properties(e.event_type, e.version, '', e.key))) ORDER BY e.event_type COLLATE "C")
            FROM outbox.catalog e WHERE e.contract = c.name AND e.version = v.version AND e.fingerprint IS NOT NULL)))
    FROM outbox_internal.contract c
    CROSS JOIN outbox_internal.origin o
    CROSS JOIN LATERAL (SELECT w.* FROM outbox_internal.contract_version w WHERE w.contract_id = c.id ORDER BY w.state = 'active' DESC, w.version DESC LIMIT 1) v
    CROSS JOIN LATERAL (SELECT coalesce(jsonb_object_agg(n.key, n.value), '{}') AS annotations FROM outbox_internal.annotation n
                        WHERE n.kind = 'contract' AND n.object = c.name AND n.field = '') a
    WHERE c.name = odcs.contract
$$;
COMMENT ON FUNCTION outbox_internal.odcs(text) IS 'What outbox.odcs() returns';

CREATE FUNCTION outbox.odcs(contract text)
RETURNS jsonb LANGUAGE c STABLE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'outbox_odcs';
COMMENT ON FUNCTION outbox.odcs(text) IS
'The contract in the Open Data Contract Standard 3.1 (JSON is YAML), of the newest version that is published: an object for each event type, its fields with tags, classification and the columns of tables behind them. Errors: undefined_object, null_value_not_allowed';
