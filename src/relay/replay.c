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
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/pg_prng.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "guc.h"
#include "relay/replay.h"
#include "relay/replay_pass.h"
#include "relay/replay_request.h"
#include "relay/session.h"

/* Messages and bytes under way: few, because what is new shares the way to the broker. A power of two. */
#define IN_FLIGHT 1024
#define IN_FLIGHT_BYTES ((Size) 4 * 1024 * 1024)

/* Events read in one transaction, acknowledgements taken in one call. */
#define READ_EVENTS 256
#define ACK_BATCH 256

#define SAVE_INTERVAL_MS 1000
/* How often messages under way are looked after. */
#define POLL_MS 10
/* How long a stop waits for messages under way. */
#define END_MS 1000
#define RETRY_FIRST_MS 100
#define RETRY_LONGEST_MS 30000

/* A limited rate may catch up this part of a second at once. */
#define BURST 10

typedef struct ReplayPlace
{
	int64 seq;
	uint32 bytes;
	bool done;
	bool rejected;
	bool completes;
} ReplayPlace;

typedef struct OutboxReplay
{
	MemoryContext context;         /* lives as long as the relay */
	MemoryContext request_context; /* as long as the request */
	MemoryContext attempt_context; /* as long as the sink is up */
	bool open;                     /* there is a request */
	OutboxReplayRequest request;
	OutboxReplayPass pass;
	bool exhausted; /* everything was read */
	OutboxChunk chunk;

	/* the sink */
	uint32 live_attempt; /* of the relay, when it was started */
	uint32 attempt;
	bool started;
	bool ready;
	const OutboxSinkCallbacks *callbacks;
	OutboxSinkState sink;
	OutboxSchemaCache schemas;
	bool failed; /* a message was given back */

	/* under way: positions head to tail of a ring */
	ReplayPlace places[IN_FLIGHT];
	uint64 head;
	uint64 tail;
	Size bytes;

	double tokens; /* events that the rate allows now */
	TimestampTz refilled_at;
	TimestampTz retry_at;
	int failures; /* in a row */
	TimestampTz saved_at;
	bool changed; /* since then */
	char error[OUTBOX_ERROR_LEN];
} OutboxReplay;

static void prepare(OutboxRelay *relay);
static void shutdown_at_exit(int code, Datum arg);
static bool take_turn(OutboxRelay *relay, OutboxReplay *replay);
static void open_request(OutboxRelay *relay, OutboxReplay *replay);
static void close_request(OutboxRelay *relay, OutboxReplay *replay);
static void start_sink(OutboxRelay *relay, OutboxReplay *replay);
static void stop_sink(OutboxReplay *replay);
static void note_failure(OutboxRelay *relay, OutboxReplay *replay);
static void back_off(OutboxRelay *relay, OutboxReplay *replay);
static void set_error(OutboxReplay *replay, const char *text);
static void check_trouble(OutboxReplay *replay);
static void take_acks(OutboxReplay *replay);
static void take_ack(OutboxReplay *replay, const OutboxAck *ack);
static void advance(OutboxReplay *replay);
static void refill(OutboxRelay *relay, OutboxReplay *replay);
static bool read_some(OutboxReplay *replay);
static bool hand_over(OutboxReplay *replay);
static int batch_size(const OutboxReplay *replay);
static bool is_done(const OutboxReplay *replay);
static void save(OutboxRelay *relay, OutboxReplay *replay, bool force);

static void
prepare(OutboxRelay *relay)
{
	OutboxReplay *replay = MemoryContextAllocZero(relay->context, sizeof(OutboxReplay));

	replay->context = AllocSetContextCreate(relay->context, "outbox replay", ALLOCSET_DEFAULT_SIZES);
	replay->request_context = AllocSetContextCreate(replay->context, "outbox replay request", ALLOCSET_DEFAULT_SIZES);
	replay->attempt_context = AllocSetContextCreate(replay->context, "outbox replay attempt", ALLOCSET_DEFAULT_SIZES);
	OutboxChunkInit(&replay->chunk, replay->context, READ_EVENTS * 2);
	before_shmem_exit(shutdown_at_exit, PointerGetDatum(replay));
	relay->replay = replay;
}

