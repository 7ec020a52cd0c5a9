/*-------------------------------------------------------------------------
 *
 * change_steps.c
 *	  A change, step by step: the rows before and after, what happened, events.
 *
 * When evaluating may raise, the whole sequence runs in one internal
 * subtransaction; if a step raises, its error becomes a dead letter (or, for
 * the row before, "unknown"), and the sequence goes on behind that step in a
 * new one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/executor.h"

#include "capture/transition/transition_private.h"
#include "catalog/outbox_catalog.h"
#include "compat.h"
#include "contract/compile/compile.h"
#include "contract/environment/environment.h"
#include "util/util.h"

static bool reads_toast(const OutboxChange *change);
static bool holds_toast(TupleTableSlot *row, const AttrNumber *columns, int ncolumns);
static void advance(void *arg);
static void evaluate_before(OutboxChange *change);
static void evaluate_after(OutboxChange *change);
static void compare(OutboxChange *change);
static bool former_row_has_no_key(OutboxChange *change);
static bool same_key(OutboxChange *change);
static void former_row_gone(OutboxChange *change);
static void unknown_row_gone(OutboxChange *change);
static void note_message_key(OutboxChange *change);
static void message_key_step(void *arg);
static void step_failed(OutboxChange *change, ErrorData *error);
static void mapping_failed(OutboxChange *change, ErrorData *error, OutboxEmit emit);
static void after_failed(OutboxChange *change, ErrorData *error);
static bool evaluate_key_guarded(OutboxChange *change, TupleTableSlot *source);

/* Runs the steps that are left. Raises only errors that must reach the writer (OutboxRunGuarded). */
void
OutboxChangeRun(OutboxChange *change)
{
	OutboxCompiledContract *contract = change->contract;

	while (change->step != STEP_DONE)
	{
		ErrorData *error = NULL;

		if ((contract->traits & OUTBOX_RAISES) || contract->stale || reads_toast(change))
			error = OutboxRunGuarded(advance, change, contract->row_context);
		else
			advance(change);
		if (error)
			OutboxEvaluationFailed(contract);
		if (error && OutboxIsCancel(error))
		{
			change->interrupted = true;
			change->step = STEP_DONE;
		}
		else if (error)
			step_failed(change, error);
	}
}

/*
 * Does evaluating fetch a value that is stored out of line or compressed? That
 * may fail: a server may lack the method that the value was compressed with.
 */
static bool
reads_toast(const OutboxChange *change)
{
	const OutboxCompiledContract *contract = change->contract;

	if (change->source_before || change->source_after)
		return holds_toast(change->source_before, contract->read, contract->nread) ||
			holds_toast(change->source_after, contract->read, contract->nread);
	return holds_toast(contract->before, NULL, contract->ncolumns) ||
		holds_toast(contract->after, NULL, contract->ncolumns);
}

/* Is one of these columns stored so? columns = NULL: all. */
static bool
holds_toast(TupleTableSlot *row, const AttrNumber *columns, int ncolumns)
{
	if (row == NULL || TTS_EMPTY(row) || ncolumns == 0)
		return false;
	slot_getsomeattrs(row, columns ? columns[ncolumns - 1] : ncolumns);
	for (int i = 0; i < ncolumns; i++)
	{
		int column = columns ? columns[i] - 1 : i;

		if (TupleDescAttr(row->tts_tupleDescriptor, column)->attlen == -1 && !row->tts_isnull[column] &&
			VARATT_IS_EXTENDED(DatumGetPointer(row->tts_values[column])) &&
			!VARATT_IS_SHORT(DatumGetPointer(row->tts_values[column])))
			return true;
	}
	return false;
}

/* Runs the steps that are left, with the rights of the contract's owner. */
static void
advance(void *arg)
{
	OutboxChange *change = arg;
	OutboxEvaluation evaluation;

	OutboxEvaluationStart(change->contract, &evaluation);
	while (change->step != STEP_DONE)
	{
		switch (change->step)
		{
			case STEP_BEFORE:
				evaluate_before(change);
				change->step = STEP_AFTER;
				break;
			case STEP_AFTER:
				evaluate_after(change);
				change->step = STEP_COMPARE;
				break;
			case STEP_COMPARE:
				compare(change);
				change->step = STEP_EVENTS;
				break;
			case STEP_EVENTS:
				OutboxChangeMakeEvents(change);
				change->step = STEP_DONE;
				break;
			case STEP_DONE:
				break;
		}
	}
	OutboxEvaluationStop(change->contract, &evaluation);
}

