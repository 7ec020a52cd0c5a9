/*-------------------------------------------------------------------------
 *
 * lineage.c
 *	  The columns of tables behind a column of a view, and behind a field of a
 *	  row in it.
 *
 * A column's expression is followed down through views, subqueries, WITH and
 * joins to columns of tables. What an expression computes with counts, conditions
 * of CASE included; WHERE, ON, GROUP BY and ORDER BY do not, since they decide which
 * rows there are. A materialized view counts as a table.
 *
 * A path of field names goes along: behind array_agg(x) the field x.sku of the
 * rows has the column sku of x behind it.
 *
 * Only definitions are read, which every role may read: no right is asked for.
 * Nothing is waited for. What cannot be followed is left out, never an error.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteHandler.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/typcache.h"

#include "catalog/outbox_catalog.h"
#include "compat.h"
#include "contract/documents/documents_private.h"
#include "contract/view/view.h"

/* A query that was followed with one column and path before adds nothing. */
typedef struct Visit
{
	const Query *query;
	AttrNumber column;
	const char *path;
} Visit;

/* A view's query is read once: Visit tells queries apart by their address. */
typedef struct ReadView
{
	Oid view;
	Query *query;
} ReadView;

/* More than a person reads; views over views can multiply what there is to follow. */
#define MAX_STEPS 100000

/* Of the fields behind a field; a recursive query can make it longer with each step. */
#define MAX_PATH 64

typedef struct Walk
{
	OutboxLineage *lineage;
	OutboxScope *scope;
	List *path; /* of char *: the fields that are left to go down */
} Walk;

static Query *view_query(OutboxLineage *lineage, Oid view);
static bool trace(Node *node, void *context);
static void trace_with(const Walk *walk, Node *node, OutboxScope *scope, List *path);
static void trace_query(OutboxLineage *lineage, Query *query, OutboxScope *outer, AttrNumber column, List *path);
static void trace_entry(const Walk *walk, OutboxScope *scope, int varno, AttrNumber column, List *path);
static bool trace_row(const Walk *walk, RowExpr *row);

/* Adds what is behind a column of a view, or behind the field that a path leads to in it. */
void
OutboxTraceColumn(OutboxLineage *lineage, Oid view, AttrNumber column, List *path)
{
	trace_query(lineage, view_query(lineage, view), NULL, column, path);
}

static Query *
view_query(OutboxLineage *lineage, Oid view)
{
	ReadView *read;
	ListCell *lc;

	foreach (lc, lineage->views)
	{
		read = lfirst(lc);
		if (read->view == view)
			return read->query;
	}
	read = palloc(sizeof(ReadView));
	*read = (ReadView){.view = view, .query = OutboxViewQuery(view)};
	lineage->views = lappend(lineage->views, read);
	return read->query;
}

/* The query around, that many levels up; NULL: it is not known. */
OutboxScope *
OutboxScopeUp(OutboxScope *scope, Index levels)
{
	while (scope != NULL && levels-- > 0)
		scope = scope->outer;
	return scope;
}

static char *
path_text(const List *path)
{
	char *text = "";
	ListCell *lc;

	foreach (lc, path)
		text = psprintf("%s.%s", text, (char *) lfirst(lc));
	return text;
}

static bool
visited(OutboxLineage *lineage, const Query *query, AttrNumber column, const List *path)
{
	const char *text = path_text(path);
	Visit *visit;
	ListCell *lc;

	foreach (lc, lineage->seen)
	{
		visit = lfirst(lc);
		if (visit->query == query && visit->column == column && strcmp(visit->path, text) == 0)
			return true;
	}
	visit = palloc(sizeof(Visit));
	*visit = (Visit){.query = query, .column = column, .path = text};
	lineage->seen = lappend(lineage->seen, visit);
	return false;
}

static void
add_origin(OutboxLineage *lineage, Oid relation, AttrNumber column)
{
	OutboxOrigin *origin;
	ListCell *lc;

	foreach (lc, lineage->origins)
	{
		origin = lfirst(lc);
		if (origin->relation == relation && origin->column == column)
			return;
	}
	origin = palloc(sizeof(OutboxOrigin));
	*origin = (OutboxOrigin){.relation = relation, .column = column};
	lineage->origins = lappend(lineage->origins, origin);
}

