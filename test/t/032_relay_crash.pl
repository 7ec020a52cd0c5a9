# Through kill -9 of the relay, a crash of the server and an asynchronous commit that is lost in it: nothing is
# lost, nothing is invented, the order per key is kept, repetitions have the same id.
use strict;
use warnings;

use Test::More;

use OutboxCluster;
use OutboxFault;

my $node = OutboxCluster->create('crash', conf => $OutboxFault::CONF);
my $fault = OutboxFault->new($node, 'fault')->start;
my $script = "\\set k random(1, 20)\nBEGIN;\nSELECT change(:k);\nSELECT change(:k);\nCOMMIT;\n";

# ---- kill -9 while events flow; pgbench ends with the server's processes, so it is started anew ----
for my $round (1 .. 6)
{
	my $acked = $node->sql("SELECT coalesce(max(acked), 0) FROM outbox.relay_progress");
	my $writer = $fault->write_in_background($script, '-c', 4, '-T', 60);

	$node->poll_until("SELECT max(acked) > $acked + 100 FROM outbox.relay_progress");
	my $pid = $fault->pid;
	kill 'KILL', $pid or die "could not kill $pid: $!";
	eval { $writer->finish };
	$node->wait_for_recovery($pid);
}
$fault->wait_state('running');
$fault->wait_published;
my $repeated = $fault->check('kill -9 of the relay while events flow');
note("$repeated deliveries were repeated");

# ---- kill -9 in the middle of a backlog: at each delay another step is hit ----
for my $round (1 .. 6)
{
	$fault->control(down => 1);
	$node->sql("SELECT change(i % 50) FROM generate_series(1, 20000) i");
	$fault->control(capacity => 200 * $round);
	my $acked = $node->sql("SELECT max(acked) FROM outbox.relay_progress");
	$node->poll_until("SELECT max(acked) > $acked FROM outbox.relay_progress") if $round % 2 == 0;
	my $pid = $fault->pid;
	kill 'KILL', $pid or die "could not kill $pid: $!";
	$node->wait_for_recovery($pid);
	$fault->control();
}
$fault->wait_published;
$repeated = $fault->check('kill -9 in the middle of a backlog');
note("$repeated deliveries were repeated");

# ---- a crash of the server ----
my $writer = $fault->write_in_background($script, '-c', 4, '-T', 60);
my $acked = $node->sql("SELECT max(acked) FROM outbox.relay_progress");
$node->poll_until("SELECT max(acked) > $acked + 100 FROM outbox.relay_progress");
$node->stop('immediate');
eval { $writer->finish };
$node->start;
$fault->wait_published;
$fault->check('crash of the server');

# ---- asynchronous commits: what is published survives, although nobody else has flushed it ----
$node->append_conf('postgresql.conf', "synchronous_commit = off\nwal_writer_delay = 10s\nwal_writer_flush_after = 0\n");
$node->restart;
$fault->wait_state('running');
my $known = $node->sql("SELECT sum(acked) FROM outbox.relay_progress");
$node->sql('DO $$BEGIN FOR i IN 1..200 LOOP PERFORM change(i % 20); COMMIT; END LOOP; END$$');
$node->poll_until("SELECT acked >= 200 FROM outbox_internal.relay_report()");
$node->stop('immediate');
$node->start;
$fault->wait_published;
$fault->check('a crash after asynchronous commits were published');

# ---- the server stops while messages are under way: they are waited for, and not repeated ----
my $deliveries = scalar(@{ $fault->deliveries });
$fault->control(delay_ms => 2000);
$fault->append('slow', 10);
$node->poll_until("SELECT published > acked FROM outbox_internal.relay_report()");
$node->stop('fast');
is(scalar(@{ $fault->deliveries }), $deliveries + 10, 'a relay that is stopped waits for its messages');
$node->start;
$fault->control();
$fault->append('next', 1);
$fault->wait_published;
is(scalar(@{ $fault->deliveries }), $deliveries + 11, 'and the next one does not repeat them');
$fault->check('a shutdown with messages under way');

$node->stop;
done_testing();
