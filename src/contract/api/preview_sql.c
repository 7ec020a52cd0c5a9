/*-------------------------------------------------------------------------
 *
 * preview_sql.c
 *	  outbox.preview() and outbox.validate(): a contract tried on its source.
 *
 * Both read the source itself, row by row, as capture would see its rows; of a
 * contract that is evaluated at commit they read the view by the source's keys.
 * preview shows a few of them; validate goes through all and counts what goes
 * wrong by class, in bounded memory.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/tableam.h"
#include "catalog/pg_class.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"

#include "catalog/outbox_catalog.h"
#include "compat.h"
#include "contract/api/api_private.h"
#include "contract/codes/codes.h"
#include "contract/environment/environment.h"
#include "contract/prove/prove.h"
#include "contract/view/view.h"
#include "letters/letters.h"

PG_FUNCTION_INFO_V1(outbox_preview);
PG_FUNCTION_INFO_V1(outbox_validate);

#define PREVIEW_COLUMNS 7
#define VALIDATE_COLUMNS 6

/* Classes of trouble that validate tells apart; what comes after is counted together. */
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

typedef struct Trial
{
	OutboxCompiledContract *contract;
	const char *event_type; /* preview: NULL = all */
	ReturnSetInfo *result;
	MemoryContext context; /* of the classes */
	TroubleClass *classes;
	int nclasses;
} Trial;

static int preview_rows(FunctionCallInfo fcinfo, int arg);
static void scan_source(Trial *trial, OutboxContractConfig *config, int64 max_rows, OutboxTrialRow function);
static OutboxCompiledContract *compile_locked(OutboxContractConfig *config);
static void scan_keys(Trial *trial, OutboxContractConfig *config, int64 max_rows, OutboxTrialRow function);
static int64 scan_table(Trial *trial, Oid table, int64 rows, int64 max_rows, OutboxTrialRow function);
static bool preview_row(void *arg, bool in_view, OutboxFinding *finding);
static void put_preview(Trial *trial, OutboxCompiledEventType *type, const OutboxFinding *finding);
static Jsonb *preview_headers(const OutboxCompiledEventType *type, const OutboxFinding *finding);
static void push_header(OutboxJsonbState *state, const char *name, const char *value);
static void note_missing_maps(Trial *trial, const OutboxContractConfig *config);
static void note_key(Trial *trial, OutboxContractConfig *config);
static void prove_step(void *arg);
static void note_other_tables(Trial *trial, const OutboxContractConfig *config);
static bool validate_row(void *arg, bool in_view, OutboxFinding *finding);
static void count_trouble(Trial *trial, const char *event_type, const OutboxFinding *finding, bool mapped);
static TroubleClass *find_class(Trial *trial, const char *event_type, const OutboxFinding *finding);
static Jsonb *example_key(OutboxCompiledContract *contract, TupleTableSlot *row);
static void key_step(void *arg);
static void put_classes(Trial *trial);
static void set_text(Datum *values, bool *nulls, int column, const char *text);

/*
 * preview(contract, event_type, max_rows): every row as a created row, as a
 * changed one with an unknown row before, and as a deleted one, by event type.
 */
Datum
outbox_preview(PG_FUNCTION_ARGS)
{
	Trial trial = {.result = (ReturnSetInfo *) fcinfo->resultinfo};
	OutboxContractConfig *config = OutboxContractArg(fcinfo, 0, "contract");
	int max_rows = preview_rows(fcinfo, 2);

	trial.event_type = OutboxTextArg(fcinfo, 1);
	if (trial.event_type && OutboxContractEventType(config, trial.event_type) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("contract \"%s\" has no event type \"%s\"", config->name, trial.event_type),
				 errhint("Leave event_type out to see all of them.")));
	OutboxCheckContractRights(config->view, config->root);
	OutboxCheckViewOwnerUnchanged(config);
	InitMaterializedSRF(fcinfo, 0);
	if (config->at_commit)
		scan_keys(&trial, config, max_rows, preview_row);
	else
		scan_source(&trial, config, max_rows, preview_row);
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

