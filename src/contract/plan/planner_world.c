/*-------------------------------------------------------------------------
 *
 * planner_world.c
 *	  What the planner is told about tables, indexes and costs.
 *
 * A contract's query runs in every commit that touches the contract, for as long as
 * the contract exists. Its plan must not depend on the tables' sizes at the time
 * when it was made. The planner is therefore told that
 *
 * - every table is large;
 * - a scan that index_use.c does not call bounded costs more than all other
 *   work together, and a scan of a whole table costs more than that.
 *
 * So the planner takes a plan without such scans whenever there is one. Statistics
 * may decide which one of several. Whether there is one depends on the query and
 * the indexes alone.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/amapi.h"
#include "catalog/pg_am.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/pathnodes.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/paths.h"
#include "optimizer/plancat.h"
#include "optimizer/planner.h"
#include "rewrite/rewriteManip.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/selfuncs.h"

#include "compat.h"
#include "contract/plan/plan_private.h"
#include "contract/view/view.h"
#include "util/util.h"

#define ASSUMED_ROWS 1000000.0
#define ASSUMED_ROWS_PER_PAGE 50.0
#define ASSUMED_KEYS_PER_PAGE 200.0

/* More than any plan costs, even if a LIMIT divides it by the number of rows. */
#define UNBOUNDED_COST 1e30
#define TABLE_SCAN_COST 1e40

/* In practice no index has an OID from here on. */
#define FIRST_TRIAL_OID ((Oid) 0xFFFFFF00)

/* The world of the plan that is being made; NULL: none of ours. */
static const OutboxPlannerWorld *current = NULL;
static OutboxRelationHook next_relation_info = NULL;
static get_relation_stats_hook_type next_relation_stats = NULL;
static get_index_stats_hook_type next_index_stats = NULL;
static set_rel_pathlist_hook_type next_pathlist = NULL;

static void pin_planner(const OutboxPlannerWorld *world);
static void describe_table(OUTBOX_RELATION_HOOK_ARGS);
static bool describe_column(PlannerInfo *root, RangeTblEntry *rte, AttrNumber attno, VariableStatData *data);
static bool describe_index_column(PlannerInfo *root, Oid index, AttrNumber attno, VariableStatData *data);
static void price_scans(PlannerInfo *root, RelOptInfo *rel, Index entry, RangeTblEntry *rte);
static void price_index(PlannerInfo *root, IndexPath *path, double loops, Cost *startup, Cost *total,
						Selectivity *selectivity, double *correlation, double *pages);
static bool is_bounded(const IndexPath *path);
static IndexOptInfo *trial_index(const OutboxTrialIndex *trial, Oid table, RelOptInfo *rel);
static Node *expression_of_table(Node *node, void *arg);

/* Plans the query in this world. No setting of the session has an influence. The query must not be used afterwards. */
PlannedStmt *
OutboxPlanInWorld(Query *query, const char *text, int cursor_options, const OutboxPlannerWorld *world)
{
	int nest_level = NewGUCNestLevel();
	const OutboxPlannerWorld *caller = current;
	OutboxRelationHook relation_info = OUTBOX_RELATION_HOOK;
	get_relation_stats_hook_type relation_stats = get_relation_stats_hook;
	get_index_stats_hook_type index_stats = get_index_stats_hook;
	set_rel_pathlist_hook_type pathlist = set_rel_pathlist_hook;
	PlannedStmt *plan;

	pin_planner(world);
	/* a function that the planner runs may write to a source, which calls this function again */
	if (caller == NULL)
	{
		next_relation_info = relation_info;
		next_relation_stats = relation_stats;
		next_index_stats = index_stats;
		next_pathlist = pathlist;
	}
	current = world;
	OUTBOX_RELATION_HOOK = describe_table;
	get_relation_stats_hook = describe_column;
	get_index_stats_hook = describe_index_column;
	set_rel_pathlist_hook = price_scans;
	PG_TRY();
	{
		plan = OutboxPlanner(query, text, cursor_options);
	}
	PG_FINALLY();
	{
		current = caller;
		OUTBOX_RELATION_HOOK = relation_info;
		get_relation_stats_hook = relation_stats;
		get_index_stats_hook = index_stats;
		set_rel_pathlist_hook = pathlist;
	}
	PG_END_TRY();
	AtEOXact_GUC(false, nest_level);
	return plan;
}

/* The trial index with this OID in a plan; NULL for an index that exists. */
const OutboxTrialIndex *
OutboxTrialIndexOf(const List *trial_indexes, Oid index)
{
	if (index < FIRST_TRIAL_OID || index - FIRST_TRIAL_OID >= list_length(trial_indexes))
		return NULL;
	return list_nth(trial_indexes, index - FIRST_TRIAL_OID);
}

