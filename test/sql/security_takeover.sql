-- Whoever owns a view, or what it calls, gets the rights of nobody else: not of writers, nor of who creates, attaches again or inherits.
SET client_min_messages = warning;
CREATE ROLE sk_owner;
CREATE ROLE sk_maker;
CREATE SCHEMA sk AUTHORIZATION sk_owner;
CREATE SCHEMA sk_made AUTHORIZATION sk_maker;
GRANT USAGE ON SCHEMA sk TO PUBLIC;
CREATE TABLE public.sk_item (id int PRIMARY KEY, name text);
CREATE TABLE public.sk_again (id int PRIMARY KEY, name text);
CREATE TABLE public.sk_left (id int PRIMARY KEY, name text);
GRANT SELECT (id, name) ON public.sk_item, public.sk_again, public.sk_left TO sk_owner;
-- what such code would do as a superuser; whom it runs as is told by who may execute it
CREATE FUNCTION sk.take_over() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) THEN
        RAISE WARNING 'ran as a superuser';
        EXECUTE 'ALTER ROLE sk_owner SUPERUSER';
    END IF;
END $$;
ALTER FUNCTION sk.take_over() OWNER TO sk_owner;
\echo control: it tells when it runs as a superuser
BEGIN;
SELECT sk.take_over();
SELECT rolsuper FROM pg_roles WHERE rolname = 'sk_owner';
ROLLBACK;

