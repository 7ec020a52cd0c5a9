# The DDL check stops no migration for its own trouble, whichever of its steps meets it: the DDL commits, and that is told.
use strict;
use warnings;

use OutboxCluster;
use Test::More;

my $node = OutboxCluster->create('open');

$node->sql(<<'SQL');
CREATE TYPE colour AS ENUM ('red');
CREATE FUNCTION trouble(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF current_setting('test.trouble', true) = 'slow' THEN LOOP NULL; END LOOP; END IF;
    IF current_setting('test.trouble', true) = 'memory' THEN RAISE EXCEPTION 'no memory' USING ERRCODE = '53200'; END IF;
    RETURN $1;
END $$;
CREATE TABLE t (id int PRIMARY KEY, v int, paint colour);
CREATE VIEW tv AS SELECT id, v + trouble(1) AS v, paint FROM t;
CREATE TABLE other (id int);
SELECT outbox.create_contract('t', view => 'tv', source => 't', key => '{id}');
SELECT outbox.create_event_type('T', contract => 't', emit => 'changed');
SELECT outbox.enable('t');
SQL

my $ddl = $node->background_psql('postgres', on_error_stop => 0);
my $lock = $node->background_psql('postgres');
my $gaps = "SELECT count(*) FROM outbox.gap WHERE reason = 'unseen' AND resolved_at IS NULL";

# Runs commands that the check would refuse, in one transaction or more; what was in its way is gone when they are over.
sub goes_through
{
	my ($name, $commands, $done, %told) = @_;
	my $log = -s $node->logfile;

	$ddl->query($commands);
	$lock->query('ROLLBACK');
	is($node->sql($done), 't', "$name: the DDL commits");
	like(PostgreSQL::Test::Utils::slurp_file($node->logfile, $log), $told{log}, "$name: the log says so") if $told{log};
	like($node->sql("SELECT string_agg(what, ',') FROM outbox.ddl_check_log"), $told{row}, "$name: there is a row") if $told{row};
	isnt($node->sql($gaps), '0', "$name: a gap is left") if $told{gap};
	# back to a contract that works
	$node->sql(<<'SQL');
SET outbox.ddl_check = off;
DROP VIEW IF EXISTS tv;
SELECT outbox.drop_contract('t');
CREATE VIEW tv AS SELECT id, v + trouble(1) AS v, paint FROM t;
SELECT outbox.create_contract('t', view => 'tv', source => 't', key => '{id}');
SELECT outbox.create_event_type('T', contract => 't', emit => 'changed');
SELECT outbox.enable('t');
UPDATE outbox.gap SET resolved_at = now() WHERE resolved_at IS NULL;
DELETE FROM outbox_internal.ddl_check_log;
SQL
	return;
}

my $rename = 'ALTER VIEW tv RENAME COLUMN v TO w;';
my $renamed = "SELECT EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'tv'::regclass AND attname = 'w')";

like($node->sql_error($rename), qr/does not fill the schema/, 'without trouble it is refused');

# ---- locks ----
my %told = (log => qr/could not see what DDL does/, row => qr/^not looked at: .*lock timeout/, gap => 1);
for my $table (qw(contract contract_version source event_type event_schema check_rule))
{
	$lock->query_safe("BEGIN; LOCK TABLE outbox_internal.$table IN ACCESS EXCLUSIVE MODE");
	$ddl->query_until(qr/ready/, "\\c\nSET client_min_messages = warning;\n\\echo ready\n");
	goes_through("$table is locked before the command", $rename, $renamed, log => $told{log});

	$ddl->query('BEGIN; ' . $rename);
	$lock->query_safe("BEGIN; LOCK TABLE outbox_internal.$table IN ACCESS EXCLUSIVE MODE");
	goes_through("$table is locked at COMMIT", 'COMMIT', $renamed, %told);
}
$ddl->query('BEGIN; ' . $rename);
$lock->query_safe("BEGIN; LOCK TABLE outbox_internal.contract, outbox_internal.gap, outbox_internal.ddl_check_log IN ACCESS EXCLUSIVE MODE");
goes_through('nothing can be written', 'COMMIT', $renamed, log => qr/could not write to outbox\.ddl_check_log/);
$ddl->query('BEGIN; DROP VIEW tv; CREATE VIEW tv AS SELECT id, v, paint FROM t');
$lock->query_safe("BEGIN; UPDATE outbox_internal.contract_version SET owner_id = owner_id");
goes_through('the contract cannot follow its view', 'COMMIT', "SELECT to_regclass('tv') IS NOT NULL", %told);

# ---- a session that could not read which contracts are live reads them again ----
my $reconnect = "\\c\nSET client_min_messages = warning;\n\\echo ready\n";
for my $table (qw(contract_version check_rule))
{
	$lock->query_safe("BEGIN; LOCK TABLE outbox_internal.$table IN ACCESS EXCLUSIVE MODE");
	$ddl->query_until(qr/ready/, $reconnect);
	$ddl->query("ALTER TABLE other ADD COLUMN a_$table int");
	$lock->query('ROLLBACK');
	$ddl->query($rename);
	is($node->sql($renamed), 'f', "$table was locked: the next command is judged");
}

# ---- what is told does not get in the way of a command that must be the first of its transaction ----
$node->sql('CREATE INDEX t_paint ON t (paint)');
$ddl->query("SET test.trouble = 'slow'");
$ddl->query("SET outbox.ddl_check_timeout = '50ms'");
$ddl->query('DROP INDEX CONCURRENTLY t_paint');
$ddl->query('RESET test.trouble');
$ddl->query('RESET outbox.ddl_check_timeout');
is($node->sql("SELECT to_regclass('t_paint') IS NULL"), 't', 'DROP INDEX CONCURRENTLY that nobody could look at');
$node->sql('UPDATE outbox.gap SET resolved_at = now() WHERE resolved_at IS NULL');

# ---- time and memory ----
$ddl->query("SET test.trouble = ''");
$ddl->query('BEGIN; ' . $rename . " SET test.trouble = 'slow'; SET outbox.ddl_check_timeout = '50ms'");
goes_through('the look takes too long', 'COMMIT', $renamed, row => qr/longer than outbox\.ddl_check_timeout/, gap => 1);
$ddl->query("SET test.trouble = 'slow'");
goes_through('both looks take too long', 'ALTER TABLE t ADD COLUMN slow int', "SELECT EXISTS (SELECT FROM pg_attribute WHERE attname = 'slow')", gap => 1);
$ddl->query("SET test.trouble = ''; BEGIN; ALTER TABLE t ADD COLUMN short int; SET test.trouble = 'memory'");
goes_through('memory is short', 'COMMIT', "SELECT EXISTS (SELECT FROM pg_attribute WHERE attname = 'short')", row => qr/no memory/, gap => 1);
$ddl->query("RESET test.trouble; RESET outbox.ddl_check_timeout");

# ---- SQL objects of another version ----
$node->sql("UPDATE pg_extension SET extversion = '0.0.0' WHERE extname = 'outbox_ext'");
$ddl->query($rename);
$node->sql("UPDATE pg_extension SET extversion = '0.1.0' WHERE extname = 'outbox_ext'");
goes_through('the library has another version', 'SELECT 1', $renamed, row => qr/has version 0\.0\.0/);

# ---- the extension goes in the same transaction ----
$ddl->query('BEGIN; DROP VIEW tv; DROP EXTENSION outbox_ext CASCADE; COMMIT');
is($node->sql("SELECT to_regclass('tv') IS NULL AND to_regclass('outbox.event') IS NULL"), 't', 'views go with the extension');
$_->quit for $ddl, $lock;

done_testing();
