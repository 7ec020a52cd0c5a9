/*-------------------------------------------------------------------------
 *
 * worker.h
 *	  A relay's state and duties beside publishing.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_RELAY_WORKER_WORKER_H
#define OUTBOX_RELAY_WORKER_WORKER_H

#include "catalog/outbox_catalog.h"
#include "relay/hold/hold.h"
#include "relay/publish/publish.h"
#include "relay/read/read.h"
#include "relay/session/session.h"
#include "shared/outbox_shared.h"
#include "sink/outbox_sink.h"

/* ---- release.c: Publishes events that waited, as soon as they need not wait any more. ---- */

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

	/* a round over outbox_internal.held_event, in the order of seq */
	bool running;
	bool for_routes;      /* only to try routes: ends when each was tried */
	bool complete;        /* the chunk holds the last of it */
	int64 cursor;         /* rows up to this seq were looked at */
	TimestampTz again_at; /* another one is due then; 0: none */
} OutboxRelease;

struct OutboxRelay;

extern void OutboxReleaseInit(OutboxRelease *release, MemoryContext context);
extern void OutboxReleaseReset(OutboxRelease *release);
extern bool OutboxReleaseStep(struct OutboxRelay *relay);
extern void OutboxReleaseAck(struct OutboxRelay *relay, const OutboxAck *ack);
extern long OutboxReleaseWait(const struct OutboxRelay *relay, long limit);

/* release_results.c: what came of them */
extern void OutboxReleaseFinish(struct OutboxRelay *relay);

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

/* ---- The parts of a relay, and how its attempts end. ---- */

/* Instead of a sink's words. */
#define NO_REASON "The sink gave no reason."

/* How long a rejected event waits until it is offered again, with on_reject = stop. */
#define OUTBOX_REJECTED_MS 30000

/* An attempt is one life of the sink: from startup_cb to shutdown_cb. */
typedef enum OutboxAttemptEnd
{
	OUTBOX_ATTEMPT_GOES_ON,
	OUTBOX_ATTEMPT_STOP,      /* the relay shall end */
	OUTBOX_ATTEMPT_RECONNECT, /* the sink's options changed */
	OUTBOX_ATTEMPT_RETRY,     /* the sink gave a message back */
	OUTBOX_ATTEMPT_REJECTED,  /* the broker refuses an event for good */
	OUTBOX_ATTEMPT_FAILED     /* an error was raised */
} OutboxAttemptEnd;

/* What pg_stat_activity says of a relay. */
typedef enum OutboxActivity
{
	OUTBOX_ACTIVITY_NONE,
	OUTBOX_ACTIVITY_CONNECTING,
	OUTBOX_ACTIVITY_PUBLISHING,
	OUTBOX_ACTIVITY_IDLE,
	OUTBOX_ACTIVITY_REPLAYING,
	OUTBOX_ACTIVITY_DRAINING,
	OUTBOX_ACTIVITY_PAUSING
} OutboxActivity;

struct OutboxReplay;

/* A duty for dead letters, and how often it failed in a row. */
typedef struct OutboxLetterDuty
{
	int failures;
	TimestampTz failed_at;
} OutboxLetterDuty;

