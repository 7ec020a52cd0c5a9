# Compares outbox.check_schemas() with other judges of schemas, on pairs from a seed; see test/compat/compare.py.
# The seed is fixed so that a run says the same twice; OUTBOX_SEED and OUTBOX_PAIRS make another or a longer one.
package OutboxCompat;

use strict;
use warnings;

use Cwd ();
use File::Basename ();
use IPC::Run ();
use Test::More ();

my $TOP = Cwd::abs_path(File::Basename::dirname(__FILE__) . '/../..');

# Avro for Java, fetched once by the runner, which looks for calls of what begins with java
sub java
{
	my ($class, $node, $pairs, $name) = @_;
	return _compare($node, $pairs, $name, 'java', _avro_jars());
}

# The class path of a consumer in Java: Avro, and Kafka's client, which the broker's own artefacts have.
sub java_classpath
{
	chomp(my $kafka = qx(bash -c '. "$TOP/test/brokers/lib.sh"; echo "\$kafka_dir"'));
	return _avro_jars() . "/*:$kafka/*";
}

sub _avro_jars
{
	chomp(my $jars = qx("$TOP/test/compat/fetch.sh"));
	die 'no Avro for Java' if $? != 0;
	return $jars;
}

# fastavro reads values
sub values
{
	my ($class, $node, $pairs, $name) = @_;
	return _compare($node, $pairs, $name, 'values');
}

sub registry
{
	my ($class, $node, $pairs, $name, $url) = @_;
	return _compare($node, $pairs, $name, 'registry', $url);
}

sub _compare
{
	my ($node, $pairs, $name, @judge) = @_;
	my $dsn = 'host=' . $node->host . ' port=' . $node->port . ' user=postgres dbname=postgres';
	my ($out, $err) = ('', '');
	my $ok = IPC::Run::run([ "$TOP/build/venv/bin/python", "$TOP/test/compat/compare.py", '--dsn', $dsn,
			'--seed', $ENV{OUTBOX_SEED} // 1, '--pairs', $ENV{OUTBOX_PAIRS} // $pairs, @judge ], '<', \undef, '>', \$out, '2>', \$err);

	Test::More::ok($ok, $name) or Test::More::diag("$out\n$err");
	Test::More::note($out);
	return $out;
}

1;
