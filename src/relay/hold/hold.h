/*-------------------------------------------------------------------------
 *
 * hold.h
 *	  Events that wait while others go on.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_RELAY_HOLD_HOLD_H
#define OUTBOX_RELAY_HOLD_HOLD_H

#include "utils/hsearch.h"

#include "relay/publish/publish.h"
#include "relay/read/read.h"
#include "relay/session/session.h"
#include "util/util.h"

/* ---- hold.c: Events that wait while others go on: which ones, and why. ---- */

typedef enum OutboxHoldReason
{
	OUTBOX_HOLD_NOT,
	OUTBOX_HOLD_REJECTED, /* an earlier event of its aggregate was rejected */
	OUTBOX_HOLD_ROUTE,    /* its topic, or its schema there, takes nothing at present */
	OUTBOX_HOLD_LANE      /* an earlier event of its aggregate and topic waits, for whatever reason */
} OutboxHoldReason;

/* The events of one aggregate in one topic, of which some wait. */
typedef struct OutboxLane
{
	uint64 key;       /* hash key */
	int64 min_seq;    /* no event below it waits */
	int64 stuck_from; /* in the round `stuck` (release.c) this one could not be published */
	uint32 stuck;
	uint32 count; /* how many wait */
} OutboxLane;

/* An aggregate of which an event was rejected. */
typedef struct OutboxBlockedAggregate
{
	uint64 key;    /* hash key */
	int64 min_seq; /* the first such event */
} OutboxBlockedAggregate;

typedef struct OutboxRejectedEvent
{
	int64 seq;
	uint64 aggregate;
} OutboxRejectedEvent;

/* A topic, or one schema of a topic, that takes nothing at present. */
typedef struct OutboxRoute
{
	struct OutboxRoute *next;
	const char *topic;
	int32 schema_id; /* 0: all */
	char *reason;    /* the broker's words */
	int tries;
	TimestampTz tried_at;
	TimestampTz next_try;
	bool due;     /* an event may be offered to see whether it works again */
	bool probing; /* it is under way */
	bool open;    /* it works again: to be forgotten */
	bool changed; /* since it was written */
} OutboxRoute;

/* A message under way that is to be written to outbox_internal.held_event. */
typedef struct OutboxHoldMark
{
	uint64 index;
	int64 seq;
	ItemPointerData tid;
	uint16 leaf; /* outbox_internal.leaf.leaf */
	uint64 aggregate;
	uint64 lane;
	char *rejection; /* the broker's words; NULL: it merely waits */
} OutboxHoldMark;

typedef struct OutboxHold
{
	int32 sink_id;
	OutboxOnReject on_reject;
	MemoryContext parent;
	MemoryContext context; /* of what follows; reset when it is loaded again */
	HTAB *lanes;
	HTAB *aggregates;
	OutboxRejectedEvent *rejected; /* those that block their aggregates */
	int nrejected;
	int rejected_capacity;
	OutboxRoute *routes;
	uint64 total;   /* events that wait */
	uint32 round;   /* number of the present round, for OutboxLane.stuck */
	bool stale;     /* a dead letter was redriven or discarded: load again */
	bool full;      /* outbox.max_held_events is reached: the relay stops */
	bool release;   /* something may be publishable: make a round */
	int64 resolved; /* outbox_internal.sink.resolved as of the last load */

	uint64 discarded;               /* of total: given up, and perhaps read again after a crash */
	TimestampTz discarded_again_at; /* when to look whether that is over */

	HTAB *skipped; /* under on_reject = skip: lanes of which an event was rejected in this attempt; NULL: none */

	/* marked, not written yet */
	MemoryContext marks_context; /* of the words */
	OutboxHoldMark *marks;
	int nmarks;
	int marks_capacity;
} OutboxHold;

/* ---- hold.c: the state in memory ---- */

/* ---- hold_route.c: topics and schemas that take nothing ---- */

/* ---- hold_store.c: the state on disk ---- */

extern void OutboxHoldInit(OutboxHold *hold, MemoryContext context, const OutboxSinkRow *row);
extern uint64 OutboxHoldLane(uint64 aggregate, const OutboxCachedSchema *schema);
extern OutboxHoldReason OutboxHoldWhy(OutboxHold *hold, const OutboxPlace *place);
extern OutboxHoldReason OutboxHoldStays(OutboxHold *hold, int64 seq, uint64 aggregate, const OutboxCachedSchema *schema,
										bool probe);
extern void OutboxHoldStuck(OutboxHold *hold, int64 seq, uint64 lane);
extern void OutboxHoldUncount(OutboxHold *hold, uint64 lane);
extern void OutboxHoldAddRejected(OutboxHold *hold, int64 seq, uint64 aggregate);
extern void OutboxHoldRemoveRejected(OutboxHold *hold, int64 seq);
extern void OutboxHoldKeep(OutboxHold *hold, uint64 index, OutboxPlace *place, const char *rejection);
extern bool OutboxHoldSkipped(OutboxHold *hold, const OutboxPlace *place);
extern OutboxRoute *OutboxRouteFind(OutboxHold *hold, const OutboxCachedSchema *schema);
extern bool OutboxRouteBlock(OutboxHold *hold, const OutboxCachedSchema *schema, bool only_schema, const char *reason);
extern void OutboxRouteProbe(OutboxRoute *route);
extern bool OutboxRouteDue(OutboxHold *hold, TimestampTz now);
extern void OutboxRouteRetry(OutboxHold *hold, bool only_schemas);
extern long OutboxRouteWait(const OutboxHold *hold, TimestampTz now, long limit);
extern void OutboxHoldWalkByKey(void);
extern void OutboxHoldLoad(OutboxHold *hold, OutboxSchemaCache *schemas);
extern bool OutboxHoldStore(OutboxHold *hold, OutboxDispatch *dispatch, const char *sink_name);
extern void OutboxHoldReject(int32 sink_id, int64 seq, const char *sink_name, const char *words);
extern OutboxRows OutboxHoldForgetDiscarded(int32 sink_id);
extern void OutboxHoldTendDiscarded(OutboxHold *hold, OutboxSchemaCache *schemas, TimestampTz now);
extern void OutboxRoutesSave(OutboxHold *hold);

/* Does anything wait, or would a new event have to? */
static inline bool
OutboxHoldActive(const OutboxHold *hold)
{
	return hold->total > 0 || hold->routes != NULL;
}

#endif /* OUTBOX_RELAY_HOLD_HOLD_H */
