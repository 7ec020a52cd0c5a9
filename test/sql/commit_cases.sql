-- Contracts evaluated at commit, where capture per row is tested in capture_cases, capture_tables and partitions; needs preloading (prepared transactions).
SET outbox.ddl_check = off; -- what it refuses must stay safe all the same
SET client_min_messages = warning;
CREATE SCHEMA ck;
SET search_path = ck, public;
CREATE SEQUENCE shown MINVALUE 0 START 0;
SELECT nextval('shown');
CREATE FUNCTION news(OUT type text, OUT aggregateid text, OUT payload jsonb, OUT error text) RETURNS SETOF record LANGUAGE plpgsql AS $$
DECLARE
    last bigint := coalesce((SELECT max(seq) FROM outbox.event), 0);
BEGIN
    RETURN QUERY SELECT e.type, e.aggregateid, e.payload, e.error FROM outbox.event_json e
    WHERE e.contract LIKE 'ck%' AND e.seq > (SELECT last_value FROM ck.shown) ORDER BY e.seq;
    PERFORM setval('ck.shown', last);
END $$;
CREATE PROCEDURE declare_all(contract text, key text, view text, source text) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM outbox.create_contract(contract, view => view, source => source, key => key::text[], evaluate => 'commit');
    PERFORM outbox.create_event_type(contract || '_created', contract => contract, emit => 'created');
    PERFORM outbox.create_event_type(contract || '_changed', contract => contract, emit => 'changed');
    PERFORM outbox.create_event_type(contract || '_deleted', contract => contract, emit => 'deleted');
END $$;

\echo orders and lines that are both partitioned, with columns in other places
CREATE TABLE ord (gone int, id int NOT NULL, region text NOT NULL, status text) PARTITION BY LIST (region);
ALTER TABLE ord DROP COLUMN gone;
CREATE TABLE ord_eu PARTITION OF ord FOR VALUES IN ('eu');
CREATE TABLE ord_us (status text, x int, region text NOT NULL, id int NOT NULL);
ALTER TABLE ord_us DROP COLUMN x;
ALTER TABLE ord ATTACH PARTITION ord_us FOR VALUES IN ('us');
CREATE UNIQUE INDEX ON ord_eu (id);
CREATE UNIQUE INDEX ON ord_us (id);
CREATE TABLE line (y int, ord_id int, no int NOT NULL, qty int, shard int NOT NULL DEFAULT 0) PARTITION BY LIST (shard);
ALTER TABLE line DROP COLUMN y;
CREATE TABLE line_0 PARTITION OF line FOR VALUES IN (0);
CREATE TABLE line_1 (shard int NOT NULL, qty int, no int NOT NULL, ord_id int);
ALTER TABLE line ATTACH PARTITION line_1 FOR VALUES IN (1);
CREATE INDEX ON line (ord_id);
CREATE VIEW ord_v AS SELECT o.id, o.region, o.status, l.lines, l.total
FROM ord o LEFT JOIN LATERAL (SELECT count(*)::int AS lines, sum(qty)::int AS total FROM line WHERE line.ord_id = o.id) l ON true;
CALL declare_all('ck_ord', '{id}', 'ord_v', 'ord');
SELECT outbox.add_source('ck_ord', 'line', key_query => 'row.ord_id');
SELECT outbox.enable('ck_ord');
SELECT tgrelid::regclass AS relation, tgname, tgparentid <> 0 AS copied FROM pg_trigger WHERE tgname LIKE '!%ck_ord' ORDER BY 1, 2;
BEGIN;
INSERT INTO line (ord_id, no, qty, shard) VALUES (1, 1, 5, 0), (1, 2, 7, 1);
INSERT INTO ord (id, region, status) VALUES (1, 'eu', 'new');
COMMIT;
INSERT INTO ord_us (id, region, status) VALUES (2, 'us', 'new');
SELECT * FROM news();
\echo rows that move between partitions are changes, or none
UPDATE ord SET region = 'us', status = 'shipped' WHERE id = 1;
UPDATE line SET shard = 1 - shard;
UPDATE line SET shard = 0, qty = qty + 1 WHERE no = 1;
UPDATE line_0 SET ord_id = 2 WHERE no = 2;
SELECT * FROM news();
BEGIN;
UPDATE ord SET region = 'eu' WHERE id = 1;
UPDATE ord SET region = 'us' WHERE id = 1;
COMMIT;
SELECT * FROM news();
\echo partitions that come and go, and TRUNCATE, of both sources
TRUNCATE line_0;
CREATE TABLE line_2 (LIKE line);
INSERT INTO line_2 (ord_id, no, qty, shard) VALUES (1, 9, 9, 2);
ALTER TABLE line ATTACH PARTITION line_2 FOR VALUES IN (2);
INSERT INTO line (ord_id, no, qty, shard) VALUES (2, 10, 1, 2);
ALTER TABLE line DETACH PARTITION line_2;
INSERT INTO line_2 (ord_id, no, qty, shard) VALUES (2, 11, 1, 2);
DROP TABLE line_1;
SELECT * FROM news();
SELECT reason, detail FROM outbox.gap WHERE contract = 'ck_ord' ORDER BY id;
DELETE FROM outbox.gap;
DELETE FROM ord;
SELECT * FROM news();
SELECT outbox.drop_contract('ck_ord');
SELECT count(*) FROM pg_trigger WHERE tgname LIKE '!%ck_ord';

