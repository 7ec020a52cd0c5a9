# A relay on trial, which nobody would start again, waits for whoever keeps the extension locked when it starts, and for
# the transaction that started it however long that takes.
use strict;
use warnings;

use Test::More;

use PostgreSQL::Test::Utils ();
use OutboxCluster;

my $node = OutboxCluster->create('trial_locked', preload => 0);
$node->versioned_table('item');
$node->sql("SELECT outbox.create_sink('log', library => 'outbox_log')");
$node->sql('INSERT INTO item VALUES (1, 1)');
my $relays = "FROM pg_stat_activity WHERE backend_type = 'outbox relay'";
my $lock = "CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'; ALTER FUNCTION pg_temp.f() DEPENDS ON EXTENSION outbox_ext";

# ---- a transaction that is open for long, and locks the extension at its end ----
my $starter = $node->background_psql('postgres');
$starter->query_safe("BEGIN; SELECT outbox.start_relay('log')");
$node->poll_until("SELECT count(*) = 1 $relays AND wait_event_type = 'Extension'");
is($node->sql("SELECT count(*) $relays"), 1, 'a relay waits for the transaction that started it');
my $holder = $node->background_psql('postgres');
$holder->query_safe("BEGIN; $lock");
$starter->query_safe('COMMIT');
$starter->quit;

# ---- longer than a relay waits for the lock ----
sub in_log
{
	my ($text) = @_;
	for (1 .. 1800)
	{
		return 1 if index(PostgreSQL::Test::Utils::slurp_file($node->logfile), $text) >= 0;
		select(undef, undef, undef, 0.1);
	}
	return 0;
}
ok(in_log('failed and will try again: extension outbox_ext is locked by another session'), 'it says that the extension is locked');
like(PostgreSQL::Test::Utils::slurp_file($node->logfile),
	qr/relay of sink "number 1" failed and will try again.*\n(?:.*(?:DETAIL|HINT).*\n)*.*CONTEXT:  relay of sink "number 1" in database "postgres"/,
	'in which database');
is($node->sql("SELECT count(*) $relays"), 1, 'and does not end');
$node->poll_until("SELECT query LIKE '%backoff, pausing before it tries again' $relays");
pass('pg_stat_activity says that it tries again');
$holder->query_safe('ROLLBACK');
$holder->quit;
$node->poll_until('SELECT acked = 1 FROM outbox.relay_progress');
pass('and publishes when the lock is gone');

# ---- what was not wanted after all ----
$node->sql("SELECT outbox.stop_relay('log')");
$node->poll_until("SELECT count(*) = 0 $relays");
$node->sql("BEGIN; SELECT outbox.start_relay('log'); ROLLBACK");
$node->poll_until("SELECT count(*) = 0 $relays");
pass('a relay ends when the transaction that started it was rolled back');

# ---- a stop while it waits ----
$holder = $node->background_psql('postgres');
$node->sql("SELECT outbox.start_relay('log')");
$holder->query_safe("BEGIN; $lock");
$node->stop;
pass('a server stops at once though a relay waits');

done_testing();
