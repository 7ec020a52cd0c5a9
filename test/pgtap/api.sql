-- The SQL API is a contract: names, arguments with their defaults, results, comments and grants.
\set ON_ERROR_STOP on
\set QUIET on
\pset format unaligned
\pset tuples_only on
\pset pager off
BEGIN;
SELECT * FROM no_plan();

-- ---- functions -----------------------------------------------------------------------------------

-- What was asked for; in the end that must have been everything.
CREATE TEMP TABLE asked (name text);
CREATE FUNCTION pg_temp.signature(name text) RETURNS text LANGUAGE sql AS $$
    INSERT INTO asked VALUES ('function ' || $1);
    SELECT string_agg(pg_get_function_arguments(oid) || ' -> ' || pg_get_function_result(oid), '; ' ORDER BY pg_get_function_arguments(oid))
    FROM pg_proc WHERE pronamespace IN ('outbox'::regnamespace, 'outbox_internal'::regnamespace) AND proname = $1
$$;

SELECT is(pg_temp.signature('create_contract'),
    'name text, view text, source text, key text[], required text[] DEFAULT NULL::text[], aggregate_type text DEFAULT NULL::text, '
    'aggregate_id text[] DEFAULT NULL::text[], evaluate text DEFAULT NULL::text, on_invalid text DEFAULT ''dead_letter''::text, '
    'on_truncate text DEFAULT ''gap''::text, compatibility text DEFAULT NULL::text, or_replace boolean DEFAULT false -> void',
    'create_contract');
SELECT is(pg_temp.signature('add_source'),
    'contract text, source text, key_query text, max_fanout integer DEFAULT 1000, or_replace boolean DEFAULT false -> void', 'add_source');
SELECT is(pg_temp.signature('drop_contract'), 'name text -> void', 'drop_contract');
SELECT is(pg_temp.signature('create_event_type'),
    'name text, contract text, emit text, condition text DEFAULT NULL::text, previous text[] DEFAULT NULL::text[], '
    'topic text DEFAULT NULL::text, ce_type text DEFAULT NULL::text, tombstone text DEFAULT ''none''::text, '
    'versions integer[] DEFAULT NULL::integer[], headers text[] DEFAULT NULL::text[], actor boolean DEFAULT false, '
    'or_replace boolean DEFAULT false -> void',
    'create_event_type');
SELECT is(pg_temp.signature('drop_event_type'), 'name text -> void', 'drop_event_type');
SELECT is(pg_temp.signature('enable'), 'contract text -> void', 'enable');
SELECT is(pg_temp.signature('disable'), 'contract text -> void', 'disable');
SELECT is(pg_temp.signature('detach'), 'source text -> SETOF text', 'detach');
SELECT is(pg_temp.signature('reattach'), 'source text -> SETOF text', 'reattach');
SELECT is(pg_temp.signature('uninstall'),
    'execute boolean DEFAULT false, OUT step bigint, OUT action text, OUT object text, OUT command text, OUT restore text -> SETOF record',
    'uninstall');
SELECT is(pg_temp.signature('preview'),
    'contract text, event_type text DEFAULT NULL::text, max_rows integer DEFAULT 10, version integer DEFAULT NULL::integer, OUT event_type text, OUT emit text, OUT topic text, '
    'OUT key text, OUT headers jsonb, OUT payload jsonb, OUT error text -> SETOF record', 'preview');
SELECT is(pg_temp.signature('alter_contract'),
    'name text, required text[] DEFAULT NULL::text[], on_invalid text DEFAULT NULL::text, on_truncate text DEFAULT NULL::text, '
    'compatibility text DEFAULT NULL::text, max_fanout integer DEFAULT NULL::integer, source text DEFAULT NULL::text -> void', 'alter_contract');
SELECT is(pg_temp.signature('alter_event_type'),
    'name text, version integer DEFAULT NULL::integer, condition text DEFAULT NULL::text, previous text[] DEFAULT NULL::text[], topic text DEFAULT NULL::text, '
    'ce_type text DEFAULT NULL::text, headers text[] DEFAULT NULL::text[], actor boolean DEFAULT NULL::boolean -> void', 'alter_event_type');
