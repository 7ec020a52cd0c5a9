-- What a redrive has read must still be so when its events are out; needs preloading (max_prepared_transactions > 0). Other sessions: isolation test redrive_gone.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE SCHEMA rn;
SET search_path = rn, public;
CREATE TABLE cust (no int PRIMARY KEY, name text);
CREATE TABLE ordr (no int PRIMARY KEY, name text);
CREATE VIEW cust_v AS SELECT no AS cust_id, name FROM cust;
CREATE VIEW ordr_v AS SELECT no AS order_id, name FROM ordr;
SELECT outbox.create_contract('rn_cust', view => 'cust_v', source => 'cust', key => '{cust_id}');
SELECT outbox.create_contract('rn_ordr', view => 'ordr_v', source => 'ordr', key => '{order_id}', evaluate => 'commit');
SELECT outbox.create_event_type('RnCust', contract => 'rn_cust', emit => 'created');
SELECT outbox.create_event_type('RnCustGone', contract => 'rn_cust', emit => 'deleted');
SELECT outbox.create_event_type('RnOrdr', contract => 'rn_ordr', emit => 'created');
SELECT outbox.create_event_type('RnOrdrGone', contract => 'rn_ordr', emit => 'deleted');
SELECT outbox.add_check(type, 'never', 'false') FROM unnest('{RnCust,RnCustGone,RnOrdr,RnOrdrGone}'::text[]) type;
SELECT outbox.enable('rn_cust'), outbox.enable('rn_ordr');
INSERT INTO cust VALUES (1, 'one'), (2, 'two');
INSERT INTO ordr VALUES (1, 'one'), (2, 'two');
DELETE FROM cust WHERE no = 2;
DELETE FROM ordr WHERE no = 2;
SELECT count(outbox.drop_check(type, 'never')) FROM unnest('{RnCust,RnCustGone,RnOrdr,RnOrdrGone}'::text[]) type;
CREATE VIEW letters AS SELECT id, event_type, key, state FROM outbox.dead_letter WHERE contract LIKE 'rn_%';
CREATE VIEW events AS SELECT type, aggregateid AS id, headers FROM outbox.event_json WHERE contract LIKE 'rn_%' ORDER BY seq;
SELECT event_type, key, state FROM letters ORDER BY id;

\echo no prepared transaction, which would keep the events for days and give the keys back
BEGIN;
SELECT outbox.redrive(min(id)) FROM letters WHERE event_type = 'RnOrdr';
PREPARE TRANSACTION 'rn';
BEGIN;
SELECT outbox.redrive(min(id)) FROM letters WHERE event_type = 'RnCustGone';
PREPARE TRANSACTION 'rn';
\echo nor is anything lost; afterwards others can be prepared
SELECT DISTINCT state FROM letters;
BEGIN;
INSERT INTO ordr VALUES (3, 'three');
PREPARE TRANSACTION 'rn';
COMMIT PREPARED 'rn';
SELECT * FROM events;

\echo a row that is gone comes back before the end
BEGIN;
SELECT outbox.redrive(min(id)) FROM letters WHERE event_type = 'RnCustGone';
INSERT INTO cust VALUES (2, 'again');
COMMIT;
\echo the hint
SELECT outbox.redrive(min(id)) FROM letters WHERE event_type = 'RnCustGone';
SELECT outbox.redrive(contract => 'rn_cust'), outbox.redrive(contract => 'rn_ordr');
SELECT event_type, key, state FROM letters ORDER BY id;
SELECT * FROM events;
SELECT outbox.drop_contract('rn_cust'), outbox.drop_contract('rn_ordr');
DELETE FROM outbox.dead_letter_entry WHERE contract LIKE 'rn_%';
DROP SCHEMA rn CASCADE;
