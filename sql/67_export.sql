-- The configuration as a migration file: the calls that make it, in the form that may run again.

-- The views behind the contracts and their key queries, those that others read first.
CREATE FUNCTION outbox_internal.config_views(OUT place bigint, OUT view regclass, OUT commands text[])
RETURNS SETOF record LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    WITH RECURSIVE used AS (
        SELECT s.oid, 0 AS depth
        FROM (SELECT v.view::oid AS oid FROM outbox_internal.contract_version v WHERE v.state <> 'retired'
              UNION SELECT c.key_view FROM outbox_internal.source c) s
        UNION
        -- Views can be made to read each other; the depth ends that.
        SELECT d.refobjid, u.depth + 1
        FROM used u
        JOIN pg_rewrite r ON r.ev_class = u.oid AND r.rulename = '_RETURN'
        JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> u.oid
        JOIN pg_class c ON c.oid = d.refobjid AND c.relkind = 'v'
        WHERE u.depth < 100
    ), views AS (
        SELECT c.oid, max(u.depth) AS depth, c.oid::regclass::text AS name, pg_get_userbyid(c.relowner) AS owner
        FROM used u JOIN pg_class c ON c.oid = u.oid AND c.relkind = 'v'
        WHERE c.oid >= 16384 AND c.relnamespace <> 'outbox_internal'::regnamespace
          AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid AND e.deptype = 'e')
        GROUP BY c.oid
    )
    SELECT row_number() OVER (ORDER BY v.depth DESC, v.name COLLATE "C"), v.oid::regclass,
           -- The list of rights keeps the order in which they were granted; here the owner grants all, so any order does.
           (SELECT array_agg(w.command ORDER BY CASE WHEN w.command LIKE 'GRANT %' THEN 1000000 ELSE w.step END, w.command COLLATE "C")
            FROM (SELECT c.step * 2 AS step, regexp_replace(c.command, '^CREATE (VIEW|TRIGGER|RULE) ', 'CREATE OR REPLACE \1 ') AS command
                  FROM outbox_internal.view_commands(v.oid) c
                  UNION ALL SELECT 3, format('ALTER VIEW %s OWNER TO %I', v.name, v.owner)) w)
    FROM views v ORDER BY 1
$$;
COMMENT ON FUNCTION outbox_internal.config_views() IS
'The views of all contracts, and the views that these read, with the commands that create or replace them as they are (owner, defaults, triggers, rules, comments, labels, grants); a view comes after those that it reads';

