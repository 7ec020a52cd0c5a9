/*-------------------------------------------------------------------------
 *
 * aggregate_lock.h
 *	  One transaction at a time reads an aggregate at commit.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_AGGREGATE_LOCK_H
#define OUTBOX_AGGREGATE_LOCK_H

/* What an aggregate type's locks have in common. */
extern uint64 OutboxLockClass(const char *aggregate_type);

/* The keys of one lock class that a flush wants to lock. */
typedef struct OutboxLockSet
{
	uint64 lock_class;
	bool coarse;  /* too many keys: all slots of the class instead */
	uint64 nkeys; /* that were added, duplicates included */
	int nhashes;
	int capacity;
	uint64 *hashes;
} OutboxLockSet;

/* In CurrentMemoryContext. */
extern OutboxLockSet *OutboxLockSetCreate(uint64 lock_class);

/* Adds a key; a set that has become coarse only counts them. */
extern void OutboxLockSetAdd(OutboxLockSet *set, uint64 hash);

/* Adds all keys of the coarse sets of that class to a filter of shared/bulk_filter.h. May raise. */
typedef void (*OutboxFillFilter)(void *arg, uint64 lock_class, int filter);

/* What is left to be locked, in the order of all sessions. */
typedef struct OutboxLockList
{
	OutboxLockSet **sets;
	int nsets;
	OutboxFillFilter fill; /* NULL: what the keys of a coarse set are stays unknown to others */
	void *fill_arg;
	int nlocks;
	int nheld; /* the first ones are ours */
	struct OutboxLock *locks;
} OutboxLockList;

/* In CurrentMemoryContext; the sets may be of one class, and live as long as the list. */
extern void OutboxLockListMake(OutboxLockList *list, OutboxLockSet **sets, int nsets);

/*
 * Takes the locks that are left without ever waiting; true when all are held.
 * They end with the transaction. May raise when the lock table is full.
 */
extern bool OutboxLockListTake(OutboxLockList *list);

/* Gives back what was taken: a prepared transaction must not keep them. */
extern void OutboxLockListRelease(OutboxLockList *list);

#endif /* OUTBOX_AGGREGATE_LOCK_H */
