-- Whether a view is read through indexes follows from the view and its indexes alone, and the plan that runs keeps to it.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE SCHEMA vp;
SET search_path = vp;
CREATE TABLE ordr (id int PRIMARY KEY, cust_id int, ref text, tenant int, placed_on date);
CREATE TABLE hist (no bigint PRIMARY KEY, ordr_id int NOT NULL, st text, tenant int);
CREATE INDEX hist_ordr ON hist (ordr_id);
CREATE TABLE line (id int PRIMARY KEY, ordr_id int, sku text);
CREATE INDEX line_ordr ON line (ordr_id);
CREATE TABLE part (line_id int, pos int, nm text, PRIMARY KEY (line_id, pos));
CREATE TABLE cust (id int PRIMARY KEY, nm text);
CREATE TABLE stock (shelf int, sku text, qty int, PRIMARY KEY (shelf, sku));
CREATE TABLE rate (day date PRIMARY KEY, eur numeric(10, 4));
CREATE TABLE tag (ordr_id int, tag text);
CREATE INDEX tag_ordr ON tag USING hash (ordr_id);
CREATE TABLE visit (room int, ordr_id int, at date);
CREATE INDEX visit_room ON visit (room, ordr_id);
CREATE TABLE node (id int PRIMARY KEY, parent int);
CREATE INDEX node_parent ON node (parent);

