# What the Kafka sink's order and acknowledgements rest on, without a broker: the model of producer and broker finds the old
# way wrong and the present one right, and every error code of the installed client library has its verdict.
use strict;
use warnings;

use IPC::Run ();
use Test::More;

sub python
{
	my ($out, $err) = ('', '');
	IPC::Run::run([ 'build/venv/bin/python', @_ ], '<', \undef, '>', \$out, '2>', \$err);
	return $out . $err;
}

for my $line (split /\n/, python('test/python/kafka_model.py'))
{
	my ($ok, $what) = $line =~ /^(\w+): (.*)/ ? ($1 eq 'ok', $2) : (0, $line);
	ok($ok, "the model: $what");
}
cmp_ok(Test::More->builder->current_test, '>=', 12, 'every rule was explored');
is(python('test/python/kafka_error_codes.py', 'src/sinks/kafka/kafka_error.c', 'src/sinks/kafka/README.md'), '',
	'every error code of the library has its verdict, and its row in README.md');
done_testing();
