# The sample consumers of docs/consumers.md, in Python and in Java, against a real Kafka and a real registry: whatever
# comes twice, late, out of order or as a tombstone, their state is what a SELECT on the contracts' views shows.
use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use IPC::Run ();
use JSON::PP ();
use Test::More;

use PostgreSQL::Test::Utils ();
use OutboxBroker;
use OutboxCluster;
use OutboxCompat;

my $top = abs_path(dirname(__FILE__) . '/../..');
my $kafka = OutboxBroker->kafka;
my $registry = OutboxBroker->registry->address;
my $node = OutboxCluster->create('consumers', conf => "outbox.namespace = 't184'\n");
my @topics = qw(t184.customers t184.suppliers t184.orders);
my $deleted = 't184.customer.customerdeleted,t184.orders.orderdeleted';

$kafka->admin("create('$topics[0]', 3, max_message_bytes='20000')\ncreate('$topics[1]', 2)\ncreate('$topics[2]', 2)");
$node->sql(<<'SQL');
-- every kind of value that a consumer has to look at twice
CREATE TYPE grade AS ENUM ('GOLD', 'SILVER');
CREATE TYPE address AS (street text, city text);
CREATE TABLE cust (no char(6) PRIMARY KEY, nm text, lim numeric(14,3), born date, seen timestamp, tags text[], mark uuid, class grade,
	str text, cty text, weight double precision, n int NOT NULL DEFAULT 1);
CREATE VIEW customer_v AS SELECT btrim(no) AS customer_id, nm AS name, lim AS credit_limit, born, seen AT TIME ZONE 'UTC' AS seen, tags, mark,
	class, ROW(str, cty)::address AS address, weight, 100 / n AS share FROM cust;
SELECT outbox.create_contract('customer', view => 'customer_v', source => 'cust', key => '{customer_id}', required => '{credit_limit}');
SELECT outbox.create_event_type('CustomerRegistered', contract => 'customer', emit => 'created', topic => 't184.customers');
SELECT outbox.create_event_type('CustomerChanged', contract => 'customer', emit => 'changed', topic => 't184.customers', previous => '{name}');
SELECT outbox.create_event_type('CustomerRenamed', contract => 'customer', emit => 'changed', topic => 't184.customers',
	condition => 'old.name IS DISTINCT FROM new.name');
SELECT outbox.create_event_type('CustomerDeleted', contract => 'customer', emit => 'deleted', topic => 't184.customers', tombstone => 'after');
SELECT outbox.enable('customer');
-- a legacy trigger that changes another row of the statement before that one is captured
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF NEW.nm = 'touches' THEN UPDATE cust SET nm = 'touched' WHERE no = 'S2'; END IF;
	RETURN NULL;
END $$;
CREATE TRIGGER "aaa" AFTER INSERT ON cust FOR EACH ROW EXECUTE FUNCTION touch();

CREATE TABLE supp (id int PRIMARY KEY, nm text);
CREATE VIEW supplier_v AS SELECT id AS supplier_id, nm AS name FROM supp;
SELECT outbox.create_contract('supplier', view => 'supplier_v', source => 'supp', key => '{supplier_id}');
SELECT outbox.create_event_type('SupplierAdded', contract => 'supplier', emit => 'created', topic => 't184.suppliers');
SELECT outbox.create_event_type('SupplierChanged', contract => 'supplier', emit => 'changed', topic => 't184.suppliers');
SELECT outbox.create_event_type('SupplierGone', contract => 'supplier', emit => 'deleted', topic => 't184.suppliers', tombstone => 'instead');
SELECT outbox.enable('supplier');

