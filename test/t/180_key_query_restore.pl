# A key_query is dumped and restored as the view that it is: with its owner, at once or schema and data apart, also one that
# pg_dump can create only after its tables' constraints, and while it is detached. DROP EXTENSION takes it along without CASCADE.
use strict;
use warnings;

use OutboxCluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = OutboxCluster->create('key_query');

$node->sql(<<'SQL');
CREATE ROLE maker;
CREATE SCHEMA shop AUTHORIZATION maker;
SET ROLE maker;
CREATE TABLE shop.ordr (no int PRIMARY KEY, cust int, note text);
CREATE INDEX ON shop.ordr (cust);
CREATE TABLE shop.line (ordr_no int, ln int, qty int, PRIMARY KEY (ordr_no, ln));
CREATE TABLE shop.cust (id int PRIMARY KEY, nm text);
CREATE TABLE shop.ref (holder text, cust int, PRIMARY KEY (holder, cust));
CREATE TABLE shop.card (holder text);
CREATE VIEW shop.ordr_v AS SELECT o.no, c.nm, (SELECT sum(l.qty) FROM shop.line l WHERE l.ordr_no = o.no) AS qty
FROM shop.ordr o LEFT JOIN shop.cust c ON c.id = o.cust;
RESET ROLE;
SELECT outbox.grant_access('maker', 'admin');
SET ROLE maker;
SELECT outbox.create_contract('full', view => 'shop.ordr_v', source => 'shop.ordr', key => '{no}');
SELECT outbox.create_event_type('FullAny', contract => 'full', emit => 'always');
SELECT outbox.add_source('full', 'shop.line', key_query => 'row.ordr_no');
-- note is in the result of a grouped query because no is the primary key: pg_dump creates the view before that, as a dummy
SELECT outbox.add_source('full', 'shop.cust', key_query => $$SELECT x.no FROM (SELECT o.no, o.note FROM shop.ordr o WHERE o.cust = row.id GROUP BY o.no) x WHERE x.note <> 'row.id'$$);
SELECT outbox.add_source('full', 'shop.card', key_query => 'SELECT o.no FROM shop.ref r JOIN shop.ordr o USING (cust) WHERE r.holder = row.holder');
SELECT outbox.enable('full');
RESET ROLE;
ALTER TABLE shop.ref RENAME holder TO held_by;
INSERT INTO shop.ordr VALUES (1, 10, 'a'), (2, 20, 'b');
INSERT INTO shop.ref VALUES ('h', 10), ('i', 20);
SQL

my $dir = PostgreSQL::Test::Utils::tempdir();
my @connection = ('-h', $node->host, '-p', $node->port);
my $views = q{SELECT c.relname, pg_get_userbyid(c.relowner), obj_description(c.oid, 'pg_class'), s.key_query
	FROM pg_class c LEFT JOIN outbox.source s ON s.key_view = c.oid WHERE c.relname LIKE '%\_key\_query%' ORDER BY 1};

sub dump_database
{
	my ($file, @options) = @_;

	command_ok([ 'pg_dump', @connection, @options, '-f', "$dir/$file", 'postgres' ], "pg_dump @options");
	return;
}

