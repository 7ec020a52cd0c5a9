/*-------------------------------------------------------------------------
 *
 * dispatch.h
 *	  Messages under way: which are acknowledged, and what position follows.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_DISPATCH_H
#define OUTBOX_DISPATCH_H

#include "relay/read/message.h"
#include "relay/read/progress.h"
#include "shared/meter.h"

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
	uint64 acked;            /* events, in this attempt */
	OutboxMeter *meter;      /* of the relay */
	TimestampTz now;         /* when the acknowledgements were taken that are marked now */
	bool half_aside;         /* the first message of the event at tail was kept aside */
	OutboxSentWindow *first; /* windows, oldest first */
	OutboxSentWindow *newest;
	OutboxProgress progress; /* what may be persisted */
} OutboxDispatch;

extern void OutboxDispatchInit(OutboxDispatch *dispatch, MemoryContext context, const OutboxProgress *start, OutboxMeter *meter);

/* A window begins with the next message. */
extern void OutboxDispatchOpen(OutboxDispatch *dispatch, const OutboxSnapshot *cur, int64 seq_seen);

/* The newest window has no more messages. */
extern void OutboxDispatchClose(OutboxDispatch *dispatch);

/* Nothing is new up to this snapshot: the newest window reaches that far. */
extern void OutboxDispatchExtend(OutboxDispatch *dispatch, const OutboxSnapshot *cur, int64 seq_seen);

/* How many of the chunk's remaining messages may be handed over now. */
extern int OutboxDispatchRoom(const OutboxDispatch *dispatch, const OutboxChunk *chunk);

/* The sink took n messages of the chunk; returns how many events that completes. */
extern int OutboxDispatchTook(OutboxDispatch *dispatch, OutboxChunk *chunk, int n);

/* The place of a position that is under way; raises for one that never was. NULL: it is acknowledged already. */
extern OutboxPlace *OutboxDispatchFind(OutboxDispatch *dispatch, uint64 index);

/* After places were marked acknowledged: moves the position forward. */
extern void OutboxDispatchAdvance(OutboxDispatch *dispatch);

/* From here on the position names the window that was begun, so that it is read again with the same end. */
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

#endif /* OUTBOX_DISPATCH_H */
