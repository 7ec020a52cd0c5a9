# A dump carries the configuration with its sequences and no event; a restore re-emits nothing and goes on where
# the original was.
use strict;
use warnings;

use OutboxCluster;
use OutboxFault;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = OutboxCluster->create('dump', conf => $OutboxFault::CONF);

$node->sql(<<'SQL');
CREATE TABLE ordr (ordr_no int PRIMARY KEY, st char(1), qty int);
SELECT outbox.create_code_map('st', '{"N": "NEW"}');
CREATE VIEW order_v AS SELECT ordr_no AS order_id, outbox.decode('st', st) AS status, 10 / qty AS share FROM ordr;
SELECT outbox.create_contract('order', view => 'order_v', source => 'ordr', key => '{order_id}', required => '{status}');
SELECT outbox.create_event_type('OrderPlaced', contract => 'order', emit => 'created', topic => 'orders');
SELECT outbox.create_event_type('OrderChanged', contract => 'order', emit => 'changed', previous => '{status}', condition => 'new.share > 0');
SELECT outbox.add_check('OrderPlaced', 'share', 'share < 100');
SELECT outbox.annotate('order.status', '{"tags": ["state"]}'), outbox.annotate('table:ordr', '{"owner": "sales"}');
CREATE TABLE part (id int, region text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE part_a PARTITION OF part FOR VALUES IN ('a');
CREATE TABLE part_b (region text NOT NULL, gone int, id int NOT NULL);
ALTER TABLE part_b DROP COLUMN gone;
ALTER TABLE part ATTACH PARTITION part_b FOR VALUES IN ('b');
CREATE VIEW part_v AS SELECT id, region FROM part;
SELECT outbox.create_contract('part', view => 'part_v', source => 'part', key => '{id,region}');
SELECT outbox.create_event_type('PartAdded', contract => 'part', emit => 'created');
SELECT outbox.enable('part');
INSERT INTO part VALUES (1, 'a'), (2, 'b');
SELECT outbox.create_sink('log', library => 'outbox_log', options => '{"payload": true}');
SELECT outbox.enable('order');
INSERT INTO ordr VALUES (1, 'N', 2), (2, 'N', 0), (3, 'Q', 1);
TRUNCATE ordr;
INSERT INTO ordr VALUES (4, 'N', 5);

-- a contract over two tables, with lines, and rows that are not published yet
CREATE TABLE head (no int PRIMARY KEY, nm text);
CREATE TABLE line (no int REFERENCES head, ln int, qty int, PRIMARY KEY (no, ln));
CREATE VIEW line_v AS SELECT no, ln, qty FROM line;
CREATE VIEW head_v AS SELECT h.no AS id, h.nm AS name, coalesce((SELECT array_agg(l ORDER BY l.ln) FROM line_v l WHERE l.no = h.no), '{}') AS items FROM head h;
SELECT outbox.create_contract('head', view => 'head_v', source => 'head', key => '{id}');
SELECT outbox.add_source('head', 'line', key_query => 'row.no');
SELECT outbox.create_event_type('HeadPlaced', contract => 'head', emit => 'created');
SELECT outbox.enable('head');
BEGIN; INSERT INTO head VALUES (1, 'one'); INSERT INTO line VALUES (1, 1, 10), (1, 2, 20); COMMIT;

-- one whose views are away
CREATE TABLE away (id int PRIMARY KEY, v int);
CREATE VIEW away_v WITH (security_barrier) AS SELECT id, v FROM away;
GRANT SELECT ON away_v TO PUBLIC;
SELECT outbox.create_contract('away', view => 'away_v', source => 'away', key => '{id}');
SELECT outbox.create_event_type('AwayChanged', contract => 'away', emit => 'changed');
SELECT outbox.enable('away');
SELECT outbox.detach('away');
INSERT INTO away VALUES (1, 1);
SQL
# events that wait behind one that was rejected; the leaf that they are in is not dumped
my $fault = OutboxFault->new($node, 'fault')->start;
$fault->control(reject_key => 'bad');
$node->sql("SELECT append(id, 'head', 'bad', 3, 100) FROM outbox.event_schema WHERE event_type = 'HeadPlaced'");
$node->poll_until("SELECT array_agg(state ORDER BY seq) = '{rejected,held,held}' FROM outbox.held_event");
$fault->stop;
$fault->control();
my @held = split /\n/, $node->sql('SELECT seq FROM outbox.held_event ORDER BY seq');

is($node->sql("SELECT pending > 0 FROM outbox.status WHERE kind = 'extension'"), 't', 'events are pending');

# What must be the same on both sides: every row of the tables that are configuration or its history.
my @tables = qw(contract contract_version source detached_view event_type check_rule code_map annotation event_schema
  dead_letter_entry gap sink held_event);

sub content
{
	my ($database) = @_;
	my %content;

	foreach my $table (@tables)
	{
		$content{$table} = $node->safe_psql($database, "SELECT t::text FROM outbox.$table t ORDER BY 1");
	}
	foreach my $table (grep { $_ !~ /contract_version|^source$|code_map|annotation|detached|held_event/ } @tables)
	{
		$content{"next id of $table"} =
		  $node->safe_psql($database, "SELECT last_value, is_called FROM outbox_internal.${table}_id_seq");
	}
	$content{'next seq'} = $node->safe_psql($database, 'SELECT last_value FROM outbox_internal.event_seq');
	return \%content;
}

sub restored_works
{
	my ($database, $how) = @_;

	is_deeply(content($database), content('postgres'), "$how: configuration, dead letters, held events and sequences are restored");
	is($node->safe_psql($database, 'SELECT count(*) FROM outbox.event'), '0', "$how: no event is emitted again");
	is($node->safe_psql($database, "SELECT reason, count(*) FROM outbox.gap GROUP BY 1 ORDER BY 1"),
		"detached|2\ntruncate|1", "$how: the restore itself leaves no gap");
	is($node->safe_psql($database, 'SELECT database FROM outbox.origin'), $database, "$how: a copy has its own name, from which ce_source follows");
	is($node->safe_psql($database, 'SELECT count(*) FROM outbox.relay_progress'), '0', "$how: no position is restored");

	is($node->safe_psql($database, "SELECT (SELECT pending FROM outbox.status WHERE kind = 'extension'), (SELECT max(pending) FROM outbox.relay_status)"),
		'2|0', "$how: pending counts the held events, and none that was not dumped");

	$node->safe_psql($database, "INSERT INTO ordr VALUES (5, 'N', 1)");
	is($node->safe_psql($database, 'SELECT type, aggregateid, payload, topic, version FROM outbox.event_json'),
		'OrderPlaced|5|{"share": 10, "status": "NEW", "order_id": 5}|orders|1', "$how: capture goes on");
	ok($node->safe_psql($database, 'SELECT seq FROM outbox.event') > $node->sql('SELECT max(seq) FROM outbox.event'),
		"$how: with higher sequence values");
	my $triggers = "SELECT tgrelid::regclass, tgname, tgparentid <> 0 FROM pg_trigger WHERE tgname LIKE '!%part' ORDER BY 1::text, 2";
	is($node->safe_psql($database, $triggers), $node->sql($triggers), "$how: partitions have their triggers");
	$node->safe_psql($database, "INSERT INTO part VALUES (3, 'b')");
	is($node->safe_psql($database, "SELECT type, aggregateid FROM outbox.event WHERE type = 'PartAdded'"), 'PartAdded|3,b',
		"$how: partitions are captured");
	is($node->safe_psql($database, "SELECT state, advice FROM outbox.status WHERE name = 'part'"), 'enabled|',
		"$how: status has no advice about partitions");
	$node->safe_psql($database, 'BEGIN; UPDATE line SET qty = 11 WHERE ln = 1; INSERT INTO head VALUES (2); COMMIT');
	is($node->safe_psql($database, "SELECT aggregateid, payload FROM outbox.event_json WHERE contract = 'head'"),
		'2|{"id": 2, "name": null, "items": []}', "$how: also of a contract over several tables");
	is($node->safe_psql($database, "SELECT state FROM outbox.status WHERE name = 'away'"), 'detached', "$how: what is detached stays so");
	$node->safe_psql($database, "SELECT outbox.reattach('away'); UPDATE away SET v = 2");
	is($node->safe_psql($database, "SELECT payload FROM outbox.event_json WHERE contract = 'away'"), '{"v": 2, "id": 1}', "$how: until it is attached again");
	is($node->safe_psql($database, "SELECT reloptions, has_table_privilege('pg_monitor', oid, 'SELECT') FROM pg_class WHERE relname = 'away_v'"),
		'{security_barrier=true}|t', "$how: as it was");
	my $delivered = @{ $fault->deliveries };
	$node->safe_psql($database, "SELECT outbox.start_relay('fault');
		SELECT outbox.redrive(id) FROM outbox.dead_letter WHERE stage = 'publish'");
	$node->in($database)->poll_until('SELECT count(*) FROM outbox.held_event', 0);
	my @deliveries = @{ $fault->deliveries };
	is_deeply([ map { $_->{seq} } grep { $_->{key} eq 'bad' } @deliveries[ $delivered .. $#deliveries ] ], \@held,
		"$how: held events are published from there, once the rejected one is redriven");
	my $event_triggers = 'SELECT evtname, evtevent, evtenabled, evttags FROM pg_event_trigger ORDER BY 1';
	is($node->safe_psql($database, $event_triggers), $node->sql($event_triggers), "$how: the event triggers are the extension's");
	$node->safe_psql($database, "SELECT outbox.create_contract('more', view => 'order_v', source => 'ordr', key => '{order_id}')");
	return;
}

my $dir = PostgreSQL::Test::Utils::tempdir();
my @connection = ('-h', $node->host, '-p', $node->port);

command_ok([ 'pg_dump', @connection, '-Fc', '-f', "$dir/whole", 'postgres' ], 'pg_dump');
$node->sql('CREATE DATABASE whole');
command_ok([ 'pg_restore', @connection, '--exit-on-error', '-d', 'whole', "$dir/whole" ], 'pg_restore');
restored_works('whole', 'whole');

# Schema and data apart: the triggers are there when the data comes, so capture is switched off for the load.
command_ok([ 'pg_dump', @connection, '--schema-only', '-f', "$dir/schema.sql", 'postgres' ], 'pg_dump --schema-only');
command_ok([ 'pg_dump', @connection, '--data-only', '-Fc', '-f', "$dir/data", 'postgres' ], 'pg_dump --data-only');
$node->sql('CREATE DATABASE apart');
command_ok([ 'psql', @connection, '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', 'apart', '-f', "$dir/schema.sql" ],
	'restore of the schema');
{
	local $ENV{PGOPTIONS} = '-c outbox.capture=off';
	command_ok([ 'pg_restore', @connection, '--exit-on-error', '-d', 'apart', "$dir/data" ], 'restore of the data');
}
restored_works('apart', 'schema and data apart');

done_testing();
