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
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/tupmacs.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "capture/write/write_private.h"
#include "catalog/outbox_catalog.h"
#include "compat.h"
#include "util/util.h"

#define FLUSH_ROWS OUTBOX_LEAF_BATCH
#define FLUSH_BYTES (256 * 1024)
#define LEVEL_ROWS 64
#define LEVEL_BYTES (32 * 1024)
#define TOTAL_ROWS 2048
#define TOTAL_BYTES (1024 * 1024)
#define ARENA_KEEP (512 * 1024) /* a larger arena is freed when it is empty */

typedef struct BufferedRow
{
	Size offset; /* of the tuple in the arena */
	uint32 len;
	int nest_level;
	Oid installation; /* a row whose installation is gone when it is flushed goes with it */
} BufferedRow;

static struct
{
	MemoryContext context;       /* arena, rows, slots, row type: lives as long as the backend */
	MemoryContext flush_context; /* what one flush allocates */
	Oid installation;
	TupleDesc desc;
	TupleDesc plain_desc; /* its columns up to payload */
	int leaf_offset;      /* of column leaf in a tuple's data */

	char *arena;
	Size arena_size;
	Size arena_used;
	BufferedRow *rows;
	int nrows;
	int capacity;
} buffer;

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

/* Adopts the row type of outbox.event; rows added from now on belong to this installation. */
void
OutboxEventBufferBind(Oid installation)
{
	Relation rel;
	TupleDesc desc;
	TupleDesc plain_desc;
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
	OutboxLeafForget();

	/* without a lock, which anybody may keep others waiting for: its columns never change while it is there */
	rel = RelationIdGetRelation(OutboxEventOid());
	if (!RelationIsValid(rel))
		elog(ERROR, "outbox.event is not there any more");
	if (RelationGetDescr(rel)->natts < Natts_event)
		elog(ERROR, "outbox.event has only %d columns", RelationGetDescr(rel)->natts);
	old = MemoryContextSwitchTo(buffer.context);
	desc = OutboxTruncatedTupleDesc(RelationGetDescr(rel), Natts_event); /* columns that a later version added stay empty */
	plain_desc = OutboxTruncatedTupleDesc(RelationGetDescr(rel), Anum_event_payload);
	MemoryContextSwitchTo(old);
	RelationClose(rel);

	if (buffer.desc != NULL)
	{
		FreeTupleDesc(buffer.desc);
		FreeTupleDesc(buffer.plain_desc);
	}
	buffer.desc = desc;
	buffer.plain_desc = plain_desc;
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

/*
 * Columns after the last that has a value are left out of the tuple, as if
 * they had been added to the table later: most events have neither trace
 * context nor headers, and are spared the null bitmap.
 */
static TupleDesc
stored_columns(const bool *isnull)
{
	for (int i = Anum_event_payload; i < Natts_event; i++)
	{
		if (!isnull[i])
			return buffer.desc;
	}
	return buffer.plain_desc;
}

/*
 * Adds a row (columns of outbox.event but leaf, which the flush fills in) to
 * this nest level.  True when the level's rows should be flushed now.
 */
bool
OutboxEventBufferAdd(int nest_level, Datum *values, bool *isnull)
{
	TupleDesc desc = stored_columns(isnull);
	bool hasnull = false;
	Size data_len;
	Size len;
	int hoff;
	HeapTupleHeader header;
	BufferedRow *row;

	for (int i = 0; i < desc->natts; i++)
		hasnull |= isnull[i];
	hoff = MAXALIGN(SizeofHeapTupleHeader + (hasnull ? BITMAPLEN(desc->natts) : 0));
	data_len = heap_compute_data_size(desc, values, isnull);
	len = hoff + data_len;
	reserve(MAXALIGN(len));

	header = (HeapTupleHeader) (buffer.arena + buffer.arena_used);
	/* padding must be zero: it tells a short varlena header from an aligned one */
	memset(header, 0, len);
	HeapTupleHeaderSetNatts(header, desc->natts);
	header->t_hoff = hoff;
	heap_fill_tuple(desc, values, isnull, (char *) header + hoff, data_len,
					&header->t_infomask, hasnull ? header->t_bits : NULL);

	row = &buffer.rows[buffer.nrows];
	row->offset = buffer.arena_used;
	row->len = (uint32) len;
	row->nest_level = nest_level;
	row->installation = buffer.installation;
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

/* True when a subtransaction should write its rows before it is released. */
bool
OutboxEventBufferCrowded(void)
{
	return buffer.nrows >= TOTAL_ROWS || buffer.arena_used >= TOTAL_BYTES;
}

/* The rows of this level and deeper ones belong to the parent now. Never raises. */
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

/* The rows of this level and deeper ones are gone. Never raises. */
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

/* End of transaction: empties the buffer. Never raises. */
void
OutboxEventBufferReset(void)
{
	buffer.nrows = 0;
	buffer.arena_used = 0;
	OutboxLeafForget();
	shrink();
}

/* ---- flushing --------------------------------------------------------------- */

/*
 * Drops the rows from first on whose installation this transaction has
 * dropped meanwhile; false when none is left.
 */
static bool
keep_ours(int first)
{
	Size start = buffer.rows[first].offset;
	int kept = first;

	for (int i = first; i < buffer.nrows; i++)
	{
		if (buffer.rows[i].installation != buffer.installation)
			continue;
		buffer.rows[kept++] = buffer.rows[i];
	}
	buffer.nrows = kept;
	if (kept == first)
		buffer.arena_used = start;
	return kept > first;
}

/* Writes at most OUTBOX_LEAF_BATCH rows, their leaf column filled in. */
static void
insert_rows(Relation rel, int16 leaf, int first, int n)
{
	OutboxLeafRow rows[OUTBOX_LEAF_BATCH];

	for (int i = 0; i < n; i++)
	{
		const BufferedRow *row = &buffer.rows[first + i];

		rows[i].header = (HeapTupleHeader) (buffer.arena + row->offset);
		rows[i].len = row->len;
		memcpy((char *) rows[i].header + rows[i].header->t_hoff + buffer.leaf_offset,
			   &leaf, sizeof(leaf));
	}
	OutboxLeafWrite(rel, rows, n);
}

/* Writes this level's rows into the current leaf, with the current subtransaction's xid. */
void
OutboxEventBufferFlush(int nest_level)
{
	int first = level_start(nest_level);
	Size start;
	MemoryContext old;
	Relation rel;
	int16 leaf;
	bool pushed;

	if (first == buffer.nrows || !keep_ours(first))
		return;
	start = first > 0 ? buffer.rows[first - 1].offset + MAXALIGN(buffer.rows[first - 1].len) : 0;
	MemoryContextReset(buffer.flush_context);
	old = MemoryContextSwitchTo(buffer.flush_context);
	rel = OutboxLeafOpen(&leaf);
	pushed = OutboxEnsureSnapshot();
	for (int i = first; i < buffer.nrows; i += OUTBOX_LEAF_BATCH)
		insert_rows(rel, leaf, i, Min(buffer.nrows - i, OUTBOX_LEAF_BATCH));
	if (pushed)
		PopActiveSnapshot();
	table_close(rel, NoLock);
	MemoryContextSwitchTo(old);
	buffer.nrows = first;
	buffer.arena_used = start;
	shrink();
}
