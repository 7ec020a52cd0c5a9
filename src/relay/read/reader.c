/*-------------------------------------------------------------------------
 *
 * reader.c
 *	  Reads new events in order: windows between snapshots, sorted by seq.
 *
 * A window holds the events of the transactions that one snapshot sees as
 * ended and the snapshot before it did not. So a transaction that runs for
 * long delays nobody, and one that commits late is not missed. Windows are
 * read one after the other, and inside a window events go by seq: that is the
 * exact order of the changes for every key whose source row was locked.
 *
 * Where to look is said by the hints of the writers; every way to lose one (a
 * start, an overflow of the ring, a rewrite of a leaf, an error between
 * draining and reading) leads to a scan of whole leaves, never to a loss.
 * The order of steps in OutboxReaderRead matters and is explained there.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/snapmgr.h"

#include "catalog/outbox_catalog.h"
#include "compat.h"
#include "guc.h"
#include "relay/read/read_private.h"
#include "relay/session/session.h"

/* A chunk ends when it holds about this much. */
#define CHUNK_BYTES ((Size) 8 * 1024 * 1024)

static void reload_leaves(OutboxReader *reader);
static int64 read_sequence(void);
static void fill_chunk(OutboxReader *reader, OutboxSchemaCache *schemas, OutboxChunk *chunk);
static void fetch_row(OutboxReader *reader, const OutboxEntry *entry, OutboxArena *arena, HeapTuple copy);
static OutboxReadResult finish_chunk(OutboxReader *reader, OutboxChunk *chunk);

void
OutboxReaderInit(OutboxReader *reader, MemoryContext context)
{
	memset(reader, 0, sizeof(*reader));
	reader->context = context;
	reader->pending.context = context;
	reader->window.ranges.context = context;
	reader->window.pass.context = context;
	reader->scan_needed = true;
}

/* Starts over from a position. What was drained from the ring counts as lost. */
void
OutboxReaderReset(OutboxReader *reader, const OutboxProgress *position)
{
	OutboxReadWindow *window = &reader->window;
	MemoryContext old = MemoryContextSwitchTo(reader->context);

	if (window->open)
		pfree(window->cur);
	if (reader->base != NULL)
		pfree(reader->base);
	if (reader->resume_cur != NULL)
		pfree(reader->resume_cur);
	window->open = false;
	window->cur = NULL;
	reader->base = OutboxSnapshotCopy(position->last);
	reader->resume_cur = OutboxSnapshotCopy(position->cur);
	reader->resume_cursor = position->cursor;
	window->seq_seen = position->seq_seen;
	reader->scan_needed = true;
	reader->position = position;
	MemoryContextSwitchTo(old);

	reload_leaves(reader);
	reader->position = NULL;
}

/* After an error: the relations are no longer open. */
void
OutboxReaderAborted(OutboxReader *reader)
{
	OutboxLeavesClose(&reader->leaves, true);
}

/* Is there more to read without waiting? */
bool
OutboxReaderHasMore(const OutboxReader *reader)
{
	return reader->window.open || reader->scan_needed || reader->resume_cur != NULL ||
		OutboxHintsWaiting(&reader->ring);
}

/* Events known but not yet in a chunk. */
uint64
OutboxReaderRemaining(const OutboxReader *reader)
{
	const OutboxReadWindow *window = &reader->window;

	if (!window->open)
		return 0;
	return window->pass.n - window->next + window->pass.beyond;
}

/*
 * Fills an empty chunk with the next events of the open window, or opens a new
 * one. Runs one transaction, and makes what it returns durable. After an error
 * the reader must be reset.
 *
 * Locks, then the sequence's value, then the snapshot, then the ring:
 *  - a rewrite of a leaf that ended before our lock is visible to the snapshot;
 *  - the sequence's value is not newer than the window it describes;
 *  - a writer pushes its hint before it ends, so the ring holds the hints of
 *    all that the snapshot sees as ended.
 * Within a window leaves are opened as they are needed: a backlog has hundreds,
 * and is read in thousands of transactions.
 */
