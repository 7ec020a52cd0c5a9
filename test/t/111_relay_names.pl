# pg_stat_activity and the log say which relay of which database it is, and in which state.
use strict;
use warnings;

use Test::More;

use PostgreSQL::Test::Utils ();
use OutboxBroker;
use OutboxCluster;

my $broker = OutboxBroker->mock;
my $node = OutboxCluster->create('relay_names');
$node->sql(<<'SQL');
CREATE TABLE t (id int PRIMARY KEY);
CREATE VIEW t_v AS SELECT id FROM t;
SELECT outbox.create_contract('t', view => 't_v', source => 't', key => '{id}');
SELECT outbox.create_event_type('TCreated', contract => 't', emit => 'created');
SELECT outbox.enable('t');
SQL
$node->create_sink('kafka', $broker);
$node->sql('INSERT INTO t VALUES (1)');
$node->wait_published('kafka');

my $activity = "FROM pg_stat_activity WHERE application_name = 'outbox relay: postgres/kafka'";
is($node->sql("SELECT count(*) $activity AND query LIKE 'sink \"kafka\": waiting%'"), 1, 'a relay is known by its database and sink');

$broker->trouble('down');
$node->poll_until("SELECT state = 'backoff' FROM outbox_internal.relay_report()");
$node->poll_until("SELECT query LIKE 'sink \"kafka\": backoff, %' $activity");
pass('pg_stat_activity says that it is in trouble');
$broker->trouble('up');
$node->sql('INSERT INTO t VALUES (2)');
$node->wait_published('kafka');

my $log = PostgreSQL::Test::Utils::slurp_file($node->logfile);
for my $line ('relay of sink "kafka" started', 'sink "kafka" cannot publish at present', 'sink "kafka" works again')
{
	like($log, qr/\Q$line\E.*\n(?:.*DETAIL.*\n)?(?:.*HINT.*\n)?.*CONTEXT:  relay of sink "kafka" in database "postgres"/, "the log names the database: $line");
}

$node->stop;
$broker->stop;
done_testing();
