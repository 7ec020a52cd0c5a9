-- An excerpt of Pagila as legacy tables; see ATTRIBUTION.md
CREATE TYPE mpaa_rating AS ENUM ('G', 'PG', 'PG-13', 'R', 'NC-17');
CREATE DOMAIN year AS integer CONSTRAINT year_check CHECK (VALUE >= 1901 AND VALUE <= 2155);
CREATE TABLE actor (actor_id integer PRIMARY KEY, first_name text NOT NULL, last_name text NOT NULL, last_update timestamptz NOT NULL);
CREATE TABLE country (country_id integer PRIMARY KEY, country text NOT NULL, last_update timestamptz NOT NULL);
CREATE TABLE city (city_id integer PRIMARY KEY, city text NOT NULL, country_id integer NOT NULL REFERENCES country, last_update timestamptz NOT NULL);
CREATE TABLE address (address_id integer PRIMARY KEY, address text NOT NULL, address2 text, district text NOT NULL, city_id integer NOT NULL REFERENCES city,
    postal_code text, phone text NOT NULL, last_update timestamptz NOT NULL);
CREATE TABLE customer (customer_id integer PRIMARY KEY, store_id integer NOT NULL, first_name text NOT NULL, last_name text NOT NULL, email text,
    address_id integer NOT NULL REFERENCES address, activebool boolean NOT NULL, create_date date NOT NULL, last_update timestamptz, active integer);
CREATE TABLE language (language_id integer PRIMARY KEY, name char(20) NOT NULL, last_update timestamptz NOT NULL);
CREATE TABLE film (film_id integer PRIMARY KEY, title text NOT NULL, description text, release_year year, language_id integer NOT NULL REFERENCES language,
    original_language_id integer REFERENCES language, rental_duration smallint NOT NULL, rental_rate numeric(4,2) NOT NULL, length smallint,
    replacement_cost numeric(5,2) NOT NULL, rating mpaa_rating, last_update timestamptz NOT NULL, special_features text[]);
CREATE TABLE film_actor (actor_id integer NOT NULL REFERENCES actor, film_id integer NOT NULL REFERENCES film, last_update timestamptz NOT NULL, PRIMARY KEY (actor_id, film_id));
CREATE INDEX ON film_actor (film_id);
CREATE INDEX ON customer (address_id);
CREATE INDEX ON address (city_id);
CREATE INDEX ON city (country_id);
CREATE INDEX ON film (language_id);
