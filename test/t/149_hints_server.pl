# Hints of the log and of functions that wait for others are promises: the fault is provoked, what the hint says is done, and the
# trouble is gone.
use strict;
use warnings;

use Test::More;

use OutboxCluster;
use OutboxFault;

my $node = OutboxCluster->create('hints', conf => $OutboxFault::CONF . <<'CONF');
outbox.leaf_size = '64kB'
outbox.retention = 0
outbox.max_held_events = 5
outbox.drain_timeout = '8s'
lock_timeout = '300ms'
CONF
my $seen = 0;

# The log from here on has the message with the hint, word for word.
sub said
{
	my ($message, $hint) = @_;

	$node->wait_for_log(qr/$message.*?HINT:  \Q$hint\E/s, $seen);
	pass("the log has: $hint");
	$seen = -s $node->logfile;
	return;
}

# A statement fails with the hint; what is done then lets it succeed.
sub mended
{
	my ($statement, $hint, $mend) = @_;

	like($node->sql_error($statement), qr/HINT:  \Q$hint\E/, "it says: $hint");
	$mend->();
	$node->sql($statement);
	pass('which helps');
	return;
}

$node->sql(<<'SQL');
CREATE TABLE thing (id int PRIMARY KEY, v int);
CREATE VIEW thing_v AS SELECT id, 10 / v AS share FROM thing;
SELECT outbox.create_contract('thing', view => 'thing_v', source => 'thing', key => '{id}');
SELECT outbox.create_event_type('ThingMade', contract => 'thing', emit => 'created');
SELECT outbox.enable('thing');
SQL

# ---- what a DBA has on our tables ----
$node->sql(<<'SQL');
CREATE TABLE alarm (id bigint);
CREATE FUNCTION raise_alarm() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO alarm VALUES (NEW.id); RETURN NEW; END$$;
CREATE TRIGGER alarm AFTER INSERT ON outbox_internal.dead_letter_entry FOR EACH ROW EXECUTE FUNCTION raise_alarm();
INSERT INTO thing VALUES (1, 0);
SQL
said(qr/a trigger on "dead_letter_entry" failed/, "They run as the extension's owner with search_path = pg_catalog, pg_temp: qualify names.");
is($node->sql('SELECT count(*) FROM alarm'), 0, 'the trigger did nothing');
$node->sql(<<'SQL');
CREATE OR REPLACE FUNCTION raise_alarm() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO public.alarm VALUES (NEW.id); RETURN NEW; END$$;
INSERT INTO thing VALUES (2, 0);
SQL
is($node->sql('SELECT count(*) FROM alarm'), 1, 'with qualified names it works');
$node->sql(q{CREATE FUNCTION strict(text) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 1 / (length($1) - length($1))';
	DELETE FROM outbox_internal.dead_letter_entry; CREATE INDEX strict ON outbox_internal.dead_letter_entry (strict(message));
	INSERT INTO thing VALUES (3, 0)});
said(qr/an index on "dead_letter_entry" refused a row/, 'Drop the index, or create it so that it takes every row.');
$node->sql('DROP INDEX outbox_internal.strict; INSERT INTO thing VALUES (4, 0)');
is($node->sql('SELECT count(*) FROM outbox.dead_letter'), 2, 'no letter was lost');
unlike(PostgreSQL::Test::Utils::slurp_file($node->logfile, $seen), qr/refused a row/, 'and without the index the log is calm');

# ---- locks that others hold ----
my $other = $node->background_psql('postgres');
$other->query_safe('BEGIN; SELECT * FROM thing');
mended("SELECT outbox.drop_contract('thing')",
	"Long transactions on it stand in pg_locks (relation = 'public.thing'::regclass); try again when they are over, and with one contract per transaction.",
	sub {
		is($node->sql("SELECT count(*) FROM pg_locks WHERE relation = 'public.thing'::regclass AND granted"), 1, 'it stands in pg_locks');
		$other->query_safe('COMMIT');
	});
