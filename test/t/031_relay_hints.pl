# However hints get lost or mislead, no event does: overflow of the ring, prepared transactions over a
# restart, leaves that are rewritten, an extension that comes and goes.
use strict;
use warnings;

use Test::More;

use OutboxCluster;
use OutboxFault;

my $node = OutboxCluster->create('hints', conf => $OutboxFault::CONF . "outbox.max_sorted_events = 1000\n");
my $fault = OutboxFault->new($node, 'fault')->start;

sub scans
{
	return $node->sql('SELECT scans FROM outbox_internal.relay_report()');
}

# ---- a ring of 64 entries overflows while the broker holds the relay up ----
$fault->append('warm', 1);
$fault->wait_published;
my $before = scans();
$fault->control(down => 1, capacity => 1);
$fault->append('held up', 5);
$fault->wait_state('backoff');
my $writer = $fault->write_in_background("\\set k random(1, 20)\nSELECT change(:k);\n", '-c', 4, '-t', 300);
$writer->finish;
$fault->control();
$fault->wait_published;
$fault->check('more transactions than the ring has entries');
cmp_ok(scans(), '>', $before, 'lost hints lead to a scan');

# ---- prepared transactions over a restart of the relay, and of the server ----
$node->sql("BEGIN; SELECT change(1001, 3); PREPARE TRANSACTION 'one'");
$node->sql("BEGIN; SELECT change(1002, 3); PREPARE TRANSACTION 'two'");
$node->sql("BEGIN; SELECT change(1003, 3); PREPARE TRANSACTION 'three'");
$fault->append('beside', 5);
$fault->wait_published;
$node->sql("COMMIT PREPARED 'one'");
$fault->wait_published;
$fault->stop;
$fault->append('while stopped', 1);
$fault->start;
$fault->wait_published;
$node->sql("COMMIT PREPARED 'two'");
$fault->wait_published;
$fault->check('prepared transaction over a restart of the relay');
$node->restart;
$fault->append('again', 1);
$fault->wait_published;
$node->sql("COMMIT PREPARED 'three'");
$fault->wait_published;
$fault->check('prepared transaction over a restart of the server');
is(scalar(grep { $_->{key} =~ /^k100[123]$/ } @{ $fault->deliveries }), 9, 'all of the prepared events are published');

# ---- the leaf is rewritten: idle, with an open transaction's hint pending, in the middle of a window ----
$node->sql('VACUUM FULL outbox_internal.event_1');
$fault->append('after rewrite', 3);
$fault->wait_published;
$fault->check('VACUUM FULL of an idle leaf');

$fault->control(capacity => 7, delay_ms => 20);
$fault->append("bulk$_", 60) for 1 .. 5;

for my $i (1 .. 5)
{
	$node->sql('VACUUM FULL outbox_internal.event_1');
	$fault->append("between$i", 2);
}
$fault->control();
$fault->wait_published;
$fault->check('VACUUM FULL in the middle of windows');

$fault->control(capacity => 7, delay_ms => 20);
$node->sql("SELECT append(1, 't', 'table rewrite ' || i, 10, 100) FROM generate_series(1, 30) i");
my $refusing = 'ALTER EVENT TRIGGER outbox_refuse_ddl';
$node->sql("$refusing DISABLE; CREATE INDEX i ON outbox_internal.event_1 (seq); CLUSTER outbox_internal.event_1 USING i;
	DROP INDEX outbox_internal.i; $refusing ENABLE ALWAYS");
$fault->control();
$fault->wait_published;
$fault->check('CLUSTER in the middle of a window');

# ---- writers, rewrites and restarts of the relay together ----
$writer = $fault->write_in_background('', '-c', 4, '-T', 6, '-R', 1500);
for my $i (1 .. 4)
{
	$node->sql('VACUUM FULL outbox_internal.event_1');
	$fault->stop;
	$fault->start;
}
$writer->finish;
$fault->wait_published;
$fault->check('rewrites and restarts under load');

unlike(PostgreSQL::Test::Utils::slurp_file($node->logfile), qr/failed and will try again/,
	'rewrites are noticed before a row is missed');

# ---- another leaf appears ----
$node->sql(<<"SQL");
$refusing DISABLE;
BEGIN;
CREATE TABLE outbox_internal.event_2 (LIKE outbox_internal.event_1 INCLUDING ALL);
ALTER TABLE outbox.event ATTACH PARTITION outbox_internal.event_2 FOR VALUES IN (2);
COMMIT;
$refusing ENABLE ALWAYS;
SQL
$fault->append('beside a new leaf', 2);
$fault->wait_published;
$fault->check('a new leaf');

# ---- the extension goes while the relay runs ----
my $pid = $fault->pid;
my $log = -s $node->logfile;
$node->sql('DROP TABLE outbox_internal.event_2; DROP EXTENSION outbox_ext CASCADE');
$node->poll_until("SELECT count(*) FROM pg_stat_activity WHERE pid = $pid", 0);
pass('DROP EXTENSION ends the relay');
unlike(PostgreSQL::Test::Utils::slurp_file($node->logfile, $log), qr/FATAL|PANIC|WARNING|failed/, 'without noise in the log');

$node->stop;
done_testing();
