# From staging to production: one migration gives every stage the same schemas and types where outbox.namespace says how
# they are called; where nobody said it, status tells that the database's name decided.
use strict;
use warnings;

use Test::More;

use OutboxCluster;

my $node = OutboxCluster->create('rollout');
my $MIGRATION = <<'SQL';
CREATE EXTENSION IF NOT EXISTS outbox_ext;
CREATE TABLE IF NOT EXISTS cust (id int PRIMARY KEY, nm text);
CREATE OR REPLACE VIEW customer_v AS SELECT id AS customer_id, nm AS name FROM cust;
DO $$
BEGIN
	IF NOT EXISTS (SELECT FROM outbox.contracts WHERE name = 'customer') THEN
		PERFORM outbox.create_contract('customer', view => 'customer_v', source => 'cust', key => '{customer_id}');
	END IF;
	IF NOT EXISTS (SELECT FROM outbox.event_types WHERE name = 'CustomerAdded') THEN
		PERFORM outbox.create_event_type('CustomerAdded', contract => 'customer', emit => 'created');
	END IF;
END $$;
SELECT outbox.enable('customer');
SQL

# The name of the schema, the event's type, and a fingerprint.
sub published
{
	my ($db) = @_;
	return $db->sql("SELECT outbox.avro_schema('CustomerAdded')::jsonb->>'namespace', ce_type, (SELECT fingerprint FROM outbox.event_schemas)
		FROM outbox.event_types");
}

sub advice { return $_[0]->sql("SELECT advice FROM outbox.status WHERE kind = 'extension'"); }

# ---- nobody said how they are called: the name of each database, as far as Avro allows ----
my %odd = ('shop' => 'shop', '7 Läden' => '__L__den', 'a\b' => 'a_b');
foreach my $name (sort keys %odd)
{
	my $db = $node->in($name);

	$node->sql(qq{CREATE DATABASE "$name"});
	$db->sql($MIGRATION);
	like(published($db), qr/^$odd{$name}\.customer\|$odd{$name}\.customer\.customeradded\|/, "$name: the database's name is the namespace");
	like(advice($db), qr/^The Avro namespace of contract customer begins with the name of this database/, 'status says so');
	like(advice($db), qr/ALTER DATABASE \Q@{[ $node->sql("SELECT quote_ident('$name')") ]}\E SET outbox\.namespace = '$odd{$name}';/, 'and how it is said in so many words');
	my ($command) = advice($db) =~ /(ALTER DATABASE .*?');/;
	$db->sql($command);
	is(advice($db), 'Create a sink: SELECT outbox.create_sink(...);', 'after that there is nothing to say');
}

# ---- several contracts ----
my $shop = $node->in('shop');
$shop->sql("ALTER DATABASE shop RESET outbox.namespace");
$shop->sql("SELECT outbox.create_contract('client', view => 'customer_v', source => 'cust', key => '{customer_id}')");
like(advice($shop), qr/^The Avro namespace of contract client and 1 more begins/, 'several contracts are counted');
$shop->sql("SET outbox.namespace = 'crm'; SELECT outbox.drop_contract('client'), outbox.drop_contract('customer');
	SELECT outbox.create_contract('client', view => 'customer_v', source => 'cust', key => '{customer_id}')");
is(advice($shop), 'Create a sink: SELECT outbox.create_sink(...);', 'a contract with another namespace says it by itself');

# ---- one setting, one name in every stage ----
my @stages = qw(staging production);
foreach my $name (@stages)
{
	$node->sql("CREATE DATABASE $name");
	$node->sql("ALTER DATABASE $name SET outbox.namespace = 'crm'");
	$node->in($name)->sql($MIGRATION) foreach 1, 2;
}
my ($staging, $production) = map { published($node->in($_)) } @stages;
like($staging, qr/^crm\.customer\|crm\.customer\.customeradded\|-?\d+$/, 'a migration that may run twice');
is($staging, $production, 'the same schema and type in every stage');
is($node->in('staging')->sql('SELECT count(*) FROM outbox.event_schemas'), 1, 'and pinned once');

$node->stop;
done_testing();