$other->query_safe("BEGIN; SELECT count(*) FROM outbox.event");
$node->sql(<<'SQL');
SELECT outbox.create_contract('thing', view => 'thing_v', source => 'thing', key => '{id}');
SELECT outbox.create_event_type('ThingMade', contract => 'thing', emit => 'created');
SELECT outbox.enable('thing');
SQL
$other->query_safe('COMMIT');
$other->quit;

# DROP EXTENSION waits for nobody for long
$other = $node->background_psql('postgres');
$other->query_safe("BEGIN; CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'; ALTER FUNCTION pg_temp.f() DEPENDS ON EXTENSION outbox_ext");
mended('BEGIN; DROP EXTENSION outbox_ext CASCADE; ROLLBACK', 'A relay is using the extension, or another session is altering it; try again.',
	sub { $other->query_safe('ROLLBACK'); $other->quit });

# ---- a sink that is stopped while the broker takes nothing ----
my $fault = OutboxFault->new($node, 'fault')->start;
$fault->append('before', 1);
$fault->wait_published;
$fault->control(capacity => 1, delay_ms => 600_000);
$fault->append('slow', 1);
$node->poll_until("SELECT in_flight > 0 FROM outbox_internal.relay_report()");
$node->sql("SELECT outbox.stop_relay('fault')");
mended("SELECT outbox.drop_sink('fault')", 'Try again in a moment; outbox.drain_timeout limits how long it takes.',
	sub {
		$fault->control();
		$node->poll_until("SELECT pid IS NULL FROM outbox_internal.relay_report() WHERE sink = 'fault'");
	});

# ---- a topic that takes nothing; so many events that wait ----
$fault = OutboxFault->new($node, 'topics');
$fault->control(block_topic => 'thing');
$fault->start;
$fault->append('wait', 1);
said(qr/topic "thing" takes no messages at present/, 'It is tried again by itself; others go on. If it never takes them, outbox.discard_held() gives them up.');
$fault->append("wait$_", 1) for 1 .. 10;
said(qr/sink "topics" publishes nothing any more, because it holds too many events/, 'Resolve its dead letters and blocked topics, give up what is never taken with outbox.discard_held(), or raise the setting.');
is($node->sql("SELECT state FROM outbox.status WHERE name = 'topics'"), 'blocked', 'nothing is published any more');
$node->append_conf('postgresql.conf', 'outbox.max_held_events = 1000');
$node->reload;
$fault->wait_state('running');
$fault->control();
$node->reload;
$fault->wait_published;
is($fault->check('events that waited'), 0, 'each of them once');

# ---- rows of ours that somebody removed ----
$node->sql("CREATE TABLE kept AS SELECT * FROM outbox_internal.event_schema WHERE id = 1; DELETE FROM outbox_internal.event_schema WHERE id = 1");
$fault->stop;
$fault->append('unknown', 1);
$node->sql("SELECT outbox.start_relay('topics')");
said(qr/schema 1 of an event does not exist/, 'Restore the row; events cannot be published without the schema they were written with.');
$node->sql('INSERT INTO outbox_internal.event_schema SELECT * FROM kept');
$fault->wait_published;
pass('with the row they are published');

$node->sql("CREATE TABLE kept_leaf AS SELECT * FROM outbox_internal.leaf");
$node->sql("UPDATE outbox_internal.leaf SET state = 'closing' WHERE state = 'current'");
said(qr/outbox\.leaf has no row in state "current"/, 'Restore the row: exactly one leaf is current.');
$node->sql("UPDATE outbox_internal.leaf SET state = 'current' WHERE leaf = (SELECT max(leaf) FROM outbox_internal.leaf WHERE state = 'closing')");
$fault->append('current again', 1);
$fault->wait_published;
pass('with a current leaf everything goes on');

