# When a real Kafka is back, the relay says so and publishes, whether events wait or none; and when a registry answers again,
# what waits for it is not kept until its pause is over.
use strict;
use warnings;

use Test::More;

use PostgreSQL::Test::Utils ();
use OutboxBroker;
use OutboxCluster;

my $kafka = OutboxBroker->kafka;
my $node = OutboxCluster->create('backoff_ends');

sub state_is
{
	my ($state) = @_;
	$node->poll_until("SELECT state FROM outbox.status WHERE kind = 'sink' AND name = 'kafka'", $state);
	return;
}

# ---- the broker ----
$node->versioned_table('item', 'back.item');
$node->create_sink('kafka', $kafka);
$node->sql('INSERT INTO item VALUES (1, 1)');
$node->wait_published('kafka');
state_is('running');

$kafka->stop(kill => 1);
state_is('backoff');
$kafka->start;
state_is('running');
pass('an idle relay says that the broker is back');
like(PostgreSQL::Test::Utils::slurp_file($node->logfile), qr/sink "kafka" works again/, 'and the log does');

$kafka->stop(kill => 1);
state_is('backoff');
$node->sql('UPDATE item SET version = 2');
# longer pauses than at first
$node->poll_until("SELECT clock_timestamp() > '" . $node->sql("SELECT clock_timestamp() + '3 s'") . "'");
is($node->sql("SELECT state FROM outbox.status WHERE kind = 'sink' AND name = 'kafka'"), 'backoff', 'as long as it is away it is not said to work');
$kafka->start;
$node->poll_until("SELECT pending = 0 AND state = 'running' FROM outbox.status WHERE kind = 'sink' AND name = 'kafka'");
pass('events that wait are published when it is back');
is($node->sql("SELECT retries FROM outbox.relay_status WHERE sink = 'kafka'"), 0, 'all in one attempt');

# ---- the registry ----
my $registry = OutboxBroker->fake_registry('brokenCreated' => 503, 'secondCreated' => 503);
my $url = $registry->address;
$node->sql("SELECT outbox.stop_relay('kafka')");
$node->poll_until("SELECT pid IS NULL FROM outbox_internal.relay_report() WHERE sink = 'kafka'");
$node->sql("SELECT outbox.drop_sink('kafka')");
$node->create_sink('kafka', $kafka, 'schema.registry.url' => $url);
$node->versioned_table($_, "back.$_") for qw(broken second);
$node->sql('INSERT INTO broken VALUES (1, 1)');
my $route = "outbox_internal.blocked_route WHERE topic = 'back.broken'";
$node->poll_until("SELECT EXISTS (SELECT FROM $route)");
# a pause that is longer than all of this takes
$node->sql("SELECT outbox.stop_relay('kafka')");
$node->poll_until("SELECT pid IS NULL FROM outbox_internal.relay_report() WHERE sink = 'kafka'");
my $next_try = $node->sql("UPDATE outbox_internal.blocked_route SET next_try = clock_timestamp() + '110 s' RETURNING next_try");
$node->sql("SELECT outbox.start_relay('kafka')");
$node->sql('INSERT INTO second VALUES (1, 1)');
$node->poll_until("SELECT count(*) = 2 FROM outbox.blocked_route");
is($node->sql("SELECT next_try FROM $route AND next_try > clock_timestamp() + '60 s'"), $next_try, 'pauses are kept over a restart');
$registry->modes;
$node->poll_until('SELECT NOT EXISTS (SELECT FROM outbox.held_events)');
is($node->sql("SELECT clock_timestamp() < '$next_try'"), 't', 'what waited for the registry left before its pause was over');
is(scalar(@{ $node->consume($kafka, 'back.broken', registry => $url) }), 1, 'once');
is($node->sql('SELECT count(*) FROM outbox.dead_letter'), 0, 'and nothing is a dead letter');

$node->stop;
$registry->stop;
done_testing();
