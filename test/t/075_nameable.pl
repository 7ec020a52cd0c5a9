# Who has no right on our relations keeps nobody waiting: every relation that a role can name, or knows the oid of, is
# locked in every way that needs no right, and beside that every command that locks before it asks for rights is run. The
# same with every other object of the extension, whatever its kind, and with the extension itself.
# Writers, creators of partitions, the keeper and the relay go on meanwhile.
use strict;
use warnings;

use OutboxCluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = OutboxCluster->create('nameable', conf => <<'CONF');
outbox.leaf_size = '64kB'
outbox.retention = 0
outbox.max_leaves = 50
CONF
$node->sql(<<'SQL');
CREATE TABLE t (id int PRIMARY KEY, v text);
CREATE VIEW t_v AS SELECT id, v FROM t;
SELECT outbox.create_contract('t', view => 't_v', source => 't', key => '{id}');
SELECT outbox.create_event_type('TCreated', contract => 't', emit => 'created');
SELECT outbox.create_event_type('TChanged', contract => 't', emit => 'changed');
SELECT outbox.enable('t');
CREATE TABLE pt (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);
CREATE VIEW pt_v AS SELECT id, v FROM pt;
SELECT outbox.create_contract('pt', view => 'pt_v', source => 'pt', key => '{id}');
SELECT outbox.create_event_type('PtCreated', contract => 'pt', emit => 'created');
SELECT outbox.enable('pt');
SELECT outbox.create_sink('log', library => 'outbox_log');
SELECT outbox.start_relay('log');
SQL
my %roles = (nobody => undef, reader => 'reader', operator => 'operator');
foreach my $role (sort keys %roles)
{
	$node->sql("CREATE ROLE $role LOGIN; CREATE SCHEMA s_$role AUTHORIZATION $role; GRANT CREATE, TEMP ON DATABASE postgres TO $role;
		SET ROLE $role; CREATE TABLE s_$role.mine (seq bigint, leaf smallint) ; CREATE TABLE s_$role.parted (seq bigint) PARTITION BY LIST (seq);
		CREATE INDEX mine_i ON s_$role.mine (seq); CREATE MATERIALIZED VIEW s_$role.mine_m AS SELECT 1 AS a;
		CREATE FUNCTION s_$role.mine_f() RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE PROCEDURE s_$role.mine_p() LANGUAGE sql AS 'SELECT 1';
		CREATE TRIGGER mine_t BEFORE UPDATE ON s_$role.mine FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()");
	$node->sql("SELECT outbox.grant_access('$role', '$roles{$role}')") if $roles{$role};
}
$node->sql('CREATE ROLE writer LOGIN; GRANT INSERT, UPDATE, SELECT ON t TO writer');

my @relations = split /\n/, $node->sql(q{SELECT oid::regclass FROM pg_class WHERE relnamespace = 'outbox'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'S', 'i', 'f')});
my @oids = split /\n/, $node->sql(q{SELECT oid FROM pg_class WHERE relnamespace IN ('outbox'::regnamespace, 'outbox_internal'::regnamespace)});

# Kind and name of everything else that belongs to the extension, and the types of its relations.
my @objects = map { [ split /\|/, $_, 2 ] } split /\n/, $node->sql(q{
	SELECT i.type || '|' || i.identity FROM pg_depend d CROSS JOIN pg_identify_object(d.classid, d.objid, 0) i
	WHERE d.deptype = 'e' AND d.refclassid = 'pg_extension'::regclass AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'outbox_ext')
	AND d.classid <> 'pg_class'::regclass
	UNION ALL SELECT 'type|' || format('%I.%I', 'outbox', typname) FROM pg_type WHERE typnamespace = 'outbox'::regnamespace AND (typname LIKE '\_s%' OR typname LIKE 'st%')
	UNION ALL SELECT 'extension|outbox_ext'});
my %kinds = map { $_->[0] => 1 } @objects;
is(join(', ', sort keys %kinds), 'event trigger, extension, function, schema, type', 'kinds of objects that the statements below can name');
ok((grep { $_ eq 'outbox.event' } @relations) && @relations > 20 && @oids > 50, 'there is something to name');

my $n = 0;
my $partition = 0;