# ---- a leaf that somebody made, and one whose row cannot be changed ----
$fault->stop;
$node->sql("INSERT INTO outbox_internal.leaf (leaf, relation, state) VALUES (5001, 'thing', 'empty')");
$node->sql("SELECT outbox.start_relay('topics')");
said(qr/outbox\.leaf has a row that no relay can read: leaf 5001/, 'Leaves are created by the extension alone; remove what was added by hand.');
$node->sql('DELETE FROM outbox_internal.leaf WHERE leaf = 5001');
$fault->append('readable', 1);
$fault->wait_published;
pass('without it the relay reads them');
$node->sql(q{CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'not today'; END$$;
	CREATE TRIGGER refuse BEFORE UPDATE ON outbox_internal.leaf FOR EACH ROW EXECUTE FUNCTION public.refuse()});
$fault->append('much', 2000);
said(qr/could not look after the leaves of outbox\.event, will try again: not today/, 'Events are published meanwhile; storage is not freed.');
$fault->wait_published;
pass('they are');
my $current = $node->sql("SELECT leaf FROM outbox_internal.leaf WHERE state = 'current'");
$node->sql('DROP FUNCTION refuse CASCADE');
$node->poll_until("SELECT leaf <> $current FROM outbox_internal.leaf WHERE state = 'current'");
pass('and without the cause the leaves are looked after');

