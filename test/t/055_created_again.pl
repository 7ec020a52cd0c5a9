# The extension is dropped and created again between two events of a session that remembers its leaf, its sequence and
# its compiled contracts: nothing of the old installation is trusted.
use strict;
use warnings;

use OutboxCluster;
use OutboxFault;
use Test::More;

my $CREATE = <<'SQL';
CREATE EXTENSION IF NOT EXISTS outbox_ext;
CREATE OR REPLACE VIEW acct_v AS SELECT id, v FROM acct;
CREATE OR REPLACE VIEW head_v AS SELECT h.id, (SELECT count(*) FROM line l WHERE l.head_id = h.id) AS lines FROM head h;
SELECT outbox.create_contract('acct', view => 'acct_v', source => 'acct', key => '{id}');
SELECT outbox.create_event_type('Acct%s', contract => 'acct', emit => 'always');
SELECT outbox.create_contract('head', view => 'head_v', source => 'head', key => '{id}');
SELECT outbox.add_source('head', 'line', key_query => 'row.head_id');
SELECT outbox.create_event_type('Head%s', contract => 'head', emit => 'always');
SELECT outbox.enable('acct');
SELECT outbox.enable('head');
SQL
my $TABLES = <<'SQL';
CREATE TABLE acct (id int PRIMARY KEY, v int);
CREATE TABLE head (id int PRIMARY KEY, v int);
CREATE TABLE line (head_id int REFERENCES head, ln int, qty int, PRIMARY KEY (head_id, ln));
INSERT INTO acct VALUES (1, 0);
INSERT INTO head VALUES (1, 0);
SQL
my $CHANGE = 'UPDATE acct SET v = v + 1 WHERE id = 1; INSERT INTO line SELECT 1, coalesce(max(ln), 0) + 1, 1 FROM line';
# more events than are held back until commit: the leaf is locked
my $MANY = 'DELETE FROM acct WHERE id > 1; INSERT INTO acct SELECT i, 0 FROM generate_series(2, 3000) i';

sub created
{
	my ($name) = @_;
	return sprintf $CREATE =~ s/%s/%1\$s/gr, $name;
}

sub events
{
	my ($node) = @_;
	return $node->sql("SELECT type, payload FROM outbox.event_json ORDER BY type, seq");
}

sub nothing_else
{
	my ($node, $what) = @_;
	is($node->sql("SELECT count(*) FROM outbox.dead_letter"), 0, "$what: no dead letter");
	is($node->sql('SELECT count(*) FROM outbox.gap'), 0, "$what: no gap");
	return;
}

for my $preload (1, 0)
{
	my $how = $preload ? 'preloaded' : 'not preloaded';
	my $node = OutboxCluster->create("again$preload", extension => 0, preload => $preload,
		conf => ($preload ? $OutboxFault::CONF . "outbox.leaf_size = 64kB\noutbox.retention = '1h'\n" : ''));

	$node->sql($TABLES . created('One'));
	my $session = $node->background_psql('postgres');
	$session->query_safe("PREPARE change AS UPDATE acct SET v = v + 1 WHERE id = 1; $CHANGE; EXECUTE change");
	like(events($node), qr/^AcctOne\|\{"v": 1, "id": 1\}\nAcctOne\|\{"v": 2, "id": 1\}\nHeadOne\|\{"id": 1, "lines": 1\}$/, "$how: the first installation");

	# ---- between two transactions, with another leaf current than the first one of the next installation ----
	if ($preload)
	{
		my $fault = OutboxFault->new($node, 'fault')->start;
		$node->sql('SELECT change(0, 600)');
		$node->poll_until("SELECT leaf <> 1 FROM outbox.leaf WHERE state = 'current'");
		$session->query_safe("$CHANGE; EXECUTE change");
		is($node->sql("SELECT count(*) FROM outbox.event WHERE leaf <> 1 AND aggregatetype = 'acct'"), 2, "$how: it wrote to another leaf");
	}
	$node->sql('DROP EXTENSION outbox_ext');
	$session->query_safe("$CHANGE; EXECUTE change");
	$node->sql(created('Two'));
	my $lines = $node->sql('SELECT count(*) FROM line');
	my $v = $node->sql('SELECT v FROM acct');
	$session->query_safe("$CHANGE; EXECUTE change");
	is(events($node), sprintf(qq(AcctTwo|{"v": %d, "id": 1}\nAcctTwo|{"v": %d, "id": 1}\nHeadTwo|{"id": 1, "lines": %d}), $v + 1, $v + 2, $lines + 1),
		"$how: between two transactions");
	nothing_else($node, $how);

	# ---- in one transaction of another session, many times ----
	for my $round (1 .. 5)
	{
		$node->sql('BEGIN; DROP EXTENSION outbox_ext;' . created("Round$round") . 'COMMIT');
		$session->query_safe("$CHANGE; EXECUTE change");
	}
	is($node->sql('SELECT type, count(*) FROM outbox.event GROUP BY 1 ORDER BY 1'), "AcctRound5|2\nHeadRound5|1", "$how: in one transaction");
	nothing_else($node, $how);

	# ---- in the session's own transaction, between two events ----
	$session->query_safe("BEGIN; $CHANGE; $MANY");
	$session->query_safe('SET CONSTRAINTS ALL IMMEDIATE; DROP EXTENSION outbox_ext');
	$session->query_safe("$CHANGE;" . created('Own'));
	$session->query_safe("$CHANGE; $MANY; COMMIT");
	is($node->sql("SELECT type, count(*) FROM outbox.event GROUP BY 1 ORDER BY 1"), "AcctOwn|5999\nHeadOwn|1", "$how: in the session's own transaction");
	nothing_else($node, $how);

	# ---- the same in a savepoint that is rolled back: the old installation is there again ----
	my $undone = 'SAVEPOINT s; DROP EXTENSION outbox_ext;' . created('Undone') . "$CHANGE; $MANY; ROLLBACK TO s;";

	is($node->sql("SELECT count(*) FROM outbox.event WHERE type = 'AcctOwn' AND aggregateid = '1'"), 1, "$how: an event so far");
	$session->query_safe("BEGIN; $CHANGE; $MANY; $undone $CHANGE; $MANY; COMMIT");
	$session->query_safe("BEGIN; $CHANGE; $undone $CHANGE; COMMIT");
	$session->query_safe("BEGIN; $undone $CHANGE; COMMIT; $CHANGE");
	is($node->sql("SELECT type, count(*) FROM outbox.event WHERE aggregateid = '1' GROUP BY 1 ORDER BY 1"), "AcctOwn|7\nHeadOwn|5",
		"$how: in a savepoint that is rolled back");
	nothing_else($node, $how);
	$session->quit;
	$node->stop;
}

done_testing();
