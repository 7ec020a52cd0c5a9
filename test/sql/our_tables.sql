-- Our tables bear a DBA: on dead letters and gaps indexes and triggers work, and what could not work is refused when it is made.
\set VERBOSITY default
SET client_min_messages = warning;
CREATE SCHEMA ot;
SET search_path = ot;
CREATE TABLE item (item_id int PRIMARY KEY, nm text);
CREATE VIEW item_v AS SELECT item_id, nm FROM item;
SELECT outbox.create_contract('ot_item', view => 'item_v', source => 'item', key => '{item_id}', required => '{nm}');
SELECT outbox.create_event_type('OtAdded', contract => 'ot_item', emit => 'created');
SELECT outbox.enable('ot_item');

\echo refused: on the outbox and its leaves
CREATE INDEX ON outbox.event (aggregateid);
CREATE INDEX ON outbox_internal.event_1 (aggregateid);
CREATE TRIGGER t AFTER INSERT ON outbox.event FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
CREATE TRIGGER t AFTER INSERT ON outbox_internal.event_1 FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
CREATE RULE r AS ON INSERT TO outbox_internal.event_1 DO ALSO NOTIFY x;
\echo refused: everywhere
\set VERBOSITY terse
CREATE RULE r AS ON INSERT TO outbox_internal.gap DO ALSO NOTIFY x;
CREATE POLICY p ON outbox_internal.gap;
ALTER TABLE outbox_internal.gap ENABLE ROW LEVEL SECURITY;
ALTER TABLE outbox_internal.gap RENAME TO gaps;
ALTER TABLE outbox_internal.gap RENAME COLUMN reason TO why;
ALTER TABLE outbox_internal.gap ADD COLUMN mine int;
ALTER TABLE outbox_internal.gap DROP COLUMN detail;
ALTER TABLE outbox_internal.gap ALTER COLUMN detail TYPE varchar;
ALTER TABLE outbox_internal.gap ADD UNIQUE (contract);
ALTER TABLE outbox_internal.gap SET SCHEMA ot;
ALTER TABLE outbox_internal.gap SET ACCESS METHOD heap;
ALTER TABLE outbox_internal.gap SET UNLOGGED;
ALTER TABLE outbox.event DETACH PARTITION outbox_internal.event_1;
ALTER TABLE outbox.event SET SCHEMA ot;
ALTER SCHEMA outbox_internal RENAME TO hidden;
ALTER VIEW outbox.status RENAME TO stat;
ALTER INDEX outbox_internal.gap_pkey RENAME TO p;
DROP INDEX outbox_internal.leaf_current_key;
CREATE INDEX ON outbox.dead_letter_entry (contract);
\echo works everywhere
ALTER TABLE outbox_internal.event_1 SET (fillfactor = 90);
ALTER TABLE outbox_internal.event_1 RESET (fillfactor);
ALTER TABLE outbox_internal.gap ALTER COLUMN detail SET STATISTICS 10;
ALTER TABLE outbox_internal.gap ALTER COLUMN detail SET STATISTICS -1;
REINDEX SCHEMA outbox_internal;
VACUUM (ANALYZE) outbox.event, outbox_internal.gap, outbox_internal.dead_letter_entry, outbox_internal.contract;
COMMENT ON INDEX outbox_internal.gap_pkey IS NULL;

