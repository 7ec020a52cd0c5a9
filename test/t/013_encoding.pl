# From a database that is not UTF-8 everything leaves in UTF-8: values, key, topic, documentation, headers.
use strict;
use warnings;
use utf8;

use Encode ();
use OutboxCluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node   = OutboxCluster->create('encoding', extension => 0);
my $broker = OutboxBroker->mock;

$node->sql("CREATE DATABASE old ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0");
my $address = $broker->address;
$node->safe_psql('old', Encode::encode('UTF-8', <<"SQL"));
SET client_encoding = 'UTF8';
CREATE EXTENSION outbox_ext;
CREATE TABLE kunde (nr varchar(20) PRIMARY KEY, nm text);
CREATE VIEW kunde_v AS SELECT nr AS kundennummer, nm AS name FROM kunde;
COMMENT ON COLUMN kunde_v.name IS 'Größe ist egal';
SELECT outbox.create_contract('kunde', view => 'kunde_v', source => 'kunde', key => '{kundennummer}');
SELECT outbox.create_event_type('KundeAngelegt', contract => 'kunde', emit => 'created', topic => 'kunden');
SELECT outbox.enable('kunde');
SELECT outbox.create_sink('kafka', library => 'outbox_kafka', options => '{"bootstrap.servers": "$address"}');
SELECT outbox.start_relay();
SET outbox.correlation_id = 'zurück';
INSERT INTO kunde VALUES ('Mü-1', 'Jürgen Groß'), ('x', 'plain');
SQL
$node->poll_query_until('old', "SELECT published = 2 FROM outbox.status WHERE kind = 'sink'");

my $file = $node->basedir . '/schemas.jsonl';
my $line = $node->safe_psql('old',
	"SET client_encoding = 'UTF8'; SELECT json_build_object('schema', schema) FROM outbox.event_schema");
PostgreSQL::Test::Utils::append_to_file($file, "$line\n");
my ($message) = grep { $_->{key} ne 'x' } @{ $broker->consume('kunden', schemas => $file) };

is($message->{key}, 'Mü-1', 'the key');
is($message->{value}{name}, 'Jürgen Groß', 'a value');
is($message->{value}{kundennummer}, 'Mü-1', 'a value of the key');
is($message->{headers}{ce_subject}, 'Mü-1', 'the subject');
is($message->{headers}{ce_correlationid}, 'zurück', 'an attribute');
like(Encode::decode('UTF-8', $line), qr/Größe/, 'the documentation in the schema');

# SQL_ASCII says nothing about its bytes: what is no UTF-8 cannot leave, and does not stop the write.
$node->sql("CREATE DATABASE bytes ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0");
$node->safe_psql('bytes', <<'SQL');
CREATE EXTENSION outbox_ext;
CREATE TABLE kunde (nr text PRIMARY KEY, nm text);
CREATE VIEW kunde_v AS SELECT nr AS kundennummer, nm AS name FROM kunde;
SELECT outbox.create_contract('kunde', view => 'kunde_v', source => 'kunde', key => '{kundennummer}');
SELECT outbox.create_event_type('KundeAngelegt', contract => 'kunde', emit => 'created');
SELECT outbox.create_event_type('KundeGeloescht', contract => 'kunde', emit => 'deleted');
SELECT outbox.enable('kunde');
INSERT INTO kunde VALUES ('1', 'plain'), ('2', E'J\303\274rgen'), ('3', E'J\374rgen'), (E'\374', 'key');
DELETE FROM kunde WHERE nr = '3';
SQL
is($node->safe_psql('bytes', "SELECT type, aggregateid, encode(substr(payload, 5), 'escape') FROM outbox.event ORDER BY seq"),
	"KundeAngelegt|1|plain\nKundeAngelegt|2|J\\303\\274rgen", 'bytes that are UTF-8 leave a database without an encoding');
is($node->safe_psql('bytes', "SELECT emit, stage, sqlstate, convert_to(key ->> 'kundennummer', 'SQL_ASCII') FROM outbox.dead_letter ORDER BY id"),
	"created|encode|22021|\\x33\ncreated|encode|22021|\\xfc\ndeleted|encode|22021|\\x33", 'others are dead letters');
is($node->safe_psql('bytes', 'SELECT count(*) FROM kunde'), '3', 'and all writes went through');

# What an application says of its transaction is not checked when it writes: it must not hold up what comes behind.
$node->sql("CREATE DATABASE windows ENCODING 'WIN1252' LOCALE 'C' TEMPLATE template0");
$node->safe_psql('windows', <<'SQL');
CREATE EXTENSION outbox_ext;
CREATE TABLE kunde (nr text PRIMARY KEY, nm text);
CREATE VIEW kunde_v AS SELECT nr AS kundennummer, nm AS name FROM kunde;
SELECT outbox.create_contract('kunde', view => 'kunde_v', source => 'kunde', key => '{kundennummer}');
SELECT outbox.create_event_type('KundeAngelegt', contract => 'kunde', emit => 'created');
SELECT outbox.enable('kunde');
SQL
for my $database ('bytes', 'windows')
{
	$node->safe_psql($database, <<"SQL");
SELECT outbox.create_sink('kafka', library => 'outbox_kafka', options => '{"bootstrap.servers": "$address"}');
UPDATE outbox.event_schema SET topic = '$database';
SELECT outbox.start_relay();
SET outbox.correlation_id = E'a\x81\xfe';
INSERT INTO kunde VALUES ('10', 'plain');
RESET outbox.correlation_id;
INSERT INTO kunde VALUES ('11', 'plain');
SQL
	ok($node->poll_query_until($database, "SELECT published >= 2 FROM outbox.status WHERE kind = 'sink'"),
		"$database: an id that is no text does not stop the relay");
	$line = $node->safe_psql($database, "SELECT json_build_object('schema', schema) FROM outbox.event_schema");
	PostgreSQL::Test::Utils::append_to_file($file, "$line\n");
	my ($marked) = grep { $_->{key} eq '10' } @{ $broker->consume($database, schemas => $file) };
	is($marked->{headers}{ce_correlationid}, 'a??', 'and leaves with what can be said of it');
}

done_testing();
