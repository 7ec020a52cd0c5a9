# The views for monitoring: outbox.metrics counts what happened and keeps counting over restarts of relays,
# relay_status says what each relay does, writers whose transactions are open, and the collector that ships for
# sql_exporter asks for all of it with the rights of a reader.
use strict;
use warnings;

use CPAN::Meta::YAML ();
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use Test::More;

use OutboxCluster;
use OutboxFault;

my $top  = abs_path(dirname(__FILE__) . '/../..');
my $node = OutboxCluster->create('metrics', conf => $OutboxFault::CONF);

$node->sql(<<'SQL');
CREATE TABLE t (id int PRIMARY KEY, v text, n int);
CREATE VIEW t_v AS SELECT id, v, 100 / n AS share FROM t;
SELECT outbox.create_contract('t', view => 't_v', source => 't', key => '{id}');
SELECT outbox.create_event_type('TCreated', contract => 't', emit => 'created');
SELECT outbox.create_event_type('TDeleted', contract => 't', emit => 'deleted', tombstone => 'after');
SELECT outbox.enable('t');
SQL
my $fault = OutboxFault->new($node, 'fault');

# The value of a metric whose labels contain these; nothing when there is no such row.
sub metric
{
	my ($name, %labels) = @_;
	my $json = JSON::PP->new->canonical->encode(\%labels);
	return $node->sql("SELECT sum(value) FROM outbox.metrics WHERE name = 'outbox_$name' AND labels @> '$json'");
}

sub reaches
{
	my ($value, $name, %labels) = @_;
	my $json = JSON::PP->new->canonical->encode(\%labels);
	$node->poll_until("SELECT sum(value) = $value FROM outbox.metrics WHERE name = 'outbox_$name' AND labels @> '$json'");
	pass("$name " . join(' ', map { "$_=$labels{$_}" } sort keys %labels) . ": $value");
	return;
}

# ---- captured ----
$node->sql("INSERT INTO t SELECT i, 'v', 1 FROM generate_series(1, 40) i");
$node->sql("DELETE FROM t WHERE id <= 10");
$node->sql("BEGIN; INSERT INTO t VALUES (100, 'gone', 1); SAVEPOINT s; INSERT INTO t VALUES (101, 'gone', 1); ROLLBACK TO s; COMMIT");
$node->sql("BEGIN; INSERT INTO t VALUES (200, 'rolled back', 1); ROLLBACK");
$node->sql("INSERT INTO t VALUES (300, 'bad', 0), (301, 'bad', 0)");
is(metric('captured_total', contract => 't', event_type => 'TCreated'), 41, 'captured by event type: what was committed');
is(metric('captured_total', contract => 't', event_type => 'TDeleted'), 10, 'each type apart');
is(metric('captured_total'), $node->sql('SELECT count(*) FROM outbox.event'), 'captured in all: what is in the outbox');
is($node->sql("SELECT captured FROM outbox.status WHERE kind = 'extension'"), $node->sql('SELECT count(*) FROM outbox.event'),
	'status says the same, without what was rolled back');
is($node->sql("SELECT e.captured > (SELECT count(*) FROM outbox.event) FROM (SELECT last_value AS captured FROM outbox_internal.event_seq) e"), 't',
	'though seq has gaps');
is(metric('captured_dead_letters_total', contract => 't'), 2, 'changes that became dead letters');
is(metric('dead_letters', contract => 't', stage => 'map'), 2, 'open dead letters by stage');
is(metric('pending', sink => 'fault'), $node->sql('SELECT last_value FROM outbox_internal.event_seq'), 'pending of a sink that was never started: an upper bound');
is(metric('relay_up', sink => 'fault'), 0, 'a relay that is stopped is not up');
is(metric('relay_state', state => 'stopped'), 1, 'and its state says why');

# ---- published ----
$fault->start;
$fault->wait_published;
reaches(41, 'published_total', sink => 'fault', event_type => 'TCreated');
reaches(10, 'published_total', sink => 'fault', event_type => 'TDeleted');
is(metric('relay_up', sink => 'fault'), 1, 'a relay that runs is up');
is(metric('pending'), 0, 'nothing is pending');
is(metric('in_flight'), 0, 'nor in flight');
is(metric('acked_total'), 51, 'acknowledged: events, not messages');
my $bytes = $node->sql("SELECT sum(length(payload) + CASE WHEN type = 'TDeleted' THEN 2 ELSE 1 END * octet_length(aggregateid)) FROM outbox.event");
is(metric('published_bytes_total'), $bytes, 'bytes: keys and payloads of all messages');

# ---- latency ----
my $histogram = $node->sql(<<'SQL');
SELECT count(*), bool_and(value >= before), max(value) FILTER (WHERE le = '+Inf'),
	(SELECT value FROM outbox.metrics WHERE name = 'outbox_publish_latency_seconds_count'),
	bool_and(le = '+Inf' OR le::float8 > 0)
FROM (SELECT labels ->> 'le' AS le, value, lag(value, 1, 0) OVER (ORDER BY (labels ->> 'le')::float8) AS before
	FROM outbox.metrics, set_config('extra_float_digits', '1', false) WHERE name = 'outbox_publish_latency_seconds_bucket') b
SQL
is($histogram, '20|t|51|51|t', 'latency: 20 buckets that grow, the last one with all events');
my $quick = metric('publish_latency_seconds_bucket', le => '1');
$fault->control(delay_ms => 1200);
$fault->append('slow', 5);
$fault->wait_published;
$fault->control();
reaches(56, 'publish_latency_seconds_bucket', le => '+Inf');
is(metric('publish_latency_seconds_bucket', le => '1'), $quick, 'latency: what takes longer than a second is not among what took less');
cmp_ok(metric('publish_latency_seconds_sum'), '>', 6, 'latency: what is slow takes its time in the sum');

