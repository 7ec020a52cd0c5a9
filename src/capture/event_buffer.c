/*-------------------------------------------------------------------------
 *
 * event_buffer.c
 *	  Events that were appended but are not in the leaf yet.
 *
 * Rows are formed at once and written in batches: one WAL record per page
 * instead of one per row.  A row must carry the xid of the subtransaction that
 * appended it, or of an ancestor that it was released into.  While level k
 * runs nothing can be appended to another level, so the buffer is a stack:
 * the rows of the deepest level are its tail, a rollback cuts the tail off, a
 * release moves it one level up, and a flush writes the tail.
 *
 * Memory is bounded: a level flushes its own rows when all levels together
 * exceed FLUSH_*, but may always hold LEVEL_*, so that deep nesting does not
 * degrade into single-row writes.  Rows that a released subtransaction leaves
 * to its parent can only be written when the parent appends again, or at the
 * end; beyond TOTAL_* a subtransaction therefore writes its rows itself before
 * it is released.
 *
 * The leaf is chosen and locked when rows are written, never earlier
 * (delivery.md: the writer's protocol); the lock stays until the transaction
 * ends, whatever happens to the subtransaction.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/heaptoast.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tupmacs.h"
#include "access/xact.h"
#include "executor/tuptable.h"
#include "storage/lmgr.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

#include "capture/event_buffer.h"
#include "catalog/catalog.h"
#include "compat.h"

#define FLUSH_ROWS 512
#define FLUSH_BYTES (256 * 1024)
#define LEVEL_ROWS 64
#define LEVEL_BYTES (32 * 1024)
#define TOTAL_ROWS 2048
#define TOTAL_BYTES (1024 * 1024)
#define ARENA_KEEP (512 * 1024) /* a larger arena is freed when it is empty */
#define MAX_HINTS 256

typedef struct BufferedRow
{
	Size offset; /* of the tuple in the arena */
	uint32 len;
	int nest_level;
	Oid installation; /* a row whose installation is gone when it is flushed goes with it */
	bool toast;       /* may need out-of-line storage */
} BufferedRow;

/* The least that heap_multi_insert needs of a slot: a tuple that is ours and stays where it is. */
typedef struct RowSlot
{
	TupleTableSlot base;
	HeapTupleData tuple;
} RowSlot;

static struct
{
	MemoryContext context;       /* arena, rows, slots, row type: lives as long as the backend */
	MemoryContext flush_context; /* what one flush allocates */
	Oid installation;
	TupleDesc desc;
	int leaf_offset; /* of column leaf in a tuple's data */

	char *arena;
	Size arena_size;
	Size arena_used;
	BufferedRow *rows;
	int nrows;
	int capacity;
	RowSlot *slots;
	TupleTableSlot **slot_pointers;
	int nslots;

	OutboxHint hints[MAX_HINTS];
	int nhints;
	int locked_leaf; /* leaf that this transaction locked last, 0 = none */
	Oid locked_relid;
} buffer;

static void row_slot_noop(TupleTableSlot *slot);
static HeapTuple row_slot_tuple(TupleTableSlot *slot);

static const TupleTableSlotOps row_slot_ops = {
	.base_slot_size = sizeof(RowSlot),
	.materialize = row_slot_noop,
	.get_heap_tuple = row_slot_tuple,
};

static Relation open_current_leaf(int16 *leaf);
static void insert_rows(Relation rel, int16 leaf, const BufferedRow *rows, int n);

static void
row_slot_noop(TupleTableSlot *slot)
{
}

static HeapTuple
row_slot_tuple(TupleTableSlot *slot)
{
	return &((RowSlot *) slot)->tuple;
}

/* ---- set-up ----------------------------------------------------------------- */

/* Offset of a column that only fixed-length columns precede, none of them null. */
static int
fixed_offset(TupleDesc desc, int attnum)
{
	int offset = 0;

	for (int i = 0; i < attnum; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (att->attlen <= 0 || att->attisdropped)
			elog(ERROR, "column %d of outbox.event has an unexpected type", i + 1);
		offset = att_align_nominal(offset, att->attalign);
		if (i + 1 < attnum)
			offset += att->attlen;
	}
	return offset;
}

