# Brokers for TAP tests: librdkafka's mock cluster, and a real Kafka with a real schema registry.
#
# The mock starts in milliseconds, speaks the Kafka protocol and dies with the test; the real ones
# take seconds and are started once per run: the runner exports OUTBOX_TEST_BROKERS, the directory
# where they live; a test that is run alone starts its own there and stops them at its end.
package OutboxBroker;

use strict;
use warnings;

use Cwd ();
use IO::Handle ();
use File::Basename ();
use IPC::Run ();
use JSON::PP ();
use PostgreSQL::Test::Utils ();

my $TOP = Cwd::abs_path(File::Basename::dirname(__FILE__) . '/../..');
my %started;	# directories of the real brokers that this process has to stop
my %children;	# and its other processes: proxies, fake registries

# An embedded broker on loopback. It accepts every topic, and lives as long as a pipe of ours: one that
# perl opens, because those are not inherited by the servers that a test starts later.
sub mock
{
	my ($class) = @_;
	my $dir = PostgreSQL::Test::Utils::tempdir();
	my $self = bless { kind => 'mock' }, $class;

	open $self->{pipe}, '|-', 'sh', '-c', 'exec "$0" "$1" >"$2" 2>"$3"',
	  "$TOP/build/mock_broker", "$dir/address", "$dir/out", "$dir/err"
	  or die "could not start the mock broker: $!";
	$self->{address} = _poll_file("$dir/address", 30)
	  or die 'the mock broker did not start: ' . PostgreSQL::Test::Utils::slurp_file("$dir/err");
	return $self;
}

# Makes trouble at a mock: 'topic NAME ERROR', 'error KEY ERROR COUNT', 'rtt MS', 'down', 'up'; see tools/mock_broker.c.
sub trouble
{
	my ($self, $command) = @_;
	my $pipe = $self->{pipe};

	print $pipe "$command\n";
	$pipe->flush;
	return;
}

# A real Kafka (one node). Topics must be named apart by the tests: it is shared by the run.
sub kafka
{
	my ($class) = @_;
	my $self = bless { kind => 'kafka', dir => _brokers_dir() . '/kafka' }, $class;

	return $self->_up;
}

# A real Kafka of its own that creates no topics by itself and lets users do only what ACLs allow; without a user
# (plaintext) everything is allowed. More properties may be given.
sub strict_kafka
{
	my ($class, $more) = @_;
	my $dir = PostgreSQL::Test::Utils::tempdir();
	my $self = bless { kind => 'kafka', dir => "$dir/kafka", properties => "$dir/strict.properties" }, $class;

	PostgreSQL::Test::Utils::append_to_file($self->{properties}, <<'PROPERTIES');
auto.create.topics.enable=false
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
PROPERTIES
	PostgreSQL::Test::Utils::append_to_file($self->{properties}, $more) if defined $more;
	return $self->_up;
}

# A real Kafka of its own behind a proxy that knows its frames, and that has this name, if one is given; see test/python/kafka_proxy.py. The tests' own clients go
# straight to the broker (address), what is tested goes through the proxy (proxied).
sub kafka_behind_proxy
{
	my ($class, $name) = @_;
	my $dir = PostgreSQL::Test::Utils::tempdir();
	my $self = bless { kind => 'kafka', dir => "$dir/kafka", proxy_dir => $dir }, $class;

	$self->rules();
	$self->{proxy} = IPC::Run::start([ "$TOP/build/venv/bin/python", "$TOP/test/python/kafka_proxy.py",
			"$dir/proxy", "$dir/kafka/proxied", "$dir/rules", "$dir/batches" ],
		'<', \undef, '>', "$dir/proxy.out", '2>', "$dir/proxy.err");
	$children{ $self->{proxy} } = $self->{proxy};
	$self->{proxied} = _poll_file("$dir/proxy", 30)
	  or die 'the proxy did not start: ' . PostgreSQL::Test::Utils::slurp_file("$dir/proxy.err");
	$self->{proxied} =~ s/^[^:]+/$name/ if defined $name;
	return $self->_up;
}

# host:port of the proxy
sub proxied
{
	my ($self) = @_;
	return $self->{proxied};
}

