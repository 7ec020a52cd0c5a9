# A replay publishes history again: the same ids, marked, in order, to the same or another topic, at a limited
# rate, through restarts and crashes, and never in the way of what is new.
use strict;
use warnings;

use Test::More;
use Time::HiRes ();

use OutboxCluster;
use OutboxFault;

my $node = OutboxCluster->create('replay', conf => $OutboxFault::CONF . "outbox.max_sorted_events = 16\n");
my $fault = OutboxFault->new($node, 'fault');

# What a replay said when it was asked for.
sub replay
{
	my (@args) = @_;
	return split /\|/, $node->sql('SELECT request, events FROM outbox.replay(' . join(', ', "'fault'", @args) . ')'), -1;
}

sub wait_replay
{
	my ($request, $state, %opt) = @_;
	$node->poll_until("SELECT state FROM outbox.replays WHERE request = $request", $state, %opt);
	return;
}

# Deliveries from the n-th on: those that a replay made, and the others.
sub replayed_since { my ($n) = @_; my @all = @{ $fault->deliveries }; return [ grep { $_->{attributes} =~ /\breplay=true\b/ } @all[ $n .. $#all ] ]; }
sub live_since     { my ($n) = @_; my @all = @{ $fault->deliveries }; return [ grep { $_->{attributes} !~ /replay/ } @all[ $n .. $#all ] ]; }
sub count { return scalar @{ $fault->deliveries }; }

# ---- before anything was published ----
is(join('|', replay()), '|0', 'a sink that has published nothing has nothing to replay');

$fault->start;
$node->sql('SELECT change(i % 5) FROM generate_series(1, 100) i');
$fault->append('other', 30);
$fault->wait_published;
my $before = count();
is($before, 130, 'history: 130 events');

# ---- dry run ----
is(join('|', replay('dry_run => true')), '|130', 'dry run: counts everything');
is(join('|', replay("message_key => 'k3'", 'dry_run => true')), '|20', 'dry run: counts what is asked for');
is($node->sql('SELECT count(*) FROM outbox.replays'), 0, 'dry run: asks for nothing');

# ---- everything, in many passes ----
my ($request, $events) = replay('rate => 0');
is($events, 130, 'all: 130 events');
wait_replay($request, 'done');
is(scalar(@{ live_since($before) }), 0, 'all: nothing is published but what the replay asked for');
my $again = replayed_since($before);
is_deeply([ map { $_->{id} } @$again ], [ split /\n/, $node->sql('SELECT id FROM outbox.event ORDER BY seq') ],
	'all: the same ids, once each, in the order of seq');
is($node->sql("SELECT published || ' ' || rejected || ' ' || missing FROM outbox.replays WHERE request = $request"), '130 0 0', 'all: the view counts them');
is($node->sql("SELECT error IS NULL AND finished_at >= started_at AND started_at >= created_at FROM outbox.replays WHERE request = $request"), 't', 'all: no error');

# ---- what is asked for ----
my ($from_time, $to_time) = split /\|/, $node->sql('SELECT min(occurred_at) FILTER (WHERE seq = 41), min(occurred_at) FILTER (WHERE seq = 51) FROM outbox.event');
for my $case (
	[ 'by key',        "aggregatetype = 'test' AND aggregateid = 'k3'", "aggregate_type => 'test'", "message_key => 'k3'" ],
	[ 'by type',       "type = 'Test'",                                 "event_type => 'Test'" ],
	[ 'by seq',        'seq BETWEEN 10 AND 33',                         'from_seq => 10', 'to_seq => 33' ],
	[ 'by time',       "occurred_at >= '$from_time' AND occurred_at < '$to_time'", "from_time => '$from_time'", "to_time => '$to_time'" ],
	[ 'all at once',   "seq > 20 AND aggregateid = 'k4' AND occurred_at < '$to_time'", "event_type => 'Test'", "message_key => 'k4'", 'from_seq => 21', "to_time => '$to_time'" ])
{
	my ($what, $condition, @args) = @$case;
	my $from = count();
	my $expected = $node->sql("SELECT string_agg(id::text, ' ' ORDER BY seq) FROM outbox.event WHERE $condition");
	my ($request) = replay(@args, 'rate => 0');

	cmp_ok(length $expected, '>', 0, "$what: there are such events");
	wait_replay($request, 'done');
	is(join(' ', map { $_->{id} } @{ replayed_since($from) }), $expected, "$what: exactly these");
}

# ---- what is not published yet is not replayed ----
$fault->control(down => 1);
$fault->append('new', 10);
$fault->wait_state('backoff');
$before = count();
($request, $events) = replay("message_key => 'new'");
is($request . '|' . $events, '|0', 'what the sink has not published is no history');
($request, $events) = replay('rate => 0');
is($events, 130, 'nor part of it');
$fault->control();
wait_replay($request, 'done');
$fault->wait_published;
is(scalar(grep { $_->{key} eq 'new' } @{ replayed_since($before) }), 0, 'also when the replay runs after it was published');
is(scalar(grep { $_->{key} eq 'new' } @{ live_since($before) }), 10, 'it is published once, as new');

# ---- the rate, and new events meanwhile ----
$before = count();
my $start = Time::HiRes::time();
($request, $events) = replay('rate => 50', 'to_seq => 100');
wait_replay($request, 'running');
for my $i (1 .. 20)
{
	$fault->append("live$i", 1);
	$fault->wait_published;
	push @{ $fault->{done_while_running} }, $node->sql("SELECT state FROM outbox.replays WHERE request = $request");
}
ok((grep { $_ eq 'running' } @{ $fault->{done_while_running} }) > 0, 'new events are published while a replay runs');
wait_replay($request, 'done');
cmp_ok(Time::HiRes::time() - $start, '>', 1.5, 'a limited rate is a limit');
is(scalar(@{ live_since($before) }), 20, 'new events come once');
is(scalar(@{ replayed_since($before) }), 100, 'and the replay is complete');

# ---- one after the other, and cancelled ----
my ($first)  = replay('rate => 10');
my ($second) = replay('rate => 0', "message_key => 'k1'");
wait_replay($first, 'running');
is($node->sql("SELECT state FROM outbox.replays WHERE request = $second"), 'waiting', 'a second replay waits for the first one');
$node->poll_until("SELECT published > 0 FROM outbox.replays WHERE request = $first");
$node->sql("SELECT outbox.cancel_replay($first)");
wait_replay($second, 'done');
is($node->sql("SELECT state FROM outbox.replays WHERE request = $first"), 'cancelled', 'a cancelled replay ends');
cmp_ok($node->sql("SELECT published FROM outbox.replays WHERE request = $first"), '<', 100, 'before its end');
like($node->sql_error("SELECT outbox.cancel_replay($first)"), qr/55000: replay \d+ cannot be cancelled/, 'once');
my ($third) = replay('rate => 1');
$node->sql("SELECT outbox.cancel_replay($third)");
is($node->sql("SELECT state FROM outbox.replays WHERE request = $third"), 'cancelled', 'also before it has begun');

# ---- a restart of the relay and a crash of the server go on where it was ----
$before = count();
($request, $events) = replay('rate => 40', 'to_seq => 100');
$node->poll_until("SELECT published > 5 FROM outbox.replays WHERE request = $request");
$fault->stop;
my $at_stop = $node->sql("SELECT published FROM outbox.replays WHERE request = $request");
is($node->sql("SELECT state FROM outbox.replays WHERE request = $request"), 'running', 'a stopped relay keeps the replay');
cmp_ok($at_stop, '<', 100, 'with what is left of it');
is(scalar(@{ replayed_since($before) }), $at_stop, 'an orderly stop records all that was published');
$node->sql("SELECT outbox.start_relay('fault')");
$node->poll_until("SELECT published > $at_stop FROM outbox.replays WHERE request = $request");
$node->kill_relay('fault');
wait_replay($request, 'done');
my %seen;
my @seqs = grep { !$seen{$_}++ } map { $_->{seq} } @{ replayed_since($before) };
is_deeply(\@seqs, [ 1 .. 100 ], 'a crash repeats, and loses and reorders nothing');
is($node->sql("SELECT published FROM outbox.replays WHERE request = $request"), 100, 'each event counts once');

# ---- what goes wrong with a replay does not go wrong with what is new ----
$before = count();
$fault->control(reject_key => 'k2');
($request, $events) = replay('rate => 0', 'to_seq => 100');
wait_replay($request, 'done');
is($node->sql("SELECT published || ' ' || rejected || ' ' || missing FROM outbox.replays WHERE request = $request"), '80 20 0', 'a rejected event is left out and counted');
like($node->sql("SELECT error FROM outbox.replays WHERE request = $request"), qr/I do not like this key/, 'with the broker\'s words');
$fault->append('fine', 5);
$fault->wait_published;
is($node->sql("SELECT state FROM outbox_internal.relay_report()"), 'running', 'the relay is not blocked by it');
is($node->sql("SELECT count(*) FROM outbox.dead_letter"), 0, 'and there is no dead letter');
$fault->control();

$fault->control(raise => 'startup');
($request) = replay('rate => 0', "message_key => 'k1'");
$node->poll_until("SELECT error ~ 'fault sink raises in startup' FROM outbox.replays WHERE request = $request");
$fault->append('still', 5);
$fault->wait_published;
is($node->sql("SELECT state FROM outbox_internal.relay_report()"), 'running', 'a replay whose sink does not start leaves the relay alone');
$fault->control();
wait_replay($request, 'done');
is($node->sql("SELECT published FROM outbox.replays WHERE request = $request"), 20, 'and goes on when it does');
is($node->sql("SELECT error IS NULL FROM outbox.replays WHERE request = $request"), 't', 'without an error');

# ---- what the sink has passed without publishing it is not replayed ----
$fault->append('stuck', 2);
$fault->wait_published;
$fault->control(reject_key => 'stuck');
$fault->append('stuck', 3);
$fault->append('passes', 1);
$node->poll_until("SELECT count(*) FROM outbox.held_events", 3);
is(join('|', replay("message_key => 'stuck'", 'dry_run => true')), '|2', 'rejected and held events are not counted');
$fault->control();
($request, $events) = replay("message_key => 'stuck'", 'rate => 0');
$before = count();
$node->sql("SELECT outbox.discard(id, 'test') FROM outbox.dead_letter WHERE state = 'open'");
wait_replay($request, 'done');
$node->poll_until('SELECT count(*) FROM outbox.held_events', 0);
is(scalar(grep { $_->{key} eq 'stuck' } @{ replayed_since(0) }), 2, 'nor published again, by a replay that began before they were released');
is($node->sql("SELECT published || ' ' || missing || ' ' || events FROM outbox.replays WHERE request = $request"), '2 0 2', 'and not missing');
is(join('|', replay("message_key => 'stuck'", 'dry_run => true')), '|4', 'what was released is published by now, what was discarded never was');

# ---- storage that moves, and storage that is emptied ----
$before = count();
($request) = replay('rate => 50', 'to_seq => 100');
$node->poll_until("SELECT published > 5 FROM outbox.replays WHERE request = $request");
$node->sql('VACUUM FULL outbox_internal.event_1');
wait_replay($request, 'done');
is($node->sql("SELECT published || ' ' || missing FROM outbox.replays WHERE request = $request"), '100 0', 'a leaf that is rewritten meanwhile is read again');
is_deeply([ map { $_->{seq} } @{ replayed_since($before) } ], [ 1 .. 100 ], 'behind what was published');

($request) = replay('rate => 50', 'to_seq => 100');
$node->poll_until("SELECT published > 5 FROM outbox.replays WHERE request = $request");
$node->sql('ALTER TABLE outbox.event DISABLE TRIGGER refuse_truncate; ALTER TABLE outbox_internal.event_1 DISABLE TRIGGER refuse_truncate;
	TRUNCATE outbox.event; ALTER TABLE outbox.event ENABLE ALWAYS TRIGGER refuse_truncate; ALTER TABLE outbox_internal.event_1 ENABLE ALWAYS TRIGGER refuse_truncate');
wait_replay($request, 'done');
is($node->sql("SELECT missing > 0 AND published + missing = 100 FROM outbox.replays WHERE request = $request"), 't', 'events that are not kept any more are counted');
like($node->sql("SELECT error FROM outbox.replays WHERE request = $request"), qr/^\d+ of its events are not kept any more/, 'and the view says so');
is(join('|', replay()), '|0', 'there is nothing left to replay');

# ---- errors ----
like($node->sql_error("SELECT outbox.replay('nobody')"), qr/42704: sink "nobody" does not exist/, 'unknown sink');
like($node->sql_error("SELECT outbox.replay('fault', event_type => 'Tset')"), qr/42704: there are no events of type "Tset"/, 'unknown event type');
like($node->sql_error("SELECT outbox.replay('fault', rate => -1)"), qr/22023: rate of a replay must not be negative/, 'rate');
like($node->sql_error("SELECT outbox.replay('fault', topic => '')"), qr/22023: topic of a replay is empty/, 'topic');
like($node->sql_error("SELECT outbox.replay('fault', from_seq => 3, to_seq => 2)"), qr/22023: from_seq of a replay is larger/, 'seq');
like($node->sql_error("SELECT outbox.replay('fault', from_time => 'now', to_time => 'yesterday')"), qr/22023: from_time of a replay is not before/, 'time');
like($node->sql_error("SELECT outbox.replay(NULL)"), qr/22004: argument "sink" must not be null/, 'no sink');
like($node->sql_error("SELECT outbox.cancel_replay(4711)"), qr/42704: replay 4711 does not exist/, 'unknown replay');
like($node->sql_error("SELECT outbox.cancel_replay(NULL)"), qr/22004: argument "request" must not be null/, 'no replay');

# ---- another copy of the data ----
$fault->append('copied', 10);
$fault->wait_published;
$fault->stop;
($request) = replay();
$node->sql("UPDATE outbox.replay_request SET database_oid = 1 WHERE id = $request");
$fault->start;
wait_replay($request, 'cancelled');
like($node->sql("SELECT error FROM outbox.replays WHERE request = $request"), qr/another copy of the data/, 'a replay that was asked for in another copy is cancelled');

$node->stop;
done_testing();
