/*-------------------------------------------------------------------------
 *
 * redrive.c
 *	  An open dead letter, tried again.
 *
 * An event that a broker rejected is published again as it is, by the relay of
 * that sink (letters/dead_letter.c). Everything else is captured again. A redriven
 * event describes the row as it is now, read through the contract's view by the
 * dead letter's key. The dead letter says how the row was before, and whether it
 * was created, changed or deleted.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "postmaster/interrupt.h"

#include "capture/transition/transition.h"
#include "catalog/outbox_catalog.h"
#include "compat.h"
#include "contract/compile/compile.h"
#include "contract/environment/environment.h"
#include "letters/letters.h"
#include "letters/redrive/redrive_private.h"
#include "shared/outbox_shared.h"
#include "util/util.h"

/* A letter on its way, and what becomes of it. */
typedef struct Attempt
{
	OutboxLetter *letter;
	const char *reason;       /* why there is no event; NULL: there is */
	OutboxDeadLetter failure; /* sqlerrcode = 0: none */
	bool at_commit;
	bool no_room;
} Attempt;

/* What the steps of an attempt on a key share. */
typedef struct KeyStep
{
	Attempt *attempt;
	OutboxKeyLock *lock; /* of the key */
	OutboxDeadLetter *failure;
	bool found; /* the lock is known */
} KeyStep;

typedef void (*UseContract)(OutboxCompiledContract *contract, KeyStep *step);

/* Keys of one transaction. A ticket has room for twice as many: those of the transaction's own changes come on top. */
#define MAX_KEYS (OUTBOX_TICKET_KEYS / 2)
#define MAX_KEYS_NOT_PRELOADED 16

static int held = 0;
static LocalTransactionId held_by = InvalidLocalTransactionId;

static ErrorData *run_attempt(Attempt *attempt);
static bool ends_turn(const ErrorData *error);
static void attempt_step(void *arg);
static void capture_again(Attempt *attempt);
static bool has_room(void);
static void per_row(Attempt *attempt, OutboxContractConfig *config);
static void at_commit(Attempt *attempt, OutboxContractConfig *config);
static void with_compiled(OutboxContractConfig *config, bool lock, UseContract use, KeyStep *step);
static OutboxCompiledContract *compile_locked(OutboxContractConfig *config);
static OutboxCachedContract *lock_contract(const char *name, int32 line);
static void lock_relations(const List *relations);
static void attempt_row(Attempt *attempt, OutboxCompiledContract *contract);
static bool find_rows(Attempt *attempt, OutboxCompiledContract *contract, OutboxRedrive *redrive);
static void find_lock(OutboxCompiledContract *contract, KeyStep *step);
static void attempt_key(OutboxCompiledContract *contract, KeyStep *step);
static void fail(Attempt *attempt, int sqlerrcode, const char *message, const char *hint);

/*
 * Tries the letter in a subtransaction and records the result. The result may be
 * that its key must be looked for first; with `again` (it was) that is a failure.
 * Any fault of one letter's rows, even a page that cannot be read, is that letter's
 * failure alone; a cancel or a serialization failure is raised. Allocates in
 * CurrentMemoryContext.
 */
OutboxRedriveResult
OutboxRedriveLetter(OutboxLetter *letter, bool again)
{
	Attempt attempt = {.letter = letter};
	ErrorData *error = run_attempt(&attempt);

	if (attempt.no_room)
		return OUTBOX_REDRIVE_NO_ROOM;
	if (error && !again && OutboxAnyMissedKey())
		return OUTBOX_REDRIVE_LOOK_FIRST;
	if (error == NULL && attempt.at_commit)
		held++;
	if (error)
		fail(&attempt, error->sqlerrcode, error->message ? error->message : "unknown error", error->hint);
	if (attempt.failure.sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE && attempt.failure.hint == NULL)
		attempt.failure.hint = "Somebody is changing the row, or its table; try again.";
	if (attempt.failure.sqlerrcode == 0 && attempt.reason == NULL && !letter->publish)
		OutboxRedriveNoteEnd(letter);
	if (attempt.failure.sqlerrcode == 0)
		OutboxLetterResolved(letter, attempt.reason);
	else
		OutboxLetterFailed(letter, &attempt.failure);
	return attempt.failure.sqlerrcode == 0 ? OUTBOX_REDRIVE_RESOLVED : OUTBOX_REDRIVE_FAILED;
}

/*
 * How many keys of contracts evaluated at commit one transaction may redrive. It
 * holds them until it ends; with more keys, all commits of their aggregate types
 * would wait for it.
 */
int
OutboxRedriveRoom(void)
{
	return OutboxTicketsAvailable() ? MAX_KEYS : MAX_KEYS_NOT_PRELOADED;
}

/*
 * A person may cancel. A relay is asked to stop instead, so a cancel in a relay was
 * raised by a function behind the view. That function would raise it at each turn
 * of the letter, and letters behind it would never have theirs: so it is a failure.
 */
