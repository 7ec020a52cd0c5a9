-- Living with the owners of the sources: views that step aside for their DDL, and leaving without a trace.

CREATE FUNCTION outbox_internal.view_commands(
    view regclass, definition text DEFAULT NULL,
    OUT step bigint, OUT role name, OUT command text)
RETURNS SETOF record LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    WITH v AS (
        SELECT c.oid, c.oid::regclass::text AS name, c.relowner, c.relacl, c.reloptions,
               r.rolname AS owner,
               coalesce(definition, pg_get_viewdef(c.oid)) AS definition
        FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner
        WHERE c.oid = view
    ), commands AS (
        SELECT 1 AS part, 0::bigint AS place, v.owner AS role,
               format('CREATE VIEW %s%s AS %s', v.name,
                      ' WITH (' || array_to_string(v.reloptions, ', ') || ')', rtrim(v.definition, ';')) AS command
        FROM v
        UNION ALL
        SELECT 2, a.attnum, v.owner, format('ALTER VIEW %s ALTER COLUMN %I SET DEFAULT %s', v.name, a.attname,
                                            pg_get_expr(d.adbin, d.adrelid))
        FROM v JOIN pg_attrdef d ON d.adrelid = v.oid
        JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
        UNION ALL
        SELECT 3, t.oid::bigint, v.owner, pg_get_triggerdef(t.oid)
        FROM v JOIN pg_trigger t ON t.tgrelid = v.oid AND NOT t.tgisinternal
        UNION ALL
        SELECT 3, w.oid::bigint, v.owner, rtrim(pg_get_ruledef(w.oid), ';')
        FROM v JOIN pg_rewrite w ON w.ev_class = v.oid AND w.rulename <> '_RETURN'
        UNION ALL
        SELECT 4, d.objsubid, v.owner, CASE WHEN d.objsubid = 0
                   THEN format('COMMENT ON VIEW %s IS %L', v.name, d.description)
                   ELSE format('COMMENT ON COLUMN %s.%I IS %L', v.name, a.attname, d.description) END
        FROM v JOIN pg_description d ON d.classoid = 'pg_class'::regclass AND d.objoid = v.oid
        LEFT JOIN pg_attribute a ON a.attrelid = v.oid AND a.attnum = d.objsubid AND d.objsubid > 0
        UNION ALL
        SELECT 4, l.objsubid, v.owner, format('SECURITY LABEL FOR %I ON %s IS %L', l.provider, CASE WHEN l.objsubid = 0
                   THEN format('VIEW %s', v.name) ELSE format('COLUMN %s.%I', v.name, a.attname) END, l.label)
        FROM v JOIN pg_seclabel l ON l.classoid = 'pg_class'::regclass AND l.objoid = v.oid
        LEFT JOIN pg_attribute a ON a.attrelid = v.oid AND a.attnum = l.objsubid AND l.objsubid > 0
        -- An owner who gave up rights of his own does not get them back.
        UNION ALL
        SELECT 5, 0, v.owner, format('REVOKE ALL ON %s FROM %I', v.name, v.owner) FROM v WHERE v.relacl IS NOT NULL
        -- In the order of the list: who grants was granted before.
        UNION ALL
        SELECT 6, min(x.place), g.rolname,
               format('GRANT %s ON %s TO %s%s', string_agg(x.privilege_type, ', ' ORDER BY x.place), v.name,
                      coalesce(quote_ident(e.rolname), 'PUBLIC'), CASE WHEN x.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
        FROM v CROSS JOIN LATERAL aclexplode(v.relacl) WITH ORDINALITY AS x (grantor, grantee, privilege_type, is_grantable, place)
        JOIN pg_roles g ON g.oid = x.grantor LEFT JOIN pg_roles e ON e.oid = x.grantee
        GROUP BY v.name, g.rolname, e.rolname, x.grantee, x.is_grantable
        UNION ALL
        SELECT 7, a.attnum * 10000 + min(x.place), g.rolname,
               format('GRANT %s ON %s TO %s%s', string_agg(format('%s (%I)', x.privilege_type, a.attname), ', ' ORDER BY x.place), v.name,
                      coalesce(quote_ident(e.rolname), 'PUBLIC'), CASE WHEN x.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
        FROM v JOIN pg_attribute a ON a.attrelid = v.oid AND a.attnum > 0 AND NOT a.attisdropped
        CROSS JOIN LATERAL aclexplode(a.attacl) WITH ORDINALITY AS x (grantor, grantee, privilege_type, is_grantable, place)
        JOIN pg_roles g ON g.oid = x.grantor LEFT JOIN pg_roles e ON e.oid = x.grantee
        GROUP BY v.name, a.attnum, a.attname, g.rolname, e.rolname, x.grantee, x.is_grantable
    )
    SELECT row_number() OVER (ORDER BY c.part, c.place, c.command), c.role, c.command FROM commands c ORDER BY 1
$$;
COMMENT ON FUNCTION outbox_internal.view_commands(regclass, text) IS
'The commands that create a view again as it is (options, defaults, triggers, rules, comments, labels, grants), in order, and the role that has to run each. definition: another SELECT for the view';

CREATE FUNCTION outbox_internal.dependent_views(
    views oid[], OUT place bigint, OUT view regclass, OUT obstacle text)
RETURNS SETOF record LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    WITH RECURSIVE used AS (
        SELECT 'pg_class'::regclass::oid AS classid, v AS objid, 0 AS objsubid, 0 AS depth, v AS relation FROM unnest(views) v
        UNION
        SELECT n.classid, n.objid, n.objsubid, n.depth, n.relation
        FROM used u CROSS JOIN LATERAL (
            -- What depends on a view or its row types: rules of other views, and what cannot be created again.
            SELECT d.classid, d.objid, d.objsubid, u.depth + 1 AS depth,
                   CASE d.classid WHEN 'pg_rewrite'::regclass THEN (SELECT r.ev_class FROM pg_rewrite r WHERE r.oid = d.objid)
                                  WHEN 'pg_class'::regclass THEN d.objid END AS relation
            FROM pg_depend d
            WHERE d.refclassid = u.classid AND d.refobjid = u.objid AND d.deptype IN ('n', 'i', 'a')
              AND (u.classid = 'pg_type'::regclass
                   OR EXISTS (SELECT FROM pg_class c WHERE u.classid = 'pg_class'::regclass AND c.oid = u.objid AND c.relkind = 'v'))
            UNION ALL
            -- A rule stands for its view.
            SELECT 'pg_class'::regclass, u.relation, 0, u.depth, u.relation WHERE u.classid = 'pg_rewrite'::regclass) n
        WHERE NOT (n.classid = 'pg_rewrite'::regclass AND n.relation = u.objid)
    ), own AS (
        SELECT c.oid, max(u.depth) AS depth FROM used u JOIN pg_class c ON c.oid = u.relation AND c.relkind = 'v'
        WHERE u.classid = 'pg_class'::regclass GROUP BY 1
    )
    SELECT row_number() OVER (ORDER BY o.depth, o.oid), o.oid::regclass, NULL::text FROM own o
    UNION ALL
    SELECT NULL, NULL, pg_describe_object(x.classid, x.objid, x.objsubid)
    FROM (SELECT DISTINCT u.classid, u.objid, u.objsubid FROM used u
          WHERE u.depth > 0 AND NOT EXISTS (SELECT FROM own o WHERE o.oid = u.relation)
            AND u.classid NOT IN ('pg_type'::regclass, 'pg_rewrite'::regclass)
            AND NOT EXISTS (SELECT FROM pg_trigger t JOIN own o ON o.oid = t.tgrelid WHERE u.classid = 'pg_trigger'::regclass AND t.oid = u.objid)
            AND NOT EXISTS (SELECT FROM pg_attrdef a JOIN own o ON o.oid = a.adrelid WHERE u.classid = 'pg_attrdef'::regclass AND a.oid = u.objid)) x
    ORDER BY 1
$$;
COMMENT ON FUNCTION outbox_internal.dependent_views(oid[]) IS
'These views, and all views that depend on them, in an order in which they can be created. obstacle: an object that depends on one of them and is no view';

CREATE FUNCTION outbox_internal.contract_views(source regclass, OUT contract_id int, OUT view regclass)
RETURNS SETOF record LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    WITH RECURSIVE chain AS (
        SELECT v.contract_id, v.view::oid AS relation, c.relowner AS owner
        FROM (SELECT v.contract_id, v.view FROM outbox_internal.contract_version v WHERE v.state <> 'retired'
              UNION ALL SELECT s.contract_id, s.key_view FROM outbox_internal.source s) v
        JOIN pg_class c ON c.oid = v.view
        UNION
        SELECT c.contract_id, d.refobjid, c.owner
        FROM chain c JOIN pg_rewrite r ON r.ev_class = c.relation
        JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
             AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> c.relation
    )
    SELECT DISTINCT c.contract_id, c.relation::regclass
    FROM chain c JOIN pg_class k ON k.oid = c.relation AND k.relkind = 'v' AND k.relowner = c.owner
    WHERE c.contract_id IN (SELECT x.contract_id FROM chain x WHERE x.relation = source)
       OR c.contract_id IN (SELECT s.contract_id FROM outbox_internal.source s WHERE s.relation = source)
$$;
COMMENT ON FUNCTION outbox_internal.contract_views(regclass) IS
'The contracts that read a table in their view or in a key_query: each with its view, the views of its key queries, and the views below them that the same role owns';

CREATE FUNCTION outbox.detach(source text)
RETURNS SETOF text LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'outbox_detach';
COMMENT ON FUNCTION outbox.detach(text) IS
'Drops the views of all contracts that read this table, and the views that depend on them, so that its owner can change it; reattach() creates them again. Returns their names. From the commit on, changes of the contracts'' sources make gaps, and never an error. Errors: undefined_table, undefined_object (no contract reads it), object_not_in_prerequisite_state (detached already), dependent_objects_still_exist, insufficient_privilege, lock_not_available';

CREATE FUNCTION outbox.reattach(source text)
RETURNS SETOF text LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'outbox_reattach';
COMMENT ON FUNCTION outbox.reattach(text) IS
'Creates again what detach() dropped, with owners, options, comments and grants. Capture goes on at the commit. Each view is created with the rights of its owner, who needs USAGE and CREATE on its schema. A view that exists by now is left as it is, if it has the same owner. So create a view by hand before when its definition does not fit the changed table. Missing triggers are created, also on a table that was dropped and created under its name. Returns the names of the views. Errors: undefined_table, object_not_in_prerequisite_state (not detached), insufficient_privilege, lock_not_available, and what CREATE VIEW raises, naming the view';

-- ---- uninstall ----------------------------------------------------------------------------------

CREATE FUNCTION outbox.lock_tables()
RETURNS void LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'outbox_lock_tables';
COMMENT ON FUNCTION outbox.lock_tables() IS
'Takes ACCESS EXCLUSIVE on all tables, sequences and views of the schemas outbox and outbox_internal, together and in short attempts, until the transaction ends. Call it first in a transaction that rewrites, alters or truncates more than one of them, such as a script that updates the extension. Otherwise a writer that locks them in another order could end with a deadlock. Errors: lock_not_available';

CREATE FUNCTION outbox_internal.view_without_decode(view regclass)
RETURNS text LANGUAGE c STABLE PARALLEL UNSAFE STRICT AS 'MODULE_PATHNAME', 'outbox_view_without_decode';
COMMENT ON FUNCTION outbox_internal.view_without_decode(regclass) IS
'The definition of a view in which a CASE of the present code map replaces every decode(); NULL when the name of a map is not a constant, or the view is gone';

CREATE FUNCTION outbox_internal.uninstall_plan(
    OUT step bigint, OUT action text, OUT object text, OUT role name, OUT command text, OUT restore text)
RETURNS SETOF record LANGUAGE sql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
    WITH member AS (
        SELECT d.classid, d.objid FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
        WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND e.extname = 'outbox_ext'
    ), thing AS (
        SELECT m.classid, m.objid FROM member m
        UNION
        SELECT 'pg_type'::regclass, t.oid FROM member m JOIN pg_type t ON m.classid = 'pg_class'::regclass AND t.typrelid = m.objid
        UNION
        SELECT 'pg_type'::regclass, t.typarray FROM member m JOIN pg_type t
             ON m.classid = 'pg_class'::regclass AND t.typrelid = m.objid OR m.classid = 'pg_type'::regclass AND t.oid = m.objid
    ), used AS (
        SELECT DISTINCT d.classid, d.objid, d.objsubid, d.refclassid, d.refobjid,
               CASE d.classid WHEN 'pg_class'::regclass THEN d.objid
                              WHEN 'pg_rewrite'::regclass THEN (SELECT ev_class FROM pg_rewrite WHERE oid = d.objid)
                              WHEN 'pg_constraint'::regclass THEN (SELECT conrelid FROM pg_constraint WHERE oid = d.objid)
                              WHEN 'pg_trigger'::regclass THEN (SELECT tgrelid FROM pg_trigger WHERE oid = d.objid)
                              WHEN 'pg_attrdef'::regclass THEN (SELECT adrelid FROM pg_attrdef WHERE oid = d.objid) END AS relation
        FROM pg_depend d JOIN thing t ON t.classid = d.refclassid AND t.objid = d.refobjid
        WHERE d.deptype = 'n' AND NOT EXISTS (SELECT FROM thing x WHERE x.classid = d.classid AND x.objid = d.objid)
    ), outside AS (
        SELECT u.*, c.relkind FROM used u LEFT JOIN pg_class c ON c.oid = u.relation
        WHERE NOT EXISTS (SELECT FROM member m WHERE m.classid = 'pg_class'::regclass AND m.objid = u.relation)
          -- Key queries go with their contracts, and those that a restore has left over with the extension.
          AND c.relnamespace IS DISTINCT FROM 'outbox_internal'::regnamespace
          -- The triggers of contracts go with them, and those of partitions with their table's.
          AND NOT EXISTS (SELECT FROM pg_trigger t WHERE u.classid = 'pg_trigger'::regclass AND t.oid = u.objid AND t.tgparentid <> 0)
          AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = u.classid AND x.objid = u.objid
                          AND x.refclassid = 'pg_extension'::regclass AND x.deptype = 'x')
    ), user_view AS (
        SELECT o.relation AS oid,
               bool_or(o.refclassid = 'pg_proc'::regclass AND o.refobjid IN
                       ('outbox.decode(text, text)'::regprocedure, 'outbox.decode(text, bigint)'::regprocedure)) AS decodes,
               bool_or(o.refclassid = 'pg_type'::regclass AND o.refobjid IN
                       ('outbox.string_map'::regtype, 'outbox.string_map[]'::regtype)) AS maps,
               bool_or(o.refclassid NOT IN ('pg_proc'::regclass, 'pg_type'::regclass)
                       OR o.refobjid NOT IN ('outbox.decode(text, text)'::regprocedure, 'outbox.decode(text, bigint)'::regprocedure,
                                             'outbox.string_map'::regtype, 'outbox.string_map[]'::regtype)) AS others
        FROM outside o WHERE o.relkind = 'v' GROUP BY 1
    ), plain AS (
        SELECT v.*, CASE WHEN v.decodes THEN outbox_internal.view_without_decode(v.oid) ELSE pg_get_viewdef(v.oid) END AS definition
        FROM user_view v
    ), lost AS (
        SELECT d.view FROM outbox_internal.dependent_views(ARRAY(SELECT p.oid FROM plain p WHERE p.others OR p.definition IS NULL)) d
        WHERE d.view IS NOT NULL
    ), dropped AS MATERIALIZED (
        SELECT d.place, d.view, d.obstacle, d.view IN (SELECT l.view FROM lost l) AS lost
        FROM outbox_internal.dependent_views(ARRAY(SELECT p.oid FROM plain p WHERE p.others OR p.definition IS NULL OR p.maps)) d
    ), kept AS (
        SELECT s.id AS place, 'lose events' AS action, format('%s: %s events that it has not acknowledged', s.name, t.pending) AS object
        FROM outbox.status t JOIN outbox_internal.sink s ON s.name = t.name
        WHERE t.kind = 'sink' AND t.pending > 0
        UNION ALL
        SELECT 0, 'lose events', format('%s events, for which there is no sink', count(*))
        FROM outbox.event WHERE NOT EXISTS (SELECT FROM outbox_internal.sink) HAVING count(*) > 0
        UNION ALL
        SELECT 0, 'lose dead letters', format('%s dead letters that are open', count(*))
        FROM outbox_internal.dead_letter_entry WHERE state = 'open' HAVING count(*) > 0
    ), plan AS (
        -- nothing is done about these: they are there until DROP EXTENSION
        SELECT 0 AS part, k.place::bigint, k.action, k.object, NULL::name AS role, NULL::text AS command, NULL::text AS restore FROM kept k
        UNION ALL
        SELECT 1, s.id, 'stop relay', s.name, NULL,
               format('SELECT outbox.stop_relay(%L)', s.name), format('SELECT outbox.start_relay(%L)', s.name)
        FROM outbox_internal.sink s WHERE s.desired_state <> 'stopped'
        UNION ALL
        SELECT 2, c.id, 'drop contract', c.name, NULL, format('SELECT outbox.drop_contract(%L)', c.name), NULL
        FROM outbox_internal.contract c
        UNION ALL
        SELECT 3, p.oid::bigint, 'replace view', p.oid::regclass::text, pg_get_userbyid(k.relowner),
               format('CREATE OR REPLACE VIEW %s%s AS %s', p.oid::regclass,
                      ' WITH (' || array_to_string(k.reloptions, ', ') || ')', rtrim(p.definition, ';')),
               format('CREATE OR REPLACE VIEW %s%s AS %s', p.oid::regclass,
                      ' WITH (' || array_to_string(k.reloptions, ', ') || ')', rtrim(pg_get_viewdef(p.oid), ';'))
        FROM plain p JOIN pg_class k ON k.oid = p.oid
        WHERE p.decodes AND NOT EXISTS (SELECT FROM dropped d WHERE d.view = p.oid)
        UNION ALL
        SELECT 4, -d.place, 'drop view', d.view::text, NULL, format('DROP VIEW %s', d.view),
               (SELECT string_agg(CASE WHEN c.step = 1 THEN format(E'%s;\nALTER VIEW %s OWNER TO %I', c.command, d.view, c.role) ELSE c.command END,
                                  E';\n' ORDER BY c.step) FROM outbox_internal.view_commands(d.view) c)
        FROM dropped d WHERE d.view IS NOT NULL
        UNION ALL
        SELECT 5, d.place * 100000 + c.step, 'create view', d.view::text, c.role, c.command, NULL
        FROM dropped d LEFT JOIN plain p ON p.oid = d.view,
             outbox_internal.view_commands(d.view, replace(coalesce(p.definition, pg_get_viewdef(d.view)), '::outbox.string_map', '::jsonb')) c
        WHERE d.view IS NOT NULL AND NOT d.lost
        UNION ALL
        SELECT DISTINCT 0, 0::bigint, 'obstacle', x.object, NULL::name, NULL, NULL
        FROM (SELECT CASE WHEN o.relkind = 'm' THEN pg_describe_object('pg_class'::regclass, o.relation, 0)
                     ELSE pg_describe_object(o.classid, o.objid, o.objsubid) END AS object
              FROM outside o WHERE o.relkind IS DISTINCT FROM 'v'
              UNION ALL SELECT d.obstacle FROM dropped d WHERE d.obstacle IS NOT NULL
              UNION ALL SELECT 'detached view ' || t.view FROM outbox_internal.detached_view t) x
    )
    SELECT row_number() OVER (ORDER BY p.part, p.place, p.object), p.action, p.object, p.role, p.command, p.restore
    FROM plan p ORDER BY 1
$$;
COMMENT ON FUNCTION outbox_internal.uninstall_plan() IS
'The steps of uninstall(), in order, each with the role that creates the view';

CREATE FUNCTION outbox.uninstall(
    execute boolean DEFAULT false,
    OUT step bigint, OUT action text, OUT object text, OUT command text, OUT restore text)
RETURNS SETOF record LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'outbox_uninstall';
COMMENT ON FUNCTION outbox.uninstall(boolean) IS
'Lists what has to be done before DROP EXTENSION, one row per step; with execute => true it does that. Relays are stopped, and contracts dropped. A view that calls decode() is replaced by one with CASE. A view with a column of string_map is created again with jsonb. A view that reads the outbox itself is dropped. restore has the SQL that brings a view back, as long as the extension is there. An obstacle is an object that only you can drop or change: nothing is done while there is one. DROP EXTENSION takes events along that are not published yet. Errors: dependent_objects_still_exist, insufficient_privilege, lock_not_available';
