/*-------------------------------------------------------------------------
 *
 * dispatch.c
 *	  Messages under way: which are acknowledged, and what position follows.
 *
 * Acknowledgements arrive in any order and are marked at the position they
 * name; only the contiguous prefix moves the relay's position.  The position
 * is in terms of windows and sequence values, never of counts, so that it
 * means the same after a restart.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "port/pg_bitutils.h"
#include "utils/memutils.h"

#include "guc.h"
#include "relay/publish/publish.h"

static void replace_snapshot(OutboxDispatch *dispatch, OutboxSnapshot **where, const OutboxSnapshot *snapshot);
static void pass_windows(OutboxDispatch *dispatch);

void
OutboxDispatchInit(OutboxDispatch *dispatch, MemoryContext context, const OutboxProgress *start, OutboxRelayCounters *counters)
{
	uint64 size = pg_nextpower2_64(outbox_max_in_flight);
	uint64 moves = dispatch->moves;

	memset(dispatch, 0, sizeof(*dispatch));
	dispatch->moves = moves + 1;
	dispatch->context = context;
	dispatch->places = MemoryContextAllocHuge(context, sizeof(OutboxPlace) * size);
	dispatch->mask = size - 1;
	dispatch->counters = counters;
	dispatch->max_messages = outbox_max_in_flight;
	dispatch->max_bytes = (Size) outbox_max_in_flight_size * 1024;
	dispatch->progress = *start;
	dispatch->progress.last = NULL;
	dispatch->progress.cur = NULL;
	replace_snapshot(dispatch, &dispatch->progress.last, start->last);
	replace_snapshot(dispatch, &dispatch->progress.cur, start->cur);
	OutboxTallyCopy(&dispatch->progress.tally, &start->tally, context);
}

static void
replace_snapshot(OutboxDispatch *dispatch, OutboxSnapshot **where, const OutboxSnapshot *snapshot)
{
	MemoryContext old = MemoryContextSwitchTo(dispatch->context);
	OutboxSnapshot *copy = OutboxSnapshotCopy(snapshot);

	MemoryContextSwitchTo(old);
	if (*where != NULL)
		pfree(*where);
	*where = copy;
}

/* A window begins with the next message. */
void
OutboxDispatchOpen(OutboxDispatch *dispatch, const OutboxSnapshot *cur, int64 seq_seen)
{
	OutboxSentWindow *window = MemoryContextAllocZero(dispatch->context, sizeof(OutboxSentWindow));

	replace_snapshot(dispatch, &window->cur, cur);
	window->seq_seen = seq_seen;
	if (dispatch->newest == NULL)
		dispatch->first = window;
	else
		dispatch->newest->next = window;
	dispatch->newest = window;
}

/* The newest window has no more messages. */
void
OutboxDispatchClose(OutboxDispatch *dispatch)
{
	dispatch->newest->closed = true;
	dispatch->newest->end = dispatch->head;
	pass_windows(dispatch);
}

/* Nothing is new up to this snapshot: the newest window reaches that far. */
void
OutboxDispatchExtend(OutboxDispatch *dispatch, const OutboxSnapshot *cur, int64 seq_seen)
{
	if (dispatch->newest != NULL)
	{
		replace_snapshot(dispatch, &dispatch->newest->cur, cur);
		dispatch->newest->seq_seen = seq_seen;
		return;
	}
	replace_snapshot(dispatch, &dispatch->progress.last, cur);
	replace_snapshot(dispatch, &dispatch->progress.cur, NULL);
	dispatch->progress.cursor = 0;
	dispatch->progress.seq_seen = seq_seen;
	dispatch->moves++;
}