static ErrorData *
run_attempt(Attempt *attempt)
{
	if (attempt->letter->by_relay)
		return OutboxCatch(attempt_step, attempt, CurrentMemoryContext, ends_turn);
	return OutboxRunIsolated(attempt_step, attempt, CurrentMemoryContext);
}

static bool
ends_turn(const ErrorData *error)
{
	return ShutdownRequestPending || ProcDiePending;
}

static void
attempt_step(void *arg)
{
	Attempt *attempt = arg;
	OutboxLetter *letter = attempt->letter;

	if (!letter->publish)
		capture_again(attempt);
	else if (!OutboxRedriveRejected(letter->id))
		fail(attempt, ERRCODE_NO_DATA_FOUND, "the rejected event is not kept any more, its sink was dropped",
			 "Discard the dead letter.");
}

static void
capture_again(Attempt *attempt)
{
	OutboxLetter *letter = attempt->letter;
	OutboxContractConfig *config = OutboxLetterContract(letter);
	OutboxEventTypeConfig *type = config && letter->event_type ? OutboxContractEventType(config, letter->event_type) : NULL;

	if (config == NULL)
		fail(attempt, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, psprintf("version %d of the contract is retired", letter->version),
			 "Discard the dead letter.");
	else if (letter->event_type && (type == NULL || type->omitted))
		fail(attempt, ERRCODE_UNDEFINED_OBJECT, "the event type does not exist any more",
			 "Discard the dead letter, or create the event type again.");
	else if (config->at_commit && !has_room())
		attempt->no_room = true;
	else if (config->at_commit)
		at_commit(attempt, config);
	else
		per_row(attempt, config);
}

/* Has the transaction room for another key? Keys that a savepoint's rollback gave back count, too. */
static bool
has_room(void)
{
	if (held_by != OutboxLocalTransactionId())
		held = 0;
	held_by = OutboxLocalTransactionId();
	return held < OutboxRedriveRoom();
}

static void
per_row(Attempt *attempt, OutboxContractConfig *config)
{
	OutboxLook look = {0};
	OutboxCompiledContract *contract;

	OutboxLookEnter(&look, CurrentResourceOwner);
	contract = OutboxCompileContract(config, config->root, false);
	OutboxLookLeave(&look);
	attempt_row(attempt, contract);
	OutboxFreeContract(contract);
	OutboxLookClose(&look);
}

/*
 * As in a commit, the key is locked before the tables, and nothing is locked while the key is waited for. The session
 * that has the key may want a table, and neither would see that the other one waits.
 */
static void
at_commit(Attempt *attempt, OutboxContractConfig *config)
{
	OutboxDeadLetter failure = {0};
	OutboxKeyLock lock;
	KeyStep step = {.attempt = attempt, .lock = &lock, .failure = &failure};

	attempt->at_commit = true;
	with_compiled(config, false, find_lock, &step);
	if (step.found && OutboxRedriveTakeLock(&lock, &(OutboxKeyLetter){.by_relay = attempt->letter->by_relay, .attempts = attempt->letter->attempts}, &failure))
		with_compiled(config, true, attempt_key, &step);
	if (failure.message)
		fail(attempt, failure.sqlerrcode, failure.message, failure.hint);
}

/*
 * A step with the contract compiled for commits, which all letters share. When there is none (the contract is disabled,
 * say), the letter gets a copy of its own, or the error says why not. lock: with the relations that it reads locked.
 */
static void
with_compiled(OutboxContractConfig *config, bool lock, UseContract use, KeyStep *step)
{
	OutboxLook look = {0};
	OutboxCachedContract *volatile cached;

	OutboxLookEnter(&look, CurrentResourceOwner);
	cached = lock ? lock_contract(config->name, OutboxVersionLine(config)) : OutboxContractAcquireLineByName(config->name, OutboxVersionLine(config));
	PG_TRY();
	{
		OutboxCompiledContract *contract = cached->compiled;

		if (cached->state != OUTBOX_CONTRACT_READY || contract->query == NULL)
			contract = lock ? compile_locked(config) : OutboxCompileContract(config, config->root, false);
		OutboxLookLeave(&look);
		use(contract, step);
		if (contract != cached->compiled)
			OutboxFreeContract(contract);
		OutboxLookClose(&look);
	}
	PG_FINALLY();
	{
		OutboxContractRelease(cached);
	}
	PG_END_TRY();
}

/* Compiles anew: a copy that was made before the relations were locked may be outdated. */
static OutboxCompiledContract *
compile_locked(OutboxContractConfig *config)
{
	OutboxCompiledContract *contract = OutboxCompileContract(config, config->root, false);

	lock_relations(contract->query->relations);
	OutboxFreeContract(contract);
	return OutboxCompileContract(config, config->root, false);
}

