# A real schema registry that comes and goes under load, while event types are added that it has to register: events of
# registered schemas go on, the others follow, all in order.
use strict;
use warnings;

use Test::More;

use OutboxBroker;
use OutboxCluster;
use OutboxTrial;

my $kafka = OutboxBroker->kafka;
my $registry = OutboxBroker->own_registry;
my $node = OutboxCluster->create('flapping');
my @trials;

for my $round (1 .. 4)
{
	my $trial = OutboxTrial->new($node, $kafka, "flap$round", keys => 20);
	push @trials, $trial;
	$node->create_sink('kafka', $kafka, 'schema.registry.url' => $registry->address, 'schema.registry.check.interval.ms' => 1000) if $round == 1;
	$trial->start(rate => 50);
	$registry->stop(kill => $round % 2);
	my $new = OutboxTrial->new($node, $kafka, "new$round", keys => 20);
	push @trials, $new;
	$node->poll_until("SELECT count(*) >= 20 FROM outbox.held_event");
	$_->goes_on(50) for grep { $_->{writers} } @trials;
	$registry->start;
	$node->poll_until('SELECT count(*) FROM outbox.held_event', 0, timeout => 60);
}
$_->stop for @trials;
$_->wait_published for @trials;
$_->check("a registry that comes and goes, $_->{name}", consume => { registry => $registry->address }) for @trials;

$node->stop;
$registry->stop;
done_testing();
