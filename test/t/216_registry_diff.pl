# registry_diff() tells what a schema registry has otherwise than it should, and push_level() sets the levels: over HTTP in the
# session, without a thread, interruptible, within five seconds, whatever answers.
use strict;
use warnings;

use IO::Socket::INET;
use Test::More;
use Time::HiRes qw(time);

use PostgreSQL::Test::Utils qw(slurp_file);
use OutboxBroker;
use OutboxCluster;

my $broker = OutboxBroker->mock;
my $node = OutboxCluster->create('registry_diff');
my $registry = OutboxBroker->fake_registry('/level' => 'FULL');
my $url = $registry->address;
my $secret = PostgreSQL::Test::Utils::tempdir() . '/secret';
PostgreSQL::Test::Utils::append_to_file($secret, "anna:geheim\n");

# sink|subject|what|ours|theirs, advice apart
sub diff
{
	my ($sink) = @_;
	return $node->sql("SELECT sink, subject, what, ours, theirs FROM outbox.registry_diff(" . (defined $sink ? "'$sink'" : '') . ") ORDER BY 2, 3");
}

sub advice
{
	my ($what) = @_;
	return $node->sql("SELECT advice FROM outbox.registry_diff('kafka') WHERE what = '$what' LIMIT 1");
}

$node->versioned_table('one');
$node->versioned_table('two');
$node->create_sink('kafka', $broker, 'schema.registry.url' => $url, 'schema.registry.basic.auth' => { file => $secret }, 'topic.prefix' => 'p.');
my $subject = 'p.one-' . $node->sql("SELECT schema::json ->> 'namespace' FROM outbox.event_schemas WHERE event_type = 'oneCreated'");
$registry->requests;

# ---- missing, then all is well ----
is(join(' ', map { (split /\|/)[2] } split /\n/, diff()), 'missing missing missing missing', 'before the first event nothing is there');
is(scalar(grep { !/^(POST \/subjects\/[^\/]+|GET .*)$/ } $registry->requests), 0, 'it only asks');
$node->sql("INSERT INTO one VALUES (1, 1); INSERT INTO two VALUES (1, 1); UPDATE one SET version = 2; UPDATE two SET version = 2");
$node->wait_published('kafka');
is(diff('kafka'), '', 'no rows: all is as it should be');
is(diff(), '', 'of all sinks, too');

# ---- a version that was retired, with a topic of its own, need not be there ----
$node->sql(<<'SQL');
INSERT INTO outbox_internal.contract_version (contract_id, version, view, state)
SELECT c.id, 7, v.view, 'retired' FROM outbox.contract c JOIN outbox.contract_version v ON v.contract_id = c.id WHERE c.name = 'one';
INSERT INTO outbox_internal.event_schema (event_type_id, contract, event_type, version, topic, ce_type, schema, fingerprint)
SELECT event_type_id, contract, event_type, 7, topic || '.v7', ce_type, schema, fingerprint FROM outbox_internal.event_schema WHERE event_type = 'oneCreated';
SQL
is(diff('kafka'), '', 'a retired version is not asked for');
$node->sql("DELETE FROM outbox_internal.event_schema WHERE version = 7; DELETE FROM outbox_internal.contract_version WHERE version = 7");

# ---- levels ----
$registry->modes('/level' => 'BACKWARD');
is(diff(), join("\n", map { "kafka|$_|weaker level|FULL|BACKWARD" }
		map { my $t = $_; map { "p.$t-" . $node->sql("SELECT (schema::json ->> 'namespace') || '.' || event_type FROM outbox.event_schemas WHERE event_type = '$t$_'") } qw(Changed Created) } qw(one two)),
	'a level that is weaker than the contract\'s');
