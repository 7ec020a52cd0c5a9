# A relay that waits for the synchronous standby when the postmaster dies ends there: what the standby does not have stays here.
use strict;
use warnings;

use Test::More;

use OutboxCluster;
use OutboxFault;

my $node = OutboxCluster->create('main', conf => $OutboxFault::CONF);
my $fault = OutboxFault->new($node, 'fault')->start;
$fault->append('before', 2);
$fault->wait_published;
is(scalar(@{ $fault->deliveries }), 2, 'without standbys events leave at once');

# ---- a standby that nobody is: a commit that did not wait for it is visible ----
$node->append_conf('postgresql.conf', "synchronous_standby_names = 'nobody'");
$node->reload;
$node->poll_until('SHOW synchronous_standby_names', 'nobody');
$node->sql("SET synchronous_commit = local; SELECT append(1, 't', 'waits', 3, 100)");
my $pid = $fault->pid;
$node->poll_until("SELECT wait_event FROM pg_stat_activity WHERE pid = $pid", 'SyncRep');
is(scalar(@{ $fault->deliveries }), 2, 'the relay waits');

# ---- the postmaster dies; whatever the relay does with the events, it has done when it is gone ----
$node->kill9;
my $polls = 10 * $PostgreSQL::Test::Utils::timeout_default;
select(undef, undef, undef, 0.1) while kill(0, $pid) && --$polls > 0;
ok($polls > 0, 'the relay ends when the postmaster is dead');
is(scalar(@{ $fault->deliveries }), 2, 'and publishes nothing on its way');

# ---- nothing is lost: they leave when no standby is asked for any more ----
$node->append_conf('postgresql.conf', "synchronous_standby_names = ''");
$node->start_again;
$fault->wait_published;
is(scalar(@{ $fault->deliveries }), 5, 'all are published in the end');

$node->stop;
done_testing();
