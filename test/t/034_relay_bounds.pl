# A backlog far beyond the relay's bounds: several passes per window, few messages and bytes in flight,
# interrupted in the middle of a window. Order, completeness and memory hold.
use strict;
use warnings;

use Test::More;

use OutboxCluster;
use OutboxFault;

my $node = OutboxCluster->create('bounds', conf => $OutboxFault::CONF . <<'CONF');
outbox.max_sorted_events = 64
outbox.max_in_flight = 10
outbox.max_in_flight_size = '64kB'
CONF
my $fault = OutboxFault->new($node, 'fault');

# Many transactions, keys all over the heap; and one transaction with savepoints among them.
$node->sql('DO $$BEGIN FOR i IN 1..1500 LOOP PERFORM change((i * 7919) % 30); COMMIT; END LOOP; END$$');
$node->sql('BEGIN; ' . join('', map { "SAVEPOINT s; SELECT change($_); ROLLBACK TO s; SELECT change($_);" } 1 .. 30) . 'COMMIT;');
$fault->start;
$fault->wait_published;
is($fault->check('passes of 64 events'), 0, 'nothing is repeated');
is($node->sql('SELECT scans FROM outbox_internal.relay_report()'), 1, 'all passes belong to one window');

# ---- never more in flight than allowed ----
$fault->control(delay_ms => 20);
$node->sql('SELECT change(i % 30) FROM generate_series(1, 100) i');
my $most = 0;
for (1 .. 5)
{
	my $flying = $node->sql('SELECT published - acked FROM outbox_internal.relay_report()');
	$most = $flying if $flying > $most;
}
cmp_ok($most, '<=', 10, 'messages in flight are bounded');
$fault->control();
$fault->wait_published;
$fault->control(down => 1);
$node->sql("SELECT append(1, 't', 'large', 6, 30000)");
$fault->wait_state('backoff');
# of six; between a failure and the next attempt there are none
my $large = 0;
$large = $node->sql('SELECT published - acked FROM outbox_internal.relay_report()') until $large > 0;
is($large, 2, 'bytes in flight are bounded');
$node->sql("SELECT append(1, 't', 'larger', 1, 300000)");
$fault->control();
$fault->wait_published;
# a key of 9 kB is kept three times: in two headers, too
$fault->control(down => 1);
$node->sql("SELECT append(1, 't', repeat('k', 9000), 6, 10)");
$fault->wait_state('backoff');
my $keys = 0;
$keys = $node->sql('SELECT published - acked FROM outbox_internal.relay_report()') until $keys > 0;
is($keys, 2, 'long keys count with every copy');
$fault->control();
$fault->wait_published;
$fault->check('bounds');

# ---- stopped and killed in the middle of a window that needs many passes ----
for my $round (1 .. 4)
{
	$fault->control(delay_ms => 5);
	my $acked = $node->sql('SELECT acked FROM outbox.relay_progress');
	$node->sql('SELECT change((i * 7919) % 30) FROM generate_series(1, 400) i');
	$node->poll_until("SELECT acked > $acked + 20 FROM outbox.relay_progress");
	if ($round % 2)
	{
		$fault->stop;
		$node->sql('SELECT change(i % 30) FROM generate_series(1, 50) i');
		$fault->start;
	}
	else
	{
		my $pid = $fault->pid;
		kill 'KILL', $pid or die "could not kill $pid: $!";
		$node->wait_for_recovery($pid);
	}
}
$fault->control();
$fault->wait_published;
my $repeated = $fault->check('interrupted windows');
# two kills, each of which repeats its window of 400 at the very most; a stop repeats nothing
cmp_ok($repeated, '<', 800, 'an interrupted window goes on where it was');
note("$repeated deliveries were repeated");

$node->stop;
done_testing();
