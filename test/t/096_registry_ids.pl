# Ids belong to the registry and the subject that they came from: another registry, one that is set up anew at its
# address, another subject strategy, ids that stand for something else, and registries where nothing may be registered.
use strict;
use warnings;

use HTTP::Tiny ();
use JSON::PP ();
use Test::More;

use PostgreSQL::Test::Utils ();
use OutboxBroker;
use OutboxCluster;

my $broker = OutboxBroker->mock;
my $node = OutboxCluster->create('registry_ids');
my $version = 0;

my $first = OutboxBroker->fake_registry;
my $second = OutboxBroker->fake_registry('/first' => 101);
my $first_url = $first->address;
my $second_url = $second->address;
my %told = ($first => {}, $second => { '/first' => 101 });

# Adds to what a registry was told; undef takes it back.
sub modes
{
	my ($registry, %modes) = @_;
	my $told = $told{$registry};

	%$told = (%$told, %modes);
	delete $told->{$_} for grep { !defined $told->{$_} } keys %$told;
	$registry->modes(%$told);
	return;
}

# The requests since the last call.
sub requests
{
	my ($registry) = @_;
	return join(', ', $registry->requests);
}

# One more version of every row, published.
sub change
{
	$version++;
	$node->sql("UPDATE price SET version = version + 1, amount = amount + 0.01");
	return $version;
}

sub published
{
	$node->wait_published('kafka');
	return;
}