# ---- locks on our configuration ----
$node->sql('CREATE TABLE part (id int PRIMARY KEY) PARTITION BY LIST (id); CREATE TABLE part_1 PARTITION OF part FOR VALUES IN (1);
	CREATE TABLE part_2 (id int NOT NULL); CREATE VIEW part_v AS SELECT id FROM part');
$node->sql("SELECT outbox.create_contract('part', view => 'part_v', source => 'part', key => '{id}');
	SELECT outbox.create_event_type('PartMade', contract => 'part', emit => 'created'); SELECT outbox.enable('part')");
$other = $node->background_psql('postgres');
$other->query_safe('BEGIN; LOCK TABLE outbox_internal.contract');
$node->psql('postgres', 'ALTER TABLE part ATTACH PARTITION part_2 FOR VALUES IN (2)');
$other->query_safe('COMMIT');
$other->quit;
said(qr/could not record a change of partitions/, 'SELECT outbox.enable(...) of the contracts over the table creates missing triggers.');
like($node->sql("SELECT advice FROM outbox.status WHERE name = 'part'"), qr/TRUNCATE of part_2 would go unnoticed/, 'a trigger is missing');
$node->sql("SELECT outbox.enable('part'); TRUNCATE part_2");
is($node->sql("SELECT state, gaps, advice ~ 'unnoticed' FROM outbox.status WHERE name = 'part'"), 'enabled|1|f', 'enable() creates it');

$other = $node->background_psql('postgres');
$other->query_safe('BEGIN; LOCK TABLE outbox_internal.contract');
$node->sql('ALTER TABLE thing DROP CONSTRAINT thing_pkey');
$other->query_safe('COMMIT');
$other->quit;
said(qr/could not see what DDL does to contracts: /, 'outbox.validate() says which contracts do not work any more, and why.');
is($node->sql("SELECT error FROM outbox.validate('thing') WHERE error ~ 'key'"), 'the key (id) is not proven unique', 'validate() says what it did');
$node->sql("ALTER TABLE thing ADD PRIMARY KEY (id)");
is($node->sql("SELECT count(*) FROM outbox.validate('thing') WHERE error ~ 'key'"), 0, 'and that it was mended');

# ---- letters that cannot be removed ----
$node->sql(q{CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'not today'; END$$;
	CREATE TRIGGER refuse BEFORE DELETE ON outbox_internal.dead_letter_entry FOR EACH ROW EXECUTE FUNCTION public.refuse();
	INSERT INTO thing VALUES (7, 0); SELECT outbox.discard(id, 'seen') FROM outbox.dead_letter WHERE state = 'open'});
$node->append_conf('postgresql.conf', 'outbox.dead_letter_retention = 0');
$node->reload;
$node->sql("SELECT outbox.stop_relay('topics')");
$node->poll_until("SELECT pid IS NULL FROM outbox_internal.relay_report() WHERE sink = 'topics'");
$node->sql("SELECT outbox.start_relay('topics')");
said(qr/could not look after dead letters, will try again: not today/, 'Events are published meanwhile; late ones wait in outbox.dead_letter.');
$fault->append('beside', 1);
$fault->wait_published;
pass('they are');
$node->sql('DROP FUNCTION refuse CASCADE');
$node->sql("SELECT outbox.stop_relay('topics')");
$node->poll_until("SELECT pid IS NULL FROM outbox_internal.relay_report() WHERE sink = 'topics'");
$node->sql("SELECT outbox.start_relay('topics')");
$node->poll_until("SELECT count(*) = 0 FROM outbox.dead_letter WHERE state <> 'open'");
pass('and without the cause the letters are removed');

# ---- events that somebody removed ----
sub remove_events
{
	my ($which) = @_;

	$node->sql("DO \$\$DECLARE leaf regclass; BEGIN FOR leaf IN SELECT relation FROM outbox_internal.leaf LOOP
		EXECUTE format('ALTER TABLE %s DISABLE TRIGGER ALL', leaf); EXECUTE format('DELETE FROM %s WHERE $which', leaf);
		EXECUTE format('ALTER TABLE %s ENABLE TRIGGER ALL', leaf); END LOOP; END\$\$");
	return;
}

# one that its sink has when it is removed, and then refuses to send; the relay is in trouble by then, so status alone says it
my $removed = 'The relay looks for it again; if this repeats, somebody removed rows of outbox.event.';
$fault->control(down => 1, block_topic => 'thing');
$fault->append('handed', 1);
$node->poll_until("SELECT in_flight = 1 FROM outbox_internal.relay_report()");
remove_events("aggregateid = ''handed''");
$fault->control(block_topic => 'thing');
$node->poll_until("SELECT last_error ~ 'event [0-9]+ is not in the outbox any more' FROM outbox_internal.relay_report()");
like($node->sql('SELECT last_error FROM outbox_internal.relay_report()'), qr/HINT: \Q$removed\E/, "status has: $removed");
$fault->control();
$node->poll_until("SELECT state = 'running' AND queued = 0 FROM outbox_internal.relay_report()");
pass('it goes on without it');
$fault->control(capacity => 1, delay_ms => 600_000);
$node->sql("SELECT append(1, 'test', 'gone' || i, 1, 10) FROM generate_series(1, 5000) i");
$node->poll_until("SELECT in_flight = 1 AND window_left > 1000 FROM outbox_internal.relay_report()");
remove_events("aggregateid IN (''gone4999'', ''gone5000'')");
$fault->control();
said(qr/event \d+ is not at \(\d+,\d+\) of table "event_\d+" any more/, 'The relay looks for it again; if this repeats, check the table with amcheck.');
$node->poll_until("SELECT state = 'running' AND queued = 0 FROM outbox_internal.relay_report()");
pass('it goes on without them');

# ---- more relays than a server runs ----
$node->sql("SELECT outbox.create_sink('log_' || i, library => 'outbox_log') FROM generate_series(1, 64) i");
$node->sql('SELECT outbox.start_relay()');
said(qr/1 relays of database \d+ are not started/, 'Stop or drop sinks that are not needed.');
$node->sql("SELECT outbox.stop_relay('log_' || i) FROM generate_series(1, 64) i");
$node->poll_until("SELECT count(*) FROM outbox_internal.relay_report() WHERE pid IS NOT NULL", 1);
$node->sql("SELECT outbox.drop_sink('log_' || i) FROM generate_series(1, 64) i");
$node->reload;
$fault->append('alone', 1);
$fault->wait_published;
unlike(PostgreSQL::Test::Utils::slurp_file($node->logfile, $seen), qr/are not started/, 'without them there is room');

# ---- tables with the names of leaves ----
my $leaf = $node->sql('SELECT max(leaf) FROM outbox_internal.leaf');
$node->sql("DO \$\$BEGIN FOR i IN 1 .. 1000 LOOP IF to_regclass('outbox_internal.event_' || i) IS NULL THEN
	EXECUTE 'CREATE TABLE outbox_internal.event_' || i || ' ()'; END IF; IF i % 100 = 0 THEN COMMIT; END IF; END LOOP; END\$\$");
my $write = "SELECT append(1, 'test', 'k' || i, 50, 100) FROM generate_series(1, 60) i";
# nothing is acknowledged, so no leaf is emptied
$fault->control(down => 1);
my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;
until (time > $deadline || PostgreSQL::Test::Utils::slurp_file($node->logfile, $seen) =~ /no number is free/)
{
	$node->sql($write);
	select(undef, undef, undef, 0.2);
}
said(qr/no number is free for a further leaf of outbox\.event/, 'Drop or rename tables named outbox_internal.event_<n> that are no leaves.');
$node->sql("DO \$\$DECLARE t text; n int := 0; BEGIN FOR t IN SELECT c.oid::regclass FROM pg_class c WHERE c.relnamespace = 'outbox_internal'::regnamespace
	AND c.relname ~ '^event_\\d+\$' AND NOT c.relispartition LOOP EXECUTE 'DROP TABLE ' || t; n := n + 1; IF n % 100 = 0 THEN COMMIT; END IF; END LOOP; END\$\$");
$node->poll_until("SELECT max(leaf) > $leaf FROM outbox_internal.leaf");
pass('without them leaves are created again');
$fault->control();
$fault->wait_published;
$node->stop;

# ---- without preloading, and without a process for a relay ----
my $trial = OutboxCluster->create('trial', preload => 0, conf => "max_worker_processes = 1\nmax_parallel_workers = 0\noutbox.sink_libraries = 'outbox_log'\n");
$trial->sql("SELECT outbox.create_sink('one', library => 'outbox_log'); SELECT outbox.create_sink('two', library => 'outbox_log');
	SELECT outbox.create_sink('three', library => 'outbox_log')");
my $start = "SELECT outbox.start_relay('one'); SELECT outbox.start_relay('two'); SELECT outbox.start_relay('three')";
like($trial->sql_error($start), qr/no background worker is free.*HINT:  \QRaise max_worker_processes and restart the server.\E/s, 'a relay without a process says what helps');
$trial->append_conf('postgresql.conf', 'max_worker_processes = 8');
$trial->restart;
$trial->sql($start);
$trial->poll_until("SELECT bool_and(pid IS NOT NULL) FROM outbox_internal.relay_report()");
pass('and that does');

# ---- an encoding without a way to UTF-8 ----
my $contract = <<'SQL';
CREATE EXTENSION outbox_ext;
CREATE TABLE thing (id int PRIMARY KEY, v text);
CREATE VIEW thing_v AS SELECT id, v FROM thing;
SELECT outbox.create_contract('thing', view => 'thing_v', source => 'thing', key => '{id}');
SELECT outbox.create_event_type('ThingMade', contract => 'thing', emit => 'created');
SELECT outbox.enable('thing');
SQL
my $conversion = 'Capture in a database whose encoding PostgreSQL converts to UTF8, or restore the conversions that were dropped with CREATE DEFAULT CONVERSION.';
$trial->sql("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0");
my $latin = $trial->in('latin');
foreach my $way ([ 'LATIN1', 'UTF8', 'iso8859_1_to_utf8' ], [ 'UTF8', 'LATIN1', 'utf8_to_iso8859_1' ])
{
	my ($from, $to, $function) = @$way;

	# DROP CONVERSION does not take those that PostgreSQL brings
	$latin->sql("DELETE FROM pg_conversion WHERE pg_encoding_to_char(conforencoding) = '$from' AND pg_encoding_to_char(contoencoding) = '$to'");
	like($latin->sql_error($contract), qr/no conversion between LATIN1 and UTF8 is installed.*HINT:  \Q$conversion\E/s, "an encoding that cannot be converted is refused: $from to $to");
	$latin->sql("DROP EXTENSION outbox_ext; DROP TABLE thing CASCADE; CREATE DEFAULT CONVERSION pg_catalog.again_$function FOR '$from' TO '$to' FROM $function");
}
$latin->sql("$contract INSERT INTO thing VALUES (1, 'x')");
is($latin->sql('SELECT payload FROM outbox.event_json'), '{"v": "x", "id": 1}', 'with all conversions back it is not');
$trial->stop;

done_testing();
