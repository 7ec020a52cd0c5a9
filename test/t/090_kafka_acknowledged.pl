# What the Kafka sink reports as acknowledged is in the topic, in order, whichever batch of a partition the broker fails
# and with whichever error; judged by an independent reader. A proxy in front of a real Kafka fails them.
use strict;
use warnings;

use IPC::Run ();
use JSON::PP ();
use Test::More;

use OutboxBroker;
use OutboxCluster;

my $N = 60;
# The last message's id is text that the last batch alone contains.
my %WHICH = (first => 1, second => 2, third => 3, last => '3b000000-0000');
# What brokers say for a moment, and of records and topics: tried with every batch, all other codes with the first one.
my %OFTEN = map { $_ => 1 } 2, 3, 5, 6, 7, 10, 18, 19, 20, 32, 45, 56, 59, 87;
my $PARALLEL = 8;

# What the sink makes of each code of a broker: code => [ name, verdict ]
my %rule = map { /^\t\{(\d+), "(\w+)", KAFKA_(\w+),/ && $1 > 0 ? ($1 => [ $2, $3 ]) : () }
  split /\n/, PostgreSQL::Test::Utils::slurp_file('src/sinks/kafka/kafka_error.c');

my $kafka = OutboxBroker->kafka_behind_proxy;
my $node = OutboxCluster->create('kafka_acknowledged');
$node->sql('CREATE EXTENSION sink_driver');

# How many keys the messages have. Order is promised within each: where a topic goes record by record after an error, some
# keys are under way together.
my $keys = $N;

# Sends the messages through the sink, without a relay, in batches of at most ten: topics in parallel; topic => what it says.
sub publish
{
	my ($options, @topics) = @_;
	my $json = JSON::PP->new->canonical->encode({ 'bootstrap.servers' => $kafka->proxied, headers => 'minimal', 'compression.codec' => 'none',
		'batch.num.messages' => 10, %$options });
	my (%said, @running);

	while (@topics || @running)
	{
		while (@topics && @running < $PARALLEL)
		{
			my $topic = shift @topics;
			my ($out, $err) = ('', '');
			my $sql = "SELECT publish_n('outbox_kafka', '$json', '$topic', $N, 100, $keys, max_seconds => 30)";
			push @running, [ $topic, \$out, \$err, IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', $sql ], '<', \undef, '>', \$out, '2>', \$err) ];
		}
		my ($topic, $out, $err, $run) = @{ shift @running };
		$run->finish;
		$said{$topic} = $$err ? die $$err : JSON::PP::decode_json($$out);
	}
	return \%said;
}

# Runs Python with the independent client, straight at the broker; returns what it prints.
sub python
{
	my ($code) = @_;
	my ($out, $err) = ('', '');
	my $script = <<"PYTHON" . $code;
import json, sys
from confluent_kafka.admin import AdminClient, NewTopic
sys.path.insert(0, "tools")
import consume
address = "@{[ $kafka->address ]}"
PYTHON
	IPC::Run::run([ 'build/venv/bin/python', '-c', $script ], '<', \undef, '>', \$out, '2>', \$err) or die "python failed: $err";
	return $out;
}

sub create
{
	my ($partitions, @topics) = @_;
	my $list = JSON::PP::encode_json(\@topics);

	python(<<"PYTHON");
admin = AdminClient({"bootstrap.servers": address})
for f in admin.create_topics([NewTopic(t, $partitions, 1) for t in $list]).values():
    f.result(60)
PYTHON
	return;
}

# Indexes of the driver's messages in the topics, first copies, one partition after the other: topic => [ ... ].
sub arrived
{
	my (@topics) = @_;
	my $list = JSON::PP::encode_json(\@topics);

	return JSON::PP::decode_json(python(<<"PYTHON"));
found = {t: {} for t in $list}
for m in consume.read_messages(address, $list, timeout=120):
    identity = dict(m.headers())["ce_id"].decode().replace("-", "")
    found[m.topic()].setdefault(int.from_bytes(bytes.fromhex(identity)[:8], "little"))
print(json.dumps({t: list(indexes) for t, indexes in found.items()}))
PYTHON
}

# ---- each error, each batch ----
my @cases;
for my $code (sort { $a <=> $b } keys %rule)
{
	push @cases, map { [ $code, $_, "case.$code.$_" ] } $OFTEN{$code} ? sort keys %WHICH : 'first';
}
cmp_ok(scalar(@cases), '>', 100, 'the table of error codes was read');
create(1, map { $_->[2] } @cases);
$kafka->rules(map { { code => $_->[0], topic => $_->[2], batch => $WHICH{ $_->[1] }, delay => 0.05 } } @cases);
$keys = 1;
my $said = publish({}, map { $_->[2] } @cases);
$keys = $N;
my $in = arrived(map { $_->[2] } @cases);
my %answered = map { ("$_->{topic} $_->{code}" => 1) } $kafka->batches;
for my $case (@cases)
{
	my ($code, $which, $topic) = @$case;
	my ($got, $what) = ($in->{$topic}, $said->{$topic});
	# as an answer to a batch the library sends it again
	my $verdict = $rule{$code}[0] eq 'UNKNOWN_TOPIC_OR_PART' ? 'RETRY' : $rule{$code}[1];
	my @expected =
	  $verdict =~ /^(RETRY|BEHIND)$/ ? $what->{blocked} + $what->{rejected} == 0
	  : $verdict =~ /^(REJECT|TOO_BIG)$/ ? $what->{blocked} == 0 && $what->{rejected} == ($which eq 'first')
	  : $what->{blocked} > 0 && $what->{rejected} == 0;

	ok( $answered{"$topic $code"}
		  && !(grep { $got->[$_] < $got->[ $_ - 1 ] } 1 .. $#$got)
		  && @$got == $what->{ok}
		  && $what->{ok} + $what->{blocked} + $what->{rejected} == $N
		  && $expected[0],
		"$rule{$code}[0] for the $which batch is $verdict: what was acknowledged is there, in order")
	  or diag(join(' ', @$got) . ' ' . JSON::PP::encode_json($what));
}

# ---- the first ones of every partition, again and again ----
create(16, 'many');
$kafka->rules({ code => 6, topic => 'many', batch => 1, times => 3 }, { code => 19, topic => 'many', batch => 2 }, { code => 56, topic => 'many', batch => 3 });
my $result = publish({}, 'many')->{many};
is("$result->{ok} $result->{attempts}", "$N 1", 'the first batches of sixteen partitions fail three times');
is(scalar(@{ arrived('many')->{many} }), $N, 'and everything is there');

# ---- at random ----
my @random = map { "random.$_" } 1 .. 24;
create(1, @random);
$kafka->rules(map { { code => $_, topic => 'random', batch => 0, times => 0, chance => 0.08, delay => 0.02 } } 6, 7, 19, 45, 56);
$said = publish({ 'batch.num.messages' => 3 }, @random);
$in = arrived(@random);
is(join(' ', @{ $in->{$_} }), join(' ', 0 .. $N - 1), "$_: errors at random, everything is there, in order") or diag(JSON::PP::encode_json($said->{$_}))
  for @random;

# ---- through the relay ----
for my $code (6, 19, 56, 3)
{
	my $topic = "relay$code";

	create(1, $topic);
	$kafka->rules({ code => $code, topic => $topic, batch => 1, delay => 0.3 });
	$node->sql(<<"SQL");
CREATE TABLE $topic (id integer PRIMARY KEY, version integer NOT NULL);
CREATE VIEW ${topic}_v AS SELECT id, version FROM $topic;
SELECT outbox.create_contract('$topic', view => '${topic}_v', source => '$topic', key => '{id}', required => '{id,version}');
SELECT outbox.create_event_type('${topic}Changed', contract => '$topic', emit => 'changed', topic => '$topic');
SELECT outbox.enable('$topic');
SELECT outbox.create_sink('kafka$code', 'outbox_kafka', '{"bootstrap.servers": "@{[ $kafka->proxied ]}", "batch.num.messages": 10}', start_at => 'now');
INSERT INTO $topic VALUES (1, 0);
DO \$\$ BEGIN FOR i IN 1 .. $N LOOP
	UPDATE $topic SET version = i;
END LOOP; END \$\$;
SELECT outbox.start_relay('kafka$code');
SQL
	$node->poll_until("SELECT pending = 0 FROM outbox.status WHERE kind = 'sink' AND name = 'kafka$code'");
	$node->sql("SELECT outbox.stop_relay('kafka$code')");
	$node->poll_until("SELECT NOT EXISTS (SELECT FROM outbox_internal.relay_report() WHERE sink = 'kafka$code' AND pid IS NOT NULL)");
	$node->sql("SELECT outbox.drop_sink('kafka$code')");
	my %seen;
	my @versions = map { $_->{value}{version} } grep { !$seen{ $_->{headers}{ce_id} }++ } @{ $node->consume($kafka, $topic) };
	is(join(' ', @versions), join(' ', 1 .. $N), "a relay whose first batch meets error $code: every event is there, in order");
	is($node->sql('SELECT count(*) FROM outbox.dead_letter'), 0, 'and none is a dead letter');
}

$node->stop;
$kafka->stop;
done_testing();
