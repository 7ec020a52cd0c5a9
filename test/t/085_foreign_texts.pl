# A broker and a registry that say what they like: their words neither break a view nor forge a line of the log, of a
# registry only its message is shown, a redirect is not followed, and no host is asked that outbox.http_hosts does not have.
use strict;
use warnings;

use JSON::PP ();
use Test::More;

use PostgreSQL::Test::Utils ();
use OutboxBroker;
use OutboxCluster;
use OutboxFault;

my $node = OutboxCluster->create('foreign', conf => "outbox.sink_libraries = 'outbox_fault, outbox_kafka'\n");

# What a session reads of the server's own words: an error here is an unreadable view.
sub unprintable
{
	my ($query) = @_;
	my $text = $node->sql("SELECT string_agg(x::text, ' ') FROM ($query) x");

	return $text =~ /[\x00-\x09\x0b-\x1f\x7f]/ ? $text : '';
}

sub log_of
{
	return PostgreSQL::Test::Utils::slurp_file($node->logfile);
}

# ---- a sink's words: acknowledgements, trouble, errors ----
my $evil = "it\x1b[2J says \xff\xfe and \xe2\x82\rFORGED:  line";
my $fault = OutboxFault->new($node, 'fault')->start;

$fault->control(down => 1, words => $evil);
$fault->append('down', 1);
$fault->wait_state('backoff');
like($fault->last_error, qr/^it \[2J says \?\? and \?\? FORGED:  line$/, 'trouble: control characters and what is no text are replaced');
is(unprintable('SELECT * FROM outbox.status'), '', 'trouble: status can be read');
$fault->control(raise => $evil, raise_after => 1);
$node->poll_until("SELECT last_error LIKE '%FORGED%' FROM outbox_internal.relay_report()");
is(unprintable('SELECT * FROM outbox.status'), '', 'an error: status can be read');
$fault->control(reject_key => 'bad', words => $evil);
$fault->append('bad', 1);
$node->poll_until("SELECT count(*) = 1 FROM outbox.dead_letter WHERE stage = 'publish'");
is($node->sql("SELECT message FROM outbox.dead_letter"), 'it [2J says ?? and ?? FORGED:  line', 'a rejection: the letter can be read');
is(unprintable('SELECT * FROM outbox.status'), '', 'a rejection: status can be read');
$fault->control(block_topic => 'test.topic', words => $evil);
$fault->append('blocked', 1);
$node->poll_until("SELECT count(*) = 1 FROM outbox.held_events WHERE state = 'held' AND reason LIKE '%FORGED%'");
is(unprintable('SELECT * FROM outbox.status'), '', 'a blocked topic: status can be read');
is(unprintable('SELECT sink, state, reason FROM outbox.held_events'), '', 'a blocked topic: held_events can be read');
unlike(log_of(), qr/\x1b|\r|^FORGED/m, 'no line of the log is theirs');
$fault->control();
$node->sql("SELECT outbox.redrive(id) FROM outbox.dead_letter");
$fault->wait_published;

$node->stop;

# ---- a registry ----
$node = OutboxCluster->create('registry');
my $broker = OutboxBroker->mock;

sub contract
{
	my ($name) = @_;
	$node->sql(<<"SQL");
CREATE TABLE $name (id integer PRIMARY KEY);
CREATE VIEW ${name}_v AS SELECT id FROM $name;
SELECT outbox.create_contract('$name', view => '${name}_v', source => '$name', key => '{id}');
SELECT outbox.create_event_type('${name}Created', contract => '$name', emit => 'created');
SELECT outbox.enable('$name');
INSERT INTO $name VALUES (1);
SQL
	return;
}

sub words_about
{
	my ($topic) = @_;
	$node->poll_until("SELECT count(*) = 1 FROM outbox.held_events WHERE topic = '$topic'");
	return $node->sql("SELECT last_error FROM outbox.status WHERE kind = 'topic' AND name LIKE 'kafka: $topic (%'");
}

my $secret = 'the metadata service says: credential 4711';
my %answers = (
	body      => { status => 500, body => $secret },
	page      => { status => 404, body => "<html>$secret</html>" },
	json      => { status => 500, body => JSON::PP::encode_json({ error => $secret, messages => [$secret] }) },
	number    => { status => 500, body => '{"message": 7}' },
	redirect  => { status => 302, body => '', headers => { Location => '/subjects/elsewhere/versions' } },
	accepted  => { status => 200, body => $secret },
	lengthy   => { status => 500, body => JSON::PP::encode_json({ message => 'x' x 5000 }) },
	forged    => { status => 409, body => '{"message": "no\u001b[2J\r\nFORGED:  line\u0000"}' },
	evil      => { status => 409, body => "{\"message\": \"no \\u001b[2J\\r\\nFORGED:  line \xc3\xa9\"}" });

# requests for the place it redirects to would be answered, so that following would show
my $registry = OutboxBroker->fake_registry(map { ($_ . 'Created' => $answers{$_}) } keys %answers);
my $url = $registry->address;
# the relay meets the registry's words first
$node->create_sink('kafka', $broker, 'schema.registry.url' => $url, 'schema.registry.preflight' => 'false');
contract($_) for sort keys %answers;
like(words_about('body'), qr/answers with HTTP status 500: without a message$/, 'a body is not shown');
like(words_about('page'), qr/answers with HTTP status 404: without a message$/, 'a page is not shown');
like(words_about('json'), qr/answers with HTTP status 500: without a message$/, 'other fields are not shown');
like(words_about('number'), qr/answers with HTTP status 500: without a message$/, 'a message that is no text is not shown');
like(words_about('redirect'), qr/answers with HTTP status 302: without a message$/, 'a redirect is not followed');
like(words_about('accepted'), qr/its answer holds no schema id$/, 'an answer that is none is not shown');
like(words_about('lengthy'), qr/HTTP status 500: x{200}$/, 'a message is cut');
like(words_about('forged'), qr/HTTP status 409\): without a message$/, 'a message with a zero byte is no message');
like(words_about('evil'), qr/HTTP status 409\): no  \[2J  FORGED:  line   $/, 'control characters are replaced');
is(unprintable('SELECT * FROM outbox.status'), '', 'status can be read');
unlike(log_of(), qr/\x1b|\r|^FORGED/m, 'no line of the log is theirs');
unlike(log_of(), qr/4711/, 'nothing else of an answer is in the log');

