# A full disk: what cannot be written fails its transaction and nothing else, the relay publishes what is there, and
# when there is space again events and committed rows are the same. Files that may not grow beyond a size stand for the
# disk: prlimit sets that on the running server and PostgreSQL meets it like a full disk, in the middle of a page.
use strict;
use warnings;

use Test::More;

use OutboxCluster;
use OutboxFault;

# a segment of WAL must be smaller than what a file may have
my $node = OutboxCluster->create('disk', initdb => ['--wal-segsize=1'], conf => $OutboxFault::CONF . <<'CONF');
outbox.retention = 0
autovacuum = off
dynamic_shared_memory_type = sysv
outbox.queue_memory = '64kB'
CONF
$node->sql(<<'SQL');
CREATE TABLE doc (id int PRIMARY KEY, unread int);
CREATE VIEW doc_v AS SELECT id, repeat('lorem ipsum ', 120) AS body FROM doc;
SELECT outbox.create_contract('doc', view => 'doc_v', source => 'doc', key => '{id}');
SELECT outbox.create_event_type('DocAdded', contract => 'doc', emit => 'created');
SELECT outbox.enable('doc');

CREATE TABLE bad (id int PRIMARY KEY, n int);
CREATE VIEW bad_v AS SELECT id, 1 / n AS share, repeat('lorem ipsum ', 120) AS body FROM bad;
SELECT outbox.create_contract('bad', view => 'bad_v', source => 'bad', key => '{id}');
SELECT outbox.create_event_type('BadAdded', contract => 'bad', emit => 'created');
SELECT outbox.enable('bad');

CREATE TABLE head (name text PRIMARY KEY, n int);
CREATE TABLE line (id int);
CREATE INDEX ON line (id);
CREATE VIEW head_v AS SELECT name, n, (SELECT count(*)::int FROM line WHERE line.id = head.n) AS lines FROM head;
SELECT outbox.create_contract('head', view => 'head_v', source => 'head', key => '{name}');
SELECT outbox.add_source('head', 'line', key_query => 'rpad(row.id::text, 400, ''-'')');
SELECT outbox.create_event_type('HeadChanged', contract => 'head', emit => 'changed');
SELECT outbox.enable('head');
INSERT INTO head SELECT rpad(i::text, 400, '-'), i FROM generate_series(11901, 12000) i;
INSERT INTO head SELECT rpad(i::text, 400, '-'), i FROM generate_series(1, 100) i;

CREATE TABLE plain (id int);
SQL
my $fault = OutboxFault->new($node, 'fault')->start;

my $next = 1;		# of doc
my $full = qr/ERROR:  (53100: could not extend file "base\/\d+\/\d+": wrote only|XX000: could not extend file .*File too large)/;

# What files of the server may have, of all its processes and of those to come.
sub limit_files
{
	my ($bytes) = @_;
	my $pids = $node->sql("SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()");

	PostgreSQL::Test::Utils::system_or_bail('prlimit', '--pid', $_, "--fsize=$bytes:")
	  for PostgreSQL::Test::Utils::slurp_file($node->data_dir . '/postmaster.pid') =~ /^(\d+)/, split /\n/, $pids;
	return;
}

# Inserts n documents in one transaction: the error's words, or nothing.
sub insert
{
	my ($n) = @_;
	my $last = $next + $n - 1;
	my ($rc, $out, $err) = $node->psql('postgres', "INSERT INTO doc SELECT generate_series($next, $last)",
		extra_params => [ '-v', 'VERBOSITY=verbose' ]);

	$next += $n;
	return $rc == 0 ? '' : $err;
}

# Of every committed document one event, and of no other: against the table, not against the outbox.
sub check
{
	my ($what) = @_;
	my %arrived;

	$node->poll_until("SELECT pending = 0 FROM outbox.status WHERE name = 'fault'");
	$arrived{ $_->{key} }{ $_->{id} } = 1 for grep { $_->{type} =~ /DocAdded/ } @{ $fault->deliveries };
	my @rows = split /\n/, $node->sql('SELECT id FROM doc ORDER BY id');
	is_deeply([ sort { $a <=> $b } keys %arrived ], \@rows, "$what: an event of every committed row and of no other (" . @rows . ')');
	is(scalar(grep { keys %$_ > 1 } values %arrived), 0, "$what: not two");
	return;
}

