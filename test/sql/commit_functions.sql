-- What functions behind a contract's view leave in the session: nothing; and one that writes to the contract's own source.
SET client_min_messages = warning;
CREATE SCHEMA cf;
SET search_path = cf, public;
CREATE TABLE ordr (no int PRIMARY KEY, region int NOT NULL DEFAULT 1, mode text NOT NULL DEFAULT '', hits int NOT NULL DEFAULT 0);
CREATE TABLE ln (no int, n int, qty int, PRIMARY KEY (no, n));
CREATE TABLE switch (armed bool NOT NULL);
INSERT INTO switch VALUES (false);
INSERT INTO ordr VALUES (99);
CREATE FUNCTION own_timeout(mode text) RETURNS text STABLE LANGUAGE plpgsql SET lock_timeout = '5s' AS $$
BEGIN
    IF mode = 'raise' THEN RAISE EXCEPTION 'the function says no'; END IF;
    RETURN mode;
END $$;
CREATE FUNCTION set_timeout() RETURNS void VOLATILE LANGUAGE plpgsql AS $$ BEGIN SET LOCAL lock_timeout = '7s'; END $$;
CREATE FUNCTION sets_timeout(mode text) RETURNS text STABLE LANGUAGE plpgsql AS $$
BEGIN
    IF mode = 'set' THEN PERFORM cf.set_timeout(); END IF;
    RETURN mode;
END $$;
CREATE FUNCTION count_hit() RETURNS int VOLATILE LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT armed FROM cf.switch) THEN
        UPDATE cf.switch SET armed = false;
        UPDATE cf.ordr SET hits = hits + 1 WHERE no = 99;
    END IF;
    RETURN 1;
END $$;
-- the planner runs it for its estimate
CREATE FUNCTION region() RETURNS int STABLE LANGUAGE plpgsql AS $$ BEGIN RETURN cf.count_hit(); END $$;
CREATE VIEW order_v AS
SELECT o.no AS order_id, o.hits, cf.own_timeout(o.mode) || cf.sets_timeout(o.mode) AS mode, coalesce(l.total, 0) AS total
FROM ordr o LEFT JOIN LATERAL (SELECT sum(qty)::bigint AS total FROM ln WHERE ln.no = o.no) l ON true WHERE o.region >= cf.region();
SELECT outbox.create_contract('cf_order', view => 'order_v', source => 'ordr', key => '{order_id}');
SELECT outbox.add_source('cf_order', 'ln', key_query => 'row.no');
SELECT outbox.create_event_type('CfPlaced', contract => 'cf_order', emit => 'created');
SELECT outbox.create_event_type('CfChanged', contract => 'cf_order', emit => 'changed');
SELECT outbox.enable('cf_order');

\echo the timeout of the session is its own afterwards
INSERT INTO ordr VALUES (1);
SHOW lock_timeout;
INSERT INTO ordr VALUES (2, 1, 'raise');
SHOW lock_timeout;
SET lock_timeout = '3s';
INSERT INTO ordr VALUES (3, 1, 'raise'), (4, 1, 'set');
SHOW lock_timeout;
BEGIN;
SET LOCAL lock_timeout = '4s';
UPDATE ordr SET hits = hits + 1 WHERE no = 4;
UPDATE ordr SET mode = 'raise' WHERE no = 1;
COMMIT;
SHOW lock_timeout;
SELECT key, stage, message FROM outbox.dead_letter WHERE contract = 'cf_order' ORDER BY id;

\echo compiling the contract writes to its source
\c -
SET outbox.ddl_check = off;
UPDATE cf.switch SET armed = true;
INSERT INTO cf.ordr VALUES (5);
INSERT INTO cf.ordr VALUES (6);
SELECT no, hits FROM cf.ordr WHERE no IN (5, 6, 99) ORDER BY no;
SELECT type, aggregateid, payload->>'hits' AS hits FROM outbox.event_json WHERE contract = 'cf_order' ORDER BY seq;

