/*-------------------------------------------------------------------------
 *
 * plan_check.c
 *	  Which tables does a plan scan?
 *
 * Small tables are no exception: nothing keeps them small, and an index on them
 * costs nothing.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "catalog/partition.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "contract/plan/plan_private.h"

/* A session always has room for twice as many locks (util/look.c). */
#define MANY_PARTITIONS 24

/* A plan on its way down. */
typedef struct PlanCheck
{
	const PlannedStmt *plan;
	const List *trial_indexes;
	List *scanned;
} PlanCheck;

static void check_node(PlanCheck *check, Plan *node, bool limited);
static void check_children(PlanCheck *check, List *children, bool limited);
static bool is_limited(const Plan *node, bool limited);
static bool index_is_fine(PlanCheck *check, Oid index, List *conditions, bool limited);
static void describe_index(PlanCheck *check, Oid index, OutboxIndexUse *use, Oid *opfamily);
static bool bitmap_is_fine(PlanCheck *check, Plan *node);
static Index named_entry(const PlannedStmt *plan, Index entry);

/*
 * The tables that the plan reads otherwise than by bounded scans of indexes
 * (index_use.c): an OID for each such reading. For a partition it is the OID of
 * the partitioned table. `trial_indexes` (of OutboxTrialIndex *) existed when the
 * plan was made.
 */
List *
OutboxScannedTables(const PlannedStmt *plan, const List *trial_indexes)
{
	PlanCheck check = {.plan = plan, .trial_indexes = trial_indexes};
	ListCell *lc;

	check_node(&check, plan->planTree, false);
	foreach (lc, plan->subplans)
		check_node(&check, lfirst(lc), false);
	return check.scanned;
}

/* Checks a node and those below it. `limited`: a LIMIT above stops the node after some of its rows. */
static void
check_node(PlanCheck *check, Plan *node, bool limited)
{
	bool fine = true;
	bool stops = limited && node && node->qual == NIL;

	check_stack_depth();
	if (node == NULL)
		return;
	switch (nodeTag(node))
	{
		case T_SeqScan:
		case T_SampleScan:
		case T_TidRangeScan:
			fine = false;
			break;
		case T_IndexScan:
			fine = index_is_fine(check, ((IndexScan *) node)->indexid, ((IndexScan *) node)->indexqual, stops);
			break;
		case T_IndexOnlyScan:
			fine = index_is_fine(check, ((IndexOnlyScan *) node)->indexid, ((IndexOnlyScan *) node)->indexqual, stops);
			break;
		case T_BitmapHeapScan:
			fine = bitmap_is_fine(check, node->lefttree);
			break;
		case T_Append:
			check_children(check, ((Append *) node)->appendplans, stops);
			break;
		case T_MergeAppend:
			check_children(check, ((MergeAppend *) node)->mergeplans, stops);
			break;
		case T_SubqueryScan:
			check_node(check, ((SubqueryScan *) node)->subplan, stops);
			break;
		case T_CustomScan:
			check_children(check, ((CustomScan *) node)->custom_plans, false);
			break;
		default:
			break;
	}
	if (!fine)
		check->scanned = lappend_oid(check->scanned, rt_fetch(named_entry(check->plan, ((Scan *) node)->scanrelid), check->plan->rtable)->relid);
	check_node(check, node->lefttree, is_limited(node, stops));
	check_node(check, node->righttree, false);
}

static void
check_children(PlanCheck *check, List *children, bool limited)
{
	ListCell *lc;

	foreach (lc, children)
		check_node(check, lfirst(lc), limited);
}

/* Does the node ask its left child for no more rows than a LIMIT above asks of the node? */
static bool
is_limited(const Plan *node, bool limited)
{
	if (IsA(node, Limit))
		return ((const Limit *) node)->limitCount && IsA(((const Limit *) node)->limitCount, Const);
	return limited && IsA(node, Result);
}

static bool
index_is_fine(PlanCheck *check, Oid index, List *conditions, bool limited)
{
	OutboxIndexUse use = {0};
	Oid opfamily[INDEX_MAX_KEYS];
	ListCell *lc;

	describe_index(check, index, &use, opfamily);
	foreach (lc, conditions)
	{
		Node *condition = lfirst(lc);
		Node *column = NULL;

		if (IsA(condition, OpExpr))
			column = linitial(((OpExpr *) condition)->args);
		else if (IsA(condition, ScalarArrayOpExpr))
			column = linitial(((ScalarArrayOpExpr *) condition)->args);
		else if (IsA(condition, RowCompareExpr))
			column = linitial(((RowCompareExpr *) condition)->largs);
		else if (IsA(condition, NullTest))
			column = (Node *) ((NullTest *) condition)->arg;
		/* the planner has made it the index's column by its number */
		if (column && IsA(column, Var) && ((Var *) column)->varattno <= use.ncolumns)
			OutboxNoteCondition(&use, ((Var *) column)->varattno - 1, condition, opfamily[((Var *) column)->varattno - 1]);
	}
	return OutboxIndexIsBounded(&use) || (limited && OutboxIndexIsTight(&use));
}

