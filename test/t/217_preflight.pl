# enable() asks the sinks' schema registries whether they would take the schemas, before it takes its locks: a refusal is an error in
# the migration, a registry without answer is a warning in status, and nothing is registered.
use strict;
use warnings;

use IO::Socket::INET;
use Test::More;
use Time::HiRes qw(time);

use OutboxBroker;
use OutboxCluster;

my $registry = OutboxBroker->fake_registry;
my $url = $registry->address;
my $node = OutboxCluster->create('preflight');
my %options = ('bootstrap.servers' => '127.0.0.1:1', 'schema.registry.url' => $url);

sub options
{
	my (%more) = @_;
	my %all = (%options, %more);
	return '{' . join(', ', map { "\"$_\": \"$all{$_}\"" } sort keys %all) . '}';
}

sub contract
{
	my ($name) = @_;
	$node->sql(<<"SQL");
CREATE TABLE $name (id integer PRIMARY KEY, version integer NOT NULL);
CREATE VIEW ${name}_v AS SELECT id, version FROM $name;
SELECT outbox.create_contract('$name', view => '${name}_v', source => '$name', key => '{id}', required => '{id,version}');
SELECT outbox.create_event_type('${name}Created', contract => '$name', emit => 'created'),
	outbox.create_event_type('${name}Deleted', contract => '$name', emit => 'deleted');
SQL
	return;
}

