# The documentation tells the truth: every SQL block of every page runs.
use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(basename dirname);
use IPC::Run ();
use Test::More;

use PostgreSQL::Test::Utils ();

use OutboxCluster;
use OutboxDocs qw(psql_script missed_failure);

my $top = abs_path(dirname(__FILE__) . '/../..');
my $node = OutboxCluster->create('docs', extension => 0, conf => "outbox.drain_timeout = 0\n");

# ---- every block of every page, page by page in a database of its own ----

sub run_page
{
	my ($page) = @_;
	my $name = $page =~ s{^\Q$top\E/}{}r;
	my $dbname = lc(basename($page, '.md')) . '_page';
	my ($script, $blocks) = psql_script($name, PostgreSQL::Test::Utils::slurp_file($page));
	my $dir = PostgreSQL::Test::Utils::tempdir();
	my $file = "$dir/" . ($name =~ s{/}{-}gr);

	PostgreSQL::Test::Utils::append_to_file($file, $script);
	$node->safe_psql('postgres', "CREATE DATABASE $dbname");
	my ($stdout, $stderr) = ('', '');
	my $rc = IPC::Run::run(
		[
			'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-v', "page=$name",
			'-d', $node->connstr($dbname), '-f', $file
		],
		'>', \$stdout, '2>', \$stderr);
	$stderr =~ s{\Q$file\E}{$name}g;
	ok($rc && !missed_failure($stderr), "all $blocks SQL blocks of $name do what it says") or diag($stderr);
	note($stderr) if $rc && $stderr ne '';
	# A page may change settings of the server, and has to put them back.
	$node->poll_until("SELECT current_setting('outbox.capture') = 'on'");
	return;
}

run_page($_) foreach "$top/README.md", sort glob("$top/docs/*.md");

done_testing();
