/*-------------------------------------------------------------------------
 *
 * redrive_key.c
 *	  A dead letter of a contract evaluated at commit, tried again.
 *
 * The letter has the lookup key. The row is read by it as a flush reads it, under
 * the aggregate's lock, so that no transaction commits a change of it meanwhile.
 *
 * The letter says how the row was before. For a late key, the newest event that was
 * committed since then says it, if there is one; then events that follow from the
 * whole way, from the letter's row on, are told as well. When neither knows the row
 * before, the newest event of all tells what consumers have. When there is none,
 * the row counts as changed, or as created if no event type tells of changed rows.
 * So a late key needs a person only when the row is gone and nobody knows what it
 * was.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "capture/commit/commit.h"
#include "capture/transition/transition.h"
#include "catalog/outbox_catalog.h"
#include "contract/compile/compile.h"
#include "guc.h"
#include "letters/redrive/redrive_private.h"

/*
 * There is more time than at a commit. A relay has other things to do: it
 * begins with an eighth of a commit's time, and takes twice as much each time.
 */
#define PATIENCE 10
#define RELAY_HASTE 8

/*
 * The relay leaves a key for later when it does not get it in so many ms: the other transaction may wait for a lock of
 * the relay's.
 */
#define RELAY_LOCK_MS 100

/* The key of a letter on its way. */
typedef struct KeyAttempt
{
	OutboxCompiledContract *contract;
	const OutboxKeyLetter *letter;
	OutboxDeadLetter *failure;
	OutboxKeyShape *shape;
	OutboxReadKey key;
	bool untold; /* the row is gone, which no event type tells */
} KeyAttempt;

/* One search within the time. */
typedef struct KeySearch
{
	OutboxKeyHistory *history;
	bool found;
} KeySearch;

static int patience(const OutboxKeyLetter *letter);
static bool parse_lookup(KeyAttempt *attempt);
static OutboxKeyLock lock_of(const KeyAttempt *attempt);
static bool is_locked(KeyAttempt *attempt, const OutboxKeyLock *lock);
static bool read_after(KeyAttempt *attempt);
static int make_events(KeyAttempt *attempt);
static int decide_gone(KeyAttempt *attempt, OutboxKeyRows *rows);
static int tell_key(KeyAttempt *attempt, HeapTuple key_row);
static int decide_late(KeyAttempt *attempt, OutboxKeyRows *rows, bool before_known);
static bool find_newest(KeyAttempt *attempt, OutboxKeyHistory *history);
static void find_step(void *arg);
static int decide(KeyAttempt *attempt, const OutboxKeyRows *rows, const OutboxKeyRows *whole);
static int repeat_emit(KeyAttempt *attempt);
static void fail(KeyAttempt *attempt, int sqlerrcode, const char *message, const char *hint);

/* Finds out what a letter's key is locked by; false: *failure says why it is not known. May raise. */
bool
OutboxRedriveLockOf(OutboxCompiledContract *contract, const OutboxKeyLetter *letter, OutboxKeyLock *lock, OutboxDeadLetter *failure)
{
	KeyAttempt attempt = {.contract = contract, .letter = letter, .failure = failure};

	attempt.shape = OutboxKeyShapeCreate(contract->query->lookup_desc);
	if (!parse_lookup(&attempt))
		return false;
	*lock = lock_of(&attempt);
	return true;
}

static OutboxKeyLock
lock_of(const KeyAttempt *attempt)
{
	return (OutboxKeyLock){.lock_class = OutboxLockClass(attempt->contract->config->aggregate_type), .hash = attempt->key.hash};
}

/*
 * Takes the lock, until the end of the (sub)transaction. False: *failure says why not. The caller should have locked
 * nothing that others wait for. Goes ahead of those who wait, since there may always be very many; never waits for a
 * commit. May raise.
 */
