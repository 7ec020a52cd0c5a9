/*-------------------------------------------------------------------------
 *
 * key_view_read.c
 *	  What stands in the view of a key_query.
 *
 * The stored rule has the query as LATERAL subquery beside the source, and
 * row.<column> in it as Vars of the query outside. These become columns of the
 * tuple, or parameters. A partition numbers its columns in its own way, so
 * each is found by its name.
 *
 * A superuser can replace the view, as its owner can replace the contract's
 * own: what is read is checked like a new one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/sysattr.h"
#include "catalog/pg_class.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_node.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteHandler.h"
#include "rewrite/rewriteManip.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/ruleutils.h"

#include "catalog/outbox_catalog.h"
#include "compat.h"
#include "contract/view/view_private.h"
#include "util/util.h"

PG_FUNCTION_INFO_V1(outbox_key_query_text);

/* The entry of the source in the query around. */
#define ROW_VARNO 1

/* The Vars of the row get another form. */
typedef struct RowColumns
{
	const OutboxKeyView *view;
	Oid relation; /* the source, or a partition of it */
	bool as_parameters;
	Bitmapset *reads; /* columns of the relation, attno - FirstLowInvalidHeapAttributeNumber */
	int level;        /* the query around is so many levels up */
} RowColumns;

static void refuse_missing(const OutboxContractConfig *config, const OutboxSourceConfig *source);
static Query *lateral_query(Oid view, Oid *source);
static bool is_column(const TargetEntry *entry, int varno, int number);
static Node *replace_columns(Node *node, void *arg);
static Node *row_column(RowColumns *columns, const Var *column);
static void check_column(const OutboxKeyView *view, const Var *column);

/*
 * Reads the view of a source's key_query, in CurrentMemoryContext. Raises when
 * it is not there, has not the form that it was made in, or belongs to another
 * role than the contract's view.
 */
OutboxKeyView *
OutboxReadKeyView(const OutboxContractConfig *config, const OutboxSourceConfig *source)
{
	OutboxKeyView *view = palloc0(sizeof(OutboxKeyView));
	Oid relation = InvalidOid;
	Oid owner;

	if (get_rel_relkind(source->key_view) != RELKIND_VIEW)
		refuse_missing(config, source);
	view->what = psprintf("the key_query of source \"%s\"", get_rel_name(source->relation));
	view->source = source->relation;
	view->query = lateral_query(source->key_view, &relation);
	if (view->query == NULL || relation != source->relation)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the view \"%s\" is no longer %s", get_rel_name(source->key_view), view->what),
				 errdetail("It was replaced by one that does not join the source with a LATERAL query."),
				 errhint("Drop the contract and create it again in one transaction.")));
	owner = OutboxRelationOwner(source->key_view);
	if (owner != OutboxRelationOwner(config->view))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("%s belongs to role \"%s\", and the view of contract \"%s\" to another one", view->what,
						GetUserNameFromId(owner, false), config->name),
				 errdetail("Both are evaluated with the rights of the owner of the contract's view."),
				 errhint("See what the view calls, and let the present owner evaluate it: SELECT outbox.enable('%s');", config->name)));
	return view;
}

static void
refuse_missing(const OutboxContractConfig *config, const OutboxSourceConfig *source)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_TABLE),
			 errmsg("the key_query of source \"%s\" does not exist any more", get_rel_name(source->relation)),
			 errdetail("The view that it was kept as is gone, maybe with something that it read."),
			 errhint("Give the source another one: SELECT outbox.add_source('%s', %s, key_query => '...');", config->name,
					 quote_literal_cstr(OutboxQualifiedName(source->relation)))));
}