CREATE TABLE shape (no serial, what text, query text);
INSERT INTO shape (what, query) VALUES
('newest by primary key', 'SELECT o.id, (SELECT h.st FROM hist h WHERE h.ordr_id = o.id ORDER BY h.no DESC LIMIT 1) AS x FROM ordr o'),
('newest, lateral', 'SELECT o.id, h.st FROM ordr o LEFT JOIN LATERAL (SELECT x.st FROM hist x WHERE x.ordr_id = o.id ORDER BY x.no DESC LIMIT 1) h ON true'),
('newest, by array', 'SELECT o.id, (SELECT (array_agg(h.st ORDER BY h.no DESC))[1] FROM hist h WHERE h.ordr_id = o.id) AS x FROM ordr o'),
('newest, distinct on', 'SELECT o.id, h.st FROM ordr o LEFT JOIN LATERAL (SELECT DISTINCT ON (x.ordr_id) x.st FROM hist x WHERE x.ordr_id = o.id ORDER BY x.ordr_id, x.no DESC) h ON true'),
('newest with a filter', 'SELECT o.id, (SELECT h.st FROM hist h WHERE h.ordr_id = o.id AND h.st <> ''X'' ORDER BY h.no DESC LIMIT 1) AS x FROM ordr o'),
('max', 'SELECT o.id, (SELECT max(h.no) FROM hist h WHERE h.ordr_id = o.id) AS x FROM ordr o'),
('min and max', 'SELECT o.id, (SELECT min(h.no) || max(h.no)::text FROM hist h WHERE h.ordr_id = o.id) AS x FROM ordr o'),
('row of the max', 'SELECT o.id, (SELECT h.st FROM hist h WHERE h.no = (SELECT max(m.no) FROM hist m WHERE m.ordr_id = o.id)) AS x FROM ordr o'),
('two child levels', 'SELECT o.id, (SELECT string_agg(p.nm, '','' ORDER BY p.line_id, p.pos) FROM line l JOIN part p ON p.line_id = l.id WHERE l.ordr_id = o.id) AS x FROM ordr o'),
('two levels, nested', 'SELECT o.id, (SELECT string_agg((SELECT string_agg(p.nm, '','' ORDER BY p.pos) FROM part p WHERE p.line_id = l.id), '';'' ORDER BY l.id) FROM line l WHERE l.ordr_id = o.id) AS x FROM ordr o'),
('exists over a join', 'SELECT o.id, EXISTS (SELECT FROM line l JOIN part p ON p.line_id = l.id WHERE l.ordr_id = o.id AND p.pos = 1) AS x FROM ordr o'),
('exists in WHERE', 'SELECT o.id FROM ordr o WHERE EXISTS (SELECT FROM line l JOIN part p ON p.line_id = l.id WHERE l.ordr_id = o.id)'),
('not exists', 'SELECT o.id FROM ordr o WHERE NOT EXISTS (SELECT FROM hist h WHERE h.ordr_id = o.id)'),
('in', 'SELECT o.id FROM ordr o WHERE o.id IN (SELECT h.ordr_id FROM hist h)'),
('union all', 'SELECT o.id, (SELECT count(*) FROM (SELECT ordr_id FROM hist UNION ALL SELECT ordr_id FROM line) u WHERE u.ordr_id = o.id) AS x FROM ordr o'),
('a branch without index', 'SELECT o.id, (SELECT count(*) FROM (SELECT ordr_id FROM hist UNION ALL SELECT tenant FROM hist) u WHERE u.ordr_id = o.id) AS x FROM ordr o'),
('one row beside', 'SELECT o.id, c.nm, (SELECT count(*) FROM line l WHERE l.ordr_id = o.id) AS x FROM ordr o LEFT JOIN cust c ON c.id = o.cust_id'),
('a function in FROM', 'SELECT o.id, (SELECT count(*) FROM generate_series(1, o.tenant) g JOIN hist h ON h.no = g) AS x FROM ordr o'),
('upwards', 'SELECT o.id, t.n FROM ordr o LEFT JOIN LATERAL (WITH RECURSIVE r AS (SELECT n.id, n.parent FROM node n WHERE n.id = o.id UNION ALL SELECT n.id, n.parent FROM r JOIN node n ON n.id = r.parent) SELECT count(*) AS n FROM r) t ON true'),
('hash index', 'SELECT o.id, (SELECT count(*) FROM tag t WHERE t.ordr_id = o.id) AS x FROM ordr o'),
('rate of the day', 'SELECT o.id, (SELECT r.eur FROM rate r WHERE r.day <= o.placed_on ORDER BY r.day DESC LIMIT 1) AS x FROM ordr o'),
('latest rate of all', 'SELECT o.id, (SELECT max(r.day) FROM rate r) AS x FROM ordr o'),
('a week of rates', 'SELECT o.id, (SELECT count(*) FROM rate r WHERE r.day BETWEEN o.placed_on - 7 AND o.placed_on) AS x FROM ordr o'),
('all rates before', 'SELECT o.id, (SELECT count(*) FROM rate r WHERE r.day <= o.placed_on) AS x FROM ordr o'),
('all rates since', 'SELECT o.id, (SELECT count(*) FROM rate r WHERE r.day BETWEEN o.placed_on AND now()) AS x FROM ordr o'),
('first column', 'SELECT o.id, (SELECT sum(s.qty) FROM stock s WHERE s.shelf = o.tenant) AS x FROM ordr o'),
('second column', 'SELECT o.id, (SELECT sum(s.qty) FROM stock s WHERE s.sku = o.ref) AS x FROM ordr o'),
('second column, first', 'SELECT o.id, (SELECT s.qty FROM stock s WHERE s.sku = o.ref ORDER BY s.shelf LIMIT 1) AS x FROM ordr o'),
('first one is constant', 'SELECT o.id, (SELECT min(v.at) FROM visit v WHERE v.room = 7 AND v.ordr_id = o.id) AS x FROM ordr o'),
('constant alone', 'SELECT o.id, (SELECT min(v.at) FROM visit v WHERE v.room = 7) AS x FROM ordr o'),
('constant of a unique index', 'SELECT o.id, c.nm FROM ordr o JOIN cust c ON c.id = 1'),
('two indexes would do', 'SELECT o.id, (SELECT count(*) FROM hist h WHERE h.ordr_id = o.id OR h.no = o.cust_id) AS x FROM ordr o'),
('one side of an OR', 'SELECT o.id, (SELECT count(*) FROM hist h WHERE h.ordr_id = o.id OR h.tenant = o.tenant) AS x FROM ordr o'),
('grouped aside', 'SELECT o.id, l.n FROM ordr o LEFT JOIN (SELECT ordr_id, count(*) AS n FROM line GROUP BY ordr_id) l ON l.ordr_id = o.id'),
('not in', 'SELECT o.id FROM ordr o WHERE o.id NOT IN (SELECT ordr_id FROM line)'),
('all of it', 'SELECT o.id, (SELECT count(*) FROM cust) AS x FROM ordr o');

