# A relay that must not publish, because it may run on a copy, does not keep the others from looking after the leaves.
use strict;
use warnings;

use Test::More;

use OutboxCluster;
use OutboxFault;

my $node = OutboxCluster->create('resigns', conf => $OutboxFault::CONF . <<'CONF');
outbox.leaf_size = '64kB'
outbox.site = 'one'
CONF
my $first = OutboxFault->new($node, 'first')->start;
my $keeper = "SELECT pid FROM pg_locks WHERE locktype = 'object' AND classid = 'outbox_internal.leaf'::regclass AND mode = 'ExclusiveLock' AND granted";

$node->poll_until("SELECT ($keeper) = " . $first->pid);
my $second = OutboxFault->new($node, 'second')->start;
$first->append('before', 10);
$_->wait_published foreach $first, $second;

$node->sql("ALTER SYSTEM SET outbox.site = 'two'");
$node->reload;
$_->wait_state('blocked') foreach $first, $second;
$second->start;
$node->poll_until("SELECT ($keeper) = " . $second->pid);
my $current = $node->sql("SELECT leaf FROM outbox.leaf WHERE state = 'current'");
$second->append('fills a leaf', 1000);
$node->poll_until("SELECT state <> 'current' FROM outbox.leaf WHERE leaf = $current");
pass('the one that was confirmed switches leaves');
$first->wait_state('blocked');
$first->start;
$_->wait_published foreach $first, $second;
$_->check('after both were confirmed') foreach $first, $second;

$node->stop;
done_testing();
