/*-------------------------------------------------------------------------
 *
 * key_query.c
 *	  The key_query of a source: its row -> lookup keys of the contract.
 *
 * Most are columns of the row (row.ordr_no) and are evaluated as expressions on
 * the tuple. One that needs a query (address -> customers) is a prepared plan
 * with the row's columns as parameters. Both come out of the view that the
 * key_query is kept as (key_view.c); the query as text, so that the plan cache
 * can make its plan anew. Names are looked up in pg_catalog alone, and
 * everything runs as the owner of the contract's view: neither the writer's
 * search_path nor the writer's rights change which keys are touched.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/sysattr.h"
#include "executor/spi.h"
#include "nodes/nodeFuncs.h"
#include "parser/analyze.h"
#include "parser/parse_coerce.h"
#include "parser/parse_collate.h"
#include "parser/parse_node.h"
#include "parser/parser.h"
#include "rewrite/rewriteHandler.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"

#include "catalog/outbox_catalog.h"
#include "compat.h"
#include "contract/compile/compile_private.h"
#include "contract/environment/environment.h"
#include "contract/plan/plan.h"
#include "contract/reach/reach.h"
#include "contract/view/view.h"
#include "util/util.h"

static void compile(OutboxKeyQuery *query, const OutboxKeyView *view, TupleDesc lookup);
static void check_row(const OutboxKeyQuery *query, Oid source, const List *view_access);
static List *coerce_columns(List *expressions, TupleDesc lookup);
static void keep_expressions(OutboxKeyQuery *query, List *expressions);
static void keep_plan(OutboxKeyQuery *query, const OutboxKeyView *view, TupleDesc lookup);
static void parser_setup(ParseState *pstate, void *arg);
static Node *row_parameter(ParseState *pstate, ParamRef *reference);
static void check_query(OutboxKeyQuery *query);
static char *cast_query(const OutboxKeyQuery *query, TupleDesc lookup);
static void free_plan(void *plan);

/*
 * Compiles a source's key_query for rows of `relation` (the source, or a
 * partition of it), in CurrentMemoryContext; the owner of the contract's view
 * runs it. `lookup` describes the keys it must give. Raises for what gives other
 * columns than the lookup's, or must not run while a row is written, and when
 * the owner may not read a column of the row (view_access, of
 * OutboxViewAccess *, is what the view reads: asked for elsewhere).
 */
