# pg_upgrade keeps history and position: the new server publishes exactly what the old one had not, nothing again and
# nothing less, after a person confirmed it; storage, triggers and configuration are as they were.
use strict;
use warnings;

use Cwd ();
use Test::More;

use OutboxCluster;
use OutboxFault;
use PostgreSQL::Test::Utils;

my $SETTINGS = $OutboxFault::CONF . "outbox.leaf_size = 64kB\noutbox.retention = '1h'\n";

# What an upgrade must not change.
my %SIGNATURES = (
	'the leaves are attached' =>
	  "SELECT c.oid, c.relname, pg_get_expr(c.relpartbound, c.oid), c.reloptions, c.relpersistence
		FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'outbox.event'::regclass ORDER BY c.oid",
	'outbox.leaf names them, and knows their states' =>
	  'SELECT l.leaf, l.relation, l.relation::oid, l.state, l.leaf_generation, l.events, l.min_xid, l.frozen_snapshot FROM outbox.leaf l ORDER BY leaf',
	'every event is there' =>
	  'SELECT e.tableoid::regclass, seq, xid, id, aggregateid, md5(payload) FROM outbox.event e ORDER BY seq',
	'triggers' =>
	  'SELECT tgrelid::regclass, tgname, tgenabled, tgfoid::regproc, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal OR tgparentid <> 0 ORDER BY tgrelid::regclass::text, 2',
	'event triggers' => 'SELECT evtname, evtevent, evtenabled, evtfoid::regproc, evttags FROM pg_event_trigger ORDER BY 1',
	'sequences' => 'SELECT sequencename, last_value FROM pg_sequences ORDER BY 1',
	'members of the extension' =>
	  "SELECT classid::regclass, pg_describe_object(classid, objid, 0) FROM pg_depend WHERE deptype = 'e'
		AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'outbox_ext') ORDER BY 2",
	'what is dumped' => "SELECT unnest(extconfig)::regclass::text FROM pg_extension WHERE extname = 'outbox_ext' ORDER BY 1",
	'contracts' => 'SELECT c.name, v.view, v.state, c.enabled FROM outbox.contract c JOIN outbox.contract_version v ON v.contract_id = c.id ORDER BY 1',
	'key queries' => 'SELECT relation, key_view, key_view::oid, key_query FROM outbox.source WHERE key_view IS NOT NULL ORDER BY 1',
	'held events and dead letters' =>
	  'SELECT (SELECT count(*) FROM outbox.held_event), (SELECT count(*) FROM outbox.dead_letter WHERE state = \'open\')',
);

sub signatures
{
	my ($node) = @_;
	return { map { $_ => $node->sql($SIGNATURES{$_}) } keys %SIGNATURES };
}

# Promoted once, so that its timeline is 2.
sub old_server
{
	my ($name) = @_;
	my $old = OutboxCluster->create($name, conf => $SETTINGS);

	$old->stop;
	$old->set_standby_mode;
	$old->start;
	$old->promote;
	$old->sql(<<'SQL');
CREATE TABLE cust (id int PRIMARY KEY, nm text) PARTITION BY LIST (id);
CREATE TABLE cust_rest PARTITION OF cust DEFAULT;
CREATE VIEW cust_v AS SELECT id, nm FROM cust;
SELECT outbox.create_contract('cust', view => 'cust_v', source => 'cust', key => '{id}');
SELECT outbox.create_event_type('CustAdded', contract => 'cust', emit => 'created');
SELECT outbox.enable('cust');
CREATE TABLE head (no int PRIMARY KEY);
CREATE TABLE line (no int PRIMARY KEY, head_no int);
CREATE INDEX ON line (head_no);
CREATE VIEW head_v AS SELECT h.no, (SELECT count(*) FROM line l WHERE l.head_no = h.no) AS lines FROM head h;
SELECT outbox.create_contract('head', view => 'head_v', source => 'head', key => '{no}');
SELECT outbox.add_source('head', 'line', 'SELECT h.no FROM public.head h WHERE h.no = row.head_no');
SELECT outbox.create_event_type('HeadAny', contract => 'head', emit => 'always');
SELECT outbox.enable('head');
SQL
	return $old;
}

