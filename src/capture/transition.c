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

#include "capture/event_writer.h"
#include "capture/trace.h"
#include "capture/transition.h"
#include "compat.h"
#include "contract/code_map.h"
#include "contract/evaluate.h"
#include "contract/guard.h"
#include "deadletter/dead_letter.h"
#include "guc.h"

/* After so many failures of one contract in one transaction a dead letter carries the key only. */
#define MAX_DETAILED_FAILURES	1000

typedef enum Step
{
	STEP_BEFORE,
	STEP_AFTER,
	STEP_COMPARE,
	STEP_EVENTS,
	STEP_DONE
} Step;

typedef enum RowState
{
	ROW_ABSENT,					/* no source row, or not in the view */
	ROW_PRESENT,
	ROW_UNKNOWN					/* there, but could not be evaluated */
} RowState;

/* A pair of contract rows that event types decide on; a changed key makes two of them. */
typedef struct Transition
{
	OutboxEmit	emit;
	bool		equal;			/* both rows, and nothing published differs */
	bool		before;			/* is there a row? the slots themselves change with the executor state */
	bool		after;
} Transition;

typedef struct Change
{
	OutboxCompiledContract *contract;
	TupleTableSlot *source_before;
	TupleTableSlot *source_after;
	int16		flags;			/* OUTBOX_EVENT_* of all its events */
	const char *only_type;		/* NULL: all event types */

	Step		step;
	RowState	before;
	RowState	after;
	bool		former_key_known;	/* of an unknown row before, */
	ErrorData  *former_error;	/* and why it is unknown */
	Transition	transitions[2];
	int			ntransitions;
	int			transition;		/* position of STEP_EVENTS */
	int			type;
	const char *stage;			/* of an error raised now */
	TupleTableSlot *key_source; /* argument of evaluate_key_step */
	bool		key_only;		/* describe dead letters by their key alone */

	List	   *events;			/* of OutboxEvent * */
	List	   *letters;		/* of OutboxDeadLetter * */
} Change;

static void store_row(OutboxCompiledContract *contract, TupleTableSlot *slot, HeapTuple tuple);
static void run(Change *change);
static void advance(void *arg);
static void evaluate_before(Change *change);
static void evaluate_after(Change *change);
static void compare(Change *change);
static bool same_key(Change *change);
static void former_row_gone(Change *change);
static void add_transition(Change *change, OutboxEmit emit, bool equal, bool before, bool after);
static TupleTableSlot *row_before(const Change *change, const Transition *transition);
static TupleTableSlot *row_after(const Change *change, const Transition *transition);
static TupleTableSlot *published_row(const Change *change, const Transition *transition);
static void make_events(Change *change);
static void make_event(Change *change, Transition *transition, OutboxCompiledEventType *type);
static bool checks_pass(Change *change, Transition *transition, OutboxCompiledEventType *type);
static const char *unknown_code_detail(const OutboxAvroError *error);
static bool concerns(const Change *change, const OutboxCompiledEventType *type, const Transition *transition);
static void step_failed(Change *change, ErrorData *error);
static void mapping_failed(Change *change, ErrorData *error, OutboxEmit emit);
static bool is_wanted(const OutboxCompiledContract *contract, OutboxEmit emit);
static void add_letter(Change *change, const OutboxCompiledEventType *type, OutboxEmit emit,
					   const char *stage, const ErrorData *error);
static void after_failed(Change *change, ErrorData *error);
static bool evaluate_key_guarded(Change *change, TupleTableSlot *source);
static void describe_letters(void *arg);
static Jsonb *key_of(Change *change, const OutboxDeadLetter *letter);
static Jsonb *source_columns_of(Change *change, const OutboxDeadLetter *letter);
static Jsonb *row_to_jsonb(OutboxCompiledContract *contract, TupleTableSlot *row);
OUTBOX_NORETURN static void refuse_write(const OutboxDeadLetter *letter);
static void invalid_event(Change *change, const OutboxCompiledEventType *type, OutboxEmit emit,
						  const char *stage, int sqlerrcode, const char *message, const char *detail,
						  const char *hint);
static void append_events(Change *change);
static void insert_results(Change *change);

void
OutboxCaptureChange(OutboxCompiledContract *contract, TupleTableSlot *before,
					TupleTableSlot *after, bool superseded)
{
	Change		change = {.contract = contract, .source_before = before,
	.source_after = after, .flags = superseded ? OUTBOX_EVENT_SUPERSEDED : 0};
	MemoryContext caller;

	if (before && after && !is_wanted(contract, OUTBOX_EMIT_ALWAYS) &&
		OutboxSourceReadsEqual(contract, before, after))
		return;
	OutboxEvaluateReset(contract);
	caller = MemoryContextSwitchTo(contract->row_context);
	run(&change);
	insert_results(&change);
	MemoryContextSwitchTo(caller);
}

