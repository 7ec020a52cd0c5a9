# Reading a backlog costs in proportion to its size: every event is looked at a fixed number of times, however many
# passes, leaves and open transactions there are. Rows that the relay read are counted, never time.
use strict;
use warnings;

use Test::More;

use OutboxCluster;
use OutboxFault;

my $node = OutboxCluster->create('cost', conf => $OutboxFault::CONF . <<'CONF');
outbox.max_sorted_events = 10000
outbox.leaf_size = '256kB'
outbox.retention = '7d'
autovacuum = off
CONF
# closes leaves, and publishes while they are filled
my $keeper = OutboxFault->new($node, 'keeper');

# Each transaction in a leaf of its own. Some events are rolled back with a savepoint, each in the middle of others.
sub fill_leaves
{
	my (@events) = @_;

	$keeper->start;
	for my $n (@events)
	{
		my $current = "SELECT leaf FROM outbox.leaf WHERE state = 'current'";
		my $before = $node->sql($current);

		$node->sql("BEGIN; SELECT append(1, 'test', 'k' || i, $n / 40, 100) FROM generate_series(1, 20) i;
			SAVEPOINT s; SELECT append(1, 'test', 'k1', 50, 100); ROLLBACK TO s;
			SELECT append(1, 'test', 'k' || i, $n / 40, 100) FROM generate_series(1, 20) i; COMMIT");
		$node->poll_until("SELECT ($current) <> $before");
	}
	$keeper->stop;
	return;
}

# Rows of leaves that a relay reads for each event when it starts with everything still to do.
sub cost
{
	my ($name) = @_;
	my $reads = q{SELECT coalesce(sum(seq_tup_read), 0) FROM pg_stat_all_tables
		WHERE relid IN (SELECT relation FROM outbox.leaf)};
	my $events = $node->sql('SELECT count(*) FROM outbox.event');
	my $sink = OutboxFault->new($node, $name);
	my $before = $node->sql($reads);

	$sink->start;
	$sink->wait_published;
	is($node->sql("SELECT scans FROM outbox_internal.relay_report() WHERE sink = '$name'"), 1, "$name: one window");
	# the end of its process shows what it counted
	$sink->stop;
	my $cost = ($node->sql($reads) - $before) / $events;
	is($sink->check($name), 0, "$name: nothing is repeated");
	note("$name: $events events, $cost rows read for each");
	return $cost;
}

fill_leaves((4000) x 3);
# once by the first pass, once or twice by another one, because ranges and passes do not end together, and once by the
# keeper, which counts a leaf that is full
my $LOOKS = 6;
my $few = cost('three_leaves');
cmp_ok($few, '>=', 2, 'what is read is counted');

fill_leaves((4000) x 21);
cmp_ok($node->sql("SELECT count(*) FROM outbox.leaf WHERE state <> 'empty'"), '>=', 24, 'the leaves are many');
cmp_ok(cost('many_leaves'), '<', $LOOKS, 'ten passes over many leaves do not look at an event more often');

fill_leaves(100_000);
cmp_ok(cost('large_leaf_beside'), '<', $LOOKS, 'nor do twenty over a large one');

# ---- transactions that are open while the backlog is read, and end when its ranges are known ----
$node->sql("BEGIN; SELECT change(i, 30) FROM generate_series(201, 220) i; PREPARE TRANSACTION 'early'");
fill_leaves((4000) x 2);
my $open = $node->background_psql('postgres');
$open->query_safe('BEGIN; SELECT change(i, 30) FROM generate_series(101, 120) i; SAVEPOINT s; SELECT change(101, 30);
	ROLLBACK TO s; SAVEPOINT t; SELECT change(102, 30); RELEASE t');
my $late = OutboxFault->new($node, 'late');
$late->control(capacity => 200, delay_ms => 1);
$late->start;
$node->poll_until("SELECT acked > 0 FROM outbox_internal.relay_report() WHERE sink = 'late'");
$node->sql("COMMIT PREPARED 'early'");
$open->query_safe('COMMIT');
$open->quit;
cmp_ok($node->sql("SELECT acked FROM outbox_internal.relay_report() WHERE sink = 'late'"), '<', 150_000, 'they end in the middle of the window');
# and a leaf that is still to be read gets other storage meanwhile
$node->sql("VACUUM FULL outbox_internal.event_1, outbox_internal.event_20");
$late->control();
$late->wait_published;
$late->check('transactions that end in the middle of a window');

$node->stop;
done_testing();
