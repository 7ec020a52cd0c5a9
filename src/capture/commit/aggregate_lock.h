/*-------------------------------------------------------------------------
 *
 * aggregate_lock.h
 *	  One transaction at a time reads an aggregate at commit.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_AGGREGATE_LOCK_H
#define OUTBOX_AGGREGATE_LOCK_H

#include "shared/key_ticket.h"

/* What an aggregate type's locks have in common. */
extern uint64 OutboxLockClass(const char *aggregate_type);

/* A key among those of all classes, from its hash. */
extern uint64 OutboxLockKey(uint64 lock_class, uint64 hash);

/* The keys of one lock class that a flush wants to lock. */
typedef struct OutboxLockSet
{
	uint64 lock_class;
	bool coarse;  /* too many keys: the whole class instead */
	uint64 nkeys; /* that were added, duplicates included */
	int nhashes;
	int capacity;
	uint64 *hashes;
} OutboxLockSet;

/* In CurrentMemoryContext. */
extern OutboxLockSet *OutboxLockSetCreate(uint64 lock_class);

/* Adds a key; a set that has become coarse only counts them. */
extern void OutboxLockSetAdd(OutboxLockSet *set, uint64 hash);

/* Adds all keys (OutboxLockKey) of the coarse sets of that class to a filter of shared/bulk_filter.h. May raise. */
typedef void (*OutboxFillFilter)(void *arg, uint64 lock_class, int filter);

/* What one flush locks, all at once. */
typedef struct OutboxLockRequest
{
	OutboxLockSet **sets;
	int nsets;
	OutboxFillFilter fill; /* NULL: what the keys of a coarse set are stays unknown to others */
	void *fill_arg;
	int nparts; /* by class */
	OutboxTicketPart *parts;
	struct OutboxTableLocks *table; /* without shared memory */
	bool waited;
} OutboxLockRequest;

/* In CurrentMemoryContext; the sets may be of one class, and live as long as the request. */
extern void OutboxLockRequestMake(OutboxLockRequest *request, OutboxLockSet **sets, int nsets);

/* How long to wait. */
typedef struct OutboxLockPatience
{
	int ms;
	bool in_a_hurry; /* ahead of others who wait; all time counts, also while whoever holds the keys commits */
} OutboxLockPatience;

/*
 * Waits until the keys are ours, to the end of the transaction or the present
 * subtransaction. False: our patience ended, and nothing of it is ours. Never
 * waits in the server's lock queue. May raise: a cancel, or no memory.
 */
extern bool OutboxLockTake(OutboxLockRequest *request, const OutboxLockPatience *patience);

/* The pause of whoever tries again for a lock of a flush; the next one is longer, up to 10 ms. May raise. */
extern void OutboxLockPause(int *ms);

/* An error rolled back the subtransaction in which it was taken: nothing is left to be given back. Never raises. */
extern void OutboxLockForget(OutboxLockRequest *request);

/* Gives back what was taken: a prepared transaction must not keep it. */
extern void OutboxLockRelease(OutboxLockRequest *request);

#endif /* OUTBOX_AGGREGATE_LOCK_H */
