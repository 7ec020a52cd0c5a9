# The settings that the owner of a database can give it (ALTER DATABASE ... SET) stop no relay and change no object: all
# that a user may set is tried, and the worst values of what a background process or CREATE EXTENSION depends on.
use strict;
use warnings;

use Test::More;

use OutboxCluster;

my $node = OutboxCluster->create('hostile', extension => 0);
my $broker = OutboxBroker->mock;

$node->safe_psql('postgres', <<'SQL');
CREATE ROLE nobody;
CREATE ROLE somebody LOGIN;
CREATE DATABASE plain;
CREATE DATABASE hostile OWNER somebody;
SQL

# ---- the same objects, whatever the session's settings are when they are created ----
my %at_creation = (
	standard_conforming_strings => 'off', escape_string_warning => 'on', backslash_quote => 'on', transform_null_equals => 'on',
	array_nulls => 'off', DateStyle => "'SQL, DMY'", IntervalStyle => 'sql_standard', TimeZone => "'Pacific/Auckland'",
	bytea_output => 'escape', extra_float_digits => '-15', xmlbinary => 'hex', quote_all_identifiers => 'on',
	check_function_bodies => 'off', search_path => 'nowhere', default_transaction_isolation => 'serializable',
	row_security => 'on');
# strings have one syntax there
delete @at_creation{qw(standard_conforming_strings escape_string_warning)} if $node->pg_version->major >= 19;
my $objects = <<'SQL';
SELECT string_agg(o, E'\n' ORDER BY o COLLATE "C") FROM (
	SELECT 'view ' || c.oid::regclass || pg_get_viewdef(c.oid) FROM pg_class c WHERE c.relkind = 'v' AND c.relnamespace::regnamespace::text LIKE 'outbox%'
	UNION ALL SELECT pg_get_functiondef(p.oid) || coalesce(p.proacl::text, '') FROM pg_proc p WHERE p.pronamespace::regnamespace::text LIKE 'outbox%'
	UNION ALL SELECT 'constraint ' || conrelid::regclass || pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace::regnamespace::text LIKE 'outbox%'
	UNION ALL SELECT 'default ' || adrelid::regclass || adnum || pg_get_expr(adbin, adrelid) FROM pg_attrdef d JOIN pg_class c ON c.oid = adrelid WHERE c.relnamespace::regnamespace::text LIKE 'outbox%'
	UNION ALL SELECT 'index ' || pg_get_indexdef(indexrelid) FROM pg_index i JOIN pg_class c ON c.oid = indrelid WHERE c.relnamespace::regnamespace::text LIKE 'outbox%'
	UNION ALL SELECT 'trigger ' || pg_get_triggerdef(t.oid) || tgenabled::text FROM pg_trigger t JOIN pg_class c ON c.oid = tgrelid WHERE c.relnamespace::regnamespace::text LIKE 'outbox%' AND NOT tgisinternal
	UNION ALL SELECT 'comment ' || description FROM pg_description d JOIN pg_depend x ON x.classid = d.classoid AND x.objid = d.objoid WHERE x.deptype = 'e'
	UNION ALL SELECT 'table ' || c.oid::regclass || a.attname || format_type(a.atttypid, a.atttypmod) || c.relkind::text || coalesce(c.relacl::text, '')
		FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 WHERE c.relnamespace::regnamespace::text LIKE 'outbox%') x (o)
SQL
my $set = join '', map { "SET $_ = $at_creation{$_};\n" } sort keys %at_creation;
my $plain = $node->in('plain');
my $hostile = $node->in('hostile');

$plain->sql('CREATE EXTENSION outbox_ext');
my ($rc, undef, $stderr) = $node->psql('hostile', "SET client_min_messages = warning;\n${set}CREATE EXTENSION outbox_ext");
is($rc, 0, 'CREATE EXTENSION works under them');
is($stderr, '', 'without a warning');
my @plain = split /\n/, $plain->sql("SET search_path = pg_catalog; $objects");
my @hostile = split /\n/, $hostile->sql("SET search_path = pg_catalog; $objects");
cmp_ok(scalar @plain, '>', 500, 'all objects are looked at');
is_deeply(\@hostile, \@plain, 'and makes the same objects');

