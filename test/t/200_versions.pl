# Two versions of a contract beside each other on a real Kafka, with a registry that holds the old subject to FULL: a consumer
# that moves from one topic to the other by ce_changeid, at any of 100 places, loses nothing and doubles nothing, although the
# relay is killed meanwhile.
use strict;
use warnings;

use Test::More;

use OutboxBroker;
use OutboxCluster;

my $kafka = OutboxBroker->kafka;
my $registry = OutboxBroker->registry->address;
my $node = OutboxCluster->create('versions', conf => "outbox.namespace = 't200'\n");

$kafka->admin("create('t200.parts', 1)\ncreate('t200.parts.v2', 1)\ncreate('t200.boxes', 1)\ncreate('t200.boxes.v2', 1)");
$node->sql(<<'SQL');
CREATE TABLE part (id int PRIMARY KEY, nm text NOT NULL, qty int NOT NULL DEFAULT 0);
CREATE VIEW part_v1 AS SELECT id, nm AS name, qty FROM part;
CREATE VIEW part_v2 AS SELECT id, upper(nm) AS title, qty::text AS quantity FROM part WHERE qty <> 13;
SELECT outbox.create_contract('part', view => 'part_v1', source => 'part', key => '{id}', required => '{name,qty}');
SELECT outbox.create_event_type('PartAdded', contract => 'part', emit => 'created', topic => 't200.parts');
SELECT outbox.create_event_type('PartChanged', contract => 'part', emit => 'changed', topic => 't200.parts', condition => 'new.qty <> 7');
SELECT outbox.create_event_type('PartGone', contract => 'part', emit => 'deleted', topic => 't200.parts');
SELECT outbox.enable('part');
-- evaluated at commit
CREATE TABLE box (id int PRIMARY KEY, nm text NOT NULL);
CREATE VIEW box_v1 AS SELECT b.id, b.nm AS name, (SELECT count(*) FROM part p WHERE p.id % 10 = b.id) AS parts FROM box b;
CREATE VIEW box_v2 AS SELECT b.id, b.nm AS label, (SELECT sum(p.qty)::bigint FROM part p WHERE p.id % 10 = b.id) AS quantity FROM box b;
CREATE INDEX ON part ((id % 10));
SELECT outbox.create_contract('box', view => 'box_v1', source => 'box', key => '{id}', required => '{name}', evaluate => 'commit');
SELECT outbox.create_event_type('BoxAdded', contract => 'box', emit => 'created', topic => 't200.boxes');
SELECT outbox.create_event_type('BoxChanged', contract => 'box', emit => 'always', topic => 't200.boxes');
SELECT outbox.enable('box');
INSERT INTO part SELECT n, 'part ' || n FROM generate_series(1, 20) n;
INSERT INTO box SELECT n, 'box ' || n FROM generate_series(0, 9) n;
SQL
$node->create_sink('kafka', $kafka, {}, 'schema.registry.url' => $registry, headers => 'minimal');
$node->wait_published('kafka');
for my $subject ('t200.parts-t200.part.PartAdded', 't200.parts-t200.part.PartChanged', 't200.boxes-t200.box.BoxAdded', 't200.boxes-t200.box.BoxChanged')
{
	$kafka->admin(<<"PYTHON");
import urllib.request
urllib.request.urlopen(urllib.request.Request("$registry/config/$subject", method="PUT",
    data=b'{"compatibility":"FULL"}', headers={"Content-Type": "application/json"})).read()
PYTHON
}

# changes of all kinds: some that one version alone tells of
sub changes
{
	my ($round) = @_;
	$node->sql(<<"SQL");
DO \$\$
BEGIN
	FOR i IN 1 .. 40 LOOP
		UPDATE part SET qty = (qty + i + $round) % 17 WHERE id = 1 + i % 20;
		UPDATE box SET nm = 'box ' || i || ' of $round' WHERE id = i % 10;
		IF i % 8 = 0 THEN
			DELETE FROM part WHERE id = 1 + i % 20;
			INSERT INTO part VALUES (1 + i % 20, 'again ' || i, i % 15);
		END IF;
		COMMIT;
	END LOOP;
END \$\$;
SQL
	return;
}

