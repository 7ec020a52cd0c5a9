-- The label sets of outbox.metrics are bounded by what exists: neither old names nor the number of leaves add series.
SET client_min_messages = warning;
CREATE SCHEMA lm;
SET search_path = lm, public;
CREATE TABLE t (id int PRIMARY KEY, v int);
CREATE VIEW t_v AS SELECT id, v FROM t;
SELECT outbox.create_contract('lm_t', view => 't_v', source => 't', key => '{id}', required => '{v}');
SELECT outbox.create_event_type('LmChanged', contract => 'lm_t', emit => 'always');
SELECT outbox.enable('lm_t');
INSERT INTO t VALUES (1, NULL), (2, NULL);
CREATE TEMP TABLE before AS SELECT name, count(*) AS series FROM outbox.metrics GROUP BY 1;
SELECT labels, value FROM outbox.metrics WHERE name = 'outbox_dead_letters' AND labels ->> 'contract' = 'lm_t';

\echo a thousand names of contracts and event types that do not exist
INSERT INTO outbox_internal.dead_letter_entry (contract, event_type, emit, stage, sqlstate, message)
SELECT 'lm_gone_' || n, 'LmGone' || n, 'always', 'encode', '23502', 'x' FROM generate_series(1, 1000) n;
INSERT INTO outbox_internal.dead_letter_entry (contract, event_type, emit, stage, sqlstate, message)
SELECT 'lm_t', 'LmGone' || n, 'always', 'encode', '23502', 'x' FROM generate_series(1, 1000) n;
INSERT INTO outbox_internal.gap (contract, reason) SELECT 'lm_gone_' || n, 'truncate' FROM generate_series(1, 1000) n;
SELECT b.name, count(*) - b.series <= 2 AS bounded FROM before b JOIN outbox.metrics m USING (name)
WHERE b.name IN ('outbox_dead_letters') GROUP BY b.name, b.series;
SELECT labels, value FROM outbox.metrics WHERE name = 'outbox_dead_letters' AND labels ->> 'contract' = 'lm_t' ORDER BY labels;
SELECT labels ->> 'contract' AS contract, value >= 1000 AS thousand FROM outbox.metrics WHERE name = 'outbox_gaps' AND labels ->> 'contract' NOT IN (SELECT name FROM outbox.contract);
SELECT labels ->> 'contract' AS contract, value >= 1000 AS thousand FROM outbox.metrics
WHERE name = 'outbox_dead_letters' AND labels ->> 'stage' = 'encode' AND labels ->> 'contract' NOT IN (SELECT name FROM outbox.contract);
DELETE FROM outbox_internal.dead_letter_entry WHERE contract LIKE 'lm%';
DELETE FROM outbox_internal.gap WHERE contract LIKE 'lm%';

\echo leaves are one table, as large as all of them
SELECT labels FROM outbox.metrics WHERE name = 'outbox_table_bytes' AND labels ->> 'table' LIKE 'event%' ORDER BY 1;
SELECT value = (SELECT sum(pg_total_relation_size(relation)) FROM outbox.leaf) AS all_leaves
FROM outbox.metrics WHERE name = 'outbox_table_bytes' AND labels ->> 'table' = 'event';
\echo no series twice
SELECT name, labels, count(*) FROM outbox.metrics GROUP BY 1, 2 HAVING count(*) > 1;
SELECT outbox.drop_contract('lm_t');
DROP SCHEMA lm CASCADE;
