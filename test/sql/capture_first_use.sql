-- The first changed row of a session compiles the contract, wherever it comes from; rights are looked at anew.
SET client_min_messages = warning;
CREATE SCHEMA fu;
CREATE ROLE fu_owner;
CREATE ROLE fu_other;
GRANT USAGE, CREATE ON SCHEMA fu TO fu_owner;
CREATE TABLE fu.item (id int PRIMARY KEY, n int, name text);
GRANT SELECT ON fu.item TO fu_owner;
SET ROLE fu_owner;
CREATE VIEW fu.item_v AS SELECT id, 10 / n AS n, name FROM fu.item;
RESET ROLE;
SELECT outbox.create_contract('fu_item', view => 'fu.item_v', source => 'fu.item', key => '{id}');
SELECT outbox.create_event_type('FuCreated', contract => 'fu_item', emit => 'created');
SELECT outbox.enable('fu_item');
CREATE VIEW fu.captured AS
    SELECT (SELECT string_agg(aggregateid, ',' ORDER BY seq) FROM outbox.event_json WHERE contract = 'fu_item') AS events,
           (SELECT string_agg(key ->> 'id', ',' ORDER BY id) FROM outbox.dead_letter WHERE contract = 'fu_item') AS dead_letters;
CREATE TABLE fu.slip (id int);
CREATE FUNCTION fu.late() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO fu.item VALUES (NEW.id, NEW.id % 2, 'late'); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER late AFTER INSERT ON fu.slip DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION fu.late();

\echo COPY
\c -
SET outbox.ddl_check = off;
COPY fu.item FROM stdin;
1	1	good
2	0	bad
\.
\echo an exception block, of which the first change is rolled back
\c -
SET outbox.ddl_check = off;
DO $$ BEGIN
    INSERT INTO fu.item VALUES (3, 1, 'undone');
    RAISE EXCEPTION 'undo';
EXCEPTION WHEN raise_exception THEN
    INSERT INTO fu.item VALUES (4, 0, 'bad'), (5, 1, 'good');
END $$;
\echo a serializable transaction
\c -
SET outbox.ddl_check = off;
BEGIN ISOLATION LEVEL SERIALIZABLE;
INSERT INTO fu.item VALUES (6, 0, 'bad'), (7, 1, 'good');
COMMIT;
\echo a deferred constraint trigger, at commit
\c -
SET outbox.ddl_check = off;
INSERT INTO fu.slip VALUES (8), (9);
\echo a transaction that was set read only before it commits
\c -
SET outbox.ddl_check = off;
BEGIN;
INSERT INTO fu.item VALUES (11, 1, 'good');
SET TRANSACTION READ ONLY;
COMMIT;
SELECT * FROM fu.captured;

\echo the owner of the view changes, loses rights, and goes
\c -
SET outbox.ddl_check = off;
SET client_min_messages = warning;
INSERT INTO fu.item VALUES (21, 1, 'compiled');
ALTER VIEW fu.item_v OWNER TO fu_other;
INSERT INTO fu.item VALUES (22, 1, 'the other may not read');
REASSIGN OWNED BY fu_other TO fu_owner;
INSERT INTO fu.item VALUES (23, 1, 'the owner may');
REVOKE SELECT ON fu.item FROM fu_owner;
GRANT SELECT (id, n) ON fu.item TO fu_owner;
INSERT INTO fu.item VALUES (24, 1, 'not this column');
GRANT SELECT (name) ON fu.item TO fu_owner;
INSERT INTO fu.item VALUES (25, 1, 'every column');
SELECT * FROM fu.captured;
SELECT DISTINCT message FROM outbox.dead_letter WHERE contract = 'fu_item' AND stage = 'map' ORDER BY 1;
DROP OWNED BY fu_owner;
INSERT INTO fu.item VALUES (26, 1, 'no view');
SELECT message, source_columns FROM outbox.dead_letter WHERE contract = 'fu_item' ORDER BY id DESC LIMIT 1;

\echo what a savepoint takes back is taken back in the compiled contract too
CREATE VIEW fu.again_v AS SELECT id, name FROM fu.item;
SELECT outbox.create_contract('fu_again', view => 'fu.again_v', source => 'fu.item', key => '{id}');
SELECT outbox.create_event_type('FuAgain', contract => 'fu_again', emit => 'created');
SELECT outbox.enable('fu_again');
BEGIN;
SAVEPOINT a;
SELECT outbox.disable('fu_again');
INSERT INTO fu.item VALUES (31, 1, 'undone');
ROLLBACK TO a;
INSERT INTO fu.item VALUES (32, 1, 'enabled');
SAVEPOINT b;
CREATE OR REPLACE VIEW fu.again_v AS SELECT id, upper(name) AS name FROM fu.item;
INSERT INTO fu.item VALUES (33, 1, 'undone');
ROLLBACK TO b;
INSERT INTO fu.item VALUES (34, 1, 'lower case');
COMMIT;
SELECT aggregateid, payload ->> 'name' AS name FROM outbox.event_json WHERE contract = 'fu_again' ORDER BY seq;

SELECT outbox.drop_contract(name) FROM outbox.contract WHERE name LIKE 'fu_%';
DELETE FROM outbox.dead_letter_entry WHERE contract LIKE 'fu_%';
DROP SCHEMA fu CASCADE;
DROP ROLE fu_owner, fu_other;
