# A redrive that waits for a key has no table locked: who has the key may want the table, and no deadlock check would see it.
use strict;
use warnings;

use OutboxCluster;
use Test::More;

my $node = OutboxCluster->create('tables');

$node->sql(<<'SQL');
CREATE TABLE account (id int PRIMARY KEY, parts int);
CREATE TABLE booking (account_id int NOT NULL, amount int NOT NULL) PARTITION BY LIST (account_id);
CREATE TABLE booking_1 PARTITION OF booking FOR VALUES IN (1);
CREATE INDEX ON booking (account_id);
CREATE VIEW account_v AS SELECT a.id, 100 / a.parts AS share, (SELECT count(*) FROM booking b WHERE b.account_id = a.id) AS bookings FROM account a;
SELECT outbox.create_contract('account', view => 'account_v', source => 'account', key => '{id}');
SELECT outbox.create_event_type('Account', contract => 'account', emit => 'always');
SELECT outbox.enable('account');
SQL
$node->sql('INSERT INTO account VALUES (1, 0)');
$node->sql('UPDATE account SET parts = -parts');
$node->sql('ALTER TABLE account DISABLE TRIGGER USER; UPDATE account SET parts = 1; ALTER TABLE account ENABLE TRIGGER USER');

my ($one, $two) = split /\n/, $node->sql("SELECT id FROM outbox.dead_letter WHERE state = 'open' ORDER BY id");
ok($two, 'a key has two dead letters');

my $first = $node->background_psql('postgres');
my $other = $node->background_psql('postgres');
is($first->query_safe("BEGIN; SELECT outbox.redrive($one)"), 1, 'a transaction redrives one of them, and has the key');
$other->query_until(qr/asked/, "SET outbox.flush_timeout = '60s';\n\\echo asked\nSELECT outbox.redrive($two);\n");
$node->poll_until("SELECT count(*) FROM outbox.commit_queue() WHERE state = 'waiting'", 1);
is($node->sql("SELECT count(*) FROM pg_locks l JOIN outbox.commit_queue() q ON q.pid = l.pid AND q.state = 'waiting'
		WHERE l.locktype = 'relation' AND l.relation IN ('account'::regclass, 'booking'::regclass, 'booking_1'::regclass, 'account_v'::regclass)"),
	0, 'another one that waits for the key has no table locked');
$first->query_safe('LOCK TABLE account, booking NOWAIT');
pass('so the one that has the key gets the tables');
$first->query_safe('COMMIT');
$node->poll_until("SELECT count(*) FROM outbox.dead_letter WHERE state = 'open'", 0);
is($node->sql("SELECT count(*) FROM outbox.event_json WHERE headers ? 'redriven'"), 2, 'and the other one goes on when it has ended');

done_testing();
