/*-------------------------------------------------------------------------
 *
 * relay_main.c
 *	  The life of a relay: start, one attempt after the other, end.
 *
 * An attempt is one life of the sink. Whatever goes wrong in it (an error
 * raised by the sink or by the server, a message given back, an event
 * rejected) ends the attempt, not the process: the position is recorded, the
 * sink is shut down, and after a pause a new attempt starts from the
 * position. So there is one way to recover, and it is the way to start.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "storage/ipc.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "avro/outbox_avro.h"
#include "compat.h"
#include "relay/keeper/keeper.h"
#include "relay/launch/launch.h"
#include "relay/loop/loop.h"
#include "relay/replay/replay.h"
#include "relay/session/session.h"
#include "sink/sink.h"

#define CHUNK_MESSAGES 2048

static bool begin(OutboxRelay *relay);
static bool try_to_begin(OutboxRelay *relay, bool *wanted);
static void name_session(OutboxRelay *relay);
static void add_context(void *arg);
static OutboxRelay *new_relay(const OutboxRelayArgs *args);
static void on_exit_shutdown(int code, Datum arg);
static bool claim_sink(OutboxRelay *relay);
static OutboxAttemptEnd run_attempt(OutboxRelay *relay);
static void start_attempt(OutboxRelay *relay);
static void start_sink(OutboxRelay *relay);
static void end_attempt(OutboxRelay *relay);
static void save_position(OutboxRelay *relay);
static void shutdown_sink(OutboxRelay *relay);

/* Entry point of the worker; what it is started with: relay_args.h. */
void
OutboxRelayMain(Datum main_arg)
{
	OutboxRelayArgs args;
	OutboxRelay *relay;
	OutboxAttemptEnd end;
	ErrorContextCallback context;
	int failures = 0;

	memcpy(&args, MyBgworkerEntry->bgw_extra, sizeof(args));
	OutboxSessionSignals();
	if (DatumGetInt32(main_arg) != OUTBOX_TRIAL_SLOT &&
		!OutboxRelayAttach(DatumGetInt32(main_arg), args.slot_generation))
		proc_exit(0);
	BackgroundWorkerInitializeConnectionByOid(args.dboid, InvalidOid, 0);
	OutboxSessionPinSettings();

	relay = new_relay(&args);
	before_shmem_exit(on_exit_shutdown, PointerGetDatum(relay));
	context = (ErrorContextCallback){.callback = add_context, .arg = relay, .previous = error_context_stack};
	error_context_stack = &context;
	if (!OutboxTrialAwait(args.starter) || !begin(relay))
		proc_exit(0);
	ereport(LOG, (errmsg("relay of sink \"%s\" started", relay->row.name)));
	do
	{
		uint64 acked = relay->report.acked;
		uint64 rejected = relay->rejected;

		end = run_attempt(relay);
		if (end == OUTBOX_ATTEMPT_FAILED || end == OUTBOX_ATTEMPT_RETRY || end == OUTBOX_ATTEMPT_REJECTED)
			relay->counters.retries++;
		/* attempts that fail at once must not keep storage from being looked after */
		if (end != OUTBOX_ATTEMPT_STOP && relay->row.copy_error == NULL)
			OutboxKeeperTurn(relay);
		/* a streak ends with an attempt that got somewhere; one that settled rejected events need not pause at all */
		failures = relay->rejected != rejected ? 0 : relay->report.acked != acked ? 1
																				  : failures + 1;
	} while (end != OUTBOX_ATTEMPT_STOP && OutboxRelayPause(relay, end, failures));

	OutboxReplayEnd(relay);
	OutboxRelaySetState(relay, OUTBOX_RELAY_STOPPING);
	OutboxRelayReportNow(relay, true);
	ereport(LOG, (errmsg("relay of sink \"%s\" stopped", relay->row.name)));
	proc_exit(0);
}

/*
 * Nobody may start again a relay that ends here: a relay on trial has no launcher.  So whatever keeps it from its first
 * look at the sink (the extension may be locked, for hours) is waited out here as it is later.  False: there is nothing
 * to do for this process.
 */
