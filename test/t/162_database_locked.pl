# A database that nobody can enter keeps the launcher from no other one: it ends the probe that waits there.
use strict;
use warnings;

use OutboxCluster;
use Test::More;

my $node = OutboxCluster->create('entered', extension => 0);
$node->safe_psql('postgres', 'CREATE DATABASE barred; CREATE DATABASE there');
my $there = $node->in('there');
$there->sql(<<'SQL');
CREATE EXTENSION outbox_ext;
SELECT outbox.create_sink('log', library => 'outbox_log');
SQL

# RENAME keeps the database locked until the transaction ends
my $holder = $node->background_psql('postgres');
$holder->query_safe('BEGIN; ALTER DATABASE barred RENAME TO renamed');
$node->reload;
$node->poll_query_until('postgres', "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND classid = 'pg_database'::regclass")
  or die 'no probe waits';
$there->sql("SELECT outbox.start_relay('log')");
$there->poll_until("SELECT count(*) = 1 FROM outbox.relay_status WHERE state = 'running'");
pass('a relay of another database starts while a probe cannot enter its own');
$holder->query_safe('ROLLBACK');
$holder->quit;

$there->sql("SELECT outbox.stop_relay('log')");
$node->stop;
done_testing();
