-- A filter of very many keys, which needs preloading and needs test functions: it has every one of them and hardly any other, and ends where its memory does.
CREATE FUNCTION bulk_filter(nkeys bigint) RETURNS float8[] LANGUAGE c AS 'outbox_ext', 'outbox_test_bulk_filter';
-- two bytes per key, then one, then there is no room
WITH size(n) AS (SELECT pg_size_bytes(current_setting('outbox.bulk_filter_memory'))),
	tried AS (SELECT what, nkeys, bulk_filter(nkeys) AS b FROM size, LATERAL (VALUES ('few', 257), ('many', 10000), ('generous', n / 2), ('scarce', n / 2 + 1), ('full', n), ('too many', n + 1)) t(what, nkeys))
SELECT what, b[3] = nkeys AS has_all, b[4] < nkeys * 0.005 AS one_in_200, b[4] < nkeys * 0.05 AS one_in_20 FROM tried ORDER BY nkeys;
DROP FUNCTION bulk_filter;
