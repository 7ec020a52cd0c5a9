/*-------------------------------------------------------------------------
 *
 * join_column.c
 *	  By which columns and expressions a query joins a table.
 *
 * Of each equality in a condition, the side counts that is an expression over the
 * table alone, seen through subqueries and views.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_am.h"
#include "catalog/pg_inherits.h"
#include "commands/defrem.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "utils/lsyscache.h"

#include "contract/plan/plan_private.h"
#include "contract/view/view.h"

typedef struct JoinColumns
{
	Oid relation;
	Query *query; /* the level whose conditions are walked */
	OutboxJoinPlace place;
	List *found; /* of OutboxJoinColumn * */
} JoinColumns;

static bool collect(Node *node, void *arg);
static void collect_membership(JoinColumns *columns, SubLink *link);
static void collect_side(JoinColumns *columns, Query *query, Node *side, Node *other, Oid collation);
static void collect_branches(JoinColumns *columns, Query *query, Node *side, Node *other, Oid collation);
static bool inherits(Oid relation, Oid parent);
static void add_column(JoinColumns *columns, Node *expression, const RangeTblEntry *rte, int varno, Oid collation);

/*
 * The columns and expressions by which a query joins a table: a list of
 * OutboxJoinColumn *, without duplicates, in the current memory context. Takes no
 * lock.
 */
List *
OutboxJoinColumns(const Query *query, Oid relation)
{
	JoinColumns columns = {.relation = relation};

	(void) collect((Node *) query, &columns);
	return columns.found;
}

/* Walks the conditions of a query, and then those of the queries below it. */
static bool
collect(Node *node, void *arg)
{
	JoinColumns *columns = arg;

	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		JoinColumns inner = {.relation = columns->relation, .query = (Query *) node, .found = columns->found};

		(void) query_tree_walker((Query *) node, collect, &inner, 0);
		columns->found = inner.found;
		return false;
	}
	if (IsA(node, BoolExpr) && ((BoolExpr *) node)->boolop == OR_EXPR && columns->place != OUTBOX_PLACE_OR)
	{
		columns->place = OUTBOX_PLACE_OR;
		(void) expression_tree_walker(node, collect, arg);
		columns->place = OUTBOX_PLACE_CONDITION;
		return false;
	}
	if (IsA(node, SubLink) && ((SubLink *) node)->subLinkType == ANY_SUBLINK)
		collect_membership(columns, (SubLink *) node);
	if (IsA(node, OpExpr) && list_length(((OpExpr *) node)->args) == 2)
	{
		OpExpr *condition = (OpExpr *) node;
		Node *left = linitial(condition->args);
		Node *right = lsecond(condition->args);

		if (op_mergejoinable(condition->opno, exprType(left)) || op_hashjoinable(condition->opno, exprType(left)))
		{
			collect_side(columns, columns->query, left, right, condition->inputcollid);
			collect_side(columns, columns->query, right, left, condition->inputcollid);
		}
	}
	return expression_tree_walker(node, collect, arg);
}

/* x IN (SELECT y ...) compares y, too. */
static void
collect_membership(JoinColumns *columns, SubLink *link)
{
	Query *query = (Query *) link->subselect;
	OpExpr *condition = (OpExpr *) link->testexpr;
	Param *parameter;

	if (condition == NULL || !IsA(condition, OpExpr) || list_length(condition->args) != 2 || !IsA(query, Query))
		return;
	parameter = (Param *) strip_implicit_coercions(lsecond(condition->args));
	if (!IsA(parameter, Param) || parameter->paramid != 1)
		return;
	columns->place = OUTBOX_PLACE_IN;
	collect_side(columns, query, (Node *) linitial_node(TargetEntry, query->targetList)->expr, linitial(condition->args), condition->inputcollid);
	columns->place = OUTBOX_PLACE_CONDITION;
}

/* A side over the relation counts, unless the other side is a constant or reads the same row. */
static void
collect_side(JoinColumns *columns, Query *query, Node *side, Node *other, Oid collation)
{
	RangeTblEntry *rte;
	RangeTblEntry *other_rte;
	int varno;
	int other_varno;
	Node *expression;

	if (IsA(strip_implicit_coercions(other), Const))
		return;
	expression = OutboxBaseExpression(query, side, &rte, &varno);
	if (expression == NULL)
		collect_branches(columns, query, side, other, collation);
	else if (rte->relid == columns->relation || inherits(columns->relation, rte->relid))
	{
		if (OutboxBaseExpression(columns->query, other, &other_rte, &other_varno) && other_rte == rte)
			return;
		if (rte->relid != columns->relation)
			expression = OutboxExpressionOfTable(expression, rte->relid, columns->relation);
		add_column(columns, expression, rte, varno, collation);
	}
}

/* A column of a UNION is a column of each of its branches. */
static void
collect_branches(JoinColumns *columns, Query *query, Node *side, Node *other, Oid collation)
{
	Var *column = (Var *) strip_implicit_coercions(side);
	Query *inner;
	ListCell *lc;

	if (!IsA(column, Var) || column->varlevelsup > 0 || column->varattno <= 0)
		return;
	inner = rt_fetch(column->varno, query->rtable)->subquery;
	if (inner == NULL || inner->setOperations == NULL)
		return;
	foreach (lc, inner->rtable)
	{
		Query *branch = lfirst_node(RangeTblEntry, lc)->subquery;
		TargetEntry *entry = branch ? get_tle_by_resno(branch->targetList, column->varattno) : NULL;

		if (entry)
			collect_side(columns, branch, (Node *) entry->expr, other, collation);
	}
}

/* Is it a child by inheritance, or a partition? A child by inheritance has indexes of its own. */
static bool
inherits(Oid relation, Oid parent)
{
	return has_subclass(parent) && list_member_oid(find_all_inheritors(parent, NoLock, NULL), relation);
}

/* Adds the expression in the form in which an index can have it, unless it is there already. */
static void
add_column(JoinColumns *columns, Node *expression, const RangeTblEntry *rte, int varno, Oid collation)
{
	OutboxJoinColumn *column = palloc0(sizeof(OutboxJoinColumn));
	ListCell *lc;

	expression = strip_implicit_coercions(copyObject(expression));
	while (IsA(expression, RelabelType))
		expression = (Node *) ((RelabelType *) expression)->arg;
	ChangeVarNodes(expression, varno, 1, 0);
	column->place = columns->place;
	column->reading = rte;
	column->index.relation = columns->relation;
	column->index.expression = expression;
	column->index.collation = OidIsValid(collation) ? collation : exprCollation(expression);
	column->index.opclass = GetDefaultOpClass(exprType(expression), BTREE_AM_OID);
	if (!OidIsValid(column->index.opclass) || contain_mutable_functions(expression))
		return;
	foreach (lc, columns->found)
	{
		OutboxJoinColumn *other = lfirst(lc);

		if (other->reading == rte && equal(other->index.expression, expression) && other->index.collation == column->index.collation)
			return;
	}
	columns->found = lappend(columns->found, column);
}
