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

# the first write takes its time on a slow machine
$writer->query_safe("UPDATE ordr SET cust = 2 WHERE no = 3; SET outbox.flush_timeout = '100ms'");
$owner->query_safe('BEGIN; LOCK TABLE cust IN ACCESS EXCLUSIVE MODE');
$writer->query_safe('INSERT INTO ordr VALUES (10, 1)');
is($node->sql("SELECT stage, emit, state, key FROM outbox.dead_letter"), 'flush|created|open|{"no": 10}',
	'a commit does not wait for a locked table');
$owner->query_safe('COMMIT');
$owner->quit;
$node->poll_until("SELECT count(*) = 1 FROM outbox.dead_letter WHERE state = 'redriven'");
$node->wait_published('kafka');
my ($late) = grep { $_->{key} eq '10' } @{ $node->consume($broker, 'order') };
is($late->{headers}{ce_late}, 'true', 'the relay takes it up by itself, and its event says that it is late');
is($node->sql("SELECT payload->>'name' FROM outbox.event_json WHERE aggregateid = '10'"), 'Ann', 'with the row as it is then');

# ---- a letter that fails is not tried all the time ----
$writer->query_safe("UPDATE ordr SET mode = 'loop' WHERE no = 2");
$node->poll_until("SELECT attempts = 1 FROM outbox.dead_letter WHERE source_columns->>'no' = '2'");
like($node->sql("SELECT last_failure FROM outbox.dead_letter WHERE source_columns->>'no' = '2'"), qr/took too long|flush_timeout/,
	'the relay is not held up by it either');
$node->sql("INSERT INTO ordr VALUES (11, 1)");
$node->wait_published('kafka');
pass('and publishes other events');
$node->sql("SELECT outbox.discard(id, 'test') FROM outbox.dead_letter WHERE state = 'open'");

# ---- whatever is wrong with late letters, others are published meanwhile ----
$node->sql(<<'SQL');
CREATE TABLE free (id int PRIMARY KEY, name text);
CREATE VIEW free_v AS SELECT id, name FROM free;
SELECT outbox.create_contract('free', view => 'free_v', source => 'free', key => '{id}');
SELECT outbox.create_event_type('Free', contract => 'free', emit => 'created');
SELECT outbox.enable('free');
SQL
my $free = 0;

sub is_published
{
	my ($what) = @_;
	my $id = ++$free;

	$node->sql("INSERT INTO free VALUES ($id)");
	$node->wait_published('kafka');
	is(scalar(grep { $_->{key} eq $id } @{ $node->consume($broker, 'free') }), 1, $what);
}

# compiled before the lock, for which a statement would wait
my $warm = "UPDATE ordr SET cust = cust + 1 WHERE no = 3";

$writer->query_safe("$warm; SET outbox.flush_timeout = '100ms'");
$owner = $node->background_psql('postgres');
$owner->query_safe('BEGIN; LOCK TABLE cust IN ACCESS EXCLUSIVE MODE');
$writer->query_safe('INSERT INTO ordr VALUES (20, 1)');
$node->poll_until("SELECT attempts > 0 FROM outbox.dead_letter WHERE source_columns->>'no' = '20'");
like($node->sql("SELECT last_failure_hint FROM outbox.dead_letter WHERE source_columns->>'no' = '20'"), qr/changing the row, or its table/,
	'the relay does not wait for who has locked a table behind a late letter');
is_published('so that it goes on publishing');
$owner->query_safe('COMMIT');
$owner->quit;
$node->poll_until("SELECT state = 'redriven' FROM outbox.dead_letter WHERE source_columns->>'no' = '20'");
pass('and takes it up later');

