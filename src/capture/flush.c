/*-------------------------------------------------------------------------
 *
 * flush.c
 *	  Contracts evaluated at commit: from queued keys to events.
 *
 * Once per transaction, before it commits or is prepared, the contract's view
 * is read for all touched keys, after and before our changes, and the pairs of
 * rows go the way that rows computed by the trigger go. The order is: locks,
 * none of which is waited for; then, portion by portion, snapshots, the query
 * in a guarded subtransaction, and outside of it the events in the order in
 * which keys were first touched. What is not done in time becomes late.
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
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "capture/commit_guard.h"
#include "capture/commit_read.h"
#include "capture/cost.h"
#include "capture/event_writer.h"
#include "capture/flush.h"
#include "capture/flush_contract.h"
#include "capture/late.h"
#include "capture/transition.h"
#include "compat.h"
#include "contract/contract_api.h"
#include "guc.h"

PG_FUNCTION_INFO_V1(outbox_flush);

/* Keys per query; fewer after rows of this many bytes. */
#define PORTION_KEYS 512
#define PORTION_BYTES (16 * 1024 * 1024)

/* Between two attempts to get a lock. */
#define MAX_PAUSE_MS 10

typedef struct PortionKey
{
	OutboxReadKey read; /* first */
	OutboxFlushContract *contract;
	bool inserted;     /* there was no row before */
	bool before_known; /* read.before is what the view showed */
} PortionKey;

typedef struct Flush
{
	MemoryContext context;
	MemoryContext portion_context;
	OutboxFlushContract *contracts;
	int ncontracts;
	bool take_locks; /* on aggregates */
	bool locked;
	OutboxLockList locks;
	CommandId before;
	const ErrorData *expired; /* what a key says that the timer left out */
	int portion_size;
	PortionKey *keys;
	int nkeys;
	instr_time lap; /* up to which the time has been shared out */
} Flush;

static struct
{
	bool busy;
	bool finished; /* the transaction's flush is over */
	bool preparing;
	int executing; /* executor runs since then */
} state;

static ExecutorFinish_hook_type previous_executor_finish = NULL;

static void flush_queue(bool with_locks, bool keep_before);
static void flush_keys(Flush *flush);
static void share_time(Flush *flush, bool by_keys);
static int flush_timeout_ms(void);
static void collect_locks(Flush *flush);
static void take_locks(Flush *flush);
static void lock_step(void *arg);
static void all_late(Flush *flush, const ErrorData *reason);
static void pause_shortly(int *ms);
static void flush_portions(Flush *flush);
static bool fill_portion(Flush *flush);
static void read_portion(Flush *flush);
static void read_contract(Flush *flush, OutboxFlushContract *contract, Snapshot snapshot);
static bool wants_before(const PortionKey *key);
static void capture_key(Flush *flush, PortionKey *key);
static bool capture_rows(PortionKey *key);
static const ErrorData *side_error(const OutboxFlushContract *contract, const OutboxKeySide *side);
static ErrorData *make_error(int sqlerrcode, char *message, char *hint);
static ErrorData *copy_error(const ErrorData *error);
static void on_transaction(XactEvent event, void *arg);
static void on_subtransaction(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void *arg);
static void executor_finish(QueryDesc *query);

void
OutboxFlushInit(void)
{
	OutboxCommitGuardInit();
	OutboxFlushRegister();
	previous_executor_finish = ExecutorFinish_hook;
	ExecutorFinish_hook = executor_finish;
}

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
	CommandId before;
	Flush *flush;

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
	flush = MemoryContextAllocZero(CurTransactionContext, sizeof(Flush));
	flush->context = AllocSetContextCreate(CurTransactionContext, "outbox flush", ALLOCSET_DEFAULT_SIZES);
	flush->take_locks = with_locks;
	flush->before = OutboxKeyQueueBefore();
	MemoryContextSwitchTo(flush->context);
	state.busy = true;
	PG_TRY();
	{
		PushActiveSnapshot(GetLatestSnapshot());
		OutboxCommitGuardBegin(flush_timeout_ms());
		flush_keys(flush);
		OutboxCommitGuardEnd();
		PopActiveSnapshot();
	}
	PG_FINALLY();
	{
		OutboxCommitGuardForget();
		for (int i = 0; i < flush->ncontracts; i++)
			OutboxFlushContractClose(&flush->contracts[i]);
		state.busy = false;
	}
	PG_END_TRY();
	OutboxKeyQueueFlushed(before);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(flush->context);
	pfree(flush);
}

