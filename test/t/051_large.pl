# Statements of a million rows, many keys in one transaction and values of 100 MB are captured in bounded memory, and so
# is a long history validated; more with OUTBOX_ROWS=n and OUTBOX_KEYS=n.
use strict;
use warnings;

use IPC::Run ();
use OutboxCluster;
use Test::More;

my $rows = $ENV{OUTBOX_ROWS} // 1_000_000;
my $keys = $ENV{OUTBOX_KEYS} // 200_000;
my $node = OutboxCluster->create('large', conf => "shared_buffers = 128MB\nmax_wal_size = 8GB\n");

$node->sql(<<'SQL');
CREATE TABLE big (id int PRIMARY KEY, v int, w int);
CREATE VIEW big_v AS SELECT id, v / 2 AS half FROM big;
SELECT outbox.create_contract('big', view => 'big_v', source => 'big', key => '{id}');
SELECT outbox.create_event_type('BigAdded', contract => 'big', emit => 'created');
SELECT outbox.create_event_type('BigChanged', contract => 'big', emit => 'changed');
SELECT outbox.enable('big');
SQL

# The private memory of a process in bytes.
sub private_memory
{
	my ($pid) = @_;
	open my $status, '<', "/proc/$pid/status" or return 0;
	my ($kb) = map { /^RssAnon:\s+(\d+) kB/ ? $1 : () } <$status>;

	return ($kb // 0) * 1024;
}

# What SQL says; and how much private memory it needs at most, from where $start in the same session has left it.
sub measured
{
	my ($start, $sql) = @_;
	my ($out, $err) = ('', '');
	my ($begun, $pid, $before, $peak) = (time, undef, 0, 0);
	my $now = "SELECT format('backend %s %s', pg_backend_pid(), substring(pg_read_file('/proc/self/status') FROM 'RssAnon:\\s+(\\d+)'))";
	my $run = IPC::Run::start([ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres'),
			'-c', "$start; $now", '-c', $sql ], '<', \undef, '>', \$out, '2>', \$err);

	while ($run->pumpable)
	{
		$run->pump_nb;
		($pid, $before) = ($1, $2 * 1024) if !$pid && $out =~ /^backend (\d+) (\d+)\n/m;
		my $bytes = $pid ? private_memory($pid) : 0;
		$peak = $bytes if $bytes > $peak;
		select undef, undef, undef, 0.005;
	}
	$run->finish or die "psql failed: $err";
	$out =~ s/^backend .*\n//m;
	chomp $out;
	note(sprintf '%s needs %.1f MB above %.1f MB, %d s', $sql =~ s/ .*//r, ($peak - $before) / 1024 / 1024, $before / 1024 / 1024, time - $begun);
	return ($out, $peak - $before);
}

# ---- many rows in one statement ----------------------------------------------------------------

# What our own contexts hold when all triggers of the statement have run; PostgreSQL's queue of them is its own.
# Since 18 a context names the way down to it instead of its parent.
my $within = $node->sql("SELECT current_setting('server_version_num')::int >= 180000") eq 't'
  ? "EXISTS (SELECT FROM pg_backend_memory_contexts o WHERE o.name LIKE 'outbox%' AND o.path[o.level] = ANY (c.path))"
  : "c.name LIKE 'outbox%' OR c.parent LIKE 'outbox%'";
my $held = "SELECT 'held ' || coalesce(sum(c.total_bytes), 0) FROM pg_backend_memory_contexts c WHERE $within;";

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
my $children = 2 * $keys;

# The queue holds each key once, however often its rows change, and at most two and a half times outbox.queue_memory.
# How long a commit may read is not the question here.
foreach my $case (
	[ 'insert', "INSERT INTO big SELECT i, i % 100 FROM generate_series(1, $keys) i", 'JoinedAdded', $keys ],
	[ 'children', "INSERT INTO part SELECT i % $keys + 1 FROM generate_series(1, $children) i", 'JoinedChanged', $keys ],
	[ 'children of few', "INSERT INTO part SELECT i % 100 + 1 FROM generate_series(1, $children) i", 'JoinedChanged', 100 ])
{
	my ($name, $statement, $type, $expected) = @$case;
	my $before = $node->sql("SELECT count(*) FROM outbox.event WHERE type = '$type'");
	my ($out, $flush) = measured("SET outbox.queue_memory = '4MB'; SET outbox.flush_timeout = '600s'; BEGIN; $statement; $held", 'COMMIT');
	my ($bytes) = $out =~ /held (\d+)/;

	cmp_ok($bytes, '<', 12 * 1024 * 1024, "$name at commit: capture holds less than 12 MB");
	cmp_ok($flush, '<', 16 * 1024 * 1024, "$name at commit: the commit itself needs less than 16 MB");
	is($node->sql("SELECT count(*) - $before FROM outbox.event WHERE type = '$type'"), $expected, "$name at commit: an event per key");
}
is($node->sql('SELECT count(*) FROM outbox.dead_letter'), '0', 'and no dead letter');
$node->sql("SELECT outbox.drop_contract('joined')");

# ---- a long history, validated ----------------------------------------------------------------------

# More kinds of trouble than are told apart, in many rows.
my $history = 150_000;
$node->sql(<<"SQL");
CREATE TABLE hist (id int PRIMARY KEY, code text, n int, doc text);
INSERT INTO hist SELECT i, CASE WHEN i % 2 = 0 THEN 'N' ELSE 'x' || i % 4999 END, i % 10, repeat('d', 100) FROM generate_series(1, $history) i;
SELECT outbox.create_code_map('hist', '{"N": "NEW"}');
CREATE VIEW hist_v AS SELECT id, outbox.decode('hist', code) AS status, 100 / n AS share, doc FROM hist;
SQL
foreach my $evaluate (qw(row commit))
{
	$node->sql("SELECT outbox.create_contract('hist_$evaluate', view => 'hist_v', source => 'hist', key => '{id}', required => '{status}', evaluate => '$evaluate');
		SELECT outbox.create_event_type('Hist_$evaluate', contract => 'hist_$evaluate', emit => 'created')");
	my ($out, $bytes) = measured('SELECT', "SELECT count(*), sum(rows), sum(rows) FILTER (WHERE sqlstate = '22012') FROM outbox.validate('hist_$evaluate')");

	is($out, join('|', 1000, $history / 10 + $history / 2, $history / 10), "$evaluate: all trouble is counted, no more than 1000 kinds apart");
	cmp_ok($bytes, '<', 10 * 1024 * 1024, "$evaluate: $history rows are validated in less than 10 MB");
	$node->sql("SELECT outbox.drop_contract('hist_$evaluate')");
}

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
