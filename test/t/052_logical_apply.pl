# Changes that logical replication applies make no events, unless the triggers are set to fire always; then all of them do.
use strict;
use warnings;

use OutboxCluster;
use Test::More;

my $publisher  = OutboxCluster->create('publisher', extension => 0, preload => 0, conf => "wal_level = logical\nmax_replication_slots = 5\n");
my $subscriber = OutboxCluster->create('subscriber', conf => "max_logical_replication_workers = 4\n");

my $tables = <<'SQL';
CREATE TABLE item (id int PRIMARY KEY, v int);
CREATE TABLE part (id int NOT NULL, region text NOT NULL, v int, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE part_a PARTITION OF part FOR VALUES IN ('a');
CREATE TABLE part_b PARTITION OF part FOR VALUES IN ('b');
SQL

$publisher->sql("$tables CREATE PUBLICATION all_tables FOR ALL TABLES WITH (publish_via_partition_root);
	INSERT INTO item VALUES (1, 1); INSERT INTO part VALUES (1, 'a', 1)");
$subscriber->sql("$tables
	CREATE VIEW item_v AS SELECT id, 100 / v AS share FROM item;
	SELECT outbox.create_contract('item', view => 'item_v', source => 'item', key => '{id}');
	CREATE VIEW part_v AS SELECT id, region, v FROM part;
	SELECT outbox.create_contract('part', view => 'part_v', source => 'part', key => '{id,region}');");
foreach my $contract (qw(item part))
{
	$subscriber->sql("SELECT outbox.create_event_type('${contract}_$_', contract => '$contract', emit => '$_') FROM (VALUES (1)) one")
	  foreach qw(created changed deleted);
	$subscriber->sql("SELECT outbox.enable('$contract')");
}
$subscriber->sql("CREATE SUBSCRIPTION s CONNECTION '" . $publisher->connstr . " dbname=postgres' PUBLICATION all_tables");
$subscriber->wait_for_subscription_sync($publisher, 's');

my $events = "SELECT type, aggregateid, payload FROM outbox.event_json ORDER BY seq";

$publisher->sql("INSERT INTO item VALUES (2, 2); UPDATE item SET v = 4; TRUNCATE part");
$publisher->wait_for_catchup('s');
is($subscriber->sql('SELECT * FROM item ORDER BY id'), "1|4\n2|4", 'changes are applied');
is($subscriber->sql($events), '', 'and make no events');
is($subscriber->sql('SELECT count(*) FROM outbox.gap'), '0', 'nor gaps');

foreach my $contract (qw(item part))
{
	$subscriber->sql("ALTER TABLE $contract ENABLE ALWAYS TRIGGER \"!outbox_$contract\"");
	$subscriber->sql("ALTER TABLE $_ ENABLE ALWAYS TRIGGER \"!outbox!$contract\"") foreach $contract eq 'part' ? qw(part_a part_b) : $contract;
}
is($subscriber->sql("SELECT name, state, advice FROM outbox.status WHERE kind = 'contract' ORDER BY 1"), "item|enabled|\npart|enabled|",
	'triggers that fire always are fine');

$publisher->sql("BEGIN; INSERT INTO item VALUES (3, 5); UPDATE item SET v = 10 WHERE id = 3; DELETE FROM item WHERE id = 1; COMMIT;
	INSERT INTO part VALUES (1, 'a', 1); UPDATE part SET v = 2; DELETE FROM part");
$publisher->wait_for_catchup('s');
is($subscriber->sql($events), join("\n",
		'item_created|3|{"id": 3, "share": 20}', 'item_changed|3|{"id": 3, "share": 10}', 'item_deleted|1|{"id": 1, "share": 25}',
		'part_created|1,a|{"v": 1, "id": 1, "region": "a"}', 'part_changed|1,a|{"v": 2, "id": 1, "region": "a"}',
		'part_deleted|1,a|{"v": 2, "id": 1, "region": "a"}'), 'applied changes make events');

$publisher->sql('INSERT INTO item VALUES (4, 0); INSERT INTO item VALUES (5, 50); TRUNCATE item, part');
$publisher->wait_for_catchup('s');
is($subscriber->sql('SELECT contract, key, sqlstate FROM outbox.dead_letter'), 'item|{"id": 4}|22012',
	'what cannot be mapped is a dead letter, and replication goes on');
is($subscriber->sql('SELECT contract, source, reason FROM outbox.gap ORDER BY 1, 2::text'),
	"item|item|truncate\npart|part_a|truncate\npart|part_b|truncate", 'an applied TRUNCATE leaves gaps');

done_testing();