/* Is it a select list over the row and nothing else, so that expressions on the tuple give the key? */
bool
OutboxKeyViewIsPlain(const OutboxKeyView *view)
{
	const Query *query = view->query;

	return query->jointree->fromlist == NIL && query->jointree->quals == NULL && query->cteList == NIL &&
		query->setOperations == NULL && query->distinctClause == NIL && query->groupClause == NIL &&
		query->groupingSets == NIL && query->havingQual == NULL && query->sortClause == NIL &&
		query->limitCount == NULL && query->limitOffset == NULL && query->rowMarks == NIL && !query->hasSubLinks &&
		!query->hasAggs && !query->hasWindowFuncs && !query->hasTargetSRFs;
}

/*
 * The query with the columns of the relation as parameters, numbered as they
 * are. Raises when it uses more of the row than columns that a changed row has.
 */
Query *
OutboxKeyViewQuery(const OutboxKeyView *view, Oid relation, Bitmapset **reads)
{
	RowColumns columns = {.view = view, .relation = relation, .as_parameters = true, .level = 1};
	Query *query = query_tree_mutator(view->query, replace_columns, &columns, 0);

	*reads = columns.reads;
	return query;
}

/* The same of a plain one: its expressions over a tuple of the relation, as Vars of entry 1. */
List *
OutboxKeyViewExpressions(const OutboxKeyView *view, Oid relation, Bitmapset **reads)
{
	RowColumns columns = {.view = view, .relation = relation, .level = 1};
	List *expressions = NIL;
	ListCell *lc;

	foreach (lc, view->query->targetList)
		expressions = lappend(expressions, replace_columns((Node *) lfirst_node(TargetEntry, lc)->expr, &columns));
	*reads = columns.reads;
	return expressions;
}

/*
 * The names of the row's columns in the key_query, and whether it is a list of
 * them and nothing else. For descriptions: NIL when the view is not what it was.
 */
List *
OutboxKeyViewColumns(const OutboxSourceConfig *source, bool *alone)
{
	OutboxKeyView view = {.what = "the key_query", .source = source->relation};
	List *names = NIL;
	Bitmapset *reads;
	int column = -1;
	Oid relation;
	ListCell *lc;

	*alone = false;
	view.query = get_rel_relkind(source->key_view) == RELKIND_VIEW ? lateral_query(source->key_view, &relation) : NULL;
	if (view.query == NULL || relation != source->relation)
		return NIL;
	*alone = OutboxKeyViewIsPlain(&view);
	foreach (lc, *alone ? OutboxKeyViewExpressions(&view, relation, &reads) : NIL)
	{
		if (IsA(lfirst(lc), Var))
			names = lappend(names, get_attname(relation, lfirst_node(Var, lc)->varattno, false));
		*alone &= IsA(lfirst(lc), Var);
	}
	if (*alone)
		return names;
	names = NIL;
	(void) OutboxKeyViewQuery(&view, relation, &reads);
	while ((column = bms_next_member(reads, column)) >= 0)
		names = lappend(names, get_attname(relation, column + FirstLowInvalidHeapAttributeNumber, false));
	return names;
}

/* outbox_internal.key_query_text(view): as add_source() takes it; NULL when the view is not there. */
Datum
outbox_key_query_text(PG_FUNCTION_ARGS)
{
	OutboxKeyView view = {0};
	SubLink *query = makeNode(SubLink);
	StringInfoData text;
	List *context;
	ListCell *lc;

	if (!OidIsValid(PG_GETARG_OID(0)) || get_rel_relkind(PG_GETARG_OID(0)) != RELKIND_VIEW)
		PG_RETURN_NULL();
	view.query = lateral_query(PG_GETARG_OID(0), &view.source);
	if (view.query == NULL)
		PG_RETURN_NULL();
	context = deparse_context_for(OUTBOX_KEY_ROW_NAME, view.source);
	initStringInfo(&text);
	if (!OutboxKeyViewIsPlain(&view))
	{
		query->subLinkType = EXPR_SUBLINK;
		query->subselect = (Node *) view.query;
		appendStringInfoString(&text, deparse_expression((Node *) query, context, true, false));
		/* without the parentheses around it */
		text.data[text.len - 1] = '\0';
		PG_RETURN_TEXT_P(cstring_to_text(text.data + strspn(text.data, "( ")));
	}
	IncrementVarSublevelsUp((Node *) view.query->targetList, -1, 1);
	foreach (lc, view.query->targetList)
		appendStringInfo(&text, "%s%s", text.len ? ", " : "",
						 deparse_expression((Node *) lfirst_node(TargetEntry, lc)->expr, context, true, false));
	PG_RETURN_TEXT_P(cstring_to_text_with_len(text.data, text.len));
}

