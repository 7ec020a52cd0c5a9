-- A key is proven by a partial unique index that holds all rows of the view, and by one with NULLS NOT DISTINCT.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE SCHEMA kp;
SET search_path = kp;
CREATE FUNCTION attempt(name text, source text, key text, evaluate text DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
DECLARE message text; hint text;
BEGIN
	PERFORM outbox.create_contract(name, view => 'kp.' || name, source => 'kp.' || source, key => key::text[], evaluate => evaluate);
	RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
	RETURN message || ' / ' || hint;
END $$;
CREATE TABLE mark (seq bigint);
CREATE FUNCTION events() RETURNS TABLE (type text, id text, payload jsonb) LANGUAGE sql AS
$$ SELECT type, aggregateid, payload FROM outbox.event_json WHERE type LIKE 'Kp%' AND seq > coalesce((SELECT max(m.seq) FROM kp.mark m), 0) ORDER BY seq $$;
CREATE FUNCTION next() RETURNS void LANGUAGE sql AS $$ INSERT INTO kp.mark SELECT max(seq) FROM outbox.event_json $$;

CREATE TABLE member (id int PRIMARY KEY, email text NOT NULL, org int NOT NULL, nm text, deleted_at timestamptz);
CREATE UNIQUE INDEX member_active ON member (org, email) WHERE deleted_at IS NULL;

\echo == refused without the condition, and accepted as the hint says
CREATE VIEW everybody AS SELECT org, email, nm FROM member;
SELECT attempt('everybody', 'member', '{org,email}');
SELECT attempt('everybody', 'member', '{org,email}', 'commit');
CREATE OR REPLACE VIEW everybody AS SELECT org, email, nm FROM member WHERE deleted_at IS NULL;
SELECT attempt('everybody', 'member', '{org,email}');
SELECT outbox.drop_contract('everybody');

\echo == a condition that says more, one behind a view, one in the ON of an inner join
CREATE VIEW more AS SELECT org, email, nm FROM member WHERE deleted_at IS NULL AND nm <> '';
SELECT attempt('more', 'member', '{org,email}');
CREATE VIEW outer_view AS SELECT org, email FROM everybody WHERE nm <> '';
SELECT attempt('outer_view', 'member', '{org,email}', 'commit');
CREATE VIEW above AS SELECT org, email FROM (SELECT org, email, deleted_at AS gone FROM member) m WHERE gone IS NULL;
SELECT attempt('above', 'member', '{org,email}', 'commit');
CREATE VIEW joined AS SELECT m.org, m.email, f.nm AS friend FROM member m JOIN member f ON f.id = m.id AND m.deleted_at IS NULL;
SELECT attempt('joined', 'member', '{org,email}');

\echo == a condition that is optional, or about another row, proves nothing
CREATE VIEW optional AS SELECT m.org, m.email, f.nm AS friend FROM member m LEFT JOIN member f ON f.id = m.id AND m.deleted_at IS NULL;
SELECT attempt('optional', 'member', '{org,email}');
CREATE VIEW another AS SELECT m.org, m.email, f.nm AS friend FROM member m JOIN member f ON f.id = m.id WHERE f.deleted_at IS NULL;
SELECT attempt('another', 'member', '{org,email}');
CREATE VIEW either AS SELECT org, email FROM member WHERE deleted_at IS NULL OR nm = '';
SELECT attempt('either', 'member', '{org,email}');

\echo == events of active rows: the same key again after a soft delete
CREATE VIEW kp_row AS SELECT org, email, nm FROM member WHERE deleted_at IS NULL;
CREATE VIEW kp_commit AS SELECT org, email, nm FROM member WHERE deleted_at IS NULL;
SELECT attempt('kp_row', 'member', '{org,email}'), attempt('kp_commit', 'member', '{org,email}', 'commit');
SELECT outbox.create_event_type('Kp' || c || e, contract => 'kp_' || lower(c), emit => lower(e)) FROM unnest('{Row,Commit}'::text[]) c, unnest('{Created,Changed,Deleted}'::text[]) e;
SELECT outbox.enable('kp_row'), outbox.enable('kp_commit');
INSERT INTO member VALUES (1, 'a@x', 1, 'A');
UPDATE member SET deleted_at = now();
INSERT INTO member VALUES (2, 'a@x', 1, 'again');
INSERT INTO member VALUES (3, 'a@x', 1, 'gone already', now());
DELETE FROM member WHERE id = 3;
SELECT * FROM events();
SELECT next();
SELECT count(*) FROM outbox.dead_letter WHERE contract LIKE 'kp%';
SELECT * FROM outbox.validate('kp_row');
SELECT * FROM outbox.validate('kp_commit');

\echo == NULL in a unique index: three ways that prove, one that does not
CREATE TABLE bed (id int PRIMARY KEY, org int, no int, nm text);
CREATE UNIQUE INDEX bed_key ON bed (org, no);
CREATE VIEW bed_plain AS SELECT org, no, nm FROM bed;
SELECT attempt('bed_plain', 'bed', '{org,no}');
CREATE VIEW bed_given AS SELECT org, no, nm FROM bed WHERE org > 0 AND no IS NOT NULL;
SELECT attempt('bed_given', 'bed', '{org,no}');
DROP INDEX bed_key;
SELECT outbox.drop_contract('bed_given');
CREATE UNIQUE INDEX bed_key ON bed (org, no) NULLS NOT DISTINCT;
SELECT attempt('bed_plain', 'bed', '{org,no}');
SELECT outbox.drop_contract('bed_plain');

\echo == a row without a key is a dead letter, unless the view leaves it out
CREATE VIEW kp_bed AS SELECT org, no, nm FROM bed;
CREATE VIEW kp_cbed AS SELECT org, no, nm FROM bed;
CREATE VIEW kp_given AS SELECT org, no, nm FROM bed WHERE no IS NOT NULL AND org IS NOT NULL;
SELECT attempt('kp_bed', 'bed', '{org,no}'), attempt('kp_cbed', 'bed', '{org,no}', 'commit'), attempt('kp_given', 'bed', '{org,no}', 'commit');
SELECT outbox.create_event_type('KpBed' || c || e, contract => 'kp_' || lower(c), emit => lower(e)) FROM unnest('{Bed,Cbed,Given}'::text[]) c, unnest('{Created,Changed,Deleted}'::text[]) e;
SELECT outbox.enable('kp_bed'), outbox.enable('kp_cbed'), outbox.enable('kp_given');
INSERT INTO bed VALUES (1, 1, 1, 'one'), (2, 1, NULL, 'null');
SELECT * FROM events();
SELECT contract, stage, sqlstate, message, detail, hint FROM outbox.dead_letter WHERE contract LIKE 'kp%' ORDER BY id;
SELECT next();
\echo == it gets a key, and loses one
UPDATE bed SET no = 2 WHERE id = 2;
UPDATE bed SET no = NULL WHERE id = 1;
DELETE FROM bed WHERE id = 1;
SELECT * FROM events();
SELECT contract, message FROM outbox.dead_letter WHERE contract LIKE 'kp%' ORDER BY id;

\echo == rows that leave and enter the index in one statement, a key that moves to another row, a dead letter of a row that has left
SELECT next();
TRUNCATE outbox_internal.dead_letter_entry;
DELETE FROM member;
INSERT INTO member VALUES (10, 'b@x', 1, 'first', NULL), (11, 'b@x', 1, 'second', now()), (12, 'c@x', 1, 'other', now());
SELECT next();
WITH away AS (UPDATE member SET deleted_at = now() WHERE id = 10 RETURNING 1) UPDATE member SET email = 'd@x', deleted_at = NULL FROM away WHERE id = 12;
UPDATE member SET deleted_at = NULL WHERE id = 11;
UPDATE member SET email = 'b2@x', nm = 'moved' WHERE id = 11;
UPDATE member SET email = 'b@x', deleted_at = NULL WHERE id = 10;
SELECT type, id, payload ->> 'nm' AS nm FROM events() WHERE type LIKE 'KpRow%';
SELECT type, id, payload ->> 'nm' AS nm FROM events() WHERE type LIKE 'KpCommit%';
SELECT outbox.add_check('KpRowChanged', 'short', 'length(new.nm) < 9'), outbox.add_check('KpCommitChanged', 'short', 'length(new.nm) < 9');
UPDATE member SET nm = 'much too long' WHERE id = 10;
UPDATE member SET deleted_at = now() WHERE id = 10;
INSERT INTO member VALUES (13, 'b@x', 1, 'heir');
SELECT next();
SELECT * FROM outbox.redrive(contract => 'kp_row');
SELECT * FROM outbox.redrive(contract => 'kp_commit');
SELECT type, id, payload ->> 'nm' AS nm FROM events();

\echo == a view that loses the condition makes no events under a key that is not unique; it gets it back
SELECT next();
TRUNCATE outbox_internal.dead_letter_entry;
SET outbox.ddl_check = off;
CREATE OR REPLACE VIEW kp_row AS SELECT org, email, nm FROM member;
CREATE OR REPLACE VIEW kp_commit AS SELECT org, email, nm FROM member;
INSERT INTO member VALUES (20, 'e@x', 1, 'active', NULL), (21, 'e@x', 1, 'not active', now()), (22, 'f@x', 1, 'alone', NULL);
UPDATE member SET nm = 'changed' WHERE id = 21;
SELECT type, id, payload ->> 'nm' AS nm FROM events();
SELECT contract, stage, message, detail FROM outbox.dead_letter ORDER BY id;
SELECT DISTINCT hint FROM outbox.dead_letter WHERE contract = 'kp_row';
SELECT error FROM outbox.validate('kp_row');
CREATE OR REPLACE VIEW kp_row AS SELECT org, email, nm FROM member WHERE deleted_at IS NULL AND nm <> '';
CREATE OR REPLACE VIEW kp_commit AS SELECT org, email, nm FROM member WHERE deleted_at IS NULL AND nm <> '';
SELECT * FROM outbox.redrive(contract => 'kp_row');
SELECT * FROM outbox.redrive(contract => 'kp_commit');
UPDATE member SET nm = 'changed', deleted_at = NULL WHERE id = 22;
SELECT type, id, payload ->> 'nm' AS nm FROM events();
SELECT count(*) FROM outbox.dead_letter WHERE state = 'open';

\echo == the same behind each partition, with an index of its own
CREATE TABLE part (id int NOT NULL, org int NOT NULL, nm text, gone boolean NOT NULL DEFAULT false) PARTITION BY RANGE (id);
CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (100);
CREATE TABLE part_2 (nm text, gone boolean NOT NULL DEFAULT false, org int NOT NULL, id int NOT NULL);
ALTER TABLE part ATTACH PARTITION part_2 FOR VALUES FROM (100) TO (200);
CREATE UNIQUE INDEX part_1_org ON part_1 (org) WHERE NOT gone;
CREATE UNIQUE INDEX part_2_org ON part_2 (org) WHERE NOT gone;
CREATE VIEW kp_part AS SELECT org, nm FROM part WHERE NOT gone;
SELECT attempt('kp_part', 'part', '{org}');
SELECT outbox.create_event_type('KpPart' || e, contract => 'kp_part', emit => lower(e)) FROM unnest('{Created,Changed,Deleted}'::text[]) e;
SELECT outbox.enable('kp_part');
SELECT next();
INSERT INTO part VALUES (1, 1, 'one', false), (2, 1, 'gone', true), (101, 2, 'two', false);
UPDATE part SET id = id + 100 WHERE id = 1;
SELECT type, id, payload ->> 'nm' AS nm FROM events();
CREATE OR REPLACE VIEW kp_part AS SELECT org, nm FROM part;
INSERT INTO part VALUES (102, 2, 'gone', true), (3, 3, 'three', false);
SELECT message, detail FROM outbox.dead_letter WHERE contract = 'kp_part';

SELECT outbox.drop_contract(name) FROM outbox.status WHERE kind = 'contract' AND name IN ('kp_part', 'more', 'outer_view', 'above', 'joined', 'kp_row', 'kp_commit', 'kp_bed', 'kp_cbed', 'kp_given', 'everybody');
DROP SCHEMA kp CASCADE;
