/*-------------------------------------------------------------------------
 *
 * commit_query.c
 *	  A contract that is evaluated at commit: its view as one query for
 *	  many keys.
 *
 * The plan is made once for any keys and outlives the transaction. The cache plans
 * again when a relation, function or type behind the query changes. Whatever must
 * not happen at commit is refused here: it is an error of the migration, and not a
 * dead letter at night.
 *
 * A *lookup key* is a row of values of the root's own columns: those that the
 * contract's key expressions read, in key order. It finds a row of the contract by
 * an index of the root even when the key shows a cast of the column. Sources queue
 * lookup keys, and the aggregate lock is taken on them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "utils/array.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "catalog/outbox_catalog.h"
#include "compat.h"
#include "contract/compile/compile_private.h"
#include "contract/environment/environment.h"
#include "contract/keys/keys.h"
#include "contract/plan/plan.h"
#include "contract/reach/reach.h"
#include "contract/view/view.h"
#include "util/util.h"

/* The columns of the root's row whose values are known, for put_values(). */
typedef struct LookupValues
{
	const OutboxCommitQuery *query;
	const Datum *values;
	bool unknown; /* a column is needed whose value is not known */
} LookupValues;

static OutboxCommitQuery *plan_query(const OutboxContractConfig *config, const Bitmapset *used, MemoryContext target);
static Query *analyse(const OutboxContractConfig *config, OutboxViewSurvey *survey, OutboxRootPath **path);
static void prove_key(const OutboxContractConfig *config, const OutboxRootPath *path);
static void drop_unused_columns(Query *query, const Bitmapset *used);
static Node *put_values(Node *node, void *arg);
static List *all_relations(const OutboxViewSurvey *survey, const PlannedStmt *plan);

/*
 * Analyses and plans the view in the current memory context, as the view's owner.
 * Needs an active snapshot. Columns of the view that are not in `used` (numbers
 * from 0; NULL: all) are NULL in the result. Keeps no lock.
 *
 * Raises, naming the construct and the remedy, for a view that cannot be read at
 * commit. It may have volatile functions, foreign or temporary tables, row level
 * security that applies to the owner, or a root that the key cannot be pushed down
 * to. Or the plan has no index on the lookup of the root or of a joined table; the
 * hint is then the CREATE INDEX.
 */
OutboxCommitQuery *
OutboxPlanCommitQuery(const OutboxContractConfig *config, const Bitmapset *used)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext scratch = AllocSetContextCreate(caller, "outbox planning", ALLOCSET_DEFAULT_SIZES);
	OutboxEvaluation evaluation;
	OutboxLook look = {0};
	OutboxCommitQuery *query;

	MemoryContextSwitchTo(scratch);
	OutboxLookEnter(&look, CurrentResourceOwner);
	OutboxEvaluationBegin(&evaluation, OutboxRelationOwner(config->view), OUTBOX_COMPILING);
	query = plan_query(config, used, caller);
	OutboxEvaluationEnd(&evaluation);
	OutboxLookLeave(&look);
	OutboxLookClose(&look);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(scratch);
	return query;
}

/* The query's parameters for these keys: an array of values for each lookup column. In the current memory context. */
ParamListInfo
OutboxCommitQueryParameters(const OutboxCommitQuery *query, Datum *const *keys, int nkeys)
{
	ParamListInfo params = makeParamList(query->nlookup);
	Datum *elements = palloc(sizeof(Datum) * nkeys);

	for (int i = 0; i < query->nlookup; i++)
	{
		Oid type = get_element_type(query->array_types[i]);
		int16 len;
		bool byval;
		char align;

		get_typlenbyvalalign(type, &len, &byval, &align);
		for (int j = 0; j < nkeys; j++)
			elements[j] = keys[j][i];
		params->params[i].value = PointerGetDatum(construct_array(elements, nkeys, type, len, byval, align));
		params->params[i].isnull = false;
		params->params[i].pflags = PARAM_FLAG_CONST;
		params->params[i].ptype = query->array_types[i];
	}
	return params;
}

/*
 * The root's columns that make up the lookup key (of Var *), without planning.
 * *conditions: those that all rows of the root in the view fulfil. Raises as
 * OutboxPlanCommitQuery() does for a root that the key cannot be pushed down to.
 */
List *
OutboxLookupColumns(const OutboxContractConfig *config, List **conditions)
{
	OutboxEvaluation evaluation;
	OutboxRootPath *path;

	OutboxEvaluationBegin(&evaluation, OutboxRelationOwner(config->view), OUTBOX_COMPILING);
	path = OutboxFindRoot(config, OutboxViewQuery(config->view));
	*conditions = OutboxRootConditions(path->levels);
	OutboxEvaluationEnd(&evaluation);
	return path->lookup;
}

/*
 * Computes the values of the contract's key columns from a lookup key, in key
 * order and with the runner's rights. They are allocated in the current memory
 * context. False: a key column cannot be computed without the row. May raise as
 * the key's expressions may.
 */
