/*-------------------------------------------------------------------------
 *
 * index_hint.c
 *	  Which index a contract's query would need.
 *
 * The plan shows only that a table is scanned. The query's own equalities
 * show by what it is joined: of each one, the side that is an expression over
 * that table alone, seen through subqueries and views.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/relation.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "rewrite/rewriteManip.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"

#include "contract/index_hint.h"
#include "contract/root_path.h"

typedef struct JoinColumns
{
	Oid relation;
	Query *query;      /* the level whose conditions are walked */
	List *expressions; /* over the relation, Vars numbered 1 */
} JoinColumns;

static bool collect(Node *node, void *arg);
static void collect_side(JoinColumns *columns, Node *side, Node *other);
static Oid table_without_index(Oid relation, List *expressions);
static bool has_index(Oid table, Oid relation, List *expressions);
static char *column_text(Oid relation, Node *expression);

char *
OutboxJoinColumns(Query *query, Oid relation, Oid *lacking)
{
	JoinColumns columns = {.relation = relation};
	StringInfoData list;
	ListCell *lc;

	*lacking = relation;
	(void) collect((Node *) query, &columns);
	if (columns.expressions == NIL)
		return NULL;
	*lacking = table_without_index(relation, columns.expressions);
	initStringInfo(&list);
	foreach (lc, columns.expressions)
		appendStringInfo(&list, "%s%s", list.len ? ", " : "", column_text(relation, lfirst(lc)));
	return list.data;
}

bool
OutboxIndexIsUnique(Oid index, int ncolumns)
{
	Relation rel = index_open(index, AccessShareLock);
	bool result = rel->rd_index->indisunique && rel->rd_index->indnkeyatts == ncolumns;

	index_close(rel, NoLock);
	return result;
}

char *
OutboxQualifiedName(Oid relation)
{
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relation)), get_rel_name(relation));
}

/* Walks conditions and, query by query, what is below. */
static bool
collect(Node *node, void *arg)
{
	JoinColumns *columns = arg;

	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		JoinColumns inner = {.relation = columns->relation, .query = (Query *) node, .expressions = columns->expressions};

		(void) query_tree_walker((Query *) node, collect, &inner, 0);
		columns->expressions = inner.expressions;
		return false;
	}
	if (IsA(node, OpExpr) && list_length(((OpExpr *) node)->args) == 2)
	{
		OpExpr *condition = (OpExpr *) node;
		Node *left = linitial(condition->args);
		Node *right = lsecond(condition->args);

		if (op_mergejoinable(condition->opno, exprType(left)) || op_hashjoinable(condition->opno, exprType(left)))
		{
			collect_side(columns, left, right);
			collect_side(columns, right, left);
		}
	}
	return expression_tree_walker(node, collect, arg);
}

/* A side over the relation counts when the other one is neither a constant nor over the same row. */
static void
collect_side(JoinColumns *columns, Node *side, Node *other)
{
	RangeTblEntry *rte;
	RangeTblEntry *other_rte;
	int varno;
	int other_varno;
	Node *expression = OutboxBaseExpression(columns->query, side, &rte, &varno);
	ListCell *lc;

	if (expression == NULL || rte->relid != columns->relation || IsA(strip_implicit_coercions(other), Const))
		return;
	if (OutboxBaseExpression(columns->query, other, &other_rte, &other_varno) && other_rte == rte)
		return;
	expression = strip_implicit_coercions(copyObject(expression));
	while (IsA(expression, RelabelType))
		expression = (Node *) ((RelabelType *) expression)->arg;
	ChangeVarNodes(expression, varno, 1, 0);
	foreach (lc, columns->expressions)
	{
		if (equal(lfirst(lc), expression))
			return;
	}
	columns->expressions = lappend(columns->expressions, expression);
}

/* An index of a partitioned table is one of its partitions; with inheritance every table has its own. */
static Oid
table_without_index(Oid relation, List *expressions)
{
	ListCell *lc;

	if (get_rel_relkind(relation) == RELKIND_PARTITIONED_TABLE)
		return has_index(relation, relation, expressions) ? InvalidOid : relation;
	foreach (lc, find_all_inheritors(relation, NoLock, NULL))
	{
		if (!has_index(lfirst_oid(lc), relation, expressions))
			return lfirst_oid(lc);
	}
	return InvalidOid;
}

/* The expressions are over the relation, from which the table may inherit. */
static bool
has_index(Oid table, Oid relation, List *expressions)
{
	Relation rel = relation_open(table, AccessShareLock);
	bool found = false;
	ListCell *lc;

	foreach (lc, RelationGetIndexList(rel))
	{
		Relation index = index_open(lfirst_oid(lc), AccessShareLock);
		AttrNumber first = index->rd_index->indkey.values[0];
		ListCell *other;

		foreach (other, expressions)
		{
			Var *column = lfirst(other);

			found |= index->rd_index->indisvalid && RelationGetIndexPredicate(index) == NIL && IsA(column, Var) &&
				get_attnum(table, get_attname(relation, column->varattno, false)) == first;
		}
		index_close(index, NoLock);
	}
	relation_close(rel, NoLock);
	return found;
}

static char *
column_text(Oid relation, Node *expression)
{
	char *text = deparse_expression(expression, deparse_context_for(get_rel_name(relation), relation), false, false);

	/* the parentheses that CREATE INDEX wants: an operator comes with its own */
	if (IsA(expression, Var) || IsA(expression, OpExpr))
		return text;
	return psprintf("(%s)", text);
}