CREATE FUNCTION outbox_internal.config_calls(OUT part int, OUT object text, OUT place bigint, OUT call text)
RETURNS SETOF record LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    WITH contracts AS (
        SELECT c.*, left(c.namespace, - length(c.name) - 1) AS first, coalesce(v.detached_view, v.view::text) AS view, s.relation AS root,
               v.version, v.line, v.suffix, coalesce(v.required, c.required) AS needed,
               (SELECT count(*) FROM outbox_internal.contract_version o WHERE o.contract_id = c.id AND o.state <> 'retired') AS versions
        FROM outbox_internal.contract c
        JOIN outbox_internal.contract_version v ON v.contract_id = c.id
             -- the first version that is published, or else the draft
             AND v.version = (SELECT w.version FROM outbox_internal.contract_version w WHERE w.contract_id = c.id AND w.state <> 'retired'
                              ORDER BY w.state = 'draft', w.line LIMIT 1)
        JOIN outbox_internal.source s ON s.contract_id = c.id AND s.role = 'root'
    )
    SELECT 1, m.name, 0::bigint, format('SELECT outbox.create_code_map(%L, codes => %L, or_replace => true);', m.name, jsonb_object_agg(m.code, m.word))
    FROM outbox_internal.code_map m GROUP BY m.name
    UNION ALL
    SELECT 2, 'schema ' || n.nspname, 0, format('CREATE SCHEMA IF NOT EXISTS %I;', n.nspname)
    FROM pg_namespace n
    WHERE n.nspname <> 'public' AND n.oid IN (SELECT c.relnamespace FROM outbox_internal.config_views() v JOIN pg_class c ON c.oid = v.view)
    UNION ALL
    SELECT 3, '', v.place * 10000 + u.n, u.command || ';'
    FROM outbox_internal.config_views() v CROSS JOIN LATERAL unnest(v.commands) WITH ORDINALITY AS u (command, n)
    UNION ALL
    SELECT 4, c.name, -1, CASE WHEN c.versions > 1 THEN '-- Only the first of its versions; add_version() makes the others.'
                               ELSE '-- It began beside another version, and has that version''s place here: its Avro namespace is another one.' END
    FROM contracts c WHERE c.versions > 1 OR c.line > 1
    UNION ALL
    SELECT 4, c.name, 0, format('SET outbox.namespace = %L;', c.first) FROM contracts c
    UNION ALL
    SELECT 4, c.name, 1, format(E'SELECT outbox.create_contract(%L, view => %L, source => %L, key => %L, required => %L,\n    aggregate_type => %L, aggregate_id => %L, evaluate => %L, on_invalid => %L, on_truncate => %L, compatibility => %L, or_replace => true);',
        c.name, c.view, c.root::text, c.key, c.needed, c.aggregate_type, c.aggregate_id, c.evaluate, c.on_invalid, c.on_truncate, c.compatibility)
    FROM contracts c
    UNION ALL
    SELECT 4, c.name, 1 + row_number() OVER (PARTITION BY c.id ORDER BY s.relation::text COLLATE "C"),
        format('SELECT outbox.add_source(%L, source => %L, key_query => %L, max_fanout => %s, or_replace => true);',
               c.name, s.relation::text, coalesce(outbox_internal.key_query_text(s.key_view), s.given_query), s.max_fanout)
    FROM contracts c JOIN outbox_internal.source s ON s.contract_id = c.id AND s.role = 'child'
    UNION ALL
    SELECT 4, c.name, 1000000 + e.id::bigint * 10000,
        format(E'SELECT outbox.create_event_type(%L, contract => %L, emit => %L, condition => %L, previous => %L,\n    topic => %L, ce_type => %L, tombstone => %L, headers => %L, actor => %L, or_replace => true);',
               e.name, c.name, e.emit, coalesce(o.condition, e.condition), coalesce(o.previous, e.previous),
               coalesce(o.topic, e.topic || coalesce(c.suffix, '')), coalesce(o.ce_type, e.ce_type || CASE WHEN c.line > 1 THEN '.v' || c.line ELSE '' END),
               e.tombstone, e.headers, e.actor)
    FROM contracts c JOIN outbox_internal.event_type e ON e.contract_id = c.id
    LEFT JOIN outbox_internal.event_type_version o ON o.event_type_id = e.id AND o.version = c.version
    WHERE o.omitted IS NOT TRUE
    UNION ALL
    SELECT 4, c.name, 1000000 + e.id::bigint * 10000 + row_number() OVER (PARTITION BY e.id ORDER BY r.id),
        format('SELECT outbox.add_check(%L, name => %L, expression => %L, or_replace => true);', e.name, r.name, r.expression)
    FROM contracts c JOIN outbox_internal.event_type e ON e.contract_id = c.id JOIN outbox_internal.check_rule r ON r.event_type_id = e.id
    LEFT JOIN outbox_internal.event_type_version o ON o.event_type_id = e.id AND o.version = c.version
    WHERE o.omitted IS NOT TRUE AND (r.versions IS NULL OR c.version = ANY (r.versions))
    UNION ALL
    SELECT 4, c.name, 9000000000000000000, format('SELECT outbox.enable(%L);', c.name) FROM contracts c WHERE c.enabled
    UNION ALL
    SELECT 5, a.target, 0, format('SELECT outbox.annotate(%L, properties => %L);', a.target, jsonb_object_agg(a.key, a.value))
    FROM (SELECT CASE n.kind WHEN 'table' THEN 'table:' ELSE '' END || n.object
                 || CASE WHEN n.field = '' THEN '' WHEN n.kind = 'table' THEN '.' || quote_ident(n.field) ELSE '.' || n.field END AS target, n.key, n.value
          FROM outbox_internal.annotation n
          WHERE CASE n.kind WHEN 'contract' THEN EXISTS (SELECT FROM contracts c WHERE c.name = n.object)
                            WHEN 'event_type' THEN EXISTS (SELECT FROM outbox_internal.event_type e WHERE e.name = n.object)
                            WHEN 'table' THEN to_regclass(n.object) IS NOT NULL AND (n.field = '' OR EXISTS (
                                SELECT FROM pg_attribute t WHERE t.attrelid = to_regclass(n.object) AND t.attname = n.field AND NOT t.attisdropped)) END) a
    GROUP BY a.target
$$;
COMMENT ON FUNCTION outbox_internal.config_calls() IS
'Every statement of export_config(): part 1 code maps, 2 schemas, 3 views, 4 contracts with all that belongs to them, 5 annotations; in the order of part, object (by its bytes) and place. place is for the order alone';

