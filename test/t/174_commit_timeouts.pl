# Timeouts of a session do not run while a commit waits for a key and reads: statement_timeout not in a procedure or DO
# either, transaction_timeout nowhere, and lock_timeout has nothing to do. Afterwards they go on with what was left.
use strict;
use warnings;

use OutboxCluster;
use Test::More;

my $node = OutboxCluster->create('timeouts');

$node->sql(<<'SQL');
CREATE FUNCTION execute_late(command text) RETURNS void LANGUAGE c AS 'outbox_ext', 'outbox_test_execute_late';
CREATE TABLE o (id int PRIMARY KEY);
CREATE TABLE l (id int, n int, qty int NOT NULL DEFAULT 0, PRIMARY KEY (id, n));
CREATE TABLE slow (one int PRIMARY KEY, seconds float8 NOT NULL);
INSERT INTO slow VALUES (1, 0);
INSERT INTO o VALUES (1), (2);
INSERT INTO l SELECT o, n FROM generate_series(1, 2) o, generate_series(1, 9) n;
CREATE FUNCTION slowly(n bigint) RETURNS bigint STABLE LANGUAGE plpgsql AS $$ BEGIN
	PERFORM pg_sleep((SELECT seconds FROM public.slow WHERE one = 1)); RETURN n; END $$;
CREATE VIEW v AS SELECT o.id, slowly((SELECT sum(qty) FROM l WHERE l.id = o.id)) AS total FROM o;
SELECT outbox.create_contract('o', view => 'v', source => 'o', key => '{id}');
SELECT outbox.add_source('o', 'l', key_query => 'row.id');
SELECT outbox.create_event_type('Changed', contract => 'o', emit => 'changed', previous => '{total}');
SELECT outbox.enable('o');
CREATE PROCEDURE write(n int, value int) LANGUAGE plpgsql AS $$ BEGIN
	UPDATE l SET qty = value WHERE l.id = 1 AND l.n = write.n; COMMIT; END $$;
SQL

my $totals = "SELECT coalesce(string_agg(payload->>'total', ' ' ORDER BY seq), '') FROM outbox.event_json";
my $letters = "SELECT count(*) FROM outbox.dead_letter WHERE state = 'open'";
my $gate = $node->background_psql('postgres');

$gate->query_safe('SELECT pg_advisory_lock(2)');

# Somebody has read order 1, and commits until release().
sub hold
{
	my ($value) = @_;
	my $holder = $node->background_psql('postgres');

	$gate->query_safe('SELECT pg_advisory_lock(1)');
	$holder->query_until(qr/sent/,
		"\\echo sent\nBEGIN; UPDATE l SET qty = $value WHERE id = 1 AND n = 9; SELECT execute_late('SELECT pg_advisory_xact_lock(1)'); COMMIT;\n");
	$node->poll_until("SELECT count(*) = 1 FROM outbox.commit_queue() WHERE state = 'committing'");
	return $holder;
}

sub release
{
	my ($holder) = @_;

	$gate->query_safe('SELECT pg_advisory_unlock(1)');
	$holder->quit;
	return;
}

# Runs it in a session while order 1 is held, for twice the session's timeout of 300 ms; returns what it printed.
sub waits
{
	my ($held, $settings, $sql) = @_;
	my $holder = hold($held);
	my $session = $node->background_psql('postgres', on_error_stop => 0);
	my $pid = $session->query_safe("SET outbox.flush_timeout = '1min'; $settings; SELECT pg_backend_pid()");

	$session->query_until(qr/sent/, "\\echo sent\n$sql;\n");
	$node->poll_until("SELECT count(*) = 1 FROM outbox.commit_queue() WHERE pid = $pid AND state = 'waiting'");
	$node->poll_until("SELECT now() > query_start + interval '600ms' FROM pg_stat_activity WHERE pid = $pid");
	release($holder);
	$node->poll_until("SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $pid AND state = 'active'");
	eval { $session->query('SELECT 1') };
	my ($error) = ($session->{stderr} =~ /((?:ERROR|FATAL): .*)/);
	eval { $session->quit };
	return $error // 'done';
}

my $statement = "SET statement_timeout = '300ms'";

# ---- the wait for a key ----
is(waits(1, $statement, 'CALL write(1, 10)'), 'done', 'COMMIT in a procedure waits for a key longer than statement_timeout');
is(waits(2, $statement, 'DO $$ BEGIN UPDATE l SET qty = 20 WHERE id = 1 AND n = 1; COMMIT; END $$'), 'done', 'and in a DO block');
is(waits(3, $statement, 'UPDATE l SET qty = 30 WHERE id = 1 AND n = 1'), 'done', 'as one that the client sends');
is(waits(4, "SET lock_timeout = '300ms'", 'CALL write(1, 40)'), 'done', 'it has no lock_timeout');
is(waits(5, "SET idle_in_transaction_session_timeout = '300ms'", 'BEGIN; UPDATE l SET qty = 50 WHERE id = 1 AND n = 1; COMMIT'), 'done', 'and is not idle');
is($node->sql($totals), '1 11 12 22 23 33 34 44 45 55', 'all of it happened, in order');
SKIP:
{
	skip 'transaction_timeout came with 17', 2 if $node->sql('SHOW server_version_num') < 170000;
	is(waits(7, "SET transaction_timeout = '300ms'", 'UPDATE l SET qty = 51 WHERE id = 1 AND n = 1'), 'done', 'nor does transaction_timeout end it');
	is(waits(8, "SET transaction_timeout = '300ms'; SET statement_timeout = '250ms'", 'CALL write(1, 52)'), 'done', 'nor both together');
}
is($node->sql($letters), 0, 'and nothing is late');

