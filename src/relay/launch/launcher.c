/*-------------------------------------------------------------------------
 *
 * launcher.c
 *	  The static worker that keeps every wanted relay running.
 *
 * It is connected to no database, so that it never stands in the way of
 * DROP DATABASE or CREATE DATABASE ... TEMPLATE.  Which sinks of a database
 * are wanted is told by a short probe worker (probe.c), one at a time, for
 * every database at start and at SIGHUP, and for one database whenever
 * start_relay, stop_relay or the exit of a relay asks for it.
 *
 * The relay slots in shared memory hold the state (shared/relay_slots.c).
 * What this process remembers itself, handles of workers that are being
 * started and the probes to make, can be lost: after a restart of the
 * launcher it looks at all databases again, running relays keep running, and
 * a start that nobody attached to expires.
 *
 * A list of databases in postgresql.conf would not make the probes superfluous: which
 * sinks of a database shall run, only that database knows, and it is asked after a
 * crash, a failover and a restart, too. That start_relay() alone is enough, in any
 * database, and that no session of ours keeps a database from being dropped, rests on
 * this: test/t/045_databases.pl, test/t/162_database_locked.pl,
 * test/t/035_relay_standby.pl.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/ps_status.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "compat.h"
#include "relay/launch/launch_private.h"
#include "relay/session/session.h"
#include "shared/shared_layout.h"

#define LAUNCHER_RESTART_SECONDS 5
#define IDLE_MS 60000
/* No free background worker: how long to wait before asking again. */
#define NO_WORKER_MS 5000
/* A relay that keeps failing is started again after this long at most (shared/relay_slots.c). */
#define THROTTLE_LONGEST_MS 60000
/* A worker that has not attached for this long is given up. */
#define START_TIMEOUT_MS 60000

/* The worker that was started for a slot; meaningful while the slot's slot_generation is the same. */
static struct
{
	BackgroundWorkerHandle *handle;
	uint32 slot_generation;
} started[OUTBOX_MAX_RELAYS];

extern PGDLLEXPORT void OutboxLauncherMain(Datum main_arg);

static void launcher_loop(void);
static void tend_relay(int slot, TimestampTz *next);
static void start_relay(int slot, TimestampTz *next);
static void watch_start(int slot, const OutboxRelayView *view, TimestampTz *next);

/* from _PG_init, while preloading */
void
OutboxLauncherRegister(void)
{
	BackgroundWorker worker = {0};

	if (IsBinaryUpgrade)
		return;
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = LAUNCHER_RESTART_SECONDS;
	strlcpy(worker.bgw_library_name, OUTBOX_RELAY_LIBRARY, sizeof(worker.bgw_library_name));
	strlcpy(worker.bgw_function_name, "OutboxLauncherMain", sizeof(worker.bgw_function_name));
	strlcpy(worker.bgw_name, "outbox launcher", sizeof(worker.bgw_name));
	strlcpy(worker.bgw_type, "outbox launcher", sizeof(worker.bgw_type));
	RegisterBackgroundWorker(&worker);
}

void
OutboxLauncherMain(Datum main_arg)
{
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, SignalHandlerForShutdownRequest);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	OutboxLauncherAttach();
	ereport(DEBUG1, (errmsg_internal("outbox launcher started")));
	launcher_loop();
	/* a worker that exits with 0 is never started again */
	proc_exit(1);
}

/* Within the launcher process: brings the moment of the next wake-up forward. */
void
OutboxLauncherWakeAt(TimestampTz *next, TimestampTz when)
{
	if (when < *next)
		*next = when;
}

/*
 * Every round looks at everything: the number of slots and of queued probes
 * is small, and a round is only made when something happened.
 */
static void
launcher_loop(void)
{
	MemoryContext round = AllocSetContextCreate(TopMemoryContext, "outbox launcher round",
												ALLOCSET_DEFAULT_SIZES);
	uint32 wait_event = OutboxWaitEvent("OutboxLauncherMain");

	OutboxProbeQueueAll();
	while (!ShutdownRequestPending)
	{
		TimestampTz next = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), IDLE_MS);
		Oid dboid;

		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		MemoryContextSwitchTo(round);
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
			OutboxProbeQueueAll();
		}
		while (OutboxLauncherNextPoked(&dboid))
		{
			if (OidIsValid(dboid))
				OutboxProbeQueue(dboid);
			else
				OutboxProbeQueueAll();
		}
		OutboxProbeStep(&next);
		for (int slot = 0; slot < OUTBOX_MAX_RELAYS; slot++)
			tend_relay(slot, &next);
		MemoryContextReset(round);

		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 TimestampDifferenceMilliseconds(GetCurrentTimestamp(), next), wait_event);
	}
}

/* ---- one relay slot --------------------------------------------------------- */