sub new_server
{
	my ($name) = @_;
	return OutboxCluster->create($name, conf => $SETTINGS, start => 0);
}

sub run_pg_upgrade
{
	my ($old, $new, @mode) = @_;
	my $dir = PostgreSQL::Test::Utils::tempdir();
	my $back = Cwd::getcwd();

	chomp(my $bindir = `pg_config --bindir`);
	# it writes a script into the current directory
	chdir $dir or die "could not chdir: $!";
	command_ok([ 'pg_upgrade', '--no-sync', '-d', $old->data_dir, '-D', $new->data_dir, '-b', $bindir, '-B', $bindir,
			'-s', $new->host, '-p', $old->port, '-P', $new->port, @mode ],
		join(' ', 'pg_upgrade', @mode));
	chdir $back or die "could not chdir: $!";
	return;
}

# 100 events of each of 5 keys, into a leaf of their own: the keeper closes it before anything else is written.
sub fill_leaf
{
	my ($node) = @_;
	my $used = "SELECT sum(leaf_generation) FILTER (WHERE state NOT IN ('empty', 'current')) FROM outbox.leaf";
	my $before = $node->sql($used) || 0;

	$node->sql('SELECT change(i, 100) FROM generate_series(1, 5) i');
	$node->poll_until("SELECT ($used) > $before");
	return;
}

# Everything is behind the sink's recorded position.
sub wait_passed
{
	for my $fault (@_)
	{
		$fault->{node}->poll_until("SELECT NOT EXISTS (SELECT FROM outbox.event e, outbox.relay_progress p JOIN outbox.sink s ON s.id = p.sink_id
			WHERE s.name = '$fault->{name}' AND pg_visible_in_snapshot(e.xid, p.snap_last) IS NOT TRUE
			AND (pg_visible_in_snapshot(e.xid, p.snap_cur) AND e.seq <= p.cursor) IS NOT TRUE)");
	}
	return;
}