-- evaluated at commit, and slow: late when a session has little time
CREATE TABLE ordr (id int PRIMARY KEY);
CREATE TABLE ordr_ln (ordr_id int, n int, qty int, PRIMARY KEY (ordr_id, n));
CREATE FUNCTION slowly(total bigint) RETURNS bigint STABLE LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.03); RETURN total; END $$;
CREATE VIEW order_v AS SELECT o.id AS order_id, slowly(coalesce((SELECT sum(l.qty) FROM ordr_ln l WHERE l.ordr_id = o.id), 0)) AS quantity FROM ordr o;
SELECT outbox.create_contract('orders', view => 'order_v', source => 'ordr', key => '{order_id}');
SELECT outbox.add_source('orders', 'ordr_ln', key_query => 'row.ordr_id');
SELECT outbox.create_event_type('OrderPlaced', contract => 'orders', emit => 'created', topic => 't184.orders');
SELECT outbox.create_event_type('OrderChanged', contract => 'orders', emit => 'changed', topic => 't184.orders');
SELECT outbox.create_event_type('OrderDeleted', contract => 'orders', emit => 'deleted', topic => 't184.orders');
SELECT outbox.enable('orders');
SQL
$node->create_sink('kafka', $kafka, { on_reject => 'skip' }, 'schema.registry.url' => $registry, 'compression.codec' => 'none');

# ---- what is ordinary, with values at their limits ----
$node->sql(<<'SQL');
INSERT INTO cust VALUES ('A1', 'Käthe Müller', 12345678901.001, '1969-12-31', '1969-12-31 23:59:59.999999', '{a,"b,c"}',
	'018e0b3c-6d5f-7c3a-9f51-2b7c8e0d4a11', 'GOLD', 'Ring 1', 'Ulm', 0.1), ('A2', 'Ann', -0.005, NULL, NULL, '{}', NULL, NULL, NULL, NULL, -1e-300);
INSERT INTO cust VALUES ('A3', 'gone', 0), ('A4', 'back', 1);
UPDATE cust SET nm = 'Anna' WHERE no = 'A2';
DELETE FROM cust WHERE no IN ('A3', 'A4');
INSERT INTO cust VALUES ('A4', 'back again', 2);
INSERT INTO supp VALUES (1, 'one'), (2, 'two'), (3, 'three');
DELETE FROM supp WHERE id IN (1, 3);
INSERT INTO supp VALUES (3, 'three again');
INSERT INTO ordr VALUES (1), (2), (3);
INSERT INTO ordr_ln VALUES (1, 1, 5), (2, 1, 7);
DELETE FROM ordr WHERE id = 3;
SQL
$node->wait_published('kafka');

sub count_of { return scalar grep { defined $_[0] ? exists $_->{headers}{"ce_$_[0]"} : 1 } map { @{ $kafka->consume($_, registry => $registry) } } @topics; }

# Runs a consumer to the present ends: its states by topic and key, and how many events of each type it has seen.
sub run
{
	my @command = @_;
	my ($out, $err) = ('', '');

	IPC::Run::run(\@command, '<', \undef, '>', \$out, '2>', \$err) or die "@command failed: $err";
	my (%states, %events);
	foreach my $line (map { JSON::PP->new->utf8->decode($_) } split /\n/, $out)
	{
		if (exists $line->{type}) { $events{ $line->{type} } = $line->{events} }
		else { $states{"$line->{topic} $line->{key}"} = $line->{row} }
	}
	return (\%states, \%events);
}

my $database = $node->basedir . '/state.db';
my @python = ("$top/build/venv/bin/python", "$top/examples/consumers/state_table.py", '--bootstrap', $kafka->address, '--registry', $registry,
	'--topics', join(',', @topics), '--deleted', $deleted, '--once');
my @java = ('java', '-cp', OutboxCompat->java_classpath, "$top/examples/consumers/StateTable.java", $kafka->address, $registry,
	join(',', @topics), $deleted);

# The views' rows as the consumers print theirs: what JSON has no type for is text.
sub expected
{
	my $rows = $node->sql(<<'SQL');
SELECT json_build_object('place', 't184.customers ' || customer_id, 'row', to_jsonb(v) || jsonb_build_object(
	'credit_limit', credit_limit::text, 'seen', to_char(seen AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))) FROM customer_v v
UNION ALL SELECT json_build_object('place', 't184.suppliers ' || supplier_id, 'row', to_jsonb(v)) FROM supplier_v v
UNION ALL SELECT json_build_object('place', 't184.orders ' || order_id, 'row', to_jsonb(v)) FROM order_v v
SQL
	return { map { my $line = JSON::PP->new->utf8->decode($_); ($line->{place} => $line->{row}) } split /\n/, $rows };
}

