-- Assertions for tests with pgTAP. They run with the rights of the test, and look at the events of its transaction alone.
-- pgTAP may be in any schema and need not be there before a test calls one of these.

CREATE FUNCTION outbox.tap_result(passed boolean, description text, difference text DEFAULT NULL)
RETURNS text LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tap name;
    result text;
BEGIN
    -- the extension, or functions that somebody with our trust has put there
    SELECT n.nspname INTO tap FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'pgtap';
    IF tap IS NULL THEN
        SELECT n.nspname INTO tap
        FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_roles r ON r.oid = p.proowner
        WHERE p.proname = 'ok' AND p.proargtypes = '16 25'::oidvector AND p.prorettype = 'text'::regtype
          AND EXISTS (SELECT FROM pg_proc d WHERE d.pronamespace = n.oid AND d.proname = 'diag' AND d.proargtypes = '25'::oidvector)
          AND (r.rolsuper OR pg_has_role(current_user, r.oid, 'USAGE')) AND has_schema_privilege(n.oid, 'USAGE')
        ORDER BY n.nspname LIMIT 1;
    END IF;
    IF tap IS NULL THEN
        RAISE undefined_function USING MESSAGE = 'pgTAP is not installed in this database',
            HINT = 'CREATE EXTENSION pgtap; where the server does not have it, install the package postgresql-<version>-pgtap.';
    END IF;
    -- pgTAP's functions call each other by names alone
    PERFORM set_config('search_path', format('pg_catalog, %I, pg_temp', tap), true);
    EXECUTE format('SELECT %I.ok($1, $2)', tap) INTO result USING coalesce(passed, false), description;
    IF passed IS NOT TRUE AND difference IS NOT NULL THEN
        EXECUTE format('SELECT $1 || E''\n'' || %I.diag($2)', tap) INTO result USING result, difference;
    END IF;
    RETURN result;
END $$;
COMMENT ON FUNCTION outbox.tap_result(boolean, text, text) IS
'How the tap_ functions answer, for assertions of your own: what pgTAP''s ok() gives, and diag() of the difference when it failed. Errors: undefined_function (pgTAP is not there)';

CREATE FUNCTION outbox.tap_event(event_type text, key jsonb, expected jsonb DEFAULT '{}')
RETURNS text LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    got text;
BEGIN
    PERFORM outbox.flush();
    IF NOT EXISTS (SELECT FROM outbox.event_types t WHERE t.name = event_type) THEN
        RAISE undefined_object USING MESSAGE = format('event type "%s" does not exist', event_type),
            HINT = 'SELECT name FROM outbox.event_types lists the event types.';
    END IF;
    SELECT string_agg(format(E'\n     got: %s %s', e.type, e.payload), '' ORDER BY e.seq) INTO got
    FROM outbox.event_json e WHERE e.xid = pg_current_xact_id() AND e.type = event_type;
    RETURN outbox.tap_result(
        EXISTS (SELECT FROM outbox.event_json e
                WHERE e.xid = pg_current_xact_id() AND e.type = event_type AND e.payload @> key AND e.payload @> expected),
        format('%s of %s', event_type, key),
        format('expected: %s %s', event_type, key || expected) || coalesce(got, E'\n     got: no such event'));
END $$;
COMMENT ON FUNCTION outbox.tap_event(text, jsonb, jsonb) IS
'pgTAP: this transaction has made an event of the type whose payload has the members of key and of expected (as jsonb @> has it). Needs outbox.test_mode, as all that look at events. Errors: undefined_object, undefined_function (pgTAP is not there), object_not_in_prerequisite_state';

CREATE FUNCTION outbox.tap_no_event(contract text, key jsonb DEFAULT '{}')
RETURNS text LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    columns text[];
    got text;
