# What happens to a broker under load: partitions are added, quotas throttle the producer, one key gets tens of thousands
# of events, and its disk is full: everything is published, in order, and nothing becomes a dead letter.
use strict;
use warnings;

use IPC::Run ();
use Test::More;
use Time::HiRes ();

use OutboxBroker;
use OutboxCluster;
use OutboxTrial;

my $kafka = OutboxBroker->kafka;
my $node = OutboxCluster->create('trial_broker');

sub sink
{
	my ($name, %options) = @_;
	$node->create_sink($name, $kafka, { start_at => 'now' }, %options);
	return;
}

sub end_sink
{
	my ($name) = @_;
	$node->sql("SELECT outbox.stop_relay('$name')");
	$node->poll_until("SELECT NOT EXISTS (SELECT FROM outbox_internal.relay_report() WHERE sink = '$name' AND pid IS NOT NULL)");
	$node->sql("SELECT outbox.drop_sink('$name')");
	return;
}

# ---- partitions are added ----
$kafka->admin('wait(admin.create_topics([NewTopic("trial.partitions", 2, 1)]))');
sink('partitions', 'topic.metadata.refresh.interval.ms' => 500);
my $trial = OutboxTrial->new($node, $kafka, 'partitions', sink => 'partitions');
$trial->start(rate => 400);
for my $partitions (5, 11)
{
	my ($used, $deadline) = (0, time + 60);
	$kafka->admin("wait(admin.create_partitions([NewPartitions('trial.partitions', $partitions)]))");
	while ($used <= $partitions / 2)
	{
		die "only $used of $partitions partitions are used" if time > $deadline;
		$trial->goes_on(200);
		$used = keys %{ { map { $_->{partition} => 1 } @{ $node->consume($kafka, 'trial.partitions') } } };
	}
}
$trial->stop;
$trial->wait_published;
$trial->check('partitions are added under load (order per partition)', moved => 1);
end_sink('partitions');

# ---- quotas ----
$kafka->configure('--alter', '--entity-type', 'clients', '--entity-name', 'throttled', '--add-config', 'producer_byte_rate=4096');
sink('quota', 'client.id' => 'throttled');
$trial = OutboxTrial->new($node, $kafka, 'quota', sink => 'quota');
$trial->start(rate => 300);
$trial->goes_on(900);
my $pending = $node->sql("SELECT pending FROM outbox.status WHERE kind = 'sink' AND name = 'quota'");
$trial->stop;
note("$pending events were pending under a quota of 4096 bytes a second");
$kafka->configure('--alter', '--entity-type', 'clients', '--entity-name', 'throttled', '--delete-config', 'producer_byte_rate');
$trial->wait_published;
$trial->check('a quota throttles the producer');
end_sink('quota');

# ---- one key ----
sink('hot');
$trial = OutboxTrial->new($node, $kafka, 'hot', keys => 1, sink => 'hot');
my $start = Time::HiRes::time();
# not one transaction: PostgreSQL walks through all versions of a row that none has ended
$node->sql('DO $$ BEGIN FOR i IN 1 .. 50000 LOOP UPDATE hot SET version = version + 1; IF i % 100 = 0 THEN COMMIT; END IF; END LOOP; END $$');
my $written = Time::HiRes::time();
$trial->wait_published;
note(sprintf '50000 events of one key: written in %.1f s, published %.1f s later', $written - $start, Time::HiRes::time() - $written);
$trial->check('50,000 events of one key');
end_sink('hot');

$node->stop;
done_testing();
