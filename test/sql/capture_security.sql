-- A contract sees what its view's owner may see, whoever writes, and nothing a writer plants.
SET outbox.ddl_check = off; -- what it refuses must stay safe all the same
SET client_min_messages = warning;
CREATE ROLE sec_owner;
CREATE ROLE sec_writer;
CREATE SCHEMA sec AUTHORIZATION sec_owner;
GRANT CREATE ON SCHEMA public TO sec_writer;
CREATE TABLE sec.account (id int PRIMARY KEY, owner_name text, balance numeric(10,2));
GRANT INSERT ON sec.account TO sec_writer;
GRANT USAGE ON SCHEMA sec TO sec_writer;
GRANT SELECT, TRIGGER ON sec.account TO sec_owner;
SET ROLE sec_owner;
CREATE VIEW sec.account_v AS SELECT id AS account_id, owner_name, balance FROM sec.account;
RESET ROLE;
SELECT outbox.create_contract('sec_account', view => 'sec.account_v', source => 'sec.account', key => '{account_id}');
SELECT outbox.create_event_type('SecOpened', contract => 'sec_account', emit => 'created', condition => $$new.owner_name <> 'nobody'$$);
SELECT outbox.enable('sec_account');
CREATE VIEW sec.seen AS SELECT aggregateid, payload FROM outbox.event_json WHERE contract = 'sec_account';

\echo a writer without SELECT, and without any right on the outbox
SET ROLE sec_writer;
INSERT INTO sec.account VALUES (1, 'ann', 10);
SELECT count(*) FROM outbox.event;
SELECT * FROM outbox.dead_letter;
SELECT outbox.enable('sec_account');
RESET ROLE;
SELECT * FROM sec.seen;

\echo a hostile operator in public, first in the search_path of the writer
SET ROLE sec_writer;
CREATE FUNCTION public.spy(text, text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'stolen: % as %', $1, current_user;
END $$;
CREATE OPERATOR public.<> (LEFTARG = text, RIGHTARG = text, FUNCTION = public.spy);
SET search_path = public, pg_catalog;
INSERT INTO sec.account VALUES (2, 'bob', 20);
RESET search_path;
RESET ROLE;
SELECT * FROM sec.seen;
SELECT count(*) FROM outbox.dead_letter WHERE contract = 'sec_account';

\echo the owner loses SELECT after enable: dead letters, no leak, no broken write
REVOKE SELECT ON sec.account FROM sec_owner;
SET ROLE sec_writer;
INSERT INTO sec.account VALUES (3, 'cid', 30);
RESET ROLE;
SELECT * FROM sec.seen;
SELECT event_type, emit, stage, sqlstate, message, source_columns FROM outbox.dead_letter WHERE contract = 'sec_account';
GRANT SELECT ON sec.account TO sec_owner;
INSERT INTO sec.account VALUES (4, 'dan', 40);
SELECT * FROM sec.seen;

\echo row level security that would hide rows from the owner
ALTER TABLE sec.account ENABLE ROW LEVEL SECURITY;
INSERT INTO sec.account VALUES (5, 'eve', 50);
SELECT stage, sqlstate, message FROM outbox.dead_letter WHERE contract = 'sec_account' ORDER BY id DESC LIMIT 1;
ALTER TABLE sec.account DISABLE ROW LEVEL SECURITY;

\echo functions of the contract run as its owner and cannot escape
CREATE FUNCTION sec.who(int) RETURNS text LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN current_user || current_setting('search_path'); END $$;
ALTER FUNCTION sec.who(int) OWNER TO sec_owner;
SET ROLE sec_owner;
CREATE VIEW sec.who_v AS SELECT id, sec.who(id) AS who FROM sec.account;
RESET ROLE;
SELECT outbox.create_contract('sec_who', view => 'sec.who_v', source => 'sec.account', key => '{id}');
SELECT outbox.create_event_type('SecWho', contract => 'sec_who', emit => 'created');
SELECT outbox.enable('sec_who');
SET ROLE sec_writer;
INSERT INTO sec.account VALUES (6, 'fay', 60);
SELECT current_user, current_setting('search_path');
RESET ROLE;
SELECT payload FROM outbox.event_json WHERE contract = 'sec_who';

\echo contracts need the rights of the owner of the view, and TRIGGER on the source
CREATE ROLE sec_engineer;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA outbox TO sec_engineer;
GRANT USAGE ON SCHEMA sec TO sec_engineer;
SET ROLE sec_engineer;
SELECT outbox.create_contract('sec_more', view => 'sec.account_v', source => 'sec.account', key => '{account_id}');
RESET ROLE;
GRANT TRIGGER ON sec.account TO sec_engineer;
SET ROLE sec_engineer;
SELECT outbox.create_contract('sec_more', view => 'sec.account_v', source => 'sec.account', key => '{account_id}');
RESET ROLE;
GRANT sec_owner TO sec_engineer;
SET ROLE sec_engineer;
SELECT outbox.create_contract('sec_more', view => 'sec.account_v', source => 'sec.account', key => '{account_id}');
SELECT outbox.create_event_type('SecMore', contract => 'sec_more', emit => 'deleted');
SELECT outbox.enable('sec_more');
RESET ROLE;
SELECT outbox.drop_contract('sec_more');

SELECT outbox.drop_contract('sec_who');
SELECT outbox.drop_contract('sec_account');
DELETE FROM outbox.dead_letter_entry WHERE contract LIKE 'sec_%';
DROP OPERATOR public.<> (text, text);
DROP FUNCTION public.spy(text, text);
DROP SCHEMA sec CASCADE;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA outbox FROM sec_engineer;
REVOKE CREATE ON SCHEMA public FROM sec_writer;
DROP ROLE sec_owner, sec_writer, sec_engineer;
