# Too much that is not acknowledged: kept, refused or dropped, as the operator wants; too many leaves; a sink whose
# counts do not agree; no sink at all.
use strict;
use warnings;

use Test::More;

use OutboxCluster;
use OutboxFault;

my $node = OutboxCluster->create('backlog', conf => $OutboxFault::CONF . <<'CONF');
outbox.leaf_size = '128kB'
outbox.retention = 0
CONF
my $fault = OutboxFault->new($node, 'fault')->start;
my $other = OutboxFault->new($node, 'other')->start;
OutboxFault::remember($node);

sub set
{
	my ($settings) = @_;
	$node->append_conf('postgresql.conf', $settings);
	$node->reload;
	my ($name, $value) = $settings =~ /^(\S+) = '?([^'\n]*)'?$/m;
	$node->poll_until("SHOW $name", $value);
	return;
}

sub log_until
{
	my ($pattern, $what, $meanwhile) = @_;
	my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;

	while (time < $deadline)
	{
		if (PostgreSQL::Test::Utils::slurp_file($node->logfile) =~ $pattern)
		{
			pass($what);
			return;
		}
		$node->sql($meanwhile) if defined $meanwhile;
		select(undef, undef, undef, 0.05);
	}
	fail($what);
	return;
}

sub until_written
{
	my ($what) = @_;
	my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;

	until (($node->psql('postgres', 'SELECT change(1)'))[0] == 0)
	{
		if (time > $deadline)
		{
			fail($what);
			return;
		}
		select(undef, undef, undef, 0.1);
	}
	pass($what);
	return;
}

sub wait_delivered
{
	my ($key, $n) = @_;
	my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;

	until (grep({ $_->{key} eq $key } @{ $fault->deliveries }) >= $n)
	{
		die "event of key $key did not arrive\n" if time > $deadline;
		select(undef, undef, undef, 0.05);
	}
	return;
}

sub advice
{
	return $node->sql("SELECT advice FROM outbox.status WHERE kind = 'extension'");
}

# ---- keep ----
set("outbox.max_backlog = '512kB'");
$fault->control(down => 1);
$node->sql('SELECT change(i % 10, 100) FROM generate_series(1, 60) i') for 1 .. 3;
log_until(qr/kB, more than outbox\.max_backlog.*?HINT:  \QSee what they wait for: SELECT * FROM outbox.status and outbox.leaf_status.\E/s, 'a backlog above the limit is said in the log');
$node->poll_until("SELECT advice ~ 'more than outbox.max_backlog; they are kept' FROM outbox.status WHERE kind = 'extension'");
pass('and in status');
my $said = () = PostgreSQL::Test::Utils::slurp_file($node->logfile) =~ /kB, more than outbox\.max_backlog/g;
is($said, 1, 'once');

# ---- refuse: with a relay, without one, and after a crash before there is one ----
set("outbox.backlog_policy = refuse");
like($node->sql_error('SELECT change(1)'), qr/53400: the outbox is full.*DETAIL.*outbox\.max_backlog.*\QSee what holds the backlog with SELECT * FROM outbox.status and outbox.leaf_status; or set outbox.backlog_policy to "keep" and reload.\E/s, 'writes are refused');
is($node->sql('SELECT count(*) FROM written WHERE n = 1'), 0, 'as a whole');
like(advice(), qr/writes are refused/, 'status says so');
cmp_ok($node->sql("SELECT count(*) FROM outbox.leaf_status WHERE state IN ('closing', 'frozen')"), '>', 0, 'leaf_status says what holds it');
set('outbox.backlog_policy = keep');
$node->sql('SELECT change(2)');
pass('kept, it takes writes again');
set('outbox.backlog_policy = refuse');
$fault->stop;
$other->stop;
$node->stop('immediate');
$node->start;
like($node->sql_error('SELECT change(1)'), qr/53400: the outbox is full/, 'also after a crash, without any relay');
$fault->control();
$fault->start;
$other->start;
$node->poll_until("SELECT count(*) FROM outbox.leaf WHERE state IN ('closing', 'frozen')", 0);
$node->sql('SELECT change(1)');
pass('until the sink has caught up');
$fault->wait_acked;
$other->wait_acked;
$fault->check_written('a backlog that was kept');
unlike(advice(), qr/max_backlog/, 'and status is calm again');

