# A registry is back when it answers what it did not answer before: neither a request without an answer nor the answer about
# another schema makes events be offered before their pause is over, and topics are none of its affair.
use strict;
use warnings;

use Test::More;

use PostgreSQL::Test::Utils ();
use OutboxBroker;
use OutboxCluster;

my $kafka = OutboxBroker->strict_kafka;
my $node = OutboxCluster->create('revived');
my $registry = OutboxBroker->fake_registry(brokenCreated => 503);
my $url = $registry->address;

sub tried
{
	my ($topic, $times) = @_;
	$node->poll_until("SELECT count(DISTINCT tried_at) >= $times FROM tries WHERE topic = '$topic'");
	return;
}

# Tries that came before the pause was over which the one before had set
sub early
{
	my ($topic) = @_;
	return $node->sql("SELECT count(*) FROM (SELECT tried_at, lag(next_try) OVER (ORDER BY n) AS due, lag(tried_at) OVER (ORDER BY n) AS before
		FROM tries WHERE topic = '$topic') t WHERE tried_at <> before AND tried_at < due");
}

$kafka->admin('create("revived.good", 1); create("revived.broken", 1); create("revived.late", 1)');
$node->sql(<<'SQL');
CREATE TABLE tries (n bigserial, topic text, tried_at timestamptz, next_try timestamptz);
CREATE FUNCTION note_try() RETURNS trigger LANGUAGE plpgsql AS
$$BEGIN INSERT INTO public.tries (topic, tried_at, next_try) VALUES (NEW.topic, NEW.tried_at, NEW.next_try); RETURN NULL; END$$;
CREATE TRIGGER note_try AFTER INSERT OR UPDATE ON outbox_internal.blocked_route FOR EACH ROW EXECUTE FUNCTION note_try();
SQL
$node->create_sink('kafka', $kafka, 'schema.registry.url' => $url, 'schema.registry.check.interval.ms' => 100);
$node->versioned_table($_, "revived.$_") for qw(good broken missing late);
$node->sql('INSERT INTO good VALUES (1, 1)');
$node->wait_published('kafka');

# ---- the ids of others are read back ten times a second meanwhile ----
$node->sql('INSERT INTO broken VALUES (1, 1); INSERT INTO missing VALUES (1, 1)');
tried('revived.broken', 5);
tried('revived.missing', 4);
is(early('revived.broken'), 0, 'a schema that gets no id keeps its pauses while others have theirs');
$registry->modes(brokenCreated => 503, '/ids' => 503);
tried('revived.broken', 6);
is(early('revived.broken'), 0, 'and while these cannot be read back');
is(early('revived.missing'), 0, 'as a topic does that is not there');

# ---- back ----
$registry->modes;
$node->poll_until("SELECT NOT EXISTS (SELECT FROM outbox.blocked_route WHERE topic = 'revived.broken')");
my $tries = $node->sql("SELECT count(DISTINCT tried_at) FROM tries WHERE topic = 'revived.missing'");
tried('revived.missing', $tries + 1);
is(early('revived.missing'), 0, 'a registry that is back makes no topic be tried');
is(scalar(@{ $node->consume($kafka, 'revived.broken', registry => $url) }), 1, 'the event leaves');

# ---- away ----
$registry->stop;
$node->sql('INSERT INTO late VALUES (1, 1)');
tried('revived.late', 6);
is(early('revived.late'), 0, 'requests without an answer are no sign of life');

$kafka->admin('create("revived.missing", 1)');
$node->reload;
$node->poll_until("SELECT NOT EXISTS (SELECT FROM outbox.blocked_route WHERE topic = 'revived.missing')
	OR EXISTS (SELECT FROM outbox.blocked_route WHERE topic = 'revived.missing' AND schema_id <> 0)");
pass('the topic works when it is there');
is($node->sql('SELECT count(*) FROM outbox.dead_letter'), 0, 'and nothing is a dead letter');

$node->stop;
done_testing();
