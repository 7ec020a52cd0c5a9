/*-------------------------------------------------------------------------
 *
 * collect.c
 *	  One pass over a window: the events with the smallest sequence values.
 *
 * Heap order is not the order of events, so a window is sorted before it is
 * published. A pass keeps a bounded number of entries, those with the smallest
 * sequence values above the cursor; what is left over is collected by further
 * passes. So memory does not depend on how long a relay was down. The first
 * pass reads all blocks of the window; the others only the ranges that may
 * have something for them (ranges.c).
 *
 * Whether a row belongs to the window is decided by the top-level transaction
 * id that the row carries; whether it exists at all, by its tuple's
 * visibility, because a subtransaction may have been rolled back.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/tableam.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "catalog/outbox_catalog.h"
#include "relay/read/read_private.h"
#include "relay/session/session.h"

#define ST_SORT sort_entries
#define ST_ELEMENT_TYPE OutboxEntry
#define ST_COMPARE(a, b) ((a)->seq < (b)->seq ? -1 : (a)->seq > (b)->seq)
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

/* Where a transaction stands to the window. */
enum
{
	VERDICT_OLD, /* ended before the window */
	VERDICT_NEW, /* ended in the window */
	VERDICT_OPEN /* not ended at the window's end */
};

static void add_row(OutboxCollection *c, OutboxRange *range, const TupleTableSlot *slot);
static int judge(OutboxCollection *c, uint64 xid);
static void add_entry(OutboxCollection *c, int64 seq, const ItemPointerData *tid, int leaf);
static void keep_smallest(OutboxCollection *c);
static void note_open(OutboxPending *pending, const OutboxLeaf *leaf, uint64 xid, BlockNumber block);

void
OutboxCollectStart(OutboxCollection *c)
{
	c->n = 0;
	c->beyond = 0;
	c->flush_to = InvalidXLogRecPtr;
	c->threshold = PG_INT64_MAX;
	c->largest = PG_INT64_MIN;
	c->sorted = true;
	c->known_xid = 0;
}

/*
 * May the range have something for this pass? Ranges that are counted must come
 * in the order of their lowest seq, else more of them are read than necessary.
 * What a range without has for later passes is added to beyond.
 */
bool
OutboxCollectConcerns(OutboxCollection *c, const OutboxRange *range)
{
	if (!range->counted)
		return true;
	if (range->highest <= c->cursor)
		return false;
	if (range->lowest <= c->threshold && (c->n < c->limit || range->lowest <= c->largest))
		return true;
	c->beyond += range->events;
	return false;
}

/*
 * Adds the events of some blocks, and counts them when nobody has. Needs a
 * transaction, the leaf open and an active snapshot that is not older than the
 * window's end. With pending, also notes where rows lie whose transactions the
 * window's end does not see as ended: hints that may have been lost.
 */
void
OutboxCollectRange(OutboxCollection *c, const OutboxLeaf *leaf, OutboxRange *range, OutboxPending *pending)
{
	Relation rel = leaf->relation;
	Snapshot snapshot = GetActiveSnapshot();
	TableScanDesc scan = table_beginscan_strat(rel, pending == NULL ? snapshot : SnapshotAny, 0, NULL, true, false);
	BlockNumber nblocks = ((HeapScanDesc) scan)->rs_nblocks;

	if (range->first < nblocks)
	{
		TupleTableSlot *slot = table_slot_create(rel, NULL);

		heap_setscanlimits(scan, range->first, Min(range->last, nblocks - 1) - range->first + 1);
		while (heap_getnextslot(scan, ForwardScanDirection, slot))
		{
			uint64 xid;
			int verdict;

			slot_getsomeattrs(slot, Anum_event_xid);
			xid = DatumGetUInt64(slot->tts_values[Anum_event_xid - 1]);
			verdict = judge(c, xid);
			if (verdict == VERDICT_NEW && (pending == NULL || table_tuple_satisfies_snapshot(rel, slot, snapshot)))
				add_row(c, range, slot);
			else if (verdict == VERDICT_OPEN && pending != NULL)
				note_open(pending, leaf, xid, ItemPointerGetBlockNumber(&slot->tts_tid));
		}
		ExecDropSingleTupleTableSlot(slot);
	}
	table_endscan(scan);
	range->counted = true;
}

static void
add_row(OutboxCollection *c, OutboxRange *range, const TupleTableSlot *slot)
{
	int64 seq = DatumGetInt64(slot->tts_values[Anum_event_seq - 1]);

	if (!range->counted)
		OutboxRangeCount(range, seq);
	add_entry(c, seq, &slot->tts_tid, range->leaf);
}

static int
judge(OutboxCollection *c, uint64 xid)
{
	if (xid == c->known_xid)
		return c->known_verdict;

	c->known_xid = xid;
	if (OutboxSnapshotSees(c->last, xid))
		c->known_verdict = VERDICT_OLD;
	else if (!OutboxSnapshotSees(c->cur, xid))
		c->known_verdict = VERDICT_OPEN;
	else
	{
		XLogRecPtr commit = OutboxCommitRecord(xid);

		c->known_verdict = VERDICT_NEW;
		c->flush_to = Max(c->flush_to, commit);
	}
	return c->known_verdict;
}

static void
add_entry(OutboxCollection *c, int64 seq, const ItemPointerData *tid, int leaf)
{
	OutboxEntry *entry;

	if (seq <= c->cursor)
		return;
	if (seq > c->threshold)
	{
		c->beyond++;
		return;
	}
	if (c->n == c->capacity)
	{
		int capacity = c->capacity == 0 ? 1024 : c->capacity * 2;
		Size size = mul_size(capacity, sizeof(OutboxEntry));

		c->entries = c->entries == NULL ? MemoryContextAllocHuge(c->context, size)
										: repalloc_huge(c->entries, size);
		c->capacity = capacity;
	}
	c->sorted &= seq > c->largest;
	c->largest = Max(c->largest, seq);
	entry = &c->entries[c->n++];
	entry->seq = seq;
	entry->tid = *tid;
	entry->leaf = (uint16) leaf;

	if (c->n >= 2 * c->limit)
		keep_smallest(c);
}

/* Sorts the entries and drops those above the limit. */
static void
keep_smallest(OutboxCollection *c)
{
	if (!c->sorted)
		sort_entries(c->entries, c->n);
	c->sorted = true;
	if (c->n > c->limit)
	{
		c->beyond += c->n - c->limit;
		c->n = c->limit;
		c->threshold = c->largest = c->entries[c->n - 1].seq;
	}
}

void
OutboxCollectFinish(OutboxCollection *c)
{
	keep_smallest(c);
}

static void
note_open(OutboxPending *pending, const OutboxLeaf *leaf, uint64 xid, BlockNumber block)
{
	OutboxHint hint = {.xid = xid, .relfilenumber = leaf->relfilenumber, .first = block, .last = block};

	OutboxPendingAdd(pending, &hint);
}
