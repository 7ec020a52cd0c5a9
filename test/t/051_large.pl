# Statements of a million rows and values of 100 MB are captured in bounded memory; more rows with OUTBOX_ROWS=n.
use strict;
use warnings;

use OutboxCluster;
use Test::More;

my $rows = $ENV{OUTBOX_ROWS} // 1_000_000;
my $node = OutboxCluster->create('large', conf => "shared_buffers = 128MB\nmax_wal_size = 8GB\n");

$node->sql(<<'SQL');
CREATE TABLE big (id int PRIMARY KEY, v int, w int);
CREATE VIEW big_v AS SELECT id, v / 2 AS half FROM big;
SELECT outbox.create_contract('big', view => 'big_v', source => 'big', key => '{id}');
SELECT outbox.create_event_type('BigAdded', contract => 'big', emit => 'created');
SELECT outbox.create_event_type('BigChanged', contract => 'big', emit => 'changed');
SELECT outbox.enable('big');
SQL

# ---- many rows in one statement ----------------------------------------------------------------

# What our own contexts hold when all triggers of the statement have run; PostgreSQL's queue of them is its own.
my $held = "SELECT 'held ' || coalesce(sum(total_bytes), 0) FROM pg_backend_memory_contexts WHERE name LIKE 'outbox%' OR parent LIKE 'outbox%';";

foreach my $case (
	[ 'insert', "INSERT INTO big SELECT i, i % 100 FROM generate_series(1, $rows) i", 'BigAdded', $rows ],
	[ 'update', 'UPDATE big SET v = v + 2', 'BigChanged', $rows ],
	[ 'update of nothing that is read', 'UPDATE big SET w = 1', 'BigChanged', $rows ],
	[ 'savepoint', 'SAVEPOINT a; UPDATE big SET v = v + 2; ROLLBACK TO a; SELECT 1', 'BigChanged', $rows ])
{
	my ($name, $statement, $type, $expected) = @$case;
	my ($bytes) = $node->sql("BEGIN; $statement; $held COMMIT") =~ /held (\d+)/;

	cmp_ok($bytes, '<', 8 * 1024 * 1024, "$name of $rows rows: capture holds less than 8 MB");
	is($node->sql("SELECT count(*), count(DISTINCT aggregateid) FROM outbox.event WHERE type = '$type'"), "$expected|$expected",
		"$name of $rows rows: an event each");
}

# ---- many keys in one transaction, evaluated at commit ------------------------------------------------

$node->sql(<<'SQL');
SELECT outbox.drop_contract('big');
TRUNCATE big;
CREATE TABLE part (big_id int, n int);
CREATE INDEX ON part (big_id);
CREATE VIEW joined_v AS SELECT b.id, b.v, (SELECT count(*)::int FROM part WHERE part.big_id = b.id) AS parts FROM big b;
SELECT outbox.create_contract('joined', view => 'joined_v', source => 'big', key => '{id}');
SELECT outbox.add_source('joined', 'part', key_query => 'row.big_id');
SELECT outbox.create_event_type('JoinedAdded', contract => 'joined', emit => 'created');
SELECT outbox.create_event_type('JoinedChanged', contract => 'joined', emit => 'changed');
SELECT outbox.enable('joined');
SQL
my $children = int($rows / 5);
my $keys     = int($rows / 20);

# The queue holds each key once, however often its rows change. How long a commit may read is not the question here.
foreach my $case (
	[ 'insert', "INSERT INTO big SELECT i, i % 100 FROM generate_series(1, $keys) i", 'JoinedAdded', $keys ],
	[ 'children', "INSERT INTO part SELECT i % $keys + 1 FROM generate_series(1, $children) i", 'JoinedChanged', $keys ],
	[ 'children of few', "INSERT INTO part SELECT i % 100 + 1 FROM generate_series(1, $children) i", 'JoinedChanged', 100 ])
{
	my ($name, $statement, $type, $expected) = @$case;
	my $before = $node->sql("SELECT count(*) FROM outbox.event WHERE type = '$type'");
	my ($bytes) = $node->sql("SET outbox.flush_timeout = '100s'; BEGIN; $statement; $held COMMIT") =~ /held (\d+)/;

	cmp_ok($bytes, '<', 32 * 1024 * 1024, "$name at commit: capture holds less than 32 MB");
	is($node->sql("SELECT count(*) - $before FROM outbox.event WHERE type = '$type'"), $expected, "$name at commit: an event per key");
}
is($node->sql('SELECT count(*) FROM outbox.dead_letter'), '0', 'and no dead letter');
$node->sql("SELECT outbox.drop_contract('joined')");

# ---- large values ---------------------------------------------------------------------------------

$node->sql(<<'SQL');
CREATE TABLE doc (id int PRIMARY KEY, title text, body text, scan bytea);
ALTER TABLE doc ALTER COLUMN body SET STORAGE EXTERNAL;
CREATE VIEW title_v AS SELECT id, title FROM doc;
CREATE VIEW body_v AS SELECT id, body FROM doc;
SELECT outbox.create_contract('title', view => 'title_v', source => 'doc', key => '{id}');
SELECT outbox.create_event_type('TitleAdded', contract => 'title', emit => 'created');
SELECT outbox.create_event_type('TitleChanged', contract => 'title', emit => 'changed');
SELECT outbox.enable('title');
SELECT outbox.create_contract('body', view => 'body_v', source => 'doc', key => '{id}');
SELECT outbox.create_event_type('BodyAdded', contract => 'body', emit => 'created');
SELECT outbox.create_event_type('BodyChanged', contract => 'body', emit => 'changed');
SELECT outbox.enable('body');
SQL
my $huge = 100 * 1024 * 1024;

$node->sql("INSERT INTO doc VALUES (1, 'large', repeat('0123456789abcdef', $huge / 16), decode(repeat('00ff', 1000000), 'hex'))");
is($node->sql("SELECT type, aggregateid, payload FROM outbox.event_json WHERE aggregatetype IN ('title', 'body')"),
	'TitleAdded|1|{"id": 1, "title": "large"}', 'a value of 100 MB that no contract reads costs nothing');
is($node->sql("SELECT event_type, stage, key, sqlstate, octet_length(source_columns::text) < 10000 FROM outbox.dead_letter"),
	'BodyAdded|size|{"id": 1}|54000|t', 'one that is read and too large for a message is a dead letter, which is small');

$node->sql("UPDATE doc SET title = 'renamed'; UPDATE doc SET scan = NULL");
is($node->sql("SELECT type FROM outbox.event WHERE aggregatetype IN ('title', 'body') ORDER BY seq"), "TitleAdded\nTitleChanged",
	'an update that leaves the large value alone makes neither event nor dead letter for it');
is($node->sql('SELECT count(*) FROM outbox.dead_letter'), '1', 'nor does it a second time');

$node->sql("SET outbox.max_message_bytes = '200MB'; UPDATE doc SET body = body || '!'; UPDATE doc SET body = body || ''");
is($node->sql("SELECT octet_length(payload) - $huge FROM outbox.event WHERE type = 'BodyChanged'"), '7',
	'100 MB are one event where messages may be that large');

done_testing();
