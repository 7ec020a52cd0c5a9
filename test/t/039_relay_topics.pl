# A topic that is missing, or a schema that a registry refuses, holds up its own events only: others go on,
# nothing is a dead letter, and when it works again its events follow in their order.
use strict;
use warnings;

use Test::More;

use OutboxCluster;
use OutboxFault;

my $seed = $ENV{OUTBOX_TEST_SEED} || int(rand(1_000_000));
srand($seed);
note("seed $seed: OUTBOX_TEST_SEED repeats it");

my $node = OutboxCluster->create('topics', conf => $OutboxFault::CONF);
my $fault = OutboxFault->new($node, 'fault')->start;

# schemas 2 and 3: another topic, and another event type of the first topic
$node->sql(<<'SQL');
INSERT INTO outbox.event_schema (id, contract, event_type, version, topic, ce_type, schema, fingerprint)
SELECT i, 'test', 'Test' || i, 1, t, 'org.example.test' || i, '{"type":"record","name":"Test","namespace":"org.example","fields":[]}', i
FROM (VALUES (2, 'other.topic'), (3, 'test.topic')) v (i, t);
CREATE FUNCTION public.change(key int, schemas int[]) RETURNS void LANGUAGE sql AS
$$SELECT pg_advisory_xact_lock(key); SELECT public.append(s, 'test', 'k' || key, 1, 100) FROM unnest(schemas) s$$;
SQL

# ---- a topic is missing ----
$fault->control(block_topic => 'test.topic');
$fault->append_to(1, 'a', 2);
$fault->append_to(2, 'a', 2);
$fault->append_to(1, 'b', 1);
$fault->append_to(2, 'c', 3);
$fault->wait_held(3);
$node->poll_until("SELECT acked = 5 FROM outbox.relay_progress");
is($fault->order_of('a', 'test.topic'), '', 'nothing arrives in the topic that is missing');
is($fault->order_of('a', 'other.topic'), $fault->seqs('a', 2), 'events of other topics go on, also those of the same aggregate');
is($fault->order_of('c', 'other.topic'), $fault->seqs('c', 2), 'and those of other aggregates');
is($node->sql("SELECT state, name, pending, last_error FROM outbox.status WHERE kind = 'topic'"),
	'blocked|fault: test.topic|3|Broker: there is no such topic.', 'status has a row for the topic, with the words of the broker');
like($node->sql("SELECT advice FROM outbox.status WHERE kind = 'topic'"), qr/Create the topic.*held.*next at.*pg_reload_conf/, 'and what to do');
is($node->sql("SELECT state, pending, dead_letters, last_error FROM outbox.status WHERE kind = 'sink'"),
	'running|3|0|Broker: there is no such topic.', 'the sink runs');
like($node->sql("SELECT advice FROM outbox.status WHERE kind = 'sink'"), qr/kind topic/, 'and points there');
is($node->sql("SELECT state, reason FROM outbox.held_events WHERE message_key = 'b'"), 'held|Broker: there is no such topic.', 'held_events says why');

# it is tried with growing pauses, by one event at a time
my $tries = "SELECT tries FROM outbox.blocked_route";
$node->poll_until("SELECT tries >= 3 FROM outbox.blocked_route");
cmp_ok($node->sql("SELECT extract(epoch FROM next_try - tried_at) FROM outbox.blocked_route"), '>', 0.9, 'pauses grow');