SELECT is(pg_temp.signature('export_config'), 'format text DEFAULT ''sql''::text -> text', 'export_config');
SELECT is(pg_temp.signature('check_compatibility'),
    'contract text, view text DEFAULT NULL::text, level text DEFAULT NULL::text, OUT event_type text, OUT against integer, OUT direction text, '
    'OUT severity text, OUT rule text, OUT path text, OUT message text, OUT remedy text -> SETOF record', 'check_compatibility');
SELECT is(pg_temp.signature('forget_schema_history'), 'event_type text, reason text -> void', 'forget_schema_history');
SELECT is(pg_temp.signature('avro_schema'), 'event_type text, version integer DEFAULT NULL::integer -> text', 'avro_schema');
SELECT is(pg_temp.signature('create_sink'),
    'name text, library text, options jsonb DEFAULT ''{}''::jsonb, start_at text DEFAULT ''earliest''::text, '
    'on_reject text DEFAULT ''block_key''::text, or_replace boolean DEFAULT false -> void', 'create_sink');
SELECT is(pg_temp.signature('drop_sink'), 'name text -> void', 'drop_sink');
SELECT is(pg_temp.signature('start_relay'), 'sink text DEFAULT NULL::text -> text', 'start_relay');
SELECT is(pg_temp.signature('stop_relay'), 'sink text DEFAULT NULL::text -> void', 'stop_relay');
SELECT is(pg_temp.signature('pause'), 'sink text -> void', 'pause');
SELECT is(pg_temp.signature('resume'), 'sink text -> void', 'resume');

SELECT is(pg_temp.signature('replay'),
    'sink text, from_time timestamp with time zone DEFAULT NULL::timestamp with time zone, '
    'to_time timestamp with time zone DEFAULT NULL::timestamp with time zone, event_type text DEFAULT NULL::text, '
    'aggregate_type text DEFAULT NULL::text, message_key text DEFAULT NULL::text, from_seq bigint DEFAULT NULL::bigint, '
    'to_seq bigint DEFAULT NULL::bigint, topic text DEFAULT NULL::text, rate integer DEFAULT 1000, dry_run boolean DEFAULT false, '
    'OUT request bigint, OUT events bigint, OUT first_at timestamp with time zone, OUT last_at timestamp with time zone -> record', 'replay');
SELECT is(pg_temp.signature('forget_schema_ids'), 'sink text -> bigint', 'forget_schema_ids');
SELECT is(pg_temp.signature('cancel_replay'), 'request bigint -> void', 'cancel_replay');

SELECT is(pg_temp.signature('add_check'), 'event_type text, name text, expression text, versions integer[] DEFAULT NULL::integer[], or_replace boolean DEFAULT false -> void', 'add_check');
SELECT is(pg_temp.signature('create_code_map'), 'name text, codes jsonb, or_replace boolean DEFAULT false -> void', 'create_code_map');
SELECT is(pg_temp.signature('decode'), 'map text, code bigint -> text; map text, code text -> text', 'decode');
SELECT is(pg_temp.signature('redrive'),
    'id bigint DEFAULT NULL::bigint, contract text DEFAULT NULL::text, max_rows integer DEFAULT 1000 -> bigint', 'redrive');
SELECT is(pg_temp.signature('redrive_late'), 'max_rows integer DEFAULT 50 -> bigint', 'redrive_late');
SELECT is(pg_temp.signature('flush'), ' -> void', 'flush');
SELECT is(pg_temp.signature('discard'), 'id bigint, reason text -> void', 'discard');
SELECT is(pg_temp.signature('config_views'), 'OUT place bigint, OUT view regclass, OUT commands text[] -> SETOF record', 'config_views');
SELECT is(pg_temp.signature('config_calls'), 'OUT part integer, OUT object text, OUT place bigint, OUT call text -> SETOF record', 'config_calls');
SELECT is(pg_temp.signature('config_as_sql'), ' -> text', 'config_as_sql');
SELECT is(pg_temp.signature('config_as_json'), ' -> text', 'config_as_json');
SELECT is(pg_temp.signature('add_version'),
    'contract text, view text DEFAULT NULL::text, publish text DEFAULT NULL::text, suffix text DEFAULT NULL::text, '
    'required text[] DEFAULT NULL::text[], sunset timestamp with time zone DEFAULT NULL::timestamp with time zone -> integer', 'add_version');
