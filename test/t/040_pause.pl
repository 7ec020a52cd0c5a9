# A paused sink keeps its position: nothing is published while it is paused, nothing is lost or repeated by it,
# the pause survives a restart, and another sink goes on meanwhile.
use strict;
use warnings;

use Test::More;

use OutboxCluster;
use OutboxFault;

my $node = OutboxCluster->create('pause', conf => $OutboxFault::CONF);
my $fault = OutboxFault->new($node, 'fault')->start;
my $other = OutboxFault->new($node, 'other')->start;

sub status
{
	my ($sink, $column) = @_;
	return $node->sql("SELECT $column FROM outbox.status WHERE kind = 'sink' AND name = '$sink'");
}

sub wait_status
{
	my ($sink, $state) = @_;
	$node->poll_until("SELECT state FROM outbox.status WHERE kind = 'sink' AND name = '$sink'", $state);
	return;
}

sub delivered
{
	my ($of) = @_;
	return scalar(@{ $of->deliveries });
}

$fault->append('before', 3);
$_->wait_published for $fault, $other;

# ---- pause ----
my $pid = $fault->pid;
$node->sql("SELECT outbox.pause('fault')");
wait_status('fault', 'paused');
$node->poll_until("SELECT count(*) FROM pg_stat_activity WHERE pid = $pid", 0);
pass('a paused sink has no relay');
is(status('fault', 'advice'), "SELECT outbox.resume('fault') goes on; its events are kept meanwhile.", 'status says how it goes on');
$fault->append('meanwhile', 5);
$other->wait_published;
is(delivered($fault), 3, 'nothing is published to a paused sink');
is(delivered($other), 8, 'the other sink goes on');
cmp_ok(status('fault', 'pending'), '>=', 5, 'status shows what waits');

# pausing again changes nothing, starting all sinks leaves it paused, and it is not dropped
$node->sql("SELECT outbox.pause('fault')");
is($node->sql("SELECT outbox.start_relay() ~ 'Sink \"fault\" stays paused; SELECT outbox.resume\\(''fault''\\) goes on'"), 't',
	'start_relay() for all sinks says that it leaves out a paused one');
wait_status('fault', 'paused');
like($node->sql_error("SELECT outbox.drop_sink('fault')"), qr/55006: cannot drop sink "fault" because it is not stopped.*state is "paused"/s,
	'a paused sink is not dropped');

# ---- a restart keeps it paused ----
$node->restart;
$other->wait_state('running');
is(status('fault', 'state'), 'paused', 'the pause survives a restart');
is(delivered($fault), 3, 'and nothing was published');

# ---- resume ----
$node->sql("SELECT outbox.resume('fault')");
$fault->wait_published;
is($fault->check('resumed'), 0, 'nothing is repeated');
is(delivered($fault), 8, 'resume publishes what waited');
wait_status('fault', 'running');
$node->sql("SELECT outbox.resume('fault')");
wait_status('fault', 'running');

# ---- while messages are under way, again and again ----
$fault->control(delay_ms => 20);
for my $round (1 .. 3)
{
	$node->sql("SELECT change(i % 20) FROM generate_series(1, 500) i");
	$node->sql("SELECT outbox.pause('fault')");
	wait_status('fault', 'paused');
	$node->sql("SELECT change(i % 20) FROM generate_series(1, 100) i");
	$node->sql("SELECT outbox.resume('fault')");
}
$fault->wait_published;
is($fault->check('paused under load'), 0, 'what was under way is waited for, not repeated');

# a pause that is rolled back pauses nothing
$pid = $fault->pid;
$node->sql("BEGIN; SELECT outbox.pause('fault'); ROLLBACK");
$fault->append('rolled back', 1);
$fault->wait_published;
is($fault->pid, $pid, 'a pause that is rolled back pauses nothing');

# ---- a paused sink can be stopped, a stopped one neither paused nor resumed ----
$node->sql("SELECT outbox.pause('fault'); SELECT outbox.stop_relay('fault')");
wait_status('fault', 'stopped');
for my $function ('pause', 'resume')
{
	like($node->sql_error("SELECT outbox.$function('fault')"),
		qr/55000: cannot $function sink "fault" because it is stopped\n.*HINT:  Start it: SELECT outbox\.start_relay\('fault'\);/s,
		"$function of a stopped sink is refused");
	like($node->sql_error("SELECT outbox.$function('nobody')"), qr/42704: sink "nobody" does not exist/, "$function names a sink that is not there");
	like($node->sql_error("SELECT outbox.$function(NULL)"), qr/22004: argument "sink" must not be null/, "$function wants a name");
}

# ---- all relays at once, but for a sink that is paused ----
$node->sql("SELECT outbox.start_relay()");
wait_status($_, 'running') foreach 'fault', 'other';
$node->sql("SELECT outbox.pause('fault'); SELECT outbox.stop_relay()");
wait_status('other', 'stopped');
wait_status('fault', 'paused');
pass('stop_relay() without a name stops what runs, and leaves a paused sink paused');

$node->stop;
done_testing();
