# Every function of the extension with 10,000 random arguments, as a superuser, as an admin and as nobody, while rows are
# written: no process crashes, no call takes longer than its statement_timeout, none ends with an internal error.
# SEED=... repeats the calls, CALLS=... makes more.
use strict;
use warnings;

use IPC::Run ();
use Test::More;
use Time::HiRes qw(time);

use OutboxCluster;

my $seed = $ENV{SEED} // int rand 2**31;
my $calls = $ENV{CALLS} // 10_000;
my $node = OutboxCluster->create('fuzz', conf => "log_statement = none\nlog_min_error_statement = panic\nmax_worker_processes = 6\nautovacuum = off\n");

srand $seed;
diag("SEED=$seed CALLS=$calls");

$node->sql(<<'SQL');
CREATE ROLE fuzz_admin;
CREATE ROLE fuzz_nobody;
SELECT outbox.grant_access('fuzz_admin', 'admin');
CREATE TABLE ordr (ordr_no int PRIMARY KEY, cust_no text, stat_cd char(1), amt numeric(10,2), at timestamptz DEFAULT now());
CREATE TABLE ordr_ln (ordr_no int REFERENCES ordr ON DELETE CASCADE, ln_no int, qty int, PRIMARY KEY (ordr_no, ln_no));
CREATE TABLE part (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);
CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (1000);
CREATE VIEW ordr_v AS SELECT o.ordr_no AS order_id, o.cust_no, outbox.decode('stat', o.stat_cd) AS status, o.amt FROM ordr o;
CREATE VIEW order_full AS SELECT o.ordr_no AS order_id, o.cust_no,
	(SELECT sum(l.qty) FROM ordr_ln l WHERE l.ordr_no = o.ordr_no) AS quantity FROM ordr o;
CREATE VIEW part_v AS SELECT id, v FROM part;
GRANT ALL ON ALL TABLES IN SCHEMA public TO fuzz_admin;
INSERT INTO ordr SELECT i, 'C' || i, 'N', i FROM generate_series(1, 20) i;
INSERT INTO ordr_ln SELECT i, j, j FROM generate_series(1, 20) i, generate_series(1, 3) j;
SQL

# ---- values ----
my @names = ('ordr', 'order_full', 'part', 'a', 'b', 'OrderPlaced', 'OrderGone', 'stat', 'log', 'kafka', 'order_id', 'cust_no', 'status', 'public.ordr',
	'ordr_v', 'part_v', 'ordr_ln', 'fuzz_admin', 'fuzz_nobody', 'reader', 'operator', 'admin', 'created', 'changed', 'deleted', 'always', 'row', 'commit', 'dead_letter',
	'abort', 'gap', 'reject', 'after', 'instead', 'none', 'earliest', 'now', 'block_key', 'skip', 'stop', 'outbox_log', 'outbox_kafka', 'shop.orders', 'row.ordr_no',
	'SELECT row.ordr_no', 'quantity > 0', 'old.status <> new.status', 'nosuch');
my @odd = ('', ' ', "'", '"', '\\', "a'b\"c", 'x' x 64, 'y' x 9000, "\x{c3}\x{a9}", "\n", "; DROP TABLE ordr; --", '%s%n%d', '$1', '{', '((((((((', '1/0', 'pg_catalog.pg_class',
	'SELECT 1; SELECT 2', '-- ', '/*', "\x01\x1b", 'row.', 'old', 'new.*', 'NULL', '../../etc/passwd', "E'\\x'", '0', '-1', 'outbox.event', 'outbox.flush()', '(SELECT 1)',
	'WITH x AS (SELECT 1) SELECT * FROM x', '[' x 2000, '{"a":' x 500);

sub pick { return $_[int rand @_] }

sub quoted
{
	my ($text) = @_;
	$text =~ s/'/''/g;
	$text =~ s/\\/\\\\/g;
	return " E'$text'";
}

sub any_text { return quoted(rand() < 0.75 ? pick(@names) : pick(@odd)) }

