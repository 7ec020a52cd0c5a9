/*-------------------------------------------------------------------------
 *
 * release.c
 *	  Publishes events that waited, as soon as they need not wait any more.
 *
 * A round looks at outbox_internal.held_event in the order of seq, which is the order of
 * the changes of a key, and publishes what waits for nothing any more; an
 * event that stays keeps everything behind it of its aggregate and topic.  A
 * round is made when a reason has gone: a dead letter was redriven or
 * discarded, a topic works again.  While a topic does not work, one of its
 * events is offered from time to time (hold_route.c).
 *
 * An event is published from here only after the position has passed it: what
 * precedes it in the outbox is acknowledged then, also after a restart.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "access/xact.h"
#include "executor/spi.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/xid8.h"

#include "catalog/outbox_catalog.h"
#include "compat.h"
#include "relay/session/session.h"
#include "relay/worker/worker.h"
#include "util/util.h"

#define FETCH_ROWS 500
#define CHUNK_MESSAGES (2 * FETCH_ROWS)
#define CHUNK_BYTES ((Size) 8 * 1024 * 1024)
#define PUBLISH_BATCH 256

/* Events that the position has not passed yet: look again so much later, and the later the more there are. */
#define AGAIN_MS 100
#define AGAIN_LONGEST_MS 10000
/* A message that was given back. */
#define RETRY_MS 1000

/* Column of the query in fetch(), behind those of outbox.event. */
#define COLUMN_STATE (Natts_event + 1)

static bool start_round(OutboxRelay *relay);
static void fetch(OutboxRelay *relay);
static bool consider(OutboxRelay *relay, const OutboxRows *rows, uint64 i, uint64 next_xid);
static void add_row(OutboxRelay *relay, const OutboxRows *rows, uint64 i, int64 seq, OutboxRoute *probe);
static bool is_passed(const OutboxRelay *relay, uint64 xid, int64 seq, uint64 next_xid);
static void hand_over(OutboxRelay *relay);
static bool lacks_first(const OutboxRelease *release);
static void stay(OutboxRelay *relay, OutboxReleaseItem *item);
static int publishable(OutboxRelay *relay);
static void settle(OutboxRelease *release, OutboxReleaseItem *item, OutboxReleaseResult result);
static void settle_rejected(OutboxRelay *relay, OutboxReleaseItem *item, const OutboxPlace *place, const char *words);
static void settle_probe(OutboxHold *hold, OutboxReleaseItem *item, bool works);

void
OutboxReleaseInit(OutboxRelease *release, MemoryContext context)
{
	memset(release, 0, sizeof(*release));
	OutboxChunkInit(&release->chunk, context, CHUNK_MESSAGES);
	release->items = MemoryContextAlloc(context, sizeof(OutboxReleaseItem) * CHUNK_MESSAGES);
}

void
OutboxReleaseReset(OutboxRelease *release)
{
	OutboxChunkReset(&release->chunk);
	release->first_index = OUTBOX_RELEASE_INDEX;
	release->settled = 0;
	release->running = false;
	release->again_at = 0;
}

/* A step; true: there is more to do without waiting. */
bool
OutboxReleaseStep(OutboxRelay *relay)
{
	OutboxRelease *release = &relay->release;
	OutboxHold *hold = &relay->hold;

	if (release->chunk.n == 0)
	{
		if (hold->stale && hold->nmarks == 0)
		{
			OutboxHoldLoad(hold, &relay->schemas);
			release->running = false;
		}
		OutboxHoldTendDiscarded(hold, &relay->schemas, relay->now);
		if (!release->running && !start_round(relay))
			return false;
		fetch(relay);
	}
	hand_over(relay);
	if (release->chunk.n > 0 && !OutboxReleaseSettled(release))
		return false;
	OutboxReleaseFinish(relay);
	return release->running || hold->release;
}

/* False: there is no reason for one. */
static bool
start_round(OutboxRelay *relay)
{
	OutboxRelease *release = &relay->release;
	OutboxHold *hold = &relay->hold;
	bool due = hold->routes != NULL && OutboxRouteDue(hold, relay->now);
	bool again = release->again_at != 0 && OutboxTimeReached(release->again_at, relay->now, AGAIN_LONGEST_MS);

	if (!hold->release && !due && !again)
		return false;
	release->for_routes = !hold->release && !again;
	release->running = true;
	release->complete = false;
	release->cursor = PG_INT64_MIN;
	release->again_at = 0;
	hold->release = false;
	hold->round++;
	return true;
}