/* Follows one column of a query's result. */
static void
trace_query(OutboxLineage *lineage, Query *query, OutboxScope *outer, AttrNumber column, List *path)
{
	OutboxScope scope = {.query = query, .outer = outer};
	Walk walk = {.lineage = lineage, .scope = &scope, .path = path};
	TargetEntry *entry;
	ListCell *lc;

	check_stack_depth();
	CHECK_FOR_INTERRUPTS();
	if (++lineage->steps > MAX_STEPS || list_length(path) > MAX_PATH || visited(lineage, query, column, path))
		return;
	if (query->setOperations != NULL)
	{
		foreach (lc, query->rtable)
		{
			RangeTblEntry *rte = lfirst_node(RangeTblEntry, lc);

			if (rte->rtekind == RTE_SUBQUERY)
				trace_query(lineage, rte->subquery, &scope, column, path);
		}
		return;
	}
	entry = get_tle_by_resno(query->targetList, column);
	if (entry != NULL)
		(void) trace((Node *) entry->expr, &walk);
}

static CommonTableExpr *
find_cte(OutboxScope *scope, const RangeTblEntry *rte)
{
	ListCell *lc;

	foreach (lc, scope->query->cteList)
	{
		CommonTableExpr *cte = lfirst_node(CommonTableExpr, lc);

		if (strcmp(cte->ctename, rte->ctename) == 0)
			return cte;
	}
	return NULL;
}

static void
trace_relation(OutboxLineage *lineage, const RangeTblEntry *rte, AttrNumber column, List *path)
{
	if (get_rel_relkind(rte->relid) == RELKIND_VIEW)
		trace_query(lineage, view_query(lineage, rte->relid), NULL, column, path);
	else if (get_rel_relkind(rte->relid) != '\0')
		add_origin(lineage, rte->relid, column);
}

/* Follows one column of an entry of FROM. */
static void
trace_entry(const Walk *walk, OutboxScope *scope, int varno, AttrNumber column, List *path)
{
	RangeTblEntry *rte = rt_fetch(varno, scope->query->rtable);
	CommonTableExpr *cte;
	ListCell *lc;

	switch (rte->rtekind)
	{
		case RTE_RELATION:
			trace_relation(walk->lineage, rte, column, path);
			break;
		case RTE_SUBQUERY:
			trace_query(walk->lineage, rte->subquery, scope, column, path);
			break;
		case RTE_JOIN:
			if (column <= list_length(rte->joinaliasvars))
				trace_with(walk, list_nth(rte->joinaliasvars, column - 1), scope, path);
			break;
		case RTE_CTE:
			scope = OutboxScopeUp(scope, rte->ctelevelsup);
			cte = scope != NULL ? find_cte(scope, rte) : NULL;
			if (cte != NULL && IsA(cte->ctequery, Query))
				trace_query(walk->lineage, (Query *) cte->ctequery, scope, column, path);
			break;
		case RTE_VALUES:
			foreach (lc, rte->values_lists)
				trace_with(walk, list_nth(lfirst(lc), column - 1), scope, path);
			break;
		case RTE_FUNCTION:
			foreach (lc, rte->functions)
				trace_with(walk, lfirst_node(RangeTblFunction, lc)->funcexpr, scope, path);
			break;
		case RTE_TABLEFUNC:
			trace_with(walk, (Node *) rte->tablefunc, scope, NIL);
			break;
		default:
			/* PostgreSQL 18 has entries for what is grouped by */
			if (column <= list_length(OutboxGroupExpressions(rte)))
				trace_with(walk, list_nth(OutboxGroupExpressions(rte), column - 1), scope, path);
			break;
	}
}

static void
trace_with(const Walk *walk, Node *node, OutboxScope *scope, List *path)
{
	Walk inner = {.lineage = walk->lineage, .scope = scope, .path = path};

	(void) trace(node, &inner);
}

/* The number of a column of an entry by its name now; 0 for none. */
AttrNumber
OutboxEntryColumn(const RangeTblEntry *rte, const char *name)
{
	AttrNumber number = 0;
	ListCell *lc;

	if (rte->rtekind == RTE_RELATION)
		return Max(get_attnum(rte->relid, name), 0);
	foreach (lc, rte->eref->colnames)
	{
		number++;
		if (strcmp(strVal(lfirst(lc)), name) == 0)
			return number;
	}
	return 0;
}

