-- Moved rows that never arrived: capturing one as deleted runs the view's functions, and what these write moves rows of the same table.
SET client_min_messages = warning;
CREATE SCHEMA mn;
SET search_path = mn, public;
CREATE TABLE item (id int NOT NULL, region text NOT NULL, junk text) PARTITION BY LIST (region);
CREATE TABLE item_eu PARTITION OF item FOR VALUES IN ('eu');
CREATE TABLE item_jp PARTITION OF item FOR VALUES IN ('jp');
CREATE UNIQUE INDEX ON item_eu (id);
CREATE UNIQUE INDEX ON item_jp (id);
CREATE FUNCTION suppress() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN CASE WHEN NEW.junk = 'lost' THEN NULL ELSE NEW END; END $$;
CREATE TRIGGER suppress BEFORE INSERT ON item_jp FOR EACH ROW EXECUTE FUNCTION suppress();
-- a stable function may call a volatile one, which may write
CREATE FUNCTION shove(item int) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    IF item < 100 THEN
        UPDATE mn.item SET region = CASE region WHEN 'eu' THEN 'jp' ELSE 'eu' END WHERE id = 100;
    END IF;
    RETURN 'seen';
END $$;
CREATE FUNCTION look(item int) RETURNS text LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN mn.shove(item); END $$;
CREATE VIEW item_v AS SELECT id, region, look(id) AS looked FROM item;
SELECT outbox.create_contract('mn_item', view => 'item_v', source => 'item', key => '{id}');
SELECT outbox.create_event_type('MnChanged', contract => 'mn_item', emit => 'changed');
SELECT outbox.create_event_type('MnDeleted', contract => 'mn_item', emit => 'deleted');
INSERT INTO item SELECT i, 'eu' FROM generate_series(1, 20) i;
INSERT INTO item VALUES (100, 'eu');
SELECT outbox.enable('mn_item');
CREATE VIEW news AS SELECT type, aggregateid, payload FROM outbox.event_json WHERE contract = 'mn_item';

\echo settled by the next change: more of them than a list holds without growing
BEGIN;
UPDATE item SET region = 'jp', junk = 'lost' WHERE id <= 5;
INSERT INTO item VALUES (101, 'eu');
COMMIT;
SELECT type, aggregateid FROM news WHERE type = 'MnDeleted' ORDER BY aggregateid::int;
SELECT type, count(*) FROM news WHERE aggregateid = '100' GROUP BY type;

\echo settled by a change in a savepoint that is rolled back, and again
BEGIN;
UPDATE item SET region = 'jp', junk = 'lost' WHERE id BETWEEN 6 AND 12;
SAVEPOINT a;
INSERT INTO item VALUES (102, 'eu');
ROLLBACK TO a;
INSERT INTO item VALUES (103, 'eu');
COMMIT;
SELECT type, aggregateid FROM news WHERE type = 'MnDeleted' AND aggregateid::int > 5 ORDER BY aggregateid::int;

\echo settled at commit
UPDATE item SET region = 'jp', junk = 'lost' WHERE id BETWEEN 13 AND 20;
SELECT type, aggregateid FROM news WHERE type = 'MnDeleted' AND aggregateid::int > 12 ORDER BY aggregateid::int;
SELECT id, region FROM item ORDER BY id;
SELECT stage, key, message FROM outbox.dead_letter WHERE contract = 'mn_item';
SELECT outbox.drop_contract('mn_item');
DROP SCHEMA mn CASCADE;
