-- Commands of a stranger on the extension and its functions, schemas and event triggers are refused before they lock anything.
SET client_min_messages = warning;
\set VERBOSITY terse
CREATE ROLE ob_stranger;
GRANT TEMP ON DATABASE :"DBNAME" TO ob_stranger;
-- raised by the event trigger, or only after the lock?
CREATE FUNCTION ob_try(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    context text;
BEGIN
    EXECUTE command;
    RETURN 'executed';
EXCEPTION WHEN others THEN
    GET STACKED DIAGNOSTICS context = PG_EXCEPTION_CONTEXT;
    RETURN sqlerrm;
END $$;
SET ROLE ob_stranger;
CREATE TEMP TABLE ob_t (id int);
CREATE INDEX ob_i ON ob_t (id);
CREATE FUNCTION pg_temp.ob_f() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE PROCEDURE pg_temp.ob_p() LANGUAGE sql AS 'SELECT 1';
CREATE TRIGGER ob_trigger AFTER INSERT ON ob_t FOR EACH ROW EXECUTE FUNCTION outbox.capture();
BEGIN;
SELECT command, ob_try(command) FROM unnest(ARRAY[
    'ALTER FUNCTION pg_temp.ob_f() DEPENDS ON EXTENSION outbox_ext',
    'ALTER FUNCTION pg_temp.ob_f() NO DEPENDS ON EXTENSION outbox_ext',
    'ALTER PROCEDURE pg_temp.ob_p() DEPENDS ON EXTENSION outbox_ext',
    'ALTER ROUTINE pg_temp.ob_f() DEPENDS ON EXTENSION outbox_ext',
    'ALTER TRIGGER ob_trigger ON ob_t DEPENDS ON EXTENSION outbox_ext',
    'ALTER INDEX ob_i DEPENDS ON EXTENSION outbox_ext',
    'ALTER FUNCTION outbox.capture() DEPENDS ON EXTENSION plpgsql',
    'DROP EXTENSION outbox_ext',
    'DROP EXTENSION plpgsql, outbox_ext CASCADE',
    'COMMENT ON EXTENSION outbox_ext IS ''mine''',
    'ALTER EXTENSION outbox_ext UPDATE',
    'ALTER EXTENSION outbox_ext ADD FUNCTION pg_temp.ob_f()',
    'ALTER EXTENSION outbox_ext SET SCHEMA public',
    'ALTER EXTENSION plpgsql ADD FUNCTION outbox.capture()',
    'DROP FUNCTION outbox.capture()',
    'DROP FUNCTION outbox.capture',
    'DROP ROUTINE outbox.capture()',
    'DROP FUNCTION pg_temp.ob_f(), outbox.capture()',
    'COMMENT ON FUNCTION outbox.capture() IS ''mine''',
    'ALTER FUNCTION outbox.capture() COST 1',
    'ALTER FUNCTION outbox.capture() RENAME TO mine',
    'ALTER FUNCTION outbox.capture() SET SCHEMA public',
    'ALTER FUNCTION outbox.capture() OWNER TO ob_stranger',
    'DROP SCHEMA outbox',
    'DROP SCHEMA outbox_internal CASCADE',
    'COMMENT ON SCHEMA outbox IS ''mine''',
    'ALTER SCHEMA outbox OWNER TO ob_stranger',
    'DROP TYPE outbox.status',
    'COMMENT ON TYPE outbox.status IS ''mine'''
]) WITH ORDINALITY u(command, n) ORDER BY n;
SET LOCAL search_path = outbox;
SELECT public.ob_try('DROP FUNCTION capture()'), public.ob_try('COMMENT ON FUNCTION capture() IS ''mine''');
\echo no lock is left, and commands on its own objects pass
SELECT classid::regclass, mode FROM pg_locks WHERE locktype = 'object' AND pid = pg_backend_pid() AND mode <> 'AccessShareLock' AND classid IN ('pg_extension'::regclass, 'pg_namespace'::regclass);
COMMIT;
ALTER FUNCTION pg_temp.ob_f() COST 2;
ALTER FUNCTION pg_temp.ob_f() DEPENDS ON EXTENSION plpgsql;
DROP FUNCTION pg_temp.ob_f();
DROP PROCEDURE pg_temp.ob_p();
DROP TABLE ob_t;
RESET ROLE;
BEGIN;
COMMENT ON FUNCTION outbox.capture() IS 'the owner may';
ROLLBACK;
DROP FUNCTION ob_try(text);
DROP OWNED BY ob_stranger;
DROP ROLE ob_stranger;