# ---- what was left of the time is what is left ----
like(waits(6, $statement, 'DO $$ BEGIN UPDATE l SET qty = 60 WHERE id = 1 AND n = 1; COMMIT; PERFORM pg_advisory_lock(2); END $$'),
	qr/canceling statement due to statement timeout/, 'after the COMMIT statement_timeout goes on');
is($node->sql('SELECT qty FROM l WHERE id = 1 AND n = 1'), 60, 'which keeps what was committed');

# ---- the reading ----
$node->sql('UPDATE slow SET seconds = 0.4');
$node->sql("SET statement_timeout = '300ms'; SET outbox.flush_timeout = '1min'; CALL write(1, 70)");
is($node->sql('SELECT qty FROM l WHERE id = 1 AND n = 1'), 70, 'reading may take longer than statement_timeout');

# ---- being late ----
$node->sql("SET statement_timeout = '300ms'; SET outbox.flush_timeout = '200ms'; CALL write(1, 80)");
is($node->sql('SELECT qty FROM l WHERE id = 1 AND n = 1'), 80, 'where reading takes longer than flush_timeout the write stands');
is($node->sql($letters), 1, 'and the key is late');
$node->sql('UPDATE slow SET seconds = 0');
$node->poll_until("SELECT outbox_internal.redrive_late(20) IS NOT NULL AND ($letters) = 0");

# A key that is refused has half of the time again to read the row before, not all of it.
my $holder = hold(100);
$node->sql('UPDATE slow SET seconds = 0.75');
$node->sql("SET outbox.flush_timeout = '1s'; CALL write(1, 110)");
is($node->sql("SELECT qty FROM l WHERE id = 1 AND n = 1"), 110, 'where a key is refused the write stands');
is($node->sql("SELECT sqlstate, before IS NULL FROM outbox.dead_letter WHERE state = 'open'"), '55P03|t', 'and reading the row before took longer than half of flush_timeout');
$node->sql('UPDATE slow SET seconds = 0.2');
$node->sql("SET outbox.flush_timeout = '1s'; CALL write(2, 110)");
is($node->sql("SELECT before->>'total' FROM outbox.dead_letter WHERE state = 'open' ORDER BY id DESC LIMIT 1") =~ /^\d+$/, 1, 'which else is kept');
$node->sql('UPDATE slow SET seconds = 0');
release($holder);
$node->poll_until("SELECT outbox_internal.redrive_late(20) IS NOT NULL AND ($letters) = 0");

# ---- a commit that fails does so for its own reason ----
$node->sql(<<'ABORT');
SELECT outbox.drop_contract('o');
SELECT outbox.create_contract('o', view => 'v', source => 'o', key => '{id}', on_invalid => 'abort');
SELECT outbox.add_source('o', 'l', key_query => 'row.id');
SELECT outbox.create_event_type('ChangedOrFail', contract => 'o', emit => 'changed');
SELECT outbox.enable('o');
UPDATE slow SET seconds = 0.4;
ABORT
like($node->sql_error("SET statement_timeout = '300ms'; SET outbox.flush_timeout = '200ms'; CALL write(1, 90)"),
	qr/contract "o" refuses the change: outbox.flush_timeout passed/, 'a commit that may not be late says that it was');

# ---- a statement that waits for room in the lock table ----
$node->sql(<<'ROOM');
CREATE FUNCTION take_room() RETURNS bool LANGUAGE c AS 'outbox_ext', 'outbox_test_take_room';
CREATE TABLE e (id int PRIMARY KEY);
CREATE TABLE m (n int, id int, part int) PARTITION BY LIST (part);
CREATE INDEX ON m (n);
DO $$ BEGIN FOR i IN 1..200 LOOP EXECUTE format('CREATE TABLE m_%s PARTITION OF m FOR VALUES IN (%s)', i, i); END LOOP; END $$;
CREATE TABLE c (n int PRIMARY KEY);
INSERT INTO e VALUES (7);
INSERT INTO m VALUES (1, 7, 1);
CREATE VIEW e_v AS SELECT e.id, (SELECT count(*) FROM c JOIN m USING (n) WHERE m.id = e.id) AS total FROM e;
CREATE INDEX ON m (id);
SELECT outbox.create_contract('e', view => 'e_v', source => 'e', key => '{id}');
SELECT outbox.add_source('e', 'c', key_query => 'SELECT id FROM public.m WHERE m.n = row.n');
SELECT outbox.create_event_type('Counted', contract => 'e', emit => 'changed');
SELECT outbox.enable('e');
ROOM
my $session = $node->background_psql('postgres');
is($session->query_safe('BEGIN; SELECT take_room()'), 't', 'somebody looks at very many tables');
my ($ms) = $node->sql(<<'ROWS') =~ /(\d+)$/;
SET statement_timeout = '1500ms';
SET outbox.flush_timeout = '2s';
BEGIN;
INSERT INTO c SELECT generate_series(1, 20);
INSERT INTO c VALUES (21);
SELECT 1000 * extract(epoch FROM clock_timestamp() - now())::int;
ROLLBACK;
ROWS
cmp_ok($ms, '>=', 2000, 'a key_query with many tables waits for room, longer than statement_timeout');
cmp_ok($ms, '<', 20000, 'but once in a transaction, not for each row');
$session->quit;

$gate->quit;
done_testing();
