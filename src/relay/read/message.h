/*-------------------------------------------------------------------------
 *
 * message.h
 *	  Event rows as messages, a chunk at a time.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_MESSAGE_H
#define OUTBOX_MESSAGE_H

#include "access/htup.h"
#include "access/tupdesc.h"

#include "relay/read/arena.h"
#include "relay/read/collect.h"
#include "relay/read/schema_cache.h"
#include "relay/session/window.h"
#include "sink/outbox_sink.h"

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
	bool kept_aside;  /* in outbox_internal.held_event, or about to be (hold.h) */
	uint16 type;      /* what the meter counts it as; set when it is handed over */
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

/* A chunk that takes `capacity` messages, in a new child of the context. */
extern void OutboxChunkInit(OutboxChunk *chunk, MemoryContext context, int capacity);
extern void OutboxChunkReset(OutboxChunk *chunk);

/* Which aggregate an event is of; of the texts as the database has them. */
extern uint64 OutboxAggregateHash(OutboxSlice aggregate_type, OutboxSlice aggregate_id);

/* Room for one more event, which may be two messages? */
static inline bool
OutboxChunkHasRoom(const OutboxChunk *chunk)
{
	return chunk->n + 2 <= chunk->capacity;
}

/*
 * Adds the message or messages of an event row. The tuple's memory is in the
 * chunk's arena. Needs a transaction and an active snapshot (toast, schemas).
 */
extern void OutboxChunkAdd(OutboxChunk *chunk, OutboxSchemaCache *schemas, uint32 timeline,
						   const OutboxEntry *entry, HeapTuple tuple, TupleDesc desc);

#endif /* OUTBOX_MESSAGE_H */
