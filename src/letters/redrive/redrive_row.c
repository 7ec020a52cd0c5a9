/*-------------------------------------------------------------------------
 *
 * redrive_row.c
 *	  The contract rows of a dead letter that is tried again.
 *
 * The row as it is now is locked, as a transaction locks it to change it: so the
 * event has its place among the events of the key. The contract's owner needs only
 * the right to read the row for that, as with foreign keys.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "executor/executor.h"
#include "nodes/nodeFuncs.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "contract/environment/environment.h"
#include "contract/reach/reach.h"
#include "letters/letters.h"
#include "letters/redrive/redrive_private.h"
#include "util/util.h"

typedef struct FirstRow
{
	DestReceiver pub;
	MemoryContext context;
	HeapTuple tuple;
	int nrows;
} FirstRow;

static void runner_of(const OutboxCompiledContract *contract, OutboxRunner *runner);
static HeapTuple fetch_row(OutboxCompiledContract *contract, const char *query, ParamListInfo params);
static PlannedStmt *plan_query(const OutboxCompiledContract *contract, const char *text, ParamListInfo params);
static void run_query(PlannedStmt *plan, const char *text, ParamListInfo params, DestReceiver *receiver);
static bool keep_first(TupleTableSlot *slot, DestReceiver *self);
static void start_receiver(DestReceiver *self, int operation, TupleDesc desc);
static void end_receiver(DestReceiver *self);
static bool allow_locks(Node *node, void *context);
static char *key_condition(const OutboxCompiledContract *contract);
static ParamListInfo key_parameters(OutboxCompiledContract *contract, Jsonb *key);

/*
 * Reads a letter's JSON back as the contract's owner (letter_json.c). Raises
 * for a type whose input functions may not run with this role's rights.
 */
void
OutboxReadLetterRow(OutboxCompiledContract *contract, TupleDesc desc, Jsonb *object, Datum *values, bool *isnull)
{
	OutboxEvaluation evaluation;

	OutboxCheckReadBackTrust(contract, desc, object);
	/* input functions run */
	OutboxEvaluationBegin(&evaluation, contract->owner, OUTBOX_ANYTHING);
	OutboxRowFromJsonb(desc, object, values, isnull);
	OutboxEvaluationEnd(&evaluation);
}

/* Raises when input functions of the object's columns may not run with the contract owner's rights. */
void
OutboxCheckReadBackTrust(const OutboxCompiledContract *contract, TupleDesc desc, Jsonb *object)
{
	OutboxRunner runner;

	runner_of(contract, &runner);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);
		int32 typmod = attribute->atttypmod;
		JsonbValue member;

		if (!attribute->attisdropped &&
			getKeyJsonValueFromContainer(&object->root, NameStr(attribute->attname), strlen(NameStr(attribute->attname)), &member))
			OutboxCheckInputTrust(&runner, OutboxReadBackType(attribute->atttypid, &typmod));
	}
}

/* The role with whose rights functions run for a redrive. */
static void
runner_of(const OutboxCompiledContract *contract, OutboxRunner *runner)
{
	OutboxRunnerOfView(runner, contract->config->view, psprintf("redriving contract \"%s\"", contract->config->name));
	runner->role = contract->owner;
}

/* The row before that the letter has, in CurrentMemoryContext; NULL: none. May raise. */
HeapTuple
OutboxLetterRowBefore(OutboxCompiledContract *contract, const OutboxLetter *letter)
{
	TupleDesc desc = contract->row_desc;
	Datum *values;
	bool *isnull;

	if (letter->before == NULL)
		return NULL;
	values = palloc(sizeof(Datum) * desc->natts);
	isnull = palloc(sizeof(bool) * desc->natts);
	OutboxReadLetterRow(contract, desc, letter->before, values, isnull);
	return heap_form_tuple(desc, values, isnull);
}

/*
 * The row with the letter's key as it is now, of a contract evaluated per row.
 * It stays locked against changes until the transaction ends: the event of an older
 * state must not come behind the event of a newer one. Raises lock_not_available
 * instead of waiting for a transaction that changes the row. NULL: there is none.
 */
HeapTuple
OutboxLetterRowNow(OutboxCompiledContract *contract, const OutboxLetter *letter)
{
	return fetch_row(contract, psprintf("SELECT v.* FROM %s v WHERE %s FOR SHARE OF v NOWAIT", OutboxQualifiedName(contract->config->view), key_condition(contract)),
					 key_parameters(contract, letter->key));
}

/* The first row, copied to the current memory context; NULL when there is none. Raises for a second one. */
static HeapTuple
fetch_row(OutboxCompiledContract *contract, const char *query, ParamListInfo params)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext scratch = AllocSetContextCreate(caller, "outbox redriven row", ALLOCSET_DEFAULT_SIZES);
	FirstRow row = {.pub = {.receiveSlot = keep_first, .rStartup = start_receiver, .rShutdown = end_receiver, .rDestroy = end_receiver, .mydest = DestNone}, .context = caller};
	OutboxEvaluation evaluation;

	MemoryContextSwitchTo(scratch);
	OutboxEvaluationBegin(&evaluation, contract->owner, OUTBOX_COMPILING);
	CommandCounterIncrement();
	/* what the whole transaction sees may be older than what others have told of the row */
	PushActiveSnapshot(GetLatestSnapshot());
	run_query(plan_query(contract, query, params), query, params, &row.pub);
	PopActiveSnapshot();
	OutboxEvaluationEnd(&evaluation);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(scratch);
	if (row.nrows > 1)
		ereport(ERROR,
				(errcode(ERRCODE_CARDINALITY_VIOLATION),
				 errmsg("contract \"%s\" has more than one row for the key", contract->config->name)));
	return row.tuple;
}