/* The contract as it is while its relations are locked. */
static OutboxCachedContract *
lock_contract(const char *name, int32 line)
{
	List *locked = NIL;

	for (;;)
	{
		OutboxCachedContract *cached = OutboxContractAcquireLineByName(name, line);
		const OutboxCommitQuery *query = cached->state == OUTBOX_CONTRACT_READY ? cached->compiled->query : NULL;

		if (query == NULL || list_difference_oid(query->relations, locked) == NIL)
			return cached;
		locked = list_copy(query->relations);
		OutboxContractRelease(cached);
		lock_relations(locked);
	}
}

/* Locks without waiting: a person tries again, and so does a relay. */
static void
lock_relations(const List *relations)
{
	if (!OutboxLookHasRoom(list_length(relations)) || !OutboxLockWithoutWait(relations))
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("could not lock what the contract reads")));
}

/* An attempt with a contract that is evaluated per row. */
static void
attempt_row(Attempt *attempt, OutboxCompiledContract *contract)
{
	OutboxRedrive redrive = {.emit = OutboxLetterEmit(attempt->letter->emit), .event_type = attempt->letter->event_type};
	OutboxDeadLetter failure = {0};
	int nevents;

	if (attempt->letter->key == NULL && attempt->letter->event_type == NULL)
	{
		attempt->reason = OutboxRedriveSource(contract, attempt->letter, &failure);
		if (failure.message)
			fail(attempt, failure.sqlerrcode, failure.message, failure.hint);
		return;
	}
	if (!find_rows(attempt, contract, &redrive) || attempt->reason)
		return;
	nevents = OutboxCaptureRedrive(contract, &redrive, &failure);
	if (failure.message)
		fail(attempt, failure.sqlerrcode, failure.message, failure.hint);
	else if (nevents == 0)
		attempt->reason = OUTBOX_REDRIVE_NOTHING;
}

/* Finds the rows before and after, as the contract's owner may read them. False: the attempt has failed. With a reason, no event is wanted. */
static bool
find_rows(Attempt *attempt, OutboxCompiledContract *contract, OutboxRedrive *redrive)
{
	const OutboxLetter *letter = attempt->letter;

	if (redrive->emit != OUTBOX_EMIT_CREATED)
		redrive->before = OutboxLetterRowBefore(contract, letter);
	if (redrive->emit == OUTBOX_EMIT_DELETED && redrive->before == NULL)
		fail(attempt, ERRCODE_NO_DATA_FOUND, "the row before is not known", "Discard the dead letter.");
	else if (letter->key == NULL)
		fail(attempt, ERRCODE_NO_DATA_FOUND, "the key of the row is not known",
			 "Find the row by source_columns, change it so that an event type tells of it, and discard the dead letter.");
	else
	{
		redrive->before_unknown = redrive->before == NULL && redrive->emit == OUTBOX_EMIT_CHANGED;
		redrive->after = OutboxLetterRowNow(contract, letter);
		if (redrive->emit == OUTBOX_EMIT_DELETED && redrive->after)
			fail(attempt, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, OUTBOX_REDRIVE_THERE_AGAIN, "Discard the dead letter: consumers would take the row for deleted.");
		else if (redrive->emit != OUTBOX_EMIT_DELETED && redrive->after == NULL && OutboxTellsOfDeleted(contract))
			fail(attempt, ERRCODE_NO_DATA_FOUND, "the row is not in the view any more", "Discard the dead letter.");
		else if (redrive->emit != OUTBOX_EMIT_DELETED && redrive->after == NULL)
			attempt->reason = OUTBOX_REDRIVE_UNTOLD;
	}
	return attempt->failure.sqlerrcode == 0;
}

static void
find_lock(OutboxCompiledContract *contract, KeyStep *step)
{
	OutboxKeyLetter letter = {.lookup = step->attempt->letter->source_columns};

	step->found = OutboxRedriveLockOf(contract, &letter, step->lock, step->failure);
}

/* An attempt with a contract that is evaluated at commit. */
static void
attempt_key(OutboxCompiledContract *contract, KeyStep *step)
{
	OutboxLetter *letter = step->attempt->letter;
	OutboxKeyLetter key_letter = {.event_type = letter->event_type, .emit = letter->emit, .late = letter->late, .by_relay = letter->by_relay, .attempts = letter->attempts, .key = letter->key, .lookup = letter->source_columns, .before = OutboxLetterRowBefore(contract, letter), .snapshot = letter->snapshot};

	step->attempt->reason = OutboxRedriveKey(contract, &key_letter, step->lock, step->failure);
}

static void
fail(Attempt *attempt, int sqlerrcode, const char *message, const char *hint)
{
	attempt->failure.sqlerrcode = sqlerrcode ? sqlerrcode : ERRCODE_INTERNAL_ERROR;
	attempt->failure.message = pstrdup(message);
	attempt->failure.hint = hint ? pstrdup(hint) : NULL;
}
