/*-------------------------------------------------------------------------
 *
 * redrive_key.c
 *	  A dead letter of a contract evaluated at commit, tried again.
 *
 * The letter has the lookup key; the row is read by it as a flush reads it,
 * under the aggregate's lock, so that no transaction commits a change of it
 * meanwhile. What it was before comes from the letter; of a late key, from the
 * newest event that was committed since the letter's row was read, if there is
 * one: then what the way from the letter's row makes is told as well. Where neither knows it, the newest event of all tells what consumers
 * have; and where there is none, the row as it is counts as changed, or as created
 * if no event type tells of changed rows. So a late key never needs a person,
 * but for a row that is gone and of which nobody knows what it was.
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

/* The relay, which may hold what the other one waits for, leaves a key for later that it does not get in so many ms. */
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

/* Finds out what that is; false: *failure says why it is not known. May raise, as the next ones. */
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
 * Takes the lock, until the end of the (sub)transaction. Nobody should wait for what its caller has locked.
 *
 * Ahead of those who wait, of whom there may be very many all the time; but nobody's commit is waited for.
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
 * Reads the row of a key that is locked as it is now and adds the events to
 * the present transaction. When it fails nothing
 * is added and *failure says why. May raise, so the caller guards it. Returns
 * why there is no event, NULL when there is one.
 */
const char *
OutboxRedriveKey(OutboxCompiledContract *contract, const OutboxKeyLetter *letter, const OutboxKeyLock *lock, OutboxDeadLetter *failure)
{
	KeyAttempt attempt = {.contract = contract, .letter = letter, .failure = failure};
	volatile int nevents = 0;

	attempt.shape = OutboxKeyShapeCreate(contract->query->lookup_desc);
	if (!parse_lookup(&attempt) || !is_locked(&attempt, lock))
		return NULL;
	OutboxCommitGuardBegin(patience(letter));
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

/* Milliseconds. */
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

/* Of what it was the letter, of a contract that did not work, say, knows nothing; perhaps the outbox does. */
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

/* A null value needs the key alone, which a row has that is otherwise NULL. */
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

/* before_known: the letter has the row before, or knows that there was none. */
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

/* Nearly always in no time; but without preloading leaves are read. */
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
 * The key of the row, in a row of the contract's view that is otherwise NULL;
 * NULL: it does not follow from the lookup key. May raise.
 */
HeapTuple
OutboxRedriveKeyRow(OutboxCompiledContract *contract, const Datum *lookup)
{
	OutboxRunner runner;
	Datum *key = palloc(sizeof(Datum) * contract->nkey);
	bool *key_isnull = palloc(sizeof(bool) * contract->nkey);
	Datum *values;
	bool *isnull;

	OutboxRedriveRunner(contract, &runner);
	if (!OutboxKeyFromLookup(contract->config, contract->query, &runner, lookup, key, key_isnull))
		return NULL;
	values = palloc0(sizeof(Datum) * contract->ncolumns);
	isnull = palloc(sizeof(bool) * contract->ncolumns);
	memset(isnull, true, sizeof(bool) * contract->ncolumns);
	for (int i = 0; i < contract->nkey; i++)
	{
		values[contract->key[i]] = key[i];
		isnull[contract->key[i]] = key_isnull[i];
	}
	return heap_form_tuple(contract->row_desc, values, isnull);
}

/*
 * The rows are what counts, not what the letter says that happened. With `whole` the way from the letter's row before
 * counts, too: whoever committed the key in time told the difference to the late transaction's rows, which consumers
 * have not seen, so nobody has told what is true of the whole way alone (a condition on the transition, that the row
 * was created).
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

/* What the letter says that happened, with the row as it is now. */
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
