-- The catalog: what is said of contracts, what is behind their fields, and the JSON Schema of their events.
SET client_min_messages = warning;
SET outbox.namespace = 'shop';
CREATE SCHEMA shop;
CREATE TYPE shop.size AS ENUM ('S', 'M', 'L');
CREATE TABLE shop.cust (no int PRIMARY KEY, nm text NOT NULL, email text, stat char(1), tier int);
CREATE TABLE shop.ordr (no int PRIMARY KEY, cust_no int REFERENCES shop.cust, dt date, paid numeric(12,2), stat text, note text, ship_to text, bill_to text);
CREATE TABLE shop.line (ordr_no int REFERENCES shop.ordr, pos int, sku text, qty int, price numeric(8,2), kind text, sz shop.size, PRIMARY KEY (ordr_no, pos));
CREATE INDEX ON shop.ordr (cust_no);
SELECT outbox.create_code_map('status', '{"N": "NEW", "S": "SHIPPED", "X": "CANCELLED"}');
SELECT outbox.create_code_map('kind', '{"A": "ARTICLE", "F": "FREIGHT"}');

-- an order with its lines, through views over views, WITH, LATERAL, joins and a subquery
CREATE VIEW shop.order_line AS
SELECT l.ordr_no, l.sku, (l.qty * l.price)::numeric(12,2) AS amount, outbox.decode('kind', l.kind) AS kind, l.sz AS size FROM shop.line l;
COMMENT ON COLUMN shop.order_line.sku IS 'Ours, not the "supplier''s"';
CREATE VIEW shop.order_head AS
SELECT o.no, o.cust_no, o.dt, coalesce(outbox.decode('status', o.stat), 'OTHER')::text AS status, o.paid, o.note FROM shop.ordr o;
CREATE VIEW shop.order_v1 AS
SELECT h.no AS order_id, h.dt AS placed_on, h.status,
       CASE WHEN c.tier > 2 THEN upper(c.nm) ELSE c.nm END AS customer,
       (SELECT count(*) FROM shop.line x WHERE x.ordr_no = h.no AND x.qty > 0) AS positions,
       coalesce(l.items, '{}') AS items,
       h.paid >= l.total AS paid,
       'shop'::text AS channel
FROM shop.order_head h
LEFT JOIN shop.cust c ON c.no = h.cust_no
LEFT JOIN LATERAL (SELECT array_agg(i ORDER BY i.sku) AS items, sum(i.amount) AS total
                   FROM shop.order_line i WHERE i.ordr_no = h.no) l ON true;
COMMENT ON VIEW shop.order_v1 IS 'What somebody ordered';
COMMENT ON COLUMN shop.order_v1.placed_on IS 'By the clock of the shop';
SELECT outbox.create_contract('order', view => 'shop.order_v1', source => 'shop.ordr', key => '{order_id}', required => '{status,items,items.sku}');
SELECT outbox.add_source('order', 'shop.line', key_query => 'row.ordr_no');
SELECT outbox.add_source('order', 'shop.cust', key_query => 'SELECT o.no FROM shop.ordr o WHERE o.cust_no = row.no');
SELECT outbox.create_event_type('OrderPlaced', contract => 'order', emit => 'created', topic => 'shop.orders');
SELECT outbox.create_event_type('OrderChanged', contract => 'order', emit => 'changed', previous => '{status,items}');
SELECT outbox.add_check('OrderPlaced', 'has_lines', 'cardinality(items) > 0');
-- what is not enabled is in the catalog, and has no fields yet
SELECT contract, event_type, version, state, topic, doc, fingerprint, checks, events_7_days FROM outbox.catalog ORDER BY event_type;
SELECT count(*) FROM outbox.catalog_field;
SELECT outbox.enable('order');

-- ---- fields and what is behind them --------------------------------------------------------------
SELECT place, path, type, pg_type, nullable, doc, sources, code_map, codes FROM outbox.catalog_field WHERE event_type = 'OrderChanged' ORDER BY place;

-- whatever stands between a column and a table
CREATE VIEW shop.odd_v AS
WITH RECURSIVE w AS (SELECT no, stat FROM shop.ordr UNION ALL SELECT w.no, w.stat FROM w WHERE false), u AS (
    SELECT no, note AS t FROM shop.ordr UNION SELECT no, nm FROM shop.cust)