SET client_min_messages = warning;
SELECT outbox.disable('cf_order');
SELECT outbox.drop_contract('cf_order');
DROP SCHEMA cf CASCADE;

\echo the transaction changes the type of the key: what it wrote before is kept, and found again
SET client_min_messages = warning;
CREATE SCHEMA kt;
SET search_path = kt, public;
CREATE TABLE ordr (no varchar(10) PRIMARY KEY, mode text NOT NULL DEFAULT '');
CREATE VIEW order_v AS SELECT o.no::text AS order_id, o.mode FROM ordr o;
SELECT outbox.create_contract('kt_order', view => 'order_v', source => 'ordr', key => '{order_id}', evaluate => 'commit');
SELECT outbox.create_event_type('KtPlaced', contract => 'kt_order', emit => 'created');
SELECT outbox.create_event_type('KtChanged', contract => 'kt_order', emit => 'changed');
SELECT outbox.enable('kt_order');
INSERT INTO ordr VALUES ('1', 'a');
BEGIN;
UPDATE ordr SET mode = 'b' WHERE no = '1';
INSERT INTO ordr VALUES ('2', 'b');
SELECT outbox.detach('ordr');
ALTER TABLE ordr ALTER no TYPE text;
SELECT outbox.reattach('ordr');
COMMIT;
SELECT key, stage, emit, message, hint FROM outbox.dead_letter WHERE contract = 'kt_order' ORDER BY id;
SELECT outbox.redrive(contract => 'kt_order');
SELECT type, payload, headers->>'late' AS late FROM outbox.event_json WHERE contract = 'kt_order' ORDER BY seq;
SELECT key, event_type, stage, emit, message, state FROM outbox.dead_letter WHERE contract = 'kt_order' ORDER BY id;
SELECT outbox.disable('kt_order');
SELECT outbox.drop_contract('kt_order');
DROP SCHEMA kt CASCADE;

\echo a line that could not be related to its order is not taken for the order of the same number
CREATE SCHEMA cl;
SET search_path = cl, public;
CREATE TABLE ordr (id int PRIMARY KEY);
CREATE TABLE ln (id int PRIMARY KEY, order_id int, qty int);
CREATE INDEX ON ln (order_id);
CREATE VIEW order_v AS SELECT o.id AS order_id, coalesce(l.total, 0) AS total
FROM ordr o LEFT JOIN LATERAL (SELECT sum(qty)::bigint AS total FROM ln WHERE ln.order_id = o.id) l ON true;
CREATE FUNCTION same(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1';
SELECT outbox.create_contract('cl_order', view => 'order_v', source => 'ordr', key => '{order_id}');
SELECT outbox.add_source('cl_order', 'ln', key_query => 'cl.same(row.order_id)');
SELECT outbox.create_event_type('ClChanged', contract => 'cl_order', emit => 'changed');
SELECT outbox.enable('cl_order');
INSERT INTO ordr VALUES (1), (2);
DROP FUNCTION same(int);
DROP FUNCTION same(int) CASCADE;
INSERT INTO ln VALUES (1, 2, 10);
SELECT state, advice FROM outbox.status WHERE name = 'cl_order';
CREATE FUNCTION same(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1';
SELECT outbox.add_source('cl_order', 'ln', key_query => 'cl.same(row.order_id)');
SELECT state FROM outbox.status WHERE name = 'cl_order';
SELECT outbox.redrive(contract => 'cl_order');
SELECT type, payload FROM outbox.event_json WHERE contract = 'cl_order' ORDER BY seq;
SELECT stage, message, last_failure, last_failure_hint, source_columns, state FROM outbox.dead_letter WHERE contract = 'cl_order' ORDER BY id;
SELECT outbox.disable('cl_order');
SELECT outbox.drop_contract('cl_order');
DROP SCHEMA cl CASCADE;
