-- What columns, sequences and triggers are, for \d+ and whoever reads the catalogs; a column that needs
-- more than a word is described beside its table. Every object of ours has a comment: test/pgtap/api.sql looks.

COMMENT ON COLUMN outbox_internal.contract.id IS 'Other tables refer to the contract by it; drawn from contract_id_seq';
COMMENT ON COLUMN outbox_internal.contract.name IS 'Unique; its triggers are !outbox_<name> and !outbox!<name>';
COMMENT ON COLUMN outbox_internal.contract.created_at IS 'Clock time of create_contract()';

COMMENT ON COLUMN outbox_internal.contract_version.contract_id IS 'outbox.contract.id';
COMMENT ON COLUMN outbox_internal.contract_version.version IS 'Counts from 1';
COMMENT ON COLUMN outbox_internal.contract_version.view IS 'The view; its oid stays when it is replaced or renamed';
COMMENT ON COLUMN outbox_internal.contract_version.created_at IS 'Clock time';
COMMENT ON COLUMN outbox_internal.contract_version.activated_at IS 'When enable() published it first';
COMMENT ON COLUMN outbox_internal.contract_version.retired_at IS 'When retire_version() ended it, or another version took its place';
COMMENT ON COLUMN outbox_internal.event_type_version.event_type_id IS 'outbox.event_type.id';
COMMENT ON COLUMN outbox_internal.event_type_version.version IS 'outbox.contract_version.version';
COMMENT ON COLUMN outbox_internal.event_type_version.condition IS 'Null: as in event_type';
COMMENT ON COLUMN outbox_internal.event_type_version.previous IS 'Null: as in event_type';
COMMENT ON COLUMN outbox_internal.event_type_version.topic IS 'Null: as in event_type, with the suffix of the version';
COMMENT ON COLUMN outbox_internal.event_type_version.ce_type IS 'Null: as in event_type, with the number of a version beside';
COMMENT ON COLUMN outbox_internal.preflight.contract_id IS 'outbox.contract.id';
COMMENT ON COLUMN outbox_internal.preflight.sink_id IS 'outbox.sink.id';
COMMENT ON COLUMN outbox_internal.preflight.reason IS 'Why the registry gave no answer';
COMMENT ON COLUMN outbox_internal.preflight.asked_at IS 'When it was asked, by the clock';
COMMENT ON COLUMN outbox.contract_versions.contract IS 'Name of the contract';
COMMENT ON COLUMN outbox.contract_versions.version IS 'Counts from 1';
COMMENT ON COLUMN outbox.contract_versions.view IS 'Null while detach() keeps it away';
COMMENT ON COLUMN outbox.contract_versions.state IS 'draft: captures nothing; active: published; retired: not published any more';
COMMENT ON COLUMN outbox.contract_versions.publish IS 'instead of the version before it, or beside it; null: the first version';
COMMENT ON COLUMN outbox.contract_versions.suffix IS 'What follows the names of its topics; null: nothing';
COMMENT ON COLUMN outbox.contract_versions.required IS 'Columns that are never null in its events';
COMMENT ON COLUMN outbox.contract_versions.sunset IS 'When it is going to be retired; of a draft: when the versions before it are';
COMMENT ON COLUMN outbox.contract_versions.created_at IS 'Clock time of add_version()';
COMMENT ON COLUMN outbox.contract_versions.activated_at IS 'When enable() published it first';
COMMENT ON COLUMN outbox.contract_versions.retired_at IS 'When it ended';
COMMENT ON TRIGGER config_changed ON outbox_internal.event_type_version IS 'Every session compiles its contracts anew after the commit';
COMMENT ON COLUMN outbox.dead_letter.version IS 'Of the contract; null: of the row itself, or of a time without versions';

COMMENT ON COLUMN outbox_internal.source.contract_id IS 'outbox.contract.id';
COMMENT ON COLUMN outbox_internal.source.relation IS 'An ordinary or partitioned table with the contract''s triggers';
COMMENT ON COLUMN outbox_internal.source.role IS 'root: the source of create_contract(); child: of add_source()';

COMMENT ON COLUMN outbox_internal.detached_view.step IS 'Order in which reattach() runs the commands';
COMMENT ON COLUMN outbox_internal.detached_view.view IS 'Name of the view, qualified';
COMMENT ON COLUMN outbox_internal.detached_view.owner IS 'Owner of the view';
COMMENT ON COLUMN outbox_internal.detached_view.command IS 'The command that reattach() runs, as role';
COMMENT ON COLUMN outbox_internal.detached_view.created_at IS 'Clock time of detach()';

COMMENT ON COLUMN outbox_internal.event_type.id IS 'Order of creation, in which the events of one change follow each other';
COMMENT ON COLUMN outbox_internal.event_type.contract_id IS 'outbox.contract.id';
COMMENT ON COLUMN outbox_internal.event_type.name IS 'Unique in the database; the name of the Avro record and the column type of outbox.event';
COMMENT ON COLUMN outbox_internal.event_type.emit IS 'created, changed, deleted; always: every touch, equal rows too';
COMMENT ON COLUMN outbox_internal.event_type.topic IS 'Topic of its events; for events that exist already event_schema.topic counts';
COMMENT ON COLUMN outbox_internal.event_type.ce_type IS 'CloudEvents type';
COMMENT ON COLUMN outbox_internal.event_type.tombstone IS 'none; after: a null message follows the deleted row; instead: only the null message';
COMMENT ON COLUMN outbox_internal.event_type.created_at IS 'Clock time of create_event_type()';

COMMENT ON COLUMN outbox_internal.check_rule.id IS 'Order of creation, in which checks are evaluated';
COMMENT ON COLUMN outbox_internal.check_rule.event_type_id IS 'outbox.event_type.id';
COMMENT ON COLUMN outbox_internal.check_rule.name IS 'Unique within the event type; a dead letter of stage check names it';
COMMENT ON COLUMN outbox_internal.check_rule.created_at IS 'Clock time of add_check()';

