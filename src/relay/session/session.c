/*-------------------------------------------------------------------------
 *
 * session.c
 *	  The relay as a session of the server: signals, settings, transactions.
 *
 * SIGTERM asks for an orderly end: hand over nothing more, wait for what is
 * under way, record the position. The worker default (exit at once) would
 * tear down a sink's threads from a signal handler, and a flag alone would let
 * a relay that waits for a lock delay the server's shutdown. So the handler
 * sets a flag, and while a transaction is open it also cancels the statement:
 * the error leads to the same orderly end.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>

#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_extension.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "compat.h"
#include "relay/session/session_private.h"
#include "util/util.h"

/* How long a relay waits for DROP EXTENSION before it reports, and how often it asks meanwhile. */
#define EXTENSION_WAIT_MS 5000
#define LOCK_PAUSE_MS 20

/* Is there a transaction, or another wait, that a stop request must cancel? */
static volatile sig_atomic_t cancellable = false;
static bool stopping = false;

/* Where the caller of OutboxSessionBegin allocates; a commit would leave him in TopMemoryContext. */
static MemoryContext caller_context = NULL;

static void make_cancellable(void);
static void lock_when_free(Oid extension, int wait_ms);
static void raise_locked(const LOCKTAG *tag);

static void
handle_sigterm(SIGNAL_ARGS)
{
	int save_errno = errno;

	ShutdownRequestPending = true;
	if (cancellable)
	{
		InterruptPending = true;
		QueryCancelPending = true;
	}
	SetLatch(MyLatch);
	errno = save_errno;
}

/* Signal handlers; unblocks signals. Before the database is connected. */
void
OutboxSessionSignals(void)
{
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, handle_sigterm);
	/* pg_cancel_backend has nothing to cancel here; pg_terminate_backend ends the relay in order */
	pqsignal(SIGINT, OUTBOX_SIG_IGN);
	BackgroundWorkerUnblockSignals();
}

/*
 * Settings that no ALTER ROLE, ALTER DATABASE or configuration file may change for a relay.
 *
 * The owner of a database may give every session in it another role and other
 * settings (ALTER DATABASE ... SET): none of them shall stop a relay, or let
 * it do something else. What only a superuser can set is a superuser's wish.
 */
void
OutboxSessionPinSettings(void)
{
	static const char *const settings[][2] = {
		{"role", "none"},
		{"search_path", "pg_catalog, pg_temp"},
		{"default_transaction_isolation", "read committed"},
		{"default_transaction_read_only", "off"},
		{"default_transaction_deferrable", "off"},
		{"statement_timeout", "0"},
		{"lock_timeout", "0"},
		{"idle_in_transaction_session_timeout", "0"},
		{"idle_session_timeout", "0"},
		{"transaction_timeout", "0"},
		{"synchronous_commit", "on"}, /* what waits for a standby before publishing; our own writes do not */
		{"session_replication_role", "origin"},
		{"row_security", "off"},
		{"jit", "off"},
		{"exit_on_error", "off"},
		{"restrict_nonsystem_relation_kind", ""},
		{"force_parallel_mode", "off"},  /* before 16 */
		{"debug_parallel_query", "off"}, /* since */
		{"default_tablespace", ""},      /* of new leaves, as the next one */
		{"default_table_access_method", "heap"},
		{"standard_conforming_strings", "on"},
		{"transform_null_equals", "off"},
		{"array_nulls", "on"},
		{"quote_all_identifiers", "off"},
		{"DateStyle", "ISO, MDY"},
		{"IntervalStyle", "postgres"},
		{"extra_float_digits", "1"},
		{"bytea_output", "hex"},
		{"plan_cache_mode", "auto"},
	};

	SetSessionAuthorization(BOOTSTRAP_SUPERUSERID, true);

	for (int i = 0; i < lengthof(settings); i++)
	{
		/* Not every supported version has every one of them. */
		if (GetConfigOption(settings[i][0], true, false) != NULL)
			SetConfigOption(settings[i][0], settings[i][1], PGC_SUSET, PGC_S_OVERRIDE);
	}
}

/* Has SIGTERM arrived? */
bool
OutboxSessionStopRequested(void)
{
	return ShutdownRequestPending;
}

/*
 * While true, a stop request that has arrived no longer cancels what a
 * transaction waits for: the relay is recording its last position.
 */
void
OutboxSessionStopping(bool yes)
{
	stopping = yes;
	QueryCancelPending = false;
}

static void
make_cancellable(void)
{
	QueryCancelPending = false;
	cancellable = true;
	/* the signal may have come before the flag was up */
	if (ShutdownRequestPending && !stopping)
	{
		InterruptPending = true;
		QueryCancelPending = true;
	}
}

/*
 * Around every use of tables; afterwards the memory context is the one before.
 * The active snapshot is set by those who read;
 * OutboxSessionBeginQuery adds SPI, as the extension's owner (raises when there
 * is no extension), and its end wakes the relay once more, because a lock wait
 * may have swallowed a wake-up; it is OutboxSessionBegin, OutboxSessionEnterQuery.
 */