# over restarts and a crash, and new events wait behind the old ones
$fault->append_to(1, 'a', 1);
$fault->wait_held(4);
$fault->stop;
$fault->append_to(1, 'b', 1);
$fault->append_to(2, 'c', 1);
$node->sql("SELECT outbox.start_relay('fault')");
$fault->wait_held(5);
my $before = $node->sql($tries);
cmp_ok($before, '>=', 3, 'pauses go on over a restart');
$node->kill_relay('fault');
$fault->append_to(1, 'a', 1);
$fault->wait_held(6);
is($node->sql('SELECT count(*) FROM outbox.dead_letter'), 0, 'nothing is a dead letter');
$fault->control();
$node->reload;
$fault->wait_held(0);
is($fault->order_of('a', 'test.topic'), $fault->seqs('a', 1), 'when the topic is there its events follow in their order');
is($fault->order_of('b', 'test.topic'), $fault->seqs('b', 1), 'of every aggregate');
$node->poll_until("SELECT count(*) FROM outbox.status WHERE kind = 'topic'", 0);
$fault->wait_published;
$fault->check('a missing topic');

# ---- one schema of a topic is refused ----
$fault->control(block_schema => 1);
$fault->append_to(3, 'd', 1);
$fault->append_to(1, 'd', 1);
$fault->append_to(3, 'd', 2);
$fault->append_to(3, 'e', 2);
$fault->wait_held(3);
$node->poll_until("SELECT pending = 3 FROM outbox.status WHERE kind = 'sink'");
my ($first) = split ' ', $fault->seqs('d', 3);
is($fault->order_of('d', 'test.topic'), $first, 'later events of the aggregate in that topic wait, whatever their type');
is($fault->order_of('e', 'test.topic'), $fault->seqs('e', 3), 'other types of the topic go on');
is($node->sql("SELECT name, last_error FROM outbox.status WHERE kind = 'topic'"), 'fault: test.topic (Test)|Broker: this schema is not compatible.', 'status names the event type');
$fault->control();
$node->reload;
$fault->wait_held(0);
is($fault->order_of('d', 'test.topic'), $fault->seqs('d', 1, 3), 'when it is accepted they follow in their order');

# ---- a missing topic and a rejected event of the same aggregate ----
$fault->control(block_topic => 'test.topic', reject_key => 'f');
$fault->append_to(1, 'f', 1);
$fault->append_to(2, 'f', 1);
$fault->append_to(1, 'f', 1);
$fault->append_to(2, 'f', 1);
$fault->wait_held(4);
$fault->control(reject_key => 'f');
$node->reload;
# the event of the other topic was rejected before the first topic came back: now that is rejected too
$node->poll_until("SELECT count(*) FROM outbox.dead_letter WHERE state = 'open'", 2);
is($fault->order_of('f', 'other.topic') . $fault->order_of('f', 'test.topic'), '', 'nothing passes rejected events');
$fault->control();
$node->poll_until("SELECT outbox.redrive() >= 0 AND NOT EXISTS (SELECT FROM outbox.held_events)");
is($fault->order_of('f', 'test.topic') . ' ' . $fault->order_of('f', 'other.topic'), $fault->seqs('f', 1) . ' ' . $fault->seqs('f', 2), 'the order of both topics is kept');
$fault->check('rejected and blocked');

# ---- two routes work again at once: an event that was to try the second waits behind a rejected one, so another tries ----
$fault->control(block_topic => 'test.topic', block_schema => 2);
$fault->append_to(2, 'i', 1);
$fault->append_to(1, 'i', 1);
$fault->append_to(1, 'j', 1);
$fault->wait_held(3);
# the pause of neither route ends between the two
my $relay = $node->relay_pid('fault');
kill 'STOP', $relay or die "could not stop the relay: $!";
$fault->control(reject_key => 'i', capacity => 1);
$node->reload;
kill 'CONT', $relay or die "could not continue the relay: $!";
$node->poll_until("SELECT count(*) FROM outbox.dead_letter WHERE state = 'open'", 1);
$fault->wait_held(2);
is($fault->order_of('j', 'test.topic'), $fault->seqs('j', 1), 'a route is tried again although the event that was to do so waits');
$fault->control();
$node->poll_until("SELECT outbox.redrive() >= 0 AND NOT EXISTS (SELECT FROM outbox.held_events)");
$fault->check('two routes');