my %value = (
	bool => sub { pick('true', 'false') },
	int2 => sub { pick(0, 1, -1, 7, 32767, '(-32768)::int2') . '::int2' },
	int4 => sub { pick(0, 1, -1, 2, 3, 5, 100, 2147483647, '(-2147483648)') . '::int4' },
	int8 => sub { pick(0, 1, -1, 2, 3, 10, 4294967296, '9223372036854775807', "('-9223372036854775808')") . '::int8' },
	float8 => sub { pick(0, 1, "'NaN'", "'-Infinity'", 1e308) . '::float8' },
	numeric => sub { pick(0, 1.5, "'NaN'", 1e30) . '::numeric' },
	oid => sub { pick(0, 1, 1259, 4294967295, "'ordr'::regclass", "'outbox.event'::regclass") . '::oid' },
	regclass => sub { pick("'ordr'", "'ordr_v'", "'part'", "'part_1'", "'ordr_pkey'", "'pg_class'", "'outbox.event'", "'outbox.status'", 0, 4294967295) . '::regclass' },
	regtype => sub { pick("'int4'", "'ordr'", "'text[]'", 0) . '::regtype' },
	name => sub { any_text() . '::name' },
	text => \&any_text,
	cstring => sub { any_text() . '::cstring' },
	bytea => sub { pick("''", "'\\x00'", "'\\xff'", "'\\x0206666f6f'", "repeat('ab', 3000)", "decode(repeat('ff', 200), 'hex')") . '::bytea' },
	uuid => sub { pick("'00000000-0000-0000-0000-000000000000'", 'gen_random_uuid()') . '::uuid' },
	timestamptz => sub { pick("'-infinity'", "'infinity'", "'2000-01-01'", "'294276-12-31'", 'now()') . '::timestamptz' },
	interval => sub { pick("'0'", "'-1 day'", "'1 s'", "'178000000 years'") . '::interval' },
	xid8 => sub { pick("'0'", "'1'", "'18446744073709551615'") . '::xid8' },
	pg_snapshot => sub { pick("'1:1:'", "'1:10:5'", 'pg_current_snapshot()') . '::pg_snapshot' },
	jsonb => sub {
		return pick("'{}'", "'[]'", "'null'", "'1'", q('"x"'), q('{"N": "NEW", "S": "SHIPPED"}'), q('{"a": {"b": [1, 2, {"c": null}]}}'), q('{"": ""}'),
			q('{"bootstrap.servers": "127.0.0.1:1"}'), q('{"payload": true}'), q('{"file": "/etc/hostname"}'), q('{"bootstrap.servers": {"file": "/nonexistent"}}'),
			q('{"order_id": 1}'), q('{"id": 5}'), "jsonb_build_object(repeat('k', 5000), repeat('v', 5000))") . '::jsonb';
	},
	xml => sub { pick("'<a/>'", "'x'") . '::xml' });
$value{json} = sub { my $j = $value{jsonb}->(); $j =~ s/::jsonb$/::text::json/; $j };

sub argument
{
	my ($type) = @_;

	return "NULL::$type" if rand() < 0.06;
	if ($type =~ /^(.*)\[\]$/)
	{
		my $element = $1;
		return "'{}'::$type" if rand() < 0.2;
		my $array = 'ARRAY[' . join(', ', map { argument($element) } 0 .. int rand 3) . "]::$type";
		return rand() < 0.05 ? "ARRAY[$array, $array]" : $array;
	}
	return $value{$type}->() if $value{$type};
	return 'NULL::' . $type;
}

# ---- functions: name, argument names and types, how many have defaults ----
my @functions = map { [ split /\|/, $_, -1 ] } split /\n/, $node->sql(<<'SQL');
SELECT format('%I.%I', n.nspname, p.proname), p.pronargs, p.pronargdefaults, coalesce(array_to_string(p.proargnames[1:p.pronargs], ','), ''),
	array_to_string(ARRAY(SELECT CASE WHEN t.typelem <> 0 AND t.typlen = -1 THEN e.typname || '[]' ELSE coalesce(nullif(tn.nspname, 'pg_catalog') || '.', '') || t.typname END
		FROM unnest(p.proargtypes) WITH ORDINALITY a (type, i) JOIN pg_type t ON t.oid = a.type JOIN pg_namespace tn ON tn.oid = t.typnamespace
		LEFT JOIN pg_type e ON e.oid = t.typelem ORDER BY i), ',')
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'outbox_ext'
WHERE p.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype) AND NOT 'internal'::regtype = ANY (p.proargtypes::oid[])
ORDER BY 1, 5
SQL
cmp_ok(scalar @functions, '>', 40, 'functions are found');

