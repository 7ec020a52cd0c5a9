-- What an operator and a consumer team look at.

CREATE FUNCTION outbox_internal.preloaded()
RETURNS boolean LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'outbox_preloaded';
COMMENT ON FUNCTION outbox_internal.preloaded() IS
'Was the server started with outbox_ext in shared_preload_libraries? Otherwise relays run on trial only';

CREATE FUNCTION outbox_internal.library_version()
RETURNS text LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'outbox_library_version';
COMMENT ON FUNCTION outbox_internal.library_version() IS
'Version of the library that this session uses; pg_extension.extversion has that of the SQL objects. While they differ, changes are captured but nothing can be configured';

CREATE VIEW outbox.event_json AS
SELECT e.seq, e.id, e.type, e.aggregatetype, e.aggregateid, d.payload_json AS payload, e.occurred_at,
       s.contract, s.version, s.topic,
       pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object(
           'traceparent', pg_catalog.substring(e.tracingspancontext, 'traceparent=([^[:space:]]+)'),
           'superseded', CASE WHEN e.flags & 1 <> 0 THEN true END,
           'redriven', CASE WHEN e.flags & 2 <> 0 THEN true END,
           'late', CASE WHEN e.flags & 4 <> 0 THEN true END,
           'tombstone', CASE WHEN e.flags & 8 <> 0 THEN 'after' WHEN e.flags & 16 <> 0 THEN 'instead' END))
         || coalesce(e.headers, '{}') AS headers,
       e.xid,
       CASE WHEN s.id IS NULL THEN 'unknown schema ' || e.schema_id ELSE d.error END AS error
FROM outbox.event e
LEFT JOIN outbox_internal.event_schema s ON s.id = e.schema_id
LEFT JOIN LATERAL outbox_internal.decode_payload(e.schema_id, e.payload) d
       ON s.id IS NOT NULL AND (e.flags & 16 = 0 OR pg_catalog.octet_length(e.payload) > 0);
COMMENT ON VIEW outbox.event_json IS
'Events of the outbox, decoded: decimals as numbers, times as ISO 8601 in UTC, bytes as base64. A row that cannot be decoded says why in error. payload is null for a tombstone whose row has no Avro form. Order: seq inside one transaction; see the documentation for order between transactions';

CREATE VIEW outbox.dead_letter AS
SELECT id, contract, event_type, emit, key, stage, sqlstate, message, detail, hint, source_columns, before,
       sink, event_id, payload, created_at, state, attempts, resolved_at, resolved_by, resolution, last_failure, last_failure_hint, version
FROM outbox_internal.dead_letter_entry;
COMMENT ON VIEW outbox.dead_letter IS
'Changes that could not become events, by stage: map, condition, check, encode, size, flush; and events that a sink''s broker rejected, of stage publish: with sink, event_id and payload, message = the broker''s words. event_type is null when the contract''s row itself could not be mapped; source_columns holds only columns that the contract reads';

