# Capture of a contract that is evaluated per row runs no query: not when a backend meets the contract for the
# first time, not per row, not for a dead letter.
use strict;
use warnings;

use OutboxCluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($lib) = run_command([ 'pg_config', '--pkglibdir' ]);
plan skip_all => 'this PostgreSQL comes without pg_stat_statements' unless -e "$lib/pg_stat_statements.so";

my $node = OutboxCluster->create('noquery', conf => <<'CONF');
shared_preload_libraries = 'outbox_ext, pg_stat_statements'
pg_stat_statements.track = all
CONF

$node->sql(<<'SQL');
CREATE EXTENSION pg_stat_statements;
CREATE TABLE t (id int PRIMARY KEY, v text, n int);
CREATE VIEW t_v AS SELECT id, btrim(v) AS v, 10 / n AS n, outbox.decode('map', v) AS word FROM t;
SELECT outbox.create_code_map('map', '{"a": "A"}');
SELECT outbox.create_contract('t', view => 't_v', source => 't', key => '{id}');
SELECT outbox.create_event_type('TCreated', contract => 't', emit => 'created', condition => 'new.n > 0');
SELECT outbox.create_event_type('TChanged', contract => 't', emit => 'changed', previous => '{v}');
SELECT outbox.create_event_type('TDeleted', contract => 't', emit => 'deleted');
SELECT outbox.add_check('TCreated', 'long', 'length(v) < 100');
SELECT outbox.enable('t');
SQL

my @writes = (
	"INSERT INTO t SELECT i, 'a', 1 + i % 3 FROM generate_series(1, 1000) i",
	"INSERT INTO t VALUES (2000, 'b', 0)",
	'UPDATE t SET n = n + 1 WHERE id < 500',
	'DELETE FROM t WHERE id < 100',
	'TRUNCATE t');

# A new session, so that it compiles the contract; the writes alone are counted.
$node->sql('SELECT pg_stat_statements_reset()');
$node->sql(join(";\n", @writes));
my $statements = $node->sql(<<'SQL');
SELECT query FROM pg_stat_statements WHERE query NOT LIKE '%pg_stat_statements%' ORDER BY 1
SQL
my $count = () = $statements =~ /^\S/mg;

is($count, scalar(@writes), 'the statements are the application\'s own');
unlike($statements, qr/outbox/i, 'none of them touches the outbox');
is($node->sql("SELECT count(*) FROM outbox.event"), 1000 + 499 + 99, 'the events are there');
is($node->sql("SELECT count(*) FROM outbox.dead_letter"), 1, 'and the dead letter');
is($node->sql("SELECT count(*) FROM outbox.gap"), 1, 'and the gap');

done_testing();
