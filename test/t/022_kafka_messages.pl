# What a consumer reads of events that something special happened to: trace context, correlation, causation, and the
# marks superseded, redriven and replay; each header only where it belongs.
use strict;
use warnings;

use OutboxCluster;
use Test::More;

my $node   = OutboxCluster->create('messages');
my $broker = OutboxBroker->mock;

$node->sql(<<'SQL');
CREATE TABLE t (id int PRIMARY KEY, v text, n int NOT NULL DEFAULT 1);
CREATE VIEW t_v AS SELECT id, v, 100 / n AS share FROM t;
SELECT outbox.create_contract('t', view => 't_v', source => 't', key => '{id}');
SELECT outbox.create_event_type('TCreated', contract => 't', emit => 'created', topic => 'messages');
SELECT outbox.create_event_type('TChanged', contract => 't', emit => 'changed', topic => 'messages');
SELECT outbox.enable('t');
-- a legacy trigger that changes another row of the statement before that one is captured
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF NEW.v = 'touches' THEN UPDATE t SET v = 'touched' WHERE id = NEW.id + 1; END IF;
	RETURN NULL;
END $$;
CREATE TRIGGER "aaa" AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION touch();
SQL
$node->create_sink('kafka', $broker, source => '/shop/legacy');

my $comment = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
my $setting = '00-bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-2222222222222222-00';
$node->sql(<<"SQL");
INSERT INTO t VALUES (1, 'plain');
INSERT INTO t VALUES (2, 'comment') /*traceparent='$comment'*/;
BEGIN;
SET LOCAL outbox.traceparent = '$setting';
SET LOCAL outbox.correlation_id = 'order-7';
SET LOCAL outbox.causation_id = 'command-9';
INSERT INTO t VALUES (3, 'settings');
COMMIT;
INSERT INTO t VALUES (4, 'touches'), (5, 'will be');
INSERT INTO t VALUES (6, 'bad', 0);
ALTER TABLE t DISABLE TRIGGER USER;
UPDATE t SET n = 1 WHERE id = 6;
ALTER TABLE t ENABLE TRIGGER USER;
SELECT outbox.redrive(contract => 't');
SQL
$node->wait_published('kafka');
$node->poll_until("SELECT state FROM outbox.replays WHERE request = " . $node->sql("SELECT request FROM outbox.replay('kafka', message_key => '3', rate => 0)"), 'done');

my $messages = $node->consume($broker, 'messages');
my %always = map { $_ => 1 }
	qw(ce_specversion ce_id ce_source ce_type ce_subject ce_partitionkey ce_time ce_dataschema ce_sequence content-type);

# The headers that only some messages have, in words; by key, in the order of the partition.
sub special
{
	my ($key) = @_;
	my @all;

	for my $message (grep { $_->{key} eq $key } @$messages)
	{
		my $headers = $message->{headers};
		my @some = map { "$_=$headers->{$_}" } grep { !$always{$_} } sort keys %$headers;

		push @all, "$message->{value}{v}: @some";
	}
	return \@all;
}

is_deeply(special(1), ['plain: '], 'nothing special, no special header');
is_deeply(special(2), ["comment: ce_traceparent=$comment"], 'the trace context of a comment');
is_deeply(special(3),
	[ "settings: ce_causationid=command-9 ce_correlationid=order-7 ce_traceparent=$setting",
		"settings: ce_causationid=command-9 ce_correlationid=order-7 ce_replay=true ce_traceparent=$setting" ],
	'trace context, correlation and causation of the settings; a replay is marked, and the same otherwise');
is_deeply(special(4), ['touches: '], 'a row that makes trouble for others');
is_deeply([ sort @{ special(5) } ], [ 'touched: ', 'will be: ce_superseded=true' ], 'a row that its own statement has superseded');
is_deeply(special(6), ['bad: ce_redriven=true'], 'a dead letter that was redriven');

# ---- what all of them have ----
my %rows = map { my @f = split /\|/; $f[0] => \@f }
	split /\n/, $node->sql(<<'SQL');
SELECT id, type, aggregateid, to_char(occurred_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
	lpad((pg_control_checkpoint()).timeline_id::text, 10, '0') || '-' || lpad(seq::text, 19, '0')
FROM outbox.event
SQL
my (%got, %expected);
for my $message (@$messages)
{
	my $headers = $message->{headers};
	my ($id, $type, $key, $time, $sequence) = @{ $rows{ $headers->{ce_id} } };
	my $place = "$message->{partition}/$message->{offset}";

	$got{$place} = { map { $_ => $headers->{$_} } grep { $always{$_} } keys %$headers };
	$expected{$place} = {
		ce_specversion => '1.0', ce_id => $id, ce_source => '/shop/legacy', ce_type => 'postgres.t.' . lc $type,
		ce_subject => $key, ce_partitionkey => $key, ce_time => $time, ce_sequence => $sequence,
		# the reader has computed the fingerprint of the schema in the catalog by itself
		ce_dataschema => "urn:avro:crc64:$message->{schema_id}", 'content-type' => 'application/avro' };
}
is(scalar(@$messages), 8, 'messages');
is_deeply(\%got, \%expected, 'the headers that all messages have say what the outbox knows');

$node->stop;
done_testing();
