# json_schema() is true of every event that real tables made, and of nothing that is spoiled, says an independent validator.
use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use IPC::Run ();
use Test::More;

use OutboxCluster;
use OutboxSamples;

my $top = abs_path(dirname(__FILE__) . '/../..');
my $node = OutboxCluster->create('json_schema', extension => 0);

OutboxSamples->load($node);
my %least = (northwind => 3000, pagila => 3000);
foreach my $database (OutboxSamples->databases)
{
	my ($out, $err) = ('', '');
	my $ok = IPC::Run::run([ "$top/build/venv/bin/python", "$top/test/python/check_json_schema.py", '--dsn', $node->connstr($database) ],
		'<', \undef, '>', \$out, '2>', \$err);

	ok($ok, "$database: every event is valid, and nothing that is spoiled") or diag("$out\n$err");
	note($out);
	my ($valid, $spoiled) = $out =~ /^(\d+) valid, 0 invalid, (\d+) spoiled/;
	is($valid // 0, $node->safe_psql($database, 'SELECT count(*) FROM outbox.event_json WHERE error IS NULL'), "$database: all of them were looked at");
	cmp_ok($valid // 0, '>=', $least{$database}, "$database: which are many");
	cmp_ok($spoiled // 0, '>=', 5000, "$database: and many were spoiled");
}
$node->stop;
done_testing();
