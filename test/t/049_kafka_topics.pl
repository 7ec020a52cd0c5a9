# A real Kafka that creates no topics by itself and allows only what ACLs say, and of which one topic takes small
# messages only: each trouble holds up its own topic, aggregate or, for the cluster, the sink; nothing is lost.
use strict;
use warnings;

use IPC::Run ();
use Test::More;

use OutboxBroker;
use OutboxCluster;

my $KEYS = 10;
my $kafka = OutboxBroker->strict_kafka;
my $node = OutboxCluster->create('kafka_topics');

# With functions of its own for what the tests do here most.
sub python
{
	my ($code) = @_;
	return $kafka->admin(<<'PYTHON' . $code);
def wait(futures):
    return [f.result(30) for f in futures.values()]
def allow(kind, name, operation):
    wait(admin.create_acls([AclBinding(kind, name, ResourcePatternType.LITERAL, "User:shop", "*", operation, AclPermissionType.ALLOW)]))
def topic(name, **config):
    create(name, 4, **config)
PYTHON
}

my @tables = qw(fine missing forbidden small);
for my $table (@tables)
{
	$node->sql(<<"SQL");
CREATE TABLE $table (id integer PRIMARY KEY, version integer NOT NULL, pad text);
CREATE VIEW ${table}_v AS SELECT id, version, pad FROM $table;
SELECT outbox.create_contract('$table', view => '${table}_v', source => '$table', key => '{id}', required => '{id,version}');
SELECT outbox.create_event_type('${table}Changed', contract => '$table', emit => 'changed', topic => '$table');
SELECT outbox.enable('$table');
INSERT INTO $table SELECT id, 0 FROM generate_series(1, $KEYS) AS id;
SQL
}

# n changes of each row of each table, a transaction each
sub change
{
	my ($n) = @_;
	$node->sql(join ';', (map { "UPDATE $_ SET version = version + 1" } @tables) x $n);
	return;
}

