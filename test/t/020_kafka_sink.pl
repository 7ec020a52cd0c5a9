# The Kafka sink against a real Kafka and a real schema registry, without a relay: what it writes, what
# it makes of refusals, and that no message overtakes another one of its partition, whatever fails.
use strict;
use warnings;

use IPC::Run ();
use JSON::PP ();
use Test::More;

use OutboxBroker;
use OutboxCluster;

# No fields: the payload is empty. A reader of the other schema misses a value.
my $SCHEMA = '{"type":"record","name":"Driven","namespace":"test","fields":[]}';
my $OTHER = '{"type":"record","name":"Driven","namespace":"test","fields":[{"name":"a","type":"string"}]}';

my $kafka = OutboxBroker->kafka;
my $registry = OutboxBroker->registry;
my $node = OutboxCluster->create('kafka_sink', preload => 0, extension => 0);
$node->sql('CREATE EXTENSION sink_driver');

# Sends n messages through the sink; named arguments are those of publish_n; returns what it says.
sub publish
{
	my ($topic, $n, $options, %args) = @_;
	my %all = ('bootstrap.servers' => $kafka->address, headers => 'minimal', %$options);
	my $json = JSON::PP->new->canonical->encode(\%all);
	my $bytes = delete($args{payload_bytes}) // 140;
	my $more = join '', map { ", $_ => '$args{$_}'" } sort keys %args;

	return JSON::PP::decode_json($node->sql("SELECT publish_n('outbox_kafka', '$json', '$topic', $n, $bytes$more)"));
}

# Runs Python with the independent client; $admin and the address are there.
sub python
{
	my ($code) = @_;
	my ($out, $err) = ('', '');
	my $script = <<"PYTHON" . $code;
import sys
from confluent_kafka.admin import AdminClient, NewTopic
sys.path.insert(0, "tools")
import consume
address = "@{[ $kafka->address ]}"
admin = AdminClient({"bootstrap.servers": address})
def create(name, **config):
    config = {k.replace("_", "."): v for k, v in config.items()}
    admin.create_topics([NewTopic(name, 4, 1, config=config)])[name].result()
PYTHON

	IPC::Run::run([ 'build/venv/bin/python', '-c', $script ], '<', \undef, '>', \$out, '2>', \$err) or die "python failed: $err";
	chomp $out;
	return $out;
}

# (messages, different ones, first copies that came behind a later one of their partition)
sub order_of
{
	my ($topic) = @_;
	return split ' ', python(<<"PYTHON");
seen, last, late, n = set(), {}, 0, 0
for m in consume.read_messages(address, ["$topic"], timeout=120):
    identity = dict(m.headers())["ce_id"].decode().replace("-", "")
    index = int.from_bytes(bytes.fromhex(identity)[:8], "little")
    n += 1
    if index not in seen:
        late += index < last.get(m.partition(), -1)
        last[m.partition()] = max(index, last.get(m.partition(), -1))
    seen.add(index)
print(n, len(seen), late)
PYTHON
}

# ---- what is written ----
my %url = ('schema.registry.url' => $registry->address);
my $said = publish('sink.headers', 3, { %url, headers => 'cloudevents', source => '/shop' },
	payload_bytes => 0, schema => $SCHEMA, tombstone_at => 1);
is($said->{ok}, 3, 'messages are acknowledged');
ok($said->{registered_id} > 0, 'the id that the registry assigned is reported');
my $messages = [ sort { $a->{key} <=> $b->{key} } @{ $kafka->consume('sink.headers', registry => $registry->address) } ];
is_deeply($messages->[0]{headers},
	{
		ce_specversion => '1.0', ce_id => '00000000-0000-0000-0000-000000000000', ce_source => '/shop',
		ce_type => 'test.driven.driven', ce_subject => '0', ce_partitionkey => '0', ce_time => '2000-01-01T00:00:00.000000Z',
		ce_dataschema => $registry->address . "/schemas/ids/$said->{registered_id}",
		ce_sequence => '0000000001-0000000000000000000', 'content-type' => 'application/avro'
	},
	'headers are those of CloudEvents');
is($messages->[0]{schema_id}, $said->{registered_id}, 'the payload is framed with the registered id');
ok(!defined $messages->[1]{value} && !defined $messages->[1]{schema_id}, 'a tombstone has no value at all');
is(join(' ', map { scalar keys %{ $_->{headers} } } @$messages), '10 10 10', 'a tombstone has the same headers');

publish('sink.minimal', 1, {});
is(python(<<'PYTHON'), 'ce_id,ce_type,content-type c3 01 efcdab8967452301', 'minimal headers; single-object encoding without a registry');
m = next(consume.read_messages(address, ["sink.minimal"]))
v = m.value()
print(",".join(sorted(k for k, _ in m.headers())), v[:1].hex(), v[1:2].hex(), v[2:10].hex())
PYTHON
publish('sink.none', 1, { headers => 'none' });
is(python('print(next(consume.read_messages(address, ["sink.none"])).headers())'), 'None', 'no headers when none are wanted');

