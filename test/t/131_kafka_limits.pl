# Where the Kafka sink stops relying on what a broker knows of its producer: ten seconds without an acknowledgement, an hour
# without an answer (the clock is put forward), and a topic that is made anew with more partitions.
use strict;
use warnings;

use IPC::Run ();
use Test::More;

use PostgreSQL::Test::Utils ();
use OutboxBroker;
use OutboxCluster;

my $N = 30;
my $kafka = OutboxBroker->kafka_behind_proxy;
my $node = OutboxCluster->create('kafka_limits', start => 0);
my $behind = $node->basedir . '/behind';

{
	chomp(my $pkglibdir = qx(pg_config --pkglibdir));
	local $ENV{CLOCK_SHIFT} = $behind;
	local $ENV{LD_PRELOAD} = "$pkglibdir/clock_shift.so";
	$node->start;
}
$node->sql('CREATE EXTENSION outbox_ext');

my $ahead = 0;

sub put_clock_forward
{
	my ($seconds) = @_;
	$ahead += $seconds;
	PostgreSQL::Test::Utils::append_to_file("$behind.new", "-$ahead");
	rename "$behind.new", $behind or die "could not rename: $!";
	$node->poll_until("SELECT clock_timestamp() >= to_timestamp(" . (time + $ahead - 1) . ')');
	return;
}

# Deleting is finished in the background, and times that are an hour ahead are taken.
sub python
{
	my ($code) = @_;
	return $kafka->admin(<<'PYTHON' . $code);
import time
from confluent_kafka import KafkaException
def create_again(name, partitions):
    deadline = time.monotonic() + 60
    while True:
        try:
            return create(name, partitions, message_timestamp_after_max_ms="9223372036854775807")
        except KafkaException:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
PYTHON
}

sub contract
{
	my ($name, $partitions, @options) = @_;
	python("create_again('limits.$name', $partitions)");
	$node->versioned_table($name, "limits.$name");
	$node->sql(<<"SQL");
SELECT outbox.create_sink('$name', library => 'outbox_kafka', start_at => 'now',
	options => '{"bootstrap.servers": "${\ $kafka->proxied }", "batch.num.messages": 10, "topic.metadata.refresh.interval.ms": 300}');
SELECT outbox.start_relay('$name');
SQL
	return;
}

sub change
{
	my ($name, $n) = @_;
	$node->sql("DO \$\$ BEGIN FOR i IN 1 .. $n LOOP UPDATE $name SET version = version + 1; END LOOP; END \$\$");
	return;
}

sub published
{
	my ($name) = @_;
	$node->poll_until("SELECT pending = 0 FROM outbox.status WHERE kind = 'sink' AND name = '$name'");
	return;
}

# Refuses the next batch for the topic once, for a moment, and tells which batch reached the broker while it was being refused.
sub next_after_refusal
{
	my ($name) = @_;
	my %known = map { ("$_->{producer} $_->{epoch} $_->{sequence}" => 1) } $kafka->batches("limits.$name");
	my $before = () = $kafka->batches("limits.$name");

	$kafka->rules({ code => 6, topic => "limits.$name", batch => 1 + keys %known, delay => 5 });
	change($name, 1);
	my $deadline = time + 30;
	while ($kafka->batches("limits.$name") == $before)
	{
		die 'nothing is sent' if time > $deadline;
		select(undef, undef, undef, 0.02);
	}
	change($name, $N);
	published($name);
	my @batches = ($kafka->batches("limits.$name"))[ $before .. $before + 1 ];
	is($batches[0]{code}, 6, 'the first batch is refused');
	return $batches[1]{sequence} == $batches[0]{sequence} ? 'itself' : 'another one';
}

# ---- ten seconds ----
contract('trust', 1);
$node->sql('INSERT INTO trust VALUES (1, 1)');
published('trust');
is(next_after_refusal('trust'), 'another one', 'after an acknowledgement several batches are under way');
put_clock_forward(11);
is(next_after_refusal('trust'), 'itself', 'after ten seconds without one there is one message again');
my %seen;
is(join(' ', map { $_->{value}{version} } grep { !$seen{ $_->{headers}{ce_id} }++ } @{ $node->consume($kafka, 'limits.trust') }),
	join(' ', 1 .. 2 * $N + 3), 'and everything is there, in order');
