/*-------------------------------------------------------------------------
 *
 * release.h
 *	  Publishes events that waited, as soon as they need not wait any more.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_RELEASE_H
#define OUTBOX_RELEASE_H

#include "relay/hold/hold.h"

/* Positions of messages from outbox_internal.held_event; those from the outbox are below. */
#define OUTBOX_RELEASE_INDEX (UINT64CONST(1) << 47)

typedef enum OutboxReleaseResult
{
	OUTBOX_RELEASE_PENDING,
	OUTBOX_RELEASE_PUBLISHED,
	OUTBOX_RELEASE_STAYS, /* goes on waiting */
	OUTBOX_RELEASE_REJECTED
} OutboxReleaseResult;

/* Beside each message of the chunk. */
typedef struct OutboxReleaseItem
{
	bool redrive;       /* it was rejected before, and a person wants another try */
	OutboxRoute *probe; /* the route that this message tries, else NULL */
	OutboxReleaseResult result;
	const char *words; /* of a rejection */
} OutboxReleaseItem;

typedef struct OutboxRelease
{
	OutboxChunk chunk;
	OutboxReleaseItem *items;
	uint64 first_index; /* position of the chunk's first message */
	int settled;        /* messages whose result is known */

	/* a pass over outbox_internal.held_event, in the order of seq */
	bool running;
	bool for_routes;      /* only to try routes: ends when each was tried */
	bool complete;        /* the chunk holds the last of it */
	int64 cursor;         /* rows up to this seq were looked at */
	TimestampTz again_at; /* another one is due then; 0: none */
} OutboxRelease;

struct OutboxRelay;

extern void OutboxReleaseInit(OutboxRelease *release, MemoryContext context);
extern void OutboxReleaseReset(OutboxRelease *release);

/* A step; true: there is more to do without waiting. */
extern bool OutboxReleaseStep(struct OutboxRelay *relay);

/* The sink's word on a message whose position is OUTBOX_RELEASE_INDEX or above. */
extern void OutboxReleaseAck(struct OutboxRelay *relay, const OutboxAck *ack);

/* Writes what is known of the chunk, when all of it is, or at the end of an attempt. */
extern void OutboxReleaseFinish(struct OutboxRelay *relay);

/* Milliseconds until the next step is due, at most `limit`. */
extern long OutboxReleaseWait(const struct OutboxRelay *relay, long limit);

/* Messages handed over and not reported yet. */
static inline int
OutboxReleaseInFlight(const OutboxRelease *release)
{
	return release->chunk.next > release->settled ? release->chunk.next - release->settled : 0;
}

/* Is the fate of all messages of the chunk known? */
static inline bool
OutboxReleaseSettled(const OutboxRelease *release)
{
	return release->chunk.n > 0 && release->settled == release->chunk.n;
}

#endif /* OUTBOX_RELEASE_H */