# ---- partitions ----
publish('sink.partitions', 500, {});
$kafka->produce_with_java('sink.java', 0 .. 499);
is(python(<<'PYTHON'), '500 keys in 4 partitions: 0 elsewhere', 'a key is in the partition where a Java application looks for it');
ours, java = ({m.key(): m.partition() for m in consume.read_messages(address, [t], count=500)} for t in ("sink.partitions", "sink.java"))
print(len(java), "keys in", len(set(java.values())), "partitions:", sum(ours[k] != p for k, p in java.items()), "elsewhere")
PYTHON

# ---- the registry ----
publish('sink.registry', 1, \%url, schema => $SCHEMA);
is(python(<<"PYTHON"), 'sink.registry-test.Driven', 'subjects are named after topic and record');
import json, urllib.request
names = json.load(urllib.request.urlopen("@{[ $registry->address ]}/subjects"))
print(" ".join(n for n in names if n.startswith("sink.registry")))
PYTHON
publish('sink.registry', 1, { %url, 'subject.strategy' => 'TopicName' }, schema => $SCHEMA);
publish('sink.registry', 1, { %url, 'subject.strategy' => 'RecordName' }, schema => $SCHEMA);
is(python(<<"PYTHON"), 'sink.registry-test.Driven sink.registry-value test.Driven', 'or after the topic, or the record');
import json, urllib.request
names = json.load(urllib.request.urlopen("@{[ $registry->address ]}/subjects"))
print(" ".join(sorted(n for n in names if n.startswith("sink.registry") or n == "test.Driven")))
request = urllib.request.Request("@{[ $registry->address ]}/config/sink.registry-test.Driven", method="PUT",
    data=b'{"compatibility":"BACKWARD"}', headers={"Content-Type": "application/json"})
urllib.request.urlopen(request).read()
PYTHON
$said = publish('sink.registry', 3, \%url, schema => $OTHER);
is("$said->{blocked} $said->{rejected} $said->{attempts}", '3 0 1', 'messages of an incompatible schema are blocked, not rejected');
like($said->{detail}, qr/^the schema registry refuses test\.Driven under subject "sink\.registry-test\.Driven" \(HTTP status 409\): \S/,
	'with the words of the registry');

$said = publish('sink.registry', 3, { 'schema.registry.url' => 'http://127.0.0.1:9' }, schema => $SCHEMA, max_seconds => 1);
is("$said->{ok} $said->{rejected} $said->{blocked} $said->{attempts}", '0 0 3 1', 'nothing is rejected while the registry is down');
like($said->{detail}, qr{^could not register a schema at http://127\.0\.0\.1:9: }, 'and it is said what the trouble is');
$said = publish('sink.registry', 3, { 'schema.registry.url' => 'http://' . $kafka->address }, schema => $SCHEMA, max_seconds => 1);
is("$said->{ok} $said->{rejected} $said->{blocked}", '0 0 3', 'nor when something else answers');

# ---- refused records ----
$said = publish('sink.minimal', 300, {}, large_at => 100, large_bytes => 2_000_000);
is("$said->{ok} $said->{rejected} $said->{attempts}", '299 1 1', 'a message above message.max.bytes is rejected alone');
like($said->{detail}, qr/message\.max\.bytes/, 'and named');

python('create("sink.small", max_message_bytes="20000")');
$said = publish('sink.small', 50_000, { 'compression.codec' => 'none' }, large_at => 25_000, large_bytes => 30_000);
is("$said->{ok} $said->{rejected}", '49999 1', 'of batches that are too large only the record that is too large is rejected');
is_deeply([ (order_of('sink.small'))[ 1, 2 ] ], [ 49_999, 0 ], 'nothing overtook it or is missing');

python('create("sink.compacted", cleanup_policy="compact")');
$said = publish('sink.compacted', 20_000, {}, keyless_at => 10_000);
is("$said->{ok} $said->{rejected}", '19999 1', 'of a refused batch only the refused record is rejected');
like($said->{detail}, qr/failed to validate record/i, 'with the words of the broker');
is_deeply([ (order_of('sink.compacted'))[ 1, 2 ] ], [ 19_999, 0 ], 'nothing overtook it or is missing');

# ---- a broker that dies while a backlog is drained ----
python('create("sink.outage")');
my ($out, $err) = ('', '');
my $run = IPC::Run::start(
	[ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c',
		"SELECT publish_n('outbox_kafka', '{\"bootstrap.servers\": \"@{[ $kafka->address ]}\", \"headers\": \"minimal\"}', 'sink.outage', 1000000, 140, max_seconds => 120)" ],
	'<', \undef, '>', \$out, '2>', \$err);
python(<<'PYTHON');
import time
deadline = time.monotonic() + 60
from confluent_kafka import Consumer, TopicPartition
c = Consumer({"bootstrap.servers": address, "group.id": "outage"})
while sum(c.get_watermark_offsets(TopicPartition("sink.outage", p))[1] for p in range(4)) < 50000 and time.monotonic() < deadline:
    c.poll(0.01)
PYTHON
$kafka->stop(kill => 1);
$kafka->start;
$run->finish;
is($err, '', 'a drain through the death of the broker ends well');
$said = JSON::PP::decode_json($out);
is("$said->{ok} $said->{rejected}", '1000000 0', 'and everything is acknowledged');
is_deeply([ (order_of('sink.outage'))[ 1, 2 ] ], [ 1_000_000, 0 ], 'in order');

done_testing();