static bool
begin(OutboxRelay *relay)
{
	bool wanted = false;

	for (int failures = 1; !try_to_begin(relay, &wanted); failures++)
	{
		if (OutboxSessionStopRequested())
			return false;
		OutboxRelayPauseStart(relay, failures);
	}
	return wanted;
}

/* False after an error. */
static bool
try_to_begin(OutboxRelay *relay, bool *wanted)
{
	volatile bool begun = false;

	relay->now = GetCurrentTimestamp();
	PG_TRY();
	{
		*wanted = claim_sink(relay);
		begun = true;
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(relay->context);
		OutboxRelayNoteCaught(relay);
	}
	PG_END_TRY();
	name_session(relay);
	return begun;
}

/* A server may have many databases with a sink of this name: the log and pg_stat_activity say which it is. */
static void
name_session(OutboxRelay *relay)
{
	char *title = MemoryContextStrdup(relay->context,
									  psprintf("relay of sink \"%s\" in database \"%s\"", relay->row.name, relay->database));

	if (relay->title != NULL)
		pfree(relay->title);
	relay->title = title;
	SetConfigOption("application_name", psprintf("outbox relay: %s/%s", relay->database, relay->row.name), PGC_USERSET, PGC_S_SESSION);
}

static void
add_context(void *arg)
{
	errcontext("%s", ((OutboxRelay *) arg)->title);
}

static OutboxRelay *
new_relay(const OutboxRelayArgs *args)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext, "outbox relay", ALLOCSET_DEFAULT_SIZES);
	OutboxRelay *relay = MemoryContextAllocZero(context, sizeof(OutboxRelay));

	relay->context = context;
	StartTransactionCommand();
	relay->database = MemoryContextStrdup(context, get_database_name(MyDatabaseId));
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
	relay->attempt_context = AllocSetContextCreate(context, "outbox relay attempt", ALLOCSET_DEFAULT_SIZES);
	relay->turn_context = AllocSetContextCreate(context, "outbox relay turn", ALLOCSET_DEFAULT_SIZES);
	relay->progress_row.sink_id = args->sink_id;
	OutboxSinkRowInit(&relay->row, args->sink_id, context);
	OutboxReaderInit(&relay->reader, context);
	OutboxChunkInit(&relay->chunk, context, CHUNK_MESSAGES);
	OutboxReleaseInit(&relay->release, context);
	relay->report.state = OUTBOX_RELAY_STARTING;
	relay->report.since = GetCurrentTimestamp();
	OutboxRelayGetCounters(&relay->counters);
	name_session(relay);
	return relay;
}

/* Also when the process ends by an error that is not ours to catch: threads of a sink must not outlive it. */
static void
on_exit_shutdown(int code, Datum arg)
{
	shutdown_sink((OutboxRelay *) DatumGetPointer(arg));
}

/* False: there is nothing to do for this process. */
static bool
claim_sink(OutboxRelay *relay)
{
	if (OutboxSinkRowLoad(&relay->row) == OUTBOX_SINK_STOP)
		return false;
	if (OutboxSinkRowLock(&relay->row))
		return true;
	ereport(LOG,
			(errmsg("sink \"%s\" has a relay already", relay->row.name),
			 errdetail("Two relays of one sink never run; the older one goes on.")));
	return false;
}

static OutboxAttemptEnd
run_attempt(OutboxRelay *relay)
{
	volatile OutboxAttemptEnd end = OUTBOX_ATTEMPT_FAILED;

	relay->now = GetCurrentTimestamp();
	/* status shows why; the worker looks again until somebody confirms the copy */
	if (relay->row.copy_error != NULL)
		return OUTBOX_ATTEMPT_RECONNECT;

	PG_TRY();
	{
		OutboxRelayShow(relay, OUTBOX_ACTIVITY_CONNECTING);
		start_attempt(relay);
		end = OutboxRelayLoop(relay);
		OutboxSessionStopping(end == OUTBOX_ATTEMPT_STOP);
		OutboxRelayShow(relay, OUTBOX_ACTIVITY_DRAINING);
		OutboxRelayDrain(relay);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(relay->context);
		OutboxRelayNoteCaught(relay);
		end = OutboxSessionStopRequested() ? OUTBOX_ATTEMPT_STOP : OUTBOX_ATTEMPT_FAILED;
	}
	PG_END_TRY();

	OutboxSessionStopping(end == OUTBOX_ATTEMPT_STOP);
	if (end == OUTBOX_ATTEMPT_REJECTED)
		OutboxRelaySetBarrier(relay);
	end_attempt(relay);
	return end;
}

