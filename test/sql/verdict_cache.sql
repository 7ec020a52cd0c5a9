-- A backend keeps the compiled contracts of more than 256 partitions: a row is not compiled for again.
SET client_min_messages = warning;
CREATE SCHEMA vc;
SET search_path = vc;
CREATE TABLE reading (id int NOT NULL, part int NOT NULL, val int, PRIMARY KEY (id, part)) PARTITION BY LIST (part);
DO $$ BEGIN
	FOR g IN 1..300 LOOP EXECUTE format('CREATE TABLE reading_%s PARTITION OF reading FOR VALUES IN (%s)', g, g); END LOOP;
END $$;
CREATE VIEW v AS SELECT id, part, val FROM reading;
SELECT outbox.create_contract('vc', view => 'vc.v', source => 'vc.reading', key => '{id,part}');
SELECT outbox.create_event_type('VcCreated', contract => 'vc', emit => 'created');
SELECT outbox.enable('vc');
INSERT INTO reading SELECT 1, g, g FROM generate_series(1, 300) g;
-- none of them has driven another one out
SELECT count(*) >= 300 AS all_kept FROM pg_backend_memory_contexts WHERE name = 'outbox contract' AND ident = 'vc';
INSERT INTO reading SELECT 2, g, g FROM generate_series(300, 1, -1) g;
INSERT INTO reading VALUES (4, 1, 1);
SELECT count(*) >= 300 AS all_kept FROM pg_backend_memory_contexts WHERE name = 'outbox contract' AND ident = 'vc';
SELECT count(*) FROM outbox.event_json WHERE type = 'VcCreated';
SELECT outbox.drop_contract('vc');
DROP SCHEMA vc CASCADE;