# Fills and leaves two leaves; a writer that waits for a lock fails.
sub write_and_publish
{
	my ($name) = @_;
	foreach my $i (1 .. 2)
	{
		my $leaf = $node->sql("SELECT leaf FROM outbox.leaf WHERE state = 'current'");
		$n += 200;
		$node->safe_psql('postgres',
			"SET lock_timeout = '5s'; INSERT INTO t SELECT g, repeat('v', 500) FROM generate_series($n - 199, $n) g; UPDATE t SET v = 'w' WHERE id = $n",
			extra_params => [ '-U', 'writer' ]);
		$node->poll_until("SELECT leaf <> $leaf FROM outbox.leaf WHERE state = 'current'");
	}
	$partition++;
	$node->safe_psql('postgres', "SET lock_timeout = '5s'; CREATE TABLE pt_$partition PARTITION OF pt FOR VALUES FROM ($partition) TO ($partition + 1); INSERT INTO pt VALUES ($partition, 'p')");
	$node->poll_until("SELECT count(*) = 0 FROM outbox.leaf WHERE state = 'closing'");
	$node->poll_until("SELECT pending = 0 FROM outbox.status WHERE kind = 'sink'");
	pass("$name: writers write, leaves are switched and frozen, the relay publishes");
	is($node->sql('SELECT count(*) FROM pg_locks WHERE NOT granted'), 0, "$name: nobody waits");
	return;
}

# What keeps a lock until the transaction ends, asking for no right before. Some fail, and keep a lock all the same.
sub holding
{
	my ($role) = @_;
	my $i = 0;
	my @statements;

	foreach my $name (@relations)
	{
		push @statements, map { sprintf $_, ++$i, $name } 'PREPARE p%d AS SELECT * FROM %s', 'PREPARE p%d AS SELECT * FROM %s FOR UPDATE',
		  'PREPARE p%d AS DELETE FROM %s', 'PREPARE p%d AS INSERT INTO %s DEFAULT VALUES', 'PREPARE p%d AS TABLE %s',
		  "PREPARE p%d AS MERGE INTO %s x USING (VALUES (1)) v ON false WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN DO NOTHING",
		  "CREATE VIEW s_$role.v%d AS SELECT * FROM %s", "CREATE MATERIALIZED VIEW s_$role.m%d AS SELECT * FROM %s WITH NO DATA";
		push @statements, "PREPARE u" . ++$i . " AS UPDATE $name SET (" . $node->sql("SELECT quote_ident(attname) FROM pg_attribute WHERE attrelid = '$name'::regclass AND attnum = 1") . ') = ROW(DEFAULT)',
		  map { "LOCK TABLE $name IN $_ MODE" } 'ACCESS SHARE', 'ROW SHARE', 'ROW EXCLUSIVE', 'SHARE UPDATE EXCLUSIVE', 'SHARE',
		  'SHARE ROW EXCLUSIVE', 'EXCLUSIVE', 'ACCESS EXCLUSIVE';
		push @statements, "LOCK TABLE ONLY $name", "SELECT count(*) FROM $name", "DECLARE c$i CURSOR FOR SELECT * FROM $name";
	}
	foreach my $oid (@oids)
	{
		push @statements, map { "SELECT $_" } "nextval('$oid'::regclass)", "setval('$oid'::regclass, 1)", "currval('$oid'::regclass)",
		  "count(*) FROM pg_partition_tree('$oid'::regclass)", "count(*) FROM pg_partition_ancestors('$oid'::regclass)", "pg_get_partition_constraintdef($oid)", "length(pg_get_viewdef($oid))",
		  "pg_total_relation_size($oid)", "pg_sequence_last_value('$oid'::regclass)", "pg_relation_is_updatable($oid, true)",
		  "brin_summarize_new_values('$oid'::regclass)", "brin_desummarize_range('$oid'::regclass, 0)", "gin_clean_pending_list('$oid'::regclass)",
		  "row_security_active($oid)", "length(table_to_xml('$oid'::regclass, true, true, '')::text)";
	}
	# they would keep the extension for the rest of the transaction
	push @statements, map { "ALTER $_ DEPENDS ON EXTENSION outbox_ext" } depending($role);
	push @statements, map { "ALTER $_ NO DEPENDS ON EXTENSION outbox_ext" } depending($role);
	push @statements, "CREATE TABLE s_$role.held_in (a int)", "CREATE TRIGGER held AFTER INSERT ON s_$role.held_in FOR EACH ROW EXECUTE FUNCTION outbox.capture()",
	  "CREATE TRIGGER held_t AFTER TRUNCATE ON s_$role.held_in EXECUTE FUNCTION outbox.capture_truncate()", "CREATE FUNCTION s_$role.held(outbox.string_map) RETURNS int LANGUAGE sql AS 'SELECT 1'",
	  "CREATE TABLE s_$role.held (m outbox.string_map)", map { touching($role, @$_) } @objects;
	return join '', "\\set ON_ERROR_ROLLBACK on\n\\o /dev/null\nBEGIN; SET LOCAL lock_timeout = '5s'; SELECT pg_current_xact_id();\n", map { "$_;\n" } @statements;
}

