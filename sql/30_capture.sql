-- Capture: the trigger functions of sources, and the guard of outbox.event.

CREATE FUNCTION outbox.capture()
RETURNS trigger LANGUAGE c AS 'MODULE_PATHNAME', 'outbox_capture_row';
COMMENT ON FUNCTION outbox.capture() IS
'Trigger on a contract''s source (!outbox_<contract>): turns a changed row into events. PUBLIC may execute it, so that owners of sources keep all of their DDL.';

CREATE FUNCTION outbox.capture_truncate()
RETURNS trigger LANGUAGE c AS 'MODULE_PATHNAME', 'outbox_capture_truncate';
COMMENT ON FUNCTION outbox.capture_truncate() IS
'Trigger on a contract''s source (!outbox!<contract>): records TRUNCATE as a gap';

-- Partitions of sources that come and go: no row trigger sees their rows.
CREATE FUNCTION outbox_internal.partitions_changed()
RETURNS event_trigger LANGUAGE c AS 'MODULE_PATHNAME', 'outbox_partitions_changed';
COMMENT ON FUNCTION outbox_internal.partitions_changed() IS
'Event trigger: when a partition of a source is attached or detached with rows in it, the command leaves a gap or is refused (on_truncate). A new partition gets its TRUNCATE trigger';

CREATE FUNCTION outbox_internal.tables_dropped()
RETURNS event_trigger LANGUAGE c AS 'MODULE_PATHNAME', 'outbox_tables_dropped';
COMMENT ON FUNCTION outbox_internal.tables_dropped() IS
'Event trigger: when a partition of a source is dropped, the command leaves a gap or is refused (on_truncate)';

CREATE EVENT TRIGGER outbox_partitions ON ddl_command_end
    WHEN TAG IN ('ALTER TABLE', 'CREATE TABLE', 'CREATE FOREIGN TABLE', 'CREATE SCHEMA')
    EXECUTE FUNCTION outbox_internal.partitions_changed();
CREATE EVENT TRIGGER outbox_dropped ON sql_drop
    EXECUTE FUNCTION outbox_internal.tables_dropped();
-- Also while a dump is restored: a new partition needs its trigger.
ALTER EVENT TRIGGER outbox_partitions ENABLE ALWAYS;

-- The DDL check: what DDL does to live contracts, judged by its result when it is committed.
CREATE FUNCTION outbox_internal.source_changes()
RETURNS event_trigger LANGUAGE c AS 'MODULE_PATHNAME', 'outbox_source_changes';
COMMENT ON FUNCTION outbox_internal.source_changes() IS
'Event trigger: notes which live contracts a command may concern. At commit the transaction fails when one of them would not work any more (see outbox.ddl_check); a source whose name another table got leaves a gap';

CREATE EVENT TRIGGER outbox_source_changes ON ddl_command_start
    WHEN TAG IN ('ALTER TABLE', 'ALTER INDEX', 'ALTER VIEW', 'ALTER TYPE', 'ALTER DOMAIN', 'ALTER FUNCTION', 'ALTER ROUTINE', 'ALTER AGGREGATE',
        'ALTER FOREIGN TABLE', 'ALTER MATERIALIZED VIEW', 'ALTER SCHEMA', 'CREATE VIEW', 'CREATE FUNCTION', 'CREATE RULE', 'REVOKE',
        'DROP VIEW', 'DROP TABLE', 'DROP INDEX', 'DROP FUNCTION', 'DROP ROUTINE', 'DROP AGGREGATE', 'DROP OPERATOR', 'DROP TYPE', 'DROP DOMAIN',
        -- with CASCADE: what a view or an index is built of
        'DROP ACCESS METHOD', 'DROP COLLATION', 'DROP EXTENSION', 'DROP FOREIGN TABLE', 'DROP FOREIGN DATA WRAPPER', 'DROP LANGUAGE',
        'DROP MATERIALIZED VIEW', 'DROP OPERATOR CLASS', 'DROP OPERATOR FAMILY', 'DROP OWNED', 'DROP PROCEDURE', 'DROP SCHEMA', 'DROP SEQUENCE',
        'DROP SERVER', 'DROP TEXT SEARCH CONFIGURATION', 'DROP TEXT SEARCH DICTIONARY')
    EXECUTE FUNCTION outbox_internal.source_changes();

