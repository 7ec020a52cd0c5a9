-- For monitoring systems.

CREATE VIEW outbox.relay_status AS
SELECT r.sink, r.state, r.pid, r.since, r.retry_at,
       -- see sinks in outbox.status
       CASE WHEN p.sink_id IS NULL AND coalesce(r.seq_seen, 0) = 0 AND o.since IS NULL THEN 0
            ELSE greatest(w.pending, (o.since IS NOT NULL)::int) END AS pending,
       pg_catalog.clock_timestamp() - least(o.since, h.oldest) AS lag,
       r.in_flight, r.in_flight_bytes, r.window_left, coalesce(p.acked, 0) AS acked, p.updated_at AS position_at,
       r.retries, r.scans, r.cycles,
       (SELECT pg_catalog.min(x.id) FROM outbox_internal.replay_request x WHERE x.sink_id = r.sink_id AND x.state = 'running') AS replay,
       r.last_error, r.last_error_at
FROM outbox_internal.relay_report() r
CROSS JOIN (SELECT CASE WHEN is_called THEN last_value ELSE 0 END AS last_value FROM outbox_internal.event_seq) q
LEFT JOIN outbox_internal.relay_progress p ON p.sink_id = r.sink_id
CROSS JOIN LATERAL (SELECT greatest(q.last_value - greatest(r.seq_seen, p.seq_seen, 0), 0) + coalesce(r.queued, 0) AS pending) w
CROSS JOIN LATERAL (SELECT coalesce(r.oldest_unacked, CASE WHEN r.state <> 'running' OR r.since IS NULL OR w.pending > 0
                                                           THEN outbox_internal.oldest_pending(r.sink_id) END) AS since) o
CROSS JOIN LATERAL (SELECT pg_catalog.min(e.occurred_at) AS oldest
                    FROM outbox_internal.held_event e WHERE e.sink_id = r.sink_id AND e.state NOT IN ('rejected', 'discarded')) h;
COMMENT ON VIEW outbox.relay_status IS
'One row per sink: what its relay does. state: stopped, paused, waiting (for the launcher), no worker (max_worker_processes are in use), not listed (in outbox.databases), starting, running, backoff (transport trouble), blocked (a rejected event, or a copy of the data), stopping. since: in this state; retry_at: end of the pause after a failed attempt; pending: events not acknowledged, an upper bound; lag: age of the oldest committed event that is not acknowledged, whatever the state; in_flight: messages handed to the sink and not acknowledged; window_left: events known and not read yet; acked: since the sink was created; retries: lives of the sink that ended early, since the server started; replay: the one that is running';

CREATE VIEW outbox.writers AS
SELECT DISTINCT ON (l.virtualtransaction) l.pid, a.usename AS username, a.application_name, a.state,
       coalesce(a.xact_start, x.prepared) AS xact_start, x.gid
FROM pg_catalog.pg_locks l
LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
LEFT JOIN pg_catalog.pg_locks t ON l.pid IS NULL AND t.pid IS NULL AND t.locktype = 'transactionid' AND t.mode = 'ExclusiveLock'
          AND t.virtualtransaction = l.virtualtransaction
LEFT JOIN pg_catalog.pg_prepared_xacts x ON x.transaction = t.transactionid
WHERE l.locktype = 'relation' AND l.mode = 'RowExclusiveLock' AND l.granted
AND l.relation = 'outbox_internal.event_seq'::pg_catalog.regclass
AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())
AND NOT EXISTS (SELECT FROM outbox_internal.relay_report() r WHERE r.pid = l.pid);
COMMENT ON VIEW outbox.writers IS
'Open and prepared transactions that have captured events. They delay only their own events, and the leaves that they wrote to cannot be recycled. Columns from pg_stat_activity are null for readers who may not see other sessions (pg_read_all_stats)';

CREATE VIEW outbox.metrics AS
WITH counters AS (
    SELECT n.name, n.le, n.value, s.name AS sink, e.contract, e.event_type
    FROM outbox_internal.counters() n
    LEFT JOIN outbox_internal.sink s ON s.id = n.sink_id
    LEFT JOIN outbox_internal.event_schema e ON e.id = n.schema_id
), relays AS (
    SELECT * FROM outbox.relay_status
)
SELECT 'outbox_info'::text AS name,
       pg_catalog.jsonb_build_object('version', outbox_internal.library_version(), 'preloaded', outbox_internal.preloaded()::text) AS labels, 1::float8 AS value
UNION ALL
SELECT 'outbox_captured_total', pg_catalog.jsonb_build_object('contract', contract, 'event_type', event_type), pg_catalog.sum(value)
FROM counters WHERE name = 'captured' GROUP BY contract, event_type
UNION ALL
SELECT 'outbox_captured_dead_letters_total', pg_catalog.jsonb_build_object('contract', c.name), n.dead_letters::float8
FROM outbox_internal.contract_counters() n JOIN outbox_internal.contract c ON c.id = n.contract_id
UNION ALL
SELECT 'outbox_published_total', pg_catalog.jsonb_build_object('sink', sink, 'contract', contract, 'event_type', event_type), pg_catalog.sum(value)
FROM counters WHERE name = 'published' GROUP BY sink, contract, event_type
UNION ALL
SELECT 'outbox_published_bytes_total', pg_catalog.jsonb_build_object('sink', sink), value FROM counters WHERE name = 'bytes'
UNION ALL
SELECT 'outbox_retries_total', pg_catalog.jsonb_build_object('sink', sink), value FROM counters WHERE name = 'retries'
UNION ALL
SELECT 'outbox_publish_latency_seconds_bucket',
       pg_catalog.jsonb_build_object('sink', sink, 'le', CASE WHEN le = 'Infinity' THEN '+Inf' ELSE le::text END), value
