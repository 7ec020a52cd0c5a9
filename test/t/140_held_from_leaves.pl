# Events are held from the leaves themselves: the relay does not wait for outbox.event.
use strict;
use warnings;

use OutboxCluster;
use OutboxFault;
use Test::More;

my $node = OutboxCluster->create('held', conf => $OutboxFault::CONF);
my $fault = OutboxFault->new($node, 'fault')->start;

sub held
{
	my ($n) = @_;
	$node->poll_until('SELECT count(*) FROM outbox.held_events', $n);
	return;
}

$fault->control(reject_key => 'bad');
my $owner = $node->background_psql('postgres');
$owner->query_safe('BEGIN; LOCK TABLE ONLY outbox.event IN ACCESS EXCLUSIVE MODE');
$fault->append('bad', 3);
$fault->append('good', 2);
held(3);
is($node->sql("SELECT count(*) FROM outbox.dead_letter WHERE stage = 'publish' AND state = 'open'"), 1,
	'a rejected event and those behind it are held while outbox.event is locked');
$owner->query_safe('COMMIT');
$owner->quit;

# ---- from wherever they are by then: a leaf was rewritten while its events were under way ----
$fault->control(reject_key => 'bad', delay_ms => 1000);
$fault->append('good', 1);
$fault->append('bad', 2);
$node->poll_until('SELECT in_flight > 0 FROM outbox.relay_status');
$node->sql('VACUUM FULL ' . $node->sql("SELECT relation FROM outbox.leaf WHERE state = 'current'"));
held(5);
pass('and of one that was rewritten');

# ---- they are whole: published when the cause is gone ----
$fault->control();
$node->sql("SELECT outbox.redrive(id) FROM outbox.dead_letter WHERE stage = 'publish' AND state = 'open'");
$fault->wait_published;
held(0);
$fault->check('every event of the aggregate is published');

$node->stop;
done_testing();
