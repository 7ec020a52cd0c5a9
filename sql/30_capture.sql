-- Capture: the trigger functions of sources, and the guard of outbox.event.

CREATE FUNCTION outbox.capture()
RETURNS trigger LANGUAGE c AS 'MODULE_PATHNAME', 'outbox_capture_row';
COMMENT ON FUNCTION outbox.capture() IS
'Trigger on a contract''s source (!outbox_<contract>): turns a changed row into events. PUBLIC may execute it, so that owners of sources keep all of their DDL.';

CREATE FUNCTION outbox.capture_truncate()
RETURNS trigger LANGUAGE c AS 'MODULE_PATHNAME', 'outbox_capture_truncate';
COMMENT ON FUNCTION outbox.capture_truncate() IS
'Trigger on a contract''s source (!outbox!<contract>): records TRUNCATE as a gap';

CREATE FUNCTION outbox.refuse_write()
RETURNS trigger LANGUAGE c AS 'MODULE_PATHNAME', 'outbox_refuse_write';
COMMENT ON FUNCTION outbox.refuse_write() IS
'Trigger of outbox.event: it is written by capture alone. Returns silently in a logical replication worker.';

CREATE TRIGGER refuse_row BEFORE INSERT OR UPDATE OR DELETE ON outbox.event
    FOR EACH ROW EXECUTE FUNCTION outbox.refuse_write();
CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON outbox.event
    FOR EACH STATEMENT EXECUTE FUNCTION outbox.refuse_write();
CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON outbox.event_1
    FOR EACH STATEMENT EXECUTE FUNCTION outbox.refuse_write();
ALTER TABLE outbox.event ENABLE ALWAYS TRIGGER refuse_row;
ALTER TABLE outbox.event ENABLE ALWAYS TRIGGER refuse_truncate;
ALTER TABLE outbox.event_1 ENABLE ALWAYS TRIGGER refuse_row;
ALTER TABLE outbox.event_1 ENABLE ALWAYS TRIGGER refuse_truncate;
