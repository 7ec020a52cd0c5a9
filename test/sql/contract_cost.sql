-- needs preloading: what capture costs is counted per contract, whether the transaction commits or not.
SET outbox.ddl_check = off; -- what it refuses must stay safe all the same
SET client_min_messages = warning;
CREATE TABLE cost (id int PRIMARY KEY, v int, other int);
CREATE VIEW cost_v AS SELECT id, 10 / v AS share FROM cost;
SELECT outbox.create_contract('cost', view => 'cost_v', source => 'cost', key => '{id}');
SELECT outbox.create_event_type('CostCreated', contract => 'cost', emit => 'created');
SELECT outbox.create_event_type('CostChanged', contract => 'cost', emit => 'changed', condition => 'new.share > 0');
SELECT outbox.enable('cost');
CREATE VIEW cost_counts AS SELECT calls, skips, transitions, events, dead_letters, flushes, flush_keys FROM outbox.contract_cost WHERE contract = 'cost';
TABLE cost_counts;

\echo a row that is created, one that cannot be mapped
INSERT INTO cost VALUES (1, 1), (2, 0);
TABLE cost_counts;
\echo not read by the contract, equal in the contract, another row without an event
UPDATE cost SET other = 1;
UPDATE cost SET v = 1 WHERE id = 2;
UPDATE cost SET v = 6 WHERE id = 1;
UPDATE cost SET v = 7 WHERE id = 1;
UPDATE cost SET v = 11 WHERE id = 1;
TABLE cost_counts;
\echo rolled back: the time was spent, the events are none
BEGIN;
UPDATE cost SET v = v + 1;
ROLLBACK;
BEGIN;
SAVEPOINT a;
UPDATE cost SET v = 2;
ROLLBACK TO a;
COMMIT;
TABLE cost_counts;
\echo timed: not less than the longest, and the sampled calls stand for the others
INSERT INTO cost SELECT i, 1 FROM generate_series(10, 5000) i;
SELECT calls, total_us > 0 AS took_time, max_us <= total_us AS longest FROM outbox.contract_cost WHERE contract = 'cost';
\echo a broken contract, and a disabled one
DROP VIEW cost_counts;
DROP VIEW cost_v;
UPDATE cost SET v = 3 WHERE id < 3;
SELECT calls, transitions FROM outbox.contract_cost WHERE contract = 'cost';
SELECT outbox.disable('cost');
UPDATE cost SET v = 4 WHERE id < 3;
SELECT calls, transitions FROM outbox.contract_cost WHERE contract = 'cost';
\echo evaluated at commit: a call per changed row, a flush per transaction
CREATE TABLE cost_order (id int PRIMARY KEY, note text);
CREATE TABLE cost_line (order_id int, no int, qty int, other int, PRIMARY KEY (order_id, no));
CREATE VIEW cost_order_v AS
SELECT o.id, (SELECT sum(qty) FROM cost_line l WHERE l.order_id = o.id) AS quantity FROM cost_order o;
SELECT outbox.create_contract('cost_order', view => 'cost_order_v', source => 'cost_order', key => '{id}', evaluate => 'commit');
SELECT outbox.add_source('cost_order', 'cost_line', key_query => 'row.order_id');
SELECT outbox.create_event_type('CostOrderChanged', contract => 'cost_order', emit => 'changed');
SELECT outbox.create_event_type('CostOrderCreated', contract => 'cost_order', emit => 'created');
SELECT outbox.enable('cost_order');
BEGIN;
INSERT INTO cost_order VALUES (1), (2);
INSERT INTO cost_line SELECT o, l, 1 FROM generate_series(1, 2) o, generate_series(1, 5) l;
COMMIT;
UPDATE cost_line SET other = 1;                             -- not read
UPDATE cost_line SET qty = 3 - qty WHERE no < 3;            -- a transaction, two orders
BEGIN; UPDATE cost_line SET qty = 9; UPDATE cost_line SET qty = 1; UPDATE cost_line SET qty = 2 WHERE no < 3; COMMIT;
SELECT calls, skips, transitions, events, dead_letters, flushes, flush_keys, total_flush_us > 0 AS took_time, max_flush_us <= total_flush_us AS longest
FROM outbox.contract_cost WHERE contract = 'cost_order';
SELECT outbox.drop_contract('cost_order');
DROP TABLE cost_order, cost_line CASCADE;

\echo more contracts in a transaction than are held back until it ends
CREATE TABLE cost_many (id int PRIMARY KEY);
CREATE VIEW cost_many_v AS SELECT id FROM cost_many;
DO $$
BEGIN
    FOR i IN 1 .. 40 LOOP
        PERFORM outbox.create_contract('cost_' || i, view => 'cost_many_v', source => 'cost_many', key => '{id}');
        PERFORM outbox.create_event_type('Cost_' || i, contract => 'cost_' || i, emit => 'created');
        PERFORM outbox.enable('cost_' || i);
    END LOOP;
END $$;
INSERT INTO cost_many SELECT generate_series(1, 10);
SELECT count(*), min(calls), max(calls), min(transitions), max(events) FROM outbox.contract_cost WHERE contract LIKE 'cost\_%';
DO $$
BEGIN
    FOR i IN 1 .. 40 LOOP
        PERFORM outbox.drop_contract('cost_' || i);
    END LOOP;
END $$;
SELECT outbox.drop_contract('cost');
DELETE FROM outbox.dead_letter_entry WHERE contract = 'cost';
DROP TABLE cost, cost_many CASCADE;
