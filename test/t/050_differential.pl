# Random transactions on random tables make exactly the events that the contracts' views say; more with OUTBOX_TRANSACTIONS=n.
use strict;
use warnings;

use FindBin;
use OutboxCluster;
use Test::More;

my $top  = "$FindBin::RealBin/../..";
my $node = OutboxCluster->create('differential', conf => "max_prepared_transactions = 50\n");
my $dsn  = 'host=' . $node->host . ' port=' . $node->port . ' user=postgres dbname=postgres';
my $more = $ENV{OUTBOX_TRANSACTIONS};
my $seed = $ENV{OUTBOX_SEED} // int(rand 1_000_000);

# Worlds of the modes must not meet: event types are unique in a database.
sub differential
{
	my ($name, $first_world, @arguments) = @_;
	my ($out, $err) = ('', '');
	my $ok = IPC::Run::run([ "$top/build/venv/bin/python", "$top/test/python/differential.py",
			'--dsn', $dsn, '--seed', $seed, '--first-world', $first_world,
			'--script', $node->basedir . '/differential.sql', @arguments ], '<', \undef, '>', \$out, '2>', \$err);

	ok($ok, $name) or diag("$out\n$err");
	note($out);
	return;
}

differential('events are the differences of the views, transaction by transaction',
	0, '--transactions', $more // 2500);
differential('so are those of contracts that are evaluated at commit, joined ones among them',
	1_000_000, '--transactions', $more // 2000, '--evaluate', 'mixed');
differential('events of one key follow from each other when sessions commit freely',
	2_000_000, '--transactions', $more // 6000, '--mode', 'free', '--evaluate', 'mixed');

done_testing();
