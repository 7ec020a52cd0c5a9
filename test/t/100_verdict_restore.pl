# A contract that was accepted works after pg_restore without ANALYZE, and while an index is too young for the writer.
use strict;
use warnings;

use OutboxCluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = OutboxCluster->create('verdict');

$node->sql(<<'SQL');
CREATE TABLE machine (id int PRIMARY KEY, nm text);
CREATE TABLE reading (no bigint PRIMARY KEY, machine_id int NOT NULL, val int);
CREATE INDEX reading_machine ON reading (machine_id);
INSERT INTO machine SELECT g, 'm' || g FROM generate_series(1, 2000) g;
INSERT INTO reading SELECT g, 1 + g % 30, g FROM generate_series(1, 60000) g;
ANALYZE;
CREATE VIEW v AS SELECT m.id AS machine_id, m.nm,
	(SELECT r.val FROM public.reading r WHERE r.machine_id = m.id ORDER BY r.no DESC LIMIT 1) AS last_val FROM machine m;
SELECT outbox.create_contract('m', view => 'v', source => 'machine', key => '{machine_id}');
SELECT outbox.add_source('m', 'reading', key_query => 'row.machine_id');
SELECT outbox.create_event_type('MChanged', contract => 'm', emit => 'changed');
SELECT outbox.enable('m');
SQL

my $dump = $node->backup_dir . '/verdict.dump';
$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, $node->connstr('postgres') ], 'the database is dumped');
$node->sql('CREATE DATABASE restored');
$node->command_ok([ 'pg_restore', '-d', $node->connstr('restored'), $dump ], 'and restored');
my $restored = $node->in('restored');
$restored->sql('INSERT INTO reading VALUES (100001, 7, 71)');
is($restored->sql(q{SELECT (SELECT count(*) FROM outbox.event_json), (SELECT count(*) FROM outbox.dead_letter)}),
	'1|0', 'a change is published in the restored database, which nobody has analyzed');

# An index over rows that were updated, and that a transaction older than the index may still read
$node->sql(<<'SQL');
CREATE TABLE box (id int PRIMARY KEY, nm text);
CREATE TABLE content (id int PRIMARY KEY, box_id int, what text) WITH (fillfactor = 50);
INSERT INTO box VALUES (1, 'one'), (2, 'two');
INSERT INTO content SELECT g, 1 + g % 2, 'x' FROM generate_series(1, 100) g;
SQL
my $old = $node->background_psql('postgres');
$old->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ');
$old->query_safe('SELECT pg_current_xact_id()');
$node->sql('UPDATE content SET box_id = 3 - box_id');
$node->sql('CREATE INDEX content_box ON content (box_id)');
is($node->sql(q{SELECT indcheckxmin FROM pg_index WHERE indexrelid = 'content_box'::regclass}),
	't', 'the index is too young for transactions beside the old one');
$node->sql(<<'SQL');
CREATE VIEW w AS SELECT b.id, b.nm, (SELECT count(*) FROM public.content c WHERE c.box_id = b.id) AS n FROM box b;
SELECT outbox.create_contract('w', view => 'w', source => 'box', key => '{id}');
SELECT outbox.add_source('w', 'content', key_query => 'row.box_id');
SELECT outbox.create_event_type('WChanged', contract => 'w', emit => 'changed');
SELECT outbox.enable('w');
SQL
pass('a contract that needs it is accepted');

my $writer = $node->background_psql('postgres');
$writer->query_safe(q{INSERT INTO content VALUES (1001, 1, 'y')});
is($node->sql(q{SELECT payload ->> 'n' FROM outbox.event_json WHERE type = 'WChanged' ORDER BY seq DESC LIMIT 1}),
	'51', 'a change is published without the index');
$old->query_safe('COMMIT');
$old->quit;
$writer->query_safe(q{INSERT INTO content VALUES (1002, 1, 'y')});
$writer->query_safe('SELECT pg_stat_force_next_flush()');
my $scans = $writer->query_safe(q{SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'content'});
$writer->query_safe(q{INSERT INTO content VALUES (1003, 1, 'y')});
$writer->query_safe('SELECT pg_stat_force_next_flush()');
is($writer->query_safe(q{SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'content'}),
	$scans, 'the same session uses the index when the old transaction is over');
is($node->sql(q{SELECT payload ->> 'n' FROM outbox.event_json WHERE type = 'WChanged' ORDER BY seq DESC LIMIT 1}),
	'53', 'and publishes what is there');
is($node->sql('SELECT count(*) FROM outbox.dead_letter'), '0', 'nothing became a dead letter');
$writer->quit;
done_testing();
