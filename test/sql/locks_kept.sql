-- How many locks of ours a transaction keeps does not depend on the number of partitions, contracts and keys; needs preloading (max_prepared_transactions > 0).
SET client_min_messages = warning;
CREATE TABLE lk_root (id int PRIMARY KEY, v int) PARTITION BY HASH (id);
CREATE TABLE lk_line (id bigint NOT NULL, root_id int NOT NULL, d int NOT NULL, PRIMARY KEY (d, id)) PARTITION BY RANGE (d);
CREATE TABLE lk_row (id int PRIMARY KEY, v int) PARTITION BY HASH (id);
CREATE INDEX ON lk_line (root_id, d);
DO $$
BEGIN
	FOR i IN 0..29 LOOP
		EXECUTE format('CREATE TABLE lk_root_%s PARTITION OF lk_root FOR VALUES WITH (MODULUS 30, REMAINDER %s)', i, i);
		EXECUTE format('CREATE TABLE lk_line_%s PARTITION OF lk_line FOR VALUES FROM (%s) TO (%s)', i, i, i + 1);
		EXECUTE format('CREATE TABLE lk_row_%s PARTITION OF lk_row FOR VALUES WITH (MODULUS 30, REMAINDER %s)', i, i);
	END LOOP;
	FOR i IN 1..5 LOOP
		EXECUTE format('CREATE VIEW lk_v%s AS SELECT r.id, r.v, (SELECT count(*) FROM lk_line l WHERE l.root_id = r.id) AS lines FROM lk_root r', i);
		PERFORM outbox.create_contract('lk' || i, view => 'lk_v' || i, source => 'lk_root', key => '{id}');
		PERFORM outbox.add_source('lk' || i, 'lk_line', key_query => CASE WHEN i % 2 = 0 THEN 'row.root_id' ELSE 'SELECT r.id FROM public.lk_root r WHERE r.id = row.root_id' END);
		PERFORM outbox.create_event_type('Lk' || i, contract => 'lk' || i, emit => 'always');
		PERFORM outbox.enable('lk' || i);
	END LOOP;
END $$;
CREATE VIEW lk_row_v AS SELECT id, v * 2 AS v FROM lk_row;
SELECT outbox.create_contract('lk_row', view => 'lk_row_v', source => 'lk_row', key => '{id}');
SELECT outbox.create_event_type('LkRow', contract => 'lk_row', emit => 'always');
SELECT outbox.enable('lk_row');

-- without the statement's own partitions, what is there before and after the flush
CREATE FUNCTION lk_locks() RETURNS TABLE (what text, n bigint) LANGUAGE sql AS $$
	SELECT CASE WHEN l.locktype = 'userlock' THEN 'key' WHEN l.relation IS NULL THEN 'other' WHEN n.nspname LIKE 'outbox%' THEN 'outbox'
		WHEN l.relation::regclass::text ~ '^lk_(v|row_v)' THEN 'view' WHEN c.relkind IN ('i', 'I') THEN 'index of a source' ELSE 'source ' || l.mode END, count(*)
	FROM pg_locks l LEFT JOIN pg_class c ON c.oid = l.relation LEFT JOIN pg_namespace n ON n.oid = c.relnamespace
	WHERE l.locktype NOT IN ('virtualxid', 'transactionid') AND coalesce(n.nspname, '') NOT IN ('pg_catalog') AND
		(l.pid = pg_backend_pid() OR l.pid IS NULL) GROUP BY 1 ORDER BY 1 $$;
\c
SET client_min_messages = warning;
SELECT * FROM lk_locks();
INSERT INTO lk_root VALUES (1, 5);
BEGIN;
INSERT INTO lk_line VALUES (1, 1, 7);
SELECT * FROM lk_locks() WHERE what <> 'other';
PREPARE TRANSACTION 'lk';
SELECT * FROM lk_locks() WHERE what NOT IN ('other');
COMMIT PREPARED 'lk';
BEGIN;
INSERT INTO lk_row VALUES (1, 1), (2, 2);
SELECT * FROM lk_locks() WHERE what <> 'other';
COMMIT;
-- whoever creates such a contract is told, and status says it: all 30 of the root, but of the lines the 2 that a constant in the view leaves
SET client_min_messages = notice;
CREATE VIEW lk_many AS SELECT r.id, (SELECT count(*) FROM lk_line l WHERE l.root_id = r.id AND l.d IN (7, 9)) AS lines FROM lk_root r;
SELECT outbox.create_contract('lk_many', view => 'lk_many', source => 'lk_root', key => '{id}');
SELECT name, advice FROM outbox.status WHERE name IN ('lk_row', 'lk2') ORDER BY name;
SELECT outbox.drop_contract('lk_many');
SET client_min_messages = warning;
SELECT count(*), max(payload->>'lines') FROM outbox.event_json WHERE contract ~ '^lk[0-9]';
SELECT count(*) FROM outbox.event_json WHERE contract = 'lk_row';
SELECT count(*) FROM outbox.dead_letter WHERE contract LIKE 'lk%';
-- a function of a key_query that writes rows keeps the locks of that look to the end of the transaction, but not those of its
-- planning, and the permit ("key") that stands for them: without it the lock table would fill up
CREATE TABLE lk_log (id int);
CREATE FUNCTION lk_write(id int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.lk_log VALUES (id); RETURN id; END $$;
CREATE FUNCTION lk_writer(id int) RETURNS int STABLE LANGUAGE plpgsql AS $$ BEGIN RETURN public.lk_write(id); END $$;
SELECT outbox.create_contract('lk6', view => 'lk_v1', source => 'lk_root', key => '{id}');
SELECT outbox.add_source('lk6', 'lk_line', key_query => 'SELECT r.id FROM public.lk_root r WHERE r.id = public.lk_writer(row.root_id)');
SELECT outbox.create_event_type('Lk6', contract => 'lk6', emit => 'always');
SELECT outbox.enable('lk6');
BEGIN;
INSERT INTO lk_line VALUES (2, 1, 7);
SELECT count(*) FROM lk_log;
SELECT * FROM lk_locks() WHERE what NOT IN ('other', 'outbox');
COMMIT;
SELECT * FROM lk_locks() WHERE what NOT IN ('other', 'outbox');
SELECT outbox.drop_contract('lk6');
DROP TABLE lk_log;
DROP FUNCTION lk_writer, lk_write;
DO $$ BEGIN FOR i IN 1..5 LOOP PERFORM outbox.drop_contract('lk' || i); END LOOP; PERFORM outbox.drop_contract('lk_row'); END $$;
DROP FUNCTION lk_locks;
DROP VIEW lk_row_v;
DROP TABLE lk_root, lk_line, lk_row CASCADE;
