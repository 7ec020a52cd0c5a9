-- A contract that joins: what happened to an order in a transaction, whatever its statements were.
SET client_min_messages = warning;
CREATE SCHEMA ct;
SET search_path = ct, public;
CREATE TABLE ordr (no int PRIMARY KEY, cust char(6), st char(1) NOT NULL DEFAULT 'N', tms timestamp DEFAULT '2024-11-02 12:00', junk text);
CREATE TABLE ln (no int REFERENCES ordr ON DELETE CASCADE ON UPDATE CASCADE, n int, qty int, prc numeric(8,2), junk text, PRIMARY KEY (no, n));
CREATE VIEW line AS SELECT no AS order_id, n AS line_no, qty AS quantity, prc AS price FROM ln;
CREATE VIEW order_v AS
SELECT o.no AS order_id, btrim(o.cust) AS customer, o.st::text AS status,
       o.tms AT TIME ZONE 'America/New_York' + interval '1 day' AS due,
       coalesce(l.items, '{}') AS items, coalesce(l.total, 0)::numeric(12,2) AS total
FROM ordr o LEFT JOIN LATERAL (
    SELECT array_agg(x ORDER BY x.line_no) AS items, sum(x.quantity * x.price) AS total
    FROM line x WHERE x.order_id = o.no) l ON true
WHERE o.st <> 'H';
SELECT outbox.create_contract('ct_order', view => 'order_v', source => 'ordr', key => '{order_id}');
SELECT outbox.add_source('ct_order', 'ln', key_query => 'row.no');
SELECT outbox.create_event_type('CtPlaced', contract => 'ct_order', emit => 'created');
SELECT outbox.create_event_type('CtShipped', contract => 'ct_order', emit => 'changed',
    condition => $$old.status <> 'S' AND new.status = 'S'$$, previous => '{total}');
SELECT outbox.create_event_type('CtChanged', contract => 'ct_order', emit => 'changed', previous => '{status,total}');
SELECT outbox.create_event_type('CtDeleted', contract => 'ct_order', emit => 'deleted');
SELECT outbox.enable('ct_order');
-- what the events since the last look say
CREATE TABLE looked (seq bigint);
INSERT INTO looked SELECT coalesce(max(seq), 0) FROM outbox.event;
CREATE FUNCTION news(OUT type text, OUT id text, OUT st text, OUT lines int, OUT total text, OUT former text) RETURNS SETOF record LANGUAGE sql AS $$
    WITH upto AS (UPDATE looked SET seq = (SELECT coalesce(max(seq), 0) FROM outbox.event) RETURNING seq),
    events AS (SELECT * FROM outbox.event_json WHERE seq > (SELECT seq FROM looked) AND contract = 'ct_order')
    SELECT type, aggregateid, payload->>'status', jsonb_array_length(payload->'items'), payload->>'total',
           concat_ws(' ', payload->>'previous_status', payload->>'previous_total')
    FROM events, upto ORDER BY events.seq
$$;

\echo placed: one event, in whatever order its rows come; shipped is also changed
BEGIN;
INSERT INTO ordr VALUES (1, 'C1'), (2, 'C2');
INSERT INTO ln VALUES (1, 1, 2, 3.50), (1, 2, 1, 10);
INSERT INTO ln VALUES (2, 1, 1, 1);
COMMIT;
UPDATE ordr SET st = 'S' WHERE no = 1;
SELECT * FROM news();
\echo a child alone; changes that change nothing
UPDATE ln SET qty = 3 WHERE no = 1 AND n = 1;
UPDATE ln SET junk = 'x';
UPDATE ordr SET junk = 'x', st = st;
UPDATE ln SET qty = qty, prc = prc + 0.00;
UPDATE ln SET prc = '3.5' WHERE no = 1 AND n = 1;
SELECT * FROM news();
\echo all lines deleted and inserted again are no event; a line in between is one
BEGIN;
CREATE TEMP TABLE kept ON COMMIT DROP AS SELECT * FROM ln WHERE no = 1;
DELETE FROM ln WHERE no = 1;
INSERT INTO ln SELECT * FROM kept;
COMMIT;
BEGIN;
DELETE FROM ordr WHERE no = 2;
INSERT INTO ordr VALUES (2, 'C2');
INSERT INTO ln VALUES (2, 1, 1, 1);
COMMIT;
BEGIN;
INSERT INTO ln VALUES (2, 7, 1, 1);
DELETE FROM ln WHERE no = 2 AND n = 7;
COMMIT;
SELECT * FROM news();
\echo a line that moves concerns both orders
UPDATE ln SET no = 2, n = 9 WHERE no = 1 AND n = 2;
SELECT * FROM news();
\echo 3000 updates of a row are one event
DO $$ BEGIN FOR i IN 1..3000 LOOP UPDATE ordr SET st = chr(65 + i % 5) WHERE no = 2; END LOOP; END $$;
SELECT * FROM news();
\echo a changed key is deleted and created, with the lines that go along
UPDATE ordr SET no = 20 WHERE no = 2;
SELECT * FROM news();
\echo leaving and entering the view
UPDATE ordr SET st = 'H' WHERE no = 20;
UPDATE ln SET qty = 8 WHERE no = 20 AND n = 9;
UPDATE ordr SET st = 'N' WHERE no = 20;
SELECT * FROM news();
\echo created and deleted in one transaction never was; deleted with its lines by cascade
BEGIN;
INSERT INTO ordr VALUES (3, 'C3');
INSERT INTO ln VALUES (3, 1, 1, 1);
DELETE FROM ordr WHERE no = 3;
COMMIT;
DELETE FROM ordr WHERE no = 20;
SELECT * FROM news();