-- Masked by name, and passwords in URLs wherever they stand. A file's path is no secret.
CREATE VIEW outbox.sinks AS
SELECT s.name, s.library,
       (SELECT coalesce(pg_catalog.jsonb_object_agg(o.key, CASE
            WHEN pg_catalog.jsonb_typeof(o.value) = 'object' THEN o.value
            WHEN o.key ~* 'passw|passphrase|secret|key|token'
                 OR o.key ~* 'credential|auth|jaas|private' AND o.key !~* 'location|endpoint|method|mechanism' THEN '"********"'
            WHEN pg_catalog.jsonb_typeof(o.value) = 'string'
                THEN pg_catalog.to_jsonb(pg_catalog.regexp_replace(o.value #>> '{}', '://.*@', '://********@'))
            ELSE o.value END), '{}')
        FROM pg_catalog.jsonb_each(s.options) o) AS options,
       s.start_at, s.desired_state, s.on_reject, s.created_at
FROM outbox_internal.sink s;
COMMENT ON VIEW outbox.sinks IS
'Configured brokers. Secrets in options are masked: values of names that contain password, secret, key or token or name credentials otherwise, and user and password in URLs. A path given as {"file": ...} is shown';

CREATE VIEW outbox.contract_cost AS
SELECT c.name AS contract, n.calls, n.skips, n.transitions, n.captured AS events, n.dead_letters,
       n.call_us AS total_us, n.max_call_us AS max_us,
       n.flushes, n.flush_keys, n.flush_us AS total_flush_us, n.max_flush_us
FROM outbox_internal.contract c JOIN outbox_internal.contract_counters() n ON n.contract_id = c.id;
COMMENT ON VIEW outbox.contract_cost IS
'What capture costs the writers, per contract, since the server started. calls: of the trigger, one per changed row; skips: calls in which nothing published differs; transitions: pairs of contract rows in which something does; total_us and max_us: time in the trigger (measured in a transaction''s first 16 calls, and in every 17th after them, which counts for 17); flushes, flush_keys, total_flush_us, max_flush_us: readings at commit, the keys that they read, and their time. Events and dead letters count when they are committed. Cost counts also when the transaction rolls back. No rows when the library is not preloaded';

CREATE VIEW outbox.held_events AS
SELECT k.name AS sink, s.topic, h.aggregate_type, h.message_key, h.seq, h.id, h.event_type, h.occurred_at, h.state,
       h.letter AS dead_letter, b.reason, b.next_try, h.held_at
FROM outbox_internal.held_event h
JOIN outbox_internal.sink k ON k.id = h.sink_id AND h.state <> 'discarded'
LEFT JOIN outbox_internal.event_schema s ON s.id = h.schema_id
LEFT JOIN LATERAL (SELECT b.reason, b.next_try FROM outbox_internal.blocked_route b
                   WHERE b.sink_id = h.sink_id AND b.topic = s.topic AND b.schema_id IN (0, h.schema_id)
                   ORDER BY b.schema_id LIMIT 1) b ON true;
COMMENT ON VIEW outbox.held_events IS
'Events that a sink has passed without publishing them. state: rejected (see dead_letter, which has this id), redrive (about to be offered again), held (it waits for its topic: reason has the broker''s words, and next_try the time; or it waits behind a rejected or held event of its aggregate). They are published in the order of seq. outbox.discard_held() gives up those of a topic, or of a registry''s subject, that never takes them';

CREATE VIEW outbox.status AS
WITH RECURSIVE tree AS (
    SELECT relation AS source, relation::oid AS relid FROM outbox_internal.source
    UNION
    SELECT tree.source, i.inhrelid FROM tree JOIN pg_catalog.pg_inherits i ON i.inhparent = tree.relid
), tables AS (
    SELECT tree.source, r.oid::regclass AS relid, r.relispartition
    FROM tree JOIN pg_catalog.pg_class r ON r.oid = tree.relid
    WHERE r.relkind = 'r' AND (r.relispartition OR r.oid = tree.source)
), triggers AS (
    -- differs: from what enable() creates; source_trigger.c asks the same
    SELECT t.tgrelid, t.tgname, pg_catalog.substr(t.tgname, 9) AS contract, t.tgfoid = f.oid AS ours, t.tgparentid,
           CASE WHEN t.tgfoid <> f.oid OR t.tgtype <> f.type OR t.tgqual IS NOT NULL OR t.tgattr::text <> '' OR t.tgconstraint <> 0 THEN 'differs'
                WHEN t.tgenabled NOT IN ('O', 'A') THEN 'disabled' ELSE 'whole' END AS state
    FROM (VALUES ('!outbox^_%', 'outbox.capture()'::regprocedure::oid, 29), ('!outbox!%', 'outbox.capture_truncate()'::regprocedure::oid, 32)) f (name, oid, type)
    JOIN pg_catalog.pg_trigger t ON t.tgname LIKE f.name ESCAPE '^'
), strays AS (
    SELECT t.tgrelid::regclass AS relid, t.contract,
           pg_catalog.string_agg('DROP TRIGGER ' || pg_catalog.quote_ident(t.tgname) || ' ON ' || t.tgrelid::regclass || ';', ' ' ORDER BY t.tgname) AS commands
    FROM triggers t
    WHERE t.ours AND t.tgparentid = 0 AND NOT EXISTS (
        SELECT FROM tree JOIN outbox_internal.source o ON o.relation = tree.source JOIN outbox_internal.contract c ON c.id = o.contract_id
        WHERE tree.relid = t.tgrelid AND c.name = t.contract)
    GROUP BY t.tgrelid, t.contract
), pinned AS (
    SELECT e.contract_id, s.version, f.value ->> 'name' AS field
    FROM outbox_internal.event_type e JOIN outbox_internal.event_schema s ON s.event_type_id = e.id
    CROSS JOIN LATERAL pg_catalog.jsonb_array_elements(s.schema::jsonb -> 'fields') f
), seq AS (
    SELECT CASE WHEN is_called THEN last_value ELSE 0 END AS last_value FROM outbox_internal.event_seq
), version AS (
    SELECT extversion AS sql, outbox_internal.library_version() AS library
    FROM pg_catalog.pg_extension WHERE extname = 'outbox_ext'
), contracts AS (
    SELECT c.id, c.name, c.enabled, c.id > restored.id AS restoring, c.key, c.derived_key, v.view, s.relation AS source, v.detached_view,
           (SELECT pg_catalog.min(d.source) FROM outbox_internal.detached_view d WHERE d.view = v.detached_view
               OR d.view IN (SELECT o.detached_view FROM outbox_internal.source o WHERE o.contract_id = c.id)) AS detached_by,
           EXISTS (SELECT FROM pg_catalog.pg_class WHERE oid = v.view) AS view_there,
           s.there AS source_there,
           (SELECT pg_catalog.min(o.relation::text) FROM outbox_internal.source o WHERE o.contract_id = c.id AND o.role = 'child'
            AND NOT EXISTS (SELECT FROM pg_catalog.pg_class WHERE oid = o.key_view)) AS keyless,
           s.trigger_state, v.owner AS former_owner, w.name AS owner,
           v.owner <> w.name AND f.id IS DISTINCT FROM w.id AS owner_changed,
           coalesce(f.name, (SELECT r.rolname FROM pg_catalog.pg_roles r WHERE r.rolname = v.owner)) AS former_owner_now,
           (SELECT pg_catalog.min(r.oid::regclass::text) FROM outbox_internal.source o
            JOIN pg_catalog.pg_inherits i ON i.inhparent = o.relation
            JOIN pg_catalog.pg_class r ON r.oid = i.inhparent
            WHERE o.contract_id = c.id AND r.relkind <> 'p') AS inherited,
           -- partitions at whatever depth whose triggers are missing or do not fire
           (SELECT pg_catalog.min(p.relid::text) FROM tables p
            WHERE p.relispartition AND p.source IN (SELECT relation FROM outbox_internal.source WHERE contract_id = c.id) AND NOT EXISTS (SELECT FROM triggers r WHERE r.tgrelid = p.relid
                  AND r.tgname = '!outbox_' || c.name AND r.state = 'whole')) AS silent_partition,
           (SELECT pg_catalog.min(p.relid::text) FROM tables p
            WHERE p.source IN (SELECT relation FROM outbox_internal.source WHERE contract_id = c.id) AND NOT EXISTS (SELECT FROM triggers r WHERE r.tgrelid = p.relid
                  AND r.tgname = '!outbox!' || c.name AND r.state = 'whole')) AS untold_table,
           behind.unwatched, behind.many_partitions,
           (SELECT pg_catalog.count(*) FROM outbox_internal.event_type e WHERE e.contract_id = c.id) AS event_types,
           (SELECT pg_catalog.count(*) FROM outbox_internal.dead_letter_entry d
            WHERE d.contract = c.name AND d.state = 'open') AS dead_letters,
           (SELECT pg_catalog.count(*) FROM outbox_internal.gap g
            WHERE g.contract = c.name AND g.resolved_at IS NULL) AS gaps,
           (SELECT pg_catalog.min(g.detail) FROM outbox_internal.gap g
            WHERE g.contract = c.name AND g.reason = 'swapped' AND g.resolved_at IS NULL) AS swapped,
           EXISTS (SELECT FROM outbox_internal.gap g WHERE g.contract = c.name AND g.reason = 'unseen' AND g.resolved_at IS NULL) AS unseen,
           -- appended to the view since the schemas were pinned
           (SELECT pg_catalog.count(*) FROM pg_catalog.pg_attribute a
            WHERE a.attrelid = v.view AND a.attnum > 0 AND NOT a.attisdropped
            AND NOT EXISTS (SELECT FROM pinned p WHERE p.contract_id = c.id AND p.version = v.version AND p.field = a.attname)
            AND EXISTS (SELECT FROM pinned p WHERE p.contract_id = c.id AND p.version = v.version)) AS unpublished,
           (SELECT pg_catalog.min(k.name) FROM outbox_internal.preflight p JOIN outbox_internal.sink k ON k.id = p.sink_id
            WHERE p.contract_id = c.id AND EXISTS (
                SELECT FROM outbox_internal.event_type e JOIN outbox_internal.event_schema s ON s.event_type_id = e.id
                WHERE e.contract_id = c.id AND NOT EXISTS (SELECT FROM outbox_internal.schema_registration r
                                                           WHERE r.sink_id = k.id AND r.schema_id = s.id))) AS unasked,
           last.message, last.created_at AS last_error_at, n.captured
    FROM outbox_internal.contract c
    -- a restore sets sequences after all rows
    CROSS JOIN (SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END AS id FROM outbox_internal.contract_id_seq) restored
    JOIN outbox_internal.contract_version v ON v.contract_id = c.id
         -- as OutboxContractLoad(): the first version that is published, or else the draft
         AND v.version = (SELECT f.version FROM outbox_internal.contract_version f WHERE f.contract_id = c.id AND f.state <> 'retired'
                          ORDER BY f.state = 'draft', f.line LIMIT 1)
    CROSS JOIN LATERAL (
        WITH RECURSIVE behind AS (
            SELECT v.view::oid AS relid
            UNION SELECT d.refobjid FROM behind b
            JOIN pg_catalog.pg_rewrite r ON r.ev_class = b.relid
            JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = r.oid
                 AND d.refclassid = 'pg_catalog.pg_class'::regclass)
        -- tables whose changes touch nothing, and those of which a reading takes more locks than a session has (src/util/look.c)
        SELECT pg_catalog.string_agg(k.oid::regclass::text, ', ' ORDER BY k.oid::regclass::text) FILTER (WHERE NOT EXISTS (
                   SELECT FROM outbox_internal.source o WHERE o.contract_id = c.id
                   AND (o.relation = k.oid OR o.relation IN (SELECT relid FROM pg_catalog.pg_partition_ancestors(k.oid))))) AS unwatched,
               pg_catalog.string_agg(k.oid::regclass || ' (' || p.leaves || ')', ', ' ORDER BY k.oid::regclass::text)
                   FILTER (WHERE c.evaluate = 'commit' AND p.leaves > 24) AS many_partitions
        FROM behind b
        JOIN pg_catalog.pg_class k ON k.oid = b.relid
        CROSS JOIN LATERAL (SELECT pg_catalog.count(*) FILTER (WHERE t.isleaf) AS leaves
                            FROM pg_catalog.pg_partition_tree(CASE WHEN k.relkind = 'p' THEN k.oid::regclass END) t) p
        WHERE k.relkind IN ('r', 'p', 'm')) behind
    -- of several sources the one that is worst off
    JOIN LATERAL (
        SELECT o.relation, k.oid IS NOT NULL AS there, coalesce(t.state, 'missing') AS trigger_state
        FROM outbox_internal.source o
        LEFT JOIN pg_catalog.pg_class k ON k.oid = o.relation
        LEFT JOIN triggers t ON t.tgrelid = o.relation AND t.tgname = '!outbox_' || c.name
        WHERE o.contract_id = c.id
        ORDER BY k.oid IS NOT NULL, coalesce(t.state = 'whole', false), o.role = 'child', o.relation
        LIMIT 1) s ON true
    LEFT JOIN LATERAL (SELECT pg_catalog.pg_get_userbyid(r.relowner) AS name, r.relowner AS id
                       FROM pg_catalog.pg_class r WHERE r.oid = v.view) w ON true
    -- as view_owner.c: a role is the same by its name, or by its oid in this cluster
    LEFT JOIN LATERAL (SELECT r.rolname AS name, r.oid AS id FROM pg_catalog.pg_roles r, pg_catalog.pg_control_system() p
                       WHERE v.owner <> w.name AND v.owner_id = p.system_identifier || '/' || r.oid) f ON true
    LEFT JOIN LATERAL (SELECT d.message, d.created_at FROM outbox_internal.dead_letter_entry d
                       WHERE d.contract = c.name AND d.state = 'open' ORDER BY d.id DESC LIMIT 1) last ON true
    LEFT JOIN outbox_internal.contract_counters() n ON n.contract_id = c.id
), leaves AS (
    SELECT leaf, state, first_at,
           CASE WHEN state IN ('current', 'closing') THEN outbox_internal.leaf_bytes(relation) ELSE bytes END AS bytes
    FROM outbox_internal.leaf WHERE state <> 'empty'
), held AS (
    SELECT k.sink_id, pg_catalog.sum(l.bytes) AS bytes, pg_catalog.min(l.first_at) AS since
    FROM leaves l JOIN outbox_internal.leaf_sink k ON k.leaf = l.leaf
    WHERE l.state <> 'current' AND NOT k.passed
    GROUP BY k.sink_id
), storage AS (
    SELECT coalesce(pg_catalog.sum(bytes) FILTER (WHERE state = 'frozen'), 0) AS frozen,
           pg_catalog.sum(bytes) FILTER (WHERE state IN ('current', 'closing')) AS open,
           pg_catalog.pg_size_bytes(pg_catalog.current_setting('outbox.max_backlog')) AS max_backlog,
           pg_catalog.bool_or(state = 'acked') AS differs,
           pg_catalog.count(*) >= pg_catalog.current_setting('outbox.max_leaves')::int
             AND pg_catalog.max(bytes) FILTER (WHERE state = 'current')
                 > 2 * pg_catalog.pg_size_bytes(pg_catalog.current_setting('outbox.leaf_size')) AS no_leaf
    FROM leaves
), sinks AS (
    SELECT s.name, coalesce(r.state, s.desired_state) AS relay_state, coalesce(p.acked, 0) AS published,
           -- a transaction that drew its seq before the position was recorded may have committed after it
           -- without a position, as after a restore of a dump, the sequence has numbers of events that were not dumped
           CASE WHEN p.sink_id IS NULL AND coalesce(r.seq_seen, 0) = 0 AND o.since IS NULL THEN 0
                ELSE greatest(w.pending, (o.since IS NOT NULL)::int) END + h.held AS pending,
           pg_catalog.clock_timestamp() - least(o.since, h.oldest) AS oldest_age,
           l.open AS dead_letters, h.held, b.topics AS blocked_topics, r.last_error, r.last_error_at,
           ' It holds ' || pg_catalog.pg_size_pretty(held.bytes) || ' of events'
             || coalesce(' since ' || pg_catalog.to_char(held.since, 'YYYY-MM-DD HH24:MI') , '') || '.' AS holds
    FROM outbox_internal.sink s
    LEFT JOIN held ON held.sink_id = s.id
    CROSS JOIN seq
    LEFT JOIN outbox_internal.relay_progress p ON p.sink_id = s.id
    LEFT JOIN outbox_internal.relay_report() r ON r.sink_id = s.id
    CROSS JOIN LATERAL (SELECT greatest(seq.last_value - greatest(r.seq_seen, p.seq_seen, 0), 0) + coalesce(r.queued, 0) AS pending) w
    -- of a relay that runs its own word; else, or when it has not read what there is, the position's
    CROSS JOIN LATERAL (SELECT coalesce(r.oldest_unacked, CASE WHEN r.state <> 'running' OR r.since IS NULL OR w.pending > 0
                                                               THEN outbox_internal.oldest_pending(s.id) END) AS since) o
    CROSS JOIN LATERAL (SELECT pg_catalog.count(*) AS held, pg_catalog.min(e.occurred_at) AS oldest
                        FROM outbox_internal.held_event e WHERE e.sink_id = s.id AND e.state NOT IN ('rejected', 'discarded')) h
    CROSS JOIN LATERAL (SELECT pg_catalog.count(*) AS topics FROM outbox_internal.blocked_route e WHERE e.sink_id = s.id) b
    CROSS JOIN LATERAL (SELECT pg_catalog.count(*) AS open FROM outbox_internal.dead_letter_entry e
                        WHERE e.sink = s.name AND e.stage = 'publish' AND e.state = 'open') l
), backlog AS (
    -- what is not complete is a backlog as far as somebody has not got it
    SELECT frozen + CASE WHEN (SELECT pg_catalog.max(pending) FROM sinks) > 0 THEN open ELSE 0 END AS bytes FROM storage
), topics AS (
    SELECT k.name AS sink, b.topic, coalesce(e.event_type, '') AS event_type, b.reason, b.tried_at, b.next_try,
           (SELECT pg_catalog.count(*) FROM outbox_internal.held_event h JOIN outbox_internal.event_schema s ON s.id = h.schema_id
            WHERE h.sink_id = b.sink_id AND h.state NOT IN ('rejected', 'discarded') AND s.topic = b.topic) AS held,
           (SELECT pg_catalog.min(h.occurred_at) FROM outbox_internal.held_event h JOIN outbox_internal.event_schema s ON s.id = h.schema_id
            WHERE h.sink_id = b.sink_id AND h.state NOT IN ('rejected', 'discarded') AND s.topic = b.topic) AS oldest
    FROM outbox_internal.blocked_route b
    JOIN outbox_internal.sink k ON k.id = b.sink_id
    LEFT JOIN outbox_internal.event_schema e ON e.id = b.schema_id
), unsaid AS (
    -- contracts with the namespace that contract_sql.c makes of the database's name when nobody has said another
    SELECT pg_catalog.min(c.name) AS contract, pg_catalog.count(*) - 1 AS others, n.first
    FROM outbox_internal.contract c, (
        SELECT pg_catalog.regexp_replace(pg_catalog.regexp_replace(
                   pg_catalog.encode(pg_catalog.convert_to(pg_catalog.current_database(), pg_catalog.getdatabaseencoding()), 'escape'),
                   E'\\\\\\\\|\\\\[0-7]{3}|[^A-Za-z0-9_]', '_', 'g'), '^[0-9]', '_') AS first) n
    WHERE c.namespace = n.first || '.' || c.name AND pg_catalog.current_setting('outbox.namespace') = ''
    GROUP BY n.first
)
SELECT 'extension' AS kind, 'outbox_ext' AS name,
       CASE WHEN version.sql <> version.library THEN 'version mismatch'
            WHEN NOT outbox_internal.preloaded() THEN 'not preloaded'
            WHEN NOT pg_catalog.current_setting('outbox.capture')::bool THEN 'capture off'
            ELSE 'active' END AS state,
       CASE WHEN outbox_internal.preloaded() THEN (SELECT coalesce(pg_catalog.sum(value), 0)::bigint FROM outbox_internal.counters() WHERE name = 'captured') END AS captured,
       (SELECT pg_catalog.min(published) FROM sinks) AS published,
       (SELECT pg_catalog.max(pending) FROM sinks) AS pending,
       (SELECT pg_catalog.max(oldest_age) FROM sinks) AS oldest_age,
       (SELECT pg_catalog.count(*) FROM outbox_internal.dead_letter_entry WHERE state = 'open') AS dead_letters,
       (SELECT pg_catalog.count(*) FROM outbox_internal.gap WHERE resolved_at IS NULL) AS gaps,
       NULL::text AS last_error, NULL::timestamptz AS last_error_at,
       CASE WHEN version.sql <> version.library THEN
                'The extension has version ' || version.sql || ', the library ' || version.library
                || ': ALTER EXTENSION outbox_ext UPDATE, or restart the server if the library was upgraded since it started.'
            WHEN NOT outbox_internal.preloaded() THEN
                'Add outbox_ext to shared_preload_libraries and restart; until then relays run on trial and end with the server.'
            WHEN NOT pg_catalog.current_setting('outbox.capture')::bool THEN
                'Changes produce no events while outbox.capture is off.'
            WHEN unsaid.first IS NOT NULL THEN
                'The Avro namespace of contract ' || pg_catalog.quote_ident(unsaid.contract)
                || CASE WHEN unsaid.others > 0 THEN ' and ' || unsaid.others || ' more' ELSE '' END
                || ' begins with the name of this database, so a database of another name publishes other schemas and types. To keep it: ALTER DATABASE '
                || pg_catalog.quote_ident(pg_catalog.current_database()) || ' SET outbox.namespace = ' || pg_catalog.quote_literal(unsaid.first)
                || '; to have another one, set that, and create the contracts again.'
            WHEN NOT EXISTS (SELECT FROM outbox_internal.sink) THEN 'Create a sink: SELECT outbox.create_sink(...);'
            WHEN storage.max_backlog > 0 AND backlog.bytes > storage.max_backlog THEN
                'Leaves that are not acknowledged have ' || pg_catalog.pg_size_pretty(backlog.bytes) || ', more than outbox.max_backlog; '
                || CASE pg_catalog.current_setting('outbox.backlog_policy') WHEN 'refuse' THEN 'writes are refused' WHEN 'drop' THEN 'the oldest are dropped' ELSE 'they are kept' END
                || ': SELECT * FROM outbox.leaf_status says what they wait for.'
            WHEN storage.differs THEN
                'A sink has not acknowledged all events of a leaf: SELECT * FROM outbox.leaf_status WHERE state = ''acked'';'
            WHEN storage.no_leaf THEN
                'All leaves are in use and the current one grows: SELECT * FROM outbox.leaf_status says what they wait for.' END AS advice
FROM seq CROSS JOIN version CROSS JOIN storage CROSS JOIN backlog LEFT JOIN unsaid ON true
UNION ALL
SELECT 'contract', c.name,
       CASE WHEN c.detached_view IS NOT NULL THEN 'detached'
            WHEN NOT (c.view_there AND c.source_there) THEN 'broken'
            WHEN NOT c.enabled THEN 'disabled'
            WHEN c.restoring THEN 'restoring'
            WHEN c.owner_changed OR c.keyless IS NOT NULL THEN 'broken'
            WHEN c.trigger_state <> 'whole' OR c.silent_partition IS NOT NULL THEN 'not captured'
            ELSE 'enabled' END,
       c.captured, NULL, NULL, NULL, c.dead_letters, c.gaps, c.message, c.last_error_at,
       CASE WHEN c.detached_view IS NOT NULL THEN 'Its view is away for changes of the source: SELECT outbox.reattach(' || pg_catalog.quote_literal(c.detached_by) || ') creates it again.'
            WHEN NOT c.view_there THEN 'Its view was dropped, and one that was created since is another one, whatever its name: in one transaction create the view, drop the contract and create it again. outbox.detach() before such a change keeps the contract.'
            WHEN NOT c.source_there THEN 'Its source does not exist any more: drop the contract.'
            WHEN NOT c.enabled THEN 'SELECT outbox.enable(' || pg_catalog.quote_literal(c.name) || ') starts capture.'
            WHEN c.restoring THEN 'A restore has brought it, but not our sequences yet: until they are there, changes make no events. If it has ended without them: '
                || 'SELECT setval(pg_get_serial_sequence(''outbox_internal.'' || t, ''id''), n) FROM (VALUES (''contract'', (SELECT max(id) FROM outbox_internal.contract)), (''event_type'', (SELECT max(id) FROM outbox_internal.event_type)), (''check_rule'', (SELECT max(id) FROM outbox_internal.check_rule)), (''event_schema'', (SELECT max(id) FROM outbox_internal.event_schema)), (''dead_letter_entry'', (SELECT max(id) FROM outbox_internal.dead_letter_entry)), (''gap'', (SELECT max(id) FROM outbox_internal.gap)), (''sink'', (SELECT max(id) FROM outbox_internal.sink))) v (t, n);'
            WHEN c.owner_changed THEN 'Its view belongs to ' || pg_catalog.quote_ident(c.owner) || ' now and was enabled for ' || pg_catalog.quote_ident(c.former_owner) || ': changes become dead letters. '
                || coalesce('ALTER VIEW ' || c.view || ' OWNER TO ' || pg_catalog.quote_ident(c.former_owner_now) || '; or s', 'S')
                || 'ee what it calls, and let ' || pg_catalog.quote_ident(c.owner) || ' evaluate it: SELECT outbox.enable(' || pg_catalog.quote_literal(c.name) || ');'
            WHEN c.keyless IS NOT NULL THEN 'The key_query of its source ' || c.keyless || ' does not exist any more: SELECT outbox.add_source(' || pg_catalog.quote_literal(c.name) || ', '
                || pg_catalog.quote_literal(c.keyless) || ', key_query => ''...'') gives it another one.'
            WHEN c.trigger_state = 'missing' THEN 'Its trigger is missing: SELECT outbox.enable(' || pg_catalog.quote_literal(c.name) || ');'
            WHEN c.trigger_state = 'differs' THEN 'Its trigger on ' || c.source || ' was replaced by one that does not fire for every change: SELECT outbox.enable(' || pg_catalog.quote_literal(c.name) || ') creates the right one.'
            WHEN c.trigger_state = 'disabled' THEN 'Its trigger on ' || c.source || ' is disabled: ALTER TABLE ' || c.source || ' ENABLE TRIGGER "!outbox_' || c.name || '";'
            WHEN c.silent_partition IS NOT NULL THEN 'Its trigger on partition ' || c.silent_partition || ' is missing or disabled: SELECT outbox.enable(' || pg_catalog.quote_literal(c.name) || ');'
            WHEN c.untold_table IS NOT NULL THEN 'TRUNCATE of ' || c.untold_table || ' would go unnoticed: SELECT outbox.enable(' || pg_catalog.quote_literal(c.name) || ');'
            WHEN c.event_types = 0 THEN 'It has no event types: SELECT outbox.create_event_type(...);'
            WHEN c.inherited IS NOT NULL THEN 'Changes of rows in tables that inherit from ' || c.inherited || ' are not captured: ALTER TABLE ... NO INHERIT ' || c.inherited || ';'
            WHEN c.dead_letters > 0 THEN 'Changes became dead letters: SELECT * FROM outbox.dead_letter WHERE contract = ' || pg_catalog.quote_literal(c.name) || ' AND state = ''open''; remove the cause and redrive them, or discard them.'
            WHEN c.swapped IS NOT NULL THEN 'Its source was renamed to ' || c.source || ', and another table is ' || c.swapped || ' now, whose changes are not captured: create the contract again over that one; then close the gap: SELECT outbox.resolve_gap(id, ''captured again'') FROM outbox.gap WHERE reason = ''swapped'' AND resolved_at IS NULL AND contract = ' || pg_catalog.quote_literal(c.name) || ';'
            WHEN c.unseen THEN 'Its source, or something that its view rests on, was altered, and nobody could see, or refused, what that does to it: SELECT outbox.enable(' || pg_catalog.quote_literal(c.name) || ') looks, and says what is missing or closes the gap.'
            WHEN c.gaps > 0 THEN 'Changes produced no events: SELECT * FROM outbox.gap WHERE contract = ' || pg_catalog.quote_literal(c.name)
                || ' AND resolved_at IS NULL; repair what consumers miss, then outbox.resolve_gap().'
            WHEN c.unasked IS NOT NULL THEN 'The registry of sink ' || c.unasked || ' has not said that it takes its schemas: '
                || (SELECT p.reason FROM outbox_internal.preflight p JOIN outbox_internal.sink k ON k.id = p.sink_id
                    WHERE p.contract_id = c.id AND k.name = c.unasked)
                || '. SELECT outbox.enable(' || pg_catalog.quote_literal(c.name) || ') asks again; this is over when the relay has got their numbers.'
            WHEN c.derived_key <> '{}' THEN 'Two rows of the source may give the same key, of which (' || pg_catalog.array_to_string(c.derived_key, ', ') || ') is computed: SELECT '
                || k.columns || ' FROM ' || c.view || ' GROUP BY ' || k.columns || ' HAVING count(*) > 1 finds them; a unique index over the expression rules them out, and SELECT outbox.enable('
                || pg_catalog.quote_literal(c.name) || ') then takes this advice back.'
            WHEN c.unwatched IS NOT NULL THEN 'The view reads tables that are no sources, so a change of theirs is published with the next change of the row only: ' || c.unwatched
                || '. SELECT outbox.add_source(' || pg_catalog.quote_literal(c.name) || ', ''...'', key_query => ''...'') watches one.'
            WHEN c.unpublished > 0 THEN 'Its view ' || c.view || ' has ' || c.unpublished || CASE c.unpublished WHEN 1 THEN ' column that is' ELSE ' columns that are' END
                || ' not published: SELECT outbox.add_version(' || pg_catalog.quote_literal(c.name) || ') publishes what the view has now.'
            WHEN c.many_partitions IS NOT NULL THEN 'Every reading opens all partitions of tables behind the view, as no key prunes them, and few commits can do that at a time: ' || c.many_partitions
                || '. Commits are faster with fewer partitions, or with a table that is not partitioned.' END
FROM contracts c
CROSS JOIN LATERAL (SELECT pg_catalog.string_agg(pg_catalog.quote_ident(name), ', ' ORDER BY n) AS columns
                    FROM pg_catalog.unnest(c.key) WITH ORDINALITY AS u (name, n)) k
UNION ALL
-- the versions of contracts that have several, and those with an end
SELECT 'version', c.name || ' version ' || v.version, v.state, NULL, NULL, NULL, NULL,
       (SELECT pg_catalog.count(*) FROM outbox_internal.dead_letter_entry d WHERE d.contract = c.name AND d.version = v.version AND d.state = 'open'),
       NULL, NULL, NULL,
       CASE WHEN v.state = 'draft' THEN 'SELECT outbox.enable(' || pg_catalog.quote_literal(c.name) || ') publishes it, outbox.drop_version(' || pg_catalog.quote_literal(c.name) || ', ' || v.version || ') drops it.'
            WHEN v.detached_view IS NULL AND NOT EXISTS (SELECT FROM pg_catalog.pg_class k WHERE k.oid = v.view) THEN
                'Its view was dropped: its changes become dead letters. SELECT outbox.retire_version(' || pg_catalog.quote_literal(c.name) || ', ' || v.version || ', force => true) ends it.'
            WHEN v.sunset > pg_catalog.clock_timestamp() THEN 'It ends in ' || pg_catalog.date_part('day', v.sunset - pg_catalog.clock_timestamp())
                || ' days, at ' || pg_catalog.to_char(v.sunset, 'YYYY-MM-DD HH24:MI TZ') || ': its consumers have to move to a later version by then.'
            WHEN v.sunset IS NOT NULL THEN 'Its sunset is past: SELECT outbox.retire_version(' || pg_catalog.quote_literal(c.name) || ', ' || v.version || ');' END
FROM outbox_internal.contract c JOIN outbox_internal.contract_version v ON v.contract_id = c.id
WHERE v.state <> 'retired' AND (v.sunset IS NOT NULL OR (SELECT pg_catalog.count(*) FROM outbox_internal.contract_version o WHERE o.contract_id = c.id AND o.state <> 'retired') > 1)
UNION ALL
SELECT 'trigger', t.contract || ' on ' || t.relid, 'not configured',
       NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
       'The table has a trigger for contract ' || pg_catalog.quote_literal(t.contract) || ', which does not exist or has other sources: changes make no events. '
       'After a restore of the schema alone, restore the data or create the contract and enable it; or remove what is left over: ' || t.commands
FROM strays t
UNION ALL
SELECT 'sink', s.name,
       CASE WHEN s.relay_state IN ('waiting', 'no worker', 'not listed') THEN 'not running' ELSE s.relay_state END,
       NULL, s.published, s.pending, s.oldest_age, s.dead_letters, NULL, s.last_error, s.last_error_at,
       CASE WHEN s.relay_state = 'stopped' THEN 'SELECT outbox.start_relay(' || pg_catalog.quote_literal(s.name) || ') starts its relay.' || coalesce(s.holds, '')
            WHEN s.relay_state = 'paused' THEN 'SELECT outbox.resume(' || pg_catalog.quote_literal(s.name) || ') goes on; its events are kept meanwhile.' || coalesce(s.holds, '')
            WHEN s.relay_state = 'stopping' THEN 'It waits for outstanding acknowledgements, at most outbox.drain_timeout.'
            WHEN s.relay_state = 'running' AND NOT outbox_internal.preloaded() THEN 'It runs on trial, until the server restarts: add outbox_ext to shared_preload_libraries.'
            WHEN NOT outbox_internal.preloaded() THEN 'SELECT outbox.start_relay(' || pg_catalog.quote_literal(s.name) || ') starts it on trial; add outbox_ext to shared_preload_libraries and restart.'
            WHEN s.relay_state = 'no worker' THEN 'All background workers of the server are in use: raise max_worker_processes and restart; it is tried again every few seconds.'
            WHEN s.relay_state = 'not listed' THEN 'outbox.databases does not name this database: add it in postgresql.conf and reload; its events are kept meanwhile.'
            WHEN s.relay_state = 'waiting' THEN 'Its relay starts in a moment; if it does not, SELECT pg_reload_conf() makes the launcher look again and the server log says why.'
            WHEN s.relay_state = 'blocked' THEN 'Nothing is published until the cause is gone: last_error names the rejected event and the reason, the copy of the data, or the number of events that wait.'
            WHEN s.relay_state = 'backoff' THEN 'The relay keeps trying and loses nothing; last_error says what is wrong with the broker.'
            WHEN s.dead_letters > 0 THEN 'The broker rejected events: SELECT * FROM outbox.dead_letter WHERE sink = ' || pg_catalog.quote_literal(s.name)
                || ' AND state = ''open''; remove the cause and redrive them, or discard them. ' || s.held || ' events wait.'
            WHEN s.blocked_topics > 0 THEN 'Some topics take no messages: see the rows of kind topic. Others go on.' END
FROM sinks s
UNION ALL
SELECT 'topic', t.sink || ': ' || t.topic || CASE WHEN t.event_type <> '' THEN ' (' || t.event_type || ')' ELSE '' END, 'blocked',
       NULL, NULL, t.held, pg_catalog.clock_timestamp() - t.oldest, NULL, NULL, t.reason, t.tried_at,
       CASE WHEN t.event_type <> '' THEN 'The registry does not give this schema a number: make it compatible, or change the rules of its subject, or wait until the registry works. '
            ELSE 'Create the topic, or allow the sink''s user to write to it. ' END
         || 'Its events are held, others go on; it is tried again by itself, next at ' || pg_catalog.date_trunc('second', t.next_try)
         || ', or at once with SELECT pg_reload_conf(); If it never takes them: SELECT outbox.discard_held(' || pg_catalog.quote_literal(t.sink)
         || ', topic => ' || pg_catalog.quote_literal(t.topic) || ', reason => ''...'') gives them up.'
FROM topics t;
COMMENT ON VIEW outbox.status IS
'One row per extension, contract and sink, per version of a contract that has several or one with a sunset, per topic that takes nothing from a sink, and per trigger of ours that no contract has: what is going on and what to do. captured: events of committed and prepared transactions since the server started. published: events that the broker acknowledged since the sink was created; for the extension, those of the sink with the fewest. The two counts begin at different moments. pending: events that are not published yet, an upper bound, because seq values of rolled-back transactions count until a relay has passed them. oldest_age: of the oldest committed event that is not acknowledged, whatever the state';
COMMENT ON COLUMN outbox.status.state IS 'extension: active, capture off, not preloaded, version mismatch; contract: enabled, disabled, restoring, not captured, detached, broken; trigger: not configured; sink: starting, running, backoff, blocked, stopping, not running, paused, stopped; topic: blocked';
