# Whatever a DBA does to contracts and to the outbox's tables while an application writes, and however often the extension
# is dropped and created: no session of the application sees an error, and what the contracts that stay must capture is
# captured. Longer with OUTBOX_SECONDS=n.
use strict;
use warnings;

use FindBin;
use OutboxCluster;
use OutboxFault;
use Test::More;

my $top = "$FindBin::RealBin/../..";
my $seconds = $ENV{OUTBOX_SECONDS} // 15;
my $seed = $ENV{OUTBOX_SEED} // int(rand 1_000_000);

diag("seed $seed");

sub hammer
{
	my ($name, $mode, $prepare) = @_;
	my $node = OutboxCluster->create($mode, extension => 0,
		conf => $OutboxFault::CONF . "deadlock_timeout = '100ms'\noutbox.leaf_size = '256kB'\noutbox.retention = 0\nmax_connections = 60\n");
	my ($out, $err) = ('', '');

	$prepare->($node);
	my $ok = IPC::Run::run([ "$top/build/venv/bin/python", "$top/test/python/ddl_hammer.py", '--mode', $mode,
			'--dsn', 'host=' . $node->host . ' port=' . $node->port . ' user=postgres dbname=postgres',
			'--seed', $seed, '--seconds', $seconds ], '<', \undef, '>', \$out, '2>', \$err);
	ok($ok, $name) or diag("$out\n$err");
	note($out);
	unlike(PostgreSQL::Test::Utils::slurp_file($node->logfile), qr/PANIC|TRAP|terminated by signal|cache lookup failed/, "$name: nothing breaks");
	return $node;
}

# ---- contracts and tables of the outbox ----
my $fault;
my $node = hammer('no write fails beside changes of contracts and of the outbox', 'stay', sub {
	my ($node) = @_;

	$node->sql('CREATE EXTENSION outbox_ext');
	$fault = OutboxFault->new($node, 'fault')->start;
	# it has written a schema with a number of its own
	$node->sql("SELECT setval(pg_get_serial_sequence('outbox_internal.event_schema', 'id'), 1)");
});
# late keys are redriven by the relay
$node->poll_until("SELECT count(*) FROM outbox.dead_letter WHERE contract = 'kept' AND state = 'open' AND stage = 'flush'", 0);
$fault->wait_published;
my %arrived;
my %types;
foreach my $delivery (@{ $fault->deliveries })
{
	$types{ $delivery->{type} }++ unless $arrived{ $delivery->{id} }++;
}
is($node->sql("SELECT string_agg(DISTINCT stage || ': ' || message, E'\\n') FROM outbox.dead_letter WHERE contract IN ('ledger', 'kept') AND state = 'open'"),
	'', 'no dead letter of a contract that stays');
is($types{Ledger}, $node->sql('SELECT count(*) FROM ledger'), 'every transaction is captured and published');
is($types{Kept}, $node->sql('SELECT sum(keys) FROM ledger'), 'and every key of a contract at commit');
$node->stop;

# ---- the extension itself ----
$node = hammer('no write fails beside DROP EXTENSION', 'drop', sub { });
$node->stop;

done_testing();
