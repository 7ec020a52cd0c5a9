# A sink whose broker is a file and which fails on request (test/modules/outbox_fault), for tests of the
# relay: events without contracts go in, and what reached the "broker" is compared with the table.
#
#	my $node  = OutboxCluster->create('main', conf => $OutboxFault::CONF);
#	my $fault = OutboxFault->new($node, 'fault');
#	$fault->start;
#	$fault->append('key', 3);
#	$fault->wait_published;
#	$fault->check('three events');
package OutboxFault;

use strict;
use warnings;

use JSON::PP ();
use PostgreSQL::Test::Utils ();
use Test::More ();

our $CONF = "outbox.sink_libraries = 'outbox_fault, outbox_log'\n";

# The first sink of a node also creates what writes events. %options are the sink's own, on_reject is its policy.
sub new
{
	my ($class, $node, $name, %options) = @_;
	my $dir = PostgreSQL::Test::Utils::tempdir_short();
	my $self = bless { node => $node, name => $name, file => "$dir/broker", control => "$dir/control" }, $class;

	my $on_reject = delete $options{on_reject} // 'block_key';
	$options{file} = $self->{file};
	$options{control} = $self->{control};
	my $json = JSON::PP->new->canonical->encode(\%options);
	$node->sql(<<SQL);
CREATE OR REPLACE FUNCTION public.append(schema_id int, aggregatetype text, key text, n int, payload_bytes int)
RETURNS void LANGUAGE c AS 'outbox_ext', 'outbox_test_append';
-- the lock of the key stands for the lock of a source row: it is what makes an order per key
CREATE OR REPLACE FUNCTION public.change(key int, n int DEFAULT 1) RETURNS void LANGUAGE sql AS
\$\$SELECT pg_advisory_xact_lock(key); SELECT public.append(1, 'test', 'k' || key, n, 100)\$\$;
INSERT INTO outbox.event_schema (id, contract, event_type, version, topic, ce_type, schema, fingerprint)
VALUES (1, 'test', 'Test', 1, 'test.topic', 'org.example.test',
        '{"type":"record","name":"Test","namespace":"org.example","fields":[]}', 1)
ON CONFLICT DO NOTHING;
SELECT outbox.create_sink('$name', library => 'outbox_fault', options => '$json', on_reject => '$on_reject');
SQL
	return $self;
}

sub start
{
	my ($self) = @_;
	$self->{node}->sql("SELECT outbox.start_relay('$self->{name}')");
	$self->wait_state('running');
	return $self;
}

# Returns when the relay's process is gone.
sub stop
{
	my ($self) = @_;
	$self->{node}->sql("SELECT outbox.stop_relay('$self->{name}')");
	$self->{node}->poll_until("SELECT pid IS NULL FROM outbox_internal.relay_report() WHERE sink = '$self->{name}'");
	return;
}

sub pid
{
	my ($self) = @_;
	my $query = "SELECT pid FROM outbox_internal.relay_report() WHERE sink = '$self->{name}'";

	$self->{node}->poll_until("SELECT pid IS NOT NULL FROM ($query) r");
	return $self->{node}->sql($query);
}

# Appends n events of a key in one transaction.
sub append
{
	my ($self, $key, $n) = @_;
	return $self->append_to(1, $key, $n);
}

# The same with another schema.
sub append_to
{
	my ($self, $schema, $key, $n) = @_;
	$self->{node}->sql("SELECT append($schema, 'test', '$key', $n, 100)");
	return;
}

# The seqs of a key (and a topic) in the order in which the broker took them first.
sub order_of
{
	my ($self, $key, $topic) = @_;
	my %seen;
	return join ' ', grep { !$seen{$_}++ } map { $_->{seq} }
	  grep { $_->{key} eq $key && (!defined $topic || $_->{destination} eq $topic) } @{ $self->deliveries };
}

# Those that the outbox has of a key (and of these schemas), in order.
sub seqs
{
	my ($self, $key, @schemas) = @_;
	my $of = @schemas ? ' AND schema_id IN (' . join(',', @schemas) . ')' : '';
	return join ' ', split /\n/, $self->{node}->sql("SELECT seq FROM outbox.event WHERE aggregateid = '$key'$of ORDER BY seq");
}

# Waits until that many events are held.
sub wait_held
{
	my ($self, $n) = @_;
	$self->{node}->poll_until('SELECT count(*) FROM outbox.held_events', $n);
	return;
}

# What goes wrong from now on; nothing without arguments.
sub control
{
	my ($self, %faults) = @_;
	my $text = join('', map { "$_=$faults{$_}\n" } sort keys %faults);

	PostgreSQL::Test::Utils::append_to_file("$self->{control}.new", $text);
	rename "$self->{control}.new", $self->{control} or die "could not rename: $!";
	return;
}

sub wait_state
{
	my ($self, $state) = @_;
	$self->{node}->poll_until("SELECT state FROM outbox_internal.relay_report() WHERE sink = '$self->{name}'", $state);
	return;
}

sub wait_published
{
	my ($self, %opt) = @_;
	$self->{node}->wait_published($self->{name}, %opt);
	return;
}