\echo code behind a type of the view sets the search path of the writer
SET ROLE sk_owner;
CREATE VIEW sk.item_v AS SELECT id, name FROM public.sk_item;
RESET ROLE;
SELECT outbox.create_contract('sk_item', view => 'sk.item_v', source => 'public.sk_item', key => '{id}');
SELECT outbox.create_event_type('SkItem', contract => 'sk_item', emit => 'created'), outbox.enable('sk_item');
SET ROLE sk_owner;
CREATE FUNCTION sk.forge_path(x text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS
$$ BEGIN PERFORM pg_catalog.set_config('search_path', 'sk, pg_catalog', false); PERFORM sk.take_over(); RETURN true; END $$;
CREATE DOMAIN sk.word AS text CHECK (sk.forge_path(VALUE));
CREATE FUNCTION sk.now() RETURNS timestamptz LANGUAGE plpgsql AS $$ BEGIN PERFORM sk.take_over(); RETURN pg_catalog.now(); END $$;
CREATE OR REPLACE VIEW sk.item_v AS SELECT id, (name::sk.word)::text AS name FROM public.sk_item;
RESET ROLE;
SELECT set_config('search_path', current_setting('search_path'), false) AS path \gset
INSERT INTO public.sk_item VALUES (1, 'a');
SELECT current_setting('search_path') = :'path' AS as_it_was, now() IS NOT NULL AS now;
SELECT type FROM outbox.event_json WHERE contract = 'sk_item';

\echo creating, previewing, enabling and checking run code, while they parse and plan as well
SET ROLE sk_owner;
CREATE FUNCTION sk.constant(x int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM sk.take_over(); RETURN x; END $$;
CREATE FUNCTION sk.volatile_check(x int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM sk.take_over(); RETURN true; END $$;
CREATE DOMAIN sk.number AS int CHECK (sk.volatile_check(VALUE));
CREATE VIEW sk.made_v AS SELECT id, name, sk.constant(1) AS version, '{5}'::sk.number[] AS tags FROM public.sk_item;
RESET ROLE;
SELECT outbox.create_contract('sk_made', view => 'sk.made_v', source => 'public.sk_item', key => '{id}', evaluate => 'commit');
SELECT outbox.create_event_type('SkMade', contract => 'sk_made', emit => 'changed', condition => 'new.version = sk.constant(2) AND new.tags = ''{7}''::sk.number[]');
SELECT outbox.add_check('SkMade', 'one', 'version = sk.constant(1)');
SELECT count(*) FROM outbox.preview('sk_made');
SELECT outbox.enable('sk_made');
SELECT count(*) FROM outbox.validate('sk_made');
SELECT outbox.add_source('sk_made', 'public.sk_left', key_query => 'sk.constant(row.id)');
INSERT INTO public.sk_item VALUES (2, 'b');
UPDATE public.sk_item SET name = 'c';
SELECT outbox.drop_contract('sk_made');

\echo reattach creates views again, and uninstall copies them
SET ROLE sk_owner;
CREATE FUNCTION sk.grown_check(x int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN true; END $$;
CREATE DOMAIN sk.grown AS int CHECK (sk.grown_check(VALUE));
CREATE VIEW sk.again_v AS SELECT id, name, '{5}'::sk.grown[] AS tags FROM public.sk_again;
RESET ROLE;
SELECT outbox.create_contract('sk_again', view => 'sk.again_v', source => 'public.sk_again', key => '{id}');
SELECT outbox.create_event_type('SkAgain', contract => 'sk_again', emit => 'created'), outbox.enable('sk_again');
SET ROLE sk_owner;
CREATE OR REPLACE FUNCTION sk.grown_check(x int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM sk.take_over(); RETURN true; END $$;
RESET ROLE;
SELECT outbox.detach('public.sk_again');
SELECT outbox.reattach('public.sk_again');
SELECT relowner::regrole FROM pg_class WHERE oid = 'sk.again_v'::regclass;
BEGIN;
SELECT count(*) > 0 AS steps FROM outbox.uninstall(true);
ROLLBACK;

\echo the heir of a role that has left
SET ROLE sk_owner;
CREATE FUNCTION sk.heard(x text) RETURNS text LANGUAGE plpgsql STABLE AS $$ BEGIN PERFORM sk.take_over(); RETURN x; END $$;
CREATE VIEW sk.left_v AS SELECT id, sk.heard(name) AS name FROM public.sk_left;
RESET ROLE;
SELECT outbox.create_contract('sk_left', view => 'sk.left_v', source => 'public.sk_left', key => '{id}');
SELECT outbox.create_event_type('SkLeft', contract => 'sk_left', emit => 'created'), outbox.enable('sk_left');
BEGIN;
REASSIGN OWNED BY sk_owner TO CURRENT_USER;
GRANT INSERT ON public.sk_left TO sk_owner;
SET LOCAL ROLE sk_owner;
INSERT INTO public.sk_left VALUES (1, 'x');
RESET ROLE;
SELECT count(*) AS events FROM outbox.event_json WHERE contract = 'sk_left';
SELECT replace(message, current_user, 'the heir') AS message FROM outbox.dead_letter WHERE contract = 'sk_left';
ROLLBACK;

\echo a role that owns a schema and may execute capture() forges nothing
GRANT EXECUTE ON FUNCTION outbox.capture(), outbox.capture_truncate() TO sk_maker;
GRANT TEMP ON DATABASE :"DBNAME" TO sk_maker;
SET ROLE sk_maker;
CREATE TABLE sk_made.item (id int PRIMARY KEY, name text);
CREATE TRIGGER "!outbox_sk_item" AFTER INSERT OR UPDATE OR DELETE ON sk_made.item FOR EACH ROW EXECUTE FUNCTION outbox.capture();
CREATE TRIGGER "!outbox!sk_item" AFTER TRUNCATE ON sk_made.item FOR EACH STATEMENT EXECUTE FUNCTION outbox.capture_truncate();
CREATE TRIGGER "!outbox_payments" AFTER INSERT OR UPDATE OR DELETE ON sk_made.item FOR EACH ROW EXECUTE FUNCTION outbox.capture();
CREATE TRIGGER "!outbox!payments" AFTER TRUNCATE ON sk_made.item FOR EACH STATEMENT EXECUTE FUNCTION outbox.capture_truncate();
ALTER TRIGGER "!outbox_payments" ON sk_made.item DEPENDS ON EXTENSION outbox_ext;
-- as if a dump had made them depend on it
RESET ROLE;
ALTER TRIGGER "!outbox_payments" ON sk_made.item DEPENDS ON EXTENSION outbox_ext;
ALTER TRIGGER "!outbox!payments" ON sk_made.item DEPENDS ON EXTENSION outbox_ext;
SET ROLE sk_maker;
INSERT INTO sk_made.item VALUES (66, 'forged');
UPDATE sk_made.item SET name = 'forged again';
DELETE FROM sk_made.item;
TRUNCATE sk_made.item;
CREATE TEMP TABLE pt (id int) PARTITION BY LIST (id);
CREATE TEMP TABLE pt1 PARTITION OF pt FOR VALUES IN (1);
INSERT INTO pt VALUES (1);
CREATE TRIGGER "!outbox!sk_item" AFTER TRUNCATE ON pt1 FOR EACH STATEMENT EXECUTE FUNCTION outbox.capture_truncate();
RESET ROLE;
ALTER TRIGGER "!outbox!sk_item" ON pt1 DEPENDS ON EXTENSION outbox_ext;
SET ROLE sk_maker;
ALTER TABLE pt DETACH PARTITION pt1;
DROP TABLE pt1, pt;
CREATE TABLE sk_made.part (id int) PARTITION BY LIST (id);
CREATE TRIGGER "!outbox_sk_item" AFTER INSERT OR UPDATE OR DELETE ON sk_made.part FOR EACH ROW EXECUTE FUNCTION outbox.capture();
CREATE TABLE sk_made.part_1 PARTITION OF sk_made.part FOR VALUES IN (1);
INSERT INTO sk_made.part VALUES (1);
DROP TABLE sk_made.part_1;
DROP SCHEMA sk_made CASCADE;
RESET ROLE;
SELECT aggregateid FROM outbox.event_json WHERE contract IN ('sk_item', 'payments') AND aggregateid NOT IN ('1', '2');
SELECT contract, reason FROM outbox.gap WHERE contract IN ('sk_item', 'payments');
SELECT contract, message FROM outbox.dead_letter WHERE contract IN ('sk_item', 'payments');

\echo nobody has become a superuser
SELECT rolname, rolsuper FROM pg_roles WHERE rolname LIKE 'sk^_%' ESCAPE '^' ORDER BY 1;
SELECT outbox.drop_contract('sk_item'), outbox.drop_contract('sk_again'), outbox.drop_contract('sk_left');
DELETE FROM outbox.gap WHERE contract LIKE 'sk^_%' ESCAPE '^';
REVOKE TEMP ON DATABASE :"DBNAME" FROM sk_maker;
DROP TABLE public.sk_item, public.sk_again, public.sk_left CASCADE;
DROP SCHEMA sk CASCADE;
DROP OWNED BY sk_owner, sk_maker;
DROP ROLE sk_owner, sk_maker;