static void
forget_slots(void)
{
	if (buffer.slots != NULL)
	{
		pfree(buffer.slots);
		pfree(buffer.slot_pointers);
	}
	buffer.slots = NULL;
	buffer.slot_pointers = NULL;
	buffer.nslots = 0;
}

void
OutboxEventBufferBind(Oid installation)
{
	Relation rel;
	TupleDesc desc;
	MemoryContext old;

	if (buffer.installation == installation)
		return;
	if (buffer.context == NULL)
	{
		buffer.context = AllocSetContextCreate(TopMemoryContext, "outbox event buffer",
											   ALLOCSET_DEFAULT_SIZES);
		buffer.flush_context = AllocSetContextCreate(buffer.context, "outbox event flush",
													 ALLOCSET_DEFAULT_SIZES);
	}
	buffer.installation = InvalidOid;
	buffer.locked_leaf = 0;

	rel = table_open(OutboxRelationOid("event"), AccessShareLock);
	if (RelationGetDescr(rel)->natts < Natts_event)
		elog(ERROR, "outbox.event has only %d columns", RelationGetDescr(rel)->natts);
	old = MemoryContextSwitchTo(buffer.context);
	desc = CreateTupleDescCopy(RelationGetDescr(rel));
	MemoryContextSwitchTo(old);
	table_close(rel, NoLock);

	forget_slots();
	if (buffer.desc != NULL)
		FreeTupleDesc(buffer.desc);
	buffer.desc = desc;
	buffer.leaf_offset = fixed_offset(desc, Anum_event_leaf);
	buffer.installation = installation;
}

/* ---- adding ----------------------------------------------------------------- */

static void
reserve(Size len)
{
	if (buffer.nrows == buffer.capacity)
	{
		int capacity = Max(buffer.capacity * 2, LEVEL_ROWS);

		if (buffer.rows == NULL)
			buffer.rows = MemoryContextAlloc(buffer.context, capacity * sizeof(BufferedRow));
		else
			buffer.rows = repalloc(buffer.rows, mul_size(capacity, sizeof(BufferedRow)));
		buffer.capacity = capacity;
	}
	if (buffer.arena_used + len > buffer.arena_size)
	{
		Size size = Max(Max(buffer.arena_size * 2, buffer.arena_used + len), LEVEL_BYTES);

		if (buffer.arena == NULL)
			buffer.arena = MemoryContextAllocHuge(buffer.context, size);
		else
			buffer.arena = repalloc_huge(buffer.arena, size);
		buffer.arena_size = size;
	}
}

/* First row of the level: the tail of the stack. */
static int
level_start(int nest_level)
{
	int first = buffer.nrows;

	while (first > 0 && buffer.rows[first - 1].nest_level >= nest_level)
		first--;
	return first;
}

bool
OutboxEventBufferAdd(int nest_level, Datum *values, bool *isnull)
{
	bool hasnull = false;
	Size data_len;
	Size len;
	int hoff;
	HeapTupleHeader header;
	BufferedRow *row;

	for (int i = 0; i < buffer.desc->natts; i++)
		hasnull |= isnull[i];
	hoff = MAXALIGN(SizeofHeapTupleHeader + (hasnull ? BITMAPLEN(buffer.desc->natts) : 0));
	data_len = heap_compute_data_size(buffer.desc, values, isnull);
	len = hoff + data_len;
	reserve(MAXALIGN(len));

	header = (HeapTupleHeader) (buffer.arena + buffer.arena_used);
	/* padding must be zero: it tells a short varlena header from an aligned one */
	memset(header, 0, len);
	HeapTupleHeaderSetNatts(header, buffer.desc->natts);
	header->t_hoff = hoff;
	heap_fill_tuple(buffer.desc, values, isnull, (char *) header + hoff, data_len,
					&header->t_infomask, hasnull ? header->t_bits : NULL);

	row = &buffer.rows[buffer.nrows];
	row->offset = buffer.arena_used;
	row->len = (uint32) len;
	row->nest_level = nest_level;
	row->installation = buffer.installation;
	row->toast = len > TOAST_TUPLE_THRESHOLD;
	buffer.arena_used += MAXALIGN(len);
	buffer.nrows++;

	if (likely(buffer.nrows < FLUSH_ROWS && buffer.arena_used < FLUSH_BYTES))
		return false;
	else
	{
		int first = level_start(nest_level);

		return first == 0 || buffer.nrows - first >= LEVEL_ROWS ||
			buffer.arena_used - buffer.rows[first].offset >= LEVEL_BYTES;
	}
}

