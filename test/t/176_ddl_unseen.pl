# DDL below a contract that nobody could look at, for want of a lock, is told afterwards: a gap, and status says who looks.
use strict;
use warnings;

use OutboxCluster;
use Test::More;

my $node = OutboxCluster->create('unseen');

$node->sql(<<'SQL');
CREATE TABLE p (id int NOT NULL, v text);
CREATE UNIQUE INDEX p_key ON p (id);
CREATE INDEX p_lookup ON p (id);
CREATE TABLE c (id int NOT NULL, n int);
CREATE INDEX ON c (id);
CREATE VIEW pv AS SELECT id, v, (SELECT count(*) FROM c WHERE c.id = p.id) AS children FROM p;
SELECT outbox.create_contract('p', view => 'pv', source => 'p', key => '{id}');
SELECT outbox.add_source('p', 'c', key_query => 'row.id');
SELECT outbox.create_event_type('P', contract => 'p', emit => 'changed');
SELECT outbox.enable('p');
SQL

my $gaps = "SELECT coalesce(string_agg(reason || ' ' || (resolved_at IS NOT NULL), ', ' ORDER BY id), '') FROM outbox.gap";
my $advice = "SELECT coalesce(advice, '') FROM outbox.status WHERE kind = 'contract'";
my $lock = $node->background_psql('postgres');

like($node->sql_error('DROP INDEX p_key'), qr/contract "p" would give two rows one key/, 'an index that the key needs is not dropped');

# ---- somebody has the source while the command begins ----
my $reason = qr/could not see what DDL does to contracts: canceling statement due to lock timeout/;
my $ddl = $node->background_psql('postgres', on_error_stop => 0);
my $pid = $ddl->query_safe('SELECT pg_backend_pid()');

# Drops the index in a transaction while another one has that table, until the look has given up.
sub drop_index
{
	my ($locked, $begin) = @_;
	my $log = -s $node->logfile;

	$lock->query_safe("BEGIN; LOCK TABLE $locked IN ACCESS EXCLUSIVE MODE");
	$ddl->query_until(qr/sent/, "\\echo sent\nSET lock_timeout = '3s';$begin DROP INDEX p_key;\n");
	$node->poll_until("SELECT EXISTS (SELECT FROM pg_locks WHERE pid = $pid AND relation = 'p'::regclass AND mode = 'AccessExclusiveLock')");
	like(PostgreSQL::Test::Utils::slurp_file($node->logfile, $log), $reason, 'the log says why nobody could look');
	$lock->query_safe('ROLLBACK');
	$ddl->query('SELECT 1');
	return;
}

drop_index('p', '');
is($node->sql("SELECT to_regclass('p_key') IS NULL"), 't', 'the index goes when nobody could look');
is($node->sql($gaps), 'unseen false', 'and that is a gap');
like($node->sql($advice), qr/^Its source, or something .* was altered, and nobody could see.* SELECT outbox\.enable\('p'\) looks/, 'and status says what to do');
like($node->sql_error("SELECT outbox.enable('p')"), qr/unique/, 'enable() looks, and says what is missing');
$node->sql('CREATE UNIQUE INDEX p_key ON p (id)');
$node->sql("SELECT outbox.enable('p')");
is($node->sql($gaps), 'unseen true', 'when the index is there again it closes the gap');
is($node->sql($advice), '', 'and status has nothing to say');

# ---- our configuration cannot be read when the command begins, or at COMMIT ----
drop_index('outbox_internal.source', ' BEGIN;');
$ddl->query('COMMIT');
is($node->sql($gaps), 'unseen true, unseen false', 'where it is not known whom the command concerns, all contracts are looked at');
$node->sql("CREATE UNIQUE INDEX p_key ON p (id); SELECT outbox.enable('p')");
$ddl->query("SET lock_timeout = '50ms'; BEGIN; DROP INDEX p_key");
$lock->query_safe('BEGIN; LOCK TABLE outbox_internal.contract_version IN ACCESS EXCLUSIVE MODE');
$ddl->query('COMMIT');
$lock->query_safe('ROLLBACK');
is($node->sql($gaps), 'unseen true, unseen true, unseen false', 'so it is where the look at COMMIT fails');
$node->sql("CREATE UNIQUE INDEX p_key ON p (id); SELECT outbox.enable('p')");

# ---- nothing is told where all is well ----
drop_index('p', ' BEGIN;');
$ddl->query('CREATE UNIQUE INDEX p_key ON p (id); COMMIT');
is($node->sql("$gaps WHERE resolved_at IS NULL"), '', 'a look at COMMIT that finds the key proven is enough');
$_->quit for $ddl, $lock;

done_testing();
