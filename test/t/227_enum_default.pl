# A label that a consumer's schema does not have is read as UNKNOWN by fastavro, where the enum has that label.
use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use IPC::Run ();
use JSON::PP ();
use Test::More;

use OutboxCluster;

my $top = abs_path(dirname(__FILE__) . '/../..');
my $node = OutboxCluster->create('enum_default');

# One enum at top level, in an array, in a record; one without the label; one that has it in other letters.
$node->sql(<<'SQL');
CREATE TYPE grade AS ENUM ('GOLD', 'UNKNOWN');
CREATE TYPE plain AS ENUM ('GOLD', 'unknown');
CREATE TYPE part AS (g grade, n int);
CREATE TABLE cust (id int PRIMARY KEY, g grade, a grade[], t part, p plain);
CREATE VIEW cust_v AS SELECT id, g, a, t FROM cust;
CREATE VIEW plain_v AS SELECT id, p FROM cust;
SELECT outbox.create_contract('cust', view => 'cust_v', source => 'cust', key => '{id}', required => '{id,a}');
SELECT outbox.create_contract('other', view => 'plain_v', source => 'cust', key => '{id}', compatibility => 'NONE');
SELECT outbox.create_event_type('Old', contract => 'cust', emit => 'created');
SELECT outbox.create_event_type('OldPlain', contract => 'other', emit => 'created');
SELECT outbox.enable('cust'), outbox.enable('other');
ALTER TYPE grade ADD VALUE 'PLATINUM' BEFORE 'UNKNOWN';
ALTER TYPE plain ADD VALUE 'PLATINUM';
SELECT outbox.create_event_type('New', contract => 'cust', emit => 'created');
SELECT outbox.create_event_type('NewPlain', contract => 'other', emit => 'created');
INSERT INTO cust VALUES (1, 'PLATINUM', '{GOLD,PLATINUM,UNKNOWN}', ROW('PLATINUM', 7), 'PLATINUM');
SQL

is($node->sql("SELECT message FROM outbox.dead_letter WHERE event_type = 'Old'"), $node->sql("SELECT message FROM outbox.dead_letter WHERE event_type = 'OldPlain'") =~ s/"p"/"g"/r,
	'a pinned schema does not know the label: its default is for readers');

# What fastavro reads of an event of the one type with the schema of the other one.
sub read_with
{
	my ($written, $reader) = @_;
	my ($out, $err) = ('', '');
	my $input = JSON::PP->new->encode({
		payload => $node->sql("SELECT encode(payload, 'hex') FROM outbox.event WHERE type = '$written'"),
		map { $_ => $node->sql("SELECT regexp_replace(outbox.avro_schema('$_'), '\"name\": \"(Old|New)', '\"name\": \"Any')") } $written, $reader });

	IPC::Run::run([ "$top/build/venv/bin/python", '-c', <<'PYTHON', $written, $reader ], '<', \$input, '>', \$out, '2>', \$err);
import io, json, sys
import fastavro
given = json.load(sys.stdin)
writer, reader = (json.loads(given[name]) for name in sys.argv[1:3])
try:
    print(json.dumps(fastavro.schemaless_reader(io.BytesIO(bytes.fromhex(given["payload"])), writer, reader), sort_keys=True))
except Exception as error:
    print(type(error).__name__)
PYTHON
	is($err, '', "fastavro accepts the schemas of $written and $reader");
	chomp $out;
	return $out;
}

is(read_with('New', 'Old'), '{"a": ["GOLD", "UNKNOWN", "UNKNOWN"], "g": "UNKNOWN", "id": 1, "t": {"g": "UNKNOWN", "n": 7}}', 'a new label is read as UNKNOWN, wherever it is');
is(read_with('New', 'New'), '{"a": ["GOLD", "PLATINUM", "UNKNOWN"], "g": "PLATINUM", "id": 1, "t": {"g": "PLATINUM", "n": 7}}', 'and as itself by who knows it');
like(read_with('NewPlain', 'OldPlain'), qr/Error$/, 'an enum without the label fails the reader');

# The comparison of schemas agrees.
sub rules { return $node->sql("SELECT string_agg(DISTINCT rule, ',') FROM outbox.check_schemas(" .
	"regexp_replace(outbox.avro_schema('$_[0]'), '\"name\": \"(Old|New)', '\"name\": \"Any'), regexp_replace(outbox.avro_schema('$_[1]'), '\"name\": \"(Old|New)', '\"name\": \"Any')) WHERE severity = 'error'"); }
is(rules('Old', 'New'), '', 'check_schemas() calls the new label compatible');
is(rules('OldPlain', 'NewPlain'), 'ENUM_SYMBOL', 'but not where there is no default');
$node->stop;
done_testing();
