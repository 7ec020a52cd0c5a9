/*-------------------------------------------------------------------------
 *
 * transition.c
 *	  One changed source row -> events and dead letters.
 *
 * The ways in: a row that a trigger saw, the rows of a key at commit, and both
 * again from a dead letter. The steps (change_steps.c) are the same for all;
 * what they produced is inserted afterwards, outside of any subtransaction of
 * ours.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "executor/executor.h"

#include "capture/transition/transition_private.h"
#include "capture/write/write.h"
#include "catalog/outbox_catalog.h"
#include "contract/compile/compile.h"

static int take_attempt(OutboxChange *change, OutboxDeadLetter *failure);
static void note_keys(const OutboxChange *change);
static int capture_again(OutboxChange *change, const OutboxKeyRows *rows, const OutboxKeyRows *whole, OutboxDeadLetter *failure);
static void go_whole_way(OutboxChange *change, const OutboxKeyRows *rows);
static void take_rows(OutboxChange *change, const OutboxKeyRows *rows);
static void take_former_key(OutboxChange *change, HeapTuple row);
static void former_row_unknown(OutboxChange *change);
static void store_row(OutboxCompiledContract *contract, TupleTableSlot *slot, HeapTuple tuple);
static int count_differing(const OutboxChange *change);
static void run_within_time(OutboxChange *change);

/*
 * Evaluates the contract on the source row before and after (either may be
 * NULL), and adds the events and dead letters that follow from the pair of
 * contract rows to the present transaction. Events of a key that a later
 * command has changed already are marked as superseded. Returns how many pairs of
 * contract rows differ in something published; a pair that cannot be mapped counts.
 * Raises only errors that must reach the writer, or with on_invalid = abort.
 */
int
OutboxCaptureChange(OutboxCompiledContract *contract, const OutboxRowChange *row)
{
	OutboxChange change = {.contract = contract, .row = row, .source_before = row->before, .source_after = row->after, .pairs = row->pairs};
	MemoryContext caller;
	bool overtakes = OutboxMayOvertake(row);
	int differing;

	if (row->before && row->after && !OutboxEmitIsWanted(contract, OUTBOX_EMIT_ALWAYS) &&
		OutboxSourceReadsEqual(contract, row->before, row->after))
		return 0;
	OutboxEvaluateReset(contract);
	caller = MemoryContextSwitchTo(contract->row_context);
	OutboxChangeRun(&change);
	differing = count_differing(&change);
	if (overtakes)
		note_keys(&change);
	OutboxChangeInsertResults(&change);
	MemoryContextSwitchTo(caller);
	return differing;
}

/* Notes the keys of the rows that differ, and of a row that could not be mapped the key, if that is known. */
static void
note_keys(const OutboxChange *change)
{
	OutboxCompiledContract *contract = change->contract;

	for (int i = 0; i < change->ntransitions; i++)
	{
		const OutboxTransition *transition = &change->transitions[i];

		if (!transition->equal)
			OutboxNoteOvertaking(OutboxRowKeyHash(contract, transition->after ? contract->after : contract->before),
								 change->row->command);
	}
	if (change->letters && !TTS_EMPTY(contract->key_row))
		OutboxNoteOvertaking(OutboxRowKeyHash(contract, contract->key_row), change->row->command);
}

/*
 * Adds the events, marked as redriven, to the present transaction. When one of
 * them fails nothing is added and *failure says why. Returns how many were added.
 */
