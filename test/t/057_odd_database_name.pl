# A database may have any name: namespace, ce_type and ce_source that are derived from it are valid, and its relay runs.
use strict;
use warnings;

use Test::More;

use OutboxCluster;

my $server = OutboxCluster->create('names', extension => 0);
my $broker = OutboxBroker->mock;
my %expected = (
	'my-db 1' => [ 'my_db_1', '/my-db%201' ],
	'1st'     => [ '_st', '/1st' ],
	"o'Neil/%\x{c3}\x{9f}" => [ 'o_Neil____', "/o'Neil%2F%25%C3%9F" ],
	'Shop'    => [ 'Shop', '/Shop' ],
);
my $topic = 0;

for my $name (sort keys %expected)
{
	my ($first, $source) = @{ $expected{$name} };
	my $node = $server->in($name);

	$topic++;
	$server->safe_psql('postgres', qq(CREATE DATABASE "$name"));
	$node->sql(<<SQL);
CREATE EXTENSION outbox_ext;
CREATE TABLE t (id int PRIMARY KEY);
CREATE VIEW t_v AS SELECT id FROM t;
SELECT outbox.create_contract('t', view => 't_v', source => 't', key => '{id}');
SELECT outbox.create_event_type('TCreated', contract => 't', emit => 'created', topic => 'topic$topic');
SELECT outbox.enable('t');
SQL
	is($node->sql("SELECT namespace FROM outbox.contract"), "$first.t", "$name: namespace");
	like($node->sql("SELECT outbox.avro_schema('TCreated')"), qr/"namespace": "\Q$first\E\.t"/, "$name: in the schema");
	$node->create_sink('kafka', $broker);
	$node->sql('INSERT INTO t VALUES (1)');
	$node->wait_published('kafka');
	my ($message) = @{ $node->consume($broker, "topic$topic") };
	is($message->{value}{id}, 1, "$name: published");
	is($message->{headers}{ce_type}, "$first.t.tcreated", "$name: ce_type");
	is($message->{headers}{ce_source}, $source, "$name: ce_source is a URI reference");
}

# ---- a name that is given is taken as it is, or refused ----
for my $bad ('a-b', 'a..b', 'com.1b', '.a')
{
	like($server->in('Shop')->sql_error(
			"SET outbox.namespace = '$bad'; SELECT outbox.create_contract('u', view => 't_v', source => 't', key => '{id}')"),
		qr/"\Q$bad\E\.u" is not a valid Avro namespace.*Set outbox\.namespace/s, "$bad: refused");
}

$server->stop;
done_testing();
