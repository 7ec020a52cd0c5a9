/*-------------------------------------------------------------------------
 *
 * flush_lock.c
 *	  The locks of a flush.
 *
 * A transaction that commits must not wait in the server's lock queue. It waits
 * for all its keys at once, in a queue of ours and with a time of its own
 * (aggregate_lock.c). Then it tries to lock the tables, and tries again after a
 * short pause, until the timer of the flush runs out. Keys are late when they, or
 * the tables, could not be locked in time.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "capture/commit/commit_private.h"
#include "capture/transition/transition.h"
#include "compat.h"
#include "shared/outbox_shared.h"

static void give_up(OutboxFlush *flush, const ErrorData *reason);
static void collect_locks(OutboxFlush *flush);
static void add_contracts(OutboxFlushContract *contracts, OutboxQueuedContract **queued, int nqueued);
static void fill_filter(void *arg, uint64 lock_class, int filter);
static void lock_step(void *arg);
static bool lock_keys(OutboxFlush *flush);

/*
 * Finds the contracts that have keys, and takes all locks before anything is read.
 * Tries again until the timer runs out; then contracts without their locks are
 * late. May raise.
 */
void
OutboxFlushTakeLocks(OutboxFlush *flush)
{
	int pause_ms = 1;

	collect_locks(flush);
	for (;;)
	{
		const ErrorData *error;

		error = OutboxRunGuarded(lock_step, flush, flush->context);
		OutboxCommitGuardDisarm();
		if (error)
			OutboxLockForget(&flush->locks);
		if (flush->locked && error == NULL)
			return;
		if (flush->keys_refused && error == NULL)
			error = OutboxFlushError(ERRCODE_LOCK_NOT_AVAILABLE,
									 "the commit waited longer than outbox.flush_timeout for another transaction that reads the same key",
									 "SELECT * FROM outbox.commit_queue() shows who waits for whom.");
		else if (OutboxCommitGuardExpired())
			error = OutboxFlushError(ERRCODE_LOCK_NOT_AVAILABLE,
									 "could not lock what the contract reads within outbox.flush_timeout", NULL);
		if (error)
		{
			give_up(flush, error);
			return;
		}
		OutboxLockPause(&pause_ms);
	}
}

/* Gives up on the locks: all contracts that are not late yet are late for this reason. */
static void
give_up(OutboxFlush *flush, const ErrorData *reason)
{
	for (int i = 0; i < flush->ncontracts; i++)
	{
		if (flush->contracts[i].late == NULL)
			flush->contracts[i].late = reason;
	}
}

/* Which contracts have keys, and which locks these need. */
static void
collect_locks(OutboxFlush *flush)
{
	OutboxQueuedContract **queued;
	OutboxLockSet **sets;
	OutboxQueuedKey key;
	int nqueued = OutboxKeyQueueContracts(&queued);
	int nsets = 0;

	flush->most_versions = 1;
	for (int i = 0; i < nqueued; i++)
	{
		flush->ncontracts += queued[i]->nversions;
		flush->most_versions = Max(flush->most_versions, queued[i]->nversions);
	}
	flush->contracts = palloc0(sizeof(OutboxFlushContract) * flush->ncontracts);
	add_contracts(flush->contracts, queued, nqueued);
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
	OutboxLockRequestMake(&flush->locks, sets, flush->take_locks ? nsets : 0);
	flush->locks.fill = fill_filter;
	flush->locks.fill_arg = flush;
}

/* The first versions in the order of the queue, which numbers them so, and behind them all others. */
static void
add_contracts(OutboxFlushContract *contracts, OutboxQueuedContract **queued, int nqueued)
{
	OutboxFlushContract *free = &contracts[nqueued];

	for (int i = 0; i < nqueued; i++)
	{
		contracts[i].queued = queued[i];
		OutboxFlushContractAddVersions(&contracts[i], free);
		free += queued[i]->nversions - 1;
	}
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
			OutboxBulkFilterAdd(filter, OutboxLockKey(lock_class, key.hash));
	}
}

/*
 * Runs in a subtransaction because the lock table may be full; the locks stay with
 * the transaction. Keys come first: a session that waits for a key has locked no
 * table that others need.
 */
static void
lock_step(void *arg)
{
	OutboxFlush *flush = arg;

	if (!flush->keys_locked && !lock_keys(flush))
		return;
	OutboxCommitGuardArm();
	for (int i = 0; i < flush->ncontracts; i++)
	{
		if (OutboxFlushContractHasKeys(&flush->contracts[i]) && !OutboxFlushContractOpen(&flush->contracts[i], flush->resources))
			return;
	}
	flush->locked = true;
}

/*
 * Locks the keys, in a time apart. The time for tables and reading begins when the keys are ours. When the keys are
 * refused it is over, and the rows before are read in a time of their own (flush_late.c).
 */
static bool
lock_keys(OutboxFlush *flush)
{
	OutboxLockPatience patience = {.ms = flush->timeout_ms};

	flush->keys_locked = OutboxLockTake(&flush->locks, &patience);
	flush->keys_refused = !flush->keys_locked;
	if (flush->keys_locked && flush->locks.waited)
		OutboxCommitGuardRestart(flush->timeout_ms);
	return flush->keys_locked;
}
