# Events that a topic never takes are given up while the relay runs: they do not come back after a crash, what waited behind
# them follows in order, and everything else is untouched.
use strict;
use warnings;

use PostgreSQL::Test::Utils qw(slurp_file);
use Test::More;

use OutboxCluster;
use OutboxFault;

my $node = OutboxCluster->create('discard_held', conf => $OutboxFault::CONF . "outbox.dead_letter_retention = -1\n");
my $fault = OutboxFault->new($node, 'fault')->start;

# schema 2: another topic; schema 3: another event type of the first topic
$node->sql(<<'SQL');
INSERT INTO outbox.event_schema (id, contract, event_type, version, topic, ce_type, schema, fingerprint)
SELECT i, 'test', 'Test' || i, 1, t, 'org.example.test' || i, '{"type":"record","name":"Test","namespace":"org.example","fields":[]}', i
FROM (VALUES (2, 'other.topic'), (3, 'test.topic')) v (i, t);
SQL

sub given_up
{
	my ($reason) = @_;
	return $node->sql("SELECT count(*) FROM outbox.dead_letter WHERE stage = 'publish' AND state = 'discarded' AND resolution = '$reason'");
}

# what was given up is never acknowledged
sub wait_done
{
	$node->poll_until("SELECT r.state = 'running' AND s.pending = 0 AND r.in_flight = 0 FROM outbox.status s JOIN outbox.relay_status r ON r.sink = s.name WHERE kind = 'sink'");
	return;
}

# ---- a topic, with a running relay ----
$fault->control(block_topic => 'test.topic');
$fault->append_to(1, 'a', 3);
$fault->append_to(2, 'a', 2);
$fault->append_to(3, 'b', 1);
$fault->wait_held(4);
$node->poll_until("SELECT acked = 2 FROM outbox.relay_progress");
is($node->sql("SELECT outbox.discard_held('fault', topic => 'test.topic', reason => 'never')"), 4, 'the events of the topic are given up, whatever their type');
is(given_up('never'), 4, 'each is recorded');
like(slurp_file($node->logfile), qr/takes no messages at present.*?discard_held/s, 'the log names the way out');
$fault->wait_held(0);
$node->poll_until("SELECT count(*) FROM outbox.held_event", 0);
is($fault->order_of('a', 'other.topic'), $fault->seqs('a', 2), 'another topic has got what is its own');
# the topic still takes nothing: what is new is held again
$fault->append_to(1, 'a', 2);
$fault->wait_held(2);
$fault->control();
$node->reload;
$fault->wait_held(0);
my $later = join ' ', (split ' ', $fault->seqs('a', 1))[ 3, 4 ];
is($fault->order_of('a', 'test.topic'), $later, 'when the topic works after all, later events arrive, and what was given up does not');
is($fault->order_of('b', 'test.topic'), '', 'nor that of another key');
is($node->sql("SELECT events FROM outbox.replay('fault', topic => 'again', dry_run => true)"), 4, 'a replay leaves it out');

# ---- one schema: what waited behind its events follows ----
$fault->control(block_schema => 3);
$fault->append_to(1, 'c', 1);
$fault->append_to(3, 'c', 1);
$fault->append_to(1, 'c', 2);
$fault->wait_held(3);
is($node->sql("SELECT outbox.discard_held('fault', topic => 'test.topic', reason => 'refused')"), 1, 'of a schema that is refused only its events are given up');
$fault->wait_held(0);
$node->poll_until("SELECT count(*) FROM outbox.held_event", 0);
is($fault->order_of('c', 'test.topic'), $fault->seqs('c', 1), 'what waited behind them follows in order');

# ---- an open transaction that gives up does not keep the relay ----
$fault->append_to(3, 'd', 1);
$fault->wait_held(1);
my $session = $node->background_psql('postgres', on_error_stop => 1);
$session->query_safe("BEGIN; SELECT outbox.discard_held('fault', topic => 'test.topic', reason => 'open')");
$fault->append_to(1, 'e', 3);
$fault->append_to(3, 'e', 1);
$fault->wait_held(2);
is($fault->order_of('e', 'test.topic'), $fault->seqs('e', 1), 'events go out and are held while a transaction that gives up others stays open');
$session->query_safe("ROLLBACK");
$session->quit;
is(given_up('open'), 0, 'rolled back, nothing was given up');
$node->sql("SELECT outbox.discard_held('fault', topic => 'test.topic', reason => 'refused')");
$node->poll_until("SELECT count(*) FROM outbox.held_event", 0);
$fault->control();
wait_done();

# ---- a crash before the position has passed what was given up ----
# the relay is stopped, and the position is the one that it recorded before the events
$fault->control(block_topic => 'test.topic');
$node->sql("CREATE TABLE public.position AS SELECT * FROM outbox.relay_progress");
$fault->append_to(2, 'before', 1);
$fault->append_to(1, 'f', 2);
$fault->wait_held(2);
$node->poll_until("SELECT p.acked > q.acked FROM outbox.relay_progress p, public.position q");
my $relay = $node->relay_pid('fault');
kill 'STOP', $relay or die "could not stop the relay: $!";
$node->sql(<<'SQL');
UPDATE outbox_internal.relay_progress p SET snap_last = q.snap_last, snap_cur = q.snap_cur, cursor = q.cursor, acked = q.acked, seq_seen = q.seq_seen,
    leaves = q.leaves, leaf_uses = q.leaf_uses, leaf_acked = q.leaf_acked, written_by = pg_current_xact_id() FROM public.position q;
SQL
is($node->sql("SELECT outbox.discard_held('fault', topic => 'test.topic', reason => 'crash')"), 2, 'events that the position has not passed are given up');
is($node->sql("SELECT string_agg(state || coalesce(payload::text, ''), ' ') FROM outbox.held_event"), 'discarded discarded', 'their rows stay, without payload');
is($node->sql("SELECT sum(pending) FROM outbox.status WHERE kind = 'topic'"), 0, 'and are not counted');
$fault->control();
kill 'KILL', $relay or die "could not kill the relay: $!";
$node->wait_for_recovery($relay);
$fault->append_to(1, 'f', 1);
wait_done();
$node->poll_until("SELECT count(*) FROM outbox.held_event", 0);
is($fault->order_of('f', 'test.topic'), (split ' ', $fault->seqs('f', 1))[2], 'read again after the crash they are not published, and a later event of the key is');
is($fault->order_of('before', 'other.topic'), $fault->seqs('before', 2), 'another topic has got what is its own');
is(given_up('crash'), 2, 'they are recorded once');

# ---- a paused sink ----
$fault->control(block_topic => 'test.topic');
$fault->append_to(1, 'g', 2);
$fault->wait_held(2);
$node->sql("SELECT outbox.pause('fault')");
$node->poll_until("SELECT pid IS NULL FROM outbox_internal.relay_report()");
is($node->sql("SELECT outbox.discard_held('fault', topic => 'test.topic', reason => 'paused')"), 2, 'it works without a relay');
is($node->sql("SELECT count(*) FROM outbox.held_event"), 0, 'the position had passed them');
$fault->control();
$node->sql("SELECT outbox.resume('fault')");
$fault->append_to(1, 'g', 1);
wait_done();
is($fault->order_of('g', 'test.topic'), (split ' ', $fault->seqs('g', 1))[2], 'and they are gone when the relay comes back');
$node->stop;
done_testing();
