/*-------------------------------------------------------------------------
 *
 * preview_sql.c
 *	  outbox.preview(): the events that a contract would make of a few rows of
 *	  its source.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

#include "catalog/outbox_catalog.h"
#include "compat.h"
#include "contract/api/api_private.h"
#include "contract/prove/prove.h"
#include "contract/view/view.h"
#include "letters/letters.h"
#include "util/util.h"

PG_FUNCTION_INFO_V1(outbox_preview);

#define PREVIEW_COLUMNS 7

/* A preview under way. */
typedef struct Preview
{
	const char *event_type; /* NULL: all */
	ReturnSetInfo *result;
} Preview;

static int preview_rows(FunctionCallInfo fcinfo, int arg);
static bool preview_row(void *arg, OutboxCompiledContract *contract, bool in_view, OutboxFinding *finding);
static void put_preview(Preview *preview, OutboxCompiledEventType *type, const OutboxFinding *finding);
static Jsonb *preview_headers(const OutboxCompiledEventType *type, const OutboxFinding *finding);
static void push_header(OutboxJsonbState *state, const char *name, const char *value);

/*
 * preview(contract, event_type, max_rows, version): what each event type would make of
 * rows of the source. A row counts as created, as changed from an unknown row, and
 * as deleted.
 */
Datum
outbox_preview(PG_FUNCTION_ARGS)
{
	Preview preview = {.result = (ReturnSetInfo *) fcinfo->resultinfo};
	OutboxContractConfig *config = OutboxContractArg(fcinfo, 0, "contract");
	int max_rows = preview_rows(fcinfo, 2);
	int version_arg = 3;

	if (!PG_ARGISNULL(version_arg))
		config = OutboxContractVersionGet(config, PG_GETARG_INT32(version_arg));
	preview.event_type = OutboxTextArg(fcinfo, 1);
	if (preview.event_type && OutboxContractEventType(config, preview.event_type) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("contract \"%s\" has no event type \"%s\"", config->name, preview.event_type),
				 errhint("Leave event_type out to see all of them.")));
	OutboxCheckContractRights(config->view, config->root);
	OutboxCheckViewOwnerUnchanged(config);
	InitMaterializedSRF(fcinfo, 0);
	OutboxTryContract(config, max_rows, preview_row, &preview);
	return (Datum) 0;
}

static int
preview_rows(FunctionCallInfo fcinfo, int arg)
{
	int max_rows = PG_ARGISNULL(arg) ? 10 : PG_GETARG_INT32(arg);

	if (max_rows < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"max_rows\" must not be negative"),
				 errhint("Say how many rows to show; outbox.validate() looks at all of them.")));
	return max_rows;
}

/* An OutboxTrialRow: the events that each event type would make of the row. A row that is not in the view does not count. */
static bool
preview_row(void *arg, OutboxCompiledContract *contract, bool in_view, OutboxFinding *finding)
{
	Preview *preview = arg;
	bool mapped = finding->stage == NULL;

	if (!mapped)
		put_preview(preview, NULL, finding);
	for (int i = 0; in_view && i < contract->ntypes; i++)
	{
		OutboxCompiledEventType *type = &contract->types[i];

		if (preview->event_type && strcmp(preview->event_type, type->config->name) != 0)
			continue;
		OutboxExamineEvent(contract, type, false, finding);
		put_preview(preview, type, finding);
	}
	return in_view || !mapped;
}

static void
put_preview(Preview *preview, OutboxCompiledEventType *type, const OutboxFinding *finding)
{
	Datum values[PREVIEW_COLUMNS];
	bool nulls[PREVIEW_COLUMNS];

	memset(nulls, true, sizeof(nulls));
	if (type)
	{
		OutboxSetText(values, nulls, 0, type->config->name);
		OutboxSetText(values, nulls, 1, OutboxEmitName(type->config->emit));
		OutboxSetText(values, nulls, 2, type->config->topic);
		values[4] = JsonbPGetDatum(preview_headers(type, finding));
		nulls[4] = false;
	}
	nulls[3] = finding->key == NULL;
	values[3] = PointerGetDatum(finding->key);
	nulls[5] = finding->payload == NULL;
	values[5] = finding->payload ? JsonbPGetDatum(finding->payload) : (Datum) 0;
	if (finding->stage)
		OutboxSetText(values, nulls, 6, psprintf("%s: %s", finding->stage, finding->message));
	tuplestore_putvalues(preview->result->setResult, preview->result->setDesc, values, nulls);
}

/*
 * The headers of the message, as far as the row decides them. Those that come with
 * the event (id, time, sequence) or from a sink's options (source, dataschema) are
 * not known yet.
 */
static Jsonb *
preview_headers(const OutboxCompiledEventType *type, const OutboxFinding *finding)
{
	OutboxJsonbState state = {0};

	OutboxPushJsonb(&state, WJB_BEGIN_OBJECT, NULL);
	push_header(&state, "content-type", "application/avro");
	push_header(&state, "ce_specversion", "1.0");
	push_header(&state, "ce_type", type->config->ce_type);
	if (finding->key)
	{
		push_header(&state, "ce_subject", text_to_cstring(finding->key));
		push_header(&state, "ce_partitionkey", text_to_cstring(finding->key));
	}
	for (int i = 0; finding->headers && i < type->nheaders; i++)
	{
		if (finding->headers[i])
			push_header(&state, list_nth(type->config->headers, i), finding->headers[i]);
	}
	OutboxPushJsonb(&state, WJB_END_OBJECT, NULL);
	return JsonbValueToJsonb(state.result);
}

static void
push_header(OutboxJsonbState *state, const char *name, const char *value)
{
	JsonbValue key = {.type = jbvString, .val.string = {.val = unconstify(char *, name), .len = strlen(name)}};
	JsonbValue string = {.type = jbvString, .val.string = {.val = unconstify(char *, value), .len = strlen(value)}};

	OutboxPushJsonb(state, WJB_KEY, &key);
	OutboxPushJsonb(state, WJB_VALUE, &string);
}