sub call
{
	my ($function) = @_;
	my ($name, $nargs, $defaults, $names, $types) = @$function;
	my @names = split /,/, $names;
	my @types = split /,/, $types;
	my @given = map { $_ >= $nargs - $defaults && rand() < 0.5 ? undef : argument($types[$_]) } 0 .. $nargs - 1;
	my $named = @names == $nargs && !grep { $_ eq '' } @names;

	@given = map { $_ // argument($types[0]) } @given[0 .. $nargs - $defaults - 1] unless $named;
	return "SELECT * FROM $name(" . join(', ', map { $named ? qq("$names[$_]" => $given[$_]) : $given[$_] } grep { defined $given[$_] } 0 .. $#given) . ');';
}

my @writes = ("UPDATE ordr SET cust_no = cust_no || 'x' WHERE ordr_no = 3;", "UPDATE ordr SET cust_no = left(cust_no, 5), stat_cd = 'S' WHERE ordr_no < 4;",
	"DELETE FROM ordr_ln WHERE ordr_no = 5; INSERT INTO ordr_ln VALUES (5, 1, 1), (5, 2, 2);", "INSERT INTO part VALUES (1, 'a') ON CONFLICT (id) DO UPDATE SET v = part.v || 'b';",
	'BEGIN; UPDATE ordr SET amt = amt + 1; ROLLBACK;', 'DELETE FROM part;', 'TRUNCATE part;', 'SELECT count(*) FROM outbox.status;', 'SELECT count(*) FROM outbox.event_json;');
# what makes that random calls meet something: names that exist
my @seeds = (
	"SELECT outbox.create_code_map('stat', '{\"N\": \"NEW\", \"S\": \"SHIPPED\"}');",
	"SELECT outbox.create_contract('ordr', view => 'ordr_v', source => 'ordr', key => '{order_id}');",
	"SELECT outbox.create_contract('order_full', view => 'order_full', source => 'ordr', key => '{order_id}');",
	"SELECT outbox.add_source('order_full', 'ordr_ln', key_query => 'row.ordr_no');",
	"SELECT outbox.create_contract('part', view => 'part_v', source => 'part', key => '{id}');",
	"SELECT outbox.create_event_type('OrderPlaced', contract => 'ordr', emit => 'created');",
	"SELECT outbox.create_event_type('OrderGone', contract => 'order_full', emit => 'always');",
	"SELECT outbox.create_event_type('a', contract => 'part', emit => 'deleted', tombstone => 'after');",
	"SELECT outbox.enable('ordr');", "SELECT outbox.enable('order_full');", "SELECT outbox.enable('part');",
	"SELECT outbox.create_sink('log', library => 'outbox_log');", "SELECT outbox.start_relay('log');");

my @roles = ('RESET ROLE;', 'RESET ROLE;', 'RESET ROLE;', 'SET ROLE fuzz_admin;', 'SET ROLE fuzz_nobody;');
my @statements;
for my $n (0 .. $calls - 1)
{
	push @statements, 'RESET ROLE;', @seeds if $n % 200 == 0;
	push @statements, 'RESET ROLE;', pick(@writes) if rand() < 0.1;
	push @statements, pick(@roles);
	my $function = $functions[ $n % @functions ];
	# these look at every object of the database: a second under load
	$function = pick(@functions) while $function->[0] =~ /uninstall/ && rand() < 0.95;
	push @statements, (rand() < 0.9 ? '' : 'BEGIN; ') . call($function);
	push @statements, 'ROLLBACK;' if $statements[-1] =~ /^BEGIN/;
}

# ---- run, in two sessions beside each other ----
my $timeout = 5;
my $begin = time;
my @sessions;
for my $half (0, 1)
{
	my $file = PostgreSQL::Test::Utils::tempdir() . "/calls.sql";
	my @mine = @statements[ $half * int(@statements / 2) .. ($half == 0 ? int(@statements / 2) - 1 : $#statements) ];

	PostgreSQL::Test::Utils::append_to_file($file, "SET statement_timeout = '${timeout}s'; SET lock_timeout = '1s'; SET client_min_messages = warning;\n" . join("\n", @mine) . "\n");
	my ($out, $err) = ('', '');
	my $harness = IPC::Run::start([ 'psql', '-XAtq', '-v', 'VERBOSITY=verbose', '-v', 'ON_ERROR_STOP=0', '-o', '/dev/null', '-d', $node->connstr('postgres'), '-f', $file ],
		'<', \undef, '>', \$out, '2>', \$err, IPC::Run::timeout(900));
	push @sessions, { harness => $harness, err => \$err, file => $file, statements => \@mine };
}
$_->{harness}->finish for @sessions;
note(sprintf '%d calls of %d functions in %.0f s', $calls, scalar @functions, time - $begin);

# ---- judge ----
my $describes = qr/outbox\.(uninstall|export_config|legacy_view)\(|outbox_internal\.(config_\w+|uninstall_plan|view_\w+|contract_views|dependent_views|key_query_text)\(/;
my %sqlstates;
for my $session (@sessions)
{
	my @lines = split /\n/, PostgreSQL::Test::Utils::slurp_file($session->{file});
	my @internal;

	while (${ $session->{err} } =~ /^psql:\S+?:(\d+): (?:ERROR|FATAL|PANIC):  (\w{5}): (.*)$/mg)
	{
		my ($line, $state, $text) = ($1, $2, $3);

		$sqlstates{$state}++;
		# PostgreSQL's own pg_get_viewdef(), and its kind, beside a session that drops what it describes
		next if $text =~ /^(could not open relation with OID|cache lookup failed for relation) \d+$/ && $lines[ $line - 1 ] =~ $describes;
		push @internal, "$state $text\n    " . substr($lines[ $line - 1 ], 0, 500) if $state =~ /^XX/;
	}
	is(join("\n", @internal[ 0 .. ($#internal < 9 ? $#internal : 9) ]), '', 'no internal error');
	unlike(${ $session->{err} }, qr/server closed the connection|connection to server was lost/, 'no session was lost');
}
note(join ' ', map { "$_:$sqlstates{$_}" } sort { $sqlstates{$b} <=> $sqlstates{$a} } keys %sqlstates);
is($node->sql('SELECT 1'), '1', 'the server is there');
my $log = PostgreSQL::Test::Utils::slurp_file($node->logfile);
unlike($log, qr/was terminated by signal|PANIC:|TRAP:/, 'no process crashed');
cmp_ok($sqlstates{'57014'} // 0, '<', $calls / 100, 'hardly any call was as long as its statement_timeout');

$node->stop;
done_testing();
