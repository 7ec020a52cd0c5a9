# A replay to Kafka: the same messages with the header ce_replay, to their own topic or to another one, tombstones
# included; and a topic that the broker refuses holds up the replay alone.
use strict;
use warnings;

use OutboxCluster;
use Test::More;

my $node   = OutboxCluster->create('replay_kafka');
my $broker = OutboxBroker->mock;

$node->sql(<<'SQL');
CREATE TABLE t (id int PRIMARY KEY, v text);
CREATE VIEW t_v AS SELECT id, v FROM t;
SELECT outbox.create_contract('t', view => 't_v', source => 't', key => '{id}');
SELECT outbox.create_event_type('TCreated', contract => 't', emit => 'created', topic => 'own');
SELECT outbox.create_event_type('TDeleted', contract => 't', emit => 'deleted', topic => 'own', tombstone => 'after');
SELECT outbox.enable('t');
SQL
$node->create_sink('kafka', $broker);
$node->sql("INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 50) i");
$node->sql('DELETE FROM t WHERE id <= 10');
$node->wait_published('kafka');

sub wait_replay
{
	my ($request) = @_;
	$node->poll_until("SELECT state FROM outbox.replays WHERE request = $request", 'done');
	return;
}

# What identifies a message apart from the mark of the replay.
sub same
{
	my ($message) = @_;
	my %headers = %{ $message->{headers} };

	delete $headers{ce_replay};
	return { key => $message->{key}, value => $message->{value}, headers => \%headers };
}

sub unique { my %seen; return grep { !$seen{$_}++ } @_; }

sub by_id { return [ sort { $a->{headers}{ce_id} cmp $b->{headers}{ce_id} || defined $b->{value} <=> defined $a->{value} } @_ ]; }

my $live = $node->consume($broker, 'own');
is(scalar(@$live), 70, '60 events and 10 tombstones');
is(scalar(grep { exists $_->{headers}{ce_replay} } @$live), 0, 'none is marked');

wait_replay($node->sql("SELECT request FROM outbox.replay('kafka', topic => 'again', rate => 0)"));
my $again = $node->consume($broker, 'again');
is(scalar(grep { ($_->{headers}{ce_replay} // '') eq 'true' } @$again), 70, 'another topic: all of them, marked');
is_deeply(by_id(map { same($_) } @$again), by_id(map { same($_) } @$live), 'the same keys, values and headers otherwise');

wait_replay($node->sql("SELECT request FROM outbox.replay('kafka', message_key => '3', rate => 0)"));
my @third = grep { $_->{key} eq '3' } @{ $node->consume($broker, 'own') };
is(join(' ', map { (defined $_->{value} ? 'value' : 'null') . (exists $_->{headers}{ce_replay} ? '*' : '') } @third),
	'value value null value* value* null*', 'its own topic: behind what is there, in order');

# ---- whatever headers a sink is asked for, a message that does not stand where its change happened says so ----
for my $mode ('minimal', 'none')
{
	my %ordinary = (minimal => 'ce_id ce_type content-type', none => '');

	$node->create_sink($mode, $broker, {}, headers => $mode);
	$node->wait_published($mode);
	wait_replay($node->sql("SELECT request FROM outbox.replay('$mode', topic => 'again.$mode', rate => 0)"));
	my $messages = $node->consume($broker, "again.$mode");
	is(scalar(@$messages), 70, "headers = $mode: a replay");
	is_deeply([ grep { ($_->{headers}{ce_replay} // '') ne 'true' } @$messages ], [], 'is marked');
	delete $_->{headers}{ce_replay} for @$messages;
	is(join(',', unique(map { join ' ', sort keys %{ $_->{headers} } } @$messages)), $ordinary{$mode}, 'and has no other headers than its messages had');
}

# ---- a topic that cannot be ----
my $request = $node->sql("SELECT request FROM outbox.replay('kafka', topic => repeat('x', 600), rate => 0)");
$node->poll_until("SELECT error ~ 'could not use topic' FROM outbox.replays WHERE request = $request");
like($node->sql("SELECT error FROM outbox.replays WHERE request = $request"),
	qr/\QTopic names have up to 249 letters, digits, dots, underscores and hyphens.\E/, 'it says what a name may be');
wait_replay($node->sql("SELECT request FROM outbox.replay('minimal', topic => repeat('x', 245) || '-_.9', rate => 0)"));
$node->sql("INSERT INTO t VALUES (100, 'new')");
$node->wait_published('kafka');
is($node->sql("SELECT state FROM outbox.status WHERE name = 'kafka'"), 'running', 'a topic that the broker refuses holds up the replay alone');
$node->sql("SELECT outbox.cancel_replay($request)");

done_testing();
