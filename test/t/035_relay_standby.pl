# Nothing leaves before the synchronous standby has it; a promoted standby goes on where the primary was.
use strict;
use warnings;

use Test::More;

use OutboxCluster;
use OutboxFault;

my $primary = OutboxCluster->create('primary', start => 0,
	conf => $OutboxFault::CONF . "max_wal_senders = 5\nmax_replication_slots = 5\n");
$primary->append_conf('pg_hba.conf', 'local replication all trust');
$primary->start;
$primary->sql('CREATE EXTENSION outbox_ext');
my $fault = OutboxFault->new($primary, 'fault')->start;
$fault->append('before', 2);
$fault->wait_published;

$primary->backup('base');
my $standby = OutboxCluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;
$primary->wait_for_catchup($standby);

# ---- the standby is away: a commit that did not wait for it is visible, and stays here ----
$standby->stop;
$primary->append_conf('postgresql.conf', "synchronous_standby_names = 'standby'");
$primary->reload;
$primary->poll_until("SHOW synchronous_standby_names", 'standby');
$primary->sql("SET synchronous_commit = local; SELECT append(1, 't', 'waits', 3, 100)");
my $pid = $fault->pid;
$primary->poll_until("SELECT wait_event FROM pg_stat_activity WHERE pid = $pid", 'SyncRep');
is(scalar(grep { $_->{key} eq 'waits' } @{ $fault->deliveries }), 0, 'an event that the standby does not have is not published');

# the wait can be ended
kill 'TERM', $pid or die "could not signal $pid: $!";
$primary->poll_until("SELECT count(*) FROM pg_stat_activity WHERE pid = $pid", 0);
is(scalar(grep { $_->{key} eq 'waits' } @{ $fault->deliveries }), 0, 'not even when the relay is told to end');

$standby->start;
$primary->poll_until("SELECT acked >= 3 FROM outbox_internal.relay_report()");
is(scalar(grep { $_->{key} eq 'waits' } @{ $fault->deliveries }), 3, 'it is published when the standby has it');

# ---- promotion with a backlog and a prepared transaction: no relay on the standby before, one right after, nothing lost ----
$primary->sql("SELECT change(i % 20) FROM generate_series(1, 500) i");
$fault->wait_published;
# the position is written without waiting for the disk
$primary->sql('SELECT pg_switch_wal()');
$fault->control(down => 1);
$primary->sql("SELECT change(i % 20) FROM generate_series(1, 300) i");
$primary->sql("BEGIN; SELECT change(1001, 5); PREPARE TRANSACTION 'over'");
is($standby->sql("SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'outbox relay%'"), 0, 'a standby runs no relay');
$primary->wait_for_catchup($standby);
$primary->stop('immediate');
$standby->append_conf('postgresql.conf', "synchronous_standby_names = ''");
$standby->reload;
my $delivered = scalar(@{ $fault->deliveries });
$fault->control;
$standby->promote;
$standby->poll_until("SELECT count(*) FROM outbox_internal.relay_report() WHERE state = 'running'", 1);
$standby->sql("SELECT append(1, 't', 'after promotion', 3, 100)");
$standby->wait_published('fault');
is(scalar(@{ $fault->deliveries }), $delivered + 303, 'what the primary had not published is published');
$standby->sql("COMMIT PREPARED 'over'");
$standby->wait_published('fault');
$fault->{node} = $standby;
my $repeated = $fault->check('promotion');
is($repeated, 0, 'the promoted server goes on from the position it had received');

# ---- numbers of the new server are larger although seq may repeat: the timeline leads ce_sequence ----
my (@before, @after);
push @{ $_->{timeline} == 1 ? \@before : \@after }, $_ for @{ $fault->deliveries };
is(scalar(@before), $delivered, 'before the promotion: timeline 1');
is_deeply([ grep { $_ != 2 } map { $_->{timeline} } @after ], [], 'after it: timeline 2, pending events and those of prepared transactions included');
$standby->poll_until("SELECT min(timeline) FROM outbox.relay_progress", 2);

# ---- a replay that the primary was at goes on: it takes minutes, longer than a standby is in coming ----
$standby->sql("SELECT outbox.replay('fault', rate => 5)");
$standby->poll_until("SELECT published > 5 FROM outbox.replays");
$standby->backup('second');
my $third = OutboxCluster->new('third');
$third->init_from_backup($standby, 'second', has_streaming => 1);
$third->start;
$standby->wait_for_catchup($third);
$standby->stop('immediate');
my $replayed = $third->sql('SELECT published FROM outbox.replays');
$third->promote;
$third->poll_until("SELECT published > $replayed FROM outbox.replays");
pass('a replay goes on after a promotion');
$standby = $third;

$standby->stop;
done_testing();
