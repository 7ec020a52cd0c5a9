# check_schemas() says of 5,000 pairs of schemas what Avro for Java says, and where; what may differ is listed with its reason.
use strict;
use warnings;

use OutboxCluster;
use OutboxCompat;
use Test::More;

my $node = OutboxCluster->create('compatible_java');
my $out = OutboxCompat->java($node, 5000, 'verdict, rule and place are those of Avro for Java');

# A comparison that never meets one of these compares nothing.
for my $what ('both: compatible', 'both: incompatible', 'LOGICAL: compatible for Java only', 'DECIMAL_SCALE: compatible for Java only', "places of Java's that are ours")
{
	my ($count) = $out =~ /^ *(\d+) \Q$what\E$/m;
	cmp_ok($count // 0, '>=', 20, "$what, often");
}
$node->stop;
done_testing();
