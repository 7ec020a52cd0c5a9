# A sink that stops at a rejected event: its relay goes on looking after the leaves, and when the event is dropped with
# its leaf the sink goes on without it.
use strict;
use warnings;

use Test::More;

use OutboxCluster;
use OutboxFault;

my $node = OutboxCluster->create('leaf_barrier', conf => $OutboxFault::CONF . <<'CONF');
outbox.leaf_size = '64kB'
outbox.retention = 0
CONF
my $fault = OutboxFault->new($node, 'fault', on_reject => 'stop')->start;

$fault->append('before', 3);
$fault->wait_published;
$fault->control(reject_key => 'bad');
$fault->append('bad', 1);
$fault->wait_state('blocked');
$node->wait_for_log(qr/stops at a rejected event.*?HINT:  Later events wait for it; it is offered again every 30 s\./s);

# ---- more leaves in one pause than the relay would get to when it looked after them between attempts only ----
my $retries = "SELECT retries FROM outbox_internal.relay_report()";
my $before = $node->sql($retries);
for my $n (1 .. 6)
{
	my $leaf = $node->sql("SELECT leaf FROM outbox.leaf WHERE state = 'current'");
	$fault->append("key$n", 600);
	$node->poll_until("SELECT leaf <> $leaf FROM outbox.leaf WHERE state = 'current'");
}
cmp_ok($node->sql($retries) - $before, '<', 5, 'a relay that pauses at a rejected event goes on looking after the leaves');

# ---- the leaf of the rejected event is dropped ----
$node->append_conf('postgresql.conf', "outbox.max_backlog = '256kB'\noutbox.backlog_policy = 'drop'");
$node->reload;
$node->poll_until("SELECT count(*) > 0 FROM outbox.event WHERE aggregateid = 'bad'", 'f');
$node->append_conf('postgresql.conf', 'outbox.max_backlog = 0');
$node->reload;
$fault->wait_state('running');
$fault->append('after', 3);
$fault->wait_published;
is(scalar(grep { $_->{key} eq 'after' } @{ $fault->deliveries }), 3, 'what comes behind a rejected event that was dropped is published');
is($node->sql('SELECT state FROM outbox_internal.relay_report()'), 'running', 'and the sink is not blocked any more');
is($node->sql("SELECT count(*) FROM outbox.gap WHERE reason = 'backlog' AND sink = 'fault'") > 0, 1, 'the loss is a gap');

done_testing();
