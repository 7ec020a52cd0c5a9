-- An order with its lines is one event; a change of a line is a change of its order.
CREATE VIEW canonical.{name}_line AS
SELECT l.ordr_no AS order_id, l.ln_no AS line_no, l.sku_cd AS sku, l.qty AS quantity, l.unt_prc AS unit_price FROM legacy.{name}_ln l;
CREATE VIEW canonical.{name}_v1 AS
SELECT o.ordr_no AS order_id, o.cust_no AS customer_id, o.stat_cd AS status, o.ordr_tms AS placed_at, coalesce(l.items, '{}') AS items
FROM legacy.{name} o LEFT JOIN LATERAL (
    SELECT array_agg(x ORDER BY x.line_no) AS items FROM canonical.{name}_line x WHERE x.order_id = o.ordr_no) l ON true;
SELECT outbox.create_contract('{name}', view => 'canonical.{name}_v1', source => 'legacy.{name}', key => '{order_id}');
SELECT outbox.add_source('{name}', 'legacy.{name}_ln', key_query => 'row.ordr_no');
SELECT outbox.create_event_type('Placed_{name}', contract => '{name}', emit => 'created', topic => 'orders');
SELECT outbox.create_event_type('Changed_{name}', contract => '{name}', emit => 'changed', topic => 'orders');
SELECT outbox.enable('{name}');
