-- Contracts and event types: the functions of a migration file.

CREATE FUNCTION outbox.create_contract(
    name text, view text, source text, key text[],
    required text[] DEFAULT NULL, aggregate_type text DEFAULT NULL, aggregate_id text[] DEFAULT NULL,
    evaluate text DEFAULT NULL, on_invalid text DEFAULT 'dead_letter', on_truncate text DEFAULT 'gap', compatibility text DEFAULT NULL,
    or_replace boolean DEFAULT false)
RETURNS void LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'outbox_create_contract';
COMMENT ON FUNCTION outbox.create_contract(text, text, text, text[], text[], text, text[], text, text, text, text, boolean) IS
'Declares a view as a contract. view and source are names as search_path has them; key, aggregate_id and required are columns of the view. required: never null in an event, fields of nested rows (items.sku) included (default: the key). aggregate_type: default the name. aggregate_id: the message key, default the key. The Avro namespace is outbox.namespace, or where that is empty the name of the database, a dot, and the name of the contract; it cannot be changed. evaluate: row (from the changed row of the source) or commit (the view is read once per key when the transaction commits), NULL = row where the view allows it. on_invalid: dead_letter or abort. on_truncate: gap or reject, for rows that appear or vanish without row triggers (TRUNCATE; ATTACH, DETACH and DROP of a partition). compatibility: NONE, BACKWARD, FORWARD, FULL (default) or one of these with _TRANSITIVE: how its schemas are compared with those that were pinned before. or_replace: if it is there already, the call makes it what it says, as alter_contract() does, and does nothing at all where it is that; what cannot change raises invalid_object_definition. Raises when the key is not proven unique, a type has no Avro form, or the view cannot be read by its key through indexes; the hint is the remedy.';

CREATE FUNCTION outbox.add_source(contract text, source text, key_query text, max_fanout int DEFAULT 1000,
    or_replace boolean DEFAULT false)
RETURNS void LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'outbox_add_source';
COMMENT ON FUNCTION outbox.add_source(text, text, text, int, boolean) IS
'Lets changes of another table touch rows of a contract that is evaluated at commit. key_query: which ones, as a select list over row.<column> (row.ordr_no), or a SELECT, names outside pg_catalog qualified; it gives the columns of the first source behind the contract''s key, in key order, for the row before and the row after. max_fanout: how many rows one changed row may touch (1 to 1000000). or_replace: if it is a source already, the call gives it this key_query and max_fanout. On an enabled contract live at commit.';

CREATE FUNCTION outbox_internal.key_query_text(view regclass)
RETURNS text LANGUAGE c STABLE PARALLEL SAFE STRICT
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'outbox_key_query_text';
COMMENT ON FUNCTION outbox_internal.key_query_text(regclass) IS
'The key_query that this view keeps, as add_source() takes it, with the present names of tables and columns; NULL when the view is not there';

CREATE FUNCTION outbox.drop_contract(name text)
RETURNS void LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'outbox_drop_contract';
COMMENT ON FUNCTION outbox.drop_contract(text) IS
'Removes a contract, its event types and its triggers. Events that are already in the outbox are still published.';

CREATE FUNCTION outbox.create_event_type(
    name text, contract text, emit text,
    condition text DEFAULT NULL, previous text[] DEFAULT NULL, topic text DEFAULT NULL,
    ce_type text DEFAULT NULL, tombstone text DEFAULT 'none', versions int[] DEFAULT NULL,
    headers text[] DEFAULT NULL, actor boolean DEFAULT false, or_replace boolean DEFAULT false)
RETURNS void LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'outbox_create_event_type';
COMMENT ON FUNCTION outbox.create_event_type(text, text, text, text, text[], text, text, text, int[], text[], boolean, boolean) IS
'Declares a transition of a contract''s row as an event. emit: created, changed, deleted or always. condition: SQL over old.<column> and new.<column>, names outside pg_catalog qualified. previous: columns whose former value is added as previous_<column>. topic: default the aggregate type. tombstone: none, after or instead (emit deleted only). versions: those of the contract that have it, default all. headers: columns whose values are also headers of the message, as text in UTF-8, without prefix; null: no header. actor: the header ce_actor says who made the change, outbox.actor or else session_user. or_replace: if it is there already, the call makes it what it says, as alter_event_type() does, and does nothing at all where it is that; what cannot change raises invalid_object_definition. On an enabled contract it is live at commit.';

