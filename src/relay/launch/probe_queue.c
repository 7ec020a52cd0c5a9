/*-------------------------------------------------------------------------
 *
 * probe_queue.c
 *	  Which databases the launcher has to look at, and the one it looks at now.
 *
 * One probe runs at a time: probes are rare, short, and must not take the
 * background workers that relays need.  One that failed is repeated with
 * growing pauses for as long as its database exists.
 *
 * The server does not say how a background worker ended. So each probe has a number,
 * and says itself that it came to its end (shared/launcher_queue.c). That a database
 * which nobody can enter holds up no other one rests on that and on the limit of time:
 * test/t/162_database_locked.pl.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/varlena.h"

#include "compat.h"
#include "guc.h"
#include "relay/launch/launch_private.h"
#include "relay/session/session.h"
#include "shared/shared_layout.h"

#define RETRY_FIRST_MS 1000
#define RETRY_MAX_MS 60000
#define NO_WORKER_MS 5000
/* A probe that takes longer is ended: it may be waiting for a lock on its database, and other databases wait for it. */
#define LIMIT_MS 15000

typedef struct QueuedProbe
{
	Oid dboid;
	int failures;
	TimestampTz due;
} QueuedProbe;

static List *queue = NIL; /* of QueuedProbe, in TopMemoryContext */

static struct
{
	BackgroundWorkerHandle *handle;
	QueuedProbe probe;
	uint32 token;
	TimestampTz until;
	bool again; /* asked for once more while it ran */
} running;

static void start_probe(QueuedProbe *probe, TimestampTz *next);
static bool finish_probe(TimestampTz *next);

static QueuedProbe *
find_queued(Oid dboid)
{
	ListCell *cell;

	foreach (cell, queue)
	{
		QueuedProbe *probe = (QueuedProbe *) lfirst(cell);

		if (probe->dboid == dboid)
			return probe;
	}
	return NULL;
}

static void
enqueue(Oid dboid, int failures, TimestampTz due)
{
	QueuedProbe *probe = find_queued(dboid);
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

	if (probe == NULL)
	{
		probe = palloc(sizeof(QueuedProbe));
		queue = lappend(queue, probe);
	}
	*probe = (QueuedProbe){.dboid = dboid, .failures = failures, .due = due};
	MemoryContextSwitchTo(old);
}

/* ---- in the launcher ---- */
void
OutboxProbeQueue(Oid dboid)
{
	/* what the running probe has read may be outdated */
	if (running.handle != NULL && running.probe.dboid == dboid)
		running.again = true;
	else
		enqueue(dboid, 0, GetCurrentTimestamp());
}

/* queued or running: what it wants is not known */
bool
OutboxProbeIsPending(Oid dboid)
{
	return find_queued(dboid) != NULL ||
		(running.handle != NULL && running.probe.dboid == dboid);
}

/* ---- pg_database ------------------------------------------------------------ */

/* Databases that accept connections and that outbox.databases allows; list of oids in the caller's context. */
static List *
read_databases(void)
{
	MemoryContext caller = CurrentMemoryContext;
	List *result = NIL;
	Relation rel;
	TableScanDesc scan;
	HeapTuple tuple;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	(void) GetTransactionSnapshot();
	pgstat_report_activity(STATE_RUNNING, "reading pg_database");
	rel = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(rel, 0, NULL);
	while (HeapTupleIsValid(tuple = heap_getnext(scan, ForwardScanDirection)))
	{
		Form_pg_database database = (Form_pg_database) GETSTRUCT(tuple);

		if (database->datallowconn && database->datconnlimit != OUTBOX_DATCONNLIMIT_INVALID &&
			OutboxDatabaseListed(NameStr(database->datname)))
		{
			MemoryContext old = MemoryContextSwitchTo(caller);

			result = lappend_oid(result, database->oid);
			MemoryContextSwitchTo(old);
		}
	}
	table_endscan(scan);
	table_close(rel, AccessShareLock);
	CommitTransactionCommand();
	pgstat_report_stat(true);
	pgstat_report_activity(STATE_IDLE, NULL);
	MemoryContextSwitchTo(caller);
	return result;
}

/*
 * reads pg_database in a transaction of its own
 *
 * Relays of a database that is gone, accepts no connections any more, or is
 * not listed any more, are not wanted.  The slots are read before the catalog.
 */