\echo what a savepoint takes back was never there; what it releases was
BEGIN;
UPDATE ln SET qty = 50 WHERE no = 1;
SAVEPOINT a;
INSERT INTO ordr VALUES (4, 'C4');
UPDATE ln SET qty = 60 WHERE no = 1;
ROLLBACK TO a;
INSERT INTO ordr VALUES (5, 'C5');
SAVEPOINT b;
INSERT INTO ln VALUES (5, 1, 1, 5);
INSERT INTO ordr VALUES (6, 'C6');
RELEASE b;
COMMIT;
SELECT * FROM news();
BEGIN;
UPDATE ln SET qty = 51 WHERE no = 1;
SAVEPOINT a;
SAVEPOINT b;
UPDATE ordr SET st = 'T' WHERE no = 5;
RELEASE b;
ROLLBACK TO a;
COMMIT;
SELECT * FROM news();
\echo the first touch of a key in a savepoint that is taken back does not count as the insert
BEGIN;
SAVEPOINT a;
DELETE FROM ordr WHERE no = 6;
INSERT INTO ordr VALUES (6, 'again');
ROLLBACK TO a;
UPDATE ordr SET st = 'U' WHERE no = 6;
COMMIT;
BEGIN;
SAVEPOINT a;
INSERT INTO ordr VALUES (7, 'C7');
ROLLBACK TO a;
INSERT INTO ordr VALUES (7, 'C7');
COMMIT;
SELECT * FROM news();
\echo exception blocks are subtransactions
DO $$ BEGIN
    FOR i IN 1..100 LOOP
        BEGIN
            UPDATE ln SET qty = i WHERE no = 1;
            INSERT INTO ordr VALUES (100 + i, 'loop');
            IF i % 50 <> 0 THEN RAISE EXCEPTION 'no'; END IF;
        EXCEPTION WHEN raise_exception THEN NULL;
        END;
    END LOOP;
END $$;
SELECT * FROM news();
\echo rolled back as a whole
BEGIN;
UPDATE ordr SET st = 'Z';
ROLLBACK;
SELECT * FROM news();

\echo procedures with COMMIT and ROLLBACK: a transaction each
CREATE PROCEDURE work() LANGUAGE plpgsql AS $$ BEGIN
    UPDATE ordr SET st = 'P' WHERE no = 5;
    COMMIT;
    UPDATE ordr SET st = 'Q' WHERE no = 5;
    ROLLBACK;
    UPDATE ln SET qty = 9 WHERE no = 5;
    COMMIT;
    UPDATE ordr SET st = 'R' WHERE no = 5;
END $$;
CALL work();
SELECT * FROM news();
\echo old snapshots: what our transaction did not see does not count as our change
BEGIN ISOLATION LEVEL REPEATABLE READ;
UPDATE ln SET qty = 10 WHERE no = 5;
COMMIT;
BEGIN ISOLATION LEVEL SERIALIZABLE;
UPDATE ln SET qty = 11 WHERE no = 5;
COMMIT;
SELECT * FROM news();
\echo upsert, merge, copy, update of a view over the source
INSERT INTO ln VALUES (5, 1, 12, 5) ON CONFLICT (no, n) DO UPDATE SET qty = excluded.qty;
MERGE INTO ln USING (VALUES (5, 1, 13), (5, 2, 1)) AS v (no, n, qty) ON ln.no = v.no AND ln.n = v.n
WHEN MATCHED THEN UPDATE SET qty = v.qty WHEN NOT MATCHED THEN INSERT (no, n, qty, prc) VALUES (v.no, v.n, v.qty, 1);
COPY ln (no, n, qty, prc) FROM stdin;
5	3	1	1
6	3	1	1
\.
UPDATE line SET quantity = 2 WHERE order_id = 6;
SELECT * FROM news();
\echo a trigger of the application that touches the order again
CREATE FUNCTION bump() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    UPDATE ordr SET st = 'B' WHERE no = NEW.no; RETURN NULL; END $$;
CREATE TRIGGER zz AFTER INSERT ON ln FOR EACH ROW EXECUTE FUNCTION bump();
CREATE CONSTRAINT TRIGGER later AFTER UPDATE ON ln DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION bump();
INSERT INTO ln VALUES (7, 1, 1, 1);
BEGIN;
UPDATE ln SET qty = 4 WHERE no = 6;
UPDATE ordr SET st = 'C' WHERE no = 6;
COMMIT;
SELECT * FROM news();
DROP TRIGGER zz ON ln;
DROP TRIGGER later ON ln;

