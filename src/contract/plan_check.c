/*-------------------------------------------------------------------------
 *
 * plan_check.c
 *	  Planning a contract's query for any size of its tables.
 *
 * The plan runs in every commit that touches the contract (and that of a
 * key_query for every changed row), so it must not
 * depend on what the tables looked like when it was made: a plan that scans a
 * small table is a disaster when the table is not small any more. So the
 * planner is told that every table is large, and may only follow indexes. A
 * table that it still scans has no index for its join: the contract is refused,
 * and the hint is the index. Small tables are no exception: nothing keeps
 * them small, and the remedy costs nothing.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "nodes/pathnodes.h"
#include "optimizer/optimizer.h"
#include "optimizer/plancat.h"
#include "optimizer/planner.h"
#include "parser/parsetree.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

#include "contract/index_hint.h"
#include "contract/plan_check.h"

#define ASSUMED_ROWS 1000000.0
#define ASSUMED_ROWS_PER_PAGE 50.0
#define ASSUMED_KEYS_PER_PAGE 200.0

/* A plan on its way down. */
typedef struct PlanCheck
{
	const PlannedStmt *plan;
	Query *query;
	const char *subject;
} PlanCheck;

static get_relation_info_hook_type previous_hook = NULL;

static void pin_planner(void);
static void assume_large(PlannerInfo *root, Oid relation, bool is_parent, RelOptInfo *rel);
static void check_node(PlanCheck *check, Plan *node);
static void check_children(PlanCheck *check, List *children);
static bool is_driven(List *conditions);
static bool bitmap_is_driven(Plan *node);
static bool finds_one_row(Oid index, List *conditions);
static bool contains_param(Node *node, void *context);
static Index parent_entry(const PlannedStmt *plan, Index entry);
static void refuse_scan(PlanCheck *check, const Scan *scan);

PlannedStmt *
OutboxPlanByIndex(Query *query, const char *text)
{
	int nest_level = NewGUCNestLevel();
	get_relation_info_hook_type caller = get_relation_info_hook;
	PlannedStmt *plan;

	pin_planner();
	/* a function that the planner runs may write to a source, and so bring us here again */
	if (caller != assume_large)
		previous_hook = caller;
	get_relation_info_hook = assume_large;
	PG_TRY();
	{
		plan = planner(query, text, 0, NULL);
	}
	PG_FINALLY();
	{
		get_relation_info_hook = caller;
	}
	PG_END_TRY();
	AtEOXact_GUC(false, nest_level);
	return plan;
}

void
OutboxCheckPlan(const PlannedStmt *plan, Query *query, const char *subject)
{
	PlanCheck check = {.plan = plan, .query = query, .subject = subject};
	ListCell *lc;

	check_node(&check, plan->planTree);
	foreach (lc, plan->subplans)
		check_node(&check, lfirst(lc));
}

/* What a session may have switched must not change the plan. */
static void
pin_planner(void)
{
	static const char *const settings[][2] = {
		{"enable_seqscan", "off"}, {"enable_hashjoin", "off"}, {"enable_mergejoin", "off"}, {"enable_nestloop", "on"}, {"enable_indexscan", "on"}, {"enable_indexonlyscan", "on"}, {"enable_bitmapscan", "on"}, {"enable_tidscan", "on"}, {"enable_hashagg", "on"}, {"enable_sort", "on"}, {"enable_material", "on"}, {"enable_memoize", "on"}, {"jit", "off"}, {"geqo", "on"}, {"from_collapse_limit", "8"}, {"join_collapse_limit", "8"}, {"constraint_exclusion", "partition"}, {"max_parallel_workers_per_gather", "0"}};

	for (int i = 0; i < lengthof(settings); i++)
		(void) set_config_option(settings[i][0], settings[i][1], PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
}

static void
assume_large(PlannerInfo *root, Oid relation, bool is_parent, RelOptInfo *rel)
{
	ListCell *lc;

	if (previous_hook)
		previous_hook(root, relation, is_parent, rel);
	if (is_parent)
		return;
	rel->tuples = Max(rel->tuples, ASSUMED_ROWS);
	rel->pages = Max(rel->pages, (BlockNumber) (ASSUMED_ROWS / ASSUMED_ROWS_PER_PAGE));
	foreach (lc, rel->indexlist)
	{
		IndexOptInfo *index = lfirst(lc);

		index->tuples = Max(index->tuples, rel->tuples);
		index->pages = Max(index->pages, (BlockNumber) (ASSUMED_ROWS / ASSUMED_KEYS_PER_PAGE));
		index->tree_height = Max(index->tree_height, 2);
	}
}

static void
check_node(PlanCheck *check, Plan *node)
{
	bool fine = true;

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
			fine = is_driven(((IndexScan *) node)->indexqual) ||
				finds_one_row(((IndexScan *) node)->indexid, ((IndexScan *) node)->indexqual);
			break;
		case T_IndexOnlyScan:
			fine = is_driven(((IndexOnlyScan *) node)->indexqual) ||
				finds_one_row(((IndexOnlyScan *) node)->indexid, ((IndexOnlyScan *) node)->indexqual);
			break;
		case T_BitmapHeapScan:
			fine = bitmap_is_driven(node->lefttree);
			break;
		case T_Append:
			check_children(check, ((Append *) node)->appendplans);
			break;
		case T_MergeAppend:
			check_children(check, ((MergeAppend *) node)->mergeplans);
			break;
		case T_SubqueryScan:
			check_node(check, ((SubqueryScan *) node)->subplan);
			break;
		case T_CustomScan:
			check_children(check, ((CustomScan *) node)->custom_plans);
			break;
		default:
			break;
	}
	if (!fine)
		refuse_scan(check, (Scan *) node);
	check_node(check, node->lefttree);
	check_node(check, node->righttree);
}