/* validate(contract): one result row per class of trouble. */
Datum
outbox_validate(PG_FUNCTION_ARGS)
{
	Trial trial = {.result = (ReturnSetInfo *) fcinfo->resultinfo, .context = CurrentMemoryContext};
	OutboxContractConfig *config = OutboxContractArg(fcinfo, 0, "contract");

	OutboxCheckContractRights(config->view, config->root);
	OutboxCheckViewOwnerUnchanged(config);
	InitMaterializedSRF(fcinfo, 0);
	trial.classes = palloc(sizeof(TroubleClass) * MAX_CLASSES);
	if (config->at_commit)
		scan_keys(&trial, config, PG_INT64_MAX, validate_row);
	else
		scan_source(&trial, config, PG_INT64_MAX, validate_row);
	note_missing_maps(&trial, config);
	note_key(&trial, config);
	note_other_tables(&trial, config);
	put_classes(&trial);
	return (Datum) 0;
}

/* Calls the function for the source's rows until it has said true max_rows times. */
static void
scan_source(Trial *trial, OutboxContractConfig *config, int64 max_rows, OutboxTrialRow function)
{
	int64 rows = 0;
	ListCell *lc;

	foreach (lc, OutboxSourceTables(config->root))
	{
		/* what a foreign server has is not captured either */
		if (get_rel_relkind(lfirst_oid(lc)) == RELKIND_FOREIGN_TABLE)
			continue;
		trial->contract = OutboxCompileContract(config, lfirst_oid(lc), true);
		rows = scan_table(trial, lfirst_oid(lc), rows, max_rows, function);
		OutboxFreeContract(trial->contract);
	}
	/* without any table the contract must at least compile */
	if (get_rel_relkind(config->root) == RELKIND_PARTITIONED_TABLE)
		OutboxFreeContract(OutboxCompileContract(config, config->root, true));
}

/* Of a contract that is evaluated at commit: its rows for the keys in the source. */
static void
scan_keys(Trial *trial, OutboxContractConfig *config, int64 max_rows, OutboxTrialRow function)
{
	trial->contract = compile_locked(config);
	OutboxTryKeys(trial->contract, max_rows, function, trial);
	OutboxFreeContract(trial->contract);
}

/* Compiling keeps no lock, and whoever runs its query needs them: what was compiled before we had to wait for one may be outdated. */
static OutboxCompiledContract *
compile_locked(OutboxContractConfig *config)
{
	List *locked = NIL;

	for (;;)
	{
		OutboxCompiledContract *contract = OutboxCompileContract(config, config->root, true);
		ListCell *lc;

		if (list_difference_oid(contract->query->relations, locked) == NIL)
			return contract;
		locked = list_copy(contract->query->relations);
		OutboxFreeContract(contract);
		foreach (lc, locked)
			LockRelationOid(lfirst_oid(lc), AccessShareLock);
	}
}

/* Goes on counting at `rows`, and returns how many there are then. */
static int64
scan_table(Trial *trial, Oid table, int64 rows, int64 max_rows, OutboxTrialRow function)
{
	Relation rel = table_open(table, AccessShareLock);
	TupleTableSlot *source = table_slot_create(rel, NULL);
	TableScanDesc scan = OutboxBeginScan(rel, GetActiveSnapshot());

	while (rows < max_rows && table_scan_getnextslot(scan, ForwardScanDirection, source))
	{
		OutboxFinding finding;
		bool in_view = OutboxExamineRow(trial->contract, source, &finding);

		CHECK_FOR_INTERRUPTS();
		rows += function(trial, in_view, &finding);
	}
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(source);
	table_close(rel, NoLock);
	return rows;
}

