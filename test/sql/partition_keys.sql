-- A key without the partition key is unique by an index of every partition. A partition that comes without its index is seen at commit.
SET client_min_messages = warning;
CREATE SCHEMA pk;
SET search_path = pk;
CREATE TABLE t (id int NOT NULL, reg text NOT NULL, v int) PARTITION BY LIST (reg);
CREATE TABLE t_a PARTITION OF t FOR VALUES IN ('a');
CREATE UNIQUE INDEX t_a_id ON t_a (id);
CREATE VIEW t_v AS SELECT id, v FROM t;
SELECT outbox.create_contract('pk_t', view => 'pk.t_v', source => 'pk.t', key => '{id}');
SELECT outbox.create_event_type('PkT', 'pk_t', 'always');
SELECT outbox.enable('pk_t');
CREATE VIEW gaps AS SELECT detail, resolved_at IS NOT NULL AS resolved FROM outbox.gap WHERE contract = 'pk_t' AND reason = 'unseen' ORDER BY id;
\echo with its index in the same transaction: nothing to say
BEGIN;
CREATE TABLE t_b PARTITION OF t FOR VALUES IN ('b');
CREATE UNIQUE INDEX ON t_b (id);
COMMIT;
CREATE TABLE t_c (id int NOT NULL, reg text NOT NULL, v int, UNIQUE (id));
ALTER TABLE t ATTACH PARTITION t_c FOR VALUES IN ('c');
SELECT * FROM gaps;
\echo without: a gap, one however many come, and no error
CREATE TABLE t_d PARTITION OF t FOR VALUES IN ('d');
CREATE TABLE t_d2 (id int NOT NULL, reg text NOT NULL, v int);
ALTER TABLE t ATTACH PARTITION t_d2 FOR VALUES IN ('d2');
INSERT INTO t VALUES (1, 'd', 1);
SELECT * FROM gaps;
SELECT state, advice FROM outbox.status WHERE name = 'pk_t';
\echo as advised
SELECT outbox.enable('pk_t');
CREATE UNIQUE INDEX ON t_d (id);
CREATE UNIQUE INDEX ON t_d2 (id);
SELECT outbox.enable('pk_t');
SELECT * FROM gaps;
\echo behind a savepoint, and a partition of a partition
BEGIN;
SAVEPOINT s;
CREATE TABLE t_e PARTITION OF t FOR VALUES IN ('e') PARTITION BY RANGE (id);
CREATE TABLE t_e1 PARTITION OF t_e FOR VALUES FROM (0) TO (10);
COMMIT;
SELECT * FROM gaps;
DROP TABLE t_e;
SELECT outbox.enable('pk_t');
\echo a key that is proven with the partition must not be lost after it
BEGIN;
CREATE TABLE t_g PARTITION OF t FOR VALUES IN ('g');
CREATE UNIQUE INDEX ON t_g (id);
DROP INDEX t_a_id;
COMMIT;
\echo rolled back, or not enabled: nothing
BEGIN;
CREATE TABLE t_f PARTITION OF t FOR VALUES IN ('f');
ROLLBACK;
SELECT outbox.disable('pk_t');
CREATE TABLE t_f PARTITION OF t FOR VALUES IN ('f');
SELECT count(*) FROM gaps WHERE NOT resolved;
SELECT outbox.drop_contract('pk_t');
DROP SCHEMA pk CASCADE;
