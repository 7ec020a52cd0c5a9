# The documents about real contracts are what their standards say, by validators of others: AsyncAPI with the schemas that are
# pinned, the Open Data Contract Standard, and Markdown whose links lead somewhere.
use strict;
use warnings;

use Test::More;

use OutboxCluster;
use OutboxSamples;
use OutboxValidators;

my $node = OutboxCluster->create('documents', extension => 0);

OutboxSamples->load($node);
# what must not end a table, a string or a comment, and what every document has a place for
$node->safe_psql('northwind', <<'SQL');
COMMENT ON VIEW canonical.customer_v1 IS E'A | company */ "that" \\ buys\n<b>from</b> `us` \$\$ [x](y) Ä';
SELECT outbox.annotate('order', '{"owner": "sales | x", "domain": "commerce", "tags": ["a", "b|c"], "link": "https://wiki.example.org/order"}');
SELECT outbox.annotate('OrderPlaced', '{"owner": "checkout"}'), outbox.annotate('table:customers.phone', '{"tags": ["PII"]}'),
	outbox.annotate('customer.city', '{"classification": "internal"}');
SELECT outbox.drop_contract('customer');
SELECT outbox.create_contract('customer', view => 'canonical.customer_v1', source => 'customers', key => '{customer_id}', required => '{customer_id,name,country}');
SELECT outbox.create_event_type('CustomerRegistered', contract => 'customer', emit => 'created', topic => 'northwind.new.customers');
SELECT outbox.create_event_type('CustomerDeleted', contract => 'customer', emit => 'deleted', topic => 'northwind.new.customers', tombstone => 'after');
SELECT outbox.enable('customer');
SQL

my $servers = q({"production": {"host": "broker:9092", "protocol": "kafka"}});
my $pinned = q{SELECT jsonb_object_agg(event_type, schema::jsonb) FROM outbox.event_schemas s WHERE EXISTS (SELECT FROM outbox.event_types t WHERE t.name = s.event_type)
	AND version = (SELECT max(version) FROM outbox.event_schemas n WHERE n.event_type = s.event_type) AND id = (SELECT max(id) FROM outbox.event_schemas n WHERE n.event_type = s.event_type)};

foreach my $database (OutboxSamples->databases)
{
	my $asyncapi = $node->safe_psql($database, "SELECT outbox.asyncapi('$servers')");
	my $schemas = $node->safe_psql($database, $pinned);
	my ($ok, $words) = OutboxValidators->asyncapi($asyncapi, $schemas);

	ok($ok, "$database: the official parser reads the AsyncAPI document, with the pinned schemas") or diag($words);
	is($node->safe_psql($database, "SELECT outbox.asyncapi('$servers') #>> '{servers,production,host}'"), 'broker:9092', "$database: it has the servers");
	($ok, $words) = OutboxValidators->asyncapi($asyncapi =~ s/"type": "record"/"type": "recrd"/gr, $schemas);
	ok(!$ok && $words =~ /must match/, "$database: and finds a schema that is none");

	($ok, $words) = OutboxValidators->markdown($node->safe_psql($database, 'SELECT outbox.catalog_markdown()'));
	ok($ok, "$database: the catalog in Markdown is clean, and its links lead to headings") or diag($words);

	foreach my $contract (split /\n/, $node->safe_psql($database, 'SELECT name FROM outbox.contracts ORDER BY 1'))
	{
		my $odcs = $node->safe_psql($database, "SELECT outbox.odcs('$contract')");

		($ok, $words) = OutboxValidators->odcs($odcs);
		ok($ok, "$database, $contract: datacontract-cli finds nothing in the contract") or diag($words);
	}
}
my ($ok) = OutboxValidators->odcs($node->safe_psql('northwind', "SELECT outbox.odcs('order')") =~ s/"logicalType": "integer"/"logicalType": "nothing"/gr);
ok(!$ok, 'it finds what is wrong');
($ok) = OutboxValidators->markdown("# A\n\n[B](#b)\n");
ok(!$ok, 'so does what looks at Markdown');
$node->stop;
done_testing();