/* Everything from the recorded position on, with a new sink. Old reports cannot be mistaken for new ones. */
static void
start_attempt(OutboxRelay *relay)
{
	OutboxProgress position;

	MemoryContextReset(relay->attempt_context);
	MemoryContextSwitchTo(relay->attempt_context);
	/* the sink may have another name by now */
	name_session(relay);
	relay->attempt++;
	relay->ready = false;
	relay->report.retry_at = 0;
	relay->failure = OUTBOX_ATTEMPT_GOES_ON;
	relay->barrier_handed = false;
	relay->barrier_windows = relay->reader.windows;
	relay->probing = relay->attempt == 1 && relay->row.on_reject == OUTBOX_ON_REJECT_STOP;
	OutboxChunkReset(&relay->chunk);

	OutboxProgressLoad(&relay->progress_row, &position);
	OutboxReaderReset(&relay->reader, &position);
	OutboxSchemaCacheInit(&relay->schemas, relay->row.id, relay->row.forgotten, relay->attempt_context);
	OutboxDispatchInit(&relay->dispatch, relay->attempt_context, &position, &relay->counters);
	relay->reader.position = &relay->dispatch.progress;
	OutboxHoldInit(&relay->hold, relay->attempt_context, &relay->row);
	OutboxHoldLoad(&relay->hold, &relay->schemas);
	if (relay->retry_routes)
		OutboxRouteRetry(&relay->hold, false);
	relay->retry_routes = false;
	OutboxReleaseReset(&relay->release);
	relay->saved_at = 0;
	relay->saved_tail = 0;
	relay->saved_begun = position.cur != NULL;
	relay->saved_seq_seen = position.seq_seen;
	relay->saved_acked = position.acked;
	relay->saved_xmax = position.last != NULL ? position.last->xmax : 0;
	relay->report.seq_seen = position.seq_seen;
	relay->report_changed = true;
	relay->prepared = true;

	start_sink(relay);
}

static void
start_sink(OutboxRelay *relay)
{
	relay->callbacks = OutboxSinkLoad(relay->row.library);
	OutboxRelayPrepareSink(relay, &relay->sink, relay->attempt_context, relay->attempt);
	relay->started = true;
	relay->callbacks->startup_cb(&relay->sink);
}

static void
end_attempt(OutboxRelay *relay)
{
	OutboxRelayForgetWait();
	shutdown_sink(relay);
	save_position(relay);
	OutboxRelayReportNow(relay, true);
	relay->prepared = false;
	/* until the next attempt all that is not acknowledged is a backlog again */
	relay->report.queued = 0;
	relay->report.in_flight = 0;
	relay->report.in_flight_bytes = 0;
	relay->report.window_left = 0;
	relay->report.oldest_unacked = 0;
	relay->report.seq_seen = relay->dispatch.progress.seq_seen;
}

/* What was acknowledged is recorded even after an error, else a sink that fails often would get nowhere. */
static void
save_position(OutboxRelay *relay)
{
	if (!relay->prepared)
		return;
	PG_TRY();
	{
		relay->now = GetCurrentTimestamp();
		OutboxReleaseFinish(relay);
		OutboxRelayStoreHeld(relay);
		OutboxRelaySave(relay, true);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(relay->context);
		OutboxRelayNoteCaught(relay);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(relay->context);
}

static void
shutdown_sink(OutboxRelay *relay)
{
	if (!relay->started)
		return;
	relay->started = false;
	relay->callbacks->shutdown_cb(&relay->sink);
}