COMMENT ON COLUMN outbox_internal.code_map.name IS 'The first argument of decode()';
COMMENT ON COLUMN outbox_internal.code_map.code IS 'Legacy code, compared byte by byte';
COMMENT ON COLUMN outbox_internal.code_map.word IS 'The word that decode() gives for it';
COMMENT ON COLUMN outbox_internal.code_map.owner IS 'The role that created the map; its members and superusers can drop it';
COMMENT ON COLUMN outbox_internal.code_map.owner_id IS 'The same role as system identifier/oid, which follows ALTER ROLE RENAME';

COMMENT ON COLUMN outbox_internal.annotation.kind IS 'contract, version, event_type or table';
COMMENT ON COLUMN outbox_internal.annotation.value IS 'Any JSON; of tags an array of strings';

COMMENT ON COLUMN outbox_internal.event_schema.id IS 'outbox.event.schema_id';
COMMENT ON COLUMN outbox_internal.event_schema.event_type_id IS 'outbox.event_type.id; null when the event type was dropped';
COMMENT ON COLUMN outbox_internal.event_schema.contract IS 'Name of the contract';
COMMENT ON COLUMN outbox_internal.event_schema.event_type IS 'Name of the event type';
COMMENT ON COLUMN outbox_internal.event_schema.version IS 'Contract version that it was pinned for';
COMMENT ON COLUMN outbox_internal.event_schema.topic IS 'Where events of this schema go';
COMMENT ON COLUMN outbox_internal.event_schema.ce_type IS 'CloudEvents type of events of this schema';
COMMENT ON COLUMN outbox_internal.event_schema.previous IS 'Contract columns whose former value the schema has as previous_<column>';
COMMENT ON COLUMN outbox_internal.event_schema.created_at IS 'Clock time at which it was pinned';

COMMENT ON COLUMN outbox.event.occurred_at IS 'Clock time of the change, not of the commit';
COMMENT ON COLUMN outbox.event.leaf IS 'Partition that the row is in';
COMMENT ON COLUMN outbox.event.aggregatetype IS 'What the event is about, the contract''s aggregate_type';
COMMENT ON COLUMN outbox.event.aggregateid IS 'Message key: values of the columns aggregate_id, joined by commas';
COMMENT ON COLUMN outbox.event.type IS 'Name of the event type';
COMMENT ON COLUMN outbox.event.headers IS 'Correlation and causation id (correlationid, causationid), actor, and in headers those that the event type asks for; null without them';

COMMENT ON COLUMN outbox_internal.leaf.leaf IS 'Value of outbox.event.leaf in it';
COMMENT ON COLUMN outbox_internal.leaf.relation IS 'The partition';
COMMENT ON COLUMN outbox_internal.leaf.changed_at IS 'When it reached its state';
COMMENT ON COLUMN outbox_internal.leaf.last_at IS 'occurred_at of its newest event';

COMMENT ON COLUMN outbox_internal.dead_letter_entry.id IS 'Argument of redrive() and discard()';
COMMENT ON COLUMN outbox_internal.dead_letter_entry.contract IS 'Name of the contract';
COMMENT ON COLUMN outbox_internal.dead_letter_entry.event_type IS 'Name of the event type; null: the contract''s row itself could not be mapped';
COMMENT ON COLUMN outbox_internal.dead_letter_entry.emit IS 'created, changed, deleted: what happened to the row, as far as it is known';
COMMENT ON COLUMN outbox_internal.dead_letter_entry.key IS 'Contract columns of the key; null: they could not be computed. Stage publish: aggregate_type and message_key';
COMMENT ON COLUMN outbox_internal.dead_letter_entry.stage IS 'map, condition, check, encode, size: what failed; flush: the commit had no time for the key; publish: a sink''s broker rejected the event';
COMMENT ON COLUMN outbox_internal.dead_letter_entry.sqlstate IS 'SQLSTATE of the error';
COMMENT ON COLUMN outbox_internal.dead_letter_entry.message IS 'What is wrong; stage publish: the broker''s words';
COMMENT ON COLUMN outbox_internal.dead_letter_entry.detail IS 'More about it, as in an error''s DETAIL';
COMMENT ON COLUMN outbox_internal.dead_letter_entry.hint IS 'What to do, as in an error''s HINT';
COMMENT ON COLUMN outbox_internal.dead_letter_entry.source_columns IS 'Source columns that the contract reads, values cut at 8 kB; at commit the whole lookup key; null after 1,000 failures of the contract in a transaction';
COMMENT ON COLUMN outbox_internal.dead_letter_entry.before IS 'The contract''s row before, where there was one and it is known';
COMMENT ON COLUMN outbox_internal.dead_letter_entry.sink IS 'Stage publish: the sink whose broker rejected it';
COMMENT ON COLUMN outbox_internal.dead_letter_entry.event_id IS 'Stage publish: outbox.event.id';
COMMENT ON COLUMN outbox_internal.dead_letter_entry.payload IS 'Stage publish: Avro binary without framing';
COMMENT ON COLUMN outbox_internal.dead_letter_entry.created_at IS 'Clock time of the change, or of the rejection';
COMMENT ON COLUMN outbox_internal.dead_letter_entry.state IS 'open, redriven, discarded';
COMMENT ON COLUMN outbox_internal.dead_letter_entry.attempts IS 'How often redrive tried it';
COMMENT ON COLUMN outbox_internal.dead_letter_entry.resolved_at IS 'When it was redriven or discarded; outbox.dead_letter_retention counts from here';
COMMENT ON COLUMN outbox_internal.dead_letter_entry.resolved_by IS 'Session user who resolved it';
COMMENT ON COLUMN outbox_internal.dead_letter_entry.resolution IS 'Reason given to discard(); or why it was redriven without an event';
COMMENT ON COLUMN outbox_internal.dead_letter_entry.last_failure IS 'Why the last redrive made no event: SQLSTATE and message; what is wrong with the change itself stays in message';
COMMENT ON COLUMN outbox_internal.dead_letter_entry.last_failure_hint IS 'What to do about last_failure';

