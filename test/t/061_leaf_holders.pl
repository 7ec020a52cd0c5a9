# What may keep a leaf from being frozen or emptied, does; nothing else; and no event is lost meanwhile:
# open, prepared and old transactions, savepoints, readers, a dump, a standby, sinks that are slow, stopped or new.
use strict;
use warnings;

use Test::More;

use OutboxCluster;
use OutboxFault;

my $node = OutboxCluster->create('holders', start => 0, conf => $OutboxFault::CONF . <<'CONF');
outbox.leaf_size = '64kB'
outbox.retention = -1
max_wal_senders = 5
CONF
$node->append_conf('pg_hba.conf', 'local replication all trust');
$node->start;
$node->sql('CREATE EXTENSION outbox_ext');
my $fault = OutboxFault->new($node, 'fault')->start;
OutboxFault::remember($node);

sub set
{
	my ($setting) = @_;
	$node->append_conf('postgresql.conf', $setting);
	$node->reload;
	return;
}

sub current_leaf
{
	return $node->sql("SELECT leaf FROM outbox.leaf WHERE state = 'current'");
}

# Fills the current leaf, and returns its number when writers use another one.
sub switch
{
	my ($leaf, $generation) = split /\|/, $node->sql("SELECT leaf, leaf_generation FROM outbox.leaf WHERE state = 'current'");
	$node->sql('SELECT change(0, 600)');
	$node->poll_until("SELECT leaf <> $leaf FROM outbox.leaf WHERE state = 'current'");
	return $leaf;
}

