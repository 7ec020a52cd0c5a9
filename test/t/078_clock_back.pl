# The server's clock is turned back by a day: what a relay waits for then comes when it would have come, not a day later.
use strict;
use warnings;

use Test::More;

use OutboxCluster;
use OutboxFault;

my $node = OutboxCluster->create('clock', start => 0, conf => $OutboxFault::CONF);
my $behind = $node->basedir . '/behind';
my $days = 0;

sub set_clock_back
{
	$days++;
	PostgreSQL::Test::Utils::append_to_file("$behind.new", 86400 * $days);
	rename "$behind.new", $behind or die "could not rename: $!";
	$node->poll_until("SELECT clock_timestamp() < to_timestamp(" . (time - 86400 * $days + 3600) . ')');
	return;
}

{
	chomp(my $pkglibdir = qx(pg_config --pkglibdir));
	local $ENV{CLOCK_SHIFT} = $behind;
	local $ENV{LD_PRELOAD} = "$pkglibdir/clock_shift.so";
	$node->start;
}
$node->sql('CREATE EXTENSION outbox_ext');
my $fault = OutboxFault->new($node, 'fault')->start;

$fault->append('first', 1);
$fault->wait_published;
set_clock_back();
$fault->append('second', 1);
$fault->wait_published;
pass('a relay at work goes on');

# ---- the pause after a failure ----
$fault->control(raise => 'startup');
$node->sql("UPDATE outbox.sink SET options = options || '{\"delay_ms\": \"1\"}'");
$node->poll_until("SELECT retry_at > clock_timestamp() + interval '1 s' FROM outbox_internal.relay_report()");
set_clock_back();
$fault->control();
$fault->append('third', 1);
$fault->wait_published;
pass('a relay that pauses tries again');

# ---- a topic that takes nothing ----
$fault->control(block_topic => 'test.topic');
$fault->append('fourth', 1);
$node->poll_until("SELECT tries > 2 FROM outbox.blocked_route");
set_clock_back();
$fault->control();
$node->poll_until('SELECT count(*) FROM outbox.held_event', 0);
pass('a blocked topic is tried again');

# ---- a relay that ended too soon ----
$node->sql("SELECT pg_terminate_backend(pid) FROM outbox_internal.relay_report()");
$node->poll_until("SELECT pid IS NULL FROM outbox_internal.relay_report()");
set_clock_back();
$fault->append('fifth', 1);
$fault->wait_published;
pass('a relay is started again');

# ---- a replay, and the keeper ----
$node->sql("SELECT outbox.replay('fault', rate => 0)");
$node->poll_until("SELECT state FROM outbox.replay_request", 'done');
$fault->check('with a clock that goes back');

$node->stop;
done_testing();
