# A PostgreSQL server for TAP tests with outbox_ext preloaded, and what tests of the relay ask of it.
#
# Built on PostgreSQL::Test::Cluster: everything it offers works here too (safe_psql, restart,
# kill9, append_conf, ...). Nothing here sleeps: every wait polls for a fact, is bounded, and says
# on failure what status and the server's log knew.
#
#	my $node   = OutboxCluster->create('main');
#	my $broker = OutboxBroker->mock;
#	$node->create_sink('kafka', $broker);
#	...
#	$node->wait_published('kafka');
#	my $events = $broker->consume('shop.orders');
package OutboxCluster;

use strict;
use warnings;

use parent -norequire, 'PostgreSQL::Test::Cluster';

use JSON::PP ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils ();
use Test::More ();

use OutboxBroker;

my $SETTINGS = <<'CONF';
shared_preload_libraries = 'outbox_ext'
restart_after_crash = on
wal_level = replica
max_wal_senders = 4
max_prepared_transactions = 10
max_connections = 40
shared_buffers = 32MB
outbox.poll_interval = '200ms'
outbox.ring_size = 64
CONF

# A running server. preload => 0: the trial mode; conf: more settings, which win;
# initdb => [...]: further options of initdb; extension => 0: CREATE EXTENSION is left to the test; start => 0: so is
# the start.
sub create
{
	my ($class, $name, %opt) = @_;
	my $settings = $SETTINGS;

	$settings =~ s/^(shared_preload_libraries|outbox\.ring_size).*\n//mg
	  if defined $opt{preload} && !$opt{preload};

	my $node = $class->new($name);
	$node->init(extra => [ '--encoding=UTF8', '--locale=C.UTF-8', @{ $opt{initdb} // [] } ]);
	$node->append_conf('postgresql.conf', $settings);
	$node->append_conf('postgresql.conf', $opt{conf}) if defined $opt{conf};
	return $node if defined $opt{start} && !$opt{start};

	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION outbox_ext')
	  unless defined $opt{extension} && !$opt{extension};
	return $node;
}

# Table NAME (id, version) with an enabled contract per row; what is created and what is changed goes to the topic, or
# each event type to its own.
sub versioned_table
{
	my ($self, $name, $topic) = @_;
	my $to = defined $topic ? ", topic => '$topic'" : '';

	$self->sql(<<"SQL");
CREATE TABLE $name (id integer PRIMARY KEY, version integer NOT NULL);
CREATE VIEW ${name}_v AS SELECT id, version FROM $name;
SELECT outbox.create_contract('$name', view => '${name}_v', source => '$name', key => '{id}', required => '{id,version}');
SELECT outbox.create_event_type('${name}Created', contract => '$name', emit => 'created'$to);
SELECT outbox.create_event_type('${name}Changed', contract => '$name', emit => 'changed'$to);
SELECT outbox.enable('$name');
SQL
	return;
}

# The same server, with another database as the one that SQL is run in.
sub in
{
	my ($self, $database) = @_;
	return bless { %$self, outbox_database => $database }, ref $self;
}

sub _database
{
	my ($self) = @_;
	return $self->{outbox_database} // 'postgres';
}

# Runs SQL (in database postgres, see in()); dies with the server's words if it fails.
sub sql
{
	my ($self, $sql) = @_;
	return $self->safe_psql($self->_database, $sql);
}

# The SQLSTATE and words with which a statement fails; fails the test when it succeeds.
sub sql_error
{
	my ($self, $sql) = @_;
	my ($rc, $out, $err) = $self->psql($self->_database, $sql,
		extra_params => [ '-v', 'VERBOSITY=verbose' ]);

	Test::More::fail("statement was expected to fail: $sql") if $rc == 0;
	return $err;
}

# Polls until the query returns the expected text (default: t). Dies, showing status, when time is up.
sub poll_until
{
	my ($self, $query, $expected, %opt) = @_;

	$expected = 't' unless defined $expected;
	local $PostgreSQL::Test::Utils::timeout_default =
	  $opt{timeout} || $PostgreSQL::Test::Utils::timeout_default;
	return if $self->poll_query_until($self->_database, $query, $expected);
	$self->_show_state;
	die "time is up, still not $expected: $query\n";
}

# Creates a sink for a broker and starts its relay. %options are added to the sink's own; a hash reference
# before them has other arguments of create_sink().
sub create_sink
{
	my ($self, $sink, $broker, @rest) = @_;
	my $arguments = ref $rest[0] ? shift @rest : {};
	my %options = @rest;
	my %all = ('bootstrap.servers' => $broker->address, %options);
	my $json = JSON::PP->new->canonical->encode(\%all);

	$json =~ s/'/''/g;
	my $more = join '', map { ", $_ => '$arguments->{$_}'" } sort keys %$arguments;
	$self->sql("SELECT outbox.create_sink('$sink', library => 'outbox_kafka', options => '$json'$more);
		SELECT outbox.start_relay('$sink');");
	return;
}

# Waits until a sink has everything that is committed now.
sub wait_published
{
	my ($self, $sink, %opt) = @_;
	$self->poll_until(
		"SELECT s.pending = 0
			AND p.acked >= (SELECT count(*) FROM outbox.event)
		 FROM outbox.status s, outbox.sink k JOIN outbox.relay_progress p ON p.sink_id = k.id
		 WHERE s.kind = 'sink' AND s.name = '$sink' AND k.name = '$sink'", 't', %opt);
	return;
}

# All messages of topics, decoded with the schemas that are pinned here; see OutboxBroker::consume.
sub consume
{
	my ($self, $broker, $topics, %opt) = @_;
	my $file = $self->basedir . '/schemas.jsonl';

	unlink $file;
	PostgreSQL::Test::Utils::append_to_file($file,
		$self->sql("SELECT json_build_object('schema', schema) FROM outbox.event_schema") . "\n");
	return $broker->consume($topics, schemas => $file, %opt);
}

# The process id of a sink's relay; waits until it publishes or tries to.
sub relay_pid
{
	my ($self, $sink) = @_;
	my $relay = "FROM outbox_internal.relay_report() WHERE sink = '$sink' AND state IN ('running', 'backoff', 'blocked')";

	$self->poll_until("SELECT EXISTS (SELECT $relay)");
	return $self->sql("SELECT pid $relay");
}

# kill -9 of a relay: the server restarts all its processes. Waits until it answers again.
sub kill_relay
{
	my ($self, $sink) = @_;
	my $pid = $self->relay_pid($sink);

	kill 'KILL', $pid or die "could not kill relay $pid: $!";
	$self->wait_for_recovery($pid);
	return $pid;
}

# Starts the server after its postmaster was killed: the orphans end by themselves; until then they hold its shared memory.
sub start_again
{
	my ($self) = @_;
	my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;

	until ($self->start(fail_ok => 1))
	{
		die "the server does not start after its postmaster was killed\n" if time > $deadline;
		select(undef, undef, undef, 0.05);
		# what it read from the file that the dead one left
		$self->{_pid} = undef;
	}
	return;
}

# Waits until the server answers and a killed process is gone from it.
sub wait_for_recovery
{
	my ($self, $pid) = @_;
	my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;

	while (time < $deadline)
	{
		# A psql that is refused may be gone before it has read its input, which raises here.
		my ($rc, $out) = eval { $self->psql('postgres',
			"SELECT count(*) FROM pg_stat_activity WHERE pid = $pid", timeout => 10) };
		return if defined $rc && $rc == 0 && $out eq '0';
		select(undef, undef, undef, 0.05);
	}
	die "the server did not come back after process $pid was killed\n";
}

# What a failed wait should have shown: status, and the end of the server's log.
sub _show_state
{
	my ($self) = @_;
	my ($rc, $out) = $self->psql($self->_database, 'SELECT * FROM outbox.status', extra_params => ['-x']);
	my $log = PostgreSQL::Test::Utils::slurp_file($self->logfile);

	Test::More::diag($out || 'outbox.status cannot be read');
	Test::More::diag(substr($log, -4000));
	return;
}

1;