COMMENT ON COLUMN outbox.dead_letter.id IS 'Argument of redrive() and discard()';
COMMENT ON COLUMN outbox.dead_letter.contract IS 'Name of the contract';
COMMENT ON COLUMN outbox.dead_letter.event_type IS 'Name of the event type; null: the contract''s row itself could not be mapped';
COMMENT ON COLUMN outbox.dead_letter.emit IS 'created, changed, deleted: what happened to the row, as far as it is known';
COMMENT ON COLUMN outbox.dead_letter.key IS 'Contract columns of the key; null: they could not be computed. Stage publish: aggregate_type and message_key';
COMMENT ON COLUMN outbox.dead_letter.stage IS 'map, condition, check, encode, size: what failed; flush: the commit had no time for the key; publish: a sink''s broker rejected the event';
COMMENT ON COLUMN outbox.dead_letter.sqlstate IS 'SQLSTATE of the error';
COMMENT ON COLUMN outbox.dead_letter.message IS 'What is wrong; stage publish: the broker''s words';
COMMENT ON COLUMN outbox.dead_letter.detail IS 'More about it, as in an error''s DETAIL';
COMMENT ON COLUMN outbox.dead_letter.hint IS 'What to do, as in an error''s HINT';
COMMENT ON COLUMN outbox.dead_letter.source_columns IS 'Source columns that the contract reads, values cut at 8 kB; at commit the whole lookup key; null after 1,000 failures of the contract in a transaction';
COMMENT ON COLUMN outbox.dead_letter.before IS 'The contract''s row before, where there was one and it is known';
COMMENT ON COLUMN outbox.dead_letter.sink IS 'Stage publish: the sink whose broker rejected it';
COMMENT ON COLUMN outbox.dead_letter.event_id IS 'Stage publish: outbox.event.id';
COMMENT ON COLUMN outbox.dead_letter.payload IS 'Stage publish: Avro binary without framing';
COMMENT ON COLUMN outbox.dead_letter.created_at IS 'Clock time of the change, or of the rejection';
COMMENT ON COLUMN outbox.dead_letter.state IS 'open, redriven, discarded';
COMMENT ON COLUMN outbox.dead_letter.attempts IS 'How often redrive tried it';
COMMENT ON COLUMN outbox.dead_letter.resolved_at IS 'When it was redriven or discarded; outbox.dead_letter_retention counts from here';
COMMENT ON COLUMN outbox.dead_letter.resolved_by IS 'Session user who resolved it';
COMMENT ON COLUMN outbox.dead_letter.resolution IS 'Reason given to discard(); or why it was redriven without an event';
COMMENT ON COLUMN outbox.dead_letter.last_failure IS 'Why the last redrive made no event: SQLSTATE and message; what is wrong with the change itself stays in message';
COMMENT ON COLUMN outbox.dead_letter.last_failure_hint IS 'What to do about last_failure';

COMMENT ON COLUMN outbox_internal.ddl_check_log.id IS 'Order of the entries';
COMMENT ON COLUMN outbox_internal.ddl_check_log.at IS 'Clock time';
COMMENT ON COLUMN outbox_internal.ddl_check_log.command_tag IS 'Of the first command that concerns the contract, or of the one that was overlooked';
COMMENT ON COLUMN outbox_internal.ddl_check_log.contract IS 'Name of the contract; null: it is not known which';
COMMENT ON COLUMN outbox_internal.ddl_check_log.what IS 'Why nobody looked, or what was not refused';
COMMENT ON COLUMN outbox_internal.gap.id IS 'Names the gap';
COMMENT ON COLUMN outbox_internal.gap.contract IS 'Name of the contract';
COMMENT ON COLUMN outbox_internal.gap.xid IS 'Top-level transaction in which it was recorded';
COMMENT ON COLUMN outbox_internal.gap.created_at IS 'Clock time';
COMMENT ON COLUMN outbox_internal.gap.resolved_by IS 'Session user who resolved it';
COMMENT ON COLUMN outbox_internal.gap.resolution IS 'Reason given to resolve_gap()';
COMMENT ON COLUMN outbox_internal.gap.resolved_at IS 'When a person or enable() dealt with it; null: status counts it';

COMMENT ON COLUMN outbox_internal.sink.id IS 'Other tables refer to the sink by it';
COMMENT ON COLUMN outbox_internal.sink.name IS 'Unique';
COMMENT ON COLUMN outbox_internal.sink.library IS 'Bare name of a library listed in outbox.sink_libraries';
COMMENT ON COLUMN outbox_internal.sink.options IS 'As given to create_sink(), checked by the library; may hold secrets, see view sinks';
COMMENT ON COLUMN outbox_internal.sink.start_at IS 'earliest: every event that was kept when it was created; now: those of transactions not committed then';
COMMENT ON COLUMN outbox_internal.sink.desired_state IS 'running, paused, stopped: what start_relay(), pause() and stop_relay() want';
COMMENT ON COLUMN outbox_internal.sink.system_identifier IS 'Database system that it was started in; a copy does not publish';
COMMENT ON COLUMN outbox_internal.sink.database_oid IS 'Database that it was started in';
COMMENT ON COLUMN outbox_internal.sink.site IS 'outbox.site when it was started';
COMMENT ON COLUMN outbox_internal.sink.created_at IS 'Clock time of create_sink()';

COMMENT ON COLUMN outbox_internal.held_event.seq IS 'As in outbox.event; order in which events of one aggregate are published';
COMMENT ON COLUMN outbox_internal.held_event.xid IS 'As in outbox.event';
COMMENT ON COLUMN outbox_internal.held_event.occurred_at IS 'As in outbox.event';
COMMENT ON COLUMN outbox_internal.held_event.id IS 'As in outbox.event';
COMMENT ON COLUMN outbox_internal.held_event.schema_id IS 'outbox.event_schema.id';
COMMENT ON COLUMN outbox_internal.held_event.leaf IS 'Leaf that it was in';
COMMENT ON COLUMN outbox_internal.held_event.flags IS 'As in outbox.event';
COMMENT ON COLUMN outbox_internal.held_event.aggregate_type IS 'outbox.event.aggregatetype';
COMMENT ON COLUMN outbox_internal.held_event.message_key IS 'outbox.event.aggregateid';
COMMENT ON COLUMN outbox_internal.held_event.event_type IS 'outbox.event.type';
COMMENT ON COLUMN outbox_internal.held_event.payload IS 'As in outbox.event';
COMMENT ON COLUMN outbox_internal.held_event.tracingspancontext IS 'As in outbox.event';
COMMENT ON COLUMN outbox_internal.held_event.headers IS 'As in outbox.event';
COMMENT ON COLUMN outbox_internal.held_event.sink_id IS 'outbox.sink.id';
COMMENT ON COLUMN outbox_internal.held_event.held_at IS 'When it was put aside';

