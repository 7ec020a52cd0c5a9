/*-------------------------------------------------------------------------
 *
 * collect.c
 *	  One pass over a window: the events with the smallest sequence values.
 *
 * Heap order is not the order of events, so a window is sorted before it is
 * published. A pass keeps a bounded number of entries, those with the smallest
 * sequence values above the cursor; what is left over is collected by further
 * passes over the same blocks. So memory does not depend on how long a relay
 * was down.
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
#include "relay/collect.h"
#include "relay/durable.h"

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
	c->sorted = true;
	c->known_xid = 0;
}

void
OutboxCollectRange(OutboxCollection *c, OutboxLeaves *leaves, const OutboxRange *range)
{
	Relation rel = leaves->leaf[range->leaf].relation;
	TableScanDesc scan = table_beginscan_strat(rel, GetActiveSnapshot(), 0, NULL, true, false);
	BlockNumber nblocks = ((HeapScanDesc) scan)->rs_nblocks;

	if (range->first < nblocks)
	{
		TupleTableSlot *slot = table_slot_create(rel, NULL);

		heap_setscanlimits(scan, range->first, Min(range->last, nblocks - 1) - range->first + 1);
		while (heap_getnextslot(scan, ForwardScanDirection, slot))
		{
			slot_getsomeattrs(slot, Anum_event_xid);
			if (judge(c, DatumGetUInt64(slot->tts_values[Anum_event_xid - 1])) == VERDICT_NEW)
				add_entry(c, DatumGetInt64(slot->tts_values[Anum_event_seq - 1]), &slot->tts_tid, range->leaf);
		}
		ExecDropSingleTupleTableSlot(slot);
	}
	table_endscan(scan);
}

void
OutboxCollectLeaf(OutboxCollection *c, OutboxLeaves *leaves, int leaf, OutboxPending *pending)
{
	Relation rel = leaves->leaf[leaf].relation;
	Snapshot snapshot = GetActiveSnapshot();
	TableScanDesc scan;
	TupleTableSlot *slot;

	if (pending == NULL)
	{
		OutboxCollectRange(c, leaves, &(OutboxRange){.leaf = leaf, .first = 0, .last = MaxBlockNumber});
		return;
	}

	/* every row, also those of transactions that are still open */
	scan = table_beginscan_strat(rel, SnapshotAny, 0, NULL, true, false);
	slot = table_slot_create(rel, NULL);
	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		uint64 xid;

		slot_getsomeattrs(slot, Anum_event_xid);
		xid = DatumGetUInt64(slot->tts_values[Anum_event_xid - 1]);
		switch (judge(c, xid))
		{
			case VERDICT_NEW:
				if (table_tuple_satisfies_snapshot(rel, slot, snapshot))
					add_entry(c, DatumGetInt64(slot->tts_values[Anum_event_seq - 1]), &slot->tts_tid, leaf);
				break;
			case VERDICT_OPEN:
				note_open(pending, &leaves->leaf[leaf], xid, ItemPointerGetBlockNumber(&slot->tts_tid));
				break;
			default:
				break;
		}
	}
	ExecDropSingleTupleTableSlot(slot);
	table_endscan(scan);
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
	if (c->n > 0 && c->entries[c->n - 1].seq > seq)
		c->sorted = false;
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
		c->threshold = c->entries[c->n - 1].seq;
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
