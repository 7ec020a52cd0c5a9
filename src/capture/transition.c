/*-------------------------------------------------------------------------
 *
 * transition.c
 *	  One changed source row -> events and dead letters.
 *
 * The work is a sequence of steps. When evaluating may raise, the whole
 * sequence runs in one internal subtransaction; if a step raises, its error
 * becomes a dead letter (or, for the row before, "unknown"), and the sequence
 * goes on behind that step in a new one. What was produced is inserted
 * afterwards, outside of any subtransaction of ours.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "executor/executor.h"
#include "storage/proc.h"
#include "utils/builtins.h"

#include "capture/change.h"
#include "capture/cost.h"
#include "capture/commit_guard.h"
#include "capture/transition.h"
#include "catalog/outbox_catalog.h"
#include "compat.h"
#include "contract/evaluate.h"
#include "contract/guard.h"

static int	take_attempt(OutboxChange *change, OutboxDeadLetter *failure);
static void take_rows(OutboxChange *change, const OutboxKeyRows *rows);
static void former_row_unknown(OutboxChange *change);
static void store_row(OutboxCompiledContract *contract, TupleTableSlot *slot, HeapTuple tuple);
static int	count_differing(const OutboxChange *change);
static void run_within_time(OutboxChange *change);
static void run(OutboxChange *change);
static void advance(void *arg);
static void evaluate_before(OutboxChange *change);
static void evaluate_after(OutboxChange *change);
static void compare(OutboxChange *change);
static bool same_key(OutboxChange *change);
static void former_row_gone(OutboxChange *change);
static void add_transition(OutboxChange *change, OutboxEmit emit, bool equal, bool before, bool after);
static void step_failed(OutboxChange *change, ErrorData *error);
static void mapping_failed(OutboxChange *change, ErrorData *error, OutboxEmit emit);
static bool is_wanted(const OutboxCompiledContract *contract, OutboxEmit emit);
static void after_failed(OutboxChange *change, ErrorData *error);
static bool evaluate_key_guarded(OutboxChange *change, TupleTableSlot *source);

int
OutboxCaptureChange(OutboxCompiledContract *contract, TupleTableSlot *before,
					TupleTableSlot *after, bool superseded)
{
	OutboxChange		change = {.contract = contract, .source_before = before,
	.source_after = after, .flags = superseded ? OUTBOX_EVENT_SUPERSEDED : 0};
	MemoryContext caller;
	int			differing;

	if (before && after && !is_wanted(contract, OUTBOX_EMIT_ALWAYS) &&
		OutboxSourceReadsEqual(contract, before, after))
		return 0;
	OutboxEvaluateReset(contract);
	caller = MemoryContextSwitchTo(contract->row_context);
	run(&change);
	differing = count_differing(&change);
	OutboxChangeInsertResults(&change);
	MemoryContextSwitchTo(caller);
	return differing;
}

int
OutboxCaptureRedrive(OutboxCompiledContract *contract, const OutboxRedrive *redrive, OutboxDeadLetter *failure)
{
	OutboxChange		change = {.contract = contract, .flags = OUTBOX_EVENT_REDRIVEN | redrive->flags,
	.only_type = redrive->event_type, .step = STEP_EVENTS};
	MemoryContext caller;
	int			nevents;

	OutboxEvaluateReset(contract);
	caller = MemoryContextSwitchTo(contract->row_context);
	store_row(contract, contract->before, redrive->before);
	store_row(contract, contract->after, redrive->after);
	if (redrive->before_unknown)
		ExecStoreAllNullTuple(contract->before);
	add_transition(&change, redrive->emit, false, redrive->before || redrive->before_unknown,
				   redrive->after != NULL);
	run_within_time(&change);
	nevents = take_attempt(&change, failure);
	MemoryContextSwitchTo(caller);
	return nevents;
}

/* The events, or why there are none. */
static int
take_attempt(OutboxChange *change, OutboxDeadLetter *failure)
{
	if (change->interrupted)
	{
		failure->sqlerrcode = ERRCODE_QUERY_CANCELED;
		failure->message = "evaluating the row took too long";
		failure->hint = "See what the contract's conditions, checks and expressions call, or raise outbox.flush_timeout.";
		return 0;
	}
	if (change->letters == NIL)
	{
		OutboxChangeAppendEvents(change);
		return list_length(change->events);
	}
	*failure = *(OutboxDeadLetter *) linitial(change->letters);
	return 0;
}