static void
check_children(PlanCheck *check, List *children)
{
	ListCell *lc;

	foreach (lc, children)
		check_node(check, lfirst(lc));
}

/* Does an index condition depend on the keys, or on a row found before? */
static bool
is_driven(List *conditions)
{
	return contains_param((Node *) conditions, NULL);
}

static bool
bitmap_is_driven(Plan *node)
{
	ListCell *lc;

	if (IsA(node, BitmapIndexScan))
		return is_driven(((BitmapIndexScan *) node)->indexqual) ||
			finds_one_row(((BitmapIndexScan *) node)->indexid, ((BitmapIndexScan *) node)->indexqual);
	if (IsA(node, BitmapAnd))
	{
		foreach (lc, ((BitmapAnd *) node)->bitmapplans)
		{
			if (bitmap_is_driven(lfirst(lc)))
				return true;
		}
		return false;
	}
	if (IsA(node, BitmapOr))
	{
		foreach (lc, ((BitmapOr *) node)->bitmapplans)
		{
			if (!bitmap_is_driven(lfirst(lc)))
				return false;
		}
		return true;
	}
	return false;
}

/* Constants for all columns of a unique index: code = 'EUR'. */
static bool
finds_one_row(Oid index, List *conditions)
{
	Bitmapset *columns = NULL;
	ListCell *lc;

	foreach (lc, conditions)
	{
		OpExpr *condition = lfirst(lc);

		if (IsA(condition, OpExpr) && IsA(linitial(condition->args), Var) &&
			op_mergejoinable(condition->opno, exprType(linitial(condition->args))))
			columns = bms_add_member(columns, ((Var *) linitial(condition->args))->varattno);
	}
	return OutboxIndexIsUnique(index, bms_num_members(columns));
}

static bool
contains_param(Node *node, void *context)
{
	if (node == NULL)
		return false;
	return IsA(node, Param) || expression_tree_walker(node, contains_param, context);
}

/* Of a partition, the entry of the table that the query names. */
static Index
parent_entry(const PlannedStmt *plan, Index entry)
{
	ListCell *lc;

	foreach (lc, plan->appendRelations)
	{
		AppendRelInfo *info = lfirst(lc);

		if (info->child_relid == entry)
			return parent_entry(plan, info->parent_relid);
	}
	return entry;
}

static void
refuse_scan(PlanCheck *check, const Scan *scan)
{
	Oid relation = rt_fetch(parent_entry(check->plan, scan->scanrelid), check->plan->rtable)->relid;
	Oid lacking;
	char *columns = OutboxJoinColumns(check->query, relation, &lacking);

	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("%s would scan \"%s\" for every change", check->subject, get_rel_name(relation)),
			 errdetail("Each table behind it must be found through an index, however small it is today."),
			 columns == NULL ? errhint("Join \"%s\" by equality of columns that have an index.", get_rel_name(relation)) : OidIsValid(lacking) ? errhint("CREATE INDEX ON %s (%s);", OutboxQualifiedName(lacking), columns)
																																			   : errhint("The index exists, but the key does not reach it: put the condition on (%s) into the subquery that reads \"%s\" (LEFT JOIN LATERAL).", columns, get_rel_name(relation))));
}
