-- What teams write: a row trigger that puts a jsonb document into an outbox table with a primary key.
-- The type of its key and the pairs of the document are filled in.
CREATE TABLE legacy.outbox_{name} (
    id              {id} PRIMARY KEY,
    aggregatetype   varchar(255) NOT NULL,
    aggregateid     varchar(255) NOT NULL,
    type            varchar(255) NOT NULL,
    payload         jsonb NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now()
);
CREATE FUNCTION legacy.{name}_trigger() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO legacy.outbox_{name} (aggregatetype, aggregateid, type, payload)
    VALUES ('order', NEW.ordr_no::text, 'OrderPlaced',
        jsonb_build_object({document}));
    RETURN NULL;
END
$$;
CREATE TRIGGER to_outbox AFTER INSERT ON legacy.{name}
    FOR EACH ROW EXECUTE FUNCTION legacy.{name}_trigger();
