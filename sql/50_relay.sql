-- Relays: the background workers that publish, one per sink.

CREATE FUNCTION outbox.start_relay(sink text DEFAULT NULL)
RETURNS text
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'outbox_start_relay';
COMMENT ON FUNCTION outbox.start_relay(text) IS
'Starts the relay of this sink (null: of every sink that is not paused) at the commit, and after every restart. Also confirms that this copy of the data may publish. Returns what happens. On a server that does not preload outbox_ext the relay runs on trial: it looks for events every outbox.poll_interval, and ends with the server. Errors: undefined_object, configuration_limit_exceeded (on trial: no background worker is free)';
REVOKE ALL ON FUNCTION outbox.start_relay(text) FROM PUBLIC;

CREATE FUNCTION outbox.stop_relay(sink text DEFAULT NULL)
RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'outbox_stop_relay';
COMMENT ON FUNCTION outbox.stop_relay(text) IS
'Stops the relay of this sink (null: of every sink that is not paused) at the commit. The relay waits up to outbox.drain_timeout for outstanding acknowledgements. Errors: undefined_object';
REVOKE ALL ON FUNCTION outbox.stop_relay(text) FROM PUBLIC;

CREATE FUNCTION outbox.pause(sink text)
RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'outbox_pause';
COMMENT ON FUNCTION outbox.pause(text) IS
'Stops publishing to this sink, from the commit on and after every restart, until resume(); its position and events are kept. start_relay() for all sinks leaves it paused. Errors: undefined_object, object_not_in_prerequisite_state (it is stopped)';
REVOKE ALL ON FUNCTION outbox.pause(text) FROM PUBLIC;

CREATE FUNCTION outbox.resume(sink text)
RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'outbox_resume';
COMMENT ON FUNCTION outbox.resume(text) IS
'Goes on publishing to a paused sink where it stopped, from the commit on. Unlike start_relay() it does not confirm a copy of the data. Errors: undefined_object, object_not_in_prerequisite_state (it is stopped)';
REVOKE ALL ON FUNCTION outbox.resume(text) FROM PUBLIC;

CREATE FUNCTION outbox_internal.relay_report(
    OUT sink_id int, OUT sink text, OUT state text, OUT pid int,
    OUT published bigint, OUT acked bigint, OUT queued bigint, OUT seq_seen bigint,
    OUT oldest_unacked timestamptz, OUT scans bigint, OUT cycles bigint,
    OUT last_error text, OUT last_error_at timestamptz,
    OUT since timestamptz, OUT retry_at timestamptz, OUT in_flight bigint, OUT in_flight_bytes bigint, OUT window_left bigint,
    OUT retries bigint)
RETURNS SETOF record
LANGUAGE c VOLATILE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'outbox_relay_report';
COMMENT ON FUNCTION outbox_internal.relay_report() IS
'One row per sink, as its relay last reported. state: stopped, paused, waiting (for the launcher), no worker (max_worker_processes are in use), not listed (in outbox.databases), starting, running, backoff (transport trouble), blocked (a rejected event), stopping. published, acked and queued are of the present relay process: messages handed over, events acknowledged, events read and not acknowledged; null without a relay';
REVOKE ALL ON FUNCTION outbox_internal.relay_report() FROM PUBLIC;

CREATE FUNCTION outbox_internal.contract_counters(
    OUT contract_id int, OUT captured bigint, OUT dead_letters bigint,
    OUT calls bigint, OUT skips bigint, OUT transitions bigint, OUT call_us bigint, OUT max_call_us bigint,
    OUT flushes bigint, OUT flush_keys bigint, OUT flush_us bigint, OUT max_flush_us bigint)
RETURNS SETOF record
LANGUAGE c VOLATILE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'outbox_contract_counters';
COMMENT ON FUNCTION outbox_internal.contract_counters() IS
'Events, dead letters and cost per contract since the server started, prepared transactions included; no rows when the library is not preloaded. The cost of transactions that rolled back counts, too. View contract_cost explains the columns';
REVOKE ALL ON FUNCTION outbox_internal.contract_counters() FROM PUBLIC;

CREATE FUNCTION outbox.commit_queue(OUT pid int, OUT state text, OUT keys int, OUT blocking_pid int)
RETURNS SETOF record
LANGUAGE c VOLATILE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'outbox_commit_queue';
COMMENT ON FUNCTION outbox.commit_queue() IS
'One row per transaction of this database that reads contracts at commit, in the order in which they came; a transaction that comes again has two rows. state: waiting, reading, committing. keys: how many it reads; null: very many. blocking_pid: when it waits, a session in its way. No rows when the library is not preloaded';
REVOKE ALL ON FUNCTION outbox.commit_queue() FROM PUBLIC;

CREATE FUNCTION outbox_internal.counters(OUT name text, OUT sink_id int, OUT schema_id int, OUT le float8, OUT value float8)
RETURNS SETOF record
LANGUAGE c VOLATILE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'outbox_counters';
COMMENT ON FUNCTION outbox_internal.counters() IS
'What was counted in shared memory since the server started, for views metrics and status; no rows when the library is not preloaded. name: captured (events by schema, prepared transactions included), published (acknowledged events by sink and schema), bytes, retries, latency_sum (seconds), latency_count, latency_bucket (events acknowledged within le seconds of occurred_at)';
REVOKE ALL ON FUNCTION outbox_internal.counters() FROM PUBLIC;
