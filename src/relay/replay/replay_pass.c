/*-------------------------------------------------------------------------
 *
 * replay_pass.c
 *	  The events of a replay in order of seq, a bounded number at a time.
 *
 * Events of one key were numbered while their source row was locked, so seq
 * alone is their order and no windows are needed: the set of a replay does not
 * change. A pass looks through the leaves and keeps the events with the
 * smallest seq above the last one of the pass before. It does so in small
 * steps, each a short transaction, because the relay publishes new events in
 * between. Leaves have no index, but each was filled in one stretch of time:
 * once looked through, its lowest and highest seq say which passes it concerns.
 *
 * Nothing holds a leaf: retention may empty it between two steps. Another
 * storage means that what was seen there is void, and the pass starts again.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/pg_inherits.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

#include "catalog/outbox_catalog.h"
#include "compat.h"
#include "guc.h"
#include "relay/read/read.h"
#include "relay/replay/replay_private.h"
#include "relay/session/session.h"

#define ST_SORT sort_entries
#define ST_ELEMENT_TYPE OutboxEntry
#define ST_COMPARE(a, b) ((a)->seq < (b)->seq ? -1 : (a)->seq > (b)->seq)
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

/* Events kept by a pass: 16 bytes each, and room for twice as many. */
#define PASS_EVENTS 131072

/* A step reads a megabyte. */
#define STEP_BLOCKS 128

/* A chunk ends when it holds about this much. */
#define CHUNK_BYTES ((Size) 1024 * 1024)

static void load_leaves(OutboxReplayPass *pass);
static int compare_leaves(const void *a, const void *b);
static bool concerns(OutboxReplayPass *pass, const OutboxReplayLeaf *leaf);
static void step_leaf(OutboxReplayPass *pass, OutboxReplayLeaf *leaf);
static bool scan_blocks(OutboxReplayPass *pass, OutboxReplayLeaf *leaf, Relation rel);
static bool matches(const OutboxReplayRequest *request, TupleTableSlot *slot);
static bool same_text(Datum value, const char *wanted);
static void add_entry(OutboxReplayPass *pass, int64 seq, const ItemPointerData *tid);
static void keep_smallest(OutboxReplayPass *pass);
static Relation open_leaf(const OutboxReplayLeaf *leaf);
static bool add_to_chunk(Relation rel, const OutboxEntry *entry, OutboxSchemaCache *schemas, OutboxChunk *chunk);

void
OutboxReplayPassInit(OutboxReplayPass *pass, MemoryContext context, const OutboxReplayRequest *request)
{
	memset(pass, 0, sizeof(*pass));
	pass->context = context;
	pass->request = request;
}

/* Begins to collect the events above this seq; runs a transaction. */
void
OutboxReplayPassStart(OutboxReplayPass *pass, int64 after)
{
	int limit = Min(PASS_EVENTS, outbox_max_sorted_events);

	if (pass->entries == NULL || limit != pass->limit)
	{
		if (pass->entries != NULL)
			pfree(pass->entries);
		pass->entries = NULL;
		pass->entries = MemoryContextAllocHuge(pass->context, sizeof(OutboxEntry) * limit * 2);
		pass->limit = limit;
	}
	pass->after = after;
	pass->n = 0;
	pass->threshold = PG_INT64_MAX;
	pass->more = false;
	pass->leaf = 0;
	pass->block = 0;
	pass->complete = false;
	pass->next = 0;
	load_leaves(pass);
}

/* Continues above this seq, from what is collected already if that reaches back so far. */
void
OutboxReplayPassSeek(OutboxReplayPass *pass, int64 after)
{
	if (!pass->complete || after < pass->after)
	{
		OutboxReplayPassStart(pass, after);
		return;
	}
	pass->next = 0;
	while (pass->next < pass->n && pass->entries[pass->next].seq <= after)
		pass->next++;
}

/*
 * The list as of now, with what is known of leaves that still have the same
 * storage: those that must be looked through, then the others as their events
 * follow, so that a pass is full before it comes to leaves of later ones.
 */
static void
load_leaves(OutboxReplayPass *pass)
{
	OutboxReplayLeaf *known = pass->leaves;
	int nknown = pass->nleaves;
	List *relids;
	ListCell *cell;

	OutboxSessionBegin();
	relids = find_inheritance_children(OutboxEventOid(), NoLock);
	pass->leaves = MemoryContextAllocZero(pass->context, sizeof(OutboxReplayLeaf) * Max(list_length(relids), 1));
	pass->nleaves = 0;
	foreach (cell, relids)
	{
		OutboxReplayLeaf *leaf = &pass->leaves[pass->nleaves++];

		leaf->relid = lfirst_oid(cell);
		for (int i = 0; i < nknown; i++)
		{
			if (known[i].relid == leaf->relid)
				*leaf = known[i];
		}
	}
	if (known != NULL)
		pfree(known);
	OutboxSessionCommit();
	qsort(pass->leaves, pass->nleaves, sizeof(OutboxReplayLeaf), compare_leaves);
}