/* Looks at some more rows and fills the chunk with those that need not wait. */
static void
fetch(OutboxRelay *relay)
{
	static const char query[] =
		"SELECT seq, xid, occurred_at, id, schema_id, leaf,"
		" (flags | CASE WHEN state = 'redrive' THEN $4 ELSE 0 END)::int2 AS flags,"
		" aggregate_type, message_key, event_type, payload, tracingspancontext, headers, state"
		" FROM outbox_internal.held_event WHERE sink_id = $1 AND seq > $2 AND state NOT IN ('rejected', 'discarded') ORDER BY seq LIMIT $3";
	OutboxRelease *release = &relay->release;
	uint64 next_xid = U64FromFullTransactionId(ReadNextFullTransactionId());
	OutboxOwnerScope scope;
	OutboxRows rows;
	uint64 i = 0;

	OutboxSessionBeginQuery(&scope);
	OutboxHoldWalkByKey();
	rows = OutboxSelect(query, OUTBOX_ARGS(OUTBOX_INT4(relay->row.id), OUTBOX_INT8(release->cursor), OUTBOX_INT4(FETCH_ROWS), OUTBOX_INT4(OUTBOX_EVENT_REDRIVEN)));
	while (i < rows.n && consider(relay, &rows, i, next_xid))
		i++;
	release->complete = i == rows.n && rows.n < FETCH_ROWS;
	OutboxSessionEndQuery(&scope);
}

/* False: the chunk has no room for it. */
static bool
consider(OutboxRelay *relay, const OutboxRows *rows, uint64 i, uint64 next_xid)
{
	OutboxRelease *release = &relay->release;
	OutboxHold *hold = &relay->hold;
	int64 seq = OutboxRowInt(rows, i, Anum_event_seq, 0);
	uint64 xid = (uint64) OutboxRowInt(rows, i, Anum_event_xid, 0);
	const OutboxCachedSchema *schema = OutboxSchemaGet(&relay->schemas, (int32) OutboxRowInt(rows, i, Anum_event_schema_id, 0));
	uint64 aggregate = OutboxAggregateHash(OutboxRowSlice(rows, i, Anum_event_aggregatetype),
										   OutboxRowSlice(rows, i, Anum_event_aggregateid));
	OutboxRoute *route = OutboxRouteFind(hold, schema);

	if (!OutboxChunkHasRoom(&release->chunk) || release->chunk.held >= CHUNK_BYTES)
		return false;
	release->cursor = seq;
	if (route != NULL && (!route->due || route->probing))
		route = NULL;
	if (!is_passed(relay, xid, seq, next_xid))
		release->again_at = TimestampTzPlusMilliseconds(relay->now, Min(AGAIN_MS + hold->total / 100, AGAIN_LONGEST_MS));
	else if (OutboxHoldStays(hold, seq, aggregate, schema, route != NULL) == OUTBOX_HOLD_NOT)
	{
		add_row(relay, rows, i, seq, route);
		return true;
	}
	OutboxHoldStuck(hold, seq, OutboxHoldLane(aggregate, schema));
	return true;
}

static void
add_row(OutboxRelay *relay, const OutboxRows *rows, uint64 i, int64 seq, OutboxRoute *probe)
{
	OutboxRelease *release = &relay->release;
	OutboxChunk *chunk = &release->chunk;
	OutboxSlice state = OutboxRowSlice(rows, i, COLUMN_STATE);
	OutboxEntry entry = {.seq = seq};
	HeapTuple row = rows->table->vals[i];
	HeapTupleData copy = *row;
	int first = chunk->n;

	copy.t_data = OutboxArenaAlloc(&chunk->arena, row->t_len);
	memcpy(copy.t_data, row->t_data, row->t_len);
	OutboxChunkAdd(chunk, &relay->schemas, OutboxProgressTimeline(), &entry, &copy, rows->table->tupdesc);
	for (int m = first; m < chunk->n; m++)
		release->items[m] = (OutboxReleaseItem){.redrive = state.data[0] == 'r', .probe = probe};
	if (probe != NULL)
		OutboxRouteProbe(probe);
}

/* A transaction id that this database has not reached came with a dump: whoever held the event has passed it. */
static bool
is_passed(const OutboxRelay *relay, uint64 xid, int64 seq, uint64 next_xid)
{
	const OutboxProgress *progress = &relay->dispatch.progress;

	return xid >= next_xid || OutboxSnapshotSees(progress->last, xid) ||
		(seq <= progress->cursor && OutboxSnapshotSees(progress->cur, xid));
}

/* ---- publishing -------------------------------------------------------------- */

static void
hand_over(OutboxRelay *relay)
{
	OutboxRelease *release = &relay->release;
	OutboxChunk *chunk = &release->chunk;

	while (chunk->next < chunk->n)
	{
		OutboxMessage *messages = &chunk->messages[chunk->next];
		int n = publishable(relay);
		int taken;

		if (n == 0)
		{
			stay(relay, &release->items[chunk->next]);
			chunk->next++;
			continue;
		}
		for (int i = 0; i < n; i++)
			messages[i].position = (OutboxPosition){.attempt = relay->attempt, .index = release->first_index + chunk->next + i};
		taken = relay->callbacks->publish_cb(&relay->sink, messages, n);
		chunk->next += taken;
		if (taken < n)
			return;
	}
}

