# The library serves SQL objects of an earlier version (test/modules/older_sql): writes are captured, views answer, and
# what would change configuration says what to do.
use strict;
use warnings;

use OutboxCluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = OutboxCluster->create('older');
my $older = $node->in('older');
my $tables = <<'SQL';
CREATE TABLE ordr (ordr_no int PRIMARY KEY, stat char(1), qty int);
CREATE VIEW order_v AS SELECT ordr_no AS order_id, outbox.decode('stat', stat) AS status, 10 / qty AS share FROM ordr;
SQL

$node->sql('CREATE DATABASE older');
$older->sql("CREATE EXTENSION outbox_ext VERSION '0.0.9'; $tables");
pass('every C function that the older script names is there');

# What the older library would have written: the same contract, as it is configured now, in the columns of that time.
$node->sql($tables . <<'SQL');
SELECT outbox.create_code_map('stat', '{"N": "NEW"}');
SELECT outbox.create_contract('order', view => 'order_v', source => 'ordr', key => '{order_id}', required => '{status}');
SELECT outbox.create_event_type('OrderPlaced', contract => 'order', emit => 'created', topic => 'orders');
SELECT outbox.create_event_type('OrderChanged', contract => 'order', emit => 'changed', previous => '{status}');
SELECT outbox.add_check('OrderPlaced', 'share', 'share < 100');
SELECT outbox.create_sink('log', library => 'outbox_log');
SELECT outbox.enable('order');
SQL
foreach my $table (qw(contract contract_version source event_type check_rule code_map event_schema sink))
{
	my $rows = $node->sql("SELECT json_agg(t) FROM outbox.$table t");

	$rows =~ s/'/''/g;
	$older->sql("INSERT INTO outbox.$table SELECT * FROM json_populate_recordset(NULL::outbox.$table, '$rows')");
}
$older->sql("SELECT setval('outbox_internal.contract_id_seq', (SELECT max(id) FROM outbox.contract))");
$older->sql(<<'SQL');
CREATE TRIGGER "!outbox_order" AFTER INSERT OR UPDATE OR DELETE ON ordr FOR EACH ROW EXECUTE FUNCTION outbox.capture();
CREATE TRIGGER "!outbox!order" AFTER TRUNCATE ON ordr FOR EACH STATEMENT EXECUTE FUNCTION outbox.capture_truncate();
ALTER TRIGGER "!outbox_order" ON ordr DEPENDS ON EXTENSION outbox_ext;
ALTER TRIGGER "!outbox!order" ON ordr DEPENDS ON EXTENSION outbox_ext;
UPDATE outbox.sink SET desired_state = 'running';
SQL

# ---- writes ----
$older->sql("INSERT INTO ordr VALUES (1, 'N', 2), (2, 'Q', 2), (3, 'N', 0)");
$older->sql('UPDATE ordr SET qty = 5 WHERE ordr_no = 1');
is($older->sql('SELECT type, aggregateid, payload FROM outbox.event_json ORDER BY seq'),
	qq(OrderPlaced|1|{"share": 5, "status": "NEW", "order_id": 1}\n)
	  . 'OrderChanged|1|{"share": 2, "status": "NEW", "order_id": 1, "previous_status": "NEW"}', 'writes are captured');
is($older->sql('SELECT event_type, stage, key FROM outbox.dead_letter ORDER BY id'),
	qq(OrderPlaced|encode|{"order_id": 2}\n|map|{"order_id": 3}), 'what cannot be is a dead letter');
$older->sql('TRUNCATE ordr');
is($older->sql('SELECT contract, source, reason FROM outbox.gap'), 'order|ordr|truncate', 'TRUNCATE leaves a gap');
$older->sql('ALTER TRIGGER "!outbox_order" ON ordr RENAME TO "!outbox_gone"');
$older->sql("INSERT INTO ordr VALUES (4, 'N', 1)");
is($older->sql('SELECT reason FROM outbox.gap ORDER BY id DESC LIMIT 1'), 'contract_missing', 'so does a contract that is not there');
$older->sql("DELETE FROM outbox.contract WHERE name = 'order'");

# ---- what answers, and what waits ----
is($older->sql("SELECT kind, state FROM outbox.status WHERE kind = 'extension'"), 'extension|version mismatch', 'status says so');
like($older->sql('SELECT captured, dead_letters FROM outbox_internal.contract_counters()'), qr/^$|^2\|2$/, 'counters answer in the columns of that time');
is($older->sql('SELECT count(*) FROM outbox_internal.relay_report()'), 1, 'and so does the relay report');
is($older->sql('SELECT count(*) FROM outbox.relay_progress'), 0, 'nothing is published');
$older->sql('SELECT pg_reload_conf()');
$node->wait_for_log(qr/relays of database "older" are not started.*?HINT:  \QRun ALTER EXTENSION outbox_ext UPDATE in that database, then reload the server's configuration.\E/s);
pass('and the log says why');

my @answering = split /\n/, $older->sql(<<'SQL');
CREATE FUNCTION outcome(function regprocedure) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    arguments text;
BEGIN
    SELECT string_agg(CASE t::regtype::text WHEN 'text[]' THEN '''{x}''::text[]' WHEN 'jsonb' THEN '''{"x": "y"}''::jsonb'
                      WHEN 'bytea' THEN '''x''::bytea' WHEN 'text' THEN '''x''::text' ELSE '1::' || t::regtype END, ', ' ORDER BY o)
    INTO arguments FROM unnest((SELECT proargtypes::oid[] FROM pg_proc WHERE oid = function)) WITH ORDINALITY AS a (t, o);
    EXECUTE format('SELECT count(*) FROM %s(%s)', function::regproc, arguments);
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    RETURN sqlstate || ' ' || sqlerrm;
END $$;
WITH ours AS MATERIALIZED (
    SELECT oid, proname FROM pg_proc WHERE pronamespace IN ('outbox'::regnamespace, 'outbox_internal'::regnamespace) AND prorettype <> 'trigger'::regtype)
SELECT oid::regprocedure FROM ours
WHERE coalesce(outcome(oid), '') NOT LIKE '55000 extension outbox_ext has version 0.0.9%, but the loaded library has version%'
ORDER BY proname, oid::regprocedure::text COLLATE "C" DESC;
SQL
is_deeply(\@answering, [ 'outbox_internal.contract_counters()', 'outbox.decode(text,text)', 'outbox.decode(text,bigint)', 'outbox_internal.decode_payload(integer,bytea)',
	'outbox_internal.library_version()', 'outbox_internal.preloaded()', 'outbox_internal.relay_report()' ], 'everything else says that the versions differ');

# ---- out of it ----
my $dump = PostgreSQL::Test::Utils::tempdir() . '/older';
command_ok([ 'pg_dump', '-h', $node->host, '-p', $node->port, '-f', $dump, 'older' ], 'pg_dump');
$older->sql('DROP VIEW order_v; DROP EXTENSION outbox_ext');
is($older->sql("SELECT count(*) FROM pg_trigger WHERE tgname LIKE '!outbox%'"), 0, 'DROP EXTENSION');
is($node->sql('SELECT state FROM outbox.status WHERE kind = \'extension\''), 'active', 'the database beside it never noticed');

$node->stop;
done_testing();