/* Gives all settings of the planner fixed values. A server of another version may not know a setting. */
static void
pin_planner(const OutboxPlannerWorld *world)
{
	static const char *const settings[][2] = {
		{"enable_seqscan", "off"}, {"enable_hashjoin", "off"}, {"enable_mergejoin", "off"}, {"enable_nestloop", "on"}, {"enable_indexscan", "on"}, {"enable_indexonlyscan", "on"}, {"enable_bitmapscan", "on"}, {"enable_tidscan", "on"}, {"enable_hashagg", "on"}, {"enable_sort", "on"}, {"enable_incremental_sort", "on"}, {"enable_presorted_aggregate", "on"}, {"enable_material", "on"}, {"enable_memoize", "on"}, {"enable_gathermerge", "on"}, {"enable_parallel_append", "on"}, {"enable_parallel_hash", "on"}, {"enable_async_append", "on"}, {"enable_partition_pruning", "on"}, {"enable_partitionwise_join", "off"}, {"enable_partitionwise_aggregate", "off"}, {"enable_group_by_reordering", "on"}, {"enable_distinct_reordering", "on"}, {"enable_self_join_elimination", "on"}, {"enable_eager_aggregate", "off"}, {"min_eager_agg_group_size", "8"}, {"seq_page_cost", "1"}, {"random_page_cost", "4"}, {"cpu_tuple_cost", "0.01"}, {"cpu_index_tuple_cost", "0.005"}, {"cpu_operator_cost", "0.0025"}, {"parallel_setup_cost", "1000"}, {"parallel_tuple_cost", "0.1"}, {"min_parallel_table_scan_size", "8MB"}, {"min_parallel_index_scan_size", "512kB"}, {"effective_cache_size", "4GB"}, {"work_mem", "4MB"}, {"hash_mem_multiplier", "2"}, {"effective_io_concurrency", "1"}, {"jit", "off"}, {"jit_above_cost", "100000"}, {"jit_inline_above_cost", "500000"}, {"jit_optimize_above_cost", "500000"}, {"geqo", "on"}, {"geqo_threshold", "12"}, {"geqo_effort", "5"}, {"geqo_pool_size", "0"}, {"geqo_generations", "0"}, {"geqo_selection_bias", "2"}, {"geqo_seed", "0"}, {"constraint_exclusion", "partition"}, {"cursor_tuple_fraction", "0.1"}, {"recursive_worktable_factor", "10"}, {"max_parallel_workers_per_gather", "0"}};

	for (int i = 0; i < lengthof(settings); i++)
	{
		if (GetConfigOption(settings[i][0], true, false) != NULL)
			OutboxSetInScope(settings[i][0], settings[i][1]);
	}
	OutboxSetInScope("from_collapse_limit", world->join_limit);
	OutboxSetInScope("join_collapse_limit", world->join_limit);
}

static void
describe_table(OUTBOX_RELATION_HOOK_ARGS)
{
	Oid table = OUTBOX_RELATION_HOOK_TABLE;
	ListCell *lc;

	if (next_relation_info)
		next_relation_info(OUTBOX_RELATION_HOOK_CALL);
	if (!OidIsValid(table))
		return;
	foreach (lc, current->trial_indexes)
	{
		const OutboxTrialIndex *trial = lfirst(lc);
		IndexOptInfo *index;

		if (!OutboxIsWithin(table, trial->relation))
			continue;
		index = trial_index(trial, table, rel);
		index->indexoid = FIRST_TRIAL_OID + foreach_current_index(lc);
		rel->indexlist = lappend(rel->indexlist, index);
	}
	rel->tuples = Max(rel->tuples, ASSUMED_ROWS);
	rel->pages = Max(rel->pages, (BlockNumber) (ASSUMED_ROWS / ASSUMED_ROWS_PER_PAGE));
	if (current->no_statistics)
	{
		rel->tuples = ASSUMED_ROWS;
		rel->pages = (BlockNumber) (ASSUMED_ROWS / ASSUMED_ROWS_PER_PAGE);
		rel->allvisfrac = 0;
		rel->statlist = NIL;
	}
	foreach (lc, rel->indexlist)
	{
		IndexOptInfo *index = lfirst(lc);

		index->tuples = rel->tuples;
		index->pages = Max(current->no_statistics ? 0 : index->pages, (BlockNumber) (ASSUMED_ROWS / ASSUMED_KEYS_PER_PAGE));
		index->tree_height = Max(current->no_statistics ? 0 : index->tree_height, 2);
		index->amcostestimate = price_index;
	}
}

/* A hook. True: there are no statistics but those that the caller has. */
static bool
describe_column(PlannerInfo *root, RangeTblEntry *rte, AttrNumber attno, VariableStatData *data)
{
	if (current->no_statistics)
		return true;
	return next_relation_stats && next_relation_stats(root, rte, attno, data);
}

