# Events that the broker rejects become dead letters, and what follows is the sink's policy: block_key lets
# later events of the aggregate wait until a person has decided, skip lets them go, stop stops. Others go on.
use strict;
use warnings;

use Test::More;

use OutboxCluster;
use OutboxFault;

my $seed = $ENV{OUTBOX_TEST_SEED} || int(rand(1_000_000));
srand($seed);
note("seed $seed: OUTBOX_TEST_SEED repeats it");

my $node = OutboxCluster->create('rejections', conf => $OutboxFault::CONF);
my $fault = OutboxFault->new($node, 'fault')->start;

sub wait_delivered
{
	my ($key, $n) = @_;
	$node->poll_until("SELECT count(*) >= $n FROM regexp_matches(coalesce(pg_read_file('$fault->{file}', 0, 1000000000, true), ''), '\t$key\tTest\t', 'g')");
	return;
}

sub letter
{
	my ($what, $where) = @_;
	return $node->sql("SELECT $what FROM outbox.dead_letter WHERE state = 'open'" . ($where ? " AND $where" : ''));
}

# ---- block_key ----
$fault->append('bad', 1);
$fault->append('good', 1);
$fault->wait_published;
$node->sql('CREATE TABLE public.position_before AS TABLE outbox.relay_progress');
$fault->control(reject_key => 'bad');
$fault->append('bad', 2);
$fault->append('good', 3);
$fault->append('bad', 1);
wait_delivered('good', 4);
$fault->wait_held(3);
pass('events of other aggregates go on');
my ($bad1, $bad2, $bad3, $bad4) = split ' ', $fault->seqs('bad');
is($fault->order_of('bad'), $bad1, 'nothing of the aggregate passes the rejected event');
is(letter('count(*)'), 1, 'only the first event is a dead letter');
is(letter("stage, contract, event_type, sink, message, key"),
	'publish|test|Test|fault|Broker: I do not like this key.|{"message_key": "bad", "aggregate_type": "test"}',
	'which names the event and has the words of the broker');
is($node->sql("SELECT d.event_id = e.id AND d.payload = e.payload FROM outbox.dead_letter d, outbox.event e WHERE e.seq = $bad2"),
	't', 'and the payload');
is($node->sql("SELECT seq, state FROM outbox.held_events ORDER BY seq"), "$bad2|rejected\n$bad3|held\n$bad4|held", 'the others are held');
is($node->sql("SELECT state, dead_letters, pending, last_error FROM outbox.status WHERE name = 'fault'"),
	'running|1|2|The broker rejected an event, which is a dead letter now: Broker: I do not like this key.', 'status says so');
my $query = "SELECT * FROM outbox.dead_letter WHERE sink = 'fault' AND state = 'open';";
like(PostgreSQL::Test::Utils::slurp_file($node->logfile), qr/rejected an event, which is a dead letter now.*?HINT:  \Q$query\E/s, 'and so does the log');
isnt($node->sql($query), '', 'with a query that finds it');
like($node->sql("SELECT advice FROM outbox.status WHERE name = 'fault'"), qr/dead_letter WHERE sink = 'fault'.*redrive.* 2 events wait/, 'and what to do');
$node->poll_until("SELECT seq_seen >= $bad4 FROM outbox.relay_progress");
pass('the position passes them');

