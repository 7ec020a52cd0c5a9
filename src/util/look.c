/*-------------------------------------------------------------------------
 *
 * look.c
 *	  Locks that end before the transaction does.
 *
 * PostgreSQL keeps the locks of a statement until the transaction ends. Ours
 * are in transactions of applications, on tables that their statements do not
 * use: an application that locks or truncates such a table would meet a writer
 * that has been there, and a prepared transaction would keep the lock for days.
 * And a table with a thousand partitions has two thousand locks, which the lock
 * table of the server does not hold for a hundred sessions. So locks that serve
 * only to look at a relation have a resource owner of their own, which is released
 * as soon as we have seen enough.
 *
 * What was learned is certain only until then. A caller who remembers it listens for
 * invalidations, and locks and looks again before he relies on it.
 *
 * Short as they are, many such looks at a time would still fill the lock table. A
 * look that needs more locks than a transaction usually has takes a permit first.
 * There are few permits, and they are numbered: permit n is for looks that take at
 * most 1/(n + 1) of a budget. A permit is a lock itself, never waited for in the
 * server's queue. It stands for the other locks of its look, and ends with them: at
 * once, or with the transaction when these must stay. Meanwhile others get no
 * permit, and their keys are late; but the lock table does not fill up.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/twophase.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "compat.h"
#include "util/util.h"

/* As many locks every session may take: max_locks_per_transaction is 64 by default, 128 since PostgreSQL 19. */
#define FEW_LOCKS 48

#define PERMITS 16

/* All permits together admit about three times the budget, and the sessions' own locks need room. */
#define BUDGET_SHARE 8

/* The last field of the tag; those of capture's locks (capture/commit/aggregate_lock.c) are lower, and have a database in the first one. */
#define TAG_PERMIT 64

#define PAUSE_MS 2

static int budget(void);

/*
 * Locks taken between Enter and Leave are given back by Close; locks that the
 * transaction had before stay. Enter opens a look that is closed, or zero. After an
 * error the locks are left to the owner `parent`: the CurrentResourceOwner, unless
 * the look outlives a subtransaction. An error while a look is open needs no Close:
 * the abort of the (sub)transaction does it.
 *
 * Code of users may run meanwhile. Functions declared STABLE should not write; when
 * they have written anything, Close leaves all locks to the transaction, because
 * changes that are not committed yet need them.
 */
void
OutboxLookEnter(OutboxLook *look, ResourceOwner parent)
{
	if (look->owner == NULL)
	{
		memset(look, 0, sizeof(*look));
		look->owner = ResourceOwnerCreate(parent, "outbox look");
	}
	/* what was written so far has another number than what will be */
	CommandCounterIncrement();
	look->command = GetCurrentCommandId(false);
	look->caller = CurrentResourceOwner;
	CurrentResourceOwner = look->owner;
}

void
OutboxLookLeave(OutboxLook *look)
{
	CommandCounterIncrement();
	look->wrote |= GetCurrentCommandId(false) != look->command;
	CurrentResourceOwner = look->caller;
}

void
OutboxLookClose(OutboxLook *look)
{
	if (look->owner == NULL)
		return;
	ResourceOwnerRelease(look->owner, RESOURCE_RELEASE_BEFORE_LOCKS, false, false);
	ResourceOwnerRelease(look->owner, RESOURCE_RELEASE_LOCKS, look->wrote, false);
	ResourceOwnerRelease(look->owner, RESOURCE_RELEASE_AFTER_LOCKS, false, false);
	ResourceOwnerDelete(look->owner);
	look->owner = NULL;
}

/*
 * Has the server's lock table room for a look at that many tables, and an index of
 * each? Called when the look is entered. False: others are looking at many tables;
 * try again. Never waits.
 */
bool
OutboxLookHasRoom(int ntables)
{
	int nlocks = 2 * ntables;
	int permits = nlocks > FEW_LOCKS ? Max(Min(budget() / nlocks, PERMITS), 1) : 0;

	for (int i = 0; i < permits; i++)
	{
		LOCKTAG tag = {
			.locktag_field2 = i,
			.locktag_field4 = TAG_PERMIT,
			.locktag_type = LOCKTAG_USERLOCK,
			.locktag_lockmethodid = USER_LOCKMETHOD,
		};

		if (LockAcquire(&tag, ExclusiveLock, false, true) != LOCKACQUIRE_NOT_AVAIL)
			return true;
	}
	return permits == 0;
}

/*
 * Waits until there is room, at most until the transaction has waited for that
 * long in all; then it goes on at its own risk. Not for a transaction that commits.
 * May raise.
 *
 * The time has an end because a session with a permit may wait in the server's queue
 * for a session that waits for us, which no deadlock check would see. A statement
 * may look for each of a million rows: so the time is counted per transaction. The
 * timeouts of the session stand still meanwhile: without us it would not have waited.
 */
void
OutboxLookAwaitRoom(int ntables, int timeout_ms)
{
	static LocalTransactionId waiter = InvalidLocalTransactionId;
	static long waited_ms; /* by this transaction */
	TimestampTz start;
	OutboxHeldTimers held;

	if (OutboxLookHasRoom(ntables))
		return;
	if (waiter != OutboxLocalTransactionId())
		waited_ms = 0;
	waiter = OutboxLocalTransactionId();
	start = GetCurrentTimestamp();
	OutboxHoldTimers(&held);
	PG_TRY();
	{
		while (waited_ms + TimestampDifferenceMilliseconds(start, GetCurrentTimestamp()) < timeout_ms && !OutboxLookHasRoom(ntables))
			OutboxPause(PAUSE_MS, PG_WAIT_EXTENSION);
	}
	PG_FINALLY();
	{
		OutboxReleaseTimers(&held);
		waited_ms += TimestampDifferenceMilliseconds(start, GetCurrentTimestamp());
	}
	PG_END_TRY();
}

static int
budget(void)
{
	return (int) ((int64) max_locks_per_xact * (MaxBackends + max_prepared_xacts) / BUDGET_SHARE);
}