bool
OutboxRedriveTakeLock(const OutboxKeyLock *lock, const OutboxKeyLetter *letter, OutboxDeadLetter *failure)
{
	OutboxLockSet *set = OutboxLockSetCreate(lock->lock_class);
	OutboxLockPatience patience_with_others = {.ms = patience(letter), .in_a_hurry = true};
	OutboxLockRequest request;
	KeyAttempt attempt = {.letter = letter, .failure = failure};

	if (letter->by_relay)
		patience_with_others.ms = Min(patience_with_others.ms, RELAY_LOCK_MS);
	OutboxLockSetAdd(set, lock->hash);
	OutboxLockRequestMake(&request, &set, 1);
	if (OutboxLockTake(&request, &patience_with_others))
		return true;
	fail(&attempt, ERRCODE_LOCK_NOT_AVAILABLE, "could not lock the aggregate",
		 "A transaction that changed it is committing; try again.");
	return false;
}

/*
 * Reads the row of a locked key as it is now, and adds the events to the present
 * transaction. When it fails, nothing is added and *failure says why. Returns why
 * there is no event; NULL: there is one, or it failed. May raise, so the caller
 * guards it.
 */
const char *
OutboxRedriveKey(OutboxCompiledContract *contract, const OutboxKeyLetter *letter, const OutboxKeyLock *lock, OutboxDeadLetter *failure)
{
	KeyAttempt attempt = {.contract = contract, .letter = letter, .failure = failure};
	volatile int nevents = 0;

	attempt.shape = OutboxKeyShapeCreate(contract->query->lookup_desc);
	if (!parse_lookup(&attempt) || !is_locked(&attempt, lock))
		return NULL;
	OutboxCommitGuardBegin(patience(letter), OUTBOX_SHORT_LOCK_TIMEOUT);
	PG_TRY();
	{
		if (read_after(&attempt))
			nevents = make_events(&attempt);
		OutboxCommitGuardEnd();
	}
	PG_FINALLY();
	{
		OutboxCommitGuardForget();
	}
	PG_END_TRY();
	if (nevents > 0)
		return NULL;
	if (attempt.untold)
		return OUTBOX_REDRIVE_UNTOLD;
	return OUTBOX_REDRIVE_NOTHING;
}

/* How long a lock or a reading may take, in milliseconds. */
static int
patience(const OutboxKeyLetter *letter)
{
	int longest = outbox_flush_timeout * PATIENCE;

	if (!letter->by_relay)
		return longest;
	return Min(Max(outbox_flush_timeout / RELAY_HASTE, 1) << Min(letter->attempts, 7), longest);
}

/* The values of the lookup columns; raises when one does not fit its type any more. */
static bool
parse_lookup(KeyAttempt *attempt)
{
	TupleDesc desc = attempt->shape->desc;
	bool *isnull = palloc(sizeof(bool) * desc->natts);
	bool known = attempt->letter->lookup != NULL;

	attempt->key.values = palloc(sizeof(Datum) * desc->natts);
	if (known)
		OutboxReadLetterRow(attempt->contract, desc, attempt->letter->lookup, attempt->key.values, isnull);
	for (int i = 0; known && i < desc->natts; i++)
		known = !isnull[i];
	if (!known)
	{
		fail(attempt, ERRCODE_NO_DATA_FOUND, "the key of the row is not known",
			 "Find the row by source_columns, change it so that an event type tells of it, and discard the dead letter.");
		return false;
	}
	attempt->key.hash = OutboxKeyHash(attempt->shape, attempt->key.values);
	return true;
}

/* The contract, or the type of its key, may have changed while the lock was waited for. */
static bool
is_locked(KeyAttempt *attempt, const OutboxKeyLock *lock)
{
	OutboxKeyLock wanted = lock_of(attempt);

	if (wanted.lock_class != lock->lock_class || wanted.hash != lock->hash)
		fail(attempt, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, "the contract changed while the aggregate was locked", "Try again.");
	return attempt->failure->message == NULL;
}