\echo the session does not matter: not its time zone (a day across the end of summer time), path, format or rights
CREATE ROLE ct_writer;
GRANT USAGE ON SCHEMA ct TO ct_writer;
GRANT SELECT, UPDATE ON ln TO ct_writer;
CREATE FUNCTION due() RETURNS text LANGUAGE sql AS $$
    SELECT payload->>'due' FROM outbox.event_json WHERE contract = 'ct_order' ORDER BY seq DESC LIMIT 1 $$;
UPDATE ordr SET st = 'N' WHERE no = 7;
SELECT due();
SET TimeZone = 'America/New_York';
SET DateStyle = 'German';
SET extra_float_digits = -10;
SET ROLE ct_writer;
UPDATE ct.ln SET qty = 30 WHERE no = 7;
RESET ROLE;
SELECT due();
RESET TimeZone;
RESET DateStyle;
RESET extra_float_digits;
SELECT * FROM news();
\echo what ran at commit left no trace in the session
SHOW transaction_read_only;
SELECT setting = reset_val AS jit_as_before FROM pg_settings WHERE name = 'jit';
SHOW lock_timeout;
SELECT current_user = session_user AS same_user;

\echo always: one event per touched key, also of a change that changes nothing
SELECT outbox.create_event_type('CtTouched', contract => 'ct_order', emit => 'always');
UPDATE ordr SET junk = 'y' WHERE no = 7;
UPDATE ln SET junk = 'y', qty = 31 WHERE no = 7;
BEGIN;
INSERT INTO ordr VALUES (8, 'C8');
DELETE FROM ordr WHERE no = 8;
COMMIT;
DELETE FROM ordr WHERE no = 7;
SELECT * FROM news();
SELECT outbox.drop_event_type('CtTouched');
\echo the replica role and the kill switch
SET session_replication_role = replica;
UPDATE ordr SET st = 'x';
RESET session_replication_role;
SET outbox.capture = off;
UPDATE ordr SET st = 'y';
RESET outbox.capture;
SELECT * FROM news();
\echo what all events add up to is what the view shows
SELECT count(*) AS differ FROM (
    SELECT DISTINCT ON (aggregateid) aggregateid::int AS id, type, payload FROM outbox.event_json
    WHERE contract = 'ct_order' AND type <> 'CtTouched' ORDER BY aggregateid, seq DESC) e
FULL JOIN order_v v ON v.order_id = e.id AND e.type <> 'CtDeleted'
WHERE (e.type <> 'CtDeleted' AND v.order_id IS NULL) OR e.id IS NULL OR (e.payload->>'total')::numeric <> v.total;
SELECT count(*) FROM outbox.dead_letter WHERE contract LIKE 'ct\_%';

\echo a row that is moved to another partition by hand, inserted there first, was there before: indexes of the partitions do not say that it is new
CREATE TABLE part (id int NOT NULL, region text NOT NULL, v int, region_2 text NOT NULL DEFAULT 'x') PARTITION BY LIST (region);
CREATE TABLE part_eu PARTITION OF part FOR VALUES IN ('eu');
CREATE TABLE part_us (v int, region_2 text NOT NULL, region text NOT NULL, id int NOT NULL);
ALTER TABLE part ATTACH PARTITION part_us FOR VALUES IN ('us');
CREATE UNIQUE INDEX ON part_eu (id);
CREATE UNIQUE INDEX ON part_us (id);
CREATE VIEW part_v AS SELECT id, region, v FROM part;
SELECT outbox.create_contract('ct_part', view => 'part_v', source => 'part', key => '{id}', evaluate => 'commit');
SELECT outbox.create_event_type('CtPartNew', contract => 'ct_part', emit => 'created');
SELECT outbox.create_event_type('CtPart', contract => 'ct_part', emit => 'changed', previous => '{v,region}');
SELECT outbox.create_event_type('CtPartGone', contract => 'ct_part', emit => 'deleted');
SELECT outbox.enable('ct_part');
INSERT INTO part VALUES (1, 'eu', 1), (2, 'us', 1);
BEGIN;
INSERT INTO part VALUES (1, 'us', 2), (3, 'us', 1);
DELETE FROM part WHERE id = 1 AND region = 'eu';
COMMIT;
BEGIN;
INSERT INTO part_eu VALUES (2, 'eu', 2);
DELETE FROM part_us WHERE id = 2;
COMMIT;
SELECT type, payload FROM outbox.event_json WHERE contract = 'ct_part' ORDER BY seq;

SELECT outbox.drop_contract('ct_order');
SELECT outbox.drop_contract('ct_part');
DROP SCHEMA ct CASCADE;
DROP ROLE ct_writer;
