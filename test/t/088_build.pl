# The classic build: it fails at once where something is missing, links what it calls, and uninstalls what it installed.
use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use IPC::Run ();
use Test::More;

use PostgreSQL::Test::Utils ();

my $top = abs_path(dirname(__FILE__) . '/../..');
my $dir = PostgreSQL::Test::Utils::tempdir();
delete local @ENV{qw(MAKEFLAGS MAKELEVEL MFLAGS)};
IPC::Run::run([ 'pg_config', '--bindir' ], '>', \my $bindir) or die 'pg_config does not run';
chomp $bindir;

sub make
{
	my (@args) = @_;
	my $output = '';
	my $ok = IPC::Run::run([ 'make', '-s', "PG_CONFIG=$bindir/pg_config", 'TEST_FUNCTIONS=1', @args ], '<', \undef, '>&', \$output);

	return ($ok, $output);
}

sub files
{
	return sort map { chomp; $_ } `find $dir/root -type f -o -type l`;
}

# ---- what is missing is named, and nothing is built ----
for my $target ('all', 'install')
{
	my ($ok, $output) = make('-n', '-C', $top, 'PKG_CONFIG=none-such', $target);
	ok(!$ok && $output !~ /gcc|\bcc\b/, "make $target fails before anything is built");
	like($output, qr/none-such is not there: install it/, 'and says why');
	($ok, $output) = make('-C', "$top/src/sinks/kafka", 'PKG_CONFIG=none-such', $target);
	ok(!$ok, "make $target fails without pkg-config");
	like($output, qr/none-such is not there: install it \(Debian: pkg-config\)/, 'and says so');
	($ok, $output) = make('-C', "$top/src/sinks/kafka", 'PKG_CONFIG=false', $target);
	ok(!$ok, "make $target fails without librdkafka, libcurl or jansson");
	like($output, qr/does not know rdkafka, libcurl and jansson: install them .*librdkafka-dev libcurl4-openssl-dev libjansson-dev/, 'and says so');
}
my ($ok, $output) = make('-n', '-C', "$top/src/sinks/kafka", 'PKG_CONFIG=none-such', 'clean');
ok($ok, 'make clean needs neither') or diag($output);

# ---- a library whose calls have nothing behind them ----
PostgreSQL::Test::Utils::append_to_file("$dir/stub.c", "extern void *rd_kafka_new(void);\nvoid *stub(void);\nvoid *stub(void) { return rd_kafka_new(); }\n");
{
	local $ENV{CCACHE_DISABLE} = 1;
	PostgreSQL::Test::Utils::system_or_bail('gcc', '-shared', '-fPIC', '-o', "$dir/stub.so", "$dir/stub.c");
}
($ok, $output) = make('-C', "$top/src/sinks/kafka", "shlib=$dir/stub.so", 'check-symbols');
ok(!$ok, 'a sink that is not linked with its client is no success');
like($output, qr/rd_kafka_new.*is not linked with librdkafka or libcurl/s, 'and is named');
ok(!-e "$dir/stub.so", 'nor left behind');

# ---- uninstall ----
($ok, $output) = make('-C', $top, 'install', "DESTDIR=$dir/root");
ok($ok, 'make install') or diag($output);
my @installed = files();
for my $name (qw(outbox_ext.so outbox_kafka.so outbox_log.so outbox_ext.control outbox_sink.h))
{
	ok(scalar(grep { m{/\Q$name\E$} } @installed), "$name is installed");
}
($ok, $output) = make('-C', $top, 'uninstall', "DESTDIR=$dir/root");
ok($ok, 'make uninstall') or diag($output);
is_deeply([ files() ], [], 'leaves no file');

# ---- the packages that README and operations name are those that the demo installs ----
my ($needed) = PostgreSQL::Test::Utils::slurp_file("$top/tools/install_deps.sh") =~ /^packages=\((.*?)\)/ms;
my %needed = map { $_ => 1 } grep { !/^(libc6-dev|python3.*|postgresql-15)$/ } map { s/"(.*)\$PG_MAJOR"/${1}15/r } split ' ', $needed;
for my $page ('README.md', 'docs/operations.md')
{
	my ($list) = PostgreSQL::Test::Utils::slurp_file("$top/$page") =~ /\(Debian: `([^`]*server-dev[^`]*)`\)/;
	is(join(' ', sort split ' ', $list), join(' ', sort keys %needed), "$page names all packages");
}

done_testing();
