# A sink that is created in a long transaction gets everything from its position on: no leaf is emptied before the
# sink is there to say that it wants it.
use strict;
use warnings;

use OutboxCluster;
use OutboxFault;
use Test::More;

my $node = OutboxCluster->create('creation', conf => $OutboxFault::CONF . <<'CONF');
outbox.leaf_size = '64kB'
outbox.retention = 0
autovacuum = off
CONF
my $first = OutboxFault->new($node, 'first')->start;
my $uses  = "SELECT sum(leaf_generation) FROM outbox.leaf";

# Five leaves full of events, published.
sub fill
{
	my ($key) = @_;
	my $current = "SELECT leaf, leaf_generation FROM outbox.leaf WHERE state = 'current'";

	for (1 .. 5)
	{
		my $was = $node->sql($current);
		$node->sql("SELECT append(1, 't', '$key', 400, 100)");
		$node->poll_until("SELECT (leaf || '|' || leaf_generation) <> '$was' FROM ($current) l");
	}
	$first->wait_published;
	return;
}

sub keys_of
{
	my ($file) = @_;
	my %count;
	$count{ (split /\t/)[2] }++ for split /\n/, PostgreSQL::Test::Utils::slurp_file($file);
	return join ' ', map { "$_=$count{$_}" } sort keys %count;
}

for my $isolation ('read committed', 'repeatable read')
{
	my $session = $node->background_psql('postgres');
	my $sink = 'late' . ($isolation =~ /committed/ ? 1 : 2);

	$session->query_safe("BEGIN ISOLATION LEVEL \U$isolation\E; SELECT 1");
	fill("before$sink");
	$node->poll_until("SELECT bool_and(state IN ('empty', 'current')) FROM outbox.leaf");
	$session->query_safe(<<"SQL");
SELECT outbox.create_sink('$sink', library => 'outbox_fault', start_at => 'now', options => '{"file": "$first->{file}.$sink"}');
SELECT outbox.start_relay('$sink');
SQL
	fill("after$sink");
	# what could be emptied has been waited for, and is refused by the open transaction alone
	$node->poll_until("SELECT count(*) >= 3 FROM outbox.leaf WHERE state = 'retained'");
	is($node->sql("SELECT count(*) FROM outbox.event WHERE aggregateid = 'after$sink'"), 2000,
		"$isolation: events that a sink is to get are kept while it is created");
	$session->query_safe('COMMIT');
	$session->quit;
	$node->poll_until("SELECT acked >= 2000 FROM outbox.relay_status WHERE sink = '$sink'");
	is(keys_of("$first->{file}.$sink"), "after$sink=2000", 'and it gets them all, and nothing else');
	$node->poll_until("SELECT count(*) = 0 FROM outbox.leaf_status WHERE state = 'retained'");
	pass('then the leaves are emptied');
	$node->sql("SELECT outbox.stop_relay('$sink')");
	$node->poll_until("SELECT pid IS NULL FROM outbox_internal.relay_report() WHERE sink = '$sink'");
	$node->sql("SELECT outbox.drop_sink('$sink')");
}

# ---- emptying goes on beside sinks that are merely looked at or stopped ----
my $session = $node->background_psql('postgres');
my $before = $node->sql($uses);
$session->query_safe("BEGIN; SELECT outbox.pause('first'); ROLLBACK; BEGIN; SELECT * FROM outbox.sinks");
fill('beside');
$node->poll_until("SELECT sum(leaf_generation) > $before FROM outbox.leaf");
pass('a transaction that reads sinks holds up nothing');
$session->query_safe('COMMIT');
$session->quit;

done_testing();
