-- What was written while a contract per row did not work is told by one redrive, when it works again.
SET outbox.ddl_check = off; -- what it refuses must stay safe all the same
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE SCHEMA rb;
SET search_path = rb;
CREATE ROLE rb_owner;
CREATE ROLE rb_other;
GRANT USAGE, CREATE ON SCHEMA rb TO rb_owner, rb_other;
CREATE TABLE film (film_id int PRIMARY KEY, title text, price int, secret text);
INSERT INTO film VALUES (1, 'former', 1, 's'), (9, 'bystander', 9, 's');
GRANT SELECT ON film TO rb_owner, rb_other;
CREATE VIEW film_v AS SELECT film_id, title, price FROM film;
ALTER VIEW film_v OWNER TO rb_owner;
SELECT outbox.create_contract('rb_film', view => 'rb.film_v', source => 'rb.film', key => '{film_id}');
SELECT outbox.create_event_type('RbMade', contract => 'rb_film', emit => 'created');
SELECT outbox.create_event_type('RbChanged', contract => 'rb_film', emit => 'changed', previous => '{price}');
SELECT outbox.create_event_type('RbGone', contract => 'rb_film', emit => 'deleted');
SELECT outbox.enable('rb_film');
CREATE TABLE mark (seq bigint);
CREATE VIEW told AS SELECT type, aggregateid, payload FROM outbox.event_json
WHERE contract = 'rb_film' AND seq > coalesce((SELECT max(m.seq) FROM mark m), 0);
CREATE VIEW letters AS SELECT emit, key, source_columns, before, state, last_failure, last_failure_hint
FROM outbox.dead_letter WHERE contract = 'rb_film' AND state = 'open';
-- rows 2 to 4 are told when they are made, 5 and 6 are of before the contract
CREATE FUNCTION prepare() RETURNS void LANGUAGE sql AS $$
	SET LOCAL outbox.capture = off;
	DELETE FROM rb.film WHERE film_id <> 9;
	INSERT INTO rb.film VALUES (5, 'five', 50, 's'), (6, 'six', 60, 's');
	SET LOCAL outbox.capture = on;
	INSERT INTO rb.film VALUES (2, 'two', 20, 's'), (3, 'three', 30, 's'), (4, 'four', 40, 's');
	INSERT INTO rb.mark SELECT max(seq) FROM outbox.event_json;
$$;
CREATE FUNCTION write() RETURNS void LANGUAGE sql AS $$
	INSERT INTO rb.film VALUES (1, 'one', 10, 's');
	UPDATE rb.film SET price = price + 1 WHERE film_id IN (2, 5);
	DELETE FROM rb.film WHERE film_id IN (3, 6);
	UPDATE rb.film SET film_id = 14 WHERE film_id = 4;
$$;

\echo == the view is gone
SELECT prepare();
DROP VIEW film_v;
SELECT write();
SELECT emit, key, source_columns FROM letters ORDER BY 1, 3;
SELECT outbox.redrive(contract => 'rb_film');
CREATE VIEW film_v AS SELECT film_id, title, price FROM film;
ALTER VIEW film_v OWNER TO rb_owner;
BEGIN;
SELECT outbox.drop_contract('rb_film');
SELECT outbox.create_contract('rb_film', view => 'rb.film_v', source => 'rb.film', key => '{film_id}');
SELECT outbox.create_event_type('RbMade', contract => 'rb_film', emit => 'created');
SELECT outbox.create_event_type('RbChanged', contract => 'rb_film', emit => 'changed', previous => '{price}');
SELECT outbox.create_event_type('RbGone', contract => 'rb_film', emit => 'deleted');
SELECT outbox.enable('rb_film');
COMMIT;
SELECT outbox.redrive(contract => 'rb_film');
SELECT * FROM told ORDER BY 2, 1;
SELECT * FROM letters;

\echo == another owner
SELECT prepare();
ALTER VIEW film_v OWNER TO rb_other;
SELECT write();
ALTER VIEW film_v OWNER TO rb_owner;
SELECT outbox.redrive(contract => 'rb_film');
SELECT * FROM told ORDER BY 2, 1;
SELECT * FROM letters;

\echo == the owner may not read
SELECT prepare();
REVOKE SELECT ON film FROM rb_owner;
SELECT write();
SELECT outbox.redrive(contract => 'rb_film');
GRANT SELECT ON film TO rb_owner;
SELECT outbox.redrive(contract => 'rb_film');
SELECT * FROM told ORDER BY 2, 1;
SELECT * FROM letters;

\echo == a column of previous has another name
SELECT prepare();
ALTER VIEW film_v RENAME COLUMN price TO cost;
SELECT write();
ALTER VIEW film_v RENAME COLUMN cost TO price;
SELECT outbox.redrive(contract => 'rb_film');
SELECT * FROM told ORDER BY 2, 1;
SELECT * FROM letters;