int
OutboxCaptureRedrive(OutboxCompiledContract *contract, const OutboxRedrive *redrive, OutboxDeadLetter *failure)
{
	Change		change = {.contract = contract, .flags = OUTBOX_EVENT_REDRIVEN,
	.only_type = redrive->event_type, .step = STEP_EVENTS};
	MemoryContext caller;
	int			nevents = 0;

	OutboxEvaluateReset(contract);
	caller = MemoryContextSwitchTo(contract->row_context);
	store_row(contract, contract->before, redrive->before);
	store_row(contract, contract->after, redrive->after);
	if (redrive->before_unknown)
		ExecStoreAllNullTuple(contract->before);
	add_transition(&change, redrive->emit, false, redrive->before || redrive->before_unknown,
				   redrive->after != NULL);
	run(&change);
	if (change.letters == NIL)
	{
		nevents = list_length(change.events);
		append_events(&change);
	}
	else
		*failure = *(OutboxDeadLetter *) linitial(change.letters);
	MemoryContextSwitchTo(caller);
	return nevents;
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

static void
run(Change *change)
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
		{
			OutboxEvaluationFailed(contract);
			step_failed(change, error);
		}
	}
}

/* Runs the steps that are left, with the rights of the contract's owner. */
static void
advance(void *arg)
{
	Change	   *change = arg;
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
				make_events(change);
				change->step = STEP_DONE;
				break;
			case STEP_DONE:
				break;
		}
	}
	OutboxEvaluationStop(change->contract, &scope);
}

static void
evaluate_before(Change *change)
{
	if (change->source_before && OutboxEvaluateBefore(change->contract, change->source_before))
		change->before = ROW_PRESENT;
}

static void
evaluate_after(Change *change)
{
	if (change->source_after && OutboxEvaluateAfter(change->contract, change->source_after))
		change->after = ROW_PRESENT;
}

/* Decides what happened: a changed key is a deleted and a created row. */
static void
compare(Change *change)
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
same_key(Change *change)
{
	return (change->before == ROW_UNKNOWN && !change->former_key_known) || OutboxKeysEqual(change->contract);
}

/* A deleted event shows the row before: one that is unknown makes a dead letter. */
static void
former_row_gone(Change *change)
{
	if (change->before == ROW_PRESENT)
		add_transition(change, OUTBOX_EMIT_DELETED, false, true, false);
	else if (is_wanted(change->contract, OUTBOX_EMIT_DELETED) || is_wanted(change->contract, OUTBOX_EMIT_ALWAYS))
		add_letter(change, NULL, OUTBOX_EMIT_DELETED, "map", change->former_error);
}

static void
add_transition(Change *change, OutboxEmit emit, bool equal, bool before, bool after)
{
	Transition *transition = &change->transitions[change->ntransitions++];

	transition->emit = emit;
	transition->equal = equal;
	transition->before = before;
	transition->after = after;
}

static TupleTableSlot *
row_before(const Change *change, const Transition *transition)
{
	return transition->before ? change->contract->before : NULL;
}

static TupleTableSlot *
row_after(const Change *change, const Transition *transition)
{
	return transition->after ? change->contract->after : NULL;
}

/* What the event carries: the row after, of a deleted one the row before. */
static TupleTableSlot *
published_row(const Change *change, const Transition *transition)
{
	return transition->after ? change->contract->after : change->contract->before;
}

/* Goes on where the last run stopped. */
static void
make_events(Change *change)
{
	OutboxCompiledContract *contract = change->contract;

	for (; change->transition < change->ntransitions; change->transition++, change->type = 0)
	{
		Transition *transition = &change->transitions[change->transition];

		for (; change->type < contract->ntypes; change->type++)
		{
			OutboxCompiledEventType *type = &contract->types[change->type];

			change->stage = "condition";
			if (concerns(change, type, transition) &&
				OutboxConditionHolds(contract, type, row_before(change, transition), row_after(change, transition)) &&
				checks_pass(change, transition, type))
				make_event(change, transition, type);
		}
	}
}

static bool
concerns(const Change *change, const OutboxCompiledEventType *type, const Transition *transition)
{
	if (change->only_type && strcmp(change->only_type, type->config->name) != 0)
		return false;
	if (type->config->emit == OUTBOX_EMIT_ALWAYS)
		return true;
	if (type->config->emit != transition->emit || transition->equal)
		return false;
	/* columns that only another event type publishes do not concern this one */
	return transition->emit != OUTBOX_EMIT_CHANGED || change->before != ROW_PRESENT || !type->partial ||
		!OutboxRowsEqual(change->contract, type);
}

