# The default ce_source is fixed when the extension is created: a renamed database keeps it, two sinks agree, and a copy
# of the data does not pass for the original.
use strict;
use warnings;

use Test::More;

use OutboxBroker;
use OutboxCluster;

my $broker = OutboxBroker->mock;
my $server = OutboxCluster->create('origin', extension => 0);
my $id = 0;

# The ce_source of one more event, per sink.
sub sources
{
	my ($node, @sinks) = @_;
	$id++;
	$node->sql("INSERT INTO t VALUES ($id)");
	$node->wait_published($_) for @sinks;
	my @messages = grep { $_->{key} eq $id } @{ $node->consume($broker, 'origin') };
	return join ' ', sort map { $_->{headers}{ce_source} } @messages;
}

$server->safe_psql('postgres', 'CREATE DATABASE shop');
my $shop = $server->in('shop');
$shop->sql(<<'SQL');
CREATE EXTENSION outbox_ext;
CREATE TABLE t (id int PRIMARY KEY);
CREATE VIEW t_v AS SELECT id FROM t;
SELECT outbox.create_contract('t', view => 't_v', source => 't', key => '{id}');
SELECT outbox.create_event_type('TCreated', contract => 't', emit => 'created', topic => 'origin');
SELECT outbox.enable('t');
SQL
$shop->create_sink('first', $broker);
is(sources($shop, 'first'), '/shop', 'the name of the database');

# ---- renamed ----
sub stop_all
{
	my ($node, @sinks) = @_;
	$node->sql("SELECT outbox.stop_relay('$_')") for @sinks;
	$node->poll_until('SELECT count(pid) = 0 FROM outbox_internal.relay_report()');
	return;
}
stop_all($shop, 'first');
$server->poll_until(q(SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE datname = 'shop')));
$server->safe_psql('postgres', 'ALTER DATABASE shop RENAME TO store');
my $store = $server->in('store');
$store->sql("SELECT outbox.start_relay('first')");
$store->create_sink('second', $broker);
is(sources($store, 'first', 'second'), '/shop /shop', 'a renamed database keeps its source, and a new sink agrees');
is($store->sql('SELECT database FROM outbox.origin'), 'shop', 'which can be looked up');

# ---- a copy ----
stop_all($store, 'first', 'second');
$server->poll_until(q(SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE datname = 'store')));
$server->safe_psql('postgres', 'CREATE DATABASE copy TEMPLATE store');
my $copy = $server->in('copy');
$copy->sql("SELECT outbox.start_relay('second')");
is(sources($copy, 'second'), '/copy', 'a copy that was confirmed has its own name');
is($copy->sql('SELECT database FROM outbox.origin'), 'copy', 'which is fixed from then on');
is($store->sql('SELECT database FROM outbox.origin'), 'shop', 'the original keeps its own');

# ---- another site ----
stop_all($copy, 'second');
$server->append_conf('postgresql.conf', "outbox.site = 'here'");
$server->reload;
$store->sql("SELECT outbox.start_relay('first'); SELECT outbox.start_relay('second')");
is(sources($store, 'first', 'second'), '/shop /shop', 'a site that is named later changes nothing');
stop_all($store, 'first', 'second');
$server->append_conf('postgresql.conf', "outbox.site = 'there'");
$server->reload;
$store->sql("SELECT outbox.start_relay('first')");
is(sources($store, 'first'), '/store', 'another site that was confirmed is another source: that of the present name');

$server->stop;
$broker->stop;
done_testing();
