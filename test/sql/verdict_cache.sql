-- A backend keeps the compiled contracts of more than 256 partitions: a row is not compiled for again.
SET client_min_messages = warning;
CREATE SCHEMA vc;
SET search_path = vc;
CREATE SEQUENCE compilations;
-- a constant to the planner, which calls it whenever the contract is compiled
CREATE FUNCTION counted() RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
	RETURN nextval('vc.compilations') - nextval('vc.compilations') + 1;
END $$;
CREATE TABLE reading (id int NOT NULL, part int NOT NULL, val int, PRIMARY KEY (id, part)) PARTITION BY LIST (part);
DO $$ BEGIN
	FOR g IN 1..300 LOOP EXECUTE format('CREATE TABLE reading_%s PARTITION OF reading FOR VALUES IN (%s)', g, g); END LOOP;
END $$;
CREATE VIEW v AS SELECT id, part, val, counted() AS one FROM reading;
SELECT outbox.create_contract('vc', view => 'vc.v', source => 'vc.reading', key => '{id,part}');
SELECT outbox.create_event_type('VcCreated', contract => 'vc', emit => 'created');
SELECT outbox.enable('vc');
INSERT INTO reading SELECT 1, g, g FROM generate_series(1, 300) g;
SELECT last_value AS before FROM compilations \gset
SELECT :before > 300 AS each_was_compiled;
INSERT INTO reading SELECT 2, g, g FROM generate_series(1, 300) g;
INSERT INTO reading SELECT 3, g, g FROM generate_series(300, 1, -1) g;
INSERT INTO reading VALUES (4, 1, 1);
INSERT INTO reading VALUES (4, 300, 1);
-- an invalidation that comes in between may cost some
SELECT last_value - :before < 300 AS kept FROM compilations;
SELECT count(*) FROM outbox.event_json WHERE type = 'VcCreated';
SELECT outbox.drop_contract('vc');
DROP SCHEMA vc CASCADE;