# ---- hosts that are not allowed ----
$node->append_conf('postgresql.conf', "outbox.http_hosts = 'registry.example.com'\n");
$node->reload;
$node->sql("SELECT outbox.stop_relay('kafka')");
$node->poll_until("SELECT pid IS NULL FROM outbox_internal.relay_report() WHERE sink = 'kafka'");
$node->sql("SELECT outbox.start_relay('kafka')");
$node->poll_until("SELECT state = 'backoff' FROM outbox_internal.relay_report() WHERE sink = 'kafka'");
like($node->sql("SELECT last_error FROM outbox_internal.relay_report() WHERE sink = 'kafka'"),
	qr/^host "127\.0\.0\.1:\d+" of sink option "schema\.registry\.url" is not allowed\. The setting outbox\.http_hosts is "registry\.example\.com"/,
	'a relay connects to no host that was allowed when its sink was created and is not now');
like($node->sql_error("SELECT outbox.create_sink('other', library => 'outbox_kafka', options => '{\"bootstrap.servers\": \"a:1\", \"schema.registry.url\": \"$url\"}')"),
	qr/42501: host "127\.0\.0\.1:\d+".*HINT:  A superuser can add the host/s, 'create_sink refuses it');
$node->append_conf('postgresql.conf', "outbox.http_hosts = '127.0.0.1'\n");
$registry->modes;
$node->reload;
$node->poll_until('SELECT NOT EXISTS (SELECT FROM outbox.held_events)');
$node->wait_published('kafka');
is(scalar @{ $node->consume($broker, [ sort keys %answers ], registry => $url) }, scalar keys %answers, 'allowed again, everything is published');

$registry->stop;
$node->stop;
done_testing();
