/*-------------------------------------------------------------------------
 *
 * replay.c
 *	  Publishes history again, beside what is new.
 *
 * A replay has its own life of the sink, its own messages under way and its
 * own position, so whatever befalls it (a topic that does not exist, a slow
 * broker, a rejected event) neither moves nor holds up what is new. It gets
 * the relay's time only when there is nothing new to do, a small step at a
 * time, and has few messages under way, so that a commit that comes meanwhile
 * is published at once.
 *
 * Recovery is the same for everything: the sink is shut down, and after a
 * pause the replay goes on behind the last acknowledged event. A restart of
 * the relay does the same from what was recorded, at most a second before.
 *
 * That history comes again with the same ids, in order, and never in the way of what is
 * new, rests on this: test/t/070_replay.pl, test/t/074_replay_leaves.pl.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/pg_prng.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "guc.h"
#include "relay/replay/replay_private.h"
#include "relay/session/session.h"
#include "sink/sink.h"

#define SAVE_INTERVAL_MS 1000
/* How often messages under way are looked after. */
#define POLL_MS 10
/* How long a stop waits for messages under way. */
#define END_MS 1000
#define RETRY_FIRST_MS 100
#define RETRY_LONGEST_MS 5000

static void prepare(OutboxRelay *relay);
static void shutdown_at_exit(int code, Datum arg);
static bool take_turn(OutboxRelay *relay, OutboxReplay *replay);
static void open_request(OutboxRelay *relay, OutboxReplay *replay);
static void close_request(OutboxRelay *relay, OutboxReplay *replay);
static bool is_done(const OutboxReplay *replay);
static void save(OutboxRelay *relay, OutboxReplay *replay, bool force);
static void note_failure(OutboxRelay *relay, OutboxReplay *replay);
static void back_off(OutboxRelay *relay, OutboxReplay *replay);

static void
prepare(OutboxRelay *relay)
{
	OutboxReplay *replay = MemoryContextAllocZero(relay->context, sizeof(OutboxReplay));

	replay->context = AllocSetContextCreate(relay->context, "outbox replay", ALLOCSET_DEFAULT_SIZES);
	replay->request_context = AllocSetContextCreate(replay->context, "outbox replay request", ALLOCSET_DEFAULT_SIZES);
	replay->attempt_context = AllocSetContextCreate(replay->context, "outbox replay attempt", ALLOCSET_DEFAULT_SIZES);
	OutboxChunkInit(&replay->chunk, replay->context, OUTBOX_REPLAY_READ * 2);
	before_shmem_exit(shutdown_at_exit, PointerGetDatum(replay));
	relay->replay = replay;
}

/* Threads of a sink must not outlive the process. */
static void
shutdown_at_exit(int code, Datum arg)
{
	OutboxReplayStopSink((OutboxReplay *) DatumGetPointer(arg));
}

/*
 * One step of the sink's open replay, if there is one; to be called when there
 * is nothing new to publish. True: there is more to do without waiting. Raises
 * nothing: what goes wrong is shown with the request, and tried again.
 */
