# A schema registry that is down, slow, or answers nonsense, errors or refusals: only events of the schema without a
# number wait, in order, and nothing is a dead letter.
use strict;
use warnings;

use Test::More;

use PostgreSQL::Test::Utils ();
use OutboxBroker;
use OutboxCluster;

my $broker = OutboxBroker->mock;
my $node = OutboxCluster->create('registry_trouble');
my $registry = OutboxBroker->fake_registry;
my $url = $registry->address;

sub poll
{
	my ($what, $check) = @_;
	my $deadline = time + 30;
	until ($check->())
	{
		die "time is up: $what" if time > $deadline;
		select(undef, undef, undef, 0.05);
	}
	return;
}

# (held events, sink's state) must be so while the other topic goes on.
sub others_go_on
{
	my ($what) = @_;
	$node->sql('UPDATE steady SET version = version + 1');
	$node->poll_until("SELECT acked = (SELECT count(*) FROM outbox.event) - (SELECT count(*) FROM outbox.held_events) FROM outbox.relay_progress");
	my $messages = $node->consume($broker, 'steady', registry => $url);
	my %version = map { $_->{key} => $_->{value}{version} } @$messages;
	is(join(' ', map { $version{$_} } 1 .. 5), $node->sql("SELECT string_agg(version::text, ' ' ORDER BY id) FROM steady"), "$what: other topics go on");
	is($node->sql("SELECT state FROM outbox.status WHERE name = 'kafka'"), 'running', "$what: the sink runs");
	return;
}

$node->versioned_table('steady');
$node->create_sink('kafka', $broker, 'schema.registry.url' => $url);
$node->sql('INSERT INTO steady SELECT i, 0 FROM generate_series(1, 5) i');
$node->wait_published('kafka');

my %modes = (
	conflict => [ 409, qr/^the schema registry refuses \S+\.conflictCreated under subject "conflict-\S+" \(HTTP status 409\): no, says the registry: 409/ ],
	invalid => [ 422, qr/\(HTTP status 422\): no, says the registry: 422/ ],
	broken => [ 500, qr/it answers with HTTP status 500: no, says the registry: 500/ ],
	denied => [ 401, qr/it answers with HTTP status 401/ ],
	garbage => [ 'garbage', qr/its answer holds no schema id/ ],
	wrong => [ 'wrong', qr/its answer holds no schema id/ ],
	slow => [ 'slow', qr/does not answer|[Tt]ime/ ]);

for my $name (sort keys %modes)
{
	my ($mode, $words) = @{ $modes{$name} };
	$node->versioned_table($name);
	$registry->modes("${name}Created" => $mode);
	# created cannot be registered, changed can: it has to wait all the same
	$node->sql("INSERT INTO $name SELECT i, 1 FROM generate_series(1, 3) i; UPDATE $name SET version = 2; INSERT INTO $name VALUES (4, 1)");
	$node->poll_until("SELECT count(*) = 7 FROM outbox.held_events WHERE topic = '$name'");
	like($node->sql("SELECT last_error FROM outbox.status WHERE kind = 'topic' AND name LIKE 'kafka: $name (%'"), $words, "$name: status has the reason");
	others_go_on($name);
	$registry->modes;
	$node->reload;
	$node->poll_until('SELECT NOT EXISTS (SELECT FROM outbox.held_events)');
	$node->wait_published('kafka');
	my %versions;
	push @{ $versions{ $_->{key} } }, $_->{value}{version} for @{ $node->consume($broker, $name, registry => $url) };
	is(join(' ', map { "$_:" . join(',', @{ $versions{$_} }) } sort keys %versions), '1:1,2 2:1,2 3:1,2 4:1', "$name: everything follows, in order, once");
}

# ---- down, over a restart of the relay ----
$registry->stop;
$node->versioned_table('down');
$node->sql("INSERT INTO down VALUES (1, 1); UPDATE down SET version = 2");
$node->poll_until("SELECT count(*) = 2 FROM outbox.held_events WHERE topic = 'down'");
like($node->sql("SELECT last_error FROM outbox.status WHERE kind = 'topic' LIMIT 1"), qr/^could not register a schema at \Q$url\E: /, 'down: status has the reason');
$node->sql("SELECT outbox.stop_relay('kafka')");
$node->poll_until("SELECT pid IS NULL FROM outbox_internal.relay_report()");
$node->sql("UPDATE down SET version = 3; UPDATE steady SET version = version + 1; SELECT outbox.start_relay('kafka')");
$node->poll_until("SELECT count(*) = 3 FROM outbox.held_events WHERE topic = 'down'");
$node->poll_until("SELECT acked = (SELECT count(*) FROM outbox.event) - 3 FROM outbox.relay_progress");
pass('down: events of known schemas go on, over a restart');
is($node->sql('SELECT count(*) FROM outbox.dead_letter'), 0, 'nothing is a dead letter');

$node->stop;
$broker->stop;
done_testing();
