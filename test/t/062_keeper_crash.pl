# kill -9 of the keeper in the middle of each of its steps, and a crash of the server in some: what the table says is
# what writers follow, nothing is lost, and the leaf goes on from where it was.
use strict;
use warnings;

use Test::More;

use OutboxCluster;
use OutboxFault;

my $node = OutboxCluster->create('keeper', conf => $OutboxFault::CONF . <<'CONF');
outbox.leaf_size = '64kB'
outbox.retention = 0
CONF
my $fault = OutboxFault->new($node, 'fault')->start;
OutboxFault::remember($node);

# Whoever takes a leaf to a state that is held waits there, in the middle of his transaction or when it is about to
# commit and all else is done; pg_stat_activity shows it.
$node->sql(<<'SQL');
CREATE TABLE held (state text);
CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql SET lock_timeout = 0 AS $$
BEGIN
	WHILE EXISTS (SELECT FROM public.held WHERE state = TG_ARGV[0] || NEW.state) LOOP
		PERFORM set_config('application_name', 'held at ' || TG_ARGV[0] || NEW.state, false);
		PERFORM pg_sleep(0.02);
	END LOOP;
	RETURN NULL;
END $$;
CREATE TRIGGER hold AFTER INSERT OR UPDATE OF state ON outbox_internal.leaf FOR EACH ROW EXECUTE FUNCTION hold('');
CREATE CONSTRAINT TRIGGER hold_late AFTER INSERT OR UPDATE OF state ON outbox_internal.leaf DEFERRABLE INITIALLY DEFERRED
	FOR EACH ROW EXECUTE FUNCTION hold('commit of ');
SQL

my $writer;
my $script = <<'PGBENCH';
\set k random(1, 20)
BEGIN;
SELECT change(:k, 20);
SELECT change(:k, 5);
COMMIT;
PGBENCH

# The keeper in its transaction, waiting at this state.
sub wait_held
{
	my ($state) = @_;
	$node->poll_until("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'held at $state'", 1);
	return $node->sql("SELECT pid FROM pg_stat_activity WHERE application_name = 'held at $state'");
}

for my $state (qw(closing current frozen acked retained empty), 'commit of current', 'commit of empty')
{
	$node->sql("INSERT INTO held VALUES ('$state')");
	$writer = $fault->write_in_background($script, '-c', 3, '-R', 120, '-T', 60);
	my $pid = wait_held($state);
	my $written = $node->sql('SELECT sum(n) FROM written');

	$node->poll_until("SELECT sum(n) > $written + 100 FROM written");
	pass("writers go on while the keeper is held on the way to $state");
	kill 'KILL', $pid or die "could not kill $pid: $!";
	eval { $writer->finish };
	$node->wait_for_recovery($pid);
	$node->sql('DELETE FROM held');
	is($node->sql("SELECT count(*) FROM outbox.leaf WHERE state = 'current'"), 1, 'one leaf is current');
	$fault->wait_state('running');
	my $uses = $node->sql('SELECT sum(leaf_generation) FROM outbox.leaf');
	$writer = $fault->write_in_background($script, '-c', 3, '-R', 120, '-T', 60);
	$node->poll_until("SELECT sum(leaf_generation) > $uses + 2 FROM outbox.leaf");
	$writer->kill_kill;
	$node->poll_until("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgbench'", 0);
	$fault->wait_acked;
	$fault->check_written("kill -9 of the keeper on the way to $state");
}

# ---- at any moment, and the whole server ----
for my $round (1 .. 6)
{
	my $uses = $node->sql('SELECT sum(leaf_generation) FROM outbox.leaf');

	$writer = $fault->write_in_background($script, '-c', 4, '-R', 150, '-T', 60);
	$node->poll_until("SELECT sum(leaf_generation) > $uses + $round % 3 FROM outbox.leaf");
	if ($round % 3 == 0)
	{
		$node->stop('immediate');
		eval { $writer->finish };
		$node->start;
	}
	else
	{
		my $pid = $fault->pid;
		kill 'KILL', $pid or die "could not kill $pid: $!";
		eval { $writer->finish };
		$node->wait_for_recovery($pid);
	}
}
$fault->wait_acked;
my $repeated = $fault->check_written('kill -9 at any moment');
note("$repeated deliveries were repeated");
$node->poll_until("SELECT count(*) FROM outbox.leaf WHERE state NOT IN ('empty', 'current')", 0);
pass('every leaf was emptied');
my $log = PostgreSQL::Test::Utils::slurp_file($node->logfile);
unlike($log, qr/acknowledged all events|written to after|PANIC|TRAP/, 'and the counts of leaf and sink agreed each time');

$node->stop;
done_testing();
