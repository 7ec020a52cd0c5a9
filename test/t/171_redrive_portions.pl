# Commits of an aggregate type do not wait for a redrive by hand of very many of its keys: a transaction takes a portion.
use strict;
use warnings;

use OutboxCluster;
use Test::More;

my $node = OutboxCluster->create('portions');

$node->sql(<<'SQL');
CREATE TABLE account (id int PRIMARY KEY, name text);
CREATE TABLE booking (account_id int NOT NULL, amount int NOT NULL);
CREATE INDEX ON booking (account_id);
CREATE TABLE gate (shut bool);
CREATE FUNCTION passes(total bigint) RETURNS bigint STABLE LANGUAGE plpgsql AS $$ BEGIN IF EXISTS (SELECT FROM public.gate) THEN RAISE 'shut'; END IF; RETURN total; END $$;
CREATE VIEW account_v AS SELECT a.id, passes(coalesce((SELECT sum(b.amount) FROM booking b WHERE b.account_id = a.id), 0)::bigint) AS total FROM account a;
SELECT outbox.create_contract('account', view => 'account_v', source => 'account', key => '{id}');
SELECT outbox.add_source('account', 'booking', key_query => 'row.account_id');
SELECT outbox.create_event_type('Account', contract => 'account', emit => 'changed');
SELECT outbox.enable('account');
INSERT INTO account SELECT i FROM generate_series(1, 1000) i;
INSERT INTO gate VALUES (true);
INSERT INTO booking SELECT i, 1 FROM generate_series(1, 600) i;
DELETE FROM gate;
SQL

my $open = "SELECT count(*) FROM outbox.dead_letter WHERE state = 'open'";
is($node->sql($open), 600, 'six hundred keys have a dead letter');

my $person = $node->background_psql('postgres');
is($person->query_safe('BEGIN; SELECT outbox.redrive()'), 256, 'a transaction takes a portion of them');
is($node->sql('SELECT keys FROM outbox.commit_queue()'), 256, 'and holds the keys of these alone');
$node->sql('SET outbox.flush_timeout = 100; INSERT INTO booking VALUES (700, 1)');
is($node->sql("SELECT payload->>'total' FROM outbox.event_json WHERE aggregateid = '700'"), 1, 'a commit of another key of the type does not wait');
is($person->query_safe('SELECT outbox.redrive()'), 0, 'the transaction takes no more');
is($node->sql("SELECT count(*) FROM outbox.dead_letter WHERE state = 'open' AND attempts > 1"), 0, 'which is no failure of the others');
$person->query_safe('ROLLBACK');
my $last = $node->sql('SELECT max(id) FROM outbox.dead_letter');
my ($ret, $out, $err) = $node->psql('postgres', "BEGIN; SELECT outbox.redrive(); SELECT outbox.redrive($last)");
like($err, qr/has redriven 256 keys.*\QCOMMIT, and then call outbox.redrive(\E$last/s, 'nor one that is named, and says what to do');
is($node->sql($open), 600, 'all are open after a rollback');

$person->query_safe('SELECT outbox.redrive()') for 1 .. 3;
is($node->sql($open), 0, 'three transactions take all');
is($node->sql("SELECT count(*) FROM outbox.event_json WHERE contract = 'account' AND headers ? 'redriven'"), 600, 'each of them once');

done_testing();