SELECT is(pg_temp.signature('drop_version'), 'contract text, version integer -> void', 'drop_version');
SELECT is(pg_temp.signature('retire_version'), 'contract text, version integer, force boolean DEFAULT false -> void', 'retire_version');
SELECT is(pg_temp.signature('version_waits'), 'contract text, version integer -> text', 'version_waits');
SELECT is(pg_temp.signature('registry_diff'), 'INOUT sink text DEFAULT NULL::text, OUT subject text, OUT what text, OUT ours text, OUT theirs text, OUT advice text -> SETOF record', 'registry_diff');
SELECT is(pg_temp.signature('push_level'), 'sink text -> void', 'push_level');
SELECT is(pg_temp.signature('discard_held'), 'sink text, topic text DEFAULT NULL::text, subject text DEFAULT NULL::text, reason text DEFAULT NULL::text -> bigint', 'discard_held');
SELECT is(pg_temp.signature('resolve_gap'), 'id bigint, reason text -> void', 'resolve_gap');

SELECT is(pg_temp.signature('validate'),
    'contract text, version integer DEFAULT NULL::integer, OUT event_type text, OUT stage text, OUT sqlstate text, OUT error text, OUT rows bigint, OUT example_key jsonb -> SETOF record',
    'validate');
SELECT is(pg_temp.signature('drop_check'), 'event_type text, name text -> void', 'drop_check');
SELECT is(pg_temp.signature('drop_code_map'), 'name text -> void', 'drop_code_map');
SELECT is(pg_temp.signature('grant_access'), 'role text, level text -> void', 'grant_access');
SELECT is(pg_temp.signature('check_schemas'),
    'reader text, writer text, OUT severity text, OUT rule text, OUT path text, OUT detail text, OUT message text -> SETOF record', 'check_schemas');
SELECT is(pg_temp.signature('json_schema'), 'event_type text, version integer -> jsonb; event_type text, version integer DEFAULT NULL::integer -> jsonb', 'json_schema');
SELECT is(pg_temp.signature('legacy_view'), 'contract text, version integer DEFAULT NULL::integer, over text DEFAULT NULL::text -> text', 'legacy_view');
SELECT is(pg_temp.signature('asyncapi'), 'servers jsonb -> jsonb; servers jsonb DEFAULT ''{}''::jsonb -> jsonb', 'asyncapi');
SELECT is(pg_temp.signature('catalog_markdown'), ' -> text;  -> text', 'catalog_markdown');
SELECT is(pg_temp.signature('odcs'), 'contract text -> jsonb; contract text -> jsonb', 'odcs');
SELECT is(pg_temp.signature('odcs_properties'), 'event_type text, version integer, prefix text, key text[] -> jsonb', 'odcs_properties');
SELECT is(pg_temp.signature('markdown'), 'words text -> text', 'markdown');
SELECT is(pg_temp.signature('annotate'), 'target text, properties jsonb -> void', 'annotate');
SELECT is(pg_temp.signature('schema_fields'),
    'schema text, OUT place integer, OUT path text, OUT record text, OUT field text, OUT type text, OUT nullable boolean, OUT doc text -> SETOF record', 'schema_fields');
SELECT is(pg_temp.signature('view_fields'),
    'view regclass, OUT path text, OUT type text, OUT sources text[], OUT maps text[], OUT constants text[] -> SETOF record', 'view_fields');
SELECT is(pg_temp.signature('view_path'), 'path text, previous text[] -> text', 'view_path');
SELECT is(pg_temp.signature('field_words'), 'schema text, view regclass, previous text[] -> jsonb', 'field_words');
SELECT is(pg_temp.signature('schema_json'), 'schema text, words jsonb -> jsonb', 'schema_json');
SELECT is(pg_temp.signature('tap_result'), 'passed boolean, description text, difference text DEFAULT NULL::text -> text', 'tap_result');
SELECT is(pg_temp.signature('tap_event'), 'event_type text, key jsonb, expected jsonb DEFAULT ''{}''::jsonb -> text', 'tap_event');
SELECT is(pg_temp.signature('tap_no_event'), 'contract text, key jsonb DEFAULT ''{}''::jsonb -> text', 'tap_no_event');
SELECT is(pg_temp.signature('tap_events'), 'contract text, types text[] -> text', 'tap_events');
SELECT is(pg_temp.signature('tap_dead_letter'),
    'contract text, key jsonb DEFAULT NULL::jsonb, stage text DEFAULT NULL::text, message_like text DEFAULT NULL::text -> text', 'tap_dead_letter');