/* Plans a query that is ours alone, since it is changed here: the rewritten one in a plan cache must stay as it is. */
static PlannedStmt *
plan_query(const OutboxCompiledContract *contract, const char *text, ParamListInfo params)
{
	Oid *types = palloc(sizeof(Oid) * params->numParams);
	RawStmt *statement = linitial_node(RawStmt, pg_parse_query(text));
	OutboxRunner runner;
	Query *query;

	for (int i = 0; i < params->numParams; i++)
		types[i] = params->params[i].ptype;
	query = linitial_node(Query, pg_analyze_and_rewrite_fixedparams(statement, text, types, params->numParams, NULL));
	/* tables are scanned here that a write does not scan: their owners' policies are in it */
	runner_of(contract, &runner);
	OutboxCheckQueryTrust(&runner, query);
	(void) allow_locks((Node *) query, NULL);
	return OutboxPlanQuery(query, text, params);
}

static void
run_query(PlannedStmt *plan, const char *text, ParamListInfo params, DestReceiver *receiver)
{
	QueryDesc *query = CreateQueryDesc(plan, text, GetActiveSnapshot(), InvalidSnapshot, receiver, params, NULL, 0);

	ExecutorStart(query, 0);
	OutboxExecutorRun(query);
	ExecutorFinish(query);
	ExecutorEnd(query);
	FreeQueryDesc(query);
}

/* Keeps the first row and notes that there is a second one; further rows say no more. */
static bool
keep_first(TupleTableSlot *slot, DestReceiver *self)
{
	FirstRow *row = (FirstRow *) self;

	if (row->nrows++ == 0)
	{
		MemoryContext caller = MemoryContextSwitchTo(row->context);

		row->tuple = ExecCopySlotHeapTuple(slot);
		MemoryContextSwitchTo(caller);
	}
	return row->nrows < 2;
}

static void
start_receiver(DestReceiver *self, int operation, TupleDesc desc)
{
}

static void
end_receiver(DestReceiver *self)
{
}

/* A role that may read the rows may lock them here, in the views' own queries, too. */
static bool
allow_locks(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (!IsA(node, Query))
		return expression_tree_walker(node, allow_locks, context);
	OutboxForgetLockAccess((Query *) node);
	return query_tree_walker((Query *) node, allow_locks, context, 0);
}

/* "v.a = $1 AND ...": the letter's key. */
static char *
key_condition(const OutboxCompiledContract *contract)
{
	StringInfoData condition;

	initStringInfo(&condition);
	for (int i = 0; i < contract->nkey; i++)
		appendStringInfo(&condition, "%sv.%s = $%d", i > 0 ? " AND " : "",
						 quote_identifier(NameStr(TupleDescAttr(contract->row_desc, contract->key[i])->attname)), i + 1);
	return condition.data;
}

/* The parameters have the columns' types below domains: then nothing is cast, and no domain is checked. */
static ParamListInfo
key_parameters(OutboxCompiledContract *contract, Jsonb *key)
{
	TupleDesc desc = contract->row_desc;
	Datum *values = palloc(sizeof(Datum) * desc->natts);
	bool *isnull = palloc(sizeof(bool) * desc->natts);
	ParamListInfo params = makeParamList(contract->nkey);

	OutboxReadLetterRow(contract, desc, key, values, isnull);
	for (int i = 0; i < contract->nkey; i++)
	{
		int column = contract->key[i];

		params->params[i] = (ParamExternData){.value = values[column], .isnull = isnull[column], .pflags = PARAM_FLAG_CONST, .ptype = getBaseType(TupleDescAttr(desc, column)->atttypid)};
	}
	return params;
}

/*
 * The key of the row, in a row of the contract's view that is otherwise NULL;
 * NULL: it does not follow from the lookup key. May raise.
 */
HeapTuple
OutboxRedriveKeyRow(OutboxCompiledContract *contract, const Datum *lookup)
{
	OutboxRunner runner;
	Datum *key = palloc(sizeof(Datum) * contract->nkey);
	bool *key_isnull = palloc(sizeof(bool) * contract->nkey);
	Datum *values;
	bool *isnull;

	runner_of(contract, &runner);
	if (!OutboxKeyFromLookup(contract->config, contract->query, &runner, lookup, key, key_isnull))
		return NULL;
	values = palloc0(sizeof(Datum) * contract->ncolumns);
	isnull = palloc(sizeof(bool) * contract->ncolumns);
	memset(isnull, true, sizeof(bool) * contract->ncolumns);
	for (int i = 0; i < contract->nkey; i++)
	{
		values[contract->key[i]] = key[i];
		isnull[contract->key[i]] = key_isnull[i];
	}
	return heap_form_tuple(contract->row_desc, values, isnull);
}