/* False: the row is not in the view. */
static bool
preview_row(void *arg, bool in_view, OutboxFinding *finding)
{
	Trial *trial = arg;
	OutboxCompiledContract *contract = trial->contract;
	bool mapped = finding->stage == NULL;

	if (!mapped)
		put_preview(trial, NULL, finding);
	for (int i = 0; in_view && i < contract->ntypes; i++)
	{
		OutboxCompiledEventType *type = &contract->types[i];

		if (trial->event_type && strcmp(trial->event_type, type->config->name) != 0)
			continue;
		OutboxExamineEvent(contract, type, false, finding);
		put_preview(trial, type, finding);
	}
	return in_view || !mapped;
}

static void
put_preview(Trial *trial, OutboxCompiledEventType *type, const OutboxFinding *finding)
{
	Datum values[PREVIEW_COLUMNS];
	bool nulls[PREVIEW_COLUMNS];

	memset(nulls, true, sizeof(nulls));
	if (type)
	{
		set_text(values, nulls, 0, type->config->name);
		set_text(values, nulls, 1, OutboxEmitName(type->config->emit));
		set_text(values, nulls, 2, type->config->topic);
		values[4] = JsonbPGetDatum(preview_headers(type, finding));
		nulls[4] = false;
	}
	nulls[3] = finding->key == NULL;
	values[3] = PointerGetDatum(finding->key);
	nulls[5] = finding->payload == NULL;
	values[5] = finding->payload ? JsonbPGetDatum(finding->payload) : (Datum) 0;
	if (finding->stage)
		set_text(values, nulls, 6, psprintf("%s: %s", finding->stage, finding->message));
	tuplestore_putvalues(trial->result->setResult, trial->result->setDesc, values, nulls);
}

/*
 * CloudEvents attributes as a message has them, as far as the row decides: what
 * comes with the event (id, time, sequence) or from a sink's options (source,
 * dataschema) is not known yet.
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

static bool
validate_row(void *arg, bool in_view, OutboxFinding *finding)
{
	Trial *trial = arg;
	OutboxCompiledContract *contract = trial->contract;
	const char *codes = in_view ? OutboxUnknownCodes() : NULL;
	bool troubled = finding->stage != NULL;

	codes = codes ? pstrdup(codes) : NULL;
	if (finding->stage)
		count_trouble(trial, NULL, finding, false);
	for (int i = 0; in_view && i < contract->ntypes; i++)
	{
		OutboxExamineEvent(contract, &contract->types[i], true, finding);
		troubled |= finding->stage != NULL;
		if (finding->stage)
			count_trouble(trial, contract->types[i].config->name, finding, true);
	}
	if (codes && !troubled)
	{
		OutboxFinding unknown = {.stage = "map", .sqlerrcode = ERRCODE_WARNING};

		unknown.class = unknown.message = psprintf("unknown codes, which are published as null: %s", codes);
		count_trouble(trial, NULL, &unknown, true);
	}
	return true;
}

/* Of no row, so the number of rows is 0. */
static void
note_missing_maps(Trial *trial, const OutboxContractConfig *config)
{
	ListCell *lc;

	foreach (lc, OutboxMissingMaps(config))
	{
		OutboxFinding finding = {.stage = "map", .sqlerrcode = ERRCODE_UNDEFINED_OBJECT};

		finding.class = finding.message = psprintf("code map \"%s\" does not exist", (char *) lfirst(lc));
		(void) find_class(trial, NULL, &finding);
	}
}

/* Nor is this of one. */
static void
note_key(Trial *trial, OutboxContractConfig *config)
{
	ErrorData *error = OutboxRunGuarded(prove_step, config, trial->context);
	OutboxFinding finding = {.stage = "map"};

	if (error == NULL)
		return;
	finding.sqlerrcode = error->sqlerrcode;
	finding.class = finding.message = error->message;
	(void) find_class(trial, NULL, &finding);
}

static void
prove_step(void *arg)
{
	OutboxProveContractKey(arg);
}