bool
OutboxKeyFromLookup(const OutboxContractConfig *config, const OutboxCommitQuery *query, const OutboxRunner *runner,
					const Datum *lookup, Datum *values, bool *isnull)
{
	LookupValues known = {.query = query, .values = lookup};
	OutboxEvaluation evaluation;
	List *expressions;
	List *levels;
	ListCell *lc;
	ExprContext *econtext;

	OutboxEvaluationBegin(&evaluation, runner->role, OUTBOX_COMPILING);
	expressions = OutboxRootKey(config, OutboxViewQuery(config->view), &levels);
	OutboxCheckExpressionTrust(runner, (Node *) expressions);
	OutboxEvaluationEnd(&evaluation);
	if (checkExprHasSubLink((Node *) expressions))
		return false;
	expressions = (List *) put_values((Node *) expressions, &known);
	if (known.unknown)
		return false;
	OutboxEvaluationBegin(&evaluation, runner->role, OUTBOX_ANYTHING);
	econtext = CreateStandaloneExprContext();
	foreach (lc, expressions)
	{
		int i = foreach_current_index(lc);
		ExprState *state = ExecInitExpr(expression_planner(lfirst(lc)), NULL);

		/* the result stays in the current memory context */
		values[i] = ExecEvalExprSwitchContext(state, econtext, &isnull[i]);
	}
	OutboxEvaluationEnd(&evaluation);
	return true;
}

/* Replaces the root's columns in an expression by their values. */
static Node *
put_values(Node *node, void *arg)
{
	LookupValues *known = arg;
	const Var *column = (Var *) node;

	if (node == NULL || !IsA(node, Var))
		return node ? expression_tree_mutator(node, put_values, arg) : NULL;
	for (int i = 0; i < known->query->nlookup; i++)
	{
		int16 len;
		bool byval;

		if (known->query->lookup[i] != column->varattno)
			continue;
		get_typlenbyval(column->vartype, &len, &byval);
		return (Node *) makeConst(column->vartype, column->vartypmod, column->varcollid, len, known->values[i], false, byval);
	}
	known->unknown = true;
	return copyObject(node);
}

/* The descriptor of a row of the lookup columns (of Var *). In the current memory context. */
TupleDesc
OutboxLookupDesc(Oid root, const List *columns)
{
	TupleDesc desc = CreateTemplateTupleDesc(list_length(columns));
	ListCell *lc;

	foreach (lc, columns)
	{
		Var *column = lfirst_node(Var, lc);
		AttrNumber number = foreach_current_index(lc) + 1;

		TupleDescInitEntry(desc, number, get_attname(root, column->varattno, false), column->vartype,
						   column->vartypmod, 0);
		TupleDescInitEntryCollation(desc, number, column->varcollid);
	}
	OutboxFinishTupleDesc(desc);
	return desc;
}

/* Plans in the current memory context, which is scratch. The result is copied to `target`. */
static OutboxCommitQuery *
plan_query(const OutboxContractConfig *config, const Bitmapset *used, MemoryContext target)
{
	OutboxViewSurvey *survey = OutboxSurveyView(config->view);
	OutboxRootPath *path;
	Query *query;
	PlannedStmt *plan;
	Oid *array_types;
	OutboxCommitQuery *result;
	OutboxRunner runner;
	ListCell *lc;

	OutboxCheckViewAccess(survey->access, config->view);
	query = analyse(config, survey, &path);
	if (used)
		drop_unused_columns(query, used);
	OutboxPushLookup(config, path, &array_types);
	OutboxRunnerOfView(&runner, config->view, psprintf("contract \"%s\"", config->name));
	OutboxCheckQueryTrust(&runner, query);
	plan = OutboxPlanByIndex(query, psprintf("contract \"%s\"", config->name), survey->subject);

	MemoryContextSwitchTo(target);
	result = palloc0(sizeof(OutboxCommitQuery));
	result->plan = copyObject(plan);
	result->relations = all_relations(survey, plan);
	result->nlookup = list_length(path->lookup);
	result->lookup_desc = OutboxLookupDesc(config->root, path->lookup);
	result->lookup = palloc(sizeof(AttrNumber) * result->nlookup);
	result->array_types = palloc(sizeof(Oid) * result->nlookup);
	memcpy(result->array_types, array_types, sizeof(Oid) * result->nlookup);
	foreach (lc, path->lookup)
		result->lookup[foreach_current_index(lc)] = lfirst_node(Var, lc)->varattno;
	return result;
}

/* The view's query, proven to have one row per key. */
static Query *
analyse(const OutboxContractConfig *config, OutboxViewSurvey *survey, OutboxRootPath **path)
{
	Query *query = OutboxRewrittenView(config->view);

	OutboxRefuseVolatile((Node *) query, survey->subject);
	*path = OutboxFindRoot(config, query);
	prove_key(config, *path);
	return query;
}

static void
prove_key(const OutboxContractConfig *config, const OutboxRootPath *path)
{
	if (config->root_key == NIL)
		OutboxProveRootPath(config, path);
	else
		OutboxCheckKeyReads(config->view, config->root, list_length(path->lookup), config->root_key);
}

/* Makes unused columns NULL: a column that is appended to the view after its schemas were pinned must neither cost nor fail. */
static void
drop_unused_columns(Query *query, const Bitmapset *used)
{
	ListCell *lc;

	if (query->distinctClause || query->setOperations)
		return;
	foreach (lc, query->targetList)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, lc);

		if (!entry->resjunk && entry->ressortgroupref == 0 && !bms_is_member(entry->resno - 1, used))
			entry->expr = (Expr *) makeNullConst(exprType((Node *) entry->expr), exprTypmod((Node *) entry->expr),
												 exprCollation((Node *) entry->expr));
	}
}

/* The OIDs of the views, of their tables and of the tables' partitions. */
static List *
all_relations(const OutboxViewSurvey *survey, const PlannedStmt *plan)
{
	List *relations = list_copy(survey->relations);
	ListCell *lc;

	foreach (lc, plan->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, lc);

		if (rte->rtekind == RTE_RELATION)
			relations = list_append_unique_oid(relations, rte->relid);
	}
	relations = list_concat_unique_oid(relations, plan->relationOids);
	list_sort(relations, list_oid_cmp);
	return relations;
}