# over a restart, even one that begins where nothing was rejected yet
$fault->stop;
$fault->append('bad', 1);
$fault->append('good', 1);
$node->sql("UPDATE outbox.relay_progress p SET (snap_last, snap_cur, cursor, seq_seen) = (b.snap_last, b.snap_cur, b.cursor, b.seq_seen)
	FROM public.position_before b");
$node->sql("SELECT outbox.start_relay('fault')");
wait_delivered('good', 8);
$fault->wait_held(4);
is($fault->order_of('bad'), $bad1, 'it blocks over a restart');
is(letter('count(*)'), 1, 'and is not rejected twice');

# redriven while the broker still refuses it
$node->sql("SELECT outbox.redrive(id) FROM outbox.dead_letter WHERE state = 'open'");
$node->poll_until("SELECT count(*) FROM outbox.dead_letter WHERE state = 'open' AND attempts = 1", 1);
is($fault->order_of('bad'), $bad1, 'an event that is rejected again goes on blocking');
is($node->sql('SELECT count(*) FROM outbox.dead_letter'), 1, 'with the same dead letter');

# redriven and taken
$fault->control();
is($node->sql("SELECT outbox.redrive(id) FROM outbox.dead_letter WHERE state = 'open'"), 1, 'redrive');
$fault->wait_held(0);
is($fault->order_of('bad'), $fault->seqs('bad'), 'everything of the aggregate follows in its order');
my ($redriven) = grep { $_->{seq} eq $bad2 } @{ $fault->deliveries };
is($redriven->{attributes}, 'redriven=true', 'the redriven event says so');
is($redriven->{id}, $node->sql("SELECT id FROM outbox.event WHERE seq = $bad2"), 'and has its id');
is($node->sql('SELECT state, attempts FROM outbox.dead_letter'), 'redriven|2', 'the dead letter is resolved');
$fault->append('bad', 1);
$fault->wait_published;
is($fault->order_of('bad'), $fault->seqs('bad'), 'the aggregate is as any other again');
$fault->check('a blocked aggregate');

# discarded
$fault->control(reject_key => 'bad');
$fault->append('bad', 3);
$fault->wait_held(3);
$fault->control();
my $dropped = letter("(SELECT seq FROM outbox.event e WHERE e.id = event_id)");
$node->sql("SELECT outbox.discard(id, 'test') FROM outbox.dead_letter WHERE state = 'open'");
$fault->wait_held(0);
is($fault->order_of('bad'), join(' ', grep { $_ != $dropped } split ' ', $fault->seqs('bad')), 'a discarded event is left out, the rest follows');

# ---- kill -9 while an aggregate is blocked, and the server crashes ----
$fault->control(reject_key => 'bad');
$fault->append('bad', 2);
$fault->wait_held(2);
$node->kill_relay('fault');
$fault->append('bad', 1);
$fault->append('good', 1);
$fault->wait_held(3);
$fault->control();
$node->sql("SELECT outbox.redrive(contract => 'test')");
$fault->wait_held(0);
is($fault->order_of('bad'), join(' ', grep { $_ != $dropped } split ' ', $fault->seqs('bad')), 'it blocks over a crash');

# ---- skip ----
$fault->control(reject_key => 'bad');
$fault->append('bad', 2);
$fault->wait_held(2);
$node->sql("UPDATE outbox.sink SET on_reject = 'skip'");
$node->poll_until("SELECT count(*) FROM outbox.dead_letter WHERE state = 'open'", 2);
pass('under skip each rejected event is a dead letter');
$fault->append('good', 1);
$fault->control(reject_key => 'worse');
$fault->append('bad', 1);
$node->poll_until("SELECT pending = 0 FROM outbox.status WHERE name = 'fault'");
my @bad = split ' ', $fault->seqs('bad');
like($fault->order_of('bad'), qr/ $bad[-1]$/, 'and later events go on');
is($node->sql("SELECT outbox.redrive(contract => 'test')"), 2, 'redrive of all');
$fault->wait_held(0);
is(join(' ', sort { $a <=> $b } split ' ', $fault->order_of('bad')), join(' ', grep { $_ != $dropped } @bad), 'redriven events arrive when they arrive');
$node->sql("UPDATE outbox.sink SET on_reject = 'block_key'");

# ---- a sink that is gone ----
$fault->control(reject_key => 'bad');
$fault->append('bad', 2);
$fault->wait_held(2);
$fault->stop;
$node->sql("SELECT outbox.drop_sink('fault')");
is($node->sql("SELECT count(*) FROM outbox.held_events"), 0, 'a dropped sink holds nothing');
is($node->sql("SELECT outbox.redrive(contract => 'test')"), 0, 'its dead letters cannot be redriven');
like(letter('last_failure || last_failure_hint'), qr/sink was dropped.*Discard/, 'and say why');
$node->sql("SELECT outbox.discard(id, 'dropped') FROM outbox.dead_letter WHERE state = 'open'");

# ---- many at random: rejections, redrives, discards, restarts, while writers go on ----
$fault = OutboxFault->new($node, 'random')->start;
my $writers = $fault->write_in_background("\\set k random(1, 200)\nSELECT change(:k);\n", '-c', 4, '-T', 10, '-R', 1500);
my $deadline = time + 10;
while (time < $deadline)
{
	my @faults = map { int(rand(3)) == 0 ? @$_ : () } [ reject_every => 20 + int(rand(60)) ], [ reverse => 1 ],
	  [ delay_ms => 1 + int(rand(20)) ], [ raise_after => 300 + int(rand(900)) ], [ retry_after => 300 + int(rand(900)) ];

	$fault->control(@faults);
	my $acked = $node->sql("SELECT coalesce(max(acked), 0) FROM outbox_internal.relay_report()");
	$node->poll_until("SELECT acked >= $acked + 50 OR acked < $acked OR clock_timestamp() > '" . $node->sql('SELECT now()')
		. "'::timestamptz + interval '1 s' FROM outbox_internal.relay_report() WHERE sink = 'random'");
	$node->sql("SELECT outbox.redrive(max_rows => " . (1 + int(rand(50))) . ")") if int(rand(2)) == 0;
	if (int(rand(5)) == 0)
	{
		$fault->stop;
		$node->sql("SELECT outbox.start_relay('random')");
	}
}
ok($writers->finish, 'writers notice nothing');
$fault->control();
$node->poll_until("WITH again AS (SELECT outbox.redrive() AS n) SELECT n = 0 AND s.pending = 0
	AND NOT EXISTS (SELECT FROM outbox.held_events) FROM again, outbox.status s WHERE s.name = 'random'");
my $repeated = $fault->check('rejections at random');
my $letters = $node->sql("SELECT count(*) FROM outbox.dead_letter WHERE sink = 'random'");
cmp_ok($letters, '>', 20, 'enough was rejected');
my %hash;
my @changed = grep { ($hash{ $_->{id} } //= $_->{payload_hash}) ne $_->{payload_hash} } @{ $fault->deliveries };
is(scalar(@changed), 0, 'repetitions have the same payload');
is($node->sql("SELECT acked FROM outbox.relay_progress") >= $node->sql("SELECT count(*) FROM outbox.event"), 1, 'every event is counted');
note($node->sql("SELECT count(*) FROM outbox.event") . " events, $letters dead letters, $repeated repetitions");

$node->stop;
done_testing();