CREATE FUNCTION outbox_internal.config_as_sql()
RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT E'-- What outbox_ext is configured to do, as calls that may run again.\n'
        || coalesce((SELECT string_agg(CASE WHEN c.object IS DISTINCT FROM c.before AND c.part IN (1, 4, 5) THEN E'\n' ELSE '' END || c.call || E'\n', ''
                            ORDER BY c.part, c.object COLLATE "C", c.place)
                     FROM (SELECT k.*, lag(k.object) OVER (ORDER BY k.part, k.object COLLATE "C", k.place) AS before FROM outbox_internal.config_calls() k) c), '')
        || CASE WHEN EXISTS (SELECT FROM outbox_internal.contract) THEN E'RESET outbox.namespace;\n' ELSE '' END
        || coalesce((SELECT E'\n-- Sinks are the matter of each stage; here without their secrets:\n'
                            || string_agg(format(E'-- SELECT outbox.create_sink(%L, library => %L, options => %L, start_at => %L, on_reject => %L, or_replace => true);\n',
                                                 s.name, s.library, o.options, s.start_at, s.on_reject), '' ORDER BY s.name)
                     FROM outbox_internal.sink s JOIN outbox.sinks o ON o.name = s.name), '')
$$;
COMMENT ON FUNCTION outbox_internal.config_as_sql() IS 'export_config(''sql'')';

CREATE FUNCTION outbox_internal.config_as_json()
RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT jsonb_pretty(jsonb_build_object(
        'code_maps', coalesce((SELECT jsonb_object_agg(m.name, m.codes) FROM (
            SELECT name, jsonb_object_agg(code, word) AS codes FROM outbox_internal.code_map GROUP BY name) m), '{}'),
        'views', coalesce((SELECT jsonb_agg(jsonb_build_object('view', v.view::text, 'commands', to_jsonb(v.commands)) ORDER BY v.place)
            FROM outbox_internal.config_views() v), '[]'),
        'contracts', coalesce((SELECT jsonb_object_agg(c.name, to_jsonb(c) - '{id,name,created_at,derived_key}'::text[] || jsonb_build_object(
            'view', (SELECT coalesce(v.detached_view, v.view::text) FROM outbox_internal.contract_version v
                     WHERE v.contract_id = c.id AND v.state <> 'retired' ORDER BY v.state = 'draft', v.line LIMIT 1),
            'sources', (SELECT jsonb_object_agg(s.relation::text, CASE WHEN s.role = 'root' THEN '{}'::jsonb ELSE jsonb_build_object(
                    'key_query', coalesce(outbox_internal.key_query_text(s.key_view), s.given_query), 'max_fanout', s.max_fanout) END)
                FROM outbox_internal.source s WHERE s.contract_id = c.id),
            'event_types', (SELECT coalesce(jsonb_agg(to_jsonb(e) - '{id,contract_id,created_at}'::text[] || jsonb_build_object(
                    'checks', (SELECT coalesce(jsonb_agg(jsonb_build_object('name', r.name, 'expression', r.expression) ORDER BY r.id), '[]')
                               FROM outbox_internal.check_rule r WHERE r.event_type_id = e.id)) ORDER BY e.id), '[]')
                FROM outbox_internal.event_type e WHERE e.contract_id = c.id))) FROM outbox_internal.contract c), '{}'),
        'annotations', coalesce((SELECT jsonb_agg(to_jsonb(a) ORDER BY a.kind, a.object, a.field, a.key) FROM outbox_internal.annotation a), '[]'),
        'sinks', coalesce((SELECT jsonb_object_agg(s.name, jsonb_build_object('library', s.library, 'options', o.options, 'start_at', s.start_at, 'on_reject', s.on_reject))
            FROM outbox_internal.sink s JOIN outbox.sinks o ON o.name = s.name), '{}')))
$$;
COMMENT ON FUNCTION outbox_internal.config_as_json() IS 'export_config(''json'')';

CREATE FUNCTION outbox.export_config(format text DEFAULT 'sql')
RETURNS text LANGUAGE c STABLE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'outbox_export_config';
COMMENT ON FUNCTION outbox.export_config(text) IS
'The configuration as text, the same for the same configuration: without ids, times and secrets. sql: a migration file that may run again and makes the configuration what it is here: code maps, views behind contracts with owner, comments and grants, contracts, sources, event types, checks, annotations, and enable() of those that are enabled; sinks as comments. json: the same facts for comparing. Errors: invalid_parameter_value, null_value_not_allowed';
