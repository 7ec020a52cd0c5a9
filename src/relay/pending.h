/*-------------------------------------------------------------------------
 *
 * pending.h
 *	  Hints whose transactions have not ended yet, and the block ranges of
 *	  those that have.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_PENDING_H
#define OUTBOX_PENDING_H

#include "relay/leaves.h"
#include "relay/window.h"
#include "shared/outbox_shared.h"

typedef struct OutboxPending
{
	MemoryContext context; /* of the array */
	OutboxHint *hints;
	int n;
	int capacity;
} OutboxPending;

/* Blocks of one leaf, both ends included. */
typedef struct OutboxRange
{
	int leaf; /* index in OutboxLeaves */
	BlockNumber first;
	BlockNumber last;
} OutboxRange;

extern void OutboxPendingAdd(OutboxPending *pending, const OutboxHint *hint);

/*
 * Do all hints whose transactions the snapshot sees as ended lie in storage
 * that is listed? Otherwise hints do not tell where their rows are now.
 */
extern bool OutboxPendingKnown(const OutboxPending *pending, const OutboxSnapshot *snapshot,
							   const OutboxLeaves *leaves);

/*
 * Removes the hints whose transactions the snapshot sees as ended, and returns
 * their blocks as disjoint ranges in *ranges (grown in pending's context) with
 * their number in *nranges.
 */
extern void OutboxPendingTakeEnded(OutboxPending *pending, const OutboxSnapshot *snapshot,
								   const OutboxLeaves *leaves,
								   OutboxRange **ranges, int *nranges, int *capacity);

/* Merges hints of one transaction that overlap or touch: repeated scans find the same rows again. */
extern void OutboxPendingCompact(OutboxPending *pending);

#endif /* OUTBOX_PENDING_H */