BEGIN
    PERFORM outbox.flush();
    SELECT c.key INTO columns FROM outbox.contracts c WHERE c.name = contract;
    IF columns IS NULL THEN
        RAISE undefined_object USING MESSAGE = format('contract "%s" does not exist', contract),
            HINT = 'SELECT name FROM outbox.contracts lists the contracts.';
    END IF;
    -- a name that no event has would always pass
    IF NOT columns @> ARRAY(SELECT jsonb_object_keys(key)) THEN
        RAISE invalid_parameter_value USING MESSAGE = format('%s has other columns than the key of contract "%s"', key, contract),
            HINT = format('Its key is %s.', columns);
    END IF;
    SELECT string_agg(format(E'\n     got: %s %s', e.type, e.payload), '' ORDER BY e.seq) INTO got
    FROM outbox.event_json e WHERE e.xid = pg_current_xact_id() AND e.contract = tap_no_event.contract AND e.payload @> key;
    RETURN outbox.tap_result(got IS NULL, format('no event of %s %s', contract, key), 'expected: no event' || got);
END $$;
COMMENT ON FUNCTION outbox.tap_no_event(text, jsonb) IS
'pgTAP: this transaction has made no event of the contract with this key; of any key, if it is left out. Errors: undefined_object, invalid_parameter_value (other columns than the key''s), undefined_function (pgTAP is not there), object_not_in_prerequisite_state';

CREATE FUNCTION outbox.tap_events(contract text, types text[])
RETURNS text LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    got text[];
BEGIN
    PERFORM outbox.flush();
    IF NOT EXISTS (SELECT FROM outbox.contracts c WHERE c.name = contract) THEN
        RAISE undefined_object USING MESSAGE = format('contract "%s" does not exist', contract),
            HINT = 'SELECT name FROM outbox.contracts lists the contracts.';
    END IF;
    got := ARRAY(SELECT e.type FROM outbox.event_json e WHERE e.xid = pg_current_xact_id() AND e.contract = tap_events.contract ORDER BY e.seq);
    RETURN outbox.tap_result(got = types, format('events of %s', contract), format(E'expected: %s\n     got: %s', types, got));
END $$;
COMMENT ON FUNCTION outbox.tap_events(text, text[]) IS
'pgTAP: this transaction has made these events of the contract, in this order, and no others. Errors: undefined_object, undefined_function (pgTAP is not there), object_not_in_prerequisite_state';

CREATE FUNCTION outbox.tap_dead_letter(contract text, key jsonb DEFAULT NULL, stage text DEFAULT NULL, message_like text DEFAULT NULL)
RETURNS text LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    got text;
BEGIN
    PERFORM outbox.flush();
    IF NOT EXISTS (SELECT FROM outbox.contracts c WHERE c.name = contract) THEN
        RAISE undefined_object USING MESSAGE = format('contract "%s" does not exist', contract),
            HINT = 'SELECT name FROM outbox.contracts lists the contracts.';
    END IF;
    SELECT string_agg(format(E'\n     got: %s %s: %s', d.key, d.stage, d.message), '' ORDER BY d.id) INTO got
    FROM outbox.dead_letter d WHERE d.contract = tap_dead_letter.contract AND d.created_at >= transaction_timestamp();
    RETURN outbox.tap_result(
        EXISTS (SELECT FROM outbox.dead_letter d
                WHERE d.contract = tap_dead_letter.contract AND d.created_at >= transaction_timestamp() AND (key IS NULL OR d.key @> key)
                AND (stage IS NULL OR d.stage = tap_dead_letter.stage) AND (message_like IS NULL OR d.message LIKE message_like)),
        format('dead letter of %s %s', contract, key),
        format('expected: %s %s: %s', coalesce(key::text, 'any key'), coalesce(stage, 'any stage'), coalesce(message_like, '%'))
        || coalesce(got, E'\n     got: no dead letter'));
END $$;
COMMENT ON FUNCTION outbox.tap_dead_letter(text, jsonb, text, text) IS
'pgTAP: a dead letter of the contract has appeared since this transaction began, with this key, stage, and message (as LIKE has it); null: any. Errors: undefined_object, undefined_function (pgTAP is not there), object_not_in_prerequisite_state';

CREATE FUNCTION outbox.tap_schema(event_type text, version int, fingerprint bigint)
RETURNS text LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    got bigint;
BEGIN
    SELECT s.fingerprint INTO got FROM outbox.event_schemas s
    WHERE s.event_type = tap_schema.event_type AND s.version = tap_schema.version ORDER BY s.id DESC LIMIT 1;
    RETURN outbox.tap_result(got = fingerprint, format('schema of %s, version %s', event_type, version),
        format(E'expected: %s\n     got: %s', fingerprint, coalesce(got::text, 'no such version is pinned')));
