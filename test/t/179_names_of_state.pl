# What relays, sinks and shared memory remember is remembered under everything that it depends on: the installation of the
# extension, the name of the sink, its options, the registry and its user.
use strict;
use warnings;

use JSON::PP ();
use Test::More;

use PostgreSQL::Test::Utils ();
use OutboxBroker;
use OutboxCluster;

my $kafka = OutboxBroker->strict_kafka;
my $node = OutboxCluster->create('names_of_state');

sub options
{
	my (%options) = @_;
	my $json = JSON::PP->new->canonical->encode(\%options);
	$node->sql("UPDATE outbox.sink SET options = options || '$json'");
	return;
}

# What the log has gained since the last call, as soon as it matches.
my $offset = 0;
sub in_log
{
	my ($pattern) = @_;
	for (1 .. 1800)
	{
		my $text = substr(PostgreSQL::Test::Utils::slurp_file($node->logfile), $offset);
		if ($text =~ $pattern)
		{
			$offset += $+[0];
			return 1;
		}
		select(undef, undef, undef, 0.1);
	}
	return 0;
}

# ---- the installation ----
$kafka->admin('create("names.one", 1); create("names.small", 1, max_message_bytes="2000")');
my $install = sub {
	$node->versioned_table('one', 'names.one');
	$node->create_sink('kafka', $kafka);
};
$install->();
$node->sql('INSERT INTO one SELECT i, 1 FROM generate_series(1, 7) i');
$node->wait_published('kafka');
my $published = "SELECT coalesce(sum(value), 0) FROM outbox.metrics WHERE name = 'outbox_published_total'";
$node->poll_until($published, 7);
my $id = $node->sql('SELECT id FROM outbox.sink');
$node->sql("SELECT outbox.stop_relay('kafka')");
$node->poll_until("SELECT pid IS NULL FROM outbox_internal.relay_report() WHERE sink = 'kafka'");
$node->sql('DROP EXTENSION outbox_ext CASCADE; DROP VIEW one_v; DROP TABLE one; CREATE EXTENSION outbox_ext');
$install->();
is($node->sql('SELECT id FROM outbox.sink'), $id, 'a sink of the extension that was created anew has the same id');
is($node->sql($published), 0, 'and none of the counts of the one before');
$node->sql('INSERT INTO one VALUES (8, 1)');
$node->wait_published('kafka');
$node->poll_until($published, 1);
pass('it counts its own');

# ---- the sink's name ----
$node->sql("UPDATE outbox.sink SET name = 'other'");
$node->poll_until("SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'outbox relay: postgres/other' AND query LIKE 'sink \"other\": waiting%'");
pass('pg_stat_activity has the new name of a renamed sink');
$node->sql("SELECT outbox.stop_relay('other')");
ok(in_log(qr/relay of sink "other" stopped\n.*CONTEXT:  relay of sink "other" in database "postgres"/), 'and the log does');
$node->sql("UPDATE outbox.sink SET name = 'kafka'; SELECT outbox.start_relay('kafka')");

# ---- the options: how large a batch may be was learned with others ----
$node->sql(<<'SQL');
CREATE TABLE small (id integer PRIMARY KEY, pad text NOT NULL);
CREATE VIEW small_v AS SELECT id, pad FROM small;
SELECT outbox.create_contract('small', view => 'small_v', source => 'small', key => '{id}');
SELECT outbox.create_event_type('SmallCreated', contract => 'small', emit => 'created', topic => 'names.small');
SELECT outbox.enable('small');
SQL
options(debug => 'conf');
ok(in_log(qr/Client configuration/), 'librdkafka shows its configuration');
$node->sql("INSERT INTO small SELECT i, repeat(md5(i::text), 8) FROM generate_series(1, 100) i");
ok(in_log(qr/ batch\.size = [1-9]/), 'a refused batch makes batches smaller');
$node->wait_published('kafka');
options('client.id' => 'again');
ok(in_log(qr/ client\.id = again/), 'other options');
$node->sql('INSERT INTO one VALUES (9, 1)');
$node->wait_published('kafka');
is(scalar(() = substr(PostgreSQL::Test::Utils::slurp_file($node->logfile), $offset) =~ / batch\.size = /g), 0, 'they are as large as configured again');

# ---- the options: a topic that took nothing may be another one ----
$node->sql(<<'SQL');
CREATE TABLE tries (n bigserial, tried_at timestamptz, next_try timestamptz);
CREATE FUNCTION note_try() RETURNS trigger LANGUAGE plpgsql AS
$$BEGIN INSERT INTO public.tries (tried_at, next_try) VALUES (NEW.tried_at, NEW.next_try); RETURN NULL; END$$;
CREATE TRIGGER note_try AFTER INSERT OR UPDATE ON outbox_internal.blocked_route FOR EACH ROW EXECUTE FUNCTION note_try();
SQL
$node->versioned_table('missing', 'names.missing');
$node->sql('INSERT INTO missing VALUES (1, 1)');
$node->poll_until("SELECT tries >= 5 FROM outbox.blocked_route");
my $early = "SELECT EXISTS (SELECT FROM (SELECT tried_at, lag(next_try) OVER (ORDER BY n) AS due, lag(tried_at) OVER (ORDER BY n) AS before
	FROM tries) t WHERE tried_at <> before AND tried_at < due)";
is($node->sql($early), 'f', 'a topic that is not there is tried when its pause is over');
options('client.id' => 'once more');
$node->poll_until($early);
pass('and at once with other options');
$kafka->admin('create("names.missing", 1)');
$node->reload;
$node->wait_published('kafka');

# ---- the registry's user ----
my $registry = OutboxBroker->fake_registry;
my $url = $registry->address;
options('schema.registry.url' => $url, 'schema.registry.check.interval.ms' => 0, 'schema.registry.basic.auth' => 'first:secret');
my $ids = 'SELECT registered_id FROM outbox.schema_registration ORDER BY registered_at DESC LIMIT 1';
sub change_until_id
{
	my ($expected) = @_;
	for (1 .. 600)
	{
		$node->sql('UPDATE one SET version = version + 1');
		$node->wait_published('kafka');
		return $expected if $node->sql($ids) eq $expected;
		select(undef, undef, undef, 0.05);
	}
	return $node->sql($ids);
}
is(change_until_id(1), 1, 'a registry is asked for an id');
$registry->modes('/rebuilt' => 'another', '/first' => 70);
options('schema.registry.basic.auth' => 'second:secret');
is(change_until_id(70), 70, 'and for another one with another user, who may have a registry of his own');
is($node->sql("SELECT count(DISTINCT registry) FROM outbox.schema_registration"), 2, 'both are remembered');
is($node->sql("SELECT count(*) FROM outbox.schema_registration WHERE registry ~ '(first|second|secret)'"), 0, 'without a name or password');

$node->stop;
done_testing();
