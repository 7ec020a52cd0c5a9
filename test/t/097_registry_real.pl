# With a real schema registry: ids are read back as it gives them, and one that was set up anew at its address is noticed.
use strict;
use warnings;

use IPC::Run ();
use Test::More;

use PostgreSQL::Test::Utils ();
use OutboxBroker;
use OutboxCluster;

my $broker = OutboxBroker->mock;
my $registry = OutboxBroker->own_registry;
my $url = $registry->address;
my $node = OutboxCluster->create('registry_real');

sub contract
{
	my ($name) = @_;
	$node->sql(<<"SQL");
CREATE TABLE $name (id integer PRIMARY KEY, amount numeric(12,2) NOT NULL, day date, at timestamptz, tags text[], mark uuid);
CREATE VIEW ${name}_v AS SELECT id, amount, day, at, tags, mark FROM $name;
COMMENT ON COLUMN ${name}_v.amount IS 'Größe in €';
SELECT outbox.create_contract('$name', view => '${name}_v', source => '$name', key => '{id}', required => '{id,amount}');
SELECT outbox.create_event_type('${name}Created', contract => '$name', emit => 'created');
SELECT outbox.enable('$name');
SQL
	return;
}

sub add
{
	my ($name, $id) = @_;
	$node->sql("INSERT INTO $name VALUES ($id, 12.34, '2024-02-29', '2024-03-01 12:00:00.123456Z', '{a,b}', '018e0b3c-6d5f-7c3a-9f51-2b7c8e0d4a11')");
	return;
}

sub newest
{
	my ($topic) = @_;
	my $messages = $broker->consume($topic, registry => 'dataschema', lenient => 1);
	my ($message) = sort { $b->{key} <=> $a->{key} } @$messages;
	return $message->{error} // "$message->{key} $message->{value}{amount} $message->{value}{day} $message->{value}{mark}";
}

sub restart_relay
{
	$node->sql("SELECT outbox.stop_relay('kafka')");
	$node->poll_until('SELECT pid IS NULL FROM outbox_internal.relay_report()');
	$node->sql("SELECT outbox.start_relay('kafka')");
	return;
}

contract('first');
contract('second');
$node->create_sink('kafka', $broker, 'schema.registry.url' => $url, 'schema.registry.check.interval.ms' => 200);
add('first', 1);
add('second', 1);
$node->wait_published('kafka');
is(newest('first'), '1 12.34 2024-02-29 018e0b3c-6d5f-7c3a-9f51-2b7c8e0d4a11', 'what the registry holds is what we sent');
my $ids = $node->sql('SELECT string_agg(registered_id::text, $$ $$ ORDER BY schema_id) FROM outbox.schema_registration');

restart_relay();
add('first', 2);
add('second', 2);
$node->wait_published('kafka');
is($node->sql('SELECT string_agg(registered_id::text, $$ $$ ORDER BY schema_id) FROM outbox.schema_registration'), $ids, 'ids that are read back are known again');
is(newest('second'), '2 12.34 2024-02-29 018e0b3c-6d5f-7c3a-9f51-2b7c8e0d4a11', 'and used');

# ---- set up anew, and other schemas get the old numbers ----
$registry->set_up_anew;
for my $n (1 .. 3)
{
	my $schema = qq({"schema": "{\\"type\\":\\"record\\",\\"name\\":\\"Other$n\\",\\"fields\\":[{\\"name\\":\\"id\\",\\"type\\":\\"long\\"}]}"});
	IPC::Run::run([ 'curl', '-sf', '-o', '/dev/null', '-H', 'Content-Type: application/vnd.schemaregistry.v1+json', '-d', $schema, "$url/subjects/other$n/versions" ])
	  or die 'could not register a schema';
}
for (1 .. 1200)
{
	last if (() = PostgreSQL::Test::Utils::slurp_file($node->logfile) =~ /has other contents than before/g) >= 2;
	select(undef, undef, undef, 0.05);
}
like(PostgreSQL::Test::Utils::slurp_file($node->logfile), qr/has other contents than before: \S+secondCreated/, 'a registry whose numbers mean something else is noticed, though no event comes');
add('first', 3);
$node->wait_published('kafka');
is(newest('first'), '3 12.34 2024-02-29 018e0b3c-6d5f-7c3a-9f51-2b7c8e0d4a11', 'and events have the new number');

# ---- only looked up ----
$node->sql(q(UPDATE outbox.sink SET options = options || '{"schema.registry.auto.register": false}'));
contract('third');
restart_relay();
add('third', 1);
$node->poll_until("SELECT count(*) = 1 FROM outbox.held_events");
like($node->sql("SELECT last_error FROM outbox.status WHERE kind = 'topic'"), qr/is not registered under subject "third-\S+thirdCreated"/, 'what is not there is not registered');
add('first', 4);
$node->poll_until('SELECT acked = (SELECT count(*) FROM outbox.event) - 1 FROM outbox.relay_progress');
is(newest('first'), '4 12.34 2024-02-29 018e0b3c-6d5f-7c3a-9f51-2b7c8e0d4a11', 'what is there is used');

$node->stop;
$broker->stop;
$registry->stop;
done_testing();
