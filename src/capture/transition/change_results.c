/*-------------------------------------------------------------------------
 *
 * change_results.c
 *	  What a change produced goes into the writer's transaction.
 *
 * Outside of any subtransaction of ours, so that none of them gets a
 * transaction id. Dead letters are described for a person first, which runs
 * output functions and is guarded; when that fails they carry the key alone.
 *
 * A former value that cannot be encoded is found and left out before there is a
 * letter.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/executor.h"
#include "utils/builtins.h"

#include "capture/transition/transition_private.h"
#include "capture/write/write.h"
#include "compat.h"
#include "contract/compile/compile.h"
#include "contract/environment/environment.h"
#include "guc.h"
#include "letters/letters.h"

/* After so many failures of one contract in one transaction, dead letters have the key alone. */
#define MAX_DETAILED_FAILURES 1000

/* One former value of the event type being applied, inside its guard. */
typedef struct PreviousRequest
{
	OutboxChange *change;
	int previous;
	bool fits;
} PreviousRequest;

static void previous_step(void *arg);
static void append_one_of_several(OutboxChange *change, OutboxEvent *event);
static const pg_uuid_t *find_pair(const OutboxPairs *pairs, const OutboxEvent *event);
static void add_pair(OutboxPairs *pairs, const OutboxEvent *event, const pg_uuid_t *id);
static void describe_letters(void *arg);
static Jsonb *key_of(OutboxChange *change, const OutboxDeadLetter *letter);
static Jsonb *source_columns_of(OutboxChange *change, const OutboxDeadLetter *letter);
OUTBOX_NORETURN static void refuse_write(const OutboxDeadLetter *letter);

/*
 * Adds the events and the dead letters of the change to the present transaction. With on_invalid = abort, refuses the
 * write instead when there is a dead letter.
 */
void
OutboxChangeInsertResults(OutboxChange *change)
{
	OutboxCompiledContract *contract = change->contract;
	ListCell *lc;

	OutboxChangeAppendEvents(change);
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
	foreach (lc, change->letters)
	{
		OutboxDeadLetterInsert(lfirst(lc));
		OutboxEventCountDeadLetter(contract->config->id);
	}
}

/* Adds the events to the present transaction. */
void
OutboxChangeAppendEvents(OutboxChange *change)
{
	text *trace;
	Jsonb *headers;
	ListCell *lc;

	if (change->events == NIL)
		return;
	trace = change->lookup ? OutboxTraceContextAtCommit() : OutboxTraceContext();
	headers = OutboxCorrelationHeaders();
	foreach (lc, change->events)
	{
		OutboxEvent *event = lfirst(lc);

		event->tracingspancontext = trace;
		if (event->headers == NULL)
			event->headers = headers;
		if (change->pairs || change->contract->config->sunset)
			append_one_of_several(change, event);
		else
			OutboxEventAppend(event);
	}
}

/*
 * Appends an event of a version that is not the only one. Events of a later version carry the id of the first version's
 * event: by it a consumer that moves from one to the other knows what it has read.
 */
static void
append_one_of_several(OutboxChange *change, OutboxEvent *event)
{
	OutboxPairs *pairs = change->pairs;
	const pg_uuid_t *first = pairs && !pairs->first ? find_pair(pairs, event) : NULL;
	pg_uuid_t id;

	event->headers = OutboxVersionHeaders(event->headers, first, change->contract->config->sunset);
	event->id = &id;
	OutboxEventAppend(event);
	event->id = NULL;
	if (pairs && pairs->first)
		add_pair(pairs, event, &id);
}

/* The id of the first version's event of the same event type and transition; NULL: there is none. */
static const pg_uuid_t *
find_pair(const OutboxPairs *pairs, const OutboxEvent *event)
{
	for (int i = 0; i < pairs->n; i++)
	{
		if (pairs->pair[i].event_type_id == event->event_type_id && pairs->pair[i].transition == event->transition)
			return &pairs->pair[i].id;
	}
	return NULL;
}

static void
add_pair(OutboxPairs *pairs, const OutboxEvent *event, const pg_uuid_t *id)
{
	MemoryContext caller = MemoryContextSwitchTo(pairs->context);

	if (pairs->n == pairs->capacity)
	{
		pairs->capacity = Max(pairs->capacity * 2, 4);
		pairs->pair = pairs->n == 0 ? palloc(sizeof(OutboxPair) * pairs->capacity)
									: repalloc(pairs->pair, sizeof(OutboxPair) * pairs->capacity);
	}
	pairs->pair[pairs->n++] = (OutboxPair){.event_type_id = event->event_type_id, .transition = event->transition, .id = *id};
	MemoryContextSwitchTo(caller);
}