/* A table that the view reads and that is no source: what changes there touches nothing. */
static void
note_other_tables(Trial *trial, const OutboxContractConfig *config)
{
	ListCell *lc;

	foreach (lc, config->at_commit ? OutboxSurveyView(config->view)->relations : NIL)
	{
		OutboxFinding finding = {.stage = "source", .sqlerrcode = ERRCODE_WARNING};

		if (get_rel_relkind(lfirst_oid(lc)) == RELKIND_VIEW || OutboxIsWithinSource(config, lfirst_oid(lc)))
			continue;
		finding.class = finding.message = psprintf("the view reads \"%s\", which is no source: outbox.add_source() would let its changes be published",
												   get_rel_name(lfirst_oid(lc)));
		(void) find_class(trial, NULL, &finding);
	}
}

static void
count_trouble(Trial *trial, const char *event_type, const OutboxFinding *finding, bool mapped)
{
	TroubleClass *class = find_class(trial, event_type, finding);

	if (class->rows++ == 0)
	{
		MemoryContext caller = MemoryContextSwitchTo(trial->context);

		if (finding->source_key)
			class->example_key = (Jsonb *) DatumGetPointer(datumCopy(JsonbPGetDatum(finding->source_key), false, -1));
		else
			class->example_key = example_key(trial->contract, mapped ? trial->contract->after : trial->contract->key_row);
		MemoryContextSwitchTo(caller);
	}
}

/* The class of a trouble, made if it is new; the last one takes what does not fit. */
static TroubleClass *
find_class(Trial *trial, const char *event_type, const OutboxFinding *finding)
{
	MemoryContext caller;
	TroubleClass *class;

	for (int i = 0; i < trial->nclasses; i++)
	{
		class = &trial->classes[i];
		if (class->event_type == event_type && strcmp(class->stage, finding->stage) == 0 &&
			class->sqlerrcode == finding->sqlerrcode && strcmp(class->class, finding->class) == 0)
			return class;
	}
	if (trial->nclasses == MAX_CLASSES)
		return &trial->classes[MAX_CLASSES - 1];
	caller = MemoryContextSwitchTo(trial->context);
	class = &trial->classes[trial->nclasses++];
	*class = (TroubleClass){.event_type = event_type, .stage = finding->stage, .sqlerrcode = finding->sqlerrcode, .class = pstrdup(finding->class), .message = pstrdup(finding->message)};
	if (trial->nclasses == MAX_CLASSES)
		class->message = psprintf("%s (and everything beyond %d different errors)", class->message, MAX_CLASSES);
	MemoryContextSwitchTo(caller);
	return class;
}

/* What key_step needs inside its guard. */
typedef struct KeyRequest
{
	OutboxCompiledContract *contract;
	TupleTableSlot *row;
	Jsonb *key;
} KeyRequest;

/* The key in a row of the contract; NULL when it is not known or a type's output function refuses it. */
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
put_classes(Trial *trial)
{
	for (int i = 0; i < trial->nclasses; i++)
	{
		TroubleClass *class = &trial->classes[i];
		Datum values[VALIDATE_COLUMNS];
		bool nulls[VALIDATE_COLUMNS];

		memset(nulls, true, sizeof(nulls));
		set_text(values, nulls, 0, class->event_type);
		set_text(values, nulls, 1, class->stage);
		set_text(values, nulls, 2, unpack_sql_state(class->sqlerrcode));
		set_text(values, nulls, 3, class->message);
		values[4] = Int64GetDatum(class->rows);
		nulls[4] = false;
		nulls[5] = class->example_key == NULL;
		values[5] = class->example_key ? JsonbPGetDatum(class->example_key) : (Datum) 0;
		tuplestore_putvalues(trial->result->setResult, trial->result->setDesc, values, nulls);
	}
}

static void
set_text(Datum *values, bool *nulls, int column, const char *text)
{
	nulls[column] = text == NULL;
	if (text)
		values[column] = CStringGetTextDatum(text);
}
