-- Whether a transaction, or an event, is published: for applications that wait for it, and for operators.

CREATE FUNCTION outbox.tx_id()
RETURNS xid8
LANGUAGE sql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS 'SELECT pg_catalog.pg_current_xact_id()';
COMMENT ON FUNCTION outbox.tx_id() IS
'The number of the present transaction, for tx_status() and wait_acked() after its COMMIT. Gives the transaction a number when it has none yet, so call it in one that writes';

CREATE FUNCTION outbox.tx_status(
    xid xid8, sink text DEFAULT NULL,
    OUT sink text, OUT state text, OUT held bigint, OUT dead_letters bigint, OUT as_of timestamptz)
RETURNS SETOF record
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'outbox_tx_status';
COMMENT ON FUNCTION outbox.tx_status(xid8, text) IS
'How far a transaction is published, one row per sink (null: all sinks). state: running, aborted, pending (not acknowledged yet), acked (all of it is acknowledged, or was discarded; also when it made no events), held (an event of it waits), dead_letter (an event of it needs a person), unknown (too old: the server does not know any more whether it committed). held, dead_letters: how many. as_of: when the position was reported that this was read from. Errors: undefined_object, null_value_not_allowed, invalid_parameter_value (there is no such transaction yet)';

CREATE FUNCTION outbox.wait_acked(xid xid8, sink text DEFAULT NULL, timeout interval DEFAULT '2 s')
RETURNS text
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'outbox_wait_acked';
COMMENT ON FUNCTION outbox.wait_acked(xid8, text, interval) IS
'Waits until a transaction is acknowledged by the sink (null: by all sinks that are running), at most timeout, and returns its state as tx_status() has it, of several sinks the worst. Returns at once when waiting would not change it: dead_letter, aborted, unknown, or a sink that does not run. Call it after COMMIT. Errors: active_sql_transaction (xid is the present transaction), object_not_in_prerequisite_state (no sink is running), undefined_object, null_value_not_allowed, invalid_parameter_value';

CREATE FUNCTION outbox.event_status(
    id uuid, sink text DEFAULT NULL,
    OUT sink text, OUT state text, OUT topic text, OUT seq bigint, OUT reason text)
RETURNS SETOF record
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'outbox_event_status';
COMMENT ON FUNCTION outbox.event_status(uuid, text) IS
'What became of an event, by its id (ce_id), one row per sink (null: all sinks): pending, acked, held, dead_letter, discarded (until the position on disk has passed it; acked after that), or unknown (the sink began after it). reason: why it is held, rejected or discarded. No rows: the outbox does not have it any more, or never had. Reads the leaves of its time from end to end: about a second per gigabyte. Errors: undefined_object';