/* Threads of a sink must not outlive the process. */
static void
shutdown_at_exit(int code, Datum arg)
{
	stop_sink((OutboxReplay *) DatumGetPointer(arg));
}

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
	if (relay->now < replay->retry_at)
		return false;
	/* the sink's options may have changed */
	if (replay->started && replay->live_attempt != relay->attempt)
		stop_sink(replay);
	if (!replay->started)
		start_sink(relay, replay);
	OutboxRelayShow(relay, OUTBOX_ACTIVITY_REPLAYING);

	take_acks(replay);
	check_trouble(replay);
	if (replay->failed)
	{
		back_off(relay, replay);
		return false;
	}
	refill(relay, replay);
	more = read_some(replay);
	more |= hand_over(replay);
	if (is_done(replay))
	{
		close_request(relay, replay);
		return true;
	}
	return more;
}

bool
OutboxReplayIsOpen(const OutboxRelay *relay)
{
	return relay->replay != NULL && relay->replay->open;
}

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
			(errmsg("replay %lld to sink \"%s\" goes on behind seq %lld", (long long) id, relay->row.name,
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
		set_error(replay, text);
	}
	OutboxReplayRequestSave(request, done, replay->error[0] != '\0' ? replay->error : NULL);
	ereport(LOG,
			(errmsg("replay %lld to sink \"%s\" %s: %lld events published, %lld rejected", (long long) request->id,
					relay->row.name, done ? "is done" : "was cancelled",
					(long long) request->published, (long long) request->rejected),
			 done && missing > 0 ? errdetail_internal("%s", replay->error) : 0));
	stop_sink(replay);
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
	if (!force && !TimestampDifferenceExceeds(replay->saved_at, relay->now, SAVE_INTERVAL_MS))
		return;
	if (!OutboxReplayRequestSave(&replay->request, false, replay->error[0] != '\0' ? replay->error : NULL))
		relay->configured_at = 0; /* cancelled: the sink's row will say so */
	replay->saved_at = relay->now;
	replay->changed = false;
}

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
			take_acks(replay);
		}
		if (replay->started)
			take_acks(replay);
		save(relay, replay, true);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(relay->context);
		note_failure(relay, replay);
	}
	PG_END_TRY();
	stop_sink(replay);
	replay->open = false;
}

/* ---- the sink, and what goes wrong with it --------------------------------------- */

static void
start_sink(OutboxRelay *relay, OutboxReplay *replay)
{
	const char *topic = replay->request.topic;

	MemoryContextReset(replay->attempt_context);
	MemoryContextSwitchTo(replay->attempt_context);
	replay->attempt++;
	replay->live_attempt = relay->attempt;
	replay->ready = false;
	replay->failed = false;
	replay->head = 0;
	replay->tail = 0;
	replay->bytes = 0;
	replay->exhausted = false;
	OutboxChunkReset(&replay->chunk);
	replay->chunk.topic = topic;
	replay->chunk.replayed = true;
	/* what a registry assigned belongs to the event's own topic */
	OutboxSchemaCacheInit(&replay->schemas, topic == NULL ? relay->row.id : 0, replay->attempt_context);
	OutboxReplayPassSeek(&replay->pass, replay->request.cursor);

	replay->callbacks = relay->callbacks;
	OutboxRelayPrepareSink(relay, &replay->sink, replay->attempt_context, replay->attempt);
	replay->started = true;
	replay->callbacks->startup_cb(&replay->sink);
	MemoryContextSwitchTo(relay->turn_context);
}

static void
stop_sink(OutboxReplay *replay)
{
	if (!replay->started)
		return;
	replay->started = false;
	replay->callbacks->shutdown_cb(&replay->sink);
}

