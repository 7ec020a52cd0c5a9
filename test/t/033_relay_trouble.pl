# What goes wrong at the sink: an outage, errors raised by every callback, messages given back, events rejected,
# options that change, a copy of the data. Nothing is lost, nothing passes a rejected event, status says why.
use strict;
use warnings;

use Test::More;

use OutboxCluster;
use OutboxFault;

my $node = OutboxCluster->create('trouble', conf => $OutboxFault::CONF);
my $fault = OutboxFault->new($node, 'fault', on_reject => 'stop')->start;

sub report
{
	my ($column) = @_;
	return $node->sql("SELECT $column FROM outbox_internal.relay_report() WHERE sink = 'fault'");
}

# Events that were delivered for a key.
sub delivered
{
	my ($key) = @_;
	return scalar(grep { $_->{key} eq $key } @{ $fault->deliveries });
}

# ---- an outage: the sink keeps trying, nothing counts ----
$fault->control(down => 1);
$fault->append('outage', 5);
$fault->wait_state('backoff');
is($fault->last_error, 'fault broker is down', 'status has the words of the transport');
is(report('acked'), 0, 'nothing is acknowledged');
cmp_ok($node->sql("SELECT pending FROM outbox.status WHERE kind = 'sink'"), '>=', 5, 'status shows what waits');
$fault->control();
$fault->wait_state('running');
$fault->wait_published;
is($fault->check('an outage'), 0, 'an outage repeats nothing');
is($node->sql('SELECT count(*) FROM outbox.dead_letter'), 0, 'an outage makes no dead letters');

# ---- errors: the attempt ends, the next one goes on from the position ----
for my $where (qw(publish poll startup))
{
	$fault->control(raise => $where);
	# startup_cb runs at the next attempt only
	$node->sql("UPDATE outbox.sink SET options = options || '{\"capacity\": 1000}'") if $where eq 'startup';
	$fault->append("raise $where", 5);
	$fault->wait_state('backoff');
	like($fault->last_error, qr/fault sink raises in $where. HINT: Change the control file/, "an error in $where is shown");
	$fault->control();
	$fault->wait_published;
	$fault->check("an error in $where");
	$fault->wait_state('running');
}
$fault->control(raise_after => 40);
$node->sql("SELECT change(i % 20) FROM generate_series(1, 400) i");
$fault->wait_published;
$fault->check('an error after every forty deliveries');
$fault->control();

# ---- acknowledgements in any order ----
$fault->control(reverse => 1, delay_ms => 1);
$node->sql("SELECT change(i % 20) FROM generate_series(1, 3000) i");
$fault->wait_published;
is($fault->check('acknowledgements backwards'), 0, 'their order does not matter');

# ---- a message given back ----
$fault->control(retry_after => 30);
$node->sql("SELECT change(i % 20) FROM generate_series(1, 100) i");
# the relay backs off for moments only: what it says of them stays
$node->poll_until("SELECT last_error = 'Broker: not now.' FROM outbox_internal.relay_report()");
pass('status has the reason');
$fault->wait_published;
$fault->control();
my %last;
my $orderly = 1;
for my $delivery (@{ $fault->deliveries })
{
	$last{ $delivery->{key} } = $delivery->{seq};
}
for my $key (keys %last)
{
	$orderly = 0 if $node->sql("SELECT max(seq) FROM outbox.event WHERE aggregateid = '$key'") ne $last{$key};
}
ok($orderly, 'after messages given back the last delivery of each key is its last event');

# ---- a rejected event, on_reject = stop: the relay stops there ----
$fault->append('before', 1);
$fault->control(reject_key => 'bad');
$fault->append('bad', 1);
$fault->wait_state('blocked');
$fault->append('behind', 3);
my ($bad) = split /\n/, $node->sql("SELECT id FROM outbox.event WHERE aggregateid = 'bad'");
is($fault->last_error, "The broker rejected event $bad, type Test, key \"bad\": Broker: I do not like this key.",
	'status names the event and has the words of the broker');
like($node->sql("SELECT advice FROM outbox.status WHERE kind = 'sink'"), qr/last_error/, 'status gives advice');
is(delivered('before'), 1, 'what stands before it is published');
is(delivered('behind'), 0, 'nothing behind it is published');
cmp_ok($node->sql("SELECT pending FROM outbox.status WHERE kind = 'sink'"), '>=', 4, 'what waits is pending');