CREATE FUNCTION outbox.drop_event_type(name text)
RETURNS void LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'outbox_drop_event_type';
COMMENT ON FUNCTION outbox.drop_event_type(text) IS
'Removes an event type. Events that are already in the outbox are still published.';

CREATE FUNCTION outbox.add_check(event_type text, name text, expression text, versions int[] DEFAULT NULL, or_replace boolean DEFAULT false)
RETURNS void LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'outbox_add_check';
COMMENT ON FUNCTION outbox.add_check(text, text, text, int[], boolean) IS
'Adds a rule to an event type: a boolean expression over the columns of the published row, old.<column> and new.<column>. Evaluated after the condition; false makes a dead letter of stage check, NULL passes. versions: those of the contract that it is a rule of, default all, also later ones. or_replace: a check of that name gets this expression. Live at commit.';

CREATE FUNCTION outbox.drop_check(event_type text, name text)
RETURNS void LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'outbox_drop_check';
COMMENT ON FUNCTION outbox.drop_check(text, text) IS 'Removes a rule from an event type. Live at commit.';

CREATE FUNCTION outbox.create_code_map(name text, codes jsonb, or_replace boolean DEFAULT false)
RETURNS void LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'outbox_create_code_map';
COMMENT ON FUNCTION outbox.create_code_map(text, jsonb, boolean) IS
'Declares legacy codes and their canonical words, an object of strings: {"N": "PLACED"}. or_replace: a map of that name gets these codes and no others; it is changed by members of the role that it belongs to. The map belongs to the role that creates it.';

CREATE FUNCTION outbox.drop_code_map(name text)
RETURNS void LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'outbox_drop_code_map';
COMMENT ON FUNCTION outbox.drop_code_map(text) IS
'Removes a code map. Only members of the role that created it and superusers may do so. From the commit on outbox.decode() gives NULL for its codes. The commit raises dependent_objects_still_exist when an enabled contract names the map and it was not created again.';

CREATE FUNCTION outbox.decode(map text, code text)
RETURNS text LANGUAGE c STABLE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'outbox_decode_text';
COMMENT ON FUNCTION outbox.decode(text, text) IS
'The canonical word for a legacy code; NULL when the map does not have it. Blanks count: trim char(n) codes with btrim() if they are padded.';

CREATE FUNCTION outbox.decode(map text, code bigint)
RETURNS text LANGUAGE c STABLE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'outbox_decode_bigint';
COMMENT ON FUNCTION outbox.decode(text, bigint) IS
'The canonical word for a numeric legacy code; NULL when the map does not have it';

CREATE FUNCTION outbox.enable(contract text)
RETURNS void LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'outbox_enable';
COMMENT ON FUNCTION outbox.enable(text) IS
'Pins the Avro schemas of the contract''s event types, puts its triggers on its sources, and captures from the commit on. Raises invalid_parameter_value when a schema is not compatible with those that were pinned before under its topic and name (see check_compatibility). Asks the schema registries of all sinks whether they would take the schemas, for five seconds at most: raises external_routine_exception when one refuses; status tells of one that gave no answer of use. Raises undefined_object when the contract names code maps that do not exist. The first time it takes SHARE ROW EXCLUSIVE on each source, later SHARE UPDATE EXCLUSIVE on the contract''s source. It asks for the locks in short attempts, and raises lock_not_available when a source stays in use.';

CREATE FUNCTION outbox.disable(contract text)
RETURNS void LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'outbox_disable';
COMMENT ON FUNCTION outbox.disable(text) IS
'Stops capture of the contract at commit. Takes no lock on the source; the triggers stay and cost next to nothing.';

