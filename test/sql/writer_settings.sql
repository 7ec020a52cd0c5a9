-- The same row gives the same bytes and the same key in every session, and capture says nothing to it.
SET outbox.ddl_check = off; -- what it refuses must stay safe all the same
SET client_min_messages = warning;
CREATE SCHEMA st;
SET search_path = st, public;
CREATE FUNCTION noisy(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RAISE WARNING 'heard by nobody';
    RETURN $1;
END $$;
CREATE TABLE odd (code char(5) NOT NULL, f float8 NOT NULL, i interval, b bytea, n int, UNIQUE (code, f));
CREATE VIEW odd_v AS SELECT code, f, f::text AS f_text, i::text AS i_text, b::text AS b_text FROM odd;
CREATE VIEW noisy_v AS SELECT code, f, noisy(n) AS n FROM odd;
SELECT outbox.create_contract('st_odd', view => 'odd_v', source => 'odd', key => '{code,f}');
SELECT outbox.create_event_type('StOdd', contract => 'st_odd', emit => 'created');
SELECT outbox.enable('st_odd');
SELECT outbox.create_contract('st_noisy', view => 'noisy_v', source => 'odd', key => '{code,f}');
SELECT outbox.create_event_type('StNoisy', contract => 'st_noisy', emit => 'created');
SELECT outbox.enable('st_noisy');

INSERT INTO odd VALUES ('a,b', 1.0 / 3, '1 day 02:03', '\x00ff', 1);
BEGIN;
SET LOCAL extra_float_digits = -10;
SET LOCAL IntervalStyle = 'postgres_verbose';
SET LOCAL bytea_output = 'escape';
DELETE FROM odd;
INSERT INTO odd VALUES ('a,b', 1.0 / 3, '1 day 02:03', '\x00ff', 1);
COMMIT;
SELECT aggregateid, payload - 'f' AS payload FROM outbox.event_json WHERE contract = 'st_odd' ORDER BY seq;
SELECT count(*), count(DISTINCT aggregateid) FROM outbox.event_json WHERE contract = 'st_noisy';

\echo a function that became volatile after the contract was created is not called any more
CREATE OR REPLACE FUNCTION noisy(int) RETURNS int LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    INSERT INTO st.odd VALUES ('again', $1 + 1, NULL, NULL, $1 + 1);
    RETURN $1;
END $$;
INSERT INTO odd VALUES ('c', 1, NULL, NULL, 2);
SELECT count(*) FROM odd;
SELECT emit, source_columns, message FROM outbox.dead_letter WHERE contract = 'st_noisy';

SELECT outbox.drop_contract(name) FROM outbox.contract WHERE name LIKE 'st_%';
DELETE FROM outbox.dead_letter_entry WHERE contract LIKE 'st_%';
DROP SCHEMA st CASCADE;