typedef struct OutboxRelay
{
	MemoryContext context;         /* lives as long as the process */
	MemoryContext attempt_context; /* reset at each attempt */
	MemoryContext turn_context;    /* reset at each turn of the loop: what callbacks leave behind */
	OutboxSinkRow row;
	OutboxProgressRow progress_row;
	OutboxReader reader;
	OutboxRelease release;
	OutboxRelayReport report;
	OutboxRelayCounters counters;
	struct OutboxKeeper *keeper; /* NULL: no turn yet */

	/* the present attempt */
	uint32 attempt;
	bool prepared; /* dispatch and schemas are set up */
	bool started;  /* startup_cb was called: shutdown_cb is due */
	bool ready;    /* check_configured_cb agreed */
	const OutboxSinkCallbacks *callbacks;
	OutboxSinkState sink;
	OutboxSchemaCache schemas;
	OutboxChunk chunk;
	OutboxDispatch dispatch;
	OutboxHold hold;
	OutboxAttemptEnd failure; /* RETRY or REJECTED: what the sink said of a message, else GOES_ON */
	uint64 failed_index;      /* of that message */
	bool look;                /* open a window when the present one is read */

	/*
	 * With on_reject = stop a rejected event is offered again alone: nothing
	 * behind it leaves before it is taken. A new process does not know whether there is one, so its
	 * first message goes alone.
	 */
	bool probing;
	int64 barrier_seq; /* 0 = none */
	bool barrier_handed;
	uint64 barrier_windows; /* the reader's count of windows when the attempt began */

	struct OutboxReplay *replay; /* replay.c; NULL: none was asked for since the process started */

	OutboxActivity activity;
	OutboxRelayState shown_state; /* with it */

	/* what is due when */
	TimestampTz now;           /* as of the present turn of the loop */
	TimestampTz looked_at;     /* the newest window */
	TimestampTz configured_at; /* the sink's row was read */
	TimestampTz saved_at;      /* the position was written */
	TimestampTz reported_at;
	TimestampTz acked_shown_at; /* and which move of the position that was */
	uint64 acked_shown;
	TimestampTz purged_at; /* resolved dead letters were removed */
	TimestampTz late_at;   /* late keys were asked for, */
	long late_pause;       /* milliseconds until they are again */
	OutboxLetterDuty purging;
	OutboxLetterDuty redriving;
	bool report_changed;
	bool retry_routes; /* what took nothing may be another topic, with other options */
	uint64 saved_tail; /* what the written position covers */
	bool saved_begun;
	int64 saved_seq_seen;
	uint64 saved_xmax;
	uint64 saved_acked;
	TimestampTz rejection_logged_at;
	const char *database;
	char *title;     /* names sink and database, in the log */
	uint64 rejected; /* events, since the process started */
} OutboxRelay;

/* ---- duties.c: A relay's position on disk, its report in shared memory, its configuration. ---- */

extern void OutboxRelayPrepareSink(const OutboxRelay *relay, OutboxSinkState *sink, MemoryContext context, uint32 attempt);
extern void OutboxRelaySave(OutboxRelay *relay, bool force);
extern long OutboxRelaySaveDue(const OutboxRelay *relay, long limit);
extern void OutboxRelayReportNow(OutboxRelay *relay, bool force);
extern void OutboxRelayShowAcked(OutboxRelay *relay);
extern void OutboxClipText(char *target, const char *text);
extern void OutboxRelayNoteError(OutboxRelay *relay, const char *text);
extern void OutboxRelaySetState(OutboxRelay *relay, OutboxRelayState state);
extern void OutboxRelayShow(OutboxRelay *relay, OutboxActivity activity);
extern OutboxAttemptEnd OutboxRelayConfigure(OutboxRelay *relay, long every_ms);

/* ---- dead_letters.c: Forgets resolved dead letters and retries late keys. ---- */

extern void OutboxRelayTendLetters(OutboxRelay *relay);

/* ---- waiting.c: How a relay waits: for its latch, its sink's descriptor, or the time. ---- */

extern bool OutboxRelayWait(OutboxRelay *relay, long timeout);
extern bool OutboxRelayHasSocket(void);
extern void OutboxRelayForgetWait(void);

/* ---- trouble.c: What status and the log say of errors, rejected events and the transport. ---- */

extern void OutboxRelayNoteCaught(OutboxRelay *relay);
extern void OutboxRelaySetBarrier(OutboxRelay *relay);
extern void OutboxRelayCheckBarrier(OutboxRelay *relay);
extern void OutboxRelayNoteRejection(OutboxRelay *relay, const char *words);
extern void OutboxRelayNoteBlocked(OutboxRelay *relay, const OutboxPlace *place, const OutboxAck *ack);
extern void OutboxRelayCheckTrouble(OutboxRelay *relay);

#endif /* OUTBOX_RELAY_WORKER_WORKER_H */
