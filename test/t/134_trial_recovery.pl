# A base backup is recovered to a point in time, in place of the original and beside it: in place, it goes on by itself and
# what it commits is told apart by a larger timeline; beside it, with another outbox.site, it publishes nothing unasked.
use strict;
use warnings;

use Test::More;

use OutboxBroker;
use OutboxCluster;
use OutboxTrial;
use PostgreSQL::Test::Utils;

my $kafka = OutboxBroker->kafka;
my $first = OutboxCluster->create('recovered', start => 0, conf => "outbox.site = 'here'\n");
$first->append_conf('pg_hba.conf', 'local all all trust');
$first->append_conf('pg_hba.conf', 'local replication all trust');
$first->enable_archiving;
$first->start;
$first->sql('CREATE EXTENSION outbox_ext');
my $trial = OutboxTrial->new($first, $kafka, 'recovery');
$first->create_sink('kafka', $kafka);
$trial->start;
$trial->goes_on(200);
$first->backup('base');
$trial->goes_on(200);
$trial->stop;
$trial->wait_published;
# the point that is recovered to; what follows happened, was published, and is lost
my $target = $first->sql("INSERT INTO recovery VALUES (1000, 1) RETURNING pg_current_xact_id()");
my $kept = $first->sql('SELECT sum(version) FROM recovery');
$trial->start;
$trial->goes_on(200);
$trial->stop;
$trial->wait_published;
$trial->check('before the recovery');
$first->sql('SELECT pg_switch_wal()');
$first->poll_until("SELECT last_archived_wal >= pg_walfile_name('" . $first->lsn('insert') . "') OR archived_count > 1 FROM pg_stat_archiver");
$first->stop;

sub recover
{
	my ($name, $site) = @_;
	my $node = OutboxCluster->new($name);

	$node->init_from_backup($first, 'base', has_restoring => 1, standby => 0);
	$node->append_conf('postgresql.conf', "recovery_target_xid = '$target'\nrecovery_target_action = 'promote'\noutbox.site = '$site'\narchive_mode = off\n");
	$node->start;
	$node->poll_until('SELECT NOT pg_is_in_recovery()');
	is($node->sql('SELECT sum(version) FROM recovery'), $kept, "$name: recovered to the point");
	return $node;
}

# ---- in place ----
my $again = recover('in_place', 'here');
$again->poll_until("SELECT state = 'running' AND pending = 0 FROM outbox.status WHERE kind = 'sink'");
$again->sql('UPDATE recovery SET version = version + 100000');
$trial->{node} = $again;
$trial->wait_published;
my %last;
my %sequence;
for my $message (@{ $again->consume($kafka, 'trial.recovery') })
{
	my $sequence = $message->{headers}{ce_sequence};
	$last{ $message->{key} } = $message->{value}{version} if $sequence gt ($sequence{ $message->{key} } // '');
	$sequence{ $message->{key} } = $sequence if $sequence gt ($sequence{ $message->{key} } // '');
}
is(join(' ', map { "$_=$last{$_}" } sort { $a <=> $b } keys %last),
	$again->sql("SELECT string_agg(id || '=' || version, ' ' ORDER BY id) FROM recovery"),
	'in place: by ce_sequence the newest event of every key is its row, also where lost events had been published');
is($again->sql('SELECT count(*) FROM outbox.dead_letter'), 0, 'and nothing is a dead letter');
$again->stop;

# ---- beside it ----
my $copy = recover('beside', 'there');
$copy->poll_until("SELECT state = 'blocked' FROM outbox.status WHERE kind = 'sink'");
like($copy->sql("SELECT last_error FROM outbox.status WHERE kind = 'sink'"), qr/was started at site "here"/, 'beside it: a relay asks before it publishes');
$copy->sql('UPDATE recovery SET version = version + 200000');
$copy->poll_until("SELECT pending > 0 FROM outbox.status WHERE kind = 'sink'");
is(scalar(grep { $_->{value}{version} > 200000 } @{ $copy->consume($kafka, 'trial.recovery') }), 0, 'and publishes nothing');
$copy->stop;

done_testing();
