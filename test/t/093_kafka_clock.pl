# A broker that refuses the time stamps of records, because its clock and ours differ: the topic is blocked with advice, other
# topics go on, nothing becomes a dead letter, and it ends by itself when the clocks agree.
use strict;
use warnings;

use IPC::Run ();
use Test::More;

use OutboxBroker;
use OutboxCluster;

my $kafka = OutboxBroker->kafka;
my $node = OutboxCluster->create('kafka_clock');

sub versions
{
	my ($topic) = @_;
	my (%seen, %of);
	push @{ $of{ $_->{key} } }, $_->{value}{version} for grep { !$seen{ $_->{headers}{ce_id} }++ } @{ $node->consume($kafka, "clock.$topic") };
	return join '; ', map { "$_: @{ $of{$_} }" } sort keys %of;
}

$kafka->admin('create("clock.strict", 2); create("clock.fine", 2)');
for my $table (qw(strict fine))
{
	$node->sql(<<"SQL");
CREATE TABLE $table (id integer PRIMARY KEY, version integer NOT NULL);
CREATE VIEW ${table}_v AS SELECT id, version FROM $table;
SELECT outbox.create_contract('$table', view => '${table}_v', source => '$table', key => '{id}', required => '{id,version}');
SELECT outbox.create_event_type('${table}Changed', contract => '$table', emit => 'changed', topic => 'clock.$table');
SELECT outbox.enable('$table');
INSERT INTO $table SELECT g, 0 FROM generate_series(1, 3) g;
SQL
}

sub change
{
	my ($n) = @_;
	$node->sql(join ';', ('UPDATE strict SET version = version + 1', 'UPDATE fine SET version = version + 1') x $n);
	return;
}

$node->create_sink('kafka', $kafka);
change(2);
$node->wait_published('kafka');

# to this topic our clock is wrong: whatever time we give is too long ago
$kafka->admin('alter("clock.strict", "message.timestamp.before.max.ms", "0")');
change(3);
$node->poll_until("SELECT count(*) FROM outbox.status WHERE kind = 'topic' AND name = 'kafka: clock.strict'", 1);
like($node->sql("SELECT last_error FROM outbox.status WHERE kind = 'topic'"), qr/Invalid timestamp; is the clock of this server right\?/, 'the topic is blocked, with advice');
change(2);
$node->poll_until("SELECT acked = (SELECT count(*) FROM outbox.event) - (SELECT count(*) FROM outbox.held_event) FROM outbox.relay_progress");
is(versions('fine'), join('; ', map { "$_: 1 2 3 4 5 6 7" } 1 .. 3), 'another topic goes on');
my $tries = $node->sql("SELECT tries FROM outbox.blocked_route");
$node->poll_until("SELECT tries > $tries + 1 FROM outbox.blocked_route");
cmp_ok($node->sql("SELECT retries FROM outbox.relay_status"), '<=', 2, 'trying it again ends no attempt');
is($node->sql('SELECT count(*) FROM outbox.dead_letter'), 0, 'nothing is a dead letter');

$kafka->admin('alter("clock.strict", "message.timestamp.before.max.ms", "9223372036854775807")');
$node->poll_until('SELECT NOT EXISTS (SELECT FROM outbox.held_event)');
$node->wait_published('kafka');
is(versions('strict'), join('; ', map { "$_: 1 2 3 4 5 6 7" } 1 .. 3), 'it ends by itself, in order');
is($node->sql("SELECT count(*) FROM outbox.status WHERE kind = 'topic'"), 0, 'and the topic works again');
is($node->sql('SELECT count(*) FROM outbox.dead_letter'), 0, 'without a dead letter');

$node->stop;
done_testing();
