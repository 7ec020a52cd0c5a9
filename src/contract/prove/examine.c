/*-------------------------------------------------------------------------
 *
 * examine.c
 *	  What capture would make of a row, without making it.
 *
 * preview() and validate() run the code that capture runs. libavro reads the
 * payload that our encoder wrote.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/executor.h"
#include "utils/builtins.h"

#include "catalog/outbox_catalog.h"
#include "contract/codes/codes.h"
#include "contract/compile/compile.h"
#include "contract/environment/environment.h"
#include "contract/prove/prove_private.h"
#include "guc.h"

/* An examination under way. */
typedef struct Examination
{
	OutboxCompiledContract *contract;
	OutboxCompiledEventType *type;
	TupleTableSlot *source;
	bool conditions;
	bool in_view;
	const char *stage; /* of an error that is raised now */
	OutboxFinding *finding;
} Examination;

static void map_step(void *arg);
static void key_step(void *arg);
static void event_step(void *arg);
static void examine_event(Examination *examination);
static const char *with_unknown_codes(const OutboxAvroError *error);
static bool rules_allow(Examination *examination);
static void read_schema_once(OutboxCompiledContract *contract, OutboxCompiledEventType *type);
static void examine_bytes(Examination *examination, bytea *payload);
static void run(Examination *examination, OutboxGuardedStep step);
static void check_size(Examination *examination, const bytea *payload);
static void trouble(OutboxFinding *finding, const char *stage, int sqlerrcode, const char *message, const char *class);

/*
 * Maps a row of the source into contract->after. True: the row is in the view.
 * False with finding->stage set: the row cannot be mapped, and contract->key_row
 * holds its key if that can be computed. Never raises for faults of the row.
 * Everything is allocated in contract->row_context.
 */
bool
OutboxExamineRow(OutboxCompiledContract *contract, TupleTableSlot *source, OutboxFinding *finding)
{
	Examination examination = {.contract = contract, .source = source, .finding = finding, .stage = "map"};

	memset(finding, 0, sizeof(*finding));
	OutboxEvaluateReset(contract);
	run(&examination, map_step);
	if (finding->stage)
		run(&examination, key_step);
	return examination.in_view;
}

/*
 * What an event type would publish of the row that OutboxExamineRow() mapped. The
 * row counts as created, or for emit = deleted as the row before. With emit =
 * changed the row before is not known, so condition and checks are left out. All
 * conditions are left out unless `conditions`. Never raises for faults of the row.
 */
void
OutboxExamineEvent(OutboxCompiledContract *contract, OutboxCompiledEventType *type,
				   bool conditions, OutboxFinding *finding)
{
	Examination examination = {.contract = contract, .type = type, .finding = finding, .conditions = conditions, .stage = "encode"};

	memset(finding, 0, sizeof(*finding));
	run(&examination, event_step);
}

/* Runs a step. It is guarded only when something may raise, as in capture. */
static void
run(Examination *examination, OutboxGuardedStep step)
{
	OutboxCompiledContract *contract = examination->contract;
	MemoryContext caller = MemoryContextSwitchTo(contract->row_context);
	ErrorData *error = OutboxRunGuarded(step, examination, contract->row_context);

	if (error)
	{
		OutboxEvaluationFailed(contract);
		trouble(examination->finding, examination->stage, error->sqlerrcode, error->message,
				error->message_id);
	}
	MemoryContextSwitchTo(caller);
}

static void
map_step(void *arg)
{
	Examination *examination = arg;
	OutboxEvaluation evaluation;

	OutboxEvaluationStart(examination->contract, &evaluation);
	examination->in_view = OutboxEvaluateAfter(examination->contract, examination->source);
	OutboxEvaluationStop(examination->contract, &evaluation);
}

/* Computes the key of a row that cannot be mapped. Trouble with the key does not change the finding. */
static void
key_step(void *arg)
{
	Examination *examination = arg;
	OutboxEvaluation evaluation;

	OutboxEvaluationStart(examination->contract, &evaluation);
	OutboxEvaluateKey(examination->contract, examination->source);
	OutboxEvaluationStop(examination->contract, &evaluation);
}

static void
event_step(void *arg)
{
	Examination *examination = arg;
	OutboxEvaluation evaluation;

	OutboxEvaluationStart(examination->contract, &evaluation);
	examine_event(examination);
	OutboxEvaluationStop(examination->contract, &evaluation);
}

