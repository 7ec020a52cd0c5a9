-- outbox_ext: assembled from sql/NN_*.sql; do not edit the assembled script.
\echo Use "CREATE EXTENSION outbox_ext" to load this file. \quit

-- As CREATE EXTENSION has it for an extension in pg_catalog; said here so that nothing rests on it.
SET LOCAL search_path = pg_catalog, pg_temp;

CREATE SCHEMA outbox;
COMMENT ON SCHEMA outbox IS 'Transactional outbox: contracts, events, sinks (extension outbox_ext)';