static void
flush_keys(Flush *flush)
{
	flush->portion_context = AllocSetContextCreate(flush->context, "outbox flush portion", ALLOCSET_DEFAULT_SIZES);
	flush->portion_size = PORTION_KEYS;
	flush->expired = make_error(ERRCODE_QUERY_CANCELED, "outbox.flush_timeout passed before the key was evaluated",
								"The relay tries it again by itself.");
	INSTR_TIME_SET_CURRENT(flush->lap);
	collect_locks(flush);
	take_locks(flush);
	for (int i = 0; i < flush->ncontracts; i++)
		OutboxFlushContractCheckRewritten(&flush->contracts[i]);
	share_time(flush, false);
	flush_portions(flush);
	for (int i = 0; i < flush->ncontracts; i++)
	{
		if (flush->contracts[i].nkeys > 0)
			OutboxCostFlush(flush->contracts[i].queued->id, flush->contracts[i].nkeys, flush->contracts[i].spent_ns);
	}
	/* a prepared transaction may stay for days */
	if (state.preparing)
		OutboxLockListRelease(&flush->locks);
}

/* The time since the last lap is that of all contracts: of each an equal part, or by its keys in the portion. */
static void
share_time(Flush *flush, bool by_keys)
{
	uint64 ns = OutboxCostLap(&flush->lap);

	for (int i = 0; i < flush->ncontracts; i++)
	{
		OutboxFlushContract *contract = &flush->contracts[i];

		if (!by_keys)
			contract->spent_ns += ns / flush->ncontracts;
		else if (flush->nkeys > 0)
			contract->spent_ns += ns * contract->portion_keys / flush->nkeys;
	}
}

/* A share per key comes on top: a thousandth. */
static int
flush_timeout_ms(void)
{
	double timeout = outbox_flush_timeout * (1 + OutboxKeyQueueCount() / 1000.0);

	return timeout > INT_MAX / 2 ? INT_MAX / 2 : (int) timeout;
}

/* ---- locks ------------------------------------------------------------------ */

/* Which contracts have keys, and which locks these need. */
static void
collect_locks(Flush *flush)
{
	OutboxQueuedContract **queued;
	OutboxLockSet **sets;
	OutboxQueuedKey key;
	int nsets = 0;

	flush->contracts = palloc0(sizeof(OutboxFlushContract) * OutboxKeyQueueContracts(&queued));
	flush->ncontracts = OutboxKeyQueueContracts(&queued);
	for (int i = 0; i < flush->ncontracts; i++)
		flush->contracts[i].queued = queued[i];
	OutboxKeyQueueScan();
	while (OutboxKeyQueueNext(&key))
	{
		OutboxFlushContract *contract = &flush->contracts[key.contract->index];

		if (contract->locks == NULL)
			contract->locks = OutboxLockSetCreate(key.contract->lock_class);
		OutboxLockSetAdd(contract->locks, key.hash);
	}
	sets = palloc(sizeof(OutboxLockSet *) * flush->ncontracts);
	for (int i = 0; i < flush->ncontracts; i++)
	{
		if (flush->contracts[i].locks)
			sets[nsets++] = flush->contracts[i].locks;
	}
	OutboxLockListMake(&flush->locks, sets, flush->take_locks ? nsets : 0);
}

/* All locks, before anything is read; trying again until the timer says that it is late. */
static void
take_locks(Flush *flush)
{
	int pause_ms = 1;

	for (;;)
	{
		int held = flush->locks.nheld;
		const ErrorData *error;

		OutboxCommitGuardArm();
		error = OutboxRunGuarded(lock_step, flush, flush->context);
		OutboxCommitGuardDisarm();
		if (flush->locked && error == NULL)
			return;
		if (error)
			flush->locks.nheld = held;
		if (OutboxCommitGuardExpired())
			error = make_error(ERRCODE_LOCK_NOT_AVAILABLE,
							   "could not lock what the contract reads within outbox.flush_timeout",
							   "The relay tries it again by itself.");
		if (error)
		{
			all_late(flush, error);
			return;
		}
		pause_shortly(&pause_ms);
	}
}

