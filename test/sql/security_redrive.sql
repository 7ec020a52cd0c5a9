-- A redrive reads keys and rows back from their texts with the rights of the view's owner: nothing of the tables' owners runs with them.
SET outbox.ddl_check = off; -- what it refuses must stay safe all the same
SET client_min_messages = warning;
CREATE ROLE sr_src;
CREATE ROLE sr_view;
CREATE ROLE sr_op;
SELECT outbox.grant_access('sr_op', 'operator');
CREATE SCHEMA sr;
GRANT USAGE, CREATE ON SCHEMA sr TO sr_src, sr_view;
CREATE TABLE sr.ran (what text, by_role name);
GRANT INSERT ON sr.ran TO PUBLIC;
SET ROLE sr_src;
CREATE FUNCTION sr.note(what text) RETURNS void LANGUAGE sql VOLATILE AS $$ INSERT INTO sr.ran VALUES (what, current_user) $$;
-- harmless until everything is enabled
CREATE FUNCTION sr.check(x text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN true; END $$;
CREATE DOMAIN sr.id AS int CHECK (sr.check(VALUE::text));
CREATE DOMAIN sr.inner_word AS varchar(5) CHECK (sr.check(VALUE));
CREATE DOMAIN sr.word AS sr.inner_word CHECK (sr.check(VALUE));
CREATE DOMAIN sr.words AS sr.word[] CHECK (sr.check(VALUE::text));
CREATE TYPE sr.pair AS (a int, b sr.word);
CREATE TABLE sr.item (id sr.id, name sr.word, words sr.word[], more sr.words, q int, PRIMARY KEY (id, name));
CREATE TABLE sr.head (id sr.id PRIMARY KEY, words sr.word[], q int);
CREATE TABLE sr.nested (id int PRIMARY KEY, p sr.pair, q int);
CREATE TABLE sr.guarded (id int PRIMARY KEY, q int);
CREATE TABLE sr.tagged (words sr.word[] PRIMARY KEY, q int);
GRANT SELECT ON sr.item, sr.head, sr.nested, sr.guarded, sr.tagged TO sr_view;
SET ROLE sr_view;
CREATE VIEW sr.item_v AS SELECT id, name, words, more, 10 / q AS q FROM sr.item;
CREATE VIEW sr.head_v AS SELECT id, words, 10 / q AS q FROM sr.head;
CREATE VIEW sr.nested_v AS SELECT id, p, 10 / q AS q FROM sr.nested;
CREATE VIEW sr.guarded_v AS SELECT id, 10 / q AS q FROM sr.guarded;
CREATE VIEW sr.tagged_v AS SELECT words, 10 / q AS q FROM sr.tagged;
RESET ROLE;
SELECT outbox.create_contract('sr_item', view => 'sr.item_v', source => 'sr.item', key => '{id,name}', aggregate_id => '{id}');
SELECT outbox.create_contract('sr_head', view => 'sr.head_v', source => 'sr.head', key => '{id}', evaluate => 'commit');
SELECT outbox.create_contract('sr_nested', view => 'sr.nested_v', source => 'sr.nested', key => '{id}');
SELECT outbox.create_contract('sr_guarded', view => 'sr.guarded_v', source => 'sr.guarded', key => '{id}');
SELECT outbox.create_contract('sr_tagged', view => 'sr.tagged_v', source => 'sr.tagged', key => '{words}');
SELECT outbox.create_event_type('SrBack' || c, contract => 'sr_' || c, emit => 'always') FROM unnest('{item,head,nested,guarded,tagged}'::text[]) c;
SELECT outbox.enable('sr_' || c) FROM unnest('{item,head,nested,guarded,tagged}'::text[]) c;

-- rows that are good, then fail, then are good again
CREATE PROCEDURE sr.write() LANGUAGE sql AS $$
	INSERT INTO sr.item VALUES (1, 'one', '{a,"b c"}', '{d}', 1), (2, 'two', NULL, '{}', 0);
	INSERT INTO sr.head VALUES (1, '{a}', 1), (2, NULL, 0);
	INSERT INTO sr.nested VALUES (1, (1, 'x'), 1);
	INSERT INTO sr.guarded VALUES (1, 0);
	INSERT INTO sr.tagged VALUES ('{a,"b c"}', 0);
$$;
CALL sr.write();
SET ROLE sr_src;
UPDATE sr.item SET q = 0;
UPDATE sr.head SET q = 0;
UPDATE sr.nested SET q = 0;
UPDATE sr.item SET q = 2;
UPDATE sr.head SET q = 2;
UPDATE sr.nested SET q = 2;
UPDATE sr.guarded SET q = 2;
UPDATE sr.tagged SET q = 2;
CREATE OR REPLACE FUNCTION sr.check(x text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN IF current_user <> 'sr_src' THEN PERFORM sr.note('check'); END IF; RETURN true; END $$;
CREATE FUNCTION sr.policy() RETURNS boolean LANGUAGE plpgsql STABLE AS $$ BEGIN PERFORM sr.note('policy'); RETURN true; END $$;
ALTER TABLE sr.guarded ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON sr.guarded USING (sr.policy());
RESET ROLE;
SELECT contract, emit, stage, key, before FROM outbox.dead_letter WHERE contract LIKE 'sr\_%' ORDER BY id;
SET ROLE sr_op;
SELECT outbox.redrive(contract => 'sr_item'), outbox.redrive(contract => 'sr_head'), outbox.redrive(contract => 'sr_tagged');
SELECT outbox.redrive(contract => 'sr_nested'), outbox.redrive(contract => 'sr_guarded');
RESET ROLE;
SELECT * FROM sr.ran;
SELECT contract, emit, state, last_failure, last_failure_hint FROM outbox.dead_letter WHERE contract LIKE 'sr\_%' ORDER BY id;
SELECT type, aggregateid, payload FROM outbox.event_json WHERE type LIKE 'SrBack%' ORDER BY seq;

-- the remedies
ALTER FUNCTION sr.check(text) OWNER TO sr_view;
ALTER TABLE sr.guarded DISABLE ROW LEVEL SECURITY;
SET ROLE sr_op;
SELECT outbox.redrive(contract => 'sr_nested'), outbox.redrive(contract => 'sr_guarded');
RESET ROLE;
SELECT contract, emit, state, last_failure FROM outbox.dead_letter WHERE contract IN ('sr_nested', 'sr_guarded') ORDER BY id;
SELECT type, aggregateid, payload FROM outbox.event_json WHERE type IN ('SrBacknested', 'SrBackguarded') ORDER BY seq;

SELECT outbox.drop_contract('sr_' || c) FROM unnest('{item,head,nested,guarded,tagged}'::text[]) c;
DELETE FROM outbox_internal.dead_letter_entry WHERE contract LIKE 'sr\_%';
DROP SCHEMA sr CASCADE;
DROP ROLE sr_src;
DROP ROLE sr_view;
DROP OWNED BY sr_op;
DROP ROLE sr_op;
