# Whoever does not own an object of the extension waits for no lock on it: every kind of object that it has, by every command
# that locks before it asks for rights, in sessions with and without the library.
use strict;
use warnings;

use OutboxCluster;
use Test::More;

my $node = OutboxCluster->create('named', conf => "shared_preload_libraries = ''\n");
$node->sql(<<'SQL');
CREATE ROLE stranger LOGIN;
CREATE SCHEMA mine AUTHORIZATION stranger;
SET ROLE stranger;
CREATE FUNCTION mine.f() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE PROCEDURE mine.p() LANGUAGE sql AS 'SELECT 1';
CREATE TABLE mine.t (id int);
CREATE INDEX i ON mine.t (id);
CREATE MATERIALIZED VIEW mine.m AS SELECT 1 AS a;
CREATE TRIGGER tg BEFORE UPDATE ON mine.t FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
SQL

# Types by their names, as no command names an array as pg_identify_object() does.
my @objects = map { [ split /\|/, $_, 2 ] } split /\n/, $node->sql(q{
	SELECT i.type || '|' || CASE WHEN i.type = 'type' THEN i.schema || '.' || i.name ELSE i.identity END
	FROM pg_depend d CROSS JOIN pg_identify_object(d.classid, d.objid, 0) i
	WHERE d.deptype = 'e' AND d.refclassid = 'pg_extension'::regclass AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'outbox_ext')
	AND i.schema IS DISTINCT FROM 'outbox_internal' AND i.identity <> 'outbox_internal'
	UNION ALL SELECT 'extension|outbox_ext' ORDER BY 1});
my %first;
$first{ $_->[0] } //= $_ foreach @objects;
is(join(', ', sort keys %first), 'event trigger, extension, function, schema, table, type, view', 'what the extension is made of');

# The owner's session has locked all of them, so that whoever asks for a strong lock waits.
my $owner = $node->background_psql('postgres');
$owner->query_safe('BEGIN');
$owner->query_safe("COMMENT ON " . uc($_->[0]) . " $_->[1] IS 'held'") foreach @objects;

sub commands
{
	my ($kind, $name) = @_;
	my $object = uc($kind) . " $name";
	my @commands = ("DROP $object", "DROP $object CASCADE", "COMMENT ON $object IS NULL", "ALTER EXTENSION plpgsql ADD $object", "ALTER EXTENSION outbox_ext DROP $object");
	push @commands, "ALTER $object OWNER TO stranger" unless $kind eq 'extension';
	# schemas are renamed by nobody
	push @commands, "ALTER $object RENAME TO renamed" unless $kind =~ /extension|schema/;
	push @commands, "ALTER $object SET SCHEMA mine" unless $kind =~ /schema|event trigger/;
	push @commands, "ALTER EXTENSION outbox_ext UPDATE" if $kind eq 'extension';
	push @commands, "DROP ROUTINE $name", "COMMENT ON ROUTINE $name IS NULL", "ALTER ROUTINE $name RENAME TO renamed", "ALTER FUNCTION $name DEPENDS ON EXTENSION plpgsql" if $kind eq 'function';
	push @commands, "DROP DOMAIN $name", "COMMENT ON CONSTRAINT c ON DOMAIN $name IS NULL" if $kind eq 'type';
	return @commands;
}

# SQLSTATEs of the commands, each in the same session.
sub states
{
	my (@commands) = @_;
	my ($out, $err) = ('', '');
	$node->psql('postgres', join('', map { "$_;\n" } 'SET lock_timeout = 300', @commands), stdout => \$out, stderr => \$err, on_error_stop => 0,
		extra_params => [ '-U', 'stranger', '-v', 'VERBOSITY=sqlstate' ]);
	my %states;
	$states{$_}++ foreach $err =~ /ERROR:\s+(\w{5})/g;
	return join ', ', map { "$states{$_} x $_" } sort keys %states;
}

my @all = map { commands(@$_) } grep { $_->[0] ne 'event trigger' } @objects;
is(states(@all), @all . ' x 42501', 'all commands on all objects are refused for want of rights');
foreach my $kind (grep { $_ ne 'event trigger' } sort keys %first)
{
	my @waiting = grep { states($_) ne '1 x 42501' } commands(@{ $first{$kind} });
	is(join("\n", @waiting), '', "$kind: each of them in a session that has not loaded the library yet");
}
foreach my $mine ('FUNCTION mine.f()', 'PROCEDURE mine.p()', 'ROUTINE mine.f()', 'INDEX mine.i', 'MATERIALIZED VIEW mine.m', 'TRIGGER tg ON mine.t')
{
	is(states("ALTER $mine DEPENDS ON EXTENSION outbox_ext"), '1 x 42501', "ALTER $mine DEPENDS ON EXTENSION outbox_ext");
	is(states("ALTER $mine NO DEPENDS ON EXTENSION outbox_ext"), '1 x 42501', "ALTER $mine NO DEPENDS ON EXTENSION outbox_ext");
}

# PostgreSQL calls no event trigger for these: the hook sees them where the library is loaded
my @on_event_triggers = map { commands(@$_) } grep { $_->[0] eq 'event trigger' } @objects;
is(states('DROP SCHEMA outbox', @on_event_triggers), 1 + @on_event_triggers . ' x 42501', 'event triggers: refused where the library is loaded');

# ---- others' objects are theirs ----
is(states('COMMENT ON FUNCTION mine.f() IS NULL', 'ALTER FUNCTION mine.f() RENAME TO g', 'DROP FUNCTION mine.g()', 'DROP PROCEDURE mine.p()', 'DROP FUNCTION IF EXISTS mine.nothing()',
		'DROP TYPE IF EXISTS nothing', 'DROP SCHEMA mine CASCADE'), '', 'a role does with its own objects what it likes');
$owner->query_safe('ROLLBACK');

$node->stop;
done_testing();