/* In a subtransaction because the lock table may be full; what it took stays with the transaction. */
static void
lock_step(void *arg)
{
	Flush *flush = arg;

	for (int i = 0; i < flush->ncontracts; i++)
	{
		if (flush->contracts[i].locks && !OutboxFlushContractOpen(&flush->contracts[i]))
			return;
	}
	flush->locked = OutboxLockListTake(&flush->locks);
}

static void
all_late(Flush *flush, const ErrorData *reason)
{
	for (int i = 0; i < flush->ncontracts; i++)
	{
		if (flush->contracts[i].late == NULL)
			flush->contracts[i].late = reason;
	}
}

static void
pause_shortly(int *ms)
{
	static uint32 wait_event = 0;

	if (wait_event == 0)
		wait_event = OutboxWaitEvent("OutboxAggregateLock");
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, *ms, wait_event);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
	*ms = Min(*ms * 2, MAX_PAUSE_MS);
}

/* ---- portions --------------------------------------------------------------- */

static void
flush_portions(Flush *flush)
{
	OutboxKeyQueueStart();
	while (fill_portion(flush))
	{
		MemoryContext caller = MemoryContextSwitchTo(flush->portion_context);

		CHECK_FOR_INTERRUPTS();
		read_portion(flush);
		if (MemoryContextMemAllocated(flush->portion_context, true) > PORTION_BYTES)
			flush->portion_size = Max(flush->portion_size / 4, 1);
		else
			flush->portion_size = Min(flush->portion_size * 2, PORTION_KEYS);
		MemoryContextSwitchTo(caller);
		MemoryContextReset(flush->portion_context);
	}
	OutboxKeyQueueStop();
}

/* The next keys of the queue, whichever contracts they belong to; false at its end. */
static bool
fill_portion(Flush *flush)
{
	MemoryContext caller = MemoryContextSwitchTo(flush->portion_context);
	OutboxQueuedKey queued;

	flush->keys = palloc0(sizeof(PortionKey) * flush->portion_size);
	flush->nkeys = 0;
	while (flush->nkeys < flush->portion_size && OutboxKeyQueueNext(&queued))
	{
		PortionKey *key = &flush->keys[flush->nkeys++];
		char *image = palloc(queued.image_size);

		memcpy(image, queued.image, queued.image_size);
		key->read.values = palloc(sizeof(Datum) * queued.contract->shape->ncolumns);
		OutboxKeyReadImage(queued.contract->shape, image, key->read.values);
		key->read.hash = queued.hash;
		key->contract = &flush->contracts[queued.contract->index];
		key->inserted = (queued.flags & OUTBOX_KEY_INSERTED) && !key->contract->root_rewritten;
		key->before_known = key->inserted;
	}
	MemoryContextSwitchTo(caller);
	return flush->nkeys > 0;
}

/* Reads the keys' rows, contract by contract, and then captures them in the order of the queue. */
static void
read_portion(Flush *flush)
{
	/* The rows may refer to toasted values, which the snapshot keeps in place until they are encoded. */
	Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());

	for (int i = 0; i < flush->ncontracts; i++)
	{
		flush->contracts[i].portion_keys = 0;
		if (flush->contracts[i].compiled)
			read_contract(flush, &flush->contracts[i], snapshot);
		flush->contracts[i].spent_ns += OutboxCostLap(&flush->lap);
	}
	for (int i = 0; i < flush->nkeys; i++)
	{
		flush->keys[i].contract->portion_keys++;
		flush->keys[i].contract->nkeys++;
		capture_key(flush, &flush->keys[i]);
	}
	share_time(flush, true);
	UnregisterSnapshot(snapshot);
}