sub enable
{
	my ($name, $before) = @_;
	my ($rc, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n" . ($before // '') . "SELECT outbox.enable('$name')");
	return $err =~ s/^psql:\S+ //mgr;
}

sub unasked
{
	my ($name) = @_;
	return $node->sql("SELECT advice FROM outbox.status WHERE kind = 'contract' AND name = '$name' AND advice LIKE 'The registry of sink%'");
}

sub pinned
{
	my ($name) = @_;
	return $node->sql("SELECT count(*) FROM outbox.event_schemas WHERE contract = '$name'");
}

$node->sql("SELECT outbox.create_sink('main', library => 'outbox_kafka', options => '" . options() . "')");

# ---- it takes them ----
contract('good');
is(enable('good'), '', 'a registry that takes the schemas: enabled');
my @asked = $registry->requests;
is(scalar(grep { m{^POST /subjects/good-\S+\.good(Created|Deleted)$} } @asked), 2, 'every schema is looked up');
is(scalar(grep { m{^POST /compatibility/subjects/good-\S+/versions\?verbose=true$} } @asked), 2, 'and those that are not there are checked');
is(scalar(@asked), 4, 'nothing else is asked');
is(unasked('good'), '', 'no warning');
is(enable('good'), '', 'enabled again');
is(scalar(@asked = $registry->requests), 4, 'it asks again while the relay has no numbers');

# ---- it refuses one ----
contract('bad');
$registry->modes('/no' => 'badDeleted the field "x" has no default');
like(enable('bad'), qr/38000: the schema registry of sink "main" would not take the schema of event type "badDeleted"\nDETAIL:  Event type "badDeleted", subject "bad-\S+\.badDeleted" of sink "main": the field "x" has no default\.\nHINT:  \QMake the schema compatible with what the subject has, give the event type another topic, or change the subject's level there. The sink's option schema.registry.preflight = false leaves out the question.\E/,
	'a refusal is an error, with the registry\'s words and the remedy');
is(pinned('bad'), 0, 'nothing is pinned');
is($node->sql("SELECT enabled FROM outbox.contracts WHERE name = 'bad'"), 'f', 'nor enabled');
$registry->requests;
is(enable('bad', "SET outbox.test_mode = on;\n"), '', 'in test_mode nothing is asked');
is(scalar(my @none = $registry->requests), 0, 'not even that');
$node->sql("SELECT outbox.drop_contract('bad')");
for my $mode (409, 422)
{
	$registry->modes('bad' => $mode);
	$node->sql('DROP VIEW IF EXISTS bad_v; DROP TABLE IF EXISTS bad');
	contract('bad');
	like(enable('bad'), qr/38000: .*\nDETAIL:  .*HTTP status $mode: no, says the registry: $mode\.\nEvent type "badDeleted"/, "the same for $mode, of all event types");
	$node->sql("SELECT outbox.drop_contract('bad')");
}
$node->sql("UPDATE outbox.sink SET options = '" . options('schema.registry.preflight' => 'false') . "'; DROP VIEW bad_v; DROP TABLE bad");
contract('bad');
is(enable('bad'), '', 'with preflight = false it is enabled');

# ---- an older registry, and one where schemas are registered by somebody else ----
$node->sql("UPDATE outbox.sink SET options = '" . options() . "'");
$registry->modes('/plain' => \1, '/no' => 'old no');
contract('old');
like(enable('old'), qr/would not take the schema of event type "oldCreated"/, 'a registry that checks against the newest version alone');
$registry->modes();
$node->sql("UPDATE outbox.sink SET options = '" . options('schema.registry.auto.register' => 'false') . "'");
is(enable('old'), '', 'without auto.register a schema that is missing is no refusal');
like(unasked('old'), qr/the schema of "old(Created|Deleted)" is not registered under subject "old-\S+", and schema\.registry\.auto\.register is false/, 'but said in status');
$registry->modes('/no' => 'old no');
like(enable('old'), qr/would not take the schema of event type "oldCreated"/, 'one that it would not take is one');
$registry->modes();
$node->sql("UPDATE outbox.sink SET options = '" . options() . "'");

# ---- no answer of use ----
for my $mode (401, 403, 500, 503, 'garbage', 'wrong')
{
	my $name = "m$mode";
	contract($name);
	$registry->modes($name => $mode);
	is(enable($name), '', "$mode is no error");
	like(unasked($name), qr/^The registry of sink main has not said that it takes its schemas: the schema registry at \Q$url\E: it .*\. SELECT outbox\.enable\('$name'\) asks again/, 'but a warning in status');
	$registry->modes();
	is(enable($name), '', 'asked again when the registry works');
	is(unasked($name), '', 'the warning is gone');
}

# ---- one that hangs: five seconds for all sinks, before any lock on the source, and a cancel ----
my $server = IO::Socket::INET->new(Listen => 20, LocalAddr => '127.0.0.1') or die $!;
my $hang = 'http://127.0.0.1:' . $server->sockport;
$node->sql("SELECT outbox.create_sink('$_', library => 'outbox_kafka', options => '" . options('schema.registry.url' => $hang) . "')") for qw(hang1 hang2);
contract('slow');
my $session = $node->background_psql('postgres', on_error_stop => 0);
my $pid = $session->query_safe('SELECT pg_backend_pid()');
my $start = time;
$session->query_until(qr/asked/, "\\echo asked\nSELECT outbox.enable('slow');\n");
my $first = $server->accept;
is($node->sql("SELECT count(*) FROM pg_locks WHERE pid = $pid AND relation = 'slow'::regclass"), 0, 'while it asks it has no lock on the source');
is($node->sql('INSERT INTO slow VALUES (1, 1) RETURNING id'), 1, 'which others write to');
$node->poll_until("SELECT state = 'idle' FROM pg_stat_activity WHERE pid = $pid");
cmp_ok(time - $start, '<', 8, 'it waits for five seconds in all');
is($node->sql("SELECT enabled FROM outbox.contracts WHERE name = 'slow'"), 't', 'and enables');
like(unasked('slow'), qr/sink hang1 has not said that it takes its schemas: .*it gave no answer in time/, 'status says what is not known');
$session->query_until(qr/again/, "\\echo again\nSELECT outbox.enable('slow');\n");
my $second = $server->accept;
$start = time;
$node->sql("SELECT pg_cancel_backend($pid)");
$node->poll_until("SELECT state = 'idle' FROM pg_stat_activity WHERE pid = $pid");
cmp_ok(time - $start, '<', 4, 'a cancel ends it');
$session->quit;
$node->sql("SELECT outbox.drop_sink('hang1'), outbox.drop_sink('hang2')");
is(unasked('slow'), '', 'without the sink nothing is left to say');

# ---- a rolled-back enable leaves nothing in the registry ----
contract('undone');
$registry->requests;
$node->sql("BEGIN; SELECT outbox.enable('undone'); ROLLBACK");
is(scalar(grep { m{^POST /subjects/[^/]+/versions|^PUT} } $registry->requests), 0, 'a rolled-back enable registers nothing');
$node->stop;
done_testing();
