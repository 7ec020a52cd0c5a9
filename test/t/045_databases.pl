# Several databases with several sinks each: every relay publishes its own database's events and no other, and a sink
# that is slow, blocked or down holds up none of the others. More databases than outbox.max_databases work too, and
# outbox.databases says which of them have relays.
use strict;
use warnings;

use Test::More;

use OutboxCluster;
use OutboxFault;

my $node = OutboxCluster->create('databases', extension => 0,
	conf => $OutboxFault::CONF . "max_worker_processes = 20\noutbox.max_databases = 2\nmax_connections = 60\n");
my @names = qw(postgres billing shop);
my (%database, %healthy, %slow, %blocked, %down);

for my $name (@names)
{
	$node->safe_psql('postgres', "CREATE DATABASE $name") if $name ne 'postgres';
	my $database = $database{$name} = $node->in($name);
	$database->sql('CREATE EXTENSION outbox_ext');
	$healthy{$name} = OutboxFault->new($database, 'healthy')->start;
	$slow{$name} = OutboxFault->new($database, 'slow', delay_ms => 300, capacity => 1)->start;
}
$blocked{shop} = OutboxFault->new($database{shop}, 'blocked', on_reject => 'stop')->start;
$down{billing} = OutboxFault->new($database{billing}, 'down')->start;
$blocked{shop}->control(reject_key => 'k3');
$down{billing}->control(down => 1);
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'outbox relay'"), 8, 'one relay per database and sink');
is($node->safe_psql('postgres', "SELECT string_agg(DISTINCT datname, ',' ORDER BY datname) FROM pg_stat_activity WHERE backend_type = 'outbox relay'"),
	'billing,postgres,shop', 'in all databases');

# ---- the healthy ones are not held up ----
for my $name (@names)
{
	$database{$name}->sql("SELECT append(1, '$name', '$name', 20, 100)");
	$database{$name}->sql('SELECT change(i % 10) FROM generate_series(1, 200) i');
}
$healthy{$_}->wait_published for @names;
for my $name (@names)
{
	cmp_ok(scalar(@{ $slow{$name}->deliveries }), '<', 220, "$name: the healthy sink was done before the slow one");
	is($healthy{$name}->check("$name, healthy"), 0, "$name: once each");
	is(scalar(grep { $_->{key} eq $name } @{ $healthy{$name}->deliveries }), 20, "$name: its own events");
}
$blocked{shop}->wait_state('blocked');
$down{billing}->wait_state('backoff');
is($database{shop}->sql("SELECT string_agg(name || ' ' || state, ', ' ORDER BY name) FROM outbox.status WHERE kind = 'sink'"),
	'blocked blocked, healthy running, slow running', 'shop: each sink has a state of its own');
is($database{billing}->sql("SELECT string_agg(name || ' ' || state, ', ' ORDER BY name) FROM outbox.status WHERE kind = 'sink'"),
	'down backoff, healthy running, slow running', 'billing: each sink has a state of its own');
is($database{postgres}->sql("SELECT string_agg(name || ' ' || state, ', ' ORDER BY name) FROM outbox.status WHERE kind = 'sink'"),
	'healthy running, slow running', 'status shows the sinks of its own database');

# ---- nor are new events, while the others are stuck ----
for my $name (@names)
{
	$database{$name}->sql("SELECT append(1, '$name', 'later', 5, 100)");
	$healthy{$name}->wait_published;
	is($healthy{$name}->check("$name, later"), 0, "$name: later events arrive while other sinks are stuck");
}

# ---- stopping one stops that one ----
my $pid = $healthy{shop}->pid;
$healthy{billing}->stop;
$database{billing}->sql("SELECT append(1, 'billing', 'stopped', 5, 100)");
$database{shop}->sql("SELECT append(1, 'shop', 'goes on', 5, 100)");
$healthy{shop}->wait_published;
is($healthy{shop}->pid, $pid, 'a sink of the same name in another database goes on');
is(scalar(grep { $_->{key} eq 'stopped' } @{ $healthy{billing}->deliveries }), 0, 'the stopped one does not publish');

# ---- a restart starts all that are wanted, in every database ----
$slow{$_}->control(capacity => 100000) for @names;
$blocked{shop}->control();
$down{billing}->control();
$node->restart;
for my $fault (values %slow, values %blocked, values %down, $healthy{postgres}, $healthy{shop})
{
	$fault->wait_state('running');
	$fault->wait_published;
	$fault->check("after the restart, $fault->{name}");
}
is($database{billing}->sql("SELECT state FROM outbox.status WHERE name = 'healthy'"), 'stopped', 'the stopped one stays so');
$healthy{billing}->start;
$healthy{billing}->wait_published;
is($healthy{billing}->check('started again'), 0, 'and goes on where it was');

# ---- outbox.databases: which of them have relays ----
sub relays_in
{
	my ($name) = @_;
	return "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'outbox relay' AND datname = '$name'";
}

sub list
{
	my ($databases) = @_;
	$node->append_conf('postgresql.conf', "outbox.databases = '$databases'");
	$node->reload;
	$node->poll_until("SELECT setting = '$databases' FROM pg_settings WHERE name = 'outbox.databases'");
	return;
}

list('billing, "postgres"');
$node->poll_until(relays_in('shop'), 0);
is($database{shop}->sql("SELECT DISTINCT state, advice LIKE 'outbox.databases does not name%' FROM outbox.status WHERE kind = 'sink'"),
	'not running|t', 'relays of a database that is not listed end, and status says why');
is($node->sql(relays_in('billing')), 3, 'those of listed ones go on');
$database{shop}->sql("SELECT append(1, 'shop', 'unlisted', 5, 100)");
like($database{shop}->sql("SELECT outbox.start_relay('healthy')"), qr/starts when outbox\.databases names this database/, 'start_relay says so too');
$database{billing}->sql("SELECT append(1, 'billing', 'listed', 5, 100)");
$healthy{billing}->wait_published;
is(scalar(grep { $_->{key} eq 'unlisted' } @{ $healthy{shop}->deliveries }), 0, 'and nothing of it is published');
$node->restart;
$healthy{billing}->wait_state('running');
is($node->sql(relays_in('shop')), 0, 'nor after a restart');

$node->append_conf('postgresql.conf', 'outbox.databases = \'shop, "billing\'');
$node->reload;
$node->poll_until("SELECT error IS NOT NULL FROM pg_file_settings WHERE name = 'outbox.databases' ORDER BY seqno DESC LIMIT 1");
is($node->sql('SHOW outbox.databases'), 'billing, "postgres"', 'a list that cannot be read changes nothing');
$node->adjust_conf('postgresql.conf', 'outbox.databases', undef);
list('');
$_->wait_state('running') for values %healthy;
$healthy{shop}->wait_published;
is($healthy{shop}->check('listed again'), 0, 'an empty list is every database: it goes on where it was');

$node->stop;
done_testing();
