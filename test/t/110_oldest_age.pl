# The age of the oldest committed event that is not acknowledged, whatever the state of the sink; and it costs a few blocks.
use strict;
use warnings;

use Test::More;

use OutboxCluster;
use OutboxFault;

my $node = OutboxCluster->create('oldest_age', conf => $OutboxFault::CONF);
$node->sql(<<'SQL');
CREATE TABLE t (id int PRIMARY KEY, v text);
CREATE VIEW t_v AS SELECT id, v FROM t;
SELECT outbox.create_contract('t', view => 't_v', source => 't', key => '{id}');
SELECT outbox.create_event_type('TCreated', contract => 't', emit => 'created');
SELECT outbox.enable('t');
SQL
my $fault = OutboxFault->new($node, 'fault');

# Is the age that of the event of this key, in all three places?
sub ages
{
	my ($key, $what) = @_;
	my $at = defined $key ? "(SELECT occurred_at FROM outbox.event WHERE aggregateid = '$key')" : 'NULL';
	# between the start of the statement and the end of its look; another event's age is another one by a second
	my $same = "a.age BETWEEN statement_timestamp() - $at - interval '10 ms' AND clock_timestamp() - $at + interval '10 ms'";

	$node->sql("CREATE OR REPLACE VIEW ages AS
		SELECT oldest_age AS age FROM outbox.status WHERE kind = 'sink' AND name = 'fault'
		UNION ALL SELECT lag FROM outbox.relay_status WHERE sink = 'fault'
		UNION ALL SELECT nullif(value, 0) * interval '1 s' FROM outbox.metrics WHERE name = 'outbox_oldest_pending_age_seconds' AND labels ->> 'sink' = 'fault'");
	is($node->sql(defined $key ? "SELECT count(*) FROM ages a WHERE $same" : 'SELECT count(*) FROM ages WHERE age IS NULL'), 3, $what);
	return;
}

# So that another event's age is another one.
sub seconds_after
{
	my ($key) = @_;
	$node->poll_until("SELECT clock_timestamp() - occurred_at > '1 s' FROM outbox.event WHERE aggregateid = '$key'");
	return;
}

sub insert
{
	$node->sql("INSERT INTO t SELECT i, 'x' FROM generate_series($_[0], $_[1]) i");
	return;
}

ages(undef, 'nothing is pending at a sink that was never started');
insert(1, 1);
seconds_after(1);
insert(2, 100);
ages(1, 'never started');

$fault->control(down => 1);
$node->sql("SELECT outbox.start_relay('fault')");
$node->poll_until("SELECT state = 'backoff' FROM outbox_internal.relay_report()");
ages(1, 'the broker is down');
$fault->control();
$node->poll_until('SELECT acked = 100 FROM outbox.relay_progress');
$node->poll_until("SELECT oldest_age IS NULL FROM outbox.status WHERE name = 'fault'");
ages(undef, 'running, and everything is acknowledged');

# a transaction that has drawn its numbers and commits when the sink is stopped
my $late = $node->background_psql('postgres');
$late->query_safe("BEGIN; INSERT INTO t VALUES (200, 'late')");
insert(201, 300);
$node->poll_until('SELECT acked = 200 FROM outbox.relay_progress');
$node->sql("SELECT outbox.stop_relay('fault')");
$node->poll_until('SELECT pid IS NULL FROM outbox_internal.relay_report()');
ages(undef, 'stopped, and all that is committed is acknowledged');
$late->query_safe('COMMIT');
$late->quit;
ages(200, 'stopped: a transaction that was open when the position was recorded');
is($node->sql("SELECT pending > 0 FROM outbox.status WHERE name = 'fault'"), 't', 'and it is pending');
seconds_after(200);
insert(301, 400);
ages(200, 'stopped: what comes later is younger');
$node->sql("SELECT outbox.start_relay('fault')");
$node->poll_until('SELECT acked = 301 FROM outbox.relay_progress');
$node->sql("SELECT outbox.pause('fault')");
$node->poll_until('SELECT pid IS NULL FROM outbox_internal.relay_report()');
insert(401, 401);
seconds_after(401);
insert(402, 500);
ages(401, 'paused');

# ---- cheap: behind much that is acknowledged, and before much that is not ----
$node->sql("SELECT outbox.resume('fault')");
insert(1001, 40000);
$node->poll_until("SELECT pending = 0 FROM outbox.status WHERE name = 'fault'");
$node->sql("SELECT outbox.pause('fault')");
$node->poll_until('SELECT pid IS NULL FROM outbox_internal.relay_report()');
insert(50001, 50001);
seconds_after(50001);
insert(60001, 99000);
ages(50001, 'in the middle of a large leaf');
my $blocks = $node->sql(<<'SQL');
SELECT pg_stat_force_next_flush();
SELECT sum(pg_stat_get_blocks_fetched(relation)) FROM outbox.leaf \gset before_
SELECT outbox_internal.oldest_pending(id) IS NOT NULL FROM outbox.sink;
SELECT pg_stat_force_next_flush();
SELECT sum(pg_stat_get_blocks_fetched(relation)) - :before_sum FROM outbox.leaf;
SQL
$blocks = (split /\n/, $blocks)[-1];
my $all = $node->sql('SELECT sum(pg_relation_size(relation)) / 8192 FROM outbox.leaf');
cmp_ok($all, '>', 800, "the leaf is large ($all blocks)");
cmp_ok($blocks, '<', 300, "and few of its blocks are read ($blocks)");

$node->sql("CREATE ROLE reader; SELECT outbox.grant_access('reader', 'reader')");
is($node->sql("SET ROLE reader; SELECT oldest_age IS NOT NULL FROM outbox.status WHERE name = 'fault'"), 't', 'readers see it');
$node->stop;

# ---- without preloading ----
my $trial = OutboxCluster->create('oldest_age_trial', preload => 0);
$trial->sql(<<'SQL');
CREATE TABLE t (id int PRIMARY KEY);
CREATE VIEW t_v AS SELECT id FROM t;
SELECT outbox.create_contract('t', view => 't_v', source => 't', key => '{id}');
SELECT outbox.create_event_type('TCreated', contract => 't', emit => 'created');
SELECT outbox.enable('t');
SELECT outbox.create_sink('log', 'outbox_log');
INSERT INTO t VALUES (1);
SQL
is($trial->sql("SELECT oldest_age > '0' FROM outbox.status WHERE name = 'log'"), 't', 'without preloading');
$trial->stop;
done_testing();
