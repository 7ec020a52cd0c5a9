-- What an operator does with the dead letters of 03_writes.sql, after the rows were put right.
SET client_min_messages = warning;

-- Product 80 gets its number; the stock record was never announced, and is now, marked as redriven.
UPDATE products SET units_in_stock = 0 WHERE product_id = 80;
SELECT outbox.redrive(contract => 'stock');

-- Product 78 has its price by now, but was never listed.
SELECT outbox.redrive(id) FROM outbox.dead_letter WHERE state = 'open' AND key ->> 'product_id' = '78';

-- Order 11081 was written without lines, which came later: it is announced now.
SELECT outbox.redrive(contract => 'order');

-- The customer and product 9 were corrected by their owners, and the corrections are published: nothing is missing.
SELECT outbox.discard(id, 'corrected in the table, and the correction was published')
FROM outbox.dead_letter
WHERE state = 'open' AND (key ->> 'customer_id' = 'WOLZA' OR key ->> 'product_id' = '9');

-- Product 79 was never announced and is gone; what is left open asks for somebody's decision.
