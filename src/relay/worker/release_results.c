/*-------------------------------------------------------------------------
 *
 * release_results.c
 *	  What came of waiting events that were published, in the table and in memory.
 *
 * A row is deleted when all messages of its event are acknowledged. A crash
 * before that commits publishes the event again, never loses it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "utils/array.h"
#include "utils/timestamp.h"

#include "relay/session/session.h"
#include "relay/worker/worker.h"
#include "util/util.h"

static void write_results(OutboxRelay *relay);
static void note_results(OutboxRelay *relay);
static void count_published(OutboxRelay *relay, const OutboxPlace *place);
static OutboxReleaseResult event_result(const OutboxRelease *release, int *i, const char **words);
static void delete_rows(int32 sink_id, Datum *seqs, int n);
static void end_round(OutboxRelay *relay);

/* Writes what is known of the chunk, when all of it is, or at the end of an attempt. */
void
OutboxReleaseFinish(OutboxRelay *relay)
{
	OutboxRelease *release = &relay->release;

	if (release->chunk.n > 0)
	{
		write_results(relay);
		note_results(relay);
		release->first_index += release->chunk.n;
		release->settled = 0;
		OutboxChunkReset(&release->chunk);
	}
	if (release->complete || (release->for_routes && !OutboxRouteDue(&relay->hold, DT_NOBEGIN)))
		end_round(relay);
}

static void
write_results(OutboxRelay *relay)
{
	OutboxRelease *release = &relay->release;
	Datum *published = palloc(sizeof(Datum) * release->chunk.n);
	OutboxOwnerScope scope;
	int n = 0;

	OutboxSessionBeginQuery(&scope);
	OutboxHoldWalkByKey();
	for (int i = 0; i < release->chunk.n; i++)
	{
		const OutboxPlace *place = &release->chunk.places[i];
		const char *words;

		switch (event_result(release, &i, &words))
		{
			case OUTBOX_RELEASE_PUBLISHED:
				published[n++] = Int64GetDatum(place->seq);
				break;
			case OUTBOX_RELEASE_REJECTED:
				OutboxHoldReject(relay->row.id, place->seq, relay->row.name, words);
				break;
			default:
				break;
		}
	}
	delete_rows(relay->row.id, published, n);
	OutboxRoutesSave(&relay->hold);
	OutboxSessionEndQuery(&scope);
	pfree(published);
}

static void
note_results(OutboxRelay *relay)
{
	OutboxRelease *release = &relay->release;
	OutboxHold *hold = &relay->hold;
	bool skip = hold->on_reject == OUTBOX_ON_REJECT_SKIP;

	for (int i = 0; i < release->chunk.n; i++)
	{
		const OutboxPlace *place = &release->chunk.places[i];
		bool redrive = release->items[i].redrive;
		const char *words;
		OutboxReleaseResult result = event_result(release, &i, &words);
		/* under skip neither a rejected event nor one that is redriven is counted */
		bool counted = !(skip && redrive);
		bool gone = result == OUTBOX_RELEASE_PUBLISHED || (skip && result == OUTBOX_RELEASE_REJECTED);

		if (gone && counted)
			OutboxHoldUncount(hold, OutboxHoldLane(place->aggregate, place->schema));
		if (result != OUTBOX_RELEASE_PUBLISHED)
			continue;
		count_published(relay, place);
		if (redrive && counted)
		{
			OutboxHoldRemoveRejected(hold, place->seq);
			hold->release = true;
		}
	}
}

static void
count_published(OutboxRelay *relay, const OutboxPlace *place)
{
	relay->dispatch.progress.acked++;
	relay->report.acked++;
	relay->report_changed = true;
	relay->counters.bytes += place->bytes;
	OutboxCountPublished(&relay->counters, OutboxCountedType(&relay->counters, place->schema->id), place->occurred_at, relay->now);
}

/* Of the event at *i, which may have two messages; *i is its last one then. */
static OutboxReleaseResult
event_result(const OutboxRelease *release, int *i, const char **words)
{
	OutboxReleaseResult result = release->items[*i].result;

	*words = release->items[*i].words;
	if (!release->chunk.places[*i].completes)
	{
		const OutboxReleaseItem *second = &release->items[++*i];

		if (second->result == OUTBOX_RELEASE_REJECTED)
			*words = second->words;
		/* published only when both are */
		if (second->result == OUTBOX_RELEASE_REJECTED || result == OUTBOX_RELEASE_PUBLISHED)
			result = second->result;
	}
	return result;
}

static void
delete_rows(int32 sink_id, Datum *seqs, int n)
{
	ArrayType *array;

	if (n == 0)
		return;
	array = construct_array(seqs, n, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE);
	(void) OutboxRun("DELETE FROM outbox_internal.held_event WHERE sink_id = $1 AND seq = ANY ($2)",
					 OUTBOX_ARGS(OUTBOX_INT4(sink_id), OUTBOX_DATUM(INT8ARRAYOID, PointerGetDatum(array))));
}

/* A route that no waiting event can try is tried by the next new one. */
static void
end_round(OutboxRelay *relay)
{
	OutboxRelease *release = &relay->release;

	release->running = false;
	for (OutboxRoute *route = relay->hold.routes; route != NULL; route = route->next)
	{
		if (!route->due || route->probing || !release->complete || release->again_at != 0)
			continue;
		route->due = false;
		route->open = true;
		route->changed = true;
	}
}