static bool
checks_pass(Change *change, Transition *transition, OutboxCompiledEventType *type)
{
	const char *failed;

	change->stage = "check";
	failed = OutboxFailedCheck(change->contract, type, published_row(change, transition),
							   row_before(change, transition), row_after(change, transition));
	if (failed == NULL)
		return true;
	invalid_event(change, type, transition->emit, "check", ERRCODE_CHECK_VIOLATION,
				  psprintf("check \"%s\" of event type \"%s\" is false", failed, type->config->name), NULL,
				  "Correct the row, or the check.");
	return false;
}

/* What a missing value may come from. */
static const char *
unknown_code_detail(const OutboxAvroError *error)
{
	const char *codes = OutboxUnknownCodes();

	if (error->sqlerrcode != ERRCODE_NOT_NULL_VIOLATION || codes == NULL)
		return error->detail;
	return psprintf("Unknown codes in this row: %s.", codes);
}

static void
make_event(Change *change, Transition *transition, OutboxCompiledEventType *type)
{
	OutboxCompiledContract *contract = change->contract;
	TupleTableSlot *row = published_row(change, transition);
	OutboxAvroError error = {0};
	OutboxEvent *event;
	bytea	   *payload;
	text	   *key;

	change->stage = "encode";
	if (type->encoder == NULL)
	{
		invalid_event(change, type, transition->emit, "map", type->mismatch.sqlerrcode,
					  type->mismatch.message, type->mismatch.detail,
					  "Bring the view back to the pinned schema, or drop the contract and create it again.");
		return;
	}
	payload = OutboxEncodeEvent(contract, type, row, row_before(change, transition), &error);
	if (payload == NULL)
	{
		invalid_event(change, type, transition->emit, "encode", error.sqlerrcode, error.message,
					  unknown_code_detail(&error),
					  "Correct the row, or the view's expression for the column.");
		return;
	}
	key = OutboxAggregateId(contract, row);
	if (key == NULL)
	{
		invalid_event(change, type, transition->emit, "encode", ERRCODE_NOT_NULL_VIOLATION,
					  "a column of aggregate_id is NULL", NULL, "Correct the row, or the view's expression for the column.");
		return;
	}
	if (OutboxMessageSize(payload, key) > (Size) outbox_max_message_bytes)
	{
		invalid_event(change, type, transition->emit, "size", ERRCODE_PROGRAM_LIMIT_EXCEEDED,
					  psprintf("event of %zu bytes exceeds outbox.max_message_bytes (%d)",
							   OutboxMessageSize(payload, key), outbox_max_message_bytes),
					  "The size counts payload, key and room for headers.",
					  "Raise outbox.max_message_bytes together with the broker's limit, or leave the large column out of the contract.");
		return;
	}
	event = palloc0(sizeof(OutboxEvent));
	event->contract_id = contract->config->id;
	event->schema_id = type->config->schema_id;
	event->flags = type->flags | change->flags;
	if (!transition->after)
		event->flags &= ~OUTBOX_EVENT_SUPERSEDED;
	event->aggregatetype = contract->aggregatetype;
	event->aggregateid = key;
	event->type = type->type;
	event->payload = payload;
	change->events = lappend(change->events, event);
}

/* A step raised: decides what that means and where to go on. */
static void
step_failed(Change *change, ErrorData *error)
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
			add_letter(change, &change->contract->types[change->type],
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
after_failed(Change *change, ErrorData *error)
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
	Change	   *change = arg;
	OutboxEvaluationScope scope;

	OutboxEvaluationStart(change->contract, &scope);
	OutboxEvaluateKey(change->contract, change->key_source);
	OutboxEvaluationStop(change->contract, &scope);
}

