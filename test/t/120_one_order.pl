# Many clients change one order: they commit one after the other, in the order in which they came. Nobody is late and
# nobody is overtaken all the time, though every commit is slow.
use strict;
use warnings;

use IPC::Run;
use OutboxCluster;
use Test::More;

my $LINES = 200;
my $slow = "max_connections = 220\nfsync = on\ncommit_delay = 8000\ncommit_siblings = 0\n";
my $node = OutboxCluster->create('one_order', conf => $slow);

# Every client has a line of its own, so that no row lock orders them. The state has a letter per line.
$node->sql(<<"SQL");
CREATE TABLE o (id int PRIMARY KEY);
CREATE TABLE l (id int, n int, turns int NOT NULL DEFAULT 0, PRIMARY KEY (id, n));
INSERT INTO o VALUES (1);
INSERT INTO l SELECT 1, generate_series(1, $LINES);
ANALYZE l;
CREATE VIEW v AS SELECT o.id, (SELECT string_agg(chr(97 + l.turns % 26), '' ORDER BY l.n) FROM l WHERE l.id = o.id) AS state FROM o;
SELECT outbox.create_contract('o', view => 'v', source => 'o', key => '{id}');
SELECT outbox.add_source('o', 'l', key_query => 'row.id');
SELECT outbox.create_event_type('Changed', contract => 'o', emit => 'changed', previous => '{state}');
SELECT outbox.enable('o');
SQL

my $script = PostgreSQL::Test::Utils::tempdir() . '/one_order.pgbench';
PostgreSQL::Test::Utils::append_to_file($script, "UPDATE l SET turns = turns + 1 WHERE id = 1 AND n = :client_id + 1;\n");
my ($state, $seen) = ('a' x $LINES, 0);

sub clients
{
	my ($clients, $transactions) = @_;

	$node->command_ok([ 'pgbench', '-n', '-f', $script, '-c', $clients, '-t', $transactions, '-h', $node->host, '-p', $node->port, '-U', 'postgres', 'postgres' ],
		"$clients clients change one order");
	is($node->sql("SELECT count(*) FROM outbox.dead_letter WHERE state = 'open'"), 0, 'nobody is late');
	is($node->sql("SELECT count(*) FROM outbox.commit_queue()"), 0, 'nothing is left in the queue');
	return;
}

# The events since the last call, in order: who committed when. Each one goes on from the one before with a single change.
sub turns
{
	my (@turns, $wrong);

	foreach my $row (split /\n/, $node->sql("SELECT seq, payload->>'previous_state', payload->>'state' FROM outbox.event_json WHERE seq > $seen ORDER BY seq"))
	{
		my ($seq, $before, $after) = split /\|/, $row;
		my @lines = grep { substr($before, $_, 1) ne substr($after, $_, 1) } 0 .. $LINES - 1;

		$wrong //= $seq if $before ne $state || @lines != 1;
		push @turns, $lines[0];
		($seen, $state) = ($seq, $after);
	}
	is($wrong, undef, 'every event goes on from the event before with one change');
	is($node->sql('SELECT state FROM v'), $state, 'the last one says what is there');
	return @turns;
}

# How many others had a turn between two of the same client, at most.
sub longest_wait
{
	my (@turns) = @_;
	my (%last, $longest);

	foreach my $i (0 .. $#turns)
	{
		my $wait = $i - ($last{ $turns[$i] } // 0);

		$longest = $wait if !defined $longest || $wait > $longest;
		$last{ $turns[$i] } = $i;
	}
	return $longest;
}

clients(20, 20);
my @turns = turns();
is(scalar @turns, 400, 'an event per transaction');
my $longest = longest_wait(@turns);
cmp_ok($longest, '<', 60, 'each has a turn about when the others had theirs') or diag(join ' ', @turns);
note("of 20 clients none waited for more than $longest turns");
foreach my $case ([ 80, 5 ], [ 200, 3 ])
{
	clients(@$case);
	@turns = turns();
	is(scalar @turns, $case->[0] * $case->[1], 'an event per transaction');
}

# ---- a late key of an order that many change is redriven meanwhile ----
my $gate = $node->background_psql('postgres');
my $holder = $node->background_psql('postgres');
$node->sql("CREATE FUNCTION execute_late(command text) RETURNS void LANGUAGE c AS 'outbox_ext', 'outbox_test_execute_late'");
$gate->query_safe('SELECT pg_advisory_lock(1)');
$holder->query_until(qr/sent/, "\\echo sent\nBEGIN; UPDATE l SET turns = 1 WHERE n = 200; SELECT execute_late('SELECT pg_advisory_xact_lock(1)'); COMMIT;\n");
$node->poll_until("SELECT count(*) = 1 FROM outbox.commit_queue() WHERE state = 'committing'");
$node->sql("SET outbox.flush_timeout = '50ms'; UPDATE l SET turns = 1 WHERE n = 199");
is($node->sql('SELECT state FROM outbox.dead_letter'), 'open', 'there is a late key');
$gate->query_safe('SELECT pg_advisory_unlock(1)');
$_->quit for $holder, $gate;
my $waiting = "SELECT count(*) > 10 FROM outbox.commit_queue() WHERE state = 'waiting'";
my $many = IPC::Run::start([ 'pgbench', '-n', '-f', $script, '-c', 20, '-t', 30, '-h', $node->host, '-p', $node->port, '-U', 'postgres', 'postgres' ],
	'>', \my $out, '2>', \my $err);
$node->poll_until($waiting);
is($node->sql("SELECT outbox_internal.redrive_late(); SELECT count(*) FROM outbox.dead_letter WHERE state = 'redriven'; $waiting"), "1\n1\nt", 'it is taken up while many wait for the order');
ok($many->finish, 'which they change') or diag($err);
($seen, $state) = split /\|/, $node->sql('SELECT max(e.seq), v.state FROM outbox.event e, v GROUP BY v.state');
$node->sql("SELECT outbox.discard(id, 'test') FROM outbox.dead_letter WHERE state = 'open'");

# ---- without preloading: the order of events holds, the order of coming does not ----
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''\noutbox.flush_timeout = '1min'\n");
$node->restart;
clients(8, 10);
@turns = turns();
is(scalar @turns, 80, 'without preloading, too, there is an event per transaction');

done_testing();
