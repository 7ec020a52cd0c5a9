# Commits of very many keys let those pass that have none of them, in the order of every key, through aborts, terminated
# sessions and a kill -9; more with OUTBOX_TRANSACTIONS=n.
use strict;
use warnings;

use FindBin;
use OutboxCluster;
use Test::More;

my $top  = "$FindBin::RealBin/../..";
my $node = OutboxCluster->create('bulk', conf => "max_connections = 60\n");
my $seed = $ENV{OUTBOX_SEED} // int(rand 1_000_000);

# ---- bulk and small commits at random ----
my $dsn = 'host=' . $node->host . ' port=' . $node->port . ' user=postgres dbname=postgres';
my ($out, $err) = ('', '');
my $ok = IPC::Run::run([ "$top/build/venv/bin/python", "$top/test/python/bulk_hammer.py", '--dsn', $dsn, '--seed', $seed,
		'--transactions', $ENV{OUTBOX_TRANSACTIONS} // 3000 ], '<', \undef, '>', \$out, '2>', \$err);
ok($ok, 'events of one key follow from each other, and nobody is late') or diag("$out\n$err");
note($out);

# ---- one bulk commit that stays, and others that come meanwhile ----
$node->sql(<<'SQL');
CREATE FUNCTION execute_late(command text) RETURNS void LANGUAGE c AS 'outbox_ext', 'outbox_test_execute_late';
CREATE TABLE o (id int PRIMARY KEY);
CREATE TABLE l (id int, n int, qty int, PRIMARY KEY (id, n));
INSERT INTO o SELECT generate_series(1, 2000);
INSERT INTO l SELECT id, n, 1 FROM o, generate_series(1, 2) n;
CREATE VIEW v AS SELECT o.id, (SELECT sum(qty) FROM l WHERE l.id = o.id) AS total FROM o;
SELECT outbox.create_contract('o', view => 'v', source => 'o', key => '{id}');
SELECT outbox.add_source('o', 'l', key_query => 'row.id');
SELECT outbox.create_event_type('Changed', contract => 'o', emit => 'changed', previous => '{total}');
SELECT outbox.enable('o');
SQL

my $late  = "SELECT coalesce(string_agg(key->>'id', ' ' ORDER BY id), '') FROM outbox.dead_letter WHERE stage = 'flush' AND state = 'open'";
# Who shall be late is so soon; who shall not be has time on a slow machine.
my $hasty = "SET outbox.flush_timeout = '300ms';";
my $patient = "SET outbox.flush_timeout = '1min';";
my ($gate, $bulk, $passer, $second);

# A session whose commit stops after its flush, until that advisory lock of the gate's is released.
sub stop_in_commit
{
	my ($lock, $change, $more) = @_;
	my $session = $node->background_psql('postgres', on_error_stop => 0);
	my $pid = $session->query_safe('SELECT pg_backend_pid()');

	$more //= '';
	$session->query_safe("SET outbox.flush_timeout = '1min'");
	$session->query_until(qr/sent/, "\\echo sent\nBEGIN; $change; SELECT execute_late('SELECT pg_advisory_xact_lock($lock); $more'); COMMIT;\n");
	$node->poll_until("SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND pid = $pid");
	return ($session, $pid);
}

$gate = $node->background_psql('postgres');
$gate->query_safe('SELECT pg_advisory_lock(1), pg_advisory_lock(2)');
($bulk) = stop_in_commit(1, 'UPDATE l SET qty = 2 WHERE n = 1 AND id <= 1000');
$node->sql("$patient UPDATE l SET qty = 3 WHERE n = 2 AND id = $_") for map { $_ * 50 } 21 .. 40;
$node->sql("$patient UPDATE l SET qty = 4 WHERE n = 2 AND id BETWEEN 1601 AND 1856");
is($node->sql($late), '', 'commits of other keys are not late while a bulk commit stays, not even of 256');
$node->sql("$hasty UPDATE l SET qty = 3 WHERE n = 2 AND id IN (7, 1510)");
is($node->sql($late), '7 1510', 'a commit that has one of its keys is');
$node->sql("SELECT outbox.discard(id, 'test') FROM outbox.dead_letter WHERE state = 'open'");

# ---- who has passed may go on while the next bulk commit, which has the slots by now, waits for him ----
($passer) = stop_in_commit(2, 'UPDATE l SET qty = 5 WHERE n = 1 AND id = 1999', 'UPDATE public.l SET qty = 5 WHERE n = 1 AND id = 1998');
$gate->query_safe('SELECT pg_advisory_unlock(1)');
$second = $node->background_psql('postgres');
$second->query_safe("SET outbox.flush_timeout = '1min'");
$second->query_until(qr/sent/, "\\echo sent\nUPDATE l SET qty = 6 WHERE n = 2 AND id > 1000;\n");
$node->poll_until("SELECT count(*) = 1 FROM outbox.commit_queue() WHERE state = 'waiting' AND keys IS NULL");
is($node->sql("SELECT count(*) FROM l WHERE qty = 6"), 0, 'the next bulk commit waits for who has passed');
$gate->query_safe('SELECT pg_advisory_unlock(2)');
$node->poll_until('SELECT count(*) = 1000 FROM l WHERE qty = 6');
$_->quit for $bulk, $passer, $second;
is($node->sql($late), '', 'and neither is late');
is($node->sql("SELECT string_agg(concat(payload->'previous_total', ' to ', payload->'total'), ', ' ORDER BY seq) FROM outbox.event_json WHERE contract = 'o' AND aggregateid = '1999'"),
	'2 to 6, 6 to 11', 'the next one sees what he did');

# ---- a backend that is killed takes everything along ----
my $pid;
$gate->query_safe('SELECT pg_advisory_lock(1)');
($bulk, $pid) = stop_in_commit(1, 'UPDATE l SET qty = 7 WHERE n = 1 AND id <= 1000');
my $checkpointer = $node->sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'");
kill 'KILL', $pid;
$node->poll_until("SELECT pid <> $checkpointer FROM pg_stat_activity WHERE backend_type = 'checkpointer'");
$node->sql("$patient UPDATE l SET qty = 8 WHERE n = 2 AND id IN (8, 1500)");
is($node->sql($late), '', 'after the crash nobody waits for a bulk commit that was killed');
is($node->sql("SELECT count(*) FROM outbox.event_json WHERE contract = 'o' AND payload->>'total' = '8' AND aggregateid::int <= 1000"), 0, 'which left no event');
$gate->{run}->finish, $bulk->{run}->finish;

# ---- without a filter all wait, as they do without preloading ----
for my $setting ("outbox.bulk_filter_memory = 0", "shared_preload_libraries = ''")
{
	$node->append_conf('postgresql.conf', $setting);
	$node->restart;
	$gate = $node->background_psql('postgres');
	$gate->query_safe('SELECT pg_advisory_lock(1)');
	($bulk) = stop_in_commit(1, 'UPDATE l SET qty = qty + 1 WHERE n = 1 AND id <= 1000');
	$node->sql("$hasty UPDATE l SET qty = qty + 1 WHERE n = 2 AND id = 1700");
	is($node->sql($late), '1700', "with $setting every other commit of the aggregate type is late");
	$gate->quit;
	$bulk->quit;
	$node->sql("SELECT outbox.discard(id, 'test') FROM outbox.dead_letter WHERE state = 'open'");
}

done_testing();