SELECT is(pg_temp.signature('tap_schema'), 'event_type text, version integer, fingerprint bigint -> text', 'tap_schema');
SELECT is(pg_temp.signature(f), 'contract text -> text', f) FROM unnest('{tap_compatible,tap_preview_clean,tap_codes_known}'::text[]) f;
SELECT is(pg_temp.signature('tap_covers'), '"table" regclass, "except" text[] DEFAULT ''{}''::text[] -> text', 'tap_covers');
SELECT is(pg_temp.signature('decode_payload'),
    'schema_id integer, payload bytea, OUT payload_json jsonb, OUT error text -> record', 'decode_payload');
SELECT is(pg_temp.signature('preloaded'), ' -> boolean', 'preloaded');
SELECT is(pg_temp.signature('library_version'), ' -> text', 'library_version');
SELECT is(pg_temp.signature('relay_report'),
    'OUT sink_id integer, OUT sink text, OUT state text, OUT pid integer, OUT published bigint, OUT acked bigint, OUT queued bigint, '
    'OUT seq_seen bigint, OUT oldest_unacked timestamp with time zone, OUT scans bigint, OUT cycles bigint, OUT last_error text, '
    'OUT last_error_at timestamp with time zone, OUT since timestamp with time zone, OUT retry_at timestamp with time zone, '
    'OUT in_flight bigint, OUT in_flight_bytes bigint, OUT window_left bigint, OUT retries bigint -> SETOF record', 'relay_report');
SELECT is(pg_temp.signature('contract_counters'),
    'OUT contract_id integer, OUT captured bigint, OUT dead_letters bigint, OUT calls bigint, OUT skips bigint, OUT transitions bigint, '
    'OUT call_us bigint, OUT max_call_us bigint, OUT flushes bigint, OUT flush_keys bigint, OUT flush_us bigint, OUT max_flush_us bigint '
    '-> SETOF record', 'contract_counters');
SELECT is(pg_temp.signature('tx_id'), ' -> xid8', 'tx_id');
SELECT is(pg_temp.signature('tx_status'), 'xid xid8, sink text DEFAULT NULL::text, OUT sink text, OUT state text, OUT held bigint, OUT dead_letters bigint, OUT as_of timestamp with time zone -> SETOF record', 'tx_status');
SELECT is(pg_temp.signature('wait_acked'), E'xid xid8, sink text DEFAULT NULL::text, timeout interval DEFAULT ''00:00:02''::interval -> text', 'wait_acked');
SELECT is(pg_temp.signature('event_status'), 'id uuid, sink text DEFAULT NULL::text, OUT sink text, OUT state text, OUT topic text, OUT seq bigint, OUT reason text -> SETOF record', 'event_status');
SELECT is(pg_temp.signature('commit_queue'), 'OUT pid integer, OUT state text, OUT keys integer, OUT blocking_pid integer -> SETOF record', 'commit_queue');
SELECT is(pg_temp.signature('counters'),
    'OUT name text, OUT sink_id integer, OUT schema_id integer, OUT le double precision, OUT value double precision -> SETOF record', 'counters');
SELECT is(pg_temp.signature('leaf_bytes'), 'relation regclass -> bigint', 'leaf_bytes');
SELECT is(pg_temp.signature('key_query_text'), 'view regclass -> text', 'key_query_text');
SELECT is(pg_temp.signature('oldest_pending'), 'sink_id integer -> timestamp with time zone', 'oldest_pending');
SELECT is(pg_temp.signature('snapshot_covers'), 'later pg_snapshot, earlier pg_snapshot -> boolean', 'snapshot_covers');
SELECT is(pg_temp.signature('contract_views'), 'source regclass, OUT contract_id integer, OUT view regclass -> SETOF record', 'contract_views');
SELECT is(pg_temp.signature('dependent_views'), 'views oid[], OUT place bigint, OUT view regclass, OUT obstacle text -> SETOF record', 'dependent_views');
SELECT is(pg_temp.signature('view_commands'),
    'view regclass, definition text DEFAULT NULL::text, OUT step bigint, OUT role name, OUT command text -> SETOF record', 'view_commands');
