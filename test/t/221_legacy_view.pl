# What legacy_view() derives from the contracts over real tables is what these tables have, in every row.
use strict;
use warnings;

use Test::More;

use OutboxCluster;
use OutboxSamples;

my $node = OutboxCluster->create('legacy_view', extension => 0);

OutboxSamples->load($node);

my $derived = 0;
foreach my $database (OutboxSamples->databases)
{
	my $query = sub { return $node->safe_psql($database, $_[0]) };

	foreach my $contract (split /\n/, $query->('SELECT name FROM outbox.contracts ORDER BY 1'))
	{
		my $ddl = $query->("SELECT outbox.legacy_view('$contract')");
		my ($table, $told, $all) = $ddl =~ m{^/\* (\S+) as a view of contract \w+, version 1: (\d+) of (\d+) columns};
		my @columns = map { /^    (?!NULL::).* AS (\w+)/ ? $1 : () } split /\n/, $ddl;
		my ($name) = $table =~ /\.(\w+)$/;
		my $key = $query->("SELECT key_columns[1] FROM outbox.source s JOIN outbox.contract c ON c.id = s.contract_id WHERE c.name = '$contract' AND role = 'root'");

		$query->($ddl);
		is(scalar(@columns), $told, "$database, $contract: as many columns are derived as the comment says");
		is($query->("SELECT count(*) FROM pg_attribute WHERE attrelid = 'legacy.$name'::regclass AND attnum > 0"), $all,
			"$database, $contract: the view has all columns of the table");
		is(
			$query->("SELECT string_agg(DISTINCT v.c, ' ') FROM $table s JOIN legacy.$name l USING ($key), LATERAL (VALUES "
				  . join(', ', map { "('$_', s.$_ IS DISTINCT FROM l.$_)" } @columns) . ') v (c, differs) WHERE v.differs'),
			'', "$database, $contract: all columns that are derived equal the table's, in all rows (@columns)");
		is($query->("SELECT count(*) FROM legacy.$name"), $query->(sprintf 'SELECT count(*) FROM %s', $query->("SELECT view FROM outbox.contracts WHERE name = '$contract'")),
			"$database, $contract: with the contract's rows");
		$derived += @columns;
		$query->('DROP SCHEMA legacy CASCADE');
	}
}
cmp_ok($derived, '>=', 40, 'much is derived');
$node->stop;
done_testing();
