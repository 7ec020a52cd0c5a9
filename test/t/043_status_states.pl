# Each state that status can show is reached, and comes with the advice that leads out of it.
use strict;
use warnings;

use Test::More;

use OutboxCluster;
use OutboxFault;

# Room for the server's own worker, the launcher, two relays, and for a probe only while one of them is missing.
my $node = OutboxCluster->create('states', conf => "$OutboxFault::CONF max_worker_processes = 4\n");
my %reached;

# Waits for a state, compares the advice, and remembers that the state was seen.
sub reaches
{
	my ($kind, $name, $state, $advice) = @_;
	my $row = "FROM outbox.status WHERE kind = '$kind' AND name = '$name'";

	$node->poll_until("SELECT state $row", $state);
	$reached{$kind}{$state} = 1;
	my $got = $node->sql("SELECT advice $row");
	ref $advice ? like($got, $advice, "$kind $state: advice") : is($got, $advice, "$kind $state: advice");
	return;
}

# ---- contracts ----
reaches('extension', 'outbox_ext', 'active', 'Create a sink: SELECT outbox.create_sink(...);');
$node->sql("CREATE TABLE t (id int PRIMARY KEY);
	CREATE VIEW t_v AS SELECT id FROM t;
	SELECT outbox.create_contract('c', view => 't_v', source => 't', key => '{id}')");
reaches('contract', 'c', 'disabled', "SELECT outbox.enable('c') starts capture.");
$node->sql("SELECT outbox.create_event_type('TCreated', contract => 'c', emit => 'created'); SELECT outbox.enable('c')");
reaches('contract', 'c', 'enabled', '');
$node->sql("SELECT setval('outbox_internal.contract_id_seq', 1, false)");
reaches('contract', 'c', 'restoring', qr/^A restore has brought it, but not our sequences yet: .* SELECT setval\(/);
$node->sql("SELECT setval('outbox_internal.contract_id_seq', 1)");
reaches('contract', 'c', 'enabled', '');
$node->sql('CREATE TABLE stray (id int); CREATE TRIGGER "!outbox_x" AFTER INSERT OR UPDATE OR DELETE ON stray FOR EACH ROW EXECUTE FUNCTION outbox.capture(\'x\')');
reaches('trigger', 'x on stray', 'not configured', qr/DROP TRIGGER "!outbox_x" ON stray;$/);
$node->sql('DROP TABLE stray');
$node->sql('ALTER TABLE t DISABLE TRIGGER "!outbox_c"');
reaches('contract', 'c', 'not captured', 'Its trigger on t is disabled: ALTER TABLE t ENABLE TRIGGER "!outbox_c";');
$node->sql('ALTER TABLE t ENABLE TRIGGER "!outbox_c"');
reaches('contract', 'c', 'enabled', '');
$node->sql('ALTER TABLE t ENABLE REPLICA TRIGGER "!outbox_c"');
reaches('contract', 'c', 'not captured', qr/is disabled/);
$node->sql('DROP TRIGGER "!outbox_c" ON t');
reaches('contract', 'c', 'not captured', "Its trigger is missing: SELECT outbox.enable('c');");
$node->sql("SELECT outbox.enable('c')");
reaches('contract', 'c', 'enabled', '');
$node->sql('TRUNCATE t');
reaches('contract', 'c', 'enabled', "Changes produced no events: SELECT * FROM outbox.gap WHERE contract = 'c' AND resolved_at IS NULL; repair what consumers miss, then outbox.resolve_gap().");
$node->sql("SELECT outbox.detach('t')");
reaches('contract', 'c', 'detached',
	"Its view is away for changes of the source: SELECT outbox.reattach('public.t') creates it again.");
$node->sql("SELECT outbox.reattach('t')");
reaches('contract', 'c', 'enabled', "Changes produced no events: SELECT * FROM outbox.gap WHERE contract = 'c' AND resolved_at IS NULL; repair what consumers miss, then outbox.resolve_gap().");
$node->sql("INSERT INTO outbox.dead_letter_entry (contract, stage, sqlstate, message) VALUES ('c', 'map', '22000', 'by hand')");
reaches('contract', 'c', 'enabled', "Changes became dead letters: SELECT * FROM outbox.dead_letter WHERE contract = 'c' AND state = 'open'; remove the cause and redrive them, or discard them.");
is($node->sql("SELECT dead_letters, gaps, last_error FROM outbox.status WHERE kind = 'contract'"), '1|2|by hand',
	'dead letters and gaps are counted, the newest reason is shown');
$node->sql('SET outbox.ddl_check = off; DROP VIEW t_v');
reaches('contract', 'c', 'broken', 'Its view was dropped, and one that was created since is another one, whatever its name: in one transaction create the view, drop the contract and create it again. outbox.detach() before such a change keeps the contract.');
$node->sql("SELECT outbox.drop_contract('c'); DROP TABLE t; DELETE FROM outbox.dead_letter_entry; DELETE FROM outbox.gap");

# ---- sinks ----
my $fault = OutboxFault->new($node, 'one', on_reject => 'stop');
reaches('sink', 'one', 'stopped', "SELECT outbox.start_relay('one') starts its relay.");

# wanted, but nobody told the launcher: as after a restore
$node->sql("UPDATE outbox.sink SET desired_state = 'running' WHERE name = 'one'");
reaches('sink', 'one', 'not running',
	'Its relay starts in a moment; if it does not, SELECT pg_reload_conf() makes the launcher look again and the server log says why.');

# its first look at a leaf waits for a lock
my $session = $node->background_psql('postgres');
$session->query_safe('BEGIN; LOCK TABLE outbox_internal.event_1 IN ACCESS EXCLUSIVE MODE');
$node->reload;
reaches('sink', 'one', 'starting', '');
$session->query_safe('COMMIT');
$session->quit;
reaches('sink', 'one', 'running', '');
reaches('extension', 'outbox_ext', 'active', '');

$fault->control(down => 1);
$fault->append('waits', 2);
reaches('sink', 'one', 'backoff', 'The relay keeps trying and loses nothing; last_error says what is wrong with the broker.');
is($node->sql("SELECT last_error FROM outbox.status WHERE name = 'one'"), 'fault broker is down', 'backoff: the reason');

# the relay waits for acknowledgements that do not come
$node->append_conf('postgresql.conf', "outbox.drain_timeout = '60s'");
$node->reload;
$node->sql("SELECT outbox.stop_relay('one')");
reaches('sink', 'one', 'stopping', 'It waits for outstanding acknowledgements, at most outbox.drain_timeout.');
$fault->control(reject_key => 'bad');
reaches('sink', 'one', 'stopped', "SELECT outbox.start_relay('one') starts its relay.");

$node->sql("SELECT outbox.start_relay('one')");
$fault->append('bad', 1);
reaches('sink', 'one', 'blocked', 'Nothing is published until the cause is gone: last_error names the rejected event and the reason, the copy of the data, or the number of events that wait.');
like($node->sql("SELECT last_error FROM outbox.status WHERE name = 'one'"), qr/^The broker rejected event .* key "bad": Broker: I do not like this key/,
	'blocked: the event and the reason');
$fault->control();
$node->reload;
$fault->wait_published;
# the contract's schema, which is gone, had the first number: its topic is that of these events
$fault->control(block_topic => 'c');
$fault->append('held', 1);
reaches('topic', 'one: c', 'blocked', qr/^Create the topic, or allow the sink's user to write to it\. Its events are held, others go on/);
reaches('sink', 'one', 'running', 'Some topics take no messages: see the rows of kind topic. Others go on.');
$fault->control();
$node->reload;
$node->sql("SELECT outbox.pause('one')");
reaches('sink', 'one', 'paused', "SELECT outbox.resume('one') goes on; its events are kept meanwhile.");
$node->sql("SELECT outbox.resume('one')");
reaches('sink', 'one', 'running', '');

# ---- no background worker is free ----
$node->sql("SELECT outbox.create_sink('two', 'outbox_log')");
$node->sql("SELECT outbox.start_relay('two')");
reaches('sink', 'two', 'running', '');
$node->sql("SELECT outbox.create_sink('three', 'outbox_log')");
$node->sql("SELECT outbox.start_relay('three')");
reaches('sink', 'three', 'not running',
	'All background workers of the server are in use: raise max_worker_processes and restart; it is tried again every few seconds.');
like($node->sql("SELECT pg_read_file('" . $node->logfile . "')"),
	qr/could not start "outbox .*": no background worker is free\n.*HINT:  Raise max_worker_processes; it is tried again every 5 seconds/,
	'the log says so too');
reaches('sink', 'one', 'running', '');
$node->sql("SELECT outbox.stop_relay('two')");
reaches('sink', 'three', 'running', '');
reaches('sink', 'two', 'stopped', qr/start_relay/);

# ---- the extension ----
is($node->sql("SET outbox.capture = off; SELECT state, advice FROM outbox.status WHERE kind = 'extension'"),
	'capture off|Changes produce no events while outbox.capture is off.', 'extension capture off: advice');
$reached{extension}{'capture off'} = 1;
$node->sql("UPDATE pg_extension SET extversion = '0' WHERE extname = 'outbox_ext'");
reaches('extension', 'outbox_ext', 'version mismatch', qr/^The extension has version 0, the library [0-9.]+: ALTER EXTENSION outbox_ext UPDATE, or restart/);
$node->sql("UPDATE pg_extension SET extversion = outbox_internal.library_version() WHERE extname = 'outbox_ext'");
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$node->restart;
reaches('extension', 'outbox_ext', 'not preloaded', qr/^Add outbox_ext to shared_preload_libraries and restart/);
reaches('sink', 'one', 'not running', "SELECT outbox.start_relay('one') starts it on trial; add outbox_ext to shared_preload_libraries and restart.");

# ---- that was all of them ----
my %documented;
for my $list (split /; /, $node->sql("SELECT col_description('outbox.status'::regclass, 3)"))
{
	my ($kind, $states) = $list =~ /^(\w+): (.*)$/ or die "not a list of states: $list";
	$documented{$kind}{$_} = 1 for split /, /, $states;
}
is_deeply(\%reached, \%documented, 'these are all the states that there are');

$node->stop;
done_testing();
