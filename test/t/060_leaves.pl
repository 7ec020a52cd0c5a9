# Leaves of 64 kB, switched, frozen and emptied all the time: nothing is lost or invented, order per key is kept,
# the counts of leaf and sink agree, and the storage stays as small as the retention allows.
use strict;
use warnings;

use Test::More;

use OutboxCluster;
use OutboxFault;

my $node = OutboxCluster->create('leaves', conf => $OutboxFault::CONF . <<'CONF');
outbox.leaf_size = '64kB'
outbox.retention = 0
autovacuum = off
CONF
my $fault = OutboxFault->new($node, 'fault')->start;
OutboxFault::remember($node);

sub log_contains
{
	return PostgreSQL::Test::Utils::slurp_file($node->logfile) =~ shift;
}

# ---- one writer, many leaves ----
$node->sql('DO $$BEGIN FOR i IN 1..40 LOOP PERFORM change(i % 7, 100); COMMIT; END LOOP; END$$');
$fault->wait_acked;
$node->poll_until("SELECT count(*) FILTER (WHERE state = 'empty') >= 1 AND max(leaf_generation) >= 2 FROM outbox.leaf");
$fault->check_written('forty transactions of 100 events');
cmp_ok($node->sql('SELECT count(*) FROM outbox.leaf'), '>', 1, 'further leaves were created');

# ---- writers of every kind ----
my $writer = $fault->write_in_background(<<'PGBENCH', '-c', 6, '-T', 15);
\set k random(1, 20)
\set kind random(1, 4)
\if :kind = 1
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT change(:k, 5);
SELECT pg_sleep(0.05);
SELECT change(:k, 5);
COMMIT;
\elif :kind = 2
BEGIN;
SELECT change(:k, 5);
SAVEPOINT s;
SELECT change(:k, 20);
ROLLBACK TO s;
SELECT change(:k, 5);
COMMIT;
\elif :kind = 3
BEGIN;
SELECT change(:k, 3);
PREPARE TRANSACTION 'p:client_id';
COMMIT PREPARED 'p:client_id';
\else
BEGIN;
SELECT change(:k, 10);
\if :k < 10
ROLLBACK;
\else
COMMIT;
\endif
\endif
PGBENCH
$writer->finish;
$fault->wait_acked;
$fault->check_written('writers of every kind');
cmp_ok($node->sql('SELECT sum(leaf_generation) FROM outbox.leaf'), '>', 20, 'leaves were used many times');
diag $node->sql('SELECT count(*), sum(leaf_generation) FROM outbox.leaf');
ok(!log_contains(qr/acknowledged all events|written to after|could not look after/), 'leaves and sinks agree on every count');

$node->stop;
done_testing();