/* Adds a dead letter; type NULL: the contract's row itself could not be mapped. */
void
OutboxChangeAddLetter(OutboxChange *change, const OutboxCompiledEventType *type, OutboxEmit emit,
					  const char *stage, const ErrorData *error)
{
	OutboxDeadLetter *letter = palloc0(sizeof(OutboxDeadLetter));

	letter->contract = change->contract->config->name;
	letter->version = change->contract->config->version;
	letter->event_type = type ? type->config->name : NULL;
	letter->emit = OutboxEmitName(emit);
	letter->stage = stage;
	letter->sqlerrcode = error->sqlerrcode;
	letter->message = error->message ? pstrdup(error->message) : "unknown error";
	letter->detail = error->detail ? pstrdup(error->detail) : NULL;
	letter->hint = error->hint ? pstrdup(error->hint) : NULL;
	change->letters = lappend(change->letters, letter);
}

/* Adds the columns that help a person to find and mend the row. Output functions run, so it is guarded. */
static void
describe_letters(void *arg)
{
	OutboxChange *change = arg;
	OutboxCompiledContract *contract = change->contract;
	OutboxEvaluation evaluation;
	ListCell *lc;

	OutboxEvaluationBegin(&evaluation, contract->owner, OUTBOX_ANYTHING);
	foreach (lc, change->letters)
	{
		OutboxDeadLetter *letter = lfirst(lc);

		letter->key = key_of(change, letter);
		/* a lookup key is what a redrive finds the row by */
		if (change->lookup || !change->key_only)
			letter->source_columns = source_columns_of(change, letter);
		if (!change->key_only && change->before == ROW_PRESENT && strcmp(letter->emit, "created") != 0)
			letter->before = OutboxRowToJsonb(contract->row_desc, contract->before->tts_values, contract->before->tts_isnull);
	}
	OutboxEvaluationEnd(&evaluation);
}

/* The key of the row that the dead letter is about; NULL when it is not known. */
static Jsonb *
key_of(OutboxChange *change, const OutboxDeadLetter *letter)
{
	OutboxCompiledContract *contract = change->contract;
	bool former = strcmp(letter->emit, "deleted") == 0;
	TupleTableSlot *row = contract->key_row;

	if (former && change->before != ROW_ABSENT)
		row = change->before == ROW_UNKNOWN && !change->former_key_known ? NULL : contract->before;
	else if (!former && change->after == ROW_PRESENT)
		row = contract->after;
	if (row == NULL || TTS_EMPTY(row))
		return change->lookup ? OutboxLookupToJsonb(change->lookup_desc, change->lookup) : NULL;
	return OutboxColumnsToJsonb(contract->row_desc, row->tts_values, row->tts_isnull,
								contract->key, contract->nkey, 0);
}

/* The source columns that the contract reads, of the row that could not be published. */
static Jsonb *
source_columns_of(OutboxChange *change, const OutboxDeadLetter *letter)
{
	OutboxCompiledContract *contract = change->contract;
	bool former = strcmp(letter->emit, "deleted") == 0;
	TupleTableSlot *source;
	int *columns;

	if (change->lookup)
		return OutboxLookupToJsonb(change->lookup_desc, change->lookup);
	source = former || !change->source_after ? change->source_before : change->source_after;
	columns = palloc(sizeof(int) * (contract->nread + 1));
	slot_getsomeattrs(source, Max(contract->max_read, 1));
	for (int i = 0; i < contract->nread; i++)
		columns[i] = contract->read[i] - 1;
	return OutboxColumnsToJsonb(source->tts_tupleDescriptor, source->tts_values, source->tts_isnull,
								columns, contract->nread, OUTBOX_SHOWN_BYTES);
}

static void
refuse_write(const OutboxDeadLetter *letter)
{
	ereport(ERROR,
			(errcode(letter->sqlerrcode),
			 errmsg("contract \"%s\" refuses the change: %s", letter->contract, letter->message),
			 letter->detail ? errdetail("%s", letter->detail) : 0,
			 letter->hint ? errhint("%s The contract has on_invalid => 'abort'.", letter->hint)
						  : errhint("The contract has on_invalid => 'abort'; correct the row.")));
}

/*
 * Encoding raised: is a former value of the row the reason? Then true, and the event type is applied once more without
 * it. Raises only errors that must reach the writer.
 */
bool
OutboxChangePreviousToBlame(OutboxChange *change)
{
	OutboxCompiledEventType *type = &change->contract->types[change->type];
	bool found = false;

	if (strcmp(change->stage, "encode") != 0 || type->nprevious == 0 || type->encoder == NULL || change->unfit ||
		!change->transitions[change->transition].before)
		return false;
	change->unfit = palloc0(sizeof(bool) * type->nprevious);
	for (int i = 0; i < type->nprevious; i++)
	{
		PreviousRequest request = {.change = change, .previous = i};

		if (OutboxRunGuarded(previous_step, &request, change->contract->row_context) || !request.fits)
			change->unfit[i] = found = true;
	}
	return found;
}

static void
previous_step(void *arg)
{
	PreviousRequest *request = arg;
	OutboxCompiledContract *contract = request->change->contract;
	OutboxEvaluation evaluation;

	OutboxEvaluationBegin(&evaluation, contract->owner, OUTBOX_ANYTHING);
	request->fits = OutboxPreviousFits(contract, &contract->types[request->change->type], request->previous, contract->before);
	OutboxEvaluationEnd(&evaluation);
}
