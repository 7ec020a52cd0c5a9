# Who keeps the extension locked stops relays of this database no longer than he keeps it, which the relays say, and nothing
# of other databases.
use strict;
use warnings;

use OutboxCluster;
use Test::More;

my $node = OutboxCluster->create('locked', extension => 0);
$node->safe_psql('postgres', 'CREATE DATABASE here; CREATE DATABASE there; CREATE ROLE stranger LOGIN');
my %in;
foreach my $database ('here', 'there')
{
	$in{$database} = $node->in($database);
	$in{$database}->sql(<<'SQL');
CREATE EXTENSION outbox_ext;
CREATE TABLE t (id int PRIMARY KEY, v text);
CREATE VIEW t_v AS SELECT id, v FROM t;
SELECT outbox.create_contract('t', view => 't_v', source => 't', key => '{id}');
SELECT outbox.create_event_type('TCreated', contract => 't', emit => 'created');
SELECT outbox.enable('t');
SELECT outbox.create_sink('log', library => 'outbox_log');
SELECT outbox.create_sink('second', library => 'outbox_log');
SQL
}
my $published = "SELECT bool_and(pending = 0) FROM outbox.status WHERE kind = 'sink' AND name = 'log'";

$in{here}->sql("SELECT outbox.start_relay('log')");
$in{here}->sql("INSERT INTO t VALUES (1)");
$in{here}->poll_until($published);

# ---- a stranger is refused, preloaded or not ----
my ($rc, $out, $err) = $node->psql('here', <<'SQL', extra_params => [ '-U', 'stranger' ]);
CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1';
ALTER FUNCTION pg_temp.f() DEPENDS ON EXTENSION outbox_ext;
SQL
like($err, qr/must be owner of extension outbox_ext/, 'a stranger cannot lock the extension');

# ---- its owner can ----
my $holder = $node->background_psql('here');
$holder->query_safe("BEGIN; CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'; ALTER FUNCTION pg_temp.f() DEPENDS ON EXTENSION outbox_ext");
my $pid = $holder->query_safe('SELECT pg_backend_pid()');
$in{here}->sql("SET lock_timeout = '5s'; INSERT INTO t VALUES (2)");
pass('writers write meanwhile');
# outbox_internal.relay_report() locks nothing of the extension
$in{here}->poll_until("SELECT count(*) = 1 FROM outbox_internal.relay_report() WHERE last_error LIKE '%extension outbox_ext is locked by another session. Process $pid holds%'");
like($in{here}->sql("SELECT last_error FROM outbox_internal.relay_report()"),
	qr/\QHINT: DROP EXTENSION and ALTER EXTENSION keep this lock until their transaction ends. End it, with pg_terminate_backend() if need be.\E/,
	'the relay says what it waits for, who holds it, and what to do');

# ---- a probe of this database does not keep relays of others from starting ----
$in{here}->sql("SELECT outbox.start_relay('second')");
$in{there}->sql("SELECT outbox.start_relay('log'); INSERT INTO t VALUES (1)");
$in{there}->poll_until($published);
pass('a relay of another database starts and publishes meanwhile');

# ---- afterwards all is as before ----
$holder->query_safe('ROLLBACK');
$in{here}->poll_until($published);
$in{here}->poll_until("SELECT count(*) = 2 FROM outbox.relay_status WHERE state = 'running'");
pass('the relays go on when the lock is gone');
$in{here}->sql('CREATE TABLE other (id int)');
$holder->quit;

# ---- DROP EXTENSION waits for nobody, and the relay ends ----
$in{here}->sql("SELECT outbox.stop_relay('log'), outbox.stop_relay('second')");
$in{here}->sql('DROP EXTENSION outbox_ext');
is($in{here}->sql("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'outbox%'"), 0, 'DROP EXTENSION');

$node->stop;
done_testing();