SELECT is(pg_temp.signature('view_without_decode'), 'view regclass -> text', 'view_without_decode');
SELECT is(pg_temp.signature('lock_tables'), ' -> void', 'lock_tables');
SELECT is(pg_temp.signature('uninstall_plan'),
    'OUT step bigint, OUT action text, OUT object text, OUT role name, OUT command text, OUT restore text -> SETOF record', 'uninstall_plan');
SELECT is(pg_temp.signature(f), ' -> trigger', f) FROM unnest('{capture,capture_truncate,check_sink_options,code_map_dropped,config_changed,refuse_write}'::text[]) f;
SELECT is(pg_temp.signature(f), ' -> event_trigger', f) FROM unnest('{partitions_changed,tables_dropped,lock_before_drop,source_changes}'::text[]) f;

-- ---- relations -----------------------------------------------------------------------------------

CREATE FUNCTION pg_temp.columns(relation regclass) RETURNS text LANGUAGE sql AS $$
    INSERT INTO asked VALUES ('view ' || $1);
    SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attnum)
    FROM pg_attribute WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped
$$;

SELECT is(pg_temp.columns('outbox.event'),
    'seq bigint, xid xid8, occurred_at timestamp with time zone, id uuid, schema_id integer, leaf smallint, flags smallint, '
    'aggregatetype text, aggregateid text, type text, payload bytea, tracingspancontext text, headers jsonb', 'event');
SELECT is(pg_temp.columns('outbox.event_json'),
    'seq bigint, id uuid, type text, aggregatetype text, aggregateid text, payload jsonb, occurred_at timestamp with time zone, '
    'contract text, version integer, topic text, headers jsonb, xid xid8, error text', 'event_json');
SELECT is(pg_temp.columns('outbox.dead_letter'),
    'id bigint, contract text, event_type text, emit text, key jsonb, stage text, sqlstate text, message text, detail text, hint text, '
    'source_columns jsonb, before jsonb, sink text, event_id uuid, payload bytea, created_at timestamp with time zone, state text, '
    'attempts integer, resolved_at timestamp with time zone, resolved_by text, resolution text, '
    'last_failure text, last_failure_hint text, version integer', 'dead_letter');
SELECT is(pg_temp.columns('outbox.relay_status'),
    'sink text, state text, pid integer, since timestamp with time zone, retry_at timestamp with time zone, pending bigint, lag interval, '
    'in_flight bigint, in_flight_bytes bigint, window_left bigint, acked bigint, position_at timestamp with time zone, retries bigint, '
    'scans bigint, cycles bigint, replay bigint, last_error text, last_error_at timestamp with time zone', 'relay_status');
SELECT is(pg_temp.columns('outbox.metrics'), 'name text, labels jsonb, value double precision', 'metrics');
SELECT is(pg_temp.columns('outbox.writers'),
    'pid integer, username name, application_name text, state text, xact_start timestamp with time zone, gid text', 'writers');
SELECT is(pg_temp.columns('outbox.replays'),
    'request bigint, sink text, state text, events bigint, published bigint, rejected bigint, missing bigint, cursor bigint, topic text, '
    'rate integer, filter jsonb, error text, requested_by text, created_at timestamp with time zone, started_at timestamp with time zone, '
    'updated_at timestamp with time zone, finished_at timestamp with time zone', 'replays');
SELECT is(pg_temp.columns('outbox.status'),
    'kind text, name text, state text, captured bigint, published bigint, pending bigint, oldest_age interval, dead_letters bigint, '
    'gaps bigint, last_error text, last_error_at timestamp with time zone, advice text', 'status');