static bool
read_after(KeyAttempt *attempt)
{
	Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
	OutboxCommitRead read = {.contract = attempt->contract, .shape = attempt->shape, .context = CurrentMemoryContext, .snapshot = snapshot};
	OutboxReadKey *keys[] = {&attempt->key};
	const ErrorData *error = OutboxReadKeysAfter(&read, keys, 1);

	/* the active snapshot of our caller keeps toasted values in place */
	UnregisterSnapshot(snapshot);
	if (error == NULL)
		error = attempt->key.after.error;
	if (error && OutboxCommitGuardExpired())
		fail(attempt, ERRCODE_QUERY_CANCELED, "reading the row took too long",
			 "EXPLAIN the view with the key in its WHERE clause, or raise outbox.flush_timeout.");
	else if (error)
		fail(attempt, error->sqlerrcode, error->message, error->hint);
	else if (attempt->key.after.nrows > 1)
		fail(attempt, ERRCODE_CARDINALITY_VIOLATION,
			 psprintf("contract \"%s\" returned %d rows", attempt->contract->config->name, attempt->key.after.nrows),
			 "Let the view show one row per key.");
	return attempt->failure->message == NULL;
}

static int
make_events(KeyAttempt *attempt)
{
	const OutboxKeyLetter *letter = attempt->letter;
	bool created = OutboxLetterEmit(letter->emit) == OUTBOX_EMIT_CREATED;
	OutboxKeyRows rows = {.lookup_desc = attempt->shape->desc, .lookup = attempt->key.values, .before = letter->before, .after = attempt->key.after.row};

	attempt->untold = attempt->key.after.row == NULL && !OutboxTellsOfDeleted(attempt->contract);
	if (letter->event_type)
		return repeat_emit(attempt);
	if (letter->late)
		return decide_late(attempt, &rows, letter->before || created);
	if (letter->before || created)
		return decide(attempt, &rows, NULL);
	if (rows.after == NULL)
		return decide_gone(attempt, &rows);
	/* the contract did not work: whether the row came into the view, or left it, was not known */
	if (letter->key == NULL)
		return decide_late(attempt, &rows, false);
	return repeat_emit(attempt);
}

/* The row is gone, and the letter does not know how it was (the contract did not work, say). Perhaps the outbox does. */
static int
decide_gone(KeyAttempt *attempt, OutboxKeyRows *rows)
{
	OutboxKeyHistory history = {.contract = attempt->contract, .row = OutboxRedriveKeyRow(attempt->contract, attempt->key.values)};
	int nevents;

	if (attempt->untold)
		return 0;
	if (find_newest(attempt, &history))
	{
		rows->before = history.before;
		return decide(attempt, rows, NULL);
	}
	if (attempt->failure->message || history.row == NULL)
		return attempt->failure->message ? 0 : tell_key(attempt, NULL);
	/* NULL for the rest, unless that is required, or a condition asks for it */
	rows->before = history.row;
	nevents = decide(attempt, rows, NULL);
	return nevents > 0 ? nevents : tell_key(attempt, history.row);
}

/* Adds null values for the key. They need no more than a row that has the key and is otherwise NULL. */
static int
tell_key(KeyAttempt *attempt, HeapTuple key_row)
{
	int16 flags = (attempt->letter->late ? OUTBOX_EVENT_LATE : 0) | (attempt->letter->by_relay ? 0 : OUTBOX_EVENT_REDRIVEN);
	int nevents = key_row ? OutboxCaptureTombstones(attempt->contract, key_row, flags) : 0;

	if (nevents == 0 && attempt->failure->message == NULL)
		fail(attempt, ERRCODE_NO_DATA_FOUND, "the row is not in the view any more, and neither the dead letter nor the outbox knows what it was",
			 "Tell consumers of the row's key another way, and discard the dead letter.");
	else if (nevents > 0)
		memset(attempt->failure, 0, sizeof(*attempt->failure));
	return nevents;
}