COMMENT ON COLUMN outbox_internal.blocked_route.sink_id IS 'outbox.sink.id';
COMMENT ON COLUMN outbox_internal.blocked_route.topic IS 'Topic that takes nothing, or not this schema';
COMMENT ON COLUMN outbox_internal.blocked_route.reason IS 'Words of the broker or the registry';
COMMENT ON COLUMN outbox_internal.blocked_route.since IS 'When the trouble began';
COMMENT ON COLUMN outbox_internal.blocked_route.tries IS 'How often an event was offered since then';
COMMENT ON COLUMN outbox_internal.blocked_route.tried_at IS 'When the last one was offered';
COMMENT ON COLUMN outbox_internal.blocked_route.next_try IS 'When the next one is offered';

COMMENT ON COLUMN outbox_internal.relay_progress.sink_id IS 'outbox.sink.id';
COMMENT ON COLUMN outbox_internal.relay_progress.snap_last IS 'Events of all transactions that it sees as ended are acknowledged; null: nothing is acknowledged yet';
COMMENT ON COLUMN outbox_internal.relay_progress.snap_cur IS 'End of the window that is being published; null: none is';
COMMENT ON COLUMN outbox_internal.relay_progress.cursor IS 'Every event of that window with seq up to this is acknowledged';
COMMENT ON COLUMN outbox_internal.relay_progress.system_identifier IS 'Database system of the position; in another one it is void';
COMMENT ON COLUMN outbox_internal.relay_progress.database_oid IS 'Database of the position; in another one it is void';
COMMENT ON COLUMN outbox_internal.relay_progress.timeline IS 'Timeline on which it was written';
COMMENT ON COLUMN outbox_internal.relay_progress.updated_at IS 'When it was written';
COMMENT ON COLUMN outbox_internal.relay_progress.leaf_uses IS 'leaf_generation modulo 65536 of each entry of leaves';
COMMENT ON COLUMN outbox_internal.relay_progress.leaf_acked IS 'Number of acknowledged events of each entry of leaves';

COMMENT ON COLUMN outbox_internal.schema_registration.sink_id IS 'outbox_internal.sink.id';
COMMENT ON COLUMN outbox_internal.schema_registration.schema_id IS 'outbox_internal.event_schema.id';
COMMENT ON COLUMN outbox_internal.schema_registration.registry IS 'Address of the registry: scheme and host in lower case, without the default port; with a hash of the user when one is configured';
COMMENT ON COLUMN outbox_internal.schema_registration.subject IS 'Where the schema stands in the registry: follows from the topic, the schema''s name and the option subject.strategy';
COMMENT ON COLUMN outbox_internal.schema_registration.registered_id IS 'Id that the registry assigned';
COMMENT ON COLUMN outbox_internal.schema_registration.registered_at IS 'Clock time';

COMMENT ON COLUMN outbox_internal.replay_request.id IS 'Column request of view replays';
COMMENT ON COLUMN outbox_internal.replay_request.sink_id IS 'outbox.sink.id';
COMMENT ON COLUMN outbox_internal.replay_request.from_time IS 'Lowest occurred_at; null: no restriction';
COMMENT ON COLUMN outbox_internal.replay_request.to_time IS 'occurred_at is below it; null: no restriction';
COMMENT ON COLUMN outbox_internal.replay_request.event_type IS 'Only events of this type; null: of all';
COMMENT ON COLUMN outbox_internal.replay_request.aggregate_type IS 'Only events of this aggregate type; null: of all';
COMMENT ON COLUMN outbox_internal.replay_request.message_key IS 'Only events with this message key; null: with any';
COMMENT ON COLUMN outbox_internal.replay_request.from_seq IS 'Lowest seq; null: no restriction';
COMMENT ON COLUMN outbox_internal.replay_request.to_seq IS 'Highest seq; null: no restriction';
COMMENT ON COLUMN outbox_internal.replay_request.topic IS 'Where the events go; null: to their own topics';
COMMENT ON COLUMN outbox_internal.replay_request.rate IS 'Events per second; 0: no limit';
COMMENT ON COLUMN outbox_internal.replay_request.snap_last IS 'The sink''s snap_last when the replay was asked for: later events are not replayed';
COMMENT ON COLUMN outbox_internal.replay_request.snap_cur IS 'The sink''s snap_cur at that time';
COMMENT ON COLUMN outbox_internal.replay_request.snap_cursor IS 'The sink''s cursor at that time';
COMMENT ON COLUMN outbox_internal.replay_request.system_identifier IS 'Database system in which it was asked for; in another one it is cancelled';
COMMENT ON COLUMN outbox_internal.replay_request.database_oid IS 'Database in which it was asked for';
COMMENT ON COLUMN outbox_internal.replay_request.state IS 'waiting, running, done, cancelled';
COMMENT ON COLUMN outbox_internal.replay_request.published IS 'Acknowledged events; a repetition after a crash counts once';
COMMENT ON COLUMN outbox_internal.replay_request.rejected IS 'Events that the broker rejected, left out';
COMMENT ON COLUMN outbox_internal.replay_request.error IS 'What is wrong at present, or the last rejection';
COMMENT ON COLUMN outbox_internal.replay_request.requested_by IS 'Session user who asked for it';
COMMENT ON COLUMN outbox_internal.replay_request.created_at IS 'Clock time of replay()';
COMMENT ON COLUMN outbox_internal.replay_request.started_at IS 'When the relay began';
COMMENT ON COLUMN outbox_internal.replay_request.updated_at IS 'When the position was written last';
COMMENT ON COLUMN outbox_internal.replay_request.finished_at IS 'When it was done or cancelled';

