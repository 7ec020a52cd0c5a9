# A deleted row on a compacted topic: the event, the event and a null value behind it, or the null value alone;
# with the event's key, and each counted once.
use strict;
use warnings;

use JSON::PP ();

use OutboxCluster;
use Test::More;

my $node   = OutboxCluster->create('tombstones');
my $broker = OutboxBroker->mock;

$node->sql(<<'SQL');
CREATE TABLE t (id int PRIMARY KEY, v text);
CREATE VIEW t_v AS SELECT id, v FROM t;
SELECT outbox.create_contract('t', view => 't_v', source => 't', key => '{id}');
SELECT outbox.create_event_type('TDeletedNone', contract => 't', emit => 'deleted', topic => 'none');
SELECT outbox.create_event_type('TDeletedAfter', contract => 't', emit => 'deleted', topic => 'after', tombstone => 'after');
SELECT outbox.create_event_type('TDeletedInstead', contract => 't', emit => 'deleted', topic => 'instead', tombstone => 'instead');
SELECT outbox.create_event_type('TCreated', contract => 't', emit => 'created', topic => 'after');
SELECT outbox.enable('t');
SQL
$node->create_sink('kafka', $broker);
$node->sql("INSERT INTO t VALUES (1, 'one'), (2, 'two')");
$node->sql('DELETE FROM t');
$node->sql("INSERT INTO t VALUES (1, 'again')");
$node->wait_published('kafka');

# type and payload of every message of a key, in the order of its partition
sub messages
{
	my ($topic, $key) = @_;
	return [
		map { [ $_->{headers}{ce_type} =~ s/.*\.//r, defined $_->{value} ? $_->{value}{v} : undef ] }
		grep { $_->{key} eq $key } @{ $node->consume($broker, $topic) }
	];
}

is_deeply(messages('none', 1), [ [ 'tdeletednone', 'one' ] ], 'none: the event alone');
is_deeply(
	messages('after', 1),
	[ [ 'tcreated', 'one' ], [ 'tdeletedafter', 'one' ], [ 'tdeletedafter', undef ], [ 'tcreated', 'again' ] ],
	'after: the event, then a null value with its key, and a later event behind them');
is_deeply(messages('instead', 2), [ [ 'tdeletedinstead', undef ] ], 'instead: the null value alone');

# what preview() showed before anything was published
my $preview = $node->sql("SELECT headers FROM outbox.preview('t', event_type => 'TCreated')");
my ($message) = grep { $_->{key} eq 1 } @{ $node->consume($broker, 'after') };
my $shown = JSON::PP::decode_json($preview);
is_deeply({ map { $_ => $message->{headers}{$_} } keys %$shown }, $shown, "preview shows headers that messages have: $preview");
is(join(' ', sort keys %$shown), 'ce_partitionkey ce_specversion ce_subject ce_type content-type', 'all that the row decides');

is($node->sql("SELECT published = (SELECT count(*) FROM outbox.event), pending FROM outbox.status WHERE kind = 'sink'"),
	't|0', 'every event counts once, with or without a tombstone');

done_testing();
