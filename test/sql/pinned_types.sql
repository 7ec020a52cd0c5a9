-- Types that get labels and attributes after a schema was pinned: only the rows that have one of these labels pay for it.
SET outbox.ddl_check = off; -- what it refuses must stay safe all the same
SET client_min_messages = warning;
CREATE SCHEMA pin;
SET search_path = pin, public;
CREATE TYPE colour AS ENUM ('red', 'green', 'blue');
CREATE DOMAIN paint AS colour;
CREATE TYPE part AS (tint colour, n int);
CREATE TYPE thing AS (main part, others part[], tints colour[]);
CREATE TABLE by_row (id int PRIMARY KEY, c colour, p paint, a colour[], n colour);
CREATE TABLE by_commit (LIKE by_row INCLUDING ALL);
CREATE VIEW row_v AS
SELECT id, c, p, a, ROW(ROW(n, id)::part, ARRAY[ROW(n, id)::part], ARRAY[n])::thing AS t FROM by_row;
CREATE VIEW commit_v AS
SELECT id, c, p, a, ROW(ROW(n, id)::part, ARRAY[ROW(n, id)::part], ARRAY[n])::thing AS t FROM by_commit;
SELECT outbox.create_contract('pin_' || e, view => e || '_v', source => 'by_' || e, key => '{id}', evaluate => e)
FROM unnest('{row,commit}'::text[]) e;
SELECT outbox.create_event_type('Pin_' || e || '_' || emit, contract => 'pin_' || e, emit => emit)
FROM unnest('{row,commit}'::text[]) e, unnest('{created,changed}'::text[]) emit;
SELECT outbox.enable('pin_' || e) FROM unnest('{row,commit}'::text[]) e;
-- one row in both tables; all five places of the labels
CREATE PROCEDURE put(i int, c text = 'red', p text = 'red', a text = 'red', n text = 'red') LANGUAGE plpgsql AS $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY '{by_row,by_commit}'::text[] LOOP
        EXECUTE format('INSERT INTO pin.%I VALUES ($1, $2::pin.colour, $3::pin.colour, ARRAY[$4::pin.colour], $5::pin.colour)', t)
            USING i, c, p, a, n;
    END LOOP;
END $$;
CREATE FUNCTION events(first int, OUT id int, OUT types text, OUT same bool, OUT payload jsonb) RETURNS SETOF record LANGUAGE sql AS $$
SELECT (e.payload ->> 'id')::int, string_agg(e.type, ', ' ORDER BY e.type),
       count(DISTINCT e.payload) = 1 AND count(*) = 2, min(e.payload::text)::jsonb
FROM outbox.event_json e WHERE e.contract LIKE 'pin!_%' ESCAPE '!' AND (e.payload ->> 'id')::int >= first
GROUP BY 1, split_part(e.type, '_', 3) ORDER BY 1, min(e.seq) $$;
CALL put(1);

\echo a label that is no name in Avro is the trouble of the rows that have it
ALTER TYPE colour ADD VALUE 'sky blue';
CALL put(10);
CALL put(11, c => 'sky blue');
CALL put(12, p => 'sky blue');
CALL put(13, a => 'sky blue');
CALL put(14, n => 'sky blue');
CALL put(15, c => 'green', p => 'blue', a => 'green', n => 'blue');
SELECT * FROM events(10);
SELECT contract, event_type, key, stage, message, detail FROM outbox.dead_letter WHERE contract LIKE 'pin%' ORDER BY key, contract DESC;

\echo a row that gets another label is a changed row
UPDATE by_row SET c = 'blue' WHERE id = 11;
UPDATE by_commit SET c = 'blue' WHERE id = 11;
SELECT * FROM events(11) WHERE id = 11;

\echo so is a label that was renamed
ALTER TYPE colour RENAME VALUE 'green' TO 'light-green';
CALL put(20);
CALL put(21, c => 'light-green');
SELECT * FROM events(20);
SELECT contract, stage, message, detail FROM outbox.dead_letter WHERE contract LIKE 'pin%' AND key @> '{"id": 21}' ORDER BY contract DESC;

\echo attributes that the schema does not have are not published, whatever they are called and hold
ALTER TYPE part ADD ATTRIBUTE price money, ADD ATTRIBUTE "a name" int, ADD ATTRIBUTE at timestamp;
CALL put(30);
ALTER TYPE part RENAME TO "some part";
ALTER TYPE colour RENAME TO "some colour";
ALTER TYPE "some colour" RENAME TO colour2;
ALTER TYPE "some part" ADD ATTRIBUTE total numeric;
INSERT INTO by_row VALUES (31, 'red', 'red', '{red}', 'red');
INSERT INTO by_commit SELECT * FROM by_row WHERE id = 31;
SELECT * FROM events(30);

\echo an attribute of the schema that has a type without an Avro type is trouble of every row, and so is one that is missing
ALTER TYPE "some part" RENAME ATTRIBUTE n TO m;
ALTER TYPE "some part" RENAME ATTRIBUTE price TO n;
INSERT INTO by_row VALUES (40, 'red', 'red', '{red}', 'red');
INSERT INTO by_commit SELECT * FROM by_row WHERE id = 40;
ALTER TYPE "some part" RENAME ATTRIBUTE n TO price;
INSERT INTO by_row VALUES (41, 'red', 'red', '{red}', 'red');
INSERT INTO by_commit SELECT * FROM by_row WHERE id = 41;
ALTER TYPE "some part" RENAME ATTRIBUTE m TO n;
INSERT INTO by_row VALUES (42, 'red', 'red', '{red}', 'red');
INSERT INTO by_commit SELECT * FROM by_row WHERE id = 42;
SELECT * FROM events(40);
SELECT contract, key, stage, message, detail FROM outbox.dead_letter
WHERE contract LIKE 'pin%' AND (key ->> 'id')::int >= 40 ORDER BY key, contract DESC;

\echo a schema that is not pinned yet must do without them
SELECT outbox.create_event_type('Pin_late', contract => 'pin_row', emit => 'deleted');

SELECT outbox.drop_contract('pin_' || e) FROM unnest('{row,commit}'::text[]) e;
DELETE FROM outbox.dead_letter_entry WHERE contract LIKE 'pin%';
DROP SCHEMA pin CASCADE;
