# A publication FOR ALL TABLES holds the outbox's tables too: nothing of ours is refused on the publisher, and a
# subscription from before goes on, taking the application's rows alone, if the subscriber has the extension.
use strict;
use warnings;

use OutboxCluster;
use Test::More;

my $publisher = OutboxCluster->create('publisher', extension => 0, conf => "wal_level = logical\nmax_replication_slots = 5\n");
my $subscriber = OutboxCluster->create('subscriber', extension => 0, conf => "max_logical_replication_workers = 4\n");
my $tables = <<'SQL';
CREATE TABLE ordr (ordr_no int PRIMARY KEY, stat char(1), qty int);
SQL

$publisher->sql("CREATE PUBLICATION everything FOR ALL TABLES; $tables");
$subscriber->sql($tables);
$subscriber->sql("CREATE SUBSCRIPTION s CONNECTION '" . $publisher->connstr . " dbname=postgres' PUBLICATION everything");
$subscriber->wait_for_subscription_sync($publisher, 's');
$subscriber->sql('CREATE EXTENSION outbox_ext');
$publisher->sql('CREATE EXTENSION outbox_ext');

# ---- the publisher: every function that changes our tables ----
$publisher->sql($_) foreach split /\n/, <<'SQL';
CREATE VIEW order_v AS SELECT ordr_no AS order_id, outbox.decode('stat', stat) AS status, 10 / qty AS share FROM ordr
SELECT outbox.create_code_map('stat', '{"N": "NEW"}')
SELECT outbox.create_contract('order', view => 'order_v', source => 'ordr', key => '{order_id}', required => '{status}')
SELECT outbox.create_event_type('OrderPlaced', contract => 'order', emit => 'created', topic => 'orders')
SELECT outbox.create_event_type('Short', contract => 'order', emit => 'deleted')
SELECT outbox.add_check('OrderPlaced', 'share', 'share < 100')
SELECT outbox.create_sink('log', library => 'outbox_log')
SELECT outbox.start_relay('log')
SELECT outbox.enable('order')
SELECT outbox.disable('order')
SELECT outbox.enable('order')
INSERT INTO ordr VALUES (1, 'N', 1), (2, 'Q', 1), (3, 'N', 0)
SELECT outbox.detach('ordr')
INSERT INTO ordr VALUES (4, 'N', 1)
SELECT outbox.reattach('ordr')
UPDATE ordr SET stat = 'N', qty = 1
SELECT outbox.redrive()
INSERT INTO ordr VALUES (5, 'Q', 1)
SELECT outbox.discard(id, 'of no use') FROM outbox.dead_letter WHERE state = 'open'
SELECT outbox.pause('log')
SELECT outbox.resume('log')
SELECT outbox.drop_check('OrderPlaced', 'share')
SELECT outbox.drop_event_type('Short')
TRUNCATE ordr
INSERT INTO ordr VALUES (6, 'N', 1)
SQL
$publisher->wait_published('log');
is($publisher->sql('SELECT aggregateid FROM outbox.event_json ORDER BY seq'), "1\n2\n3\n6", 'the publisher captures and redrives');
is($publisher->sql('SELECT acked FROM outbox.relay_progress'), 4, 'and publishes');

# ---- the subscriber ----
$publisher->sql("INSERT INTO ordr VALUES (7, 'N', 1), (8, 'Q', 1); UPDATE ordr SET qty = 2; SELECT outbox.create_code_map('more', '{\"a\": \"b\"}')");
$publisher->wait_published('log');
$publisher->wait_for_catchup('s');
is($subscriber->sql('SELECT ordr_no, qty FROM ordr ORDER BY 1'), "6|2\n7|2\n8|2", 'the rows of the application arrive');
is($subscriber->sql('SELECT (SELECT count(*) FROM outbox.contract), (SELECT count(*) FROM outbox.event), (SELECT count(*) FROM outbox.sink)'),
	'0|0|0', 'nothing of the outbox does');
is($subscriber->sql('SELECT count(*) FROM pg_stat_subscription WHERE pid IS NOT NULL'), 1, 'apply goes on');
unlike(PostgreSQL::Test::Utils::slurp_file($subscriber->logfile), qr/ERROR:.*outbox/, 'without an error');

# ---- and its own contract is its own ----
$subscriber->sql(<<'SQL');
CREATE VIEW order_v AS SELECT ordr_no AS order_id, qty FROM ordr;
SELECT outbox.create_contract('copy', view => 'order_v', source => 'ordr', key => '{order_id}');
SELECT outbox.create_event_type('Copied', contract => 'copy', emit => 'created');
SELECT outbox.enable('copy');
SQL
$publisher->sql("INSERT INTO ordr VALUES (9, 'N', 1)");
$publisher->wait_for_catchup('s');
$subscriber->sql('INSERT INTO ordr VALUES (10)');
is($subscriber->sql('SELECT aggregateid FROM outbox.event_json'), 10, 'a contract of the subscriber captures what is written there, not what is applied');

$subscriber->stop;
$publisher->stop;
done_testing();
