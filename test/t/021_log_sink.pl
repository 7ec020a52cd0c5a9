# The log sink: a line per message with topic, key, type, id and size, the payload only on request, and nothing else of
# the row in the server's log.
use strict;
use warnings;

use MIME::Base64 ();
use OutboxCluster;
use PostgreSQL::Test::Utils ();
use Test::More;

# the statements that write the values would be in the log, too
my $node = OutboxCluster->create('log_sink', conf => "log_statement = none\nlog_min_error_statement = panic\n");

$node->sql(<<'SQL');
CREATE TABLE kunde (nr text PRIMARY KEY, nm text);
CREATE VIEW kunde_v AS SELECT nr AS id, nm AS name FROM kunde;
SELECT outbox.create_contract('kunde', view => 'kunde_v', source => 'kunde', key => '{id}');
SELECT outbox.create_event_type('KundeAngelegt', contract => 'kunde', emit => 'created', topic => 'shop.kunden');
SELECT outbox.create_event_type('KundeGeloescht', contract => 'kunde', emit => 'deleted', topic => 'shop.kunden', tombstone => 'after');
SELECT outbox.create_event_type('KundeVergessen', contract => 'kunde', emit => 'deleted', topic => 'shop.keys', tombstone => 'instead');
SELECT outbox.enable('kunde');
SELECT outbox.create_sink('plain', library => 'outbox_log');
SELECT outbox.create_sink('full', library => 'outbox_log', options => '{"payload": true}');
SELECT outbox.start_relay();
INSERT INTO kunde VALUES ('M-1', 'Secret Name'), ('M 2 key=x', 'Other Secret');
DELETE FROM kunde WHERE nr = 'M-1';
SQL
$node->wait_published($_) for qw(plain full);

sub lines_of
{
	my ($sink) = @_;
	return PostgreSQL::Test::Utils::slurp_file($node->logfile) =~ /LOG:  sink "$sink": (topic=.*)\n/g;
}

my @expected;
my @payloads;
foreach my $row (split /\n/, $node->sql("SELECT type, aggregateid, id, payload FROM outbox.event ORDER BY seq"))
{
	my ($type, $key, $id, $hex) = split /\|/, $row;
	my $payload = pack 'H*', substr($hex, 2);
	$key =~ s/ /\\x20/g;
	my $topic = $type eq 'KundeVergessen' ? 'shop.keys' : 'shop.kunden';

	unless ($type eq 'KundeVergessen')
	{
		push @expected, "topic=$topic key=$key type=$type id=$id size=" . length $payload;
		push @payloads, MIME::Base64::encode_base64($payload, '');
	}
	next unless $type =~ /Geloescht|Vergessen/;
	push @expected, "topic=$topic key=$key type=$type id=$id size=0";
	push @payloads, 'null';
}
is(scalar(@expected), 5, 'two events, a delete with its tombstone, a tombstone alone');
is_deeply([ lines_of('plain') ], \@expected, 'a line per message, in order: topic, key, type, id, size');
is_deeply([ lines_of('full') ], [ map { "$expected[$_] payload=$payloads[$_]" } 0 .. $#expected ], 'the payload on request');
my $others = join '', grep { !/sink "full"/ } split /^/, PostgreSQL::Test::Utils::slurp_file($node->logfile);
unlike($others, qr/Secret/, 'the log has no value');
unlike($others, qr/\Q$_\E/, 'nor an encoded one') for grep { $_ ne 'null' } @payloads;
unlike(PostgreSQL::Test::Utils::slurp_file($node->logfile), qr/LOG:  sink .*\n\S+ \S+ \S+ \[\d+\] (STATEMENT|CONTEXT)/, 'and nothing is added to a line');

$node->stop;
done_testing();
