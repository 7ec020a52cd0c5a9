/*-------------------------------------------------------------------------
 *
 * read.h
 *	  New events in order, as messages.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_RELAY_READ_READ_H
#define OUTBOX_RELAY_READ_READ_H

#include "access/htup.h"
#include "access/tupdesc.h"
#include "access/xlogdefs.h"
#include "storage/block.h"
#include "storage/itemptr.h"
#include "utils/hsearch.h"
#include "utils/rel.h"

#include "relay/session/session.h"
#include "shared/outbox_shared.h"
#include "sink/outbox_sink.h"
#include "util/util.h"

/* ----
 * arena.c: Memory for one chunk of messages: handed out in sequence, taken back whole, kept for the next chunk.
 * ---- */

typedef struct OutboxArenaBlock
{
	struct OutboxArenaBlock *next;
	Size size;
	Size used;
	char data[FLEXIBLE_ARRAY_MEMBER];
} OutboxArenaBlock;

typedef struct OutboxArena
{
	MemoryContext context; /* where blocks come from */
	OutboxArenaBlock *first;
	OutboxArenaBlock *current;
} OutboxArena;

extern void *OutboxArenaAllocSlow(OutboxArena *arena, Size size);

/* Aligned for any type; lives until the arena is reset. */
static inline void *
OutboxArenaAlloc(OutboxArena *arena, Size size)
{
	OutboxArenaBlock *block = arena->current;
	Size aligned = MAXALIGN(size);

	if (likely(block != NULL && block->size - block->used >= aligned))
	{
		void *result = block->data + block->used;

		block->used += aligned;
		return result;
	}
	return OutboxArenaAllocSlow(arena, aligned);
}

/* ---- leaves.c: The partitions of outbox.event as the reader opens them. ---- */

/* outbox_internal.leaf.leaf_generation as places and tallies remember it. */
#define OUTBOX_LEAF_USE(leaf_generation) ((uint16) ((leaf_generation) &0xFFFF))

typedef struct OutboxLeaf
{
	int16 number; /* outbox_internal.leaf.leaf */
	uint16 use;
	Oid relid;
	Oid relfilenumber; /* storage when the list was read */
	Relation relation; /* open within a transaction, else NULL */
} OutboxLeaf;

typedef struct OutboxLeaves
{
	OutboxLeaf leaf[OUTBOX_MAX_LEAVES];
	int n;

	/* of every leaf, listed or not, by number; 0 = there is none */
	uint16 use[OUTBOX_MAX_LEAVES + 1];
	bool settled[OUTBOX_MAX_LEAVES + 1]; /* nobody asks any more how many of its events were acknowledged */
} OutboxLeaves;

typedef enum OutboxLeavesResult
{
	OUTBOX_LEAVES_SAME,
	OUTBOX_LEAVES_MOVED, /* a leaf has other storage than when the list was read: read it again */
	OUTBOX_LEAVES_GONE   /* a leaf does not exist any more: read the list again */
} OutboxLeavesResult;

/* Will nobody ask again how much of this use of the leaf was acknowledged? As of the last reading. */
static inline bool
OutboxLeavesSettled(const OutboxLeaves *leaves, int number, uint16 use)
{
	return number < 1 || number > OUTBOX_MAX_LEAVES || leaves->use[number] != use || leaves->settled[number];
}

/* ---- ranges.c: The blocks in which the events of a window are, and what is known of each of them. ---- */

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

/* An event of the window was found there. */
static inline void
OutboxRangeCount(OutboxRange *range, int64 seq)
{
	range->events++;
	range->lowest = Min(range->lowest, seq);
	range->highest = Max(range->highest, seq);
}

/* ---- pending.c: Hints whose transactions have not ended yet. ---- */

typedef struct OutboxPending
{
	MemoryContext context; /* of the array */
	OutboxHint *hints;
	int n;
	int capacity;
} OutboxPending;

/* ---- collect.c: One pass over a window: the events with the smallest sequence values. ---- */

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

/* ---- schema_cache.c: Pinned schemas as messages need them. ---- */

typedef struct OutboxCachedSchema
{
	int32 id;            /* hash key */
	OutboxSchema schema; /* what sinks see */
	const char *topic;
	uint64 topic_hash;
	const char *ce_type;
} OutboxCachedSchema;

typedef struct OutboxNewRegistration
{
	int32 schema_id;
	OutboxRegistration registration;
} OutboxNewRegistration;