# ---- too many: the sink stops, and goes on when there is room ----
$node->append_conf('postgresql.conf', "outbox.max_held_events = 10");
$node->reload;
$fault->control(block_topic => 'test.topic');
$fault->append_to(1, 'g', 8);
$fault->wait_held(8);
$fault->append_to(1, 'g', 8);
$fault->append_to(2, 'h', 1);
$fault->wait_state('blocked');
# until the room is used up these are the broker's own words, and while a topic is tried again
$node->poll_until(
	"SELECT last_error ~ '^\\d+ events wait behind rejected ones or for their topics, as many as outbox\\.max_held_events allows\$'
	 FROM outbox_internal.relay_report() WHERE sink = '$fault->{name}'");
pass('at the limit status says so');
cmp_ok($node->sql('SELECT count(*) FROM outbox.held_events'), '<=', 10, 'no more are held');
$fault->control();
$node->reload;
$fault->wait_published;
is($fault->order_of('g', 'test.topic'), $fault->seqs('g', 1), 'then they follow');
$fault->wait_state('running');
$fault->check('too many to hold');
$node->append_conf('postgresql.conf', "outbox.max_held_events = 100000");
$node->reload;

# ---- at random: topics, schemas, rejections, errors, restarts, while writers go on ----
my $writers = $fault->write_in_background(
	"\\set k random(1, 100)\n\\set a random(1, 3)\n\\set b random(1, 3)\nSELECT change(:k, ARRAY[:a, :b]);\n", '-c', 4, '-T', 12, '-R', 800);
my $deadline = time + 12;
while (time < $deadline)
{
	my @faults = map { int(rand(3)) == 0 ? @$_ : () } [ reject_every => 50 + int(rand(60)) ], [ reverse => 1 ],
	  [ block_topic => 'test.topic' ], [ block_schema => 1 + int(rand(3)) ],
	  [ delay_ms => 1 + int(rand(20)) ], [ raise_after => 300 + int(rand(900)) ], [ retry_after => 300 + int(rand(900)) ];

	$fault->control(@faults);
	my $until = $node->sql("SELECT clock_timestamp() + interval '300 ms'");
	$node->poll_until("SELECT clock_timestamp() > '$until'");
	$node->sql("SELECT outbox.redrive(max_rows => " . (1 + int(rand(50))) . ")") if int(rand(2)) == 0;
	$node->reload if int(rand(3)) == 0;
	if (int(rand(8)) == 0)
	{
		$fault->stop;
		$node->sql("SELECT outbox.start_relay('fault')");
	}
}
ok($writers->finish, 'writers notice nothing');
$fault->control();
$node->reload;
$node->poll_until("WITH again AS (SELECT outbox.redrive() AS n) SELECT n = 0 AND s.pending = 0
	AND NOT EXISTS (SELECT FROM outbox.held_events) FROM again, outbox.status s WHERE s.name = 'fault'");

# the order of a key holds within a topic
my (%newest, %seen, %hash, @backward, @changed);
for my $delivery (@{ $fault->deliveries })
{
	push @changed, $delivery->{id} if ($hash{ $delivery->{id} } //= $delivery->{payload_hash}) ne $delivery->{payload_hash};
	next if $seen{ $delivery->{id} }++;
	my $lane = "$delivery->{destination} $delivery->{key}";
	push @backward, "$lane: $delivery->{seq} after $newest{$lane}" if ($newest{$lane} // 0) > $delivery->{seq};
	$newest{$lane} = $delivery->{seq};
}
my @lost = grep { !$seen{$_} } split /\n/, $node->sql('SELECT id FROM outbox.event');
is("@lost", '', 'at random: nothing is lost');
is(join("\n", @backward), '', 'at random: the order of a key in a topic is kept');
is("@changed", '', 'at random: repetitions have the same payload');
note($node->sql("SELECT count(*) FROM outbox.event") . ' events, ' . $node->sql('SELECT count(*) FROM outbox.dead_letter') . ' dead letters');

$node->stop;
done_testing();
