# A schema without its data, as structure.sql of a development database: triggers whose source is not configured make no gap, no
# dead letter and no error, but a line in status; its advice helps, and so does creating the contract.
use strict;
use warnings;

use OutboxCluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = OutboxCluster->create('schema_only');
my $contracts = <<'SQL';
SELECT outbox.create_contract('ordr', view => 'ordr_v', source => 'ordr', key => '{id}');
SELECT outbox.create_event_type('OrdrPlaced', contract => 'ordr', emit => 'created');
SELECT outbox.create_contract('full', view => 'full_v', source => 'ordr', key => '{id}');
SELECT outbox.add_source('full', 'line', key_query => 'row.ordr_id');
SELECT outbox.create_event_type('FullPlaced', contract => 'full', emit => 'always');
SELECT outbox.create_contract('part', view => 'part_v', source => 'part', key => '{id}');
SELECT outbox.create_event_type('PartAdded', contract => 'part', emit => 'created');
SELECT outbox.enable(name) FROM unnest('{ordr,full,part}'::text[]) name;
SQL

$node->sql(<<SQL);
CREATE TABLE ordr (id int PRIMARY KEY, qty int);
CREATE TABLE line (no int PRIMARY KEY, ordr_id int REFERENCES ordr, n int);
CREATE INDEX ON line (ordr_id);
CREATE TABLE part (id int PRIMARY KEY) PARTITION BY LIST (id);
CREATE TABLE part_1 PARTITION OF part DEFAULT;
CREATE VIEW ordr_v AS SELECT id, 10 / qty AS share FROM ordr;
CREATE VIEW full_v AS SELECT o.id, (SELECT sum(l.n) FROM line l WHERE l.ordr_id = o.id) AS total FROM ordr o;
CREATE VIEW part_v AS SELECT id FROM part;
$contracts
SQL

my $dir = PostgreSQL::Test::Utils::tempdir();
command_ok([ 'pg_dump', '-h', $node->host, '-p', $node->port, '--schema-only', '--no-owner', '-f', "$dir/structure.sql", 'postgres' ],
	'pg_dump --schema-only');

sub load
{
	my ($database) = @_;

	$node->sql("CREATE DATABASE $database");
	command_ok([ 'psql', '-h', $node->host, '-p', $node->port, '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $database, '-f', "$dir/structure.sql" ],
		"structure.sql is loaded into $database");
	return $node->in($database);
}

my $nothing = "SELECT (SELECT count(*) FROM outbox.event), (SELECT count(*) FROM outbox.gap), (SELECT count(*) FROM outbox.dead_letter)";
my $lines = "SELECT name, state FROM outbox.status WHERE kind = 'trigger' ORDER BY name";
my $write = 'INSERT INTO ordr VALUES (1, 0); INSERT INTO line VALUES (1, 1, 1); INSERT INTO part VALUES (1); UPDATE ordr SET qty = 1;
	DELETE FROM line; TRUNCATE part, line; BEGIN; INSERT INTO line VALUES (2, 1, 1); COMMIT; DELETE FROM line';

# ---- nobody configures anything ----
my $bare = load('bare');
$bare->sql($write);
is($bare->sql($nothing), '0|0|0', 'writes leave nothing behind');
is($bare->sql($lines), "full on line|not configured\nfull on ordr|not configured\nordr on ordr|not configured\npart on part|not configured\npart on part_1|not configured",
	'status has a line for every trigger that belongs to no contract');
for my $advice (split /\n/, $bare->sql("SELECT advice FROM outbox.status WHERE kind = 'trigger'"))
{
	like($advice, qr/: (DROP TRIGGER .*;)$/, 'it says how to remove them');
	$bare->sql($1) if $advice =~ /: (DROP TRIGGER .*;)$/;
}
is($bare->sql($lines), '', 'which helps');
is($bare->sql("SELECT count(*) FROM pg_trigger WHERE tgname LIKE '!outbox%'"), 0, 'nothing is left of them');
$bare->sql('DROP VIEW full_v, ordr_v, part_v; DROP EXTENSION outbox_ext');

# ---- the migration runs that creates the contracts ----
my $migrated = load('migrated');
$migrated->sql($write);
$migrated->sql($contracts);
is($migrated->sql($lines), '', 'contracts take over their triggers');
$migrated->sql('INSERT INTO ordr VALUES (2, 1); INSERT INTO part VALUES (2)');
is($migrated->sql("SELECT string_agg(type || ' ' || aggregateid, ', ' ORDER BY seq) FROM outbox.event"), 'OrdrPlaced 2, FullPlaced 2, PartAdded 2',
	'and are captured');
is($migrated->sql("SELECT string_agg(DISTINCT state, ' ') FROM outbox.status WHERE kind = 'contract'"), 'enabled', 'status is content');

# ---- it is uninstalled as it is ----
my $left = load('left_alone');
$left->sql('SELECT * FROM outbox.uninstall(execute => true); DROP EXTENSION outbox_ext');
is($left->sql("SELECT count(*) FROM pg_trigger WHERE tgname LIKE '!outbox%'"), 0, 'uninstall() removes triggers without a contract');
$left->sql('INSERT INTO ordr VALUES (1, 0)');

# ---- a contract with other sources, and tables in a schema that needs quotes ----
my $other = load('other');
$other->sql(<<'SQL');
SELECT outbox.create_contract('ordr', view => 'part_v', source => 'part', key => '{id}');
SELECT outbox.create_event_type('OrdrPlaced', contract => 'ordr', emit => 'created');
SELECT outbox.enable('ordr');
CREATE SCHEMA "Odd Schema"; ALTER TABLE line SET SCHEMA "Odd Schema";
INSERT INTO ordr VALUES (1, 1);
SQL
is($other->sql($nothing), '0|0|0', 'a trigger on a table that is no source of its contract makes nothing');
is($other->sql($lines), qq{full on "Odd Schema".line|not configured\nfull on ordr|not configured\nordr on ordr|not configured\npart on part|not configured\npart on part_1|not configured},
	'and has its line');
$other->sql($1) while $other->sql("SELECT coalesce(min(advice), '') FROM outbox.status WHERE kind = 'trigger'") =~ /: (DROP TRIGGER .*;)$/;
is($other->sql($lines), '', 'until it is dropped');
$other->sql('INSERT INTO part VALUES (5)');
is($other->sql('SELECT type FROM outbox.event'), 'OrdrPlaced', 'the contract keeps its own');

$node->stop;
done_testing();