\echo 1,600 columns, dropped and generated ones, toasted values, quoted names
DO $$ BEGIN
    EXECUTE 'CREATE TABLE wide (' || (SELECT string_agg(format('c%s int', i), ', ') FROM generate_series(1, 1597) i)
        || ', "Id" int PRIMARY KEY, doc text, twice int GENERATED ALWAYS AS ("Id" * 2) STORED)';
END $$;
ALTER TABLE wide ALTER COLUMN doc SET STORAGE EXTERNAL;
ALTER TABLE wide DROP COLUMN c3, DROP COLUMN c1597;
CREATE VIEW wide_v AS SELECT "Id" AS id, c1, c1596, md5(doc) AS doc, twice FROM wide;
CALL declare_all('ck_wide', '{id}', 'wide_v', 'wide');
SELECT outbox.enable('ck_wide');
INSERT INTO wide (c1, c2, c1596, "Id", doc) VALUES (1, 2, 3, 4, repeat('0123456789', 100000));
UPDATE wide SET c2 = 5;
UPDATE wide SET doc = doc || '';
UPDATE wide SET doc = doc || '!';
SELECT * FROM news();
\echo prepared statements across DDL
PREPARE put AS INSERT INTO wide ("Id", c1) VALUES ($1, 10);
EXECUTE put (5);
ALTER TABLE wide DROP COLUMN c5;
EXECUTE put (6);
ALTER TABLE wide ALTER COLUMN c4 TYPE bigint;
EXECUTE put (7);
SELECT type, aggregateid FROM news();
DEALLOCATE put;
\echo DISABLE TRIGGER, ENABLE ALWAYS
ALTER TABLE wide DISABLE TRIGGER USER;
INSERT INTO wide ("Id") VALUES (8);
ALTER TABLE wide ENABLE ALWAYS TRIGGER "!outbox_ck_wide";
SET session_replication_role = replica;
INSERT INTO wide ("Id") VALUES (9);
RESET session_replication_role;
ALTER TABLE wide ENABLE TRIGGER USER;
SELECT type, aggregateid FROM news();
SELECT outbox.drop_contract('ck_wide');
DROP TABLE wide CASCADE;