OutboxReadResult
OutboxReaderRead(OutboxReader *reader, OutboxSchemaCache *schemas, OutboxChunk *chunk)
{
	OutboxReadWindow *window = &reader->window;

	OutboxChunkReset(chunk);
	if (reader->leaves_stale || (!window->open && reader->leaf_changes != OutboxLeafChanges()))
		reload_leaves(reader);

	OutboxSessionBegin();
	if (!window->open && OutboxLeavesOpen(&reader->leaves) != OUTBOX_LEAVES_SAME)
		reader->leaves_stale = true;
	if (!reader->leaves_stale)
	{
		int64 seq_seen = window->open ? 0 : read_sequence();

		PushActiveSnapshot(GetTransactionSnapshot());
		if (!window->open)
			OutboxReaderOpenWindow(reader, seq_seen);
		else if (window->next >= window->pass.n)
			OutboxReaderPass(reader);
		if (window->open && !reader->leaves_stale)
			fill_chunk(reader, schemas, chunk);
		PopActiveSnapshot();
	}
	OutboxLeavesClose(&reader->leaves, false);
	OutboxSessionCommit();

	/* the cursor has passed what is in the chunk */
	return reader->leaves_stale && chunk->n == 0 ? OUTBOX_READ_AGAIN : finish_chunk(reader, chunk);
}

/*
 * The list of leaves is read again.  Rows of the present window may be
 * elsewhere now, and places name a leaf by its index: what is left of the
 * window is collected again, from whole leaves.  A leaf that is new to the
 * list needs no scan: the hints of its writers name it.
 */
static void
reload_leaves(OutboxReader *reader)
{
	OutboxReadWindow *window = &reader->window;

	/* a change that comes while we read may be missed by the list, but not by the count */
	reader->leaf_changes = OutboxLeafChanges();
	OutboxSessionBegin();
	if (OutboxLeavesLoad(&reader->leaves, OutboxReaderPassed(reader)))
		reader->scan_needed = true;
	OutboxSessionCommit();
	reader->leaves_stale = false;
	window->whole = true;
	window->pass.n = 0;
	window->next = 0;
}

/* The last value that was handed out by the sequence of events, 0 = none yet. */
static int64
read_sequence(void)
{
	LOCAL_FCINFO(fcinfo, 1);
	FmgrInfo flinfo;
	Datum result;

	fmgr_info(F_PG_SEQUENCE_LAST_VALUE, &flinfo);
	InitFunctionCallInfoData(*fcinfo, &flinfo, 1, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = ObjectIdGetDatum(OutboxRelationOid("event_seq"));
	fcinfo->args[0].isnull = false;
	result = FunctionCallInvoke(fcinfo);
	return fcinfo->isnull ? 0 : DatumGetInt64(result);
}

/* Ends early when the list of leaves turns out to be stale. */
static void
fill_chunk(OutboxReader *reader, OutboxSchemaCache *schemas, OutboxChunk *chunk)
{
	OutboxReadWindow *window = &reader->window;
	uint32 timeline = OutboxProgressTimeline();

	while (window->next < window->pass.n && OutboxChunkHasRoom(chunk) && chunk->held < CHUNK_BYTES)
	{
		const OutboxEntry *entry = &window->pass.entries[window->next];
		const OutboxLeaf *leaf = &reader->leaves.leaf[entry->leaf];
		int first = chunk->n;
		HeapTupleData row;

		if (OutboxLeavesOpenOne(&reader->leaves, entry->leaf) == NULL)
		{
			reader->leaves_stale = true;
			return;
		}
		fetch_row(reader, entry, &chunk->arena, &row);
		OutboxChunkAdd(chunk, schemas, timeline, entry, &row, RelationGetDescr(leaf->relation));
		/* a place outlives the list of leaves */
		for (int i = first; i < chunk->n; i++)
		{
			chunk->places[i].leaf = (uint16) leaf->number;
			chunk->places[i].leaf_use = leaf->use;
		}
		window->cursor = entry->seq;
		window->next++;
	}
}

/*
 * Copies a row out of its buffer. That it is not where it was seen cannot
 * happen while the leaf keeps its storage; if it does, the error makes the
 * relay start over with a scan.
 */
static void
fetch_row(OutboxReader *reader, const OutboxEntry *entry, OutboxArena *arena, HeapTuple copy)
{
	Relation rel = reader->leaves.leaf[entry->leaf].relation;
	HeapTupleData tuple;
	Buffer buffer;
	bool isnull;
	int64 seq;

	tuple.t_self = entry->tid;
	if (!heap_fetch(rel, GetActiveSnapshot(), &tuple, &buffer, false))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("event %lld is not at (%u,%u) of table \"%s\" any more", (long long) entry->seq,
						ItemPointerGetBlockNumber(&entry->tid), ItemPointerGetOffsetNumber(&entry->tid),
						RelationGetRelationName(rel)),
				 errhint("The relay looks for it again; if this repeats, check the table with amcheck.")));

	*copy = tuple;
	copy->t_data = OutboxArenaAlloc(arena, tuple.t_len);
	memcpy(copy->t_data, tuple.t_data, tuple.t_len);
	ReleaseBuffer(buffer);

	seq = DatumGetInt64(heap_getattr(copy, Anum_event_seq, RelationGetDescr(rel), &isnull));
	if (seq != entry->seq)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("event %lld was expected at (%u,%u) of table \"%s\", but %lld is there", (long long) entry->seq,
						ItemPointerGetBlockNumber(&entry->tid), ItemPointerGetOffsetNumber(&entry->tid),
						RelationGetRelationName(rel), (long long) seq),
				 errhint("The relay looks for it again; if this repeats, check the table with amcheck.")));
}

