/*-------------------------------------------------------------------------
 *
 * reach_test.c
 *	  Which functions reading a view may call, and what they may do, for tests.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "optimizer/optimizer.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "catalog/catalog_private.h"
#include "contract/reach/reach_private.h"
#include "contract/view/view_private.h"

PG_FUNCTION_INFO_V1(outbox_test_reach);
PG_FUNCTION_INFO_V1(outbox_test_traits);

static bool note(Oid function, Node *node, void *arg);

/* outbox_test_reach(view oid, planned boolean) returns oid[] */
Datum
outbox_test_reach(PG_FUNCTION_ARGS)
{
	Query *query = OutboxRewrittenView(PG_GETARG_OID(0));
	List *functions = NIL;
	Datum *elements;
	int count = 0;
	ListCell *lc;

	if (PG_GETARG_BOOL(1))
		(void) OutboxReachFunctionsPlanned(query, note, &functions);
	else
		(void) OutboxReachFunctions((Node *) query, note, &functions);
	elements = palloc(sizeof(Datum) * (list_length(functions) + 1));
	foreach (lc, functions)
		elements[count++] = ObjectIdGetDatum(lfirst_oid(lc));
	PG_RETURN_ARRAYTYPE_P(construct_array(elements, count, OIDOID, sizeof(Oid), true, TYPALIGN_INT));
}

/* outbox_test_traits(view oid) returns int: of its first column */
Datum
outbox_test_traits(PG_FUNCTION_ARGS)
{
	Query *query = OutboxRewrittenView(PG_GETARG_OID(0));
	TargetEntry *column = linitial_node(TargetEntry, query->targetList);

	PG_RETURN_INT32((int32) OutboxExpressionTraits((Node *) expression_planner(column->expr)));
}

static bool
note(Oid function, Node *node, void *arg)
{
	List **functions = arg;

	*functions = list_append_unique_oid(*functions, function);
	return false;
}