\echo rules, views over the source, cascades, writable CTEs, constraint triggers at commit, triggers that write to other rows
CREATE TABLE parent (id int PRIMARY KEY, v text);
CREATE TABLE child (id int PRIMARY KEY, parent_id int REFERENCES parent ON DELETE CASCADE ON UPDATE CASCADE DEFERRABLE INITIALLY DEFERRED, v text, n int NOT NULL DEFAULT 0);
CREATE INDEX ON child (parent_id);
CREATE VIEW family AS SELECT p.id, p.v, (SELECT array_agg(c.id ORDER BY c.id) FROM child c WHERE c.parent_id = p.id) AS children,
    (SELECT sum(c.n)::int FROM child c WHERE c.parent_id = p.id) AS n FROM parent p;
CREATE VIEW child_entry AS SELECT id, parent_id, v FROM child;
CALL declare_all('ck_family', '{id}', 'family', 'parent');
SELECT outbox.add_source('ck_family', 'child', key_query => 'row.parent_id');
SELECT outbox.enable('ck_family');
CREATE RULE to_child AS ON UPDATE TO parent WHERE NEW.v = 'rule' DO ALSO UPDATE child SET n = n + 1 WHERE parent_id = NEW.id;
CREATE FUNCTION siblings() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF pg_trigger_depth() < 2 THEN UPDATE ck.child SET n = n + 10 WHERE parent_id = NEW.parent_id; END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER aaa_siblings AFTER UPDATE ON child FOR EACH ROW EXECUTE FUNCTION siblings();
INSERT INTO parent VALUES (1, 'p'), (2, 'q');
INSERT INTO child_entry VALUES (10, 1, 'through a view'), (11, 1, 'second'), (12, 2, 'third');
SELECT * FROM news();
UPDATE parent SET v = 'rule' WHERE id = 1;
UPDATE child SET v = 'x' WHERE id IN (10, 12);
UPDATE parent SET id = 3 WHERE id = 1;
SELECT * FROM news();
DROP RULE to_child ON parent;
WITH d AS (DELETE FROM child WHERE id = 10 RETURNING id), i AS (INSERT INTO child SELECT 13, 2, 'cte' FROM d)
UPDATE parent SET v = 'cte' WHERE id = 2;
CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO ck.child VALUES (NEW.id + 1000, NEW.id, 'at commit'); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER late AFTER INSERT ON parent DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION late();
INSERT INTO parent VALUES (50, 'late');
DELETE FROM parent WHERE id = 3;
SELECT * FROM news();
\echo prepared transactions
BEGIN;
INSERT INTO child VALUES (20, 2, 'prepared');
SAVEPOINT a;
INSERT INTO child VALUES (21, 2, 'rolled back');
ROLLBACK TO a;
PREPARE TRANSACTION 'ck1';
BEGIN;
INSERT INTO child VALUES (22, 50, 'prepared, rolled back');
PREPARE TRANSACTION 'ck2';
SELECT count(*) FROM news();
COMMIT PREPARED 'ck1';
ROLLBACK PREPARED 'ck2';
SELECT type, aggregateid, payload -> 'children' AS children FROM news();
\echo a parallel plan in the transaction, and one that the view would have: at commit there are no workers
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET min_parallel_index_scan_size = 0;
BEGIN;
UPDATE child SET n = -1 WHERE id = 12;
SELECT count(*) FROM child;
COMMIT;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;
RESET min_parallel_index_scan_size;
SELECT type, aggregateid, payload -> 'n' AS n FROM news();
\echo a writer without a right on the outbox, the view or the parent; row level security that hides rows from the writer
CREATE ROLE ck_writer;
GRANT USAGE ON SCHEMA ck TO ck_writer;
GRANT SELECT, INSERT, UPDATE ON child TO ck_writer;
ALTER TABLE child ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON child USING (id >= 60) WITH CHECK (true);
ALTER TABLE child DISABLE TRIGGER aaa_siblings;
SET ROLE ck_writer;
INSERT INTO child VALUES (60, 2, 'by the writer');
SELECT count(*) FROM child;
RESET ROLE;
SELECT type, aggregateid, payload -> 'children' AS children FROM news();
\echo row level security that would apply to the owner of the view: dead letters, the write goes through
CREATE ROLE ck_owner;
GRANT ck_owner TO CURRENT_USER;
GRANT USAGE, CREATE ON SCHEMA ck TO ck_owner;
GRANT SELECT, TRIGGER ON parent, child TO ck_owner;
ALTER TABLE child DISABLE ROW LEVEL SECURITY;
ALTER VIEW family OWNER TO ck_owner;
SELECT outbox.enable('ck_family');
ALTER TABLE child ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
UPDATE child SET n = 5 WHERE id = 12;
SELECT count(*) FROM news();
SELECT DISTINCT emit, stage, sqlstate, message FROM outbox.dead_letter WHERE contract = 'ck_family';
DELETE FROM outbox.dead_letter_entry;

