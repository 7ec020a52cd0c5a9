# With a real Kafka that is away for 20 s or killed, a relay that is killed and a server that crashes:
# no event is lost, none is invented, the order per key is kept, repetitions carry the same id, and
# writers notice nothing.
use strict;
use warnings;

use IPC::Run ();
use Test::More;

use PostgreSQL::Test::Utils ();
use OutboxBroker;
use OutboxCluster;

my $KEYS = 40;
my $topic = 'test.outage';
my $kafka = OutboxBroker->kafka;
my $node = OutboxCluster->create('outage');

$node->sql(<<SQL);
CREATE TABLE counters (id integer PRIMARY KEY, version integer NOT NULL);
CREATE VIEW counters_v1 AS SELECT id, version FROM counters;
SELECT outbox.create_contract('counter', view => 'counters_v1', source => 'counters', key => '{id}', required => '{id,version}');
SELECT outbox.create_event_type('Counted', contract => 'counter', emit => 'changed', topic => '$topic');
SELECT outbox.enable('counter');
INSERT INTO counters SELECT id, 0 FROM generate_series(1, $KEYS) AS id;
SQL

my $script = $node->basedir . '/count.sql';
PostgreSQL::Test::Utils::append_to_file($script,
	"\\set id random(1, $KEYS)\nUPDATE counters SET version = version + 1 WHERE id = :id;\n");

# Writers in the background: 4 sessions, 300 transactions per second in all.
my $words;
sub start_writers
{
	my ($seconds, %opt) = @_;

	$words = '';
	local $ENV{PGOPTIONS} = $opt{settings} || '';
	return IPC::Run::start([ 'pgbench', '-n', '-c', 4, '-R', 300, '-T', $seconds, '-f', $script, $node->connstr('postgres') ],
		'<', \undef, '>&', \$words);
}

sub acked
{
	return $node->sql('SELECT acked FROM outbox.relay_progress');
}

sub wait_for_more
{
	my ($n) = @_;
	my $goal = acked() + $n;

	$node->poll_until("SELECT acked >= $goal FROM outbox.relay_progress");
	return;
}

$node->create_sink('kafka', $kafka);
$node->relay_pid('kafka');

# ---- the broker is away for 20 s while the application writes ----
my $writers = start_writers(26);
wait_for_more(300);
$kafka->stop;
my $since = $node->sql('SELECT clock_timestamp()');
$node->poll_until("SELECT last_error IS NOT NULL FROM outbox.status WHERE name = 'kafka'");
$node->poll_until("SELECT clock_timestamp() >= '$since'::timestamptz + interval '20 s'");
my $before = acked();
cmp_ok($node->sql('SELECT count(*) FROM outbox.event'), '>', $before + 3000, 'events are captured while the broker is away');
$kafka->start;
ok($writers->finish, 'no writer failed while the broker was away');
$node->wait_published('kafka');
is($node->sql('SELECT count(*) FROM outbox.dead_letter'), '0', 'an outage makes no dead letters');
is($node->sql('SELECT count(*) FROM outbox.event') . '', acked(), 'an outage makes no repetitions');

# ---- the broker is killed, then the relay ----
$writers = start_writers(20);
wait_for_more(100);
$kafka->stop(kill => 1);
$kafka->start;
wait_for_more(300);
$node->kill_relay('kafka');
eval { $writers->finish };
$node->wait_published('kafka');

# ---- asynchronous commits, and the server crashes: what was published is still there ----
$writers = start_writers(20, settings => '-c synchronous_commit=off');
wait_for_more(300);
$node->stop('immediate');
eval { $writers->finish };
$node->start;
$node->wait_published('kafka');

# ---- the account ----
my $messages = $node->consume($kafka, $topic);
my %captured = map { $_ => 1 } split /\n/, $node->sql('SELECT id FROM outbox.event');
my (%seen, %version, @invented, @disorder);
for my $message (@$messages)
{
	my $id = $message->{headers}{ce_id};
	my $key = $message->{key};

	next if $seen{$id}++;
	push @invented, $id if !$captured{$id};
	push @disorder, "key $key: $message->{value}{version} after $version{$key}"
	  if $message->{value}{version} != ($version{$key} // 0) + 1;
	$version{$key} = $message->{value}{version};
}
my @lost = grep { !$seen{$_} } keys %captured;
my $last = join ' ', map { $version{$_} // 0 } 1 .. $KEYS;

cmp_ok(scalar(keys %captured), '>', 6000, 'enough has happened');
is("@lost", '', 'no event is lost');
is("@invented", '', 'no event is published that the table does not hold');
is(join('; ', @disorder), '', 'the events of a key arrive in order, without a gap');
is($last, $node->sql("SELECT string_agg(version::text, ' ' ORDER BY id) FROM counters"), 'the last events are the state of the source');
note(@$messages - keys(%seen) . ' messages were repeated, with the same id');

$node->stop;
done_testing();