/*
 * Pinned schemas never change, so an entry is loaded once per attempt. What
 * the registry assigned is per sink and does change.
 */
typedef struct OutboxSchemaCache
{
	int32 sink_id;
	int64 forgotten;       /* outbox.sink.forgotten when the attempt began: what was reported before is not stored after */
	MemoryContext context; /* lives as long as an attempt */
	HTAB *entries;
	OutboxCachedSchema *last;       /* events of one type come in runs */
	OutboxNewRegistration *unsaved; /* reported by the sink, not stored yet */
	int nunsaved;
	int capacity;
} OutboxSchemaCache;

extern void OutboxSchemaCacheInit(OutboxSchemaCache *cache, int32 sink_id, int64 forgotten, MemoryContext context);
extern const OutboxCachedSchema *OutboxSchemaGetSlow(OutboxSchemaCache *cache, int32 id);
extern void OutboxSchemaRegistered(OutboxSchemaCache *cache, int32 schema_id, const OutboxRegistration *registration);
extern void OutboxSchemaSaveRegistrations(OutboxSchemaCache *cache);

static inline const OutboxCachedSchema *
OutboxSchemaGet(OutboxSchemaCache *cache, int32 id)
{
	if (likely(cache->last != NULL && cache->last->id == id))
		return cache->last;
	return OutboxSchemaGetSlow(cache, id);
}

/* ---- message.c: Event rows as messages, a chunk at a time. ---- */

/* What the relay remembers of a message until it is acknowledged. */
typedef struct OutboxPlace
{
	int64 seq;
	TimestampTz occurred_at;
	ItemPointerData tid;
	uint16 leaf; /* outbox_internal.leaf.leaf */
	uint16 leaf_use;
	uint32 bytes; /* of key and payload */
	uint32 held;  /* what the sink probably keeps of it */
	bool acked;
	bool completes;   /* the last message of its event */
	bool waits;       /* in outbox_internal.held_event, or about to be (hold.h) */
	uint16 type;      /* its place in the counters by type; set when it is handed over */
	uint64 aggregate; /* hash of aggregatetype and aggregateid */
	const OutboxCachedSchema *schema;
} OutboxPlace;

/*
 * Messages read in one transaction and not all handed over yet. Self-contained:
 * no buffer, relation or transaction is needed any more.
 */
typedef struct OutboxChunk
{
	OutboxArena arena;     /* of rows and attributes */
	MemoryContext scratch; /* of what had to be detoasted */
	OutboxMessage *messages;
	OutboxPlace *places; /* beside each message */
	int n;
	int capacity;
	int next;  /* first that is not handed over */
	Size held; /* by its messages */

	/* what the chunk means for windows */
	OutboxSnapshot *opens; /* the end of the window that begins with this chunk, else NULL */
	int64 seq_seen;        /* of that window */
	bool closes;           /* the window ends with this chunk */

	/* of a replay; kept over resets */
	const char *topic; /* instead of the events' own, else NULL */
	bool replayed;
} OutboxChunk;

extern void OutboxChunkInit(OutboxChunk *chunk, MemoryContext context, int capacity);
extern void OutboxChunkReset(OutboxChunk *chunk);
extern OutboxSlice OutboxRowSlice(const OutboxRows *rows, uint64 row, int column);
extern uint64 OutboxAggregateHash(OutboxSlice aggregate_type, OutboxSlice aggregate_id);
extern void OutboxChunkAdd(OutboxChunk *chunk, OutboxSchemaCache *schemas, uint32 timeline,
						   const OutboxEntry *entry, HeapTuple tuple, TupleDesc desc);

/* Room for one more event, which may be two messages? */
static inline bool
OutboxChunkHasRoom(const OutboxChunk *chunk)
{
	return chunk->n + 2 <= chunk->capacity;
}

/* ---- tally.c: How many events of each leaf a sink has acknowledged. ---- */

typedef struct OutboxLeafCount
{
	int16 leaf;
	uint16 use; /* OUTBOX_LEAF_USE of its leaf_generation */
	int64 acked;
} OutboxLeafCount;

/* Recorded with the position, in the same transaction: so it counts each event once, whatever is repeated. */
typedef struct OutboxTally
{
	MemoryContext context; /* of the counts */
	OutboxLeafCount *counts;
	int n;
	int capacity;
	int latest; /* where the last event was counted; events of a leaf come in runs */
} OutboxTally;

