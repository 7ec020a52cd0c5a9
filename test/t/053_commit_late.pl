# A commit that has no time for a contract leaves its keys to the relay; a user's cancel stays the user's; what functions
# behind a view must not read is refused.
use strict;
use warnings;

use OutboxCluster;
use Test::More;

my $node   = OutboxCluster->create('late');
my $broker = OutboxBroker->mock;

$node->sql(<<'SQL');
CREATE TABLE ordr (no int PRIMARY KEY, cust int, mode text NOT NULL DEFAULT '');
CREATE TABLE cust (cust int PRIMARY KEY, name text);
INSERT INTO cust VALUES (1, 'Ann');
CREATE FUNCTION act(mode text) RETURNS text STABLE LANGUAGE plpgsql AS $$
BEGIN
	IF mode = 'loop' THEN LOOP PERFORM clock_timestamp(); END LOOP; END IF;
	IF mode = 'foreign' THEN EXECUTE 'SELECT count(*) FROM public.far'; END IF;
	RETURN mode;
END $$;
CREATE VIEW order_v AS SELECT o.no AS order_id, c.name, act(o.mode) AS mode FROM ordr o LEFT JOIN cust c ON c.cust = o.cust;
SELECT outbox.create_contract('order', view => 'order_v', source => 'ordr', key => '{order_id}');
SELECT outbox.create_event_type('OrderPlaced', contract => 'order', emit => 'created');
SELECT outbox.create_event_type('OrderChanged', contract => 'order', emit => 'changed');
SELECT outbox.enable('order');
INSERT INTO ordr SELECT i, 1 FROM generate_series(1, 3) i;
SQL
$node->create_sink('kafka', $broker);
$node->wait_published('kafka');

# ---- late, and taken up ----
my $writer = $node->background_psql('postgres');
my $owner  = $node->background_psql('postgres');

$writer->query_safe("SET outbox.flush_timeout = '100ms'; UPDATE ordr SET cust = 2 WHERE no = 3");
$owner->query_safe('BEGIN; LOCK TABLE cust IN ACCESS EXCLUSIVE MODE');
$writer->query_safe('INSERT INTO ordr VALUES (10, 1)');
is($node->sql("SELECT stage, emit, state, key FROM outbox.dead_letter"), 'flush|created|open|{"no": 10}',
	'a commit does not wait for a locked table');
$owner->query_safe('COMMIT');
$node->poll_until("SELECT count(*) = 1 FROM outbox.dead_letter WHERE state = 'redriven'");
$node->wait_published('kafka');
my ($late) = grep { $_->{key} eq '10' } @{ $node->consume($broker, 'order') };
is($late->{headers}{ce_late}, 'true', 'the relay takes it up by itself, and its event says that it is late');
is($node->sql("SELECT payload->>'name' FROM outbox.event_json WHERE aggregateid = '10'"), 'Ann', 'with the row as it is then');

# ---- a letter that fails is not tried all the time ----
$writer->query_safe("UPDATE ordr SET mode = 'loop' WHERE no = 2");
$node->poll_until("SELECT attempts = 1 FROM outbox.dead_letter WHERE source_columns->>'no' = '2'");
like($node->sql("SELECT message FROM outbox.dead_letter WHERE source_columns->>'no' = '2'"), qr/took too long|flush_timeout/,
	'the relay is not held up by it either');
$node->sql("INSERT INTO ordr VALUES (11, 1)");
$node->wait_published('kafka');
pass('and publishes other events');
$node->sql("SELECT outbox.discard(id, 'test') FROM outbox.dead_letter WHERE state = 'open'");

# ---- a cancel by the user ----
$writer->query_safe("SET outbox.flush_timeout = '10min'");
my $pid = $writer->query_safe('SELECT pg_backend_pid()');
$writer->query_until(qr/sent/, "\\echo sent\nUPDATE ordr SET mode = 'loop' WHERE no = 1;\n");
# it counts once the commit runs the view: until then the cancel would be the statement's
$node->poll_until("SELECT count(*) > 0 FROM pg_locks WHERE pid = $pid AND locktype = 'userlock'");
$node->sql("SELECT pg_cancel_backend($pid)");
$node->poll_until("SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $pid AND state = 'active'");
is($node->sql('SELECT mode FROM ordr WHERE no = 1'), '', 'a cancel by the user ends the transaction');
is($node->sql("SELECT count(*) FROM outbox.dead_letter WHERE source_columns->>'no' = '1'"), 0, 'without a dead letter');
like(PostgreSQL::Test::Utils::slurp_file($node->logfile), qr/canceling statement due to user request/, 'as an error of the user\'s own');
$owner->quit;

# ---- foreign tables ----
SKIP:
{
	skip 'this PostgreSQL comes without postgres_fdw', 2
	  unless $node->sql("SELECT count(*) FROM pg_available_extensions WHERE name = 'postgres_fdw'");
	my ($host, $port) = ($node->host, $node->port);
	$node->sql(<<"SQL");
CREATE EXTENSION postgres_fdw;
CREATE SERVER self FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '$host', port '$port', dbname 'postgres');
CREATE USER MAPPING FOR CURRENT_USER SERVER self;
CREATE FOREIGN TABLE far (cust int, name text) SERVER self OPTIONS (table_name 'cust');
SQL
	$node->sql("UPDATE ordr SET mode = 'foreign' WHERE no = 3");
	is($node->sql("SELECT stage, sqlstate, message FROM outbox.dead_letter WHERE source_columns->>'no' = '3'"),
		'map|0A000|the foreign table "far" cannot be used while a transaction commits', 'a foreign table is refused');
	is($node->sql('SELECT mode FROM ordr WHERE no = 3'), 'foreign', 'and the write goes through');
}

done_testing();
