# Databases with real tables, contracts over them and events: northwind of examples/, and an excerpt of Pagila.
#
#	OutboxSamples->load($node);     # databases northwind and pagila
package OutboxSamples;

use strict;
use warnings;

use Cwd ();
use File::Basename ();
use IPC::Run ();

my $TOP = Cwd::abs_path(File::Basename::dirname(__FILE__) . '/../..');

my %FOLDER = (northwind => 'examples/northwind', pagila => 'test/data/pagila');
my %FILES = (
	northwind => [qw(01_schema.sql 02_contracts.sql 03_writes.sql)],
	pagila => [qw(01_schema.sql 02_contracts.sql 03_rows.sql.gz 04_writes.sql)],
);

sub databases
{
	return sort keys %FOLDER;
}

# Creates and fills all of them. Dies when a statement fails.
sub load
{
	my ($class, $node) = @_;

	foreach my $database ($class->databases)
	{
		$node->safe_psql('postgres', "CREATE DATABASE $database");
		_run($node, $database, $_) foreach @{ $FILES{$database} };
	}
	return;
}

sub _run
{
	my ($node, $database, $file) = @_;
	my @psql = ('psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr($database));
	my @command =
	  $file =~ /\.gz$/ ? ([ 'gzip', '-dc', $file ], '|', [ @psql, '-f', '-' ]) : ([ @psql, '-f', $file ]);
	my ($out, $err) = ('', '');
	my $here = Cwd::getcwd();

	chdir "$TOP/$FOLDER{$database}" or die "no folder $FOLDER{$database}";
	my $ok = IPC::Run::run(@command, '>', \$out, '2>', \$err);
	chdir $here or die "no folder $here";
	die "$file: $err" if !$ok || $err =~ /ERROR/;
	return;
}

1;
