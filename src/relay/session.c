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
#include "catalog/pg_extension.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "relay/session.h"

/* Is there a transaction, or another wait, that a stop request must cancel? */
static volatile sig_atomic_t cancellable = false;
static bool stopping = false;

/* Where the caller of OutboxSessionBegin allocates; a commit would leave him in TopMemoryContext. */
static MemoryContext caller_context = NULL;

static void make_cancellable(void);
static void lock_extension(void);

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

void
OutboxSessionSignals(void)
{
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, handle_sigterm);
	/* pg_cancel_backend has nothing to cancel here; pg_terminate_backend ends the relay in order */
	pqsignal(SIGINT, SIG_IGN);
	BackgroundWorkerUnblockSignals();
}

void
OutboxSessionPinSettings(void)
{
	static const char *const settings[][2] = {
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
	};

	for (int i = 0; i < lengthof(settings); i++)
	{
		/* Not every supported version has every one of them. */
		if (GetConfigOption(settings[i][0], true, false) != NULL)
			SetConfigOption(settings[i][0], settings[i][1], PGC_SUSET, PGC_S_OVERRIDE);
	}
}

bool
OutboxSessionStopRequested(void)
{
	return ShutdownRequestPending;
}

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

void
OutboxSessionBegin(void)
{
	caller_context = CurrentMemoryContext;
	make_cancellable();
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	lock_extension();
}

/*
 * DROP EXTENSION locks the extension before anything that belongs to it. So a
 * relay meets it here, where it holds nothing, and the two never wait for each
 * other's tables. What was dropped meanwhile is noticed by whoever looks for it.
 */
static void
lock_extension(void)
{
	Oid locked = InvalidOid;
	Oid extension;

	/* whoever waited here for DROP EXTENSION may find another one in its place */
	while ((extension = OutboxExtensionOid(true)) != locked)
	{
		if (OidIsValid(locked))
			UnlockDatabaseObject(ExtensionRelationId, locked, 0, AccessShareLock);
		if (OidIsValid(extension))
			LockDatabaseObject(ExtensionRelationId, extension, 0, AccessShareLock);
		locked = extension;
	}
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
	(void) set_config_option("synchronous_commit", "off", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_LOCAL, true, 0, false);
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

void
OutboxSessionWait(long timeout_ms)
{
	static uint32 wait_event = 0;

	if (wait_event == 0)
		wait_event = OutboxWaitEvent("OutboxRelayBackoff");
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, timeout_ms, wait_event);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}
