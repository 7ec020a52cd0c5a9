-- Storage: the leaves of outbox.event, and who still needs them.

CREATE FUNCTION outbox_internal.snapshot_covers(later pg_snapshot, earlier pg_snapshot)
RETURNS boolean
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'outbox_snapshot_covers';
COMMENT ON FUNCTION outbox_internal.snapshot_covers(pg_snapshot, pg_snapshot) IS
'Does the later snapshot see every transaction as ended that the earlier one sees as ended?';
REVOKE ALL ON FUNCTION outbox_internal.snapshot_covers(pg_snapshot, pg_snapshot) FROM PUBLIC;

CREATE FUNCTION outbox_internal.leaf_bytes(relation regclass)
RETURNS bigint
LANGUAGE c VOLATILE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'outbox_leaf_bytes';
COMMENT ON FUNCTION outbox_internal.leaf_bytes(regclass) IS
'Size of a leaf with what it stores out of line; waits for no lock: null when it is locked or gone';
REVOKE ALL ON FUNCTION outbox_internal.leaf_bytes(regclass) FROM PUBLIC;

CREATE FUNCTION outbox_internal.oldest_pending(sink_id int)
RETURNS timestamptz
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'outbox_oldest_pending';
COMMENT ON FUNCTION outbox_internal.oldest_pending(int) IS
'When the oldest committed event occurred that the recorded position of a sink does not cover; null: there is none. Reads a few blocks, however large the backlog is; waits for no lock';
REVOKE ALL ON FUNCTION outbox_internal.oldest_pending(int) FROM PUBLIC;

-- A position counts only where it was recorded: not in a copy of the database, nor after a loss of transactions.
CREATE VIEW outbox_internal.leaf_sink AS
SELECT l.leaf, s.id AS sink_id, s.name AS sink,
       coalesce(outbox_internal.snapshot_covers(p.snap_last, l.frozen_snapshot), false) AS passed,
       coalesce(a.acked, 0) AS acked,
       p.start_snap IS NULL OR pg_catalog.pg_snapshot_xmax(p.start_snap) <= l.min_xid AS gets_all
FROM outbox_internal.leaf l
CROSS JOIN outbox_internal.sink s
LEFT JOIN outbox_internal.relay_progress p ON p.sink_id = s.id
     AND p.database_oid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
     AND p.system_identifier = (SELECT system_identifier FROM pg_catalog.pg_control_system())
     AND pg_catalog.pg_snapshot_xmax(p.snap_last) <= pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())
     AND p.rewind_to IS NULL
LEFT JOIN LATERAL (SELECT n.acked FROM ROWS FROM (pg_catalog.unnest(p.leaves), pg_catalog.unnest(p.leaf_uses), pg_catalog.unnest(p.leaf_acked)) AS n(leaf, use, acked)
                   WHERE n.leaf = l.leaf AND n.use = l.leaf_generation % 65536) a ON true;
COMMENT ON VIEW outbox_internal.leaf_sink IS
'One row per leaf and sink. passed: the sink''s recorded position is behind everything in the leaf; acked: events of the leaf that it has acknowledged, until the leaf is retained; gets_all: the sink began before the leaf''s oldest event, so acked must become the number of the leaf''s events';
-- The keeper reads the one above: it must not wait for a lock on what others can name.
CREATE VIEW outbox.leaf_sink AS SELECT * FROM outbox_internal.leaf_sink;

CREATE VIEW outbox.leaf_status AS
SELECT l.leaf, l.relation, l.state, l.leaf_generation, l.events,
       CASE WHEN l.state = 'empty' THEN 0
            WHEN l.state IN ('current', 'closing') THEN outbox_internal.leaf_bytes(l.relation)
            ELSE l.bytes END AS bytes,
       l.opened_at, l.changed_at, l.first_at, l.last_at, l.acked_at,
       CASE WHEN l.state <> 'empty' THEN
            (SELECT pg_catalog.array_agg(k.sink ORDER BY k.sink) FROM outbox_internal.leaf_sink k WHERE k.leaf = l.leaf AND NOT k.passed) END AS waits_for,
       b.pid AS blocking_pid, b.since AS blocking_since, b.what AS blocking,
       CASE WHEN l.state = 'closing' THEN
                'A transaction that wrote to it is open; when it ends the leaf is frozen. Its events are published meanwhile.'
            WHEN l.state = 'acked' THEN
                'A sink has not acknowledged all of its events, although it was published again: keep it, and compare SELECT * FROM outbox.leaf_sink.'
            WHEN l.state = 'frozen' AND l.republished > 0 THEN
                'It is published again: a sink had not acknowledged all of its events.' END AS advice
FROM outbox_internal.leaf l
LEFT JOIN LATERAL (
    SELECT k.pid, coalesce(a.xact_start, x.prepared) AS since,
           CASE WHEN x.gid IS NOT NULL THEN 'prepared transaction ' || pg_catalog.quote_literal(x.gid)
                ELSE pg_catalog.concat_ws(', ', a.usename, nullif(a.application_name, ''), a.state) END AS what
    FROM pg_catalog.pg_locks k
    LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = k.pid
    -- a prepared transaction is known by the lock on its own id
    LEFT JOIN pg_catalog.pg_locks t ON k.pid IS NULL AND t.pid IS NULL AND t.locktype = 'transactionid' AND t.mode = 'ExclusiveLock'
         AND t.virtualtransaction = k.virtualtransaction
    LEFT JOIN pg_catalog.pg_prepared_xacts x ON x.transaction = t.transactionid
    -- a writer has locked the leaf as an object; whoever has locked its relation only keeps it from being emptied
    WHERE CASE WHEN l.state = 'closing'
               THEN k.locktype = 'object' AND k.classid = 'outbox_internal.leaf'::pg_catalog.regclass AND k.objid = l.relation
               ELSE k.locktype = 'relation' AND k.relation = l.relation END
      AND k.granted
      AND k.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
      AND k.pid IS DISTINCT FROM pg_catalog.pg_backend_pid()
    ORDER BY coalesce(a.xact_start, x.prepared)
    LIMIT 1) b ON l.state IN ('closing', 'retained');
COMMENT ON VIEW outbox.leaf_status IS
'One row per leaf of outbox.event: state, committed events (once it is frozen), size, the sinks that it waits for, and the oldest transaction that keeps it from being frozen (closing) or emptied (retained). When that began is known to members of pg_read_all_stats';
