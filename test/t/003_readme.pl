# The quick start of the README does what it says, up to the messages in a broker.
use strict;
use warnings;
use utf8;

use Cwd ();
use File::Basename ();
use Test::More;

use PostgreSQL::Test::Utils ();
use OutboxBroker;
use OutboxCluster;

my $top = Cwd::abs_path(File::Basename::dirname(__FILE__) . '/../..');
my $readme = PostgreSQL::Test::Utils::slurp_file("$top/README.md");
my $broker = OutboxBroker->mock;
my $node = OutboxCluster->create('readme', extension => 0);

# The statements as they stand, but for the address of the broker; there is no registry here.
my @blocks = $readme =~ /^```sql\n(.*?)^```/msg;
my $sql = join "\n", @blocks;
is($sql =~ s/"broker:9092", "schema\.registry\.url": "[^"]+"/'"' . $broker->address . '"'/e, 1, 'the README names a broker and a registry');
$node->sql($sql);
pass('every statement of the quick start runs');

is($node->sql("SELECT string_agg(type, ',' ORDER BY seq) FROM outbox.event"), 'CustomerRegistered,CustomerBlocked',
	'an insert and a change are events, an update of nothing is none');
is($node->sql('SELECT stage || key FROM outbox.dead_letter'), 'encode{"customer_id": "C-2"}',
	'the row without a name is a dead letter');

$node->wait_published('kafka');
my $messages = $node->consume($broker, 'crm.customers', count => 2);
is_deeply([ map { "$_->{key} $_->{schema_name}" } @$messages ],
	[ 'C-1 postgres.customer.CustomerRegistered', 'C-1 postgres.customer.CustomerBlocked' ],
	'both are published in order, with the customer as key');
is_deeply($messages->[1]{value}{name}, 'Käthe Müller', 'names arrive as they are');

$broker->stop;
$node->stop;
done_testing();