# The leaf that somebody wrote to, when it is not the current one any more. What was written may itself have
# been enough for a switch, so that the current leaf does not tell.
sub held_leaf
{
	my ($holder) = @_;
	my $leaf = $node->sql("SELECT min(l.leaf) FROM pg_locks k JOIN outbox.leaf l ON l.relation = k.relation
		WHERE k.mode = 'RowExclusiveLock' AND $holder");
	$leaf =~ /^\d+$/ or die "nobody holds a leaf: $holder";
	switch() if $node->sql("SELECT state FROM outbox.leaf WHERE leaf = $leaf") eq 'current';
	return $leaf;
}

sub wait_leaf
{
	my ($leaf, $state) = @_;
	$node->poll_until("SELECT state FROM outbox.leaf WHERE leaf = $leaf", $state);
	return;
}

sub state_of
{
	my ($leaf) = @_;
	return $node->sql("SELECT state FROM outbox.leaf WHERE leaf = $leaf");
}

# The keeper has had time: a leaf that was filled later is frozen.
sub keeper_passes
{
	my $leaf = switch();
	$node->poll_until("SELECT state IN ('frozen', 'acked', 'retained', 'empty') FROM outbox.leaf WHERE leaf = $leaf");
	return;
}

# ---- a transaction that began before the switch, with a snapshot from before it, goes on in a leaf it has never heard of ----
my $old = $node->background_psql('postgres');
my $pid = $old->query_safe('SELECT pg_backend_pid()');
is($node->sql('SELECT count(*) FROM outbox.leaf'), 1, 'there is one leaf');
$old->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT change(1, 1000)');
my $first = held_leaf("k.pid = $pid");
cmp_ok($node->sql('SELECT count(*) FROM outbox.leaf'), '>', 1, 'the next leaf was created after the transaction had begun');
keeper_passes();
is(state_of($first), 'closing', 'an open transaction keeps the leaf that it wrote to from being frozen');
is($node->sql("SELECT blocking_pid FROM outbox.leaf_status WHERE leaf = $first"), $pid, 'leaf_status says which');
$old->query_safe('SELECT change(1, 1000)');
$fault->wait_acked;
$old->query_safe('COMMIT');
wait_leaf($first, 'retained');
$fault->wait_acked;
$fault->check_written('REPEATABLE READ over a switch');
is($node->sql("SELECT events FROM outbox.leaf WHERE leaf = $first"), $node->sql("SELECT count(*) FROM outbox_internal.event_$first"),
	'the count of a frozen leaf is that of its events');

# ---- a snapshot from before the switch, and the first write after it ----
$old->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM outbox.leaf');
my $before = switch();
wait_leaf($before, 'retained');
$old->query_safe('SELECT change(2, 1000); COMMIT');
$fault->wait_acked;
$fault->check_written('an old snapshot');

# ---- a savepoint that is rolled back does not give the leaf away, and what follows it counts ----
$old->query_safe('BEGIN; SAVEPOINT s; SELECT change(3, 1000); ROLLBACK TO s');
my $rolled = held_leaf("k.pid = $pid");
keeper_passes();
is(state_of($rolled), 'closing', 'the lock of a savepoint that was rolled back stays');
$old->query_safe('SELECT change(3, 10); COMMIT');
wait_leaf($rolled, 'retained');
$fault->wait_acked;
$fault->check_written('a savepoint over a switch');

# ---- an idle transaction that wrote nothing, and one that is rolled back ----
$old->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT pg_current_xact_id()');
wait_leaf(switch(), 'retained');
pass('a transaction that wrote no event keeps nothing');
$old->query_safe('SELECT change(4, 1000); ROLLBACK');
wait_leaf(switch(), 'retained');

# ---- prepared, over a switch and restarts ----
$node->sql("BEGIN; SELECT change(5, 1000); PREPARE TRANSACTION 'over a switch'");
my $prepared = held_leaf('k.pid IS NULL');
keeper_passes();
is(state_of($prepared), 'closing', 'a prepared transaction keeps its leaf from being frozen');
is($node->sql("SELECT blocking FROM outbox.leaf_status WHERE leaf = $prepared"), "prepared transaction 'over a switch'", 'leaf_status names it');
$old->quit;
$node->restart;
$fault->wait_state('running');
keeper_passes();
is(state_of($prepared), 'closing', 'over a restart, too');
$node->stop('immediate');
$node->start;
$fault->wait_state('running');
keeper_passes();
is(state_of($prepared), 'closing', 'and over a crash');
$node->sql("COMMIT PREPARED 'over a switch'");
wait_leaf($prepared, 'retained');
$fault->wait_acked;
$fault->check_written('a prepared transaction over a switch and restarts');

# ---- who reads a leaf keeps it from being emptied, and is named; a write waits for neither ----
my $reader = $node->background_psql('postgres');
$reader->query_safe("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM outbox_internal.event_$first");
$pid = $reader->query_safe('SELECT pg_backend_pid()');
set('outbox.retention = 0');
wait_leaf($before, 'empty');
keeper_passes();
is(state_of($first), 'retained', 'a leaf that somebody reads is not emptied');
is($node->sql("SELECT blocking_pid FROM outbox.leaf_status WHERE leaf = $first"), $pid, 'leaf_status says who');
$reader->query_safe('COMMIT');
$node->poll_until("SELECT leaf_generation > 1 FROM outbox.leaf WHERE leaf = $first");
$fault->wait_acked;
$fault->check_written('leaves that were emptied');

# ---- dumps one after the other, while leaves come and go ----
my $writer = $fault->write_in_background("\\set k random(1, 20)\nSELECT change(:k, 10);\n", '-c', 3, '-R', 200, '-T', 8);
my $failed = 0;
my $rows = 0;
for (1 .. 8)
{
	my ($out, $err);
	IPC::Run::run([ 'pg_dump', '-h', $node->host, '-p', $node->port, 'postgres' ], '>', \$out, '2>', \$err) or $failed++;
	$rows += () = $out =~ /COPY outbox\.event(?:_\d+)? /g;
}
$writer->finish;
is($failed, 0, 'dumps succeed while leaves come and go');
is($rows, 0, 'and have no rows of the outbox');
$fault->wait_acked;
$fault->check_written('dumps under load');

# ---- a standby with feedback whose reader is old ----
$node->backup('base');
my $standby = OutboxCluster->new('holders_standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->append_conf('postgresql.conf', "hot_standby_feedback = on\nmax_standby_streaming_delay = -1\n");
$standby->start;
$node->wait_for_catchup($standby);
my $far = $standby->background_psql('postgres');
$far->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM written');
$node->poll_until('SELECT backend_xmin IS NOT NULL FROM pg_stat_replication');
my $uses = $node->sql('SELECT sum(leaf_generation) FROM outbox.leaf');
switch() for 1 .. 3;
$node->poll_until("SELECT sum(leaf_generation) > $uses FROM outbox.leaf");
pass('feedback of a standby does not hold up the leaves');
$far->query_safe('COMMIT');
$far->quit;
$node->wait_for_catchup($standby);
is($standby->sql('SELECT count(*) > 0 FROM outbox.leaf_status'), 't', 'the leaves can be looked at on a standby');
$standby->stop;

# ---- sinks: slow, stopped, paused, new, dropped ----
my $slow = OutboxFault->new($node, 'slow')->start;
OutboxFault::remember($node);
$slow->control(down => 1);
$slow->wait_state('backoff');
my $held = switch();
wait_leaf($held, 'frozen');
$fault->wait_acked;
keeper_passes();
is(state_of($held), 'frozen', 'a sink that is behind holds the leaf');
is($node->sql("SELECT waits_for FROM outbox.leaf_status WHERE leaf = $held"), '{slow}', 'leaf_status says which');
$slow->stop;
keeper_passes();
is(state_of($held), 'frozen', 'so does one that is stopped');
like($node->sql("SELECT advice FROM outbox.status WHERE kind = 'sink' AND name = 'slow'"), qr/start_relay.* It holds \d+ kB of events since 20/,
	'status says how much');
set("outbox.retention = '1h'");
$slow->control();
$slow->start;
wait_leaf($held, 'retained');
pass('when it catches up, the leaf goes on');

my $retained = $node->sql("SELECT count(*) FROM outbox.leaf WHERE state = 'retained'");
my $kept = $node->sql('SELECT count(*) FROM outbox.event');
my $new = OutboxFault->new($node, 'new');
OutboxFault::remember($node);
set('outbox.retention = 0');
keeper_passes();
is(state_of($held), 'retained', 'a new sink that starts at the earliest event holds what is retained');
like($node->sql("SELECT waits_for FROM outbox.leaf_status WHERE leaf = $held"), qr/new/, 'leaf_status says so');
$new->start;
$node->poll_until("SELECT leaf_generation > 1 AND state <> 'retained' FROM outbox.leaf WHERE leaf = $held");
cmp_ok(scalar(@{ $new->deliveries }), '>=', $kept, 'and gets it');

$_->stop for $new, $slow;
$held = switch();
keeper_passes();
is(state_of($held), 'frozen', 'stopped sinks hold a leaf');
$node->sql("SELECT outbox.drop_sink('slow'); SELECT outbox.drop_sink('new')");
$node->poll_until("SELECT leaf_generation > 1 AND state <> 'frozen' FROM outbox.leaf WHERE leaf = $held");
pass('until they are dropped');
$fault->wait_acked;
$fault->check_written('everything together');

unlike(PostgreSQL::Test::Utils::slurp_file($node->logfile), qr/could not look after|acknowledged all events|written to after/,
	'the keeper found nothing wrong');
$node->stop;
done_testing();
