# pg_restore --data-only over --schema-only: the triggers are there when the rows come, and the restore makes no event, dead
# letter or gap, fails with no duplicate key, and is followed by capture that works. Whatever schema the tables are in.
use strict;
use warnings;

use OutboxCluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = OutboxCluster->create('data_only');

# tables in a schema whose rows are dumped before ours, and in one whose rows are dumped after
for my $schema ('aaa', 'zzz')
{
	$node->sql(<<SQL);
CREATE SCHEMA $schema;
CREATE TABLE $schema.ordr (id int PRIMARY KEY, qty int);
CREATE TABLE $schema.line (no int PRIMARY KEY, ordr_id int REFERENCES $schema.ordr, n int);
CREATE INDEX ON $schema.line (ordr_id);
CREATE TABLE $schema.part (id int PRIMARY KEY) PARTITION BY LIST (id);
CREATE TABLE $schema.part_1 PARTITION OF $schema.part DEFAULT;
CREATE VIEW $schema.ordr_v AS SELECT id, 10 / qty AS share FROM $schema.ordr;
CREATE VIEW $schema.full_v AS SELECT o.id, (SELECT sum(10 / l.n) FROM $schema.line l WHERE l.ordr_id = o.id) AS total FROM $schema.ordr o;
CREATE VIEW $schema.part_v AS SELECT id FROM $schema.part;
SELECT outbox.create_contract('ordr_$schema', view => '$schema.ordr_v', source => '$schema.ordr', key => '{id}');
SELECT outbox.create_event_type('Ordr_$schema', contract => 'ordr_$schema', emit => 'always');
SELECT outbox.create_contract('full_$schema', view => '$schema.full_v', source => '$schema.ordr', key => '{id}');
SELECT outbox.add_source('full_$schema', '$schema.line', key_query => 'row.ordr_id');
SELECT outbox.create_event_type('Full_$schema', contract => 'full_$schema', emit => 'always');
SELECT outbox.create_contract('part_$schema', view => '$schema.part_v', source => '$schema.part', key => '{id}');
SELECT outbox.create_event_type('Part_$schema', contract => 'part_$schema', emit => 'always');
SELECT outbox.enable(name) FROM unnest('{ordr_$schema,full_$schema,part_$schema}'::text[]) name;
-- a gap, and rows that make dead letters: when they come again, too
TRUNCATE $schema.part;
INSERT INTO $schema.ordr VALUES (1, 2), (2, 0);
INSERT INTO $schema.line VALUES (1, 1, 5), (2, 1, 0), (3, 2, 1);
INSERT INTO $schema.part VALUES (1);
SQL
}
cmp_ok($node->sql('SELECT count(*) FROM outbox.dead_letter'), '>=', 4, 'there are dead letters');

my $dir = PostgreSQL::Test::Utils::tempdir();
my @connection = ('-h', $node->host, '-p', $node->port);
my $state = q{SELECT (SELECT json_agg(d ORDER BY id) FROM outbox.dead_letter d), (SELECT json_agg(g ORDER BY id) FROM outbox.gap g),
	(SELECT json_agg(c ORDER BY id) FROM outbox.contract c)};

command_ok([ 'pg_dump', @connection, '--schema-only', '-f', "$dir/schema", 'postgres' ], 'pg_dump --schema-only');
command_ok([ 'pg_dump', @connection, '--data-only', '-Fd', '-f', "$dir/data", 'postgres' ], 'pg_dump --data-only');