/* Fills key_row if the key's own expressions allow it. */
static bool
evaluate_key_guarded(Change *change, TupleTableSlot *source)
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
mapping_failed(Change *change, ErrorData *error, OutboxEmit emit)
{
	if (TTS_EMPTY(change->contract->key_row))
		evaluate_key_guarded(change, change->source_after ? change->source_after : change->source_before);
	if (is_wanted(change->contract, emit) || is_wanted(change->contract, OUTBOX_EMIT_ALWAYS))
		add_letter(change, NULL, emit, "map", error);
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

static void
invalid_event(Change *change, const OutboxCompiledEventType *type, OutboxEmit emit, const char *stage,
			  int sqlerrcode, const char *message, const char *detail, const char *hint)
{
	ErrorData	error = {.sqlerrcode = sqlerrcode, .message = unconstify(char *, message),
	.detail = unconstify(char *, detail), .hint = unconstify(char *, hint)};

	add_letter(change, type, emit, stage, &error);
}

static void
add_letter(Change *change, const OutboxCompiledEventType *type, OutboxEmit emit,
		   const char *stage, const ErrorData *error)
{
	OutboxDeadLetter *letter = palloc0(sizeof(OutboxDeadLetter));

	letter->contract = change->contract->config->name;
	letter->event_type = type ? type->config->name : NULL;
	letter->emit = OutboxEmitName(emit);
	letter->stage = stage;
	letter->sqlerrcode = error->sqlerrcode;
	letter->message = error->message ? pstrdup(error->message) : "unknown error";
	letter->detail = error->detail ? pstrdup(error->detail) : NULL;
	letter->hint = error->hint ? pstrdup(error->hint) : NULL;
	change->letters = lappend(change->letters, letter);
}

/* Adds what helps a person to find and mend the row. Output functions run, so it is guarded. */
static void
describe_letters(void *arg)
{
	Change	   *change = arg;
	OutboxCompiledContract *contract = change->contract;
	OutboxEvaluationScope scope;
	ListCell   *lc;

	OutboxEvaluationBegin(&scope, contract->owner, true);
	foreach(lc, change->letters)
	{
		OutboxDeadLetter *letter = lfirst(lc);

		letter->key = key_of(change, letter);
		if (change->key_only)
			continue;
		letter->source_columns = source_columns_of(change, letter);
		if (change->before == ROW_PRESENT && strcmp(letter->emit, "created") != 0)
			letter->before = row_to_jsonb(contract, contract->before);
	}
	OutboxEvaluationEnd(&scope);
}

/* The key of the row that the dead letter is about; NULL when it is not known. */
static Jsonb *
key_of(Change *change, const OutboxDeadLetter *letter)
{
	OutboxCompiledContract *contract = change->contract;
	bool		former = strcmp(letter->emit, "deleted") == 0;
	TupleTableSlot *row = contract->key_row;

	if (former && change->before != ROW_ABSENT)
		row = change->before == ROW_UNKNOWN && !change->former_key_known ? NULL : contract->before;
	else if (!former && change->after == ROW_PRESENT)
		row = contract->after;
	if (row == NULL || TTS_EMPTY(row))
		return NULL;
	return OutboxColumnsToJsonb(contract->row_desc, row->tts_values, row->tts_isnull,
								contract->key, contract->nkey);
}

/* The source columns that the contract reads, of the row that could not be published. */
static Jsonb *
source_columns_of(Change *change, const OutboxDeadLetter *letter)
{
	OutboxCompiledContract *contract = change->contract;
	bool		former = strcmp(letter->emit, "deleted") == 0;
	TupleTableSlot *source = former || !change->source_after ? change->source_before : change->source_after;
	int		   *columns = palloc(sizeof(int) * (contract->nread + 1));

	slot_getsomeattrs(source, Max(contract->max_read, 1));
	for (int i = 0; i < contract->nread; i++)
		columns[i] = contract->read[i] - 1;
	return OutboxColumnsToJsonb(source->tts_tupleDescriptor, source->tts_values, source->tts_isnull,
								columns, contract->nread);
}

/*
 * The row before, from which the dead letter can be redriven: whole, unless it
 * is too large to be published at all.
 */
static Jsonb *
row_to_jsonb(OutboxCompiledContract *contract, TupleTableSlot *row)
{
	return OutboxRowToJsonb(contract->row_desc, row->tts_values, row->tts_isnull, outbox_max_message_bytes);
}

static void
append_events(Change *change)
{
	text	   *trace;
	Jsonb	   *headers;
	ListCell   *lc;

	if (change->events == NIL)
		return;
	trace = OutboxTraceContext();
	headers = OutboxCorrelationHeaders();
	foreach(lc, change->events)
	{
		OutboxEvent *event = lfirst(lc);

		event->tracingspancontext = trace;
		event->headers = headers;
		OutboxEventAppend(event);
	}
}

/* Inserts what the change produced, or refuses the write when the contract says so. */
static void
insert_results(Change *change)
{
	OutboxCompiledContract *contract = change->contract;
	ListCell   *lc;

	append_events(change);
	if (change->letters == NIL)
		return;
	if (contract->config->abort_on_invalid)
		refuse_write(linitial(change->letters));
	change->key_only = OutboxCountFailure(contract) > MAX_DETAILED_FAILURES;
	if (OutboxRunGuarded(describe_letters, change, contract->row_context))
	{
		change->key_only = true;
		(void) OutboxRunGuarded(describe_letters, change, contract->row_context);
	}
	foreach(lc, change->letters)
	{
		OutboxDeadLetterInsert(lfirst(lc));
		OutboxEventCountDeadLetter(contract->config->id);
	}
}

static void
refuse_write(const OutboxDeadLetter *letter)
{
	ereport(ERROR,
			(errcode(letter->sqlerrcode),
			 errmsg("contract \"%s\" refuses the change: %s", letter->contract, letter->message),
			 letter->detail ? errdetail("%s", letter->detail) : 0,
			 errhint("The contract was created with on_invalid => 'abort'; correct the row.")));
}
