# The newest events of all keys that are late are found in one reading of the outbox, before any key is locked; what is
# committed after the reading counts all the same. Blocks are counted, not time.
use strict;
use warnings;

use OutboxCluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = OutboxCluster->create('reading', conf => "outbox.ring_size = 1024\nmax_prepared_transactions = 5\n");

$node->sql(<<'SQL');
CREATE FUNCTION execute_late(command text) RETURNS void LANGUAGE c AS 'outbox_ext', 'outbox_test_execute_late';
CREATE TABLE filler (id int PRIMARY KEY, t text);
ALTER TABLE filler ALTER t SET STORAGE PLAIN;
CREATE VIEW filler_v AS SELECT id, t FROM filler;
SELECT outbox.create_contract('filler', view => 'filler_v', source => 'filler', key => '{id}');
SELECT outbox.create_event_type('Filler', contract => 'filler', emit => 'created');
SELECT outbox.enable('filler');
CREATE TABLE account (id int PRIMARY KEY, grp int NOT NULL);
CREATE TABLE booking (account_id int NOT NULL, amount int NOT NULL);
CREATE INDEX ON booking (account_id);
CREATE VIEW account_v AS SELECT a.id, a.grp, coalesce((SELECT sum(b.amount) FROM booking b WHERE b.account_id = a.id), 0)::bigint AS total FROM account a;
SQL

# Two contracts on the same rows: the message key is the key, or another one.
my %contracts = (plain => '{id}', grouped => '{grp}');
for my $name (sort keys %contracts)
{
	$node->sql(<<"SQL");
SELECT outbox.create_contract('$name', view => 'account_v', source => 'account', key => '{id}', aggregate_id => '$contracts{$name}');
SELECT outbox.add_source('$name', 'booking', key_query => 'row.account_id');
SELECT outbox.create_event_type('$name', contract => '$name', emit => 'changed', previous => '{total}');
SELECT outbox.enable('$name');
SQL
}
$node->sql('INSERT INTO account SELECT i, i % 10 FROM generate_series(1, 1000) i');
$node->sql("INSERT INTO filler SELECT i, repeat(md5(i::text), 32) FROM generate_series(1, 12000) i");

my $gate  = $node->background_psql('postgres');
my $first = $node->background_psql('postgres');
my $relay = $node->background_psql('postgres'); # stands for one: what it finds is kept from one transaction to the next
my $pid   = $first->query_safe('SELECT pg_backend_pid()');

# Lets the first session read all keys of the type while the others' commands come too late.
sub late
{
	my (@commands) = @_;

	$gate->query_safe('SELECT pg_advisory_lock(1)');
	$first->query_until(qr/sent/, "BEGIN; INSERT INTO booking SELECT id, 0 FROM account; SELECT execute_late('SELECT pg_advisory_xact_lock(1)');\n\\echo sent\nCOMMIT;\n");
	$node->poll_until("SELECT count(*) = 1 FROM pg_locks WHERE pid = $pid AND locktype = 'advisory' AND NOT granted");
	# as much again is for the reading of the rows before, which a busy machine must manage
	$node->sql("SET outbox.flush_timeout = 500; $_") for @commands;
	$gate->query_safe('SELECT pg_advisory_unlock(1)');
	$first->query_safe('SELECT 1');
	return;
}

sub open_letters
{
	return $node->sql("SELECT count(*) FROM outbox.dead_letter WHERE state = 'open'");
}

# Blocks of leaves that were read, in buffers or not, over those that there are.
my $count_blocks = "SELECT sum(heap_blks_read + heap_blks_hit) FROM pg_statio_all_tables WHERE relid IN (SELECT relation FROM outbox_internal.leaf)";
my $all_blocks = "SELECT sum(pg_relation_size(relation)) / current_setting('block_size')::int FROM outbox_internal.leaf";

sub readings
{
	my ($session, $command, $until_none) = @_;
	my $before = $node->sql($count_blocks);
	my $times  = 0;

	do
	{
		$session->query_safe($command);
		$times++;
	} while ($until_none && open_letters() > 0 && $times < 1000);
	# statistics are told when a transaction ends, but at most once a second; at the latest at the end of the session
	$session->quit;
	my $pending = "($count_blocks) - $before";
	$node->poll_until("SELECT $pending > 0");
	return $node->sql("SELECT ($pending) / ($all_blocks)::numeric");
}

