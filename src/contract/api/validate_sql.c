/*-------------------------------------------------------------------------
 *
 * validate_sql.c
 *	  outbox.validate(): a contract tried on all rows of its source.
 *
 * The troubles are counted by class, in bounded memory.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

#include "catalog/outbox_catalog.h"
#include "compat.h"
#include "contract/api/api_private.h"
#include "contract/codes/codes.h"
#include "contract/environment/environment.h"
#include "contract/prove/prove.h"
#include "contract/view/view.h"
#include "letters/letters.h"
#include "util/util.h"

PG_FUNCTION_INFO_V1(outbox_validate);

#define VALIDATE_COLUMNS 6

/* The number of classes that are told apart. All further ones are counted together. */
#define MAX_CLASSES 1000

/* A kind of trouble, with its first example. */
typedef struct TroubleClass
{
	const char *event_type; /* NULL: the row could not be mapped */
	const char *stage;
	int sqlerrcode;
	char *class;
	char *message;
	int64 rows;
	Jsonb *example_key; /* or NULL */
} TroubleClass;

typedef struct Validation
{
	ReturnSetInfo *result;
	MemoryContext context; /* of the classes */
	TroubleClass *classes;
	int nclasses;
} Validation;

/* What key_step needs inside its guard. */
typedef struct KeyRequest
{
	OutboxCompiledContract *contract;
	TupleTableSlot *row;
	Jsonb *key;
} KeyRequest;

static bool validate_row(void *arg, OutboxCompiledContract *contract, bool in_view, OutboxFinding *finding);
static void note_missing_maps(Validation *validation, const OutboxContractConfig *config);
static void note_key(Validation *validation, const OutboxContractConfig *config);
static void note_other_tables(Validation *validation, const OutboxContractConfig *config);
static void count_trouble(Validation *validation, const char *event_type, const OutboxFinding *finding, OutboxCompiledContract *contract, TupleTableSlot *row);
static TroubleClass *find_class(Validation *validation, const char *event_type, const OutboxFinding *finding);
static Jsonb *example_key(OutboxCompiledContract *contract, TupleTableSlot *row);
static void key_step(void *arg);
static void put_classes(Validation *validation);

/* validate(contract, version): one result row per class of trouble. */
Datum
outbox_validate(PG_FUNCTION_ARGS)
{
	Validation validation = {.result = (ReturnSetInfo *) fcinfo->resultinfo, .context = CurrentMemoryContext};
	OutboxContractConfig *config = OutboxContractArg(fcinfo, 0, "contract");

	if (!PG_ARGISNULL(1))
		config = OutboxContractVersionGet(config, PG_GETARG_INT32(1));
	OutboxCheckContractRights(config->view, config->root);
	OutboxCheckViewOwnerUnchanged(config);
	InitMaterializedSRF(fcinfo, 0);
	validation.classes = palloc(sizeof(TroubleClass) * MAX_CLASSES);
	note_missing_maps(&validation, config); /* the reason of what follows */
	OutboxTryContract(config, PG_INT64_MAX, validate_row, &validation);
	note_key(&validation, config);
	note_other_tables(&validation, config);
	put_classes(&validation);
	return (Datum) 0;
}

/* An OutboxTrialRow: counts the row's troubles. */
static bool
validate_row(void *arg, OutboxCompiledContract *contract, bool in_view, OutboxFinding *finding)
{
	Validation *validation = arg;
	const char *codes = in_view ? OutboxUnknownCodes() : NULL;
	bool troubled = finding->stage != NULL;

	codes = codes ? pstrdup(codes) : NULL;
	if (finding->stage)
		count_trouble(validation, NULL, finding, contract, contract->key_row);
	for (int i = 0; in_view && i < contract->ntypes; i++)
	{
		OutboxExamineEvent(contract, &contract->types[i], true, finding);
		troubled |= finding->stage != NULL;
		if (finding->stage)
			count_trouble(validation, contract->types[i].config->name, finding, contract, contract->after);
	}
	if (codes && !troubled)
	{
		OutboxFinding unknown = {.stage = "map", .sqlerrcode = ERRCODE_WARNING};

		unknown.class = unknown.message = psprintf("unknown codes, which are published as null: %s", codes);
		count_trouble(validation, NULL, &unknown, contract, contract->after);
	}
	return true;
}

/* Code maps that do not exist are troubles of no row, so their number of rows is 0. */
static void
note_missing_maps(Validation *validation, const OutboxContractConfig *config)
{
	ListCell *lc;

	foreach (lc, OutboxMissingMaps(config))
	{
		OutboxFinding finding = {.stage = "map", .sqlerrcode = ERRCODE_UNDEFINED_OBJECT};

		finding.class = finding.message = psprintf("code map \"%s\" does not exist", (char *) lfirst(lc));
		(void) find_class(validation, NULL, &finding);
	}
}