COMMENT ON COLUMN outbox.replays.request IS 'Argument of cancel_replay()';
COMMENT ON COLUMN outbox.replays.sink IS 'Name of the sink';
COMMENT ON COLUMN outbox.replays.state IS 'waiting: for the relay, or for an earlier replay of the sink; running, done, cancelled';
COMMENT ON COLUMN outbox.replays.events IS 'Counted when it was asked for';
COMMENT ON COLUMN outbox.replays.published IS 'Acknowledged events; a repetition after a crash counts once';
COMMENT ON COLUMN outbox.replays.rejected IS 'Events that the broker rejected, left out';
COMMENT ON COLUMN outbox.replays.missing IS 'When done: events not kept any more when their turn came';
COMMENT ON COLUMN outbox.replays.cursor IS 'Every event up to this seq is done';
COMMENT ON COLUMN outbox.replays.topic IS 'Where the events go; null: to their own topics';
COMMENT ON COLUMN outbox.replays.rate IS 'Events per second; 0: no limit';
COMMENT ON COLUMN outbox.replays.filter IS 'The restrictions given to replay()';
COMMENT ON COLUMN outbox.replays.error IS 'What is wrong at present, or the last rejection';
COMMENT ON COLUMN outbox.replays.requested_by IS 'Session user who asked for it';
COMMENT ON COLUMN outbox.replays.created_at IS 'Clock time of replay()';
COMMENT ON COLUMN outbox.replays.started_at IS 'When the relay began';
COMMENT ON COLUMN outbox.replays.updated_at IS 'When the position was written last';
COMMENT ON COLUMN outbox.replays.finished_at IS 'When it was done or cancelled';

COMMENT ON COLUMN outbox.event_json.seq IS 'Order inside a transaction, and of one key between transactions';
COMMENT ON COLUMN outbox.event_json.id IS 'UUID version 7; ce_id';
COMMENT ON COLUMN outbox.event_json.type IS 'Name of the event type';
COMMENT ON COLUMN outbox.event_json.aggregatetype IS 'What the event is about';
COMMENT ON COLUMN outbox.event_json.aggregateid IS 'Message key';
COMMENT ON COLUMN outbox.event_json.payload IS 'The payload as JSON; null when error says why';
COMMENT ON COLUMN outbox.event_json.occurred_at IS 'Clock time of the change, not of the commit';
COMMENT ON COLUMN outbox.event_json.contract IS 'Name of the contract';
COMMENT ON COLUMN outbox.event_json.version IS 'Version of the contract';
COMMENT ON COLUMN outbox.event_json.topic IS 'Where it is published';
COMMENT ON COLUMN outbox.event_json.headers IS 'traceparent, superseded, redriven, late, tombstone, correlationid, causationid where they apply';
COMMENT ON COLUMN outbox.event_json.xid IS 'Top-level transaction that wrote it';
COMMENT ON COLUMN outbox.event_json.error IS 'Why the payload cannot be decoded';

COMMENT ON COLUMN outbox.sinks.name IS 'Name of the sink';
COMMENT ON COLUMN outbox.sinks.library IS 'Library that publishes for it';
COMMENT ON COLUMN outbox.sinks.options IS 'As given to create_sink(), with secrets masked: values of names that contain password, secret, key or token or name credentials otherwise. A path given as {"file": ...} is shown';
COMMENT ON COLUMN outbox.sinks.start_at IS 'earliest, now';
COMMENT ON COLUMN outbox.sinks.desired_state IS 'running, paused, stopped';
COMMENT ON COLUMN outbox.sinks.on_reject IS 'What happens after the broker rejects an event: block_key, skip or stop';
COMMENT ON COLUMN outbox.sinks.created_at IS 'Clock time of create_sink()';

COMMENT ON COLUMN outbox.contract_cost.contract IS 'Name of the contract';
COMMENT ON COLUMN outbox.contract_cost.calls IS 'Calls of its triggers, one per changed row';
COMMENT ON COLUMN outbox.contract_cost.skips IS 'Calls in which nothing published differs';
COMMENT ON COLUMN outbox.contract_cost.transitions IS 'Pairs of contract rows in which something published differs, or that could not be mapped';
COMMENT ON COLUMN outbox.contract_cost.events IS 'Events of transactions that were committed or prepared';
COMMENT ON COLUMN outbox.contract_cost.dead_letters IS 'Dead letters of transactions that were committed or prepared';
COMMENT ON COLUMN outbox.contract_cost.total_us IS 'Microseconds in the triggers, of bulk writes extrapolated';
COMMENT ON COLUMN outbox.contract_cost.max_us IS 'Microseconds of the longest call that was timed';
COMMENT ON COLUMN outbox.contract_cost.flushes IS 'Readings of the view at commit';
COMMENT ON COLUMN outbox.contract_cost.flush_keys IS 'Keys that they read';
COMMENT ON COLUMN outbox.contract_cost.total_flush_us IS 'Microseconds in them';
COMMENT ON COLUMN outbox.contract_cost.max_flush_us IS 'Microseconds of the longest';

COMMENT ON COLUMN outbox.held_events.sink IS 'Name of the sink';
COMMENT ON COLUMN outbox.held_events.topic IS 'Where it is to be published';
COMMENT ON COLUMN outbox.held_events.aggregate_type IS 'What the event is about';
COMMENT ON COLUMN outbox.held_events.message_key IS 'Message key';
COMMENT ON COLUMN outbox.held_events.seq IS 'Order in which events of one aggregate are published';
COMMENT ON COLUMN outbox.held_events.id IS 'outbox.event.id';
COMMENT ON COLUMN outbox.held_events.event_type IS 'Name of the event type';
COMMENT ON COLUMN outbox.held_events.occurred_at IS 'Clock time of the change';
COMMENT ON COLUMN outbox.held_events.state IS 'rejected: see its dead letter; redrive: about to be offered again; held: waits for its topic or behind an event of its aggregate';
COMMENT ON COLUMN outbox.held_events.dead_letter IS 'outbox.dead_letter.id of an event that was rejected';
COMMENT ON COLUMN outbox.held_events.reason IS 'Why its topic takes nothing; null: it waits for an event';
COMMENT ON COLUMN outbox.held_events.next_try IS 'When one of the topic''s events is offered again';
COMMENT ON COLUMN outbox.held_events.held_at IS 'When it was put aside';

