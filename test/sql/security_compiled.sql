-- PL/pgSQL keeps a function as it compiled it at its first call in the session, with the types that the search_path of that moment led
-- to. What one side had compiled runs no code of it on the other side: a writer first, a view's owner first.
SET client_min_messages = warning;
CREATE ROLE cmp_owner;
CREATE ROLE cmp_writer;
CREATE SCHEMA cmp AUTHORIZATION cmp_owner;
CREATE SCHEMA cmp_app;
CREATE SCHEMA cmp_forged AUTHORIZATION cmp_writer;
CREATE SCHEMA cmp_trap AUTHORIZATION cmp_owner;
GRANT USAGE ON SCHEMA cmp, cmp_app, cmp_forged, cmp_trap TO PUBLIC;
CREATE TABLE cmp_app.item (id int PRIMARY KEY, name text);
CREATE TABLE cmp_app.log (id int, name text);
GRANT SELECT, INSERT, UPDATE ON cmp_app.item, cmp_app.log TO cmp_owner, cmp_writer;
-- the application's, which everybody may execute
CREATE FUNCTION cmp_app.slug(x text) RETURNS text LANGUAGE plpgsql AS $$ DECLARE s text; BEGIN s := lower(x); RETURN s; END $$;
CREATE FUNCTION cmp_app.short(x text) RETURNS text LANGUAGE plpgsql AS $$ DECLARE s date; BEGIN s := '2020-01-02'; RETURN s; END $$;
CREATE FUNCTION cmp_app.arrays(x text) RETURNS text LANGUAGE plpgsql AS $$ DECLARE s uuid[]; BEGIN s := '{5f0b1ef8-8a3c-4b66-a2f7-17d3ee1c9d2a}'; RETURN s[1]; END $$;
CREATE PROCEDURE cmp_app.proc(INOUT x text) LANGUAGE plpgsql AS $$ DECLARE s text; BEGIN s := lower(x); x := s; END $$;
CREATE FUNCTION cmp_app.on_log() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE s text; BEGIN s := lower(new.name); new.name := s; RETURN new; END $$;
CREATE TRIGGER on_log BEFORE INSERT ON cmp_app.log FOR EACH ROW EXECUTE FUNCTION cmp_app.on_log();
SET ROLE cmp_owner;
CREATE FUNCTION cmp.evil(x anyelement) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN IF current_user <> 'cmp_owner' THEN RAISE INFO 'ran as %', current_user; END IF; RETURN true; END $$;
CREATE DOMAIN cmp_trap.text AS pg_catalog.text CHECK (cmp.evil(VALUE));
CREATE DOMAIN cmp_trap.date AS pg_catalog.varchar(1);
CREATE DOMAIN cmp_trap.uuid AS pg_catalog.uuid CHECK (cmp.evil(VALUE));
CREATE FUNCTION cmp.clean(x text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ DECLARE s text; BEGIN s := lower(x); RETURN s; END $$;
CREATE FUNCTION cmp.made(x text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ DECLARE s date; BEGIN s := pg_catalog.date '2020-01-02'; RETURN s; END $$;
CREATE TYPE cmp.pair AS (a text);
CREATE FUNCTION cmp.record(x text) RETURNS text LANGUAGE plpgsql IMMUTABLE SET search_path = cmp AS $$ DECLARE r pair; BEGIN r.a := lower(x); RETURN r.a; END $$;
CREATE FUNCTION cmp.set_trap(x text) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    y pg_catalog.text := x;
BEGIN
    PERFORM set_config('search_path', 'cmp_trap, pg_catalog', true);
    BEGIN y := cmp_app.slug(x); EXCEPTION WHEN others THEN RAISE INFO '%', sqlerrm; END;
    BEGIN y := cmp_app.short(x); EXCEPTION WHEN others THEN RAISE INFO '%', sqlerrm; END;
    BEGIN y := cmp_app.arrays(x); EXCEPTION WHEN others THEN RAISE INFO '%', sqlerrm; END;
    BEGIN INSERT INTO cmp_app.log VALUES (1, x); EXCEPTION WHEN others THEN RAISE INFO '%', sqlerrm; END;
END $$;
CREATE FUNCTION cmp.trap(x text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM cmp.set_trap(x); RETURN x; END $$;
CREATE VIEW cmp.item_v AS SELECT id, cmp.clean(name) AS clean, cmp.made(name) AS made, cmp.record(name) AS record, cmp.trap(name) AS trap FROM cmp_app.item;
RESET ROLE;
SELECT outbox.create_contract('cmp_item', view => 'cmp.item_v', source => 'cmp_app.item', key => '{id}');
SELECT outbox.create_event_type('CmpItem', contract => 'cmp_item', emit => 'always'), outbox.enable('cmp_item');

\c -
\echo the owner of the view is first: the application calls its functions afterwards
SET client_min_messages = warning;
SET ROLE cmp_writer;
INSERT INTO cmp_app.item VALUES (1, 'A');
SELECT cmp_app.slug('Hello'), cmp_app.short('Hello'), cmp_app.arrays('Hello');
CALL cmp_app.proc('Hello');
INSERT INTO cmp_app.log VALUES (2, 'B') RETURNING *;
\echo and the other way round: what the application compiled serves in a view
UPDATE cmp_app.item SET name = 'B';
RESET ROLE;
SELECT type, payload FROM outbox.event_json WHERE contract = 'cmp_item' ORDER BY seq;
SELECT message FROM outbox.dead_letter WHERE contract = 'cmp_item';

\c -
\echo the writer is first
SET client_min_messages = warning;
SET ROLE cmp_writer;
CREATE FUNCTION cmp_forged.evil(x anyelement) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN IF current_user <> 'cmp_writer' THEN RAISE INFO 'ran as %', current_user; END IF; RETURN true; END $$;
CREATE DOMAIN cmp_forged.text AS pg_catalog.text CHECK (cmp_forged.evil(VALUE));
CREATE TYPE cmp_forged.date AS ENUM ('2020-01-02');
CREATE FUNCTION cmp_forged.to_date(x pg_catalog.date) RETURNS cmp_forged.date LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM cmp_forged.evil(x); RETURN '2020-01-02'; END $$;
CREATE CAST (pg_catalog.date AS cmp_forged.date) WITH FUNCTION cmp_forged.to_date(pg_catalog.date) AS ASSIGNMENT;
SET search_path = cmp_forged, pg_catalog;
SELECT cmp.clean('x'), cmp.made('x');
INSERT INTO cmp_app.item VALUES (2, 'C');
INSERT INTO cmp_app.item VALUES (3, 'D');
INSERT INTO cmp_app.item VALUES (4, 'E');
RESET search_path;
RESET ROLE;
SELECT message, detail, hint FROM outbox.dead_letter WHERE contract = 'cmp_item' ORDER BY id;
SELECT type, payload FROM outbox.event_json WHERE contract = 'cmp_item' ORDER BY seq;
SELECT outbox.drop_contract('cmp_item');
