/*-------------------------------------------------------------------------
 *
 * flush_run.h
 *	  One flush on its way: what flush.c, flush_lock.c and flush_portion.c
 *	  work on.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_FLUSH_RUN_H
#define OUTBOX_FLUSH_RUN_H

#include "portability/instr_time.h"

#include "capture/commit/commit_read.h"
#include "capture/commit/flush_contract.h"

typedef struct OutboxPortionKey
{
	OutboxReadKey read; /* first */
	OutboxFlushContract *contract;
	bool inserted;     /* there was no row before */
	bool before_known; /* read.before is what the view showed */
} OutboxPortionKey;

typedef struct OutboxFlush
{
	MemoryContext context;
	MemoryContext portion_context;
	ResourceOwner resources; /* of the (sub)transaction that flushes */
	OutboxFlushContract *contracts;
	int ncontracts;
	bool take_locks; /* on aggregates */
	int timeout_ms;
	bool keys_locked;
	bool keys_refused;
	bool locked;
	OutboxLockRequest locks;
	CommandId before;
	const ErrorData *expired; /* what a key says that the timer left out */
	bool extended;            /* the time for rows before of late keys has begun */
	Snapshot snapshot;        /* of the portion */
	int portion_size;
	OutboxPortionKey *keys;
	int nkeys;
	instr_time lap; /* up to which the time has been shared out */
} OutboxFlush;

/*
 * Finds the contracts that have keys and takes all locks before anything is
 * read, trying again until the timer says that it is late: then contracts say so.
 */
extern void OutboxFlushTakeLocks(OutboxFlush *flush);

/* The place where a flush gives up on keys for a lock: contracts that are not late for another reason are for this one. */
extern void OutboxFlushGiveUp(OutboxFlush *flush, const ErrorData *reason);

/* ---- flush_late.c ---- */

/* Not all locks were to be had: opens the contracts without those of the keys, as far as that goes at once. */
extern void OutboxFlushOpenLate(OutboxFlush *flush);

/*
 * Of the keys of a late contract in the portion, reads the rows before that are
 * not known, without the keys' locks, while the time for that lasts.
 */
extern void OutboxFlushReadLate(OutboxFlush *flush, OutboxFlushContract *contract, OutboxCommitRead *read);

/* What the portion's rows before have seen, as a pg_snapshot in CurrentMemoryContext. */
extern Datum OutboxFlushSeen(OutboxFlush *flush);

/* ---- flush_portion.c ---- */

/* Is the row before to be read? */
extern bool OutboxFlushWantsBefore(const OutboxPortionKey *key);

/* Notes which of these keys have a row before that is known now, NULL included. */
extern void OutboxFlushNoteBefore(OutboxFlushContract *contract, OutboxReadKey **keys, int nkeys);

/* Reads and captures the queue's keys, portion by portion. */
extern void OutboxFlushPortions(OutboxFlush *flush);

/* The time since the last lap is that of all contracts: of each an equal part, or by its keys in the portion. */
extern void OutboxFlushShareTime(OutboxFlush *flush, bool by_keys);

/* An error of our own, in CurrentMemoryContext. */
extern ErrorData *OutboxFlushError(int sqlerrcode, char *message, char *hint);

#endif /* OUTBOX_FLUSH_RUN_H */
