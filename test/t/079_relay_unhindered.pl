# What a person leaves open, or a function behind a view raises, holds up no other events.
use strict;
use warnings;

use Test::More;

use OutboxCluster;
use OutboxFault;

my $node = OutboxCluster->create('unhindered', conf => $OutboxFault::CONF);
my $fault = OutboxFault->new($node, 'fault')->start;

sub wait_delivered
{
	my ($key, $what) = @_;
	my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;

	while (time < $deadline)
	{
		if (grep { $_->{key} eq $key } @{ $fault->deliveries })
		{
			pass($what);
			return;
		}
		select(undef, undef, undef, 0.05);
	}
	fail($what);
	return;
}

# ---- a dead letter is dealt with in a transaction that stays open ----
$fault->control(reject_key => 'bad');
$fault->append('bad', 1);
$node->poll_until("SELECT count(*) FROM outbox.dead_letter WHERE state = 'open'", 1);
for my $call ([ 'discard', "outbox.discard(id, 'test')" ], [ 'redrive', 'outbox.redrive(id)' ])
{
	my ($how, $sql) = @$call;
	my $person = $node->background_psql('postgres');

	$person->query_safe("BEGIN; SELECT $sql FROM outbox.dead_letter WHERE state = 'open'");
	$fault->append('bad', 1);
	$fault->append("beside $how", 1);
	wait_delivered("beside $how", "a $how is not committed, and the relay goes on");
	$person->query_safe('ROLLBACK');
	$person->quit;
}
$fault->control();
$node->sql('SELECT outbox.redrive()');
$fault->wait_published;
$fault->check('after dead letters');

# ---- a late key whose view raises what a commit must not hide ----
$node->sql(<<'SQL');
SELECT setval('outbox_internal.event_schema_id_seq', 10);
CREATE TABLE ordr (no int PRIMARY KEY, cust int);
CREATE TABLE cust (cust int PRIMARY KEY, name text);
INSERT INTO cust VALUES (1, 'Ann'), (2, 'Bob');
CREATE FUNCTION act(cust int) RETURNS text STABLE LANGUAGE plpgsql AS $$
BEGIN
	IF cust = 2 THEN RAISE EXCEPTION 'try again' USING ERRCODE = 'serialization_failure'; END IF;
	RETURN '';
END $$;
CREATE VIEW order_v AS SELECT o.no AS order_id, c.name, act(o.cust) AS mode FROM ordr o LEFT JOIN cust c ON c.cust = o.cust;
SELECT outbox.create_contract('order', view => 'order_v', source => 'ordr', key => '{order_id}');
SELECT outbox.create_event_type('OrderPlaced', contract => 'order', emit => 'created');
SELECT outbox.enable('order');
SQL
my $retries = $node->sql('SELECT retries FROM outbox_internal.relay_report()');
my $writer = $node->background_psql('postgres');
$writer->query_safe("INSERT INTO ordr VALUES (3, 1); SET outbox.flush_timeout = '100ms'");
my $owner = $node->background_psql('postgres');
$owner->query_safe('BEGIN; LOCK TABLE cust IN ACCESS EXCLUSIVE MODE');
$writer->query_safe('INSERT INTO ordr VALUES (1, 2)');
$writer->query_safe('INSERT INTO ordr VALUES (2, 1)');
$owner->query_safe('COMMIT');
$_->quit for $writer, $owner;
$node->poll_until("SELECT state FROM outbox.dead_letter WHERE key->>'no' = '2'", 'redriven');
wait_delivered('2', 'another late key gets its event');
$node->poll_until("SELECT attempts > 1 AND last_failure = '40001: try again' FROM outbox.dead_letter WHERE key->>'no' = '1'");
pass('the letter says why');
is($node->sql('SELECT retries FROM outbox_internal.relay_report()'), $retries, 'and publishing was not interrupted');

$node->stop;
done_testing();
