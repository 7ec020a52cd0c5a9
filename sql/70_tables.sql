-- The tables under the names by which users know them. To look at, by the extension's owner and superusers; updates
-- that the documentation names (outbox.sink, outbox.gap) go through, since views of one table can be written to.

CREATE VIEW outbox.contract AS SELECT * FROM outbox_internal.contract;
CREATE VIEW outbox.contract_version AS SELECT * FROM outbox_internal.contract_version;
CREATE VIEW outbox.source AS
SELECT *, outbox_internal.key_query_text(key_view) AS key_query FROM outbox_internal.source;
CREATE VIEW outbox.detached_view AS SELECT * FROM outbox_internal.detached_view;
CREATE VIEW outbox.event_type AS SELECT * FROM outbox_internal.event_type;
CREATE VIEW outbox.event_type_version AS SELECT * FROM outbox_internal.event_type_version;
CREATE VIEW outbox.check_rule AS SELECT * FROM outbox_internal.check_rule;
CREATE VIEW outbox.code_map AS SELECT * FROM outbox_internal.code_map;
CREATE VIEW outbox.annotation AS SELECT * FROM outbox_internal.annotation;
CREATE VIEW outbox.event_schema AS SELECT * FROM outbox_internal.event_schema;
CREATE VIEW outbox.leaf AS SELECT * FROM outbox_internal.leaf;
CREATE VIEW outbox.dead_letter_entry AS SELECT * FROM outbox_internal.dead_letter_entry;
CREATE VIEW outbox.gap AS SELECT * FROM outbox_internal.gap;
CREATE VIEW outbox.ddl_check_log AS SELECT * FROM outbox_internal.ddl_check_log;
CREATE VIEW outbox.sink AS SELECT * FROM outbox_internal.sink;
CREATE VIEW outbox.held_event AS SELECT * FROM outbox_internal.held_event;
CREATE VIEW outbox.blocked_route AS SELECT * FROM outbox_internal.blocked_route;
CREATE VIEW outbox.relay_progress AS SELECT * FROM outbox_internal.relay_progress;
CREATE VIEW outbox.origin AS SELECT * FROM outbox_internal.origin;
CREATE VIEW outbox.schema_registration AS SELECT * FROM outbox_internal.schema_registration;
CREATE VIEW outbox.preflight AS SELECT * FROM outbox_internal.preflight;
CREATE VIEW outbox.replay_request AS SELECT * FROM outbox_internal.replay_request;

-- Configuration as readers see it: hints lead here.

CREATE VIEW outbox.contracts AS
SELECT c.name, c.aggregate_type,
       (SELECT v.view FROM outbox_internal.contract_version v
        WHERE v.contract_id = c.id AND v.detached_view IS NULL AND v.state <> 'retired' ORDER BY v.state = 'draft', v.line LIMIT 1) AS view,
       (SELECT pg_catalog.array_agg(s.relation ORDER BY s.role = 'child', s.relation::text)
        FROM outbox_internal.source s WHERE s.contract_id = c.id) AS sources,
       c.key, c.aggregate_id, c.required, c.namespace, c.evaluate, c.on_invalid, c.on_truncate, c.enabled, c.created_at,
       c.compatibility
FROM outbox_internal.contract c;
COMMENT ON VIEW outbox.contracts IS 'One row per contract, as it is configured; outbox.status says how it does';

CREATE VIEW outbox.contract_versions AS
SELECT c.name AS contract, v.version, CASE WHEN v.detached_view IS NULL THEN v.view END AS view, v.state, v.publish, v.suffix,
       coalesce(v.required, c.required) AS required, v.sunset, v.created_at, v.activated_at, v.retired_at
FROM outbox_internal.contract c
JOIN outbox_internal.contract_version v ON v.contract_id = c.id;
COMMENT ON VIEW outbox.contract_versions IS 'One row per version of a contract: draft, active or retired';

CREATE VIEW outbox.event_types AS
SELECT e.name, c.name AS contract, e.emit, e.condition, e.previous, e.topic, e.ce_type, e.tombstone,
       (SELECT coalesce(pg_catalog.jsonb_object_agg(r.name, r.expression), '{}')
        FROM outbox_internal.check_rule r WHERE r.event_type_id = e.id) AS checks,
       e.created_at, e.headers, e.actor
FROM outbox_internal.event_type e
JOIN outbox_internal.contract c ON c.id = e.contract_id;
COMMENT ON VIEW outbox.event_types IS 'One row per event type, with its checks';

CREATE VIEW outbox.event_schemas AS
SELECT id, contract, event_type, version, topic, ce_type, previous, schema, fingerprint, created_at,
       record, key, aggregate_id, emit, tombstone, forgotten_at, forgotten_by, forgotten_reason
FROM outbox_internal.event_schema;
COMMENT ON VIEW outbox.event_schemas IS 'Pinned Avro schemas, also of event types that were dropped: what new schemas are compared with';