static void
evaluate_before(OutboxChange *change)
{
	if (change->source_before && OutboxEvaluateBefore(change->contract, change->source_before))
		change->before = ROW_PRESENT;
}

static void
evaluate_after(OutboxChange *change)
{
	if (change->source_after && OutboxEvaluateAfter(change->contract, change->source_after))
		change->after = ROW_PRESENT;
}

/* Decides what happened: a changed key is a deleted and a created row. */
static void
compare(OutboxChange *change)
{
	OutboxCompiledContract *contract = change->contract;
	bool before = change->before != ROW_ABSENT && !former_row_has_no_key(change);
	bool after = change->after != ROW_ABSENT;

	if (before && after)
	{
		if (same_key(change))
			OutboxChangeAddTransition(change, OUTBOX_EMIT_CHANGED,
									  change->before == ROW_PRESENT && !change->is_state && OutboxRowsEqual(contract, NULL), true, true);
		else
		{
			former_row_gone(change);
			OutboxChangeAddTransition(change, OUTBOX_EMIT_CREATED, false, false, true);
		}
	}
	else if (before)
		former_row_gone(change);
	else if (after)
		OutboxChangeAddTransition(change, OUTBOX_EMIT_CREATED, false, false, true);
}

/* A row without a key was a dead letter: consumers do not know it. */
static bool
former_row_has_no_key(OutboxChange *change)
{
	OutboxCompiledContract *contract = change->contract;

	for (int i = 0; change->before == ROW_PRESENT && i < contract->nkey; i++)
	{
		if (contract->before->tts_isnull[contract->key[i]])
			return true;
	}
	return false;
}

/* When not even the key of the row before is known, it counts as the same. */
static bool
same_key(OutboxChange *change)
{
	return (change->before == ROW_UNKNOWN && !change->former_key_known) || OutboxKeysEqual(change->contract);
}

/* A deleted event shows the row before: one that is unknown makes a dead letter. */
static void
former_row_gone(OutboxChange *change)
{
	if (change->before == ROW_PRESENT)
		OutboxChangeAddTransition(change, OUTBOX_EMIT_DELETED, false, true, false);
	else
		unknown_row_gone(change);
}

/*
 * Adds a dead letter, unless all event types of deleted rows ask for null values alone, without a condition: a null
 * value needs the key and no more. A condition on the unknown row cannot be decided.
 */
static void
unknown_row_gone(OutboxChange *change)
{
	OutboxCompiledContract *contract = change->contract;
	bool told = !OutboxEmitIsWanted(contract, OUTBOX_EMIT_ALWAYS);

	for (int i = 0; i < contract->ntypes; i++)
	{
		OutboxCompiledEventType *type = &contract->types[i];

		if (type->config->emit != OUTBOX_EMIT_DELETED)
			continue;
		if (type->condition || !OutboxChangeAddTombstone(change, type, change->former_message_key, contract->before) ||
			(type->flags & OUTBOX_EVENT_TOMBSTONE_ONLY) == 0)
			told = false;
	}
	if (!told && (OutboxEmitIsWanted(contract, OUTBOX_EMIT_DELETED) || OutboxEmitIsWanted(contract, OUTBOX_EMIT_ALWAYS)))
		OutboxChangeAddLetter(change, NULL, OUTBOX_EMIT_DELETED, "map", change->former_error);
}

/* Adds a pair of rows for STEP_EVENTS. */
void
OutboxChangeAddTransition(OutboxChange *change, OutboxEmit emit, bool equal, bool before, bool after)
{
	OutboxTransition *transition = &change->transitions[change->ntransitions++];

	transition->emit = emit;
	transition->equal = equal;
	transition->before = before;
	transition->after = after;
}