# First copies of each key in order and, unless some were lost with their topic, without a gap; the last the table's state.
sub check
{
	my ($what, $topic, %opt) = @_;
	my (%seen, %version, %payload, @wrong);

	for my $message (@{ $node->consume($kafka, $topic) })
	{
		my ($id, $key, $version) = ($message->{headers}{ce_id}, $message->{key}, $message->{value}{version});

		push @wrong, "key $key: another payload" if ($payload{$id} //= $version) ne $version;
		next if $seen{$id}++;
		push @wrong, "key $key: $version after " . ($version{$key} // 0)
		  if $opt{gaps} ? $version <= ($version{$key} // 0) : $version != ($version{$key} // 0) + 1;
		$version{$key} = $version;
	}
	is(join('; ', @wrong), '', "$what: order");
	is(join(' ', map { $version{$_} // 0 } 1 .. $KEYS), $node->sql("SELECT string_agg(version::text, ' ' ORDER BY id) FROM $topic"), "$what: state");
	return;
}

sub wait_others
{
	$node->poll_until("SELECT acked = (SELECT count(*) FROM outbox.event) - (SELECT count(*) FROM outbox.held_events) FROM outbox.relay_progress",
		't');
	return;
}

sub wait_none_held
{
	my ($where) = @_;
	$node->reload;
	$node->poll_until("SELECT NOT EXISTS (SELECT FROM outbox.held_events WHERE $where)");
	return;
}

python('topic("fine"); topic("forbidden"); topic("small", max_message_bytes="20000")');
$node->sql("SELECT outbox.create_sink('kafka', 'outbox_kafka', jsonb_build_object('bootstrap.servers', '@{[ $kafka->secure('sasl') ]}',
	'security.protocol', 'sasl_ssl', 'sasl.mechanism', 'PLAIN', 'sasl.username', 'shop',
	'sasl.password', '@{[ $kafka->secure('password') ]}', 'ssl.ca.location', '@{[ $kafka->secure('ca') ]}',
	'topic.metadata.propagation.max.ms', 1000, 'compression.codec', 'none'));
	SELECT outbox.start_relay('kafka')");

# ---- not authorised to anything ----
change(1);
$node->poll_until("SELECT state = 'backoff' AND last_error ~* 'authorization failed' FROM outbox.status WHERE name = 'kafka'");
is($node->sql("SELECT count(*) FROM outbox.dead_letter"), 0, 'a user without rights makes no dead letters');
python('allow(ResourceType.BROKER, "kafka-cluster", AclOperation.IDEMPOTENT_WRITE)
for t in "fine", "missing", "small":
    allow(ResourceType.TOPIC, t, AclOperation.WRITE)
    allow(ResourceType.TOPIC, t, AclOperation.DESCRIBE)
');

# ---- one topic is fine, one is missing, one forbidden ----
$node->poll_until("SELECT count(*) FROM outbox.status WHERE kind = 'topic'", 2);
wait_others();
change(5);
wait_others();
check('the topic that is fine', 'fine');
check('the topic for small messages', 'small');
is($node->sql("SELECT state FROM outbox.status WHERE name = 'kafka'"), 'running', 'the sink runs');
# a broker that does not know yet what it was told to allow says so first
$node->poll_until("SELECT last_error ~ '[Uu]nknown topic' FROM outbox.status WHERE name = 'kafka: missing'");
pass('status names the missing topic');
like($node->sql("SELECT last_error FROM outbox.status WHERE name = 'kafka: forbidden'"), qr/Topic authorization failed/, 'and the forbidden one');
python('topic("missing")');
wait_none_held("topic = 'missing'");
check('the missing topic was created', 'missing');
python('allow(ResourceType.TOPIC, "forbidden", AclOperation.DESCRIBE)');
change(3);
wait_others();
like($node->sql("SELECT last_error FROM outbox.status WHERE name = 'kafka: forbidden'"), qr/Topic authorization failed/, 'to describe is not to write');
check('another topic may be described only', 'fine');
python('allow(ResourceType.TOPIC, "forbidden", AclOperation.WRITE)');
wait_none_held("topic = 'forbidden'");
check('the forbidden topic was allowed', 'forbidden');
is($node->sql("SELECT count(*) FROM outbox.dead_letter"), 0, 'nothing is a dead letter');

# ---- a message that is larger than its topic allows ----
$node->sql("UPDATE small SET version = version + 1, pad = repeat('x', 30000) WHERE id = 3");
change(3);
$node->poll_until("SELECT count(*) FROM outbox.dead_letter WHERE state = 'open'", 1);
wait_others();
like($node->sql("SELECT stage || ' ' || message || ' ' || key FROM outbox.dead_letter"), qr/^publish topic "small": .*[Mm]essage.* large.*"message_key": "3"/,
	'an event that is too large is a dead letter with the words of the broker');
is($node->sql("SELECT count(*), min(message_key), max(message_key) FROM outbox.held_events"), '4|3|3', 'its aggregate waits');
check('another topic meanwhile', 'fine');
python('wait(admin.incremental_alter_configs([ConfigResource(ConfigResource.Type.TOPIC, "small", incremental_configs=[ConfigEntry("max.message.bytes", "900000", incremental_operation=AlterConfigOpType.SET)])]))');
is($node->sql("SELECT outbox.redrive(contract => 'small')"), 1, 'redrive when the topic allows it');
wait_none_held('true');
# later events of the key carried the same pad: each of them may have been refused in its turn before
$node->poll_until("SELECT outbox.redrive() = 0 AND NOT EXISTS (SELECT FROM outbox.held_events)");
$node->wait_published('kafka');
check('the large event and what waited for it', 'small');

# ---- a topic is deleted while events are published ----
my $script = $node->basedir . '/change.sql';
PostgreSQL::Test::Utils::append_to_file($script, "\\set id random(1, $KEYS)\n" . join '', map { "UPDATE $_ SET version = version + 1 WHERE id = :id;\n" } @tables);
my $words = '';
my $writers = IPC::Run::start([ 'pgbench', '-n', '-c', 2, '-R', 100, '-T', 15, '-f', $script, $node->connstr('postgres') ], '<', \undef, '>&', \$words);
python('wait(admin.delete_topics(["missing"]))');
$node->poll_until("SELECT count(*) FROM outbox.status WHERE kind = 'topic' AND name = 'kafka: missing'", 1);
pass('a topic that is deleted is noticed');
ok($writers->finish, 'writers notice nothing') or diag($words);
wait_others();
check('others while a topic is deleted', 'fine');
python('topic("missing")');
wait_none_held('true');
$node->wait_published('kafka');
check('the deleted topic was created again', 'missing', gaps => 1);
check('others after it all', $_) for qw(fine forbidden small);
is($node->sql("SELECT count(*) FROM outbox.dead_letter WHERE state = 'open'"), 0, 'nothing is left to do');

$node->stop;
done_testing();