# What the proxy answers by itself from now on: a list of hashes.
sub rules
{
	my ($self, @rules) = @_;

	_replace_file("$self->{proxy_dir}/rules", JSON::PP::encode_json(\@rules));
	return;
}

# The batches that passed through the proxy, oldest first: hashes with topic, partition, producer, sequence, records, code.
sub batches
{
	my ($self, $topic) = @_;
	my $file = "$self->{proxy_dir}/batches";

	return grep { !defined $topic || $_->{topic} eq $topic } map { JSON::PP::decode_json($_) } -e $file ? split /\n/, PostgreSQL::Test::Utils::slurp_file($file) : ();
}

# The base URL of a real schema registry with the Confluent API.
sub registry
{
	my ($class) = @_;
	my $self = bless { kind => 'registry', dir => _brokers_dir() . '/registry' }, $class;

	return $self->_up;
}

# A real schema registry of its own, which may be wiped and started again at its address.
sub own_registry
{
	my ($class) = @_;
	my $dir = PostgreSQL::Test::Utils::tempdir() . '/registry';
	my $self = bless { kind => 'registry', dir => $dir, own => 1 }, $class;

	return $self->_up;
}

# A registry that answers what it is told: parts of subjects, and what it makes of them (test/python/fake_registry.py).
sub fake_registry
{
	my ($class, %modes) = @_;
	my $dir = PostgreSQL::Test::Utils::tempdir();
	my $self = bless { kind => 'fake registry', dir => $dir }, $class;

	$self->modes(%modes);
	$self->{child} = IPC::Run::start([ "$TOP/build/venv/bin/python", "$TOP/test/python/fake_registry.py", "$dir/url", "$dir/modes" ],
		'<', \undef, '>&', "$dir/log");
	$children{ $self->{child} } = $self->{child};
	$self->{address} = _poll_file("$dir/url", 60)
	  or die 'the fake registry did not start: ' . PostgreSQL::Test::Utils::slurp_file("$dir/log");
	return $self;
}

# What it answers from now on, instead of what it was told before.
sub modes
{
	my ($self, %modes) = @_;

	# bytes as they are, which need be no UTF-8
	_replace_file("$self->{dir}/modes", JSON::PP->new->latin1->encode(\%modes));
	return;
}

# The requests that it had since the last call.
sub requests
{
	my ($self) = @_;
	my $file = "$self->{dir}/url.requests";
	my @all = -e $file ? split /\n/, PostgreSQL::Test::Utils::slurp_file($file) : ();
	my $seen = $self->{seen} // 0;

	$self->{seen} = @all;
	return @all[ $seen .. $#all ];
}

# Stops it and starts it again at the same address, with nothing in it.
sub set_up_anew
{
	my ($self) = @_;

	$self->stop;
	unlink glob "$self->{dir}/registry*.db";
	return $self->_up;
}

# host:port, or for a registry its URL
sub address
{
	my ($self) = @_;
	return $self->{address};
}

# A real Kafka's other listeners (see kafka-up.sh): 'tls' and 'sasl' give host:port, 'ca' the file of the
# authority that signed its certificate, 'password' that of the user shop.
sub secure
{
	my ($self, $what) = @_;

	return "$self->{dir}/ca.pem" if $what eq 'ca';
	chomp(my $text = PostgreSQL::Test::Utils::slurp_file("$self->{dir}/$what"));
	return $text;
}

sub stop
{
	my ($self, %opt) = @_;

	foreach my $child (grep { defined } delete @$self{qw(proxy child)})
	{
		delete $children{$child};
		$child->kill_kill;
	}
	return if $self->{kind} eq 'fake registry';
	if ($self->{kind} eq 'mock')
	{
		close delete $self->{pipe} if $self->{pipe};
		return;
	}
	_script("$self->{kind}-down.sh", $self->{dir}, $opt{kill} ? '--kill' : ());
	return;
}

# Starts a stopped real broker again, on the same port and with the same data.
sub start
{
	my ($self) = @_;
	return $self->_up;
}

# The messages of topics, in the order of each partition: a list of hashes with topic, partition,
# offset, key, headers and value. See tools/consume.py for the options.
sub consume
{
	my ($self, $topics, %opt) = @_;
	my @args = ('--bootstrap', $self->address, '--topics', ref $topics ? join(',', @$topics) : $topics);

	for my $name (sort keys %opt)
	{
		(my $flag = "--$name") =~ tr/_/-/;
		push @args, $flag, $name eq 'lenient' ? () : $opt{$name};
	}
	my ($out, $err) = ('', '');
	IPC::Run::run([ "$TOP/build/venv/bin/python", "$TOP/tools/consume.py", @args ], '<', \undef, '>', \$out, '2>', \$err)
	  or die "consume.py failed: $err";
	return [ map { JSON::PP::decode_json($_) } split /\n/, $out ];
}

# Runs Python with the independent client, and returns what it prints; admin, wait(futures), create(topic, partitions,
# key=value) and alter(topic, key, value) are there.
sub admin
{
	my ($self, $code) = @_;
	my ($out, $err) = ('', '');
	my $script = <<"PYTHON" . $code;
from confluent_kafka.admin import *
admin = AdminClient({"bootstrap.servers": "@{[ $self->address ]}"})
def wait(futures):
    return [f.result(60) for f in futures.values()]
def create(name, partitions, **config):
    wait(admin.create_topics([NewTopic(name, partitions, 1, config={k.replace("_", "."): v for k, v in config.items()})]))
def alter(name, key, value):
    wait(admin.incremental_alter_configs([ConfigResource(ConfigResource.Type.TOPIC, name, incremental_configs=[ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)])]))
PYTHON
	IPC::Run::run([ "$TOP/build/venv/bin/python", '-c', $script ], '<', \undef, '>', \$out, '2>', \$err) or die "python failed: $err";
	return $out;
}

