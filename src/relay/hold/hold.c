/*-------------------------------------------------------------------------
 *
 * hold.c
 *	  Events that wait while others go on: which ones, and why.
 *
 * An event waits behind a rejected event of its aggregate, while its topic (or
 * its schema there) takes nothing, and behind an event of the same aggregate
 * and topic that waits itself: that is what keeps the order. Waiting events
 * are copied to outbox_internal.held_event, so the position passes them; in memory is
 * only what it takes to decide about the next event: a hash entry per
 * aggregate and topic of which something waits, and one per rejected event.
 *
 * Aggregates are told apart by 64 bits of hash. Two that share them wait for
 * each other, which delays but reorders nothing.
 *
 * That a rejected event, or a topic that takes nothing, holds up its own aggregate and
 * nothing else, in order, rests on this: test/t/038_relay_rejections.pl,
 * test/t/039_relay_topics.pl, test/t/080_held_crashes.pl.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "storage/shmem.h"
#include "utils/memutils.h"

#include "relay/hold/hold_private.h"

static void note_skipped(OutboxHold *hold, uint64 lane);
static OutboxHoldReason why(OutboxHold *hold, int64 seq, uint64 aggregate, const OutboxRoute *route);

void
OutboxHoldInit(OutboxHold *hold, MemoryContext context, const OutboxSinkRow *row)
{
	memset(hold, 0, sizeof(*hold));
	hold->sink_id = row->id;
	hold->on_reject = row->on_reject;
	hold->resolved = row->resolved;
	hold->parent = context;
	hold->marks_context = AllocSetContextCreate(context, "outbox rejections", ALLOCSET_SMALL_SIZES);
}

uint64
OutboxHoldLane(uint64 aggregate, const OutboxCachedSchema *schema)
{
	return hash_combine64(aggregate, schema->topic_hash);
}

/* Why an event that has just been read must wait. */
OutboxHoldReason
OutboxHoldWhy(OutboxHold *hold, const OutboxPlace *place)
{
	const OutboxLane *lane;
	uint64 key;
	OutboxHoldReason reason = why(hold, place->seq, place->aggregate, OutboxRouteFind(hold, place->schema));

	if (reason != OUTBOX_HOLD_NOT)
		return reason;
	key = OutboxHoldLane(place->aggregate, place->schema);
	lane = hash_search(hold->lanes, &key, HASH_FIND, NULL);
	return lane != NULL && lane->count > 0 && place->seq >= lane->min_seq ? OUTBOX_HOLD_LANE : OUTBOX_HOLD_NOT;
}

/* Why one that waits must go on waiting; probe: a blocked route is no reason. */
OutboxHoldReason
OutboxHoldStays(OutboxHold *hold, int64 seq, uint64 aggregate, const OutboxCachedSchema *schema, bool probe)
{
	OutboxHoldReason reason = why(hold, seq, aggregate, probe ? NULL : OutboxRouteFind(hold, schema));
	const OutboxLane *lane;
	uint64 key;

	if (reason != OUTBOX_HOLD_NOT)
		return reason;
	key = OutboxHoldLane(aggregate, schema);
	lane = hash_search(hold->lanes, &key, HASH_FIND, NULL);
	return lane != NULL && lane->stuck == hold->round && seq > lane->stuck_from ? OUTBOX_HOLD_LANE : OUTBOX_HOLD_NOT;
}

/* A rejected event waits for nothing but a person: it blocks what follows, and, until it is redriven, itself. */
static OutboxHoldReason
why(OutboxHold *hold, int64 seq, uint64 aggregate, const OutboxRoute *route)
{
	const OutboxBlockedAggregate *blocked = NULL;

	if (hold->nrejected > 0)
		blocked = hash_search(hold->aggregates, &aggregate, HASH_FIND, NULL);
	if (blocked != NULL && seq > blocked->min_seq)
		return OUTBOX_HOLD_REJECTED;
	return route != NULL ? OUTBOX_HOLD_ROUTE : OUTBOX_HOLD_NOT;
}

/* In the present round nothing behind this event of its aggregate and topic may be published. */
void
OutboxHoldStuck(OutboxHold *hold, int64 seq, uint64 lane)
{
	OutboxLane *entry = hash_search(hold->lanes, &lane, HASH_FIND, NULL);

	if (entry == NULL)
		return;
	entry->stuck_from = entry->stuck == hold->round ? Min(entry->stuck_from, seq) : seq;
	entry->stuck = hold->round;
}

/* An event waits (again), or not any more. */
void
OutboxHoldCount(OutboxHold *hold, int64 seq, uint64 lane)
{
	bool found;
	OutboxLane *entry = hash_search(hold->lanes, &lane, HASH_ENTER, &found);

	if (!found)
		*entry = (OutboxLane){.key = lane, .min_seq = seq};
	entry->min_seq = Min(entry->min_seq, seq);
	entry->count++;
	hold->total++;
}

