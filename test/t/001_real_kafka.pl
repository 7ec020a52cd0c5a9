# What an independent consumer reads from a real Kafka, with the schema of a real registry, is exactly
# what the legacy tables hold: every row, every column, every type with its extremes.
use strict;
use warnings;

use File::Basename ();
use Cwd ();
use IPC::Run ();
use JSON::PP ();
use Test::More;

use PostgreSQL::Test::Utils ();
use OutboxBroker;
use OutboxCluster;

my $top = Cwd::abs_path(File::Basename::dirname(__FILE__) . '/../..');
my $kafka = OutboxBroker->kafka;
my $registry = OutboxBroker->registry->address;
my $node = OutboxCluster->create('source');

# Runs compare_source.py for one event type; its last line on success, everything otherwise.
sub compare
{
	my ($topic, $event_type, $table, $key, $fields) = @_;
	my ($out, $err) = ('', '');

	IPC::Run::run([ "$top/build/venv/bin/python", "$top/test/python/compare_source.py",
			'--dsn', $node->connstr('postgres'), '--bootstrap', $kafka->address, '--registry', $registry,
			'--topic', $topic, '--event-type', $event_type, '--table', $table, '--key', $key,
			'--fields', JSON::PP::encode_json($fields || {}) ],
		'<', \undef, '>', \$out, '2>', \$err);
	chomp $out;
	return $out . $err;
}

sub run_file
{
	my ($dir, $file) = @_;
	my $before = Cwd::getcwd();

	chdir $dir or die "could not enter $dir: $!";
	my ($rc, $out, $err) = $node->psql('postgres', undef, extra_params => [ '-f', $file, '-v', 'ON_ERROR_STOP=1' ]);
	chdir $before;
	die "$file failed: $err" if $rc != 0;
	return;
}

$node->create_sink('kafka', $kafka, 'schema.registry.url' => $registry);

# every type
run_file("$top/test/t", 'every_type.sql');
$node->wait_published('kafka');
is($node->sql('SELECT key, message, detail FROM outbox.dead_letter'), '', 'every value of every type can be carried');
is(compare('test.every_type', 'EveryTypeCreated', 'legacy.every_type', 'id'), 'rows=8 fields=39',
	'created events hold every value of every type exactly');

$node->sql('CREATE TABLE legacy.every_type_before AS TABLE legacy.every_type; DELETE FROM legacy.every_type');
$node->wait_published('kafka');
is(compare('test.every_type', 'EveryTypeDeleted', 'legacy.every_type_before', 'id'), 'rows=8 fields=39',
	'deleted events hold the row as it was');

# what no event can carry is kept aside, each with its column, and the write succeeds
my %unfit = (
	c_numeric => "'NaN'", c_date => "'infinity'", c_time => "'24:00:00'", c_timestamptz => "'-infinity'",
	c_ints => "'{1,NULL}'", c_texts => "'{{a},{b}}'");
my $id = 100;
for my $column (sort keys %unfit)
{
	$id++;
	$node->sql("INSERT INTO legacy.every_type (id, $column) VALUES ($id, $unfit{$column})");
	like($node->sql("SELECT stage || ' ' || message FROM outbox.dead_letter WHERE key = '{\"id\": $id}'"),
		qr/^encode column "$column"/, "$unfit{$column} in $column becomes a dead letter that names the column");
}

# real rows
run_file("$top/examples/northwind", '01_schema.sql');
run_file("$top/examples/northwind", '02_contracts.sql');
for my $table (qw(categories suppliers customers products))
{
	my $csv = "$top/examples/northwind/data/$table.csv";
	$node->sql("COPY $table FROM '$csv' (FORMAT csv, HEADER)");
}
$node->wait_published('kafka');
is(compare('northwind.customers', 'CustomerRegistered', 'customers', 'customer_id',
		{ name => 'company_name', contact_role => 'contact_title', street => 'address' }),
	'rows=91 fields=10', 'all customers arrived with all columns');
is(compare('northwind.products', 'ProductListed', 'products', 'product_id',
		{ name => 'product_name', packaging => 'quantity_per_unit', price => 'unit_price::text::numeric',
			discontinued => 'discontinued <> 0' }),
	'rows=77 fields=7', 'all products arrived with all columns and exact prices');
is(compare('northwind.stock', 'StockOpened', '(SELECT * FROM products WHERE discontinued = 0) AS p', 'product_id',
		{ on_hand => 'units_in_stock', on_order => 'units_on_order' }),
	'rows=67 fields=4', 'stock arrived for the products that are sold');

# the registry holds the text that was pinned
my $pinned = $node->sql("SELECT schema FROM outbox.event_schema WHERE event_type = 'ProductListed'");
my $namespace = $node->sql("SELECT namespace FROM outbox.contract WHERE name = 'product'");
my $subject = "northwind.products-$namespace.ProductListed";
my $answer = `curl -sf '$registry/subjects/$subject/versions/latest'`;
my $registered = $answer ? JSON::PP::decode_json($answer)->{schema} : '';
is_deeply(JSON::PP::decode_json($registered || '{}'), JSON::PP::decode_json($pinned),
	'the registry holds the pinned schema under topic and record name');

# what a consumer without our code relies on
my $messages = $kafka->consume('northwind.products', registry => $registry);
my ($price) = grep { $_->{schema_name} =~ /ProductListed$/ && $_->{key} eq '9' } @$messages;
is($price->{headers}{ce_specversion}, '1.0', 'messages carry CloudEvents headers');
is($price->{headers}{'content-type'}, 'application/avro', 'messages say what they hold');
is($price->{headers}{ce_partitionkey}, '9', 'the message key is the aggregate id');
is($price->{value}{price}, '97.00', 'decimals keep their scale');

$node->stop;
done_testing();