# Sends a message per key to a topic of a real Kafka with Kafka's own producer in Java.
sub produce_with_java
{
	my ($self, $topic, @keys) = @_;
	my $lines = join '', map { "$_\tx\n" } @keys;
	my ($out, $err) = ('', '');

	IPC::Run::run([ "$TOP/test/brokers/kafka-produce.sh", $self->address, $topic ], '<', \$lines, '>', \$out, '2>', \$err)
	  or die "kafka-produce.sh failed: $err";
	return;
}

# Changes the dynamic configuration of a real Kafka; the options are those of Kafka's own tool.
sub configure
{
	my ($self, @options) = @_;

	_script('kafka-configs.sh', $self->address, @options);
	return;
}

sub _up
{
	my ($self) = @_;

	$started{ $self->{dir} } = $self->{kind}
	  if ($self->{properties} || $self->{own} || $self->{proxied} || !$ENV{OUTBOX_TEST_BROKERS}) && !-e "$self->{dir}/pid";
	local $ENV{KAFKA_PROPERTIES} = $self->{properties} // '';
	local $ENV{KAFKA_PROXY} = $self->{proxied} // '';
	$self->{address} = _script("$self->{kind}-up.sh", $self->{dir});
	return $self;
}

sub _brokers_dir
{
	return $ENV{OUTBOX_TEST_BROKERS} || "$PostgreSQL::Test::Utils::tmp_check/brokers";
}

# Runs a script of test/brokers, returns the last line of its output.
sub _script
{
	my ($script, @args) = @_;
	my ($out, $err) = ('', '');

	IPC::Run::run([ "$TOP/test/brokers/$script", @args ], '<', \undef, '>', \$out, '2>', \$err)
	  or die "$script failed: $err";
	chomp $out;
	return (split /\n/, $out)[-1];
}

# Another process that reads the file sees all of the text, or what was there before.
sub _replace_file
{
	my ($path, $text) = @_;

	PostgreSQL::Test::Utils::append_to_file("$path.new", $text);
	rename "$path.new", $path or die "could not write $path: $!";
	return;
}

# The first line of a file that another process writes, once it is complete.
sub _poll_file
{
	my ($path, $seconds) = @_;
	my $deadline = time + $seconds;

	while (time < $deadline)
	{
		if (-s $path)
		{
			my $text = PostgreSQL::Test::Utils::slurp_file($path);
			return $1 if $text =~ /^(\S+)\n/;
		}
		select(undef, undef, undef, 0.02);
	}
	return undef;
}

END
{
	my $status = $?;
	eval { $_->kill_kill } for values %children;
	for my $dir (keys %started)
	{
		eval { _script("$started{$dir}-down.sh", $dir, '--wipe') };
	}
	$? = $status;
}

1;
