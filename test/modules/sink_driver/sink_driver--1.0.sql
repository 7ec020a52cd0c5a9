CREATE FUNCTION publish_n(library text, options jsonb, topic text, n bigint, payload_bytes int,
                          keys bigint DEFAULT NULL, schema text DEFAULT NULL, large_at bigint DEFAULT NULL,
                          large_bytes int DEFAULT 0, keyless_at bigint DEFAULT NULL, tombstone_at bigint DEFAULT NULL,
                          max_seconds int DEFAULT 60, batch int DEFAULT 5000)
RETURNS jsonb
LANGUAGE c AS 'MODULE_PATHNAME', 'sink_driver_publish_n';
COMMENT ON FUNCTION publish_n(text, jsonb, text, bigint, int, bigint, text, bigint, int, bigint, bigint, int, int) IS
'Sends n messages through a sink as a relay would, restarting the sink after a retry or an error; says what came of them';

CREATE FUNCTION validate_options(library text, options jsonb)
RETURNS void
LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'sink_driver_validate_options';
COMMENT ON FUNCTION validate_options(text, jsonb) IS 'What create_sink does with a library and its options';