/* In PG_CATCH: takes the error; the replay tries again after a pause. */
static void
note_failure(OutboxRelay *relay, OutboxReplay *replay)
{
	ErrorData *error = CopyErrorData();
	char text[OUTBOX_ERROR_LEN];

	FlushErrorState();
	LWLockReleaseAll();
	pgstat_report_wait_end();
	OutboxSessionAbort();
	MemoryContextSwitchTo(relay->context);
	/* whatever it was, it may have to do with the sink's row */
	relay->configured_at = 0;
	if (!OutboxSessionStopRequested())
	{
		snprintf(text, sizeof(text), "%s%s%s%s%s", error->message, error->detail != NULL ? ". " : "",
				 error->detail != NULL ? error->detail : "", error->hint != NULL ? " HINT: " : "",
				 error->hint != NULL ? error->hint : "");
		ereport(replay->failures == 0 ? LOG : DEBUG1,
				(errcode(error->sqlerrcode),
				 errmsg("replay %lld to sink \"%s\" failed and will try again: %s", (long long) replay->request.id,
						relay->row.name, error->message)));
		set_error(replay, text);
	}
	FreeErrorData(error);
	back_off(relay, replay);
}

static void
back_off(OutboxRelay *relay, OutboxReplay *replay)
{
	long ms = Min(RETRY_LONGEST_MS, (long) RETRY_FIRST_MS << Min(replay->failures, 16));

	stop_sink(replay);
	replay->failures++;
	ms = (long) (ms * (0.5 + pg_prng_double(&pg_global_prng_state)));
	replay->retry_at = TimestampTzPlusMilliseconds(relay->now, ms);
}

static void
set_error(OutboxReplay *replay, const char *text)
{
	if (strncmp(replay->error, text, sizeof(replay->error) - 1) == 0)
		return;
	OutboxClipText(replay->error, text);
	replay->changed = true;
}

static void
check_trouble(OutboxReplay *replay)
{
	const OutboxSinkCallbacks *callbacks = replay->callbacks;
	const char *detail = NULL;

	if (!replay->ready)
	{
		replay->ready = callbacks->check_configured_cb == NULL || callbacks->check_configured_cb(&replay->sink, &detail);
		if (!replay->ready)
			set_error(replay, detail != NULL ? detail : "The sink is not configured.");
	}
	if (replay->ready && callbacks->trouble_cb != NULL)
	{
		const char *trouble = callbacks->trouble_cb(&replay->sink);

		if (trouble != NULL)
			set_error(replay, trouble);
	}
}

/* ---- acknowledgements ------------------------------------------------------------ */

static void
take_acks(OutboxReplay *replay)
{
	static OutboxAck acks[ACK_BATCH];
	int n;

	do
	{
		n = replay->callbacks->poll_cb(&replay->sink, acks, ACK_BATCH, 0);
		for (int i = 0; i < n; i++)
			take_ack(replay, &acks[i]);
	} while (n == ACK_BATCH);
	advance(replay);
}

static void
take_ack(OutboxReplay *replay, const OutboxAck *ack)
{
	ReplayPlace *place;

	if (ack->position.attempt != replay->attempt || ack->position.index < replay->tail ||
		ack->position.index >= replay->head)
		return;
	place = &replay->places[ack->position.index % IN_FLIGHT];
	switch (ack->status)
	{
		case OUTBOX_ACK_OK:
			place->done = true;
			break;
		case OUTBOX_ACK_REJECT:
			/* consumers have it from the first time: leave it out and go on */
			place->done = true;
			place->rejected = true;
			set_error(replay, ack->detail != NULL ? ack->detail : "The sink gave no reason.");
			break;
		case OUTBOX_ACK_RETRY:
		case OUTBOX_ACK_BLOCKED:
			replay->failed = true;
			set_error(replay, ack->detail != NULL ? ack->detail : "The sink gave no reason.");
			break;
	}
}

