/*-------------------------------------------------------------------------
 *
 * keeper_create.c
 *	  A further leaf of outbox.event.
 *
 * Created beside the parent and then attached: PARTITION OF would lock the
 * parent against everybody. It becomes a member of the extension in the same
 * transaction, otherwise pg_dump would dump its rows and a restore publish
 * them again. The triggers that refuse writes by SQL are those of leaf 1.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "storage/lmgr.h"

#include "guc.h"
#include "relay/keeper/keeper_private.h"
#include "util/util.h"

static int free_number(void);
static void create_leaf(int number);

/*
 * Creates a further leaf, in a transaction of its own. False: there are as many
 * as may be, or somebody changes outbox.event just now.
 */
bool
OutboxKeeperCreate(OutboxKeeper *keeper)
{
	OutboxOwnerScope scope;
	int number = 0;

	if (keeper->n >= outbox_max_leaves)
	{
		if (!keeper->said_full)
			ereport(LOG,
					(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
					 errmsg("all %d leaves of outbox.event are in use, the current one grows beyond outbox.leaf_size", keeper->n),
					 errhint("See what they wait for: SELECT * FROM outbox.leaf_status. "
							 "Raise outbox.max_leaves or outbox.leaf_size, or shorten outbox.retention.")));
		keeper->said_full = true;
		return false;
	}

	OutboxKeeperBegin(&scope);
	if (ConditionalLockRelationOid(OutboxEventOid(), ShareUpdateExclusiveLock))
	{
		number = free_number();
		create_leaf(number);
	}
	OutboxKeeperEnd(&scope);
	if (number != 0)
		ereport(LOG, (errmsg("created leaf %d of outbox.event", number)));
	return number != 0;
}

static int
free_number(void)
{
	static const char query[] =
		"SELECT min(n)::int2 FROM generate_series(1, $1 + 1) n"
		" WHERE NOT EXISTS (SELECT FROM outbox_internal.leaf WHERE leaf = n) AND to_regclass('outbox_internal.event_' || n) IS NULL";
	OutboxRows rows = OutboxRun(query, OUTBOX_ARGS(OUTBOX_INT4(OUTBOX_MAX_LEAVES - 1)));
	int number = (int) OutboxRowInt(&rows, 0, 1, 0);

	if (number == 0)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("no number is free for a further leaf of outbox.event"),
				 errhint("Drop or rename tables named outbox_internal.event_<n> that are no leaves.")));
	return number;
}

static void
create_leaf(int number)
{
	static const char *const commands[] = {
		"CREATE TABLE outbox_internal.event_%d (LIKE outbox.event INCLUDING STORAGE INCLUDING COMPRESSION) USING heap"
		" WITH (autovacuum_enabled = off, vacuum_truncate = off, toast.autovacuum_enabled = off)",
		"COMMENT ON TABLE outbox_internal.event_%d IS 'Leaf %d of outbox.event'",
		"ALTER TABLE outbox.event ATTACH PARTITION outbox_internal.event_%d FOR VALUES IN (%d)",
		"CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON outbox_internal.event_%d FOR EACH STATEMENT EXECUTE FUNCTION outbox_internal.refuse_write()",
		"ALTER TABLE outbox_internal.event_%d ENABLE ALWAYS TRIGGER refuse_row",
		"ALTER TABLE outbox_internal.event_%d ENABLE ALWAYS TRIGGER refuse_truncate",
		"REVOKE ALL ON TABLE outbox_internal.event_%d FROM PUBLIC",
		"ALTER EXTENSION outbox_ext ADD TABLE outbox_internal.event_%d",
		"INSERT INTO outbox_internal.leaf (leaf, relation, state) VALUES (%d, 'outbox_internal.event_%d', 'empty')",
	};

	/* what a database or role may set must not decide where it is */
	OutboxSetInTransaction("default_tablespace", "");
	OutboxOwnDdl = true;
	PG_TRY();
	{
		for (int i = 0; i < lengthof(commands); i++)
			(void) OutboxRun(psprintf(commands[i], number, number), OUTBOX_NO_ARGS);
	}
	PG_FINALLY();
	{
		OutboxOwnDdl = false;
	}
	PG_END_TRY();
}