COMMENT ON COLUMN outbox.status.kind IS 'extension, contract, trigger, sink, topic';
COMMENT ON COLUMN outbox.status.name IS 'Name of the object; of a topic <sink>: <topic>';
COMMENT ON COLUMN outbox.status.captured IS 'extension, contract: events of committed and prepared transactions since the server started; null when not preloaded';
COMMENT ON COLUMN outbox.status.published IS 'sink: events acknowledged since it was created; extension: the least of its sinks';
COMMENT ON COLUMN outbox.status.pending IS 'sink: events not acknowledged, an upper bound; topic: events held; extension: the most of its sinks';
COMMENT ON COLUMN outbox.status.oldest_age IS 'Age of the oldest committed event that is not acknowledged, held ones included';
COMMENT ON COLUMN outbox.status.dead_letters IS 'Open dead letters; of a sink those of stage publish';
COMMENT ON COLUMN outbox.status.gaps IS 'Gaps that are not resolved';
COMMENT ON COLUMN outbox.status.last_error IS 'contract: the message of its newest open dead letter; sink: the last error of its relay; topic: words of the broker or the registry';
COMMENT ON COLUMN outbox.status.last_error_at IS 'When that was';
COMMENT ON COLUMN outbox.status.advice IS 'What to do; null: nothing';

COMMENT ON COLUMN outbox.relay_status.sink IS 'Name of the sink';
COMMENT ON COLUMN outbox.relay_status.state IS 'stopped, paused, waiting, no worker, not listed, starting, running, backoff, blocked, stopping';
COMMENT ON COLUMN outbox.relay_status.pid IS 'Process of the relay; null: there is none';
COMMENT ON COLUMN outbox.relay_status.since IS 'When it reached this state';
COMMENT ON COLUMN outbox.relay_status.retry_at IS 'End of the pause after a failed attempt';
COMMENT ON COLUMN outbox.relay_status.pending IS 'Events not acknowledged, an upper bound';
COMMENT ON COLUMN outbox.relay_status.lag IS 'Age of the oldest committed event that is not acknowledged, held ones included';
COMMENT ON COLUMN outbox.relay_status.in_flight IS 'Messages handed to the sink and not acknowledged';
COMMENT ON COLUMN outbox.relay_status.in_flight_bytes IS 'Their size in bytes';
COMMENT ON COLUMN outbox.relay_status.window_left IS 'Events known and not read yet';
COMMENT ON COLUMN outbox.relay_status.acked IS 'Events acknowledged since the sink was created';
COMMENT ON COLUMN outbox.relay_status.position_at IS 'When the position was written last';
COMMENT ON COLUMN outbox.relay_status.retries IS 'Lives of the sink that ended early, since the server started';
COMMENT ON COLUMN outbox.relay_status.scans IS 'Scans of whole leaves since the process started';
COMMENT ON COLUMN outbox.relay_status.cycles IS 'Windows opened since the process started';
COMMENT ON COLUMN outbox.relay_status.replay IS 'Number of the replay that is running';
COMMENT ON COLUMN outbox.relay_status.last_error IS 'The last error of the relay; kept until the process ends';
COMMENT ON COLUMN outbox.relay_status.last_error_at IS 'When that was';

COMMENT ON COLUMN outbox.writers.pid IS 'Process; null: a prepared transaction';
COMMENT ON COLUMN outbox.writers.username IS 'Role of the session';
COMMENT ON COLUMN outbox.writers.application_name IS 'application_name of the session';
COMMENT ON COLUMN outbox.writers.state IS 'State in pg_stat_activity';
COMMENT ON COLUMN outbox.writers.xact_start IS 'When the transaction began; of a prepared one when it was prepared';
COMMENT ON COLUMN outbox.writers.gid IS 'Identifier of a prepared transaction';

COMMENT ON COLUMN outbox.metrics.name IS 'The name in Prometheus';
COMMENT ON COLUMN outbox.metrics.labels IS 'An object of strings';
COMMENT ON COLUMN outbox.metrics.value IS 'Counters only grow; they start again with the server, outbox_acked_total with the sink';

COMMENT ON COLUMN outbox_internal.leaf_sink.leaf IS 'outbox.leaf.leaf';
COMMENT ON COLUMN outbox_internal.leaf_sink.sink_id IS 'outbox.sink.id';
COMMENT ON COLUMN outbox_internal.leaf_sink.sink IS 'Name of the sink';
COMMENT ON COLUMN outbox_internal.leaf_sink.passed IS 'The sink''s recorded position is behind everything in the leaf';
COMMENT ON COLUMN outbox_internal.leaf_sink.acked IS 'Events of the leaf that it has acknowledged, until the leaf is retained';
COMMENT ON COLUMN outbox_internal.leaf_sink.gets_all IS 'The sink began before the leaf''s oldest event, so acked must become the number of events';

COMMENT ON COLUMN outbox.leaf_status.leaf IS 'outbox.leaf.leaf';
COMMENT ON COLUMN outbox.leaf_status.relation IS 'The partition';
COMMENT ON COLUMN outbox.leaf_status.state IS 'empty, current, closing, frozen, acked, retained';
COMMENT ON COLUMN outbox.leaf_status.leaf_generation IS 'Counts its uses';
COMMENT ON COLUMN outbox.leaf_status.events IS 'Committed events; null until it is frozen and counted';
COMMENT ON COLUMN outbox.leaf_status.bytes IS 'Size, large values included';
COMMENT ON COLUMN outbox.leaf_status.opened_at IS 'When it became current';
COMMENT ON COLUMN outbox.leaf_status.changed_at IS 'When it reached its state';
COMMENT ON COLUMN outbox.leaf_status.first_at IS 'occurred_at of its oldest event';
COMMENT ON COLUMN outbox.leaf_status.last_at IS 'occurred_at of its newest event';
COMMENT ON COLUMN outbox.leaf_status.acked_at IS 'When every sink had acknowledged it; outbox.retention counts from here';
COMMENT ON COLUMN outbox.leaf_status.waits_for IS 'Sinks that are not past it';
COMMENT ON COLUMN outbox.leaf_status.blocking_pid IS 'Oldest transaction that keeps a closing leaf from being frozen, or a retained one from being emptied';
COMMENT ON COLUMN outbox.leaf_status.blocking_since IS 'When that transaction began; for members of pg_read_all_stats';
COMMENT ON COLUMN outbox.leaf_status.blocking IS 'Whose transaction that is; a prepared one has no pid';
COMMENT ON COLUMN outbox.leaf_status.advice IS 'What to do; null: nothing';

