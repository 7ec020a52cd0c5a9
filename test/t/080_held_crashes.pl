# Rejections, blocked topics, redrives, discards of letters and of what topics do not take at random, while writers write, relays are killed at random points of
# holding and releasing, and the server ends immediately: what was not discarded arrives, in order per key of each topic.
use strict;
use warnings;

use Test::More;

use OutboxCluster;
use OutboxFault;

my $seed = $ENV{SEED} // time;
srand $seed;
diag("SEED=$seed");
my $rounds = $ENV{ROUNDS} // 12;

my $node = OutboxCluster->create('held_crashes', conf => $OutboxFault::CONF . "wal_writer_delay = 10s\noutbox.max_sorted_events = 64\n");
my $fault = OutboxFault->new($node, 'fault', on_reject => 'block_key', delay_ms => 5);
$node->sql(<<'SQL');
INSERT INTO outbox.event_schema (id, contract, event_type, version, topic, ce_type, schema, fingerprint)
SELECT i, 'test', 'Test', i, 'topic' || i, 'org.example.test',
	'{"type":"record","name":"Test","namespace":"org.example","fields":[]}', i FROM generate_series(2, 3) i;
CREATE FUNCTION public.change_in(schema int, key int, n int) RETURNS void LANGUAGE sql AS
$$SELECT pg_advisory_xact_lock(key); SELECT public.append(schema, 'test', 'k' || key, n, 100)$$;
SQL
$fault->start;
my $writers = $fault->write_in_background(<<'SQL', '-c', '3', '-T', $rounds * 4, '-R', '60');
\set key random(1, 15)
\set schema random(1, 3)
\set off random(1, 4)
BEGIN;
SET LOCAL synchronous_commit = off;
SELECT change_in(:schema, :key, 2);
SAVEPOINT a;
SELECT change_in(:schema, :key, 1);
ROLLBACK TO a;
SELECT change_in(1, :key, 1);
COMMIT;
SQL

sub some { return $_[ int rand @_ ] }

my %discarded;
for my $round (1 .. $rounds)
{
	my %faults = map { %$_ } grep { rand() < 0.6 } (
		{ reject_every => 2 + int rand 30 }, { block_topic => 'topic' . (2 + int rand 2) }, { block_schema => 3 },
		{ reject_key => 'k' . (1 + int rand 15) }, { reverse => 1 }, { capacity => 1 + int rand 40 });

	$fault->control(%faults);
	$node->reload if rand() < 0.3;
	for my $step (1 .. 2)
	{
		select(undef, undef, undef, rand 0.6);
		eval { $node->sql("SELECT outbox.redrive()") } if rand() < 0.5;
		if (rand() < 0.3)
		{
			# only what is there already
			my $one = $node->sql("SELECT id, event_id FROM outbox.dead_letter WHERE state = 'open' ORDER BY random() LIMIT 1");
			my ($letter, $event) = split /\|/, $one;
			if ($letter)
			{
				$discarded{$event} = 1 if eval { $node->sql("SELECT outbox.discard($letter, 'test')"); 1 };
			}
		}
		# whatever is refused at this moment, if anything
		eval { $node->sql("SELECT outbox.discard_held('fault', topic => topic, reason => 'given up') FROM outbox.blocked_route ORDER BY random() LIMIT 1") }
		  if rand() < 0.2;
	}
	my $how = some('relay', 'relay', 'stop', 'nothing');
	if ($how eq 'relay')
	{
		my $pid = $node->sql("SELECT pid FROM outbox_internal.relay_report()");
		if ($pid) { kill 'KILL', $pid; $node->wait_for_recovery($pid); }
		# the writers' sessions ended too
		eval { $writers->finish };
		$writers = $fault->write_in_background('', '-c', '3', '-T', 4 * ($rounds - $round + 1), '-R', '60');
	}
	elsif ($how eq 'stop') { $fault->stop; $fault->start; }
}
eval { $writers->finish };
$fault->control();
$node->reload;
for (1 .. 100)
{
	$node->sql("SELECT outbox.redrive()");
	last if $node->sql("SELECT count(*) = 0 FROM outbox.held_event") eq 't' && $node->sql("SELECT pending = 0 FROM outbox.status WHERE kind = 'sink'") eq 't';
	select(undef, undef, undef, 0.2);
}
is($node->sql('SELECT count(*) FROM outbox.held_event'), 0, 'nothing waits in the end');
$node->poll_until("SELECT pending = 0 FROM outbox.status WHERE kind = 'sink'");

$discarded{$_} = 1 for split /\n/, $node->sql("SELECT event_id FROM outbox.dead_letter WHERE resolution = 'given up'");
note($node->sql("SELECT count(*) FROM outbox.dead_letter WHERE resolution = 'given up'") . ' given up with their topic');
my %table = map { my ($id, $seq) = split /\|/; $id => $seq } split /\n/, $node->sql('SELECT id, seq FROM outbox.event');
my (%seen, %newest, @backward, @invented);
for my $delivery (@{ $fault->deliveries })
{
	my ($id, $lane) = ($delivery->{id}, "$delivery->{destination} $delivery->{key}");

	push @invented, $id unless exists $table{$id};
	next if $seen{$id}++;
	push @backward, "$lane: $delivery->{seq} after $newest{$lane} ($delivery->{attributes})" if ($newest{$lane} // 0) > $delivery->{seq};
	$newest{$lane} = $delivery->{seq} if ($newest{$lane} // 0) < $delivery->{seq};
}
my @lost = grep { !$seen{$_} && !$discarded{$_} } keys %table;
cmp_ok(scalar(keys %table), '>', 100, scalar(keys %table) . ' events, ' . scalar(keys %discarded) . ' discarded');
is(scalar(@lost), 0, 'what was not discarded has arrived') or diag(join ' ', map { $table{$_} } @lost[0 .. ($#lost > 9 ? 9 : $#lost)]);
is(scalar(@invented), 0, 'nothing is invented');
is(scalar(@backward), 0, 'in order per key and topic') or diag(join "\n", @backward[0 .. ($#backward > 9 ? 9 : $#backward)]);
$node->stop;
done_testing();
