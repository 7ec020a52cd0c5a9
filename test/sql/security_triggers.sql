-- A trigger's name proves nothing: nobody forges gaps with it, and one that does not fire as it should is seen and mended.
SET client_min_messages = warning;
CREATE ROLE st_forger;
CREATE SCHEMA st;
CREATE SCHEMA st_forged AUTHORIZATION st_forger;
CREATE TABLE st.acct (id int PRIMARY KEY, name text);
CREATE VIEW st.acct_v AS SELECT id, name FROM st.acct;
CREATE TABLE st.pay (id int, year int, PRIMARY KEY (id, year)) PARTITION BY LIST (year);
CREATE TABLE st.pay_1 PARTITION OF st.pay FOR VALUES IN (1);
CREATE TABLE st.pay_2 PARTITION OF st.pay FOR VALUES IN (2);
CREATE TABLE st.pay_3 PARTITION OF st.pay FOR VALUES IN (3) PARTITION BY LIST (id);
CREATE TABLE st.pay_3_1 PARTITION OF st.pay_3 FOR VALUES IN (1);
CREATE TABLE st.pay_3_2 PARTITION OF st.pay_3 FOR VALUES IN (2);
CREATE TABLE st.pay_4 PARTITION OF st.pay FOR VALUES IN (4);
CREATE VIEW st.pay_v AS SELECT id, year FROM st.pay;
SELECT outbox.create_contract('st_acct', view => 'st.acct_v', source => 'st.acct', key => '{id}');
SELECT outbox.create_contract('st_pay', view => 'st.pay_v', source => 'st.pay', key => '{id,year}');
SELECT outbox.create_event_type('StAcct', contract => 'st_acct', emit => 'created');
SELECT outbox.create_event_type('StPay', contract => 'st_pay', emit => 'created');
SELECT outbox.enable('st_acct'), outbox.enable('st_pay');
-- nothing but TEMP and what everybody may: no GRANT of the extension
GRANT TEMP ON DATABASE :"DBNAME" TO st_forger;
CREATE VIEW st.traces AS
SELECT (SELECT count(*) FROM outbox.gap) AS gaps, (SELECT count(*) FROM outbox.dead_letter) AS letters, (SELECT count(*) FROM outbox.event) AS events;
CREATE TABLE st.before AS SELECT * FROM st.traces;

\echo triggers of every kind, on tables of every kind, named like those of a contract that is there, of one that is not, and otherwise
SET ROLE st_forger;
DO $$
DECLARE
    name text;
    target text;
BEGIN
    FOREACH name IN ARRAY '{!outbox_st_acct,!outbox_payments,!outbox!st_acct,!outbox!payments,st_acct,other}'::text[] LOOP
        FOREACH target IN ARRAY '{st_forged.plain,pg_temp.temporary,st_forged.root,st_forged.child,st_forged.acct}'::text[] LOOP
            EXECUTE format('CREATE %s TABLE %s (id int, name text) %s', CASE WHEN target LIKE 'pg_temp%' THEN 'TEMP' ELSE '' END, target,
                           CASE WHEN target LIKE '%root' THEN 'PARTITION BY LIST (id)' ELSE '' END);
            IF target LIKE '%root' THEN
                CREATE TABLE st_forged.root_1 PARTITION OF st_forged.root FOR VALUES IN (1, 2);
            END IF;
            EXECUTE format('CREATE TRIGGER %I AFTER INSERT OR UPDATE OR DELETE ON %s FOR EACH ROW EXECUTE FUNCTION outbox.capture()', name, target);
            -- as if a dump had made it depend on that
            RESET ROLE;
            EXECUTE format('ALTER TRIGGER %I ON %s DEPENDS ON EXTENSION outbox_ext', name, target);
            SET ROLE st_forger;
            EXECUTE format('INSERT INTO %s VALUES (1)', target);
            EXECUTE format('UPDATE %s SET id = 2', target);
            EXECUTE format('DELETE FROM %s', target);
            EXECUTE format('DROP TRIGGER %I ON %s', name, target);
            EXECUTE format('INSERT INTO %s VALUES (1)', target);
            IF target NOT LIKE '%root' THEN
                EXECUTE format('CREATE TRIGGER %I AFTER TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION outbox.capture_truncate()', name, target);
                EXECUTE format('TRUNCATE %s', target);
                EXECUTE format('CREATE CONSTRAINT TRIGGER %I AFTER INSERT ON %s DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION outbox.capture()', name || 'x', target);
                EXECUTE format('INSERT INTO %s VALUES (1)', target);
                SET CONSTRAINTS ALL IMMEDIATE;
            ELSE
                EXECUTE format('CREATE TRIGGER %I AFTER TRUNCATE ON st_forged.root_1 FOR EACH STATEMENT EXECUTE FUNCTION outbox.capture_truncate()', name);
                EXECUTE 'ALTER TABLE st_forged.root DETACH PARTITION st_forged.root_1';
                EXECUTE 'ALTER TABLE st_forged.root ATTACH PARTITION st_forged.root_1 FOR VALUES IN (1, 2)';
                EXECUTE format('CREATE OR REPLACE TRIGGER %I AFTER TRUNCATE ON st_forged.root_1 FOR EACH STATEMENT EXECUTE FUNCTION outbox.capture_truncate()', name);
            END IF;
            EXECUTE format('DROP TABLE %s', target);
        END LOOP;
    END LOOP;
