# A primary that dies under load, its standby, which is promoted, and the old primary, which is rewound, follows and is
# promoted in its turn: every committed event is published, in order, by one of them.
use strict;
use warnings;

use Test::More;

use OutboxBroker;
use OutboxCluster;
use OutboxTrial;
use PostgreSQL::Test::Utils;

my $kafka = OutboxBroker->kafka;
my $first = OutboxCluster->create('left', start => 0, initdb => ['--data-checksums'],
	conf => "max_wal_senders = 5\nwal_keep_size = 256MB\n");
$first->append_conf('pg_hba.conf', 'local all all trust');
$first->append_conf('pg_hba.conf', 'local replication all trust');
$first->start;
$first->sql('CREATE EXTENSION outbox_ext');
$first->backup('base');
my $second = OutboxCluster->new('right');
$second->init_from_backup($first, 'base', has_streaming => 1);
$second->start;

my $trial = OutboxTrial->new($first, $kafka, 'failover');
$first->append_conf('postgresql.conf', "synchronous_standby_names = 'right'");
$first->reload;
$first->create_sink('kafka', $kafka);
$trial->start;
$trial->goes_on(200);

# ---- the primary dies, the standby takes over ----
$first->stop('immediate');
$trial->stop;
$second->promote;
$trial->{node} = $second;
$trial->start;
$second->poll_until("SELECT state = 'running' FROM outbox.status WHERE kind = 'sink'");
$trial->goes_on(200);
$trial->stop;
$trial->wait_published;
$trial->check('promotion under load');

# ---- the old primary is rewound and follows ----
# what pg_rewind goes by
$second->sql('CHECKPOINT');
$trial->start;
command_ok([ 'pg_rewind', '--no-sync', '--source-server', $second->connstr('postgres'), '-D', $first->data_dir ], 'the old primary is rewound under load');
$first->append_conf('postgresql.conf', 'port = ' . $first->port . "\nunix_socket_directories = '" . $first->host . "'\nsynchronous_standby_names = ''\nprimary_conninfo = '" . $second->connstr . " application_name=left'\n");
$first->set_standby_mode;
$first->start;
$second->append_conf('postgresql.conf', "synchronous_standby_names = 'left'");
$second->reload;
$second->poll_until("SELECT count(*) FROM pg_stat_replication WHERE application_name = 'left' AND sync_state = 'sync'", 1);
is($first->sql("SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'outbox relay%'"), 0, 'it publishes nothing');
$trial->goes_on(200);

# ---- and back ----
$second->stop('immediate');
$trial->stop;
$first->promote;
$trial->{node} = $first;
$trial->start;
$first->poll_until("SELECT state = 'running' FROM outbox.status WHERE kind = 'sink'");
$trial->goes_on(200);
$trial->stop;
$trial->wait_published;
$trial->check('the rewound one is promoted under load');

$first->stop;
done_testing();