# ---- a leaf that cannot grow ----
insert(100);
limit_files(4 * 1024 * 1024 + 4096);
my $error = insert(10000);
like($error, $full, 'a transaction whose events do not fit fails with the words of PostgreSQL');
is($node->sql('SELECT count(*) FROM doc'), 100, 'as a whole');
check('after the first failure');

# What the failed one left behind is dead, but takes its place. From 16 on large ones ask for many pages at once, so
# that there may be some for smaller ones.
foreach my $n (20, 1)
{
	for (1 .. 300)
	{
		last if insert($n);
	}
}
like(insert(1), $full, 'in the end not a single row fits');
my $rows = $node->sql('SELECT count(*) FROM doc');
my ($rc, $out, $err) = $node->psql('postgres', <<"SQL", on_error_stop => 0);
INSERT INTO plain VALUES (1);
UPDATE doc SET unread = 1 WHERE id <= 10;
INSERT INTO doc VALUES (-1);
SELECT 'goes on';
BEGIN;
INSERT INTO plain VALUES (2);
SAVEPOINT s;
INSERT INTO doc SELECT generate_series(-2000, -1001);
ROLLBACK TO s;
INSERT INTO plain VALUES (3);
COMMIT;
BEGIN;
INSERT INTO plain VALUES (4);
INSERT INTO doc VALUES (-2);
COMMIT;
SQL
my $failures = () = $err =~ /could not extend file/g;
is($failures, 3, 'only writes that make events fail, in a transaction block few of them at its end');
like($out, qr/goes on/, 'their session goes on');
is($node->sql('SELECT sum(id) FROM plain'), 6, 'and a transaction that rolls back to a savepoint');
is($node->sql('SELECT count(*) FROM doc'), $rows, 'none of the failed rows is there');
$fault->stop;
$fault->start;
check('a full leaf and a relay that was started again');

# ---- another leaf ----
my $leaf = $node->sql("SELECT leaf FROM outbox.leaf WHERE state = 'current'");
$node->append_conf('postgresql.conf', "outbox.leaf_size = '1MB'");
$node->reload;
$node->poll_until("SELECT state IN ('empty', 'current') AND leaf_generation > 1 FROM outbox.leaf WHERE leaf = $leaf");
is(insert(500), '', 'a full leaf is switched and emptied while nothing may grow, and writes go on');
$node->poll_until("SELECT sum(n_dead_tup) = 0 FROM pg_stat_all_tables WHERE schemaname = 'outbox_internal' AND relname = 'event_$leaf'");
pass('what the failed ones left behind is gone');
check('another leaf');

