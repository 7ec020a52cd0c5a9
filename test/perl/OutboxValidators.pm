# Other people's validators of documents, fetched once by the runner, which looks for calls of this module.
#
#	my ($ok, $words) = OutboxValidators->asyncapi($document, $pinned);	# texts in JSON
#	my ($ok, $words) = OutboxValidators->odcs($document);
#	my ($ok, $words) = OutboxValidators->markdown($page);
package OutboxValidators;

use strict;
use warnings;

use Cwd ();
use File::Basename ();
use IPC::Run ();
use PostgreSQL::Test::Utils ();

my $TOP = Cwd::abs_path(File::Basename::dirname(__FILE__) . '/../..');
my $DIR;

sub asyncapi
{
	my ($class, $document, $pinned) = @_;
	return _node('asyncapi.js', $document, $pinned);
}

sub markdown
{
	my ($class, $page) = @_;
	return _node('markdown.mjs', "$page\n");
}

sub odcs
{
	my ($class, $document) = @_;
	return _run(_dir() . '/venv/bin/datacontract', 'lint', _file('contract.yaml', $document));
}

sub _dir
{
	return $DIR if defined $DIR;
	chomp($DIR = qx("$TOP/test/documents/fetch.sh"));
	die 'no validators of documents' if $? != 0;
	return $DIR;
}

sub _node
{
	my ($script, @texts) = @_;
	my $n = 0;

	local $ENV{NODE_PATH} = _dir() . '/node_modules';
	return _run('node', "$TOP/test/documents/$script", map { _file('text' . ++$n, $_) } @texts);
}

sub _file
{
	my ($name, $text) = @_;
	my $file = PostgreSQL::Test::Utils::tempdir() . "/$name";

	PostgreSQL::Test::Utils::append_to_file($file, $text);
	return $file;
}

sub _run
{
	my ($out, $err) = ('', '');
	my $ok = IPC::Run::run([@_], '<', \undef, '>', \$out, '2>', \$err);

	return ($ok, "$out$err");
}

1;