CREATE FUNCTION outbox.add_version(
    contract text, view text DEFAULT NULL, publish text DEFAULT NULL, suffix text DEFAULT NULL,
    required text[] DEFAULT NULL, sunset timestamptz DEFAULT NULL)
RETURNS int LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'outbox_add_version';
COMMENT ON FUNCTION outbox.add_version(text, text, text, text, text[], timestamptz) IS
'Makes a draft of a contract''s next version and returns its number; enable() publishes it. view: default the present one, as it is now. publish: instead (of the version before it, in the same topics; its consumers must be able to read it), beside (in topics of its own: topic and suffix, default .v<number>; Avro namespace and ce_type get .v<number>), NULL = instead where that is compatible. required: as in create_contract(), default as before. sunset: when the versions before it are going to be retired, in header ce_sunset of their messages. Errors: undefined_object, duplicate_object (there is a draft), object_not_in_prerequisite_state (detached), invalid_parameter_value (another key, suffix of a version instead), undefined_table, wrong_object_type, insufficient_privilege, and what create_contract() raises for the view';

CREATE FUNCTION outbox.drop_version(contract text, version int)
RETURNS void LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'outbox_drop_version';
COMMENT ON FUNCTION outbox.drop_version(text, int) IS
'Removes a draft of a version. Errors: undefined_object, object_not_in_prerequisite_state (it is published, or the contract has no other)';

CREATE FUNCTION outbox_internal.version_waits(contract text, version int)
RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT min(k.name) FROM outbox_internal.sink k LEFT JOIN outbox_internal.relay_progress p ON p.sink_id = k.id
    WHERE EXISTS (SELECT FROM outbox_internal.event_schema s JOIN outbox.event e ON e.schema_id = s.id
                  WHERE s.contract = version_waits.contract AND s.version = version_waits.version
                  AND NOT coalesce(pg_visible_in_snapshot(e.xid, p.start_snap), false)
                  AND NOT coalesce(pg_visible_in_snapshot(e.xid, p.snap_last), false)
                  AND NOT coalesce(pg_visible_in_snapshot(e.xid, p.snap_cur) AND e.seq <= p.cursor, false))
       OR EXISTS (SELECT FROM outbox_internal.event_schema s JOIN outbox_internal.held_event h ON h.schema_id = s.id
                  WHERE h.sink_id = k.id AND s.contract = version_waits.contract AND s.version = version_waits.version)
$$;
COMMENT ON FUNCTION outbox_internal.version_waits(text, int) IS
'A sink that has not acknowledged all events of a version of a contract; null: there is none. Reads all events';

CREATE FUNCTION outbox.retire_version(contract text, version int, force boolean DEFAULT false)
RETURNS void LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'outbox_retire_version';
COMMENT ON FUNCTION outbox.retire_version(text, int, boolean) IS
'Ends a version at commit: its topics get no more events; those in the outbox are still published. Raises object_not_in_prerequisite_state for the only active version, a draft, and without force before the sunset and while a sink has not acknowledged all events of the version';

CREATE FUNCTION outbox.preview(
    contract text, event_type text DEFAULT NULL, max_rows int DEFAULT 10, version int DEFAULT NULL,
    OUT event_type text, OUT emit text, OUT topic text, OUT key text,
    OUT headers jsonb, OUT payload jsonb, OUT error text)
RETURNS SETOF record LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'outbox_preview';
COMMENT ON FUNCTION outbox.preview(text, text, int, int) IS
'What the first max_rows rows of the source that are in the view would be published as, one result row per event type; error says why a row could not be; headers are those that the row decides. Conditions are not applied and the row before counts as unknown. version: a draft or an active one, default the first active one. Writes nothing.';

CREATE FUNCTION outbox.validate(
    contract text, version int DEFAULT NULL,
    OUT event_type text, OUT stage text, OUT sqlstate text, OUT error text, OUT rows bigint, OUT example_key jsonb)