int
OutboxCaptureRedrive(OutboxCompiledContract *contract, const OutboxRedrive *redrive, OutboxDeadLetter *failure)
{
	OutboxChange change = {.contract = contract, .flags = OUTBOX_EVENT_REDRIVEN | redrive->flags, .only_type = redrive->event_type, .step = STEP_EVENTS};
	MemoryContext caller;
	int nevents;

	OutboxEvaluateReset(contract);
	caller = MemoryContextSwitchTo(contract->row_context);
	store_row(contract, contract->before, redrive->before);
	store_row(contract, contract->after, redrive->after);
	if (redrive->before_unknown)
		ExecStoreAllNullTuple(contract->before);
	OutboxChangeAddTransition(&change, redrive->emit, false, redrive->before || redrive->before_unknown,
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

/*
 * Adds the events and dead letters that follow from the rows of one key before and
 * after. False: the commit's timer ran out, and nothing was added. Raises as
 * OutboxCaptureChange does.
 */
bool
OutboxCaptureKey(OutboxCompiledContract *contract, const OutboxKeyRows *rows)
{
	OutboxChange change = {.contract = contract, .pairs = rows->pairs};
	MemoryContext caller;

	OutboxEvaluateReset(contract);
	caller = MemoryContextSwitchTo(contract->row_context);
	take_rows(&change, rows);
	run_within_time(&change);
	if (!change.interrupted)
	{
		if (rows->pairs == NULL || rows->pairs->first)
			OutboxCountTransitions(contract->config->id, count_differing(&change));
		OutboxChangeInsertResults(&change);
	}
	MemoryContextSwitchTo(caller);
	return !change.interrupted;
}

/* Pairs of rows in which something published differs; a row that cannot be mapped counts. */
static int
count_differing(const OutboxChange *change)
{
	int differing = 0;

	for (int i = 0; i < change->ntransitions; i++)
		differing += !change->transitions[i].equal;
	return differing == 0 && change->letters ? 1 : differing;
}

/*
 * Decides anew on the rows of a late key. The row after is told even if it equals
 * the row before: consumers may have got another state in between. When others
 * have told of the key since, `whole` (else NULL) has the row before of the late
 * transaction: event types that follow from this whole way tell of it, too, if
 * they have not done so yet. Otherwise as OutboxCaptureRedrive.
 */
int
OutboxCaptureLate(OutboxCompiledContract *contract, const OutboxKeyRows *rows, const OutboxKeyRows *whole, int16 flags, OutboxDeadLetter *failure)
{
	OutboxChange change = {.contract = contract, .flags = flags, .is_state = true};

	return capture_again(&change, rows, whole, failure);
}

/* Decides anew on the rows of another key that is tried again, both known. Otherwise as OutboxCaptureRedrive. */
int
OutboxCaptureAnew(OutboxCompiledContract *contract, const OutboxKeyRows *rows, int16 flags, OutboxDeadLetter *failure)
{
	OutboxChange change = {.contract = contract, .flags = flags};

	return capture_again(&change, rows, NULL, failure);
}

static int
capture_again(OutboxChange *change, const OutboxKeyRows *rows, const OutboxKeyRows *whole, OutboxDeadLetter *failure)
{
	OutboxCompiledContract *contract = change->contract;
	MemoryContext caller;
	int nevents;

	OutboxEvaluateReset(contract);
	caller = MemoryContextSwitchTo(contract->row_context);
	take_rows(change, rows);
	run_within_time(change);
	if (whole && !change->interrupted)
		go_whole_way(change, whole);
	nevents = take_attempt(change, failure);
	MemoryContextSwitchTo(caller);
	return nevents;
}

/*
 * For a row that is gone, when its key alone is known (`row` is otherwise NULL): adds the null values that event types of
 * deleted rows ask for, and returns how many. An event type with a condition on the row adds none.
 */
int
OutboxCaptureTombstones(OutboxCompiledContract *contract, HeapTuple key_row, int16 flags)
{
	OutboxChange change = {.contract = contract, .flags = flags};
	MemoryContext caller;
	text *key;

	OutboxEvaluateReset(contract);
	caller = MemoryContextSwitchTo(contract->row_context);
	store_row(contract, contract->key_row, key_row);
	key = OutboxMessageKey(contract, contract->key_row);
	for (int i = 0; i < contract->ntypes; i++)
	{
		OutboxCompiledEventType *type = &contract->types[i];

		if (type->config->emit == OUTBOX_EMIT_DELETED && type->condition == NULL)
			(void) OutboxChangeAddTombstone(&change, type, key, contract->key_row);
	}
	OutboxChangeAppendEvents(&change);
	MemoryContextSwitchTo(caller);
	return list_length(change.events);
}

/*
 * Makes the events of the change from another row before. They come first, because the events that tell what differs for
 * consumers must be the last word.
 */
static void
go_whole_way(OutboxChange *change, const OutboxKeyRows *rows)
{
	OutboxCompiledContract *contract = change->contract;
	List *events = change->events;
	Bitmapset *told = bms_copy(rows->told);
	ListCell *lc;

	foreach (lc, events)
	{
		const OutboxEvent *event = lfirst(lc);

		for (int i = 0; i < contract->ntypes; i++)
		{
			if (contract->types[i].config->schema_id == event->schema_id)
				told = bms_add_member(told, i);
		}
	}
	change->told = told;
	change->is_state = false;
	change->events = NIL;
	change->ntransitions = change->transition = change->type = 0;
	change->unfit = NULL;
	take_rows(change, rows);
	run_within_time(change);
	change->events = list_concat(change->events, events);
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
		if (rows->before_key)
			take_former_key(change, rows->before_key);
	}
	if (rows->after_error)
	{
		OutboxEmit emit = change->before == ROW_ABSENT ? OUTBOX_EMIT_CREATED : OUTBOX_EMIT_CHANGED;

		if (OutboxEmitIsWanted(contract, emit) || OutboxEmitIsWanted(contract, OUTBOX_EMIT_ALWAYS))
			OutboxChangeAddLetter(change, NULL, emit, "map", rows->after_error);
		change->step = STEP_DONE;
	}
}

/* The key of a row before that could not be read otherwise. */
static void
take_former_key(OutboxChange *change, HeapTuple row)
{
	OutboxCompiledContract *contract = change->contract;

	store_row(contract, contract->key_row, row);
	change->former_message_key = OutboxMessageKey(contract, contract->key_row);
	change->former_key_known = true;
	OutboxBeforeFromKey(contract);
}

/* The row before is unknown except for its key: the lookup key found both rows. */
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

/* Has the contract an event type of a row that is gone? */
bool
OutboxTellsOfDeleted(const OutboxCompiledContract *contract)
{
	return OutboxEmitIsWanted(contract, OUTBOX_EMIT_DELETED) || OutboxEmitIsWanted(contract, OUTBOX_EMIT_ALWAYS);
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

/* Runs the steps under our timer, if it runs. Steps that cannot raise take no time, and have no subtransaction to be interrupted in. */
static void
run_within_time(OutboxChange *change)
{
	if (change->contract->traits & OUTBOX_RAISES)
		OutboxCommitGuardArm();
	OutboxChangeRun(change);
	OutboxCommitGuardDisarm();
}