static void
read_contract(Flush *flush, OutboxFlushContract *contract, Snapshot snapshot)
{
	OutboxCommitRead read = {.contract = contract->compiled, .shape = contract->queued->shape, .context = flush->portion_context, .snapshot = snapshot, .before = flush->before};
	OutboxReadKey **keys = palloc(sizeof(OutboxReadKey *) * flush->nkeys);
	const ErrorData *error = contract->late;
	int nkeys = 0;

	for (int i = 0; i < flush->nkeys; i++)
	{
		if (flush->keys[i].contract == contract && wants_before(&flush->keys[i]))
			keys[nkeys++] = &flush->keys[i].read;
	}
	if (error == NULL)
		error = OutboxReadKeysBefore(&read, keys, nkeys);
	for (int i = 0; i < nkeys && error == NULL; i++)
		((PortionKey *) keys[i])->before_known = side_error(contract, &keys[i]->before) == NULL;
	nkeys = 0;
	for (int i = 0; i < flush->nkeys; i++)
	{
		if (flush->keys[i].contract == contract)
			keys[nkeys++] = &flush->keys[i].read;
	}
	if (error == NULL)
		error = OutboxReadKeysAfter(&read, keys, nkeys);
	if (error && contract->late == NULL)
	{
		MemoryContext caller = MemoryContextSwitchTo(flush->context);

		contract->late = OutboxCommitGuardExpired() ? flush->expired : copy_error(error);
		MemoryContextSwitchTo(caller);
	}
}

static bool
wants_before(const PortionKey *key)
{
	return !key->inserted && key->contract->unknown == NULL;
}

/* ---- keys ------------------------------------------------------------------- */

static void
capture_key(Flush *flush, PortionKey *key)
{
	OutboxFlushContract *contract = key->contract;
	OutboxLateKey late = {.contract = contract->queued, .lookup = key->read.values, .before_known = key->before_known, .before = key->read.before.row};

	/* dropped, disabled, or without event types */
	if (contract->compiled == NULL && contract->late == NULL)
		return;
	if (contract->late == NULL)
	{
		if (capture_rows(key))
			return;
		contract->late = flush->expired;
	}
	if (contract->compiled)
		late.row_desc = contract->compiled->row_desc;
	else
		late.before = NULL;
	late.reason = contract->late;
	OutboxLateLetter(&late);
}

/* False: the timer ran out. */
static bool
capture_rows(PortionKey *key)
{
	OutboxFlushContract *contract = key->contract;
	OutboxKeyRows rows = {.lookup_desc = contract->queued->shape->desc, .lookup = key->read.values, .before = key->read.before.row, .after = key->read.after.row};

	if (!key->inserted && contract->unknown)
	{
		rows.before_error = contract->unknown;
		OutboxFlushContractRecordGaps(contract);
	}
	else if (!key->inserted)
		rows.before_error = side_error(contract, &key->read.before);
	rows.after_error = side_error(contract, &key->read.after);
	return OutboxCaptureKey(contract->compiled, &rows);
}

static const ErrorData *
side_error(const OutboxFlushContract *contract, const OutboxKeySide *side)
{
	if (side->error)
		return side->error;
	if (side->nrows <= 1)
		return NULL;
	return make_error(ERRCODE_CARDINALITY_VIOLATION,
					  psprintf("contract \"%s\" returned %d rows", contract->queued->name, side->nrows),
					  "Let the view show one row per key.");
}

static ErrorData *
make_error(int sqlerrcode, char *message, char *hint)
{
	ErrorData *error = palloc0(sizeof(ErrorData));

	error->sqlerrcode = sqlerrcode;
	error->message = message;
	error->hint = hint;
	return error;
}

static ErrorData *
copy_error(const ErrorData *error)
{
	ErrorData *copy = make_error(error->sqlerrcode, pstrdup(error->message ? error->message : "unknown error"), NULL);

	copy->detail = error->detail ? pstrdup(error->detail) : NULL;
	return copy;
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
			OutboxKeyQueueCloseFile();
			state.finished = true;
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PREPARE:
		case XACT_EVENT_ABORT:
			OutboxKeyQueueForget();
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
			break;
		case SUBXACT_EVENT_ABORT_SUB:
			OutboxKeyQueueDrop(GetCurrentTransactionNestLevel());
			break;
		default:
			break;
	}
}

/* AFTER triggers fire in here, so at its end the statement's keys are all there. */
static void
executor_finish(QueryDesc *query)
{
	ExecutorFinish_hook_type next = previous_executor_finish ? previous_executor_finish : standard_ExecutorFinish;

	if (!state.finished)
	{
		next(query);
		return;
	}
	state.executing++;
	PG_TRY();
	{
		next(query);
	}
	PG_FINALLY();
	{
		state.executing--;
	}
	PG_END_TRY();
	if (state.executing == 0)
		flush_queue(true, false);
}

void
OutboxFlushStraggler(void)
{
	if (state.finished && state.executing == 0)
		flush_queue(true, true);
}
