# A synchronous standby that does not answer costs time, and no dead letter: who has read is waited for, in order. Who
# waits can be cancelled or terminated, and a holder that waits for a lock of the server is not waited for.
use strict;
use warnings;

use OutboxCluster;
use Test::More;

my $node = OutboxCluster->create('standby');

$node->sql(<<'SQL');
CREATE FUNCTION execute_late(command text) RETURNS void LANGUAGE c AS 'outbox_ext', 'outbox_test_execute_late';
CREATE TABLE o (id int PRIMARY KEY);
CREATE TABLE l (id int, n int, qty int NOT NULL DEFAULT 0, PRIMARY KEY (id, n));
INSERT INTO o VALUES (1), (2);
INSERT INTO l SELECT o, n FROM generate_series(1, 2) o, generate_series(1, 9) n;
CREATE VIEW v AS SELECT o.id, (SELECT sum(qty) FROM l WHERE l.id = o.id) AS total FROM o;
SELECT outbox.create_contract('o', view => 'v', source => 'o', key => '{id}');
SELECT outbox.add_source('o', 'l', key_query => 'row.id');
SELECT outbox.create_event_type('Changed', contract => 'o', emit => 'changed', previous => '{total}');
SELECT outbox.enable('o');
ALTER SYSTEM SET outbox.flush_timeout = '200ms';
SELECT pg_reload_conf();
SQL

my $letters = 'SELECT count(*) FROM outbox.dead_letter';
my $events = "SELECT coalesce(string_agg(concat(payload->>'previous_total', '-', payload->>'total'), ' ' ORDER BY seq), '') FROM outbox.event_json WHERE aggregateid = '1'";

sub standby
{
	my ($name) = @_;
	$node->sql("ALTER SYSTEM SET synchronous_standby_names = '$name'");
	$node->sql('SELECT pg_reload_conf()');
	return;
}

# A session whose statement does not come back; returns it with its process id when it has come to that state of the queue.
sub session_at
{
	my ($state, $sql) = @_;
	my $session = $node->background_psql('postgres', on_error_stop => 0);
	my $pid = $session->query_safe('SELECT pg_backend_pid()');

	$session->query_until(qr/sent/, "\\echo sent\n$sql;\n");
	$node->poll_until("SELECT count(*) = 1 FROM outbox.commit_queue() WHERE pid = $pid AND state = '$state'");
	return ($session, $pid);
}

# ---- a standby that nobody has ----
standby('nobody');
my ($first, $first_pid) = session_at('committing', 'UPDATE l SET qty = 1 WHERE id = 1 AND n = 1');
my ($second, $second_pid) = session_at('waiting', 'UPDATE l SET qty = 10 WHERE id = 1 AND n = 2');
my ($third, $third_pid) = session_at('waiting', 'UPDATE l SET qty = 100 WHERE id = 1 AND n = 3');
my ($fourth, $fourth_pid) = session_at('waiting', 'UPDATE l SET qty = 1000 WHERE id = 1 AND n = 4');
my ($fifth, $fifth_pid) = session_at('waiting', 'UPDATE l SET qty = 10000 WHERE id = 1 AND n = 5');
$node->poll_until("SELECT now() > query_start + interval '2s' FROM pg_stat_activity WHERE pid = $fifth_pid");
is($node->sql("SELECT string_agg(state || ' ' || coalesce(blocking_pid::text, 'free'), ', ') FROM outbox.commit_queue()"),
	"committing free, waiting $first_pid, waiting $second_pid, waiting $third_pid, waiting $fourth_pid", 'after ten times flush_timeout all of them wait, in order');
my ($other, $other_pid) = session_at('committing', 'UPDATE l SET qty = 1 WHERE id = 2 AND n = 1');
pass('but not who changes another order');

# ---- somebody ends who waits ----
$node->sql("SELECT pg_cancel_backend($third_pid)");
$node->poll_until("SELECT state = 'idle' FROM pg_stat_activity WHERE pid = $third_pid");
$node->sql("SELECT pg_terminate_backend($fourth_pid)");
$node->poll_until("SELECT count(*) FROM pg_stat_activity WHERE pid = $fourth_pid", 0);
$node->poll_until("SELECT blocking_pid = $second_pid FROM outbox.commit_queue() WHERE pid = $fifth_pid");
pass('who is cancelled or terminated leaves the queue, and the next one moves up');

