-- Code maps and checks: canonical words, rules on published rows, and dead letters that name what is wrong.
SET client_min_messages = warning;
CREATE SCHEMA cc;
SET search_path = cc, public;
CREATE TABLE ordr (id int PRIMARY KEY, st char(1), prio int, amt int, ships date);
CREATE VIEW ordr_v AS
SELECT id AS order_id, outbox.decode('cc.st', st) AS status, outbox.decode('cc.prio', prio) AS priority, amt AS amount, ships AS ships_on FROM ordr;

\echo mistakes
SELECT outbox.create_code_map('cc.st', NULL);
SELECT outbox.create_code_map('cc.st', '["N"]');
SELECT outbox.create_code_map('cc.st', '{"N": 1}');
SELECT outbox.create_code_map('cc.st', '{}');
SELECT outbox.create_code_map('', '{"N": "PLACED"}');
SELECT outbox.drop_code_map('cc.st');
SELECT outbox.create_code_map('cc.st', '{"N": "PLACED", "S": "SHIPPED", "": "BLANK", "é": "NON-ASCII"}');
SELECT outbox.create_code_map('cc.st', '{"N": "PLACED"}');
SELECT outbox.create_code_map('cc.prio', '{"1": "HIGH", "-2": "LOW"}');
SELECT outbox.decode('cc.st', 'N'), outbox.decode('cc.st', ''), outbox.decode('cc.st', 'é'), outbox.decode('cc.st', 'n'), outbox.decode('cc.st', NULL),
       outbox.decode('cc.prio', -2), outbox.decode('cc.prio', 1::smallint), outbox.decode('nowhere', 'N');
SELECT outbox.create_contract('cc_ordr', view => 'ordr_v', source => 'ordr', key => '{order_id}', required => '{status}');
SELECT outbox.create_event_type('CcPlaced', contract => 'cc_ordr', emit => 'created');
SELECT outbox.create_event_type('CcChanged', contract => 'cc_ordr', emit => 'changed');
SELECT outbox.add_check('Nowhere', 'c', 'true');
SELECT outbox.add_check('CcPlaced', 'not a name', 'true');
SELECT outbox.add_check('CcPlaced', 'c', NULL);
SELECT outbox.add_check('CcPlaced', 'c', 'amount');
SELECT outbox.add_check('CcPlaced', 'c', 'colour > 1');
SELECT outbox.add_check('CcPlaced', 'c', 'amount > (SELECT 1)');
SELECT outbox.add_check('CcPlaced', 'c', 'random() > amount');
SELECT outbox.drop_check('CcPlaced', 'c');
SELECT outbox.add_check('CcPlaced', 'positive', 'amount > 0');
SELECT outbox.add_check('CcPlaced', 'positive', 'amount > 1');
SELECT outbox.add_check('CcPlaced', 'ships_later', 'ships_on > ''2000-01-01'' OR amount / (amount - 7) IS NULL');
SELECT outbox.add_check('CcChanged', 'never_less', 'new.amount >= old.amount AND amount = new.amount');
SELECT outbox.enable('cc_ordr');

INSERT INTO ordr VALUES (1, 'N', 1, 5, '2024-01-01'), (2, 'Q', 9, 5, NULL), (3, 'S', NULL, 0, NULL), (4, 'S', -2, NULL, NULL), (5, 'S', 1, 7, NULL);
UPDATE ordr SET amt = amt + 1 WHERE id = 1;
UPDATE ordr SET amt = amt - 2 WHERE id = 1;
SELECT type, aggregateid, payload FROM outbox.event_json WHERE contract = 'cc_ordr' ORDER BY seq;
SELECT key, event_type, stage, sqlstate, message, detail FROM outbox.dead_letter WHERE contract = 'cc_ordr' ORDER BY id;
SELECT key, hint FROM outbox.dead_letter WHERE contract = 'cc_ordr' AND stage = 'encode' ORDER BY id;

