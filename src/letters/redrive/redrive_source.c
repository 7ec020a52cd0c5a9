/*-------------------------------------------------------------------------
 *
 * redrive_source.c
 *	  A dead letter that has the source's key alone, tried again.
 *
 * While a contract does not work, nothing of its row can be computed, and a dead
 * letter has the columns of the source's unique index. When the contract works
 * again, its key is computed from them. The row is read by that key as it is now,
 * and locked; the newest event of the key tells what consumers have. These two
 * decide which events are made, not the letter's emit: the view may have a
 * condition, and the row may have changed again.
 *
 * Without an event in the outbox, a row that is there counts as changed, or as
 * created if no event type tells of changed rows and the view has a condition. For
 * a row that is gone, the event has the key, and NULL for the rest. When that makes
 * no event, the letter stays open.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/sysattr.h"
#include "executor/executor.h"
#include "optimizer/optimizer.h"
#include "utils/jsonb.h"
#include "utils/rel.h"

#include "capture/transition/transition.h"
#include "catalog/outbox_catalog.h"
#include "contract/compile/compile.h"
#include "contract/environment/environment.h"
#include "contract/view/view.h"
#include "letters/letters.h"
#include "letters/redrive/redrive_private.h"

/* A letter on its way. */
typedef struct SourceAttempt
{
	OutboxCompiledContract *contract;
	const OutboxLetter *letter;
	OutboxDeadLetter *failure;
	HeapTuple key_row; /* the contract's row, all NULL but for the key */
	HeapTuple after;
} SourceAttempt;

static bool knows_key(const OutboxCompiledContract *contract, Jsonb *columns, TupleDesc desc);
static HeapTuple evaluate_key(OutboxCompiledContract *contract, TupleTableSlot *source);
static void read_after(SourceAttempt *attempt);
static int make_events(SourceAttempt *attempt);
static int tell(SourceAttempt *attempt, HeapTuple before);
static int tell_unknown(SourceAttempt *attempt);
static int tell_gone(SourceAttempt *attempt);
static void fail(SourceAttempt *attempt, const char *message, const char *hint);

/*
 * Finds the row of a contract that is evaluated per row as it is now, and adds the
 * events to the present transaction. When it fails, nothing is added and *failure
 * says why. Returns why there is no event; NULL: there is one, or it failed. May
 * raise, so the caller guards it.
 */
const char *
OutboxRedriveSource(OutboxCompiledContract *contract, const OutboxLetter *letter, OutboxDeadLetter *failure)
{
	SourceAttempt attempt = {.contract = contract, .letter = letter, .failure = failure};

	attempt.key_row = OutboxRedriveSourceKey(contract, letter->source_columns);
	if (attempt.key_row == NULL)
	{
		fail(&attempt, "the key of the row is not known",
			 "Find the row by source_columns, change it so that an event type tells of it, and discard the dead letter.");
		return NULL;
	}
	read_after(&attempt);
	if (make_events(&attempt) > 0 || failure->message)
		return NULL;
	return attempt.after == NULL && !OutboxTellsOfDeleted(contract) ? OUTBOX_REDRIVE_UNTOLD : OUTBOX_REDRIVE_NOTHING;
}

/*
 * The contract's key, in a row of its view that is otherwise NULL, computed from the
 * columns of the source that a letter has; NULL: it does not follow from them. May
 * raise.
 */
HeapTuple
OutboxRedriveSourceKey(OutboxCompiledContract *contract, Jsonb *columns)
{
	Relation root;
	TupleTableSlot *source;
	HeapTuple row = NULL;

	if (columns == NULL)
		return NULL;
	root = relation_open(contract->config->root, AccessShareLock);
	if (knows_key(contract, columns, RelationGetDescr(root)))
	{
		source = MakeSingleTupleTableSlot(CreateTupleDescCopy(RelationGetDescr(root)), &TTSOpsVirtual);
		OutboxReadLetterRow(contract, source->tts_tupleDescriptor, columns, source->tts_values, source->tts_isnull);
		ExecStoreVirtualTuple(source);
		row = evaluate_key(contract, source);
		ExecDropSingleTupleTableSlot(source);
	}
	relation_close(root, NoLock);
	return row;
}

/* Are these all columns that the key is computed from? */
static bool
knows_key(const OutboxCompiledContract *contract, Jsonb *columns, TupleDesc desc)
{
	Bitmapset *reads = NULL;
	int member = -1;

	for (int i = 0; i < contract->nkey; i++)
		pull_varattnos(list_nth(contract->columns, contract->key[i]), OUTBOX_ROOT_VARNO, &reads);
	while ((member = bms_next_member(reads, member)) >= 0)
	{
		int attno = member + FirstLowInvalidHeapAttributeNumber;
		const char *name = attno > 0 ? NameStr(TupleDescAttr(desc, attno - 1)->attname) : "";
		JsonbValue value;

		if (!getKeyJsonValueFromContainer(&columns->root, name, strlen(name), &value))
			return false;
		/* of a contract that worked it may be cut */
		if (value.type == jbvString && value.val.string.len > OUTBOX_SHOWN_BYTES)
			return false;
	}
	return true;
}