OutboxKeyQuery *
OutboxCompileKeyQuery(const OutboxContractConfig *config, const OutboxSourceConfig *source,
					  Oid relation, TupleDesc lookup, const List *view_access)
{
	OutboxKeyQuery *query = palloc0(sizeof(OutboxKeyQuery));
	Relation rel = relation_open(relation, AccessShareLock);
	OutboxEvaluation evaluation;
	OutboxLook look = {0};
	MemoryContext scratch = AllocSetContextCreate(CurrentMemoryContext, "outbox key view", ALLOCSET_SMALL_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(scratch);
	OutboxKeyView *view = OutboxReadKeyView(config, source);

	MemoryContextSwitchTo(caller);
	query->relation = relation;
	query->row = CreateTupleDescCopy(RelationGetDescr(rel));
	relation_close(rel, NoLock);
	query->what = pstrdup(view->what);
	query->relations = list_make1_oid(source->key_view);
	query->view = config->view;
	query->owner = OutboxRelationOwner(config->view);
	query->max_fanout = source->max_fanout;
	query->values = palloc0(sizeof(Datum) * lookup->natts);
	OutboxLookEnter(&look, CurrentResourceOwner);
	OutboxEvaluationBegin(&evaluation, query->owner, OUTBOX_COMPILING);
	compile(query, view, lookup);
	OutboxEvaluationEnd(&evaluation);
	OutboxLookLeave(&look);
	OutboxLookClose(&look);
	MemoryContextDelete(scratch);
	check_row(query, source->relation, view_access);
	return query;
}

/*
 * The row is handed to the owner of the view, whose rights on the source the
 * executor does not ask for. Of a partition's columns those of the same name
 * of the source count, as for whoever reads the source. What the view reads in
 * its owner's name is asked for when the view is read: then a dead letter has
 * the key.
 */
static void
check_row(const OutboxKeyQuery *query, Oid source, const List *view_access)
{
	OutboxViewAccess access = {.relation = source, .role = query->owner};
	int column = -1;
	ListCell *lc;

	while ((column = bms_next_member(query->reads, column)) >= 0)
	{
		AttrNumber attno = column + FirstLowInvalidHeapAttributeNumber;
		const char *name = NameStr(TupleDescAttr(query->row, attno - 1)->attname);

		if (source != query->relation)
			attno = get_attnum(source, name);
		access.columns = bms_add_member(access.columns, attno - FirstLowInvalidHeapAttributeNumber);
	}
	foreach (lc, view_access)
	{
		const OutboxViewAccess *read = lfirst(lc);

		if (read->relation == source && read->role == query->owner)
			access.columns = bms_del_members(access.columns, read->columns);
	}
	if (!bms_is_empty(access.columns))
		OutboxCheckViewAccess(list_make1(&access), query->view);
}

/* The columns of the relation that it reads, attno - FirstLowInvalidHeapAttributeNumber. */
const Bitmapset *
OutboxKeyQueryReads(const OutboxKeyQuery *query)
{
	return query->reads;
}

/* The relations that it reads, and those behind the types of its expressions, not sorted. */
const List *
OutboxKeyQueryRelations(const OutboxKeyQuery *query)
{
	return query->relations;
}

/* Of PlanInvalItem *: the types behind its expressions. */
List *
OutboxKeyQueryTypes(const OutboxKeyQuery *query)
{
	return query->types;
}

bool
OutboxKeyQueryMayRaise(const OutboxKeyQuery *query)
{
	return (query->traits & OUTBOX_RAISES) != 0;
}

bool
OutboxKeyQueryIsValid(const OutboxKeyQuery *query)
{
	return query->cached == NULL || query->cached->is_valid;
}

static void
compile(OutboxKeyQuery *query, const OutboxKeyView *view, TupleDesc lookup)
{
	OutboxCheckKeyColumns(query->what, view->query->targetList, lookup);
	if (OutboxKeyViewIsPlain(view))
		keep_expressions(query, coerce_columns(OutboxKeyViewExpressions(view, query->relation, &query->reads), lookup));
	else
		keep_plan(query, view, lookup);
}

/* The expressions as values of the lookup's base types. */
static List *
coerce_columns(List *expressions, TupleDesc lookup)
{
	ParseState *pstate = make_parsestate(NULL);
	ListCell *lc;

	foreach (lc, expressions)
	{
		Form_pg_attribute key = TupleDescAttr(lookup, foreach_current_index(lc));
		Node *expression = lfirst(lc);

		lfirst(lc) = coerce_to_target_type(pstate, expression, exprType(expression), getBaseType(key->atttypid), -1,
										   COERCION_ASSIGNMENT, COERCE_IMPLICIT_CAST, -1);
		assign_expr_collations(pstate, lfirst(lc));
	}
	free_parsestate(pstate);
	return expressions;
}

static void
keep_expressions(OutboxKeyQuery *query, List *expressions)
{
	OutboxRowTypes types = {0};
	OutboxRunner runner;

	OutboxRunnerOfView(&runner, query->view, query->what);
	OutboxCheckExpressionTrust(&runner, (Node *) expressions);
	OutboxRefuseVolatile((Node *) expressions, query->what);
	query->cached = OutboxCacheExpression(expressions, CurrentMemoryContext);
	query->traits = OutboxExpressionTraits(query->cached->expr);
	OutboxAddExpressionTypes(&types, query->cached->expr);
	query->types = types.objects;
	query->relations = list_concat_unique_oid(query->relations, types.relations);
	query->exec_context = AllocSetContextCreate(CurrentMemoryContext, "outbox key expressions", ALLOCSET_SMALL_SIZES);
	OutboxBuildKeyStates(query);
}

static void
keep_plan(OutboxKeyQuery *query, const OutboxKeyView *view, TupleDesc lookup)
{
	MemoryContextCallback *release = palloc0(sizeof(MemoryContextCallback));
	SPIPrepareOptions options = {.parserSetup = parser_setup, .parserSetupArg = query, .cursorOptions = CURSOR_OPT_GENERIC_PLAN};

	query->select = pg_get_querydef(OutboxKeyViewQuery(view, query->relation, &query->reads), false);
	check_query(query);
	query->traits = OUTBOX_ANYTHING;
	query->params = makeParamList(query->row->natts);
	SPI_connect();
	query->plan = SPI_prepare_extended(cast_query(query, lookup), &options);
	if (query->plan == NULL)
		elog(ERROR, "SPI_prepare_extended failed: %s", SPI_result_code_string(SPI_result));
	SPI_keepplan(query->plan);
	release->func = free_plan;
	release->arg = query->plan;
	MemoryContextRegisterResetCallback(GetMemoryChunkContext(query), release);
	SPI_finish();
}

static void
parser_setup(ParseState *pstate, void *arg)
{
	pstate->p_paramref_hook = row_parameter;
	pstate->p_ref_hook_state = arg;
}

/* Hook: $<attno>, with the type modifier and the collation of the row's column. */
static Node *
row_parameter(ParseState *pstate, ParamRef *reference)
{
	const OutboxKeyQuery *query = pstate->p_ref_hook_state;
	Form_pg_attribute attribute;
	Param *param = makeNode(Param);

	if (reference->number <= 0 || reference->number > query->row->natts)
		elog(ERROR, "%s has no parameter $%d", query->what, reference->number);
	attribute = TupleDescAttr(query->row, reference->number - 1);
	param->paramkind = PARAM_EXTERN;
	param->paramid = reference->number;
	param->paramtype = attribute->atttypid;
	param->paramtypmod = attribute->atttypmod;
	param->paramcollid = attribute->attcollation;
	param->location = reference->location;
	return (Node *) param;
}

/* Nothing that must not run while a row is written. */
static void
check_query(OutboxKeyQuery *query)
{
	OutboxViewSurvey survey = {.subject = query->what};
	MemoryContext scratch = AllocSetContextCreate(CurrentMemoryContext, "outbox key query", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(scratch);
	RawStmt *raw = linitial_node(RawStmt, raw_parser(query->select, RAW_PARSE_DEFAULT));
	OutboxRunner runner;
	Query *analysed;
	Query *rewritten;

	/* parsing further runs code of the types that the text names */
	OutboxRunnerOfView(&runner, query->view, query->what);
	OutboxCheckTextTrust(&runner, (Node *) raw, query->row);
	analysed = parse_analyze_withcb(raw, query->select, parser_setup, query, NULL);
	OutboxSurveyQuery(&survey, analysed);
	OutboxCheckViewAccess(survey.access, query->view);

	/* with the views in it, as it will run */
	rewritten = linitial_node(Query, QueryRewrite(analysed));
	OutboxCheckQueryTrust(&runner, rewritten);
	OutboxRefuseVolatile((Node *) rewritten, query->what);
	query->ntables = list_length(OutboxPlanByIndex(rewritten, query->select, query->what)->relationOids);
	MemoryContextSwitchTo(caller);
	query->relations = list_concat(query->relations, survey.relations);
	MemoryContextDelete(scratch);
}

/* The query with its columns cast to the lookup's base types. */
static char *
cast_query(const OutboxKeyQuery *query, TupleDesc lookup)
{
	StringInfoData columns;
	StringInfoData names;

	initStringInfo(&columns);
	initStringInfo(&names);
	for (int i = 0; i < lookup->natts; i++)
	{
		appendStringInfo(&columns, "%sk.k%d::%s", i ? ", " : "", i,
						 format_type_extended(getBaseType(TupleDescAttr(lookup, i)->atttypid), -1,
											  FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY));
		appendStringInfo(&names, "%sk%d", i ? ", " : "", i);
	}
	return psprintf("SELECT %s FROM (%s\n) AS k (%s)", columns.data, query->select, names.data);
}

static void
free_plan(void *plan)
{
	(void) SPI_freeplan(plan);
}
