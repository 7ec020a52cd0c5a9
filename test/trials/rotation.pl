# Passwords, certificates (TLS) and rights (ACLs) are rotated under load, while the broker has clients prove who they are
# every two seconds: publishing stops as long as something does not fit, and then everything is there, in order.
use strict;
use warnings;

use IPC::Run ();
use Test::More;

use OutboxBroker;
use OutboxCluster;
use OutboxTrial;
use PostgreSQL::Test::Utils;

my $kafka = OutboxBroker->strict_kafka(<<'PROPERTIES');
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256
listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.sasl_ssl.connections.max.reauth.ms=2000
PROPERTIES
my $node = OutboxCluster->create('rotation');
my $dir = $node->basedir;

sub write_file
{
	my ($name, $text) = @_;
	PostgreSQL::Test::Utils::append_to_file("$dir/$name.new", $text);
	rename "$dir/$name.new", "$dir/$name" or die "could not rename: $!";
	return;
}

# With SCRAM; librdkafka before 2.6.1 cannot log in to this Kafka by it, so then with PLAIN, whose users the broker reads when it starts.
chomp(my $version = qx(pkg-config --modversion rdkafka));
my ($major, $minor) = split /\./, $version;
my $mechanism = $major > 2 || $minor > 6 ? 'SCRAM-SHA-256' : 'PLAIN';

sub set_password
{
	my ($password) = @_;
	if ($mechanism eq 'PLAIN')
	{
		unlink "$kafka->{dir}/password" or die "could not remove the password: $!";
		PostgreSQL::Test::Utils::append_to_file("$kafka->{dir}/password", "$password\n");
		$kafka->stop;
		$kafka->start;
		return;
	}
	$kafka->admin(<<"PYTHON");
wanted = UserScramCredentialUpsertion("shop", ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, 4096), b"$password")
[f.result(60) for f in admin.alter_user_scram_credentials([wanted]).values()]
PYTHON
	return;
}

# allow, or forbid, what a producer needs
sub rights
{
	my ($allowed) = @_;
	$kafka->admin(<<"PYTHON");
if "$allowed" == "create":
    [f.result(60) for f in admin.create_topics([NewTopic("trial.rotation", 2, 1)]).values()]
binding = lambda operation: AclBinding(ResourceType.TOPIC, "trial.rotation", ResourcePatternType.LITERAL, "User:shop", "*", operation, AclPermissionType.ALLOW)
if "$allowed" == "no":
    wanted = AclBindingFilter(ResourceType.TOPIC, "trial.rotation", ResourcePatternType.LITERAL, "User:shop", "*", AclOperation.WRITE, AclPermissionType.ALLOW)
    [f.result(60) for f in admin.delete_acls([wanted]).values()]
else:
    [f.result(60) for f in admin.create_acls([binding(AclOperation.WRITE), binding(AclOperation.DESCRIBE)]).values()]
PYTHON
	return;
}

# A new authority and a certificate that it signed, in files NAME.ca and NAME.pem. The broker takes only one of the name that it had.
sub certificate
{
	my ($name) = @_;
	my @key = ('-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes');

	write_file('names', 'subjectAltName=IP:127.0.0.1');
	for my $command (
		[ 'req', '-x509', @key, '-days', 2, '-subj', "/CN=authority $name", '-keyout', "$dir/$name.key", '-out', "$dir/$name.ca" ],
		[ 'req', @key, '-subj', '/CN=outbox test broker', '-keyout', "$dir/$name.broker.key", '-out', "$dir/$name.csr" ],
		[ 'x509', '-req', '-in', "$dir/$name.csr", '-CA', "$dir/$name.ca", '-CAkey', "$dir/$name.key", '-CAcreateserial', '-days', 2, '-extfile', "$dir/names", '-out', "$dir/$name.crt" ])
	{
		PostgreSQL::Test::Utils::system_log('openssl', @$command) and die 'openssl failed';
	}
	write_file("$name.pem", join '', map { PostgreSQL::Test::Utils::slurp_file("$dir/$name.$_") } qw(broker.key crt));
	return;
}

rights('create');
set_password('one');
write_file('password', 'one');
my $old_ca = PostgreSQL::Test::Utils::slurp_file($kafka->secure('ca'));
write_file('ca', $old_ca);
my $trial = OutboxTrial->new($node, $kafka, 'rotation');
$node->sql(<<"SQL");
SELECT outbox.create_sink('kafka', library => 'outbox_kafka', options => '{"bootstrap.servers": "${\ $kafka->secure('sasl') }", "security.protocol": "sasl_ssl",
	"sasl.mechanism": "$mechanism", "sasl.username": "shop", "sasl.password": {"file": "$dir/password"}, "ssl.ca.pem": {"file": "$dir/ca"}}');
SELECT outbox.start_relay('kafka');
SQL
$node->poll_until("SELECT pending = 0 FROM outbox.status WHERE kind = 'sink'");
$trial->start;

# Publishing has stopped, and goes on after what is done about it.
sub trouble
{
	my ($reason, $what, $cure) = @_;
	$node->poll_until("SELECT count(*) > 0 FROM outbox.status WHERE last_error ~* '$reason' AND (kind = 'topic' OR state = 'backoff')");
	$trial->goes_on;
	$cure->();
	$trial->goes_on;
	$node->reload;
	$node->poll_until("SELECT state = 'running' AND NOT EXISTS (SELECT FROM outbox.held_event) FROM outbox.status WHERE kind = 'sink'", 't', timeout => 60);
	pass("$what: trouble is named, and ends");
	return;
}

# ---- the password ----
set_password('two');
trouble('authentication', 'a password is rotated at the broker first', sub { write_file('password', 'two') });

# ---- the certificate: the new authority is known before, then it is not ----
my $number = 0;
for my $name (qw(next other))
{
	certificate($name);
	if ($name eq 'next')
	{
		write_file('ca', $old_ca . PostgreSQL::Test::Utils::slurp_file("$dir/next.ca"));
		$node->reload;
	}
	$kafka->configure('--alter', '--entity-type', 'brokers', '--entity-name', 1,
		'--add-config', "listener.name.sasl_ssl.ssl.keystore.location=$dir/$name.pem,listener.name.sasl_ssl.ssl.keystore.type=PEM");
	$trial->goes_on(600);
	trouble('certificate|ssl', 'a certificate of an unknown authority', sub { write_file('ca', PostgreSQL::Test::Utils::slurp_file("$dir/other.ca")) })
	  if $name eq 'other';
}

# ---- rights ----
rights('no');
trouble('authori[sz]ation', 'the right to write is taken away and given back', sub { rights('yes') });

$trial->stop;
$trial->wait_published;
$trial->check('passwords, certificates and rights are rotated under load');
my $log = PostgreSQL::Test::Utils::slurp_file($node->logfile);
unlike($log, qr/password=two/, 'no secret is logged');

$node->stop;
$kafka->stop;
done_testing();