COMMENT ON SEQUENCE outbox_internal.contract_id_seq IS 'Ids of contracts';
COMMENT ON SEQUENCE outbox_internal.event_type_id_seq IS 'Ids of event types';
COMMENT ON SEQUENCE outbox_internal.check_rule_id_seq IS 'Ids of checks';
COMMENT ON SEQUENCE outbox_internal.event_schema_id_seq IS 'Ids of pinned schemas';
COMMENT ON SEQUENCE outbox_internal.dead_letter_entry_id_seq IS 'Ids of dead letters';
COMMENT ON SEQUENCE outbox_internal.gap_id_seq IS 'Ids of gaps';
COMMENT ON SEQUENCE outbox_internal.ddl_check_log_id_seq IS 'Ids of entries';
COMMENT ON SEQUENCE outbox_internal.sink_id_seq IS 'Ids of sinks';
COMMENT ON SEQUENCE outbox_internal.replay_request_id_seq IS 'Ids of replays';

COMMENT ON TRIGGER config_changed ON outbox_internal.contract IS 'Every session compiles its contracts anew after the commit';
COMMENT ON TRIGGER config_changed ON outbox_internal.contract_version IS 'Every session compiles its contracts anew after the commit';
COMMENT ON TRIGGER config_changed ON outbox_internal.source IS 'Every session compiles its contracts anew after the commit';
COMMENT ON TRIGGER config_changed ON outbox_internal.event_type IS 'Every session compiles its contracts anew after the commit';
COMMENT ON TRIGGER config_changed ON outbox_internal.event_schema IS 'Every session compiles its contracts anew after the commit';
COMMENT ON TRIGGER config_changed ON outbox_internal.check_rule IS 'Every session compiles its contracts anew after the commit';
COMMENT ON TRIGGER config_changed ON outbox_internal.code_map IS 'Every session compiles its contracts anew after the commit';
COMMENT ON TRIGGER code_map_dropped ON outbox_internal.code_map IS 'A map that an enabled contract names cannot be dropped';
COMMENT ON TRIGGER refuse_row ON outbox.event IS 'Events are written by capture alone';
COMMENT ON TRIGGER refuse_truncate ON outbox.event IS 'Events go when the keeper empties their leaf';
COMMENT ON TRIGGER refuse_truncate ON outbox_internal.event_1 IS 'Events go when the keeper empties their leaf';

COMMENT ON EVENT TRIGGER outbox_partitions IS 'A command by which a partition of a source comes or goes with rows leaves a gap or is refused';
COMMENT ON EVENT TRIGGER outbox_dropped IS 'Dropping a partition of a source leaves a gap or is refused';
COMMENT ON EVENT TRIGGER outbox_source_changes IS 'DDL that breaks a live contract fails at commit';
COMMENT ON EVENT TRIGGER outbox_lock_before_drop IS 'DROP EXTENSION outbox_ext gets its locks in short attempts, or fails';
COMMENT ON EVENT TRIGGER outbox_refuse_ddl IS 'Refuses commands on objects of the extension that would keep others waiting or break capture, before they lock anything';

COMMENT ON COLUMN outbox.contracts.name IS 'Unique';
COMMENT ON COLUMN outbox.contracts.aggregate_type IS 'What its events are about; the default topic';
COMMENT ON COLUMN outbox.contracts.view IS 'Its view; null while it is detached';
COMMENT ON COLUMN outbox.source.key_query IS 'Child: which keys a changed row touches, as add_source() takes it, with the present names of tables and columns; null while key_view is detached';
COMMENT ON COLUMN outbox.contracts.sources IS 'Tables whose changes touch its rows, the first one of create_contract()';
COMMENT ON COLUMN outbox.contracts.key IS 'Contract columns that identify a row';
COMMENT ON COLUMN outbox.contracts.aggregate_id IS 'Contract columns that make up the message key';
COMMENT ON COLUMN outbox.contracts.required IS 'Contract columns that are never null in an event';
COMMENT ON COLUMN outbox.contracts.namespace IS 'Avro namespace of its records';
COMMENT ON COLUMN outbox.contracts.evaluate IS 'row, commit';
COMMENT ON COLUMN outbox.contracts.on_invalid IS 'dead_letter, abort';
COMMENT ON COLUMN outbox.contracts.on_truncate IS 'gap, reject';
COMMENT ON COLUMN outbox.contracts.enabled IS 'Whether changes are captured';
COMMENT ON COLUMN outbox.contracts.created_at IS 'Clock time of create_contract()';
COMMENT ON COLUMN outbox.contracts.compatibility IS 'Level at which its schemas are compared with those that were pinned before';

COMMENT ON COLUMN outbox.event_types.name IS 'Unique';
COMMENT ON COLUMN outbox.event_types.contract IS 'Name of the contract';
COMMENT ON COLUMN outbox.event_types.emit IS 'created, changed, deleted, always';
COMMENT ON COLUMN outbox.event_types.condition IS 'SQL over old and new columns; null: always true';
COMMENT ON COLUMN outbox.event_types.previous IS 'Contract columns whose former value is added';
COMMENT ON COLUMN outbox.event_types.topic IS 'Where its events go';
COMMENT ON COLUMN outbox.event_types.ce_type IS 'CloudEvents type';
COMMENT ON COLUMN outbox.event_types.tombstone IS 'none, after, instead';
COMMENT ON COLUMN outbox.event_types.checks IS 'Names and expressions of its checks, an object';
COMMENT ON COLUMN outbox.event_types.created_at IS 'Clock time of create_event_type()';
COMMENT ON COLUMN outbox.event_types.headers IS 'Columns that are headers of the message, too';
COMMENT ON COLUMN outbox.event_types.actor IS 'Whether its events say who made the change';

