-- Nothing for everybody, except what owners of sources and views need.

REVOKE ALL ON ALL TABLES IN SCHEMA outbox FROM PUBLIC;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA outbox FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA outbox FROM PUBLIC;
REVOKE ALL ON SCHEMA outbox FROM PUBLIC;

-- Otherwise the owner of a source could not attach or create partitions of it, nor
-- the migration engineer create the triggers that enable() creates in his name.
GRANT USAGE ON SCHEMA outbox TO PUBLIC;
GRANT EXECUTE ON FUNCTION outbox.capture() TO PUBLIC;
GRANT EXECUTE ON FUNCTION outbox.capture_truncate() TO PUBLIC;
-- Views call it with the rights of whoever reads them.
GRANT EXECUTE ON FUNCTION outbox.decode(text, text) TO PUBLIC;
GRANT EXECUTE ON FUNCTION outbox.decode(text, bigint) TO PUBLIC;
