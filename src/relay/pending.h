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
 * Removes the hints whose transactions the snapshot sees as ended, and returns
 * their blocks as disjoint ranges in *ranges (grown in pending's context) with
 * their number in *nranges. False: one of them lies in storage that no leaf has
 * any more, so hints do not tell where its rows are now.
 */
extern bool OutboxPendingTakeEnded(OutboxPending *pending, const OutboxSnapshot *snapshot,
								   const OutboxLeaves *leaves,
								   OutboxRange **ranges, int *nranges, int *capacity);

/* Merges hints of one transaction that overlap or touch: repeated scans find the same rows again. */
extern void OutboxPendingCompact(OutboxPending *pending);

#endif /* OUTBOX_PENDING_H */
