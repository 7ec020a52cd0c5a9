/*-------------------------------------------------------------------------
 *
 * flush.c
 *	  Contracts evaluated at commit: from queued keys to events.
 *
 * Once per transaction, before it commits or is prepared, the contract's view
 * is read for all touched keys, after and before our changes, and the pairs of
 * rows are treated as those that the trigger computes. First come the locks; none
 * is waited for in the server's queue. Then, portion by portion: the snapshots,
 * the query in a guarded subtransaction, and outside of it the events, in the
 * order in which keys were first touched. Keys that are not done in time are late.
 *
 * Our callback is registered before those of libraries loaded after us and so
 * runs after theirs. A library that came before us may still change sources in
 * its own callback: such keys are flushed at the end of their statement.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "access/xact.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "capture/commit/commit_private.h"
#include "capture/transition/transition.h"
#include "capture/write/write.h"
#include "guc.h"
#include "shared/outbox_shared.h"
#include "util/util.h"

PG_FUNCTION_INFO_V1(outbox_flush);

static struct
{
	bool busy;
	bool finished; /* the transaction's flush is over */
	bool preparing;
	int executing; /* executor runs since then */
} state;

static ExecutorFinish_hook_type previous_executor_finish = NULL;

static void flush_queue(bool with_locks, bool keep_before);
static void flush_keys(OutboxFlush *flush);
static int flush_timeout_ms(void);
static void on_transaction(XactEvent event, void *arg);
static void on_subtransaction(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void *arg);
static void call_executor_finish(QueryDesc *query);
static void executor_finish(QueryDesc *query);

/* from _PG_init, after the event writer's */
void
OutboxFlushInit(void)
{
	OutboxCommitGuardInit();
	OutboxFlushRegister();
	previous_executor_finish = ExecutorFinish_hook;
	ExecutorFinish_hook = executor_finish;
}

/* Registers the callbacks of transactions; tests do it again, to come before another library. */
void
OutboxFlushRegister(void)
{
	RegisterXactCallback(on_transaction, NULL);
	RegisterSubXactCallback(on_subtransaction, NULL);
}

/* flush(): what commit would do, now and without locks, for tests in one transaction. */
Datum
outbox_flush(PG_FUNCTION_ARGS)
{
	OutboxRequireVersion();
	if (!outbox_test_mode)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("outbox.flush() works in tests only"),
				 errdetail("It takes no locks, so that events of concurrent transactions would come in a wrong order."),
				 errhint("SET outbox.test_mode = on in the test; otherwise contracts are evaluated at COMMIT.")));
	flush_queue(false, false);
	OutboxEventWriteRows();
	PG_RETURN_VOID();
}

static void
flush_queue(bool with_locks, bool keep_before)
{
	MemoryContext caller = CurrentMemoryContext;
	OutboxHeldTimers held = {0};
	CommandId before;
	OutboxFlush *flush;

	if (state.busy || OutboxKeyQueueIsEmpty())
		return;
	CommandCounterIncrement();
	before = keep_before ? OutboxKeyQueueBefore() : GetCurrentCommandId(false);
	/* whoever dropped the extension wants no events */
	if (!OidIsValid(OutboxInstallation()))
	{
		OutboxKeyQueueFlushed(before);
		return;
	}
	flush = MemoryContextAllocZero(CurTransactionContext, sizeof(OutboxFlush));
	flush->context = AllocSetContextCreate(CurTransactionContext, "outbox flush", ALLOCSET_DEFAULT_SIZES);
	flush->resources = CurrentResourceOwner;
	flush->take_locks = with_locks;
	flush->timeout_ms = flush_timeout_ms();
	flush->before = OutboxKeyQueueBefore();
	MemoryContextSwitchTo(flush->context);
	state.busy = true;
	if (with_locks)
		OutboxHoldTimers(&held);
	PG_TRY();
	{
		PushActiveSnapshot(GetLatestSnapshot());
		OutboxCommitGuardBegin(flush->timeout_ms, OUTBOX_SHORT_LOCK_TIMEOUT);
		flush_keys(flush);
		OutboxCommitGuardEnd();
		PopActiveSnapshot();
	}
	PG_FINALLY();
	{
		OutboxCommitGuardForget();
		/* flush() is not the end of the transaction, which may hold a ticket of a redrive */
		if (with_locks)
			OutboxTicketHasRead();
		for (int i = 0; i < flush->ncontracts; i++)
			OutboxFlushContractClose(&flush->contracts[i]);
		OutboxReleaseTimers(&held);
		state.busy = false;
	}
	PG_END_TRY();
	OutboxKeyQueueFlushed(before);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(flush->context);
	pfree(flush);
}

