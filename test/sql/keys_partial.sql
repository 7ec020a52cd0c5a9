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

SELECT outbox.drop_contract(name) FROM outbox.status WHERE kind = 'contract' AND name IN ('more', 'outer_view', 'above', 'joined', 'kp_row', 'kp_commit', 'kp_bed', 'kp_cbed', 'kp_given', 'everybody');
DROP SCHEMA kp CASCADE;