-- DROP EXTENSION takes triggers off tables that are in use.
CREATE FUNCTION outbox_internal.lock_before_drop()
RETURNS event_trigger LANGUAGE c AS 'MODULE_PATHNAME', 'outbox_lock_before_drop';
COMMENT ON FUNCTION outbox_internal.lock_before_drop() IS
'Event trigger: locks everything that DROP EXTENSION, or DROP OWNED BY the extension''s owner, is about to drop, in short attempts, so that no writer becomes the victim of a deadlock. Raises lock_not_available when something stays in use';

CREATE EVENT TRIGGER outbox_lock_before_drop ON ddl_command_start
    WHEN TAG IN ('DROP EXTENSION', 'DROP OWNED')
    EXECUTE FUNCTION outbox_internal.lock_before_drop();
ALTER EVENT TRIGGER outbox_lock_before_drop ENABLE ALWAYS;

-- Strangers must not queue up for locks on our relations, and what would be wrong in silence is refused when it is made.
CREATE FUNCTION outbox_internal.refuse_ddl()
RETURNS event_trigger LANGUAGE c AS 'MODULE_PATHNAME', 'outbox_refuse_ddl';
COMMENT ON FUNCTION outbox_internal.refuse_ddl() IS
'Event trigger: refuses commands before they lock anything. Commands on the extension and its objects are refused to roles that have no right to run them (insufficient_privilege; only the owner of the extension may run ALTER ... DEPENDS ON EXTENSION outbox_ext). Commands on its relations that would break capture are refused to everybody (feature_not_supported): indexes, triggers and rules on outbox.event and its leaves; other names, columns, constraints, schemas and access methods';

CREATE EVENT TRIGGER outbox_refuse_ddl ON ddl_command_start
    WHEN TAG IN ('ALTER AGGREGATE', 'ALTER DOMAIN', 'ALTER EXTENSION', 'ALTER FOREIGN TABLE', 'ALTER FUNCTION', 'ALTER INDEX',
                 'ALTER MATERIALIZED VIEW', 'ALTER PROCEDURE', 'ALTER PUBLICATION', 'ALTER ROUTINE', 'ALTER SCHEMA',
                 'ALTER SEQUENCE', 'ALTER TABLE', 'ALTER TRIGGER', 'ALTER TYPE', 'ALTER VIEW', 'COMMENT',
                 'CREATE FOREIGN TABLE', 'CREATE INDEX', 'CREATE POLICY', 'CREATE PUBLICATION', 'CREATE RULE', 'CREATE SCHEMA',
                 'CREATE STATISTICS', 'CREATE TABLE', 'CREATE TRIGGER', 'DROP AGGREGATE', 'DROP DOMAIN', 'DROP EXTENSION',
                 'DROP FUNCTION', 'DROP INDEX', 'DROP PROCEDURE', 'DROP ROUTINE', 'DROP SCHEMA', 'DROP TYPE', 'SECURITY LABEL')
    EXECUTE FUNCTION outbox_internal.refuse_ddl();
ALTER EVENT TRIGGER outbox_refuse_ddl ENABLE ALWAYS;

CREATE FUNCTION outbox.flush()
RETURNS void LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'outbox_flush';
COMMENT ON FUNCTION outbox.flush() IS
'For tests that run in one transaction: evaluates contracts of evaluate = commit now, for the changes so far, without locks. The next command sees the events. Raises unless outbox.test_mode is on.';

CREATE FUNCTION outbox_internal.refuse_write()
RETURNS trigger LANGUAGE c AS 'MODULE_PATHNAME', 'outbox_refuse_write';
COMMENT ON FUNCTION outbox_internal.refuse_write() IS
'Trigger of outbox.event: it is written by capture alone. Returns silently in a logical replication worker.';

CREATE TRIGGER refuse_row BEFORE INSERT OR UPDATE OR DELETE ON outbox.event
    FOR EACH ROW EXECUTE FUNCTION outbox_internal.refuse_write();
CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON outbox.event
    FOR EACH STATEMENT EXECUTE FUNCTION outbox_internal.refuse_write();
CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON outbox_internal.event_1
    FOR EACH STATEMENT EXECUTE FUNCTION outbox_internal.refuse_write();
ALTER TABLE outbox.event ENABLE ALWAYS TRIGGER refuse_row;
ALTER TABLE outbox.event ENABLE ALWAYS TRIGGER refuse_truncate;
ALTER TABLE outbox_internal.event_1 ENABLE ALWAYS TRIGGER refuse_row;
ALTER TABLE outbox_internal.event_1 ENABLE ALWAYS TRIGGER refuse_truncate;
