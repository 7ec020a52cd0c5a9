-- The tables under the names by which users know them. To look at, by the extension's owner and superusers; updates
-- that the documentation names (outbox.sink, outbox.gap) go through, since views of one table can be written to.

CREATE VIEW outbox.contract AS SELECT * FROM outbox_internal.contract;
CREATE VIEW outbox.contract_version AS SELECT * FROM outbox_internal.contract_version;
CREATE VIEW outbox.source AS SELECT * FROM outbox_internal.source;
CREATE VIEW outbox.detached_view AS SELECT * FROM outbox_internal.detached_view;
CREATE VIEW outbox.event_type AS SELECT * FROM outbox_internal.event_type;
CREATE VIEW outbox.check_rule AS SELECT * FROM outbox_internal.check_rule;
CREATE VIEW outbox.code_map AS SELECT * FROM outbox_internal.code_map;
CREATE VIEW outbox.event_schema AS SELECT * FROM outbox_internal.event_schema;
CREATE VIEW outbox.leaf AS SELECT * FROM outbox_internal.leaf;
CREATE VIEW outbox.dead_letter_entry AS SELECT * FROM outbox_internal.dead_letter_entry;
CREATE VIEW outbox.gap AS SELECT * FROM outbox_internal.gap;
CREATE VIEW outbox.sink AS SELECT * FROM outbox_internal.sink;
CREATE VIEW outbox.held_event AS SELECT * FROM outbox_internal.held_event;
CREATE VIEW outbox.blocked_route AS SELECT * FROM outbox_internal.blocked_route;
CREATE VIEW outbox.relay_progress AS SELECT * FROM outbox_internal.relay_progress;
CREATE VIEW outbox.origin AS SELECT * FROM outbox_internal.origin;
CREATE VIEW outbox.schema_registration AS SELECT * FROM outbox_internal.schema_registration;
CREATE VIEW outbox.replay_request AS SELECT * FROM outbox_internal.replay_request;