void
OutboxHoldUncount(OutboxHold *hold, uint64 lane)
{
	OutboxLane *entry = hash_search(hold->lanes, &lane, HASH_FIND, NULL);

	if (entry == NULL)
		return;
	hold->total--;
	if (--entry->count == 0)
		(void) hash_search(hold->lanes, &lane, HASH_REMOVE, NULL);
}

void
OutboxHoldAddRejected(OutboxHold *hold, int64 seq, uint64 aggregate)
{
	OutboxBlockedAggregate *blocked;
	bool found;

	blocked = hash_search(hold->aggregates, &aggregate, HASH_ENTER, &found);
	for (int i = 0; found && i < hold->nrejected; i++)
	{
		if (hold->rejected[i].seq == seq)
			return;
	}
	blocked->min_seq = found ? Min(blocked->min_seq, seq) : seq;
	if (hold->nrejected == hold->rejected_capacity)
	{
		int capacity = Max(64, hold->rejected_capacity * 2);
		Size size = mul_size(sizeof(OutboxRejectedEvent), capacity);

		hold->rejected = hold->rejected == NULL ? MemoryContextAllocHuge(hold->context, size)
												: repalloc_huge(hold->rejected, size);
		hold->rejected_capacity = capacity;
	}
	hold->rejected[hold->nrejected++] = (OutboxRejectedEvent){.seq = seq, .aggregate = aggregate};
}

void
OutboxHoldRemoveRejected(OutboxHold *hold, int64 seq)
{
	uint64 aggregate = 0;
	OutboxBlockedAggregate *blocked;
	int kept = 0;

	for (int i = 0; i < hold->nrejected; i++)
	{
		if (hold->rejected[i].seq == seq)
			aggregate = hold->rejected[i].aggregate;
		else
			hold->rejected[kept++] = hold->rejected[i];
	}
	if (kept == hold->nrejected)
		return;
	hold->nrejected = kept;

	/* another rejected event of the aggregate takes its place */
	blocked = hash_search(hold->aggregates, &aggregate, HASH_FIND, NULL);
	blocked->min_seq = PG_INT64_MAX;
	for (int i = 0; i < kept; i++)
	{
		if (hold->rejected[i].aggregate == aggregate)
			blocked->min_seq = Min(blocked->min_seq, hold->rejected[i].seq);
	}
	if (blocked->min_seq == PG_INT64_MAX)
		(void) hash_search(hold->aggregates, &aggregate, HASH_REMOVE, NULL);
}

/*
 * Marks the event of a message under way as held; rejection: the broker's words, or NULL.
 *
 * It counts at once: what comes behind it in the same turn must see it.  Under
 * on_reject = skip a rejected event holds up nothing and is not counted.
 */
void
OutboxHoldKeep(OutboxHold *hold, uint64 index, OutboxPlace *place, const char *rejection)
{
	OutboxHoldMark *mark;

	if (hold->nmarks == hold->marks_capacity)
	{
		int capacity = Max(256, hold->marks_capacity * 2);
		Size size = mul_size(sizeof(OutboxHoldMark), capacity);

		hold->marks = hold->marks == NULL ? MemoryContextAllocHuge(hold->parent, size)
										  : repalloc_huge(hold->marks, size);
		hold->marks_capacity = capacity;
	}
	mark = &hold->marks[hold->nmarks++];
	*mark = (OutboxHoldMark){
		.index = index,
		.seq = place->seq,
		.tid = place->tid,
		.leaf = place->leaf,
		.aggregate = place->aggregate,
		.lane = OutboxHoldLane(place->aggregate, place->schema),
		.rejection = rejection == NULL ? NULL : MemoryContextStrdup(hold->marks_context, rejection)};
	place->waits = true;
	if (rejection != NULL && hold->on_reject == OUTBOX_ON_REJECT_SKIP)
	{
		note_skipped(hold, mark->lane);
		return;
	}
	OutboxHoldCount(hold, place->seq, mark->lane);
	if (rejection != NULL)
		OutboxHoldAddRejected(hold, place->seq, place->aggregate);
}

static void
note_skipped(OutboxHold *hold, uint64 lane)
{
	if (hold->skipped == NULL)
	{
		HASHCTL info = {.keysize = sizeof(uint64), .entrysize = sizeof(uint64), .hcxt = hold->parent};

		hold->skipped = hash_create("outbox skipped", 64, &info, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	(void) hash_search(hold->skipped, &lane, HASH_ENTER, NULL);
}

/*
 * Was an event of its aggregate and topic rejected, and what is behind that one
 * does not have to wait?  What the sink gives back of them need not end the
 * attempt: it is held, and published from outbox_internal.held_event.
 */
bool
OutboxHoldSkipped(OutboxHold *hold, const OutboxPlace *place)
{
	uint64 lane;

	if (hold->skipped == NULL)
		return false;
	lane = OutboxHoldLane(place->aggregate, place->schema);
	if (hash_search(hold->skipped, &lane, HASH_FIND, NULL) == NULL)
		return false;
	hold->release = true;
	return true;
}