# What a role may let depend on an extension.
sub depending
{
	my ($role) = @_;
	return "FUNCTION s_$role.mine_f()", "PROCEDURE s_$role.mine_p()", "ROUTINE s_$role.mine_f()", "INDEX s_$role.mine_i", "MATERIALIZED VIEW s_$role.mine_m",
	  "TRIGGER mine_t ON s_$role.mine";
}

# Every command that names an object of any kind.
sub touching
{
	my ($role, $kind, $name) = @_;
	my $object = uc($kind) . " $name";
	return "DROP $object", "DROP $object CASCADE", "DROP " . uc($kind) . " IF EXISTS $name", "COMMENT ON $object IS NULL", "SECURITY LABEL ON $object IS ''",
	  "ALTER $object OWNER TO $role", "ALTER $object RENAME TO renamed", "ALTER $object SET SCHEMA s_$role", "ALTER $object DEPENDS ON EXTENSION plpgsql",
	  "ALTER EXTENSION plpgsql ADD $object", "ALTER EXTENSION outbox_ext DROP $object", "ALTER EXTENSION outbox_ext UPDATE",
	  ($kind eq 'function' ? ("DROP ROUTINE $name", "COMMENT ON ROUTINE $name IS NULL", "ALTER ROUTINE $name DEPENDS ON EXTENSION plpgsql", "ALTER FUNCTION $name STABLE") : ()),
	  ($kind eq 'type' ? ("DROP DOMAIN $name", "COMMENT ON DOMAIN $name IS NULL", "COMMENT ON CONSTRAINT c ON DOMAIN $name IS NULL", "ALTER DOMAIN $name RENAME CONSTRAINT c TO d") : ());
}

