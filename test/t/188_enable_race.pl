# A contract that is switched on while DDL waits for its table, or the other way around: its key stays proven.
use strict;
use warnings;

use OutboxCluster;
use Test::More;

my $node = OutboxCluster->create('enable_race');

$node->sql(<<'SQL');
CREATE TABLE r (id int NOT NULL, nm text);
CREATE UNIQUE INDEX r_id ON r (id);
CREATE VIEW r_v AS SELECT id, nm FROM r;
SQL
my $create = "SELECT outbox.create_contract('r', view => 'r_v', source => 'r', key => '{id}'); SELECT outbox.create_event_type('RC', contract => 'r', emit => 'created')";
my $enabling = $node->background_psql('postgres');
my $ddl = $node->background_psql('postgres', on_error_stop => 0);
my $pid = $ddl->query_safe('SELECT pg_backend_pid()');
my $refused = qr/contract "r" would give two rows one key/;

# The command waits for the transaction that enables the contract, until that commits; its error.
sub command_behind
{
	my ($enable, $command) = @_;

	$enabling->query_safe("BEGIN; $enable");
	$ddl->{stderr} = '';
	$ddl->query_until(qr/sent/, "\\echo sent\n$command;\n");
	$node->poll_until("SELECT EXISTS (SELECT FROM pg_locks WHERE pid = $pid AND relation = 'r'::regclass AND NOT granted)");
	$enabling->query_safe('COMMIT');
	$ddl->query('SELECT 1');
	return $ddl->{stderr};
}

like(command_behind("$create; SELECT outbox.enable('r')", 'DROP INDEX r_id'), $refused, 'a contract that was made and enabled while the command waited');
$node->sql("SELECT outbox.disable('r')");
like(command_behind("SELECT outbox.enable('r')", 'DROP INDEX r_id'), $refused, 'one that was enabled again, and had its triggers');
$node->sql("SELECT outbox.disable('r')");
like(command_behind("SELECT outbox.enable('r')", 'ALTER TABLE r ALTER id DROP NOT NULL'), $refused, 'a NOT NULL');
$node->sql("SELECT outbox.disable('r')");
like(command_behind("SELECT outbox.enable('r')", 'DROP INDEX CONCURRENTLY r_id'), $refused, 'DROP INDEX CONCURRENTLY');
$node->sql("SELECT outbox.disable('r')");
like(command_behind("SELECT outbox.enable('r')", 'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1; DROP INDEX r_id; COMMIT'), $refused, 'by a snapshot of before');
is($node->sql("SELECT indisvalid FROM pg_index WHERE indexrelid = 'r_id'::regclass"), 't', 'the index is there');
$node->sql("SELECT outbox.disable('r')");
is(command_behind("SELECT outbox.enable('r')", 'ALTER TABLE r ADD COLUMN other int'), '', 'what does not touch the key is not refused');

# ---- the other way around ----
$node->sql("SELECT outbox.disable('r')");
$ddl->query_safe('BEGIN; DROP INDEX r_id');
$enabling->{stderr} = '';
my $enabling_pid = $enabling->query_safe('SELECT pg_backend_pid()');
$enabling->query_until(qr/sent/, "\\echo sent\n\\set ON_ERROR_STOP 0\nSELECT outbox.enable('r');\n");
$node->poll_until("SELECT EXISTS (SELECT FROM pg_locks WHERE pid = $enabling_pid AND NOT granted)");
$ddl->query_safe('COMMIT');
$enabling->query('SELECT 1');
like($enabling->{stderr}, qr/unique/, 'enable() waits for who drops the index, and finds it gone');
is($node->sql("SELECT state FROM outbox.status WHERE kind = 'contract'"), 'disabled', 'so the contract stays off');

# ---- a writer does not wait for enable() of a contract that has its triggers ----
$node->sql('CREATE UNIQUE INDEX r_id ON r (id)');
$enabling->{stderr} = '';
$enabling->query_safe("BEGIN; SELECT outbox.enable('r')");
$node->sql("SET lock_timeout = '5s'; INSERT INTO r VALUES (1, 'a')");
$enabling->query_safe('COMMIT');
pass('writers go on');
$_->quit for $enabling, $ddl;

done_testing();
