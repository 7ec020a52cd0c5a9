-- Dead letters, worked by a person.

CREATE FUNCTION outbox.redrive(id bigint DEFAULT NULL, contract text DEFAULT NULL, max_rows int DEFAULT 1000)
RETURNS bigint LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'outbox_redrive';
COMMENT ON FUNCTION outbox.redrive(bigint, text, int) IS
'Tries open dead letters again, the oldest first. The row is read as it is now, by key; what it was before comes from the dead letter. Events get a new seq and the header redriven. Returns how many dead letters were resolved. A letter that fails again stays open with the reason in last_failure, and gets its next turn after others. Commits of keys that were redriven wait until the transaction ends. So a transaction takes at most 256 keys of contracts evaluated at commit (16 without preloading), and leaves others to the next one. NULL: no restriction. Errors: undefined_object (no such open dead letter; no such contract), object_not_in_prerequisite_state (id is given, and there is no room for it)';

CREATE FUNCTION outbox_internal.redrive_late(max_rows int DEFAULT 50)
RETURNS bigint LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'outbox_redrive_late';
COMMENT ON FUNCTION outbox_internal.redrive_late(int) IS
'The relay calls it by itself. Tries dead letters of stage flush again: keys that a commit had no time for. Events get the header late. Returns how many dead letters were taken up.';

CREATE FUNCTION outbox.discard(id bigint, reason text)
RETURNS void LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'outbox_discard';
COMMENT ON FUNCTION outbox.discard(bigint, text) IS
'Closes an open dead letter without an event; the reason is kept in column resolution';

CREATE FUNCTION outbox.discard_held(sink text, topic text DEFAULT NULL, subject text DEFAULT NULL, reason text DEFAULT NULL)
RETURNS bigint LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'outbox_discard_held';
COMMENT ON FUNCTION outbox.discard_held(text, text, text, text) IS
'Gives up the events that a sink holds because a topic takes nothing, or a registry does not take their schema under a subject: they are not published. Each becomes a dead letter of stage publish, discarded, with the reason, the broker''s or registry''s words, and the payload. What waited behind them follows; later events of the topic are held again while it takes nothing. topic: as in held_events, without the sink''s prefix. With topic and subject both must fit. reason: required. Returns how many. Works while the relay runs; an event that it has under way at that moment may be published all the same. Errors: undefined_object (no such sink; it holds no such events), object_not_in_prerequisite_state (what it holds is not refused), null_value_not_allowed, invalid_parameter_value, feature_not_supported (a library without subjects)';

CREATE FUNCTION outbox.resolve_gap(id bigint, reason text)
RETURNS void LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'outbox_resolve_gap';
COMMENT ON FUNCTION outbox.resolve_gap(bigint, text) IS
'Closes a gap that somebody has dealt with: status does not count it any more. The reason is kept in column resolution. Errors: undefined_object (no such open gap), invalid_parameter_value, null_value_not_allowed';
