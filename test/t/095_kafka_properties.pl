# Every property of librdkafka is classified: free, limited, or refused; and what is refused in create_sink is refused in
# an UPDATE too. Walks through the properties of the library that is installed.
use strict;
use warnings;

use IPC::Run ();
use Test::More;

use PostgreSQL::Test::Utils ();
use OutboxCluster;

my $node = OutboxCluster->create('kafka_properties');

# Names of all properties, those that librdkafka documents and those that it only knows.
my $script = <<'PYTHON';
import ctypes, ctypes.util
kafka = ctypes.CDLL("librdkafka.so.1")
c = ctypes.CDLL(None)
names = set()
for kind in ("", "topic_"):
    new, dump = getattr(kafka, f"rd_kafka_{kind}conf_new"), getattr(kafka, f"rd_kafka_{kind}conf_dump")
    new.restype = ctypes.c_void_p
    dump.restype = ctypes.POINTER(ctypes.c_char_p)
    n = ctypes.c_size_t()
    found = dump(ctypes.c_void_p(new()), ctypes.byref(n))
    names |= {found[i].decode() for i in range(0, n.value, 2)}
import os, sys, tempfile
with tempfile.NamedTemporaryFile("r") as file:
    c.fopen.restype = ctypes.c_void_p
    stream = ctypes.c_void_p(c.fopen(file.name.encode(), b"w"))
    kafka.rd_kafka_conf_properties_show(stream)
    c.fclose(stream)
    for line in file:
        cells = line.split("|")
        if len(cells) >= 5 and cells[0].strip() and cells[0].strip() != "Property" and "---" not in line:
            names.add(cells[0].strip())
print("\n".join(sorted(names)))
PYTHON
my ($out, $err) = ('', '');
IPC::Run::run([ 'build/venv/bin/python', '-' ], '<', \$script, '>', \$out, '2>', \$err) or die "could not list properties: $err";
my @names = split /\n/, $out;
cmp_ok(scalar(@names), '>', 150, 'librdkafka tells its properties');

# What create_sink says to each of them, in one session.
my $values = join ', ', map { "('$_')" } @names;
my $answers = $node->sql(<<"SQL");
SET client_min_messages = error;
CREATE FUNCTION pg_temp.answer(option text) RETURNS text LANGUAGE plpgsql AS \$\$
DECLARE detail text;
BEGIN
	PERFORM outbox.create_sink('walk', library => 'outbox_kafka', options => jsonb_build_object('bootstrap.servers', 'a:1', option, 'no such value'));
	RAISE EXCEPTION 'accepted' USING ERRCODE = 'P0002';
EXCEPTION WHEN no_data_found THEN RETURN 'accepted';
WHEN invalid_parameter_value THEN GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL; RETURN SQLERRM || ': ' || detail;
END \$\$;
SELECT string_agg(name || ' ' || pg_temp.answer(name), E'\\n' ORDER BY name) FROM (VALUES $values) v (name);
SQL
my %answer = map { /^(\S+) (.*)/ ? ($1 => $2) : () } split /\n/, $answers;
is(scalar(keys %answer), scalar(@names), 'each gets an answer');
is(join(', ', grep { $answer{$_} =~ /does not know whether|unknown option/ } @names), '', 'none is left that nobody has classified');
is(join(', ', grep { /_cb$|^opaque$/ && $answer{$_} !~ /cannot be set/ } @names), '', 'functions and structures of programs are refused');

sub refused
{
	my ($option, $value, $reason) = @_;
	my $json = qq({"bootstrap.servers": "a:1", "$option": "$value"});
	my $words = qr/22023:.*sink option "\Q$option\E"|22023:.*option "\Q$option\E" cannot be set/;

	like($node->sql_error("SELECT outbox.create_sink('refused', 'outbox_kafka', '$json')"), qr/$words.*$reason/s, "$option = $value is refused");
	like($node->sql_error("UPDATE outbox.sink SET options = options || '{\"$option\": \"$value\"}'"), qr/$words.*$reason/s, 'in an UPDATE too');
	return;
}

$node->sql(q(SELECT outbox.create_sink('kafka', 'outbox_kafka', '{"bootstrap.servers": "a:1"}')));
refused('partitioner', 'random', 'going to one partition.*murmur2_random');
refused('partitioner', 'consistent_random', 'going to one partition');
refused('partitioner', '', 'going to one partition');
refused('max.in.flight', 6, 'at most 5 requests');
refused('max.in.flight.requests.per.connection', '1000000', 'at most 5 requests');
refused('enable.idempotence', 'false', 'order and completeness');
refused('acks', 1, 'all in-sync replicas');
refused('retries', 0, 'never given up');
refused('message.timeout.ms', 1000, 'never given up');
refused('queuing.strategy', 'lifo', 'order and completeness');
refused('transactional.id', 'x', 'not in transactions');
refused('topic.metadata.refresh.interval.ms', -1, 'new partitions');
refused('internal.termination.signal', 9, 'Signals');
refused('api.version.request', 'false', 'protocol');

is($node->sql("SELECT options FROM outbox.sink"), '{"bootstrap.servers": "a:1"}', 'none of it changed the sink');
for my $good ('{"partitioner": "murmur2"}', '{"partitioner": "consistent"}', '{"partitioner": "fnv1a_random"}', '{"max.in.flight": 1}',
	'{"sticky.partitioning.linger.ms": 5}', '{"compression.codec": "zstd"}')
{
	$node->sql("UPDATE outbox.sink SET options = options || '$good'");
	pass("$good is accepted");
}
$node->sql("UPDATE outbox.sink SET options = options || '{\"no.such.property\": 1}'");
$node->sql("SELECT outbox.start_relay('kafka')");
$node->poll_until(q(SELECT last_error ~ 'unknown option "no.such.property"' FROM outbox.status WHERE name = 'kafka'));
pass('what is merely wrong shows in status');
$node->sql("UPDATE outbox.sink SET on_reject = 'skip'");
unlike(PostgreSQL::Test::Utils::slurp_file($node->logfile), qr/STATEMENT:.*refused.*acks/, 'options are not in the log');

$node->stop;
done_testing();