SELECT w.no AS id, w.stat AS recursive, u.t AS set_operation, v.b AS in_values, n.nm AS joined,
       EXISTS (SELECT FROM shop.line l WHERE l.sku = w.stat) AS exists, w.no IN (SELECT l.pos FROM shop.line l) AS in_select,
       ROW(w.no, n.email)::text AS from_row, (n).tier AS selected, (SELECT max(l.price) FROM shop.line l) AS scalar,
       array(SELECT l.sku FROM shop.line l) AS from_array, sum(n.tier) OVER (PARTITION BY w.stat) AS from_window,
       f.f AS from_function, n::text AS whole_row, now() AS nothing
FROM w JOIN u USING (no) JOIN (VALUES (1, 'x'), (2, 'y')) v (a, b) ON v.a = w.no JOIN shop.cust n ON n.no = w.no, LATERAL regexp_split_to_table(n.email, '@') f;
CREATE VIEW shop.grouped_v AS SELECT upper(nm) AS name, max(tier) AS tier, count(*) FILTER (WHERE stat = 'A') AS actives FROM shop.cust GROUP BY 1;
SELECT v, path, type, sources FROM unnest('{shop.odd_v,shop.grouped_v}'::regclass[]) v, outbox_internal.view_fields(v);
SELECT * FROM outbox_internal.view_fields('shop.cust');
SELECT * FROM outbox_internal.view_fields(0);
-- a name that changes below the view
ALTER TABLE shop.cust RENAME COLUMN nm TO full_name;
SELECT path, sources FROM outbox.catalog_field WHERE event_type = 'OrderPlaced' AND path = 'customer';

-- views over views over views, each twice: time is that of the columns, not of the ways
CREATE VIEW shop.wide_0 AS SELECT no, stat FROM shop.ordr;
DO $$ BEGIN
    FOR i IN 1 .. 24 LOOP
        EXECUTE format('CREATE VIEW shop.wide_%s AS SELECT a.no, a.stat || b.stat AS stat FROM shop.wide_%s a, shop.wide_%2$s b', i, i - 1);
    END LOOP;
END $$;
SET statement_timeout = '20s';
SELECT path, sources FROM outbox_internal.view_fields('shop.wide_24');
RESET statement_timeout;

-- ---- annotations ---------------------------------------------------------------------------------
SELECT outbox.annotate('order', '{"owner": "sales", "domain": "commerce", "x-cost-centre": 4711}');
SELECT outbox.annotate('order@1', '{"link": "https://wiki.example/order"}');
SELECT outbox.annotate('OrderPlaced', '{"owner": "checkout", "slo": {"minutes": 1}}');
SELECT outbox.annotate('order.items.sku', '{"tags": ["key", "article"], "steward": "ann"}');
SELECT outbox.annotate('order.items[].amount', '{"classification": "internal"}');
SELECT outbox.annotate('OrderPlaced.customer', '{"tags": ["name"]}');
SELECT outbox.annotate('table:shop.cust.full_name', '{"tags": ["PII"], "steward": "bob"}');
SELECT outbox.annotate('table:shop.line.price', '{"classification": "PII"}');
SELECT outbox.annotate('table:shop.cust', '{"owner": "crm"}');
SELECT * FROM outbox.annotation ORDER BY kind, object, field, key;
SELECT event_type, owner, domain, pii_fields, annotations FROM outbox.catalog ORDER BY event_type;
SELECT event_type, path, tags, annotations FROM outbox.catalog_field WHERE annotations <> '{}' ORDER BY event_type, place;
-- one replaces, null takes away, nothing does nothing
SELECT outbox.annotate('order', '{"owner": "logistics", "domain": null, "never": null}'), outbox.annotate('order', '{}');
SELECT key, value FROM outbox.annotation WHERE kind = 'contract' AND field = '' ORDER BY key;
-- they stay when a contract is created again
BEGIN;
SELECT outbox.drop_contract('order');
SELECT count(*) FROM outbox.annotation;
ROLLBACK;
-- what there is not
SELECT outbox.annotate('ordr', '{}');
SELECT outbox.annotate('order@2', '{}');
SELECT outbox.annotate('order@1.status', '{}');
SELECT outbox.annotate('order.items.sq', '{}');
SELECT outbox.annotate('OrderPlaced.previous_stat', '{}');
SELECT outbox.annotate('table:shop.custs', '{}');
SELECT outbox.annotate('table:shop.cust.nm', '{}');
SELECT outbox.annotate('table:', '{}');
SELECT outbox.annotate('', '{}');
SELECT outbox.annotate('order', '[]');
SELECT outbox.annotate('order', '{"tags": "PII"}');
SELECT outbox.annotate('order', '{"tags": [1]}');
SELECT outbox.annotate(NULL, '{}');
SELECT outbox.annotate('order', NULL);