/* The LATERAL query of a view, and the relation beside it; NULL when the view has another form. */
static Query *
lateral_query(Oid view, Oid *source)
{
	Query *query = OutboxViewQuery(view);
	List *from = query->jointree->fromlist;
	RangeTblEntry *row;
	RangeTblEntry *lateral;
	ListCell *lc;

	if (list_length(from) != 2 || !IsA(linitial(from), RangeTblRef) || !IsA(lsecond(from), RangeTblRef) ||
		query->jointree->quals || query->setOperations || query->distinctClause || query->groupClause ||
		query->sortClause || query->limitCount || query->limitOffset || query->cteList || query->rowMarks)
		return NULL;
	row = rt_fetch(linitial_node(RangeTblRef, from)->rtindex, query->rtable);
	lateral = rt_fetch(lsecond_node(RangeTblRef, from)->rtindex, query->rtable);
	if (row->rtekind != RTE_RELATION || row->tablesample || lateral->rtekind != RTE_SUBQUERY)
		return NULL;
	foreach (lc, query->targetList)
	{
		if (!is_column(lfirst(lc), lsecond_node(RangeTblRef, from)->rtindex, foreach_current_index(lc) + 1))
			return NULL;
	}
	ChangeVarNodes((Node *) lateral->subquery, linitial_node(RangeTblRef, from)->rtindex, ROW_VARNO, 1);
	*source = row->relid;
	return lateral->subquery;
}

static bool
is_column(const TargetEntry *entry, int varno, int number)
{
	const Var *var = (Var *) entry->expr;

	return IsA(var, Var) && var->varno == varno && var->varattno == number && var->varlevelsup == 0;
}

static Node *
replace_columns(Node *node, void *arg)
{
	RowColumns *columns = arg;

	if (node == NULL)
		return NULL;
	if (IsA(node, Query))
	{
		Query *query;

		columns->level++;
		query = query_tree_mutator((Query *) node, replace_columns, arg, 0);
		columns->level--;
		return (Node *) query;
	}
	if (IsA(node, Var) && ((Var *) node)->varlevelsup == columns->level)
		return row_column(columns, (Var *) node);
	return expression_tree_mutator(node, replace_columns, arg);
}

static Node *
row_column(RowColumns *columns, const Var *column)
{
	AttrNumber attno = column->varattno;
	Param *param;

	check_column(columns->view, column);
	if (columns->relation != columns->view->source)
		attno = get_attnum(columns->relation, get_attname(columns->view->source, attno, false));
	columns->reads = bms_add_member(columns->reads, attno - FirstLowInvalidHeapAttributeNumber);
	if (!columns->as_parameters)
		return (Node *) makeVar(1, attno, column->vartype, column->vartypmod, column->varcollid, 0);
	param = makeNode(Param);
	param->paramkind = PARAM_EXTERN;
	param->paramid = attno;
	param->paramtype = column->vartype;
	param->paramtypmod = column->vartypmod;
	param->paramcollid = column->varcollid;
	param->location = -1;
	return (Node *) param;
}

static void
check_column(const OutboxKeyView *view, const Var *column)
{
	if (column->varattno <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("%s must name columns of the row", view->what),
				 parser_errposition(view->pstate, column->location)));
	if (OutboxAttributeIsVirtual(view->source, column->varattno))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("%s must not use the virtual generated column \"%s\"", view->what,
						get_attname(view->source, column->varattno, false)),
				 errhint("A changed row does not have its value: write its expression over stored columns."),
				 parser_errposition(view->pstate, column->location)));
}
