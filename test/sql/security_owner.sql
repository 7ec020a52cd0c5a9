-- A contract is evaluated with the rights of the role that owned its view when it was enabled: another owner evaluates nothing.
SET outbox.ddl_check = off; -- what it refuses must stay safe all the same
SET client_min_messages = warning;
CREATE ROLE so_leaver;
CREATE ROLE so_heir;
CREATE ROLE so_writer;
CREATE SCHEMA so;
GRANT USAGE, CREATE ON SCHEMA so TO so_leaver, so_heir, so_writer;
CREATE TABLE so.item (id int PRIMARY KEY, name text);
CREATE TABLE so.strict (id int PRIMARY KEY, name text);
CREATE TABLE so.head (id int PRIMARY KEY, name text);
CREATE TABLE so.line (head int, ln int, PRIMARY KEY (head, ln));
GRANT SELECT ON so.item, so.strict, so.head, so.line TO so_leaver, so_heir;
GRANT INSERT ON so.item, so.strict, so.head, so.line TO so_writer;
CREATE TABLE so.ran (by_role name);
GRANT INSERT ON so.ran TO PUBLIC;
SET ROLE so_leaver;
-- says who runs it, and would do what it could
CREATE FUNCTION so.note() RETURNS void LANGUAGE sql VOLATILE AS $$ INSERT INTO so.ran (by_role) VALUES (current_user) $$;
CREATE FUNCTION so.seen(x text) RETURNS text LANGUAGE plpgsql STABLE AS $$ BEGIN PERFORM so.note(); RETURN x; END $$;
CREATE VIEW so.item_v AS SELECT id, so.seen(name) AS name FROM so.item;
CREATE VIEW so.strict_v AS SELECT id, so.seen(name) AS name FROM so.strict;
CREATE VIEW so.head_v AS SELECT h.id, h.name, (SELECT count(*) FROM so.line l WHERE l.head = h.id) AS lines FROM so.head h;
RESET ROLE;
SELECT outbox.create_contract('so_item', view => 'so.item_v', source => 'so.item', key => '{id}');
SELECT outbox.create_contract('so_strict', view => 'so.strict_v', source => 'so.strict', key => '{id}', on_invalid => 'abort');
SELECT outbox.create_contract('so_head', view => 'so.head_v', source => 'so.head', key => '{id}', on_invalid => 'abort');
SELECT outbox.add_source('so_head', 'so.line', key_query => 'row.head');
SELECT outbox.create_event_type('SoItem', contract => 'so_item', emit => 'created');
SELECT outbox.create_event_type('SoStrict', contract => 'so_strict', emit => 'created');
SELECT outbox.create_event_type('SoHead', contract => 'so_head', emit => 'always');
SELECT outbox.enable('so_item'), outbox.enable('so_strict'), outbox.enable('so_head');
SELECT c.name, v.owner, v.owner_id = (SELECT system_identifier || '/' || 'so_leaver'::regrole::oid FROM pg_control_system()) AS by_id
FROM outbox.contract c JOIN outbox.contract_version v ON v.contract_id = c.id WHERE c.name LIKE 'so_%' ORDER BY 1;
CREATE FUNCTION so.write(n int) RETURNS void LANGUAGE sql AS $$
    INSERT INTO so.item VALUES (n, 'x'); INSERT INTO so.strict VALUES (n, 'x');
    INSERT INTO so.head VALUES (n, 'x'); INSERT INTO so.line VALUES (n, 1) $$;
CREATE VIEW so.result AS
SELECT (SELECT string_agg(contract || ' ' || aggregateid, ', ' ORDER BY seq) FROM outbox.event_json WHERE contract LIKE 'so_%') AS events,
       (SELECT string_agg(DISTINCT by_role, ', ') FROM so.ran) AS ran_by,
       (SELECT count(*) FROM outbox.dead_letter WHERE contract LIKE 'so_%') AS letters;
GRANT EXECUTE ON FUNCTION so.write(int) TO so_writer;
SET ROLE so_writer;
SELECT so.write(1);
RESET ROLE;
SELECT * FROM so.result;

