/*-------------------------------------------------------------------------
 *
 * probe.c
 *	  A short worker that tells the launcher what a database wants.
 *
 * It connects, sees whether the extension is there in the version of this
 * library, reads which sinks should be running, writes that into the relay
 * slots and exits.  It waits for no lock longer than a few seconds, and the
 * launcher ends a probe that takes too long (probe_queue.c): one that failed
 * is repeated, after those of other databases.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "commands/dbcommands.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "storage/ipc.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

#include "catalog/outbox_catalog.h"
#include "relay/launch/launch_private.h"
#include "relay/session/session.h"
#include "shared/shared_layout.h"
#include "util/util.h"

extern PGDLLEXPORT void OutboxProbeMain(Datum main_arg);

/* Other databases wait meanwhile. */
#define EXTENSION_WAIT_MS 500

static int read_wanted(int32 *sink_ids, int max);

/* The extension is there and its SQL objects are of this library's version. */
static bool
installed(void)
{
	OutboxRows rows = OutboxSelect("SELECT extversion FROM pg_catalog.pg_extension WHERE extname = 'outbox_ext'", OUTBOX_NO_ARGS);
	char *version;

	if (rows.n == 0)
		return false;
	version = OutboxRowText(&rows, 0, 1);
	if (strcmp(version, OUTBOX_VERSION) == 0)
		return true;
	ereport(LOG,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("relays of database \"%s\" are not started", get_database_name(MyDatabaseId)),
			 errdetail("Extension outbox_ext has version %s there, the library has version %s.",
					   version, OUTBOX_VERSION),
			 errhint("Run ALTER EXTENSION outbox_ext UPDATE in that database, then reload the server's configuration.")));
	return false;
}

/* At most OUTBOX_MAX_RELAYS + 1 of them: one too many is enough to say so. */
static int
read_wanted(int32 *sink_ids, int max)
{
	OutboxRows rows = OutboxSelect("SELECT id FROM outbox_internal.sink WHERE desired_state OPERATOR(pg_catalog.=) 'running' ORDER BY id LIMIT $1",
								   OUTBOX_ARGS(OUTBOX_INT4(max)));

	for (uint64 i = 0; i < rows.n; i++)
		sink_ids[i] = (int32) OutboxRowInt(&rows, i, 1, 0);
	return (int) rows.n;
}

static void
probe(void)
{
	int32 sink_ids[OUTBOX_MAX_RELAYS + 1];
	Oid installation;
	int n = 0;
	int refused;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	/* what is there then stays, and DROP EXTENSION is met before anything of ours is looked for */
	OutboxSessionLockExtension(EXTENSION_WAIT_MS);
	PushActiveSnapshot(GetTransactionSnapshot());
	pgstat_report_activity(STATE_RUNNING, "reading outbox_internal.sink");
	SPI_connect();
	if (installed())
		n = read_wanted(sink_ids, lengthof(sink_ids));
	SPI_finish();
	installation = OutboxInstallation();
	OutboxDatabaseSweep();
	PopActiveSnapshot();
	CommitTransactionCommand();

	refused = OutboxRelayWant(MyDatabaseId, installation, sink_ids, n);
	if (refused > 0)
		ereport(LOG,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("%d relays of database %u are not started", refused, MyDatabaseId),
				 errdetail("A server runs at most %d relays.", OUTBOX_MAX_RELAYS),
				 errhint("Stop or drop sinks that are not needed.")));
	pgstat_report_stat(true);
}

void
OutboxProbeMain(Datum main_arg)
{
	OutboxProbeArgs args;

	memcpy(&args, MyBgworkerEntry->bgw_extra, sizeof(args));
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnectionByOid(args.dboid, InvalidOid, 0);
	OutboxSessionPinSettings();
	SetConfigOption("lock_timeout", "5s", PGC_SUSET, PGC_S_OVERRIDE);
	probe();
	OutboxProbeDone(args.token);
	proc_exit(0);
}