-- what create_contract says, undone; its hint with it
CREATE FUNCTION verdict(query text, OUT says text, OUT hint text) LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE 'CREATE VIEW v AS ' || query;
	PERFORM outbox.create_contract('v', view => 'vp.v', source => 'vp.ordr', key => '{id}', evaluate => 'commit');
	RAISE EXCEPTION 'accepted';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS says = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
END $$;
CREATE TABLE verdicts (occasion text, what text, says text);
CREATE FUNCTION judge(occasion text) RETURNS bigint LANGUAGE sql AS $$
	INSERT INTO verdicts SELECT occasion, what, (verdict(query)).says FROM shape;
	SELECT count(*) FROM verdicts v WHERE v.occasion = judge.occasion
		AND v.says IS DISTINCT FROM (SELECT f.says FROM verdicts f WHERE f.occasion = 'empty' AND f.what = v.what) $$;

\echo == the verdicts, on empty tables that nobody has analyzed
SELECT judge('empty') AS differ;
SELECT s.what, v.says, (verdict(s.query)).hint FROM shape s JOIN verdicts v USING (what) ORDER BY s.no;

\echo == with as many children as parents
INSERT INTO ordr SELECT g, g, 'r' || g, g % 3, '2026-01-01' FROM generate_series(1, 2000) g;
INSERT INTO hist SELECT g, g, 's', g % 3 FROM generate_series(1, 2000) g;
INSERT INTO line SELECT g, g, 'k' FROM generate_series(1, 2000) g;
INSERT INTO part SELECT g, 1, 'p' FROM generate_series(1, 2000) g;
INSERT INTO cust SELECT g, 'c' FROM generate_series(1, 2000) g;
INSERT INTO stock SELECT g % 10, 'r' || g, g FROM generate_series(1, 2000) g;
INSERT INTO rate SELECT '2020-01-01'::date + g, 1 FROM generate_series(1, 2000) g;
INSERT INTO node SELECT g, g / 2 FROM generate_series(1, 2000) g;
ANALYZE ordr, hist, line, part, cust, stock, rate, tag, visit, node;
SELECT judge('analyzed') AS differ;

\echo == with few parents of very many children
INSERT INTO hist SELECT 10000 + g, 1 + g % 3, 's', 1 FROM generate_series(1, 60000) g;
INSERT INTO line SELECT 10000 + g, 1 + g % 3, 'k' FROM generate_series(1, 30000) g;
SELECT judge('grown') AS differ;
ANALYZE hist, line;
SELECT judge('grown, analyzed') AS differ;

\echo == whatever the session has set
BEGIN;
SET LOCAL enable_indexscan = off;
SET LOCAL enable_bitmapscan = off;
SET LOCAL enable_nestloop = off;
SET LOCAL enable_sort = off;
SET LOCAL random_page_cost = 10000;
SET LOCAL seq_page_cost = 0;
SET LOCAL cpu_index_tuple_cost = 1000;
SET LOCAL effective_cache_size = '8kB';
SET LOCAL join_collapse_limit = 1;
SET LOCAL from_collapse_limit = 1;
SET LOCAL geqo_threshold = 2;
SET LOCAL cursor_tuple_fraction = 1;
SET LOCAL work_mem = '64kB';
SELECT judge('settings') AS differ;
ROLLBACK;

