# A real schema registry has the same verdict on 500 pairs of schemas, but for what it does not look at.
use strict;
use warnings;

use OutboxBroker;
use OutboxCluster;
use OutboxCompat;
use Test::More;

my $registry = OutboxBroker->registry;
my $node = OutboxCluster->create('compatible_registry');
my $out = OutboxCompat->registry($node, 500, "the registry's verdict", $registry->address);

for my $what ('both: compatible', 'both: incompatible', 'LOGICAL: compatible for the registry only')
{
	my ($count) = $out =~ /^ *(\d+) \Q$what\E$/m;
	cmp_ok($count // 0, '>=', 10, "$what, often");
}
$node->stop;
done_testing();
