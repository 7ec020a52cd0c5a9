-- A partition split, as partition managers do it: rows that move through tables of their own look new; between detach and reattach they do not.
SET client_min_messages = warning;
CREATE SCHEMA sp;
SET search_path = sp, public;
CREATE TABLE m (id bigint NOT NULL, day date NOT NULL, val int, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE m_def PARTITION OF m DEFAULT;
CREATE VIEW m_v AS SELECT id, day, val FROM m;
SELECT outbox.create_contract('sp_' || e, view => 'm_v', source => 'm', key => '{id,day}', evaluate => e),
    outbox.create_event_type('Sp_' || e || '_created', contract => 'sp_' || e, emit => 'created'),
    outbox.create_event_type('Sp_' || e || '_changed', contract => 'sp_' || e, emit => 'changed'),
    outbox.create_event_type('Sp_' || e || '_deleted', contract => 'sp_' || e, emit => 'deleted'),
    outbox.enable('sp_' || e)
FROM unnest('{row,commit}'::text[]) e;
CREATE FUNCTION split(year int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    ALTER TABLE sp.m DETACH PARTITION sp.m_def;
    EXECUTE format('CREATE TABLE sp.m_%1$s PARTITION OF sp.m FOR VALUES FROM (''%1$s-01-01'') TO (''%2$s-01-01'')', year, year + 1);
    WITH d AS (DELETE FROM sp.m_def WHERE day >= make_date(year, 1, 1) AND day < make_date(year + 1, 1, 1) RETURNING *)
    INSERT INTO sp.m SELECT * FROM d;
    ALTER TABLE sp.m ATTACH PARTITION sp.m_def DEFAULT;
END $$;
INSERT INTO m VALUES (1, '2031-02-02', 1), (2, '2032-02-02', 1), (3, '2033-03-03', 1);
CREATE VIEW events AS SELECT contract, type, aggregateid FROM outbox.event_json WHERE contract LIKE 'sp%' ORDER BY contract, seq;
CREATE VIEW gaps AS SELECT contract, source, reason, detail FROM outbox.gap WHERE contract LIKE 'sp%' ORDER BY contract, id;

\echo as it is: the row of 2031 is created once more; the gaps say which partition went and came
SELECT split(2031);
SELECT * FROM events;
SELECT * FROM gaps;
\echo between detach and reattach: no event, and the gap says so
CREATE TABLE before AS SELECT count(*) AS events FROM events;
BEGIN;
SELECT outbox.detach('m');
SELECT split(2032);
SELECT outbox.reattach('m');
COMMIT;
SELECT (SELECT count(*) FROM events) - events AS new FROM before;
SELECT * FROM gaps;
\echo captured as ever afterwards, wherever the row is now
UPDATE m SET val = 2;
DELETE FROM m WHERE id = 3;
SELECT * FROM events;
SELECT contract, message FROM outbox.dead_letter WHERE contract LIKE 'sp%';
SELECT outbox.drop_contract('sp_row'), outbox.drop_contract('sp_commit');