/* Decides about a late key. before_known: the letter has the row before, or knows that there was none. */
static int
decide_late(KeyAttempt *attempt, OutboxKeyRows *rows, bool before_known)
{
	static const ErrorData unknown = {.sqlerrcode = ERRCODE_NO_DATA_FOUND, .message = "the row before is not known"};
	OutboxKeyHistory history = {.contract = attempt->contract, .row = rows->after ? rows->after : rows->before, .snapshot = before_known ? attempt->letter->snapshot : NULL};
	OutboxKeyRows whole = *rows;
	int nevents;

	/* of a row that is gone, and was not kept, the key alone */
	if (history.row == NULL)
		history.row = OutboxRedriveKeyRow(attempt->contract, attempt->key.values);
	/* a letter of an earlier version that knows the row, but not since when */
	if ((!before_known || history.snapshot) && find_newest(attempt, &history))
	{
		rows->before = history.before;
		whole.told = history.told;
		return decide(attempt, rows, before_known ? &whole : NULL);
	}
	if (attempt->failure->message)
		return 0;
	if (!before_known && rows->after == NULL)
	{
		return attempt->untold ? 0 : tell_key(attempt, history.row);
	}
	if (!before_known)
	{
		rows->before_error = &unknown;
		nevents = decide(attempt, rows, NULL);
		if (nevents > 0 || attempt->failure->message)
			return nevents;
		rows->before_error = NULL;
	}
	return decide(attempt, rows, NULL);
}

/* Finds the newest event within the guard's time. It takes long only without preloading, when leaves are read. */
static bool
find_newest(KeyAttempt *attempt, OutboxKeyHistory *history)
{
	KeySearch search = {.history = history};
	ErrorData *error;

	OutboxCommitGuardArm();
	error = OutboxRunGuarded(find_step, &search, CurrentMemoryContext);
	OutboxCommitGuardDisarm();
	if (error && OutboxCommitGuardExpired())
		fail(attempt, ERRCODE_QUERY_CANCELED, "looking for the newest event of the key took too long",
			 "Add outbox_ext to shared_preload_libraries, or raise outbox.flush_timeout.");
	else if (error)
		ThrowErrorData(error);
	return search.found;
}

static void
find_step(void *arg)
{
	KeySearch *search = arg;

	search->found = OutboxFindNewestEvent(search->history);
}

/*
 * Decides by the rows, not by the letter's emit. With `whole`, the way from the letter's row before counts, too. A
 * transaction that committed the key in time told the difference to the late transaction's rows, which consumers have
 * not seen. So nobody has told what holds for the whole way alone: a condition on the transition, or that the row was
 * created.
 */
static int
decide(KeyAttempt *attempt, const OutboxKeyRows *rows, const OutboxKeyRows *whole)
{
	int16 flags = attempt->letter->by_relay ? 0 : OUTBOX_EVENT_REDRIVEN;

	if (attempt->letter->late)
		flags |= OUTBOX_EVENT_LATE;
	return attempt->letter->late ? OutboxCaptureLate(attempt->contract, rows, whole, flags, attempt->failure)
								 : OutboxCaptureAnew(attempt->contract, rows, flags, attempt->failure);
}

/* Repeats the letter's emit, with the row as it is now. */
static int
repeat_emit(KeyAttempt *attempt)
{
	const OutboxKeyLetter *letter = attempt->letter;
	OutboxRedrive redrive = {.emit = OutboxLetterEmit(letter->emit), .event_type = letter->event_type, .before = letter->before, .after = attempt->key.after.row, .flags = letter->late ? OUTBOX_EVENT_LATE : 0};

	if (redrive.emit == OUTBOX_EMIT_DELETED && redrive.before == NULL)
		fail(attempt, ERRCODE_NO_DATA_FOUND, "the row before is not known", "Discard the dead letter.");
	else if (redrive.emit == OUTBOX_EMIT_DELETED && redrive.after)
		fail(attempt, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, OUTBOX_REDRIVE_THERE_AGAIN, "Discard the dead letter: consumers would take the row for deleted.");
	else if (redrive.emit != OUTBOX_EMIT_DELETED && redrive.after == NULL)
	{
		if (!attempt->untold)
			fail(attempt, ERRCODE_NO_DATA_FOUND, "the row is not in the view any more", "Discard the dead letter.");
	}
	else
	{
		redrive.before_unknown = redrive.emit == OUTBOX_EMIT_CHANGED && redrive.before == NULL;
		return OutboxCaptureRedrive(attempt->contract, &redrive, attempt->failure);
	}
	return 0;
}

static void
fail(KeyAttempt *attempt, int sqlerrcode, const char *message, const char *hint)
{
	attempt->failure->sqlerrcode = sqlerrcode;
	attempt->failure->message = message;
	attempt->failure->hint = hint;
}
