-- The same document by a deferred constraint trigger. It watches the orders only, which is less than a contract
-- does: lines that change later are not seen.
CREATE TABLE legacy.outbox_{name} (
    id              bigserial PRIMARY KEY,
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
    SELECT 'order', NEW.ordr_no::text, 'OrderPlaced', jsonb_build_object('order_id', NEW.ordr_no, 'customer_id', NEW.cust_no,
        'status', NEW.stat_cd, 'placed_at', NEW.ordr_tms, 'items', coalesce(
            (SELECT jsonb_agg(jsonb_build_object('line_no', l.ln_no, 'sku', l.sku_cd, 'quantity', l.qty, 'unit_price', l.unt_prc) ORDER BY l.ln_no)
             FROM legacy.{name}_ln l WHERE l.ordr_no = NEW.ordr_no), '[]'));
    RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER to_outbox AFTER INSERT OR UPDATE ON legacy.{name} DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION legacy.{name}_trigger();
