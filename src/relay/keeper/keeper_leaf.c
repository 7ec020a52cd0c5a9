/*-------------------------------------------------------------------------
 *
 * keeper_leaf.c
 *	  A leaf's way: empty, current, closing, frozen; and empty again.
 *
 * That nobody can write to a leaf any more is proved by locks, never by
 * transaction ids: a REPEATABLE READ transaction may have an id and a snapshot
 * from before the switch and still write after it, and a prepared one keeps
 * its locks over a restart. Writers lock the leaf, then look again whether it
 * is current, and keep the lock until they end (capture/write/leaf_writer.c).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "storage/bufmgr.h"

#include "guc.h"
#include "relay/keeper/keeper_private.h"
#include "util/util.h"

static int16 find_empty(void);
static bool has_rows(Oid relid);
static void expect_row(OutboxRows changed, int16 number, const char *state);

/*
 * Makes an empty leaf the current one. True: it did, or it created a leaf, to
 * which the next call switches.
 */
bool
OutboxKeeperSwitch(OutboxKeeper *keeper, const OutboxKeptLeaf *current)
{
	OutboxOwnerScope scope;
	int16 next;

	OutboxKeeperBegin(&scope);
	next = find_empty();
	if (next != 0)
	{
		expect_row(OutboxRun("UPDATE outbox_internal.leaf SET state = 'closing', changed_at = clock_timestamp(),"
							 " bytes = outbox_internal.leaf_bytes(relation) WHERE leaf = $1 AND state = 'current'",
							 OUTBOX_ARGS(OUTBOX_INT2(current->number))),
				   current->number, "current");
		expect_row(OutboxRun("UPDATE outbox_internal.leaf SET state = 'current', changed_at = clock_timestamp(),"
							 " opened_at = clock_timestamp() WHERE leaf = $1 AND state = 'empty'",
							 OUTBOX_ARGS(OUTBOX_INT2(next))),
				   next, "empty");
	}
	OutboxKeeperEnd(&scope);
	if (next == 0)
		return OutboxKeeperCreate(keeper);
	ereport(DEBUG1, (errmsg_internal("leaf %d is current after leaf %d", next, current->number)));
	keeper->said_full = false;
	OutboxKeeperSucceeded(keeper, current->number);
	return true;
}

/* An empty leaf that really is, 0: there is none. */
static int16
find_empty(void)
{
	OutboxRows rows = OutboxRun("SELECT leaf, relation::oid FROM outbox_internal.leaf WHERE state = 'empty' ORDER BY leaf", OUTBOX_NO_ARGS);

	for (uint64 i = 0; i < rows.n; i++)
	{
		if (!has_rows((Oid) OutboxRowInt(&rows, i, 2, InvalidOid)))
			return (int16) OutboxRowInt(&rows, i, 1, 0);
	}
	return 0;
}

/* Somebody may have written to it by hand, or dropped it. */
static bool
has_rows(Oid relid)
{
	Relation rel = OutboxOpenWithoutWaiting(relid);
	bool result;

	if (rel == NULL)
		return true;
	result = RelationGetNumberOfBlocks(rel) > 0;
	table_close(rel, NoLock);
	return result;
}

static void
expect_row(OutboxRows changed, int16 number, const char *state)
{
	if (changed.n != 1)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("leaf %d is not in state \"%s\" any more", number, state),
				 errdetail("outbox.leaf is changed by a relay alone.")));
}

/*
 * No writer's lock: no transaction, open or prepared, has rows there, and none
 * can add any, because it would find that the leaf is not current after it
 * locked it. That stays true afterwards, so no lock is kept: a late writer must
 * not wait for our commit.
 */
bool
OutboxKeeperFreeze(OutboxKeeper *keeper, const OutboxKeptLeaf *leaf)
{
	OutboxOwnerScope scope;
	bool granted;

	OutboxKeeperBegin(&scope);
	granted = OutboxLeafHasNoWriters(leaf->relid);
	if (granted)
	{
		/* the command's snapshot is taken now, so it sees all that had written as ended */
		expect_row(OutboxRun("UPDATE outbox_internal.leaf SET state = 'frozen', changed_at = clock_timestamp(),"
							 " frozen_snapshot = pg_current_snapshot(), bytes = outbox_internal.leaf_bytes(relation)"
							 " WHERE leaf = $1 AND leaf_generation = $2 AND state = 'closing'",
							 OUTBOX_ARGS(OUTBOX_INT2(leaf->number), OUTBOX_INT8(leaf->leaf_generation))),
				   leaf->number, "closing");
	}
	OutboxKeeperEnd(&scope);
	if (!granted)
		OutboxKeeperHoldOff(keeper, leaf->number);
	else
		OutboxKeeperSucceeded(keeper, leaf->number);
	return granted;
}

/*
 * Everything is looked at again under the lock: a sink may have been created,
 * or set back, since the list was read.
 */
bool
OutboxKeeperRecycle(OutboxKeeper *keeper, const OutboxKeptLeaf *leaf)
{
	static const char query[] =
		"UPDATE outbox_internal.leaf SET state = 'empty', changed_at = clock_timestamp(), leaf_generation = leaf_generation + 1,"
		" opened_at = NULL, frozen_snapshot = NULL, bytes = NULL, events = NULL, min_xid = NULL,"
		" first_at = NULL, last_at = NULL, acked_at = NULL, republished = 0"
		" WHERE leaf = $1 AND leaf_generation = $2 AND state = 'retained'"
		" AND $3 >= 0 AND acked_at < clock_timestamp() - make_interval(secs => $3)"
		" AND (SELECT count(*) > 0 AND bool_and(passed) FROM outbox_internal.leaf_sink WHERE leaf = $1)";
	OutboxOwnerScope scope;
	bool emptied = false;

	OutboxKeeperBegin(&scope);
	if (OutboxLeafLockAway(leaf->relid))
	{
		emptied = OutboxRun(query, OUTBOX_ARGS(OUTBOX_INT2(leaf->number), OUTBOX_INT8(leaf->leaf_generation), OUTBOX_FLOAT8(outbox_retention)))
					  .n == 1;
		if (emptied)
			OutboxLeafEmpty(leaf->relid);
	}
	OutboxKeeperEnd(&scope);
	if (!emptied)
		OutboxKeeperHoldOff(keeper, leaf->number);
	else
		OutboxKeeperSucceeded(keeper, leaf->number);
	return emptied;
}