# What locks first and asks for rights afterwards, or could: PostgreSQL's own order is not relied upon.
sub asking
{
	my ($role) = @_;
	my $i = 0;
	my @statements = ("CREATE PUBLICATION mine_$role");

	foreach my $name (@relations)
	{
		$i++;
		push @statements, map { s/%/$name/r }
		  'CREATE RULE r AS ON INSERT TO % DO NOTHING', 'CREATE OR REPLACE RULE "_RETURN" AS ON SELECT TO % DO INSTEAD SELECT 1',
		  'CREATE TRIGGER t BEFORE INSERT ON % FOR EACH ROW EXECUTE FUNCTION outbox.capture()',
		  'CREATE TRIGGER t INSTEAD OF INSERT ON % FOR EACH ROW EXECUTE FUNCTION outbox.capture()',
		  "CREATE CONSTRAINT TRIGGER t$i AFTER INSERT ON s_$role.mine FROM % FOR EACH ROW EXECUTE FUNCTION outbox.capture()",
		  'CREATE INDEX ON % (seq)', 'CREATE POLICY p ON %', 'ALTER POLICY p ON % TO PUBLIC', 'DROP POLICY p ON %', 'DROP RULE "_RETURN" ON %',
		  'DROP TRIGGER refuse_row ON %', 'ALTER TRIGGER refuse_row ON % RENAME TO x', 'ALTER TRIGGER refuse_row ON % DEPENDS ON EXTENSION plpgsql',
		  'ALTER RULE "_RETURN" ON % RENAME TO x', 'ALTER TABLE % ADD COLUMN x int', 'ALTER VIEW % RENAME TO x', 'ALTER TABLE % RENAME TO x',
		  'ALTER TABLE % RENAME COLUMN id TO x', 'ALTER TABLE % SET SCHEMA public', 'ALTER TABLE % OWNER TO ' . $role, 'ALTER VIEW % SET (security_barrier)',
		  'ALTER SEQUENCE % CACHE 10', 'ALTER INDEX % RENAME TO x', 'ALTER MATERIALIZED VIEW % DEPENDS ON EXTENSION plpgsql', 'ALTER INDEX % DEPENDS ON EXTENSION plpgsql',
		  'COMMENT ON TABLE % IS NULL', 'COMMENT ON VIEW % IS NULL', 'COMMENT ON SEQUENCE % IS NULL', 'COMMENT ON INDEX % IS NULL', 'COMMENT ON MATERIALIZED VIEW % IS NULL',
		  'COMMENT ON FOREIGN TABLE % IS NULL', 'COMMENT ON COLUMN %.id IS NULL', 'COMMENT ON COLUMN %.seq IS NULL', 'COMMENT ON TRIGGER refuse_row ON % IS NULL',
		  'COMMENT ON RULE "_RETURN" ON % IS NULL', "SECURITY LABEL ON TABLE % IS ''", "SECURITY LABEL ON VIEW % IS ''",
		  "CREATE STATISTICS s_$role.st$i ON id, seq FROM %", "CREATE TABLE s_$role.i$i () INHERITS (%)", "CREATE TEMP TABLE i$i () INHERITS (%)",
		  "CREATE TABLE s_$role.d$i PARTITION OF % DEFAULT", "CREATE TEMP TABLE d$i PARTITION OF % FOR VALUES IN (77)",
		  "CREATE TABLE s_$role.f$i (x bigint REFERENCES %)", "CREATE TABLE s_$role.g$i (x bigint, FOREIGN KEY (x) REFERENCES %)",
		  "CREATE TABLE s_$role.l$i (LIKE % INCLUDING ALL)", "CREATE TABLE s_$role.o$i OF %", "CREATE SCHEMA c_${role}_$i CREATE TABLE x (y bigint REFERENCES %)",
		  "CREATE SCHEMA c_${role}_$i CREATE TABLE x PARTITION OF % DEFAULT", "CREATE SCHEMA c_${role}_$i CREATE TRIGGER x BEFORE INSERT ON % EXECUTE FUNCTION outbox.capture()",
		  map({ "ALTER TABLE s_$role.mine $_" } 'INHERIT %', 'NO INHERIT %', 'ADD FOREIGN KEY (seq) REFERENCES %', 'ADD COLUMN k bigint REFERENCES %', 'OF %'),
		  map({ "ALTER TABLE s_$role.parted $_" } 'ATTACH PARTITION % DEFAULT', 'ATTACH PARTITION % FOR VALUES IN (1)', 'DETACH PARTITION %', 'DETACH PARTITION % CONCURRENTLY', 'DETACH PARTITION % FINALIZE'),
		  "CREATE PUBLICATION p$i FOR TABLE %", "ALTER PUBLICATION mine_$role ADD TABLE %", "ALTER PUBLICATION mine_$role SET TABLE %", "ALTER EXTENSION plpgsql ADD TABLE %",
		  'TRUNCATE %', 'TRUNCATE ONLY % RESTART IDENTITY CASCADE', 'CLUSTER %', 'REINDEX TABLE %', 'REINDEX INDEX %', 'VACUUM %', 'VACUUM FULL %', 'ANALYZE %', 'REFRESH MATERIALIZED VIEW %',
		  'COPY % FROM STDIN', 'COPY % TO STDOUT', 'GRANT ALL ON % TO PUBLIC', 'REVOKE ALL ON % FROM PUBLIC', 'DROP TABLE %', 'DROP VIEW %', 'DROP SEQUENCE %', 'DROP INDEX %', 'DROP TABLE % CASCADE',
		  'CREATE OR REPLACE VIEW % AS SELECT 1', 'LOCK TABLE % IN ACCESS EXCLUSIVE MODE', "ALTER SEQUENCE % OWNED BY s_$role.mine.seq", "ALTER TYPE % RENAME ATTRIBUTE id TO x",
		  'INSERT INTO % DEFAULT VALUES', 'DELETE FROM %', 'EXPLAIN DELETE FROM %', 'SELECT FROM % FOR UPDATE';
	}
	push @statements, map { ("DROP SCHEMA $_ CASCADE", "ALTER SCHEMA $_ RENAME TO x", "COMMENT ON SCHEMA $_ IS NULL", "ALTER SCHEMA $_ OWNER TO $role") } 'outbox', 'outbox_internal';
	push @statements, map { touching($role, @$_) } @objects;
	push @statements, map { ("ALTER $_ DEPENDS ON EXTENSION outbox_ext", "ALTER $_ NO DEPENDS ON EXTENSION outbox_ext") } depending($role);
	return join '', "SET lock_timeout = '5s';\n", map { "$_;\n" . (/FROM STDIN/ ? "\\.\n" : '') } @statements;
}