\echo the owner leaves, and a superuser inherits: nothing of the leaver runs as the superuser, and no write fails
REASSIGN OWNED BY so_leaver TO CURRENT_USER;
SET ROLE so_writer;
SELECT so.write(2);
RESET ROLE;
SELECT * FROM so.result;
SELECT contract, stage, key, message, detail FROM outbox.dead_letter WHERE contract LIKE 'so_%' ORDER BY id LIMIT 2;
SELECT DISTINCT contract, hint FROM outbox.dead_letter WHERE contract LIKE 'so_%' ORDER BY 1;
SELECT state, advice FROM outbox.status WHERE name = 'so_item';
\echo nor when somebody previews, validates, redrives, adds an event type
SELECT * FROM outbox.preview('so_item');
SELECT * FROM outbox.validate('so_item');
SELECT outbox.redrive(contract => 'so_item');
SELECT outbox.create_event_type('SoOther', contract => 'so_item', emit => 'changed');
SELECT outbox.add_check('SoItem', 'named', 'so.seen(name) IS NOT NULL');
SELECT outbox.add_source('so_head', 'so.item', key_query => 'row.id');
SELECT * FROM so.result;

\echo a transaction that has written before the owner changes, and a row of a child
BEGIN;
ALTER VIEW so.head_v OWNER TO so_leaver;
INSERT INTO so.head VALUES (3, 'x');
ALTER VIEW so.head_v OWNER TO so_heir;
COMMIT;
INSERT INTO so.line VALUES (1, 2);
SELECT contract, stage, key, source_columns FROM outbox.dead_letter WHERE contract = 'so_head' ORDER BY id;

\echo what the advice says: the view is given back, or the present owner is let evaluate it
ALTER VIEW so.item_v OWNER TO so_leaver;
SELECT state FROM outbox.status WHERE name = 'so_item';
ALTER VIEW so.strict_v OWNER TO so_heir;
SELECT substring(advice FROM 'SELECT outbox[^.]*[^)]*\)') AS command FROM outbox.status WHERE name = 'so_strict' \gset
:command;
SELECT outbox.enable('so_head');
SELECT name, state FROM outbox.status WHERE name LIKE 'so_%' ORDER BY 1;
ALTER FUNCTION so.seen(text) OWNER TO so_leaver;
ALTER FUNCTION so.note() OWNER TO so_leaver;
GRANT so_leaver TO so_heir;
SET ROLE so_writer;
SELECT so.write(4);
RESET ROLE;
SELECT * FROM so.result;
\echo the letter of a key that was left to the relay can be tried again now
SELECT outbox.redrive(id) FROM outbox.dead_letter WHERE contract = 'so_head' AND stage = 'flush';

\echo a role that is renamed is the same role, also when another one gets its name
ALTER ROLE so_leaver RENAME TO so_renamed;
CREATE ROLE so_leaver;
INSERT INTO so.item VALUES (5, 'x');
SELECT s.state, v.owner FROM outbox.status s JOIN outbox.contract c USING (name) JOIN outbox.contract_version v ON v.contract_id = c.id WHERE s.name = 'so_item';
ALTER VIEW so.item_v OWNER TO so_heir;
SELECT advice FROM outbox.status WHERE name = 'so_item';
SELECT substring(advice FROM 'ALTER VIEW [^;]*') AS command FROM outbox.status WHERE name = 'so_item' \gset
:command;
SELECT state FROM outbox.status WHERE name = 'so_item';
\echo after a restore in another cluster its name is
UPDATE outbox.contract_version SET owner = 'so_renamed', owner_id = '1/' || 'so_heir'::regrole::oid WHERE view = 'so.item_v'::regclass;
INSERT INTO so.item VALUES (6, 'x');
SELECT state FROM outbox.status WHERE name = 'so_item';
\echo and without the role, whoever restores is somebody else
UPDATE outbox.contract_version SET owner = 'so_gone' WHERE view = 'so.item_v'::regclass;
INSERT INTO so.item VALUES (7, 'x');
SELECT state, advice FROM outbox.status WHERE name = 'so_item';
SELECT aggregateid FROM outbox.event_json WHERE contract = 'so_item' ORDER BY seq;

SELECT outbox.drop_contract(name) FROM outbox.contract WHERE name LIKE 'so_%';
DELETE FROM outbox.dead_letter_entry WHERE contract LIKE 'so_%';
DROP SCHEMA so CASCADE;
DROP ROLE so_leaver, so_renamed, so_heir, so_writer;