\echo a map is changed by drop and create in one transaction; other sessions see it at commit
BEGIN;
SELECT outbox.drop_code_map('cc.st');
SELECT outbox.create_code_map('cc.st', '{"Q": "QUEUED"}');
COMMIT;
INSERT INTO ordr VALUES (6, 'Q', NULL, 1, NULL);
BEGIN;
SELECT outbox.drop_code_map('cc.st');
INSERT INTO ordr VALUES (7, 'Q', NULL, 1, NULL);
ROLLBACK;
INSERT INTO ordr VALUES (8, 'Q', NULL, 1, NULL);
\echo a check is dropped
SELECT outbox.drop_check('CcPlaced', 'positive');
INSERT INTO ordr VALUES (9, 'Q', NULL, -1, NULL);
\echo a map that an enabled contract names cannot go: by the view, a view behind it, a condition, a check, a key_query
SELECT outbox.drop_code_map('cc.st');
BEGIN;
SELECT outbox.drop_code_map('cc.st');
SAVEPOINT a;
SELECT outbox.create_code_map('cc.st', '{"X": "Y"}');
ROLLBACK TO a;
COMMIT;
DELETE FROM outbox.code_map WHERE name = 'cc.st' AND code = 'none of it';
CREATE VIEW behind AS SELECT id, outbox.decode(code => st, map => 'cc.behind'::varchar) AS st FROM ordr;
CREATE VIEW front AS SELECT id, (SELECT b.st) AS st FROM behind b;
SELECT outbox.create_code_map(m, '{"a": "b", "c": "d"}') FROM unnest('{cc.behind,cc.condition,cc.check,cc.key,cc.none}'::text[]) m;
SELECT outbox.create_contract('cc_used', view => 'front', source => 'ordr', key => '{id}', aggregate_type => 'cc_used', evaluate => 'commit');
CREATE TABLE ref (id int PRIMARY KEY, o int);
SELECT outbox.add_source('cc_used', 'ref', key_query => $$CASE WHEN outbox.decode('cc.key', 'a') = 'b' THEN row.o END$$);
SELECT outbox.create_event_type('CcUsed', contract => 'cc_used', emit => 'created', condition => $$outbox.decode('cc.condition', new.st) IS DISTINCT FROM 'cc.none'$$);
SELECT outbox.add_check('CcUsed', 'known', $$upper(outbox.decode(map => 'cc.check', code => st)) IS NULL$$);
SELECT outbox.drop_code_map('cc.behind');
SELECT outbox.create_code_map('cc.behind', '{"a": "b"}');
SELECT outbox.enable('cc_used');
SELECT outbox.drop_code_map('cc.behind');
SELECT outbox.drop_code_map('cc.condition');
SELECT outbox.drop_code_map('cc.check');
SELECT outbox.drop_code_map('cc.key');
SELECT outbox.drop_code_map('cc.none');
\echo nor while its views are detached
SELECT outbox.detach('ordr');
SELECT outbox.drop_code_map('cc.behind');
SELECT outbox.drop_code_map('cc.st');
SELECT outbox.reattach('ordr');
BEGIN;
SELECT outbox.drop_code_map(m) FROM unnest('{cc.behind,cc.condition,cc.check,cc.key}'::text[]) m;
SELECT outbox.drop_contract('cc_used');
COMMIT;
\echo a disabled contract holds nothing, and is not enabled without it
SELECT outbox.disable('cc_ordr');
SELECT outbox.drop_code_map('cc.st');
SELECT outbox.enable('cc_ordr');
SELECT outbox.create_code_map('cc.st', '{"N": "PLACED"}');
SELECT outbox.enable('cc_ordr');
INSERT INTO ordr VALUES (10, 'Q', NULL, 1, NULL);
SELECT type, aggregateid, payload FROM outbox.event_json WHERE contract = 'cc_ordr' AND (payload ->> 'order_id')::int > 5 ORDER BY seq;
SELECT key, event_type, stage, message, detail FROM outbox.dead_letter WHERE contract = 'cc_ordr' AND (key ->> 'order_id')::int > 5 ORDER BY id;

\echo nested types: records, arrays of records, required fields inside them
CREATE TYPE basket_line AS (sku text, qty int);
CREATE TABLE basket (id int PRIMARY KEY, lines basket_line[], tags text[], first basket_line);
CREATE VIEW basket_v AS SELECT id, lines, tags, first FROM basket;
SELECT outbox.create_contract('cc_basket', view => 'basket_v', source => 'basket', key => '{id}', required => '{lines,lines.nosuch}');
SELECT outbox.create_contract('cc_basket', view => 'basket_v', source => 'basket', key => '{id}', required => '{lines,lines.sku,first.sku}');
SELECT outbox.create_event_type('CcFilled', contract => 'cc_basket', emit => 'created');
SELECT outbox.enable('cc_basket');
INSERT INTO basket VALUES (1, ARRAY[('a', 1), ('b', NULL)]::basket_line[], '{x,y}', ('c', 3)), (2, '{}', NULL, NULL), (3, ARRAY[(NULL, 1)]::basket_line[], NULL, NULL),
    (4, ARRAY[NULL]::basket_line[], NULL, NULL), (5, '{}', '{{a},{b}}', NULL);
SELECT aggregateid, payload FROM outbox.event_json WHERE contract = 'cc_basket' ORDER BY seq;
SELECT key, stage, sqlstate, message FROM outbox.dead_letter WHERE contract = 'cc_basket' ORDER BY id;
SELECT key, error FROM outbox.preview('cc_basket');

SELECT outbox.drop_contract('cc_basket');
SELECT outbox.drop_contract('cc_ordr');
SELECT outbox.drop_code_map('cc.prio');
DELETE FROM outbox.dead_letter_entry WHERE contract LIKE 'cc_%';
DROP SCHEMA cc CASCADE;
