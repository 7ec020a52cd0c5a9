# The server is killed at each step of the life of a leaf, before the step is written and before it is committed: nothing is
# lost or invented, the order per key is kept, writers wait for nobody, and the next keeper goes on where the last one ended.
use strict;
use warnings;

use Test::More;

use OutboxCluster;
use OutboxFault;

my $node = OutboxCluster->create('leaves', conf => $OutboxFault::CONF . <<'CONF');
outbox.leaf_size = '64kB'
outbox.retention = 0
autovacuum = off
wal_writer_delay = 10s
CONF
my $fault = OutboxFault->new($node, 'fault')->start;
OutboxFault::remember($node);

# Holds the keeper where it gives a leaf the state that is asked for: right after the row is changed, or when it commits,
# which for a leaf that is emptied is before and after the storage is gone.
$node->sql(<<'SQL');
CREATE TABLE public.stop_at (state text, at_commit boolean);
CREATE FUNCTION public.stop() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	WHILE EXISTS (SELECT FROM public.stop_at s WHERE s.state = NEW.state AND s.at_commit = TG_ARGV[0]::boolean) LOOP
		PERFORM pg_sleep(0.02);
	END LOOP;
	RETURN NULL;
END$$;
CREATE TRIGGER stop AFTER UPDATE ON outbox_internal.leaf FOR EACH ROW EXECUTE FUNCTION public.stop('false');
CREATE CONSTRAINT TRIGGER stop_at_commit AFTER UPDATE ON outbox_internal.leaf DEFERRABLE INITIALLY DEFERRED
	FOR EACH ROW EXECUTE FUNCTION public.stop('true');
SQL

my $round = 0;
my %victims = (
	'the relay' => sub {
		my ($pid) = @_;
		kill 'KILL', $pid or die "could not kill $pid: $!";
		$node->wait_for_recovery($pid);
	},
	'the server' => sub { $node->stop('immediate'); $node->start });

for my $state (qw(closing current frozen acked retained empty))
{
	for my $at_commit ('false', 'true')
	{
		my $who = (sort keys %victims)[$round++ % 2];
		my $what = "$state, " . ($at_commit eq 'true' ? 'not committed' : 'just written') . ", killing $who";
		my $relay = "FROM pg_stat_activity WHERE backend_type LIKE 'outbox relay%'";

		$node->sql("INSERT INTO public.stop_at VALUES ('$state', $at_commit)");
		$node->sql("BEGIN; SELECT change(1000 + $round, 2); PREPARE TRANSACTION 'pending'") if $state eq 'empty';
		# several leaves, as long as the keeper goes on
		for (1 .. 40)
		{
			$node->sql('DO $$BEGIN FOR i IN 1..10 LOOP PERFORM change(i, 30); COMMIT; END LOOP; END$$');
			last if $node->sql("SELECT count(*) $relay AND wait_event = 'PgSleep'");
		}
		$node->poll_until("SELECT count(*) $relay AND wait_event = 'PgSleep'", 1);
		my $pid = $node->sql("SELECT pid $relay");
		$node->sql("SET statement_timeout = '20s'; SET synchronous_commit = off; SELECT change(i, 5) FROM generate_series(1, 10) i");
		pass("$what: writers go on while the keeper is held");

		$victims{$who}->($pid);
		$node->sql('DELETE FROM public.stop_at');
		$node->sql("COMMIT PREPARED 'pending'") if $state eq 'empty';
		$fault->wait_acked;
		$fault->check_written($what);
	}
}
$node->sql('SELECT change(i, 100) FROM generate_series(1, 20) i');
$fault->wait_acked;
$node->poll_until("SELECT count(*) FILTER (WHERE state NOT IN ('empty', 'current')) = 0 FROM outbox.leaf");
is($node->sql("SELECT count(*) FROM outbox.leaf WHERE state = 'current'"), 1, 'in the end one leaf is written to, the others are empty');
is($node->sql("SELECT max(republished) FROM outbox.leaf"), 0, 'and no count disagreed');
unlike(PostgreSQL::Test::Utils::slurp_file($node->logfile), qr/acknowledged all events|could not look after/, 'nor did the keeper complain');

$node->stop;
done_testing();
