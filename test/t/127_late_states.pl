# Consumers end with the row as it is: one transaction publishes a total of 10 while another one, late, takes the 10 back.
# Everything that is late comes by itself, with more writers of one key than can have their turn.
use strict;
use warnings;

use OutboxCluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node   = OutboxCluster->create('states');
my $broker = OutboxBroker->mock;

$node->sql(<<'SQL');
CREATE FUNCTION execute_late(command text) RETURNS void LANGUAGE c AS 'outbox_ext', 'outbox_test_execute_late';
CREATE TABLE account (id int PRIMARY KEY);
CREATE TABLE booking (account_id int NOT NULL, amount int NOT NULL);
CREATE INDEX ON booking (account_id);
INSERT INTO account VALUES (1), (2);
CREATE VIEW account_v AS SELECT a.id, coalesce((SELECT sum(b.amount) FROM booking b WHERE b.account_id = a.id), 0)::bigint AS total FROM account a;
SELECT outbox.create_contract('account', view => 'account_v', source => 'account', key => '{id}');
SELECT outbox.add_source('account', 'booking', key_query => 'row.account_id');
SELECT outbox.create_event_type('Account', contract => 'account', emit => 'changed', previous => '{total}');
SELECT outbox.enable('account');
SQL
$node->create_sink('kafka', $broker);

# ---- the total that consumers have was published while the late one waited ----
my $gate  = $node->background_psql('postgres');
my $first = $node->background_psql('postgres');
my $pid   = $first->query_safe('SELECT pg_backend_pid()');

$gate->query_safe('SELECT pg_advisory_lock(1)');
$first->query_until(qr/sent/, "BEGIN; INSERT INTO booking VALUES (1, 10); SELECT execute_late('SELECT pg_advisory_xact_lock(1)');\n\\echo sent\nCOMMIT;\n");
$node->poll_until("SELECT count(*) = 1 FROM pg_locks WHERE pid = $pid AND locktype = 'advisory' AND NOT granted");
$node->sql('SET outbox.flush_timeout = 500; INSERT INTO booking VALUES (1, -10)');
is($node->sql("SELECT emit, before FROM outbox.dead_letter WHERE state = 'open'"), 'changed|{"id": 1, "total": 0}',
	'the late one keeps what it saw before');
$gate->query_safe('SELECT pg_advisory_unlock(1)');
$node->poll_until("SELECT count(*) = 1 FROM outbox.dead_letter WHERE state = 'redriven'");
$node->wait_published('kafka');
my @told = grep { $_->{key} eq '1' } @{ $node->consume($broker, 'account') };
is(scalar @told, 2, 'two events are told of the key');
is_deeply([ map { $_->{headers}{ce_late} // '' } @told ], [ '', 'true' ], 'the last one as late');
is($node->sql("SELECT string_agg((payload->>'previous_total') || ' to ' || (payload->>'total'), ', ' ORDER BY seq) FROM outbox.event_json WHERE aggregateid = '1'"),
	'0 to 10, 10 to 0', 'which takes back what consumers had been told');

# ---- many, of which not even the row before can be read in time ----
$node->sql(<<'SQL');
CREATE FUNCTION slowly(total bigint) RETURNS bigint STABLE LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.03); RETURN total; END $$;
CREATE OR REPLACE VIEW account_v AS SELECT a.id, slowly(coalesce((SELECT sum(b.amount) FROM booking b WHERE b.account_id = a.id), 0)::bigint) AS total FROM account a;
SQL
my $script = $node->basedir . '/book.sql';
append_to_file($script, "SET outbox.flush_timeout = 10;\nINSERT INTO booking VALUES (2, 1), (2, 1);\nDELETE FROM booking WHERE ctid = (SELECT min(ctid) FROM booking WHERE account_id = 2);\n");
my ($in, $out, $err) = ('', '', '');
ok(IPC::Run::run([ 'pgbench', '-n', '-c', 4, '-j', 2, '-t', 10, '-f', $script, '-h', $node->host, '-p', $node->port, 'postgres' ],
	'<', \$in, '>', \$out, '2>', \$err), 'four sessions write to one key, in a hurry') or diag $err;
cmp_ok($node->sql('SELECT count(*) FROM outbox.dead_letter'), '>', 40, 'all of them are late');
$node->poll_until("SELECT count(*) = 0 FROM outbox.dead_letter WHERE state = 'open'");
pass('the relay takes up all of them');
is($node->sql("SELECT (SELECT payload->>'total' FROM outbox.event_json WHERE aggregateid = '2' ORDER BY seq DESC LIMIT 1)::bigint - (SELECT total FROM account_v WHERE id = 2)"),
	0, 'and the last event is the state');

# ---- a redrive, and flush() in a test: the transaction is not on its way through commit, so others do not wait without an end ----
$node->sql("SELECT outbox.stop_relay('kafka')");
$node->poll_until("SELECT state FROM outbox.relay_status WHERE sink = 'kafka'", 'stopped');
$node->sql('SET outbox.flush_timeout = 10; INSERT INTO booking VALUES (1, 1)');
$first->query_safe('BEGIN; SELECT outbox.redrive(); INSERT INTO booking VALUES (1, 1); SET LOCAL outbox.test_mode = on; SELECT outbox.flush()');
is($node->sql('SELECT state FROM outbox.commit_queue()'), 'reading', 'a redrive holds its key');
$node->sql('SET outbox.flush_timeout = 100; INSERT INTO booking VALUES (1, 1)');
is($node->sql("SELECT count(*) FROM outbox.dead_letter WHERE state = 'open'"), 2, 'another commit is late in time');
$first->query_safe('ROLLBACK');

# ---- a redrive that waited for the key sees what was committed meanwhile, though its statement is older ----
$node->sql("SELECT outbox.discard(min(id), 'the other one tells the same') FROM outbox.dead_letter WHERE state = 'open'");
my $other = $node->background_psql('postgres');
$gate->query_safe('SELECT pg_advisory_lock(1)');
$first->query_until(qr/sent/, "BEGIN; INSERT INTO booking VALUES (1, 100); SELECT execute_late('SELECT pg_advisory_xact_lock(1)');\n\\echo sent\nCOMMIT;\n");
$node->poll_until("SELECT count(*) = 1 FROM pg_locks WHERE pid = $pid AND locktype = 'advisory' AND NOT granted");
$other->query_until(qr/asked/, "\\echo asked\nSELECT outbox.redrive();\n");
$node->poll_until("SELECT count(*) FROM outbox.commit_queue() WHERE state = 'waiting'", 1);
$gate->query_safe('SELECT pg_advisory_unlock(1)');
$node->poll_until("SELECT count(*) = 0 FROM outbox.dead_letter WHERE state = 'open'");
is($node->sql("SELECT string_agg((payload->>'previous_total') || ' to ' || (payload->>'total'), ', ' ORDER BY seq)
		FROM (SELECT seq, payload FROM outbox.event_json WHERE aggregateid = '1' ORDER BY seq DESC LIMIT 2) e"),
	'2 to 102, 102 to 102', 'it starts where the other one ended');

done_testing();
