/*-------------------------------------------------------------------------
 *
 * worker.h
 *	  The parts of a relay, and how its attempts end.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_WORKER_H
#define OUTBOX_WORKER_H

#include "catalog/outbox_catalog.h"
#include "relay/hold/hold.h"
#include "relay/publish/dispatch.h"
#include "relay/read/message.h"
#include "relay/read/progress.h"
#include "relay/read/reader.h"
#include "relay/read/schema_cache.h"
#include "relay/session/sink_row.h"
#include "relay/worker/release.h"
#include "shared/outbox_shared.h"
#include "sink/outbox_sink.h"

/* Instead of a sink's words. */
#define NO_REASON "The sink gave no reason."

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

/* Work that is not publishing, and that failed so often in a row. */
typedef struct OutboxChore
{
	int failures;
	TimestampTz failed_at;
} OutboxChore;

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
	OutboxMeter meter;
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
	TimestampTz purged_at; /* resolved dead letters were removed */
	TimestampTz late_at;   /* late keys were asked for, */
	long late_pause;       /* milliseconds until they are again */
	OutboxChore purging;
	OutboxChore redriving;
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

/* ---- relay_main.c ---- */

/* Fills what a sink's startup_cb needs; runs a transaction. Its memory is below the context. */
extern void OutboxRelayPrepareSink(const OutboxRelay *relay, OutboxSinkState *sink, MemoryContext context, uint32 attempt);

/* ---- loop.c: publishes until something ends the attempt ---- */
extern OutboxAttemptEnd OutboxRelayLoop(OutboxRelay *relay);

/* ---- acks.c ---- */

/* Takes what the sink reports. What it means for the attempt is in relay->failure. */
extern void OutboxRelayTakeAcks(OutboxRelay *relay);

/* Writes events that wait, and moves the position past them. */
extern void OutboxRelayKeepAside(OutboxRelay *relay);

/* Waits, at most outbox.drain_timeout, for what can still move the position. */
extern void OutboxRelayDrain(OutboxRelay *relay);

/* ---- trouble.c: tells status, the log and pg_stat_activity whether the sink can publish ---- */
extern void OutboxRelayCheckTrouble(OutboxRelay *relay);

/* ---- duties.c: position, report, configuration ---- */

/* Writes the position if it moved; with force, whatever the clock says. */
extern void OutboxRelaySave(OutboxRelay *relay, bool force);

/* Milliseconds until OutboxRelaySave has something to do, at most `limit`. */
extern long OutboxRelaySaveDue(const OutboxRelay *relay, long limit);

/* Publishes the report if it changed; with force, whatever the clock says. */
extern void OutboxRelayReportNow(OutboxRelay *relay, bool force);

/* Copies a text into OUTBOX_ERROR_LEN bytes, cut between characters. */
extern void OutboxClipText(char *target, const char *text);

/* Remembers what went wrong, for status. */
extern void OutboxRelayNoteError(OutboxRelay *relay, const char *text);

extern void OutboxRelaySetState(OutboxRelay *relay, OutboxRelayState state);

/* Tells pg_stat_activity when it changes; cheap otherwise. */
extern void OutboxRelayShow(OutboxRelay *relay, OutboxActivity activity);

/* Settings after SIGHUP and, when due, the sink's row. */
extern OutboxAttemptEnd OutboxRelayConfigure(OutboxRelay *relay, long every_ms);

/* ---- chore.c: the next two, in a relay that goes on whatever comes of them. Outside of a transaction. ---- */
extern void OutboxRelayChores(OutboxRelay *relay);

/* As OutboxSessionBeginQuery, in one of them: waits for locks for a moment only. */
extern void OutboxChoreBegin(OutboxOwnerScope *scope);

/* ---- purge_letters.c: removes resolved dead letters, when due ---- */
extern void OutboxRelayPurge(OutboxRelay *relay);

/* ---- ask_redrive.c: has late keys evaluated, when due ---- */
extern void OutboxRelayRedriveLate(OutboxRelay *relay);

/* ---- keeper.c: looks after the leaves, in one relay of each database ---- */

/* A turn, if one is due. Outside of a transaction; never raises. */
extern void OutboxKeeperTurn(OutboxRelay *relay);

/* Lets another relay be the keeper: for one that must not publish, and so not decide about storage either. */
extern void OutboxKeeperResign(OutboxRelay *relay);

/* Milliseconds until a turn is due, at most `limit`. */
extern long OutboxKeeperDue(const OutboxRelay *relay, long limit);

/* ---- waiting.c ---- */

/* Waits at most that many milliseconds. True: the latch was set. */
extern bool OutboxRelayWait(OutboxRelay *relay, long timeout);

/* Did the sink give a descriptor to wait on, at the last wait? */
extern bool OutboxRelayHasSocket(void);

/* Frees what waiting needs, before the sink that gave its descriptor goes away. */
extern void OutboxRelayForgetWait(void);

/* ---- pause_after_failure.c ---- */

/*
 * In PG_CATCH: takes the error, ends what it interrupted, and says it: the
 * first of a streak in the log, all to status.
 */
extern void OutboxRelayNoteCaught(OutboxRelay *relay);

/* Names the rejected event for status, and lets nothing past it until the broker takes it. */
extern void OutboxRelaySetBarrier(OutboxRelay *relay);

/* Ends the barrier when its event is not there any more: dropped with its leaf, or kept aside. */
extern void OutboxRelayCheckBarrier(OutboxRelay *relay);

/* A rejected event, or a topic that takes nothing, for status and the log. */
extern void OutboxRelayNoteRejection(OutboxRelay *relay, const char *words);
extern void OutboxRelayNoteBlocked(OutboxRelay *relay, const OutboxPlace *place, const OutboxAck *ack);

/* Pauses after so many failures to begin, until it is over or the relay shall stop. */
extern void OutboxRelayPauseStart(OutboxRelay *relay, int failures);

/* Pauses after an attempt; failures is the length of the streak, 0: no need to. False: the relay shall end. */
extern bool OutboxRelayPause(OutboxRelay *relay, OutboxAttemptEnd end, int failures);

#endif /* OUTBOX_WORKER_H */