END $$;
\echo what is no such call is refused, and that is the trouble of whoever does it
CREATE TABLE st_forged.plain (id int);
CREATE VIEW st_forged.plain_v AS SELECT * FROM st_forged.plain;
CREATE TRIGGER "!outbox_payments" INSTEAD OF INSERT ON st_forged.plain_v FOR EACH ROW EXECUTE FUNCTION outbox.capture();
INSERT INTO st_forged.plain_v VALUES (1);
CREATE TRIGGER "!outbox_payments" BEFORE INSERT ON st_forged.plain FOR EACH ROW EXECUTE FUNCTION outbox.capture();
INSERT INTO st_forged.plain VALUES (1);
CREATE OR REPLACE TRIGGER "!outbox_payments" AFTER INSERT ON st_forged.plain FOR EACH STATEMENT EXECUTE FUNCTION outbox.capture();
INSERT INTO st_forged.plain VALUES (1);
CREATE OR REPLACE TRIGGER "!outbox_payments" AFTER INSERT ON st_forged.plain FOR EACH STATEMENT EXECUTE FUNCTION outbox.capture_truncate();
INSERT INTO st_forged.plain VALUES (1);
DROP TABLE st_forged.plain CASCADE;
\echo the other trigger functions are not for everybody
CREATE TABLE st_forged.plain (id int);
CREATE TRIGGER t AFTER INSERT ON st_forged.plain FOR EACH STATEMENT EXECUTE FUNCTION outbox_internal.config_changed();
RESET ROLE;
\echo no trace
SELECT * FROM st.traces EXCEPT SELECT * FROM st.before;

\echo partitions of a source that go are told: detached, dropped, dropped at depth, dropped with their parent, detached and dropped at once, with a schema
INSERT INTO st.pay VALUES (1, 1), (1, 2), (1, 3), (2, 3), (1, 4);
ALTER TABLE st.pay DETACH PARTITION st.pay_1;
SELECT tgname FROM pg_trigger WHERE tgrelid = 'st.pay_1'::regclass;
DROP TABLE st.pay_1;
DROP TABLE st.pay_3_1;
DROP TABLE st.pay_3;
BEGIN;
ALTER TABLE st.pay DETACH PARTITION st.pay_4;
DROP TABLE st.pay_4;
COMMIT;
CREATE SCHEMA st_part;
CREATE TABLE st_part.pay_5 PARTITION OF st.pay FOR VALUES IN (5);
INSERT INTO st.pay VALUES (1, 5);
DROP SCHEMA st_part CASCADE;
\echo a table that was attached in a transaction that failed was none
CREATE TABLE st.pay_6 (LIKE st.pay);
CREATE TRIGGER "!outbox!st_pay" AFTER TRUNCATE ON st.pay_6 FOR EACH STATEMENT EXECUTE FUNCTION outbox.capture_truncate();
BEGIN;
ALTER TABLE st.pay ATTACH PARTITION st.pay_6 FOR VALUES IN (6);
ROLLBACK;
DROP TABLE st.pay_6;
SELECT contract, CASE WHEN reason = 'dropped' THEN source::text END AS source, reason, detail FROM outbox.gap WHERE contract LIKE 'st_%' ORDER BY id;