# A row of the newest event may have previous_ fields, which are no columns of the view.
sub agree
{
	my ($what, @command) = @_;
	my ($states, $events) = run(@command);

	foreach my $row (values %$states) { delete @{$row}{ grep { /^previous_/ } keys %$row }; }
	is_deeply($states, expected(), "$what: its state is what the views show") or diag(explain($states));
	is_deeply($events, { map { split /\|/ } split /\n/, $node->sql(<<'SQL') }, "$what: it has seen each event once");
SELECT 't184.' || lower(contract || '.' || type), count(*) FROM outbox.event_json WHERE type <> 'SupplierGone' GROUP BY 1
SQL
	return;
}

agree('Python', @python, '--database', $database);

# ---- a row that its own statement has superseded ----
$node->sql("INSERT INTO cust VALUES ('S1', 'touches', 1), ('S2', 'will be', 1)");

# ---- a dead letter that is redriven after others of its key ----
$node->sql(<<'SQL');
INSERT INTO cust VALUES ('R1', 'right', 1);
UPDATE cust SET n = 0, nm = 'cannot be told' WHERE no = 'R1';
UPDATE cust SET n = 1, nm = 'told in time' WHERE no = 'R1';
SELECT outbox.redrive(contract => 'customer');
SQL

# ---- an event that its broker rejects, and that later ones of its key overtake ----
$node->sql("INSERT INTO cust VALUES ('B1', 'small', 1); UPDATE cust SET nm = repeat('x', 30000) WHERE no = 'B1'; UPDATE cust SET nm = 'small again' WHERE no = 'B1'");
$node->poll_until("SELECT count(*) FROM outbox.dead_letter WHERE stage = 'publish' AND state = 'open'", 2, timeout => 90);
$kafka->admin("alter('$topics[0]', 'max.message.bytes', '900000')");
$node->poll_until("SELECT outbox.redrive() IS NOT NULL AND NOT EXISTS (SELECT FROM outbox.dead_letter WHERE state = 'open')", 't', timeout => 90);

# ---- late ones ----
$node->sql('SET outbox.flush_timeout = 10; UPDATE ordr_ln SET qty = 8 WHERE ordr_id = 2; DELETE FROM ordr_ln WHERE ordr_id = 1; INSERT INTO ordr VALUES (4)');
$node->poll_until("SELECT count(*) > 0 AND count(*) FILTER (WHERE state = 'open') = 0 FROM outbox.dead_letter WHERE stage = 'flush'", 't', timeout => 90);
$node->sql('UPDATE ordr_ln SET qty = 9 WHERE ordr_id = 2');
$node->wait_published('kafka');

# ---- a replay of everything, into the same topics ----
sub replay
{
	my $request = $node->sql("SELECT request FROM outbox.replay('kafka', rate => 0" . join('', @_) . ')');
	$node->poll_until("SELECT state FROM outbox.replays WHERE request = $request", 'done', timeout => 90);
	return;
}

replay();

# ---- what a relay that crashed sends again: here all of it, byte for byte ----
$kafka->admin(<<"PYTHON");
import sys
from confluent_kafka import Producer
sys.path.insert(0, "$top/tools")
import consume
messages = list(consume.read_messages("@{[ $kafka->address ]}", "@topics".split()))
producer = Producer({"bootstrap.servers": "@{[ $kafka->address ]}", "enable.idempotence": True})
for m in messages:
    producer.produce(m.topic(), m.value(), m.key(), m.partition(), headers=m.headers())
producer.flush(60)
PYTHON

# ---- and a replay of how rows began, of which some are long gone ----
replay(", event_type => '$_'") foreach qw(CustomerRegistered SupplierAdded);

cmp_ok(count_of($_), '>', 0, "there are messages marked $_") foreach qw(superseded redriven late replay);
agree('Python, going on', @python, '--database', $database);
agree('Python, from the beginning', @python);
agree('Java', @java);

# ---- killed in the middle, and started again ----
my $second = $node->basedir . '/second.db';
run(@python, '--database', $second, '--max-messages', $_) foreach 7, 20, 1;
agree('Python, in several lives', @python, '--database', $second);

$node->stop;
done_testing();
