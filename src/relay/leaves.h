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

#define OUTBOX_MAX_LEAVES 1024

typedef struct OutboxLeaf
{
	Oid relid;
	Oid relfilenumber; /* storage when it was opened last, 0 = never */
	Relation relation; /* open within a transaction, else NULL */
} OutboxLeaf;

typedef struct OutboxLeaves
{
	OutboxLeaf leaf[OUTBOX_MAX_LEAVES];
	int n;
} OutboxLeaves;

/*
 * Reads the list of leaves; needs a transaction without open leaves. Indexes
 * of leaves that were remembered elsewhere mean nothing afterwards.
 */
extern void OutboxLeavesLoad(OutboxLeaves *leaves);

/* Is the list still that of the catalog, as of now? */
extern bool OutboxLeavesComplete(const OutboxLeaves *leaves);

typedef enum OutboxLeavesResult
{
	OUTBOX_LEAVES_SAME,
	OUTBOX_LEAVES_MOVED, /* a leaf has other storage than at the last opening */
	OUTBOX_LEAVES_GONE   /* a leaf does not exist any more: load the list again */
} OutboxLeavesResult;

/*
 * Opens all leaves, AccessShareLock, in the order of their ids. To be called
 * BEFORE the snapshot of the transaction is taken: a rewrite of a leaf that
 * ended before the lock was granted is then visible to the snapshot.
 */
extern OutboxLeavesResult OutboxLeavesOpen(OutboxLeaves *leaves);

/* Forgets the open relations; the locks end with the transaction. Call at the end of each, also after an error. */
extern void OutboxLeavesClose(OutboxLeaves *leaves, bool aborted);

/* Index of the open leaf with this storage, -1: none. */
extern int OutboxLeavesFind(const OutboxLeaves *leaves, Oid relfilenumber);

#endif /* OUTBOX_LEAVES_H */
