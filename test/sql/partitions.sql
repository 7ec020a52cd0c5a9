-- A partitioned source: rows come through the parent or a partition, move between partitions as one change, and whole partitions come and go as gaps.
SET client_min_messages = warning;
CREATE SCHEMA pt;
SET search_path = pt, public;
CREATE TABLE ord (gone int, id int NOT NULL, region text NOT NULL, status text, junk text) PARTITION BY LIST (region);
ALTER TABLE ord DROP COLUMN gone;
CREATE TABLE ord_eu PARTITION OF ord FOR VALUES IN ('eu');
-- columns in another order, and dropped ones between
CREATE TABLE ord_us (x int, status text, region text NOT NULL, y int, junk text, id int NOT NULL);
ALTER TABLE ord_us DROP COLUMN x, DROP COLUMN y;
ALTER TABLE ord ATTACH PARTITION ord_us FOR VALUES IN ('us');
CREATE TABLE ord_asia PARTITION OF ord FOR VALUES IN ('jp', 'cn') PARTITION BY LIST (region);
CREATE TABLE ord_jp PARTITION OF ord_asia FOR VALUES IN ('jp');
CREATE VIEW ord_v AS SELECT id, region, upper(status) AS status FROM ord WHERE status <> 'hidden';

\echo the key of a row that moves is proven by an index of every partition
CREATE UNIQUE INDEX ON ord_eu (id);
CREATE UNIQUE INDEX ON ord_us (id);
SELECT outbox.create_contract('pt_ord', view => 'ord_v', source => 'ord', key => '{id}');
CREATE UNIQUE INDEX ON ord_jp (id);
SELECT outbox.create_contract('pt_ord', view => 'ord_v', source => 'ord', key => '{id}');
SELECT outbox.create_event_type('PtPlaced', contract => 'pt_ord', emit => 'created');
SELECT outbox.create_event_type('PtChanged', contract => 'pt_ord', emit => 'changed', previous => '{region,status}');
SELECT outbox.create_event_type('PtDeleted', contract => 'pt_ord', emit => 'deleted');
SELECT outbox.enable('pt_ord');
CREATE VIEW triggers AS SELECT tgrelid::regclass AS relation, tgname, tgparentid <> 0 AS copied FROM pg_trigger WHERE tgname LIKE '!%pt_%' ORDER BY 1, 2;
SELECT * FROM triggers;
CREATE SEQUENCE shown MINVALUE 0 START 0;
SELECT nextval('shown');
CREATE FUNCTION news(OUT type text, OUT aggregateid text, OUT payload jsonb, OUT error text) RETURNS SETOF record LANGUAGE plpgsql AS $$
DECLARE
    last bigint := coalesce((SELECT max(seq) FROM outbox.event), 0);
BEGIN
    RETURN QUERY SELECT e.type, e.aggregateid, e.payload, e.error FROM outbox.event_json e
    WHERE e.contract LIKE 'pt%' AND e.seq > (SELECT last_value FROM pt.shown) ORDER BY e.seq;
    PERFORM setval('pt.shown', last);
END $$;

\echo through the parent, the middle and the leaves
INSERT INTO ord (id, region, status) VALUES (1, 'eu', 'new'), (2, 'us', 'new'), (3, 'jp', 'new');
INSERT INTO ord_asia (id, region, status) VALUES (4, 'jp', 'new');
INSERT INTO ord_us (id, region, status) VALUES (5, 'us', 'new');
COPY ord_us (status, id, region) FROM stdin;
new	6	us
\.
COPY ord (id, region, status) FROM stdin;
7	eu	new
\.
UPDATE ord_us SET status = 'paid' WHERE id = 5;
UPDATE ord SET junk = 'not read';
DELETE FROM ord_us WHERE id = 6;
DELETE FROM ord WHERE id = 7;
SELECT * FROM news();