static void
tend_relay(int slot, TimestampTz *next)
{
	OutboxRelayView view;

	OutboxRelayGet(slot, &view);
	if (!view.in_use)
		return;
	switch (view.phase)
	{
		case OUTBOX_PHASE_RUNNING:
			if (!view.wanted)
				OutboxRelayTerminate(slot, view.slot_generation);
			break;
		case OUTBOX_PHASE_STARTING:
			watch_start(slot, &view, next);
			break;
		case OUTBOX_PHASE_IDLE:
			if (!view.wanted)
				OutboxRelayRelease(slot, view.slot_generation);
			else if (OutboxProbeIsPending(view.dboid))
				break; /* it may be unwanted by now: the probe's end brings us back */
			else if (OutboxTimeReached(view.not_before, GetCurrentTimestamp(), THROTTLE_LONGEST_MS))
				start_relay(slot, next);
			else
				OutboxLauncherWakeAt(next, view.not_before);
			break;
	}
}

/*
 * Fills in what all workers have in common; *handle is in TopMemoryContext.
 *
 * Starts a worker, false when the server has no free one.  The log says so
 * once per streak: it is tried again every few seconds.
 */
bool
OutboxLauncherStartWorker(BackgroundWorker *worker, BackgroundWorkerHandle **handle)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
	bool ok;

	worker->bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker->bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker->bgw_restart_time = BGW_NEVER_RESTART;
	worker->bgw_notify_pid = MyProcPid;
	strlcpy(worker->bgw_library_name, OUTBOX_RELAY_LIBRARY, sizeof(worker->bgw_library_name));
	ok = RegisterDynamicBackgroundWorker(worker, handle);
	MemoryContextSwitchTo(old);
	if (!OutboxLauncherSetNoWorker(!ok) && !ok)
		ereport(LOG,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("could not start \"%s\": no background worker is free", worker->bgw_name),
				 errhint("Raise max_worker_processes; it is tried again every %d seconds.",
						 NO_WORKER_MS / 1000)));
	return ok;
}

static void
forget_handle(int slot)
{
	if (started[slot].handle != NULL)
		pfree(started[slot].handle);
	started[slot].handle = NULL;
}

static void
start_relay(int slot, TimestampTz *next)
{
	BackgroundWorker worker = {0};
	OutboxRelayArgs args = {0};
	OutboxRelayView view;
	uint32 slot_generation = OutboxRelayBeginStart(slot);

	if (slot_generation == 0)
		return;
	OutboxRelayGet(slot, &view);
	args.dboid = view.dboid;
	args.sink_id = view.sink_id;
	args.slot_generation = slot_generation;
	StaticAssertStmt(sizeof(args) <= BGW_EXTRALEN, "relay arguments do not fit");
	memcpy(worker.bgw_extra, &args, sizeof(args));
	worker.bgw_main_arg = Int32GetDatum(slot);
	strlcpy(worker.bgw_function_name, OUTBOX_RELAY_FUNCTION, sizeof(worker.bgw_function_name));
	strlcpy(worker.bgw_type, OUTBOX_RELAY_TYPE, sizeof(worker.bgw_type));
	snprintf(worker.bgw_name, sizeof(worker.bgw_name), "outbox relay for sink %d of database %u",
			 args.sink_id, args.dboid);

	forget_handle(slot);
	if (OutboxLauncherStartWorker(&worker, &started[slot].handle))
	{
		started[slot].slot_generation = slot_generation;
		OutboxLauncherWakeAt(next, TimestampTzPlusMilliseconds(GetCurrentTimestamp(), START_TIMEOUT_MS));
		return;
	}
	started[slot].handle = NULL;
	OutboxRelayAbandonStart(slot, slot_generation, false,
							TimestampTzPlusMilliseconds(GetCurrentTimestamp(), NO_WORKER_MS));
	OutboxLauncherWakeAt(next, TimestampTzPlusMilliseconds(GetCurrentTimestamp(), NO_WORKER_MS));
}

/* A worker that ended without attaching, or that nobody heard of for too long, is a failed start. */
static void
watch_start(int slot, const OutboxRelayView *view, TimestampTz *next)
{
	TimestampTz deadline = TimestampTzPlusMilliseconds(view->phase_since, START_TIMEOUT_MS);
	bool failed = deadline <= GetCurrentTimestamp();
	pid_t pid;

	if (started[slot].handle != NULL && started[slot].slot_generation == view->slot_generation)
		failed |= GetBackgroundWorkerPid(started[slot].handle, &pid) == BGWH_STOPPED;
	if (failed)
	{
		OutboxRelayAbandonStart(slot, view->slot_generation, true, 0);
		SetLatch(MyLatch); /* idle now: wait for its throttle */
	}
	else
		OutboxLauncherWakeAt(next, deadline);
}