static bool
describe_index_column(PlannerInfo *root, Oid index, AttrNumber attno, VariableStatData *data)
{
	if (current->no_statistics)
		return true;
	return next_index_stats && next_index_stats(root, index, attno, data);
}

/* A hook: scans of a whole table cost more than all others. */
static void
price_scans(PlannerInfo *root, RelOptInfo *rel, Index entry, RangeTblEntry *rte)
{
	List *others = NIL;
	List *whole = NIL;
	ListCell *lc;

	if (next_pathlist)
		next_pathlist(root, rel, entry, rte);
	if (rte->rtekind != RTE_RELATION)
		return;
	foreach (lc, rel->pathlist)
	{
		Path *path = lfirst(lc);

		if (path->pathtype != T_SeqScan && path->pathtype != T_SampleScan && path->pathtype != T_TidRangeScan)
		{
			others = lappend(others, path);
			continue;
		}
		path->total_cost += TABLE_SCAN_COST;
		whole = lappend(whole, path);
	}
	rel->pathlist = list_concat(others, whole);
}

/* The access method's own estimate, and an extra cost for an unbounded scan. */
static void
price_index(PlannerInfo *root, IndexPath *path, double loops, Cost *startup, Cost *total,
			Selectivity *selectivity, double *correlation, double *pages)
{
	amcostestimate_function estimate = GetIndexAmRoutineByAmId(path->indexinfo->relam, false)->amcostestimate;

	estimate(root, path, loops, startup, total, selectivity, correlation, pages);
	if (!is_bounded(path))
		*total += UNBOUNDED_COST;
}

static bool
is_bounded(const IndexPath *path)
{
	const IndexOptInfo *index = path->indexinfo;
	OutboxIndexUse use = {.method = index->relam, .unique = index->unique, .ncolumns = index->nkeycolumns};
	ListCell *lc;

	foreach (lc, path->indexclauses)
	{
		IndexClause *clause = lfirst_node(IndexClause, lc);
		ListCell *other;

		foreach (other, clause->indexquals)
			OutboxNoteCondition(&use, clause->indexcol, (Node *) lfirst_node(RestrictInfo, other)->clause,
								index->opfamily[clause->indexcol]);
	}
	return OutboxIndexIsBounded(&use);
}

/* A copy of an expression over entry 1, for another table with columns of the same names. */
Node *
OutboxExpressionOfTable(Node *expression, Oid from, Oid to)
{
	Oid tables[2] = {from, to};

	return expression_of_table(expression, tables);
}

static IndexOptInfo *
trial_index(const OutboxTrialIndex *trial, Oid table, RelOptInfo *rel)
{
	IndexOptInfo *index = makeNode(IndexOptInfo);
	Node *expression = OutboxExpressionOfTable(trial->expression, trial->relation, table);
	bool is_column = IsA(expression, Var);

	ChangeVarNodes(expression, 1, rel->relid, 0);
	index->rel = rel;
	index->ncolumns = index->nkeycolumns = 1;
	index->indexkeys = palloc0(sizeof(int));
	index->indexkeys[0] = is_column ? ((Var *) expression)->varattno : 0;
	index->indexcollations = palloc(sizeof(Oid));
	index->indexcollations[0] = trial->collation;
	index->opfamily = palloc(sizeof(Oid));
	index->opfamily[0] = get_opclass_family(trial->opclass);
	index->opcintype = palloc(sizeof(Oid));
	index->opcintype[0] = get_opclass_input_type(trial->opclass);
	index->sortopfamily = index->opfamily;
	index->reverse_sort = palloc0(sizeof(bool));
	index->nulls_first = palloc0(sizeof(bool));
	index->canreturn = palloc0(sizeof(bool));
	index->relam = BTREE_AM_OID;
	index->indexprs = is_column ? NIL : list_make1(expression);
	index->indextlist = list_make1(makeTargetEntry((Expr *) expression, 1, NULL, false));
	index->immediate = true;
	index->hypothetical = true;
	index->amoptionalkey = index->amsearcharray = index->amsearchnulls = true;
	index->amhasgettuple = index->amhasgetbitmap = true;
	return index;
}

/* Replaces columns by those of the same name: a partition numbers its columns in its own way. */
static Node *
expression_of_table(Node *node, void *arg)
{
	const Oid *tables = arg;

	if (node == NULL)
		return NULL;
	if (IsA(node, Var))
	{
		Var *column = copyObject((Var *) node);

		if (column->varattno > 0)
			column->varattno = get_attnum(tables[1], get_attname(tables[0], column->varattno, false));
		return (Node *) column;
	}
	return expression_tree_mutator(node, expression_of_table, arg);
}