\echo indexes on dead letters: partial, on an expression, unique
CREATE INDEX ot_partial ON outbox_internal.dead_letter_entry (contract) WHERE state = 'redriven';
CREATE INDEX ot_expression ON outbox_internal.dead_letter_entry ((key->>'item_id'));
INSERT INTO item VALUES (2, NULL), (3, NULL);
SET enable_seqscan = off;
SET enable_bitmapscan = off;
SELECT count(*) FROM outbox_internal.dead_letter_entry WHERE state = 'redriven' AND contract = 'ot_item';
SELECT count(*) FROM outbox_internal.dead_letter_entry WHERE key->>'item_id' = '3' AND contract = 'ot_item';
RESET enable_seqscan;
RESET enable_bitmapscan;
\echo an index that refuses a row fails no write, and the row is there
CREATE UNIQUE INDEX ot_unique ON outbox_internal.dead_letter_entry ((1)) WHERE contract = 'ot_item' AND key->>'item_id' IN ('4', '5');
CREATE INDEX ot_raises ON outbox_internal.dead_letter_entry ((1 / ((key->>'item_id')::int - 6))) WHERE contract = 'ot_item';
INSERT INTO item VALUES (4, NULL), (5, NULL), (6, NULL), (7, NULL);
-- not by one of these indexes, which lack the rows that they refused
SET enable_indexscan = off;
SET enable_bitmapscan = off;
SELECT key->>'item_id' AS item FROM outbox.dead_letter WHERE contract = 'ot_item' AND state = 'open' ORDER BY id;
RESET enable_indexscan;
RESET enable_bitmapscan;
DROP INDEX outbox_internal.ot_unique, outbox_internal.ot_raises;

\echo triggers on dead letters and gaps
CREATE TABLE seen (what text);
CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO ot.seen VALUES (TG_TABLE_NAME || ' ' || TG_WHEN || ' ' || NEW.contract);
    IF to_jsonb(NEW)->'key'->>'item_id' = '9' THEN
        RAISE 'not this one' USING ERRCODE = '57014';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER ot_before BEFORE INSERT ON outbox_internal.dead_letter_entry FOR EACH ROW EXECUTE FUNCTION see();
CREATE TRIGGER ot_after AFTER INSERT ON outbox_internal.dead_letter_entry FOR EACH ROW EXECUTE FUNCTION see();
CREATE TRIGGER ot_after AFTER INSERT ON outbox_internal.gap FOR EACH ROW EXECUTE FUNCTION see();
INSERT INTO item VALUES (8, NULL), (9, NULL);
TRUNCATE item;
SELECT * FROM seen;
SELECT key->>'item_id' AS item FROM outbox.dead_letter WHERE contract = 'ot_item' AND state = 'open' ORDER BY id DESC LIMIT 2;

\echo an operator closes a gap
CREATE ROLE ot_operator;
SELECT outbox.grant_access('ot_operator', 'operator');
SET ROLE ot_operator;
SELECT reason FROM outbox.gap WHERE contract = 'ot_item' AND resolved_at IS NULL;
SELECT outbox.resolve_gap(id, '') FROM outbox.gap WHERE contract = 'ot_item';
SELECT outbox.resolve_gap(id, 'nothing was in it') FROM outbox.gap WHERE contract = 'ot_item';
SELECT outbox.resolve_gap(id, 'again') IS NULL FROM outbox.gap WHERE contract = 'ot_item' AND resolved_at IS NULL;
SELECT outbox.resolve_gap(-1, 'again');
SELECT resolution, resolved_by = session_user AS by_him FROM outbox.gap WHERE contract = 'ot_item';
SELECT gaps FROM outbox.status WHERE name = 'ot_item';
\echo and reads the configuration that hints name
SELECT name, view, sources, key, enabled FROM outbox.contracts WHERE name = 'ot_item';
SELECT name, contract, emit, checks FROM outbox.event_types WHERE contract = 'ot_item';
SELECT event_type, version FROM outbox.event_schemas WHERE contract = 'ot_item';
RESET ROLE;

DROP TRIGGER ot_before ON outbox_internal.dead_letter_entry;
DROP TRIGGER ot_after ON outbox_internal.dead_letter_entry;
DROP TRIGGER ot_after ON outbox_internal.gap;
DROP INDEX outbox_internal.ot_partial, outbox_internal.ot_expression;
SELECT outbox.drop_contract('ot_item');
DELETE FROM outbox.dead_letter_entry WHERE contract = 'ot_item';
DELETE FROM outbox.gap WHERE contract = 'ot_item';
DROP OWNED BY ot_operator;
DROP ROLE ot_operator;
DROP SCHEMA ot CASCADE;
