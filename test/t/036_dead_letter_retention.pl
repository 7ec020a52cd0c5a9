# Dead letters that were redriven or discarded go after their retention; open ones stay.
use strict;
use warnings;

use OutboxCluster;
use Test::More;

my $node   = OutboxCluster->create('retention');
my $broker = OutboxBroker->mock;

$node->sql(<<'SQL');
CREATE TABLE t (id int PRIMARY KEY, v text);
CREATE VIEW t_v AS SELECT id, v FROM t;
SELECT outbox.create_contract('t', view => 't_v', source => 't', key => '{id}', required => '{v}');
SELECT outbox.create_event_type('TCreated', contract => 't', emit => 'created');
SELECT outbox.enable('t');
INSERT INTO t VALUES (1, NULL), (2, NULL), (3, NULL);
SELECT outbox.discard(min(id), 'a test') FROM outbox.dead_letter;
UPDATE t SET v = 'mended' WHERE id = 2;
SELECT outbox.redrive();
SQL
is($node->sql('SELECT string_agg(state, \',\' ORDER BY id) FROM outbox.dead_letter'),
	'discarded,redriven,open', 'one discarded, one redriven, one open');
$node->create_sink('kafka', $broker);
$node->wait_published('kafka');
is($node->sql('SELECT count(*) FROM outbox.dead_letter'), '3', 'by default they are kept for a month');

$node->sql('ALTER SYSTEM SET outbox.dead_letter_retention = 0');
$node->reload;
$node->poll_until("SELECT string_agg(state, ',') = 'open' FROM outbox.dead_letter");
pass('resolved ones go after their retention, the open one stays');

done_testing();
