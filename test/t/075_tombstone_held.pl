# A deletion that is followed by a tombstone is two messages of one event: it is published when both are. Where
# the broker takes the second and not the first, the event is kept, and each event counts once.
use strict;
use warnings;

use Test::More;

use OutboxCluster;
use OutboxFault;

my $node = OutboxCluster->create('tombstone_held', conf => $OutboxFault::CONF);
my $fault = OutboxFault->new($node, 'fault');

$node->sql(<<'SQL');
SELECT setval('outbox_internal.event_schema_id_seq', 10);
CREATE TABLE t (id int PRIMARY KEY);
CREATE VIEW t_v AS SELECT id FROM t;
SELECT outbox.create_contract('t', view => 't_v', source => 't', key => '{id}');
SELECT outbox.create_event_type('TDeleted', contract => 't', emit => 'deleted', topic => 'gone', tombstone => 'after');
SELECT outbox.enable('t');
INSERT INTO t SELECT generate_series(1, 9);
SQL
$fault->start;
my $schema = $node->sql("SELECT id FROM outbox.event_schema WHERE topic = 'gone'");

sub kinds
{
	my ($key) = @_;
	return join ' ', map { $_->{kind} } grep { $_->{key} eq $key } @{ $fault->deliveries };
}

# ---- the schema is refused, a null value needs none: one message at a time, so that each follows the fate of the other ----
$fault->control(block_schema => $schema, capacity => 1);
$node->sql('DELETE FROM t WHERE id = 1');
$fault->wait_held(1);
# at least one try of an event that waits is over
$node->poll_until('SELECT NOT EXISTS (SELECT FROM outbox.held_events) OR (SELECT tries > 2 FROM outbox.blocked_route)');
is($node->sql('SELECT count(*) FROM outbox.held_events'), 1, 'an event of which only the tombstone was taken still waits');
$fault->control();
$node->reload;
$fault->wait_held(0);
is(kinds(1), 'value null', 'it is published, and the tombstone behind it');

# ---- the value is rejected, the tombstone taken: one dead letter, and one event when it is redriven ----
$fault->control(reject_values => 1, capacity => 1);
$node->sql('DELETE FROM t WHERE id = 2');
$node->poll_until("SELECT count(*) FROM outbox.dead_letter WHERE state = 'open'", 1);
$node->poll_until("SELECT pending FROM outbox.status WHERE kind = 'sink'", 0);
is($node->sql("SELECT published FROM outbox.status WHERE kind = 'sink'"), 1, 'a rejected event does not count as published');
$fault->control();
$node->sql('SELECT outbox.redrive()');
$fault->wait_held(0);
like(kinds(2), qr/value null$/, 'redriven, both are published');
$node->poll_until("SELECT published FROM outbox.status WHERE kind = 'sink'", 2);
is($node->sql("SELECT published = (SELECT count(*) FROM outbox.event) FROM outbox.status WHERE kind = 'sink'"), 't', 'and the event counts once');
$fault->check('deletions');

# ---- under skip, too ----
my $skip = OutboxFault->new($node, 'skip', on_reject => 'skip')->start;
$skip->wait_published;
$skip->control(reject_values => 1, capacity => 1);
my $published = $node->sql("SELECT published FROM outbox.status WHERE name = 'skip'");
$node->sql('DELETE FROM t WHERE id = 3');
$node->poll_until("SELECT count(*) FROM outbox.dead_letter WHERE state = 'open' AND sink = 'skip'", 1);
$node->poll_until("SELECT pending FROM outbox.status WHERE name = 'skip'", 0);
is($node->sql("SELECT published FROM outbox.status WHERE name = 'skip'"), $published, 'skip: a rejected event does not count as published');

done_testing();