standby('');
$node->poll_until('SELECT count(*) FROM outbox.commit_queue()', 0);
is($node->sql($letters), 0, 'when the standby is not needed any more, nobody is late');
is($node->sql($events), '0-1 1-11 11-10011', 'and every event is the state after its transaction, in the order of coming');
is($node->sql('SELECT string_agg(qty::text, \' \' ORDER BY n) FROM l WHERE id = 1 AND n <= 5'), '1 10 0 0 10000', 'what was cancelled did not happen');
$_->quit for $first, $second, $third, $fifth, $other;
eval { $fourth->quit };

# ---- a transaction that is prepared gives its ticket back ----
standby('nobody');
($first, $first_pid) = session_at('committing', 'UPDATE l SET qty = 2 WHERE id = 1 AND n = 1');
($second, $second_pid) = session_at('waiting', "BEGIN; UPDATE l SET qty = 20 WHERE id = 1 AND n = 2; PREPARE TRANSACTION 'p'");
standby('');
$node->poll_until('SELECT count(*) = 1 FROM pg_prepared_xacts');
is($node->sql('SELECT count(*) FROM outbox.commit_queue()'), 0, 'PREPARE TRANSACTION waits as well, and gives its ticket back');
$node->sql("COMMIT PREPARED 'p'");
is($node->sql("SELECT payload->>'total' FROM outbox.event_json WHERE aggregateid = '1' ORDER BY seq DESC LIMIT 1"), '10022', 'with the state after the one before');
$_->quit for $first, $second;

# ---- a holder that reads on, and one that waits for a lock, are not waited for ----
my $gate = $node->background_psql('postgres');
$gate->query_safe('SELECT pg_advisory_lock(1)');
($first, $first_pid) = session_at('committing', "BEGIN; UPDATE l SET qty = 3 WHERE id = 1 AND n = 1; SELECT execute_late('SELECT pg_advisory_xact_lock(1)'); COMMIT");
$node->sql('UPDATE l SET qty = 30 WHERE id = 1 AND n = 2');
is($node->sql("SELECT sqlstate, message FROM outbox.dead_letter WHERE state = 'open'"), '55P03|the commit waited longer than outbox.flush_timeout for another transaction that reads the same key',
	'while the holder waits for a lock of the server, which may be ours, time counts');
$gate->query_safe('SELECT pg_advisory_unlock(1)');
$node->poll_until('SELECT count(*) FROM outbox.commit_queue()', 0);
$_->quit for $first, $gate;

# ---- two that come again, each for the key of the other ----
$node->sql("SELECT outbox.discard(id, 'test') FROM outbox.dead_letter WHERE state = 'open'");
$gate = $node->background_psql('postgres');
$gate->query_safe('SELECT pg_advisory_lock(1)');
foreach my $key (1, 2)
{
	my $session = $node->background_psql('postgres', on_error_stop => 0);
	my $more = 3 - $key;

	$session->query_until(qr/sent/, "\\echo sent\nBEGIN; UPDATE l SET qty = 7 WHERE id = $key AND n = 8; "
		  . "SELECT execute_late('SELECT pg_advisory_xact_lock_shared(1); UPDATE public.l SET qty = 7 WHERE id = $more AND n = 9'); COMMIT;\n");
	$node->poll_until("SELECT count(*) = $key FROM outbox.commit_queue() WHERE state = 'committing'");
	$first = $session if $key == 1;
	$second = $session if $key == 2;
}
$gate->query_safe('SELECT pg_advisory_unlock(1)');
$node->poll_until('SELECT count(*) FROM outbox.commit_queue()', 0);
is($node->sql('SELECT count(*) FROM l WHERE qty = 7'), 4, 'two that want more, each from the other, do not wait for ever');
cmp_ok($node->sql("SELECT count(*) FROM outbox.dead_letter WHERE state = 'open'"), '>=', 1, 'one is late');
$_->quit for $first, $second, $gate;

done_testing();
