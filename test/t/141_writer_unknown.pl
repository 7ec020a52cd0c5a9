# What a view reads of the writer's session (settings of two parts, session_user, the client's address) is not the writer's when
# an event is evaluated later: empty, or the relay's, when the relay does it; of whoever redrives by hand.
use strict;
use warnings;

use OutboxCluster;
use Test::More;

my $node   = OutboxCluster->create('unknown');
my $broker = OutboxBroker->mock;

$node->sql(<<'SQL');
CREATE ROLE writer LOGIN;
ALTER ROLE writer SET outbox.flush_timeout = '500ms';
CREATE ROLE operator LOGIN;
SELECT outbox.grant_access('operator', 'operator');
CREATE TABLE item (no int PRIMARY KEY, divisor int NOT NULL DEFAULT 1);
CREATE TABLE other (no int PRIMARY KEY);
INSERT INTO other SELECT generate_series(1, 9);
CREATE FUNCTION who() RETURNS text STABLE LANGUAGE plpgsql AS $$
BEGIN
	RETURN concat_ws(',', coalesce(nullif(current_setting('app.name', true), ''), 'empty'), session_user, coalesce(inet_client_addr()::text, 'nowhere'));
END $$;
CREATE VIEW row_v AS SELECT no, 1 / divisor AS one, who() AS who FROM item;
CREATE VIEW commit_v AS SELECT i.no, 1 / i.divisor AS one, o.no AS other, who() AS who FROM item i LEFT JOIN other o USING (no);
SELECT outbox.create_contract('row', view => 'row_v', source => 'item', key => '{no}');
SELECT outbox.create_contract('commit', view => 'commit_v', source => 'item', key => '{no}', evaluate => 'commit');
SELECT outbox.create_event_type('RowSeen', contract => 'row', emit => 'always');
SELECT outbox.create_event_type('CommitSeen', contract => 'commit', emit => 'always');
SELECT outbox.enable('row'), outbox.enable('commit');
GRANT SELECT, INSERT, UPDATE ON item TO writer;
SQL
$node->create_sink('kafka', $broker);

sub seen
{
	my ($no) = @_;
	return $node->sql("SELECT string_agg(type || ' ' || (payload ->> 'who'), '; ' ORDER BY seq) FROM outbox.event_json WHERE aggregateid = '$no'");
}

sub as
{
	my ($role, $statements) = @_;
	return $node->safe_psql('postgres', "SET app.name = 'the $role'; $statements", extra_params => [ '-U', $role ]);
}

as('writer', 'INSERT INTO item VALUES (1)');
is(seen(1), 'RowSeen the writer,writer,nowhere; CommitSeen the writer,writer,nowhere', "the writer's, at once");

# ---- redriven by hand ----
as('writer', 'INSERT INTO item VALUES (2, 0)');
is(seen(2), '', 'what cannot be evaluated is a dead letter');
as('writer', 'UPDATE item SET divisor = 1 WHERE no = 2');
as('operator', "SELECT outbox.redrive()");
unlike(seen(2) =~ s/^.*?the writer,writer,nowhere; CommitSeen the writer,writer,nowhere//r, qr/writer/, "nothing of the writer when it is redriven");
like(seen(2), qr/the operator,operator,nowhere/, 'but of whoever redrives');

# ---- late: the relay evaluates ----
my $owner = $node->background_psql('postgres');
$owner->query_safe('BEGIN; LOCK TABLE other IN ACCESS EXCLUSIVE MODE');
as('writer', 'INSERT INTO item VALUES (3)');
is(seen(3), 'RowSeen the writer,writer,nowhere', 'the commit does not wait');
$node->sql(q{ALTER DATABASE postgres SET app.name = 'the database'});
$owner->query_safe('COMMIT');
$owner->quit;
$node->poll_until("SELECT count(*) FROM outbox.event_json WHERE aggregateid = '3'", 2);
is(seen(3), 'RowSeen the writer,writer,nowhere; CommitSeen empty,postgres,nowhere', 'late: nothing of the writer, nor a setting of the database');

$node->stop;
done_testing();