bool
OutboxCaptureKey(OutboxCompiledContract *contract, const OutboxKeyRows *rows)
{
	OutboxChange		change = {.contract = contract};
	MemoryContext caller;

	OutboxEvaluateReset(contract);
	caller = MemoryContextSwitchTo(contract->row_context);
	take_rows(&change, rows);
	run_within_time(&change);
	if (!change.interrupted)
	{
		OutboxCostTransitions(contract->config->id, count_differing(&change));
		OutboxChangeInsertResults(&change);
	}
	MemoryContextSwitchTo(caller);
	return !change.interrupted;
}

/* Pairs of rows in which something published differs; a row that cannot be mapped is one, of nobody knows what. */
static int
count_differing(const OutboxChange *change)
{
	int			differing = 0;

	for (int i = 0; i < change->ntransitions; i++)
		differing += !change->transitions[i].equal;
	return differing == 0 && change->letters ? 1 : differing;
}

int
OutboxCaptureLate(OutboxCompiledContract *contract, const OutboxKeyRows *rows, int16 flags, OutboxDeadLetter *failure)
{
	OutboxChange		change = {.contract = contract, .flags = flags, .always_only = rows->before_error != NULL};
	MemoryContext caller;
	int			nevents;

	OutboxEvaluateReset(contract);
	caller = MemoryContextSwitchTo(contract->row_context);
	take_rows(&change, rows);
	if (change.always_only && rows->after == NULL)
		change.step = STEP_DONE;
	run_within_time(&change);
	nevents = take_attempt(&change, failure);
	MemoryContextSwitchTo(caller);
	return nevents;
}

/* Starts with the rows of the view in place of evaluating source rows. */
static void
take_rows(OutboxChange *change, const OutboxKeyRows *rows)
{
	OutboxCompiledContract *contract = change->contract;

	change->lookup_desc = rows->lookup_desc;
	change->lookup = rows->lookup;
	change->step = STEP_COMPARE;
	store_row(contract, contract->before, rows->before);
	store_row(contract, contract->after, rows->after);
	change->before = rows->before ? ROW_PRESENT : ROW_ABSENT;
	change->after = rows->after ? ROW_PRESENT : ROW_ABSENT;
	if (rows->before_error)
	{
		change->before = ROW_UNKNOWN;
		change->former_error = rows->before_error;
		former_row_unknown(change);
	}
	if (rows->after_error)
	{
		OutboxEmit	emit = change->before == ROW_ABSENT ? OUTBOX_EMIT_CREATED : OUTBOX_EMIT_CHANGED;

		if (is_wanted(contract, emit) || is_wanted(contract, OUTBOX_EMIT_ALWAYS))
			OutboxChangeAddLetter(change, NULL, emit, "map", rows->after_error);
		change->step = STEP_DONE;
	}
}

/* Its columns are NULL, but for the key: the lookup key found both rows. */
static void
former_row_unknown(OutboxChange *change)
{
	OutboxCompiledContract *contract = change->contract;
	TupleTableSlot *before = contract->before;
	TupleTableSlot *after = contract->after;

	ExecStoreAllNullTuple(before);
	if (change->after != ROW_PRESENT)
		return;
	for (int i = 0; i < contract->nkey; i++)
	{
		before->tts_values[contract->key[i]] = after->tts_values[contract->key[i]];
		before->tts_isnull[contract->key[i]] = after->tts_isnull[contract->key[i]];
	}
	ExecMaterializeSlot(before);
}

bool
OutboxNeedsNoRowBefore(const OutboxCompiledEventType *type)
{
	return type->config->emit == OUTBOX_EMIT_ALWAYS && type->condition == NULL && type->nchecks == 0 &&
		type->nprevious == 0;
}

/* A row of the view as the contract's row. */
static void
store_row(OutboxCompiledContract *contract, TupleTableSlot *slot, HeapTuple tuple)
{
	ExecClearTuple(slot);
	if (tuple == NULL)
		return;
	heap_deform_tuple(tuple, contract->row_desc, slot->tts_values, slot->tts_isnull);
	ExecStoreVirtualTuple(slot);
}

