-- Versions of a contract: their life, what they inherit, and what is refused.
CREATE TABLE vs_order (order_no int PRIMARY KEY, st char(1) NOT NULL, amt numeric(10,2), nm text);
CREATE VIEW vs_order_v1 AS SELECT order_no AS order_id, st AS status, amt AS amount, nm AS name FROM vs_order;
SELECT outbox.create_contract('vs_order', 'vs_order_v1', 'vs_order', '{order_id}', required => '{status}');
SELECT outbox.create_event_type('VsPlaced', 'vs_order', 'created', topic => 'vs.orders');
SELECT outbox.create_event_type('VsChanged', 'vs_order', 'changed', condition => 'new.status <> ''X''', previous => '{status}', topic => 'vs.orders');
SELECT outbox.add_check('VsChanged', 'positive', 'amount > 0');

\echo a contract that was never enabled has a draft
SELECT outbox.add_version('vs_order');
SELECT outbox.drop_version('vs_order', 1);
SELECT outbox.enable('vs_order');
INSERT INTO vs_order VALUES (1, 'N', 10, 'Anne');

\echo what cannot be a version
SELECT outbox.add_version('vs_nothing');
SELECT outbox.add_version('vs_order', 'vs_nothing');
SELECT outbox.add_version('vs_order', 'vs_order');
SELECT outbox.add_version('vs_order', publish => 'sometimes');
SELECT outbox.add_version('vs_order', publish => 'instead', suffix => '.two');
SELECT outbox.add_version('vs_order', publish => 'instead', sunset => now() + interval '1 day');
SELECT outbox.add_version('vs_order', required => '{nothing}');
CREATE VIEW vs_other_key AS SELECT order_no + 1 AS order_id, st AS status, amt AS amount, nm AS name FROM vs_order;
SELECT outbox.add_version('vs_order', 'vs_other_key');
SELECT outbox.drop_version('vs_order', 7);
SELECT outbox.drop_version('vs_order', 1);
SELECT outbox.retire_version('vs_order', 1);

\echo the same view with one more column, instead
CREATE OR REPLACE VIEW vs_order_v1 AS SELECT order_no AS order_id, st AS status, amt AS amount, nm AS name, upper(nm) AS shouted FROM vs_order;
SELECT outbox.add_version('vs_order');
SELECT outbox.add_version('vs_order');
SELECT version, state, publish, suffix, line FROM outbox.contract_version JOIN outbox.contract c ON c.id = contract_id WHERE c.name = 'vs_order' ORDER BY 1;
UPDATE vs_order SET amt = 11;
SELECT outbox.retire_version('vs_order', 2);
SELECT outbox.enable('vs_order');
UPDATE vs_order SET amt = 12;
SELECT outbox.drop_version('vs_order', 2);
SELECT outbox.retire_version('vs_order', 1);
SELECT outbox.retire_version('vs_order', 2);
SELECT version, state, publish, suffix, line, activated_at IS NOT NULL AS activated, retired_at IS NOT NULL AS retired
FROM outbox.contract_version JOIN outbox.contract c ON c.id = contract_id WHERE c.name = 'vs_order' ORDER BY 1;
SELECT type, version, topic, payload FROM outbox.event_json WHERE contract = 'vs_order' ORDER BY seq;

\echo all that a view breaks is named at once
CREATE VIEW vs_order_v2 AS SELECT order_no AS order_id, st AS state, amt::text AS amount FROM vs_order;
SELECT outbox.add_version('vs_order', 'vs_order_v2', publish => 'instead');
SELECT outbox.add_version('vs_order', 'vs_order_v2', publish => 'instead', required => '{}');
SELECT outbox.enable('vs_order');
SELECT outbox.alter_event_type('VsChanged', 3, condition => 'new.status <> ''X''');
SELECT outbox.alter_event_type('VsChanged', 3, condition => 'new.state <> ''X''', previous => '{state}');
BEGIN;
SELECT outbox.drop_check('VsChanged', 'positive');
SELECT outbox.add_check('VsChanged', 'positive', 'amount > 0', versions => '{2}');
COMMIT;
SELECT outbox.enable('vs_order');
SELECT outbox.drop_version('vs_order', 3);
SELECT versions FROM outbox.check_rule WHERE name = 'positive';

\echo previous columns of an active version are pinned as the next one
SELECT outbox.alter_event_type('VsChanged', 2, previous => '{status,amount}');
SELECT version, state, publish, line FROM outbox.contract_version JOIN outbox.contract c ON c.id = contract_id WHERE c.name = 'vs_order' ORDER BY 1;
SELECT versions FROM outbox.check_rule WHERE name = 'positive';
UPDATE vs_order SET amt = 13;
SELECT type, version, payload FROM outbox.event_json WHERE contract = 'vs_order' ORDER BY seq DESC LIMIT 1;
SELECT outbox.alter_event_type('VsChanged', 2, condition => 'false');
SELECT outbox.alter_event_type('VsChanged', 3, previous => '{nothing}');
SELECT outbox.alter_event_type('VsChanged', 3, topic => 'elsewhere');
SELECT outbox.alter_event_type('VsNothing', 3, topic => 'elsewhere');
SELECT outbox.alter_event_type('VsChanged', 3, actor => true);
SELECT outbox.alter_event_type('VsChanged', 3, condition => 'false');
UPDATE vs_order SET amt = 14;
SELECT outbox.alter_event_type('VsChanged', 3, condition => 'DEFAULT');
UPDATE vs_order SET amt = 15;
SELECT type, version, payload FROM outbox.event_json WHERE contract = 'vs_order' ORDER BY seq DESC LIMIT 1;

\echo an event type that a version does not have
SELECT outbox.create_event_type('VsNone', 'vs_order', 'created', versions => '{}');
SELECT outbox.create_event_type('VsNone', 'vs_order', 'created', versions => '{9}');
SELECT outbox.add_version('vs_order');
SELECT outbox.create_event_type('VsGone', 'vs_order', 'deleted', topic => 'vs.orders', versions => '{4}');
DELETE FROM vs_order;
SELECT outbox.enable('vs_order');
INSERT INTO vs_order VALUES (2, 'N', 1, 'Bert');
DELETE FROM vs_order;
SELECT type, version, payload FROM outbox.event_json WHERE contract = 'vs_order' ORDER BY seq DESC LIMIT 2;
SELECT contract, version, view, state, publish, suffix, required FROM outbox.contract_versions WHERE contract = 'vs_order' ORDER BY version;
SELECT outbox.drop_contract('vs_order');