# offered again on SIGHUP: alone
$node->reload;
$node->poll_until("SELECT last_error_at > clock_timestamp() - interval '5 s' AND state = 'blocked' FROM outbox_internal.relay_report()");
is(delivered('behind'), 0, 'an event that is offered again goes alone');
# and also after a restart of the relay, when a window holds more than before
$fault->stop;
$node->sql("SELECT outbox.start_relay('fault')");
$fault->wait_state('blocked');
$fault->control();
$node->reload;
$fault->wait_published;
is(delivered('bad'), 1, 'when the broker takes it');
is(delivered('behind'), 3, 'all that waited follows');
$fault->wait_state('running');

# ---- not configured yet ----
$fault->control(unconfigured => 1);
$fault->stop;
$node->sql("SELECT outbox.start_relay('fault')");
$fault->append('unconfigured', 2);
$fault->wait_state('backoff');
like($fault->last_error, qr/not configured/, 'status says what the sink waits for');
is(delivered('unconfigured'), 0, 'nothing is published before');
$fault->control();
$fault->wait_published;
is(delivered('unconfigured'), 2, 'and all of it after');

# ---- options change: the relay connects anew, without losing or repeating anything ----
my $pid = $fault->pid;
my $deliveries = scalar(@{ $fault->deliveries });
$node->sql("UPDATE outbox.sink SET options = options || '{\"capacity\": 500}'");
$fault->append('reconnected', 2);
$fault->wait_published;
$node->poll_until("SELECT (pg_read_file('$fault->{file}') ~ 'reconnected')");
is($fault->pid, $pid, 'the process stays');
is(scalar(@{ $fault->deliveries }), $deliveries + 2, 'nothing is repeated');

# ---- a library that is not allowed ----
$node->sql("UPDATE outbox.sink SET library = 'outbox_evil'");
$node->poll_until("SELECT last_error LIKE '%outbox_evil%' FROM outbox_internal.relay_report()");
like($fault->last_error, qr/is not allowed/, 'a library outside of outbox.sink_libraries is not loaded');
$node->sql("UPDATE outbox.sink SET library = 'outbox_fault'");
$fault->append('allowed again', 1);
$fault->wait_published;

# ---- a copy of the data does not publish ----
$node->sql("UPDATE outbox.sink SET system_identifier = system_identifier + 1");
$fault->wait_state('blocked');
$fault->append('copy', 1);
like($fault->last_error, qr/was started in another database system .* HINT: .*outbox\.start_relay\('fault'\)/, 'status says why and how to confirm');
is(delivered('copy'), 0, 'nothing is published');
$node->sql("SELECT outbox.start_relay('fault')");
$fault->wait_published;
is(delivered('copy'), 1, 'a confirmed copy publishes');

# ---- a position of another copy is void ----
$fault->stop;
$node->sql("UPDATE outbox.relay_progress SET database_oid = 1");
$node->sql("SELECT outbox.start_relay('fault')");
ok($node->wait_for_log(qr/position of sink \d+ is void/), 'a void position is said in the log');
$node->poll_until("SELECT database_oid <> 1 AND acked = (SELECT count(*) FROM outbox.event) FROM outbox.relay_progress");
$fault->check('after all trouble');

# ---- a relay that waits for a lock can be stopped ----
my $session = $node->background_psql('postgres');
$session->query_safe('BEGIN; LOCK TABLE outbox_internal.event_1 IN ACCESS EXCLUSIVE MODE');
$node->poll_until("SELECT count(*) FROM pg_locks WHERE NOT granted AND pid = " . $fault->pid, 1);
$pid = $fault->pid;
kill 'TERM', $pid or die "could not signal $pid: $!";
$node->poll_until("SELECT count(*) FROM pg_stat_activity WHERE pid = $pid", 0);
pass('SIGTERM ends a relay that waits for a lock');
$session->query_safe('COMMIT');
$session->quit;
unlike(PostgreSQL::Test::Utils::slurp_file($node->logfile), qr/PANIC|TRAP/, 'no crash');

$node->stop;
done_testing();