# The messages of a version on, as an independent reader gets them from the registries that they name: what is wrong
# with them, and which these are. Each change makes one message per key.
sub read_from
{
	my ($from) = @_;
	my %messages;
	my %ids;
	my @bad;

	push @{ $messages{ $_->{key} } }, $_ for @{ $broker->consume('price', registry => 'dataschema', lenient => 1) };
	for my $key (sort keys %messages)
	{
		my @newest = splice @{ $messages{$key} }, $from - $version - 1;
		for my $i (0 .. $#newest)
		{
			my $message = $newest[$i];
			my $expected = sprintf '%d %.2f', $from + $i, 10 + 0.01 * ($from + $i);
			my $value = $message->{error} // "$message->{value}{version} $message->{value}{amount}";
			push @bad, "$key: $value, not $expected" if $value ne $expected;
			$ids{ $message->{headers}{ce_dataschema} } = 1;
		}
	}
	return join(', ', @bad, sort keys %ids);
}

# Restarts the relay, which means another process, with a change before.
sub restart
{
	my (%options) = @_;

	$node->sql("SELECT outbox.stop_relay('kafka')");
	$node->poll_until('SELECT pid IS NULL FROM outbox_internal.relay_report()');
	options(%options) if %options;
	my $at = change();
	$node->sql("SELECT outbox.start_relay('kafka')");
	return $at;
}

# Publishes until a registry is asked something, and tells what.
sub changes_until_asked
{
	my ($registry) = @_;
	for (1 .. 600)
	{
		change();
		published();
		my $asked = requests($registry);
		return $asked if $asked ne '';
		select(undef, undef, undef, 0.05);
	}
	return 'nothing';
}

sub options
{
	my (%options) = @_;
	my $json = JSON::PP->new->canonical->encode(\%options);
	$node->sql("UPDATE outbox.sink SET options = options || '$json' WHERE name = 'kafka'");
	return;
}

my $created = 'price-postgres.price.PriceChanged';

$node->sql(<<'SQL');
CREATE TABLE price (id integer PRIMARY KEY, version integer NOT NULL, amount numeric(12,2) NOT NULL, at date NOT NULL);
CREATE VIEW price_v AS SELECT id, version, amount, at FROM price;
SELECT outbox.create_contract('price', view => 'price_v', source => 'price', key => '{id}', required => '{id,version,amount,at}');
SELECT outbox.create_event_type('PriceChanged', contract => 'price', emit => 'changed');
INSERT INTO price SELECT i, 0, 10, '2024-02-29' FROM generate_series(1, 3) i;
SELECT outbox.enable('price');
SQL
$created = $node->sql("SELECT topic || '-' || (schema::json ->> 'namespace') || '.' || (schema::json ->> 'name') FROM outbox.event_schema");
$node->create_sink('kafka', $broker, 'schema.registry.url' => $first_url, 'schema.registry.check.interval.ms' => 0);

# ---- once per process ----
my $at = change();
published();
is(requests($first), "POST /subjects/$created/versions, GET /schemas/ids/1", 'a new id is read back before it is used');
change();
published();
my $scans = $node->sql('SELECT scans FROM outbox_internal.relay_report()');
options('client.id' => 'again');
$node->poll_until("SELECT scans > $scans FROM outbox_internal.relay_report()");
change();
published();
is(requests($first), '', 'and not again, whatever starts the sink again');
is(read_from($at), "$first_url/schemas/ids/1", 'a reader gets the values');
is($node->sql("SELECT registry || ' ' || subject || ' ' || registered_id FROM outbox.schema_registration"), "$first_url $created 1",
	'what is remembered is remembered of a registry and a subject');
$at = restart();
published();
is(requests($first), 'GET /schemas/ids/1', 'another process reads a remembered id back, and registers nothing');
is(read_from($at), "$first_url/schemas/ids/1", 'and uses it');

# ---- words, order and aliases do not matter ----
modes($first, '/ids' => 'doc');
restart();
published();
is(requests($first), 'GET /schemas/ids/1', 'a schema with other words is the same');
modes($first, '/ids' => undef);

# ---- moved, while events flow ----
options('schema.registry.url' => $second_url);
is(changes_until_asked($second), "POST /subjects/$created/versions, GET /schemas/ids/101", 'another registry is asked');
$at = change();
published();
is(requests($first), '', 'and the former is not');
is(read_from($at), "$second_url/schemas/ids/101", 'messages name the registry that knows their id');
options('schema.registry.url' => $first_url);
is(changes_until_asked($first), 'GET /schemas/ids/1', 'back at the first one its id is read back, and known');
$at = change();
published();
is(read_from($at), "$first_url/schemas/ids/1", 'and used');
is($node->sql("SELECT count(*) FROM outbox.schema_registration"), 2, 'both are remembered');

# ---- one address, two spellings ----
(my $port = $first_url) =~ s/.*://;
restart('schema.registry.url' => "http://LocalHost:$port/");
published();
requests($first);
restart('schema.registry.url' => "http://localhost:$port");
published();
is(requests($first), 'GET /schemas/ids/1', 'another spelling of an address is no other registry');
restart('schema.registry.url' => $first_url);
published();
requests($first);

# ---- another strategy ----
options('subject.strategy' => 'RecordName');
(my $record = $created) =~ s/^price-//;
is(changes_until_asked($first), "POST /subjects/$record/versions, GET /schemas/ids/1", 'another subject is registered, though the id is the same');
options('subject.strategy' => 'TopicRecordName');
change();
published();

# ---- set up anew at the same address, by the next process ----
my %wrong = (
	scale => 'another scale',
	plain => 'no logical types');
for my $mode (sort keys %wrong)
{
	modes($first, '/ids' => $mode);
	$at = restart();
	$node->poll_until('SELECT count(*) = 3 FROM outbox.held_events');
	like($node->sql("SELECT last_error FROM outbox.status WHERE kind = 'topic'"), qr/says that \S+\.PriceChanged is number 1, but holds another schema under it/,
		"an id under which there is $wrong{$mode} is not used");
	modes($first, '/ids' => undef);
	$node->reload;
	$node->poll_until('SELECT NOT EXISTS (SELECT FROM outbox.held_events)');
	published();
	is(read_from($at), "$first_url/schemas/ids/1", "$wrong{$mode}: the events follow when it is right");
}
modes($first, '/rebuilt' => 'empty', '/first' => 7);
requests($first);
$at = restart();
published();
is(requests($first), "GET /schemas/ids/1, POST /subjects/$created/versions, GET /schemas/ids/7", 'an id that is gone: the schema is registered again');
is(read_from($at), "$first_url/schemas/ids/7", 'and events have the new one');

# ---- while events flow ----
restart('schema.registry.check.interval.ms' => 100);
published();
modes($first, '/rebuilt' => 'again', '/first' => 20);
my $new_id = "SELECT registered_id FROM outbox.schema_registration WHERE registry = '$first_url' AND subject = '$created'";
for (1 .. 600)
{
	change();
	published();
	last if $node->sql($new_id) == 20;
	select(undef, undef, undef, 0.05);
}
$at = change();
published();
is(read_from($at), "$first_url/schemas/ids/20", 'a registry that is set up anew below a running relay is noticed');
like(PostgreSQL::Test::Utils::slurp_file($node->logfile), qr/schema registry of sink "kafka" has other contents than before: \S+PriceChanged is registered again/,
	'and the log says so');

# ---- forget ----
restart('schema.registry.check.interval.ms' => 0);
published();
modes($first, '/rebuilt' => 'third', '/first' => 40);
requests($first);
is($node->sql("SELECT outbox.forget_schema_ids('kafka') > 0"), 't', 'ids are forgotten by a call');
like($node->sql_error("SELECT outbox.forget_schema_ids('nobody')"), qr/42704:.*sink "nobody" does not exist/, 'of a sink that exists');
is(changes_until_asked($first), "POST /subjects/$created/versions, GET /schemas/ids/40", 'and the registry is asked for all of them');
$at = change();
published();
is(read_from($at), "$first_url/schemas/ids/40", 'which events have from then on');

# ---- in trouble ----
modes($first, '/ids' => 503);
$at = restart();
published();
modes($first, '/ids' => undef);
is(read_from($at), "$first_url/schemas/ids/40", 'a registry in trouble does not hold up events whose id is remembered');

# ---- nothing may be registered ----
modes($second, '/rebuilt' => 'empty');
requests($second);
$at = restart('schema.registry.auto.register' => JSON::PP::false, 'schema.registry.url' => $second_url);
$node->poll_until('SELECT count(*) = 3 FROM outbox.held_events');
my $asked = requests($second);
unlike($asked, qr/versions/, 'nothing is registered');
like($asked, qr/POST \/subjects\/\Q$created\E(,|$)/, 'only looked up');
like($node->sql("SELECT last_error FROM outbox.status WHERE kind = 'topic'"),
	qr/^the schema of \S+PriceChanged is not registered under subject "\Q$created\E" at \Q$second_url\E, and schema.registry.auto.register is false. HINT: Register what outbox.avro_schema\(\) returns/,
	'status says what to do');
my $schema = $node->sql("SELECT outbox.avro_schema('PriceChanged')");
my $answer = HTTP::Tiny->new->post("$second_url/subjects/$created/versions",
	{ headers => { 'Content-Type' => 'application/vnd.schemaregistry.v1+json' }, content => JSON::PP::encode_json({ schema => $schema }) });
is($answer->{status}, 200, 'somebody else registers it');
$node->reload;
$node->poll_until('SELECT NOT EXISTS (SELECT FROM outbox.held_events)');
published();
is(read_from($at), "$second_url/schemas/ids/101", 'which ends the trouble');

is($node->sql('SELECT count(*) FROM outbox.dead_letter'), 0, 'nothing is a dead letter');
$_->stop for $first, $second;
$node->stop;
$broker->stop;
done_testing();
