/*-------------------------------------------------------------------------
 *
 * keeper.c
 *	  The keeper of the leaves: one relay per database, between its passes.
 *
 * It switches writers to another leaf, finds out when the one before is
 * complete, counts it, compares with what the sinks have acknowledged, and
 * empties it when the retention is over. README.md has the states and what a
 * crash costs at each step; every step is a transaction of its own, and what
 * decides is always what outbox_internal.leaf says, so a new keeper goes on where the
 * last one ended.
 *
 * It waits for nobody: a leaf that is in use is tried again later. Nothing it
 * fails at stops the publishing.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "pgstat.h"
#include "storage/lock.h"
#include "storage/lwlock.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "relay/keeper/keeper_private.h"
#include "relay/session/session.h"
#include "shared/outbox_shared.h"

/* How often the leaves are looked after, and how often a relay that is not the keeper tries to become it. */
#define TURN_INTERVAL_MS 200
#define CLAIM_INTERVAL_MS 5000
#define FAILED_LONGEST_MS 60000
/* After a failure at one leaf, the next of which is this far away. */
#define FAILED_LEAF_MS 1000

/* Steps of one turn: events wait meanwhile. */
#define MAX_STEPS 4

static void turn(OutboxRelay *relay);
static OutboxKeeper *new_keeper(MemoryContext context);
static LOCKTAG keeper_lock(Oid leaf);
static bool claim(OutboxKeeper *keeper);
static bool take_steps(OutboxKeeper *keeper);
static bool step(OutboxKeeper *keeper, const OutboxKeptLeaf *leaf);
static bool count_once(OutboxKeeper *keeper, const OutboxKeptLeaf *leaf);
static bool is_full(const OutboxKeptLeaf *leaf);
static void note_failure(OutboxRelay *relay);

/* A turn, if one is due. Outside of a transaction; never raises. */
void
OutboxKeeperTurn(OutboxRelay *relay)
{
	if (relay->keeper == NULL)
		relay->keeper = new_keeper(relay->context);
	/* without shared memory there is one leaf, which is never switched */
	if (!OutboxSharedAvailable() || OutboxKeeperDue(relay, 1) > 0)
		return;

	PG_TRY();
	{
		turn(relay);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(relay->context);
		note_failure(relay);
	}
	PG_END_TRY();
	MemoryContextReset(relay->keeper->context);
	MemoryContextSwitchTo(relay->turn_context);
}

static void
turn(OutboxRelay *relay)
{
	OutboxKeeper *keeper = relay->keeper;
	bool again = false;

	MemoryContextSwitchTo(keeper->context);
	if (claim(keeper))
	{
		again = take_steps(keeper);
		keeper->due = again ? relay->now : TimestampTzPlusMilliseconds(relay->now, TURN_INTERVAL_MS);
	}
	else
		keeper->due = TimestampTzPlusMilliseconds(relay->now, CLAIM_INTERVAL_MS);
	keeper->failures = 0;
}

/* Milliseconds until a turn is due, at most `limit`. */
long
OutboxKeeperDue(const OutboxRelay *relay, long limit)
{
	const OutboxKeeper *keeper = relay->keeper;

	if (!OutboxSharedAvailable() || keeper == NULL)
		return keeper == NULL ? 0 : limit;
	/* the clock may have been set back */
	if (keeper->due > TimestampTzPlusMilliseconds(relay->now, FAILED_LONGEST_MS))
		return 0;
	return Min(limit, TimestampDifferenceMilliseconds(relay->now, keeper->due));
}

static OutboxKeeper *
new_keeper(MemoryContext context)
{
	OutboxKeeper *keeper = MemoryContextAllocZero(context, sizeof(OutboxKeeper));

	keeper->context = AllocSetContextCreate(context, "outbox keeper", ALLOCSET_DEFAULT_SIZES);
	keeper->changed = true;
	return keeper;
}

/* Lets another relay be the keeper: for one that must not publish, and so not decide about storage either. */
void
OutboxKeeperResign(OutboxRelay *relay)
{
	OutboxKeeper *keeper = relay->keeper;
	LOCKTAG tag;

	if (keeper == NULL || !OidIsValid(keeper->claimed))
		return;
	tag = keeper_lock(keeper->claimed);
	(void) LockRelease(&tag, ExclusiveLock, true);
	keeper->claimed = InvalidOid;
	/* what it knows may be another one's work by the time that it is keeper again */
	keeper->changed = true;
	keeper->census.number = 0;
}

static LOCKTAG
keeper_lock(Oid leaf)
{
	LOCKTAG tag;

	SET_LOCKTAG_OBJECT(tag, MyDatabaseId, leaf, 0, 0);
	/* of the session locks only those of the user method are released when a process exits */
	tag.locktag_lockmethodid = USER_LOCKMETHOD;
	return tag;
}