void
OutboxSessionBegin(void)
{
	caller_context = CurrentMemoryContext;
	make_cancellable();
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	OutboxSessionLockExtension(EXTENSION_WAIT_MS);
}

/*
 * The first thing in a transaction (OutboxSessionBegin does it): locks the
 * extension, if there is one, until the transaction ends. Raises
 * lock_not_available, which names the holder, when that takes too long.
 *
 * DROP EXTENSION locks the extension before anything that belongs to it. So a
 * relay meets it here, where it holds nothing, and the two never wait for each
 * other's tables. What was dropped meanwhile is noticed by whoever looks for it.
 */
void
OutboxSessionLockExtension(int wait_ms)
{
	Oid locked = InvalidOid;
	Oid extension;

	/* whoever waited here for DROP EXTENSION may find another one in its place */
	while ((extension = OutboxExtensionOid(true)) != locked)
	{
		if (OidIsValid(locked))
			UnlockDatabaseObject(ExtensionRelationId, locked, 0, AccessShareLock);
		if (OidIsValid(extension))
			lock_when_free(extension, wait_ms);
		locked = extension;
	}
}

/*
 * Asks again and again instead of joining the queue: lock_timeout needs a
 * signal that a relay ignores. Whoever holds the lock may do so for hours, and
 * who looks at a relay meanwhile wants to know what it is waiting for.
 */
static void
lock_when_free(Oid extension, int wait_ms)
{
	TimestampTz until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), wait_ms);
	bool waited = false;
	LOCKTAG tag;

	SET_LOCKTAG_OBJECT(tag, MyDatabaseId, ExtensionRelationId, extension, 0);
	while (LockAcquire(&tag, AccessShareLock, false, true) == LOCKACQUIRE_NOT_AVAIL)
	{
		if (GetCurrentTimestamp() >= until)
		{
			SetLatch(MyLatch);
			raise_locked(&tag);
		}
		OutboxPause(LOCK_PAUSE_MS, PG_WAIT_LOCK | LOCKTAG_OBJECT);
		waited = true;
	}
	/* what it was set for meanwhile is still to be looked at */
	if (waited)
		SetLatch(MyLatch);
	AcceptInvalidationMessages();
}

static void
raise_locked(const LOCKTAG *tag)
{
	LockData *data = GetLockStatusData();
	int holder = 0;

	for (int i = 0; i < data->nelements; i++)
	{
		const LockInstanceData *lock = &data->locks[i];

		if (memcmp(&lock->locktag, tag, sizeof(*tag)) == 0 && lock->pid != 0 && ((lock->holdMask & LOCKBIT_ON(AccessExclusiveLock)) != 0 || holder == 0))
			holder = lock->pid;
	}
	ereport(ERROR,
			(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
			 errmsg("extension outbox_ext is locked by another session"),
			 holder != 0 ? errdetail("Process %d holds or awaits the lock.", holder) : errdetail("A prepared transaction holds it."),
			 errhint("DROP EXTENSION and ALTER EXTENSION keep this lock until their transaction ends. End it, with pg_terminate_backend() if need be.")));
}

void
OutboxSessionCommit(void)
{
	CommitTransactionCommand();
	MemoryContextSwitchTo(caller_context);
	cancellable = false;
	QueryCancelPending = false;
}

/* After an error was caught; harmless without a transaction. */
void
OutboxSessionAbort(void)
{
	cancellable = false;
	QueryCancelPending = false;
	AbortOutOfAnyTransaction();
}

void
OutboxSessionBeginQuery(OutboxOwnerScope *scope)
{
	OutboxSessionBegin();
	OutboxSessionEnterQuery(scope);
}

void
OutboxSessionEnterQuery(OutboxOwnerScope *scope)
{
	/* a lost position is only a repetition */
	OutboxSetInTransaction("synchronous_commit", "off");
	PushActiveSnapshot(GetTransactionSnapshot());
	OutboxOwnerBegin(scope);
	SPI_connect();
}

void
OutboxSessionEndQuery(const OutboxOwnerScope *scope)
{
	SPI_finish();
	OutboxOwnerEnd(scope);
	PopActiveSnapshot();
	OutboxSessionCommit();
	SetLatch(MyLatch);
}

/* Around a wait of the server's own outside of a transaction: a stop request cancels it. */
void
OutboxSessionBeginWait(void)
{
	make_cancellable();
}

void
OutboxSessionEndWait(void)
{
	cancellable = false;
	QueryCancelPending = false;
	SetLatch(MyLatch);
}

/* Waits until the latch is set or the time has passed; the latch is reset. */
void
OutboxSessionWait(long timeout_ms)
{
	static uint32 wait_event = 0;

	if (wait_event == 0)
		wait_event = OutboxWaitEvent("OutboxRelayBackoff");
	OutboxPause(timeout_ms, wait_event);
}
