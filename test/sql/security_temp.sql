-- Temporary views, tables and types of a writer hide nothing from functions of a view's owner, which set their own search_path.
SET client_min_messages = warning;
CREATE ROLE tp_owner;
CREATE ROLE tp_writer;
GRANT TEMP ON DATABASE :"DBNAME" TO tp_writer;
CREATE SCHEMA tp AUTHORIZATION tp_owner;
CREATE SCHEMA tp_forged AUTHORIZATION tp_writer;
GRANT USAGE ON SCHEMA tp, tp_forged TO PUBLIC;
CREATE TABLE public.tp_item (id int PRIMARY KEY, name text);
CREATE TABLE public.tp_done (id int PRIMARY KEY, name text);
GRANT SELECT ON public.tp_item, public.tp_done TO tp_owner;
GRANT INSERT, UPDATE, SELECT ON public.tp_item, public.tp_done TO tp_writer;
SET ROLE tp_owner;
CREATE TABLE tp.rate (rate int);
INSERT INTO tp.rate VALUES (7);
CREATE DOMAIN tp.word AS text;
CREATE FUNCTION tp.by_clause(x text) RETURNS text LANGUAGE plpgsql STABLE SET search_path = tp AS $$ BEGIN RETURN concat_ws(' ', (SELECT rate FROM rate), x::word); END $$;
CREATE FUNCTION tp.by_sql(x text) RETURNS text LANGUAGE sql STABLE SET search_path = tp, public AS $$ SELECT pg_catalog.concat_ws(' ', rate, x::text) FROM rate $$;
CREATE FUNCTION tp.as_definer(x text) RETURNS text LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = 'tp' AS $$ BEGIN RETURN concat_ws(' ', (SELECT rate FROM rate), x::word); END $$;
CREATE FUNCTION tp.by_call(x text) RETURNS text LANGUAGE plpgsql STABLE AS $$ BEGIN PERFORM set_config('search_path', 'tp', true); RETURN concat_ws(' ', (SELECT rate FROM rate), x::word); END $$;
CREATE FUNCTION tp.set_path() RETURNS void LANGUAGE plpgsql VOLATILE AS $$ BEGIN SET LOCAL search_path = tp; END $$;
CREATE FUNCTION tp.by_command(x text) RETURNS text LANGUAGE plpgsql STABLE AS $$ BEGIN PERFORM tp.set_path(); RETURN concat_ws(' ', (SELECT rate FROM rate), x::word); END $$;
CREATE FUNCTION tp.by_empty(x text) RETURNS text LANGUAGE plpgsql STABLE SET search_path = '' AS $$ BEGIN RETURN concat_ws(' ', (SELECT rate FROM tp.rate), x::tp.word, current_setting('search_path')); END $$;
CREATE FUNCTION tp.by_name(x text) RETURNS text LANGUAGE plpgsql STABLE SET search_path = "pg_temp", tp AS $$ BEGIN RETURN current_setting('search_path'); END $$;
CREATE VIEW tp.item_v AS SELECT id, tp.by_clause(name) AS by_clause, tp.as_definer(name) AS as_definer, tp.by_empty(name) AS by_empty,
    tp.by_name(name) AS by_name, tp.by_call(name) AS by_call, tp.by_command(name) AS by_command FROM public.tp_item;
CREATE VIEW tp.done_v AS SELECT id, tp.by_clause(name) AS by_clause, tp.by_sql(name) AS by_sql, tp.as_definer(name) AS as_definer, tp.by_call(name) AS by_call FROM public.tp_done;
RESET ROLE;
SELECT outbox.create_contract('tp_item', view => 'tp.item_v', source => 'public.tp_item', key => '{id}');
SELECT outbox.create_contract('tp_done', view => 'tp.done_v', source => 'public.tp_done', key => '{id}', evaluate => 'commit');
SELECT outbox.create_event_type('TpItem', contract => 'tp_item', emit => 'always', condition => 'new.by_clause <> ''none'''), outbox.create_event_type('TpDone', contract => 'tp_done', emit => 'always'),
    outbox.enable('tp_item'), outbox.enable('tp_done');

SET ROLE tp_writer;
CREATE FUNCTION tp_forged.evil() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING 'ran as %', current_user; RETURN 66; END $$;
CREATE FUNCTION tp_forged.evil_check(x text) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM tp_forged.evil(); RETURN true; END $$;
CREATE TEMP VIEW rate AS SELECT tp_forged.evil() AS rate;
GRANT SELECT ON rate TO PUBLIC;
CREATE DOMAIN pg_temp.word AS text CHECK (tp_forged.evil_check(VALUE));
-- the plans of his own calls are no use either
SELECT tp.by_clause('mine') LIKE '66%' AS his_own;
INSERT INTO public.tp_item VALUES (1, 'a');
INSERT INTO public.tp_done VALUES (1, 'a');
UPDATE public.tp_item SET name = 'b';
DROP VIEW rate;
CREATE TEMP TABLE rate (rate int);
GRANT SELECT ON rate TO PUBLIC;
INSERT INTO rate VALUES (66);
INSERT INTO public.tp_item VALUES (2, 'c');
INSERT INTO public.tp_done VALUES (2, 'c');
RESET ROLE;
SELECT type, payload FROM outbox.event_json WHERE contract LIKE 'tp^_%' ESCAPE '^' ORDER BY seq;
SELECT message FROM outbox.dead_letter WHERE contract LIKE 'tp^_%' ESCAPE '^';
\echo nor for whoever previews or enables, and for himself all is as ever
SELECT DISTINCT payload->>'by_clause' AS by_clause FROM outbox.preview('tp_item') ORDER BY 1;
SET search_path = tp;
SHOW search_path;
SELECT rate FROM rate;
RESET search_path;
SELECT outbox.drop_contract('tp_item'), outbox.drop_contract('tp_done');
REVOKE TEMP ON DATABASE :"DBNAME" FROM tp_writer;
DROP DOMAIN pg_temp.word;
DROP TABLE pg_temp.rate;
DROP TABLE public.tp_item, public.tp_done CASCADE;
DROP SCHEMA tp, tp_forged CASCADE;
DROP ROLE tp_owner, tp_writer;