/* A key that is not proven any more is a trouble of no row, too. */
static void
note_key(Validation *validation, const OutboxContractConfig *config)
{
	ErrorData *error = OutboxContractKeyFault(config, validation->context);
	OutboxFinding finding = {.stage = "map"};

	if (error == NULL)
		return;
	finding.sqlerrcode = error->sqlerrcode;
	finding.class = finding.message = error->message;
	(void) find_class(validation, NULL, &finding);
}

/* Tables that the view reads and that are no sources: their changes touch nothing. */
static void
note_other_tables(Validation *validation, const OutboxContractConfig *config)
{
	ListCell *lc;

	foreach (lc, config->at_commit ? OutboxSurveyView(config->view)->relations : NIL)
	{
		OutboxFinding finding = {.stage = "source", .sqlerrcode = ERRCODE_WARNING};

		if (get_rel_relkind(lfirst_oid(lc)) == RELKIND_VIEW || OutboxIsWithinSource(config, lfirst_oid(lc)))
			continue;
		finding.class = finding.message = psprintf("the view reads \"%s\", which is no source: outbox.add_source() would let its changes be published",
												   get_rel_name(lfirst_oid(lc)));
		(void) find_class(validation, NULL, &finding);
	}
}

/* Counts one row in the class of its trouble. `row`: the row of the contract with its key, or an empty slot. */
static void
count_trouble(Validation *validation, const char *event_type, const OutboxFinding *finding,
			  OutboxCompiledContract *contract, TupleTableSlot *row)
{
	TroubleClass *class = find_class(validation, event_type, finding);

	if (class->rows++ == 0)
	{
		MemoryContext caller = MemoryContextSwitchTo(validation->context);

		if (finding->source_key)
			class->example_key = (Jsonb *) DatumGetPointer(datumCopy(JsonbPGetDatum(finding->source_key), false, -1));
		else
			class->example_key = example_key(contract, row);
		MemoryContextSwitchTo(caller);
	}
}

/* The class of a trouble, made if it is new. The last class takes all that do not fit. */
static TroubleClass *
find_class(Validation *validation, const char *event_type, const OutboxFinding *finding)
{
	MemoryContext caller;
	TroubleClass *class;

	for (int i = 0; i < validation->nclasses; i++)
	{
		class = &validation->classes[i];
		if (class->event_type == event_type && strcmp(class->stage, finding->stage) == 0 &&
			class->sqlerrcode == finding->sqlerrcode && strcmp(class->class, finding->class) == 0)
			return class;
	}
	if (validation->nclasses == MAX_CLASSES)
		return &validation->classes[MAX_CLASSES - 1];
	caller = MemoryContextSwitchTo(validation->context);
	class = &validation->classes[validation->nclasses++];
	*class = (TroubleClass){.event_type = event_type, .stage = finding->stage, .sqlerrcode = finding->sqlerrcode, .class = pstrdup(finding->class), .message = pstrdup(finding->message)};
	if (validation->nclasses == MAX_CLASSES)
		class->message = psprintf("%s (and everything beyond %d different errors)", class->message, MAX_CLASSES);
	MemoryContextSwitchTo(caller);
	return class;
}

/* The key of a row of the contract. NULL when the row is empty, or when the output function of a type raises. */
static Jsonb *
example_key(OutboxCompiledContract *contract, TupleTableSlot *row)
{
	KeyRequest request = {.contract = contract, .row = row};

	if (TTS_EMPTY(row) || OutboxRunGuarded(key_step, &request, CurrentMemoryContext))
		return NULL;
	return request.key;
}

static void
key_step(void *arg)
{
	KeyRequest *request = arg;
	OutboxEvaluation evaluation;

	OutboxEvaluationBegin(&evaluation, request->contract->owner, OUTBOX_ANYTHING);
	request->key = OutboxColumnsToJsonb(request->row->tts_tupleDescriptor, request->row->tts_values,
										request->row->tts_isnull, request->contract->key, request->contract->nkey, 0);
	OutboxEvaluationEnd(&evaluation);
}

static void
put_classes(Validation *validation)
{
	for (int i = 0; i < validation->nclasses; i++)
	{
		TroubleClass *class = &validation->classes[i];
		Datum values[VALIDATE_COLUMNS];
		bool nulls[VALIDATE_COLUMNS];

		memset(nulls, true, sizeof(nulls));
		OutboxSetText(values, nulls, 0, class->event_type);
		OutboxSetText(values, nulls, 1, class->stage);
		OutboxSetText(values, nulls, 2, unpack_sql_state(class->sqlerrcode));
		OutboxSetText(values, nulls, 3, class->message);
		values[4] = Int64GetDatum(class->rows);
		nulls[4] = false;
		nulls[5] = class->example_key == NULL;
		values[5] = class->example_key ? JsonbPGetDatum(class->example_key) : (Datum) 0;
		tuplestore_putvalues(validation->result->setResult, validation->result->setDesc, values, nulls);
	}
}
