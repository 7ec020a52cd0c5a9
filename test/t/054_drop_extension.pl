# DROP EXTENSION beside writers: whoever is in the middle of a transaction on a source finishes it, however the extension
# is dropped; what cannot be had in short attempts is an error of the command, never of a writer.
use strict;
use warnings;

use OutboxCluster;
use Test::More;

my $node = OutboxCluster->create('drop', extension => 0, conf => "deadlock_timeout = '100ms'\nlog_lock_waits = on\n");

$node->sql(<<'SQL');
CREATE ROLE keeper SUPERUSER;
CREATE TABLE acct (id int PRIMARY KEY, v int);
CREATE TABLE head (id int PRIMARY KEY, v int);
CREATE TABLE line (head_id int REFERENCES head, ln int, qty int, PRIMARY KEY (head_id, ln));
CREATE TABLE part (id int, region text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE part_a PARTITION OF part FOR VALUES IN ('a');
CREATE TABLE part_b PARTITION OF part FOR VALUES IN ('b');
INSERT INTO head VALUES (1, 1), (2, 2);
SQL

sub install
{
	my ($decode) = @_;
	my $v = $decode ? "outbox.decode('map', v::bigint)" : 'v';

	$node->sql(<<"SQL");
SET ROLE keeper;
CREATE EXTENSION outbox_ext;
RESET ROLE;
SELECT outbox.create_code_map('map', '{"1": "one"}');
CREATE VIEW acct_v AS SELECT id, $v AS v FROM acct;
CREATE VIEW head_v AS SELECT h.id, h.v, (SELECT count(*) FROM line l WHERE l.head_id = h.id) AS lines FROM head h;
CREATE VIEW part_v AS SELECT id, region FROM part;
SELECT outbox.create_contract('acct', view => 'acct_v', source => 'acct', key => '{id}');
SELECT outbox.create_event_type('AcctAny', contract => 'acct', emit => 'always');
SELECT outbox.create_contract('head', view => 'head_v', source => 'head', key => '{id}');
SELECT outbox.add_source('head', 'line', key_query => 'row.head_id');
SELECT outbox.create_event_type('HeadAny', contract => 'head', emit => 'always');
SELECT outbox.create_contract('part', view => 'part_v', source => 'part', key => '{id,region}');
SELECT outbox.create_event_type('PartAny', contract => 'part', emit => 'always');
SELECT outbox.enable(c) FROM unnest('{acct,head,part}'::text[]) c;
SQL
	return;
}

sub clean_up
{
	$node->sql('SET outbox.ddl_check = off; DROP VIEW IF EXISTS acct_v, head_v, part_v');
	return;
}

# The dropping session waits, so long that nobody looks for a deadlock on its behalf any more.
sub wait_for_drop
{
	my ($what) = @_;
	$node->poll_until(<<"SQL");
SELECT EXISTS (SELECT FROM pg_locks l JOIN pg_stat_activity a USING (pid)
  WHERE NOT l.granted AND a.query LIKE 'DROP%' AND l.waitstart < clock_timestamp() - interval '120 ms')
SQL
	return;
}

my %drop = (
	'DROP EXTENSION' => 'DROP EXTENSION outbox_ext',
	'DROP EXTENSION CASCADE' => 'DROP EXTENSION outbox_ext CASCADE',
	'DROP OWNED' => 'DROP OWNED BY keeper CASCADE');

# What holds a lock on a source, and what needs the outbox then.
my @writers = (
	[ 'a row contract', 'UPDATE acct SET v = 1 WHERE false', 'INSERT INTO acct SELECT coalesce(max(id), 0) + 1, 1 FROM acct', 'acct' ],
	[ 'a contract at commit', 'INSERT INTO line SELECT 1, coalesce(max(ln), 0) + 1, 1 FROM line', '', 'line' ],
	[ 'a partition', 'UPDATE part_b SET id = 1 WHERE false', "INSERT INTO part_b SELECT coalesce(max(id), 0) + 1, 'b' FROM part", 'part' ]);

for my $how (sort keys %drop)
{
	for my $writer (@writers)
	{
		my ($what, $holds, $needs, $table) = @$writer;
		my $before = $node->sql("SELECT count(*) FROM $table");

		install($how eq 'DROP EXTENSION CASCADE');
		my $session = $node->background_psql('postgres', on_error_stop => 0);
		my $dropper = $node->background_psql('postgres', on_error_stop => 0);
		$session->query_safe("BEGIN; $holds");
		$dropper->query_until(qr/started/, "\\echo started\n$drop{$how};\n\\echo ended\n");
		wait_for_drop();
		my (undef, $failed) = $session->query("$needs; COMMIT;");
		$session->{stderr} = '';
		$dropper->query_until(qr/ended/, '');
		is($node->sql("SELECT count(*) FROM $table") - $before, 1, "$how: the write on $what is done") or diag($session->{stderr});
		is($node->sql("SELECT count(*) FROM pg_extension WHERE extname = 'outbox_ext'"), 0, "$how: and the extension is gone")
		  or diag($dropper->{stderr});
		$_->quit for $session, $dropper;
		$node->sql('DROP EXTENSION IF EXISTS outbox_ext CASCADE');
		clean_up();
	}
}

# ---- what stays in use makes the command fail, and the application does not queue behind it for long ----
sub refuses
{
	my ($what, $table) = @_;
	my $writer = $node->background_psql('postgres', on_error_stop => 0);
	my $dropper = $node->background_psql('postgres', on_error_stop => 0);

	$dropper->query_until(qr/started/, "\\echo started\nDROP EXTENSION outbox_ext;\n\\echo ended\n");
	# as many as there are attempts to pass it by
	$writer->query_safe("INSERT INTO acct SELECT coalesce(max(id), 0) + 1, 1 FROM acct") for 1 .. 20;
	$dropper->query_until(qr/ended/, '');
	like($dropper->{stderr}, qr/ERROR:  could not lock "(?:$table)"\nDETAIL:  \d+ attempts within [0-9.]+ s found it in use\.\nHINT:  \QLong transactions on it stand in pg_locks (relation = '\E\S+\Q'::regclass), prepared ones without a pid; try again when they are over. outbox.drop_contract(), one contract per transaction, needs fewer tables at a time; outbox.uninstall() names other steps to take before.\E/,
		"$what: DROP EXTENSION fails, and says what is in use");
	is($node->sql("SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND relation IS NOT NULL"), 0, "$what: no lock is left");
	$_->quit for $writer, $dropper;
	return;
}

install(0);
my $long = $node->background_psql('postgres');
$long->query_safe("BEGIN; INSERT INTO line VALUES (2, 100, 1)");
refuses('a long transaction on a source', 'line|head');
$long->query_safe('COMMIT');
$node->sql("BEGIN; INSERT INTO part_a VALUES (100, 'a'); PREPARE TRANSACTION 'p'");
refuses('a prepared transaction', 'part|part_a|event_seq|event_1');
$node->sql("COMMIT PREPARED 'p'");
$long->query_safe('BEGIN; SELECT count(*) FROM outbox.status');
refuses('a session that reads the outbox', '[a-z_]+');
$long->query_safe('COMMIT');
is($node->sql('SELECT count(*) FROM outbox.event') > 60, 1, 'all writes are captured meanwhile');

# ---- who may not drop it, and what drops something else, locks nothing ----
$node->sql('CREATE ROLE anybody; CREATE ROLE somebody');
$long->query_safe('BEGIN; INSERT INTO acct VALUES (-1, 1)');
like($node->sql_error('SET ROLE anybody; DROP EXTENSION outbox_ext'), qr/42501: must be owner of extension outbox_ext/, 'not the owner');
like($node->sql_error('SET ROLE anybody; DROP OWNED BY keeper'), qr/42501: permission denied to drop objects/, 'not the owner, by DROP OWNED');
like($node->sql_error("SET lock_timeout = '1ms'; DROP SCHEMA outbox CASCADE"), qr/2BP01: cannot drop schema outbox because extension outbox_ext requires it/,
	'the schema goes with the extension only, whoever uses it');
$node->sql("SET lock_timeout = '1ms'; DROP OWNED BY somebody; DROP EXTENSION IF EXISTS no_such_thing");
$long->query_safe('COMMIT');

# ---- and with it dropped and created in one transaction, everything is new ----
$node->sql('SET outbox.ddl_check = off; DROP VIEW acct_v, head_v, part_v; BEGIN; DROP EXTENSION outbox_ext; CREATE EXTENSION outbox_ext; COMMIT');
is($node->sql("SELECT evtenabled FROM pg_event_trigger WHERE evtname = 'outbox_lock_before_drop'"), 'A', 'the event trigger is there again');
$node->sql('SET session_replication_role = replica; DROP EXTENSION outbox_ext');
is($node->sql("SELECT count(*) FROM pg_event_trigger"), 0, 'and goes with it');
$long->quit;

unlike(PostgreSQL::Test::Utils::slurp_file($node->logfile), qr/deadlock detected/, 'no deadlock');
done_testing();