static void
trace_var(const Walk *walk, Var *var)
{
	OutboxScope *scope = OutboxScopeUp(walk->scope, var->varlevelsup);
	RangeTblEntry *rte;
	AttrNumber column;

	if (scope == NULL || var->varno <= 0 || var->varno > list_length(scope->query->rtable) || var->varattno < 0)
		return;
	if (var->varattno > 0)
	{
		trace_entry(walk, scope, var->varno, var->varattno, walk->path);
		return;
	}
	/* the whole row */
	rte = rt_fetch(var->varno, scope->query->rtable);
	if (walk->path != NIL)
	{
		column = OutboxEntryColumn(rte, linitial(walk->path));
		if (column > 0)
			trace_entry(walk, scope, var->varno, column, list_copy_tail(walk->path, 1));
		return;
	}
	for (column = 1; column <= list_length(rte->eref->colnames); column++)
		trace_entry(walk, scope, var->varno, column, NIL);
}

/* True: the path led to one of its fields. */
static bool
trace_row(const Walk *walk, RowExpr *row)
{
	const char *name = linitial(walk->path);
	TupleDesc desc = row->row_typeid != RECORDOID ? lookup_rowtype_tupdesc_noerror(row->row_typeid, -1, true) : NULL;
	bool found = false;

	for (int i = 0; i < list_length(row->args) && !found; i++)
	{
		const char *field = desc != NULL && i < desc->natts ? NameStr(TupleDescAttr(desc, i)->attname)
			: i < list_length(row->colnames)                ? strVal(list_nth(row->colnames, i))
															: "";

		found = strcmp(field, name) == 0;
		if (found)
			trace_with(walk, list_nth(row->args, i), walk->scope, list_copy_tail(walk->path, 1));
	}
	if (desc != NULL)
		ReleaseTupleDesc(desc);
	return found;
}

static void
trace_sublink(const Walk *walk, SubLink *link)
{
	Query *query = castNode(Query, link->subselect);
	OutboxScope scope = {.query = query, .outer = walk->scope};

	if (link->subLinkType == EXPR_SUBLINK || link->subLinkType == ARRAY_SUBLINK)
	{
		trace_query(walk->lineage, query, walk->scope, 1, walk->path);
		return;
	}
	/* EXISTS and IN: the answer is in the condition */
	trace_with(walk, link->testexpr, walk->scope, NIL);
	trace_query(walk->lineage, query, walk->scope, 1, NIL);
	if (query->jointree != NULL)
		trace_with(walk, query->jointree->quals, &scope, NIL);
}

static bool
trace_field_select(const Walk *walk, FieldSelect *select)
{
	Oid type = exprType((Node *) select->arg);
	TupleDesc desc = type != RECORDOID ? lookup_rowtype_tupdesc_domain(type, -1, true) : NULL;
	char *name = desc != NULL && select->fieldnum <= desc->natts ? pstrdup(NameStr(TupleDescAttr(desc, select->fieldnum - 1)->attname)) : NULL;

	if (desc != NULL)
		ReleaseTupleDesc(desc);
	trace_with(walk, (Node *) select->arg, walk->scope, name != NULL ? lcons(name, list_copy(walk->path)) : NIL);
	return false;
}

static bool
trace(Node *node, void *context)
{
	Walk *walk = context;
	char *map;

	if (node == NULL)
		return false;
	switch (nodeTag(node))
	{
		case T_Var:
			trace_var(walk, (Var *) node);
			return false;
		case T_SubLink:
			trace_sublink(walk, (SubLink *) node);
			return false;
		case T_FieldSelect:
			return trace_field_select(walk, (FieldSelect *) node);
		case T_RowExpr:
			if (walk->path != NIL && trace_row(walk, (RowExpr *) node))
				return false;
			break;
		case T_TargetEntry:
			/* what an aggregate orders its input by */
			if (((TargetEntry *) node)->resjunk)
				return false;
			break;
		default:
			map = OutboxDecodeMap(node);
			if (map != NULL)
				walk->lineage->maps = lappend(walk->lineage->maps, map);
			break;
	}
	return expression_tree_walker(node, trace, context);
}