\echo == a constant that cannot be computed
SELECT prepare();
CREATE OR REPLACE VIEW film_v AS SELECT film_id, title, price / (1 / 0) AS price FROM film;
SELECT write();
CREATE OR REPLACE VIEW film_v AS SELECT film_id, title, price FROM film;
SELECT outbox.redrive(contract => 'rb_film');
SELECT * FROM told ORDER BY 2, 1;
SELECT * FROM letters;

\echo == changed twice, and made and gone again: the row as it is now
SELECT prepare();
ALTER VIEW film_v RENAME COLUMN price TO cost;
UPDATE film SET price = 21 WHERE film_id = 2;
UPDATE film SET price = 22 WHERE film_id = 2;
DELETE FROM film WHERE film_id = 3;
INSERT INTO film VALUES (3, 'again', 33, 's'), (7, 'short', 70, 's');
DELETE FROM film WHERE film_id = 7;
ALTER VIEW film_v RENAME COLUMN cost TO price;
SELECT outbox.redrive(contract => 'rb_film');
SELECT * FROM told ORDER BY 2, 1, 3;
SELECT * FROM letters;

\echo == a condition of the view, a key that is computed, a row of which nobody knows what it was
CREATE TABLE cust (no char(5) PRIMARY KEY, nm text NOT NULL, active bool NOT NULL);
INSERT INTO cust VALUES ('a', 'Ann', true), ('b', 'Bob', true), ('c', 'Cid', true), ('d', 'Dan', true);
CREATE VIEW cust_v AS SELECT btrim(no) || '!' AS no, nm FROM cust WHERE active;
SELECT outbox.create_contract('rb_cust', view => 'rb.cust_v', source => 'rb.cust', key => '{no}');
SELECT outbox.create_event_type('RbCustChanged', contract => 'rb_cust', emit => 'changed', condition => 'old.nm <> new.nm');
SELECT outbox.create_event_type('RbCustGone', contract => 'rb_cust', emit => 'deleted');
SELECT outbox.enable('rb_cust');
UPDATE cust SET nm = 'Anna' WHERE no = 'a';
ALTER VIEW cust_v RENAME COLUMN nm TO name;
UPDATE cust SET active = false WHERE no = 'a';
UPDATE cust SET nm = 'Bert' WHERE no = 'b';
DELETE FROM cust WHERE no = 'c';
ALTER VIEW cust_v RENAME COLUMN name TO nm;
SELECT outbox.redrive(contract => 'rb_cust');
SELECT type, aggregateid, payload FROM outbox.event_json WHERE contract = 'rb_cust' ORDER BY seq;
SELECT emit, source_columns, last_failure, last_failure_hint FROM outbox.dead_letter WHERE contract = 'rb_cust' AND state = 'open' ORDER BY id;


\echo == rows that an update takes into the view and out of it, of a contract that does not tell of changes
CREATE TABLE acct (id int PRIMARY KEY, open bool NOT NULL, nm text);
INSERT INTO acct VALUES (1, true, 'in'), (2, false, 'out'), (4, true, 'old');
CREATE VIEW acct_v AS SELECT id, nm FROM acct WHERE open;
CREATE VIEW all_v AS SELECT id, nm FROM acct;
SELECT outbox.create_contract('rb_acct', view => 'rb.acct_v', source => 'rb.acct', key => '{id}');
SELECT outbox.create_event_type('RbOpened', contract => 'rb_acct', emit => 'created');
SELECT outbox.create_event_type('RbClosed', contract => 'rb_acct', emit => 'deleted');
SELECT outbox.create_contract('rb_all', view => 'rb.all_v', source => 'rb.acct', key => '{id}', on_invalid => 'abort');
SELECT outbox.create_event_type('RbNew', contract => 'rb_all', emit => 'created');
SELECT outbox.enable('rb_acct'), outbox.enable('rb_all');
INSERT INTO acct VALUES (3, true, 'told');
ALTER VIEW acct_v RENAME COLUMN id TO no;
ALTER VIEW all_v RENAME COLUMN id TO no;
UPDATE acct SET open = NOT open WHERE id IN (1, 2);
UPDATE acct SET nm = 'new' WHERE id = 3;
INSERT INTO acct VALUES (5, true, 'refused');
ALTER VIEW acct_v RENAME COLUMN no TO id;
ALTER VIEW all_v RENAME COLUMN no TO id;
SELECT outbox.redrive(contract => 'rb_acct'), outbox.redrive(contract => 'rb_all');
SELECT type, aggregateid, payload FROM outbox.event_json WHERE contract IN ('rb_acct', 'rb_all') ORDER BY seq;
SELECT contract, emit, source_columns, state, resolution FROM outbox.dead_letter WHERE contract IN ('rb_acct', 'rb_all') ORDER BY id;
SELECT outbox.drop_contract('rb_acct'), outbox.drop_contract('rb_all');