sub create_database
{
	my ($database) = @_;

	$node->sql("CREATE DATABASE $database");
	command_ok([ 'psql', @connection, '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $database, '-f', "$dir/schema" ],
		"$database: the schema is restored");
	return $node->in($database);
}

sub restore
{
	my ($database, @options) = @_;

	command_ok([ 'pg_restore', @connection, '--exit-on-error', '--data-only', @options, '-d', $database->_database, "$dir/data" ],
		"pg_restore --data-only @options");
	return;
}

sub is_restored
{
	my ($database, $how) = @_;

	is($database->sql($state), $node->sql($state), "$how: dead letters, gaps and contracts are those of the dump");
	is($database->sql('SELECT count(*) FROM outbox.event'), 0, "$how: the rows made no event");
	is($database->sql("SELECT string_agg(DISTINCT state, ' ') FROM outbox.status WHERE kind IN ('contract', 'trigger')"), 'enabled',
		"$how: every contract is live");
	for my $schema ('aaa', 'zzz')
	{
		$database->sql("INSERT INTO $schema.ordr VALUES (3, 1), (4, 0); INSERT INTO $schema.line VALUES (4, 3, 1); TRUNCATE $schema.part");
		is($database->sql("SELECT string_agg(type || ' ' || aggregateid, ', ' ORDER BY seq) FROM outbox.event WHERE type LIKE '%_$schema'"),
			"Ordr_$schema 3, Full_$schema 3, Full_$schema 4, Full_$schema 3", "$how: capture goes on in $schema");
	}
	is($database->sql('SELECT count(*) FROM outbox.dead_letter'), $node->sql('SELECT count(*) + 2 FROM outbox.dead_letter'),
		"$how: with new dead letters");
	is($database->sql('SELECT count(*) FROM outbox.gap'), $node->sql('SELECT count(*) + 2 FROM outbox.gap'), "$how: and new gaps");
	$database->sql("SELECT outbox.create_contract('more', view => 'aaa.ordr_v', source => 'aaa.ordr', key => '{id}')");
	return;
}

# ---- as a user does it, in one transaction, with triggers disabled by pg_restore, in parallel ----
my $plain = create_database('plain');
restore($plain);
is_restored($plain, 'one by one');

my $single = create_database('single');
restore($single, '--single-transaction');
is_restored($single, 'in one transaction');

my $disabled = create_database('disabled');
restore($disabled, '--disable-triggers');
is_restored($disabled, 'triggers disabled');

my $parallel = create_database('parallel');
restore($parallel, '--disable-triggers', '--jobs', 3);
is_restored($parallel, 'in parallel');

# ---- in the middle: rows of all tables, no sequence yet ----
my $halfway = create_database('halfway');
my $list = (run_command([ 'pg_restore', '-l', "$dir/data" ]))[0];
my @data = grep { !/^;/ && /TABLE DATA|SEQUENCE SET/ } split /\n/, $list;
append_to_file("$dir/rows", join("\n", grep { /TABLE DATA/ } @data) . "\n");
append_to_file("$dir/sequences", join("\n", grep { /SEQUENCE SET/ } @data) . "\n");
restore($halfway, '-L', "$dir/rows");
is($halfway->sql("SELECT string_agg(DISTINCT state, ' ') FROM outbox.status WHERE kind = 'contract'"), 'restoring', 'status shows a restore in progress');
my $writer = $halfway->background_psql('halfway');
$writer->query_safe('INSERT INTO zzz.ordr VALUES (11, 1), (12, 0); INSERT INTO zzz.line VALUES (11, 11, 1), (12, 11, 0); TRUNCATE zzz.part');
is($halfway->sql($state), $node->sql($state), 'what is written meanwhile makes no dead letter and no gap');
is($halfway->sql('SELECT count(*) FROM outbox.event'), 0, 'nor an event');

# a copy that never gets its sequences: what the advice says helps
my $advice = $halfway->sql("SELECT DISTINCT advice FROM outbox.status WHERE kind = 'contract'");
like($advice, qr/^A restore has brought it, .*: (SELECT setval.*;)$/, 'and what to do if it ended there');
$advice =~ /(SELECT setval.*;)$/ or die $advice;
my $command = $1;
$node->sql('CREATE DATABASE ended TEMPLATE halfway') if eval { $writer->quit; 1 };
my $ended = $node->in('ended');
$ended->sql($command);
is_restored($ended, 'sequences set by hand');

# a session that saw the restore sees its end, too
$writer = $halfway->background_psql('halfway');
$writer->query_safe('INSERT INTO zzz.ordr VALUES (21, 1)');
restore($halfway, '-L', "$dir/sequences");
$writer->query_safe('INSERT INTO zzz.ordr VALUES (22, 1)');
is($halfway->sql("SELECT string_agg(type || ' ' || aggregateid, ', ' ORDER BY seq) FROM outbox.event"), 'Ordr_zzz 22, Full_zzz 22',
	'a session that wrote during the restore is captured after it');
$writer->quit;
is($halfway->sql("SELECT string_agg(DISTINCT state, ' ') FROM outbox.status WHERE kind IN ('contract', 'trigger')"), 'enabled', 'every contract is live');

# ---- no restore, but somebody sets our sequence: as scripts do that set all of them, and back ----
my $states = q{SELECT (SELECT string_agg(DISTINCT state, ' ') FROM outbox.status WHERE kind = 'contract'),
	(SELECT value FROM outbox.metrics WHERE name = 'outbox_contracts_restoring')};
my $events = $node->sql('SELECT count(*) FROM outbox.event');
my $log = -s $node->logfile;

sub skipped
{
	return () = substr(slurp_file($node->logfile), $log) =~ /LOG:  contract "ordr_aaa" captures nothing/g;
}
$node->sql(q{SELECT setval('outbox_internal.contract_id_seq', (SELECT max(id) + 1 FROM outbox_internal.contract), false)});
$node->sql('INSERT INTO aaa.ordr VALUES (31, 1)');
is($node->sql('SELECT count(*) FROM outbox.event'), $events + 2, 'the number after the last id comes next: rows are captured');
is($node->sql($states), 'enabled|0', 'and every contract is live');
is(skipped(), 0, 'the log has nothing to say');
$node->sql(q{SELECT setval('outbox_internal.contract_id_seq', (SELECT min(id) FROM outbox_internal.contract), false)});
$node->sql('INSERT INTO aaa.ordr VALUES (32, 1); INSERT INTO aaa.ordr VALUES (33, 1); TRUNCATE aaa.ordr CASCADE');
is($node->sql('SELECT count(*) FROM outbox.event'), $events + 2, 'the sequence is behind: nothing is captured');
is($node->sql($states), 'restoring|6', 'status and a metric say so');
is(skipped(), 1, 'and the log, once per session');
like(slurp_file($node->logfile), qr/HINT:  \QIf no restore is running, see its advice: SELECT advice FROM outbox.status WHERE state = 'restoring';\E/,
	'and where the remedy is');
$node->sql($command);
$node->sql('INSERT INTO aaa.ordr VALUES (34, 1)');
is($node->sql('SELECT count(*) FROM outbox.event'), $events + 4, 'the advice ends it');
is($node->sql($states), 'enabled|0', 'for every contract');

$node->stop;
done_testing();
