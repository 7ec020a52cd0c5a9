# Hints of a Kafka sink that does not start are promises: what they say is done, and it publishes.
use strict;
use warnings;

use Test::More;

use PostgreSQL::Test::Utils ();
use OutboxBroker;
use OutboxCluster;

my $broker = OutboxBroker->mock;
my $node = OutboxCluster->create('hints_kafka');

sub last_error
{
	my ($pattern) = @_;
	$node->poll_until("SELECT last_error ~ '$pattern' FROM outbox_internal.relay_report()");
	return $node->sql('SELECT last_error FROM outbox_internal.relay_report()');
}

# The lowest number of a descriptor that is free while the relay pauses without its sink: with it as the limit there is none.
sub free_descriptor
{
	my ($pid) = @_;
	my $free = 0;

	$node->poll_until("SELECT query LIKE '%pausing%' FROM pg_stat_activity WHERE pid = $pid");
	$free++ while -l "/proc/$pid/fd/$free";
	return $free;
}

sub limit
{
	my ($pid, $soft) = @_;
	PostgreSQL::Test::Utils::system_or_bail('prlimit', "--pid=$pid", "--nofile=$soft:");
	return;
}

$node->versioned_table('item');
$node->sql('INSERT INTO item VALUES (1, 1)');

# ---- options that librdkafka takes one by one, but not together ----
$node->create_sink('kafka', $broker, 'security.protocol' => 'ssl', 'ssl.cipher.suites' => 'none of this name');
my $said = last_error('could not create the producer of sink "kafka"');
my $hint = q(Correct the sink's options: UPDATE outbox.sink SET options = options || '{"option": "value"}' WHERE name = 'kafka';);
my ($remedy) = $hint =~ /: (UPDATE.*)/;
like($said, qr/HINT: \Q$hint\E$/, 'options that are wrong together: the hint has a statement');

# ---- a limit of the operating system, so low that there is none left for the sink ----
my $pid = $node->relay_pid('kafka');
my ($soft) = `prlimit --pid=$pid --nofile --output=SOFT --noheadings` =~ /(\d+)/;
limit($pid, free_descriptor($pid));
(my $statement = $remedy) =~ s/"option": "value"/"security.protocol": "plaintext"/;
$node->sql($statement);
like(last_error('could not create descriptors for sink "kafka"'), qr/HINT: \QRaise the operating system's limit of open files.\E$/, 'too few descriptors');
limit($pid, $soft);
$node->wait_published('kafka');
pass('with better options and a higher limit it publishes');

# ---- the same for the client of a registry ----
my $registry = OutboxBroker->fake_registry;
my $url = $registry->address;
$node->sql("UPDATE outbox.sink SET options = options || '{\"security.protocol\": \"ssl\"}'");
last_error('could not create the producer');
limit($pid, free_descriptor($pid));
$node->sql("UPDATE outbox.sink SET options = options || '{\"security.protocol\": \"plaintext\", \"schema.registry.url\": \"$url\"}'");
like(last_error('could not create the client of the schema registry'), qr/HINT: \QRaise the operating system's limits of memory and open files.\E$/, 'too few for the registry');
limit($pid, $soft);
$node->sql('INSERT INTO item VALUES (2, 1)');
$node->wait_published('kafka');
pass('with a higher limit it publishes');

$node->stop;
$broker->stop;
done_testing();
