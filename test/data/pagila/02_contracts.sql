-- Contracts over Pagila: an enum, a list of texts, a domain, a code map, a join, rows in rows.
CREATE EXTENSION outbox_ext;
CREATE SCHEMA canonical;
SET outbox.namespace = 'pagila';
SELECT outbox.create_code_map('store', '{"1": "LETHBRIDGE", "2": "WOODRIDGE"}');

-- Avro allows no hyphen
CREATE TYPE canonical.rating AS ENUM ('G', 'PG', 'PG_13', 'R', 'NC_17');
CREATE VIEW canonical.film_v1 AS
SELECT film_id, title, description, release_year, rental_duration AS rental_days, rental_rate, length AS minutes, replacement_cost,
       replace(rating::text, '-', '_')::canonical.rating AS rating, last_update AS changed_at, special_features
FROM film;
COMMENT ON VIEW canonical.film_v1 IS 'A film that can be rented';

CREATE VIEW canonical.actor_v1 AS
SELECT actor_id, initcap(first_name || ' ' || last_name) AS name, last_update::date AS changed_on, last_update::time AS changed_at FROM actor;

CREATE VIEW canonical.role AS SELECT fa.film_id, f.title, replace(f.rating::text, '-', '_')::canonical.rating AS rating, fa.actor_id FROM film_actor fa JOIN film f USING (film_id);
CREATE VIEW canonical.cast_v1 AS
SELECT a.actor_id, a.last_name, r.roles, cardinality(r.roles)::smallint AS films
FROM actor a LEFT JOIN LATERAL (SELECT array_agg(x ORDER BY x.film_id) AS roles FROM canonical.role x WHERE x.actor_id = a.actor_id) r ON true;

CREATE VIEW canonical.customer_v1 AS
SELECT c.customer_id, outbox.decode('store', c.store_id) AS store, c.first_name, c.last_name, c.email, c.active = 1 AS active,
       c.create_date AS since, a.address AS street, a.postal_code, t.city, n.country, hashtext(c.email)::float8 / 7 AS score,
       convert_to(c.last_name, 'UTF8') AS bytes, jsonb_build_object('phone', a.phone) AS extra
FROM customer c JOIN address a USING (address_id) JOIN city t USING (city_id) JOIN country n USING (country_id);

SELECT outbox.create_contract('film', view => 'canonical.film_v1', source => 'film', key => '{film_id}', required => '{title,rental_rate}');
SELECT outbox.create_event_type('FilmAdded', contract => 'film', emit => 'created');
SELECT outbox.create_event_type('FilmChanged', contract => 'film', emit => 'changed', previous => '{rating,rental_rate,special_features}');
SELECT outbox.create_event_type('FilmGone', contract => 'film', emit => 'deleted', tombstone => 'after');
SELECT outbox.create_contract('actor', view => 'canonical.actor_v1', source => 'actor', key => '{actor_id}', required => '{name}');
SELECT outbox.create_event_type('ActorSeen', contract => 'actor', emit => 'always');
SELECT outbox.create_contract('cast', view => 'canonical.cast_v1', source => 'actor', key => '{actor_id}');
SELECT outbox.add_source('cast', 'film_actor', key_query => 'row.actor_id');
SELECT outbox.add_source('cast', 'film', key_query => 'SELECT x.actor_id FROM public.film_actor x WHERE x.film_id = row.film_id');
SELECT outbox.create_event_type('CastChanged', contract => 'cast', emit => 'changed');
SELECT outbox.create_event_type('CastOpened', contract => 'cast', emit => 'created');
SELECT outbox.create_contract('customer', view => 'canonical.customer_v1', source => 'customer', key => '{customer_id}', required => '{store,active,country}');
SELECT outbox.add_source('customer', 'address', key_query => 'SELECT c.customer_id FROM public.customer c WHERE c.address_id = row.address_id');
SELECT outbox.add_source('customer', 'city', key_query => 'SELECT c.customer_id FROM public.customer c JOIN public.address a USING (address_id) WHERE a.city_id = row.city_id');
SELECT outbox.add_source('customer', 'country', key_query => 'SELECT c.customer_id FROM public.customer c JOIN public.address a USING (address_id) JOIN public.city t USING (city_id) WHERE t.country_id = row.country_id');
SELECT outbox.create_event_type('CustomerJoined', contract => 'customer', emit => 'created');
SELECT outbox.create_event_type('CustomerChanged', contract => 'customer', emit => 'changed', previous => '{store,city}');
SELECT outbox.enable(c) FROM unnest('{film,actor,cast,customer}'::text[]) c;
