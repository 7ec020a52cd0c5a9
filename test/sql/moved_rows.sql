-- Rows that move to a partition: what they were is the same, whatever the partitions' layouts and whenever a column was added.
SET client_min_messages = warning;
CREATE SCHEMA mr;
SET search_path = mr, public;
CREATE TABLE ord (id int NOT NULL, region int NOT NULL, v text) PARTITION BY LIST (region);
CREATE TABLE ord0 PARTITION OF ord FOR VALUES IN (0);
CREATE TABLE ord1 PARTITION OF ord FOR VALUES IN (1);
CREATE UNIQUE INDEX ON ord0 (id);
CREATE UNIQUE INDEX ON ord1 (id);
INSERT INTO ord SELECT g, 0, 'x' FROM generate_series(1, 8) g;
-- no rewrite: the rows that are there have no such columns, their partition's descriptor has the values
ALTER TABLE ord ADD COLUMN status text NOT NULL DEFAULT 'NEW', ADD COLUMN hidden boolean NOT NULL DEFAULT false;
CREATE TABLE ord2 PARTITION OF ord FOR VALUES IN (2);
CREATE UNIQUE INDEX ON ord2 (id);
CREATE TABLE ord3 (hidden boolean NOT NULL, status text NOT NULL, gone int, v text, region int NOT NULL, id int NOT NULL);
ALTER TABLE ord3 DROP COLUMN gone;
CREATE UNIQUE INDEX ON ord3 (id);
ALTER TABLE ord ATTACH PARTITION ord3 FOR VALUES IN (3);
CREATE TABLE ord4 PARTITION OF ord FOR VALUES IN (4);
CREATE UNIQUE INDEX ON ord4 (id);
CREATE FUNCTION suppress() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER suppress BEFORE INSERT ON ord4 FOR EACH ROW EXECUTE FUNCTION suppress();

CREATE VIEW ord_v AS SELECT id, region, v, status FROM ord WHERE NOT hidden;
SELECT outbox.create_contract('mr_ord', view => 'ord_v', source => 'ord', key => '{id}', required => '{status}');
SELECT outbox.create_event_type('MrCreated', contract => 'mr_ord', emit => 'created');
SELECT outbox.create_event_type('MrStatus', contract => 'mr_ord', emit => 'changed', previous => '{status}',
    condition => 'new.status IS DISTINCT FROM old.status');
SELECT outbox.create_event_type('MrChanged', contract => 'mr_ord', emit => 'changed', previous => '{region,status}');
SELECT outbox.create_event_type('MrDeleted', contract => 'mr_ord', emit => 'deleted');
SELECT outbox.enable('mr_ord');
SELECT evaluate FROM outbox.contract WHERE name = 'mr_ord';

\echo to a partition of before the columns, one made after them, and one with another layout
UPDATE ord SET region = 1 WHERE id = 1;
UPDATE ord SET region = 2 WHERE id = 2;
UPDATE ord SET region = 3 WHERE id = 3;
\echo out of the view on the way; deleted; suppressed on arrival
UPDATE ord SET region = 2, hidden = true WHERE id = 4;
DELETE FROM ord WHERE id = 5;
UPDATE ord SET region = 4 WHERE id = 6;
\echo suppressed, and a column more before that is certain
BEGIN;
UPDATE ord SET region = 4 WHERE id = 7;
ALTER TABLE ord ADD COLUMN late int DEFAULT 7;
COMMIT;
\echo back again
UPDATE ord SET region = 0 WHERE id = 2;
SELECT type, aggregateid, payload FROM outbox.event_json WHERE contract = 'mr_ord' ORDER BY seq;
SELECT stage, key, message FROM outbox.dead_letter WHERE contract = 'mr_ord';

\echo validate and preview go from partition to partition
SELECT outbox.create_contract('mr_look', view => 'ord_v', source => 'ord', key => '{id}', required => '{status,v}');
SELECT outbox.create_event_type('MrSeen', contract => 'mr_look', emit => 'created');
SELECT outbox.create_event_type('MrLost', contract => 'mr_look', emit => 'deleted');
SELECT outbox.add_check('MrSeen', 'not_eight', 'id <> 8');
DO $$
BEGIN
    FOR n IN 0..5 LOOP
        EXECUTE format('COMMENT ON COLUMN mr.ord_v.status IS %L', repeat('x', n * 100));
        ASSERT (SELECT array_agg(format('%s %s %s', v.event_type, v.stage, v.rows)) FROM outbox.validate('mr_look') v) = '{"MrSeen check 1"}';
        ASSERT (SELECT count(*) FROM outbox.preview('mr_look') WHERE error IS NOT NULL) = 1;
    END LOOP;
END $$;
SELECT outbox.drop_contract('mr_look');
SELECT outbox.drop_contract('mr_ord');
