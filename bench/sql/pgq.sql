CREATE EXTENSION pgq;
SELECT pgq.create_queue('bench');
SELECT pgq.set_queue_config('bench', 'ticker_max_lag', '0.1 s');
SELECT pgq.register_consumer('bench', 'relay');
SELECT pgq.ticker('bench');
CREATE FUNCTION legacy.orders_trigger() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pgq.insert_event('bench', 'OrderPlaced', jsonb_build_object({document})::text, NEW.ordr_no::text, NULL, NULL, NULL);
    RETURN NULL;
END
$$;
CREATE TRIGGER to_outbox AFTER INSERT ON legacy.orders
    FOR EACH ROW EXECUTE FUNCTION legacy.orders_trigger();
