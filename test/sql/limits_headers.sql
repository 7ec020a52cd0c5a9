-- What a session says about its events (trace context, correlation ids) is bounded, and counts as part of the message.
SET client_min_messages = warning;
CREATE SCHEMA lh;
SET search_path = lh, public;
CREATE TABLE t (id int PRIMARY KEY, v text, k text);
CREATE VIEW t_v AS SELECT id, v, coalesce(k, id::text) AS k FROM t;
SELECT outbox.create_contract('lh_t', view => 't_v', source => 't', key => '{id}', aggregate_id => '{k}');
SELECT outbox.create_event_type('LhCreated', contract => 'lh_t', emit => 'created');
SELECT outbox.enable('lh_t');
CREATE FUNCTION comment_of(n int) RETURNS text LANGUAGE sql AS $$
	SELECT format('/*traceparent=''00-%s-2222222222222222-00''*/', repeat(to_char(n, 'FM00'), 16))
$$;
CREATE VIEW seen AS
SELECT aggregateid, left(headers ->> 'traceparent', 12) AS traceparent, length(headers ->> 'correlationid') AS correlation,
	length(headers ->> 'causationid') AS causation
FROM outbox.event_json WHERE contract = 'lh_t' ORDER BY seq;

\echo a comment counts where it begins or ends the statement
INSERT INTO t VALUES (1) /*traceparent='00-11111111111111111111111111111111-2222222222222222-00'*/;
SELECT format(E'\n  %s INSERT INTO lh.t VALUES (2)', comment_of(12)) \gexec
SELECT format(E'INSERT INTO lh.t VALUES (3) %s ;\n ', comment_of(13)) \gexec
SELECT format('INSERT INTO lh.t SELECT 4 %s WHERE true', comment_of(14)) \gexec
\echo not in the comment that ends it, as the end of a word, in a literal before the comment that ends it
SELECT format('INSERT INTO lh.t VALUES (5) %s /* of the application */', comment_of(15)) \gexec
SELECT format('INSERT INTO lh.t VALUES (6) %s', replace(comment_of(16), 'trace', 'x_trace')) \gexec
SELECT format('INSERT INTO lh.t VALUES (7, %L) /* of the application */', comment_of(17)) \gexec
SELECT format('INSERT INTO lh.t VALUES (8, %L)', comment_of(18)) \gexec
\echo within 2 kB of the end it stands at
\set ECHO none
SELECT format('INSERT INTO lh.t VALUES (9, %L) %s', repeat('x', 5000), comment_of(19)) \gexec
SELECT format('%s INSERT INTO lh.t VALUES (10, %L)', comment_of(20), repeat('x', 5000)) \gexec
SELECT format('INSERT INTO lh.t VALUES (11) /*%s,%s', repeat('x', 3000), substr(comment_of(21), 3)) \gexec
SELECT format('/*%s,%s INSERT INTO lh.t VALUES (12)', repeat('x', 3000), substr(comment_of(22), 3)) \gexec
\set ECHO all
\echo in a statement of megabytes that is full of comments: no time is spent
SET statement_timeout = '5s';
\set ECHO none
SELECT string_agg('/*' || n || '*/', ' ') || ' INSERT INTO lh.t VALUES (13) ' || comment_of(23) FROM generate_series(1, 200000) n \gexec
\set ECHO all
RESET statement_timeout;
SELECT * FROM seen;

\echo correlation and causation ids: 1 kB, no control characters; else they are not set
TRUNCATE t;
CREATE PROCEDURE with_ids(n int, correlation text, causation text) LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('outbox.correlation_id', correlation, true), set_config('outbox.causation_id', causation, true);
	INSERT INTO lh.t VALUES (n);
END $$;
CALL with_ids(21, repeat('x', 1024), 'cause');
CALL with_ids(22, repeat('x', 1025), 'cause');
CALL with_ids(23, 'corr', repeat('y', 10000000));
CALL with_ids(24, E'a\nb', E'a\x7Fb');
CALL with_ids(25, E'a\u0085b', 'Größe 5');
CALL with_ids(26, '', '');
CALL with_ids(27, repeat('x', 1025), repeat('y', 1025));
\echo the same again: what was ignored is not remembered as something else
CALL with_ids(28, 'corr', 'cause');
SELECT * FROM seen WHERE aggregateid IN ('21', '22', '23', '24', '25', '26', '27', '28');
\echo a trace context is ignored beyond 1 kB as well
SELECT set_config('outbox.traceparent', '01-11111111111111111111111111111111-2222222222222222-00-' || repeat('x', 900), false) <> '' AS set;
INSERT INTO t VALUES (31);
SELECT set_config('outbox.traceparent', '01-11111111111111111111111111111111-2222222222222222-00-' || repeat('x', 1000), false) <> '' AS set;
INSERT INTO t VALUES (32);
RESET outbox.traceparent;
SELECT * FROM seen WHERE aggregateid IN ('31', '32');

\echo headers count against outbox.max_message_bytes: the ids, and a key that is in two headers, too
SET outbox.max_message_bytes = 3000;
CALL with_ids(41, repeat('x', 1000), NULL);
CALL with_ids(42, repeat('x', 1000), repeat('y', 1000));
INSERT INTO t VALUES (43, NULL, repeat('k', 450));
INSERT INTO t VALUES (44, NULL, repeat('k', 700));
RESET outbox.max_message_bytes;
SELECT length(aggregateid), causation FROM seen WHERE aggregateid = '41' OR length(aggregateid) > 100;
SELECT key ->> 'id' AS key, stage, message, detail, hint FROM outbox.dead_letter WHERE contract = 'lh_t' ORDER BY id;
SELECT outbox.drop_contract('lh_t');
DROP SCHEMA lh CASCADE;