RETURNS SETOF record LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'outbox_validate';
COMMENT ON FUNCTION outbox.validate(text, int) IS
'Tries a contract on every row of its source and counts what would become a dead letter, by event type, stage and kind of error, with the key of the first such row. No result row: all is well. stage: map: the contract''s row or key could not be computed; condition: the condition of the event type raised an error; check: a check is false; encode: the row has no Avro form, such as a NULL in a required column; size: the event is larger than outbox.max_message_bytes; source: a table that the view reads and that is no source. Rows with sqlstate 01000 are no dead letters: they have codes that are published as null. Missing code maps, a key that is not proven unique any more, and tables that are no sources are named with 0 rows. event_type is null when the row itself cannot be mapped. Conditions and checks of emit changed are not evaluated, because the row before is not known. version: a draft or an active one, default the first active one. Memory is bounded; writes nothing.';

CREATE FUNCTION outbox.avro_schema(event_type text, version int DEFAULT NULL)
RETURNS text LANGUAGE c STABLE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'outbox_avro_schema';
COMMENT ON FUNCTION outbox.avro_schema(text, int) IS
'The Avro schema of an event type as JSON text: the pinned one of that version (NULL: the newest), or, of a draft, the one that would be pinned.';

CREATE FUNCTION outbox.alter_contract(
    name text, required text[] DEFAULT NULL, on_invalid text DEFAULT NULL, on_truncate text DEFAULT NULL,
    compatibility text DEFAULT NULL, max_fanout int DEFAULT NULL, source text DEFAULT NULL)
RETURNS void LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'outbox_alter_contract';
COMMENT ON FUNCTION outbox.alter_contract(text, text[], text, text, text, int, text) IS
'Changes a contract; what is NULL stays as it is, and ''DEFAULT'' is what create_contract() takes when nothing is said. required: all columns and fields that are never null from now on, the key is among them anyway. It changes the schemas: of a contract that was enabled they are pinned as its next version, in the place of the present one, or refused when check_compatibility() would show an error. max_fanout: of source, or of every source that add_source() added. Live at commit. Errors: undefined_object, undefined_table, undefined_column, duplicate_column, invalid_parameter_value, insufficient_privilege';

CREATE FUNCTION outbox.alter_event_type(
    name text, version int DEFAULT NULL, condition text DEFAULT NULL, previous text[] DEFAULT NULL, topic text DEFAULT NULL,
    ce_type text DEFAULT NULL, headers text[] DEFAULT NULL, actor boolean DEFAULT NULL)
RETURNS void LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'outbox_alter_event_type';
COMMENT ON FUNCTION outbox.alter_event_type(text, int, text, text[], text, text, text[], boolean) IS
'Changes an event type; what is NULL stays as it is, and ''DEFAULT'' is what create_event_type() takes when nothing is said (condition: always true); previous, headers: all of their columns, ''{}'' for none. previous, topic and ce_type belong to the pinned schema: of a contract that was enabled they are pinned as its next version, in the place of the present one, or refused when check_compatibility() would show an error. Live at commit. Errors: undefined_object, undefined_column, duplicate_column, invalid_parameter_value, insufficient_privilege, and what the parser says about the condition version: the version of the contract that has it so, in place of all: topic and ce_type then only of a draft, headers and actor never, ''DEFAULT'' (previous: ''{DEFAULT}'') is what the event type has.';

CREATE FUNCTION outbox.check_compatibility(
    contract text, view text DEFAULT NULL, level text DEFAULT NULL,
    OUT event_type text, OUT against int, OUT direction text, OUT severity text,
    OUT rule text, OUT path text, OUT message text, OUT remedy text)
RETURNS SETOF record LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'outbox_check_compatibility';
COMMENT ON FUNCTION outbox.check_compatibility(text, text, text) IS
'What consumers would meet if the schemas of a contract were pinned as its view (view: as another view) is now: a row for each difference from what was pinned before under the same topic and record name. level: default the contract''s; transitive levels compare with all of it, the others with the newest. against: version of the pinned schema; direction: backward (new readers, old events), forward (old readers, new events), null for what is no matter of Avro (rules KEY, AGGREGATE_ID, EMIT, TOMBSTONE); severity: error (enable() refuses it) or warning; remedy: SQL where SQL can do it. No row: compatible. Errors: undefined_object, undefined_table, wrong_object_type, invalid_parameter_value, insufficient_privilege, program_limit_exceeded';

