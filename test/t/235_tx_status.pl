# The status of a transaction for applications that poll or wait for it: outbox.tx_status(), wait_acked(), event_status().
# What they say is held against what the broker has.
use strict;
use warnings;

use OutboxBroker;
use OutboxCluster;
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;

my $broker = OutboxBroker->mock;
my $node = OutboxCluster->create('tx_status', conf => "max_connections = 1100\noutbox.poll_interval = '60s'\n");

$node->versioned_table('item', 'items');
$node->versioned_table('other', 'others');

# Runs statements in a transaction; its number.
sub transaction
{
	my ($statements, $end) = @_;

	return (split /\n/, $node->sql("BEGIN; $statements; SELECT outbox.tx_id(); " . ($end // 'COMMIT')))[0];
}

sub state_of
{
	my ($xid, $sink) = @_;

	return $node->sql("SELECT string_agg(format('%s %s %s %s', sink, state, held, dead_letters), ',' ORDER BY sink) FROM outbox.tx_status('$xid'"
		  . (defined $sink ? ", '$sink'" : '') . ')');
}

sub wait_acked
{
	my ($xid, @more) = @_;

	return $node->sql("SELECT outbox.wait_acked(" . join(', ', "'$xid'", @more) . ')');
}

sub error_of
{
	my ($statements) = @_;
	my (undef, undef, $error) = $node->psql('postgres', "\\set VERBOSITY verbose\n$statements");

	return $error;
}

my $first = transaction('INSERT INTO item VALUES (1, 1)');
is(state_of($first), '', 'without a sink there is nothing to say');
like(error_of("SELECT outbox.wait_acked('$first')"), qr/55000: no sink is running.*HINT:\s+\QSELECT outbox.start_relay(); or name the sink.\E/s, 'nor to wait for');

$node->create_sink('kafka', $broker);
$node->sql('SELECT outbox.stop_relay()');
$node->poll_until("SELECT state = 'stopped' FROM outbox.relay_status");
$first = transaction('INSERT INTO item VALUES (9, 1)');
is(state_of($first), 'kafka pending 0 0', 'nobody publishes it');
is(wait_acked($first, "'kafka'", "'1 hour'"), 'pending', 'a sink that does not run is not waited for');
$node->sql('SELECT outbox.start_relay()');
is(wait_acked($first, "'kafka'", "'60 s'"), 'acked', 'the remedy: it is waited for, and acknowledged');
is(scalar(@{ $node->consume($broker, 'items') }), 2, 'and the broker has it');
is(state_of($first), 'kafka acked 0 0', 'so says the status');
is($node->sql("SELECT as_of > now() - interval '1 hour' FROM outbox.tx_status('$first')"), 't', 'and since when it is known');

# an idle database whose relay looks once a minute: the waiter wakes it, also for a transaction without events
my $idle = transaction('CREATE TABLE no_source (a int)');
is(wait_acked($idle, 'NULL', "'30 s'"), 'acked', 'a transaction without events has nothing left to publish');
is(wait_acked(transaction('INSERT INTO item VALUES (2, 1); SAVEPOINT a; UPDATE item SET version = 2; RELEASE a'), 'NULL', "'30 s'"), 'acked', 'subtransactions are their transaction');

is(state_of(transaction('INSERT INTO item VALUES (3, 1)', 'ROLLBACK')), 'kafka aborted 0 0', 'rolled back');
is(wait_acked(transaction('INSERT INTO item VALUES (3, 1)', 'ROLLBACK'), 'NULL', "'1 hour'"), 'aborted', 'which is not waited for');

# prepared: running, whoever asks, until it is committed
my $prepared = transaction('INSERT INTO item VALUES (4, 1)', "PREPARE TRANSACTION 'held'");
is(state_of($prepared), 'kafka running 0 0', 'prepared');
is(wait_acked($prepared, 'NULL', "'200 ms'"), 'running', 'the time is over: the state, no error');
my ($said, $trouble) = ('', '');
my $waiter = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', "SELECT outbox.wait_acked('$prepared', NULL, '60 s')" ], '<', \undef, '>', \$said, '2>', \$trouble);
$node->poll_until("SELECT count(*) > 0 FROM pg_stat_activity WHERE query LIKE 'SELECT outbox.wait_acked%' AND wait_event_type = 'Extension'");
$node->sql("COMMIT PREPARED 'held'");
$waiter->finish;
is($said, "acked\n", 'it is committed while somebody waits') or diag($trouble);

# whatever the snapshot of the transaction that asks
my $old = $node->background_psql('postgres');
$old->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM item');
my $newer = transaction('INSERT INTO item VALUES (5, 1)');
is($old->query_safe("SELECT outbox.wait_acked('$newer', NULL, '30 s')"), 'acked', 'asked in an older snapshot');
$old->quit;

# what a person has to look at
$node->sql('ALTER TABLE item ALTER version DROP NOT NULL');
my $letter = transaction('INSERT INTO item VALUES (6, NULL)');
is(wait_acked($letter, 'NULL', "'1 hour'"), 'dead_letter', 'a dead letter is not waited for');
is(state_of($letter), 'kafka dead_letter 0 1', 'and counted');
$node->sql('UPDATE item SET version = 7 WHERE id = 6');
$node->sql('SELECT outbox.stop_relay()');
$node->poll_until("SELECT state = 'stopped' FROM outbox.relay_status");
is($node->sql('SELECT outbox.redrive()'), '1', 'redriven');
is(state_of($letter), 'kafka pending 0 0', 'its event is not published yet');
$node->sql('SELECT outbox.start_relay()');
is(wait_acked($letter, 'NULL', "'60 s'"), 'acked', 'it is');

# a topic that takes nothing: held until it does
$broker->trouble('topic others 3');
my $held = transaction('INSERT INTO item VALUES (10, 1); INSERT INTO other VALUES (10, 1)');
$node->poll_until('SELECT count(*) FROM outbox.held_events', '1');
is(wait_acked($held, 'NULL', "'200 ms'"), 'held', 'one of its events waits for its topic');
is(state_of($held), 'kafka held 1 0', 'and is counted');
my $waits = $node->sql('SELECT id FROM outbox.held_events');
like($node->sql("SELECT state, topic, reason FROM outbox.event_status('$waits')"), qr/^held\|others\|.*others/, 'with the reason');
$broker->trouble('topic others 0');
is(wait_acked($held, 'NULL', "'120 s'"), 'acked', 'it takes it, while somebody waits');

# an event that a redrive made, and that waits: the transaction is not acknowledged
$node->sql('ALTER TABLE other ALTER version DROP NOT NULL');
$broker->trouble('topic others 3');
$node->sql("SELECT outbox.stop_relay()");
$node->poll_until("SELECT state = 'stopped' FROM outbox.relay_status");
my $redriven = transaction('INSERT INTO other VALUES (11, NULL)');
$node->sql('UPDATE other SET version = 1 WHERE id = 11');
is($node->sql('SELECT outbox.redrive()'), '1', 'redriven');
$node->sql('SELECT outbox.start_relay()');
$node->poll_until("SELECT count(*) FROM outbox.held_events", '2');
is(state_of($redriven), 'kafka held 1 0', 'the event that it was redriven to is held');
$broker->trouble('topic others 0');
$node->reload;
is(wait_acked($redriven, 'NULL', "'120 s'"), 'acked', 'and published');
like(error_of("SELECT outbox.wait_acked('0', NULL, '0')"), qr/^$/, 'no transaction at all is no transaction of ours');

# bad input
like(error_of("BEGIN; SELECT outbox.wait_acked(outbox.tx_id());"), qr/25001: transaction \d+ has not ended.*HINT:\s+\QCall outbox.wait_acked() after COMMIT.\E/s, 'its own transaction');
like(error_of("SELECT outbox.wait_acked('$first', 'nobody')"), qr/42704: sink "nobody" does not exist.*HINT:\s+\QSELECT name FROM outbox.sinks; shows the sinks there are.\E/s, 'no such sink');
like(error_of("SELECT * FROM outbox.tx_status('$first', 'nobody')"), qr/42704/, 'no such sink');
like(error_of("SELECT * FROM outbox.event_status(gen_random_uuid(), 'nobody')"), qr/42704/, 'no such sink');
like(error_of('SELECT * FROM outbox.tx_status(NULL)'), qr/22004: xid must not be null.*HINT:\s+\Qoutbox.tx_id() returns it, called in the transaction itself.\E/s, 'no transaction');
like(error_of("SELECT outbox.wait_acked('$first', NULL, NULL)"), qr/22004: timeout must not be null.*HINT:\s+\QIt is an interval: '2 s'.\E/s, 'no timeout');
like(error_of("SELECT outbox.wait_acked('$first', NULL, '$_')"), qr/22023: timeout must be between.*HINT:\s+\QWait for some seconds, and ask again with outbox.tx_status().\E/s, "timeout $_") for '-1 s', '1 day', '1 month', '61 min';
like(error_of("SELECT * FROM outbox.tx_status('9000000000000')"), qr/22023: .*future/, 'a transaction of the future');

# the events themselves
my $event = $node->sql('SELECT id FROM outbox.event ORDER BY seq LIMIT 1');
is($node->sql("SELECT sink, state, topic, seq > 0, reason FROM outbox.event_status('$event')"), 'kafka|acked|items|t|', 'an event');
is($node->sql('SELECT count(*) FROM outbox.event_status(gen_random_uuid())'), '0', 'one that never was');
is($node->sql('SELECT count(*) FROM outbox.event_status(NULL)'), '0', 'and none');

# a position that is older than the transaction: after a crash nothing is known but what is on disk
$node->sql('SELECT outbox.stop_relay()');
$node->poll_until("SELECT state = 'stopped' FROM outbox.relay_status");
my $late = transaction('INSERT INTO item VALUES (8, 1)');
$node->kill9;
$node->start_again;
is(state_of($late), 'kafka pending 0 0', 'after a crash');
is(state_of($first), 'kafka acked 0 0', 'after a crash');
$node->sql('SELECT outbox.start_relay()');
is(wait_acked($late, 'NULL', "'60 s'"), 'acked', 'after a crash');

# many at a time
my ($clients, $transactions) = (1000, 2);
my $script = $node->basedir . '/waiters.sql';
append_to_file($script, <<'SQL');
\set id random(1000, 2000000000)
BEGIN;
INSERT INTO other VALUES (:id, 1) ON CONFLICT DO NOTHING;
SELECT outbox.tx_id() AS xid \gset
COMMIT;
SELECT 1 / (outbox.wait_acked(':xid', NULL, '120 s') = 'acked')::int AS acked;
SQL
$node->command_ok([ 'pgbench', '-n', '-c', $clients, '-j', 4, '-t', $transactions, '-M', 'simple', '-f', $script, 'postgres' ], "$clients clients wait for their transactions");
my %keys = map { ($_->{key} => 1) } @{ $node->consume($broker, 'others') };
is(scalar(keys %keys), $node->sql('SELECT count(*) FROM other'), 'and the broker has all of them');

done_testing();
