# Broker trouble with librdkafka's mock cluster: flapping, slow, a topic that is missing, errors that pass, errors of
# idempotence. Nothing is lost, nothing is a dead letter, the order of a key is kept, and
# whatever concerns one topic holds up that topic only.
use strict;
use warnings;

use Test::More;

use OutboxBroker;
use OutboxCluster;

my $KEYS = 20;
my $broker = OutboxBroker->mock;
my $node = OutboxCluster->create('broker_trouble');

$node->sql(<<SQL);
CREATE TABLE counters (id integer PRIMARY KEY, version integer NOT NULL);
CREATE TABLE others (id integer PRIMARY KEY, version integer NOT NULL);
CREATE VIEW counters_v1 AS SELECT id, version FROM counters;
CREATE VIEW others_v1 AS SELECT id, version FROM others;
SELECT outbox.create_contract('counter', view => 'counters_v1', source => 'counters', key => '{id}', required => '{id,version}');
SELECT outbox.create_contract('other', view => 'others_v1', source => 'others', key => '{id}', required => '{id,version}');
SELECT outbox.create_event_type('Counted', contract => 'counter', emit => 'changed', topic => 'counted');
SELECT outbox.create_event_type('Changed', contract => 'other', emit => 'changed', topic => 'other');
SELECT outbox.enable('counter'), outbox.enable('other');
INSERT INTO counters SELECT id, 0 FROM generate_series(1, $KEYS) AS id;
INSERT INTO others SELECT id, 0 FROM generate_series(1, $KEYS) AS id;
SQL

# n changes of each row of both tables, a transaction each
sub change
{
	my ($n) = @_;
	$node->sql(join ';', ('UPDATE counters SET version = version + 1', 'UPDATE others SET version = version + 1') x $n);
	return;
}

# Waits until all that is not held is acknowledged.
sub wait_others
{
	$node->poll_until("SELECT acked = (SELECT count(*) FROM outbox.event) - (SELECT count(*) FROM outbox.held_events) FROM outbox.relay_progress");
	return;
}

# What a consumer has of a topic: first copies of each key in order and without a gap, the last the table's state.
sub check
{
	my ($what, $topic, $table) = @_;
	my (%seen, %version, @wrong);

	for my $message (@{ $node->consume($broker, $topic) })
	{
		next if $seen{ $message->{headers}{ce_id} }++;
		my $key = $message->{key};
		push @wrong, "key $key: $message->{value}{version} after " . ($version{$key} // 0)
		  if $message->{value}{version} != ($version{$key} // 0) + 1;
		$version{$key} = $message->{value}{version};
	}
	is(join('; ', @wrong), '', "$what: the events of a key arrive in order, without a gap");
	is(join(' ', map { $version{$_} // 0 } 1 .. $KEYS), $node->sql("SELECT string_agg(version::text, ' ' ORDER BY id) FROM $table"),
		"$what: the last events are the state of the source");
	return;
}

# The mock does not check sequence numbers: with several requests under way it takes what follows a failed one.
$node->create_sink('kafka', $broker, 'topic.metadata.propagation.max.ms' => 300, 'max.in.flight.requests.per.connection' => 1);
change(5);
$node->wait_published('kafka');

# ---- flapping, slow ----
for my $round (1 .. 8)
{
	$broker->trouble('down');
	change(3);
	my $until = $node->sql("SELECT clock_timestamp() + interval '200 ms'");
	$node->poll_until("SELECT clock_timestamp() > '$until'");
	$broker->trouble('up');
	change(3);
}
$broker->trouble('rtt 700');
change(3);
$node->wait_published('kafka');
$broker->trouble('rtt 0');
check('a flapping and slow broker', 'counted', 'counters');

# ---- errors that pass: leader moved, not enough replicas, storage; and of idempotence ----
for my $error (5, 6, 7, 19, 20, 56)
{
	$broker->trouble("error 0 $error 3");
	change(2);
	$node->wait_published('kafka');
}
check('passing errors', 'counted', 'counters');
for my $error (45, 47, 59)	# out of order, producer epoch, unknown producer id
{
	$broker->trouble("error 0 $error 1");
	change(5);
	$node->wait_published('kafka');
}
check('errors of idempotence', 'counted', 'counters');
check('errors of idempotence', 'other', 'others');
is($node->sql('SELECT count(*) FROM outbox.dead_letter'), 0, 'none of it makes dead letters');

# ---- a topic is gone; the other one goes on ----
$broker->trouble('topic counted 3');
# the producer that knows the topic does not ask; one that starts does
$node->sql("SELECT outbox.stop_relay('kafka')");
$node->poll_until("SELECT pid IS NULL FROM outbox_internal.relay_report()");
change(4);
$node->sql("SELECT outbox.start_relay('kafka')");
$node->poll_until("SELECT count(*) = 1 FROM outbox.status WHERE kind = 'topic' AND name = 'kafka: counted'");
wait_others();
check('a topic is missing', 'other', 'others');
like($node->sql("SELECT last_error FROM outbox.status WHERE kind = 'topic'"), qr/topic "counted": .*[Uu]nknown topic/, 'status has the words');
change(2);
wait_others();
check('a topic is missing, new events', 'other', 'others');
is($node->sql("SELECT state FROM outbox.status WHERE name = 'kafka'"), 'running', 'the sink runs');
cmp_ok($node->sql("SELECT count(*) FROM outbox.held_events"), '>=', 6 * $KEYS, 'the events of the topic are held');
$broker->trouble('topic counted 0');
$node->reload;
$node->poll_until("SELECT NOT EXISTS (SELECT FROM outbox.held_events)");
$node->wait_published('kafka');
check('when the topic is there', 'counted', 'counters');
is($node->sql('SELECT count(*) FROM outbox.dead_letter'), 0, 'nothing is a dead letter');

$node->stop;
$broker->stop;
done_testing();
