# Events that a real Kafka rejects: nothing of the key is published behind one before it is settled, and thousands of
# them become dead letters in seconds while other topics go on at their pace.
use strict;
use warnings;

use IPC::Run ();
use JSON::PP ();
use Test::More;
use Time::HiRes ();

use OutboxBroker;
use OutboxCluster;

my $MANY = 3000;
my $kafka = OutboxBroker->kafka;
my $node = OutboxCluster->create('kafka_rejections');

sub table
{
	my ($table) = @_;
	$node->sql(<<"SQL");
CREATE TABLE $table (id integer PRIMARY KEY, version integer NOT NULL, pad text);
CREATE VIEW ${table}_v AS SELECT id, version, pad FROM $table;
SELECT outbox.create_contract('$table', view => '${table}_v', source => '$table', key => '{id}', required => '{id,version}');
SELECT outbox.create_event_type('${table}Created', contract => '$table', emit => 'created', topic => 'rejections.$table');
SELECT outbox.create_event_type('${table}Changed', contract => '$table', emit => 'changed', topic => 'rejections.$table');
SELECT outbox.enable('$table');
SQL
	return;
}

# Random text, so that compression does not make it small.
sub pad
{
	my ($bytes, $row) = @_;
	return "(SELECT string_agg(md5(random()::text || g || $row), '') FROM generate_series(1, $bytes / 32) g)";
}

# Versions of key 1, first copies, with a mark behind what was redriven
sub versions
{
	my ($table) = @_;
	my %seen;
	return join ' ', map { $_->{value}{version} . ($_->{headers}{ce_redriven} ? 'r' : '') }
	  grep { !$seen{ $_->{headers}{ce_id} }++ } @{ $node->consume($kafka, "rejections.$table") };
}

# ---- behind a rejected event ----
$kafka->admin('create("rejections.ordered", 1, max_message_bytes="3000"); create("rejections.skipped", 1, max_message_bytes="3000")');
table('ordered');
$node->create_sink('kafka', $kafka);
$node->sql('INSERT INTO ordered VALUES (1, 1)');
$node->wait_published('kafka');
$node->sql("BEGIN; UPDATE ordered SET version = 2, pad = ${\ pad(6000, 1) };"
	. join('', map { "UPDATE ordered SET version = $_, pad = NULL;" } 3 .. 22) . 'COMMIT');
$node->poll_until('SELECT count(*) FROM outbox.held_event', 21, timeout => 60);
is(versions('ordered'), '1', 'nothing of the key is published behind a rejected event');
is($node->sql("SELECT count(*) FROM outbox.dead_letter WHERE state = 'open'"), 1, 'which is a dead letter');
$kafka->admin('alter("rejections.ordered", "max.message.bytes", "1000000")');
$node->sql('SELECT outbox.redrive()');
$node->poll_until('SELECT count(*) FROM outbox.held_event', 0, timeout => 60);
is(versions('ordered'), join(' ', 1, '2r', 3 .. 22), 'and all that follows comes behind it');

$node->sql("UPDATE outbox.sink SET on_reject = 'skip'");
table('skipped');
$node->sql('INSERT INTO skipped VALUES (1, 1)');
$node->wait_published('kafka');
$node->sql("BEGIN; " . join('', map { my $pad = $_ % 5 == 2 ? pad(6000, 1) : 'NULL'; "UPDATE skipped SET version = $_, pad = $pad;" } 2 .. 30) . 'COMMIT');
$node->poll_until("SELECT count(*) FROM outbox.dead_letter WHERE contract = 'skipped' AND state = 'open'", 6, timeout => 60);
$node->poll_until("SELECT pending = 0 AND NOT EXISTS (SELECT FROM outbox.held_event WHERE state <> 'rejected') FROM outbox.status WHERE kind = 'sink'", 't', timeout => 30);
is(versions('skipped'), join(' ', grep { $_ % 5 != 2 } 1 .. 30), 'under skip all others are published, in order');
$node->sql("SELECT outbox.discard(id, 'test') FROM outbox.dead_letter WHERE state = 'open'; UPDATE outbox.sink SET on_reject = 'block_key'");

# ---- many ----
$kafka->admin('create("rejections.big", 4, max_message_bytes="2000"); create("rejections.other", 2)');
table($_) for qw(big other);
$node->sql('INSERT INTO other SELECT g, 0 FROM generate_series(1, 20) g');
$node->poll_until("SELECT pending = 0 FROM outbox.status WHERE kind = 'sink'");
my $script = $node->basedir . '/change.sql';
PostgreSQL::Test::Utils::append_to_file($script, "\\set id random(1, 20)\nUPDATE other SET version = version + 1 WHERE id = :id;\n");

# Latency of the other topic while it gets 200 events per second for that time, and something else happens
sub latency
{
	my ($seconds, $meanwhile) = @_;
	my ($words, $out) = ('', '');
	my $writers = IPC::Run::start([ 'pgbench', '-n', '-c', 1, '-R', 200, '-T', $seconds + 4, '-f', $script, $node->connstr('postgres') ], '<', \undef, '>&', \$words);
	my $reader = IPC::Run::start([ 'build/venv/bin/python', 'test/python/kafka_latency.py', $kafka->address, 'rejections.other', $seconds ], '<', \undef, '>', \$out);

	$meanwhile->() if $meanwhile;
	$reader->finish;
	$writers->finish;
	return JSON::PP::decode_json($out);
}

my $before = latency(20);
my $took;
my $during = latency(30, sub {
	$node->sql("INSERT INTO big SELECT g, 1, ${\ pad(3200, 'g.g') } FROM generate_series(1, $MANY) AS g(g)");
	my $start = Time::HiRes::time();
	$node->poll_until("SELECT count(*) FROM outbox.dead_letter WHERE contract = 'big' AND state = 'open'", $MANY, timeout => 120);
	$took = Time::HiRes::time() - $start;
});
note(sprintf('undisturbed %s, beside %d rejections in %.1f s %s', JSON::PP::encode_json($before), $MANY, $took, JSON::PP::encode_json($during)));
cmp_ok($took, '<', 15, "$MANY rejected events are dead letters within seconds");
cmp_ok($during->{n}, '>', 0.9 * 200 * 28, 'another topic goes on');
# a stall takes many seconds; below one it is the machine that is measured, and bench-rejections has the figure
cmp_ok($during->{p99}, '<=', $before->{p99} < 500 ? 1000 : 2 * $before->{p99}, 'at its pace');
cmp_ok($node->sql("SELECT retries FROM outbox.relay_status WHERE sink = 'kafka'"), '<', 10, 'with a few attempts');
is($node->sql("SELECT state FROM outbox.status WHERE kind = 'sink'"), 'running', 'and the sink runs');

$node->stop;
done_testing();