# ---- drop ----
set("outbox.max_backlog = '2MB'");
set("outbox.backlog_policy = drop");
# little is under way: that would arrive although it is dropped
$fault->control(down => 1, capacity => 10);
$node->sql('SELECT change(51)');
$fault->wait_state('backoff');
# a transaction that wrote before the switch, and ends after the drop: never dropped before it is complete
my $open = $node->background_psql('postgres');
$open->query_safe("BEGIN; SELECT change(50, 1000)");
for (1 .. 25)
{
	$node->sql('SELECT change(i % 10, 100) FROM generate_series(1, 10) i');
	$other->wait_acked;
}
$node->poll_until("SELECT count(*) > 0 FROM outbox.gap WHERE reason = 'backlog'");
log_until(qr/dropped leaf \d+ of outbox\.event.*?HINT:  \QSee SELECT * FROM outbox.gap WHERE reason = 'backlog';\E/s, 'the log says what was dropped');
$node->poll_until("SELECT coalesce(sum(bytes), 0) <= 2 * 1024 * 1024 FROM outbox.leaf_status WHERE state = 'frozen'");
$open->query_safe('COMMIT');
$open->quit;
$fault->control();
$other->wait_acked;
$other->check_written('the sink that was not behind');
$node->poll_until("SELECT pending = 0 FROM outbox.status WHERE name = 'fault'");
$node->poll_until("SELECT count(*) FROM outbox.leaf WHERE state NOT IN ('empty', 'current')", 0);

