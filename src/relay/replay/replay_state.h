/*-------------------------------------------------------------------------
 *
 * replay_state.h
 *	  What the two halves of a replay share: its request, and its sink.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_REPLAY_STATE_H
#define OUTBOX_REPLAY_STATE_H

#include "relay/replay/replay_pass.h"
#include "relay/replay/replay_request.h"
#include "relay/worker/worker.h"

/* Messages under way: few, because what is new shares the way to the broker. A power of two. */
#define OUTBOX_REPLAY_IN_FLIGHT 1024

/* Events read in one transaction. */
#define OUTBOX_REPLAY_READ 256

typedef struct OutboxReplayPlace
{
	int64 seq;
	uint32 held;
	bool done;
	bool rejected;
	bool completes;
} OutboxReplayPlace;

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
	OutboxReplayPlace places[OUTBOX_REPLAY_IN_FLIGHT];
	uint64 head;
	uint64 tail;
	Size held;

	double tokens; /* events that the rate allows now */
	TimestampTz refilled_at;
	TimestampTz retry_at;
	int failures; /* in a row */
	TimestampTz saved_at;
	bool changed; /* since then */
	char error[OUTBOX_ERROR_LEN];
} OutboxReplay;

/* ---- replay_publish.c ---- */

/* A new life of the sink, which goes on behind what is done. */
extern void OutboxReplayStartSink(OutboxRelay *relay, OutboxReplay *replay);
extern void OutboxReplayStopSink(OutboxReplay *replay);

/* Takes acknowledgements, and moves the position over what is done without a gap. */
extern void OutboxReplayTakeAcks(OutboxReplay *replay);

/* One step each: what the rate allows, reading, handing over. True: there is more to do at once. */
extern void OutboxReplayRefill(OutboxRelay *relay, OutboxReplay *replay);
extern bool OutboxReplayRead(OutboxReplay *replay);
extern bool OutboxReplayHandOver(OutboxReplay *replay);

/* What the sink says of itself: may it be used, and is it in trouble? */
extern void OutboxReplayCheckTrouble(OutboxReplay *replay);

/* What is shown with the request. */
extern void OutboxReplaySetError(OutboxReplay *replay, const char *text);

#endif /* OUTBOX_REPLAY_STATE_H */