sub load
{
	my ($database, @files) = @_;

	$node->sql("CREATE DATABASE $database") unless $node->sql("SELECT 1 FROM pg_database WHERE datname = '$database'");
	foreach my $file (@files)
	{
		command_ok([ 'psql', @connection, '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $database, '-f', "$dir/$file" ], "$database: $file is restored");
	}
	return $node->in($database);
}

sub works
{
	my ($database, $how) = @_;
	my $told = q{SELECT string_agg(aggregateid, ' ' ORDER BY seq) FROM outbox.event WHERE seq > };
	my $seen = $database->sql('SELECT coalesce(max(seq), 0) FROM outbox.event');

	$database->sql("INSERT INTO shop.line VALUES (1, 1, 5)");
	is($database->sql($told . $seen), '1', "$how: a line touches its order");
	$seen = $database->sql('SELECT max(seq) FROM outbox.event');
	$database->sql("INSERT INTO shop.cust VALUES (20, 'Zed')");
	is($database->sql($told . $seen), '2', "$how: a customer its orders");
	$seen = $database->sql('SELECT max(seq) FROM outbox.event');
	$database->sql("INSERT INTO shop.card VALUES ('h')");
	is($database->sql($told . $seen), '1', "$how: a card those of its holder");
	is($database->sql('SELECT count(*) FROM outbox.dead_letter'), 0, "$how: no dead letter");
	is($database->sql("SELECT state FROM outbox.status WHERE kind = 'contract'"), 'enabled', "$how: status is content");
	return;
}

sub refuses
{
	my ($database, $command, $error, $name) = @_;
	my (undef, undef, $stderr) = $database->psql($database->_database, $command);

	like($stderr, $error, $name);
	return;
}

# ---- at once, and schema and data apart ----
dump_database('whole');
dump_database('schema', '--schema-only');
dump_database('data', '--data-only');
like(slurp_file("$dir/whole"), qr/CREATE OR REPLACE VIEW outbox_internal\.full_cust_key_query/, 'one view is created as a dummy first');
my $made = $node->sql($views);
is(scalar(split /\n/, $made), 3, 'there are three key queries');
my $whole = load('whole', 'whole');
is($whole->sql($views), $made, 'views, owners, comments and key queries are those of the dump');
works($whole, 'at once');
my $apart = load('apart', 'schema', 'data');
is($apart->sql($views), $made, 'schema and data apart: the same');
works($apart, 'apart');
refuses($apart, 'ALTER TABLE shop.ref DROP COLUMN held_by', qr/view outbox_internal\.full_card_key_query depends on column held_by/, 'what it reads is still kept');

# ---- the schema alone: the migration creates the contract again and takes over what is left ----
my $alone = load('alone', 'schema');
is(scalar(split /\n/, $alone->sql($views)), 3, 'without the data, the views are left over');
$alone->sql(<<'SQL');
SET ROLE maker;
SELECT outbox.create_contract('full', view => 'shop.ordr_v', source => 'shop.ordr', key => '{no}');
SELECT outbox.add_source('full', 'shop.line', key_query => 'row.ordr_no');
SQL
is($alone->sql("SELECT key_view FROM outbox.source WHERE key_view IS NOT NULL"), 'outbox_internal.full_line_key_query', 'a key_query takes the place of one that is left over');
is(scalar(split /\n/, $alone->sql($views)), 3, 'there is no second one');
$alone->sql('DROP EXTENSION outbox_ext');
is($alone->sql("SELECT count(*) FROM pg_class WHERE relname LIKE '%\\_key\\_query%'"), 0, 'DROP EXTENSION takes them along, those that are left over, too');

# ---- a view of somebody else's in our schema still stops it ----
my $other = load('other', 'schema');
$other->sql('CREATE VIEW outbox_internal.mine AS SELECT 1 AS one');
refuses($other, 'DROP EXTENSION outbox_ext', qr/view outbox_internal\.mine depends on schema outbox_internal/, 'DROP EXTENSION asks for CASCADE because of others\' views');
is(scalar(split /\n/, $other->sql($views)), 3, 'and has dropped nothing');
is($other->sql("SELECT count(*) FROM pg_depend d JOIN pg_class c ON c.oid = d.objid WHERE c.relname LIKE '%\\_key\\_query%' AND d.refclassid = 'pg_extension'::regclass"),
	0, 'nor left anything behind');

# ---- uninstall ----
is($whole->sql("SELECT count(*) FROM outbox.uninstall() WHERE object LIKE 'outbox\\_internal%' OR action IN ('drop view', 'obstacle')"), 0,
	'uninstall() drops the contracts, and needs no step for key queries');
$whole->sql('SELECT * FROM outbox.uninstall(execute => true); DROP EXTENSION outbox_ext');
is($whole->sql("SELECT count(*) FROM pg_class WHERE relname LIKE '%\\_key\\_query%'"), 0, 'nothing is left');

# ---- while detached ----
$node->sql(q{SELECT outbox.detach('shop.ref')});
dump_database('detached');
my $detached = load('detached', 'detached');
is($detached->sql('SELECT count(*) FROM outbox.source WHERE detached_view IS NOT NULL'), 3, 'a dump knows that they are detached');
is($detached->sql("SELECT state FROM outbox.status WHERE kind = 'contract'"), 'detached', 'and status');
$detached->sql(q{ALTER TABLE shop.ref ALTER held_by TYPE varchar(10); SELECT outbox.reattach('shop.ref'); DELETE FROM outbox.gap});
works($detached, 'detached and attached again');

$node->stop;
done_testing();
