/*-------------------------------------------------------------------------
 *
 * replay_publish.c
 *	  A replay at work: its sink, its messages under way, its position.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "relay/replay/replay_private.h"

#define IN_FLIGHT_BYTES ((Size) 4 * 1024 * 1024)

/* Acknowledgements taken in one call. */
#define ACK_BATCH 256

/* A limited rate may catch up this part of a second at once. */
#define BURST 10

static void take_ack(OutboxReplay *replay, const OutboxAck *ack);
static void advance(OutboxReplay *replay);
static int batch_size(const OutboxReplay *replay);

/* A new life of the sink, which goes on behind what is done. */
void
OutboxReplayStartSink(OutboxRelay *relay, OutboxReplay *replay)
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
	replay->held = 0;
	replay->exhausted = false;
	OutboxChunkReset(&replay->chunk);
	replay->chunk.topic = topic;
	replay->chunk.replayed = true;
	OutboxSchemaCacheInit(&replay->schemas, relay->row.id, relay->row.forgotten, replay->attempt_context);
	OutboxReplayPassSeek(&replay->pass, replay->request.cursor);

	replay->callbacks = relay->callbacks;
	OutboxRelayPrepareSink(relay, &replay->sink, replay->attempt_context, replay->attempt);
	replay->started = true;
	replay->callbacks->startup_cb(&replay->sink);
	MemoryContextSwitchTo(relay->turn_context);
}

void
OutboxReplayStopSink(OutboxReplay *replay)
{
	if (!replay->started)
		return;
	replay->started = false;
	replay->callbacks->shutdown_cb(&replay->sink);
}

/* What is shown with the request. */
void
OutboxReplaySetError(OutboxReplay *replay, const char *text)
{
	char words[OUTBOX_ERROR_LEN];

	OutboxClipText(words, text);
	if (strcmp(replay->error, words) == 0)
		return;
	strlcpy(replay->error, words, sizeof(replay->error));
	replay->changed = true;
}

/* What the sink says of itself: may it be used, and is it in trouble? */
void
OutboxReplayCheckTrouble(OutboxReplay *replay)
{
	const OutboxSinkCallbacks *callbacks = replay->callbacks;
	const char *detail = NULL;

	if (!replay->ready)
	{
		replay->ready = callbacks->check_configured_cb == NULL || callbacks->check_configured_cb(&replay->sink, &detail);
		if (!replay->ready)
			OutboxReplaySetError(replay, detail != NULL ? detail : "The sink is not configured.");
	}
	if (replay->ready && callbacks->trouble_cb != NULL)
	{
		const char *trouble = callbacks->trouble_cb(&replay->sink);

		if (trouble != NULL)
			OutboxReplaySetError(replay, trouble);
	}
}

/* ---- acknowledgements ------------------------------------------------------------ */

/* Takes acknowledgements, and moves the position over what is done without a gap. */
void
OutboxReplayTakeAcks(OutboxReplay *replay)
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
	OutboxReplayPlace *place;

	if (ack->position.attempt != replay->attempt || ack->position.index < replay->tail ||
		ack->position.index >= replay->head)
		return;
	place = &replay->places[ack->position.index % OUTBOX_REPLAY_IN_FLIGHT];
	switch (ack->status)
	{
		case OUTBOX_ACK_OK:
			place->done = true;
			break;
		case OUTBOX_ACK_REJECT:
			/* consumers have it from the first time: leave it out and go on */
			place->done = true;
			place->rejected = true;
			OutboxReplaySetError(replay, ack->detail != NULL ? ack->detail : "The sink gave no reason.");
			break;
		case OUTBOX_ACK_RETRY:
		case OUTBOX_ACK_BLOCKED:
			replay->failed = true;
			OutboxReplaySetError(replay, ack->detail != NULL ? ack->detail : "The sink gave no reason.");
			break;
	}
}

/* Only what is done without a gap moves the position. */
static void
advance(OutboxReplay *replay)
{
	bool rejected = false;

	while (replay->tail < replay->head && replay->places[replay->tail % OUTBOX_REPLAY_IN_FLIGHT].done)
	{
		const OutboxReplayPlace *place = &replay->places[replay->tail++ % OUTBOX_REPLAY_IN_FLIGHT];

		replay->held -= place->held;
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

/* One step each: what the rate allows, reading, handing over. True: there is more to do at once. */
void
OutboxReplayRefill(OutboxRelay *relay, OutboxReplay *replay)
{
	int rate = replay->request.rate;
	double most = rate == 0 ? OUTBOX_REPLAY_IN_FLIGHT : Max(1.0, (double) rate / BURST);
	double passed = (double) (relay->now - replay->refilled_at) / USECS_PER_SEC;

	replay->refilled_at = relay->now;
	if (rate == 0)
		replay->tokens = most;
	else if (passed > 0)
		replay->tokens = Min(most, replay->tokens + passed * rate);
}

/* Collects, or reads what is collected. True: there is more to do at once. */
bool
OutboxReplayRead(OutboxReplay *replay)
{
	OutboxReplayPass *pass = &replay->pass;
	OutboxChunk *chunk = &replay->chunk;
	int max = replay->request.rate == 0 ? OUTBOX_REPLAY_READ : Max(1, Min(OUTBOX_REPLAY_READ, replay->request.rate / BURST));

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
bool
OutboxReplayHandOver(OutboxReplay *replay)
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

		replay->places[replay->head++ % OUTBOX_REPLAY_IN_FLIGHT] =
			(OutboxReplayPlace){.seq = place->seq, .held = place->held, .completes = place->completes};
		replay->held += place->held;
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
	int room = OUTBOX_REPLAY_IN_FLIGHT - (int) (replay->head - replay->tail);
	Size held = replay->held;
	double tokens = replay->tokens;
	int n = 0;

	if (!replay->ready)
		return 0;
	while (chunk->next + n < chunk->n && n < room)
	{
		const OutboxPlace *place = &chunk->places[chunk->next + n];

		/* a message that is larger than the bound goes alone */
		if (tokens < 1.0 || (held > 0 && held + place->held > IN_FLIGHT_BYTES))
			break;
		held += place->held;
		if (place->completes)
			tokens -= 1.0;
		n++;
	}
	return n;
}