\echo generated columns, without storage where PostgreSQL has such ones, of the source and of a child
SELECT CASE WHEN current_setting('server_version_num')::int >= 180000 THEN 'VIRTUAL' ELSE 'STORED' END AS kind \gset
CREATE TABLE gen (id int PRIMARY KEY, a int, digit int GENERATED ALWAYS AS (a % 10) :kind, unread int);
CREATE TABLE gen_line (gen_id int, no int, qty int, even int GENERATED ALWAYS AS (qty / 2 * 2) :kind, gen_key int GENERATED ALWAYS AS (gen_id) :kind,
    PRIMARY KEY (gen_id, no));
CREATE VIEW gen_v AS SELECT id, digit, (SELECT sum(even)::int FROM gen_line l WHERE l.gen_id = g.id) AS total FROM gen g;
CALL declare_all('ck_gen', '{id}', 'gen_v', 'gen');
SELECT outbox.add_source('ck_gen', 'gen_line', key_query => 'row.gen_id');
SELECT outbox.enable('ck_gen');
INSERT INTO gen VALUES (1, 3), (2, 4);
INSERT INTO gen_line VALUES (1, 1, 5), (1, 2, 6);
\echo its expression decides what is a change
UPDATE gen SET a = a + 10;
UPDATE gen SET unread = 1;
UPDATE gen_line SET qty = 4 WHERE no = 1;
SELECT * FROM news();
UPDATE gen SET a = 5 WHERE id = 2;
UPDATE gen_line SET qty = 9 WHERE no = 1;
UPDATE gen_line SET gen_id = 2 WHERE no = 2;
DELETE FROM gen WHERE id = 1;
SELECT * FROM news();
\echo one without storage is no key
CREATE VIEW gen_key_digit AS SELECT digit, id FROM gen;
CREATE FUNCTION refusal(statement text, before_18 text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    RETURN CASE WHEN current_setting('server_version_num')::int >= 180000 THEN 'accepted' ELSE before_18 END;
EXCEPTION WHEN feature_not_supported THEN
    RETURN SQLERRM;
END $$;
SELECT refusal($$SELECT outbox.create_contract('ck_digit', view => 'gen_key_digit', source => 'gen', key => '{id,digit}', evaluate => 'commit')$$,
               'the view "gen_key_digit" cannot be read by its key');
SELECT outbox.create_contract('ck_gen_again', view => 'gen_v', source => 'gen', key => '{id}');
SELECT refusal($$SELECT outbox.add_source('ck_gen_again', 'gen_line', key_query => 'row.gen_key')$$,
               'the key_query of source "gen_line" must not use the virtual generated column "gen_key"');
SELECT count(*) FROM outbox.dead_letter WHERE contract LIKE 'ck%';
SELECT count(outbox.drop_contract(name)) >= 2 AS dropped FROM outbox.contract WHERE name IN ('ck_gen', 'ck_digit', 'ck_gen_again');

SELECT outbox.drop_contract('ck_family');
DROP SCHEMA ck CASCADE;
DROP ROLE ck_writer;
DROP ROLE ck_owner;
