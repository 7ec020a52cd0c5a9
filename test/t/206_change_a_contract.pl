# The migration files of docs/change_a_contract.md do what the page says.
use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use Test::More;

use OutboxCluster;
use PostgreSQL::Test::Utils;

my $page = PostgreSQL::Test::Utils::slurp_file(abs_path(dirname(__FILE__) . '/../../docs/change_a_contract.md'));
my %file = $page =~ /^```sql\n-- migrations\/(\d\d\w+)\.sql\n(.*?)^```/msg;
is(join(' ', sort keys %file), '01_customer 02_named 03_name_required 04_full_name 05_blocked 06_status_changes 07_email', 'the files of the page');

my $node = OutboxCluster->create('change');
$node->sql('CREATE TABLE cust (cust_no int PRIMARY KEY, nm text, mail text, stat char(1))');

# Runs a file as a migration tool does.
sub migrate { my ($name) = @_; $node->sql("BEGIN; $file{$name} COMMIT"); return }

sub published { return $node->sql('SELECT type, payload FROM outbox.event_json ORDER BY seq DESC LIMIT 1') }

sub versions { return $node->sql(q{SELECT max(version) FROM outbox.event_schemas WHERE contract = 'customer'}) }

migrate('01_customer');
migrate('01_customer');
is(versions(), 1, 'the contract, and again');
$node->sql(q{INSERT INTO cust VALUES (1, 'Ada', 'ada@example.org', 'A')});
is(published(), 'CustomerAdded|{"name": "Ada", "status": "ACTIVE", "customer_id": 1}', 'it captures');

migrate('02_named');
migrate('02_named');
$node->sql(q{INSERT INTO cust VALUES (2, '  ', NULL, 'A')});
is($node->sql('SELECT stage, key FROM outbox.dead_letter'), 'check|{"customer_id": 2}', 'a rule');

my $before = versions();
like($node->sql_error(q{SELECT outbox.alter_contract('customer', required => '{name}')}), qr/22023.*name: written as null/s, 'FULL refuses a required column');
migrate('03_name_required');
is(versions(), $before + 1, 'what the page says makes the next version');
migrate('03_name_required');
is(versions(), $before + 1, 'and no other one when it runs again');
is($node->sql(q{SELECT required, compatibility FROM outbox.contracts}), '{customer_id,name}|FULL', 'the rule is as it was');
$node->sql(q{INSERT INTO cust VALUES (3, NULL, NULL, 'A')});
is($node->sql('SELECT message FROM outbox.dead_letter ORDER BY id DESC LIMIT 1'), 'required column "name" is NULL', 'a row without a name is a dead letter');

migrate('04_full_name');
$node->sql(q{UPDATE cust SET full_name = 'Ada L.' WHERE cust_no = 1});
like(published(), qr/^CustomerRenamed\|\{"name": "Ada L\.".*"status": "ACTIVE"/, 'a renamed column of the table changes nothing');

$node->sql(q{UPDATE cust SET stat = 'B', full_name = 'Ada M.' WHERE cust_no = 1});
like(published(), qr/"status": null/, 'a code that the map does not have');
migrate('05_blocked');
$node->sql(q{UPDATE cust SET full_name = 'Ada N.' WHERE cust_no = 1});
like(published(), qr/"status": "BLOCKED"/, 'and the word that it gets');

my $events = $node->sql('SELECT count(*) FROM outbox.event');
$node->sql(q{UPDATE cust SET stat = 'C' WHERE cust_no = 1});
is($node->sql('SELECT count(*) FROM outbox.event'), $events, 'a change that the condition keeps out');
migrate('06_status_changes');
$node->sql(q{UPDATE cust SET stat = 'A' WHERE cust_no = 1});
like(published(), qr/^CustomerRenamed\|.*"status": "ACTIVE"/, 'and lets in when it was changed');
is(versions(), $before + 1, 'none of these made a version');
migrate('07_email');
$node->sql(q{INSERT INTO cust VALUES (4, 'Bob', 'bob@example.org', 'A')});
is(published(), 'CustomerAdded|{"name": "Bob", "email": "bob@example.org", "status": "ACTIVE", "customer_id": 4}', 'a new column is published');
is(versions(), $before + 2, 'as the next version');
is($node->sql('SELECT count(*) FROM outbox.check_compatibility(\'customer\') WHERE severity = \'error\''), 0, 'nobody is surprised');

$node->stop;
done_testing();
