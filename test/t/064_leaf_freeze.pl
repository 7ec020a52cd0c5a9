# Leaves have autovacuum off: the server's anti-wraparound vacuum comes for them all the same, moves nothing under a
# relay in the middle of its work, and an emptied leaf is young again.
use strict;
use warnings;

use Test::More;

use OutboxCluster;
use OutboxFault;

my $node = OutboxCluster->create('freeze', conf => $OutboxFault::CONF . <<'CONF');
outbox.leaf_size = '256kB'
outbox.retention = '1h'
autovacuum_naptime = 1
autovacuum_freeze_max_age = 100000
vacuum_freeze_min_age = 1000
vacuum_freeze_table_age = 1000
synchronous_commit = off
CONF
my $fault = OutboxFault->new($node, 'fault')->start;
OutboxFault::remember($node);

# ---- one retained, one frozen and waiting, one current with events that are under way ----
$node->sql('SELECT change(i % 10, 100) FROM generate_series(1, 30) i');
$node->poll_until("SELECT state FROM outbox.leaf WHERE leaf = 1", 'retained');
$fault->control(down => 1, capacity => 50);
$node->sql('SELECT change(i % 10, 100) FROM generate_series(1, 30) i');
$node->poll_until("SELECT state FROM outbox.leaf WHERE leaf = 2", 'frozen');
$node->sql('SELECT change(i % 10, 50) FROM generate_series(1, 10) i');
is($node->sql("SELECT state FROM outbox.leaf WHERE leaf = 3"), 'current', 'a retained, a frozen and a current leaf');
is($node->sql("SELECT count(*) FROM pg_class WHERE oid IN (SELECT relation FROM outbox.leaf) AND reloptions @> '{autovacuum_enabled=off,vacuum_truncate=off}'"),
	$node->sql('SELECT count(*) FROM outbox.leaf'), 'every leaf has autovacuum off');

# ---- more transactions than the server lets a table grow old ----
my $horizon = $node->sql('SELECT txid_snapshot_xmax(txid_current_snapshot())');
$node->sql('DO $$BEGIN FOR i IN 1..110000 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END$$');
$node->poll_until("SELECT count(*) FROM pg_class WHERE relname IN ('event_1', 'event_2', 'event_3') AND age(relfrozenxid) < 100000", 3);
pass('the anti-wraparound vacuum comes for all of them');
cmp_ok($node->sql('SELECT min(xid::text::bigint) FROM outbox.event'), '<', $horizon, 'events keep their transaction ids');
$fault->control();
$fault->wait_acked;
$fault->check_written('vacuum under a relay at work');
$node->poll_until("SELECT state FROM outbox.leaf WHERE leaf = 2", 'retained');
pass('the counts of leaf and sink agree');

# ---- and by hand, as hard as it can ----
$fault->control(down => 1, capacity => 50);
$node->sql('SELECT change(i % 10, 100) FROM generate_series(1, 30) i');
$node->sql("VACUUM (FREEZE, DISABLE_PAGE_SKIPPING) outbox_internal.event_$_") for 1 .. 3;
$fault->control();
$fault->wait_acked;
$fault->check_written('VACUUM FREEZE of every leaf');

# ---- an emptied leaf starts anew ----
$node->sql('DO $$BEGIN FOR i IN 1..2000 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END$$');
$node->append_conf('postgresql.conf', 'outbox.retention = 0');
$node->reload;
$node->poll_until("SELECT leaf_generation > 1 FROM outbox.leaf WHERE leaf = 1");
cmp_ok($node->sql("SELECT age(relfrozenxid) FROM pg_class WHERE relname = 'event_1'"), '<', 1000, 'an emptied leaf is young');
is($node->sql("SELECT pg_relation_size('outbox_internal.event_1')"), 0, 'and has no storage');

$node->stop;
done_testing();
