# A leaf that something is wrong with is kept and complained about; the others are looked after all the same.
use strict;
use warnings;

use Test::More;

use OutboxCluster;
use OutboxFault;

my $node = OutboxCluster->create('bad_leaf', conf => $OutboxFault::CONF . <<'CONF');
outbox.leaf_size = '64kB'
outbox.retention = 0
CONF
my $fault = OutboxFault->new($node, 'fault')->start;
OutboxFault::remember($node);

# what a count that finds later rows would see
$node->sql(<<'SQL');
CREATE FUNCTION public.spoil() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN NEW.frozen_snapshot := '3:3:'; RETURN NEW; END$$;
CREATE TRIGGER spoil BEFORE UPDATE ON outbox_internal.leaf FOR EACH ROW WHEN (NEW.leaf = 1 AND NEW.state = 'frozen' AND OLD.state = 'closing')
	EXECUTE FUNCTION public.spoil();
SQL
my $write = 'DO $$BEGIN FOR i IN 1 .. 20 LOOP PERFORM change(i, 20); COMMIT; END LOOP; END$$';

$node->sql($write);
$node->poll_until("SELECT state FROM outbox.leaf WHERE leaf = 1", 'frozen');
my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;
my $cycled = 'f';
until ($cycled eq 't' || time > $deadline)
{
	$node->sql($write);
	$cycled = $node->sql("SELECT count(*) > 0 FROM outbox.leaf WHERE leaf > 1 AND leaf_generation > 2");
}
is($cycled, 't', 'other leaves are written, emptied and written again');
is($node->sql('SELECT state FROM outbox.leaf WHERE leaf = 1'), 'frozen', 'the bad one is kept');
like(PostgreSQL::Test::Utils::slurp_file($node->logfile), qr/could not look after the leaves.*leaf 1 was written to after.*?HINT:  \QThe leaf is kept. Report this with SELECT * FROM outbox.leaf;\E/s, 'and the log says which');
$fault->wait_acked;
$fault->check_written('beside a bad leaf');

$node->stop;
done_testing();
