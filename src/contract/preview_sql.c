/*-------------------------------------------------------------------------
 *
 * preview_sql.c
 *	  outbox.preview(): what real rows would be published as.
 *
 * Runs the code that capture runs, on rows that are there, and has libavro
 * check what our encoder wrote. Writes nothing.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/tableam.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "contract/contract_api.h"
#include "contract/evaluate.h"
#include "contract/guard.h"

PG_FUNCTION_INFO_V1(outbox_preview);

#define PREVIEW_COLUMNS		7

/* One source row on its way through the event types. */
typedef struct Preview
{
	OutboxCompiledContract *contract;
	const char *event_type;		/* NULL: all */
	ReturnSetInfo *result;
	TupleTableSlot *source;
	bool		in_view;		/* of the present row */
	OutboxCompiledEventType *type;	/* the present one */
	Datum		values[PREVIEW_COLUMNS];
	bool		nulls[PREVIEW_COLUMNS];
} Preview;

static void scan_source(Preview *preview, int max_rows);
static bool preview_row(Preview *preview);
static void evaluate_step(void *arg);
static void event_step(void *arg);
static void begin_result(Preview *preview, OutboxCompiledEventType *type);
static void put_result(Preview *preview);
static void set_text(Preview *preview, int column, const char *text);
static Jsonb *preview_headers(const OutboxContractConfig *config, const OutboxCompiledEventType *type);

/*
 * preview(contract, event_type, max_rows): every row as a created row, as a
 * changed one with an unknown row before, and as a deleted one, by event type.
 */
Datum
outbox_preview(PG_FUNCTION_ARGS)
{
	Preview		preview = {.result = (ReturnSetInfo *) fcinfo->resultinfo};
	OutboxContractConfig *config = OutboxContractGet(OutboxRequiredTextArg(fcinfo, 0, "contract"));
	int			max_rows = PG_ARGISNULL(2) ? 10 : PG_GETARG_INT32(2);

	preview.event_type = OutboxTextArg(fcinfo, 1);
	if (preview.event_type && OutboxContractEventType(config, preview.event_type) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("contract \"%s\" has no event type \"%s\"", config->name, preview.event_type),
				 errhint("Leave event_type out to see all of them.")));
	OutboxCheckContractRights(config->view, config->root);
	InitMaterializedSRF(fcinfo, 0);
	preview.contract = OutboxCompileContract(config, config->root, true);
	scan_source(&preview, max_rows);
	OutboxFreeContract(preview.contract);
	return (Datum) 0;
}

static void
scan_source(Preview *preview, int max_rows)
{
	Relation	rel = table_open(preview->contract->config->root, AccessShareLock);
	TableScanDesc scan;
	int			rows = 0;

	preview->source = table_slot_create(rel, NULL);
	scan = table_beginscan(rel, GetActiveSnapshot(), 0, NULL);
	while (rows < max_rows && table_scan_getnextslot(scan, ForwardScanDirection, preview->source))
	{
		CHECK_FOR_INTERRUPTS();
		rows += preview_row(preview);
	}
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(preview->source);
	table_close(rel, NoLock);
}

/* False: the row is not in the view. */
static bool
preview_row(Preview *preview)
{
	OutboxCompiledContract *contract = preview->contract;
	MemoryContext caller;
	ErrorData  *error;

	OutboxEvaluateReset(contract);
	caller = MemoryContextSwitchTo(contract->row_context);
	preview->in_view = false;
	error = OutboxRunGuarded(evaluate_step, preview, contract->row_context);
	if (error)
	{
		OutboxEvaluationFailed(contract);
		begin_result(preview, NULL);
		set_text(preview, 6, psprintf("map: %s", error->message));
		put_result(preview);
	}
	for (int i = 0; preview->in_view && i < contract->ntypes; i++)
	{
		OutboxCompiledEventType *type = &contract->types[i];

		if (preview->event_type && strcmp(preview->event_type, type->config->name) != 0)
			continue;
		begin_result(preview, type);
		error = OutboxRunGuarded(event_step, preview, contract->row_context);
		if (error)
		{
			OutboxEvaluationFailed(contract);
			set_text(preview, 6, error->message);
		}
		put_result(preview);
	}
	MemoryContextSwitchTo(caller);
	return error != NULL || preview->in_view;
}

static void
evaluate_step(void *arg)
{
	Preview    *preview = arg;
	OutboxEvaluationScope scope;

	OutboxEvaluationStart(preview->contract, &scope);
	preview->in_view = OutboxEvaluateAfter(preview->contract, preview->source);
	OutboxEvaluationStop(preview->contract, &scope);
}

/* Key, payload or error of the present event type for the present row. */
static void
event_step(void *arg)
{
	Preview    *preview = arg;
	OutboxCompiledContract *contract = preview->contract;
	OutboxCompiledEventType *type = preview->type;
	OutboxEvaluationScope scope;
	OutboxAvroError error = {0};
	bytea	   *payload = NULL;
	text	   *key;
	char	   *problem = NULL;

	OutboxEvaluationStart(contract, &scope);
	key = OutboxAggregateId(contract, contract->after);
	if (key)
		set_text(preview, 3, text_to_cstring(key));
	else
		problem = "encode: a column of aggregate_id is NULL";
	if (type->encoder)
		payload = OutboxEncodeEvent(contract, type, contract->after, NULL, &error);
	else
		problem = psprintf("map: %s", type->mismatch.message);
	OutboxEvaluationStop(contract, &scope);

	if (payload)
	{
		char	   *bytes = VARDATA(payload);
		Size		len = VARSIZE(payload) - VARHDRSZ;
		Jsonb	   *json = OutboxAvroDecode(OutboxAvroDecoderCreate(type->config->schema_text), bytes, len, &problem);

		if (json)
		{
			preview->values[5] = JsonbPGetDatum(json);
			preview->nulls[5] = false;
			problem = OutboxAvroSecondOpinion(type->config->schema_text, bytes, len);
		}
	}
	else if (problem == NULL)
		problem = psprintf("encode: %s", error.message);
	set_text(preview, 6, problem);
}

static void
begin_result(Preview *preview, OutboxCompiledEventType *type)
{
	memset(preview->nulls, true, sizeof(preview->nulls));
	preview->type = type;
	if (type == NULL)
		return;
	set_text(preview, 0, type->config->name);
	set_text(preview, 1, OutboxEmitName(type->config->emit));
	set_text(preview, 2, type->config->topic);
	preview->values[4] = JsonbPGetDatum(preview_headers(preview->contract->config, type));
	preview->nulls[4] = false;
}

static void
put_result(Preview *preview)
{
	tuplestore_putvalues(preview->result->setResult, preview->result->setDesc, preview->values, preview->nulls);
}

static void
set_text(Preview *preview, int column, const char *text)
{
	preview->nulls[column] = text == NULL;
	if (text)
		preview->values[column] = CStringGetTextDatum(text);
}

/* The attributes that are the same for every event of the type. */
static Jsonb *
preview_headers(const OutboxContractConfig *config, const OutboxCompiledEventType *type)
{
	const char *pairs[][2] = {{"type", type->config->ce_type}, {"aggregatetype", config->aggregate_type}};
	JsonbParseState *state = NULL;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	for (int i = 0; i < lengthof(pairs); i++)
	{
		for (int part = 0; part < 2; part++)
		{
			JsonbValue	string = {.type = jbvString};

			string.val.string.val = unconstify(char *, pairs[i][part]);
			string.val.string.len = strlen(pairs[i][part]);
			pushJsonbValue(&state, part == 0 ? WJB_KEY : WJB_VALUE, &string);
		}
	}
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}
