/*-------------------------------------------------------------------------
 *
 * reader.h
 *	  Reads new events in order: windows between snapshots, sorted by seq.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_READER_H
#define OUTBOX_READER_H

#include "relay/read/collect.h"
#include "relay/read/leaves.h"
#include "relay/read/message.h"
#include "relay/read/pending.h"
#include "relay/read/progress.h"
#include "relay/read/schema_cache.h"
#include "relay/session/window.h"
#include "shared/outbox_shared.h"

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

/* Starts over from a position. What was drained from the ring counts as lost. */
extern void OutboxReaderReset(OutboxReader *reader, const OutboxProgress *position);

/*
 * Fills an empty chunk with the next events of the open window, or opens a new
 * one. Runs one transaction, and makes what it returns durable. After an error
 * the reader must be reset.
 */
extern OutboxReadResult OutboxReaderRead(OutboxReader *reader, OutboxSchemaCache *schemas, OutboxChunk *chunk);

/* Is there more to read without waiting? */
extern bool OutboxReaderHasMore(const OutboxReader *reader);

/* Events known but not yet in a chunk. */
extern uint64 OutboxReaderRemaining(const OutboxReader *reader);

/* After an error: the relations are no longer open. */
extern void OutboxReaderAborted(OutboxReader *reader);

/* One line that names the event at this place: id, type, key. Runs a transaction; palloc'd. */
extern char *OutboxReaderDescribe(OutboxReader *reader, const OutboxPlace *place);

#endif /* OUTBOX_READER_H */
