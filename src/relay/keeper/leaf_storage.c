/*-------------------------------------------------------------------------
 *
 * leaf_storage.c
 *	  The storage of a leaf: how large it is, and a new, empty one.
 *
 * A leaf is emptied as by TRUNCATE, but without the command: that would fire the
 * trigger which refuses it to everybody else, and would be sent to subscribers of
 * a publication FOR ALL TABLES, whose own outbox it would empty.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "commands/tablecmds.h"
#include "fmgr.h"
#include "pgstat.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "storage/predicate.h"
#include "utils/rel.h"

#include "compat.h"
#include "relay/keeper/keeper_private.h"
#include "util/util.h"

PG_FUNCTION_INFO_V1(outbox_leaf_bytes);

static int64 stored_bytes(Oid relid);

static void
renew(Relation rel)
{
	CheckTableNotInUse(rel, "TRUNCATE");
	CheckTableForSerializableConflictIn(rel);
	OutboxSetNewStorage(rel);
	/* else pg_stat_all_tables counts the rows of every former use, and the dead ones */
	pgstat_count_truncate(rel);
}

/*
 * Whoever creates a sink keeps every leaf as it is until he commits: from then
 * on the sink itself does, and before nobody else can see that it wants them.
 */
static void
set_sink_tag(LOCKTAG *tag)
{
	SET_LOCKTAG_OBJECT(*tag, MyDatabaseId, OutboxRelationOid("sink"), 0, 0);
}

/*
 * For whoever creates a sink, before its position is taken: no leaf is emptied
 * until the transaction ends. Waits while one is being emptied.
 */
void
OutboxLeavesKeep(void)
{
	LOCKTAG tag;

	set_sink_tag(&tag);
	(void) LockAcquire(&tag, ShareLock, false, false);
}

/*
 * Locks a leaf and what it stores out of line against everybody, without
 * waiting; until the end of the transaction. False: somebody uses it, or is
 * creating a sink.
 */
bool
OutboxLeafLockAway(Oid relid)
{
	LOCKTAG tag;
	Relation rel;
	Oid toast;

	set_sink_tag(&tag);
	if (LockAcquire(&tag, ExclusiveLock, false, true) == LOCKACQUIRE_NOT_AVAIL)
		return false;
	if (!ConditionalLockRelationOid(relid, AccessExclusiveLock))
		return false;
	rel = try_table_open(relid, NoLock);
	if (rel == NULL)
		return false;
	toast = rel->rd_rel->reltoastrelid;
	table_close(rel, NoLock);
	return !OidIsValid(toast) || ConditionalLockRelationOid(toast, AccessExclusiveLock);
}

/* Gives a leaf that is locked so new, empty storage. */
void
OutboxLeafEmpty(Oid relid)
{
	Relation rel = table_open(relid, NoLock);
	Oid toast_relid = rel->rd_rel->reltoastrelid;

	renew(rel);
	table_close(rel, NoLock);
	if (OidIsValid(toast_relid))
	{
		Relation toast = table_open(toast_relid, NoLock);

		renew(toast);
		table_close(toast, NoLock);
	}
	OutboxRebuildIndexes(relid);
	CommandCounterIncrement();
}

/*
 * leaf_bytes(relation regclass): of a table and what it stores out of line; null when
 * it is gone or locked. Views ask when something hangs, so it waits for no lock.
 */
Datum
outbox_leaf_bytes(PG_FUNCTION_ARGS)
{
	int64 bytes = stored_bytes(PG_GETARG_OID(0));

	if (bytes < 0)
		PG_RETURN_NULL();
	PG_RETURN_INT64(bytes);
}

/* -1: not to be had without waiting. */
static int64
stored_bytes(Oid relid)
{
	Relation rel = OutboxOpenWithoutWaiting(relid);
	int64 bytes;
	int64 toast = 0;

	if (rel == NULL)
		return -1;
	bytes = (int64) RelationGetNumberOfBlocks(rel) * BLCKSZ;
	if (OidIsValid(rel->rd_rel->reltoastrelid))
		toast = stored_bytes(rel->rd_rel->reltoastrelid);
	table_close(rel, AccessShareLock);
	return toast < 0 ? -1 : bytes + toast;
}
