/*-------------------------------------------------------------------------
 *
 * collect.h
 *	  One pass over a window: the events with the smallest sequence values.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_COLLECT_H
#define OUTBOX_COLLECT_H

#include "access/xlogdefs.h"
#include "storage/itemptr.h"

#include "relay/read/leaves.h"
#include "relay/read/pending.h"
#include "relay/session/window.h"

/* Where an event is. 16 bytes: a backlog has many. */
typedef struct OutboxEntry
{
	int64 seq;
	ItemPointerData tid;
	uint16 leaf; /* index in OutboxLeaves */
} OutboxEntry;

typedef struct OutboxCollection
{
	/* what to collect: set by the caller */
	const OutboxSnapshot *last; /* the window's ends; last NULL: from the beginning */
	const OutboxSnapshot *cur;
	int64 cursor; /* only above this */
	int limit;    /* entries kept by a pass */

	/* the result */
	MemoryContext context; /* of the entries */
	OutboxEntry *entries;  /* sorted by seq after OutboxCollectFinish */
	int n;
	int capacity;
	uint64 beyond;       /* events of the window that the next pass has to collect */
	XLogRecPtr flush_to; /* newest commit record among the transactions met */

	/* progress of the pass */
	int64 threshold; /* larger ones are beyond */
	int64 largest;   /* of the entries */
	bool sorted;
	uint64 known_xid; /* 0: none; rows of a transaction come in runs */
	int known_verdict;
} OutboxCollection;

extern void OutboxCollectStart(OutboxCollection *c);

/*
 * May the range have something for this pass? Ranges that are counted must come
 * in the order of their lowest seq, else more of them are read than necessary.
 * What a range without has for later passes is added to beyond.
 */
extern bool OutboxCollectConcerns(OutboxCollection *c, const OutboxRange *range);

/*
 * Adds the events of some blocks, and counts them when nobody has. Needs a
 * transaction, the leaf open and an active snapshot that is not older than the
 * window's end. With pending, also notes where rows lie whose transactions the
 * window's end does not see as ended: hints that may have been lost.
 */
extern void OutboxCollectRange(OutboxCollection *c, const OutboxLeaf *leaf, OutboxRange *range, OutboxPending *pending);

extern void OutboxCollectFinish(OutboxCollection *c);

#endif /* OUTBOX_COLLECT_H */
