# What a relay publishes: every committed event once, in order, with its attributes; never a rolled-back one;
# and what it records about it.
use strict;
use warnings;

use Test::More;

use OutboxCluster;
use OutboxFault;

my $node = OutboxCluster->create('delivery', conf => $OutboxFault::CONF);
my $fault = OutboxFault->new($node, 'fault');

# ---- a backlog from before the sink, and single events ----
$fault->append('a', 10);
$fault->start;
$fault->wait_published;
is($fault->check('backlog'), 0, 'a backlog is published without repetition');

$fault->append("k$_", 1) for 1 .. 20;
$fault->wait_published;
is($fault->check('single events'), 0, 'single events are published without repetition');
is(scalar(@{ $fault->deliveries }), 30, 'thirty events are thirty messages');
is($node->sql('SELECT scans FROM outbox_internal.relay_report()'), 1, 'only the start scanned the leaf');

# ---- transactions: only what is committed ----
$node->sql(<<'SQL');
BEGIN; SELECT append(1, 't', 'rolled back', 5, 100); ROLLBACK;
BEGIN;
SELECT append(1, 't', 'kept', 1, 100);
SAVEPOINT s; SELECT append(1, 't', 'savepoint', 5, 100); ROLLBACK TO s;
SELECT append(1, 't', 'kept', 1, 100);
SAVEPOINT s2; SELECT append(1, 't', 'released', 1, 100); RELEASE s2;
COMMIT;
SQL
$fault->wait_published;
$fault->check('savepoints');
my %keys = map { $_->{key} => 1 } @{ $fault->deliveries };
ok(!$keys{'rolled back'} && !$keys{savepoint}, 'rolled-back events are not published');
ok($keys{kept} && $keys{released}, 'events around a rolled-back savepoint are published');
is($node->sql("SELECT pending FROM outbox.status WHERE kind = 'sink'"), 0,
	'pending is zero in spite of rolled-back sequence values');

# ---- a long transaction delays nobody, and is not lost ----
my $session = $node->background_psql('postgres');
$session->query_safe("BEGIN; SELECT append(1, 't', 'long', 3, 100)");
$fault->append('short', 3);
$node->poll_until("SELECT acked >= (SELECT count(*) FROM outbox.event) FROM outbox_internal.relay_report()");
is(scalar(grep { $_->{key} eq 'short' } @{ $fault->deliveries }), 3, 'a later transaction is published first');
is(scalar(grep { $_->{key} eq 'long' } @{ $fault->deliveries }), 0, 'an open transaction is not published');
$session->query_safe('COMMIT');
$session->quit;
$fault->wait_published;
$fault->check('long transaction');

# ---- what travels with an event ----
my $trace = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
$node->sql(<<SQL);
BEGIN;
SET LOCAL outbox.traceparent = '$trace';
SET LOCAL outbox.correlation_id = 'order-4711';
SET LOCAL outbox.causation_id = 'cart-12';
SELECT append(1, 't', 'traced', 1, 100);
COMMIT;
SELECT append(1, 't', 'untraced', 1, 100);
SELECT append(1, 't', 'large', 1, 900000);
SQL
$fault->wait_published;
$fault->check('attributes and large payloads');
my ($traced) = grep { $_->{key} eq 'traced' } @{ $fault->deliveries };
my ($untraced) = grep { $_->{key} eq 'untraced' } @{ $fault->deliveries };
is($traced->{traceparent}, $trace, 'the trace context travels with the event');
is(join(',', sort split /,/, $traced->{attributes}), 'causationid=cart-12,correlationid=order-4711',
	'correlation and causation ids are attributes');
is("$untraced->{traceparent}|$untraced->{attributes}", '|', 'without settings there are none');

# ---- registered ids ----
$fault->control(register => 77);
$fault->append('registered', 1);
$fault->wait_published;
$node->poll_until('SELECT registered_id FROM outbox.schema_registration', 77);
pass('an id that a registry assigned is stored');

# ---- a second sink gets everything on its own; one that starts now gets only what comes ----
my $second = OutboxFault->new($node, 'second')->start;
$second->wait_published;
is($second->check('second sink'), 0, 'a second sink gets all events from the beginning');
$node->sql("SELECT outbox.create_sink('late', library => 'outbox_fault', start_at => 'now',
	options => '{\"file\": \"$second->{file}.late\"}'); SELECT outbox.start_relay('late')");
$fault->append('after', 2);
$fault->wait_published;
$node->poll_until("SELECT acked = 2 FROM outbox_internal.relay_report() WHERE sink = 'late'");
pass('a sink with start_at now gets only new events');

# ---- idle relays write nothing: soon after the last event there are fifteen polls without a transaction id ----
my $report = "SELECT min(cycles) FROM outbox_internal.relay_report()";
my $next_xid = 'SELECT pg_snapshot_xmax(pg_current_snapshot())';
my $quiet = 0;
for (1 .. 6)
{
	my $xid = $node->sql($next_xid);
	$node->poll_until("SELECT min >= " . ($node->sql($report) + 15) . " FROM ($report) r");
	$quiet = $node->sql($next_xid) == $xid;
	last if $quiet;
}
ok($quiet, 'idle relays use no transaction ids');

$node->stop;
done_testing();
