/*-------------------------------------------------------------------------
 *
 * ranges.h
 *	  The blocks in which the events of a window are, and what is known of
 *	  each of them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_RANGES_H
#define OUTBOX_RANGES_H

#include "storage/block.h"

/* Blocks of one leaf, both ends included, and the events of the window in them. */
typedef struct OutboxRange
{
	int leaf; /* index in OutboxLeaves */
	BlockNumber first;
	BlockNumber last;
	bool counted; /* the next three are known */
	uint64 events;
	int64 lowest; /* seq */
	int64 highest;
} OutboxRange;

typedef struct OutboxRanges
{
	MemoryContext context; /* of the array */
	OutboxRange *range;
	int n;
	int capacity;
} OutboxRanges;

/* Adds blocks about which nothing is known yet. */
extern void OutboxRangesAdd(OutboxRanges *ranges, int leaf, BlockNumber first, BlockNumber last);

/* Makes them disjoint, because a row must be collected once, and none larger than a pass should have to read again. */
extern void OutboxRangesArrange(OutboxRanges *ranges);

/* Once all are counted: in the order of their lowest seq, without those that have no event. */
extern void OutboxRangesSort(OutboxRanges *ranges);

/* An event of the window was found there. */
static inline void
OutboxRangeCount(OutboxRange *range, int64 seq)
{
	range->events++;
	range->lowest = Min(range->lowest, seq);
	range->highest = Max(range->highest, seq);
}

#endif /* OUTBOX_RANGES_H */
