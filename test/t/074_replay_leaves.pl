# Replays over many small leaves, in passes of few events, while leaves are switched and emptied: every event that is
# kept when its turn comes is published once more, in order; what retention has taken is counted.
use strict;
use warnings;

use Test::More;

use OutboxCluster;
use OutboxFault;

my $node = OutboxCluster->create('replay_leaves', conf => $OutboxFault::CONF . <<'CONF');
outbox.leaf_size = '64kB'
outbox.retention = -1
outbox.max_sorted_events = 100
autovacuum = off
CONF
my $fault = OutboxFault->new($node, 'fault')->start;
OutboxFault::remember($node);

# Deliveries from the n-th on that a replay made.
sub replayed_since
{
	my ($n) = @_;
	my @all = @{ $fault->deliveries };
	return [ grep { $_->{attributes} =~ /\breplay=true\b/ } @all[ $n .. $#all ] ];
}

# The seq values of which each is not larger than the one before.
sub backward
{
	my ($deliveries) = @_;
	my ($last, @backward) = (0);
	for (map { $_->{seq} } @$deliveries)
	{
		push @backward, $_ if $_ <= $last;
		$last = $_;
	}
	return \@backward;
}

sub wait_replay
{
	my ($request, $state) = @_;
	$node->poll_until("SELECT state FROM outbox.replays WHERE request = $request", $state);
	return;
}

# ---- all of a history in many leaves; long transactions straddle them ----
my $session = $node->background_psql('postgres');
$session->query_safe("BEGIN; SELECT change(500, 20)");
for my $leaf (1 .. 8)
{
	$node->sql('DO $$BEGIN FOR i IN 1..5 LOOP PERFORM change(i % 7, 100); COMMIT; END LOOP; END$$');
	$node->poll_until("SELECT count(*) > $leaf FROM outbox.leaf WHERE state <> 'empty'");
}
$session->query_safe("SELECT change(500, 20); COMMIT");
$session->quit;
$fault->wait_acked;
cmp_ok($node->sql("SELECT count(*) FROM outbox.leaf WHERE state <> 'empty'"), '>', 5, 'history is in many leaves');

my $before = @{ $fault->deliveries };
my $request = $node->sql("SELECT request FROM outbox.replay('fault', rate => 0)");
wait_replay($request, 'done');
my $again = replayed_since($before);
is(scalar(@$again), 4040, 'a replay of all of it');
is_deeply(backward($again), [], 'is in the order of seq');
is_deeply([ map { $_->{id} } @$again ], [ split /\n/, $node->sql('SELECT id FROM outbox.event ORDER BY seq') ], 'and has each event once');

# ---- writers, and leaves that are switched meanwhile ----
$before = @{ $fault->deliveries };
my $writer = $fault->write_in_background(<<'PGBENCH', '-c', 4, '-T', 8, '-R', 100);
\set k random(1, 20)
SELECT change(:k, 5);
PGBENCH
$request = $node->sql("SELECT request FROM outbox.replay('fault', rate => 1500)");
wait_replay($request, 'done');
$writer->finish;
$fault->wait_acked;
$again = replayed_since($before);
my $events = $node->sql("SELECT events FROM outbox.replays WHERE request = $request");
is(scalar(@$again), $events, 'beside writers: every event of the history at its beginning, once');
is_deeply(backward($again), [], 'in order');
my $live = scalar(@{ $fault->deliveries }) - $before - @$again;
is($live, $node->sql('SELECT sum(n) FROM written') - 4040, 'and every new event once');
$fault->check_written('beside writers');

# ---- retention takes leaves away while a replay is at them ----
$before = @{ $fault->deliveries };
($request, $events) = split /\|/, $node->sql("SELECT request, events FROM outbox.replay('fault', rate => 1000)");
$node->poll_until("SELECT published > 300 FROM outbox.replays WHERE request = $request");
$node->append_conf('postgresql.conf', 'outbox.retention = 0');
$node->reload;
$node->poll_until("SELECT count(*) FROM outbox.leaf WHERE state NOT IN ('empty', 'current')", 0);
wait_replay($request, 'done');
$again = replayed_since($before);
my ($published, $missing) = split /\|/, $node->sql("SELECT published, missing FROM outbox.replays WHERE request = $request");
is(scalar(@$again), $published, 'retention: what is counted as published was published');
cmp_ok($missing, '>', 0, 'some of it was gone before its turn');
is($published + $missing, $events, 'and is counted');
is_deeply(backward($again), [], 'what was published is in order');
like($node->sql("SELECT error FROM outbox.replays WHERE request = $request"), qr/^$missing of its events are not kept any more: the leaves/, 'the view says so');
is($node->sql("SELECT state FROM outbox_internal.relay_report()"), 'running', 'the relay is well');
unlike(PostgreSQL::Test::Utils::slurp_file($node->logfile), qr/failed and will try again|acknowledged all events|could not look after/, 'nothing went wrong');

$node->stop;
done_testing();
