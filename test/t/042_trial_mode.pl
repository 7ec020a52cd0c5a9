# Without preloading: capture works, relays run on trial and say so, they end with the server, status says what to do,
# and after doing as told events that were captured meanwhile are published.
use strict;
use warnings;

use Test::More;

use OutboxCluster;

my $node = OutboxCluster->create('trial', preload => 0, conf => "outbox.ring_size = 128\noutbox.max_databases = 4\noutbox.namespace = 'trial'\n");

sub status
{
	my ($kind) = @_;
	return $node->sql("SELECT state, advice FROM outbox.status WHERE kind = '$kind' AND name <> 'kafka'");
}

$node->sql("CREATE TABLE t (id int PRIMARY KEY);
	CREATE VIEW t_v AS SELECT id FROM t;
	SELECT outbox.create_contract('t', view => 't_v', source => 't', key => '{id}');
	SELECT outbox.create_event_type('TCreated', contract => 't', emit => 'created');
	SELECT outbox.enable('t');
	INSERT INTO t VALUES (1);
	SELECT outbox.create_sink('log', 'outbox_log')");
is($node->sql('SELECT count(*) FROM outbox.event_json'), 1, 'changes are captured');
is($node->sql('SELECT outbox_internal.preloaded()'), 'f', 'preloaded() says no');
is(status('extension'), 'not preloaded|Add outbox_ext to shared_preload_libraries and restart; until then relays run on trial and end with the server.',
	'status says what to do');
is(status('sink'), "stopped|SELECT outbox.start_relay('log') starts its relay.", 'the sink is stopped');

# settings that need preloading are no reason to bother an application's session
my ($rc, $out, $err) = $node->psql('postgres', 'INSERT INTO t VALUES (2); SHOW outbox.ring_size');
is("$rc|$out|$err", '0|128|', 'sizes of shared memory in the configuration file send no warning');

# ---- a relay on trial ----
my $broker = OutboxBroker->mock;
$node->sql("SELECT outbox.create_sink('kafka', 'outbox_kafka', '{\"bootstrap.servers\": \"" . $broker->address . "\"}')");
is($node->sql("SELECT outbox.start_relay('kafka')"),
	'The relay of sink "kafka" starts on trial when this transaction commits: it looks for events every outbox.poll_interval and ends with the server; for more, write shared_preload_libraries = \'outbox_ext\' into postgresql.conf and restart.',
	'start_relay says what is to be had');
$node->poll_until("SELECT acked = 2 FROM outbox.relay_progress");
my $kafka = "FROM outbox.status WHERE name = 'kafka'";
is($node->sql("SELECT state, advice $kafka"),
	'running|It runs on trial, until the server restarts: add outbox_ext to shared_preload_libraries.', 'status says so too');
$node->sql('INSERT INTO t SELECT generate_series(3, 1000)');
$node->sql('BEGIN; INSERT INTO t VALUES (1001); SAVEPOINT a; INSERT INTO t VALUES (1002); ROLLBACK TO a; COMMIT');
$node->poll_until("SELECT acked = 1001 FROM outbox.relay_progress");
is($node->sql("SELECT outbox.start_relay('kafka') IS NOT NULL"), 't', 'starting it again changes nothing');
is($node->sql("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'outbox relay'"), 1, 'there is one relay');
is(scalar(@{ $node->consume($broker, 't') }), 1001, 'everything is in the broker, once');

$node->sql("SELECT outbox.pause('kafka')");
$node->poll_until("SELECT state = 'paused' $kafka");
$node->sql('INSERT INTO t VALUES (2000)');
$node->sql("SELECT outbox.resume('kafka')");
$node->poll_until("SELECT acked = 1002 FROM outbox.relay_progress");
pass('pause and resume');
$node->sql("SELECT outbox.stop_relay('kafka')");
$node->poll_until("SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'outbox relay'");
pass('stop');
$node->sql("BEGIN; SELECT outbox.start_relay('kafka'); ROLLBACK");
$node->sql("SELECT outbox.start_relay('kafka')");
$node->poll_until("SELECT state = 'running' $kafka");

# other libraries stay on the line; the relay ended with the server
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'plpgsql, dict_snowball'");
$node->restart;
is($node->sql("SELECT state, advice $kafka"),
	"not running|SELECT outbox.start_relay('kafka') starts it on trial; add outbox_ext to shared_preload_libraries and restart.",
	'nobody starts it again');
like($node->sql("SELECT outbox.start_relay('log')"),
	qr/write shared_preload_libraries = 'plpgsql, dict_snowball, outbox_ext' into postgresql\.conf/,
	'libraries that are preloaded stay on the line');
is($node->sql("SELECT count(*) FROM outbox_internal.contract_counters()"), 0, 'there are no counters');
$node->sql("SELECT outbox.pause('log')");
$node->poll_until("SELECT state = 'paused' FROM outbox.status WHERE name = 'log'");
is(status('sink'), "paused|SELECT outbox.resume('log') goes on; its events are kept meanwhile.", 'a sink can be paused');

# ---- doing as told ----
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'plpgsql, dict_snowball, outbox_ext'");
$node->restart;
is(status('extension'), 'active|', 'after doing so the extension is active');
$node->sql("SELECT outbox.resume('log')");
$node->wait_published('log');
is($node->sql("SELECT state, published FROM outbox.status WHERE name = 'log'"), 'running|1002', 'what was captured before is published');

$node->stop;
done_testing();
