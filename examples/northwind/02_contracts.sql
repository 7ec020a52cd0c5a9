-- The translation: four contracts, each a view in canonical names and types over legacy tables, and
-- the transitions of their rows that consumers care about. A migration file like any other.
--   psql -v topic_prefix=...   puts something before the topics (the demo does, on a shared broker)
\if :{?topic_prefix}
\else
\set topic_prefix ''
\endif

CREATE EXTENSION IF NOT EXISTS outbox_ext;
CREATE SCHEMA canonical;

-- Schemas and CloudEvents types begin with it, in staging as in production, whatever the database is called.
ALTER DATABASE :"DBNAME" SET outbox.namespace = 'northwind';
SET outbox.namespace = 'northwind';

BEGIN;

-- ---- customer --------------------------------------------------------------------------------

CREATE VIEW canonical.customer_v1 AS
SELECT customer_id,
       company_name     AS name,
       contact_name,
       contact_title    AS contact_role,
       address          AS street,
       city,
       region,
       postal_code,
       country,
       phone
FROM customers;
COMMENT ON VIEW canonical.customer_v1 IS 'A company that buys from us';
COMMENT ON COLUMN canonical.customer_v1.customer_id IS 'Five letters, given once';
COMMENT ON COLUMN canonical.customer_v1.country IS 'English short name';

SELECT outbox.create_contract('customer', view => 'canonical.customer_v1', source => 'customers',
    key => '{customer_id}', required => '{customer_id,name,country}');
SELECT outbox.create_event_type('CustomerRegistered', contract => 'customer', emit => 'created',
    topic => :'topic_prefix' || 'northwind.customers');
SELECT outbox.create_event_type('CustomerChanged', contract => 'customer', emit => 'changed',
    topic => :'topic_prefix' || 'northwind.customers');
SELECT outbox.create_event_type('CustomerMoved', contract => 'customer', emit => 'changed',
    condition => 'new.city IS DISTINCT FROM old.city OR new.country IS DISTINCT FROM old.country',
    previous => '{city,country}', topic => :'topic_prefix' || 'northwind.customers');
SELECT outbox.create_event_type('CustomerDeleted', contract => 'customer', emit => 'deleted',
    topic => :'topic_prefix' || 'northwind.customers');

-- ---- product ---------------------------------------------------------------------------------

-- The price is kept as real: through float8, because real -> numeric keeps six digits only.
CREATE VIEW canonical.product_v1 AS
SELECT product_id::integer      AS product_id,
       product_name             AS name,
       quantity_per_unit        AS packaging,
       category_id::integer     AS category_id,
       supplier_id::integer     AS supplier_id,
       round(unit_price::float8::numeric, 2)::numeric(10,2) AS price,
       discontinued <> 0        AS discontinued
FROM products;
COMMENT ON VIEW canonical.product_v1 IS 'An article of the catalogue';
COMMENT ON COLUMN canonical.product_v1.price IS 'US dollars per packaging unit, without tax';

SELECT outbox.create_contract('product', view => 'canonical.product_v1', source => 'products',
    key => '{product_id}', required => '{product_id,name,price,discontinued}');
SELECT outbox.create_event_type('ProductListed', contract => 'product', emit => 'created',
    topic => :'topic_prefix' || 'northwind.products');
SELECT outbox.create_event_type('PriceChanged', contract => 'product', emit => 'changed',
    condition => 'new.price IS DISTINCT FROM old.price', previous => '{price}',
    topic => :'topic_prefix' || 'northwind.products');
SELECT outbox.create_event_type('ProductDiscontinued', contract => 'product', emit => 'changed',
    condition => 'NOT old.discontinued AND new.discontinued',
    topic => :'topic_prefix' || 'northwind.products');
SELECT outbox.create_event_type('ProductRemoved', contract => 'product', emit => 'deleted',
    topic => :'topic_prefix' || 'northwind.products');

-- ---- stock -----------------------------------------------------------------------------------

-- The same table, another subject. A discontinued product has no stock row: its WHERE makes the
-- flag's change a "deleted", whatever the application did to the table.
CREATE VIEW canonical.stock_v1 AS
SELECT product_id::integer      AS product_id,
       units_in_stock::integer  AS on_hand,
       units_on_order::integer  AS on_order,
       reorder_level::integer   AS reorder_level