/* Outside of the transaction: says what the chunk means for windows, and makes its events durable. */
static OutboxReadResult
finish_chunk(OutboxReader *reader, OutboxChunk *chunk)
{
	OutboxReadWindow *window = &reader->window;
	bool announced = window->announced;

	if (!announced)
	{
		chunk->opens = window->cur;
		chunk->seq_seen = window->seq_seen;
		window->announced = true;
	}
	if (window->next >= window->pass.n && window->pass.beyond == 0)
	{
		chunk->closes = true;
		window->open = false;
		if (reader->base != NULL)
			pfree(reader->base);
		reader->base = window->cur;
		window->cur = NULL;
	}
	if (chunk->n == 0 && !announced && chunk->closes)
		return OUTBOX_READ_NOTHING;

	if (chunk->n > 0)
	{
		OutboxMakeDurable(window->pass.flush_to);
		window->pass.flush_to = InvalidXLogRecPtr;
	}
	return OUTBOX_READ_EVENTS;
}

/*
 * One line that names the event at this place: id, type, key. Runs a transaction; palloc'd.
 *
 * Asked for only when something is wrong with the event. So it is looked up again
 * instead of being carried along for every message in flight.
 */
char *
OutboxReaderDescribe(OutboxReader *reader, const OutboxPlace *place)
{
	MemoryContext caller = CurrentMemoryContext;
	char *description = NULL;
	int leaf;

	OutboxSessionBegin();
	leaf = OutboxLeavesFindNumber(&reader->leaves, place->leaf);
	if (leaf >= 0 && OutboxLeavesOpenOne(&reader->leaves, leaf) != NULL)
	{
		Relation rel = reader->leaves.leaf[leaf].relation;
		TupleDesc desc = RelationGetDescr(rel);
		HeapTupleData tuple = {.t_self = place->tid};
		Buffer buffer;
		bool isnull;

		PushActiveSnapshot(GetTransactionSnapshot());
		if (heap_fetch(rel, GetActiveSnapshot(), &tuple, &buffer, false))
		{
			MemoryContext old = MemoryContextSwitchTo(caller);

			if (DatumGetInt64(heap_getattr(&tuple, Anum_event_seq, desc, &isnull)) == place->seq)
				description = psprintf("event %s, type %s, key \"%s\"",
									   DatumGetCString(DirectFunctionCall1(uuid_out, heap_getattr(&tuple, Anum_event_id, desc, &isnull))),
									   TextDatumGetCString(heap_getattr(&tuple, Anum_event_type, desc, &isnull)),
									   TextDatumGetCString(heap_getattr(&tuple, Anum_event_aggregateid, desc, &isnull)));
			MemoryContextSwitchTo(old);
			ReleaseBuffer(buffer);
		}
		PopActiveSnapshot();
	}
	OutboxLeavesClose(&reader->leaves, false);
	OutboxSessionCommit();
	return description != NULL ? description : psprintf("event with seq %lld", (long long) place->seq);
}