/* ---- levels ----------------------------------------------------------------- */

bool
OutboxEventBufferCrowded(void)
{
	return buffer.nrows >= TOTAL_ROWS || buffer.arena_used >= TOTAL_BYTES;
}

void
OutboxEventBufferPromote(int nest_level)
{
	for (int i = level_start(nest_level); i < buffer.nrows; i++)
		buffer.rows[i].nest_level = nest_level - 1;
}

static void
cut(int first)
{
	if (first < buffer.nrows)
	{
		buffer.arena_used = buffer.rows[first].offset;
		buffer.nrows = first;
	}
}

void
OutboxEventBufferDrop(int nest_level)
{
	cut(level_start(nest_level));
}

static void
shrink(void)
{
	if (buffer.arena_used == 0 && buffer.arena_size > ARENA_KEEP)
	{
		pfree(buffer.arena);
		buffer.arena = NULL;
		buffer.arena_size = 0;
	}
}

void
OutboxEventBufferReset(void)
{
	buffer.nrows = 0;
	buffer.arena_used = 0;
	buffer.nhints = 0;
	buffer.locked_leaf = 0;
	shrink();
}

/* ---- hints ------------------------------------------------------------------ */

int
OutboxEventBufferHints(OutboxHint **hints)
{
	*hints = buffer.hints;
	return buffer.nhints;
}

void
OutboxEventBufferForgetHints(void)
{
	buffer.nhints = 0;
}

/* Too many runs: one covering range per leaf. A hint only says where to look. */
static void
collapse_hints(void)
{
	int n = 0;

	for (int i = 0; i < buffer.nhints; i++)
	{
		OutboxHint hint = buffer.hints[i];
		int j;

		for (j = 0; j < n && buffer.hints[j].relfilenumber != hint.relfilenumber; j++)
			;
		if (j == n)
			buffer.hints[n++] = hint;
		else
		{
			buffer.hints[j].first = Min(buffer.hints[j].first, hint.first);
			buffer.hints[j].last = Max(buffer.hints[j].last, hint.last);
		}
	}
	buffer.nhints = n;
}

static void
add_hint(Oid relfilenumber, BlockNumber block)
{
	if (buffer.nhints > 0)
	{
		OutboxHint *hint = &buffer.hints[buffer.nhints - 1];

		if (hint->relfilenumber == relfilenumber && block >= hint->first && block <= hint->last + 1)
		{
			hint->last = Max(hint->last, block);
			return;
		}
	}
	if (buffer.nhints == MAX_HINTS)
		collapse_hints();
	buffer.hints[buffer.nhints++] = (OutboxHint){
		.relfilenumber = relfilenumber, .first = block, .last = block};
}

/* ---- flushing --------------------------------------------------------------- */

/*
 * Drops the rows from first on whose installation this transaction has
 * dropped meanwhile; false when none is left.
 */
static bool
keep_ours(int first, bool *toast)
{
	Size start = buffer.rows[first].offset;
	int kept = first;

	*toast = false;
	for (int i = first; i < buffer.nrows; i++)
	{
		if (buffer.rows[i].installation != buffer.installation)
			continue;
		*toast |= buffer.rows[i].toast;
		buffer.rows[kept++] = buffer.rows[i];
	}
	buffer.nrows = kept;
	if (kept == first)
		buffer.arena_used = start;
	return kept > first;
}