\echo == evaluated at commit: a null value needs the key alone, the outbox knows what the row was, and the rows decide
CREATE TABLE box (no int PRIMARY KEY, nm text NOT NULL);
CREATE TABLE box_line (no int, n int);
CREATE INDEX ON box_line (no);
CREATE VIEW box_v AS SELECT b.no AS id, b.nm, (SELECT count(*) FROM box_line l WHERE l.no = b.no) AS lines FROM box b;
CREATE VIEW flat_v AS SELECT b.no AS id, b.nm FROM box b;
INSERT INTO box VALUES (1, 'never told'), (3, 'back again'), (4, 'never told, changed');
SELECT outbox.create_contract('rb_' || kind, view => 'rb.' || kind || '_v', source => 'rb.box', key => '{id}', required => '{nm}') FROM unnest('{box,flat}'::text[]) kind;
SELECT outbox.create_event_type('Rb' || kind || 'New', contract => 'rb_' || kind, emit => 'created'),
    outbox.create_event_type('Rb' || kind || 'Gone', contract => 'rb_' || kind, emit => 'deleted', tombstone => 'after'),
    outbox.create_event_type('Rb' || kind || 'Changed', contract => 'rb_' || kind, emit => 'changed', previous => '{nm}') FROM unnest('{box,flat}'::text[]) kind;
SELECT outbox.enable('rb_box'), outbox.enable('rb_flat');
INSERT INTO box VALUES (2, 'told'), (5, 'told, changed');
SELECT coalesce(max(seq), 0) AS seq FROM outbox.event \gset
ALTER VIEW box_v OWNER TO rb_other;
ALTER VIEW flat_v OWNER TO rb_other;
DELETE FROM box WHERE no IN (1, 2, 3);
INSERT INTO box VALUES (3, 'again');
UPDATE box SET nm = nm || ', now' WHERE no IN (4, 5);
SELECT contract, emit, key, source_columns, before FROM outbox.dead_letter WHERE contract = 'rb_box' ORDER BY id;
ALTER VIEW box_v OWNER TO CURRENT_USER;
ALTER VIEW flat_v OWNER TO CURRENT_USER;
SELECT outbox.redrive(contract => 'rb_box'), outbox.redrive(contract => 'rb_flat');
SELECT type, aggregateid, payload, headers FROM outbox.event_json WHERE contract = 'rb_box' AND seq > :seq ORDER BY seq;
SELECT type, aggregateid, payload, headers FROM outbox.event_json WHERE contract = 'rb_flat' AND seq > :seq ORDER BY seq;
SELECT emit, source_columns, last_failure FROM outbox.dead_letter WHERE contract IN ('rb_box', 'rb_flat') AND state = 'open' ORDER BY id;
SELECT outbox.drop_contract('rb_box'), outbox.drop_contract('rb_flat');

\echo == a key of more than the unique index, a required column of a row that is gone: these stay open, and say why
CREATE TABLE item (no int PRIMARY KEY, kind text NOT NULL, nm text NOT NULL);
INSERT INTO item VALUES (1, 'a', 'one'), (2, 'b', 'two');
CREATE VIEW item_v AS SELECT no || kind AS item_id, nm FROM item;
CREATE VIEW plain_v AS SELECT no, nm FROM item;
SELECT outbox.create_contract('rb_item', view => 'rb.item_v', source => 'rb.item', key => '{item_id}');
SELECT outbox.create_event_type('RbItemChanged', contract => 'rb_item', emit => 'changed');
SELECT outbox.create_contract('rb_plain', view => 'rb.plain_v', source => 'rb.item', key => '{no}', required => '{nm}');
SELECT outbox.create_event_type('RbPlainGone', contract => 'rb_plain', emit => 'deleted');
SELECT outbox.enable('rb_item'), outbox.enable('rb_plain');
ALTER VIEW item_v RENAME COLUMN item_id TO id;
ALTER VIEW plain_v RENAME COLUMN no TO id;
UPDATE item SET nm = 'uno' WHERE no = 1;
DELETE FROM item WHERE no = 2;
ALTER VIEW item_v RENAME COLUMN id TO item_id;
ALTER VIEW plain_v RENAME COLUMN id TO no;
SELECT outbox.redrive(contract => 'rb_item'), outbox.redrive(contract => 'rb_plain');
SELECT contract, emit, source_columns, last_failure, last_failure_hint FROM outbox.dead_letter WHERE contract IN ('rb_item', 'rb_plain') AND state = 'open' ORDER BY id;

SELECT count(outbox.discard(id, 'test')) FROM outbox.dead_letter WHERE contract IN ('rb_cust', 'rb_item', 'rb_plain') AND state = 'open';
SELECT outbox.drop_contract('rb_item'), outbox.drop_contract('rb_plain');
SELECT outbox.drop_contract('rb_film'), outbox.drop_contract('rb_cust');
DROP SCHEMA rb CASCADE;
DROP ROLE rb_owner;
DROP ROLE rb_other;
