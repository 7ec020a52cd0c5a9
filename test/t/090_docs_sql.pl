# The documentation tells the truth: every SQL block runs, the example of a sink works, and the reference
# names what there is.
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

# ---- links between the pages ----

# The anchors of a page, as forges make them from its headings.
sub anchors
{
	my ($file) = @_;
	my %anchors;

	foreach my $heading (PostgreSQL::Test::Utils::slurp_file($file) =~ /^#+ (.*)$/mg)
	{
		my $anchor = lc $heading;
		$anchor =~ s/[^\w\- ]//g;
		$anchor =~ s/ /-/g;
		$anchors{$anchor} = 1;
	}
	return \%anchors;
}

my @dead_links;
foreach my $file ("$top/README.md", glob("$top/docs/*.md"))
{
	foreach my $link (PostgreSQL::Test::Utils::slurp_file($file) =~ /\]\((?!https?:)([^)]+)\)/g)
	{
		my ($path, $anchor) = split /#/, $link, 2;
		my $target = $path eq '' ? $file : dirname($file) . "/$path";

		push @dead_links, basename($file) . ": $link"
		  if !-e $target || (defined $anchor && !anchors($target)->{$anchor});
	}
}
is_deeply(\@dead_links, [], 'every link leads to a file and a heading');

# ---- what the pages say is missing is missing ----

# A page that says "not in this version" becomes false without a change of its own. So whoever writes such a
# sentence says here which functions would make it false.
my %missing = (
	'### Not in this version' => [qw(backfill reconcile)],
	'there is no reconcile in this version' => ['reconcile'],
);

sub doubtful_lines
{
	my @doubtful;

	foreach my $file ("$top/README.md", "$top/CONTRIBUTING.md", "$top/CHANGELOG.md", glob("$top/docs/*"), glob("$top/src/*/README.md"), glob("$top/src/*/*/README.md"))
	{
		my $text = PostgreSQL::Test::Utils::slurp_file($file);

		$text =~ s/\Q$_\E//g foreach keys %missing;
		push @doubtful, map { basename($file) . ": $_" } grep { /\b(?:in|by) this version\b/i } split /\n(?![a-z])/, $text;
	}
	return \@doubtful;
}

is_deeply(doubtful_lines(), [], 'no page says "in this version" of something that nobody looks after');

# ---- the sink that the page on sinks shows is a sink ----

my ($page) = PostgreSQL::Test::Utils::slurp_file("$top/docs/sinks.md");
my $dir = PostgreSQL::Test::Utils::tempdir_short();
my ($source) = $page =~ /^```c\n(.*?)^```/ms;
my ($makefile) = $page =~ /^```make\n(.*?)^```/ms;

PostgreSQL::Test::Utils::append_to_file("$dir/file_sink.c", $source);
PostgreSQL::Test::Utils::append_to_file("$dir/Makefile", $makefile);
delete local $ENV{MAKEFLAGS};
my $built = IPC::Run::run([ 'make', '-s', '-C', $dir, 'with_llvm=no', 'COPT=-Wall -Werror' ], '>&', \my $output);
ok($built, 'the example of a sink builds without a warning') or diag($output);
$node->append_conf('postgresql.conf', "dynamic_library_path = '\$libdir:$dir'\noutbox.sink_libraries = 'outbox_file'\n");
$node->restart;
$node->safe_psql('readme_page', <<"SQL");
	SELECT outbox.create_sink('file', library => 'outbox_file', options => '{"path": "$dir/events"}');
	SELECT outbox.start_relay('file');
SQL
ok($node->poll_query_until('readme_page', "SELECT published > 0 AND pending = 0 FROM outbox.status WHERE name = 'file'"),
	'the example of a sink publishes');
is(
	scalar(split(/\n/, PostgreSQL::Test::Utils::slurp_file("$dir/events"))),
	$node->safe_psql('readme_page', 'SELECT count(*) FROM outbox.event'),
	'the example of a sink has every event');

# ---- the reference names every function, column and setting, as they are ----

my $reference = "$top/docs/reference.md";

sub missing_from_reference
{
	my ($query) = @_;
	my $text = PostgreSQL::Test::Utils::slurp_file($reference) =~ s/\s+/ /gr;

	return [ grep { index($text, $_) < 0 } split /\n/, $node->safe_psql('postgres', $query) ];
}

