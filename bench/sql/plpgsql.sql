-- What teams write: a row trigger that puts a jsonb document into an outbox table with a primary key.
-- {id}: bigserial, or uuid with a random default.
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
        jsonb_build_object(
            'order_id', NEW.ordr_no,
            'customer_id', NEW.cust_no,
            'status', NEW.stat_cd,
            'placed_at', NEW.ordr_tms,
            'changed_at', NEW.chg_tms,
            'due', NEW.due_dt,
            'total', NEW.tot_amt,
            'priority', NEW.prio_flg,
            'city', NEW.shp_city,
            'remark', NEW.rmrk));
    RETURN NULL;
END
$$;
CREATE TRIGGER to_outbox AFTER INSERT ON legacy.{name}
    FOR EACH ROW EXECUTE FUNCTION legacy.{name}_trigger();
