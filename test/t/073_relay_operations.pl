# A DBA's day with relays up: what pg_stat_activity says, renaming and copying a database, copies that must not
# publish by surprise, another site, an update of the extension.
use strict;
use warnings;

use Test::More;

use OutboxCluster;
use OutboxFault;

my $node = OutboxCluster->create('operations', extension => 0, conf => $OutboxFault::CONF . "outbox.drain_timeout = '60s'\n");
my $named = $node->sql("SELECT current_setting('server_version_num')::int >= 170000") eq 't';

$node->sql('CREATE DATABASE shop');
my $shop = $node->in('shop');
$shop->sql('CREATE EXTENSION outbox_ext');
my $fault = OutboxFault->new($shop, 'fault')->start;

# ---- what pg_stat_activity says ----
sub shows
{
	my ($what, $state, $text, $event) = @_;
	my $condition = "state = '$state' AND query = '$text'";

	$condition .= " AND wait_event_type = 'Extension' AND wait_event = '" . ($named ? $event : 'Extension') . "'" if defined $event;
	$shop->poll_until("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'outbox relay' AND datname = 'shop' AND $condition)");
	pass("$what: $text");
	return;
}

$fault->append('k', 3);
$fault->wait_published;
shows('idle', 'idle', 'sink "fault": waiting for events', 'OutboxRelayMain');
$fault->control(down => 1);
$fault->append('k', 1);
shows('at work', 'active', 'sink "fault": backoff, publishing', 'OutboxRelaySink');
$shop->sql("SELECT outbox.stop_relay('fault')");
shows('ending', 'active', 'sink "fault": backoff, waiting for acknowledgements before it ends', 'OutboxRelaySink');
$fault->control();
$node->poll_until("SELECT count(*) FROM pg_stat_activity WHERE datname = 'shop'", 0);
$fault->control(raise => 'startup');
$shop->sql("SELECT outbox.start_relay('fault')");
shows('in trouble', 'idle', 'sink "fault": backoff, pausing before it tries again', 'OutboxRelayBackoff');
$fault->control();
$fault->wait_state('running');
$fault->wait_published;
$shop->sql("SELECT outbox.replay('fault', rate => 1)");
shows('replaying', 'active', 'sink "fault": replaying');
$shop->sql("SELECT outbox.cancel_replay(request) FROM outbox.replays WHERE state = 'running'");
shows('idle again', 'idle', 'sink "fault": waiting for events', 'OutboxRelayMain');
$node->poll_until("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'outbox launcher' AND wait_event = '"
	. ($named ? 'OutboxLauncherMain' : 'Extension') . "')");
pass('the launcher waits too');
$shop->poll_until("SELECT n_tup_upd > 0 AND n_tup_ins > 0 FROM pg_stat_user_tables WHERE relname = 'relay_progress'");
pass('what a relay writes is in the statistics that autovacuum goes by');

# ---- a relay uses its database: renaming and copying it need a pause ----
like($node->sql_error('ALTER DATABASE shop RENAME TO store'), qr/55006: database "shop" is being accessed by other users/, 'RENAME with a relay up is refused');
like($node->sql_error('CREATE DATABASE copy TEMPLATE shop'), qr/55006: source database "shop" is being accessed by other users/, 'CREATE DATABASE TEMPLATE too');
is($fault->pid, $shop->sql("SELECT pid FROM outbox_internal.relay_report()"), 'the relay does not mind');
$shop->sql("SELECT outbox.pause('fault')");
$node->poll_until("SELECT count(*) FROM pg_stat_activity WHERE datname = 'shop'", 0);
$node->sql('CREATE DATABASE copy TEMPLATE shop');
$node->sql('ALTER DATABASE shop RENAME TO store');
pass('a paused one lets both through');
$shop = $node->in('store');
$fault->{node} = $shop;
$shop->sql("SELECT outbox.resume('fault')");
$fault->append('renamed', 2);
$fault->wait_published;
is($fault->check('renamed database'), scalar(grep { $_->{attributes} =~ /replay/ } @{ $fault->deliveries }), 'after the pause it goes on where it was, under the new name');