END $$;
COMMENT ON FUNCTION outbox.tap_schema(text, int, bigint) IS
'pgTAP: the schema that is pinned for this version has the fingerprint (outbox.catalog shows it): it changes with everything that a reader of the bytes has to know. Errors: undefined_function (pgTAP is not there)';

CREATE FUNCTION outbox.tap_compatible(contract text)
RETURNS text LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    got text;
BEGIN
    SELECT string_agg(format(E'\n     got: %s against version %s%s: %s %s: %s', c.event_type, c.against, ', ' || c.direction, c.rule, c.path, c.message), '')
    INTO got FROM outbox.check_compatibility(contract) c WHERE c.severity = 'error';
    RETURN outbox.tap_result(got IS NULL, format('consumers of %s can read what its view gives', contract), 'expected: no difference that enable() refuses' || got);
END $$;
COMMENT ON FUNCTION outbox.tap_compatible(text) IS
'pgTAP: check_compatibility() has no error for the contract: the schemas that its view gives now are compatible with those that were pinned before, under the contract''s level. Errors: undefined_object, undefined_table, insufficient_privilege, undefined_function (pgTAP is not there)';

CREATE FUNCTION outbox.tap_preview_clean(contract text)
RETURNS text LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    got text;
BEGIN
    SELECT string_agg(format(E'\n     got: %s rows, %s %s: %s, for example %s', v.rows, v.event_type, v.stage, v.error, v.example_key), '')
    INTO got FROM outbox.validate(contract) v WHERE v.sqlstate NOT LIKE '01%' AND v.stage <> 'source';
    RETURN outbox.tap_result(got IS NULL, format('every row of %s can be published', contract), 'expected: no row with an error' || got);
END $$;
COMMENT ON FUNCTION outbox.tap_preview_clean(text) IS
'pgTAP: no row of the contract''s source would become a dead letter (see validate). Errors: undefined_object, insufficient_privilege, undefined_function (pgTAP is not there)';

CREATE FUNCTION outbox.tap_codes_known(contract text)
RETURNS text LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    got text;
BEGIN
    SELECT string_agg(format(E'\n     got: %s rows: %s, for example %s', v.rows, v.error, v.example_key), '')
    INTO got FROM outbox.validate(contract) v WHERE v.error ~ 'code map "|unknown codes';
    RETURN outbox.tap_result(got IS NULL, format('every code of %s has a word', contract), 'expected: no unknown code' || got);
END $$;
COMMENT ON FUNCTION outbox.tap_codes_known(text) IS
'pgTAP: every code in the rows of the contract''s source has a word in its map, whether the column is required or not (see validate). Errors: undefined_object, insufficient_privilege, undefined_function (pgTAP is not there)';

CREATE FUNCTION outbox.tap_covers("table" regclass, "except" text[] DEFAULT '{}')
RETURNS text LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    got text;
    unknown text;
BEGIN
    SELECT string_agg(x, ', ') INTO unknown FROM unnest("except") x
    WHERE NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = "table" AND a.attname = x AND a.attnum > 0);
    IF unknown IS NOT NULL THEN
        RAISE undefined_column USING MESSAGE = format('table %s has no column %s', "table", unknown),
            HINT = 'Name columns that no contract publishes.';
    END IF;
    SELECT string_agg(a.attname, ', ' ORDER BY a.attnum) INTO got
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE a.attrelid = "table" AND a.attnum > 0 AND NOT a.attisdropped AND a.attname <> ALL ("except")
      AND NOT EXISTS (SELECT FROM outbox.catalog_field f WHERE format('%I.%I.%I', n.nspname, c.relname, a.attname) = ANY (f.sources));
    RETURN outbox.tap_result(got IS NULL, format('every column of %s is published', "table"), 'expected: no column without a field' || E'\n     got: ' || got);
END $$;
COMMENT ON FUNCTION outbox.tap_covers(regclass, text[]) IS
'pgTAP: every column of the table is behind a field of a pinned schema, but those of the list: a column that the application adds makes the test fail until somebody has decided. Errors: undefined_column, undefined_function (pgTAP is not there)';