void
OutboxProbeQueueAll(void)
{
	List *owners = NIL;
	List *databases;
	ListCell *cell;

	for (int slot = 0; slot < OUTBOX_MAX_RELAYS; slot++)
	{
		OutboxRelayView view;

		OutboxRelayGet(slot, &view);
		if (view.in_use)
			owners = list_append_unique_oid(owners, view.dboid);
	}
	databases = read_databases();
	foreach (cell, owners)
	{
		if (!list_member_oid(databases, lfirst_oid(cell)))
			(void) OutboxRelayWant(lfirst_oid(cell), InvalidOid, NULL, 0);
	}
	foreach (cell, databases)
		OutboxProbeQueue(lfirst_oid(cell));
}

/* ---- running them ----------------------------------------------------------- */

void
OutboxProbeStep(TimestampTz *next)
{
	TimestampTz now = GetCurrentTimestamp();
	QueuedProbe *first = NULL;
	ListCell *cell;

	if (running.handle != NULL && !finish_probe(next))
		return;
	foreach (cell, queue)
	{
		QueuedProbe *probe = (QueuedProbe *) lfirst(cell);

		if (first == NULL || probe->due < first->due)
			first = probe;
	}
	if (first == NULL)
		return;
	if (OutboxTimeReached(first->due, now, RETRY_MAX_MS))
		start_probe(first, next);
	else
		OutboxLauncherWakeAt(next, first->due);
}

static bool
accepts_connections(Oid dboid)
{
	return list_member_oid(read_databases(), dboid);
}

static void
start_probe(QueuedProbe *probe, TimestampTz *next)
{
	BackgroundWorker worker = {0};
	OutboxProbeArgs args;

	if (!accepts_connections(probe->dboid))
	{
		(void) OutboxRelayWant(probe->dboid, InvalidOid, NULL, 0);
		queue = list_delete_ptr(queue, probe);
		pfree(probe);
		SetLatch(MyLatch); /* its relays are to be stopped, other probes may wait */
		return;
	}
	args.dboid = probe->dboid;
	args.token = OutboxProbeBegin();
	memcpy(worker.bgw_extra, &args, sizeof(args));
	strlcpy(worker.bgw_function_name, OUTBOX_PROBE_FUNCTION, sizeof(worker.bgw_function_name));
	strlcpy(worker.bgw_type, "outbox probe", sizeof(worker.bgw_type));
	snprintf(worker.bgw_name, sizeof(worker.bgw_name), "outbox probe of database %u", args.dboid);
	if (!OutboxLauncherStartWorker(&worker, &running.handle))
	{
		running.handle = NULL;
		probe->due = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), NO_WORKER_MS);
		OutboxLauncherWakeAt(next, probe->due);
		return;
	}
	running.probe = *probe;
	running.token = args.token;
	running.until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), LIMIT_MS);
	OutboxLauncherWakeAt(next, running.until);
	running.again = false;
	queue = list_delete_ptr(queue, probe);
	pfree(probe);
}

/* False while it runs; its end sets our latch. */
static bool
finish_probe(TimestampTz *next)
{
	int failures = running.probe.failures;
	pid_t pid;

	if (GetBackgroundWorkerPid(running.handle, &pid) != BGWH_STOPPED)
	{
		if (OutboxTimeReached(running.until, GetCurrentTimestamp(), LIMIT_MS))
		{
			TerminateBackgroundWorker(running.handle);
			running.until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), LIMIT_MS);
		}
		OutboxLauncherWakeAt(next, running.until);
		return false;
	}
	pfree(running.handle);
	running.handle = NULL;
	if (running.again)
		enqueue(running.probe.dboid, 0, GetCurrentTimestamp());
	else if (!OutboxProbeSucceeded(running.token))
	{
		int pause = Min(RETRY_FIRST_MS << Min(failures, 6), RETRY_MAX_MS);

		enqueue(running.probe.dboid, failures + 1,
				TimestampTzPlusMilliseconds(GetCurrentTimestamp(), pause));
	}
	return true;
}

/*
 * Is outbox.databases empty, or does it name the database? Allocates in the current
 * memory context.
 *
 * A server with very many databases would start a probe for each of them, although
 * few have the extension. A database that is not listed gets neither a probe nor a
 * relay.
 */
bool
OutboxDatabaseListed(const char *name)
{
	char *names = pstrdup(outbox_databases ? outbox_databases : "");
	List *listed = NIL;
	ListCell *lc;

	/* the setting is checked when it is set */
	if (!SplitGUCList(names, ',', &listed) || listed == NIL)
		return true;
	foreach (lc, listed)
	{
		if (strcmp((const char *) lfirst(lc), name) == 0)
			return true;
	}
	return false;
}
