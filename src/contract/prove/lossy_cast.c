/*-------------------------------------------------------------------------
 *
 * lossy_cast.c
 *	  Casts from real to numeric, which keep six digits.
 *
 * 12345.67::real::numeric(10,2) is 12345.70, although the real is more exact.
 * Customers would find such amounts to be a little wrong. So a contract with that
 * cast is refused. A cast through double precision keeps the amounts right.
 *
 * The planned expression is checked: functions are inlined, and unused columns are
 * gone. Conditions may compare in any way.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

#include "contract/prove/prove_private.h"

static bool is_lossy(Node *node, void *context);
static bool computes_lossy(const Plan *node);
static bool any_computes_lossy(const List *plans);
static void refuse(const char *subject);

/* Raises when the planned expression of a column of the view casts real to numeric. */
void
OutboxRefuseLossyColumn(Node *planned, Oid view, const char *column)
{
	if (is_lossy(planned, NULL))
		refuse(psprintf("column \"%s\" of view \"%s\"", column, get_rel_name(view)));
}

/* Raises when a column of a view that is read by this plan casts real to numeric. */
void
OutboxRefuseLossyPlan(const PlannedStmt *plan, Oid view)
{
	AttrNumber column = 0;
	ListCell *lc;

	/* the top of the plan has the names of the columns */
	foreach (lc, plan->planTree->targetlist)
	{
		char *name = get_attname(view, ++column, true);

		if (name)
			OutboxRefuseLossyColumn((Node *) lfirst_node(TargetEntry, lc)->expr, view, name);
	}
	if (computes_lossy(plan->planTree) || any_computes_lossy(plan->subplans))
		refuse(psprintf("the view \"%s\"", get_rel_name(view)));
}

static bool
is_lossy(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, FuncExpr) && ((FuncExpr *) node)->funcid == F_NUMERIC_FLOAT4)
		return true;
	return expression_tree_walker(node, is_lossy, context);
}

static bool
computes_lossy(const Plan *node)
{
	check_stack_depth();
	if (node == NULL)
		return false;
	if (is_lossy((Node *) node->targetlist, NULL) ||
		computes_lossy(node->lefttree) || computes_lossy(node->righttree))
		return true;
	switch (nodeTag(node))
	{
		case T_Append:
			return any_computes_lossy(((const Append *) node)->appendplans);
		case T_MergeAppend:
			return any_computes_lossy(((const MergeAppend *) node)->mergeplans);
		case T_SubqueryScan:
			return computes_lossy(((const SubqueryScan *) node)->subplan);
		default:
			return false;
	}
}

static bool
any_computes_lossy(const List *plans)
{
	ListCell *lc;

	foreach (lc, plans)
	{
		if (computes_lossy(lfirst(lc)))
			return true;
	}
	return false;
}

static void
refuse(const char *subject)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("%s casts real to numeric", subject),
			 errdetail("That cast keeps six digits: 12345.67 becomes 12345.70."),
			 errhint("Go through double precision, for example (...)::float8::numeric(10,2).")));
}
