-- Shapes of tables that a long-lived database has: dropped columns, wide rows, toasted values, generated columns, domains.
SET client_min_messages = warning;
CREATE SCHEMA sh;
SET search_path = sh, public;
\echo dropped columns before, between and after the mapped ones; a default added later without a rewrite
CREATE TABLE old (gone1 int, id int PRIMARY KEY, gone2 text, name text, gone3 int);
INSERT INTO old VALUES (1, 1, 'x', 'one', 2);
ALTER TABLE old DROP COLUMN gone1, DROP COLUMN gone2, DROP COLUMN gone3;
ALTER TABLE old ADD COLUMN added text DEFAULT 'fast default';
CREATE VIEW old_v AS SELECT id, name, added FROM old;
SELECT outbox.create_contract('sh_old', view => 'old_v', source => 'old', key => '{id}');
SELECT outbox.create_event_type('OldCreated', contract => 'sh_old', emit => 'created');
SELECT outbox.create_event_type('OldChanged', contract => 'sh_old', emit => 'changed', previous => '{name,added}');
SELECT outbox.create_event_type('OldDeleted', contract => 'sh_old', emit => 'deleted');
SELECT outbox.enable('sh_old');
UPDATE old SET name = 'uno' WHERE id = 1;
INSERT INTO old VALUES (2, 'two');
DELETE FROM old WHERE id = 1;
SELECT type, payload FROM outbox.event_json WHERE contract = 'sh_old' ORDER BY seq;

\echo toasted values: stored out of line, compressed, unchanged and changed
CREATE TABLE big (id int PRIMARY KEY, doc text, n int);
ALTER TABLE big ALTER COLUMN doc SET STORAGE EXTERNAL;
CREATE VIEW big_v AS SELECT id, doc, n FROM big;
SELECT outbox.create_contract('sh_big', view => 'big_v', source => 'big', key => '{id}');
SELECT outbox.create_event_type('BigTouched', contract => 'sh_big', emit => 'changed');
SELECT outbox.create_event_type('BigCreated', contract => 'sh_big', emit => 'created');
SELECT outbox.enable('sh_big');
INSERT INTO big VALUES (1, repeat('0123456789', 50000), 1);
UPDATE big SET n = 2;
UPDATE big SET doc = doc || '';
UPDATE big SET doc = repeat('9876543210', 50000);
SELECT type, length(payload ->> 'doc') AS length, left(payload ->> 'doc', 12) AS start, payload -> 'n' AS n, error
FROM outbox.event_json WHERE contract = 'sh_big' ORDER BY seq;

\echo stored generated columns, defaults, domains over the key, quoted names
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TABLE "Odd Table" ("Primary Key" positive NOT NULL, "select" text DEFAULT 'd', twice int GENERATED ALWAYS AS ("Primary Key" * 2) STORED, UNIQUE ("Primary Key"));
CREATE VIEW odd_v AS SELECT "Primary Key" AS id, "select" AS word, twice, tableoid::regclass::text AS source FROM "Odd Table";
SELECT outbox.create_contract('sh_odd', view => 'odd_v', source => '"Odd Table"', key => '{id}');
SELECT outbox.create_event_type('OddCreated', contract => 'sh_odd', emit => 'created');
SELECT outbox.enable('sh_odd');
INSERT INTO "Odd Table" VALUES (21);
SELECT aggregateid, payload FROM outbox.event_json WHERE contract = 'sh_odd';

\echo 1,600 columns
DO $$ BEGIN
    EXECUTE 'CREATE TABLE wide (' || (SELECT string_agg(format('c%s int %s', i, CASE WHEN i = 1600 THEN 'PRIMARY KEY' END), ', ') FROM generate_series(1, 1600) i) || ')';
END $$;
CREATE VIEW wide_v AS SELECT c1600 AS id, c1, c800 FROM wide;
SELECT outbox.create_contract('sh_wide', view => 'wide_v', source => 'wide', key => '{id}');
SELECT outbox.create_event_type('WideTouched', contract => 'sh_wide', emit => 'always');
SELECT outbox.enable('sh_wide');
INSERT INTO wide (c1, c800, c1600) VALUES (1, 2, 3);
UPDATE wide SET c799 = 1;
UPDATE wide SET c800 = 4;
SELECT payload FROM outbox.event_json WHERE contract = 'sh_wide' ORDER BY seq;

\echo writes that do not come as plain statements: rules, updatable views, cascades, procedures, prepared statements across DDL
CREATE TABLE parent (id int PRIMARY KEY, v text);
CREATE TABLE child (id int PRIMARY KEY, parent_id int REFERENCES parent ON DELETE CASCADE ON UPDATE CASCADE, v text);
CREATE VIEW child_v AS SELECT id, parent_id, v FROM child;
CREATE VIEW child_entry AS SELECT id, parent_id, v FROM child;
SELECT outbox.create_contract('sh_child', view => 'child_v', source => 'child', key => '{id}');
SELECT outbox.create_event_type('ChildCreated', contract => 'sh_child', emit => 'created');
SELECT outbox.create_event_type('ChildChanged', contract => 'sh_child', emit => 'changed');
SELECT outbox.create_event_type('ChildDeleted', contract => 'sh_child', emit => 'deleted');
SELECT outbox.enable('sh_child');
INSERT INTO parent VALUES (1, 'p'), (2, 'q');
INSERT INTO child_entry VALUES (10, 1, 'through a view'), (11, 2, 'second');
CREATE RULE to_child AS ON UPDATE TO parent WHERE NEW.v = 'rule' DO ALSO UPDATE child SET v = 'by rule' WHERE parent_id = NEW.id;
UPDATE parent SET v = 'rule' WHERE id = 1;
UPDATE parent SET id = 3 WHERE id = 1;
DELETE FROM parent WHERE id = 3;
CREATE PROCEDURE batch() LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1..3 LOOP
        INSERT INTO sh.child VALUES (100 + i, 2, 'batch');
        IF i = 2 THEN ROLLBACK; ELSE COMMIT; END IF;
    END LOOP;
    BEGIN
        INSERT INTO sh.child VALUES (110, 2, 'caught');
        INSERT INTO sh.child VALUES (110, 2, 'duplicate');
    EXCEPTION WHEN unique_violation THEN
        INSERT INTO sh.child VALUES (111, 2, 'handler');
    END;
END $$;
CALL batch();
PREPARE ins AS INSERT INTO child VALUES ($1, 2, $2);
EXECUTE ins (120, 'before');
ALTER TABLE child ADD COLUMN later int;
EXECUTE ins (121, 'after');
ALTER TABLE child ALTER COLUMN later TYPE bigint;
EXECUTE ins (122, 'after rewrite');
SELECT type, aggregateid, payload FROM outbox.event_json WHERE contract = 'sh_child' ORDER BY seq;

\echo deferred constraint triggers that write at commit
CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO sh.child VALUES (NEW.id + 1000, 2, 'at commit'); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER late AFTER INSERT ON parent DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION late();
INSERT INTO parent VALUES (50, 'late');
SELECT aggregateid FROM outbox.event WHERE aggregateid = '1050' AND type = 'ChildCreated';

SELECT outbox.drop_contract(name) FROM outbox.contract WHERE name LIKE 'sh_%';
DROP SCHEMA sh CASCADE;