/* Computes the key with the contract's rights. NULL when a part is NULL: consumers do not know such a row. */
static HeapTuple
evaluate_key(OutboxCompiledContract *contract, TupleTableSlot *source)
{
	OutboxEvaluation evaluation;

	OutboxEvaluateReset(contract);
	OutboxEvaluationStart(contract, &evaluation);
	OutboxEvaluateKey(contract, source);
	OutboxEvaluationStop(contract, &evaluation);
	for (int i = 0; i < contract->nkey; i++)
	{
		if (contract->key_row->tts_isnull[contract->key[i]])
			return NULL;
	}
	return ExecCopySlotHeapTuple(contract->key_row);
}

/* Output functions run, as when a letter is written. */
static void
read_after(SourceAttempt *attempt)
{
	OutboxCompiledContract *contract = attempt->contract;
	OutboxLetter letter = *attempt->letter;
	Datum *values = palloc(sizeof(Datum) * contract->ncolumns);
	bool *isnull = palloc(sizeof(bool) * contract->ncolumns);
	OutboxEvaluation evaluation;

	heap_deform_tuple(attempt->key_row, contract->row_desc, values, isnull);
	OutboxEvaluationBegin(&evaluation, contract->owner, OUTBOX_ANYTHING);
	letter.key = OutboxColumnsToJsonb(contract->row_desc, values, isnull, contract->key, contract->nkey, 0);
	OutboxEvaluationEnd(&evaluation);
	attempt->after = OutboxLetterRowNow(contract, &letter);
}

static int
make_events(SourceAttempt *attempt)
{
	const OutboxLetter *letter = attempt->letter;
	OutboxKeyHistory history = {.contract = attempt->contract, .row = attempt->key_row};

	if (OutboxLetterEmit(letter->emit) == OUTBOX_EMIT_CREATED)
		return tell(attempt, NULL);
	if (attempt->after == NULL && !OutboxTellsOfDeleted(attempt->contract))
		return 0;
	if (OutboxFindNewestEvent(&history))
		return tell(attempt, history.before);
	return attempt->after ? tell_unknown(attempt) : tell_gone(attempt);
}

/* Makes the events. The row after is told even if it equals the row before. */
static int
tell(SourceAttempt *attempt, HeapTuple before)
{
	OutboxKeyRows rows = {.before = before, .after = attempt->after};

	return OutboxCaptureLate(attempt->contract, &rows, NULL, OUTBOX_EVENT_REDRIVEN, attempt->failure);
}

static int
tell_unknown(SourceAttempt *attempt)
{
	static const ErrorData unknown = {.sqlerrcode = ERRCODE_NO_DATA_FOUND, .message = "the row before is not known"};
	OutboxKeyRows rows = {.after = attempt->after, .before_error = &unknown};
	OutboxCompiledContract *contract = attempt->contract;
	int nevents = OutboxCaptureAnew(contract, &rows, OUTBOX_EVENT_REDRIVEN, attempt->failure);

	/* it may have come into the view */
	if (nevents == 0 && attempt->failure->message == NULL && contract->qual != NIL)
		nevents = tell(attempt, NULL);
	/* its condition may have been about the row before */
	if (nevents == 0 && attempt->failure->message == NULL && OutboxEmitIsWanted(contract, OUTBOX_EMIT_CHANGED))
		fail(attempt, "neither the dead letter nor the outbox knows what the row was before",
			 "If an event type should tell of the row, change it so that one does; then discard the dead letter.");
	return nevents;
}

static int
tell_gone(SourceAttempt *attempt)
{
	int nevents = tell(attempt, attempt->key_row);

	/* a null value needs no more than the key */
	if (nevents == 0)
		nevents = OutboxCaptureTombstones(attempt->contract, attempt->key_row, OUTBOX_EVENT_REDRIVEN);
	if (nevents > 0)
		memset(attempt->failure, 0, sizeof(*attempt->failure));
	else
		fail(attempt, "the row is not in the view any more, and neither the dead letter nor the outbox knows what it was",
			 "Tell consumers of the row's key another way, and discard the dead letter.");
	return nevents;
}

static void
fail(SourceAttempt *attempt, const char *message, const char *hint)
{
	attempt->failure->sqlerrcode = ERRCODE_NO_DATA_FOUND;
	attempt->failure->message = message;
	attempt->failure->hint = hint;
}
