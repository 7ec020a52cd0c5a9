-- The legacy application at work, in the SQL it always used. Run it from this directory.
-- It knows nothing of events, some of its rows are bad, and none of its statements may fail
-- because of that.

-- The real rows, in one load. An order and its lines are one event, because they are one transaction.
BEGIN;
\copy categories FROM 'data/categories.csv' (FORMAT csv, HEADER)
\copy suppliers FROM 'data/suppliers.csv' (FORMAT csv, HEADER)
\copy customers FROM 'data/customers.csv' (FORMAT csv, HEADER)
\copy products FROM 'data/products.csv' (FORMAT csv, HEADER)
\copy orders (order_id, customer_id, employee_id, order_date, required_date, shipped_date, ship_via, freight, ship_name, ship_address, ship_city, ship_region, ship_postal_code, ship_country) FROM 'data/orders.csv' (FORMAT csv, HEADER)
\copy order_details FROM 'data/order_details.csv' (FORMAT csv, HEADER)
COMMIT;

-- The warehouse job: day by day what was ordered leaves the shelf, and what ran low is restocked.
DO $$
DECLARE
    day date;
BEGIN
    FOR day IN SELECT DISTINCT order_date FROM orders ORDER BY 1 LOOP
        UPDATE products p
        SET units_in_stock = greatest(p.units_in_stock - s.quantity, 0)
        FROM (SELECT d.product_id, sum(d.quantity) AS quantity
              FROM orders o JOIN order_details d USING (order_id)
              WHERE o.order_date = day GROUP BY 1) s
        WHERE p.product_id = s.product_id;

        UPDATE products SET units_in_stock = units_in_stock + 120
        WHERE units_in_stock <= reorder_level AND discontinued = 0;
        COMMIT;
    END LOOP;
END
$$;

-- New prices for two categories; then the office writes all of them again, unchanged.
UPDATE products SET unit_price = unit_price * 1.05 WHERE category_id IN (1, 8);
UPDATE products SET unit_price = unit_price, product_name = product_name;

-- Customers move; touched rows and columns outside the contract are no news.
UPDATE customers SET city = 'Bergamo', postal_code = '24122' WHERE customer_id = 'MAGAA';
UPDATE customers SET contact_name = 'Martina Sommer', contact_title = 'Owner' WHERE customer_id = 'BLONP';
UPDATE customers SET fax = NULL;
UPDATE customers SET phone = phone;

-- An import repeats itself.
INSERT INTO customers (customer_id, company_name, contact_name, city, country)
VALUES ('ALFKI', 'Alfreds Futterkiste', 'Maria Anders', 'Berlin', 'Germany'),
       ('ZUERI', 'Zürcher Käsekeller', 'Jörg Übelhör', 'Zürich', 'Switzerland')
ON CONFLICT (customer_id) DO UPDATE SET company_name = excluded.company_name;

-- Orders: two are placed, with their lines.
BEGIN;
INSERT INTO orders (order_id, customer_id, employee_id, order_date, required_date, ship_via, freight, ship_name, ship_country)
VALUES (11078, 'BLONP', 4, '1998-05-07', '1998-06-04', 2, 12.75, 'Blondel père et fils', 'France');
INSERT INTO order_details VALUES (11078, 1, 18, 10, 0), (11078, 41, 9.65, 20, 0.05), (11078, 62, 49.3, 4, 0);
INSERT INTO orders (order_id, customer_id, employee_id, order_date, required_date, ship_via, freight, ship_name, ship_country)
VALUES (11079, 'MAGAA', 1, '1998-05-07', '1998-06-04', 1, 3.5, 'Magazzini Alimentari Riuniti', 'Italy');
INSERT INTO order_details VALUES (11079, 28, 45.6, 6, 0);
COMMIT;

-- The order form deletes all lines and writes them again: with another quantity (that is the change),
-- and once more as they were (nobody needs to know).
BEGIN;
DELETE FROM order_details WHERE order_id = 11078;
INSERT INTO order_details VALUES (11078, 1, 18, 12, 0), (11078, 41, 9.65, 20, 0.05), (11078, 62, 49.3, 4, 0);
COMMIT;
BEGIN;
DELETE FROM order_details WHERE order_id = 11078;
INSERT INTO order_details VALUES (11078, 62, 49.3, 4, 0), (11078, 41, 9.65, 20, 0.05), (11078, 1, 18, 12, 0);
COMMIT;

-- One is shipped, one cancelled, one was a mistake and goes with all its lines; freight is no news.
UPDATE orders SET shipped_date = '1998-05-12', freight = 13.1 WHERE order_id = 11078;
UPDATE orders SET canceled = 1 WHERE order_id = 11079;
UPDATE orders SET freight = freight + 1 WHERE shipped_date IS NULL;
BEGIN;
DELETE FROM order_details WHERE order_id = 11077;
DELETE FROM orders WHERE order_id = 11077;
COMMIT;

-- Two orders become one: a line moves, so both change.
UPDATE order_details SET order_id = 11076 WHERE order_id = 11075 AND product_id = 76;

-- Something that is rolled back never happened.
BEGIN;
INSERT INTO orders (order_id, customer_id, order_date) VALUES (11080, 'BLONP', '1998-05-08');
INSERT INTO order_details VALUES (11080, 1, 18, 1, 0);
ROLLBACK;
BEGIN;
DELETE FROM customers WHERE customer_id = 'FISSA';
SAVEPOINT a;
UPDATE customers SET city = 'Nowhere';
ROLLBACK TO a;
ROLLBACK;

-- Products leave the catalogue, customers without orders are cleaned up.
UPDATE products SET discontinued = 1 WHERE product_id IN (6, 21);
DELETE FROM customers WHERE customer_id IN ('FISSA', 'PARIS');

-- Bad rows, as every old table has them: no price, no number, no country, a price with slipped keys.
INSERT INTO products VALUES (78, 'Bolle di Natale', 26, 3, '12 boxes', NULL, 10, 0, 5, 0);
INSERT INTO products VALUES (79, 'Fromage de minuit', 28, 4, '5 kg pkg.', 'NaN', 4, 0, 2, 0);
INSERT INTO products VALUES (80, 'Sültze', 12, 6, '24 tins', 14.5, NULL, 0, 5, 0);
UPDATE products SET unit_price = 1e12 WHERE product_id = 9;
UPDATE customers SET country = NULL WHERE customer_id = 'WOLZA';
INSERT INTO orders (order_id, customer_id, order_date, ship_country) VALUES (11081, 'ZUERI', '1998-05-08', 'Switzerland');

-- Some of it is put right.
UPDATE products SET unit_price = 12.75 WHERE product_id = 78;
UPDATE products SET unit_price = 97 WHERE product_id = 9;
UPDATE customers SET country = 'Poland' WHERE customer_id = 'WOLZA';
DELETE FROM products WHERE product_id = 79;
INSERT INTO order_details VALUES (11081, 11, 21, 5, 0);
