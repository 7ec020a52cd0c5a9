-- Changes of every kind of event type.
UPDATE film SET rating = 'R', rental_rate = rental_rate + 1 WHERE film_id % 3 = 0;
UPDATE film SET description = NULL, rating = NULL, special_features = '{}', length = NULL WHERE film_id = 7;
DELETE FROM film_actor WHERE film_id < 20;
DELETE FROM film WHERE film_id < 20;
UPDATE customer SET store_id = 3 - store_id WHERE customer_id % 5 = 0;
UPDATE country SET country = upper(country) WHERE country_id % 10 = 0;
UPDATE actor SET last_name = 'Ü "x" \ ' || chr(1) WHERE actor_id = 1;
