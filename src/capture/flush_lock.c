/*-------------------------------------------------------------------------
 *
 * flush_lock.c
 *	  The locks of a flush.
 *
 * A transaction that commits must not wait in the server's lock queue, so
 * every lock is tried, and tried again after a short pause, until the timer of
 * the flush runs out. The sets of keys decide which locks there are.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/memutils.h"

#include "capture/commit_guard.h"
#include "capture/flush_run.h"
#include "compat.h"
#include "shared/bulk_filter.h"

/* Between two attempts to get a lock. */
#define MAX_PAUSE_MS 10

static void collect_locks(OutboxFlush *flush);
static void fill_filter(void *arg, uint64 lock_class, int filter);
static void lock_step(void *arg);
static void all_late(OutboxFlush *flush, const ErrorData *reason);
static void pause_shortly(int *ms);

void
OutboxFlushTakeLocks(OutboxFlush *flush)
{
	int pause_ms = 1;

	collect_locks(flush);
	for (;;)
	{
		int held = flush->locks.nheld;
		const ErrorData *error;

		OutboxCommitGuardArm();
		error = OutboxRunGuarded(lock_step, flush, flush->context);
		OutboxCommitGuardDisarm();
		if (flush->locked && error == NULL)
			return;
		if (error)
			flush->locks.nheld = held;
		if (OutboxCommitGuardExpired())
			error = OutboxFlushError(ERRCODE_LOCK_NOT_AVAILABLE,
									 "could not lock what the contract reads within outbox.flush_timeout",
									 "The relay tries it again by itself.");
		if (error)
		{
			all_late(flush, error);
			return;
		}
		pause_shortly(&pause_ms);
	}
}

/* Which contracts have keys, and which locks these need. */
static void
collect_locks(OutboxFlush *flush)
{
	OutboxQueuedContract **queued;
	OutboxLockSet **sets;
	OutboxQueuedKey key;
	int nsets = 0;

	flush->contracts = palloc0(sizeof(OutboxFlushContract) * OutboxKeyQueueContracts(&queued));
	flush->ncontracts = OutboxKeyQueueContracts(&queued);
	for (int i = 0; i < flush->ncontracts; i++)
		flush->contracts[i].queued = queued[i];
	OutboxKeyQueueScan();
	while (OutboxKeyQueueNext(&key))
	{
		OutboxFlushContract *contract = &flush->contracts[key.contract->index];

		if (contract->locks == NULL)
			contract->locks = OutboxLockSetCreate(key.contract->lock_class);
		OutboxLockSetAdd(contract->locks, key.hash);
	}
	sets = palloc(sizeof(OutboxLockSet *) * flush->ncontracts);
	for (int i = 0; i < flush->ncontracts; i++)
	{
		if (flush->contracts[i].locks)
			sets[nsets++] = flush->contracts[i].locks;
	}
	OutboxLockListMake(&flush->locks, sets, flush->take_locks ? nsets : 0);
	flush->locks.fill = fill_filter;
	flush->locks.fill_arg = flush;
}

/* Keys of a set that is not coarse have locks of their own. */
static void
fill_filter(void *arg, uint64 lock_class, int filter)
{
	OutboxFlush *flush = arg;
	OutboxQueuedKey key;

	OutboxKeyQueueScan();
	while (OutboxKeyQueueNext(&key))
	{
		if (key.contract->lock_class == lock_class && flush->contracts[key.contract->index].locks->coarse)
			OutboxBulkFilterAdd(filter, key.hash);
	}
}

/* In a subtransaction because the lock table may be full; what it took stays with the transaction. */
static void
lock_step(void *arg)
{
	OutboxFlush *flush = arg;

	/* who waits for a key has no table that others need */
	if (!OutboxLockListTake(&flush->locks))
		return;
	for (int i = 0; i < flush->ncontracts; i++)
	{
		if (flush->contracts[i].locks && !OutboxFlushContractOpen(&flush->contracts[i], flush->resources))
			return;
	}
	flush->locked = true;
}

static void
all_late(OutboxFlush *flush, const ErrorData *reason)
{
	for (int i = 0; i < flush->ncontracts; i++)
	{
		if (flush->contracts[i].late == NULL)
			flush->contracts[i].late = reason;
	}
}

static void
pause_shortly(int *ms)
{
	static uint32 wait_event = 0;

	if (wait_event == 0)
		wait_event = OutboxWaitEvent("OutboxAggregateLock");
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, *ms, wait_event);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
	*ms = Min(*ms * 2, MAX_PAUSE_MS);
}