/* How many of the chunk's remaining messages may be handed over now. */
int
OutboxDispatchRoom(const OutboxDispatch *dispatch, const OutboxChunk *chunk)
{
	uint64 free = dispatch->max_messages - OutboxDispatchInFlight(dispatch);
	int left = chunk->n - chunk->next;
	int room = (int) Min(free, (uint64) left);

	if (dispatch->held >= dispatch->max_bytes)
		return 0;
	/* the whole chunk fits most of the time */
	if (room == left && dispatch->held + chunk->held <= dispatch->max_bytes)
		return room;
	for (Size held = dispatch->held, i = 0; i < room; i++)
	{
		held += chunk->places[chunk->next + i].held;
		/* a message that is larger than the bound goes alone */
		if (held > dispatch->max_bytes && (i > 0 || dispatch->held > 0))
			return i;
	}
	return room;
}

/* The sink took n messages of the chunk; returns how many events that completes. */
int
OutboxDispatchTook(OutboxDispatch *dispatch, OutboxChunk *chunk, int n)
{
	int events = 0;

	for (int i = 0; i < n; i++)
	{
		OutboxPlace *place = &chunk->places[chunk->next];

		place->type = OutboxCountedType(dispatch->counters, chunk->messages[chunk->next].schema->id);
		chunk->next++;
		dispatch->places[dispatch->head++ & dispatch->mask] = *place;
		dispatch->held += place->held;
		events += place->completes;
	}
	return events;
}

/* The place of a position that is under way; raises for one that never was. NULL: it is acknowledged already. */
OutboxPlace *
OutboxDispatchFind(OutboxDispatch *dispatch, uint64 index)
{
	if (index >= dispatch->head)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("sink reported on message %llu, but only %llu were handed to it",
						(unsigned long long) index, (unsigned long long) dispatch->head),
				 errdetail("This is a defect of the sink library.")));
	if (index < dispatch->tail)
		return NULL;
	return &dispatch->places[index & dispatch->mask];
}

/* After places were marked acknowledged: moves the position forward. */
void
OutboxDispatchAdvance(OutboxDispatch *dispatch)
{
	while (dispatch->tail < dispatch->head)
	{
		const OutboxPlace *place = &dispatch->places[dispatch->tail & dispatch->mask];

		if (!place->acked)
			break;
		/* windows that end here end before this message's own window begins */
		if (dispatch->first->closed && dispatch->first->end == dispatch->tail)
			pass_windows(dispatch);
		dispatch->half_held |= place->waits;
		if (place->completes)
		{
			dispatch->progress.cursor = place->seq;
			OutboxTallyCount(&dispatch->progress.tally, (int16) place->leaf, place->leaf_use);
			if (!dispatch->half_held)
			{
				dispatch->progress.acked++;
				dispatch->acked++;
				OutboxCountPublished(dispatch->counters, place->type, place->occurred_at, dispatch->now);
			}
			dispatch->half_held = false;
		}
		if (!place->waits)
			dispatch->counters->bytes += place->bytes;
		dispatch->held -= place->held;
		dispatch->tail++;
	}
	pass_windows(dispatch);

	/* a cursor means something only together with the end of its window */
	if (dispatch->progress.cursor != 0)
		OutboxDispatchPin(dispatch);
}

/* From here on the position names the window that was begun, so that it is read again with the same end. */
void
OutboxDispatchPin(OutboxDispatch *dispatch)
{
	if (dispatch->progress.cur == NULL && dispatch->first != NULL)
		replace_snapshot(dispatch, &dispatch->progress.cur, dispatch->first->cur);
}

/* Windows that are acknowledged to their end become part of what is done. */
static void
pass_windows(OutboxDispatch *dispatch)
{
	OutboxProgress *progress = &dispatch->progress;

	while (dispatch->first != NULL && dispatch->first->closed && dispatch->first->end <= dispatch->tail)
	{
		OutboxSentWindow *window = dispatch->first;

		dispatch->first = window->next;
		if (dispatch->first == NULL)
			dispatch->newest = NULL;
		if (progress->last != NULL)
			pfree(progress->last);
		progress->last = window->cur;
		dispatch->moves++;
		replace_snapshot(dispatch, &progress->cur, NULL);
		progress->cursor = 0;
		progress->seq_seen = window->seq_seen;
		pfree(window);
	}
}
