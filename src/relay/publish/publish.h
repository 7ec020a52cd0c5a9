/*-------------------------------------------------------------------------
 *
 * publish.h
 *	  Messages under way, and the position that follows from their acknowledgements.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_RELAY_PUBLISH_PUBLISH_H
#define OUTBOX_RELAY_PUBLISH_PUBLISH_H

#include "relay/read/read.h"
#include "shared/outbox_shared.h"

/* ---- dispatch.c: Messages under way: which are acknowledged, and what position follows. ---- */

/* A window of which something is not acknowledged yet. */
typedef struct OutboxSentWindow
{
	struct OutboxSentWindow *next;
	OutboxSnapshot *cur;
	int64 seq_seen;
	bool closed; /* all its messages were handed over */
	uint64 end;  /* position after its last message, when closed */
} OutboxSentWindow;

typedef struct OutboxDispatch
{
	MemoryContext context; /* lives as long as an attempt */
	OutboxPlace *places;   /* ring, addressed by position */
	uint64 mask;
	uint64 head; /* position of the next message */
	uint64 tail; /* first position that is not acknowledged */
	Size held;   /* by the messages in between */
	uint64 max_messages;
	Size max_bytes;
	uint64 acked;                  /* events, in this attempt */
	OutboxRelayCounters *counters; /* of the relay */
	TimestampTz now;               /* when the acknowledgements were taken that are marked now */
	bool half_held;                /* the first message of the event at tail is held */
	OutboxSentWindow *first;       /* windows, oldest first */
	OutboxSentWindow *newest;
	OutboxProgress progress; /* what may be persisted */
	uint64 moves;            /* of progress.last, over all attempts */
} OutboxDispatch;

extern void OutboxDispatchInit(OutboxDispatch *dispatch, MemoryContext context, const OutboxProgress *start, OutboxRelayCounters *counters);
extern void OutboxDispatchOpen(OutboxDispatch *dispatch, const OutboxSnapshot *cur, int64 seq_seen);
extern void OutboxDispatchClose(OutboxDispatch *dispatch);
extern void OutboxDispatchExtend(OutboxDispatch *dispatch, const OutboxSnapshot *cur, int64 seq_seen);
extern int OutboxDispatchRoom(const OutboxDispatch *dispatch, const OutboxChunk *chunk);
extern int OutboxDispatchTook(OutboxDispatch *dispatch, OutboxChunk *chunk, int n);
extern OutboxPlace *OutboxDispatchFind(OutboxDispatch *dispatch, uint64 index);
extern void OutboxDispatchAdvance(OutboxDispatch *dispatch);
extern void OutboxDispatchPin(OutboxDispatch *dispatch);

static inline uint64
OutboxDispatchInFlight(const OutboxDispatch *dispatch)
{
	return dispatch->head - dispatch->tail;
}

/* The oldest message that is not acknowledged, NULL: none. */
static inline const OutboxPlace *
OutboxDispatchOldest(const OutboxDispatch *dispatch)
{
	return dispatch->head == dispatch->tail ? NULL : &dispatch->places[dispatch->tail & dispatch->mask];
}

#endif /* OUTBOX_RELAY_PUBLISH_PUBLISH_H */