\echo == no setting of the planner reaches it
-- but those of ANALYZE, of plans that are chosen per execution, which ours are not, and of debugging
CREATE VIEW setting AS SELECT name, setting,
		CASE WHEN vartype = 'enum' THEN enumvals[1] WHEN vartype = 'bool' THEN 'off' ELSE min_val END AS low,
		CASE WHEN vartype = 'enum' THEN enumvals[array_length(enumvals, 1)] WHEN vartype = 'bool' THEN 'on' ELSE max_val END AS high
	FROM pg_settings WHERE (category LIKE 'Query Tuning%' OR name IN ('work_mem', 'hash_mem_multiplier', 'effective_io_concurrency')) AND context IN ('user', 'superuser')
		AND name NOT IN ('default_statistics_target', 'plan_cache_mode', 'debug_parallel_query', 'force_parallel_mode');
CREATE FUNCTION spy() RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
	RAISE EXCEPTION 'while planning: %', (SELECT string_agg(name || '=' || setting, ' ' ORDER BY name) FROM vp.setting);
END $$;
CREATE FUNCTION seen(extreme text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config(name, CASE extreme WHEN 'low' THEN low ELSE high END, true) FROM vp.setting;
	RAISE EXCEPTION '%', (verdict('SELECT o.id, vp.spy() AS x FROM ordr o')).says;
EXCEPTION WHEN OTHERS THEN
	RETURN SQLERRM;	-- and the settings are as before
END $$;
WITH seen AS MATERIALIZED (SELECT seen('low') AS low, seen('high') AS high)
SELECT low LIKE 'while planning: %enable_seqscan=off%' AS while_planning,
	(SELECT array_agg(l) FROM regexp_split_to_table(low, ' ') l WHERE l <> ALL (regexp_split_to_array(high, ' '))) AS differ FROM seen;

\echo == the plans that run read no more than the rows of their keys
CREATE VIEW newest AS SELECT o.id, (SELECT h.st FROM hist h WHERE h.ordr_id = o.id ORDER BY h.no DESC LIMIT 1) AS st,
	(SELECT count(*) FROM line l JOIN part p ON p.line_id = l.id WHERE l.ordr_id = o.id) AS parts FROM ordr o;
SELECT outbox.create_contract('newest', view => 'newest', source => 'ordr', key => '{id}');
SELECT outbox.add_source('newest', 'hist', key_query => 'row.ordr_id');
SELECT outbox.add_source('newest', 'part', key_query => 'SELECT o.id FROM vp.ordr o WHERE o.id IN (SELECT l.ordr_id FROM vp.line l WHERE l.id = row.line_id)');
SELECT outbox.create_event_type('NewestChanged', contract => 'newest', emit => 'changed');
SELECT outbox.enable('newest');
CREATE VIEW reads AS SELECT relname, seq_scan, idx_scan, idx_tup_fetch FROM pg_stat_user_tables WHERE schemaname = 'vp' AND relname IN ('ordr', 'hist', 'line', 'part') ORDER BY 1;
SELECT pg_stat_force_next_flush();
CREATE TABLE before AS SELECT * FROM reads;
SET enable_indexscan = off;
SET enable_bitmapscan = off;
INSERT INTO hist VALUES (200001, 77, 'new', 1);
INSERT INTO part VALUES (77, 2, 'new');
ANALYZE hist, line;
INSERT INTO hist VALUES (200002, 77, 'newer', 1);
INSERT INTO part VALUES (77, 3, 'newer');
RESET enable_indexscan;
RESET enable_bitmapscan;
SELECT payload FROM outbox.event_json WHERE type = 'NewestChanged' ORDER BY seq;
SELECT stage, message FROM outbox.dead_letter WHERE contract = 'newest';
SELECT pg_stat_force_next_flush();
SELECT r.relname, r.seq_scan - b.seq_scan AS scans, r.idx_tup_fetch - b.idx_tup_fetch < 40 AS few FROM reads r JOIN before b USING (relname);
SELECT outbox.drop_contract('newest');
DROP SCHEMA vp CASCADE;