$node->safe_psql('postgres', 'CREATE EXTENSION outbox_ext');
is(
	$node->safe_psql('postgres',
		q{SELECT string_agg(DISTINCT proname, ' ') FROM pg_proc WHERE pronamespace = 'outbox'::regnamespace AND proname IN ('}
		  . join("', '", map { @$_ } values %missing) . q{')}),
	'', 'what the pages say is missing is missing');
is_deeply(
	missing_from_reference(
		q{SELECT format('%s.%s(%s) → %s', pronamespace::regnamespace, proname,
				replace(regexp_replace(replace(pg_get_function_arguments(oid), 'timestamp with time zone', 'timestamptz'),
					', OUT .*|^OUT .*|::[a-z]+(\[\])?', '', 'g'), 'integer', 'int'),
				CASE WHEN proretset THEN 'rows' ELSE regexp_replace(replace(pg_get_function_result(oid), 'integer', 'int'), '^record$', 'row') END)
		  FROM pg_proc WHERE pronamespace IN ('outbox'::regnamespace, 'outbox_internal'::regnamespace) ORDER BY 1}),
	[], 'the reference has the signature of every function');
# A relation's columns stand in its own section; a dead letter's stand once.
sub columns_missing_from_reference
{
	my $text = PostgreSQL::Test::Utils::slurp_file($reference);
	my %section = $text =~ /^### outbox\.(\w+)\n(.*?)(?=^##|\z)/gms;
	my @missing;

	foreach my $line (
		split /\n/,
		$node->safe_psql('postgres',
			q{SELECT relname, format('| `%s` | %s |', attname,
					replace(format_type(atttypid, NULL), 'timestamp with time zone', 'timestamptz'))
			  FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
			  WHERE relnamespace = 'outbox'::regnamespace AND relkind IN ('r', 'p', 'v') AND attnum > 0
			  AND NOT attisdropped AND NOT relispartition AND relname <> 'dead_letter_entry'},
			extra_params => [ '-F', "\t" ]))
	{
		my ($relation, $column) = split /\t/, $line;
		push @missing, "$relation: $column" if index($section{$relation} // '', $column) < 0;
	}
	return \@missing;
}

is_deeply(columns_missing_from_reference(), [], 'the reference has every column of every table and view');
is_deeply(
	missing_from_reference(
		q{SELECT format('### outbox.%s ', relname) FROM pg_class
		  WHERE relnamespace = 'outbox'::regnamespace AND relkind IN ('r', 'p', 'v') AND NOT relispartition}),
	[], 'the reference has a section for every table and view');
is_deeply(
	missing_from_reference(
		q{SELECT format('| `%s` | `%s`%s | %s |', name, boot_val, ' ' || unit, context)
		  FROM pg_settings WHERE name LIKE 'outbox.%'}),
	[], 'the reference has every setting with its default, unit and context');

# ---- lists in the pages are whole ----

# The rows of a page's tables whose first cell is this.
sub table_rows
{
	my ($file, $cell) = @_;
	return join "\n", grep { /^\| \Q$cell\E \|/ } split /\n/, PostgreSQL::Test::Utils::slurp_file("$top/docs/$file");
}

sub query_lines
{
	return split /\n/, $node->safe_psql('postgres', $_[0]);
}

$node->safe_psql('postgres', "CREATE ROLE page_$_; SELECT outbox.grant_access('page_$_', '$_')") foreach qw(reader operator);
my %granted = (
	reader => q{SELECT relname FROM pg_class WHERE relnamespace = 'outbox'::regnamespace AND relkind IN ('r', 'p', 'v')
		AND has_table_privilege('page_reader', oid, 'SELECT')},
	operator => q{SELECT proname FROM pg_proc WHERE pronamespace = 'outbox'::regnamespace
		AND has_function_privilege('page_operator', oid, 'EXECUTE') AND NOT has_function_privilege('page_reader', oid, 'EXECUTE')},
);
my ($comment) = query_lines(q{SELECT obj_description('outbox.grant_access(text, text)'::regprocedure, 'pg_proc')});
foreach my $level (sort keys %granted)
{
	my @names = query_lines($granted{$level});
	my $row = table_rows('operations.md', $level);

	cmp_ok(scalar(@names), '>', 0, "$level: something is granted");
	is_deeply([ grep { $row !~ /`(?:outbox\.)?$_`/ } @names ], [], "$level: the page names all that is granted");
	is_deeply([ grep { $comment !~ /\b$_\b/ } @names ], [], "$level: so does the comment of grant_access");
}
$node->safe_psql('postgres', "DROP OWNED BY page_$_; DROP ROLE page_$_") foreach qw(reader operator);

my @reasons = query_lines(q{SELECT (regexp_matches(pg_get_constraintdef(oid), '''(\w+)''', 'g'))[1] FROM pg_constraint
	WHERE conrelid = 'outbox_internal.gap'::regclass AND conname = 'gap_reason_check'});
cmp_ok(scalar(@reasons), '>', 5, 'gaps have reasons');
is_deeply([ grep { table_rows('operations.md', "`$_`") eq '' } @reasons ], [], 'the page explains every reason of a gap');

# Names of headers are literals of the sink, and of the relay for what it adds to an event.
my %headers = map { $_ => 1 }
  PostgreSQL::Test::Utils::slurp_file("$top/src/sinks/kafka/kafka_headers.c") =~ /ADD\("([\w-]+)"/g;
$headers{"ce_$_"} = 1
  foreach PostgreSQL::Test::Utils::slurp_file("$top/src/relay/read/message.c") =~ /(?:\.data = |\.name = SLICE_LITERAL\()"(\w+)"/g;
cmp_ok(scalar(keys %headers), '>=', 15, 'messages have headers');
is_deeply([ grep { table_rows('sinks.md', "`$_`") eq '' } sort keys %headers ], [], 'the page lists every header');

done_testing();