sub keys_of
{
	my ($fault, $from) = @_;
	my @deliveries = @{ $fault->deliveries };

	return [ sort map { "$_->{seq} $_->{key}" } @deliveries[ $from .. $#deliveries ] ];
}

for my $mode ([], ['--link'])
{
	my $how = @$mode ? 'linked' : 'copied';
	my $old = old_server("old_$how");
	my $new = new_server("new_$how");
	my $fault = OutboxFault->new($old, 'fault')->start;
	my $other = OutboxFault->new($old, 'other')->start;

	# ---- published in several leaves, one event rejected with one behind it, then a backlog in several more ----
	$fault->control(reject_key => 'bad');
	$fault->append('bad', 2);
	fill_leaf($old) for 1 .. 3;
	$old->sql("INSERT INTO cust VALUES (1, 'a')");
	wait_passed($fault, $other);
	$old->poll_until("SELECT count(*) = 3 FROM outbox.leaf WHERE state = 'retained'");
	$old->poll_until('SELECT count(*) = 2 FROM outbox.held_event');
	$fault->stop;
	fill_leaf($old) for 1 .. 2;
	$old->sql("INSERT INTO cust VALUES (2, 'b')");
	wait_passed($other);
	# as after a rename: the name from which sinks derive ce_source is an older one
	$old->sql("UPDATE outbox_internal.origin SET database = 'shop', written_by = pg_current_xact_id()");
	$fault->{node}->sql("UPDATE outbox.sink SET desired_state = 'running' WHERE name = 'fault'");
	$old->stop;

	my $delivered = @{ $fault->deliveries };
	my $delivered_other = @{ $other->deliveries };

	# quiet, so that there is something to compare
	$old->append_conf('postgresql.conf', "shared_preload_libraries = ''");
	$old->start;
	my $before = signatures($old);
	my $pending = [ sort split /\n/, $old->sql(
		"SELECT seq || ' ' || aggregateid FROM outbox.event e, outbox.relay_progress p JOIN outbox.sink s ON s.id = p.sink_id
		 WHERE s.name = 'fault' AND NOT pg_visible_in_snapshot(e.xid, p.snap_last)") ];
	is(scalar(@$pending), 1001, "$how: events are pending");
	$old->stop;

	run_pg_upgrade($old, $new, @$mode);

	# ---- the new server holds what the old one did, and publishes nothing unasked ----
	$new->start;
	$_->{node} = $new for $fault, $other;
	my $after = signatures($new);
	is($after->{$_}, $before->{$_}, "$how: $_") for sort keys %SIGNATURES;
	$_->wait_state('blocked') for $fault, $other;
	like($fault->last_error, qr/was started in another database system/, "$how: a relay asks before it publishes");
	is(scalar(@{ $fault->deliveries }), $delivered, "$how: and does not publish meanwhile");

	# ---- confirmed: exactly what was pending ----
	$fault->append('new', 3);
	$new->sql("INSERT INTO cust VALUES (3, 'c')");
	my $added = [ split /\n/, $new->sql("SELECT seq || ' ' || aggregateid FROM outbox.event WHERE aggregateid IN ('new', '3')") ];
	$_->start for $fault, $other;
	wait_passed($fault, $other);
	is_deeply(keys_of($fault, $delivered), [ sort @$pending, @$added ], "$how: exactly the pending events are published");
	is_deeply(keys_of($other, $delivered_other), [ sort @$added ], "$how: nothing to a sink that had all");
	my @late = @{ $fault->deliveries }[ $delivered .. $#{ $fault->deliveries } ];
	is_deeply([ grep { $_->{timeline} != 3 } @late ], [], "$how: with a larger timeline, although the server's is 1 again");
	is($new->sql('SELECT count(DISTINCT system_identifier), min(timeline), min(timeline_base) FROM outbox.relay_progress'),
		'1|1|2', "$how: the positions are the new system's");
	ok(PostgreSQL::Test::Utils::slurp_file($new->logfile) !~ /is void/, "$how: no position was void");
	is($new->sql("SELECT o.database, o.system_identifier = c.system_identifier FROM outbox.origin o, pg_control_system() c"), 'shop|t',
		"$how: events come from the source that they came from before");

	# ---- and goes on as ever ----
	$fault->control();
	is($new->sql('SELECT outbox.redrive()'), '1', "$how: a rejected event is redriven");
	$new->poll_until('SELECT count(*) = 0 FROM outbox.held_event');
	$new->append_conf('postgresql.conf', "outbox.retention = 0");
	$new->reload;
	$new->poll_until("SELECT count(*) FILTER (WHERE state = 'empty') > 2 FROM outbox.leaf");
	$fault->append('end', 1);
	wait_passed($fault, $other);
	$new->restart;
	$fault->append('end', 1);
	wait_passed($fault, $other);
	is_deeply([ map { $_->{timeline} } grep { $_->{key} eq 'end' } @{ $fault->deliveries } ], [ 3, 3 ], "$how: the timeline stays");
	$new->sql('INSERT INTO head VALUES (1); ALTER TABLE line RENAME head_no TO of_head; INSERT INTO line VALUES (1, 1)');
	is($new->sql("SELECT count(*) FROM outbox.event WHERE type = 'HeadAny'"), 2, "$how: a line still touches its head");
	$new->stop;
}

# ---- a row that was not carried over but written here by somebody else (COPY, logical replication) is no position ----
my $copy = OutboxCluster->create('copy', conf => $SETTINGS);
my $fault = OutboxFault->new($copy, 'fault')->start;
$fault->append('k', 3);
$fault->wait_published;
$fault->stop;
$copy->sql('CREATE TEMP TABLE copied AS TABLE outbox.relay_progress;
	UPDATE copied SET system_identifier = 42;
	DELETE FROM outbox.relay_progress;
	INSERT INTO outbox.relay_progress TABLE copied');
$fault->start;
$copy->poll_until('SELECT acked >= 3 FROM outbox_internal.relay_report()');
is(scalar(@{ $fault->deliveries }), 6, 'a copied row: the sink starts from the beginning');
like(PostgreSQL::Test::Utils::slurp_file($copy->logfile), qr/is void.*\n.*recorded by another database system/, 'and the log says why');
$copy->stop;

done_testing();