# ---- what stops a background process ----
my $prepare = <<'SQL';
CREATE TABLE t (id int PRIMARY KEY, v text);
CREATE VIEW t_v AS SELECT id, v FROM t;
SELECT outbox.create_contract('t', view => 't_v', source => 't', key => '{id}');
SELECT outbox.create_event_type('TChanged', contract => 't', emit => 'always');
SELECT outbox.enable('t');
SQL
$hostile->sql($prepare);
$hostile->create_sink('kafka', $broker);
$hostile->sql("INSERT INTO t VALUES (1, 'a')");
$hostile->wait_published('kafka');
for my $setting ("role = 'nobody'", "session_authorization = 'nobody'", 'default_transaction_read_only = on', "default_transaction_isolation = 'serializable'",
	"default_transaction_deferrable = on", "search_path = 'nowhere'", 'statement_timeout = 1', 'lock_timeout = 1', 'idle_in_transaction_session_timeout = 1',
	'row_security = on', 'exit_on_error = on', "default_tablespace = 'none_such'", "default_table_access_method = 'none_such'", 'standard_conforming_strings = off',
	'transform_null_equals = on', 'array_nulls = off', "DateStyle = 'SQL, DMY'", "restrict_nonsystem_relation_kind = 'view, foreign-table'",
	'force_parallel_mode = on', 'debug_parallel_query = on', 'synchronous_commit = off', "client_encoding = 'SQL_ASCII'", "local_preload_libraries = 'none_such'",
	"session_preload_libraries = 'none_such'", "application_name = 'innocent'", 'event_triggers = off', 'transaction_timeout = 1', 'idle_session_timeout = 1')
{
	my ($name) = $setting =~ /^(\w+)/;

	# some are of other versions, some values are refused at once
	next if $node->psql('postgres', "ALTER DATABASE hostile SET $setting") != 0;
	pass("ALTER DATABASE can set $name");
}
ok($hostile->safe_psql('postgres', "SELECT count(*) >= 15 FROM pg_db_role_setting, unnest(setconfig) WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = 'hostile')"),
	'most of them');


# ---- a restart: the launcher's probe and the relay live under all of them ----
$node->restart;
$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'outbox relay' AND datname = 'hostile'")
  or die 'no relay was started';
pass('the probe finds the sink, a relay is started');
like($node->safe_psql('postgres', "SELECT string_agg(DISTINCT backend_type, ' ') FROM pg_stat_activity WHERE datname = 'hostile'"), qr/outbox relay/, 'it stays');
{
	# what a client says counts more than what the database says
	local $ENV{PGOPTIONS} = join ' ', map { "-c $_" } ('role=none', 'session_authorization=' . $node->safe_psql('postgres', 'SELECT session_user'), 'default_transaction_read_only=off',
		'default_transaction_isolation=read\ committed', 'statement_timeout=0', 'lock_timeout=0', 'idle_in_transaction_session_timeout=0',
		'search_path=public', 'standard_conforming_strings=on', 'client_encoding=UTF8', 'client_min_messages=error', 'local_preload_libraries=', 'session_preload_libraries=',
		'DateStyle=ISO', map { $node->psql('postgres', "SHOW $_") == 0 ? "$_=" . ($_ =~ /timeout/ ? 0 : '') : () } qw(transaction_timeout idle_session_timeout restrict_nonsystem_relation_kind));

	$hostile->sql("INSERT INTO t VALUES (2, 'b'); UPDATE t SET v = 'c' WHERE id = 1;");
	$hostile->wait_published('kafka');
	my %last = map { $_->{key} => $_->{value}{v} } @{ $hostile->consume($broker, 't') };
	is_deeply(\%last, { 1 => 'c', 2 => 'b' }, 'and publishes');
	# what the keeper creates and what the relay notes
	is($hostile->sql("SELECT count(*) FROM outbox.leaf l JOIN pg_class c ON c.oid = l.relation WHERE c.reltablespace <> 0 OR c.relam <> 2"), '0', 'leaves are ordinary tables where they belong');
	is($hostile->sql("SELECT last_error FROM outbox_internal.relay_report()"), '', 'without an error');
}
unlike(PostgreSQL::Test::Utils::slurp_file($node->logfile), qr/relay of sink "kafka" failed|outbox probe.*exited with exit code [1-9]/, 'nothing failed');

$node->stop;
done_testing();
