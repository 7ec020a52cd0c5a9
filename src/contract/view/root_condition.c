/*-------------------------------------------------------------------------
 *
 * root_condition.c
 *	  The conditions of a view on the rows of its root.
 *
 * A partial unique index proves a key when all rows of the view are in the index:
 * WHERE deleted_at IS NULL in both. Conditions count where they hold for every row:
 * in WHERE and in the ON of inner joins, in each query between the view and the
 * root.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "optimizer/prep.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "utils/lsyscache.h"

#include "compat.h"
#include "contract/reach/reach.h"
#include "contract/view/view_private.h"

static Node *over_root(const List *levels, int depth, Node *condition);
static bool calls_user_function(Node *node, void *context);
static bool is_user_function(Oid function, void *context);
static List *conditions_of(Node *node);

/*
 * The conditions on columns of the root alone that every row in the view fulfils,
 * in the planner's form, over entry 1. `levels` is as in OutboxRootPath.
 */
List *
OutboxRootConditions(const List *levels)
{
	List *conditions = NIL;

	for (int depth = 0; depth < list_length(levels); depth++)
	{
		const OutboxRootLevel *level = list_nth(levels, depth);
		ListCell *lc;

		foreach (lc, conditions_of((Node *) level->query->jointree))
			conditions = list_concat(conditions, OutboxConditionList(over_root(levels, depth, lfirst(lc))));
	}
	return conditions;
}

/* A condition of the query at this depth as one over the root as entry 1; NULL when it is not one on the root alone. */
static Node *
over_root(const List *levels, int depth, Node *condition)
{
	for (;; depth++)
	{
		const OutboxRootLevel *level = list_nth(levels, depth);
		int varno;

		if (checkExprHasSubLink(condition))
			return NULL;
		condition = OutboxFlattenVars(level->query, condition);
		/* with an aggregate it is a HAVING, and no condition on rows */
		if (contain_agg_clause(condition) || contain_window_function(condition) || contain_vars_of_level(condition, 1) ||
			!bms_get_singleton_member(pull_varnos(NULL, condition), &varno) || varno != level->varno)
			return NULL;
		if (depth == list_length(levels) - 1)
		{
			ChangeVarNodes(condition, varno, 1, 0);
			return condition;
		}
		condition = OutboxReplaceVars(condition, varno, rt_fetch(varno, level->query->rtable),
									  ((OutboxRootLevel *) list_nth(levels, depth + 1))->query->targetList);
	}
}

/* The conditions of a WHERE clause over entry 1, in the planner's form. `qual` may be NULL. */
List *
OutboxConditionList(Node *qual)
{
	if (qual == NULL)
		return NIL;
	qual = copyObject(qual);
	/* nothing of users is run for that, neither functions nor code behind types and operators: nobody has judged it yet */
	if (!calls_user_function(qual, NULL) && OutboxMayRunAll(GetUserId(), qual))
		qual = eval_const_expressions(NULL, qual);
	return make_ands_implicit(canonicalize_qual((Expr *) qual, false));
}

static bool
calls_user_function(Node *node, void *context)
{
	if (node == NULL)
		return false;
	return check_functions_in_node(node, is_user_function, context) || expression_tree_walker(node, calls_user_function, context);
}

static bool
is_user_function(Oid function, void *context)
{
	return function >= FirstNormalObjectId;
}

/* Do the conditions exclude NULL in a column of the root? */
bool
OutboxExcludesNull(Oid root, AttrNumber column, const List *conditions)
{
	NullTest *test = makeNode(NullTest);
	Oid type;
	int32 typmod;
	Oid collation;

	get_atttypetypmodcoll(root, column, &type, &typmod, &collation);
	test->arg = (Expr *) makeVar(1, column, type, typmod, collation, 0);
	test->nulltesttype = IS_NOT_NULL;
	test->location = -1;
	return predicate_implied_by(list_make1(test), unconstify(List *, conditions), false);
}

/* The conditions in a join tree that hold for every row: no outer join above makes them optional. */
static List *
conditions_of(Node *node)
{
	List *conditions = NIL;
	ListCell *lc;

	if (IsA(node, FromExpr))
	{
		foreach (lc, ((FromExpr *) node)->fromlist)
			conditions = list_concat(conditions, conditions_of(lfirst(lc)));
		return list_concat(conditions, make_ands_implicit((Expr *) ((FromExpr *) node)->quals));
	}
	if (!IsA(node, JoinExpr))
		return NIL;
	if (((JoinExpr *) node)->jointype == JOIN_INNER)
		conditions = make_ands_implicit((Expr *) ((JoinExpr *) node)->quals);
	if (((JoinExpr *) node)->jointype == JOIN_INNER || ((JoinExpr *) node)->jointype == JOIN_LEFT)
		conditions = list_concat(conditions, conditions_of(((JoinExpr *) node)->larg));
	if (((JoinExpr *) node)->jointype == JOIN_INNER || ((JoinExpr *) node)->jointype == JOIN_RIGHT)
		conditions = list_concat(conditions, conditions_of(((JoinExpr *) node)->rarg));
	return conditions;
}