is(advice('weaker level'), "SELECT outbox.push_level('kafka');", 'and what to do');
$node->sql("SELECT outbox.push_level('kafka')");
is(scalar(grep { /^PUT \/config\/p\./ } $registry->requests), 4, 'push_level() sets the level of each subject');
is(diff(), '', 'then all is well');
$registry->modes('/level' => 'FULL_TRANSITIVE');
is(diff(), '', 'a stricter level is no difference');
my ($rc, $out, $err) = $node->psql('postgres', "SELECT outbox.push_level('nothing')");
like($err, qr/sink "nothing" does not exist/, 'push_level() of no sink');
$node->sql("SELECT outbox.create_sink('log', library => 'outbox_log')");
($rc, $out, $err) = $node->psql('postgres', "SELECT outbox.push_level('log')");
like($err, qr{sink "log" has no schema registry\nHINT:  \QGive the sink the options of one; see docs/sinks.md.\E}, 'of one without registry');
is(diff('log'), '', 'which differs in nothing');
$registry->modes('/config' => 403, '/level' => 'FULL');
($rc, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\nSELECT outbox.push_level('kafka')");
like($err, qr/38000: the schema registry of sink "kafka" does not take a level for subject "p\.one-.*\nDETAIL:  HTTP status 403: no, says the registry: 403\.\nHINT:  .*\Q Levels that were set before stay.\E/, 'of one that does not let us');

# ---- other ids, other texts, deletions, other people's versions ----
$registry->modes('/level' => 'FULL', '/deleted' => 'oneCreated');
like(diff(), qr/^kafka\|p\.one-\S+oneCreated\|deleted\|1\|$/, 'a schema that was deleted');
$registry->modes('/level' => 'FULL', '/ids' => 'scale');
is(diff(), '', 'how ids are read back says nothing where nothing has a scale');
my $agent = "import urllib.request as u, json, sys; print(u.urlopen(u.Request(sys.argv[1], json.dumps({'schema': sys.argv[2]}).encode(), {'Content-Type': 'application/json'})).status)";
my $full = $node->sql("SELECT 'p.one-' || (schema::json ->> 'namespace') || '.oneCreated' FROM outbox.event_schemas WHERE event_type = 'oneCreated'");
$registry->modes('/level' => 'FULL');
system('python3', '-c', $agent, "$url/subjects/$full/versions", '{"type":"record","name":"Theirs","fields":[]}') == 0 or die;
is(diff(), qq(kafka|$full|extra version||version 2: {"type":"record","name":"Theirs","fields":[]}), 'a version of somebody else');
$registry->modes('/level' => 'FULL', '/first' => 50, '/rebuilt' => 1);
system('python3', '-c', $agent, "$url/subjects/$full/versions", $node->sql("SELECT schema FROM outbox.event_schemas WHERE event_type = 'oneCreated'")) == 0 or die;
like(diff(), qr/^kafka\|\Q$full\E\|other id\|1\|50$/m, 'a registry that was set up anew gives other ids');
like(advice('other id'), qr/forget_schema_ids\('kafka'\)/, 'and what to do');

# ---- unreachable ----
for my $mode (401, 403, 500, 503, 'garbage', 'wrong')
{
	$registry->modes('one' => $mode, 'two' => $mode);
	my $words = $mode =~ /^\d/ ? qr/it answers with HTTP status $mode: no, says the registry: $mode/ : qr/it is no answer of a schema registry/;
	like(diff(), qr/^kafka\|\|unreachable\|\|the schema registry at \Q$url\E: $words$/, "an answer of no use: $mode");
}
$registry->modes('one' => { status => 302, headers => { Location => 'http://127.0.0.1:1/evil' }, body => '' });
like(diff(), qr/unreachable\|\|.*HTTP status 302/, 'a redirection is not followed');
unlike(slurp_file($node->logfile) . diff(), qr/geheim/, 'no secret in messages');

# ---- one that hangs: no thread, an end, and a cancel ----
my $server = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1') or die $!;
my $port = $server->sockport;
$node->sql("SELECT outbox.create_sink('hang', library => 'outbox_kafka', options => '{\"bootstrap.servers\": \"127.0.0.1:1\", \"schema.registry.url\": \"http://localhost:$port\"}')");
my $session = $node->background_psql('postgres', on_error_stop => 0);
my $pid = $session->query_safe('SELECT pg_backend_pid()');
$session->query_until(qr/asked/, "\\echo asked\nSELECT what, theirs FROM outbox.registry_diff('hang');\n");
my $client = $server->accept;
is(scalar(my @tasks = glob("/proc/$pid/task/*")), 1, 'while a session asks it has one thread');
my $start = time;
$node->poll_until("SELECT state = 'idle' FROM pg_stat_activity WHERE pid = $pid");
cmp_ok(time - $start, '<', 7, 'it gives up after five seconds');
$session->query_until(qr/again/, "\\echo again\nSELECT what, theirs FROM outbox.registry_diff('hang');\n");
my $second = $server->accept;
$start = time;
$node->sql("SELECT pg_cancel_backend($pid)");
$node->poll_until("SELECT state = 'idle' FROM pg_stat_activity WHERE pid = $pid");
cmp_ok(time - $start, '<', 4, 'a cancel ends the question');
$session->quit;
like($node->sql("SET statement_timeout = 700; SELECT 1"), qr/1/, 'the server works');
close $server;

# ---- a name that is none, a library that is not there, options that are not valid any more ----
$node->sql("SELECT outbox.create_sink('nowhere', library => 'outbox_kafka', options => '{\"bootstrap.servers\": \"127.0.0.1:1\", \"schema.registry.url\": \"http://no-such-host.invalid\"}')");
like(diff('nowhere'), qr/^nowhere\|\|unreachable\|\|.*could not look up host "no-such-host\.invalid"/, 'a host without address');
$node->sql("UPDATE outbox.sink SET options = options - 'bootstrap.servers' WHERE name = 'nowhere'");
like(diff('nowhere'), qr/^nowhere\|\|unreachable\|\|option "bootstrap\.servers" of a Kafka sink is missing$/, 'options that are not valid');
$node->sql("CREATE ROLE op; SELECT outbox.grant_access('op', 'operator'); CREATE ROLE re; SELECT outbox.grant_access('re', 'reader')");
like($node->sql("SET ROLE op; SELECT what FROM outbox.registry_diff('kafka') LIMIT 1"), qr/unreachable/, 'an operator may ask');
($rc, $out, $err) = $node->psql('postgres', "SET ROLE re; SELECT * FROM outbox.registry_diff('kafka')");
like($err, qr/permission denied/, 'a reader may not');
($rc, $out, $err) = $node->psql('postgres', "SET ROLE op; SELECT outbox.push_level('kafka')");
like($err, qr/permission denied/, 'an operator changes no levels');
$node->stop;
done_testing();