\echo a trigger that does not fire as it should: seen, and mended by what status advises
CREATE FUNCTION st.nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TABLE st.attempt (n int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, what text);
INSERT INTO st.attempt (what) VALUES
    ('CREATE OR REPLACE TRIGGER "!outbox_st_acct" AFTER INSERT OR UPDATE OR DELETE ON st.acct FOR EACH ROW WHEN (false) EXECUTE FUNCTION outbox.capture()'),
    ('CREATE OR REPLACE TRIGGER "!outbox_st_acct" AFTER INSERT OR UPDATE OR DELETE ON st.acct FOR EACH ROW EXECUTE FUNCTION st.nothing()'),
    ('CREATE OR REPLACE TRIGGER "!outbox_st_acct" AFTER INSERT OR UPDATE OR DELETE ON st.acct FOR EACH STATEMENT EXECUTE FUNCTION st.nothing()'),
    ('CREATE OR REPLACE TRIGGER "!outbox_st_acct" AFTER UPDATE OR DELETE ON st.acct FOR EACH ROW EXECUTE FUNCTION outbox.capture()'),
    ('CREATE OR REPLACE TRIGGER "!outbox_st_acct" AFTER INSERT OR DELETE OR UPDATE OF id ON st.acct FOR EACH ROW EXECUTE FUNCTION outbox.capture()'),
    ('CREATE OR REPLACE TRIGGER "!outbox_st_acct" BEFORE INSERT OR UPDATE OR DELETE ON st.acct FOR EACH ROW EXECUTE FUNCTION st.nothing()'),
    ('DROP TRIGGER "!outbox_st_acct" ON st.acct; CREATE CONSTRAINT TRIGGER "!outbox_st_acct" AFTER INSERT OR UPDATE OR DELETE ON st.acct DEFERRABLE FOR EACH ROW EXECUTE FUNCTION st.nothing()'),
    ('DROP TRIGGER "!outbox_st_acct" ON st.acct'),
    ('ALTER TRIGGER "!outbox_st_acct" ON st.acct RENAME TO mine'),
    ('ALTER TABLE st.acct DISABLE TRIGGER "!outbox_st_acct"'),
    ('ALTER TABLE st.acct DISABLE TRIGGER ALL'),
    ('ALTER TABLE st.acct ENABLE REPLICA TRIGGER "!outbox_st_acct"'),
    ('ALTER TABLE st.acct DISABLE TRIGGER "!outbox!st_acct"'),
    ('DROP TRIGGER "!outbox!st_acct" ON st.acct'),
    ('CREATE OR REPLACE TRIGGER "!outbox!st_acct" AFTER TRUNCATE ON st.acct FOR EACH STATEMENT EXECUTE FUNCTION st.nothing()'),
    ('CREATE OR REPLACE TRIGGER "!outbox!st_acct" AFTER INSERT ON st.acct FOR EACH STATEMENT EXECUTE FUNCTION st.nothing()'),
    ('ALTER TABLE st.pay_2 DISABLE TRIGGER "!outbox_st_pay"'),
    ('ALTER TABLE st.pay DISABLE TRIGGER "!outbox_st_pay"'),
    ('ALTER TABLE st.pay_2 DISABLE TRIGGER "!outbox!st_pay"'),
    ('CREATE OR REPLACE TRIGGER "!outbox_st_pay" AFTER INSERT OR UPDATE OR DELETE ON st.pay FOR EACH ROW WHEN (false) EXECUTE FUNCTION outbox.capture()');
