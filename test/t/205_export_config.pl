# export_config() prints a migration file that makes another database do the same, however its names are written, and
# that may run again; it has no id, no time and no secret.
use strict;
use warnings;

use Test::More;

use OutboxCluster;
use PostgreSQL::Test::Utils;

my $node = OutboxCluster->create('export');
my $long = 'x' x 63;
# A schema, a column and a code map with all that quoting can go wrong with.
my $odd = q{Ha'rd "" $$ \ ü};
my $map = q{ma''p $$ \ ü};
my $quoted = $odd =~ s/'/''/gr;

my $TABLES = <<"SQL";
CREATE SCHEMA "$odd";
CREATE TABLE "$odd"."select" (id int PRIMARY KEY, "qu""ote" text, "$long" int, "\$\$" numeric(10,2), st char(1));
CREATE TABLE "$odd"."from" (id int, line int, PRIMARY KEY (id, line));
CREATE TABLE plain (id int PRIMARY KEY, v text);
GRANT ALL ON SCHEMA "$odd" TO ex_owner;
GRANT SELECT ON ALL TABLES IN SCHEMA "$odd" TO ex_owner;
SQL

my $CONFIGURATION = <<"SQL";
CREATE VIEW "$odd"."zz base" AS SELECT id, "qu""ote", "\$\$", "$long", st FROM "$odd"."select";
CREATE VIEW "$odd"."view's" WITH (security_barrier) AS SELECT id AS order_id, "qu""ote" AS quote, "\$\$" AS price, "$long",
    outbox.decode('$map', st) AS status FROM "$odd"."zz base" WHERE "qu""ote" <> E'it''s \\\\ \$\$ ü';
COMMENT ON VIEW "$odd"."view's" IS E'it''s \$\$ \\\\\\n-- two lines ü';
COMMENT ON COLUMN "$odd"."view's".quote IS 'q';
ALTER VIEW "$odd"."view's" OWNER TO ex_owner;
ALTER VIEW "$odd"."zz base" OWNER TO ex_owner;
GRANT SELECT ON "$odd"."view's" TO PUBLIC;
CREATE VIEW counted AS SELECT o.id AS order_id, (SELECT count(*) FROM "$odd"."from" l WHERE l.id = o.id) AS n FROM "$odd"."select" o;
CREATE VIEW plain_v AS SELECT id, v FROM plain;
SELECT outbox.create_code_map('$map', '{"N": "it''s \\\\ \$\$", "ü": "Ü"}');
SET outbox.namespace = 'shop.x';
SELECT outbox.create_contract('hard', view => '"$quoted"."view''s"', source => '"$quoted"."select"', key => '{order_id}',
    required => '{quote}', on_invalid => 'abort', on_truncate => 'reject', compatibility => 'BACKWARD');
SELECT outbox.create_event_type('HardPlaced', contract => 'hard', emit => 'created', condition => E'new.quote <> ''it''''s\\n\$\$''',
    topic => 'to.pic', headers => '{quote}', actor => true);
SELECT outbox.create_event_type('HardGone', contract => 'hard', emit => 'deleted', tombstone => 'after', previous => '{price}', ce_type => 'gone');
SELECT outbox.add_check('HardPlaced', 'positive', 'price > 0');
SELECT outbox.add_check('HardPlaced', 'also', E'quote <> ''it''''s \\\\ \$\$''');
RESET outbox.namespace;
SELECT outbox.create_contract('counted', view => 'counted', source => '"$quoted"."select"', key => '{order_id}', evaluate => 'commit');
SELECT outbox.add_source('counted', '"$quoted"."from"', key_query => 'SELECT row.id WHERE row.line > 0', max_fanout => 7);
SELECT outbox.create_event_type('Counted', contract => 'counted', emit => 'changed');
SELECT outbox.create_contract('plain', view => 'plain_v', source => 'plain', key => '{id}');
SELECT outbox.annotate('hard', '{"owner": "it''s \\\\ \$\$"}');
SELECT outbox.annotate('hard.quote', '{"tags": ["PII"]}');
SELECT outbox.enable('hard'), outbox.enable('counted');
SELECT outbox.create_sink('main', library => 'outbox_log', options => '{"topic.prefix": "x."}');
SQL

my $SCHEMAS = q{SELECT event_type, version, topic, ce_type, fingerprint, md5(schema) FROM outbox.event_schemas ORDER BY 1, 2};
my $STATE = q{SELECT name, enabled FROM outbox.contracts ORDER BY 1};

$node->sql('CREATE ROLE ex_owner; CREATE ROLE ex_reader');
sub database
{
	my ($name) = @_;
	$node->sql("CREATE DATABASE $name");
	my $db = $node->in($name);
	$db->sql("CREATE EXTENSION outbox_ext; $TABLES");
	return $db;
}

my $first = database('first');
is($first->sql('SELECT outbox.export_config()'), "-- What outbox_ext is configured to do, as calls that may run again.\n", 'of nothing: a comment');
$first->sql($CONFIGURATION);
my $exported = $first->sql('SELECT outbox.export_config()');
my $json = $first->sql(q{SELECT outbox.export_config('json')});
unlike($exported, qr/\d{4}-\d\d-\d\d|contract_id/, 'it has no time and no id');

# Ids of another life: what is exported does not depend on them.
my $second = database('second');
$second->sql("CREATE VIEW before_v AS SELECT id, v FROM plain;
	SELECT outbox.create_contract('before', view => 'before_v', source => 'plain', key => '{id}');
	SELECT outbox.drop_contract('before'); DROP VIEW before_v");
foreach my $run (1, 2)
{
	$second->sql($exported);
	is($second->sql('SELECT outbox.export_config()') =~ s/\n-- Sinks.*//sr, $exported =~ s/\n-- Sinks.*//sr, "run $run: the export is the same");
}
is($second->sql($SCHEMAS), $first->sql($SCHEMAS), 'so are the schemas, their topics and types');
is($second->sql($STATE), $first->sql($STATE), 'and what is enabled');
is($second->sql(q{SELECT (outbox.export_config('json')::jsonb - 'sinks')::text}), $first->sql(q{SELECT (outbox.export_config('json')::jsonb - 'sinks')::text}),
	'and the JSON');
is($second->sql('SELECT max(version) FROM outbox.contract_version'), 1, 'no run made a version');
$second->sql(qq{INSERT INTO "$odd"."select" VALUES (1, 'q', 2, 3.50, 'N')});
is($second->sql('SELECT payload FROM outbox.event_json'), qq({"price": 3.50, "quote": "q", "status": "it's \\\\ \$\$", "order_id": 1, "$long": 2}), 'it captures');

# ---- a change of the file is a change of the configuration ----

(my $changed = $exported) =~ s/price > 0/price > 1/;
$second->sql($changed);
is($second->sql('SELECT outbox.export_config()') =~ s/\n-- Sinks.*//sr, $changed =~ s/\n-- Sinks.*//sr, 'a changed file changes that alone');

# ---- secrets, readers, nonsense ----

$first->sql(q{UPDATE outbox.sink SET options = '{"payload": "none", "sasl.password": "geheim"}' WHERE name = 'main'});
unlike($first->sql('SELECT outbox.export_config()') . $first->sql(q{SELECT outbox.export_config('json')}), qr/geheim/, 'secrets of sinks are not in it');
like($exported, qr/^-- SELECT outbox\.create_sink\('main', library => 'outbox_log'/m, 'sinks are comments');
$first->sql(q{SELECT outbox.grant_access('ex_reader', 'reader')});
is($first->sql(q{SET ROLE ex_reader; SELECT md5(outbox.export_config('json'))}), $first->sql(q{SELECT md5(outbox.export_config('json'))}), 'a reader gets the same text');
like($first->sql_error(q{SELECT outbox.export_config('yaml')}), qr/22023.*\QGive 'sql', for a migration file, or 'json', for comparing.\E/s, 'another format');
like($first->sql_error(q{SELECT outbox.export_config(NULL)}), qr/22004/, 'no format');
$first->sql(q{CREATE ROLE ex_nobody});
like($first->sql_error(q{SET ROLE ex_nobody; SELECT outbox.export_config()}), qr/42501/, 'nobody else may ask');

# ---- views that are away, and views that read each other ----

$first->sql(q{SELECT outbox.disable('plain'); CREATE VIEW a AS SELECT id FROM plain; CREATE VIEW b AS SELECT id FROM a; CREATE OR REPLACE VIEW a AS SELECT id FROM b;
	SELECT outbox.detach('counted') WHERE false});
ok($first->sql('SELECT outbox.export_config()'), 'views that read each other do no harm');

$node->stop;
done_testing();
