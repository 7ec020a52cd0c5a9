/*-------------------------------------------------------------------------
 *
 * index_use.c
 *	  Is a scan of an index bounded by the key, however large the table is?
 *
 * This rule alone decides which contracts are accepted, and how their plans are
 * made. It looks at the index and at the conditions of the scan, never at costs,
 * sizes or statistics.
 *
 * A condition on a later column of a btree does not help: the whole index is
 * read then. A constant alone does not help either: half of the orders may be
 * open.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/stratnum.h"
#include "catalog/pg_am.h"
#include "nodes/nodeFuncs.h"
#include "utils/lsyscache.h"

#include "contract/plan/plan_private.h"

static void note_operator(OutboxIndexUse *use, OutboxColumnUse *column, Oid operator, Oid opfamily);
static bool has_value_of_key(Node *node, void *context);
static int equal_columns(const OutboxIndexUse *use, bool *bound);

/* Notes a condition of the scan on a column of the index. `column`: its number from 0; `opfamily`: its operator family. */
void
OutboxNoteCondition(OutboxIndexUse *use, int column, const Node *condition, Oid opfamily)
{
	OutboxColumnUse *target = &use->columns[column];

	target->named = true;
	switch (nodeTag(condition))
	{
		case T_OpExpr:
			note_operator(use, target, ((const OpExpr *) condition)->opno, opfamily);
			target->bound += has_value_of_key(lsecond(((const OpExpr *) condition)->args), NULL);
			break;
		case T_ScalarArrayOpExpr:
			note_operator(use, target, ((const ScalarArrayOpExpr *) condition)->opno, opfamily);
			target->bound += has_value_of_key(lsecond(((const ScalarArrayOpExpr *) condition)->args), NULL);
			break;
		case T_RowCompareExpr:
			note_operator(use, target, linitial_oid(((const RowCompareExpr *) condition)->opnos), opfamily);
			target->bound += has_value_of_key((Node *) ((const RowCompareExpr *) condition)->rargs, NULL);
			break;
		case T_NullTest:
			if (((const NullTest *) condition)->nulltesttype == IS_NULL)
				target->equal = true;
			break;
		default:
			break;
	}
}

/*
 * Are the rows bounded by the key? In a btree the first columns must be compared
 * by equality, one of them with a value of the key. The next column may instead be
 * between two values of the key. Constants for all columns of a unique index are
 * enough, too.
 */
bool
OutboxIndexIsBounded(const OutboxIndexUse *use)
{
	bool bound = false;
	int nequal;

	switch (use->method)
	{
		case BTREE_AM_OID:
		case HASH_AM_OID:
			nequal = equal_columns(use, &bound);
			if (bound || (use->unique && nequal == use->ncolumns))
				return true;
			return nequal < use->ncolumns && use->columns[nequal].bound > 1 &&
				use->columns[nequal].below && use->columns[nequal].above;
		case GIST_AM_OID:
		case SPGIST_AM_OID:
			return use->columns[0].bound > 0;
		case BRIN_AM_OID:
			return false;
		default:
			for (int i = 0; i < use->ncolumns; i++)
				bound |= use->columns[i].bound > 0;
			return bound;
	}
}

/* Does every row that the scan reads fulfil its conditions? Then a LIMIT above bounds the scan. */
bool
OutboxIndexIsTight(const OutboxIndexUse *use)
{
	bool bound;

	if (use->method != BTREE_AM_OID)
		return false;
	for (int i = equal_columns(use, &bound) + 1; i < use->ncolumns; i++)
	{
		if (use->columns[i].named)
			return false;
	}
	return true;
}

static void
note_operator(OutboxIndexUse *use, OutboxColumnUse *column, Oid operator, Oid opfamily)
{
	int strategy = get_op_opfamily_strategy(operator, opfamily);

	if (use->method == HASH_AM_OID)
		column->equal |= strategy == HTEqualStrategyNumber;
	if (use->method != BTREE_AM_OID)
		return;
	column->equal |= strategy == BTEqualStrategyNumber;
	column->below |= strategy == BTLessStrategyNumber || strategy == BTLessEqualStrategyNumber;
	column->above |= strategy == BTGreaterStrategyNumber || strategy == BTGreaterEqualStrategyNumber;
}

/* Is there a parameter, or, while planning, a column of another table? */
static bool
has_value_of_key(Node *node, void *context)
{
	if (node == NULL)
		return false;
	return IsA(node, Param) || IsA(node, Var) || expression_tree_walker(node, has_value_of_key, context);
}

/* How many of the first columns are compared by equality. *bound: one of them is compared with a value of the key. */
static int
equal_columns(const OutboxIndexUse *use, bool *bound)
{
	int n = 0;

	*bound = false;
	while (n < use->ncolumns && use->columns[n].equal)
		*bound |= use->columns[n++].bound > 0;
	return n;
}
