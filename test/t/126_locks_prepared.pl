# A prepared transaction keeps no lock on tables that its statements did not use, after a crash neither: the application
# locks, truncates and alters them meanwhile.
use strict;
use warnings;

use OutboxCluster;
use Test::More;

my $node = OutboxCluster->create('prepared');

$node->sql(<<'SQL');
CREATE TABLE parent (id int PRIMARY KEY, name text);
CREATE TABLE child (id int PRIMARY KEY, parent_id int NOT NULL);
CREATE TABLE unrelated (id int PRIMARY KEY, parent_id int);
CREATE INDEX ON child (parent_id);
INSERT INTO parent VALUES (1, 'one');
CREATE VIEW parent_v AS SELECT p.id, p.name, (SELECT count(*) FROM child c WHERE c.parent_id = p.id) AS children, (SELECT max(u.id) FROM unrelated u WHERE u.id = p.id) AS other FROM parent p;
SELECT outbox.create_contract('parent', view => 'parent_v', source => 'parent', key => '{id}');
SELECT outbox.add_source('parent', 'child', key_query => 'SELECT p.id FROM public.parent p WHERE p.id = row.parent_id');
SELECT outbox.create_event_type('Parent', contract => 'parent', emit => 'always');
SELECT outbox.enable('parent');
BEGIN; INSERT INTO child VALUES (1, 1); PREPARE TRANSACTION 'child';
SQL

my $locks = <<'SQL';
SELECT string_agg(DISTINCT relation::regclass::text, ' ' ORDER BY relation::regclass::text)
FROM pg_locks l JOIN pg_class c ON c.oid = l.relation WHERE l.pid IS NULL AND c.relnamespace = 'public'::regnamespace
SQL
is($node->sql($locks), 'child', 'prepared, it has the table that it wrote to');
$node->stop('immediate');
$node->start;
is($node->sql($locks), 'child', 'and no more after a crash');
$node->sql(<<'SQL');
SET lock_timeout = '5s';
BEGIN; LOCK TABLE parent, unrelated IN ACCESS EXCLUSIVE MODE; ALTER TABLE unrelated ADD COLUMN more int; COMMIT;
TRUNCATE unrelated;
SQL
pass('others lock, alter and truncate the tables behind the view');
$node->sql("COMMIT PREPARED 'child'");
is($node->sql("SELECT payload->>'children' FROM outbox.event_json WHERE contract = 'parent'"), 1, 'its event is there');

done_testing();