/* The planner has locked its table. */
static void
describe_index(PlanCheck *check, Oid index, OutboxIndexUse *use, Oid *opfamily)
{
	const OutboxTrialIndex *trial = OutboxTrialIndexOf(check->trial_indexes, index);
	Relation rel;

	if (trial)
	{
		use->method = BTREE_AM_OID;
		use->ncolumns = 1;
		opfamily[0] = get_opclass_family(trial->opclass);
		return;
	}
	rel = index_open(index, AccessShareLock);
	use->method = rel->rd_rel->relam;
	use->unique = rel->rd_index->indisunique;
	use->ncolumns = rel->rd_index->indnkeyatts;
	memcpy(opfamily, rel->rd_opfamily, sizeof(Oid) * use->ncolumns);
	index_close(rel, AccessShareLock);
}

static bool
bitmap_is_fine(PlanCheck *check, Plan *node)
{
	ListCell *lc;

	if (IsA(node, BitmapIndexScan))
		return index_is_fine(check, ((BitmapIndexScan *) node)->indexid, ((BitmapIndexScan *) node)->indexqual, false);
	if (IsA(node, BitmapAnd))
	{
		foreach (lc, ((BitmapAnd *) node)->bitmapplans)
		{
			if (bitmap_is_fine(check, lfirst(lc)))
				return true;
		}
		return false;
	}
	if (IsA(node, BitmapOr))
	{
		foreach (lc, ((BitmapOr *) node)->bitmapplans)
		{
			if (!bitmap_is_fine(check, lfirst(lc)))
				return false;
		}
		return true;
	}
	return false;
}

/* The entry itself, or for a partition that of the partitioned table in the query. A child by inheritance has indexes of its own. */
static Index
named_entry(const PlannedStmt *plan, Index entry)
{
	ListCell *lc;

	foreach (lc, plan->appendRelations)
	{
		AppendRelInfo *info = lfirst(lc);
		RangeTblEntry *parent = rt_fetch(info->parent_relid, plan->rtable);

		if (info->child_relid == entry && parent->rtekind == RTE_RELATION &&
			get_rel_relkind(parent->relid) == RELKIND_PARTITIONED_TABLE)
			return named_entry(plan, info->parent_relid);
	}
	return entry;
}

/*
 * The partitioned tables of which the plan reads so many partitions that a reading
 * takes more locks than a session has, and how many: '"t" (500), "u" (40)'. NULL:
 * there is none. Partitions that the planner prunes for a constant of the view do
 * not count. The text is palloc'd.
 */
char *
OutboxManyPartitions(const PlannedStmt *plan)
{
	List *tables = NIL;
	List *leaves = NIL; /* of them, in the same order */
	StringInfoData names;
	ListCell *table;
	ListCell *count;
	ListCell *lc;

	foreach (lc, plan->relationOids)
	{
		Oid relation = lfirst_oid(lc);
		Oid top = get_rel_relispartition(relation) ? llast_oid(get_partition_ancestors(relation)) : InvalidOid;
		int place = 0;

		if (!OidIsValid(top) || get_rel_relkind(relation) == RELKIND_PARTITIONED_TABLE)
			continue;
		while (place < list_length(tables) && list_nth_oid(tables, place) != top)
			place++;
		if (place == list_length(tables))
		{
			tables = lappend_oid(tables, top);
			leaves = lappend(leaves, NIL);
		}
		count = list_nth_cell(leaves, place);
		lfirst(count) = list_append_unique_oid(lfirst(count), relation);
	}
	initStringInfo(&names);
	forboth (table, tables, count, leaves)
	{
		if (list_length(lfirst(count)) > MANY_PARTITIONS)
			appendStringInfo(&names, "%s\"%s\" (%d)", names.len ? ", " : "", get_rel_name(lfirst_oid(table)), list_length(lfirst(count)));
	}
	return names.len ? names.data : NULL;
}
