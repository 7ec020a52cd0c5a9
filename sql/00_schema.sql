-- outbox_ext: assembled from sql/NN_*.sql; do not edit the assembled script.
\echo Use "CREATE EXTENSION outbox_ext" to load this file. \quit

CREATE SCHEMA outbox;
COMMENT ON SCHEMA outbox IS 'Transactional outbox: contracts, events, sinks (extension outbox_ext)';
