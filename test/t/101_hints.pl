# Every hint of ours is in test/hints.list with the test that shows it, and that test does.
use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Find;
use Test::More;

my $top = abs_path(dirname(__FILE__) . '/../..');

# How many hints no test shows. Only ever lower it.
my $UNSHOWN = 2;

sub slurp
{
	my ($file) = @_;
	open(my $in, '<', $file) or die "could not read $file: $!";
	local $/;
	return scalar <$in>;
}

# The text of a hint as it stands in the source, of its adjacent literals.
sub hints_of
{
	my ($source) = @_;
	my $literal = qr/"(?:[^"\\]|\\.)*"/;
	my @hints;

	while ($source =~ /(?:\berrhint\(|(?<![a-z_>])hint = )\s*($literal(?:\s*$literal)*)/g)
	{
		my $text = join('', map { substr($_, 1, -1) } $1 =~ /$literal/g);
		$text =~ s/\\"/"/g;
		push @hints, $text unless $text eq '%s';
	}
	return @hints;
}

# What a message has of it whatever its arguments are.
sub fixed_parts
{
	my ($hint) = @_;
	return grep { length($_) > 6 } map { s/^\s+|\s+$//gr } split(/%[-0-9]*(?:l*[dsuX]|zu|\*s)/, $hint);
}

my (%hints, %listed);
find({ no_chdir => 1, wanted => sub { $hints{$_} = 1 foreach /\.[ch]$/ ? hints_of(slurp($_)) : () } }, "$top/src");
cmp_ok(scalar keys %hints, '>', 100, 'the sources have hints');

foreach my $line (split /\n/, slurp("$top/test/hints.list"))
{
	next if $line =~ /^#/;
	my ($test, $hint) = split /\t/, $line, 2;
	$listed{$hint} = $test;
}
is(join("\n", map { "-\t$_" } sort grep { !exists $listed{$_} } keys %hints), '', 'every hint is in the list');
is(join("\n", sort grep { !exists $hints{$_} } keys %listed), '', 'and nothing else is');

my $unshown = grep { $_ eq '-' } values %listed;
cmp_ok($unshown, '<=', $UNSHOWN, "no more than $UNSHOWN hints are shown by no test");

my @silent;
foreach my $hint (sort keys %listed)
{
	next if $listed{$hint} eq '-';
	my $text = -e "$top/$listed{$hint}" ? slurp("$top/$listed{$hint}") : '';
	my @parts = fixed_parts($hint);
	@parts = ($hint) unless @parts;
	push @silent, "$listed{$hint}: $hint" if grep { index($text, $_) < 0 } @parts;
}
is(join("\n", @silent), '', 'the tests show the hints that they are listed with');
done_testing();