/* One keeper per installation: held by the process until it ends, or resigns. */
static bool
claim(OutboxKeeper *keeper)
{
	Oid leaf;
	LOCKTAG tag;

	OutboxSessionBegin();
	leaf = OutboxRelationOid("leaf");
	if (keeper->claimed != leaf)
	{
		tag = keeper_lock(leaf);
		if (LockAcquire(&tag, ExclusiveLock, true, true) != LOCKACQUIRE_NOT_AVAIL)
			keeper->claimed = leaf;
	}
	OutboxSessionCommit();
	return keeper->claimed == leaf;
}

/* True: there may be more to do at once. */
static bool
take_steps(OutboxKeeper *keeper)
{
	bool acted = true;

	keeper->sliced = false;
	keeper->at = 0;
	for (int n = 0; acted && n < MAX_STEPS; n++)
	{
		OutboxKeeperLoad(keeper);
		acted = OutboxKeeperBacklog(keeper);
		for (int i = 0; !acted && i < keeper->n; i++)
		{
			CHECK_FOR_INTERRUPTS();
			/* a switch concerns two leaves, and comes last */
			keeper->at = keeper->leaves[i].state == OUTBOX_LEAF_CURRENT ? 0 : keeper->leaves[i].number;
			acted = step(keeper, &keeper->leaves[i]);
			keeper->at = 0;
		}
		keeper->changed |= acted;
	}
	return acted || keeper->census.number != 0;
}

/* What is next for this leaf. True: something was done, so that the list must be read again. */
static bool
step(OutboxKeeper *keeper, const OutboxKeptLeaf *leaf)
{
	if (OutboxKeeperHeldOff(keeper, leaf->number))
		return false;
	switch (leaf->state)
	{
		case OUTBOX_LEAF_CURRENT:
			return is_full(leaf) && OutboxKeeperSwitch(keeper, leaf);
		case OUTBOX_LEAF_CLOSING:
			return OutboxKeeperFreeze(keeper, leaf);
		case OUTBOX_LEAF_FROZEN:
			if (!leaf->counted)
				return count_once(keeper, leaf);
			return leaf->passed && OutboxKeeperCompare(keeper, leaf);
		case OUTBOX_LEAF_ACKED:
			return OutboxKeeperCompare(keeper, leaf);
		case OUTBOX_LEAF_RETAINED:
			return leaf->due && OutboxKeeperRecycle(keeper, leaf);
		case OUTBOX_LEAF_EMPTY:
			break;
	}
	return false;
}

/* One slice per turn, of the oldest leaf that is not counted. */
static bool
count_once(OutboxKeeper *keeper, const OutboxKeptLeaf *leaf)
{
	if (keeper->sliced)
		return false;
	keeper->sliced = true;
	return OutboxKeeperCount(keeper, leaf);
}

static bool
is_full(const OutboxKeptLeaf *leaf)
{
	return leaf->bytes >= OutboxKeeperLeafSize() || leaf->old;
}

/*
 * In PG_CATCH: ends what was interrupted, says the first of a streak, and pauses.  A leaf that something is wrong with
 * is left alone for longer than the others, which must be looked after all the same.
 */
static void
note_failure(OutboxRelay *relay)
{
	OutboxKeeper *keeper = relay->keeper;
	ErrorData *error = CopyErrorData();
	bool busy = error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE;
	long pause = keeper->at != 0 ? FAILED_LEAF_MS : Min(FAILED_LONGEST_MS, 1000L << Min(keeper->failures, 6));

	FlushErrorState();
	LWLockReleaseAll();
	pgstat_report_wait_end();
	OutboxKeeperAbort();
	keeper->census.number = 0;
	keeper->changed = true;
	if (keeper->at != 0 && busy)
		OutboxKeeperHoldOff(keeper, keeper->at);
	else if (keeper->at != 0)
		OutboxKeeperLeaveAlone(keeper, keeper->at);
	keeper->at = 0;
	keeper->due = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), pause);
	/* it may have to do with the end of the extension, or of the sink */
	relay->configured_at = 0;
	if (!OutboxSessionStopRequested() && !OutboxSinkRowGone(&relay->row))
	{
		ereport(keeper->failures == 0 && !busy ? LOG : DEBUG1,
				(errcode(error->sqlerrcode),
				 errmsg("could not look after the leaves of outbox.event, will try again: %s", error->message),
				 error->detail != NULL ? errdetail_internal("%s", error->detail) : 0,
				 error->hint != NULL ? errhint("%s", error->hint) : errhint("Events are published meanwhile; storage is not freed.")));
		if (!busy)
			OutboxRelayNoteError(relay, psprintf("Storage is not looked after: %s", error->message));
		keeper->failures++;
	}
	FreeErrorData(error);
}