/* As far as a timer of ours runs: what cannot raise takes no time, and has no subtransaction to be interrupted in. */
static void
run_within_time(OutboxChange *change)
{
	if (change->contract->may_raise)
		OutboxCommitGuardArm();
	run(change);
	OutboxCommitGuardDisarm();
}

static void
run(OutboxChange *change)
{
	OutboxCompiledContract *contract = change->contract;

	while (change->step != STEP_DONE)
	{
		ErrorData  *error = NULL;

		if (contract->may_raise || contract->stale)
			error = OutboxRunGuarded(advance, change, contract->row_context);
		else
			advance(change);
		if (error)
			OutboxEvaluationFailed(contract);
		if (error && error->sqlerrcode == ERRCODE_QUERY_CANCELED)
		{
			change->interrupted = true;
			change->step = STEP_DONE;
		}
		else if (error)
			step_failed(change, error);
	}
}

/* Runs the steps that are left, with the rights of the contract's owner. */
static void
advance(void *arg)
{
	OutboxChange	   *change = arg;
	OutboxEvaluationScope scope;

	OutboxEvaluationStart(change->contract, &scope);
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
	OutboxEvaluationStop(change->contract, &scope);
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
	bool		before = change->before != ROW_ABSENT;
	bool		after = change->after != ROW_ABSENT;

	if (before && after)
	{
		if (same_key(change))
			add_transition(change, OUTBOX_EMIT_CHANGED,
						   change->before == ROW_PRESENT && OutboxRowsEqual(contract, NULL), true, true);
		else
		{
			former_row_gone(change);
			add_transition(change, OUTBOX_EMIT_CREATED, false, false, true);
		}
	}
	else if (before)
		former_row_gone(change);
	else if (after)
		add_transition(change, OUTBOX_EMIT_CREATED, false, false, true);
}

/* A row before of which not even the key is known counts as the same. */
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
		add_transition(change, OUTBOX_EMIT_DELETED, false, true, false);
	else if (is_wanted(change->contract, OUTBOX_EMIT_DELETED) || is_wanted(change->contract, OUTBOX_EMIT_ALWAYS))
		OutboxChangeAddLetter(change, NULL, OUTBOX_EMIT_DELETED, "map", change->former_error);
}

static void
add_transition(OutboxChange *change, OutboxEmit emit, bool equal, bool before, bool after)
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
			if (change->source_after == NULL)
			{
				mapping_failed(change, error, OUTBOX_EMIT_DELETED);
				change->step = STEP_DONE;
				break;
			}
			change->before = ROW_UNKNOWN;
			change->former_error = error;
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
			add_transition(change, OUTBOX_EMIT_CHANGED, false, true, true);
			change->step = STEP_EVENTS;
			break;
		case STEP_EVENTS:
			OutboxChangeAddLetter(change, &change->contract->types[change->type],
					   change->transitions[change->transition].emit, change->stage, error);
			change->type++;
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
	bool		key_known = evaluate_key_guarded(change, change->source_after);
	bool		other_key = false;

	if (key_known && (change->before == ROW_PRESENT || change->former_key_known))
	{
		for (int i = 0; i < contract->nkey; i++)
			other_key |= !OutboxSameValue(contract, contract->key[i], contract->before, contract->key_row);
	}
	mapping_failed(change, error, change->before == ROW_ABSENT || other_key ?
				   OUTBOX_EMIT_CREATED : OUTBOX_EMIT_CHANGED);
	if (other_key)
		former_row_gone(change);
	change->step = other_key ? STEP_EVENTS : STEP_DONE;
}

static void
evaluate_key_step(void *arg)
{
	OutboxChange	   *change = arg;
	OutboxEvaluationScope scope;

	OutboxEvaluationStart(change->contract, &scope);
	OutboxEvaluateKey(change->contract, change->key_source);
	OutboxEvaluationStop(change->contract, &scope);
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
	if (is_wanted(change->contract, emit) || is_wanted(change->contract, OUTBOX_EMIT_ALWAYS))
		OutboxChangeAddLetter(change, NULL, emit, "map", error);
}

static bool
is_wanted(const OutboxCompiledContract *contract, OutboxEmit emit)
{
	for (int i = 0; i < contract->ntypes; i++)
	{
		if (contract->types[i].config->emit == emit)
			return true;
	}
	return false;
}