CREATE FUNCTION st.advice() RETURNS text LANGUAGE sql AS
$$ SELECT state || ': ' || advice FROM outbox.status WHERE kind = 'contract' AND name IN ('st_acct', 'st_pay') AND advice ~ '(trigger|TRUNCATE)' $$;
CREATE FUNCTION st.try(what text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    seen text := '';
    command text;
BEGIN
    EXECUTE what;
    WHILE st.advice() IS NOT NULL AND length(seen) < 1000 LOOP
        seen := seen || ' ' || st.advice();
        command := substring(st.advice() FROM '(SELECT outbox[^:]*\)|ALTER TABLE [^;]*)');
        EXECUTE command;
    END LOOP;
    DROP TRIGGER IF EXISTS mine ON st.acct;
    RETURN seen;
END $$;
SELECT n, st.try(what) FROM st.attempt ORDER BY n;
\echo and without the advice by enable alone
CREATE FUNCTION st.mended(what text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE what;
    PERFORM outbox.enable('st_acct'), outbox.enable('st_pay');
    DROP TRIGGER IF EXISTS mine ON st.acct;
    RETURN st.advice() IS NULL;
END $$;
SELECT count(*) FROM st.attempt WHERE NOT st.mended(what);
INSERT INTO st.acct VALUES (10, 'captured');
INSERT INTO st.pay VALUES (10, 2);
SELECT type, aggregateid FROM outbox.event_json WHERE aggregateid LIKE '10%' AND contract LIKE 'st_%' ORDER BY seq;
\echo the right TRIGGER on a source names no gap
CREATE TABLE st_forged.granted (id int PRIMARY KEY, name text);
CREATE VIEW st.granted_v AS SELECT id, name FROM st_forged.granted;
ALTER TABLE st_forged.granted OWNER TO CURRENT_USER;
SELECT outbox.create_contract('st_granted', view => 'st.granted_v', source => 'st_forged.granted', key => '{id}');
SELECT outbox.create_contract('st_granted_2', view => 'st.granted_v', source => 'st_forged.granted', key => '{id}');
SELECT outbox.create_event_type('StGranted', contract => 'st_granted', emit => 'deleted'), outbox.create_event_type('StGranted2', contract => 'st_granted_2', emit => 'deleted'),
    outbox.enable('st_granted'), outbox.enable('st_granted_2');
GRANT TRIGGER, SELECT, INSERT, UPDATE, TRUNCATE ON st_forged.granted, st.pay, st.pay_2 TO st_forger;
GRANT USAGE ON SCHEMA st TO st_forger;
SET ROLE st_forger;
CREATE TRIGGER "!outbox_payments" AFTER INSERT OR UPDATE OR DELETE ON st_forged.granted FOR EACH ROW EXECUTE FUNCTION outbox.capture();
CREATE TRIGGER "!outbox!payments" AFTER TRUNCATE ON st_forged.granted FOR EACH STATEMENT EXECUTE FUNCTION outbox.capture_truncate();
CREATE TRIGGER "!outbox_payments" AFTER INSERT OR UPDATE OR DELETE ON st.pay_2 FOR EACH ROW EXECUTE FUNCTION outbox.capture();
CREATE TRIGGER "!outbox!payments" AFTER TRUNCATE ON st.pay_2 FOR EACH STATEMENT EXECUTE FUNCTION outbox.capture_truncate();
ALTER TRIGGER "!outbox_payments" ON st_forged.granted DEPENDS ON EXTENSION outbox_ext;
INSERT INTO st_forged.granted VALUES (1, 'a');
UPDATE st_forged.granted SET name = 'b';
INSERT INTO st.pay VALUES (11, 2);
RESET ROLE;
BEGIN;
DELETE FROM outbox.gap WHERE contract LIKE 'st_%';
TRUNCATE st.pay_2, st_forged.granted;
SELECT contract, reason FROM outbox.gap WHERE contract LIKE 'pay%' OR contract LIKE 'st_%' ORDER BY 1;
ROLLBACK;
SELECT contract, reason FROM outbox.gap WHERE contract LIKE 'pay%';
\echo a trigger that enable() made tells of a contract that is not there
BEGIN;
DELETE FROM outbox_internal.contract WHERE name = 'st_granted';
INSERT INTO st_forged.granted VALUES (2, 'a');
SELECT contract, reason FROM outbox.gap WHERE contract = 'st_granted';
ROLLBACK;
DROP TRIGGER "!outbox_payments" ON st.pay_2;
DROP TRIGGER "!outbox!payments" ON st.pay_2;
SELECT outbox.drop_contract('st_granted'), outbox.drop_contract('st_granted_2');
DROP TABLE st_forged.granted CASCADE;
\echo DROP EXTENSION would take them along
SELECT count(*) FROM pg_depend d JOIN pg_trigger t ON t.oid = d.objid AND d.classid = 'pg_trigger'::regclass WHERE d.deptype = 'x' AND t.tgrelid IN ('st.acct'::regclass, 'st.pay'::regclass, 'st.pay_2'::regclass);
\echo a trigger of somebody else under the name is left alone by drop_contract
CREATE OR REPLACE TRIGGER "!outbox_st_acct" AFTER INSERT ON st.acct FOR EACH ROW EXECUTE FUNCTION st.nothing();
SELECT outbox.drop_contract('st_acct'), outbox.drop_contract('st_pay');
SELECT tgrelid::regclass, tgname, tgfoid::regprocedure FROM pg_trigger WHERE tgrelid IN ('st.acct'::regclass, 'st.pay'::regclass, 'st.pay_2'::regclass);

DELETE FROM outbox.gap WHERE contract LIKE 'st_%';
REVOKE TEMP ON DATABASE :"DBNAME" FROM st_forger;
DROP SCHEMA st, st_forged CASCADE;
DROP ROLE st_forger;
