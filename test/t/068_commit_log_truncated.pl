# A backlog may be older than the commit log: whatever the server has forgotten of its transactions, it is published.
use strict;
use warnings;

use PostgreSQL::Test::Utils ();
use Test::More;

use OutboxCluster;
use OutboxFault;

my $node = OutboxCluster->create('clog', conf => $OutboxFault::CONF . <<'CONF');
outbox.leaf_size = '64kB'
outbox.retention = '1h'
synchronous_commit = off
CONF
my $fault = OutboxFault->new($node, 'fault')->start;
my $idle = OutboxFault->new($node, 'idle');
OutboxFault::remember($node);

# A position of long ago, a backlog behind it over some leaves, with savepoints and a prepared transaction that has
# ended; and a sink that has never had any of it.
$node->sql('SELECT change(i % 10, 20) FROM generate_series(1, 20) i');
$fault->wait_acked;
$fault->control(down => 1, capacity => 50);
$node->sql('DO $$BEGIN FOR i IN 1..200 LOOP PERFORM change(i % 10, 5); COMMIT; END LOOP; END$$');
$node->poll_until("SELECT count(*) > 0 FROM outbox.leaf WHERE state IN ('closing', 'frozen')");
$node->sql('BEGIN; SELECT change(3, 5); SAVEPOINT a; SELECT change(4, 5); RELEASE a; SAVEPOINT b; SELECT change(5, 5); ROLLBACK TO b; COMMIT');
$node->sql("BEGIN; SELECT change(6, 5); PREPARE TRANSACTION 'old'");
$node->sql("COMMIT PREPARED 'old'");
is($node->sql('SELECT count(DISTINCT tableoid) > 1 FROM outbox.event'), 't', 'a backlog of more than one leaf');
my ($oldest, $newest) = split /\|/, $node->sql('SELECT min(xid::text::int8), max(xid::text::int8) FROM outbox.event');

# ---- three segments of the commit log later, all databases are frozen ----
my $segment = 32 * 32768;
my $far = 3 * $segment;
$node->stop;
PostgreSQL::Test::Utils::system_or_bail('pg_resetwal', '-x', $far, $node->data_dir);
$node->start;
is($node->sql('SELECT pg_current_xact_id()::text::int8 >= ' . $far), 't', 'three million transactions later');
$node->sql('ALTER DATABASE template0 ALLOW_CONNECTIONS true');
PostgreSQL::Test::Utils::system_or_bail('vacuumdb', '--all', '--freeze', '--quiet', '-h', $node->host, '-p', $node->port);
ok(!-e $node->data_dir . '/pg_xact/0000', 'the commit log that knew the backlog is gone');
is($node->sql("SELECT pg_xact_status('$oldest') IS NULL AND pg_xact_status('$newest') IS NULL"), 't', 'the server knows nothing of its transactions');

# ---- published nevertheless, and what comes then ----
$node->sql('SELECT change(i % 10, 2) FROM generate_series(1, 20) i');
$fault->control;
$idle->start;
foreach my $sink ($fault, $idle)
{
	$sink->wait_acked;
	$sink->check_written("sink $sink->{name}");
	is($node->sql("SELECT state FROM outbox_internal.relay_report() WHERE sink = '$sink->{name}'"), 'running', "sink $sink->{name}: its relay runs");
}
$node->restart;
$node->sql('SELECT change(i % 10, 2) FROM generate_series(1, 20) i');
$_->wait_acked for $fault, $idle;
is($fault->check_written('after a restart'), 0, 'and a restart repeats nothing');

$node->stop;
done_testing();
