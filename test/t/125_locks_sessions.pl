# A hundred sessions on default settings write to a source with hundreds of partitions, none of which a key prunes: the
# lock table is large enough, at the commit too, and what is late comes by itself.
use strict;
use warnings;

use OutboxCluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $sessions   = 90;
my $partitions = 200;
my $node = OutboxCluster->create('locks', conf => <<'CONF');
max_connections = 100
max_prepared_transactions = 0
CONF

is($node->sql("SELECT setting = boot_val FROM pg_settings WHERE name = 'max_locks_per_transaction'"), 't', 'the lock table has its default size');
$node->sql(<<"SQL");
CREATE TABLE parent (id int PRIMARY KEY, v int);
CREATE TABLE child (id int NOT NULL, parent_id int NOT NULL, d int NOT NULL) PARTITION BY RANGE (d);
CREATE INDEX ON child (parent_id);
DO \$\$ BEGIN FOR i IN 0..@{[$partitions - 1]} LOOP EXECUTE format('CREATE TABLE child_%s PARTITION OF child FOR VALUES FROM (%s) TO (%s)', i, i, i + 1); END LOOP; END \$\$;
INSERT INTO parent SELECT i, i FROM generate_series(1, $sessions) i;
CREATE VIEW parent_v AS SELECT p.id, (SELECT count(*) FROM child c WHERE c.parent_id = p.id) AS children FROM parent p;
SELECT outbox.create_contract('parent', view => 'parent_v', source => 'parent', key => '{id}');
SELECT outbox.add_source('parent', 'child', key_query => 'row.parent_id');
SELECT outbox.create_event_type('Parent', contract => 'parent', emit => 'always');
SELECT outbox.enable('parent');
SQL

# all of them have written before the first one commits
my $gate = $node->background_psql('postgres');
$gate->query_safe('SELECT pg_advisory_lock(1)');
my $script = $node->basedir . '/write.sql';
PostgreSQL::Test::Utils::append_to_file($script, <<"SQL");
BEGIN;
INSERT INTO child VALUES (1, :client_id + 1, (:client_id * 7) % $partitions);
SELECT pg_advisory_xact_lock_shared(1);
COMMIT;
SQL
my ($in, $out, $err) = ('', '', '');
my $pgbench = IPC::Run::start([ 'pgbench', '-n', '-c', $sessions, '-j', 2, '-t', 1, '-f', $script, '-h', $node->host, '-p', $node->port, 'postgres' ],
	'<', \$in, '>', \$out, '2>', \$err);
$node->poll_until("SELECT count(*) = $sessions FROM pg_locks WHERE locktype = 'advisory' AND NOT granted");
pass('all sessions have written');
cmp_ok($node->sql("SELECT max(n) FROM (SELECT count(*) AS n FROM pg_locks WHERE pid <> pg_backend_pid() GROUP BY pid) s"), '<', 16,
	'and have the locks of their own statement');
$gate->query_safe('SELECT pg_advisory_unlock(1)');
$gate->quit;
ok($pgbench->finish, 'all of them commit') or diag $err;
unlike(PostgreSQL::Test::Utils::slurp_file($node->logfile), qr/out of shared memory/, 'the lock table was never full');
is($node->sql('SELECT count(*) FROM child'), $sessions, 'with what they wrote');
is($node->sql("SELECT count(*) FROM outbox.dead_letter WHERE sqlstate <> '55P03' AND sqlstate <> '57014'"), 0, 'at worst a key is late');
$node->poll_until("SELECT outbox_internal.redrive_late(20) IS NOT NULL AND NOT EXISTS (SELECT FROM outbox.dead_letter WHERE state = 'open')");
is($node->sql("SELECT count(DISTINCT aggregateid) FROM outbox.event_json WHERE payload->>'children' = '1'"), $sessions, 'every parent is told of');

done_testing();
