-- Code behind a contract reads, moves and closes no cursor of the writer, and leaves none behind.
SET client_min_messages = warning;
CREATE ROLE ec_view;
CREATE SCHEMA ec;
GRANT USAGE, CREATE ON SCHEMA ec TO ec_view;
CREATE TABLE ec.item (id int PRIMARY KEY, op text);
CREATE TABLE ec.todo (id int, secret text);
INSERT INTO ec.todo SELECT n, 's' || n FROM generate_series(1, 30) n;
GRANT SELECT ON ec.item TO ec_view;
SET ROLE ec_view;
CREATE FUNCTION ec.f(op text) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
	c refcursor;
	r record;
	said text := '';
BEGIN
	FOREACH c IN ARRAY '{cur,held}'::text[] LOOP
		BEGIN
			CASE op
				WHEN 'fetch' THEN FETCH c INTO r;
				WHEN 'move' THEN MOVE LAST IN c;
				WHEN 'close' THEN CLOSE c;
				WHEN 'open' THEN OPEN c FOR SELECT 1;
				WHEN 'xml' THEN PERFORM cursor_to_xml(c, 1, true, true, '');
				WHEN 'columns' THEN PERFORM cursor_to_xmlschema(c, true, true, '');
				ELSE CONTINUE;
			END CASE;
			said := said || c::text || ' ok; ';
		EXCEPTION WHEN others THEN
			IF sqlstate <> '34000' THEN said := said || c::text || ' ' || sqlstate || '; '; END IF;
		END;
	END LOOP;
	IF op = 'leave' THEN
		c := 'report';
		OPEN c FOR SELECT 'forged';
		c := NULL;
		OPEN c FOR SELECT 1;
		-- its own are its own
		FETCH c INTO r;
	END IF;
	IF op = 'fail' THEN RAISE 'no'; END IF;
	RETURN said;
END $$;
CREATE VIEW ec.item_v AS SELECT id, ec.f(op) AS said FROM ec.item;
RESET ROLE;
SELECT outbox.create_contract('ec_row', view => 'ec.item_v', source => 'ec.item', key => '{id}');
SELECT outbox.create_contract('ec_commit', view => 'ec.item_v', source => 'ec.item', key => '{id}', evaluate => 'commit');
SELECT outbox.create_event_type('EcRow', contract => 'ec_row', emit => 'always');
SELECT outbox.create_event_type('EcCommit', contract => 'ec_commit', emit => 'always');
SELECT outbox.enable('ec_row');
SELECT outbox.enable('ec_commit');

BEGIN;
DECLARE held CURSOR WITH HOLD FOR SELECT id FROM ec.todo ORDER BY id;
COMMIT;
FETCH 1 FROM held;
BEGIN;
DECLARE cur SCROLL CURSOR FOR SELECT id FROM ec.todo ORDER BY id;
FETCH 1 FROM cur;
INSERT INTO ec.item SELECT n, op FROM unnest('{fetch,move,close,open,xml,columns,leave,fail}'::text[]) WITH ORDINALITY u (op, n);
FETCH 1 FROM cur;
FETCH 1 FROM held;
SAVEPOINT s;
FETCH 1 FROM cur;
INSERT INTO ec.item VALUES (20, 'fetch'), (21, 'fail');
FETCH 1 FROM cur;
SELECT 1 / 0;
ROLLBACK TO s;
FETCH 1 FROM cur;
SELECT name FROM pg_cursors ORDER BY name;
DECLARE report CURSOR FOR SELECT 'true' AS said;
FETCH 1 FROM report;
COMMIT;
SELECT name FROM pg_cursors;
FETCH 1 FROM held;
-- every row of a loop
DO $$
DECLARE
	cur CURSOR FOR SELECT id FROM ec.todo ORDER BY id;
BEGIN
	cur := 'cur';
	FOR r IN cur LOOP
		INSERT INTO ec.item VALUES (100 + r.id, ('{fetch,close,move,leave}'::text[])[1 + r.id % 4]);
	END LOOP;
END $$;
SELECT count(*) FROM ec.item WHERE id > 100;
CLOSE held;
-- an error that nobody catches, with cursors
BEGIN;
DECLARE cur CURSOR FOR SELECT id FROM ec.todo ORDER BY id;
SAVEPOINT s;
FETCH 1 FROM cur;
SELECT outbox.create_event_type('EcBad', contract => 'ec_row', emit => 'always', condition => 'ec.f(''fail'') IS NULL AND ec.nothing()');
ROLLBACK TO s;
FETCH 1 FROM cur;
SELECT outbox.create_event_type('EcBad', contract => 'ec_row', emit => 'always', condition => 'ec.f(''fail'') IS NULL AND ec.nothing()');
COMMIT;

SELECT type, aggregateid, payload ->> 'said' AS said FROM outbox.event_json WHERE type LIKE 'Ec%' AND aggregateid::int < 100 ORDER BY type DESC, seq;
SELECT DISTINCT payload ->> 'said' AS said FROM outbox.event_json WHERE type = 'EcRow' AND aggregateid::int > 100 ORDER BY 1;
SELECT contract, key, sqlstate, message FROM outbox.dead_letter WHERE contract LIKE 'ec\_%' ORDER BY id;

SELECT outbox.drop_contract('ec_row');
SELECT outbox.drop_contract('ec_commit');
DELETE FROM outbox_internal.dead_letter_entry WHERE contract LIKE 'ec\_%';
DROP SCHEMA ec CASCADE;
DROP ROLE ec_view;
