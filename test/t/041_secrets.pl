# A secret that was given to create_sink() as text is in no line of the log and in no view, whatever the broker does
# and however the call fails (statements are not logged here otherwise). One that is given as a file is in no table
# either, and a new content is read at the next connect.
use strict;
use warnings;

use Test::More;

use OutboxBroker;
use OutboxCluster;

my $secret = 'Gh7-very-s3cret';
my $broker = OutboxBroker->mock;
my $node = OutboxCluster->create('secrets', conf => "log_statement = none\n");
my $file = $node->basedir . '/password';

sub write_secret
{
	my ($text) = @_;
	unlink $file;
	PostgreSQL::Test::Utils::append_to_file($file, $text);
	return;
}

# What anybody but the owner of the tables can see.
sub views
{
	return $node->sql('SELECT s FROM outbox.status s') . $node->sql('SELECT r FROM outbox_internal.relay_report() r')
	  . $node->sql('SELECT s FROM outbox.sinks s');
}

$node->sql("CREATE TABLE t (id int PRIMARY KEY);
	CREATE VIEW t_v AS SELECT id FROM t;
	SELECT outbox.create_contract('t', view => 't_v', source => 't', key => '{id}');
	SELECT outbox.create_event_type('TCreated', contract => 't', emit => 'created');
	SELECT outbox.enable('t');
	INSERT INTO t VALUES (1)");

# ---- calls that fail: the server logs statements of errors, and the context of functions ----
my $options = qq({"bootstrap.servers": "a:1", "sasl.password": "$secret", "acks": "0"});
like($node->sql_error("SELECT outbox.create_sink('failed', 'outbox_kafka', '$options')"), qr/option "acks" cannot be set/, 'a call fails');
like($node->sql_error("DO \$\$ BEGIN PERFORM outbox.create_sink('failed', 'outbox_kafka', '$options'); END \$\$"),
	qr/option "acks" cannot be set/, 'and so in a DO block');
like($node->sql_error("SELECT outbox.create_sink('9', 'outbox_kafka', '$options')"), qr/invalid sink name/, 'a name that is refused');
like($node->sql_error("SELECT outbox.create_sink('failed', 'outbox_none', '$options')"), qr/is not allowed/, 'a library that is refused');

# ---- a broker that does not let us in; librdkafka says all it knows ----
my %sasl = ('security.protocol' => 'sasl_plaintext', 'sasl.mechanism' => 'PLAIN', 'sasl.username' => 'shop');
$node->create_sink('text', $broker, %sasl, 'sasl.password' => $secret, 'debug' => 'security,broker,conf');
$node->poll_until("SELECT state = 'backoff' FROM outbox.status WHERE name = 'text'");
like($node->sql("SELECT last_error FROM outbox.status WHERE name = 'text'"), qr/./, 'the broker lets nobody in');

# ---- a registry with credentials that is down ----
$node->create_sink('registry', $broker, 'schema.registry.url' => 'http://127.0.0.1:9', 'schema.registry.basic.auth' => "shop:$secret");
$node->poll_until("SELECT state = 'blocked' FROM outbox.status WHERE kind = 'topic' AND name LIKE 'registry: %'");

# ---- a duplicate ----
like($node->sql_error("SELECT outbox.create_sink('text', 'outbox_kafka', '{\"bootstrap.servers\": \"a:1\", \"sasl.password\": \"$secret\"}')"),
	qr/already exists/, 'a duplicate');

unlike(views(), qr/\Q$secret\E/, 'no view shows the secret');
like($node->sql("SELECT options ->> 'sasl.password' FROM outbox.sinks WHERE name = 'text'"), qr/^\*+$/, 'it is masked');

# ---- a file ----
write_secret("$secret\n");
$node->sql("SELECT outbox.create_sink('file', 'outbox_kafka',
	'{\"bootstrap.servers\": \"a:1\", \"sasl.password\": {\"file\": \"$file\"}}')");
is($node->sql("SELECT options ->> 'sasl.password' FROM outbox.sinks WHERE name = 'file'"), qq({"file": "$file"}), 'a path is shown');
unlike($node->sql("SELECT options FROM outbox.sink WHERE name = 'file'"), qr/\Q$secret\E/, 'the content is in no table');

# a relay without the file says which, and goes on when it is there
unlink $file;
$node->sql("SELECT outbox.start_relay('file')");
$node->poll_until("SELECT last_error LIKE '%could not open file%$file%sasl.password%' FROM outbox.status WHERE name = 'file'");
pass('a missing file is named in status');
write_secret($secret);
$node->poll_until("SELECT last_error NOT LIKE '%could not open file%' FROM outbox.status WHERE name = 'file'");
pass('its content is read when the sink connects again');

unlike(views(), qr/\Q$secret\E/, 'no view shows the secret');
unlike(PostgreSQL::Test::Utils::slurp_file($node->logfile), qr/\Q$secret\E/, 'no line of the log has the secret');
like(PostgreSQL::Test::Utils::slurp_file($node->logfile), qr/librdkafka CONF/, 'though librdkafka wrote its configuration there');

$node->stop;
done_testing();
