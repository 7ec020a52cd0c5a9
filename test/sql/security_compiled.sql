-- PL/pgSQL keeps a function as it compiled it at its first call in the session, with the types that the search_path of that moment led
-- to. What one side had compiled runs no code of it on the other side: a writer first, a view's owner first.
SET client_min_messages = warning;
CREATE ROLE sc_owner;
CREATE ROLE sc_writer;
CREATE SCHEMA sc AUTHORIZATION sc_owner;
CREATE SCHEMA sc_app;
CREATE SCHEMA sc_forged AUTHORIZATION sc_writer;
CREATE SCHEMA sc_trap AUTHORIZATION sc_owner;
GRANT USAGE ON SCHEMA sc, sc_app, sc_forged, sc_trap TO PUBLIC;
CREATE TABLE sc_app.item (id int PRIMARY KEY, name text);
CREATE TABLE sc_app.log (id int, name text);
GRANT SELECT, INSERT, UPDATE ON sc_app.item, sc_app.log TO sc_owner, sc_writer;
-- the application's, which everybody may execute
CREATE FUNCTION sc_app.slug(x text) RETURNS text LANGUAGE plpgsql AS $$ DECLARE s text; BEGIN s := lower(x); RETURN s; END $$;
CREATE FUNCTION sc_app.short(x text) RETURNS text LANGUAGE plpgsql AS $$ DECLARE s date; BEGIN s := '2020-01-02'; RETURN s; END $$;
CREATE FUNCTION sc_app.arrays(x text) RETURNS text LANGUAGE plpgsql AS $$ DECLARE s uuid[]; BEGIN s := '{5f0b1ef8-8a3c-4b66-a2f7-17d3ee1c9d2a}'; RETURN s[1]; END $$;
CREATE PROCEDURE sc_app.proc(INOUT x text) LANGUAGE plpgsql AS $$ DECLARE s text; BEGIN s := lower(x); x := s; END $$;
CREATE FUNCTION sc_app.on_log() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE s text; BEGIN s := lower(new.name); new.name := s; RETURN new; END $$;
CREATE TRIGGER on_log BEFORE INSERT ON sc_app.log FOR EACH ROW EXECUTE FUNCTION sc_app.on_log();
SET ROLE sc_owner;
CREATE FUNCTION sc.evil(x anyelement) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN IF current_user <> 'sc_owner' THEN RAISE INFO 'ran as %', current_user; END IF; RETURN true; END $$;
CREATE DOMAIN sc_trap.text AS pg_catalog.text CHECK (sc.evil(VALUE));
CREATE DOMAIN sc_trap.date AS pg_catalog.varchar(1);
CREATE DOMAIN sc_trap.uuid AS pg_catalog.uuid CHECK (sc.evil(VALUE));
CREATE FUNCTION sc.clean(x text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ DECLARE s text; BEGIN s := lower(x); RETURN s; END $$;
CREATE FUNCTION sc.made(x text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ DECLARE s date; BEGIN s := pg_catalog.date '2020-01-02'; RETURN s; END $$;
CREATE TYPE sc.pair AS (a text);
CREATE FUNCTION sc.record(x text) RETURNS text LANGUAGE plpgsql IMMUTABLE SET search_path = sc AS $$ DECLARE r pair; BEGIN r.a := lower(x); RETURN r.a; END $$;
CREATE FUNCTION sc.set_trap(x text) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    y pg_catalog.text := x;
BEGIN
    PERFORM set_config('search_path', 'sc_trap, pg_catalog', true);
    BEGIN y := sc_app.slug(x); EXCEPTION WHEN others THEN RAISE INFO '%', sqlerrm; END;
    BEGIN y := sc_app.short(x); EXCEPTION WHEN others THEN RAISE INFO '%', sqlerrm; END;
    BEGIN y := sc_app.arrays(x); EXCEPTION WHEN others THEN RAISE INFO '%', sqlerrm; END;
    BEGIN INSERT INTO sc_app.log VALUES (1, x); EXCEPTION WHEN others THEN RAISE INFO '%', sqlerrm; END;
END $$;
CREATE FUNCTION sc.trap(x text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM sc.set_trap(x); RETURN x; END $$;
CREATE VIEW sc.item_v AS SELECT id, sc.clean(name) AS clean, sc.made(name) AS made, sc.record(name) AS record, sc.trap(name) AS trap FROM sc_app.item;
RESET ROLE;
SELECT outbox.create_contract('sc_item', view => 'sc.item_v', source => 'sc_app.item', key => '{id}');
SELECT outbox.create_event_type('ScItem', contract => 'sc_item', emit => 'always'), outbox.enable('sc_item');

\c -
\echo the owner of the view is first: the application calls its functions afterwards
SET client_min_messages = warning;
SET ROLE sc_writer;
INSERT INTO sc_app.item VALUES (1, 'A');
SELECT sc_app.slug('Hello'), sc_app.short('Hello'), sc_app.arrays('Hello');
CALL sc_app.proc('Hello');
INSERT INTO sc_app.log VALUES (2, 'B') RETURNING *;
\echo and the other way round: what the application compiled serves in a view
UPDATE sc_app.item SET name = 'B';
RESET ROLE;
SELECT type, payload FROM outbox.event_json WHERE contract = 'sc_item' ORDER BY seq;
SELECT message FROM outbox.dead_letter WHERE contract = 'sc_item';

\c -
\echo the writer is first
SET client_min_messages = warning;
SET ROLE sc_writer;
CREATE FUNCTION sc_forged.evil(x anyelement) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN IF current_user <> 'sc_writer' THEN RAISE INFO 'ran as %', current_user; END IF; RETURN true; END $$;
CREATE DOMAIN sc_forged.text AS pg_catalog.text CHECK (sc_forged.evil(VALUE));
CREATE TYPE sc_forged.date AS ENUM ('2020-01-02');
CREATE FUNCTION sc_forged.to_date(x pg_catalog.date) RETURNS sc_forged.date LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM sc_forged.evil(x); RETURN '2020-01-02'; END $$;
CREATE CAST (pg_catalog.date AS sc_forged.date) WITH FUNCTION sc_forged.to_date(pg_catalog.date) AS ASSIGNMENT;
SET search_path = sc_forged, pg_catalog;
SELECT sc.clean('x'), sc.made('x');
INSERT INTO sc_app.item VALUES (2, 'C');
INSERT INTO sc_app.item VALUES (3, 'D');
INSERT INTO sc_app.item VALUES (4, 'E');
RESET search_path;
RESET ROLE;
SELECT message, detail, hint FROM outbox.dead_letter WHERE contract = 'sc_item' ORDER BY id;
SELECT type, payload FROM outbox.event_json WHERE contract = 'sc_item' ORDER BY seq;
SELECT outbox.drop_contract('sc_item');
