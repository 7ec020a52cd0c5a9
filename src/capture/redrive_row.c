/*-------------------------------------------------------------------------
 *
 * redrive_row.c
 *	  The contract rows of a dead letter that is tried again.
 *
 * The row as it is now is locked, as whoever changes it locks it: the event
 * then has its place among those of the key. Its owner needs no more than the
 * right to read for that, as foreign keys lock rows without more.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "nodes/nodeFuncs.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "capture/redrive_row.h"
#include "compat.h"
#include "contract/evaluation.h"
#include "contract/guard.h"
#include "deadletter/letter_json.h"

typedef struct FirstRow
{
	DestReceiver pub;
	MemoryContext context;
	HeapTuple tuple;
	int nrows;
} FirstRow;

static HeapTuple fetch_row(OutboxCompiledContract *contract, const char *query, Jsonb *argument);
static PlannedStmt *plan_query(const char *text, ParamListInfo params);
static void run_query(PlannedStmt *plan, const char *text, ParamListInfo params, DestReceiver *receiver);
static bool keep_first(TupleTableSlot *slot, DestReceiver *self);
static void start_receiver(DestReceiver *self, int operation, TupleDesc desc);
static void end_receiver(DestReceiver *self);
static bool allow_locks(Node *node, void *context);
static char *view_name(const OutboxCompiledContract *contract);
static char *key_condition(const OutboxCompiledContract *contract, const char *view);

HeapTuple
OutboxLetterRowBefore(OutboxCompiledContract *contract, const OutboxLetter *letter)
{
	TupleDesc desc = contract->row_desc;
	OutboxEvaluation evaluation;
	Datum *values;
	bool *isnull;
	HeapTuple tuple;

	if (letter->before == NULL)
		return NULL;
	values = palloc(sizeof(Datum) * desc->natts);
	isnull = palloc(sizeof(bool) * desc->natts);
	/* input functions run */
	OutboxEvaluationBegin(&evaluation, contract->owner, OUTBOX_ANYTHING);
	OutboxRowFromJsonb(desc, letter->before, values, isnull);
	tuple = heap_form_tuple(desc, values, isnull);
	OutboxEvaluationEnd(&evaluation);
	return tuple;
}

HeapTuple
OutboxLetterRowNow(OutboxCompiledContract *contract, const OutboxLetter *letter)
{
	char *view = view_name(contract);

	return fetch_row(contract, psprintf("SELECT v.* FROM %s v WHERE %s FOR SHARE OF v NOWAIT", view, key_condition(contract, view)),
					 letter->key);
}

/* The first row, copied to the current memory context; NULL when there is none. Raises for a second one. */
static HeapTuple
fetch_row(OutboxCompiledContract *contract, const char *query, Jsonb *argument)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext scratch = AllocSetContextCreate(caller, "outbox redriven row", ALLOCSET_DEFAULT_SIZES);
	FirstRow row = {.pub = {.receiveSlot = keep_first, .rStartup = start_receiver, .rShutdown = end_receiver, .rDestroy = end_receiver, .mydest = DestNone}, .context = caller};
	ParamListInfo params;
	OutboxEvaluation evaluation;

	MemoryContextSwitchTo(scratch);
	params = makeParamList(1);
	params->params[0] = (ParamExternData){.value = JsonbPGetDatum(argument), .pflags = PARAM_FLAG_CONST, .ptype = JSONBOID};
	OutboxEvaluationBegin(&evaluation, contract->owner, OUTBOX_COMPILING);
	CommandCounterIncrement();
	PushActiveSnapshot(GetTransactionSnapshot());
	run_query(plan_query(query, params), query, params, &row.pub);
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

/* Planned from a query that is ours alone: the rewritten one that a plan cache keeps is not to be changed. */
static PlannedStmt *
plan_query(const char *text, ParamListInfo params)
{
	Oid types[] = {JSONBOID};
	RawStmt *statement = linitial_node(RawStmt, pg_parse_query(text));
	Query *query = linitial_node(Query, pg_analyze_and_rewrite_fixedparams(statement, text, types, lengthof(types), NULL));

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

/* A second row is all there is to know about those that follow. */
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

/* Whoever may read the rows may lock them here, in the views' own queries too. */
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

static char *
view_name(const OutboxCompiledContract *contract)
{
	Oid view = contract->config->view;

	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(view)), get_rel_name(view));
}

/* "v.a = (...).a AND ...": the letter's key, cast to the view's types. */
static char *
key_condition(const OutboxCompiledContract *contract, const char *view)
{
	StringInfoData condition;
	ListCell *lc;

	initStringInfo(&condition);
	foreach (lc, contract->config->key)
	{
		const char *column = quote_identifier(lfirst(lc));

		appendStringInfo(&condition, "%sv.%s = (pg_catalog.jsonb_populate_record(NULL::%s, $1)).%s",
						 condition.len ? " AND " : "", column, view, column);
	}
	return condition.data;
}
