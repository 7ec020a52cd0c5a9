# Headers that a contract asks for are in its messages: by the columns' names, whatever the sink leaves out, and in every copy.
use strict;
use warnings;

use OutboxCluster;
use Test::More;

my $node = OutboxCluster->create('headers');
my $broker = OutboxBroker->mock;

$node->sql(<<'SQL');
CREATE TABLE doc (id int PRIMARY KEY, tenant text, b boolean);
CREATE VIEW doc_v AS SELECT id, tenant AS tenant_id, b FROM doc;
SELECT outbox.create_contract('doc', view => 'doc_v', source => 'doc', key => '{id}');
SELECT outbox.create_event_type('DocAdded', contract => 'doc', emit => 'created', headers => '{tenant_id,b}');
SELECT outbox.create_event_type('DocGone', contract => 'doc', emit => 'deleted', headers => '{tenant_id}', actor => true, tombstone => 'after');
SELECT outbox.create_event_type('DocSeen', contract => 'doc', emit => 'created');
SELECT outbox.enable('doc');
SQL
$node->create_sink($_, $broker, {}, 'topic.prefix' => "$_.", headers => $_) foreach qw(cloudevents minimal none);
$node->sql("BEGIN; SET LOCAL outbox.correlation_id = 'c-1'; INSERT INTO doc VALUES (1, 'Käthe', true), (2, NULL, false); COMMIT");
$node->sql("SET outbox.actor = 'alice'; DELETE FROM doc WHERE id = 1");
$node->wait_published($_) foreach qw(cloudevents minimal none);

# Of each message of a sink: its key, whether it is a null value, and its headers that have a name among these.
sub messages
{
	my ($sink, @names) = @_;
	return [ map { my $m = $_; join ' ', $m->{key}, defined $m->{value} ? () : 'null', map { exists $m->{headers}{$_} ? "$_=$m->{headers}{$_}" : () } @names }
		sort { $a->{key} <=> $b->{key} || $a->{offset} <=> $b->{offset} } @{ $node->consume($broker, "$sink.doc") } ];
}

my @expected = ('1 tenant_id=Käthe b=true', '1', '1 tenant_id=Käthe', '1 null tenant_id=Käthe', '2 b=false', '2');
utf8::decode($_) foreach @expected;
foreach my $sink (qw(cloudevents minimal none))
{
	is_deeply(messages($sink, qw(tenant_id b)), \@expected, "headers => $sink: the values of the row, NULL is none, a null value has those of its row")
		or diag(explain(messages($sink, qw(tenant_id b))));
}
is_deeply(messages('cloudevents', qw(tenant_id ce_correlationid ce_actor)), [ map { my $m = $_; utf8::decode($m); $m } '1 tenant_id=Käthe ce_correlationid=c-1', '1 ce_correlationid=c-1', '1 tenant_id=Käthe ce_actor=alice', '1 null tenant_id=Käthe ce_actor=alice',
	'2 ce_correlationid=c-1', '2 ce_correlationid=c-1' ], 'beside the ids of the transaction, which keep their names');
ok(!grep { exists $_->{headers}{ce_tenant_id} || exists $_->{headers}{ce_headers} } @{ $node->consume($broker, 'cloudevents.doc') }) or diag('under another name, too');

$node->sql("SELECT outbox.replay('none', event_type => 'DocGone', topic => 'again')");
$node->poll_until("SELECT bool_and(state = 'done') FROM outbox.replays");
is_deeply([ map { join ' ', defined $_->{value} ? 'value' : 'null', sort keys %{ $_->{headers} } } @{ $node->consume($broker, 'none.again') } ],
	[ 'value ce_replay tenant_id', 'null ce_replay tenant_id' ], 'a replayed event has the headers that it had');

done_testing();