# a function behind the view, or a condition, that does not come to an end
$node->sql(q{CREATE OR REPLACE FUNCTION act(mode text) RETURNS text STABLE LANGUAGE plpgsql AS $$
BEGIN
	IF mode IN ('loop', 'twice') THEN LOOP PERFORM clock_timestamp(); END LOOP; END IF;
	IF mode = 'cancel' THEN RAISE EXCEPTION 'not this one' USING ERRCODE = 'query_canceled'; END IF;
	IF mode = 'corrupt' THEN RAISE EXCEPTION 'the page is gone' USING ERRCODE = 'data_corrupted'; END IF;
	IF mode = 'foreign' THEN EXECUTE 'SELECT count(*) FROM public.far'; END IF;
	RETURN CASE WHEN mode = 'once' THEN 'twice' ELSE mode END;
END $$});
$node->sql(q{SELECT outbox.create_event_type('OrderLoops', contract => 'order', emit => 'created', condition => $$public.act(new.mode) = 'x'$$)});
$writer->query_safe("INSERT INTO ordr VALUES (21, 1, 'once')");
$node->poll_until("SELECT attempts > 0 FROM outbox.dead_letter WHERE source_columns->>'no' = '21'");
is($node->sql("SELECT state, last_failure FROM outbox.dead_letter WHERE source_columns->>'no' = '21'"), 'open|57014: evaluating the row took too long',
	'a condition that does not end has its time with the relay, too');
is_published('which goes on publishing');
$node->sql("SELECT outbox.discard(id, 'test') FROM outbox.dead_letter WHERE state = 'open'");

# storage that cannot be read
$writer->query_safe($warm);
$owner = $node->background_psql('postgres');
$owner->query_safe('BEGIN; LOCK TABLE cust IN ACCESS EXCLUSIVE MODE');
$writer->query_safe("INSERT INTO ordr VALUES (22, 1, 'corrupt'), (24, 1, 'cancel'), (23, 1, '')");
$owner->query_safe('COMMIT');
$owner->quit;
$node->poll_until("SELECT last_failure LIKE '%: the page is gone' FROM outbox.dead_letter WHERE source_columns->>'no' = '22'");
$node->poll_until("SELECT state = 'redriven' FROM outbox.dead_letter WHERE source_columns->>'no' = '23'");
pass('a page that cannot be read concerns its letter alone');
is($node->sql("SELECT substr(last_failure, 8) FROM outbox.dead_letter WHERE source_columns->>'no' = '24'"), 'not this one', 'so does a function that says it was cancelled');
$node->sql("SELECT outbox.discard(id, 'test') FROM outbox.dead_letter WHERE source_columns->>'no' = '24'");
is_published('and others go on');
is($node->sql("SELECT outbox.redrive(contract => 'order')"), 0, 'for a person, too');
is($node->sql("SELECT retries FROM outbox.relay_status"), 0, 'and the relay did not fail');

# not even the letters' own table
$owner = $node->background_psql('postgres');
$owner->query_safe('BEGIN; LOCK TABLE outbox_internal.dead_letter_entry IN EXCLUSIVE MODE');
is_published('nor does it wait for the table of dead letters');
$owner->query_safe('COMMIT');
$owner->quit;

# ---- a cancel by the user ----
$writer->query_safe("SET outbox.flush_timeout = '10min'");
my $pid = $writer->query_safe('SELECT pg_backend_pid()');
$writer->query_until(qr/sent/, "\\echo sent\nUPDATE ordr SET mode = 'loop' WHERE no = 1;\n");
# it counts once the commit runs the view: until then the cancel would be the statement's
$node->poll_until("SELECT count(*) > 0 FROM outbox.commit_queue() WHERE pid = $pid");
$node->sql("SELECT pg_cancel_backend($pid)");
$node->poll_until("SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $pid AND state = 'active'");
is($node->sql('SELECT mode FROM ordr WHERE no = 1'), '', 'a cancel by the user ends the transaction');
is($node->sql("SELECT count(*) FROM outbox.dead_letter WHERE source_columns->>'no' = '1'"), 0, 'without a dead letter');
like(PostgreSQL::Test::Utils::slurp_file($node->logfile), qr/canceling statement due to user request/, 'as an error of the user\'s own');

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