sub last_error
{
	my ($self) = @_;
	return $self->{node}->sql("SELECT last_error FROM outbox_internal.relay_report() WHERE sink = '$self->{name}'");
}

# Deliveries in the broker's order: hashes with seq, id, key, type, kind, attempt, traceparent, attributes, lag, timeline,
# destination, payload_hash.
sub deliveries
{
	my ($self) = @_;
	my @fields = qw(seq id key type kind attempt traceparent attributes lag timeline destination payload_hash);
	my @deliveries;

	return [] unless -e $self->{file};
	for my $line (split /\n/, PostgreSQL::Test::Utils::slurp_file($self->{file}))
	{
		my %delivery;

		# cut off when its writer was killed
		next if $line =~ /\ttorn$/;
		@delivery{@fields} = split /\t/, $line, -1;
		push @deliveries, \%delivery;
	}
	return \@deliveries;
}

# Nothing lost, nothing invented, first deliveries of each key in a topic in the order of their changes.
# Returns how many deliveries were repetitions.
sub check
{
	my ($self, $what) = @_;
	my %table = map { my ($id, $seq) = split /\|/; $id => $seq }
	  split /\n/, $self->{node}->sql('SELECT id, seq FROM outbox.event');
	my (%seen, %newest, $repeated, @invented, @backward);

	for my $delivery (@{ $self->deliveries })
	{
		my ($id, $key) = ($delivery->{id}, "$delivery->{destination} $delivery->{key}");

		push @invented, $id unless exists $table{$id};
		if ($seen{$id}++)
		{
			$repeated++;
			next;
		}
		push @backward, "$key: $delivery->{seq} after $newest{$key}"
		  if defined $newest{$key} && $delivery->{seq} < $newest{$key};
		$newest{$key} = $delivery->{seq};
	}
	my @lost = grep { !$seen{$_} } keys %table;

	Test::More::is(scalar(@lost), 0, "$what: nothing is lost")
	  or Test::More::diag('lost: ' . join(', ', map { $table{$_} } @lost[ 0 .. ($#lost > 9 ? 9 : $#lost) ]));
	Test::More::is(scalar(@invented), 0, "$what: nothing is invented");
	Test::More::is(scalar(@backward), 0, "$what: the order per key is kept")
	  or Test::More::diag(join("\n", @backward[ 0 .. ($#backward > 9 ? 9 : $#backward) ]));
	return $repeated || 0;
}

# From now on change() also notes what it writes in a table of its own: leaves are emptied, so the outbox
# itself cannot say what must have arrived.
sub remember
{
	my ($node) = @_;
	$node->sql(<<'SQL');
CREATE TABLE IF NOT EXISTS public.written (key int, n int);
CREATE OR REPLACE FUNCTION public.change(key int, n int DEFAULT 1) RETURNS void LANGUAGE sql AS
$$SELECT pg_advisory_xact_lock(key); INSERT INTO public.written VALUES (key, n);
  SELECT public.append(1, 'test', 'k' || key, n, 100)$$;
SQL
	return;
}

# Waits until the sink has acknowledged all that change() has noted.
sub wait_acked
{
	my ($self, %opt) = @_;
	$self->{node}->poll_until("SELECT p.acked >= (SELECT coalesce(sum(n), 0) FROM public.written)
		FROM outbox.relay_progress p JOIN outbox.sink s ON s.id = p.sink_id WHERE s.name = '$self->{name}'", 't', %opt);
	return;
}

# Of each key as many events as change() has noted, each in the order of its changes.
# Returns how many deliveries were repetitions.
sub check_written
{
	my ($self, $what) = @_;
	my %written = map { split /\|/ }
	  split /\n/, $self->{node}->sql("SELECT 'k' || key, sum(n) FROM public.written GROUP BY 1");
	my (%seen, %newest, %arrived, $repeated, @backward);

	for my $delivery (@{ $self->deliveries })
	{
		my ($id, $key) = @{$delivery}{qw(id key)};

		if ($seen{$id}++)
		{
			$repeated++;
			next;
		}
		$arrived{$key}++;
		push @backward, "$key: $delivery->{seq} after $newest{$key}"
		  if defined $newest{$key} && $delivery->{seq} < $newest{$key};
		$newest{$key} = $delivery->{seq};
	}
	Test::More::is_deeply(\%arrived, \%written, "$what: of every key as many events as were committed");
	Test::More::is(scalar(@backward), 0, "$what: the order per key is kept")
	  or Test::More::diag(join("\n", @backward[ 0 .. ($#backward > 9 ? 9 : $#backward) ]));
	return $repeated || 0;
}

# Starts pgbench with a script in the background; returns its handle for finish().
sub write_in_background
{
	my ($self, $script, @options) = @_;
	my $node = $self->{node};
	my $file = "$self->{file}.sql";

	PostgreSQL::Test::Utils::append_to_file($file, $script) unless -e $file;
	return IPC::Run::start(
		[ 'pgbench', '-n', '-h', $node->host, '-p', $node->port, '-f', $file, @options, 'postgres' ],
		'<', \undef, '>', \my $out, '2>', \my $err);
}

1;