/* Is the next message the tombstone of an event whose value was not taken? */
static bool
lacks_first(const OutboxRelease *release)
{
	int before = release->chunk.next - 1;

	return before >= 0 && !release->chunk.places[before].completes &&
		release->items[before].result != OUTBOX_RELEASE_PENDING &&
		release->items[before].result != OUTBOX_RELEASE_PUBLISHED;
}

/* The next message is not handed over after all. A route that it should have tried is tried by another one. */
static void
stay(OutboxRelay *relay, OutboxReleaseItem *item)
{
	if (lacks_first(&relay->release))
		item->probe = NULL; /* the first message told */
	settle_probe(&relay->hold, item, false);
	settle(&relay->release, item, OUTBOX_RELEASE_STAYS);
}

/* How many messages may go together; what happened since they were fetched may hold them back after all. */
static int
publishable(OutboxRelay *relay)
{
	const OutboxChunk *chunk = &relay->release.chunk;
	int n = 0;

	if (lacks_first(&relay->release))
		return 0;
	while (chunk->next + n < chunk->n && n < PUBLISH_BATCH)
	{
		const OutboxPlace *place = &chunk->places[chunk->next + n];
		const OutboxReleaseItem *item = &relay->release.items[chunk->next + n];

		if (OutboxHoldStays(&relay->hold, place->seq, place->aggregate, place->schema, item->probe != NULL) != OUTBOX_HOLD_NOT)
			break;
		n++;
	}
	return n;
}

/* The sink's word on a message whose position is OUTBOX_RELEASE_INDEX or above. */
void
OutboxReleaseAck(OutboxRelay *relay, const OutboxAck *ack)
{
	OutboxRelease *release = &relay->release;
	uint64 i = ack->position.index - release->first_index;
	OutboxReleaseItem *item;
	const OutboxPlace *place;

	if (ack->position.index < release->first_index || i >= release->chunk.next)
		return;
	item = &release->items[i];
	place = &release->chunk.places[i];
	if (item->result != OUTBOX_RELEASE_PENDING)
		return;
	switch (ack->status)
	{
		case OUTBOX_ACK_OK:
			settle(release, item, OUTBOX_RELEASE_PUBLISHED);
			settle_probe(&relay->hold, item, true);
			return;
		case OUTBOX_ACK_REJECT:
			settle_rejected(relay, item, place, ack->detail != NULL ? ack->detail : NO_REASON);
			break;
		case OUTBOX_ACK_BLOCKED:
			OutboxRelayNoteBlocked(relay, place, ack);
			settle(release, item, OUTBOX_RELEASE_STAYS);
			settle_probe(&relay->hold, item, false);
			break;
		case OUTBOX_ACK_RETRY:
			settle(release, item, OUTBOX_RELEASE_STAYS);
			settle_probe(&relay->hold, item, false);
			release->again_at = TimestampTzPlusMilliseconds(relay->now, RETRY_MS);
			break;
	}
	OutboxHoldStuck(&relay->hold, place->seq, OutboxHoldLane(place->aggregate, place->schema));
}

/* Behind another rejected event of its aggregate it goes on waiting. */
static void
settle_rejected(OutboxRelay *relay, OutboxReleaseItem *item, const OutboxPlace *place, const char *words)
{
	OutboxHold *hold = &relay->hold;
	bool skip = hold->on_reject == OUTBOX_ON_REJECT_SKIP;

	settle_probe(hold, item, true);
	if (!skip && OutboxHoldStays(hold, place->seq, place->aggregate, place->schema, true) != OUTBOX_HOLD_NOT)
	{
		settle(&relay->release, item, OUTBOX_RELEASE_STAYS);
		return;
	}
	item->words = MemoryContextStrdup(relay->release.chunk.scratch, words);
	OutboxRelayNoteRejection(relay, item->words);
	settle(&relay->release, item, OUTBOX_RELEASE_REJECTED);
	if (!skip)
		OutboxHoldAddRejected(hold, place->seq, place->aggregate);
}

static void
settle(OutboxRelease *release, OutboxReleaseItem *item, OutboxReleaseResult result)
{
	item->result = result;
	release->settled++;
}

static void
settle_probe(OutboxHold *hold, OutboxReleaseItem *item, bool works)
{
	if (item->probe == NULL)
		return;
	item->probe->probing = false;
	item->probe->open = works;
	item->probe->changed = true;
	item->probe = NULL;
	hold->release |= works;
}

/* Milliseconds until the next step is due, at most `limit`. */
long
OutboxReleaseWait(const OutboxRelay *relay, long limit)
{
	const OutboxRelease *release = &relay->release;

	if (release->chunk.n > 0)
		return limit;
	if (relay->hold.release || release->running || relay->hold.stale)
		return 0;
	if (release->again_at != 0)
		limit = Min(limit, TimestampDifferenceMilliseconds(relay->now, release->again_at));
	if (relay->hold.discarded > 0)
		limit = Min(limit, TimestampDifferenceMilliseconds(relay->now, relay->hold.discarded_again_at));
	return OutboxRouteWait(&relay->hold, relay->now, limit);
}
