-- Strong locks on what relays use, as a real update may take them.
ALTER TABLE outbox_internal.sink ADD COLUMN updated boolean NOT NULL DEFAULT false;
ALTER TABLE outbox_internal.relay_progress ADD COLUMN updated boolean;
ALTER TABLE outbox_internal.event_schema ADD COLUMN updated boolean;
UPDATE outbox_internal.sink SET updated = true;