void
OutboxEventBufferFlush(int nest_level)
{
	int first = level_start(nest_level);
	Size start;
	MemoryContext old;
	Relation rel;
	int16 leaf;
	bool toast;

	if (first == buffer.nrows || !keep_ours(first, &toast))
		return;
	start = first > 0 ? buffer.rows[first - 1].offset + MAXALIGN(buffer.rows[first - 1].len) : 0;
	MemoryContextReset(buffer.flush_context);
	old = MemoryContextSwitchTo(buffer.flush_context);
	rel = open_current_leaf(&leaf);
	/* before commit no snapshot is active, but out-of-line storage wants one */
	toast = toast && !ActiveSnapshotSet();
	if (toast)
		PushActiveSnapshot(GetTransactionSnapshot());
	for (int i = first; i < buffer.nrows; i += FLUSH_ROWS)
		insert_rows(rel, leaf, buffer.rows + i, Min(buffer.nrows - i, FLUSH_ROWS));
	if (toast)
		PopActiveSnapshot();
	table_close(rel, NoLock);
	MemoryContextSwitchTo(old);
	buffer.nrows = first;
	buffer.arena_used = start;
	shrink();
}

/*
 * The current leaf, locked until the end of the transaction.  The lock comes
 * before the second look: a leaf that is still current then cannot be frozen
 * before this transaction ends.
 */
static Relation
open_current_leaf(int16 *leaf)
{
	int current = OutboxCurrentLeaf();

	while (current != buffer.locked_leaf)
	{
		ResourceOwner owner = CurrentResourceOwner;
		Oid relid = OutboxRelationOid(psprintf("event_%d", current));

		CurrentResourceOwner = TopTransactionResourceOwner;
		LockRelationOid(relid, RowExclusiveLock);
		CurrentResourceOwner = owner;
		buffer.locked_leaf = current;
		buffer.locked_relid = relid;
		pg_memory_barrier();
		current = OutboxCurrentLeaf();
	}
	*leaf = (int16) current;
	return table_open(buffer.locked_relid, NoLock);
}

static void
grow_slots(int n)
{
	int size = Min(Max(n, Max(buffer.nslots * 2, 8)), FLUSH_ROWS);

	if (n <= buffer.nslots)
		return;
	forget_slots();
	buffer.slots = MemoryContextAllocZero(buffer.context, size * sizeof(RowSlot));
	buffer.slot_pointers = MemoryContextAlloc(buffer.context, size * sizeof(TupleTableSlot *));
	for (int i = 0; i < size; i++)
	{
		TupleTableSlot *slot = &buffer.slots[i].base;

		slot->type = T_TupleTableSlot;
		*((const TupleTableSlotOps **) &slot->tts_ops) = &row_slot_ops;
		slot->tts_tupleDescriptor = buffer.desc;
		slot->tts_mcxt = buffer.context;
		buffer.slot_pointers[i] = slot;
	}
	buffer.nslots = size;
}

/* At most FLUSH_ROWS of them. */
static void
insert_rows(Relation rel, int16 leaf, const BufferedRow *rows, int n)
{
	CommandId cid = GetCurrentCommandId(true);
	Oid relfilenumber = OutboxRelFileNumber(rel);

	grow_slots(n);
	for (int i = 0; i < n; i++)
	{
		HeapTuple tuple = &buffer.slots[i].tuple;

		tuple->t_len = rows[i].len;
		tuple->t_data = (HeapTupleHeader) (buffer.arena + rows[i].offset);
		tuple->t_tableOid = RelationGetRelid(rel);
		ItemPointerSetInvalid(&tuple->t_self);
		memcpy((char *) tuple->t_data + tuple->t_data->t_hoff + buffer.leaf_offset,
			   &leaf, sizeof(leaf));
	}
	if (n == 1)
	{
		heap_insert(rel, &buffer.slots[0].tuple, cid, 0, NULL);
		add_hint(relfilenumber, ItemPointerGetBlockNumber(&buffer.slots[0].tuple.t_self));
		return;
	}
	heap_multi_insert(rel, buffer.slot_pointers, n, cid, 0, NULL);
	for (int i = 0; i < n; i++)
		add_hint(relfilenumber, ItemPointerGetBlockNumber(&buffer.slots[i].base.tts_tid));
}
