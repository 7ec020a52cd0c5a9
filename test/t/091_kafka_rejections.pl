# Events that a real Kafka rejects: nothing of the key is published behind one before it is settled, and thousands of
# them become dead letters in few attempts while other topics go on. (How long that takes is bench-rejections' affair.)
use strict;
use warnings;

use IPC::Run ();
use Test::More;

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
$node->poll_until('SELECT count(*) FROM outbox.held_event', 21);
is(versions('ordered'), '1', 'nothing of the key is published behind a rejected event');
is($node->sql("SELECT count(*) FROM outbox.dead_letter WHERE state = 'open'"), 1, 'which is a dead letter');
$kafka->admin('alter("rejections.ordered", "max.message.bytes", "1000000")');
$node->sql('SELECT outbox.redrive()');
$node->poll_until('SELECT count(*) FROM outbox.held_event', 0);
is(versions('ordered'), join(' ', 1, '2r', 3 .. 22), 'and all that follows comes behind it');

$node->sql("UPDATE outbox.sink SET on_reject = 'skip'");
table('skipped');
$node->sql('INSERT INTO skipped VALUES (1, 1)');
$node->wait_published('kafka');
$node->sql("BEGIN; " . join('', map { my $pad = $_ % 5 == 2 ? pad(6000, 1) : 'NULL'; "UPDATE skipped SET version = $_, pad = $pad;" } 2 .. 30) . 'COMMIT');
$node->poll_until("SELECT count(*) FROM outbox.dead_letter WHERE contract = 'skipped' AND state = 'open'", 6);
$node->poll_until("SELECT pending = 0 AND NOT EXISTS (SELECT FROM outbox.held_event WHERE state <> 'rejected') FROM outbox.status WHERE kind = 'sink'", 't');
is(versions('skipped'), join(' ', grep { $_ % 5 != 2 } 1 .. 30), 'under skip all others are published, in order');
$node->sql("SELECT outbox.discard(id, 'test') FROM outbox.dead_letter WHERE state = 'open'; UPDATE outbox.sink SET on_reject = 'block_key'");

# ---- many ----
$kafka->admin('create("rejections.big", 4, max_message_bytes="2000"); create("rejections.other", 2)');
table($_) for qw(big other);
$node->sql('INSERT INTO other SELECT g, 0 FROM generate_series(1, 20) g');
$node->poll_until("SELECT pending = 0 FROM outbox.status WHERE kind = 'sink'");
my $script = $node->basedir . '/change.sql';
PostgreSQL::Test::Utils::append_to_file($script, "\\set id random(1, 20)\nUPDATE other SET version = version + 1 WHERE id = :id;\n");

my $words = '';
my $writers = IPC::Run::start([ 'pgbench', '-n', '-c', 1, '-R', 200, '-T', 600, '-f', $script, $node->connstr('postgres') ], '<', \undef, '>&', \$words);
$node->sql("INSERT INTO big SELECT g, 1, ${\ pad(3200, 'g.g') } FROM generate_series(1, $MANY) AS g(g)");
$node->poll_until("SELECT count(*) FROM outbox.dead_letter WHERE contract = 'big' AND state = 'open'", $MANY, timeout => 600);
$writers->kill_kill;

my @handed = map { $_->{timestamp} } @{ $node->consume($kafka, 'rejections.other') };
my ($first, $last) = split /\|/, $node->sql("SELECT extract(epoch FROM min(created_at)) * 1000, extract(epoch FROM max(created_at)) * 1000 FROM outbox.dead_letter WHERE contract = 'big'");
my $PARTS = 10;
my %parts;
$parts{ int(($_ - $first) / ($last - $first) * $PARTS) } = 1 for grep { $_ >= $first && $_ < $last } @handed;
is(join(' ', sort keys %parts), join(' ', 0 .. $PARTS - 1), 'another topic gets messages in every tenth of that time');
cmp_ok($node->sql("SELECT retries FROM outbox.relay_status WHERE sink = 'kafka'"), '<', 10, "$MANY rejected events are dead letters with a few attempts");
is($node->sql("SELECT state FROM outbox.status WHERE kind = 'sink'"), 'running', 'and the sink runs');

$node->stop;
done_testing();