write_and_publish('alone');
foreach my $holder (sort keys %roles)
{
	my $session = $node->background_psql('postgres', on_error_stop => 0, extra_params => [ '-U', $holder ]);
	my $script = PostgreSQL::Test::Utils::tempdir() . "/$holder.sql";
	PostgreSQL::Test::Utils::append_to_file($script, holding($holder));
	chmod 0644, $script;
	$session->query("\\i $script");
	cmp_ok($node->sql("SELECT count(DISTINCT relation) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
		WHERE a.usename = '$holder' AND mode = 'RowExclusiveLock' AND locktype = 'relation' AND granted"), '>', 50, "$holder keeps locks on all that there is");
	is($node->sql("SELECT string_agg(DISTINCT pg_describe_object(l.classid, l.objid, 0) || ' ' || l.mode, ', ') FROM pg_locks l
		JOIN pg_stat_activity a USING (pid) JOIN pg_depend d ON d.deptype = 'e' AND (d.classid = l.classid AND d.objid = l.objid OR d.refclassid = l.classid AND d.refobjid = l.objid)
		JOIN pg_extension e ON e.extname = 'outbox_ext' AND d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
		WHERE a.usename = '$holder' AND l.locktype = 'object' AND l.mode <> 'AccessShareLock'"), '', "$holder keeps no lock on other objects that anybody could wait for");
	foreach my $asker (sort keys %roles)
	{
		my ($out, $err) = ('', '');
		$node->psql('postgres', asking($asker), stdout => \$out, stderr => \$err, on_error_stop => 0,
			extra_params => [ '-U', $asker, '-v', 'VERBOSITY=sqlstate' ]);
		my %states;
		$states{$_}++ foreach $err =~ /ERROR:\s+(\w{5})/g;
		cmp_ok($states{42501}, '>', 30 * @relations, "$asker is refused beside $holder");
		is($states{'55P03'} // 0, 0, "$asker waits for no lock beside $holder") or diag(join "\n", ($err =~ /.*55P03.*/g)[ 0 .. 5 ]);
		$node->sql("DROP PUBLICATION mine_$asker");
		write_and_publish("$holder holds, $asker asks");
	}
	$session->quit;
}

# ---- a lock on the parent, from whoever has the right, concerns neither writers nor relays ----
my $owner = $node->background_psql('postgres');
$owner->query_safe('BEGIN; LOCK TABLE ONLY outbox.event IN ACCESS EXCLUSIVE MODE');
write_and_publish('outbox.event is locked');
$owner->quit;

# ---- nothing of all that stands in the way later ----
is($node->sql("SELECT count(*) FROM outbox.dead_letter") + $node->sql('SELECT count(*) FROM outbox.gap'), 0, 'no dead letter, no gap');
is($node->sql('SELECT count(*) FROM t'), $n, 'all that was written is there');
$node->sql("SELECT outbox.stop_relay('log')");
$node->sql('DROP EXTENSION outbox_ext');
is($node->sql("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'outbox%'"), 0, 'DROP EXTENSION');

$node->stop;
done_testing();
