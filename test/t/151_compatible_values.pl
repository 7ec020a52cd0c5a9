# What check_schemas() calls compatible is read by fastavro with the reader's schema: no error, no other decimal or instant.
use strict;
use warnings;

use OutboxCluster;
use OutboxCompat;
use Test::More;

my $node = OutboxCluster->create('compatible_values');
my $out = OutboxCompat->values($node, 5000, 'twenty values of each pair are read as they were written');

my ($count) = $out =~ /^ *(\d+) read as they were written/m;
cmp_ok($count // 0, '>=', 1000, 'for a thousand pairs and more');
$node->stop;
done_testing();
