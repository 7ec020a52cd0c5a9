-- Message keys that are other columns than the contract's key, per row and at commit: which one an event has, and when there is none.
SET client_min_messages = warning;
CREATE SCHEMA ag;
SET search_path = ag, public;
CREATE TABLE line_of_row (
    ordr_no int, ln_no int, shop varchar(20), seller text COLLATE "C", day date, qty int, PRIMARY KEY (ordr_no, ln_no));
CREATE TABLE line_of_commit (LIKE line_of_row INCLUDING ALL);
CREATE VIEW line_row AS SELECT ordr_no, ln_no, shop, seller, day, qty FROM line_of_row;
CREATE VIEW line_commit AS SELECT ordr_no, ln_no, shop, seller, day, qty FROM line_of_commit;
-- one: a single column that is part of the key; two: columns that are none of it
SELECT outbox.create_contract('ag_' || n || '_' || e, view => 'line_' || e, source => 'line_of_' || e, key => '{ordr_no,ln_no}',
                              aggregate_id => CASE n WHEN 'one' THEN '{ordr_no}' ELSE '{shop,seller,day}' END::text[], evaluate => e)
FROM unnest('{one,two}'::text[]) n, unnest('{row,commit}'::text[]) e;
SELECT outbox.create_event_type('Ag_' || n || '_' || emit || '_' || e, contract => 'ag_' || n || '_' || e, emit => emit,
                                previous => CASE emit WHEN 'changed' THEN '{shop}'::text[] END, topic => 'lines')
FROM unnest('{one,two}'::text[]) n, unnest('{row,commit}'::text[]) e, unnest('{created,changed,deleted}'::text[]) emit;
SELECT outbox.enable('ag_' || n || '_' || e) FROM unnest('{one,two}'::text[]) n, unnest('{row,commit}'::text[]) e;
SELECT name, key, aggregate_id, required FROM outbox.contract WHERE name LIKE 'ag!_%row' ESCAPE '!' ORDER BY name;

-- The same statement on both tables; and what is new, which must be the same in both.
CREATE PROCEDURE run(statement text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE replace(statement, 'LINE', 'ag.line_of_row');
    EXECUTE replace(statement, 'LINE', 'ag.line_of_commit');
END $$;
CREATE SEQUENCE shown MINVALUE 0 START 0;
SELECT nextval('shown');
CREATE FUNCTION news(OUT type text, OUT message_key text, OUT row_key text, OUT payload jsonb, OUT times bigint) RETURNS SETOF record LANGUAGE plpgsql AS $$
DECLARE
    last bigint := coalesce((SELECT max(seq) FROM outbox.event), 0);
BEGIN
    RETURN QUERY SELECT substring(e.type, 'Ag_(.*)_') AS t, e.aggregateid, concat_ws('/', e.payload ->> 'ordr_no', e.payload ->> 'ln_no'),
                        e.payload - '{ordr_no,ln_no}'::text[], count(*)
    FROM outbox.event_json e WHERE e.contract LIKE 'ag!_%' ESCAPE '!' AND e.seq > (SELECT last_value FROM ag.shown)
    GROUP BY 1, 2, 3, 4 ORDER BY min(e.seq) FILTER (WHERE e.contract LIKE '%row');
    PERFORM setval('ag.shown', last);
END $$;
CREATE FUNCTION letters(OUT type text, OUT emit text, OUT key jsonb, OUT stage text, OUT message text, OUT times bigint) RETURNS SETOF record LANGUAGE sql AS $$
    SELECT substring(event_type, 'Ag_(.*)_'), emit, key, stage, message, count(*) FROM outbox.dead_letter
    WHERE contract LIKE 'ag!_%' ESCAPE '!' GROUP BY 1, 2, 3, 4, 5 ORDER BY min(id) $$;
SET DateStyle = 'German';

\echo rows of one order share its message key; values are joined, commas and backslashes escaped
CALL run('INSERT INTO LINE VALUES (1, 1, ''a,b'', ''c\d'', ''2024-02-01'', 1), (1, 2, '''', '','', ''2024-02-01'', 2), (2, 1, ''\'', ''\,'', ''2024-02-01'', 3)');
SELECT * FROM news();
\echo what looks the same unescaped is not: "a,b" + "c" and "a" + "b,c"
CALL run('INSERT INTO LINE VALUES (3, 1, ''a,b'', ''c'', ''2024-02-01'', 1), (3, 2, ''a'', ''b,c'', ''2024-02-01'', 1)');
SELECT message_key, row_key, times FROM news() WHERE type LIKE 'two%';

\echo a changed message key: the change has the new one, and no event tells the old one
CALL run('UPDATE LINE SET shop = ''moved'' WHERE ordr_no = 1 AND ln_no = 1');
SELECT * FROM news();
\echo a changed key under the same message key: deleted and created, in this order
CALL run('UPDATE LINE SET ln_no = 9 WHERE ordr_no = 1 AND ln_no = 1');
SELECT type, message_key, row_key, times FROM news();
\echo both at once: the deleted row has the message key that it had
CALL run('UPDATE LINE SET ordr_no = 7, shop = ''again'' WHERE ordr_no = 1 AND ln_no = 9');
SELECT type, message_key, row_key, times FROM news();
CALL run('DELETE FROM LINE WHERE ordr_no = 7');
SELECT type, message_key, row_key, times FROM news();

\echo within a transaction, the last message key before and the last one after
BEGIN;
UPDATE line_of_commit SET shop = 'first' WHERE ordr_no = 2;
UPDATE line_of_commit SET shop = 'second' WHERE ordr_no = 2;
DELETE FROM line_of_commit WHERE ordr_no = 3 AND ln_no = 2;
COMMIT;
SELECT type, message_key, row_key, times FROM news() ORDER BY 1, 3;

\echo without a message key there is no event but a dead letter; the row before needs none, a deleted row does
CALL run('INSERT INTO LINE VALUES (4, 1, NULL, ''s'', ''2024-02-01'', 1)');
CALL run('UPDATE LINE SET shop = ''known'' WHERE ordr_no = 4');
CALL run('UPDATE LINE SET day = NULL WHERE ordr_no = 4');
CALL run('DELETE FROM LINE WHERE ordr_no = 4');
SELECT type, message_key, row_key, payload -> 'previous_shop' AS previous_shop, times FROM news();
SELECT * FROM letters();

\echo preview shows the message key; validate finds the rows without one
CALL run('INSERT INTO LINE VALUES (5, 1, ''shop'', NULL, ''2024-02-01'', 1)');
DELETE FROM line_of_row WHERE ordr_no < 5;
DELETE FROM line_of_commit WHERE ordr_no < 5;
INSERT INTO line_of_row VALUES (6, 1, 'a,b', 's', '2024-02-01', 1);
INSERT INTO line_of_commit SELECT * FROM line_of_row WHERE ordr_no = 6;
SELECT event_type, key, error FROM outbox.preview('ag_two_row', event_type => 'Ag_two_created_row')
UNION ALL SELECT event_type, key, error FROM outbox.preview('ag_two_commit', event_type => 'Ag_two_created_commit');
SELECT * FROM outbox.validate('ag_two_row') UNION ALL SELECT * FROM outbox.validate('ag_two_commit');

RESET DateStyle;
SELECT outbox.drop_contract('ag_' || n || '_' || e) FROM unnest('{one,two}'::text[]) n, unnest('{row,commit}'::text[]) e;
DELETE FROM outbox.dead_letter_entry WHERE contract LIKE 'ag!_%' ESCAPE '!';
DROP SCHEMA ag CASCADE;