bool
OutboxReplayTurn(OutboxRelay *relay)
{
	volatile bool busy = false;

	if (relay->row.replay_id == 0 && (relay->replay == NULL || !relay->replay->open))
		return false;
	/* what is new is in trouble: this is no time for anything else */
	if (relay->report.state != OUTBOX_RELAY_RUNNING)
		return false;
	if (relay->replay == NULL)
		prepare(relay);
	PG_TRY();
	{
		busy = take_turn(relay, relay->replay);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(relay->context);
		note_failure(relay, relay->replay);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(relay->turn_context);
	return busy;
}

static bool
take_turn(OutboxRelay *relay, OutboxReplay *replay)
{
	bool more;

	if (replay->open && replay->request.id != relay->row.replay_id)
		close_request(relay, replay);
	if (!replay->open)
		open_request(relay, replay);
	if (!replay->open)
		return false;
	save(relay, replay, false);
	if (!OutboxTimeReached(replay->retry_at, relay->now, RETRY_LONGEST_MS * 2))
		return false;
	/* the sink's options may have changed */
	if (replay->started && replay->live_attempt != relay->attempt)
		OutboxReplayStopSink(replay);
	if (!replay->started)
		OutboxReplayStartSink(relay, replay);
	OutboxRelayShow(relay, OUTBOX_ACTIVITY_REPLAYING);

	OutboxReplayTakeAcks(replay);
	OutboxReplayCheckTrouble(replay);
	if (replay->failed)
	{
		back_off(relay, replay);
		return false;
	}
	OutboxReplayRefill(relay, replay);
	more = OutboxReplayRead(replay);
	more |= OutboxReplayHandOver(replay);
	if (is_done(replay))
	{
		close_request(relay, replay);
		return true;
	}
	return more;
}

/* Is there a replay that the relay works at? */
bool
OutboxReplayIsOpen(const OutboxRelay *relay)
{
	return relay->replay != NULL && relay->replay->open;
}

/* Milliseconds until OutboxReplayTurn has something to do, at most `limit`. */
long
OutboxReplayDue(const OutboxRelay *relay, long limit)
{
	const OutboxReplay *replay = relay->replay;
	TimestampTz now = GetCurrentTimestamp();

	if (replay == NULL || !replay->open || relay->report.state != OUTBOX_RELAY_RUNNING)
		return limit;
	if (now < replay->retry_at)
		return Min(limit, TimestampDifferenceMilliseconds(now, replay->retry_at));
	if (replay->tokens < 1.0 && replay->head == replay->tail && replay->request.rate > 0)
		return Min(limit, 1 + (long) ((1.0 - replay->tokens) * 1000.0 / replay->request.rate));
	return Min(limit, POLL_MS);
}

/* ---- the request ---------------------------------------------------------------- */

static void
open_request(OutboxRelay *relay, OutboxReplay *replay)
{
	int64 id = relay->row.replay_id;

	if (id == 0)
		return;
	MemoryContextReset(replay->request_context);
	MemoryContextSwitchTo(replay->request_context);
	memset(&replay->pass, 0, sizeof(replay->pass));
	if (!OutboxReplayRequestLoad(&replay->request, id))
	{
		/* whoever closed it may have asked for another one */
		relay->row.replay_id = 0;
		relay->configured_at = 0;
		return;
	}
	OutboxReplayPassInit(&replay->pass, replay->request_context, &replay->request);
	replay->exhausted = false;
	replay->failures = 0;
	replay->retry_at = 0;
	replay->error[0] = '\0';
	replay->tokens = 1.0;
	replay->refilled_at = relay->now;
	replay->saved_at = 0;
	replay->changed = true;
	replay->open = true;
	ereport(LOG,
			(errmsg("replay %lld to sink \"%s\" goes on after seq %lld", (long long) id, relay->row.name,
					(long long) replay->request.cursor)));
}

/* It is done, or was cancelled. */
static void
close_request(OutboxRelay *relay, OutboxReplay *replay)
{
	const OutboxReplayRequest *request = &replay->request;
	bool done = is_done(replay);
	int64 missing = request->events - request->published - request->rejected;
	char text[OUTBOX_ERROR_LEN];

	if (done && missing > 0)
	{
		snprintf(text, sizeof(text), "%lld of its events are not kept any more: the leaves they were in have been recycled.",
				 (long long) missing);
		OutboxReplaySetError(replay, text);
	}
	OutboxReplayRequestSave(request, done, replay->error[0] != '\0' ? replay->error : NULL);
	ereport(LOG,
			(errmsg("replay %lld to sink \"%s\" %s: %lld events published, %lld rejected", (long long) request->id,
					relay->row.name, done ? "is done" : "was cancelled",
					(long long) request->published, (long long) request->rejected),
			 done && missing > 0 ? errdetail_internal("%s", replay->error) : 0));
	OutboxReplayStopSink(replay);
	replay->open = false;
	MemoryContextReset(replay->request_context);
	/* there may be another one */
	relay->row.replay_id = 0;
	relay->configured_at = 0;
}

static bool
is_done(const OutboxReplay *replay)
{
	return replay->exhausted && replay->started && replay->chunk.next >= replay->chunk.n && replay->head == replay->tail;
}

static void
save(OutboxRelay *relay, OutboxReplay *replay, bool force)
{
	if (!replay->changed)
		return;
	if (!force && relay->now >= replay->saved_at && !TimestampDifferenceExceeds(replay->saved_at, relay->now, SAVE_INTERVAL_MS))
		return;
	if (!OutboxReplayRequestSave(&replay->request, false, replay->error[0] != '\0' ? replay->error : NULL))
		relay->configured_at = 0; /* cancelled: the sink's row will say so */
	replay->saved_at = relay->now;
	replay->changed = false;
}

/* The relay stops: records how far the replay got, and shuts its sink down. */
void
OutboxReplayEnd(OutboxRelay *relay)
{
	OutboxReplay *replay = relay->replay;
	TimestampTz deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), Min(END_MS, outbox_drain_timeout));

	if (replay == NULL || !replay->open)
		return;
	PG_TRY();
	{
		while (replay->started && replay->ready && !replay->failed && replay->head != replay->tail)
		{
			long left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), deadline);

			if (left <= 0 || replay->callbacks->flush_cb == NULL || !replay->callbacks->flush_cb(&replay->sink, left))
				break;
			OutboxReplayTakeAcks(replay);
		}
		if (replay->started)
			OutboxReplayTakeAcks(replay);
		save(relay, replay, true);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(relay->context);
		note_failure(relay, replay);
	}
	PG_END_TRY();
	OutboxReplayStopSink(replay);
	replay->open = false;
}

/* ---- what goes wrong -------------------------------------------------------------- */

/* In PG_CATCH: takes the error; the replay tries again after a pause. */
static void
note_failure(OutboxRelay *relay, OutboxReplay *replay)
{
	ErrorData *error = CopyErrorData();
	char text[OUTBOX_ERROR_LEN];

	FlushErrorState();
	OutboxMakeErrorPrintable(error);
	LWLockReleaseAll();
	pgstat_report_wait_end();
	OutboxSessionAbort();
	MemoryContextSwitchTo(relay->context);
	/* whatever it was, it may have to do with the sink's row */
	relay->configured_at = 0;
	if (!OutboxSessionStopRequested() && !OutboxSinkRowGone(&relay->row))
	{
		snprintf(text, sizeof(text), "%s%s%s%s%s", error->message, error->detail != NULL ? ". " : "",
				 error->detail != NULL ? error->detail : "", error->hint != NULL ? " HINT: " : "",
				 error->hint != NULL ? error->hint : "");
		ereport(replay->failures == 0 ? LOG : DEBUG1,
				(errcode(error->sqlerrcode),
				 errmsg("replay %lld to sink \"%s\" failed and will try again: %s", (long long) replay->request.id,
						relay->row.name, error->message)));
		OutboxReplaySetError(replay, text);
	}
	FreeErrorData(error);
	back_off(relay, replay);
}

static void
back_off(OutboxRelay *relay, OutboxReplay *replay)
{
	long ms = Min(RETRY_LONGEST_MS, (long) RETRY_FIRST_MS << Min(replay->failures, 16));

	OutboxReplayStopSink(replay);
	replay->failures++;
	ms = (long) (ms * (0.5 + pg_prng_double(&pg_global_prng_state)));
	replay->retry_at = TimestampTzPlusMilliseconds(relay->now, ms);
}
