-- The trace context comes from outbox.traceparent or from a comment of the client's statement.
SET client_min_messages = warning;
CREATE SCHEMA tc;
SET search_path = tc, public;
CREATE TABLE t (id int PRIMARY KEY, v text);
CREATE VIEW t_v AS SELECT id, v FROM t;
SELECT outbox.create_contract('tc_t', view => 't_v', source => 't', key => '{id}');
SELECT outbox.create_event_type('TcCreated', contract => 'tc_t', emit => 'created');
SELECT outbox.enable('tc_t');
CREATE FUNCTION add(int) RETURNS void LANGUAGE sql AS 'INSERT INTO tc.t VALUES ($1)';

INSERT INTO t VALUES (1);
INSERT INTO t VALUES (2) /*action='run+this%2A3',traceparent='00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',tracestate='congo%3D1'*/;
INSERT INTO t VALUES (3);
INSERT /* a hint */ INTO t VALUES (4) /*traceparent='00-11111111111111111111111111111111-2222222222222222-00'*/;
INSERT INTO t SELECT 5 /*traceparent='00-55555555555555555555555555555555-2222222222222222-00'*/ WHERE true;
\echo in a function called by the statement
SELECT add(6) /*traceparent='00-66666666666666666666666666666666-2222222222222222-00'*/;
\echo malformed, outside of a comment, unfinished
INSERT INTO t VALUES (7) /*traceparent='00-00000000000000000000000000000000-2222222222222222-00'*/;
INSERT INTO t VALUES (8, $$traceparent='00-88888888888888888888888888888888-2222222222222222-00'$$);
INSERT INTO t VALUES (9, $$/*traceparent='00-99999999999999999999999999999999-2222222222222222-00$$);
INSERT INTO t VALUES (10) /*traceparent='00-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-2222222222222222-00-and-much-more-than-any-version-of-the-standard-would-ever-put-here-and-then-some'*/;
\echo the setting wins
BEGIN;
SET LOCAL outbox.traceparent = '00-bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-2222222222222222-00';
INSERT INTO t VALUES (11) /*traceparent='00-11111111111111111111111111111111-2222222222222222-00'*/;
SET LOCAL outbox.traceparent = 'nonsense';
INSERT INTO t VALUES (12) /*traceparent='00-cccccccccccccccccccccccccccccccc-2222222222222222-00'*/;
COMMIT;
\echo EXECUTE carries a comment of its own
PREPARE p AS INSERT INTO t VALUES ($1) /*traceparent='00-dddddddddddddddddddddddddddddddd-2222222222222222-00'*/;
EXECUTE p (13);
EXECUTE p (14) /*traceparent='00-eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee-2222222222222222-00'*/;
SELECT aggregateid, headers ->> 'traceparent' AS traceparent FROM outbox.event_json WHERE contract = 'tc_t' ORDER BY seq;
SELECT outbox.drop_contract('tc_t');
\echo evaluated at commit: the context of the statement that touched, not of the COMMIT
SELECT outbox.create_contract('tc_c', view => 't_v', source => 't', key => '{id}', evaluate => 'commit');
SELECT outbox.create_event_type('TcCommit', contract => 'tc_c', emit => 'created');
SELECT outbox.enable('tc_c');
BEGIN;
INSERT INTO t VALUES (20) /*traceparent='00-11111111111111111111111111111111-2222222222222222-00'*/;
SELECT 1;
COMMIT /*traceparent='00-33333333333333333333333333333333-2222222222222222-00'*/;
INSERT INTO t VALUES (21);
BEGIN;
SET LOCAL outbox.traceparent = '00-bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-2222222222222222-00';
SET LOCAL outbox.correlation_id = 'corr';
INSERT INTO t VALUES (22) /*traceparent='00-11111111111111111111111111111111-2222222222222222-00'*/;
COMMIT;
SELECT aggregateid, headers ->> 'traceparent' AS traceparent, headers ->> 'correlationid' AS correlation FROM outbox.event_json WHERE contract = 'tc_c' ORDER BY seq;
SELECT outbox.drop_contract('tc_c');
DROP SCHEMA tc CASCADE;