-- ---- JSON Schema ---------------------------------------------------------------------------------
SELECT jsonb_pretty(outbox.json_schema('OrderChanged'));
SELECT outbox.json_schema('OrderChanged') = outbox.json_schema('OrderChanged', 1) AS same;
-- words of the map as it is now; a word that the view's column may have beside them
BEGIN;
SELECT outbox.drop_code_map('status');
SELECT outbox.create_code_map('status', '{"N": "NEW", "Ü": "VERSPÄTET \"!\""}');
SELECT outbox.json_schema('OrderPlaced') #> '{properties,status}';
ROLLBACK;
-- every type; not enabled yet
CREATE TYPE shop.inner AS (a int, s shop.size);
CREATE TABLE shop.every (id uuid PRIMARY KEY, b bool, i2 int2, i4 int4, i8 int8, f4 float4, f8 float8, n numeric(10,2), n0 numeric(3,3), t text,
    v varchar(3), c char(2), d date, ti time, ts timestamptz, by bytea, j jsonb, m outbox.string_map, e shop.size, r shop.inner, rs shop.inner[], ts2 text[]);
CREATE VIEW shop.every_v AS SELECT * FROM shop.every;
SELECT outbox.create_contract('every', view => 'shop.every_v', source => 'shop.every', key => '{id}');
SELECT outbox.create_event_type('EverySeen', contract => 'every', emit => 'always');
SELECT p.key, p.value FROM jsonb_each(outbox.json_schema('EverySeen') -> 'properties') p ORDER BY 1;
SELECT outbox.json_schema('EverySeen') -> '$defs';
-- a type that is used with a map and without: one definition, any text
CREATE VIEW shop.part AS SELECT ordr_no, outbox.decode('kind', kind) AS kind FROM shop.line;
CREATE TYPE shop.part_t AS (kind text);
CREATE VIEW shop.two_v AS SELECT no, ROW(outbox.decode('kind', stat))::shop.part_t AS a, ROW(note)::shop.part_t AS b,
    ARRAY[ROW(outbox.decode('kind', ship_to))::shop.part_t] AS c FROM shop.ordr;
SELECT outbox.create_contract('two', view => 'shop.two_v', source => 'shop.ordr', key => '{no}');
SELECT outbox.create_event_type('TwoSeen', contract => 'two', emit => 'always');
SELECT outbox.json_schema('TwoSeen') #> '{$defs,shop.two.part_t,properties}';
SELECT outbox.json_schema('NoSuch');
SELECT outbox.json_schema('OrderPlaced', 7);
SELECT outbox.json_schema(NULL);

-- ---- who may -------------------------------------------------------------------------------------
CREATE ROLE regress_catalog_reader;
CREATE ROLE regress_catalog_admin;
SELECT outbox.grant_access('regress_catalog_reader', 'reader');
SELECT outbox.grant_access('regress_catalog_admin', 'admin');
SET ROLE regress_catalog_reader;
SELECT count(*) FROM outbox.catalog;
SELECT count(*) FROM outbox.catalog_field;
SELECT outbox.json_schema('OrderPlaced') ->> 'title';
SELECT outbox.annotate('order', '{"owner": "me"}');
SET ROLE regress_catalog_admin;
SELECT outbox.annotate('order', '{"owner": "me"}');
SELECT outbox.annotate('table:shop.cust', '{"owner": "me"}');
RESET ROLE;
DROP OWNED BY regress_catalog_reader, regress_catalog_admin;
DROP ROLE regress_catalog_reader, regress_catalog_admin;

-- ---- what is away --------------------------------------------------------------------------------
SELECT outbox.detach('shop.cust');
SELECT event_type, state, doc FROM outbox.catalog WHERE contract = 'order' ORDER BY 1;
SELECT path, type, pg_type, sources FROM outbox.catalog_field WHERE event_type = 'OrderPlaced' ORDER BY place LIMIT 2;
SELECT outbox.json_schema('OrderPlaced') #> '{properties,status}';
SELECT outbox.annotate('order.status', '{"tags": ["state"]}');
SELECT outbox.reattach('shop.cust');
SELECT outbox.drop_contract('order'), outbox.drop_contract('every'), outbox.drop_contract('two');
SELECT count(*) FROM outbox.catalog;
DROP SCHEMA shop CASCADE;
