/*-------------------------------------------------------------------------
 *
 * refuse_operators.c
 *	  Estimates call no functions that are refused to code behind a contract.
 *
 * The planner estimates a condition by calling its operator on statistics. It makes
 * no expression ready, so evaluation_refuse.c does not see the call. An operator
 * over a refused function, or with such a negator or commutator, is therefore
 * refused here: when the planner comes to a table during an evaluation, and when it
 * asks for statistics. By then SQL functions are inlined.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "nodes/nodeFuncs.h"
#include "nodes/pathnodes.h"
#include "optimizer/plancat.h"
#include "optimizer/planner.h"
#include "utils/lsyscache.h"
#include "utils/selfuncs.h"

#include "compat.h"
#include "contract/environment/environment_private.h"
#include "contract/reach/reach.h"

static OutboxRelationHook next_relation = NULL;
static get_relation_stats_hook_type next_stats = NULL;

static void meet_relation(OUTBOX_RELATION_HOOK_ARGS);
static bool ask_statistics(PlannerInfo *root, RangeTblEntry *rte, AttrNumber attno, VariableStatData *data);
static void check_levels(const PlannerInfo *root);
static bool check_node(Node *node, void *context);
static void check_operator(Oid opno);

void
OutboxRefuseOperatorsInit(void)
{
	next_relation = OUTBOX_RELATION_HOOK;
	OUTBOX_RELATION_HOOK = meet_relation;
	next_stats = get_relation_stats_hook;
	get_relation_stats_hook = ask_statistics;
}

static void
meet_relation(OUTBOX_RELATION_HOOK_ARGS)
{
	if (OutboxEvaluatesForeignCode())
		check_levels(root);
	if (next_relation)
		next_relation(OUTBOX_RELATION_HOOK_CALL);
}

/* A query may read nothing but a CTE, whose tables were met before the query itself was simplified. */
static bool
ask_statistics(PlannerInfo *root, RangeTblEntry *rte, AttrNumber attno, VariableStatData *data)
{
	if (OutboxEvaluatesForeignCode())
		check_levels(root);
	return next_stats && next_stats(root, rte, attno, data);
}

/* A hook: statistics of a column of a subquery's table are used for the subquery's column, too. */
static void
check_levels(const PlannerInfo *root)
{
	for (; root; root = root->parent_root)
		(void) check_node((Node *) root->parse, NULL);
}

static bool
check_node(Node *node, void *context)
{
	ListCell *lc;

	if (node == NULL)
		return false;
	switch (nodeTag(node))
	{
		case T_Query:
			return query_tree_walker((Query *) node, check_node, context, 0);
		case T_OpExpr:
		case T_DistinctExpr: /* the same struct */
		case T_NullIfExpr:
			check_operator(((OpExpr *) node)->opno);
			break;
		case T_ScalarArrayOpExpr:
			check_operator(((ScalarArrayOpExpr *) node)->opno);
			break;
		case T_RowCompareExpr:
			foreach (lc, ((RowCompareExpr *) node)->opnos)
				check_operator(lfirst_oid(lc));
			break;
		default:
			break;
	}
	return expression_tree_walker(node, check_node, context);
}

static void
check_operator(Oid opno)
{
	List *related;
	ListCell *lc;

	if (opno < FirstUnpinnedObjectId)
		return;
	related = OutboxRelatedOperators(opno);
	foreach (lc, related)
		OutboxRefuseFunction(get_opcode(lfirst_oid(lc)));
	list_free(related);
}
