# Without preloading: capture works, everything that would start a relay says exactly what to write where, status says it
# too, and after doing as told events that were captured meanwhile are published.
use strict;
use warnings;

use Test::More;

use OutboxCluster;

my $node = OutboxCluster->create('trial', preload => 0, conf => "outbox.ring_size = 128\noutbox.max_databases = 4\n");

sub status
{
	my ($kind) = @_;
	return $node->sql("SELECT state, advice FROM outbox.status WHERE kind = '$kind'");
}

$node->sql("CREATE TABLE t (id int PRIMARY KEY);
	CREATE VIEW t_v AS SELECT id FROM t;
	SELECT outbox.create_contract('t', view => 't_v', source => 't', key => '{id}');
	SELECT outbox.create_event_type('TCreated', contract => 't', emit => 'created');
	SELECT outbox.enable('t');
	INSERT INTO t VALUES (1);
	SELECT outbox.create_sink('log', 'outbox_log')");
is($node->sql('SELECT count(*) FROM outbox.event_json'), 1, 'changes are captured');
is($node->sql('SELECT outbox.preloaded()'), 'f', 'preloaded() says no');
is(status('extension'), 'not preloaded|Add outbox_ext to shared_preload_libraries and restart; nothing is published until then.',
	'status says what to do');
is(status('sink'), "stopped|SELECT outbox.start_relay('log') starts its relay.", 'the sink is stopped');

# settings that need preloading are no reason to bother an application's session
my ($rc, $out, $err) = $node->psql('postgres', 'INSERT INTO t VALUES (2); SHOW outbox.ring_size');
is("$rc|$out|$err", '0|128|', 'sizes of shared memory in the configuration file send no warning');

# ---- start_relay and resume ----
for my $call ('start_relay()', "start_relay('log')", "start_relay('nobody')", "resume('log')")
{
	my $error = $node->sql_error("SELECT outbox.$call");
	like($error, qr/ERROR:  55000: cannot start a relay because outbox_ext is not preloaded\nDETAIL:  Relays are started by a background worker that exists only when the library was loaded at server start\.\n/,
		"$call is refused with the reason");
	like($error, qr/HINT:  Write shared_preload_libraries = 'outbox_ext' into postgresql\.conf and restart the server\.\n/,
		"$call says what to write");
}
is($node->sql('SELECT desired_state FROM outbox.sink'), 'stopped', 'nothing was started');

# other libraries stay on the line
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'auto_explain, pg_prewarm'");
$node->restart;
like($node->sql_error("SELECT outbox.start_relay()"),
	qr/HINT:  Write shared_preload_libraries = 'auto_explain, pg_prewarm, outbox_ext' into postgresql\.conf/,
	'libraries that are preloaded stay on the line');

# a sink that is wanted all the same (preloading was taken back)
$node->sql("UPDATE outbox.sink SET desired_state = 'running'");
is(status('sink'), 'not running|Add outbox_ext to shared_preload_libraries and restart.', 'a wanted sink does not run');
is($node->sql("SELECT state, pid FROM outbox.relay_report()"), 'waiting|', 'no relay is reported');
is($node->sql("SELECT count(*) FROM outbox.contract_counters()"), 0, 'there are no counters');
$node->sql("SELECT outbox.pause('log')");
is(status('sink'), "paused|SELECT outbox.resume('log') goes on; its events are kept meanwhile.", 'a sink can be paused');

# ---- doing as told ----
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'auto_explain, pg_prewarm, outbox_ext'");
$node->restart;
is(status('extension'), 'active|', 'after doing so the extension is active');
$node->sql("SELECT outbox.resume('log')");
$node->wait_published('log');
is($node->sql("SELECT state, published FROM outbox.status WHERE kind = 'sink'"), 'running|2', 'what was captured before is published');

$node->stop;
done_testing();