SELECT is(pg_temp.columns('outbox.held_events'),
    'sink text, topic text, aggregate_type text, message_key text, seq bigint, id uuid, event_type text, occurred_at timestamp with time zone, '
    'state text, dead_letter bigint, reason text, next_try timestamp with time zone, held_at timestamp with time zone', 'held_events');

SELECT is(pg_temp.columns('outbox.sinks'),
    'name text, library text, options jsonb, start_at text, desired_state text, on_reject text, created_at timestamp with time zone', 'sinks');
SELECT is(pg_temp.columns('outbox.contract_cost'),
    'contract text, calls bigint, skips bigint, transitions bigint, events bigint, dead_letters bigint, total_us bigint, max_us bigint, '
    'flushes bigint, flush_keys bigint, total_flush_us bigint, max_flush_us bigint', 'contract_cost');
SELECT is(pg_temp.columns('outbox.leaf_status'),
    'leaf smallint, relation regclass, state text, leaf_generation bigint, events bigint, bytes bigint, opened_at timestamp with time zone, '
    'changed_at timestamp with time zone, first_at timestamp with time zone, last_at timestamp with time zone, '
    'acked_at timestamp with time zone, waits_for text[], blocking_pid integer, blocking_since timestamp with time zone, blocking text, '
    'advice text', 'leaf_status');
SELECT is(pg_temp.columns('outbox.leaf_sink'),
    'leaf smallint, sink_id integer, sink text, passed boolean, acked bigint, gets_all boolean', 'leaf_sink');
SELECT is(pg_temp.columns('outbox.contracts'),
    'name text, aggregate_type text, view regclass, sources regclass[], key text[], aggregate_id text[], required text[], namespace text, '
    'evaluate text, on_invalid text, on_truncate text, enabled boolean, created_at timestamp with time zone, compatibility text', 'contracts');
SELECT is(pg_temp.columns('outbox.contract_versions'),
    'contract text, version integer, view regclass, state text, publish text, suffix text, required text[], sunset timestamp with time zone, '
    'created_at timestamp with time zone, activated_at timestamp with time zone, retired_at timestamp with time zone', 'contract_versions');
SELECT is(pg_temp.columns('outbox.event_types'),
    'name text, contract text, emit text, condition text, previous text[], topic text, ce_type text, tombstone text, checks jsonb, '
    'created_at timestamp with time zone, headers text[], actor boolean', 'event_types');
SELECT is(pg_temp.columns('outbox.event_schemas'),
    'id integer, contract text, event_type text, version integer, topic text, ce_type text, previous text[], schema text, '
    'fingerprint bigint, created_at timestamp with time zone, record text, key text[], aggregate_id text[], '
    'emit text, tombstone text, forgotten_at timestamp with time zone, forgotten_by text, forgotten_reason text', 'event_schemas');

SELECT is(pg_temp.columns('outbox.catalog'),
    'contract text, event_type text, version integer, state text, sunset timestamp with time zone, topic text, ce_type text, subjects jsonb, '
    'registered_ids jsonb, key text[], message_key text[], owner text, domain text, doc text, fingerprint bigint, level text, checks jsonb, '
    'pii_fields text[], events_7_days bigint, last_event timestamp with time zone, example_key text, annotations jsonb', 'catalog');
SELECT is(pg_temp.columns('outbox.catalog_field'),
    'contract text, event_type text, version integer, place integer, path text, type text, pg_type text, nullable boolean, doc text, tags text[], '
    'sources text[], code_map text, codes jsonb, annotations jsonb', 'catalog_field');

SELECT is_empty($$
    SELECT 'function ' || proname FROM pg_proc WHERE pronamespace IN ('outbox'::regnamespace, 'outbox_internal'::regnamespace) AND proname <> 'refuse_ddl'
    UNION ALL
    SELECT 'view ' || oid::regclass FROM pg_class v WHERE relnamespace = 'outbox'::regnamespace AND relkind = 'v'
    AND NOT EXISTS (SELECT FROM pg_class t WHERE t.relnamespace = 'outbox_internal'::regnamespace AND t.relname = v.relname AND t.relkind = 'r')
    EXCEPT SELECT name FROM asked$$,
    'every function and every view is above, but those that show a table under its name');
