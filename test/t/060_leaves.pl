# Leaves of 64 kB, switched, frozen and emptied all the time: nothing is lost or invented, order per key is kept,
# the counts of leaf and sink agree, and the storage stays as small as the retention allows: the leaves themselves,
# our small tables, and pg_class; without autovacuum, and with it, which never has to look at a leaf.
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

my $LEAF_BYTES = '(SELECT sum(pg_total_relation_size(relation)) FROM outbox.leaf)';

# Retention is 0: what is acknowledged goes, leaf by leaf, and what is left is one leaf that is not full. How far
# the relay is behind meanwhile is the machine's affair; that leaves are used again and again is not.
sub check_storage
{
	my ($what) = @_;

	is($node->sql('SELECT count(*) * 2 <= sum(leaf_generation) FROM outbox.leaf'), 't', "$what: leaves are used again");
	$node->poll_until("SELECT bool_and(state IN ('empty', 'current')) AND $LEAF_BYTES < 4 * 65536 FROM outbox.leaf");
	pass("$what: at the end the leaves are as small as one");
	for my $table (qw(outbox.relay_progress outbox.leaf pg_catalog.pg_class))
	{
		cmp_ok($node->sql("SELECT pg_relation_size('$table')"), '<=', 256 * 1024, "$what: $table stays small");
	}
	return;
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
check_storage('without autovacuum');
cmp_ok($node->sql('SELECT sum(leaf_generation) FROM outbox.leaf'), '>', 20, 'leaves were used many times');
diag $node->sql('SELECT count(*), sum(leaf_generation) FROM outbox.leaf');

# ---- the same beside an autovacuum that looks every second ----
$node->append_conf('postgresql.conf', "autovacuum = on\nautovacuum_naptime = 1s\n");
$node->reload;
$fault->write_in_background('', '-c', 6, '-T', 8)->finish;
$fault->wait_acked;
$fault->check_written('beside autovacuum');
check_storage('with autovacuum');
# it had its chance: pg_class and the table of the writers get vacuumed
$node->poll_until("SELECT sum(autovacuum_count) > 0 FROM pg_stat_all_tables WHERE relname IN ('pg_class', 'pg_attribute', 'leaf', 'relay_progress', 'written')");
is($node->sql('SELECT coalesce(sum(t.autovacuum_count), 0) + coalesce(sum(t.autoanalyze_count), 0)
	FROM outbox.leaf l JOIN pg_class c ON c.oid = l.relation JOIN pg_stat_all_tables t ON t.relid IN (c.oid, c.reltoastrelid)'),
	0, 'autovacuum never had to look at a leaf');

ok(!log_contains(qr/acknowledged all events|written to after|could not look after/), 'leaves and sinks agree on every count');

$node->stop;
done_testing();