/* A step raised: decides what that means and where to go on. */
static void
step_failed(OutboxChange *change, ErrorData *error)
{
	switch (change->step)
	{
		case STEP_BEFORE:
			change->before = ROW_UNKNOWN;
			change->former_error = error;
			note_message_key(change);
			change->former_key_known = evaluate_key_guarded(change, change->source_before);
			OutboxBeforeFromKey(change->contract);
			change->step = STEP_AFTER;
			break;
		case STEP_AFTER:
			after_failed(change, error);
			break;
		case STEP_COMPARE:
			/* Not comparable is not equal. */
			change->ntransitions = 0;
			OutboxChangeAddTransition(change, OUTBOX_EMIT_CHANGED, false, true, true);
			change->step = STEP_EVENTS;
			break;
		case STEP_EVENTS:
			if (OutboxChangePreviousToBlame(change))
				break;
			OutboxChangeEventFailed(change, change->stage, error);
			change->type++;
			change->unfit = NULL;
			break;
		case STEP_DONE:
			break;
	}
}

/*
 * The row after cannot be mapped. If its key is another one than before, the
 * former row is gone all the same, and that event must not be lost with it.
 */
static void
after_failed(OutboxChange *change, ErrorData *error)
{
	OutboxCompiledContract *contract = change->contract;
	bool key_known = evaluate_key_guarded(change, change->source_after);
	bool other_key = false;

	if (key_known && (change->before == ROW_PRESENT || change->former_key_known))
	{
		for (int i = 0; i < contract->nkey; i++)
			other_key |= !OutboxSameValue(contract, contract->key[i], contract->before, contract->key_row);
	}
	mapping_failed(change, error, change->before == ROW_ABSENT || other_key ? OUTBOX_EMIT_CREATED : OUTBOX_EMIT_CHANGED);
	if (other_key)
		former_row_gone(change);
	change->step = other_key ? STEP_EVENTS : STEP_DONE;
}

/* The message key of the row before, which cannot be mapped, if a null value may have to be published for it. */
static void
note_message_key(OutboxChange *change)
{
	if (!change->contract->makes_tombstones)
		return;
	if (OutboxRunGuarded(message_key_step, change, change->contract->row_context))
		OutboxEvaluationFailed(change->contract);
	ExecClearTuple(change->contract->key_row);
}

static void
message_key_step(void *arg)
{
	OutboxChange *change = arg;
	OutboxCompiledContract *contract = change->contract;
	OutboxEvaluation evaluation;

	OutboxEvaluationStart(contract, &evaluation);
	OutboxEvaluateMessageKey(contract, change->source_before);
	change->former_message_key = OutboxAggregateId(contract, contract->key_row);
	OutboxEvaluationStop(contract, &evaluation);
}

static void
evaluate_key_step(void *arg)
{
	OutboxChange *change = arg;
	OutboxEvaluation evaluation;

	OutboxEvaluationStart(change->contract, &evaluation);
	OutboxEvaluateKey(change->contract, change->key_source);
	OutboxEvaluationStop(change->contract, &evaluation);
}

/* Fills key_row if the key's own expressions allow it. */
static bool
evaluate_key_guarded(OutboxChange *change, TupleTableSlot *source)
{
	change->key_source = source;
	if (OutboxRunGuarded(evaluate_key_step, change, change->contract->row_context) == NULL)
		return true;
	OutboxEvaluationFailed(change->contract);
	ExecClearTuple(change->contract->key_row);
	return false;
}

/* One dead letter for the contract's row, if any event type would have been concerned. */
static void
mapping_failed(OutboxChange *change, ErrorData *error, OutboxEmit emit)
{
	if (TTS_EMPTY(change->contract->key_row))
		evaluate_key_guarded(change, change->source_after ? change->source_after : change->source_before);
	if (OutboxEmitIsWanted(change->contract, emit) || OutboxEmitIsWanted(change->contract, OUTBOX_EMIT_ALWAYS))
		OutboxChangeAddLetter(change, NULL, emit, "map", error);
}

/* Is there an event type of that emit? */
bool
OutboxEmitIsWanted(const OutboxCompiledContract *contract, OutboxEmit emit)
{
	for (int i = 0; i < contract->ntypes; i++)
	{
		if (contract->types[i].config->emit == emit)
			return true;
	}
	return false;
}
