# DDL that concerns no contract costs the check next to nothing; that of a role without rights is checked; a restore is not.
use strict;
use warnings;

use OutboxCluster;
use Test::More;

my $node = OutboxCluster->create('others');

$node->sql(<<'SQL');
CREATE ROLE app LOGIN;
CREATE SCHEMA app AUTHORIZATION app;
SET ROLE app;
SET search_path = app;
CREATE TYPE colour AS ENUM ('red');
CREATE TABLE t (id int PRIMARY KEY, v int, paint colour);
CREATE VIEW tv AS SELECT id, v, paint FROM t;
CREATE TABLE x (id int PRIMARY KEY, c text);
CREATE VIEW xv AS SELECT id, c FROM x;
CREATE TYPE mood AS ENUM ('sad');
CREATE FUNCTION f(int) RETURNS int LANGUAGE sql AS 'SELECT $1';
RESET ROLE;
SELECT format($$SELECT outbox.create_contract('c%1$s', view => 'tv', source => 't', key => '{id}');
SELECT outbox.create_event_type('E%1$s', contract => 'c%1$s', emit => 'changed');
SELECT outbox.enable('c%1$s');$$, i) FROM generate_series(1, 10) i \gexec
SQL

# ---- 2,000 statements on objects of others, in one session: nothing of ours is read for them ----
my $reads = "SELECT coalesce(sum(seq_scan + idx_scan), 0) FROM pg_stat_all_tables WHERE schemaname = 'outbox_internal'";
my $session = $node->background_psql('postgres');
my $others = join ";\n", map {
	(   "ALTER TABLE app.x ADD COLUMN c$_ int", "CREATE OR REPLACE VIEW app.xv AS SELECT id, c FROM app.x",
		"CREATE OR REPLACE FUNCTION app.f(int) RETURNS int LANGUAGE sql AS 'SELECT \$1'", "ALTER TYPE app.mood ADD VALUE 'm$_'",
		"CREATE TABLE app.y (id int)", "ALTER TABLE app.x DROP COLUMN c$_", "REVOKE SELECT ON app.x FROM PUBLIC", "DROP TABLE app.y CASCADE")
} 1 .. 250;

$session->query_safe('ALTER TABLE app.x SET (fillfactor = 90); SELECT pg_stat_force_next_flush()');
my $before = $node->sql($reads);
$session->query_safe("$others;\nSELECT pg_stat_force_next_flush()");
cmp_ok($node->sql($reads) - $before, '<', 100, '2,000 statements of others do not make the check read our tables');
is($node->sql('SELECT count(*) FROM outbox.ddl_check_log'), '0', 'and none was overlooked');

# ---- a role without any right on the outbox ----
like($node->sql_error('SET ROLE app; ALTER VIEW app.tv RENAME COLUMN v TO w'), qr/does not fill the schema/, 'the DDL of a role without rights is refused');
like($node->sql_error("SET ROLE app; ALTER TYPE app.colour ADD VALUE 'blue'"), qr/Contract "c2"/, 'with all contracts that it breaks');
$node->sql('SET ROLE app; BEGIN; DROP VIEW app.tv; CREATE VIEW app.tv AS SELECT id, v, paint FROM app.t; COMMIT');
$node->sql('SET ROLE app; INSERT INTO app.t VALUES (1, 1); UPDATE app.t SET v = 2');
is($node->sql('SELECT count(*) FROM outbox.event_json'), '10', 'a view that it drops and creates again is followed');

# ---- dump and restore, with all objects of contracts on their way ----
my $dump = $node->basedir . '/dump.sql';
$node->command_ok([ 'pg_dump', '--dbname', $node->connstr('postgres'), '--file', $dump ], 'a dump is made');
$node->safe_psql('postgres', 'CREATE DATABASE restored');
$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '--dbname', $node->connstr('restored'), '--file', $dump ], 'and restored, with the check on');
is($node->safe_psql('restored', 'SELECT count(*) FROM outbox.ddl_check_log'), '0', 'the check had nothing to say');
is($node->safe_psql('restored', "SELECT DISTINCT state FROM outbox.status WHERE kind = 'contract'"), 'enabled', 'and the contracts work');
$session->quit;

done_testing();
