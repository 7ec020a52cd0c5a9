# Transaction ids of 32 bits begin again, and the epoch changes, with transactions open and prepared, leaves being switched
# and emptied, and relays killed: nothing is lost, the order per key is kept, and no whole leaf is looked through for it.
use strict;
use warnings;

use Test::More;

use OutboxCluster;
use OutboxFault;

my $WRAP = 4294967296;
my $node = OutboxCluster->create('wraparound', start => 0, conf => $OutboxFault::CONF . <<'CONF');
outbox.leaf_size = '64kB'
outbox.retention = 0
outbox.ring_size = 1024
autovacuum = off
CONF

# As an old cluster has: the next transaction id, its place in the commit log, and nothing left to freeze.
sub set_next_xid
{
	my ($xid) = @_;
	my $segment = sprintf '%s/pg_xact/%04X', $node->data_dir, $xid / (8192 * 4 * 32);

	$node->command_ok([ 'pg_resetwal', '-x', $xid, $node->data_dir ], "the next transaction id is $xid");
	PostgreSQL::Test::Utils::append_to_file($segment, "\0" x (8192 * 32)) unless -e $segment;
	$node->start;
	$node->command_ok([ 'vacuumdb', '--all', '--freeze', '--quiet', '-h', $node->host, '-p', $node->port ], 'nothing is older');
	return;
}

sub next_xid
{
	return $node->sql('SELECT pg_snapshot_xmax(pg_current_snapshot())');
}

# Uses up transaction ids, with subtransactions: more than a snapshot lists.
sub advance
{
	my ($upto) = @_;

	while ((my $n = $upto - next_xid()) > 0)
	{
		$node->sql(<<"SQL");
DO \$\$BEGIN
	FOR i IN 1 .. least($n, 900) LOOP
		BEGIN INSERT INTO public.burnt VALUES (i); EXCEPTION WHEN others THEN RAISE; END;
	END LOOP;
END\$\$
SQL
	}
	return;
}

for my $xid (1500000000, 3000000000, $WRAP - 2500)
{
	set_next_xid($xid);
	$node->stop if $xid < $WRAP - 2500;
}
$node->sql('CREATE EXTENSION outbox_ext; CREATE TABLE burnt (i int)');
my $fault = OutboxFault->new($node, 'fault')->start;
OutboxFault::remember($node);
$node->sql('SELECT change(i, 3) FROM generate_series(1, 20) i');
$fault->wait_acked;
cmp_ok(next_xid(), '<', $WRAP, 'events before the ids begin again');

# ---- over the end, with transactions that began before it ----
$node->sql("BEGIN; SELECT change(101, 5); PREPARE TRANSACTION 'before'");
my $open = $node->background_psql('postgres');
$open->query_safe('BEGIN; SELECT change(102, 5)');
my $reader = $node->background_psql('postgres');
$reader->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT pg_current_xact_id()');
for my $round (1 .. 6)
{
	advance($WRAP - 2400 + 600 * $round);
	$node->sql('DO $$BEGIN FOR i IN 1 .. 20 LOOP PERFORM change(i, 20); COMMIT; END LOOP; END$$');
	$node->sql("BEGIN; SELECT change(200 + $round, 5); PREPARE TRANSACTION 'round $round'");
	$fault->control(down => 1) if $round == 3;
	$fault->stop, $fault->control(), $fault->start if $round == 5;
}
cmp_ok(next_xid(), '>', $WRAP, 'the ids have begun again');
$fault->wait_acked;
$fault->check_written('what committed at once');

$open->query_safe('SAVEPOINT s; SELECT change(102, 5); RELEASE s; COMMIT');
$reader->query_safe('SELECT change(103, 5); COMMIT');
$_->quit for $open, $reader;
$fault->wait_acked;
$fault->check_written('and what began before');
$node->kill_relay('fault');
$node->sql("COMMIT PREPARED 'before'");
$node->sql("COMMIT PREPARED 'round $_'") for 1 .. 5;
$node->sql("ROLLBACK PREPARED 'round 6'");
$fault->wait_acked;
$fault->check_written('and what was prepared before, and over a crash');
$node->poll_until("SELECT count(*) FILTER (WHERE state NOT IN ('empty', 'current')) = 0 AND max(leaf_generation) > 1 FROM outbox.leaf");
pass('leaves are emptied');

# ---- nothing is wasted ----
my $scans = $node->sql("SELECT scans FROM outbox_internal.relay_report()");
for (1 .. 20)
{
	$node->sql('SELECT change(7)');
	$fault->wait_acked;
}
is($node->sql("SELECT scans FROM outbox_internal.relay_report()"), $scans, 'hints are enough');

# ---- a later epoch, with a backlog and a prepared transaction ----
$fault->stop;
$node->sql('SELECT change(i, 3) FROM generate_series(1, 20) i');
$node->stop;
$node->command_ok([ 'pg_resetwal', '-e', 7, $node->data_dir ], 'the epoch is 7');
$node->start;
cmp_ok(next_xid(), '>', 7 * $WRAP, 'and the ids are far ahead');
$node->sql('SELECT change(i, 3) FROM generate_series(1, 20) i');
$fault->start;
$fault->wait_acked;
$fault->check_written('after a change of the epoch');
$node->sql('DO $$BEGIN FOR i IN 1 .. 20 LOOP PERFORM change(i, 100); COMMIT; END LOOP; END$$');
$fault->wait_acked;
$node->poll_until("SELECT count(*) FILTER (WHERE state NOT IN ('empty', 'current')) = 0 FROM outbox.leaf");
is($node->sql('SELECT max(republished) FROM outbox.leaf'), 0, 'and the counts of all leaves agree');
unlike(PostgreSQL::Test::Utils::slurp_file($node->logfile), qr/acknowledged all events|could not look after|is void/,
	'nobody complains');

$node->stop;
done_testing();
