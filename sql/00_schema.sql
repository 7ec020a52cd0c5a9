-- outbox_ext: assembled from sql/NN_*.sql; do not edit the assembled script.
\echo Use "CREATE EXTENSION outbox_ext" to load this file. \quit

-- As CREATE EXTENSION has it for an extension in pg_catalog; said here so that nothing rests on it.
SET LOCAL search_path = pg_catalog, pg_temp;
-- Events are written through the heap's own interface.
SET LOCAL default_table_access_method = heap;

CREATE SCHEMA outbox;
COMMENT ON SCHEMA outbox IS 'Transactional outbox: contracts, events, sinks (extension outbox_ext)';

-- Whoever can name a table can keep others waiting, with no right on it: PREPARE of a DELETE locks it, CREATE RULE
-- queues up for a lock. So what writers and relays lock is in a schema of which nobody has USAGE.
CREATE SCHEMA outbox_internal;
COMMENT ON SCHEMA outbox_internal IS 'Tables, leaves, sequences and functions behind schema outbox; nobody needs USAGE here';
