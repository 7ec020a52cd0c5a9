# A thousand topics of one sink, from a thousand tables: everything arrives, and a broker that is away for a moment changes nothing.
use strict;
use warnings;

use IPC::Run ();
use Test::More;
use Time::HiRes ();

use OutboxBroker;
use OutboxCluster;

my $N = $ENV{TOPICS} || 1000;
my $kafka = OutboxBroker->kafka;
my $node = OutboxCluster->create('topics', conf => "max_locks_per_transaction = 256\nshared_buffers = 128MB\n");

my ($out, $err) = ('', '');
IPC::Run::run([ 'build/venv/bin/python', '-c', <<"PYTHON" ], '<', \undef, '>', \$out, '2>', \$err) or die "python failed: $err";
from confluent_kafka.admin import *
admin = AdminClient({"bootstrap.servers": "@{[ $kafka->address ]}"})
for start in range(1, $N + 1, 100):
    [f.result(120) for f in admin.create_topics([NewTopic(f"thousand.t{i}", 1, 1) for i in range(start, min(start + 100, $N + 1))]).values()]
PYTHON

my $start = Time::HiRes::time();
$node->sql(<<"SQL");
DO \$\$
BEGIN
	FOR i IN 1 .. $N LOOP
		EXECUTE format('CREATE TABLE t%s (id integer PRIMARY KEY, version integer NOT NULL); CREATE VIEW t%1\$s_v AS SELECT id, version FROM t%1\$s', i);
		PERFORM outbox.create_contract('t' || i, view => 't' || i || '_v', source => 't' || i, key => '{id}', required => '{id,version}');
		PERFORM outbox.create_event_type('t' || i || 'Always', contract => 't' || i, emit => 'always', topic => 'thousand.t' || i);
		PERFORM outbox.enable('t' || i);
		COMMIT;
	END LOOP;
END\$\$
SQL
note(sprintf '%d contracts in %.0f s', $N, Time::HiRes::time() - $start);
$node->create_sink('kafka', $kafka);

sub change
{
	$node->sql("DO \$\$ BEGIN FOR i IN 1 .. $N LOOP EXECUTE format('INSERT INTO t%s VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET version = t%1\$s.version + 1', i); COMMIT; END LOOP; END\$\$");
	my $written = Time::HiRes::time();
	$node->poll_until("SELECT pending = 0 AND NOT EXISTS (SELECT FROM outbox.held_event) FROM outbox.status WHERE kind = 'sink'", 't', timeout => 120);
	note(sprintf 'published %.1f s after the last commit', Time::HiRes::time() - $written);
	return;
}

change() for 1 .. 3;
$kafka->stop(kill => 1);
$node->poll_until("SELECT state = 'backoff' FROM outbox.status WHERE kind = 'sink'");
$kafka->start;
change() for 1 .. 3;

my (%versions, %seen);
for my $message (@{ $node->consume($kafka, [ map { "thousand.t$_" } 1 .. $N ], timeout => 120) })
{
	push @{ $versions{ $message->{topic} } }, $message->{value}{version} unless $seen{ $message->{headers}{ce_id} }++;
}
is(scalar(grep { "@$_" eq '1 2 3 4 5 6' } values %versions), $N, 'every event of every topic is there, in order');
is($node->sql('SELECT count(*) FROM outbox.dead_letter'), 0, 'and nothing is a dead letter');

$node->stop;
done_testing();