static void
flush_keys(OutboxFlush *flush)
{
	flush->expired = OutboxFlushError(ERRCODE_QUERY_CANCELED, "outbox.flush_timeout passed before the key was evaluated",
									  NULL);
	INSTR_TIME_SET_CURRENT(flush->lap);
	OutboxFlushTakeLocks(flush);
	if (!flush->locked)
		OutboxFlushOpenLate(flush);
	for (int i = 0; i < flush->ncontracts; i++)
		OutboxFlushContractCheckRewritten(&flush->contracts[i]);
	OutboxFlushShareTime(flush, false);
	OutboxFlushPortions(flush);
	for (int i = 0; i < flush->ncontracts; i++)
	{
		if (flush->contracts[i].first)
			flush->contracts[i].first->spent_ns += flush->contracts[i].spent_ns;
	}
	for (int i = 0; i < flush->ncontracts; i++)
	{
		if (flush->contracts[i].nkeys > 0 && flush->contracts[i].first == NULL)
			OutboxCountFlush(flush->contracts[i].queued->id, flush->contracts[i].nkeys, flush->contracts[i].spent_ns);
		OutboxFlushContractUnlock(&flush->contracts[i]);
	}
	/* a prepared transaction may stay for days */
	if (state.preparing)
		OutboxLockRelease(&flush->locks);
}

/* outbox.flush_timeout, and a thousandth of it for each key. */
static int
flush_timeout_ms(void)
{
	double timeout = outbox_flush_timeout * (1 + OutboxKeyQueueCount() / 1000.0);

	return timeout > INT_MAX / 2 ? INT_MAX / 2 : (int) timeout;
}

/* ---- when ------------------------------------------------------------------- */

static void
on_transaction(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
		case XACT_EVENT_PRE_PREPARE:
			state.preparing = event == XACT_EVENT_PRE_PREPARE;
			flush_queue(true, false);
			/* a redrive has a ticket and nothing in the queue */
			OutboxTicketHasRead();
			OutboxKeyQueueCloseFile();
			state.finished = true;
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PREPARE:
		case XACT_EVENT_ABORT:
			OutboxKeyQueueForget();
			OutboxTicketsForget();
			OutboxBulkFiltersForget();
			memset(&state, 0, sizeof(state));
			break;
		default:
			break;
	}
}

static void
on_subtransaction(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void *arg)
{
	switch (event)
	{
		case SUBXACT_EVENT_COMMIT_SUB:
			OutboxKeyQueuePromote(GetCurrentTransactionNestLevel());
			OutboxTicketsPromote(GetCurrentTransactionNestLevel());
			OutboxBulkFiltersPromote(GetCurrentTransactionNestLevel());
			break;
		case SUBXACT_EVENT_ABORT_SUB:
			OutboxKeyQueueDrop(GetCurrentTransactionNestLevel());
			OutboxTicketsDrop(GetCurrentTransactionNestLevel());
			OutboxBulkFiltersDrop(GetCurrentTransactionNestLevel());
			break;
		default:
			break;
	}
}

static void
call_executor_finish(QueryDesc *query)
{
	if (previous_executor_finish)
		previous_executor_finish(query);
	else
		standard_ExecutorFinish(query);
}

/* AFTER triggers fire in here, so at its end the statement's keys are all there. */
static void
executor_finish(QueryDesc *query)
{
	if (!state.finished)
	{
		call_executor_finish(query);
		return;
	}
	state.executing++;
	PG_TRY();
	{
		call_executor_finish(query);
	}
	PG_FINALLY();
	{
		state.executing--;
	}
	PG_END_TRY();
	if (state.executing == 0)
		flush_queue(true, false);
}

/*
 * Called after a key was queued outside of any executor run: evaluates it at
 * once when the transaction's flush is over. May raise.
 */
void
OutboxFlushIfOver(void)
{
	if (state.finished && state.executing == 0)
		flush_queue(true, true);
}