static int
compare_leaves(const void *a, const void *b)
{
	const OutboxReplayLeaf *x = a;
	const OutboxReplayLeaf *y = b;

	if (x->scanned != y->scanned)
		return x->scanned ? 1 : -1;
	return x->lowest < y->lowest ? -1 : x->lowest > y->lowest;
}

/* ---- collecting --------------------------------------------------------------- */

/* Looks through a small number of blocks, in a transaction of its own. */
void
OutboxReplayPassStep(OutboxReplayPass *pass)
{
	while (pass->leaf < pass->nleaves && pass->block == 0 && !concerns(pass, &pass->leaves[pass->leaf]))
		pass->leaf++;
	if (pass->leaf < pass->nleaves)
	{
		step_leaf(pass, &pass->leaves[pass->leaf]);
		return;
	}
	keep_smallest(pass);
	pass->complete = true;
}

/* Has this leaf something to add, as far as is known? */
static bool
concerns(OutboxReplayPass *pass, const OutboxReplayLeaf *leaf)
{
	if (!leaf->scanned)
		return true;
	if (leaf->highest <= pass->after)
		return false;
	if (pass->n >= pass->limit && pass->threshold == PG_INT64_MAX)
		keep_smallest(pass);
	if (leaf->lowest <= pass->threshold)
		return true;
	pass->more = true;
	return false;
}

static void
step_leaf(OutboxReplayPass *pass, OutboxReplayLeaf *leaf)
{
	bool void_entries = false;
	bool ended = true;
	Relation rel;

	OutboxSessionBegin();
	rel = try_table_open(leaf->relid, AccessShareLock);
	if (rel != NULL)
	{
		Oid storage = OutboxRelFileNumber(rel);

		if (storage != leaf->storage)
		{
			void_entries = pass->block > 0;
			*leaf = (OutboxReplayLeaf){.relid = leaf->relid, .storage = storage, .lowest = PG_INT64_MAX};
		}
		if (!void_entries)
			ended = scan_blocks(pass, leaf, rel);
		table_close(rel, NoLock);
	}
	OutboxSessionCommit();

	if (void_entries)
		OutboxReplayPassStart(pass, pass->after);
	else if (ended)
	{
		leaf->scanned = true;
		pass->leaf++;
		pass->block = 0;
	}
	else
		pass->block += STEP_BLOCKS;
}

/* True: the leaf has no more blocks. What is written now does not belong to the replay. */
static bool
scan_blocks(OutboxReplayPass *pass, OutboxReplayLeaf *leaf, Relation rel)
{
	TableScanDesc scan;
	TupleTableSlot *slot;
	BlockNumber nblocks;

	PushActiveSnapshot(GetTransactionSnapshot());
	scan = table_beginscan_strat(rel, GetActiveSnapshot(), 0, NULL, true, false);
	nblocks = ((HeapScanDesc) scan)->rs_nblocks;
	if (pass->block < nblocks)
	{
		slot = table_slot_create(rel, NULL);
		heap_setscanlimits(scan, pass->block, Min(STEP_BLOCKS, nblocks - pass->block));
		while (heap_getnextslot(scan, ForwardScanDirection, slot))
		{
			int64 seq;

			CHECK_FOR_INTERRUPTS();
			if (!matches(pass->request, slot))
				continue;
			seq = DatumGetInt64(slot->tts_values[Anum_event_seq - 1]);
			leaf->lowest = Min(leaf->lowest, seq);
			leaf->highest = Max(leaf->highest, seq);
			add_entry(pass, seq, &slot->tts_tid);
		}
		ExecDropSingleTupleTableSlot(slot);
	}
	table_endscan(scan);
	PopActiveSnapshot();
	return nblocks <= pass->block || nblocks - pass->block <= STEP_BLOCKS;
}

