# A transaction keeps few entries of the server's lock table for keys, whatever contracts and keys it touches: none with
# the library preloaded, at most 32 without. Whoever has a key in common is kept away all the same.
use strict;
use warnings;

use OutboxCluster;
use Test::More;

my $CONTRACTS = 36;
my $node = OutboxCluster->create('locks');

$node->sql('CREATE FUNCTION execute_late(command text) RETURNS void LANGUAGE c AS \'outbox_ext\', \'outbox_test_execute_late\'');
foreach my $i (1 .. $CONTRACTS)
{
	$node->sql(<<"SQL");
CREATE TABLE t$i (id int PRIMARY KEY);
CREATE TABLE l$i (id int, n int, qty int NOT NULL DEFAULT 0, PRIMARY KEY (id, n));
INSERT INTO t$i SELECT generate_series(1, 1000);
INSERT INTO l$i SELECT id, n FROM t$i, generate_series(1, 2) n;
ANALYZE l$i;
CREATE VIEW v$i AS SELECT t.id, (SELECT sum(qty) FROM l$i l WHERE l.id = t.id) AS total FROM t$i t;
SELECT outbox.create_contract('c$i', view => 'v$i', source => 't$i', key => '{id}');
SELECT outbox.add_source('c$i', 'l$i', key_query => 'row.id');
SELECT outbox.create_event_type('E$i', contract => 'c$i', emit => 'changed');
SELECT outbox.enable('c$i');
SQL
}

my $gate;

# A transaction that touches so many keys of so many contracts, from a first key on, and stays in its commit.
sub stop_in_commit
{
	my ($contracts, $first, $keys) = @_;
	my $session = $node->background_psql('postgres', on_error_stop => 0);
	my $pid = $session->query_safe('SELECT pg_backend_pid()');
	my $last = $first + $keys - 1;
	my $changes = join ' ', map { "UPDATE l$_ SET qty = qty + 1 WHERE n = 1 AND id BETWEEN $first AND $last;" } 1 .. $contracts;

	$gate = $node->background_psql('postgres');
	$gate->query_safe('SELECT pg_advisory_lock(1)');
	$session->query_until(qr/sent/, "\\echo sent\nBEGIN; $changes SELECT execute_late('SELECT pg_advisory_xact_lock(1)'); COMMIT;\n");
	$node->poll_until("SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND pid = $pid");
	return ($session, $pid);
}

sub go_on
{
	my ($session) = @_;
	$gate->query_safe('SELECT pg_advisory_unlock(1)');
	$_->quit for $session, $gate;
	return;
}

# Is a change of this key late while the other one stays?
sub is_late
{
	my ($contract, $key) = @_;
	$node->sql("SET outbox.flush_timeout = '100ms'; UPDATE l$contract SET qty = qty + 1 WHERE n = 2 AND id = $key");
	my $late = $node->sql("SELECT count(*) FROM outbox.dead_letter WHERE state = 'open'");
	$node->sql("SELECT outbox.discard(id, 'test') FROM outbox.dead_letter WHERE state = 'open'");
	return $late;
}

my %entries = (
	preloaded => sub { is($_[0], 0, "$_[1]: no entry of the lock table is kept") },
	'not preloaded' => sub { cmp_ok($_[0], '<=', 32, "$_[1]: $_[0] entries of the lock table are kept") });

foreach my $mode ('preloaded', 'not preloaded')
{
	foreach my $case ([ 1, 20 ], [ 1, 200 ], [ 1, 500 ], [ 3, 250 ], [ 10, 100 ], [ $CONTRACTS, 1 ], [ $CONTRACTS, 40 ])
	{
		my ($contracts, $keys) = @$case;
		my ($session, $pid) = stop_in_commit($contracts, 1, $keys);
		my $what = "$mode, $contracts contracts of $keys keys";

		$entries{$mode}->($node->sql("SELECT count(*) FROM pg_locks WHERE locktype = 'userlock' AND pid = $pid"), $what);
		is(is_late(1, $keys), 1, "$what: a common key is late");
		is(is_late($contracts, 1), 1, "$what: also one of the last contract");
		is(is_late(1, 1000), 0, "$what: another key is not") if $mode eq 'preloaded' && $contracts <= 16;
		go_on($session);
	}
	$node->append_conf('postgresql.conf', "shared_preload_libraries = ''\n");
	$node->restart;
}
is($node->sql('SELECT count(*) FROM outbox.dead_letter WHERE state = \'open\''), 0, 'whoever has not met anybody is not late');

done_testing();
