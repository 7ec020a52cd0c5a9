-- What runs with somebody's rights reads and changes only what he may: key_query, code maps.
SET outbox.ddl_check = off; -- what it refuses must stay safe all the same
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE ROLE lr_owner;
CREATE ROLE lr_admin;
CREATE ROLE lr_other;
GRANT lr_owner TO lr_admin;
SELECT outbox.grant_access('lr_admin', 'admin');
SELECT outbox.grant_access('lr_other', 'admin');
CREATE SCHEMA lr;
GRANT ALL ON SCHEMA lr TO lr_owner, lr_admin, lr_other;
SET search_path = lr, public;

\echo a key_query reads no column of the source that the owner of the view may not read
CREATE TABLE head (id int PRIMARY KEY, v text);
CREATE TABLE line (id int PRIMARY KEY, head_id int REFERENCES head, secret text, qty int);
CREATE INDEX ON line (head_id);
GRANT SELECT ON head TO lr_owner;
GRANT SELECT (id, head_id, qty) ON line TO lr_owner;
GRANT TRIGGER ON head, line TO lr_admin;
CREATE VIEW head_v AS SELECT h.id, h.v, (SELECT sum(l.qty) FROM line l WHERE l.head_id = h.id) AS qty FROM head h;
ALTER VIEW head_v OWNER TO lr_owner;
SET ROLE lr_admin;
SELECT outbox.create_contract('lr_head', view => 'lr.head_v', source => 'lr.head', key => '{id}');
SELECT outbox.add_source('lr_head', 'lr.line', key_query => 'length(row.secret)');
SELECT outbox.add_source('lr_head', 'lr.line', key_query => 'SELECT h.id FROM lr.head h WHERE h.id = length(row.secret)');
SELECT outbox.add_source('lr_head', 'lr.line', key_query => 'SELECT row.head_id WHERE row.secret <> ''x''');
SELECT outbox.add_source('lr_head', 'lr.line', key_query => 'row.head_id');
SELECT outbox.create_event_type('LrChanged', contract => 'lr_head', emit => 'always');
SELECT outbox.enable('lr_head');
RESET ROLE;
INSERT INTO head VALUES (1, 'a');
INSERT INTO line VALUES (1, 1, 'hidden', 7);
SELECT payload FROM outbox.event_json WHERE contract = 'lr_head' ORDER BY seq;
\echo a right that goes later is the trouble of the events, not of the write, and is mended by giving it back
REVOKE SELECT (head_id) ON line FROM lr_owner;
INSERT INTO line VALUES (2, 1, 'hidden', 8);
SELECT stage, message FROM outbox.dead_letter WHERE contract = 'lr_head' ORDER BY id;
GRANT SELECT (head_id) ON line TO lr_owner;
INSERT INTO line VALUES (3, 1, 'hidden', 9);
SELECT payload FROM outbox.event_json WHERE contract = 'lr_head' ORDER BY seq DESC LIMIT 1;
\echo a partition, whose columns have other numbers, is judged by the columns of the table
CREATE TABLE part (id int, head_id int, secret text, PRIMARY KEY (id)) PARTITION BY RANGE (id);
CREATE TABLE part_1 (secret text, id int NOT NULL, head_id int);
ALTER TABLE part ATTACH PARTITION part_1 FOR VALUES FROM (0) TO (100);
CREATE INDEX ON part (head_id);
GRANT SELECT (id, head_id) ON part TO lr_owner;
GRANT TRIGGER ON part, part_1 TO lr_admin;
SET ROLE lr_admin;
SELECT outbox.disable('lr_head');
SELECT outbox.add_source('lr_head', 'lr.part', key_query => 'row.head_id');
SELECT outbox.enable('lr_head');
RESET ROLE;
INSERT INTO part VALUES (1, 1, 'hidden');
SELECT count(*) FROM outbox.dead_letter WHERE contract = 'lr_head';
\echo also later, of a table that the view does not read
REVOKE SELECT (head_id) ON part FROM lr_owner;
INSERT INTO part VALUES (2, 1, 'hidden');
SELECT stage, message FROM outbox.dead_letter WHERE contract = 'lr_head' ORDER BY id;
SELECT outbox.drop_contract('lr_head');

\echo a code map belongs to its creator: another admin cannot rewrite what a contract publishes
SET ROLE lr_admin;
SELECT outbox.create_code_map('lr.map', '{"A": "ALPHA"}');
RESET ROLE;
SELECT DISTINCT name, owner FROM outbox.code_map WHERE name = 'lr.map';
SET ROLE lr_other;
BEGIN;
SELECT outbox.drop_code_map('lr.map');
ROLLBACK;
SELECT outbox.create_code_map('lr.map', '{"A": "EVIL"}');
RESET ROLE;
\echo a member of the owner, and a superuser, can
CREATE ROLE lr_team;
SELECT outbox.grant_access('lr_team', 'admin');
GRANT lr_team TO lr_other;
SET ROLE lr_team;
SELECT outbox.create_code_map('lr.team', '{"A": "ALPHA"}');
SET ROLE lr_other;
SELECT outbox.drop_code_map('lr.team');
RESET ROLE;
BEGIN;
SELECT outbox.drop_code_map('lr.map');
SELECT outbox.create_code_map('lr.map', '{"A": "BETA"}');
COMMIT;
SELECT name, code, word, owner = session_user AS mine FROM outbox.code_map WHERE name LIKE 'lr.%';
SELECT outbox.drop_code_map('lr.map');
\echo renamed: its owner is the same role, and not who takes the name
SET ROLE lr_team;
SELECT outbox.create_code_map('lr.team', '{"A": "ALPHA"}');
RESET ROLE;
ALTER ROLE lr_team RENAME TO lr_team_2;
CREATE ROLE lr_team;
SELECT outbox.grant_access('lr_team', 'admin');
SET ROLE lr_team;
SELECT outbox.drop_code_map('lr.team');
SET ROLE lr_other;
SELECT outbox.drop_code_map('lr.team');
SELECT outbox.create_code_map('lr.gone', '{"A": "ALPHA"}');
RESET ROLE;
\echo restored in another cluster, where the id means nothing: by name
UPDATE outbox_internal.code_map SET owner_id = '1/' || 'lr_team'::regrole::oid WHERE name = 'lr.gone';
SET ROLE lr_team;
BEGIN;
SELECT outbox.drop_code_map('lr.gone');
ROLLBACK;
SET ROLE lr_other;
SELECT outbox.drop_code_map('lr.gone');
SELECT outbox.create_code_map('lr.gone', '{"A": "ALPHA"}');
RESET ROLE;
\echo its owner gone: a superuser can, nobody else
DROP OWNED BY lr_other, lr_team_2;
DROP ROLE lr_other, lr_team_2;
SET ROLE lr_team;
SELECT outbox.drop_code_map('lr.gone');
RESET ROLE;
SELECT outbox.drop_code_map('lr.gone');
DROP SCHEMA lr CASCADE;
DROP OWNED BY lr_owner, lr_admin, lr_team;
DROP ROLE lr_owner, lr_admin, lr_team;
