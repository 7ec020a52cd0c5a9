-- Types and functions of the Avro layer.

CREATE DOMAIN outbox.string_map AS jsonb
    CONSTRAINT string_map_is_object_of_strings CHECK (
        pg_catalog.jsonb_typeof(VALUE) OPERATOR(pg_catalog.=) 'object'
        AND NOT pg_catalog.jsonb_path_exists(VALUE, 'strict $.* ? (@.type() != "string")'));
COMMENT ON DOMAIN outbox.string_map IS 'An object of strings; a contract column of this type becomes an Avro map of string';

CREATE FUNCTION outbox_internal.decode_payload(schema_id int, payload bytea, OUT payload_json jsonb, OUT error text)
LANGUAGE c STABLE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'outbox_decode_payload';
COMMENT ON FUNCTION outbox_internal.decode_payload(int, bytea) IS
'An event''s payload (Avro binary without framing) as JSON by the pinned schema of this id: decimals as numbers, times as ISO 8601 text in UTC, bytes as base64. A payload that cannot be decoded fills error; both results are NULL for a NULL argument';
REVOKE ALL ON FUNCTION outbox_internal.decode_payload(int, bytea) FROM PUBLIC;

CREATE FUNCTION outbox.check_schemas(
    reader text, writer text,
    OUT severity text, OUT rule text, OUT path text, OUT detail text, OUT message text)
RETURNS SETOF record LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'outbox_check_schemas';
COMMENT ON FUNCTION outbox.check_schemas(text, text) IS
'Lists what a reader with the first Avro schema (JSON text, at most 256 kB) cannot read, or misreads, of data that was written with the second one: one row for each difference. severity: error (a value cannot be read, or is read as another one) or warning (it can be read, and the author of the change should know). No row: compatible. rule is NAME, FIELD_NO_DEFAULT, TYPE, UNION_BRANCH, ENUM_SYMBOL, FIXED_SIZE, DECIMAL_SCALE, DECIMAL_PRECISION, LOGICAL, ALIAS_AMBIGUOUS or LOSSY; path is like items[].unit_price, empty at the root; detail is the JSON pointer into the reader''s schema. Errors: null_value_not_allowed, invalid_schema_definition, program_limit_exceeded';
REVOKE ALL ON FUNCTION outbox.check_schemas(text, text) FROM PUBLIC;
