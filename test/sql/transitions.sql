-- What happened to a contract's row decides about events, not which table operation did it.
SET client_min_messages = warning;
CREATE SCHEMA tr;
SET search_path = tr, public;
-- Types under which 'Bobby' = 'BOBBY', where the server has them.
DO $$
BEGIN
    CREATE EXTENSION IF NOT EXISTS citext SCHEMA public;
    CREATE DOMAIN any_case AS public.citext;
EXCEPTION WHEN OTHERS THEN
    CREATE DOMAIN any_case AS text;
END $$;
DO $$
BEGIN
    CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
EXCEPTION WHEN OTHERS THEN
    CREATE COLLATION ci FROM "C";
END $$;
CREATE TABLE cust (cust_no char(6) PRIMARY KEY, nm any_case, cty text COLLATE ci, bal numeric(10,2), del_flg char(1), junk text);
-- two views deep; a WHERE clause makes the flag a soft delete
CREATE VIEW active AS SELECT btrim(cust_no) AS no, nm, cty, bal FROM cust WHERE del_flg IS DISTINCT FROM 'Y';
CREATE VIEW customer_v1 AS SELECT no AS customer_id, nm AS name, cty AS city, bal AS balance FROM active;
SELECT outbox.create_contract('tr_customer', view => 'customer_v1', source => 'cust', key => '{customer_id}');
SELECT outbox.create_event_type('TrCreated', contract => 'tr_customer', emit => 'created');
SELECT outbox.create_event_type('TrMoved', contract => 'tr_customer', emit => 'changed',
    condition => 'old.city IS DISTINCT FROM new.city', previous => '{city,balance}');
SELECT outbox.create_event_type('TrChanged', contract => 'tr_customer', emit => 'changed');
SELECT outbox.create_event_type('TrDeleted', contract => 'tr_customer', emit => 'deleted');
INSERT INTO cust VALUES ('early', 'not captured yet', 'x', 0);
SELECT outbox.enable('tr_customer');

CREATE VIEW seen AS SELECT row_number() OVER (ORDER BY seq) AS n, type, aggregateid, payload, headers, error
FROM outbox.event_json WHERE contract = 'tr_customer';

\echo insert, and insert outside of the view
INSERT INTO cust VALUES ('A', 'Ann', 'Rome', 10, NULL), ('B', 'Bob', 'Oslo', 20.5, NULL), ('X', 'Xen', 'Bonn', 1, 'Y');
\echo a change, a change of one event type, changes that change nothing that is published
UPDATE cust SET cty = 'Paris' WHERE cust_no = 'A';
UPDATE cust SET nm = 'Bobby' WHERE cust_no = 'B';
UPDATE cust SET junk = 'y';
UPDATE cust SET bal = 10.00, nm = nm WHERE cust_no = 'A';
UPDATE cust SET bal = '10', junk = 'z' WHERE cust_no = 'A';
\echo case matters, even where the database compares without it
UPDATE cust SET nm = 'BOBBY' WHERE cust_no = 'B';
UPDATE cust SET cty = 'OSLO' WHERE cust_no = 'B';
\echo a changed key is deleted and created
UPDATE cust SET cust_no = 'C' WHERE cust_no = 'A';
\echo padding is not part of the key
UPDATE cust SET cust_no = 'C     ' WHERE cust_no = 'C';
\echo leaving and entering the view is deleted and created
UPDATE cust SET del_flg = 'Y' WHERE cust_no = 'B';
UPDATE cust SET nm = 'unseen' WHERE cust_no = 'B';
UPDATE cust SET del_flg = NULL WHERE cust_no = 'B';
\echo upsert, merge, delete
INSERT INTO cust VALUES ('B', 'Ben', 'Oslo', 0) ON CONFLICT (cust_no) DO UPDATE SET nm = excluded.nm;
INSERT INTO cust VALUES ('B', 'Ben', 'Oslo', 0) ON CONFLICT DO NOTHING;
MERGE INTO cust USING (VALUES ('B', 'Berlin'), ('M', 'Metz')) AS v (no, cty) ON cust.cust_no = v.no
WHEN MATCHED THEN UPDATE SET cty = v.cty WHEN NOT MATCHED THEN INSERT (cust_no, cty) VALUES (v.no, v.cty);
DELETE FROM cust WHERE cust_no = 'C';
\echo savepoints
BEGIN;
INSERT INTO cust VALUES ('S1', 'kept');
SAVEPOINT a;
INSERT INTO cust VALUES ('S2', 'rolled back');
SAVEPOINT b;
INSERT INTO cust VALUES ('S3', 'rolled back');
RELEASE b;
ROLLBACK TO a;
INSERT INTO cust VALUES ('S4', 'kept');
SAVEPOINT c;
INSERT INTO cust VALUES ('S5', 'kept');
RELEASE c;
COMMIT;
BEGIN;
INSERT INTO cust VALUES ('R1', 'rolled back');
ROLLBACK;
\echo copy
COPY cust (cust_no, nm) FROM stdin;
P1	copied
P2	copied
\.
SELECT n, type, aggregateid, payload, headers, error FROM seen ORDER BY n;

\echo lastval() of the application is left alone
CREATE SEQUENCE app_seq START 500;
CREATE TABLE with_seq (id int PRIMARY KEY DEFAULT nextval('app_seq'), t text);
CREATE VIEW with_seq_v AS SELECT id, t FROM with_seq;
SELECT outbox.create_contract('tr_seq', view => 'with_seq_v', source => 'with_seq', key => '{id}');
SELECT outbox.create_event_type('SeqCreated', contract => 'tr_seq', emit => 'created');
SELECT outbox.create_event_type('SeqTouched', contract => 'tr_seq', emit => 'always');
SELECT outbox.enable('tr_seq');
INSERT INTO with_seq (t) VALUES ('x');
SELECT lastval();
\echo always: every touch, also when nothing differs
UPDATE with_seq SET t = t;
DELETE FROM with_seq;
SELECT type, aggregateid, payload FROM outbox.event_json WHERE contract = 'tr_seq' ORDER BY seq;

