# An interrupt reaches whom it is meant for: a termination or a user's cancel during an evaluation ends what the user
# ends, a cancel of our own timer nothing but the evaluation. A commit waits for its synchronous standby all the same.
use strict;
use warnings;

use OutboxCluster;
use Test::More;

my $node = OutboxCluster->create('interrupts');

$node->sql(<<'SQL');
CREATE FUNCTION wait(mode text) RETURNS text STABLE LANGUAGE plpgsql AS $$
BEGIN
	IF mode = 'wait' THEN PERFORM pg_sleep(1000); END IF;
	RETURN mode;
END $$;
CREATE TABLE r (id int PRIMARY KEY, mode text);
CREATE TABLE c (id int PRIMARY KEY, mode text, n int);
CREATE VIEW r_v AS SELECT id, wait(mode) AS mode FROM r;
CREATE VIEW c_v AS SELECT id, wait(mode) AS mode, n FROM c;
SELECT outbox.create_contract('r', view => 'r_v', source => 'r', key => '{id}');
SELECT outbox.create_contract('c', view => 'c_v', source => 'c', key => '{id}', evaluate => 'commit');
SELECT outbox.create_event_type('R', contract => 'r', emit => 'created');
SELECT outbox.create_event_type('C', contract => 'c', emit => 'created');
SELECT outbox.enable('r'), outbox.enable('c');
SQL

# Sends SQL in a session of its own; returns the session and its process id when it has come to a wait event.
sub session_at
{
	my ($event, $sql) = @_;
	my $session = $node->background_psql('postgres', on_error_stop => 0);
	my $pid = $session->query_safe('SELECT pg_backend_pid()');

	$session->query_until(qr/sent/, "\\echo sent\n$sql;\n");
	# what is over will not come to a wait any more
	$node->poll_until("SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $pid AND wait_event IS DISTINCT FROM '$event' AND NOT (state = 'idle' AND query ~ 'INSERT')");
	return ($session, $pid);
}

sub is_gone
{
	my ($session, $pid) = @_;
	$node->poll_until("SELECT count(*) FROM pg_stat_activity WHERE pid = $pid", 0);
	eval { $session->quit };
	return;
}

# ---- somebody ends the session, or the statement, while a row is evaluated ----
foreach my $case ([ 'per row', 'r', "'wait'" ], [ 'at commit', 'c', "'wait', 1" ])
{
	my ($what, $table, $values) = @$case;

	foreach my $by (qw(pg_terminate_backend pg_cancel_backend))
	{
		my ($session, $pid) = session_at('PgSleep', "SET outbox.flush_timeout = '600s'; INSERT INTO $table VALUES (1, $values)");

		is($node->sql("SELECT wait_event FROM pg_stat_activity WHERE pid = $pid"), 'PgSleep', "$what: a session evaluates");
		$node->sql("SELECT $by($pid)");
		if ($by eq 'pg_cancel_backend')
		{
			$node->poll_until("SELECT state FROM pg_stat_activity WHERE pid = $pid", 'idle');
			is(scalar($session->query('SELECT pg_backend_pid()')), $pid, "$what: $by leaves the session");
			like($session->{stderr}, qr/^\S+ ERROR:  canceling statement due to user request\n/, "$what: $by is what the user reads");
			$session->quit;
		}
		else
		{
			is_gone($session, $pid);
		}
		is($node->sql("SELECT (SELECT count(*) FROM $table), (SELECT count(*) FROM outbox.dead_letter)"), '0|0',
			"$what: $by ends the write, and makes no dead letter of it");
	}
}

# ---- our timer runs out, and the commit still waits for a standby that is not there ----
sub use_standby
{
	my ($name) = @_;
	$node->append_conf('postgresql.conf', "synchronous_standby_names = '$name'");
	$node->reload;
	$node->poll_until('SHOW synchronous_standby_names', $name);
	return;
}

# Nothing in the condition looks for interrupts, and it takes far longer than the timer: the cancel comes too late for
# the evaluation. numeric computes in one go.
my $long = join ' AND ', map { "(10::numeric ^ 60000 - new.n) * (10::numeric ^ 60000 - new.n - $_) <> $_" } 1 .. 8;
$node->sql("SELECT outbox.create_event_type('Long', contract => 'c', emit => 'created', condition => \$\$new.n = 7 AND $long\$\$)");

foreach my $case (
	[ 'a cancel of ours that is seen', "2, 'wait', 1", 'SELECT count(*) = 1 FROM outbox.dead_letter WHERE stage = $$flush$$' ],
	[ 'a cancel of ours that nobody sees', "3, 'none', 7", 'SELECT count(*) = 2 FROM outbox.event WHERE aggregateid = $$3$$' ])
{
	my ($what, $values, $outcome) = @$case;

	use_standby('nobody');
	my ($session, $pid) = session_at('SyncRep', "SET outbox.flush_timeout = '100ms'; INSERT INTO c VALUES ($values)");
	is($node->sql("SELECT wait_event FROM pg_stat_activity WHERE pid = $pid"), 'SyncRep', "$what: the commit waits for the standby");
	use_standby('');
	$node->poll_until("SELECT state FROM pg_stat_activity WHERE pid = $pid", 'idle');
	is(scalar($session->query('SELECT pg_backend_pid()')), $pid, "$what: and ends when it need not wait");
	is($session->{stderr}, '', "$what: without a word to the session");
	is($node->sql($outcome), 't', "$what: the outcome is in the same transaction");
	$session->quit;
}

$node->stop;
done_testing();