sub last_events
{
	my ($name, $id) = @_;

	return $node->sql("SELECT string_agg((payload->>'previous_total') || ' to ' || (payload->>'total'), ', ' ORDER BY seq)
		FROM outbox.event_json WHERE contract = '$name' AND payload->>'id' = '$id'");
}

# The reading may take several turns; then one letter after the other is taken up, and what is known of the others is kept.
sub take_one
{
	my ($session, $n) = @_;

	$session->query_safe('SELECT outbox_internal.redrive_late(1)') while open_letters() == $n;
	is(open_letters(), $n - 1, 'one letter is taken up, and the others are looked for');
	return;
}

sub take_all
{
	my ($session) = @_;

	for (1 .. 1000)
	{
		last if open_letters() == 0;
		$session->query_safe('SELECT outbox_internal.redrive_late(100)');
	}
	return;
}

# ---- many letters, one reading ----
late('INSERT INTO booking SELECT i, 1 FROM generate_series(1, 300) i');
is(open_letters(), 600, 'three hundred keys are late, for two contracts');
my $cost = readings($relay, 'SELECT outbox_internal.redrive_late(20)', 1);
is(open_letters(), 0, 'all of them are taken up, twenty at a time');
cmp_ok($cost, '<', 6, "the outbox was read about once for it, not once per letter ($cost times)");
is(last_events($_, 7), '0 to 1', "$_: what is told follows what was told before") for sort keys %contracts;

late('INSERT INTO booking SELECT i, 1 FROM generate_series(1, 300) i');
my $person = $node->background_psql('postgres');
$cost = readings($person, 'SELECT outbox.redrive()', 1);
is(open_letters(), 0, 'a person takes all up in a few portions');
cmp_ok($cost, '<', 8, "which reads the outbox about once for each, too ($cost times)");
is(last_events($_, 7), '0 to 1, 1 to 2', "$_: and tells the same way") for sort keys %contracts;

# ---- what is committed after the reading counts ----
$relay = $node->background_psql('postgres');
late('INSERT INTO booking SELECT i, 10 FROM generate_series(401, 410) i');
$node->sql("BEGIN; INSERT INTO booking VALUES (402, 200); PREPARE TRANSACTION 'straddles'");
take_one($relay, 20);
$node->sql('INSERT INTO booking VALUES (401, 100), (403, 100)');
$node->sql("COMMIT PREPARED 'straddles'");
take_all($relay);
is(open_letters(), 0, 'the others are taken up');
is(last_events('plain', 402), '10 to 210, 210 to 210', 'a transaction that was prepared before the reading and committed after it counts');
is(last_events($_, 403), '10 to 110, 110 to 110', "$_: a commit after the reading counts") for sort keys %contracts;

# ---- so many that their hints are lost ----
late('INSERT INTO booking SELECT i, 10 FROM generate_series(501, 510) i');
take_one($relay, 20);
$node->sql('INSERT INTO booking VALUES (503, 100)');
$node->sql("DO \$\$ BEGIN FOR i IN 1 .. 1100 LOOP INSERT INTO filler VALUES (100000 + i, 'x'); COMMIT; END LOOP; END \$\$");
take_all($relay);
is(open_letters(), 0, 'letters are taken up after hints were lost');
is(last_events($_, 503), '10 to 110, 110 to 110', "$_: and nothing is missed") for sort keys %contracts;

# ---- a transaction that is rolled back leaves nothing behind ----
late('INSERT INTO booking SELECT i, 10 FROM generate_series(601, 603) i');
$relay->query_safe('BEGIN; SELECT outbox_internal.redrive_late(2), outbox_internal.redrive_late(2), outbox_internal.redrive_late(2); ROLLBACK');
is(open_letters(), 6, 'what a transaction takes up that is rolled back is late as before');
take_all($relay);
is(last_events($_, 602), '0 to 10', "$_: and is told once") for sort keys %contracts;

# ---- a key that changed meanwhile ----
$node->sql("UPDATE account SET id = -id WHERE id BETWEEN 601 AND 603");
late('INSERT INTO booking SELECT i, 10 FROM generate_series(701, 703) i');
is(open_letters(), 6, 'further keys are late');
$person = $node->background_psql('postgres');
is($person->query_safe('SELECT outbox.redrive()'), 6, 'and are taken up by a person');

done_testing();