changes(1);
$node->wait_published('kafka');
my %before = map { $_ => scalar @{ messages("t200.$_") } } qw(parts boxes);
$node->sql(<<'SQL');
SELECT outbox.add_version('part', 'part_v2', required => '{title}', sunset => '2999-01-01 00:00:00+00');
SELECT outbox.alter_event_type('PartChanged', 2, condition => 'new.quantity <> ''9''');
SELECT outbox.enable('part');
SELECT outbox.add_version('box', 'box_v2', required => '{label}', publish => 'beside');
SELECT outbox.enable('box');
SQL
changes(2);
$node->kill_relay('kafka');
changes(3);
$node->kill_relay('kafka');
changes(4);
$node->wait_published('kafka');
is($node->sql('SELECT count(*) FROM outbox.dead_letter'), '0', 'no dead letters');
is($node->sql('SELECT count(*) FROM outbox.blocked_route'), '0', 'the registry refuses nothing, with FULL on the old subjects');

sub messages { return $kafka->consume($_[0], registry => $registry) }

for my $topic (qw(parts boxes))
{
	my $old = messages("t200.$topic");
	my $new = messages("t200.$topic.v2");
	my @versions = map { { map { $_->{headers}{ce_id} => 1 } @$_ } } $old, $new;
	# what was captured: the change that each event tells of, whichever version tells it
	my %change = map { split / / } split /,/, $node->sql("SELECT string_agg(e.id::text || ' ' || coalesce(e.headers ->> 'changeid', e.id::text), ',')
		FROM outbox.event e JOIN outbox.event_schema s ON s.id = e.schema_id WHERE s.topic IN ('t200.$topic', 't200.$topic.v2')");
	my %new_tells = map { $change{$_} => 1 } keys %{ $versions[1] };
	my ($lost, $doubled, $places) = (0, 0, 0);

	is(scalar(keys %{ $versions[0] }) + scalar(keys %{ $versions[1] }), scalar keys %change, "$topic: all events of both versions are there");
	cmp_ok(scalar(grep { $change{$_} ne $_ } keys %{ $versions[1] }), '>', 100, "$topic: events of both versions are paired");
	is(scalar(grep { ($_->{headers}{ce_changeid} // $_->{headers}{ce_id}) ne $change{ $_->{headers}{ce_id} } } @$new), 0, "$topic: by the header ce_changeid");
	is(scalar(grep { exists $_->{headers}{ce_changeid} } @$old), 0, "$topic: which the first version does not have");
	# places after the first message of the overlap
	for my $n (0 .. 99)
	{
		my $place = $before{$topic} + 1 + int($n * (@$old - $before{$topic} - 1) / 99);
		my %told = map { $old->[$_]{headers}{ce_id} => 1 } 0 .. $place - 1;
		my %read;

		for my $headers (map { $_->{headers} } @$new)
		{
			next if $read{ $headers->{ce_id} }++; # the relay was killed: a repetition
			next if defined $headers->{ce_changeid} && $told{ $headers->{ce_changeid} };
			$told{ $headers->{ce_changeid} // $headers->{ce_id} }++;
		}
		$places++;
		# after the place, what the first version alone tells of is not in the new topic by intent
		$lost += grep { $new_tells{$_} && !$told{$_} } values %change;
		$doubled += grep { $_ > 1 } values %told;
	}
	is("$places $lost $doubled", '100 0 0', "$topic: at each of 100 places nothing is lost and nothing is doubled");
}
is(scalar(grep { ($_->{headers}{ce_sunset} // '') ne '2999-01-01T00:00:00Z' } splice @{ messages('t200.parts') }, $before{parts}), 0,
	'every message of the old version says when it ends');
$node->stop;
done_testing();
