/*-------------------------------------------------------------------------
 *
 * pending.h
 *	  Hints whose transactions have not ended yet.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_PENDING_H
#define OUTBOX_PENDING_H

#include "relay/read/leaves.h"
#include "relay/read/ranges.h"
#include "relay/session/window.h"
#include "shared/outbox_shared.h"

typedef struct OutboxPending
{
	MemoryContext context; /* of the array */
	OutboxHint *hints;
	int n;
	int capacity;
} OutboxPending;

extern void OutboxPendingAdd(OutboxPending *pending, const OutboxHint *hint);

/*
 * Do all hints whose transactions the snapshot sees as ended lie in storage
 * that is listed? Otherwise hints do not tell where their rows are now.
 */
extern bool OutboxPendingKnown(const OutboxPending *pending, const OutboxSnapshot *snapshot,
							   const OutboxLeaves *leaves);

/* Moves the hints whose transactions the snapshot sees as ended to ranges, in place of what these held. */
extern void OutboxPendingTakeEnded(OutboxPending *pending, const OutboxSnapshot *snapshot,
								   const OutboxLeaves *leaves, OutboxRanges *ranges);

/* Merges hints of one transaction that overlap or touch: repeated scans find the same rows again. */
extern void OutboxPendingCompact(OutboxPending *pending);

#endif /* OUTBOX_PENDING_H */
