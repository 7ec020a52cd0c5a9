# The SQL of the documentation as something psql can run.
#
# A page becomes a script of the same name and the same number of lines in which everything but
# the ```sql blocks is blank, so that an error of psql has the file and the line of the page. The
# fences are used as well: a block marked "```sql error" must end with a statement that fails.
# Other info strings (```text, ```c, ...) and fences without one are not run.
package OutboxDocs;

use strict;
use warnings;

use Exporter 'import';
our @EXPORT_OK = qw(psql_script missed_failure);

# What stands at the end of a block that has to fail: ERROR is psql's verdict on its last statement, and
# the text is no boolean. psql decides whether to stop when it reads the line, so it goes on behind it:
# missed_failure() looks for the text.
my $NOT_FAILED = 'the block before this line should have failed';
my $MUST_HAVE_FAILED = "\\set ON_ERROR_STOP 1 \\\\ SELECT CASE :'ERROR' WHEN 'true' THEN true "
  . "ELSE '$NOT_FAILED'::text::boolean END;";

# Whether psql's errors say that a block did not fail that should have.
sub missed_failure
{
	my ($stderr) = @_;
	return index($stderr, $NOT_FAILED) >= 0;
}

# The script of a page, and how many blocks it has. Dies, naming the line, for a fence that is not closed
# and for an info string that looks like SQL and is not one of the two.
sub psql_script
{
	my ($page, $text) = @_;
	my ($script, $fence, $blocks, $number) = ("", undef, 0, 0);

	foreach my $line (split /\n/, $text)
	{
		my $out = '';

		$number++;
		if (!defined $fence && $line =~ /^```(.*)$/)
		{
			my $info = $1;

			$fence = { info => $info, line => $number };
			die "$page:$number: unknown info string \"$info\"\n"
			  if $info =~ /^\s*sql/i && $info !~ /^sql( error)?$/;
			$blocks++ if $info =~ /^sql/;
			$out = '\set ON_ERROR_STOP 0' if $info eq 'sql error';
		}
		elsif (defined $fence && $line =~ /^```\s*$/)
		{
			$out = $MUST_HAVE_FAILED if $fence->{info} eq 'sql error';
			undef $fence;
		}
		elsif (defined $fence && $fence->{info} =~ /^sql/)
		{
			$out = $line;
		}
		$script .= "$out\n";
	}
	die "$page:$fence->{line}: the block is not closed\n" if defined $fence;
	return ($script, $blocks);
}

1;