$node->sql("SELECT outbox.stop_relay('trust')");

# ---- an hour ----
contract('hour', 1);
$node->sql('INSERT INTO hour VALUES (1, 1)');
published('hour');
# an answer that does not come within the test, and those behind it wait for it
$kafka->rules({ code => 6, topic => 'limits.hour', batch => 2, delay => 600 });
change('hour', $N);
$node->poll_until("SELECT in_flight > 1 FROM outbox.relay_status WHERE sink = 'hour'");
my $log = -s $node->logfile;
put_clock_forward(3700);
my $hint = "The relay tries again by itself; if this goes on, see the broker's log.";
$node->wait_for_log(qr/no acknowledgement for so long that the broker may have forgotten the producer.*?HINT:  \Q$hint\E/s, $log);
pass('after an hour without an answer another producer begins');
published('hour');
is($node->sql("SELECT retries FROM outbox.relay_status WHERE sink = 'hour'"), 1, 'in one more attempt');
is(join(' ', map { $_->{value}{version} } grep { !$seen{ $_->{headers}{ce_id} }++ } @{ $node->consume($kafka, 'limits.hour') }),
	join(' ', 1 .. $N + 1), 'and everything is there, in order');
$node->sql("SELECT outbox.stop_relay('hour')");
$kafka->rules();

# ---- a topic made anew with more partitions, between two events and while events are published ----
contract('again', 2);
$node->sql('INSERT INTO again SELECT g, 1 FROM generate_series(1, 40) g');
published('again');

# Where the events of the topic are: key => [ partition, ... ], and whether each key's first copies are in order
sub places
{
	my (%partitions, %last, $disorder);
	for my $message (@{ $node->consume($kafka, 'limits.again') })
	{
		my ($key, $version) = ($message->{key}, $message->{value}{version});
		next if $seen{ $message->{headers}{ce_id} }++;
		$partitions{$key}{ $message->{partition} } = 1;
		$disorder++ if $version <= ($last{"$key $message->{partition}"} // 0);
		$last{"$key $message->{partition}"} = $version;
		$last{$key} = $version if $version > ($last{$key} // 0);
	}
	return { disorder => $disorder // 0, keys => \%partitions, newest => { map { $_ => $last{$_} } keys %partitions } };
}

my $two = places();
python(<<'PYTHON');
[f.result(60) for f in admin.delete_topics(["limits.again"]).values()]
create_again("limits.again", 6)
PYTHON
my $rounds = 0;
my $six;
do
{
	die 'new partitions are not used' if ++$rounds > 100;
	change('again', 2);
	published('again');
	my %used;
	$six = places();
	$used{$_} = 1 for map { keys %$_ } values %{ $six->{keys} };
	$six->{used} = keys %used;
} while ($six->{used} <= 2);
# a last change of each key, of which every event is in the partition that follows from six
%seen = ();
my $newest = $node->sql('SELECT max(version) FROM again');
change('again', 3);
published('again');
my $all = places();
is($all->{disorder}, 0, 'every partition is in order in a topic that was made anew with more partitions');
is(scalar(grep { $_ == $newest + 3 } values %{ $all->{newest} }), 40, 'and has the newest event of every key');
my %of_six;
for my $message (grep { $_->{value}{version} > $newest } @{ $node->consume($kafka, 'limits.again') })
{
	$of_six{ $message->{key} }{ $message->{partition} } = 1;
}
is(scalar(grep { keys %$_ == 1 } values %of_six), 40, 'then the events of a key are in one partition');
cmp_ok(scalar(keys %{ { map { %$_ } values %of_six } }), '>', 3, 'of all of them');
is($node->sql('SELECT count(*) FROM outbox.dead_letter'), 0, 'and nothing is a dead letter');

$node->stop;
$kafka->stop;
done_testing();
