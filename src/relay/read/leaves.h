/*-------------------------------------------------------------------------
 *
 * leaves.h
 *	  The partitions of outbox.event as the reader opens them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_LEAVES_H
#define OUTBOX_LEAVES_H

#include "utils/rel.h"

#include "relay/session/window.h"
#include "shared/outbox_shared.h"


/* outbox_internal.leaf.leaf_generation as places and tallies remember it. */
#define OUTBOX_LEAF_USE(leaf_generation) ((uint16) ((leaf_generation) &0xFFFF))

typedef struct OutboxLeaf
{
	int16 number; /* outbox_internal.leaf.leaf */
	uint16 use;
	Oid relid;
	Oid relfilenumber; /* storage when the list was read */
	Relation relation; /* open within a transaction, else NULL */
} OutboxLeaf;

typedef struct OutboxLeaves
{
	OutboxLeaf leaf[OUTBOX_MAX_LEAVES];
	int n;

	/* of every leaf, listed or not, by number; 0 = there is none */
	uint16 use[OUTBOX_MAX_LEAVES + 1];
	bool settled[OUTBOX_MAX_LEAVES + 1]; /* nobody asks any more how many of its events were acknowledged */
} OutboxLeaves;

/*
 * Reads the list of the leaves in which something may be new to one who has
 * seen `passed` (NULL: nothing). Needs a transaction without open leaves.
 * Indexes of leaves that were remembered elsewhere mean nothing afterwards.
 * True: a leaf was rewritten, so rows are no longer where they were.
 */
extern bool OutboxLeavesLoad(OutboxLeaves *leaves, const OutboxSnapshot *passed);

/* Is every leaf that would be listed now in the list? */
extern bool OutboxLeavesComplete(const OutboxLeaves *leaves, const OutboxSnapshot *passed);

typedef enum OutboxLeavesResult
{
	OUTBOX_LEAVES_SAME,
	OUTBOX_LEAVES_MOVED, /* a leaf has other storage than when the list was read: read it again */
	OUTBOX_LEAVES_GONE   /* a leaf does not exist any more: read the list again */
} OutboxLeavesResult;

/*
 * Opens all leaves, AccessShareLock, in the order of their ids. To be called
 * BEFORE the snapshot of the transaction is taken: a rewrite of a leaf that
 * ended before the lock was granted is then visible to the snapshot.
 */
extern OutboxLeavesResult OutboxLeavesOpen(OutboxLeaves *leaves);

/*
 * Opens one leaf, if it is not open, within a window that was opened with all
 * of them. The snapshot may be older than the lock: storage that is still the
 * one of the list has the rows that it had then. NULL: it has moved, or is gone.
 */
extern Relation OutboxLeavesOpenOne(OutboxLeaves *leaves, int index);

/* Forgets the open relations; the locks end with the transaction. Call at the end of each, also after an error. */
extern void OutboxLeavesClose(OutboxLeaves *leaves, bool aborted);

/* Index of the listed leaf with this storage, or with this number; -1: none. */
extern int OutboxLeavesFind(const OutboxLeaves *leaves, Oid relfilenumber);
extern int OutboxLeavesFindNumber(const OutboxLeaves *leaves, int number);

/* Will nobody ask again how much of this use of the leaf was acknowledged? As of the last reading. */
static inline bool
OutboxLeavesSettled(const OutboxLeaves *leaves, int number, uint16 use)
{
	return number < 1 || number > OUTBOX_MAX_LEAVES || leaves->use[number] != use || leaves->settled[number];
}

#endif /* OUTBOX_LEAVES_H */