COMMENT ON COLUMN outbox.event_schemas.id IS 'outbox.event.schema_id';
COMMENT ON COLUMN outbox.event_schemas.contract IS 'Name of the contract';
COMMENT ON COLUMN outbox.event_schemas.event_type IS 'Name of the event type';
COMMENT ON COLUMN outbox.event_schemas.version IS 'Contract version that it was pinned for';
COMMENT ON COLUMN outbox.event_schemas.topic IS 'Where events of this schema go';
COMMENT ON COLUMN outbox.event_schemas.ce_type IS 'CloudEvents type of events of this schema';
COMMENT ON COLUMN outbox.event_schemas.previous IS 'Contract columns whose former value the schema has';
COMMENT ON COLUMN outbox.event_schemas.schema IS 'Avro schema as JSON text';
COMMENT ON COLUMN outbox.event_schemas.fingerprint IS 'CRC-64-AVRO of the Parsing Canonical Form';
COMMENT ON COLUMN outbox.event_schemas.created_at IS 'Clock time at which it was pinned';
COMMENT ON COLUMN outbox.event_schemas.record IS 'Full Avro name of its record; with the topic the key of the schema history';
COMMENT ON COLUMN outbox.event_schemas.key IS 'The contract''s key when it was pinned; the next three as well';
COMMENT ON COLUMN outbox.event_schemas.aggregate_id IS 'Contract columns that made up the message key';
COMMENT ON COLUMN outbox.event_schemas.emit IS 'Which changes made events';
COMMENT ON COLUMN outbox.event_schemas.tombstone IS 'Whether the deletion of a row made a null value';
COMMENT ON COLUMN outbox.event_schemas.forgotten_at IS 'Since when new schemas are not compared with it, by forget_schema_history(); null: they are';
COMMENT ON COLUMN outbox.event_schemas.forgotten_by IS 'Who said so';
COMMENT ON COLUMN outbox.event_schemas.forgotten_reason IS 'And why';

COMMENT ON COLUMN outbox.catalog.contract IS 'Name of the contract';
COMMENT ON COLUMN outbox.catalog.event_type IS 'Name of the event type';
COMMENT ON COLUMN outbox.catalog.version IS 'Of the contract';
COMMENT ON COLUMN outbox.catalog.state IS 'Of the version: draft, active, retired';
COMMENT ON COLUMN outbox.catalog.topic IS 'Where its events go';
COMMENT ON COLUMN outbox.catalog.ce_type IS 'CloudEvents type';
COMMENT ON COLUMN outbox.catalog.registered_ids IS 'Sink and id of the schema in its registry';
COMMENT ON COLUMN outbox.catalog.key IS 'Contract columns that identify a row';
COMMENT ON COLUMN outbox.catalog.message_key IS 'Contract columns that make up the message key';
COMMENT ON COLUMN outbox.catalog.owner IS 'Of annotate()';
COMMENT ON COLUMN outbox.catalog.domain IS 'Of annotate()';
COMMENT ON COLUMN outbox.catalog.doc IS 'Comment of the view';
COMMENT ON COLUMN outbox.catalog.fingerprint IS 'CRC-64-AVRO of the pinned schema; null before enable()';
COMMENT ON COLUMN outbox.catalog.checks IS 'Names and expressions of its checks, an object';
COMMENT ON COLUMN outbox.catalog.events_7_days IS 'In the outbox, of the last seven days';
COMMENT ON COLUMN outbox.catalog.last_event IS 'When the newest event in the outbox occurred';
COMMENT ON COLUMN outbox.catalog.example_key IS 'Message key of one of its events in the outbox';

COMMENT ON COLUMN outbox.catalog_field.contract IS 'Name of the contract';
COMMENT ON COLUMN outbox.catalog_field.event_type IS 'Name of the event type';
COMMENT ON COLUMN outbox.catalog_field.version IS 'Of the contract';
COMMENT ON COLUMN outbox.catalog_field.place IS 'Order of the fields; those of a nested record follow the field that they are in';
COMMENT ON COLUMN outbox.catalog_field.path IS 'Like items[].sku';
COMMENT ON COLUMN outbox.catalog_field.type IS 'Avro type';
COMMENT ON COLUMN outbox.catalog_field.pg_type IS 'PostgreSQL type in the view; null: it is away';
COMMENT ON COLUMN outbox.catalog_field.nullable IS 'Whether it may be null';
COMMENT ON COLUMN outbox.catalog_field.doc IS 'Its documentation in the schema';
COMMENT ON COLUMN outbox.catalog_field.code_map IS 'The code map whose words it has';
COMMENT ON COLUMN outbox.catalog_field.annotations IS 'Of annotate(): of the columns behind it, replaced by those of the contracts field, replaced by those of the event types';

-- What shows a relation under its name has the comments of that relation.
DO $$
DECLARE
    c record;
BEGIN
    FOR c IN SELECT v.relname, a.attname, d.description
             FROM pg_catalog.pg_class v
             JOIN pg_catalog.pg_class t ON t.relname = v.relname AND t.relnamespace = 'outbox_internal'::pg_catalog.regnamespace AND t.relkind IN ('r', 'v')
             JOIN pg_catalog.pg_description d ON d.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objoid = t.oid
             LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = t.oid AND a.attnum = d.objsubid AND d.objsubid > 0
             WHERE v.relnamespace = 'outbox'::pg_catalog.regnamespace AND v.relkind = 'v'
    LOOP
        IF c.attname IS NULL THEN
            EXECUTE pg_catalog.format('COMMENT ON VIEW outbox.%I IS %L', c.relname, c.description);
        ELSE
            EXECUTE pg_catalog.format('COMMENT ON COLUMN outbox.%I.%I IS %L', c.relname, c.attname, c.description);
        END IF;
    END LOOP;
END $$;
