# Something happens while an application writes and a relay publishes to a real Kafka; afterwards every committed change
# is in the topic, in order.
#
# The application counts: each change of a row takes its version up by one, so the topic must hold every version of every
# key, first copies in order, up to the one that the row has.
#
#	my $trial = OutboxTrial->new($node, $kafka, 'name', keys => 100);
#	$trial->start(rate => 200);
#	... trouble ...
#	$trial->stop;
#	$trial->check('what happened');
package OutboxTrial;

use strict;
use warnings;

use IPC::Run ();
use PostgreSQL::Test::Utils ();
use Test::More ();

# A table, its contract, whose events go to topic trial.NAME, and a sink; options: those of the sink.
sub new
{
	my ($class, $node, $kafka, $name, %opt) = @_;
	my $self = bless { node => $node, kafka => $kafka, name => $name, keys => $opt{keys} // 50, topic => "trial.$name", sink => $opt{sink} // 'kafka' }, $class;

	$node->versioned_table($name, $self->{topic});
	$node->sql("INSERT INTO $name SELECT g, 1 FROM generate_series(1, $self->{keys}) g");
	return $self;
}

# Writers that count, until stop(); they go on after errors when `persistent`, at another node when that is given later.
sub start
{
	my ($self, %opt) = @_;
	my $script = PostgreSQL::Test::Utils::tempdir() . '/count.sql';
	my ($rate, $clients) = ($opt{rate} // 200, $opt{clients} // 2);

	PostgreSQL::Test::Utils::append_to_file($script, "\\set id random(1, $self->{keys})\nUPDATE $self->{name} SET version = version + 1 WHERE id = :id;\n");
	$self->{words} = '';
	$self->{writers} = IPC::Run::start(
		[ 'pgbench', '-n', '-c', $clients, '-R', $rate, '-T', 3600, '-f', $script, $self->{node}->connstr('postgres') ],
		'<', \undef, '>&', \$self->{words});
	$self->goes_on;
	return $self;
}

# Waits until the writers have committed some more.
sub goes_on
{
	my ($self, $n) = @_;
	my $now = $self->{node}->sql("SELECT sum(version) FROM $self->{name}");

	$self->{node}->poll_until("SELECT sum(version) >= $now + " . ($n // 20) . " FROM $self->{name}");
	return;
}

sub stop
{
	my ($self) = @_;

	if (my $writers = delete $self->{writers})
	{
		$writers->signal('TERM');
		eval { $writers->finish };
	}
	return;
}

# Until the sink has everything that is committed now.
sub wait_published
{
	my ($self, %opt) = @_;

	$self->{node}->poll_until("SELECT bool_and(pending = 0) AND NOT EXISTS (SELECT FROM outbox.held_event) FROM outbox.status WHERE kind = 'sink' AND name = '$self->{sink}'",
		't', timeout => 120, %opt);
	return;
}

# A test: all versions of all keys, in order, and none that was not committed. between => 1: keys may have moved to another partition.
sub check
{
	my ($self, $what, %opt) = @_;
	my %truth = map { split /\|/ } split /\n/, $self->{node}->sql("SELECT id, version FROM $self->{name}");
	my (%seen, %next, %order, @wrong, $copies);

	for my $message (@{ $self->{node}->consume($self->{kafka}, $self->{topic}, %{ $opt{consume} // {} }) })
	{
		my ($key, $version) = ($message->{key}, $message->{value}{version});
		my $lane = $opt{moved} ? "$key $message->{partition}" : $key;

		if ($seen{"$key $version"}++)
		{
			$copies++;
			next;
		}
		push @wrong, "$key: $version after $next{$lane}" if $version <= ($next{$lane} // 0);
		$next{$lane} = $version;
		push @wrong, "$key: $version was not committed" if $version > ($truth{$key} // 0);
	}
	for my $key (sort keys %truth)
	{
		my @lost = grep { !$seen{"$key $_"} } 1 .. $truth{$key};
		push @wrong, "$key: @lost not there" if @lost;
	}
	push @wrong, 'dead letters' if $self->{node}->sql('SELECT count(*) FROM outbox.dead_letter');
	my $n = keys %seen;
	Test::More::ok(!@wrong && $n > 0, "$what: all $n events are there, in order") or Test::More::diag(join "\n", @wrong[ 0 .. ($#wrong > 20 ? 20 : $#wrong) ]);
	Test::More::note("$what: $n events, " . ($copies // 0) . ' repeated');
	return;
}

1;