# ---- keys that wait for the commit and do not fit into their file, or into those of sorting them ----
sub changed_heads
{
	my ($what) = @_;
	$node->poll_until("SELECT pending = 0 FROM outbox.status WHERE name = 'fault'");
	is($node->sql("SELECT string_agg(payload->>'n' || ':' || (payload->>'lines'), ' ' ORDER BY (payload->>'n')::int) = string_agg(n || ':' || lines, ' ' ORDER BY n)
		FROM (SELECT DISTINCT ON (aggregateid) payload FROM outbox.event_json WHERE type = 'HeadChanged' ORDER BY aggregateid, seq DESC) e
		FULL JOIN head_v h ON h.n = (e.payload->>'n')::int WHERE e.payload IS NOT NULL OR h.lines > 0"), 't', "$what: heads and their events are the same");
	return;
}
my $before = $node->sql('SELECT count(*) FROM outbox.dead_letter');
my $log = -s $node->logfile;
$node->sql('INSERT INTO line SELECT generate_series(1, 12000)');
changed_heads('keys beyond their file');
$node->sql("BEGIN; SET LOCAL work_mem = '64kB'; INSERT INTO line SELECT generate_series(1, 9000); SAVEPOINT s; INSERT INTO line SELECT generate_series(9001, 9100); ROLLBACK TO s; COMMIT");
changed_heads('keys beyond the files of their sorting');
is($node->sql('SELECT count(*) FROM line'), 21000, 'no write failed for it');
is($node->sql('SELECT count(*) FROM outbox.dead_letter'), $before, 'none was late');
my $said = PostgreSQL::Test::Utils::slurp_file($node->logfile, $log);
is(scalar(() = $said =~ /LOG:  the keys of a transaction stay in memory: could not write to file/g), 1, 'the log says so once in a transaction');
is(scalar(() = $said =~ /LOG:  the keys of a transaction are sorted in memory: could not write to file/g), 2, 'of their sorting, too');
like($said, qr/HINT:  \QMake space where temporary files are, or commit fewer changes at a time; outbox.queue_memory is exceeded meanwhile.\E/, 'and what helps');
like($said, qr/HINT:  \QMake space where temporary files are, or commit fewer changes at a time.\E/, 'both');
unlike($said, qr/WARNING/, 'and nobody is warned');

# ---- dead letters that cannot be written ----
$error = $node->sql_error('INSERT INTO bad SELECT i, 0 FROM generate_series(1, 30000) i');
my ($path) = $error =~ /(base\/\d+\/\d+)/;
like($error, $full, 'a change whose dead letter cannot be written fails');
is($node->sql("SELECT pg_relation_filepath('outbox_internal.dead_letter_entry') = '$path'"), 't', 'naming the file of the dead letters');
is($node->sql('SELECT count(*) FROM bad') + $node->sql('SELECT count(*) FROM outbox.dead_letter'), $before, 'as a whole');

# ---- there is space again ----
limit_files('unlimited');
$node->append_conf('postgresql.conf', "outbox.leaf_size = '1GB'");
$node->reload;
is(insert(10000), '', 'with space the same transaction goes through');
$node->sql('INSERT INTO bad SELECT i, 0 FROM generate_series(1, 30000) i');
is($node->sql("SELECT count(*) FROM outbox.dead_letter WHERE stage = 'map'"), 30000, 'and so do dead letters');
$node->sql('INSERT INTO line SELECT generate_series(1, 12000)');
changed_heads('space again');
check('space again');

# ---- a position that cannot be written ----
$node->sql(<<'SQL');
CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE disk_full USING MESSAGE = 'could not extend file "base/1/1": No space left on device'; END$$;
CREATE TRIGGER full_disk BEFORE INSERT OR UPDATE ON outbox_internal.relay_progress FOR EACH ROW EXECUTE FUNCTION full_disk();
ALTER TABLE outbox_internal.relay_progress ENABLE ALWAYS TRIGGER full_disk;
SQL
my $acked = $node->sql('SELECT acked FROM outbox.relay_progress');
insert(100);
$fault->wait_state('backoff');
like($fault->last_error, qr/No space left on device/, 'a relay that cannot write its position waits and says why');
$node->poll_until("SELECT retry_at IS NOT NULL AND last_error ~ 'No space left' FROM outbox.relay_status WHERE sink = 'fault'");
is(insert(100), '', 'writers do not notice');
is($node->sql('SELECT acked FROM outbox.relay_progress'), $acked, 'the position stays');
$node->sql('DROP TRIGGER full_disk ON outbox_internal.relay_progress');
$node->reload;
$fault->wait_state('running');
check('a position that could not be written');
my %payloads;
$payloads{ $_->{id} }{ $_->{payload_hash} } = 1 for @{ $fault->deliveries };
is(scalar(grep { keys %$_ > 1 } values %payloads), 0, 'what was published twice is the same');

# ---- no space for WAL: the server goes down, as PostgreSQL does ----
insert(100);
limit_files(512 * 1024);
($rc) = eval { $node->psql('postgres', <<"SQL") };

BEGIN;
INSERT INTO doc VALUES ($next);
SELECT pg_logical_emit_message(true, 'disk', repeat('x', 4 * 1024 * 1024));
COMMIT;
SQL
isnt($rc // 1, 0, 'without space for WAL the server goes down');
$next++;
$node->stop('immediate', fail_ok => 1);
like(PostgreSQL::Test::Utils::slurp_file($node->logfile), qr/PANIC:  .*(File too large|No space left|wrote only)/, 'with a PANIC');
$node->start;
is(insert(100), '', 'with space it starts, and writes go on');
check('a crash for want of WAL');

$node->stop;
done_testing();