\echo a legacy trigger that updates the row again: two events, in order, the first one marked
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.t = 'first' THEN UPDATE with_seq SET t = 'second' WHERE id = NEW.id; END IF;
    IF NEW.t = 'other' THEN UPDATE with_seq SET t = 'superseding' WHERE id = NEW.id + 1; END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER "aaa_legacy" AFTER INSERT ON with_seq FOR EACH ROW EXECUTE FUNCTION touch();
INSERT INTO with_seq VALUES (7, 'first');
SELECT type, payload, headers FROM outbox.event_json WHERE contract = 'tr_seq' AND aggregateid = '7' ORDER BY seq;
\echo it updates another row of the statement before that one is captured: superseded
INSERT INTO with_seq VALUES (70, 'other'), (71, 'plain');
SELECT type, aggregateid, payload, headers FROM outbox.event_json WHERE contract = 'tr_seq' AND aggregateid IN ('70', '71') ORDER BY seq;

\echo the kill switch, the replica role, disable and enable
SET outbox.capture = off;
INSERT INTO with_seq VALUES (8, 'x');
RESET outbox.capture;
SET session_replication_role = replica;
INSERT INTO with_seq VALUES (9, 'x');
RESET session_replication_role;
SELECT outbox.disable('tr_seq');
INSERT INTO with_seq VALUES (10, 'x');
SELECT outbox.enable('tr_seq');
INSERT INTO with_seq VALUES (11, 'x');
SELECT DISTINCT aggregateid FROM outbox.event_json WHERE contract = 'tr_seq' AND aggregateid IN ('8', '9', '10', '11');

\echo an event type added to an enabled contract is live; a dropped one is not
SELECT outbox.create_event_type('SeqGone', contract => 'tr_seq', emit => 'deleted', tombstone => 'after');
SELECT outbox.drop_event_type('SeqTouched');
DELETE FROM with_seq WHERE id = 11;
SELECT type, payload, headers FROM outbox.event_json WHERE contract = 'tr_seq' AND aggregateid = '11' AND type <> 'SeqTouched' ORDER BY seq;

\echo at commit as well: case, in a nested type too, zeros behind the point, blanks, the text of json
CREATE TYPE named AS (name any_case, place text COLLATE ci);
CREATE TABLE same (id int PRIMARY KEY, a any_case, b text COLLATE ci, c any_case[], n numeric, j json, p char(5), unread int);
CREATE VIEW same_v AS SELECT id, a, b, c, ROW(a, b)::named AS r, n::numeric(8,2) AS n, j, p FROM same;
SELECT outbox.create_contract('tr_same_' || e, view => 'same_v', source => 'same', key => '{id}', evaluate => e) FROM unnest('{row,commit}'::text[]) e;
SELECT outbox.create_event_type('Same_' || e, contract => 'tr_same_' || e, emit => 'changed') FROM unnest('{row,commit}'::text[]) e;
SELECT outbox.enable('tr_same_' || e) FROM unnest('{row,commit}'::text[]) e;
INSERT INTO same VALUES (1, 'bob', 'eve', '{ann}', 1.0, '{"a":1}', 'x');
UPDATE same SET a = 'BOB', unread = 1;
UPDATE same SET b = 'EVE', unread = 2;
UPDATE same SET c = '{Ann}', unread = 3;
UPDATE same SET n = 1.000, p = 'x  ', unread = 4;
UPDATE same SET j = '{"a": 1}', unread = 5;
SELECT type, payload FROM outbox.event_json WHERE contract LIKE 'tr_same_%' ORDER BY contract, seq;
SELECT outbox.drop_contract('tr_same_' || e) FROM unnest('{row,commit}'::text[]) e;

\echo composite message key
CREATE TABLE pair (a text, b text, c int, PRIMARY KEY (a, b));
CREATE VIEW pair_v AS SELECT a, b, c FROM pair;
SELECT outbox.create_contract('tr_pair', view => 'pair_v', source => 'pair', key => '{a,b}', aggregate_type => 'Pair');
SELECT outbox.create_event_type('PairCreated', contract => 'tr_pair', emit => 'created');
SELECT outbox.enable('tr_pair');
INSERT INTO pair VALUES ('x,y', 'back\slash', 1), ('', '', 2);
SELECT aggregatetype, aggregateid FROM outbox.event_json WHERE contract = 'tr_pair' ORDER BY seq;

\echo trace context and correlation
BEGIN;
SET LOCAL outbox.traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
SET LOCAL outbox.correlation_id = 'c-1';
SET LOCAL outbox.causation_id = 'c-0';
INSERT INTO pair VALUES ('traced', '', 3);
COMMIT;
SELECT aggregateid, headers FROM outbox.event_json WHERE contract = 'tr_pair' AND aggregateid LIKE 'traced%';

\echo drop_contract keeps its events readable
SELECT outbox.drop_contract('tr_pair');
SELECT type, payload, error FROM outbox.event_json WHERE contract = 'tr_pair' ORDER BY seq LIMIT 1;
INSERT INTO pair VALUES ('not', 'captured', 4);
SELECT count(*) FROM outbox.event_json WHERE contract = 'tr_pair';
SELECT outbox.drop_contract('tr_seq');
SELECT outbox.drop_contract('tr_customer');
DROP SCHEMA tr CASCADE;
