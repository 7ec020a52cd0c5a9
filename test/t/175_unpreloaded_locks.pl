# Without preloading, keys are locked in the server's lock table. What an error in the flush rolled back is not given back
# again: a transaction that is prepared then has no warning.
use strict;
use warnings;

use OutboxCluster;
use Test::More;

my $node = OutboxCluster->create('unpreloaded', preload => 0);

$node->sql(<<'SQL');
CREATE TABLE o (id int PRIMARY KEY, n int);
CREATE TABLE l (id int PRIMARY KEY, o int);
CREATE INDEX ON l (o);
INSERT INTO o SELECT i, 0 FROM generate_series(1, 20) i;
CREATE VIEW v AS SELECT o.id, o.n, (SELECT count(*) FROM l WHERE l.o = o.id) AS lines FROM o;
SELECT outbox.create_contract('o', view => 'v', source => 'o', key => '{id}');
SELECT outbox.add_source('o', 'l', key_query => 'row.o');
SELECT outbox.create_event_type('Changed', contract => 'o', emit => 'changed');
SELECT outbox.enable('o');
SQL

# The flush finds the contract detached and cannot say so in outbox.gap: an error, after it has locked its keys.
my $writer = $node->background_psql('postgres', on_error_stop => 0);
my $blocker = $node->background_psql('postgres');
$writer->query_safe("BEGIN; UPDATE o SET n = 1; UPDATE outbox_internal.contract_version SET detached_view = 'v'");
$blocker->query_safe('BEGIN; LOCK TABLE outbox_internal.gap IN SHARE MODE');
$writer->query("PREPARE TRANSACTION 'p'");
unlike($writer->{stderr}, qr/WARNING|ERROR/, 'PREPARE TRANSACTION says nothing');
is($node->sql("SELECT count(*) FROM pg_locks WHERE locktype = 'userlock'"), 0, 'and keeps none of the locks');
$blocker->quit;
$node->sql("COMMIT PREPARED 'p'");
is($node->sql("SELECT count(*), min(sqlstate) FROM outbox.dead_letter WHERE stage = 'flush'"), '20|55P03', 'the keys are late');
$writer->quit;

done_testing();