FROM products
WHERE discontinued = 0;
COMMENT ON VIEW canonical.stock_v1 IS 'What the warehouse has of a product that is still sold';

SELECT outbox.create_contract('stock', view => 'canonical.stock_v1', source => 'products',
    key => '{product_id}', required => '{product_id,on_hand}');
SELECT outbox.create_event_type('StockOpened', contract => 'stock', emit => 'created',
    topic => :'topic_prefix' || 'northwind.stock');
SELECT outbox.create_event_type('StockChanged', contract => 'stock', emit => 'changed',
    condition => 'new.on_hand IS DISTINCT FROM old.on_hand', previous => '{on_hand}',
    topic => :'topic_prefix' || 'northwind.stock');
SELECT outbox.create_event_type('StockRanLow', contract => 'stock', emit => 'changed',
    condition => 'old.on_hand > old.reorder_level AND new.on_hand <= new.reorder_level',
    topic => :'topic_prefix' || 'northwind.stock');
SELECT outbox.create_event_type('StockClosed', contract => 'stock', emit => 'deleted',
    topic => :'topic_prefix' || 'northwind.stock');

-- ---- order -----------------------------------------------------------------------------------

-- An order is the row of orders and its lines: a contract over two tables. It is read when the
-- transaction commits, so that the order is whole, however many statements wrote it. The rows of
-- this view become the items of the order.
CREATE VIEW canonical.order_line AS
SELECT order_id,
       product_id,
       round(unit_price::float8::numeric, 2)::numeric(10,2) AS unit_price,
       quantity,
       round(discount::float8::numeric, 2)::numeric(3,2)    AS discount
FROM order_details;
COMMENT ON COLUMN canonical.order_line.discount IS 'Part of the price: 0.05 is five percent';

CREATE VIEW canonical.order_v1 AS
SELECT o.order_id,
       o.customer_id,
       o.order_date,
       o.shipped_date,
       CASE WHEN o.canceled <> 0 THEN 'CANCELLED'
            WHEN o.shipped_date IS NOT NULL THEN 'SHIPPED'
            ELSE 'PLACED' END                             AS status,
       o.ship_country                                     AS country,
       coalesce(l.items, '{}')                            AS items,
       coalesce(l.total, 0)::numeric(12,2)                AS total
FROM orders o LEFT JOIN LATERAL (
    SELECT array_agg(x ORDER BY x.product_id) AS items,
           round(sum(x.unit_price * x.quantity * (1 - x.discount)), 2) AS total
    FROM canonical.order_line x WHERE x.order_id = o.order_id) l ON true;
COMMENT ON VIEW canonical.order_v1 IS 'What a customer ordered, with all its lines';
COMMENT ON COLUMN canonical.order_v1.total IS 'US dollars, discounts taken off, without freight';

SELECT outbox.create_contract('order', view => 'canonical.order_v1', source => 'orders', key => '{order_id}',
    required => '{order_id,customer_id,order_date,status,items,total,items.product_id,items.unit_price,items.quantity}');
SELECT outbox.add_source('order', 'order_details', key_query => 'row.order_id');    -- a line touches its order
SELECT outbox.create_event_type('OrderPlaced', contract => 'order', emit => 'created',
    topic => :'topic_prefix' || 'northwind.orders');
SELECT outbox.add_check('OrderPlaced', 'has_lines', 'total > 0');
SELECT outbox.create_event_type('OrderLinesChanged', contract => 'order', emit => 'changed',
    condition => 'new.items IS DISTINCT FROM old.items', previous => '{total}',
    topic => :'topic_prefix' || 'northwind.orders');
SELECT outbox.create_event_type('OrderShipped', contract => 'order', emit => 'changed',
    condition => $$old.status <> 'SHIPPED' AND new.status = 'SHIPPED'$$,
    topic => :'topic_prefix' || 'northwind.orders');
SELECT outbox.create_event_type('OrderCancelled', contract => 'order', emit => 'changed',
    condition => $$old.status <> 'CANCELLED' AND new.status = 'CANCELLED'$$, previous => '{status}',
    topic => :'topic_prefix' || 'northwind.orders');
SELECT outbox.create_event_type('OrderDeleted', contract => 'order', emit => 'deleted',
    topic => :'topic_prefix' || 'northwind.orders');

SELECT outbox.enable('customer');
SELECT outbox.enable('product');
SELECT outbox.enable('stock');
SELECT outbox.enable('order');

COMMIT;
