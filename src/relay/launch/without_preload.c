/*-------------------------------------------------------------------------
 *
 * without_preload.c
 *	  Relays on a server that does not preload the library.
 *
 * For trying things out: no launcher starts them again, after a restart or a
 * crash, no hints say where to look, so they scan their leaf at every poll,
 * and they have nowhere to report to but the server's log.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "storage/procarray.h"

#include "catalog/outbox_catalog.h"
#include "compat.h"
#include "relay/launch/launch_private.h"
#include "relay/session/session.h"
#include "util/util.h"

/* How often a worker looks whether the transaction that started it has ended. */
#define LOOK_MS 100

/*
 * Starts a relay for this sink as a background worker of its own, which waits
 * for the present transaction to commit. Raises when no worker is free.
 */
void
OutboxTrialStart(int32 sink_id, const char *sink_name)
{
	BackgroundWorker worker = {
		.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION,
		.bgw_start_time = BgWorkerStart_RecoveryFinished,
		.bgw_restart_time = BGW_NEVER_RESTART,
		.bgw_main_arg = Int32GetDatum(OUTBOX_TRIAL_SLOT)};
	OutboxRelayArgs args = {.dboid = MyDatabaseId, .sink_id = sink_id, .starter = GetTopTransactionIdIfAny()};

	strlcpy(worker.bgw_library_name, OUTBOX_RELAY_LIBRARY, sizeof(worker.bgw_library_name));
	strlcpy(worker.bgw_function_name, OUTBOX_RELAY_FUNCTION, BGW_MAXLEN);
	strlcpy(worker.bgw_type, OUTBOX_RELAY_TYPE, BGW_MAXLEN);
	snprintf(worker.bgw_name, BGW_MAXLEN, "outbox relay %u/%d (trial)", MyDatabaseId, sink_id);
	memcpy(worker.bgw_extra, &args, sizeof(args));
	if (!RegisterDynamicBackgroundWorker(&worker, NULL))
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("could not start the relay of sink \"%s\": no background worker is free", sink_name),
				 errhint("Raise max_worker_processes and restart the server.")));
}

/*
 * The process of a sink's relay, 0 = none. Within SPI.
 *
 * A relay holds a lock on its sink's row as long as it lives (sink_row.c).
 */
int
OutboxTrialRelay(int32 sink_id)
{
	OutboxRows rows = OutboxSelect("SELECT pid FROM pg_locks WHERE locktype = 'object' AND classid = $1 AND objid = $2"
								   " AND objsubid = 0 AND mode = 'ExclusiveLock' AND granted"
								   " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
								   OUTBOX_ARGS(OUTBOX_OID(OutboxRelationOid("sink")), OUTBOX_OID((Oid) sink_id)));

	return rows.n == 0 ? 0 : (int) OutboxRowInt(&rows, 0, 1, 0);
}

/*
 * In the worker: waits for the end of that transaction; false when the server wants to stop.
 *
 * A transaction may be long, and a prepared one longer.
 */
bool
OutboxTrialAwait(TransactionId starter)
{
	uint32 wait_event = OutboxWaitEvent("OutboxRelayStart");

	while (TransactionIdIsValid(starter) && TransactionIdIsInProgress(starter))
	{
		if (OutboxSessionStopRequested())
			return false;
		OutboxPause(LOOK_MS, wait_event);
	}
	return true;
}