# ---- over restarts of the relay ----
my $count = metric('publish_latency_seconds_count');
$fault->stop;
is(metric('publish_latency_seconds_count'), $count, 'a stopped relay leaves its counters');
$node->sql("SELECT outbox.start_relay('fault')");
$fault->wait_state('running');
$fault->append('more', 4);
$fault->wait_published;
reaches($count + 4, 'publish_latency_seconds_count');

# ---- trouble ----
my $retries = metric('retries_total');
$fault->control(raise => 'publish');
$fault->append('fails', 1);
$fault->wait_state('backoff');
$node->poll_until("SELECT retries > $retries FROM outbox.relay_status WHERE sink = 'fault'");
is($node->sql("SELECT retry_at > since AND last_error ~ 'raises in publish' AND pending >= 1 AND in_flight = 0 FROM outbox.relay_status"),
	't', 'relay_status: the pause, its end, and why');
is(metric('relay_up', sink => 'fault'), 0, 'a relay that is in trouble is not up');
$fault->control(down => 1);
$node->poll_until("SELECT in_flight = 1 AND in_flight_bytes > 0 AND lag > interval '0' AND retry_at IS NULL FROM outbox.relay_status");
pass('relay_status: what is in flight, and how old it is');
cmp_ok(metric('oldest_pending_age_seconds'), '>', 0, 'the oldest pending event has an age');
$fault->control();
$fault->wait_published;
$node->poll_until("SELECT state = 'running' AND in_flight = 0 AND lag IS NULL FROM outbox.relay_status");

# ---- replay ----
$node->sql("SELECT outbox.replay('fault', rate => 1)");
$node->poll_until('SELECT replay IS NOT NULL FROM outbox.relay_status');
cmp_ok(metric('replay_left', sink => 'fault'), '>', 1, 'what a replay has left');
my $published = metric('published_total');
$node->poll_until("SELECT published > 1 FROM outbox.replays WHERE state = 'running'");
is(metric('published_total'), $published, 'what is published again does not count as published');
$node->sql("SELECT outbox.cancel_replay(request) FROM outbox.replays WHERE state = 'running'");
is(metric('replay_left'), '', 'nothing is left of a replay that was cancelled');

# ---- writers ----
is(metric('writers'), 0, 'no writers');
my $session = $node->background_psql('postgres');
$session->query_safe("BEGIN; INSERT INTO t VALUES (400, 'open', 1)");
my $pid = $session->query_safe('SELECT pg_backend_pid()');
is($node->sql('SELECT pid FROM outbox.writers'), $pid, 'writers: a transaction that has captured');
is(metric('oldest_writer_pid'), $pid, 'and its process');
cmp_ok(metric('oldest_writer_age_seconds'), '>', 0, 'and its age');
$session->query_safe("PREPARE TRANSACTION 'prepared'");
$session->quit;
is($node->sql('SELECT pid IS NULL, gid FROM outbox.writers'), 't|prepared', 'writers: a prepared one');
cmp_ok(metric('oldest_writer_age_seconds'), '>', 0, 'which has an age too');
$node->sql("ROLLBACK PREPARED 'prepared'");

# ---- gaps and tables ----
$node->sql('TRUNCATE t');
is(metric('gaps', contract => 't'), 1, 'gaps');
cmp_ok(metric('table_bytes', table => 'event'), '>', 0, 'bytes of the leaves');
is(metric('leaves', state => 'current'), 1, 'leaves by state');
cmp_ok(metric('backlog_bytes'), '>=', metric('table_bytes', table => 'event') / 2, 'bytes of what is not settled');

# ---- the collector ----
my $yaml = CPAN::Meta::YAML->read_string(PostgreSQL::Test::Utils::slurp_file("$top/docs/outbox_ext.collector.yml"))->[0];
is($yaml->{collector_name}, 'outbox_ext', 'the collector is a collector');
$node->sql("CREATE ROLE monitor LOGIN; SELECT outbox.grant_access('monitor', 'reader')");
my %names;
for my $metric (@{ $yaml->{metrics} })
{
	my $name = $metric->{metric_name};
	my @columns = (@{ $metric->{key_labels} || [] }, @{ $metric->{values} });

	$names{$name} = 1;
	like($metric->{type}, qr/^(counter|gauge)$/, "$name: a type");
	is($metric->{type} eq 'counter', $name =~ /_(total|bucket|sum|count)$/ ? 1 : '', "$name: the type is that of the name");
	is($node->safe_psql('postgres', "SET ROLE monitor; CREATE TEMP TABLE q AS $metric->{query};
		SELECT string_agg(attname, ' ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'q'::regclass AND attnum > 0"),
		join(' ', @columns), "$name: a reader may ask for it, and gets labels and value");
}
my %defined = map { $_ => 1 } $node->sql("SELECT pg_get_viewdef('outbox.metrics'::regclass)") =~ /'(outbox_[a-z_]+)'::text/g;
is_deeply(\%names, \%defined, 'the collector has every metric that there is');

# ---- two sinks, and no shared memory ----
my $other = OutboxFault->new($node, 'other')->start;
$other->wait_published;
is(metric('published_total', sink => 'other'), $node->sql('SELECT count(*) FROM outbox.event'), 'each sink counts its own');
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$node->restart;
is($node->sql("SELECT string_agg(DISTINCT name, ' ' ORDER BY name) FROM outbox.metrics WHERE name ~ '_total|pending|latency'"),
	'outbox_acked_total outbox_oldest_pending_age_seconds outbox_pending', 'without preloading: what tables know');
is(metric('info', preloaded => 'false'), 1, 'and that it is so');

$node->stop;
done_testing();
