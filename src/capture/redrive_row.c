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

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/plancache.h"

#include "capture/redrive_row.h"
#include "compat.h"
#include "contract/guard.h"

static HeapTuple fetch_row(OutboxCompiledContract *contract, const char *query, Jsonb *argument);
static bool allow_locks(Node *node, void *context);
static char *view_name(const OutboxCompiledContract *contract);
static char *key_condition(const OutboxCompiledContract *contract, const char *view);

HeapTuple
OutboxLetterRowBefore(OutboxCompiledContract *contract, const OutboxLetter *letter)
{
	if (letter->before == NULL)
		return NULL;
	return fetch_row(contract, psprintf("SELECT (pg_catalog.jsonb_populate_record(NULL::%s, $1)).*", view_name(contract)),
					 letter->before);
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
	Oid types[] = {JSONBOID};
	Datum values[] = {JsonbPGetDatum(argument)};
	HeapTuple tuple = NULL;
	SPIPlanPtr plan;
	ListCell *lc;
	OutboxEvaluationScope scope;

	OutboxEvaluationBegin(&scope, contract->owner, true);
	SPI_connect();
	plan = SPI_prepare(query, lengthof(types), types);
	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
	foreach (lc, SPI_plan_get_plan_sources(plan))
		(void) allow_locks((Node *) ((CachedPlanSource *) lfirst(lc))->query_list, NULL);
	if (SPI_execute_plan(plan, values, NULL, false, 2) != SPI_OK_SELECT)
		elog(ERROR, "could not read the view of contract \"%s\"", contract->config->name);
	if (SPI_processed > 1)
		ereport(ERROR,
				(errcode(ERRCODE_CARDINALITY_VIOLATION),
				 errmsg("contract \"%s\" has more than one row for the key", contract->config->name)));
	if (SPI_processed == 1)
	{
		MemoryContext spi = MemoryContextSwitchTo(caller);

		tuple = heap_copytuple(SPI_tuptable->vals[0]);
		MemoryContextSwitchTo(spi);
	}
	SPI_finish();
	OutboxEvaluationEnd(&scope);
	return tuple;
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