SELECT set_eq($$
    SELECT relname FROM pg_class WHERE relnamespace = 'outbox'::regnamespace AND relkind = 'v' AND pg_relation_is_updatable(oid, false) = 28$$, $$
    SELECT relname FROM pg_class WHERE relnamespace = 'outbox_internal'::regnamespace AND relkind = 'r' AND NOT relispartition
    UNION ALL VALUES ('dead_letter'), ('sinks'), ('event_schemas'), ('contracts')$$,
    'every table is shown under its name, and can be written to by it');
SELECT set_eq($$
    SELECT v.relname, a.attnum, a.attname, a.atttypid FROM pg_class v JOIN pg_attribute a ON a.attrelid = v.oid AND a.attnum > 0
    WHERE v.relnamespace = 'outbox'::regnamespace AND v.relname IN (SELECT relname FROM pg_class WHERE relnamespace = 'outbox_internal'::regnamespace)
    AND (v.relname, a.attname) <> ('source', 'key_query')$$, $$
    SELECT t.relname, a.attnum, a.attname, a.atttypid FROM pg_class t JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0
    WHERE t.relnamespace = 'outbox_internal'::regnamespace AND t.relkind IN ('r', 'v') AND NOT t.relispartition$$,
    'with all of its columns, and of a source also the text of its key_query');

-- ---- documentation -------------------------------------------------------------------------------

-- Members of the extension, and what belongs to them: columns of tables and views, triggers. Leaves have the columns of the outbox.
SELECT is_empty($$
    WITH members AS (
        SELECT classid, objid FROM pg_depend
        WHERE refclassid = 'pg_extension'::regclass AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'outbox_ext') AND deptype = 'e'
        -- since PostgreSQL 19 the types of rows and arrays, which come with something else
        AND NOT (classid = 'pg_type'::regclass AND EXISTS (SELECT FROM pg_depend own
            WHERE own.classid = 'pg_type'::regclass AND own.objid = pg_depend.objid AND own.deptype = 'i'))
    ), objects AS (
        SELECT classid, objid, 0 AS objsubid FROM members
        UNION ALL
        SELECT classid, objid, a.attnum FROM members
        JOIN pg_class c ON classid = 'pg_class'::regclass AND c.oid = objid AND c.relkind IN ('r', 'p', 'v') AND NOT c.relispartition
        JOIN pg_attribute a ON a.attrelid = objid AND a.attnum > 0 AND NOT a.attisdropped
        UNION ALL
        SELECT 'pg_trigger'::regclass, t.oid, 0 FROM members
        JOIN pg_trigger t ON classid = 'pg_class'::regclass AND t.tgrelid = objid AND NOT t.tgisinternal AND t.tgparentid = 0
    )
    SELECT pg_describe_object(o.classid, o.objid, o.objsubid) FROM objects o
    WHERE NOT EXISTS (SELECT FROM pg_description d
                      WHERE d.classoid = o.classid AND d.objoid = o.objid AND d.objsubid = o.objsubid AND btrim(d.description) <> '')$$,
    'every object of the extension has a comment: functions, tables, views, columns, sequences, types, triggers, event triggers');

-- ---- safety --------------------------------------------------------------------------------------

SELECT set_eq($$
    SELECT p.proname::text FROM pg_proc p
    WHERE pronamespace IN ('outbox'::regnamespace, 'outbox_internal'::regnamespace) AND EXISTS (
        SELECT FROM aclexplode(coalesce(proacl, acldefault('f', proowner))) a WHERE a.grantee = 0)$$,
    ARRAY['capture', 'capture_truncate', 'decode'], 'PUBLIC may execute the trigger functions of sources and decode() only');
SELECT is_empty($$
    SELECT oid::regclass FROM pg_class
    WHERE relnamespace IN ('outbox'::regnamespace, 'outbox_internal'::regnamespace) AND EXISTS (SELECT FROM aclexplode(relacl) a WHERE a.grantee = 0)$$,
    'PUBLIC has no right on any relation');
SELECT is_empty($$
    SELECT relname FROM pg_class WHERE relnamespace = 'outbox'::regnamespace AND relkind NOT IN ('v', 'c') AND relname <> 'event'$$,
    'what writers and relays lock is in schema outbox_internal: no table but the parent of the leaves can be named without USAGE there');