static void
examine_event(Examination *examination)
{
	OutboxCompiledContract *contract = examination->contract;
	OutboxCompiledEventType *type = examination->type;
	OutboxFinding *finding = examination->finding;
	OutboxAvroError error = {0};
	bytea *payload;

	finding->concerned = rules_allow(examination);
	if (!finding->concerned)
		return;
	examination->stage = "encode";
	finding->key = OutboxAggregateId(contract, contract->after);
	if (type->encoder == NULL)
	{
		trouble(finding, "map", type->mismatch.sqlerrcode, type->mismatch.message, NULL);
		return;
	}
	if (type->nheaders > 0)
		finding->headers = OutboxHeaderValues(type, contract->after);
	/* as in capture: encoding finds a NULL in aggregate_id first, as one of a required column, and names it */
	payload = OutboxEncodeEvent(contract, type, contract->after, NULL, NULL, &error);
	/* a tombstone needs no payload */
	if (payload == NULL && (type->flags & OUTBOX_EVENT_TOMBSTONE_ONLY) != 0 && finding->key)
		return;
	if (payload == NULL)
		trouble(finding, "encode", error.sqlerrcode, with_unknown_codes(&error), NULL);
	else if (finding->key == NULL)
		trouble(finding, "encode", ERRCODE_NOT_NULL_VIOLATION, "a column of aggregate_id is NULL", NULL);
	else
		examine_bytes(examination, payload);
}

/* The error's message, with the unknown codes in the row: a required value may be missing because of them. */
static const char *
with_unknown_codes(const OutboxAvroError *error)
{
	const char *codes = OutboxUnknownCodes();

	if (error->sqlerrcode != ERRCODE_NOT_NULL_VIOLATION || codes == NULL)
		return error->message;
	return psprintf("%s; unknown codes in the row: %s", error->message, codes);
}

/* Is the event type concerned, and are its checks true? Only when the row before is known: it is absent, or this row. */
static bool
rules_allow(Examination *examination)
{
	OutboxCompiledContract *contract = examination->contract;
	OutboxCompiledEventType *type = examination->type;
	bool deleted = type->config->emit == OUTBOX_EMIT_DELETED;
	TupleTableSlot *before = deleted ? contract->after : NULL;
	TupleTableSlot *after = deleted ? NULL : contract->after;
	const OutboxCheckConfig *failed;

	if (type->config->emit == OUTBOX_EMIT_CHANGED)
		return true;
	examination->stage = "condition";
	if (examination->conditions && !OutboxConditionHolds(contract, type, before, after))
		return false;
	examination->stage = "check";
	failed = OutboxFailedCheck(contract, type, contract->after, before, after);
	if (failed)
		trouble(examination->finding, "check", ERRCODE_CHECK_VIOLATION,
				psprintf("check \"%s\" of event type \"%s\" is false", failed->name, type->config->name), NULL);
	return true;
}

/* Makes the decoder once for all rows: parsing the schema costs more than reading hundreds of records. */
static void
read_schema_once(OutboxCompiledContract *contract, OutboxCompiledEventType *type)
{
	MemoryContext caller;

	if (type->decoder)
		return;
	caller = MemoryContextSwitchTo(contract->context);
	type->reader = OutboxAvroReaderCreate(type->schema_text);
	type->decoder = OutboxAvroDecoderCreate(type->schema_text);
	MemoryContextSwitchTo(caller);
}

static void
examine_bytes(Examination *examination, bytea *payload)
{
	OutboxCompiledEventType *type = examination->type;
	OutboxFinding *finding = examination->finding;
	char *bytes = VARDATA(payload);
	Size len = VARSIZE(payload) - VARHDRSZ;
	char *problem = NULL;

	read_schema_once(examination->contract, type);
	finding->payload = OutboxAvroDecode(type->decoder, bytes, len, &problem);
	if (finding->payload)
		problem = OutboxAvroSecondOpinion(type->reader, bytes, len);
	if (problem)
		trouble(finding, "encode", ERRCODE_INTERNAL_ERROR, problem, "encoder");
	else
		check_size(examination, payload);
}

/* Is the message too large? A writer's correlation ids may make it larger still. */
static void
check_size(Examination *examination, const bytea *payload)
{
	const OutboxCompiledEventType *type = examination->type;
	Size size = OutboxMessageSize(type, payload, examination->finding->key, NULL);

	for (int i = 0; i < type->nheaders; i++)
		size += strlen(list_nth(type->config->headers, i)) + (examination->finding->headers[i] ? strlen(examination->finding->headers[i]) : 0);

	if (size > (Size) outbox_max_message_bytes)
		trouble(examination->finding, "size", ERRCODE_PROGRAM_LIMIT_EXCEEDED,
				psprintf("event of %zu bytes exceeds outbox.max_message_bytes (%d)", size, outbox_max_message_bytes),
				"size");
}

/* Notes a trouble in the finding. The first one counts. */
static void
trouble(OutboxFinding *finding, const char *stage, int sqlerrcode, const char *message, const char *class)
{
	if (finding->stage)
		return;
	finding->stage = stage;
	finding->sqlerrcode = sqlerrcode;
	finding->message = message ? message : "unknown error";
	finding->class = class ? class : finding->message;
}
