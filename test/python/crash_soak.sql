-- What the application of crash_soak.py is: it numbers the changes of each account and writes what crash_check.py expects.
CREATE EXTENSION outbox_ext;
CREATE SCHEMA app;
CREATE TABLE app.tally (key int PRIMARY KEY, version bigint NOT NULL);
CREATE TABLE app.deletion (key int, version bigint, PRIMARY KEY (key, version));
CREATE TABLE app.change (xid xid8 DEFAULT pg_current_xact_id(), key int, version bigint);
CREATE TABLE app.account (acct_no int PRIMARY KEY, ver bigint NOT NULL, bal numeric(12,2) NOT NULL, rmrk text NOT NULL);

-- Changes accounts; creates those that are not there. Keys are locked in their order.
CREATE FUNCTION app.change(keys int[]) RETURNS void LANGUAGE sql AS $$
WITH locked AS MATERIALIZED (SELECT t.key FROM app.tally t WHERE t.key = ANY (keys) ORDER BY t.key FOR UPDATE),
    numbered AS (UPDATE app.tally t SET version = t.version + 1 FROM locked l WHERE t.key = l.key RETURNING t.key, t.version),
    logged AS (INSERT INTO app.change (key, version) SELECT key, version FROM numbered)
INSERT INTO app.account
SELECT key, version, ((key * 7919::bigint + version * 104729) % 10000000)::numeric / 100,
       repeat(chr((97 + version % 26)::int), ((key + version) % 60)::int)
FROM numbered
ON CONFLICT (acct_no) DO UPDATE SET ver = excluded.ver, bal = excluded.bal, rmrk = excluded.rmrk
$$;
-- Changes an account and deletes it.
CREATE FUNCTION app.close(key int) RETURNS void LANGUAGE sql AS $$
SELECT app.change(ARRAY[key]);
WITH gone AS (DELETE FROM app.account WHERE acct_no = key RETURNING acct_no, ver)
INSERT INTO app.deletion SELECT acct_no, ver FROM gone
$$;

CREATE VIEW app.account_v1 AS
SELECT acct_no AS account_id, ver AS version, bal AS balance, rmrk AS remark FROM app.account;
SELECT outbox.create_contract('account', view => 'app.account_v1', source => 'app.account', key => '{account_id}',
    required => '{account_id,version,balance,remark}');
SELECT outbox.create_event_type('AccountOpened', contract => 'account', emit => 'created', topic => 'accounts');
SELECT outbox.create_event_type('AccountChanged', contract => 'account', emit => 'changed', topic => 'accounts');
SELECT outbox.create_event_type('AccountClosed', contract => 'account', emit => 'deleted', topic => 'accounts');
SELECT outbox.enable('account');

-- Evaluated at commit: one event per key and transaction, with the last version of it.
CREATE VIEW app.ledger_v1 AS
SELECT t.key AS account_id, t.version, a.bal AS balance, a.rmrk AS remark
FROM app.tally t LEFT JOIN app.account a ON a.acct_no = t.key;
SELECT outbox.create_contract('ledger', view => 'app.ledger_v1', source => 'app.tally', key => '{account_id}',
    required => '{account_id,version}');
SELECT outbox.add_source('ledger', 'app.account', key_query => 'row.acct_no');
SELECT outbox.create_event_type('LedgerChanged', contract => 'ledger', emit => 'changed', topic => 'ledger');
