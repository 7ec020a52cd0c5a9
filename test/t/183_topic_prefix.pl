# The sink option topic.prefix: topics and subjects get it when an event is published; the relay, its views and what is
# held name the topic as the contract does, and the sink's own words name the topic that the broker knows.
use strict;
use warnings;

use HTTP::Tiny ();
use JSON::PP ();
use Test::More;

use PostgreSQL::Test::Utils ();
use OutboxBroker;
use OutboxCluster;

my $broker = OutboxBroker->mock;
my $node = OutboxCluster->create('topic_prefix');
my $LONG = 'x' x 245;

$node->versioned_table('orders', 'orders');
$node->versioned_table('tills', $LONG);
$node->sql("SELECT outbox.create_sink('log', library => 'outbox_log', options => '{\"topic.prefix\": \"log_\"}'); SELECT outbox.start_relay('log')");
$node->create_sink('plain', $broker);
$node->create_sink('staged', $broker, 'topic.prefix' => 'stage.', 'topic.metadata.propagation.max.ms' => 1000);
$node->sql('INSERT INTO orders SELECT id, 0 FROM generate_series(1, 5) AS id');
$node->wait_published($_) for qw(log plain staged);

sub keys_of { return join ' ', sort map { $_->{key} } @{ $node->consume($broker, $_[0]) }; }

sub set_prefix
{
	$node->sql("UPDATE outbox.sink SET options = options || '{\"topic.prefix\": \"$_[0]\"}' WHERE name = 'staged'");
	return;
}

is(keys_of('orders'), '1 2 3 4 5', 'without the option a topic has its own name');
is(keys_of('stage.orders'), '1 2 3 4 5', 'with it the prefix stands in front');
is(scalar(() = PostgreSQL::Test::Utils::slurp_file($node->logfile) =~ /sink "log": topic=log_orders key=/g), 5, 'the log sink has the option, too');
is($node->sql("SELECT string_agg(DISTINCT topic, ' ') FROM outbox.event_types WHERE contract = 'orders'"), 'orders', 'the contract knows nothing of it');

# ---- a replay is published as everything else is ----
my $request = $node->sql("SELECT request FROM outbox.replay('staged', topic => 'again', rate => 0)");
$node->poll_until("SELECT state FROM outbox.replays WHERE request = $request", 'done');
is(keys_of('stage.again'), '1 2 3 4 5', 'the topic of a replay gets the prefix');

# ---- a topic in trouble: one name in the relay, the broker's name in the sink's words ----
$broker->trouble('topic stage.bad 3');
$node->versioned_table('bad', 'bad');
$node->sql('INSERT INTO bad VALUES (1, 0)');
$node->poll_until("SELECT count(*) FROM outbox.status WHERE kind = 'topic'", 1);
is($node->sql("SELECT name FROM outbox.status WHERE kind = 'topic'"), 'staged: bad', 'status names the topic of the contract');
like($node->sql("SELECT last_error FROM outbox.status WHERE kind = 'topic'"), qr/topic "stage\.bad"/, 'and the reason names that of the broker');
is($node->sql('SELECT topic FROM outbox.held_events'), 'bad', 'what is held has the topic of the contract');

# ---- another prefix on a live sink ----
set_prefix('test.');
$node->poll_until("SELECT count(*) FROM outbox.held_events", 0, timeout => 90);
is(keys_of('test.bad'), '1', 'what was held leaves for the topic with the new prefix');
$node->wait_published('staged');
$node->sql('INSERT INTO orders SELECT id, 0 FROM generate_series(6, 9) AS id');
$node->wait_published('staged');
is(keys_of('test.orders'), '6 7 8 9', 'later events go there');
is(keys_of('stage.orders'), '1 2 3 4 5', 'and nowhere else');

# ---- together longer than any broker takes ----
$node->sql('INSERT INTO tills VALUES (1, 0)');
$node->poll_until("SELECT count(*) FROM outbox.status WHERE kind = 'topic'", 1);
is($node->sql("SELECT name = 'staged: $LONG' FROM outbox.status WHERE kind = 'topic'"), 't', 'prefix and topic with more than 249 bytes: a topic in trouble');
like($node->sql("SELECT last_error FROM outbox.status WHERE kind = 'topic'"),
	qr/could not use topic "test\.x+\.\.\.": its name has 250 bytes\. Topic names have up to 249/, 'which says why');
$node->sql('INSERT INTO orders VALUES (10, 0)');
$node->poll_until("SELECT state FROM outbox.status WHERE name = 'staged'", 'running');
$node->wait_published('plain');
$node->poll_until("SELECT acked = (SELECT count(*) - 1 FROM outbox.event) FROM outbox.relay_progress p JOIN outbox.sink s ON s.id = p.sink_id AND s.name = 'staged'");
is(keys_of('test.orders'), '10 6 7 8 9', 'and holds up no other');
set_prefix('t.');
$node->poll_until("SELECT count(*) FROM outbox.held_events", 0, timeout => 90);
is(keys_of("t.$LONG"), '1', 'until the prefix is shorter');

# ---- an UPDATE does not ask whether it is right; the relay does, and publishes nothing under another name ----
set_prefix('no way/');
$node->poll_until("SELECT last_error ~ 'topic.prefix' FROM outbox.status WHERE name = 'staged'", 't');
set_prefix('t.');
$node->poll_until("SELECT state FROM outbox.status WHERE name = 'staged'", 'running', timeout => 90);
$node->sql('SELECT outbox.stop_relay(name) FROM outbox.sink');

# ---- with a real broker and a real registry: subjects follow the topic that is published, where they name it ----
my $kafka = OutboxBroker->kafka;
my $registry = OutboxBroker->registry;
my %subjects = (
	TopicRecordName => ['t183.trn.prefixed-postgres.prefixed.prefixedCreated'],
	TopicName => ['t183.tn.prefixed-value'],
	RecordName => ['postgres.prefixed.prefixedCreated']);
my %prefix = (TopicRecordName => 't183.trn.', TopicName => 't183.tn.', RecordName => 't183.rn.');

sub registered { return @{ JSON::PP::decode_json(HTTP::Tiny->new->get($registry->address . '/subjects')->{content}) }; }

$node->versioned_table('prefixed');
$node->sql('INSERT INTO prefixed VALUES (1, 0)');
for my $strategy (sort keys %subjects)
{
	$node->create_sink(lc $strategy, $kafka, 'schema.registry.url' => $registry->address, 'subject.strategy' => $strategy,
		'topic.prefix' => $prefix{$strategy});
}
for my $strategy (sort keys %subjects)
{
	my $sink = lc $strategy;

	$node->poll_until("SELECT count(*) > 0 FROM outbox.schema_registration r JOIN outbox.sink s ON s.id = r.sink_id
		WHERE s.name = '$sink' AND r.subject = '$subjects{$strategy}[0]'", 't', timeout => 90);
	my %there = map { $_ => 1 } registered();
	is_deeply([ grep { !$there{$_} } @{ $subjects{$strategy} } ], [], "$strategy: the subject at the registry");
	my $messages = $kafka->consume("$prefix{$strategy}prefixed", registry => $registry->address, count => 1, timeout => 90);
	is(join(' ', map { "$_->{key} $_->{value}{version}" } @$messages), '1 0', "$strategy: the message");
}
is_deeply([ grep { /^prefixed-/ } registered() ], [], 'no subject has the topic without the prefix');

$node->stop;
done_testing();
