/*-------------------------------------------------------------------------
 *
 * commit_query.c
 *	  A contract that is evaluated at commit: its view as one query for
 *	  many keys.
 *
 * The plan is made once, for any keys, and outlives the transaction; the cache
 * replans when a relation, function or type behind it changes. Everything that
 * must not happen at commit is refused here, so that it is an error of the
 * migration and not a dead letter at night.
 *
 * A *lookup key* is a row of values of the root's own columns, those that the
 * contract's key expressions read, in key order. It finds a contract row by an
 * index of the root even when the key shows a cast of the column; it is what
 * sources queue and what the aggregate lock is taken on.
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

/* What put_values knows of the root's row. */
typedef struct LookupValues
{
	const OutboxCommitQuery *query;
	const Datum *values;
	bool unknown; /* another column is needed */
} LookupValues;

static OutboxCommitQuery *plan_query(const OutboxContractConfig *config, const Bitmapset *used, MemoryContext target);
static Query *analyse(const OutboxContractConfig *config, OutboxViewSurvey *survey, OutboxRootPath **path);
static void prove_key(const OutboxContractConfig *config, const OutboxRootPath *path);
static void drop_unused_columns(Query *query, const Bitmapset *used);
static Node *put_values(Node *node, void *arg);
static List *all_relations(const OutboxViewSurvey *survey, const PlannedStmt *plan);

/*
 * Analyses and plans the view in the current memory context, as the view's
 * owner; needs an active snapshot; keeps no lock. Columns of the view that are not in `used`
 * (numbers from 0; NULL: all) are NULL in the result. Raises, naming construct
 * and remedy, for a view that cannot be read at commit: volatile functions,
 * foreign or temporary tables, row level security that applies to the owner, a
 * root that the key cannot be pushed down to, or a plan without an index on the
 * root's or a joined table's lookup (the hint is the CREATE INDEX).
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

/* Its parameters for these keys, each the values of its lookup columns. */
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
 * The root's columns that make up the lookup key (of Var *), without planning;
 * on the same terms. *conditions: what the view demands of the root's rows.
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
 * Raises unless the key comes from the root and is unique there: the part of the above that looks at no index but the root's.
 */
void
OutboxProveCommitKey(const OutboxContractConfig *config)
{
	OutboxEvaluation evaluation;

	OutboxEvaluationBegin(&evaluation, OutboxRelationOwner(config->view), OUTBOX_COMPILING);
	prove_key(config, OutboxFindRoot(config, OutboxViewQuery(config->view)));
	OutboxEvaluationEnd(&evaluation);
}

/*
 * The values of the contract's key columns of the row with the lookup key, in key order, with the runner's rights. In
 * memory of the current context. False: they are not to be had without the row. May raise as the key's expressions may.
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

		/* its results stay in the context */
		values[i] = ExecEvalExprSwitchContext(state, econtext, &isnull[i]);
	}
	OutboxEvaluationEnd(&evaluation);
	return true;
}

/* The root's columns of an expression -> their values. */
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

/* What a row of the lookup columns (of Var *) looks like. */
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

/* In scratch memory; the result is copied to `target`. */
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
	List *reads = NIL;
	ListCell *lc;

	foreach (lc, path->lookup)
		reads = lappend(reads, get_attname(config->root, lfirst_node(Var, lc)->varattno, false));
	if (config->root_key == NIL)
		(void) OutboxProveUnique(config->root, reads, OutboxRootConditions(path->levels), config->key);
	else
		OutboxCheckKeyReads(config->view, config->root, list_length(reads), config->root_key);
}

/* A column appended to the view after its schemas were pinned must neither cost nor fail. */
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

/* The views, their tables, and the tables' partitions. */
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