\echo a row that moves is one change, also over levels, also with another layout; into and out of the view as before
UPDATE ord SET region = 'us', status = 'shipped' WHERE id = 1;
UPDATE ord SET region = 'jp' WHERE id = 2;
UPDATE ord SET region = 'eu' WHERE id >= 4;
UPDATE ord SET region = 'us', status = 'hidden' WHERE id = 3;
UPDATE ord SET region = 'jp' WHERE id = 3;
UPDATE ord SET region = 'eu', status = 'seen' WHERE id = 3;
SELECT * FROM news();
\echo with another key it is a deleted and a created row
UPDATE ord SET region = 'us', id = 40 WHERE id = 4;
SELECT * FROM news();
\echo in one statement with others: MERGE, a writable CTE, an upsert
MERGE INTO ord USING (VALUES (1, 'eu'), (2, 'us'), (8, 'jp')) v (id, region) ON ord.id = v.id
WHEN MATCHED THEN UPDATE SET region = v.region WHEN NOT MATCHED THEN INSERT (id, region, status) VALUES (v.id, v.region, 'merged');
WITH moved AS (UPDATE ord SET region = 'jp' WHERE id = 1 RETURNING id), put AS (INSERT INTO ord (id, region, status) VALUES (9, 'us', 'cte'))
DELETE FROM ord WHERE id = 8;
INSERT INTO ord_us (id, region, status) VALUES (9, 'us', 'x') ON CONFLICT (id) DO UPDATE SET status = 'upsert';
SELECT * FROM news();

\echo a BEFORE UPDATE trigger moves the row
CREATE FUNCTION reroute() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.junk = 'away' THEN NEW.region := 'eu'; NEW.junk := NULL; END IF; RETURN NEW; END $$;
CREATE TRIGGER reroute BEFORE UPDATE ON ord_us FOR EACH ROW EXECUTE FUNCTION reroute();
UPDATE ord SET junk = 'away' WHERE id = 9;
SELECT * FROM news();
DROP TRIGGER reroute ON ord_us;

\echo a BEFORE INSERT trigger of the new partition keeps the row out: it is deleted
CREATE FUNCTION suppress() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.junk = 'lost' THEN RETURN NULL; END IF; NEW.status := NEW.status || '+'; RETURN NEW; END $$;
CREATE TRIGGER suppress BEFORE INSERT ON ord_jp FOR EACH ROW EXECUTE FUNCTION suppress();
INSERT INTO ord (id, region, status) SELECT i, 'eu', 'lot' FROM generate_series(20, 29) i;
SELECT count(*) FROM news();
UPDATE ord SET junk = 'lost', region = 'jp' WHERE id = 20;
UPDATE ord SET junk = CASE WHEN id = 22 THEN 'kept' ELSE 'lost' END, region = 'jp' WHERE id IN (21, 22, 23);
SELECT * FROM news();
\echo known late, before the next change of the same key, and not twice
BEGIN;
UPDATE ord SET junk = 'lost', region = 'jp' WHERE id = 24;
INSERT INTO ord (id, region, status) VALUES (24, 'eu', 'again');
COMMIT;
SELECT * FROM news();
\echo savepoints: what was captured in one that is rolled back is captured again; what was undone never happened
BEGIN;
UPDATE ord SET junk = 'lost', region = 'jp' WHERE id = 25;
SAVEPOINT a;
INSERT INTO ord (id, region, status) VALUES (30, 'eu', 'rolled back');
ROLLBACK TO a;
SAVEPOINT b;
UPDATE ord SET junk = 'lost', region = 'jp' WHERE id = 26;
ROLLBACK TO b;
SAVEPOINT c;
SAVEPOINT d;
UPDATE ord SET junk = 'lost', region = 'jp' WHERE id = 27;
RELEASE d;
RELEASE c;
COMMIT;
SELECT * FROM news();
\echo the table changes between the move and the commit
BEGIN;
UPDATE ord SET junk = 'lost', region = 'jp' WHERE id = 28;
ALTER TABLE ord ADD COLUMN added text DEFAULT 'x';
COMMIT;
BEGIN;
UPDATE ord SET junk = 'lost', region = 'jp' WHERE id = 29;
ALTER TABLE ord ALTER COLUMN junk TYPE varchar(20);
COMMIT;
SELECT * FROM news();
SELECT contract, source, reason FROM outbox.gap WHERE contract = 'pt_ord' ORDER BY id;
DELETE FROM outbox.gap;
DROP TRIGGER suppress ON ord_jp;

