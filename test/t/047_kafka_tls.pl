# Publishing to a real Kafka over TLS, and over TLS with SASL/PLAIN: the certificate and the host name are checked, the
# password comes from a file and may be rotated, trouble is named, nothing is lost by it, and no secret is logged.
use strict;
use warnings;

use Test::More;

use OutboxBroker;
use OutboxCluster;

my $kafka = OutboxBroker->kafka;
my ($tls, $sasl, $ca, $password) = map { $kafka->secure($_) } qw(tls sasl ca password);
my ($tls_port) = $tls =~ /:(\d+)$/;
my $node = OutboxCluster->create('tls', conf => "log_statement = none\n");
my $file = $node->basedir . '/password';
my $topic = 'test.tls.' . time;

sub status
{
	my ($sink, $column) = @_;
	return $node->sql("SELECT $column FROM outbox.status WHERE kind = 'sink' AND name = '$sink'");
}

# Waits until a sink has trouble for this reason.
sub in_trouble
{
	my ($sink, $reason, $what) = @_;
	$node->poll_until("SELECT state = 'backoff' AND last_error ~* '$reason' FROM outbox.status WHERE name = '$sink'");
	is(status($sink, 'published'), 0, "$what: nothing is published");
	cmp_ok(status($sink, 'pending'), '>', 0, "$what: all of it waits");
	return;
}

sub set_option
{
	my ($sink, $option, $value) = @_;
	$node->sql("UPDATE outbox.sink SET options = jsonb_set(options, '{$option}', '\"$value\"') WHERE name = '$sink'");
	return;
}

sub write_file
{
	my ($path, $text) = @_;
	PostgreSQL::Test::Utils::append_to_file("$path.new", $text);
	rename "$path.new", $path or die "could not rename: $!";
	return;
}

# How often each key has arrived.
sub arrived
{
	my ($of) = @_;
	my %times;
	$times{ $_->{key} }++ for @{ $node->consume($kafka, $of) };
	return \%times;
}

$node->sql("CREATE TABLE t (id int PRIMARY KEY, v text);
	CREATE VIEW t_v AS SELECT id, v FROM t;
	SELECT outbox.create_contract('t', view => 't_v', source => 't', key => '{id}');
	SELECT outbox.create_event_type('TCreated', contract => 't', emit => 'created', topic => '$topic');
	SELECT outbox.enable('t');
	INSERT INTO t SELECT i, 'before' FROM generate_series(1, 100) i");

# ---- an authority that did not sign it, then the one that did ----
my $other = $node->basedir . '/other.pem';
PostgreSQL::Test::Utils::system_log('openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes',
	'-days', '2', '-subj', '/CN=somebody else', '-keyout', "$other.key", '-out', $other) and die 'openssl failed';
$node->sql("SELECT outbox.create_sink('tls', 'outbox_kafka', '{\"bootstrap.servers\": \"$tls\", \"security.protocol\": \"ssl\",
	\"ssl.ca.location\": \"$other\"}'); SELECT outbox.start_relay('tls')");
in_trouble('tls', 'certificate verify failed', 'a foreign authority');
set_option('tls', 'ssl.ca.location', $ca);
$node->wait_published('tls');
is(status('tls', 'state'), 'running', 'with the right authority it publishes');
is_deeply(arrived($topic), { map { $_ => 1 } 1 .. 100 }, 'every event arrived, once');
$node->sql("SELECT outbox.stop_relay('tls')");

# ---- a name that is not the certificate's ----
$node->sql("SELECT outbox.create_sink('name', 'outbox_kafka', '{\"bootstrap.servers\": \"localhost:$tls_port\", \"security.protocol\": \"ssl\",
	\"ssl.ca.location\": \"$ca\", \"broker.address.family\": \"v4\"}'); SELECT outbox.start_relay('name')");
in_trouble('name', 'certificate verify failed', 'a certificate of another host');
$node->sql("SELECT outbox.stop_relay('name')");

# ---- plain text at a TLS listener ----
$node->sql("SELECT outbox.create_sink('plain', 'outbox_kafka', '{\"bootstrap.servers\": \"$tls\"}'); SELECT outbox.start_relay('plain')");
in_trouble('plain', 'they gave no reason: do they run, and is security.protocol that of the listener', 'plain text at a TLS listener');
$node->sql("SELECT outbox.stop_relay('plain')");

# ---- SASL: a wrong password, the right one by rotating the file; no SQL in between ----
my $wrong = 'wr0ng-s3cret';
write_file($file, "$wrong\n");
$node->sql("SELECT outbox.create_sink('sasl', 'outbox_kafka', '{\"bootstrap.servers\": \"$sasl\", \"security.protocol\": \"sasl_ssl\",
	\"ssl.ca.location\": \"$ca\", \"sasl.mechanism\": \"PLAIN\", \"sasl.username\": \"shop\", \"sasl.password\": {\"file\": \"$file\"}}',
	start_at => 'now');
	SELECT outbox.start_relay('sasl');
	INSERT INTO t SELECT i, 'sasl' FROM generate_series(101, 200) i");
in_trouble('sasl', 'authentication failed', 'a wrong password');
write_file($file, "$password\n");
$node->poll_until("SELECT state = 'running' AND pending = 0 AND published > 99 FROM outbox.status WHERE name = 'sasl'");
is(status('sasl', 'published'), 100, 'a rotated password is found by itself, and all that waited is published');
my $arrived = arrived($topic);
is(scalar(grep { $arrived->{$_} } 101 .. 200), 100, 'every event arrived');

# ---- while it works, a rotated file changes nothing until a reload asks for it ----
my $pid = $node->relay_pid('sasl');
write_file($file, "$wrong\n");
$node->sql("INSERT INTO t VALUES (201, 'connected')");
$node->poll_until("SELECT published = 101 FROM outbox.status WHERE name = 'sasl'");
pass('a connection that works is left alone');
$node->reload;
$node->poll_until("SELECT state = 'backoff' AND last_error ~* 'authentication failed' FROM outbox.status WHERE name = 'sasl'");
pass('a reload connects with the new content');
write_file($file, "$password\n");
$node->sql("INSERT INTO t VALUES (202, 'again')");
$node->poll_until("SELECT published = 102 AND state = 'running' FROM outbox.status WHERE name = 'sasl'");
is($node->relay_pid('sasl'), $pid, 'in the same process');
is_deeply([ map { arrived($topic)->{$_} } 201, 202 ], [ 1, 1 ], 'nothing is lost or repeated');

my $log = PostgreSQL::Test::Utils::slurp_file($node->logfile);
unlike($log, qr/\Q$password\E|\Q$wrong\E/, 'no password is in the log');
unlike($node->sql('SELECT s FROM outbox.status s') . $node->sql('SELECT s FROM outbox.sink s'), qr/\Q$password\E|\Q$wrong\E/, 'nor in a table or view');
unlike($log, qr/PANIC|TRAP|terminated by signal/, 'no crash');

$node->stop;
done_testing();