extern void OutboxTallyAdd(OutboxTally *tally, int16 leaf, uint16 use, int64 events);
extern void OutboxTallyForgetSettled(OutboxTally *tally, const OutboxLeaves *leaves);
extern void OutboxTallyCopy(OutboxTally *to, const OutboxTally *from, MemoryContext context);

/* Counts one event. */
static inline void
OutboxTallyCount(OutboxTally *tally, int16 leaf, uint16 use)
{
	OutboxLeafCount *latest = tally->n > 0 ? &tally->counts[tally->latest] : NULL;

	if (likely(latest != NULL && latest->leaf == leaf && latest->use == use))
		latest->acked++;
	else
		OutboxTallyAdd(tally, leaf, use, 1);
}

/* ---- progress.c: The position of a relay, as it is kept in outbox_internal.relay_progress. ---- */

/* Everything that last sees is acknowledged, and of the window up to cur every seq up to cursor. */
typedef struct OutboxProgress
{
	OutboxSnapshot *last; /* NULL: the beginning */
	OutboxSnapshot *cur;  /* NULL: no window was begun */
	int64 cursor;         /* 0: nothing of that window */
	uint64 acked;         /* events since the sink was created */
	int64 seq_seen;
	OutboxTally tally; /* how many of acked lie in which leaf */
} OutboxProgress;

/* Where the row is, so that a write needs no index that old row versions have filled. */
typedef struct OutboxProgressRow
{
	int32 sink_id;
	bool known;
	ItemPointerData tid;
} OutboxProgressRow;

extern void OutboxProgressLoad(OutboxProgressRow *row, OutboxProgress *progress);
extern void OutboxProgressSave(OutboxProgressRow *row, const OutboxProgress *progress);
extern uint32 OutboxProgressTimeline(void);

/* ---- reader.c: Reads new events in order: windows between snapshots, sorted by seq. ---- */

/* The window whose events are being read. */
typedef struct OutboxReadWindow
{
	bool open;
	bool announced;      /* its first chunk was returned */
	OutboxSnapshot *cur; /* its end; its beginning is the reader's base */
	int64 seq_seen;      /* event_seq's last value before cur was taken */
	int64 cursor;        /* every event up to this seq was read */
	bool whole;          /* ranges become those of whole leaves before the next pass */
	OutboxRanges ranges; /* where its events are */
	OutboxCollection pass;
	int next; /* entry of the pass to read next */
} OutboxReadWindow;

typedef struct OutboxReader
{
	MemoryContext context; /* lives as long as the relay */
	OutboxLeaves leaves;
	OutboxRingCursor ring;
	OutboxHint *drained;
	int ndrained_capacity;
	OutboxPending pending;
	bool leaves_stale;    /* there are others by now: load the list again */
	uint32 leaf_changes;  /* the count of changes that the list has seen */
	bool scan_needed;     /* hints were lost or mislead: look through whole leaves */
	OutboxSnapshot *base; /* all that it sees was read; NULL: nothing */

	/*
	 * What is acknowledged, and so need not be looked at: kept by whoever
	 * counts acknowledgements, NULL while nobody does.  A leaf stays listed
	 * until then, because a message under way may still be asked for.
	 */
	const OutboxProgress *position;
	OutboxSnapshot *resume_cur; /* end of a window that was begun before a restart */
	int64 resume_cursor;
	OutboxReadWindow window;
	uint64 scans;
	uint64 windows;
} OutboxReader;

typedef enum OutboxReadResult
{
	OUTBOX_READ_NOTHING, /* an empty window: chunk->opens and seq_seen extend the one before */
	OUTBOX_READ_EVENTS,  /* the chunk has messages, or closes a window */
	OUTBOX_READ_AGAIN    /* storage changed meanwhile: call again */
} OutboxReadResult;

extern void OutboxReaderInit(OutboxReader *reader, MemoryContext context);
extern void OutboxReaderReset(OutboxReader *reader, const OutboxProgress *position);
extern OutboxReadResult OutboxReaderRead(OutboxReader *reader, OutboxSchemaCache *schemas, OutboxChunk *chunk);
extern bool OutboxReaderHasMore(const OutboxReader *reader);
extern uint64 OutboxReaderRemaining(const OutboxReader *reader);
extern void OutboxReaderAborted(OutboxReader *reader);
extern char *OutboxReaderDescribe(OutboxReader *reader, const OutboxPlace *place);

#endif /* OUTBOX_RELAY_READ_READ_H */