# ---- the copy ----
my $copy = $node->in('copy');
my $delivered = @{ $fault->deliveries };
is($copy->sql("SELECT state FROM outbox.status WHERE kind = 'sink'"), 'paused', 'the copy is paused, as the original was');
$copy->sql("SELECT outbox.resume('fault')");
$copy->poll_until("SELECT state FROM outbox.status WHERE kind = 'sink'", 'blocked');
like($copy->sql("SELECT last_error FROM outbox.status WHERE kind = 'sink'"),
	qr/^sink "fault" was started in another database .* HINT: This looks like a copy of the data\. If it shall publish, confirm it: SELECT outbox\.start_relay\('fault'\);/,
	'resumed, it does not publish, and says how to confirm');
$copy->sql("SELECT append(1, 't', 'copy', 2, 100)");
is($copy->sql("SELECT count(*) FROM outbox.event"), $shop->sql("SELECT count(*) FROM outbox.event"), 'it has events of its own and those of the original');
$shop->sql("SELECT append(1, 't', 'original', 1, 100)");
$fault->wait_published;
is(scalar(@{ $fault->deliveries }), $delivered + 1, 'the original publishes its own meanwhile, the copy nothing');
like($copy->sql("SELECT outbox.start_relay('fault')"), qr/starts when this transaction commits|is running already/, 'confirmed');
$copy->poll_until("SELECT state FROM outbox.status WHERE kind = 'sink'", 'running');
$copy->wait_published('fault');
is(scalar(grep { $_->{key} eq 'copy' } @{ $fault->deliveries }), 2, 'it publishes');
like(PostgreSQL::Test::Utils::slurp_file($node->logfile), qr/relay does not publish: sink "fault" was started in another database/, 'the log has said why it did not');
$copy->sql("SELECT outbox.stop_relay('fault')");

# ---- another site ----
$node->append_conf('postgresql.conf', "outbox.site = 'east'");
$node->reload;
$shop->poll_until("SELECT site FROM outbox.sink", 'east');
pass('a site that is named later is remembered');
$node->append_conf('postgresql.conf', "outbox.site = 'west'");
$node->reload;
$shop->poll_until("SELECT state FROM outbox.status WHERE kind = 'sink'", 'blocked');
like($shop->sql("SELECT last_error FROM outbox.status WHERE kind = 'sink'"), qr/^sink "fault" was started at site "east", but outbox\.site is "west"\. HINT: .*start_relay/, 'another site does not publish');
$node->append_conf('postgresql.conf', "outbox.site = 'east'");
$node->reload;
$shop->poll_until("SELECT state FROM outbox.status WHERE kind = 'sink'", 'running');
pass('the right one goes on by itself');
$node->append_conf('postgresql.conf', "outbox.site = 'west'");
$node->reload;
$shop->poll_until("SELECT state FROM outbox.status WHERE kind = 'sink'", 'blocked');
$shop->sql("SELECT outbox.start_relay('fault')");
$shop->poll_until("SELECT state FROM outbox.status WHERE kind = 'sink'", 'running');
is($shop->sql("SELECT site FROM outbox.sink"), 'west', 'or the new one, confirmed');

# ---- ALTER EXTENSION UPDATE ----
my $pid = $fault->pid;
my $session = $node->background_psql('store');
$session->query_safe("BEGIN; SELECT append(1, 't', 'open', 5, 100)");
$shop->sql("UPDATE pg_extension SET extversion = '0.0.0' WHERE extname = 'outbox_ext'");
$shop->sql("SELECT append(1, 't', 'before', 50, 100)");
$shop->sql('ALTER EXTENSION outbox_ext UPDATE');
$shop->sql("SELECT append(1, 't', 'after', 50, 100)");
$session->query_safe('COMMIT');
$session->quit;
is($shop->sql('SELECT updated FROM outbox_internal.sink'), 't', 'an update goes through with a relay up and a writer at work');
$fault->wait_published;
is($fault->pid, $pid, 'the relay lives through it');
is($shop->sql("SELECT count(DISTINCT key) FROM (SELECT aggregateid AS key FROM outbox.event WHERE aggregateid IN ('before', 'open', 'after')) e"), 3, 'so do writers');
my %ids = map { $_->{id} => 1 } @{ $fault->deliveries };
is(scalar(grep { !$ids{$_} } split /\n/, $shop->sql('SELECT id FROM outbox.event')), 0, 'and nothing is lost');
like($shop->sql_error("UPDATE pg_extension SET extversion = '0.0.0' WHERE extname = 'outbox_ext'; SELECT outbox.replay('fault')"),
	qr/55000: extension outbox_ext has version 0\.0\.0/, 'between the versions nothing is configured');

$node->stop;
done_testing();
