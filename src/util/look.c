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
 * table of the server does not hold for a hundred sessions. So what is locked
 * only to look at it has a resource owner of its own, which goes as soon as we
 * have seen enough.
 *
 * What was learned is true only until then: whoever keeps it listens for
 * invalidations, and locks and looks again before he relies on it.
 *
 * Short as they are, many such looks at a time would still fill the lock
 * table. Who needs more locks than a transaction usually has takes a permit
 * first. There are few, numbered; the one with number n is for looks that take at
 * most 1/(n + 1) of a budget. A permit is a lock itself, never waited for in the
 * server's queue. It stands for the other locks of its look, and so goes with
 * them: at once, or with the transaction where these must stay. Then others make
 * do without, and their keys are late; but the lock table does not fill up.
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
 * What is locked between Enter and Leave is given back by Close; what the
 * transaction had locked before stays. A look that is closed, or zero, is
 * opened by Enter. `parent` is the owner that an error leaves the rest to: the
 * CurrentResourceOwner, unless the look outlives a subtransaction. An error
 * while a look is open needs no Close: the abort of the (sub)transaction does it.
 *
 * Code of users may run meanwhile. When it has written anything, which
 * functions declared STABLE should not, Close leaves all locks to the
 * transaction: what is not committed yet needs them.
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
 * For a look that is entered, and will lock that many tables and an index of
 * each: true when the server's lock table has room for them. False: others are
 * looking at many tables; try again.
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
 * The same with attempts until the transaction has waited for that long in all,
 * and then on its own risk. Not for a transaction that commits. May raise.
 *
 * The time has an end because who has a permit may wait in the server's queue
 * for somebody who waits for us, which no deadlock check would see. A statement
 * may look for each of a million rows: so it is the time of the transaction, which
 * without us would not have waited, and whose timeouts stand still meanwhile.
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
