-- Sinks: configured brokers.

CREATE FUNCTION outbox.create_sink(name text, library text, options jsonb DEFAULT '{}', start_at text DEFAULT 'earliest',
                                   on_reject text DEFAULT 'block_key', or_replace boolean DEFAULT false)
RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'outbox_create_sink';
COMMENT ON FUNCTION outbox.create_sink(text, text, jsonb, text, text, boolean) IS
'Configures a broker. library: bare name of a sink library listed in outbox.sink_libraries. options: object of strings, numbers, booleans or {"file": "/path"}, checked by the library. Give passwords and keys as {"file": "/path"}: a file is read again when the sink has trouble and at a reload, and its content is in no table, dump or statement log; views mask options that look like secrets all the same. An option that names a file itself (its last word is location, file, path, keytab) is for members of pg_read_server_files, too; a URL must be of a host that outbox.http_hosts has, if that is set. start_at: earliest (every event that is kept) or now (events after this moment). on_reject: what follows an event that the broker rejects, which becomes a dead letter of stage publish: block_key (later events of its aggregate wait until it is redriven or discarded, others go on), skip (all go on), stop (the relay stops there, no dead letter). The sink is created stopped. or_replace: if it is there already, it gets these options and this on_reject, and stays in the state that it is in; library and start_at cannot change. Errors: invalid_name, duplicate_object, invalid_object_definition, invalid_parameter_value, insufficient_privilege';
REVOKE ALL ON FUNCTION outbox.create_sink(text, text, jsonb, text, text, boolean) FROM PUBLIC;

CREATE FUNCTION outbox_internal.check_sink_options()
RETURNS trigger LANGUAGE c AS 'MODULE_PATHNAME', 'outbox_check_sink_options';
COMMENT ON FUNCTION outbox_internal.check_sink_options() IS
'Trigger: for an UPDATE of a sink''s options the rules of create_sink() hold: on files of the server, on outbox.http_hosts, and on options with which the sink would break a promise. Returns silently in a logical replication worker';
REVOKE ALL ON FUNCTION outbox_internal.check_sink_options() FROM PUBLIC;
CREATE TRIGGER check_options BEFORE UPDATE OF library, options ON outbox_internal.sink
    FOR EACH ROW EXECUTE FUNCTION outbox_internal.check_sink_options();
ALTER TABLE outbox_internal.sink ENABLE ALWAYS TRIGGER check_options;
COMMENT ON TRIGGER check_options ON outbox_internal.sink IS 'Files, hosts, and options with which the sink would break a promise are refused as create_sink() refuses them';

CREATE FUNCTION outbox.drop_sink(name text)
RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'outbox_drop_sink';
COMMENT ON FUNCTION outbox.drop_sink(text) IS
'Forgets a stopped sink and its position. Events are no longer kept for it. Errors: undefined_object, object_in_use';
REVOKE ALL ON FUNCTION outbox.drop_sink(text) FROM PUBLIC;

CREATE FUNCTION outbox.registry_diff(
    INOUT sink text DEFAULT NULL, OUT subject text, OUT what text, OUT ours text, OUT theirs text, OUT advice text)
RETURNS SETOF record
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'outbox_registry_diff';
COMMENT ON FUNCTION outbox.registry_diff(text) IS
'What the schema registry of a sink (null: of every sink) has otherwise than it should; no rows: nothing. what: missing (the schema is not registered under its subject), deleted (it was), other id (than the one that is remembered), different text (readers would get other values), extra version (one that this database has not pinned; the newest 20 are looked at), weaker level (than the contract''s), unreachable (subject is null: the registry gave no answer of use; theirs says why). Asks over HTTP with the sink''s credentials, changes nothing, and gives up after 5 seconds for each sink. Errors: undefined_object';
REVOKE ALL ON FUNCTION outbox.registry_diff(text) FROM PUBLIC;

CREATE FUNCTION outbox.push_level(sink text)
RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'outbox_push_level';
COMMENT ON FUNCTION outbox.push_level(text) IS
'Makes the compatibility levels of enabled contracts those of their subjects in the sink''s schema registry, at once: it is not undone by a rollback. Errors: undefined_object, feature_not_supported (the sink has no registry), external_routine_exception (the registry refuses it, or gives no answer of use within 5 seconds)';
REVOKE ALL ON FUNCTION outbox.push_level(text) FROM PUBLIC;

CREATE FUNCTION outbox.forget_schema_ids(sink text)
RETURNS bigint
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'outbox_forget_schema_ids';
COMMENT ON FUNCTION outbox.forget_schema_ids(text) IS
'Forgets the ids that schema registries assigned for this sink. Its relay asks the registry again within a second. Call it after a registry was restored or set up anew. Returns how many ids were forgotten. Errors: undefined_object';
REVOKE ALL ON FUNCTION outbox.forget_schema_ids(text) FROM PUBLIC;
