-- A key_query goes on when a column of its source is renamed, whatever its text looks like, or one that it joins; partitions, too.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS outbox_ext;
CREATE SCHEMA kr;
SET search_path = kr;
\pset format unaligned
\pset tuples_only on
CREATE TABLE o (no int, shop int, name text, PRIMARY KEY (shop, no));
CREATE TABLE l ("order" int, shop int, n int, id int PRIMARY KEY);
CREATE TABLE c (shop int, who text, id int) PARTITION BY LIST (shop);
CREATE TABLE c_1 PARTITION OF c FOR VALUES IN (1);
CREATE INDEX ON l (shop, "order");
CREATE VIEW v AS SELECT o.shop, o.no, o.name, (SELECT sum(l.n) FROM l WHERE l.shop = o.shop AND l."order" = o.no)::int AS n,
    (SELECT count(*) FROM c WHERE c.shop = o.shop AND c.id = o.no) AS cs FROM o;
CREATE INDEX ON c (shop, id);
SELECT outbox.create_contract('kr', view => 'kr.v', source => 'kr.o', key => '{shop,no}');
SELECT outbox.create_event_type('kr_changed', contract => 'kr', emit => 'changed');
-- in comments and strings "row.order" is a text like any other
SELECT outbox.add_source('kr', 'l', E'row.shop /* row.order */, -- row."order"\n "row" . "order" + CASE WHEN row.n = 0 THEN 0 ELSE 0 END');
SELECT outbox.add_source('kr', 'c', $$SELECT o.shop, o.no FROM kr.o, kr.l AS who WHERE 'row.who' <> row.who AND o.shop = row.shop AND o.no = row.id AND who.shop = o.shop AND who."order" = o.no -- row.who$$);
SELECT outbox.enable('kr');
INSERT INTO o VALUES (1, 1, 'a'), (2, 1, 'b');
INSERT INTO l VALUES (1, 1, 5, 1), (2, 1, 6, 2);
ALTER TABLE l RENAME "order" TO "Order-no";
ALTER TABLE l RENAME COLUMN shop TO shop_no;
ALTER TABLE l RENAME COLUMN id TO line_id;
ALTER TABLE c RENAME who TO person;
SELECT relation, key_query FROM outbox.source WHERE key_query IS NOT NULL AND relation::text IN ('l', 'c') ORDER BY 1;
CREATE TABLE seen AS SELECT coalesce(max(seq), 0) AS seq FROM outbox.event_json;
UPDATE l SET n = n + 1 WHERE "Order-no" = 1;
SELECT aggregateid, payload FROM outbox.event_json WHERE contract = 'kr' AND seq > (SELECT seq FROM seen) ORDER BY seq;
-- what a SELECT joins is followed, and a row that moves touches both of its places
UPDATE seen SET seq = (SELECT max(seq) FROM outbox.event_json);
INSERT INTO c VALUES (1, 'x', 1);
INSERT INTO c VALUES (1, 'y', 2);
UPDATE c SET id = 1 WHERE person = 'y';
DELETE FROM c WHERE person = 'y';
SELECT aggregateid, payload ->> 'cs' FROM outbox.event_json WHERE contract = 'kr' AND seq > (SELECT seq FROM seen) ORDER BY seq;
SELECT count(*) FROM outbox.dead_letter WHERE contract = 'kr';
SELECT outbox.drop_contract('kr');
DROP SCHEMA kr CASCADE;