CREATE FUNCTION outbox.forget_schema_history(event_type text, reason text)
RETURNS void LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'outbox_forget_schema_history';
COMMENT ON FUNCTION outbox.forget_schema_history(text, text) IS
'Schemas that were pinned for an event type so far, also by contracts that were dropped, bind new ones no longer; outbox.event_schemas keeps when, who and why. Events keep their schemas. Errors: null_value_not_allowed, invalid_parameter_value, undefined_object, insufficient_privilege';

-- ---- configuration changes reach every backend --------------------------------------------------

CREATE FUNCTION outbox_internal.config_changed()
RETURNS trigger LANGUAGE c AS 'MODULE_PATHNAME', 'outbox_config_changed';
COMMENT ON FUNCTION outbox_internal.config_changed() IS
'Trigger of the configuration tables: after the commit every session compiles its contracts anew';

CREATE TRIGGER config_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON outbox_internal.contract
    FOR EACH STATEMENT EXECUTE FUNCTION outbox_internal.config_changed();
CREATE TRIGGER config_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON outbox_internal.contract_version
    FOR EACH STATEMENT EXECUTE FUNCTION outbox_internal.config_changed();
CREATE TRIGGER config_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON outbox_internal.source
    FOR EACH STATEMENT EXECUTE FUNCTION outbox_internal.config_changed();
CREATE TRIGGER config_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON outbox_internal.event_type
    FOR EACH STATEMENT EXECUTE FUNCTION outbox_internal.config_changed();
CREATE TRIGGER config_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON outbox_internal.event_schema
    FOR EACH STATEMENT EXECUTE FUNCTION outbox_internal.config_changed();
CREATE TRIGGER config_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON outbox_internal.event_type_version
    FOR EACH STATEMENT EXECUTE FUNCTION outbox_internal.config_changed();
CREATE TRIGGER config_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON outbox_internal.check_rule
    FOR EACH STATEMENT EXECUTE FUNCTION outbox_internal.config_changed();
CREATE TRIGGER config_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON outbox_internal.code_map
    FOR EACH STATEMENT EXECUTE FUNCTION outbox_internal.config_changed();
-- Dropped and created again is changed: only the end of the transaction tells.
CREATE FUNCTION outbox_internal.code_map_dropped()
RETURNS trigger LANGUAGE c AS 'MODULE_PATHNAME', 'outbox_code_map_dropped';
COMMENT ON FUNCTION outbox_internal.code_map_dropped() IS
'Constraint trigger of outbox_internal.code_map, at commit: a map that an enabled contract names in outbox.decode() cannot go. Returns silently in a logical replication worker.';

CREATE CONSTRAINT TRIGGER code_map_dropped AFTER DELETE ON outbox_internal.code_map
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION outbox_internal.code_map_dropped();
ALTER TABLE outbox_internal.code_map ENABLE ALWAYS TRIGGER code_map_dropped;
ALTER TABLE outbox_internal.check_rule ENABLE ALWAYS TRIGGER config_changed;
ALTER TABLE outbox_internal.code_map ENABLE ALWAYS TRIGGER config_changed;
ALTER TABLE outbox_internal.contract ENABLE ALWAYS TRIGGER config_changed;
ALTER TABLE outbox_internal.contract_version ENABLE ALWAYS TRIGGER config_changed;
ALTER TABLE outbox_internal.source ENABLE ALWAYS TRIGGER config_changed;
ALTER TABLE outbox_internal.event_type ENABLE ALWAYS TRIGGER config_changed;
ALTER TABLE outbox_internal.event_schema ENABLE ALWAYS TRIGGER config_changed;
ALTER TABLE outbox_internal.event_type_version ENABLE ALWAYS TRIGGER config_changed;