\echo legacy triggers that write to the same table while a row moves
CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND OLD.junk = 'meddle' THEN
        INSERT INTO pt.ord (id, region, status) VALUES (OLD.id + 100, 'eu', 'by trigger');
        UPDATE pt.ord SET region = 'jp' WHERE id = OLD.id + 100;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER meddle AFTER DELETE ON ord_us FOR EACH ROW EXECUTE FUNCTION meddle();
INSERT INTO ord (id, region, status, junk) VALUES (50, 'us', 'new', 'meddle');
UPDATE ord SET region = 'eu', status = 'moved' WHERE id = 50;
SELECT * FROM news();
DROP TRIGGER meddle ON ord_us;

\echo preview, validate and redrive read the partitions
SELECT event_type, key, payload FROM outbox.preview('pt_ord', event_type => 'PtPlaced', max_rows => 3);
SELECT * FROM outbox.validate('pt_ord');

\echo a contract that does not work any more: one dead letter per change
CREATE OR REPLACE FUNCTION bad(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN IF $1 = 2 THEN RAISE 'bad two'; END IF; RETURN $1; END $$;
CREATE VIEW bad_v AS SELECT id, bad(id) AS n, region FROM ord;
SELECT outbox.create_contract('pt_bad', view => 'bad_v', source => 'ord', key => '{id}');
SELECT outbox.create_event_type('PtBad', contract => 'pt_bad', emit => 'changed');
SELECT outbox.enable('pt_bad');
UPDATE ord SET region = 'eu' WHERE id = 2;
SELECT emit, stage, key, message, source_columns FROM outbox.dead_letter WHERE contract = 'pt_bad';
SELECT outbox.drop_contract('pt_bad');
DELETE FROM outbox.dead_letter_entry;
SELECT count(*) FROM news();

\echo TRUNCATE of a partition, of the middle, of all
TRUNCATE ord_us;
TRUNCATE ord_asia;
TRUNCATE ord;
SELECT contract, source, reason, detail FROM outbox.gap ORDER BY source::text, id;
DELETE FROM outbox.gap;

\echo an owner without any right on the outbox makes and attaches partitions, empty and with rows
CREATE ROLE pt_owner;
GRANT USAGE, CREATE ON SCHEMA pt TO pt_owner;
ALTER TABLE ord OWNER TO pt_owner;
ALTER TABLE ord_asia OWNER TO pt_owner;
SET ROLE pt_owner;
CREATE TABLE ord_af PARTITION OF ord FOR VALUES IN ('af');
CREATE TABLE ord_au (LIKE ord);
ALTER TABLE ord ATTACH PARTITION ord_au FOR VALUES IN ('au');
CREATE TABLE ord_cn (LIKE ord);
INSERT INTO ord_cn (id, region, status) VALUES (60, 'cn', 'from before');
ALTER TABLE ord_asia ATTACH PARTITION ord_cn FOR VALUES IN ('cn');
INSERT INTO ord (id, region, status) VALUES (61, 'af', 'new'), (62, 'au', 'new'), (63, 'cn', 'new');
CREATE TABLE ord_nz PARTITION OF ord FOR VALUES IN ('nz');
INSERT INTO ord_nz (id, region, status) VALUES (68, 'nz', 'new');
TRUNCATE ord_nz;
INSERT INTO ord_nz (id, region, status) VALUES (69, 'nz', 'new');
ALTER TABLE ord DETACH PARTITION ord_nz;
ALTER TABLE ord ATTACH PARTITION ord_nz FOR VALUES IN ('nz');
DROP TABLE ord_nz;
RESET ROLE;
SELECT * FROM news();
SELECT contract, reason, detail FROM outbox.gap ORDER BY id;
SELECT * FROM triggers WHERE relation::text IN ('ord_af', 'ord_au', 'ord_cn');
TRUNCATE ord_cn;

\echo a subtree and a schema with a partition inside
CREATE TABLE ord_sa (LIKE ord) PARTITION BY LIST (region);
CREATE TABLE ord_br PARTITION OF ord_sa FOR VALUES IN ('br');
INSERT INTO ord_sa (id, region, status) VALUES (64, 'br', 'from before');
ALTER TABLE ord ATTACH PARTITION ord_sa FOR VALUES IN ('br', 'ar');
CREATE SCHEMA pt2 CREATE TABLE ord_ar PARTITION OF pt.ord_sa FOR VALUES IN ('ar');
INSERT INTO ord (id, region, status) VALUES (65, 'br', 'new'), (66, 'ar', 'new');
SELECT * FROM news();
SELECT * FROM triggers WHERE relation::text IN ('ord_br', 'pt2.ord_ar');

\echo detach, empty and with rows, a subtree, concurrently; drop; nothing about tables that are no partitions any more
ALTER TABLE ord_asia DETACH PARTITION ord_cn;
TRUNCATE ord_cn;
DROP TABLE ord_cn;
ALTER TABLE ord DETACH PARTITION ord_au CONCURRENTLY;
ALTER TABLE ord DETACH PARTITION ord_sa;
INSERT INTO ord_br (id, region, status) VALUES (67, 'br', 'no partition any more');
DROP TABLE ord_sa;
DROP TABLE ord_af;
DROP SCHEMA pt2 CASCADE;
SELECT * FROM news();
SELECT contract, CASE WHEN source = 'ord'::regclass THEN source END AS source, reason, detail FROM outbox.gap ORDER BY id;
SELECT state, gaps, advice FROM outbox.status WHERE name = 'pt_ord';
DELETE FROM outbox.gap;

\echo status tells of triggers that are disabled or missing on one partition
ALTER TABLE ord_eu DISABLE TRIGGER "!outbox_pt_ord";
SELECT state, advice FROM outbox.status WHERE name = 'pt_ord';
ALTER TABLE ord_eu ENABLE TRIGGER "!outbox_pt_ord";
DROP TRIGGER "!outbox!pt_ord" ON ord_eu;
SELECT state, advice FROM outbox.status WHERE name = 'pt_ord';
SELECT outbox.enable('pt_ord');
SELECT state, advice FROM outbox.status WHERE name = 'pt_ord';

\echo on_truncate => reject refuses all of this, while the contract is enabled
SELECT outbox.drop_contract('pt_ord');
SELECT * FROM triggers;
SELECT outbox.create_contract('pt_strict', view => 'ord_v', source => 'ord', key => '{id}', on_truncate => 'reject');
SELECT outbox.create_event_type('PtStrict', contract => 'pt_strict', emit => 'always');
SELECT outbox.enable('pt_strict');
INSERT INTO ord (id, region, status) VALUES (70, 'us', 'new');
CREATE TABLE ord_ca (LIKE ord);
INSERT INTO ord_ca (id, region, status) VALUES (71, 'ca', 'from before');
TRUNCATE ord;
TRUNCATE ord_us;
ALTER TABLE ord DETACH PARTITION ord_us;
ALTER TABLE ord ATTACH PARTITION ord_ca FOR VALUES IN ('ca');
DROP TABLE ord_us;
DELETE FROM ord_ca;
ALTER TABLE ord ATTACH PARTITION ord_ca FOR VALUES IN ('ca');
ALTER TABLE ord DETACH PARTITION ord_ca;
SELECT count(*) FROM ord;
SELECT outbox.disable('pt_strict');
TRUNCATE ord;
DROP TABLE ord_us;
SELECT count(*) FROM outbox.gap WHERE reason <> 'unseen';

\echo the source itself goes: no partition of it is reported
DROP TABLE ord CASCADE;
SELECT count(*) FROM outbox.gap WHERE reason <> 'unseen';
SELECT outbox.drop_contract('pt_strict');
DROP SCHEMA pt CASCADE;
DROP ROLE pt_owner;
