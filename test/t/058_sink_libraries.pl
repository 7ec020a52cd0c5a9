# A library that is no sink of this version is named with the reason and the remedy, by create_sink and by a relay that
# finds it after an upgrade; nothing of it is called, and the relay goes on when the right one is there.
use strict;
use warnings;

use Test::More;

use OutboxCluster;
use OutboxFault;

my %words = (
	sink_of_old => [
		qr/55000: sink library "sink_of_old" was built for another version of outbox_ext/,
		qr/Its interface is ([0-9A-F]{8}), this version's is (?!\1)[0-9A-F]{8}\./,
		qr/\QRebuild and install the library with this version's outbox_sink.h, then reconnect.\E/ ],
	sink_of_null => [
		qr/55000: sink library "sink_of_null" was built for another version of outbox_ext/,
		qr/Its interface is 00000000/, qr/Rebuild and install the library/ ],
	sink_of_part => [
		qr/55000: sink library "sink_of_part" is incomplete/, qr/It has no poll_cb\./,
		qr/\QThe library has to set every callback that outbox_sink.h does not call optional.\E/ ],
	sink_of_none => [
		qr/42883: library "sink_of_none" is not a sink/, qr/does not export the function _PG_outbox_sink_init/,
		qr/\QName a library that implements outbox_sink.h, such as outbox_kafka.\E/ ],
	sink_of_others => [
		qr/XX000: could not load sink library "sink_of_others"/, qr/missing magic block/, qr/Build .*sink_of_others\.so for this server/ ],
	sink_of_more => [
		qr/could not load sink library "sink_of_more"/, qr/undefined symbol: nobody_has_this/, qr/ldd -r .*sink_of_more\.so names it/ ],
	sink_of_nothing => [
		qr/58P01: could not load sink library "sink_of_nothing"/, qr/No such file/, qr/Install the file .*sink_of_nothing\.so\./ ],
);
my $node = OutboxCluster->create('libraries',
	conf => "outbox.sink_libraries = 'outbox_fault, outbox_log, " . join(', ', sort keys %words) . "'\n");

# ---- create_sink ----
for my $library (sort keys %words)
{
	my $error = $node->sql_error("SELECT outbox.create_sink('bad', library => '$library')");

	like($error, $_, "create_sink: $library") for @{ $words{$library} };
}
is($node->sql('SELECT count(*) FROM outbox.sink'), 0, 'no sink is created');

# ---- a relay whose library is another one since it was created ----
my $fault = OutboxFault->new($node, 'fault')->start;
$fault->append('before', 1);
$fault->wait_published;
for my $library (sort keys %words)
{
	my $message = $words{$library}[0] =~ s/^\(\?\^:[0-9A-Z]{5}: /(?^:/r;

	$node->sql("UPDATE outbox.sink SET library = '$library'");
	$fault->append($library, 1);
	$node->poll_until("SELECT state = 'backoff' AND last_error LIKE '%\"$library\"%' FROM outbox_internal.relay_report()");
	like($fault->last_error, qr/$message/, "relay: $library");
}
is($node->sql('SELECT count(*) FROM outbox.dead_letter'), 0, 'no event is lost to it');
$node->sql("UPDATE outbox.sink SET library = 'outbox_fault'");
$node->reload;
$fault->wait_published;
is($fault->check('with the right one again'), 0, 'each event once');
unlike(PostgreSQL::Test::Utils::slurp_file($node->logfile), qr/terminated by signal|PANIC/, 'no process crashed');

$node->stop;
done_testing();
