# At each step of publishing, each kind of process is killed with -9, and the server is shut down immediately, with a
# prepared transaction pending and asynchronous commits: nothing is lost or invented, order is kept, and what is
# repeated is what the crash matrix of src/relay/README.md says.
use strict;
use warnings;

use Test::More;

use OutboxCluster;
use OutboxFault;

my $node = OutboxCluster->create('points', conf => $OutboxFault::CONF . "wal_writer_delay = 10s\nautovacuum = off\n");
my $fault = OutboxFault->new($node, 'fault')->start;
my $append = 'SELECT change(i, 4) FROM generate_series(1, 10) i';

# What the control file says, or what is done, to stop the relay there; what has reached the broker by then.
my @points = (
	# a lock that no writer may be beside: its transaction is the pending one
	[ 'before reading', { obstacle => "$append; LOCK TABLE outbox.event IN ACCESS EXCLUSIVE MODE", delivered => 0 } ],
	[ 'after reading', { stop => 'publish', delivered => 0 } ],
	[ 'handed over', { stop => 'taken', delivered => 0 } ],
	[ 'half delivered', { stop => 'deliver', delivered => 20 } ],
	[ 'delivered, not reported', { stop => 'acked', delivered => 40 } ],
	[ 'acknowledged, position not written', { stop => 'shutdown', retry_after => 30, delivered => 30 } ],
	[ 'writing the position', { obstacle => 'SELECT FROM outbox.relay_progress FOR UPDATE', delivered => 40 } ],
);
my @victims = (
	[ 'the relay', sub { kill_process($_[0]) } ],
	[ 'the launcher', sub { kill_process(pid_of("backend_type = 'outbox launcher'")) } ],
	[ 'a backend', sub { kill_process(pid_of("query LIKE '%victim%'")) } ],
	[ 'the postmaster', sub { $node->kill9; $node->start_again } ],
	[ 'the server, by an immediate shutdown', sub { $node->stop('immediate'); $node->start } ],
);

sub pid_of
{
	my ($condition) = @_;
	my $query = "SELECT pid FROM pg_stat_activity WHERE $condition AND pid <> pg_backend_pid()";

	$node->poll_until("SELECT count(*) FROM ($query) p", 1);
	return $node->sql($query);
}

sub kill_process
{
	my ($pid) = @_;
	kill 'KILL', $pid or die "could not kill $pid: $!";
	$node->wait_for_recovery($pid);
	return;
}

sub deliveries
{
	return scalar(@{ $fault->deliveries });
}

# Stops the relay at a point, with 40 events on their way. Returns its process id.
sub arrive
{
	my ($at) = @_;
	my $pid;

	# the first message of a process goes alone; what follows is handed over at once
	$fault->append('first', 1);
	$fault->wait_published;
	$fault->control(map { $_ => $at->{$_} } grep { exists $at->{$_} } qw(stop retry_after));
	$node->sql("BEGIN; $at->{obstacle}; PREPARE TRANSACTION 'obstacle'") if $at->{obstacle};
	$node->sql("SET synchronous_commit = off; $append") unless ($at->{obstacle} // '') =~ /change/;
	$pid = $fault->pid;
	$node->poll_until("SELECT " . ($at->{stop} ? "query = 'stopped at $at->{stop}'" : "wait_event_type = 'Lock'") .
		" FROM pg_stat_activity WHERE pid = $pid");
	return $pid;
}

my ($round, $repeated) = (0, 0);
for my $victim (@victims)
{
	for my $point (@points)
	{
		my ($who, $kill) = @$victim;
		my ($where, $at) = @$point;
		my $what = "$where, killing $who";
		my $key = 1000 + ++$round;
		my $psql = IPC::Run::start([ 'psql', '-X', '-h', $node->host, '-p', $node->port, '-c', 'SELECT 1 AS victim, pg_sleep(100)', 'postgres' ],
			'<', \undef, '>', \my $out, '2>', \my $err);

		my $pending = ($at->{obstacle} // '') !~ /EXCLUSIVE/;
		$node->sql("BEGIN; SELECT change($key, 2); PREPARE TRANSACTION 'pending'") if $pending;
		$fault->wait_state('running');
		my $before = deliveries() + 1;
		my $pid = arrive($at);
		is(deliveries() - $before, $at->{delivered}, "$what: what has reached the broker");

		$kill->($pid);
		eval { $psql->finish };
		$fault->control;
		$node->sql("COMMIT PREPARED 'obstacle'") if $at->{obstacle};
		$node->sql("COMMIT PREPARED 'pending'") if $pending;
		$fault->wait_published;
		my $now = $fault->check($what);
		is($now - $repeated, $at->{delivered}, "$what: exactly that is repeated");
		$repeated = $now;
	}
}

$node->stop;
done_testing();
