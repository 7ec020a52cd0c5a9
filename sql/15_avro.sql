-- Types and functions of the Avro layer.

CREATE DOMAIN outbox.string_map AS jsonb
    CONSTRAINT string_map_is_object_of_strings CHECK (
        pg_catalog.jsonb_typeof(VALUE) OPERATOR(pg_catalog.=) 'object'
        AND NOT pg_catalog.jsonb_path_exists(VALUE, 'strict $.* ? (@.type() != "string")'));
COMMENT ON DOMAIN outbox.string_map IS 'An object of strings; a contract column of this type becomes an Avro map of string';

CREATE FUNCTION outbox.decode_payload(schema_id int, payload bytea, OUT payload_json jsonb, OUT error text)
LANGUAGE c STABLE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'outbox_decode_payload';
COMMENT ON FUNCTION outbox.decode_payload(int, bytea) IS
'An event''s payload (Avro binary without framing) as JSON by the pinned schema of this id: decimals as numbers, times as ISO 8601 text in UTC, bytes as base64. A payload that cannot be decoded fills error; both results are NULL for a NULL argument';
REVOKE ALL ON FUNCTION outbox.decode_payload(int, bytea) FROM PUBLIC;
