-- Who may do what.

CREATE FUNCTION outbox.grant_access(role text, level text)
RETURNS void LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'outbox_grant_access';
COMMENT ON FUNCTION outbox.grant_access(text, text) IS
'Grants a role what belongs to a level: reader (views status, contract_cost, sinks, relay_status, metrics, writers, replays, held_events, leaf_status, leaf_sink, event_json, dead_letter, gap, ddl_check_log, contracts, contract_versions, event_types, event_schemas, source, code_map, detached_view, catalog, catalog_field, and check_schemas, commit_queue, tx_id, tx_status, wait_acked, event_status, json_schema, asyncapi, catalog_markdown, odcs, export_config), operator (also start_relay, stop_relay, pause, resume, redrive, discard, discard_held, resolve_gap, replay, cancel_replay, forget_schema_ids, registry_diff) or admin (also everything that creates, drops, enables and previews; the rights on sources and views are still needed). Adds to what the role has; DROP OWNED BY or REVOKE takes away. For the extension''s owner and superusers. Errors: invalid_parameter_value, undefined_object, insufficient_privilege';

-- Nothing for everybody, except what owners of sources and views need.

REVOKE ALL ON ALL TABLES IN SCHEMA outbox FROM PUBLIC;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA outbox FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA outbox FROM PUBLIC;
REVOKE ALL ON SCHEMA outbox FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA outbox_internal FROM PUBLIC;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA outbox_internal FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA outbox_internal FROM PUBLIC;
REVOKE ALL ON SCHEMA outbox_internal FROM PUBLIC;

-- Otherwise the owner of a source could not attach or create partitions of it, nor
-- the migration engineer create the triggers that enable() creates in his name.
GRANT USAGE ON SCHEMA outbox TO PUBLIC;
GRANT EXECUTE ON FUNCTION outbox.capture() TO PUBLIC;
GRANT EXECUTE ON FUNCTION outbox.capture_truncate() TO PUBLIC;
-- Views call it with the rights of whoever reads them.
GRANT EXECUTE ON FUNCTION outbox.decode(text, text) TO PUBLIC;
GRANT EXECUTE ON FUNCTION outbox.decode(text, bigint) TO PUBLIC;
