-- Functions behind views that write to sources of contracts are evaluated within each other a few times only, and the write goes on.
SET client_min_messages = warning;
CREATE SCHEMA nested;
CREATE TABLE nested.item (id bigint PRIMARY KEY, what text);
CREATE TABLE nested.other (id bigint PRIMARY KEY, what text);
CREATE FUNCTION nested.write(item bigint, what text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    CASE what
        WHEN 'self' THEN INSERT INTO nested.item VALUES (item + 1, what);
        WHEN 'two' THEN INSERT INTO nested.item VALUES (2 * item, what), (2 * item + 1, what);
        WHEN 'same' THEN UPDATE nested.item i SET what = i.what WHERE id = item;
        WHEN 'ping' THEN INSERT INTO nested.other VALUES (item + 1, 'pong');
        WHEN 'pong' THEN INSERT INTO nested.item VALUES (item + 1, 'ping');
        WHEN 'caught' THEN BEGIN INSERT INTO nested.item VALUES (item + 1, what); EXCEPTION WHEN others THEN NULL; END;
        WHEN 'once' THEN INSERT INTO nested.item VALUES (item + 1, 'plain');
        ELSE NULL;
    END CASE;
END $$;
CREATE FUNCTION nested.read(item bigint, what text) RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
    PERFORM nested.write(item, what);
    RETURN what;
END $$;
CREATE VIEW nested.item_v AS SELECT id, nested.read(id, what) AS what FROM nested.item;
CREATE VIEW nested.other_v AS SELECT id, nested.read(id, what) AS what FROM nested.other;
SELECT outbox.create_contract('nested_item', view => 'nested.item_v', source => 'nested.item', key => '{id}');
SELECT outbox.create_contract('nested_other', view => 'nested.other_v', source => 'nested.other', key => '{id}');
SELECT outbox.create_event_type('NestedItem', contract => 'nested_item', emit => 'always');
SELECT outbox.create_event_type('NestedOther', contract => 'nested_other', emit => 'always');
SELECT outbox.enable('nested_item'), outbox.enable('nested_other');

-- much longer than this takes, and much shorter than it would take without an end
SET statement_timeout = '60s';
INSERT INTO nested.item VALUES (1000, 'plain'), (2000, 'self');
INSERT INTO nested.item VALUES (1, 'two');
INSERT INTO nested.item VALUES (4000, 'same');
UPDATE nested.item SET what = 'same' WHERE id = 4000;
INSERT INTO nested.item VALUES (5000, 'ping');
INSERT INTO nested.item VALUES (6000, 'caught');
\echo one level is nothing special
INSERT INTO nested.item VALUES (7000, 'once');
SELECT DISTINCT contract, (key ->> 'id')::bigint AS id, sqlstate, message FROM outbox.dead_letter WHERE contract LIKE 'nested%' AND (key ->> 'id')::bigint >= 2000 ORDER BY 1, 2;
SELECT count(*) > 0 AS letters, count(DISTINCT message) FROM outbox.dead_letter WHERE contract LIKE 'nested%' AND (key ->> 'id')::bigint < 1000;
SELECT detail, hint FROM outbox.dead_letter WHERE contract LIKE 'nested%' AND (key ->> 'id')::bigint BETWEEN 2000 AND 2010;
SELECT count(*) < 100 AS few FROM outbox.dead_letter WHERE contract LIKE 'nested%';
SELECT id, what FROM nested.item WHERE id >= 1000 ORDER BY id;
SELECT count(*) FROM nested.other;

\echo after that the contract works as before
INSERT INTO nested.item VALUES (8000, 'plain');
SELECT aggregateid, payload ->> 'what' AS what FROM outbox.event_json WHERE contract LIKE 'nested%' AND aggregateid IN ('1000', '7000', '7001', '8000') ORDER BY seq;

RESET statement_timeout;
SELECT outbox.drop_contract('nested_item'), outbox.drop_contract('nested_other');
DROP SCHEMA nested CASCADE;
