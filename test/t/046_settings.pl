# Settings that are changed in the configuration file take effect with a reload, in running relays and sessions.
use strict;
use warnings;

use Test::More;

use OutboxCluster;
use OutboxFault;

my $node = OutboxCluster->create('settings', conf => $OutboxFault::CONF . "outbox.poll_interval = 60s\n");
$node->sql("CREATE TABLE t (id int PRIMARY KEY);
	CREATE VIEW t_v AS SELECT id FROM t;
	SELECT outbox.create_contract('t', view => 't_v', source => 't', key => '{id}');
	SELECT outbox.create_event_type('TCreated', contract => 't', emit => 'created');
	SELECT outbox.enable('t')");
my $fault = OutboxFault->new($node, 'fault')->start;
my $pid = $fault->pid;

sub set
{
	my (%settings) = @_;
	$node->append_conf('postgresql.conf', join('', map { "$_ = '$settings{$_}'\n" } sort keys %settings));
	$node->reload;
	return;
}

sub looks
{
	return $node->sql('SELECT cycles FROM outbox_internal.relay_report()');
}

# ---- outbox.poll_interval ----
set('outbox.poll_interval' => '10ms');
$node->poll_until('SELECT cycles >= ' . (looks() + 200) . ' FROM outbox_internal.relay_report()');
pass('poll_interval: a relay that looked once a minute looks often');

# five sessions of ours take long enough for many looks every 10 ms
set('outbox.poll_interval' => '60s');
my %looks;
for (1 .. 200)
{
	%looks = map { looks() => 1 } 1 .. 5;
	last if keys %looks == 1;
}
is(scalar(keys %looks), 1, 'poll_interval: and again once in a while');
$fault->append('woken', 1);
$fault->wait_published(timeout => 30); # half of the interval
pass('a commit wakes it all the same');

# ---- outbox.drain_timeout ----
set('outbox.drain_timeout' => '600s');
set('outbox.drain_timeout' => '0');
$fault->control(down => 1);
$fault->append('down', 1);
$fault->wait_state('backoff');
is($fault->pid, $pid, 'the relay is the one that was there before the changes');
$fault->stop;
pass('drain_timeout: the relay does not wait for a broker that is down');
$fault->control();

# ---- outbox.max_in_flight: for the next attempt ----
set('outbox.max_in_flight' => 2);
$fault->control(delay_ms => 50);
$node->sql("SELECT outbox.start_relay('fault')");
$fault->append('few', 100);
# In one statement: a client that looks now and then may come too late every time.
my $most = $node->sql(<<'SQL');
CREATE FUNCTION pg_temp.most_under_way() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	most bigint := 0;
	report record;
BEGIN
	LOOP
		SELECT published, published - acked AS under_way INTO report FROM outbox_internal.relay_report();
		most := greatest(most, report.under_way);
		EXIT WHEN report.published >= 100 AND report.under_way = 0;
	END LOOP;
	RETURN most;
END $$;
SELECT pg_temp.most_under_way();
SQL
cmp_ok($most, '<=', 2, 'max_in_flight: no more messages are under way');
cmp_ok($most, '>', 0, 'and some are');
$fault->wait_published;
is($fault->check('all changes'), 0, 'nothing is lost or repeated by changes of settings');

# ---- outbox.max_in_flight_size: one message always fits ----
set('outbox.max_in_flight' => 65536, 'outbox.max_in_flight_size' => '64kB');
$fault->stop;
$fault->control(delay_ms => 150);
$node->sql("SELECT outbox.start_relay('fault')");
$node->sql("SELECT append(1, 't', 'large', 40, 30000)");
# a relay that has only just started reports nothing yet
$node->poll_until('SELECT in_flight_bytes > 0 FROM outbox.relay_status');
$most = 0;
until ($node->sql("SELECT pending = 0 FROM outbox.status WHERE kind = 'sink'") eq 't')
{
	my $bytes = $node->sql('SELECT coalesce(in_flight_bytes, 0) FROM outbox.relay_status');
	$most = $bytes if $bytes > $most;
}
cmp_ok($most, '<=', 65536, 'max_in_flight_size: no more bytes are under way');
cmp_ok($most, '>', 0, 'and some are');
$fault->control();

# ---- outbox.max_sorted_events: more passes, the same events ----
set('outbox.max_sorted_events' => 16);
$fault->append('passes', 200);
$fault->wait_published;
is($fault->check('max_sorted_events'), 0, 'in many passes, each once');

# ---- outbox.dead_letter_retention ----
$node->sql("INSERT INTO outbox.dead_letter_entry (contract, stage, sqlstate, message, state, resolved_at) VALUES ('t', 'map', '00000', 'old', 'discarded', now() - interval '1 hour')");
set('outbox.dead_letter_retention' => '1s');
$node->poll_until("SELECT count(*) FROM outbox.dead_letter WHERE message = 'old'", 0);
pass('dead_letter_retention: a relay at work goes by the new one');

# ---- outbox.capture ----
my $session = $node->background_psql('postgres');
$session->query_safe('INSERT INTO t VALUES (1)');
set('outbox.capture' => 'off');
$node->poll_until("SELECT state = 'capture off' FROM outbox.status WHERE kind = 'extension'");
$session->query_safe('SELECT') until $session->query_safe('SHOW outbox.capture') eq 'off';
$session->query_safe('INSERT INTO t VALUES (3)');
set('outbox.capture' => 'on');
$node->poll_until("SELECT state = 'active' FROM outbox.status WHERE kind = 'extension'");
$session->query_safe('SELECT') until $session->query_safe('SHOW outbox.capture') eq 'on';
$session->query_safe('INSERT INTO t VALUES (4)');
$session->quit;
is($node->sql("SELECT string_agg(aggregateid, ' ' ORDER BY seq) FROM outbox.event_json WHERE type = 'TCreated' AND aggregateid IN ('1', '3', '4')"),
	'1 4', 'capture: an open session stops and goes on');

# ---- outbox.sink_libraries ----
set('outbox.sink_libraries' => 'outbox_log');
$node->poll_until("SELECT setting = 'outbox_log' FROM pg_settings WHERE name = 'outbox.sink_libraries'");
like($node->sql_error("SELECT outbox.create_sink('two', 'outbox_fault')"), qr/42501: sink library "outbox_fault" is not allowed/,
	'sink_libraries: a library that was taken off is refused');
set('outbox.sink_libraries' => 'outbox_fault');
$node->poll_until("SELECT setting = 'outbox_fault' FROM pg_settings WHERE name = 'outbox.sink_libraries'");
$node->sql("SELECT outbox.create_sink('two', 'outbox_fault')");
pass('sink_libraries: a library that was added is allowed');

$node->stop;
done_testing();