/* Only what is done without a gap moves the position. */
static void
advance(OutboxReplay *replay)
{
	bool rejected = false;

	while (replay->tail < replay->head && replay->places[replay->tail % IN_FLIGHT].done)
	{
		const ReplayPlace *place = &replay->places[replay->tail++ % IN_FLIGHT];

		replay->bytes -= place->bytes;
		rejected |= place->rejected;
		if (!place->completes)
			continue;
		if (rejected)
			replay->request.rejected++;
		else
		{
			replay->request.published++;
			replay->failures = 0;
			if (replay->request.rejected == 0)
				replay->error[0] = '\0';
		}
		rejected = false;
		replay->request.cursor = place->seq;
		replay->changed = true;
	}
}

/* ---- publishing ------------------------------------------------------------------ */

static void
refill(OutboxRelay *relay, OutboxReplay *replay)
{
	int rate = replay->request.rate;
	double most = rate == 0 ? IN_FLIGHT : Max(1.0, (double) rate / BURST);
	double passed = (double) (relay->now - replay->refilled_at) / USECS_PER_SEC;

	replay->refilled_at = relay->now;
	if (rate == 0)
		replay->tokens = most;
	else if (passed > 0)
		replay->tokens = Min(most, replay->tokens + passed * rate);
}

/* Collects, or reads what is collected. True: there is more to do at once. */
static bool
read_some(OutboxReplay *replay)
{
	OutboxReplayPass *pass = &replay->pass;
	OutboxChunk *chunk = &replay->chunk;
	int max = replay->request.rate == 0 ? READ_EVENTS : Max(1, Min(READ_EVENTS, replay->request.rate / BURST));

	if (!replay->ready || chunk->next < chunk->n || replay->exhausted)
		return false;
	if (!pass->complete)
	{
		OutboxReplayPassStep(pass);
		return true;
	}
	if (pass->next < pass->n)
	{
		if (!OutboxReplayPassRead(pass, &replay->schemas, chunk, max))
		{
			int64 read = pass->next > 0 ? pass->entries[pass->next - 1].seq : pass->after;

			OutboxReplayPassStart(pass, read);
		}
		return true;
	}
	if (pass->more)
	{
		OutboxReplayPassStart(pass, pass->entries[pass->n - 1].seq);
		return true;
	}
	replay->exhausted = true;
	return false;
}

/* True: all that was read is under way, there may be more. */
static bool
hand_over(OutboxReplay *replay)
{
	OutboxChunk *chunk = &replay->chunk;
	int n = batch_size(replay);
	int taken;

	if (n == 0)
		return false;
	for (int i = 0; i < n; i++)
		chunk->messages[chunk->next + i].position = (OutboxPosition){.attempt = replay->attempt, .index = replay->head + i};
	taken = replay->callbacks->publish_cb(&replay->sink, &chunk->messages[chunk->next], n);
	for (int i = 0; i < taken; i++)
	{
		const OutboxPlace *place = &chunk->places[chunk->next++];

		replay->places[replay->head++ % IN_FLIGHT] =
			(ReplayPlace){.seq = place->seq, .bytes = place->bytes, .completes = place->completes};
		replay->bytes += place->bytes;
		if (place->completes)
			replay->tokens -= 1.0;
	}
	return taken == n && chunk->next >= chunk->n && replay->tokens >= 1.0;
}

/* Messages that may be handed over now: as many as the rate, the bounds and the chunk have. */
static int
batch_size(const OutboxReplay *replay)
{
	const OutboxChunk *chunk = &replay->chunk;
	int room = IN_FLIGHT - (int) (replay->head - replay->tail);
	Size bytes = replay->bytes;
	double tokens = replay->tokens;
	int n = 0;

	if (!replay->ready)
		return 0;
	while (chunk->next + n < chunk->n && n < room)
	{
		const OutboxPlace *place = &chunk->places[chunk->next + n];

		/* a message that is larger than the bound goes alone */
		if (tokens < 1.0 || (bytes > 0 && bytes + place->bytes > IN_FLIGHT_BYTES))
			break;
		bytes += place->bytes;
		if (place->completes)
			tokens -= 1.0;
		n++;
	}
	return n;
}
