# Where a stream begins and where it stops, to the event: a sink that starts now while transactions are open, its own
# included; and a message that never leaves, behind which nothing leaves either.
use strict;
use warnings;

use IPC::Run ();
use OutboxBroker;
use OutboxCluster;
use OutboxFault;
use Test::More;

my $node = OutboxCluster->create('edges', conf => "outbox.sink_libraries = 'outbox_fault, outbox_kafka'\n");
my $fault = OutboxFault->new($node, 'fault');

# ---- start_at now ----
my $open = $node->background_psql('postgres');
my $session = $node->background_psql('postgres');
$fault->append('ended', 1);
$open->query_safe("BEGIN; SELECT append(1, 't', 'open', 1, 100)");
$session->query_safe("BEGIN; SELECT append(1, 't', 'own', 1, 100)");
# one that begins later and ends sooner: the creating transaction is older than its own snapshot's end
$fault->append('ended', 1);
$session->query_safe(<<"SQL");
SELECT outbox.create_sink('late', library => 'outbox_fault', start_at => 'now', options => '{"file": "$fault->{file}.late"}');
SELECT outbox.start_relay('late');
SELECT append(1, 't', 'own', 1, 100);
COMMIT;
SQL
$open->query_safe('COMMIT');
$fault->append('after', 1);
$node->poll_until("SELECT acked >= 4 FROM outbox_internal.relay_report() WHERE sink = 'late'");
my @keys = sort map { (split /\t/)[2] } split /\n/, PostgreSQL::Test::Utils::slurp_file("$fault->{file}.late");
is("@keys", 'after open own own', 'a sink that starts now gets what was open, also of the transaction that created it');
$_->quit for $open, $session;

# ---- a message that the sink itself refuses, on_reject = stop ----
my $broker = OutboxBroker->mock;
$node->sql("BEGIN; SELECT append(1, 't', 'k', 2, 100), append(1, 't', 'k', 1, 50000), append(1, 't', 'k', 300, 100); COMMIT");
my $seq = $node->sql("SELECT seq FROM outbox.event WHERE octet_length(payload) >= 50000");
$node->create_sink('kafka', $broker, { on_reject => 'stop' }, 'message.max.bytes' => 20000);
$node->poll_until("SELECT state = 'blocked' FROM outbox_internal.relay_report() WHERE sink = 'kafka'");
my $published = $node->sql("SELECT acked FROM outbox_internal.relay_report() WHERE sink = 'kafka'");
is($published, $node->sql("SELECT count(*) FROM outbox.event WHERE seq < $seq"), 'everything in front of it is published');
my $counted = IPC::Run::run([ 'build/venv/bin/python', '-c', <<'PYTHON', $broker->address ], '>', \my $messages);
import sys
sys.path.insert(0, "tools")
import consume
print(sum(1 for m in consume.read_messages(sys.argv[1], ["test.topic"])), end="")
PYTHON
ok($counted, 'the topic can be read');
is($messages, $published, 'nothing behind it overtook it');

done_testing();