SELECT is_empty($$
    SELECT a.grantee FROM pg_namespace, aclexplode(nspacl) a WHERE nspname = 'outbox_internal' AND a.grantee <> nspowner$$,
    'and nobody has USAGE there');
SELECT is_empty($$
    SELECT oid::regprocedure FROM pg_proc
    WHERE pronamespace IN ('outbox'::regnamespace, 'outbox_internal'::regnamespace) AND prosecdef
    AND NOT coalesce(proconfig, '{}') @> ARRAY['search_path=pg_catalog, pg_temp']$$,
    'every SECURITY DEFINER function pins search_path');
SELECT is_empty($$
    SELECT oid::regprocedure FROM pg_proc
    WHERE pronamespace IN ('outbox'::regnamespace, 'outbox_internal'::regnamespace) AND proargnames IS NULL AND pronargs > 0$$,
    'every argument has a name');
SELECT is_empty($$
    SELECT c.oid::regclass FROM pg_class c
    WHERE relnamespace = 'outbox_internal'::regnamespace AND relkind = 'r' AND NOT relispartition
    AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary)$$,
    'every table that is not a leaf has a primary key');
SELECT is_empty($$
    SELECT t.tgrelid::regclass, t.tgname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
    WHERE c.relnamespace IN ('outbox'::regnamespace, 'outbox_internal'::regnamespace) AND NOT t.tgisinternal AND t.tgparentid = 0 AND t.tgenabled <> 'A'$$,
    'the triggers of our tables fire in every replication role');

-- ---- belonging -----------------------------------------------------------------------------------

SELECT is_empty($$
    SELECT pg_describe_object(classid, objid, 0) FROM pg_depend
    WHERE refclassid = 'pg_extension'::regclass AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'outbox_ext')
    AND deptype = 'e'
    AND pg_describe_object(classid, objid, 0) !~ '\moutbox(_internal)?\M|event trigger'$$,
    'everything that the extension owns is in its two schemas');
SELECT set_eq($$
    SELECT c::regclass::text FROM unnest((SELECT extconfig FROM pg_extension WHERE extname = 'outbox_ext')) c
    WHERE (SELECT relkind FROM pg_class WHERE oid = c) = 'r'$$,
    ARRAY['outbox_internal.contract', 'outbox_internal.contract_version', 'outbox_internal.source', 'outbox_internal.detached_view', 'outbox_internal.event_type', 'outbox_internal.event_type_version', 'outbox_internal.check_rule', 'outbox_internal.code_map', 'outbox_internal.annotation',
          'outbox_internal.event_schema', 'outbox_internal.dead_letter_entry', 'outbox_internal.gap', 'outbox_internal.sink', 'outbox_internal.held_event'],
    'configuration and what waits for a person is dumped, events and positions are not');
SELECT is_empty($$
    SELECT s.oid::regclass FROM pg_class s
    JOIN pg_depend d ON d.objid = s.oid AND d.classid = 'pg_class'::regclass AND d.deptype IN ('a', 'i') AND d.refclassid = 'pg_class'::regclass
    WHERE s.relkind = 'S' AND s.relnamespace = 'outbox_internal'::regnamespace
    AND d.refobjid = ANY ((SELECT extconfig FROM pg_extension WHERE extname = 'outbox_ext')::oid[])
    AND s.oid <> ALL ((SELECT extconfig FROM pg_extension WHERE extname = 'outbox_ext')::oid[])$$,
    'so are the sequences of configuration tables');
SELECT throws_ok(format('ALTER INDEX %s RENAME TO renamed', indexrelid::regclass), '0A000', NULL, indexrelid::regclass || ' cannot be renamed')
    FROM pg_index JOIN pg_class c ON c.oid = indrelid WHERE relnamespace = 'outbox_internal'::regnamespace;
SELECT lives_ok('DROP EXTENSION outbox_ext', 'the extension can be dropped');
SELECT hasnt_schema('outbox', 'and takes its schema along');
SELECT hasnt_schema('outbox_internal', 'both of them');

SELECT * FROM finish();
ROLLBACK;