static bool
matches(const OutboxReplayRequest *request, TupleTableSlot *slot)
{
	bool by_text = request->event_type != NULL || request->aggregate_type != NULL || request->message_key != NULL;
	uint64 xid;
	int64 seq;
	TimestampTz occurred_at;

	slot_getsomeattrs(slot, by_text ? Anum_event_type : Anum_event_occurred_at);
	seq = DatumGetInt64(slot->tts_values[Anum_event_seq - 1]);
	if (seq < request->from_seq || seq > request->to_seq)
		return false;
	occurred_at = DatumGetTimestampTz(slot->tts_values[Anum_event_occurred_at - 1]);
	if (occurred_at < request->from_time || occurred_at >= request->to_time)
		return false;
	xid = DatumGetUInt64(slot->tts_values[Anum_event_xid - 1]);
	if (!OutboxSnapshotSees(request->last, xid) &&
		!(seq <= request->cur_cursor && OutboxSnapshotSees(request->cur, xid)))
		return false;
	if (by_text &&
		!(same_text(slot->tts_values[Anum_event_type - 1], request->event_type) &&
		  same_text(slot->tts_values[Anum_event_aggregatetype - 1], request->aggregate_type) &&
		  same_text(slot->tts_values[Anum_event_aggregateid - 1], request->message_key)))
		return false;
	return !OutboxReplayExcludes(request, seq);
}

/* NULL: any. A value that had to be detoasted is freed with the transaction. */
static bool
same_text(Datum value, const char *wanted)
{
	text *datum;

	if (wanted == NULL)
		return true;
	datum = DatumGetTextPP(value);
	return VARSIZE_ANY_EXHDR(datum) == strlen(wanted) &&
		memcmp(VARDATA_ANY(datum), wanted, strlen(wanted)) == 0;
}

static void
add_entry(OutboxReplayPass *pass, int64 seq, const ItemPointerData *tid)
{
	if (seq <= pass->after)
		return;
	if (seq > pass->threshold)
	{
		pass->more = true;
		return;
	}
	pass->entries[pass->n++] = (OutboxEntry){.seq = seq, .tid = *tid, .leaf = (uint16) pass->leaf};
	if (pass->n == pass->limit * 2)
		keep_smallest(pass);
}

static void
keep_smallest(OutboxReplayPass *pass)
{
	sort_entries(pass->entries, pass->n);
	if (pass->n < pass->limit)
		return;
	pass->more |= pass->n > pass->limit;
	pass->n = pass->limit;
	pass->threshold = pass->entries[pass->n - 1].seq;
}

/* ---- reading ------------------------------------------------------------------ */

/*
 * Fills an empty chunk with up to max events of a complete pass, in a
 * transaction of its own. False: a leaf has changed its storage; start again
 * behind what the chunk has.
 */
bool
OutboxReplayPassRead(OutboxReplayPass *pass, OutboxSchemaCache *schemas, OutboxChunk *chunk, int max)
{
	Relation rel = NULL;
	int open = -1;
	bool same = true;

	OutboxChunkReset(chunk);
	OutboxSessionBegin();
	PushActiveSnapshot(GetTransactionSnapshot());
	for (int i = 0; i < max && pass->next < pass->n && OutboxChunkHasRoom(chunk) && chunk->held < CHUNK_BYTES; i++)
	{
		const OutboxEntry *entry = &pass->entries[pass->next];

		if (entry->leaf != open)
		{
			if (rel != NULL)
				table_close(rel, NoLock);
			rel = open_leaf(&pass->leaves[entry->leaf]);
			open = entry->leaf;
		}
		if (rel == NULL || !add_to_chunk(rel, entry, schemas, chunk))
		{
			same = false;
			break;
		}
		pass->next++;
	}
	if (rel != NULL)
		table_close(rel, NoLock);
	PopActiveSnapshot();
	OutboxSessionCommit();
	return same;
}

/* NULL: it is gone, or its rows are elsewhere. Storage that is the same was not changed after the snapshot either. */
static Relation
open_leaf(const OutboxReplayLeaf *leaf)
{
	Relation rel = try_table_open(leaf->relid, AccessShareLock);

	if (rel == NULL || OutboxRelFileNumber(rel) == leaf->storage)
		return rel;
	table_close(rel, NoLock);
	return NULL;
}

/* False: the row is not there any more. */
static bool
add_to_chunk(Relation rel, const OutboxEntry *entry, OutboxSchemaCache *schemas, OutboxChunk *chunk)
{
	HeapTupleData tuple = {.t_self = entry->tid};
	HeapTupleData copy;
	Buffer buffer;

	if (!heap_fetch(rel, GetActiveSnapshot(), &tuple, &buffer, false))
		return false;
	copy = tuple;
	copy.t_data = OutboxArenaAlloc(&chunk->arena, tuple.t_len);
	memcpy(copy.t_data, tuple.t_data, tuple.t_len);
	ReleaseBuffer(buffer);
	OutboxChunkAdd(chunk, schemas, OutboxProgressTimeline(), entry, &copy, RelationGetDescr(rel));
	return true;
}
