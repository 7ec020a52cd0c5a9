# DROP EXTENSION and DROP DATABASE with relays up: no worker, no slot and no shared memory stays behind, and creating
# the extension again works at once.
use strict;
use warnings;

use Test::More;

use OutboxCluster;
use OutboxFault;

my $node = OutboxCluster->create('uninstall',
	conf => $OutboxFault::CONF . "max_worker_processes = 10\noutbox.max_databases = 2\noutbox.poll_interval = 10ms\nmax_connections = 60\n");

# Polls in a database that has, or had, the extension.
sub no_relays
{
	my ($what) = @_;
	$node->poll_until("SELECT count(*) FROM pg_stat_activity WHERE backend_type IN ('outbox relay', 'outbox probe')", 0);
	pass("$what: no worker is left");
	return;
}

# ---- DROP EXTENSION with relays at work, idle, in trouble, blocked and paused ----
my %sink = map { $_ => OutboxFault->new($node, $_, on_reject => 'stop') } qw(works idle down blocked paused);
$_->start for values %sink;
$sink{down}->control(down => 1);
$sink{blocked}->control(reject_key => 'k1');
$sink{works}->control(delay_ms => 5);
my $writer = $sink{works}->write_in_background("SELECT change(1 + (random() * 5)::int, 3);\n", '-c', '2', '-T', '60');
$sink{down}->wait_state('backoff');
$sink{blocked}->wait_state('blocked');
$node->sql("SELECT outbox.pause('paused')");
$node->poll_until('SELECT count(*) > 100 FROM outbox.event');
$node->sql('DROP EXTENSION outbox_ext');
no_relays('DROP EXTENSION');
$writer->finish;	# its function is still there, the outbox is not
is($node->sql("SELECT count(*) FROM pg_locks WHERE mode <> 'AccessShareLock' AND pid IN (SELECT pid FROM pg_stat_activity WHERE backend_type LIKE 'outbox%')"),
	0, 'no lock is left');

# ---- relays that read all the time: neither they nor DROP EXTENSION take locks that the other one waits for ----
for my $round (1 .. 4)
{
	$node->sql('CREATE EXTENSION outbox_ext');
	my @busy = map { OutboxFault->new($node, "busy$_", capacity => 3) } 1 .. 4;
	my $writers = $busy[0]->write_in_background("SELECT append(1, 'test', 'k', 3, 100);\n", '-c', '2', '-T', '60');
	$_->start for @busy;
	$node->poll_until('SELECT bool_and(acked > 10) FROM outbox.relay_progress');
	$node->sql('DROP EXTENSION outbox_ext');
	$writers->finish;
}
no_relays('busy relays');
unlike(PostgreSQL::Test::Utils::slurp_file($node->logfile), qr/deadlock detected/, 'no deadlock');
unlike(PostgreSQL::Test::Utils::slurp_file($node->logfile), qr/will try again: (?:extension|relation|schema|could not open)/,
	'a relay whose extension was dropped ends without a word about it');

# ---- created again, in the same breath as it is dropped, with relays up ----
for my $round (1 .. 3)
{
	$node->sql('CREATE EXTENSION IF NOT EXISTS outbox_ext');
	my $again = OutboxFault->new($node, 'again')->start;
	$again->append("round $round", 5);
	$again->wait_published;
	is($again->check("round $round"), 0, "round $round: published once");
	is($node->sql("SELECT captured, pending FROM outbox.status WHERE kind = 'extension'"), '5|0', "round $round: counts start anew");
	$node->sql('DROP EXTENSION outbox_ext; CREATE EXTENSION outbox_ext');
}
$node->sql('DROP EXTENSION outbox_ext');
no_relays('dropped and created again');

# ---- every slot is taken, and free again afterwards ----
$node->sql("CREATE EXTENSION outbox_ext;
	DO \$\$ BEGIN FOR i IN 1 .. 65 LOOP PERFORM outbox.create_sink('s' || i, 'outbox_log'); END LOOP; END \$\$;
	SELECT outbox.start_relay()");
$node->poll_until("SELECT count(*) FROM outbox_internal.relay_report() WHERE state = 'running'", 8);
my $log = PostgreSQL::Test::Utils::slurp_file($node->logfile);
like($log, qr/LOG:  1 relays of database \d+ are not started\n.*DETAIL:  A server runs at most 64 relays\.\n.*HINT:  Stop or drop sinks that are not needed\./,
	'one sink too many is said in the log');
$node->sql('DROP EXTENSION outbox_ext');
no_relays('64 slots');
$node->sql('CREATE EXTENSION outbox_ext');
my $last = OutboxFault->new($node, 'last')->start;
$last->append('last', 1);
$last->wait_published;
pass('the slots are free again');

# ---- DROP DATABASE ----
my $database = $node->in('shop');
$node->sql('CREATE DATABASE shop');
$database->sql('CREATE EXTENSION outbox_ext');
my $shop = OutboxFault->new($database, 'shop')->start;
like($node->sql_error('DROP DATABASE shop'), qr/55006: database "shop" is being accessed by other users/,
	'a database with a relay is not dropped');
$shop->append('still', 1);
$shop->wait_published;
pass('and its relay goes on');
$shop->stop;
$node->sql('DROP DATABASE shop');
pass('after stop_relay() it is');

# DROP DATABASE waits five seconds: the default of outbox.drain_timeout leaves room
for my $fault ({}, { down => 1 }, { reject_key => 'key' })
{
	my $what = join(' ', %$fault) || 'idle';
	$node->sql('CREATE DATABASE shop');
	$database->sql('CREATE EXTENSION outbox_ext');
	$shop = OutboxFault->new($database, 'shop', on_reject => 'stop')->start;
	$shop->control(%$fault);
	$shop->append('key', 5);
	$shop->wait_state('backoff') if $fault->{down};
	$shop->wait_state('blocked') if $fault->{reject_key};
	$node->sql('DROP DATABASE shop WITH (FORCE)');
	pass("DROP DATABASE WITH (FORCE), relay $what");
}
# two databases have shared memory: this one had it five times
$node->sql('CREATE DATABASE shop');
$database->sql('CREATE EXTENSION outbox_ext');
$shop = OutboxFault->new($database, 'shop')->start;
$shop->append('ring', 1);
$shop->wait_published;
my $scans = $database->sql('SELECT scans FROM outbox_internal.relay_report()');
$shop->append('ring', 1) for 1 .. 3;
$shop->wait_published;
is($database->sql('SELECT scans FROM outbox_internal.relay_report()'), $scans, 'the last of several databases of a name has a hint ring: nothing is scanned');

# ---- the other database never noticed ----
$last->append('last', 1);
$last->wait_published;
is($last->check('the other database'), 0, 'the other database goes on');
unlike(PostgreSQL::Test::Utils::slurp_file($node->logfile), qr/PANIC|TRAP|terminated by signal/, 'no crash');

$node->stop;
done_testing();
