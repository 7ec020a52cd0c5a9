/*-------------------------------------------------------------------------
 *
 * flush_contract.h
 *	  A contract during a flush: compiled, locked, or the reason why not.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_FLUSH_CONTRACT_H
#define OUTBOX_FLUSH_CONTRACT_H

#include "capture/commit/aggregate_lock.h"
#include "capture/commit/key_queue.h"
#include "contract/compile/cache.h"
#include "util/look.h"

typedef struct OutboxFlushContract
{
	OutboxQueuedContract *queued;
	OutboxLockSet *locks;             /* NULL: no keys */
	OutboxCachedContract *cached;     /* reserved; NULL: not opened yet */
	OutboxLook look;                  /* while it is reserved: the locks on what it reads */
	OutboxCompiledContract *compiled; /* NULL once opened: nobody wants its keys, or `late` */
	const ErrorData *late;            /* its keys cannot be evaluated now */
	const ErrorData *unknown;         /* what was before is not known */
	bool root_rewritten;              /* not even by an INSERT */
	List *rewritten;                  /* OIDs of the tables */
	uint64 nkeys;                     /* captured so far, */
	uint64 portion_keys;              /* of them in this portion, */
	uint64 spent_ns;                  /* and the time it took */
} OutboxFlushContract;

/*
 * Locks what the contract reads, never waiting, and reserves it compiled.
 * False: a lock was not to be had, and none is kept; try again. Needs an active
 * snapshot. The locks belong to a child of `parent`, whatever becomes of the
 * present subtransaction.
 */
extern bool OutboxFlushContractOpen(OutboxFlushContract *contract, ResourceOwner parent);

/* Looks for tables that this transaction rewrote: what they held before is gone. */
extern void OutboxFlushContractCheckRewritten(OutboxFlushContract *contract);

/* Records a gap for each of them, once. */
extern void OutboxFlushContractRecordGaps(OutboxFlushContract *contract);

/* Gives it back; on an error's way. */
extern void OutboxFlushContractClose(OutboxFlushContract *contract);

/* The flush has read everything, and has written what it read: gives the locks back. */
extern void OutboxFlushContractUnlock(OutboxFlushContract *contract);

#endif /* OUTBOX_FLUSH_CONTRACT_H */
