# The broker's name stands for another address from one moment to the next, under load, while the old address goes away, or
# for none at all for a while: everything is published, in order.
use strict;
use warnings;

use IPC::Run ();
use Test::More;

use OutboxBroker;
use OutboxCluster;
use OutboxTrial;
use PostgreSQL::Test::Utils;

my $kafka = OutboxBroker->kafka_behind_proxy('kafka.test');
my $node = OutboxCluster->create('names', start => 0);
my $names = $node->basedir . '/names';
my $dir = $kafka->{proxy_dir};
my ($port) = $kafka->proxied =~ /:(\d+)$/;

sub move_name
{
	my ($address) = @_;
	PostgreSQL::Test::Utils::append_to_file("$names.new", $address);
	rename "$names.new", $names or die "could not rename: $!";
	return;
}

move_name('127.0.0.1');
{
	chomp(my $pkglibdir = qx(pg_config --pkglibdir));
	local $ENV{NAME_SHIFT} = $names;
	local $ENV{LD_PRELOAD} = "$pkglibdir/name_shift.so";
	$node->start;
}
$node->sql('CREATE EXTENSION outbox_ext');
my $trial = OutboxTrial->new($node, $kafka, 'names');
$node->create_sink('kafka', $kafka, 'bootstrap.servers' => $kafka->proxied);
$trial->wait_published;
$trial->start;
my $proxy;
for my $address (qw(127.0.0.2 127.0.0.3))
{
	local $ENV{KAFKA_PROXY_LISTEN} = "$address:$port";
	my $next = IPC::Run::start([ 'build/venv/bin/python', 'test/python/kafka_proxy.py', "$dir/proxy.$address", "$dir/kafka/proxied", "$dir/rules" ],
		'<', \undef, '>', "$dir/proxy.out", '2>', "$dir/proxy.err");
	OutboxBroker::_poll_file("$dir/proxy.$address", 30) or die 'no proxy';
	# the second time the name means nothing meanwhile
	move_name($address eq '127.0.0.3' ? 'nothing.invalid' : $address);
	($proxy // delete $kafka->{proxy})->kill_kill;
	$proxy = $next;
	$trial->goes_on(200);
	if ($address eq '127.0.0.3')
	{
		$node->poll_until("SELECT state = 'backoff' FROM outbox.status WHERE kind = 'sink'");
		move_name($address);
	}
	$node->poll_until("SELECT state = 'running' AND pending < 50 FROM outbox.status WHERE kind = 'sink'");
	pass("the name stands for $address");
}
$trial->stop;
$trial->wait_published;
$trial->check('a name that moves under load');

$node->stop;
$proxy->kill_kill;
$kafka->stop;
done_testing();