my %arrived;
my %newest;
my $backward = 0;
for my $delivery (@{ $fault->deliveries })
{
	next if $arrived{ $delivery->{id} }++;
	$backward++ if ($newest{ $delivery->{key} } // 0) > $delivery->{seq};
	$newest{ $delivery->{key} } = $delivery->{seq};
}
is($backward, 0, 'what is left arrives in order per key');
my $written = $node->sql('SELECT sum(n) FROM written');
my $gaps = $node->sql("SELECT sum(substring(detail, '^\\d+')::int) FROM outbox.gap WHERE reason = 'backlog'");
cmp_ok(keys(%arrived) + $gaps, '>=', $written, 'what did not arrive is in a gap');
cmp_ok(keys(%arrived), '<', $written, 'something was dropped');
is(scalar(grep { $_->{key} eq 'k50' } @{ $fault->deliveries }), 1000, 'an open transaction was not');
$fault->append('after', 5);
$node->poll_until("SELECT count(*) = 0 OR bool_and(pending = 0) FROM outbox.status WHERE kind = 'sink'");
is(scalar(grep { $_->{key} eq 'after' } @{ $fault->deliveries }), 5, 'and publishing goes on');
like($node->sql("SELECT detail FROM outbox.gap WHERE reason = 'backlog' ORDER BY id LIMIT 1"), qr/^\d+ events, seq \d+ to \d+, from 20\S+ .* to 20/, 'a gap says what is missing');

# ---- no further leaf ----
set("outbox.max_backlog = 0");
$node->sql("SELECT outbox.drop_sink('other')") if eval { $other->stop; 1 };
my $leaves = $node->sql('SELECT count(*) FROM outbox.leaf');
set("outbox.max_leaves = $leaves");
set("outbox.retention = '1h'");
$fault->control(capacity => 1000);
log_until(qr/all \d+ leaves of outbox\.event are in use.*?HINT:  \QSee what they wait for: SELECT * FROM outbox.leaf_status. Raise outbox.max_leaves or outbox.leaf_size, or shorten outbox.retention.\E/s, 'when no leaf is left the log says so', 'SELECT change(7, 500)');
$node->sql('SELECT change(7, 2000)');
$node->poll_until("SELECT advice ~ 'All leaves are in use' FROM outbox.status WHERE kind = 'extension'");
$node->sql('SELECT change(1)');
pass('and writers go on');
# all of it is acknowledged, however large the leaf is
$node->sql('SELECT change(7, 5000)');
set("outbox.backlog_policy = refuse");
set("outbox.max_backlog = '512kB'");
cmp_ok($node->sql("SELECT bytes FROM outbox.leaf_status WHERE state = 'current'"), '>', 512 * 1024, 'a leaf that is larger than the limit');
until_written('is no backlog when it is acknowledged');
$node->poll_until("SELECT pending = 0 FROM outbox.status WHERE name = 'fault'");
$node->poll_until("SELECT advice !~ 'max_backlog' FROM outbox.status WHERE kind = 'extension'");
$fault->control(down => 1);
$node->sql('SELECT change(7, 5000)');
like($node->sql_error('SELECT change(1)'), qr/53400: the outbox is full/, 'but what is added to it is');
$fault->control(capacity => 1000);
until_written('until that is acknowledged, too');
set("outbox.backlog_policy = keep");
set("outbox.max_backlog = 0");
set("outbox.retention = 0");
$node->poll_until("SELECT count(*) FROM outbox.leaf WHERE state NOT IN ('empty', 'current')", 0);
pass('it is over when leaves are emptied');
set("outbox.max_leaves = 1000");

# ---- a sink whose count is not that of the leaf publishes it again, once; then the leaf is kept ----
sub wrong_counts
{
	$fault->control(down => 1);
	my $leaf = $node->sql("SELECT leaf FROM outbox.leaf WHERE state = 'current'");
	$node->sql('SELECT change(30 + i % 10, 100) FROM generate_series(1, 20) i');
	$node->poll_until("SELECT state = 'frozen' AND events IS NOT NULL FROM outbox.leaf WHERE leaf = $leaf");
	$fault->stop;
	# a relay that was mistaken: past the leaf, but not with all of its events
	$node->sql("UPDATE outbox.relay_progress SET snap_last = pg_current_snapshot(), snap_cur = NULL, cursor = 0");
	$fault->control();
	return $leaf;
}
# older than all of the leaf, and open until the sink has gone back
my $early = $node->background_psql('postgres');
$early->query_safe('BEGIN; SELECT pg_current_xact_id()');
my $leaf = wrong_counts();
$fault->control(down => 1);
$node->sql("SELECT outbox.start_relay('fault')");
log_until(qr/have not acknowledged all events of leaf $leaf: fault \d+ of \d+.*?They go back.*?HINT:  \QReport this as a defect of outbox_ext.\E/s, 'a leaf with less acknowledged than it holds is noticed');
$node->poll_until("SELECT snap_last::text = start_snap::text AND rewind_to IS NULL FROM outbox.relay_progress");
$early->query_safe('SELECT change(70, 3); COMMIT');
$early->quit;
$fault->stop;
$fault->control();
$fault->start;
$node->poll_until("SELECT leaf_generation > 1 AND state IN ('empty', 'current') FROM outbox.leaf WHERE leaf = $leaf");
$node->poll_until("SELECT pending = 0 FROM outbox.status WHERE name = 'fault'");
my %written = map { split /\|/ } split /\n/, $node->sql("SELECT 'k' || key, sum(n) FROM written WHERE key BETWEEN 30 AND 39 GROUP BY 1");
my %ids;
$ids{ $_->{key} }{ $_->{id} } = 1 for grep { $_->{key} =~ /^k3\d$/ } @{ $fault->deliveries };
is_deeply({ map { $_ => scalar(keys %{ $ids{$_} }) } keys %ids }, \%written, 'and published again, so nothing is lost');
$fault->append('sentinel', 1);
wait_delivered('sentinel', 1);
is(scalar(grep { $_->{key} eq 'k70' } @{ $fault->deliveries }), 3, 'not even of a transaction that was open meanwhile');

$leaf = wrong_counts();
$node->sql("UPDATE outbox.leaf SET republished = 1 WHERE leaf = $leaf");
$fault->start;
log_until(qr/events of leaf $leaf: fault.*?was published again before; the leaf is kept/s, 'the second time the leaf is kept');
is($node->sql("SELECT state FROM outbox.leaf WHERE leaf = $leaf"), 'acked', 'as acked');
like(advice(), qr/has not acknowledged all events of a leaf/, 'status says so');
$fault->stop;
$node->sql("SELECT outbox.drop_sink('fault')");

# ---- no sink: nothing is acknowledged, nothing goes ----
my $count = $node->sql('SELECT count(*) FROM outbox.event');
my $again = OutboxFault->new($node, 'again')->start;
$node->poll_until("SELECT state FROM outbox.leaf WHERE leaf = $leaf", 'empty');
pass('without the sink that it waited for it is emptied');
cmp_ok(scalar(@{ $again->deliveries }), '>=', $count, 'after a new sink that starts at the earliest event got what was there');

$node->stop;
done_testing();