FROM counters WHERE name = 'latency_bucket'
UNION ALL
SELECT 'outbox_publish_latency_seconds_sum', pg_catalog.jsonb_build_object('sink', sink), value FROM counters WHERE name = 'latency_sum'
UNION ALL
SELECT 'outbox_publish_latency_seconds_count', pg_catalog.jsonb_build_object('sink', sink), value FROM counters WHERE name = 'latency_count'
UNION ALL
SELECT 'outbox_acked_total', pg_catalog.jsonb_build_object('sink', sink), acked::float8 FROM relays
UNION ALL
SELECT 'outbox_pending', pg_catalog.jsonb_build_object('sink', sink), pending::float8 FROM relays
UNION ALL
SELECT 'outbox_oldest_pending_age_seconds', pg_catalog.jsonb_build_object('sink', sink), coalesce(extract(epoch FROM lag), 0)::float8 FROM relays
UNION ALL
SELECT 'outbox_in_flight', pg_catalog.jsonb_build_object('sink', sink), in_flight::float8 FROM relays WHERE in_flight IS NOT NULL
UNION ALL
SELECT 'outbox_relay_up', pg_catalog.jsonb_build_object('sink', sink), CASE WHEN pid IS NOT NULL AND state = 'running' THEN 1 ELSE 0 END::float8 FROM relays
UNION ALL
SELECT 'outbox_relay_state', pg_catalog.jsonb_build_object('sink', sink, 'state', state), 1::float8 FROM relays
UNION ALL
SELECT 'outbox_replay_left', pg_catalog.jsonb_build_object('sink', s.name), pg_catalog.sum(r.events - r.published - r.rejected)::float8
FROM outbox_internal.sink s JOIN outbox_internal.replay_request r ON r.sink_id = s.id AND r.state IN ('waiting', 'running') GROUP BY s.name
UNION ALL
SELECT 'outbox_dead_letters',
       pg_catalog.jsonb_build_object('contract', coalesce(c.name, ''), 'event_type', coalesce(t.name, ''), 'stage', d.stage), pg_catalog.count(*)::float8
FROM outbox_internal.dead_letter_entry d
LEFT JOIN outbox_internal.contract c ON c.name = d.contract
LEFT JOIN outbox_internal.event_type t ON t.contract_id = c.id AND t.name = d.event_type
WHERE d.state = 'open' GROUP BY c.name, t.name, d.stage
UNION ALL
SELECT 'outbox_gaps', pg_catalog.jsonb_build_object('contract', coalesce(c.name, '')), pg_catalog.count(*)::float8
FROM outbox_internal.gap g LEFT JOIN outbox_internal.contract c ON c.name = g.contract WHERE g.resolved_at IS NULL GROUP BY c.name
UNION ALL
SELECT 'outbox_contracts_restoring', '{}'::jsonb, pg_catalog.count(*)::float8
FROM outbox_internal.contract c, outbox_internal.contract_id_seq s
WHERE c.enabled AND c.id > s.last_value - CASE WHEN s.is_called THEN 0 ELSE 1 END
UNION ALL
SELECT 'outbox_table_bytes', pg_catalog.jsonb_build_object('table', t.name), pg_catalog.sum(pg_catalog.pg_total_relation_size(t.oid))::float8
FROM (SELECT c.oid, CASE WHEN c.relispartition THEN 'event' ELSE c.relname END AS name
      FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      WHERE n.nspname = 'outbox_internal' AND c.relkind = 'r') t
GROUP BY t.name
UNION ALL
SELECT 'outbox_leaves', pg_catalog.jsonb_build_object('state', state), pg_catalog.count(*)::float8 FROM outbox_internal.leaf GROUP BY state
UNION ALL
SELECT 'outbox_backlog_bytes', '{}'::jsonb,
       coalesce(pg_catalog.sum(CASE WHEN state = 'frozen' THEN bytes ELSE outbox_internal.leaf_bytes(relation) END), 0)::float8
FROM outbox_internal.leaf WHERE state IN ('current', 'closing', 'frozen')
UNION ALL
SELECT 'outbox_writers', '{}'::jsonb, pg_catalog.count(*)::float8 FROM outbox.writers
UNION ALL
SELECT 'outbox_oldest_writer_pid', '{}'::jsonb, w.pid::float8
FROM (SELECT pid FROM outbox.writers WHERE pid IS NOT NULL ORDER BY xact_start LIMIT 1) w
UNION ALL
SELECT 'outbox_oldest_writer_age_seconds', '{}'::jsonb, extract(epoch FROM pg_catalog.clock_timestamp() - pg_catalog.min(w.xact_start))::float8
FROM outbox.writers w HAVING pg_catalog.min(w.xact_start) IS NOT NULL;
COMMENT ON VIEW outbox.metrics IS
'Metrics with the names of Prometheus: name, labels, value. Names that end in _total, _bucket, _sum and _count are counters: outbox_acked_total counts since the sink was created, the others since the server started. The rest are gauges. Labels are names of contracts, event types, sinks and tables that exist. Dropped ones count under an empty name, and all leaves under event. Cheap: it reads counters in shared memory and small tables, and no event';
