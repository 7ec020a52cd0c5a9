/*-------------------------------------------------------------------------
 *
 * words.c
 *	  Which words a text column of a view can have.
 *
 * Where every value is a word of a code map, null, or a constant beside them, the
 * words are known: they are the enum of the JSON Schema. An expression is followed
 * through views, subqueries, joins and COALESCE or CASE. Anything else may be any
 * text.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteHandler.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

#include "catalog/outbox_catalog.h"
#include "contract/documents/documents_private.h"
#include "contract/view/view.h"

/* Longer chains of expressions are no words of anybody. */
#define MAX_DEPTH 100

static bool words_of(OutboxWords *words, OutboxScope *scope, Node *node, List *path, int depth);

/* The map that a call of outbox.decode() names by a constant; NULL for any other node. */
char *
OutboxDecodeMap(Node *node)
{
	Node *map;

	if (!IsA(node, FuncExpr) || !OutboxIsDecode(((FuncExpr *) node)->funcid))
		return NULL;
	map = linitial(((FuncExpr *) node)->args);
	while (map != NULL && IsA(map, RelabelType))
		map = (Node *) ((RelabelType *) map)->arg;
	if (map == NULL || !IsA(map, Const) || ((Const *) map)->constisnull || ((Const *) map)->consttype != TEXTOID)
		return NULL;
	return TextDatumGetCString(((Const *) map)->constvalue);
}

/*
 * Is every value of the column, or of a field in it, a word of a code map, null, or
 * a constant beside them? *words gets them.
 */
bool
OutboxColumnWords(OutboxWords *words, Oid view, AttrNumber column, List *path)
{
	Query *query = OutboxViewQuery(view);
	OutboxScope scope = {.query = query};
	TargetEntry *entry = get_tle_by_resno(query->targetList, column);

	return entry != NULL && query->setOperations == NULL && words_of(words, &scope, (Node *) entry->expr, path, 0) && words->maps != NIL;
}

/* Follows a Var to the one expression that it stands for. */
static bool
words_of_var(OutboxWords *words, OutboxScope *scope, Var *var, List *path, int depth)
{
	RangeTblEntry *rte;
	OutboxScope inner = {0};
	AttrNumber column = var->varattno;
	TargetEntry *entry;

	scope = OutboxScopeUp(scope, var->varlevelsup);
	if (scope == NULL || var->varno <= 0 || var->varno > list_length(scope->query->rtable) || column < 0)
		return false;
	rte = rt_fetch(var->varno, scope->query->rtable);
	if (column == 0 && path != NIL)
	{
		column = OutboxEntryColumn(rte, linitial(path));
		path = list_copy_tail(path, 1);
	}
	if (column <= 0)
		return false;
	if (rte->rtekind == RTE_JOIN && column <= list_length(rte->joinaliasvars))
		return words_of(words, scope, list_nth(rte->joinaliasvars, column - 1), path, depth + 1);
	if (rte->rtekind == RTE_SUBQUERY)
		inner = (OutboxScope){.query = rte->subquery, .outer = scope};
	else if (rte->rtekind == RTE_RELATION && get_rel_relkind(rte->relid) == RELKIND_VIEW)
		inner.query = OutboxViewQuery(rte->relid);
	if (inner.query == NULL || inner.query->setOperations != NULL)
		return false;
	entry = get_tle_by_resno(inner.query->targetList, column);
	return entry != NULL && words_of(words, &inner, (Node *) entry->expr, path, depth + 1);
}

static bool
words_of_const(OutboxWords *words, Const *constant, const List *path)
{
	Oid output;
	bool is_varlena;

	/* the empty array beside an aggregate of rows */
	if (constant->constisnull || (path != NIL && OidIsValid(get_element_type(constant->consttype)) && ARR_NDIM(DatumGetArrayTypeP(constant->constvalue)) == 0))
		return true;
	if (constant->consttype != TEXTOID && constant->consttype != VARCHAROID)
		return false;
	getTypeOutputInfo(constant->consttype, &output, &is_varlena);
	words->constants = lappend(words->constants, OidOutputFunctionCall(output, constant->constvalue));
	return true;
}

static bool
words_of_all(OutboxWords *words, OutboxScope *scope, List *nodes, List *path, int depth)
{
	ListCell *lc;

	foreach (lc, nodes)
	{
		if (!words_of(words, scope, lfirst(lc), path, depth + 1))
			return false;
	}
	return true;
}

static bool
words_of_case(OutboxWords *words, OutboxScope *scope, CaseExpr *choice, List *path, int depth)
{
	ListCell *lc;

	foreach (lc, choice->args)
	{
		if (!words_of(words, scope, (Node *) lfirst_node(CaseWhen, lc)->result, path, depth + 1))
			return false;
	}
	return choice->defresult == NULL || words_of(words, scope, (Node *) choice->defresult, path, depth + 1);
}

static bool
words_of(OutboxWords *words, OutboxScope *scope, Node *node, List *path, int depth)
{
	char *map;

	if (node == NULL || depth > MAX_DEPTH)
		return false;
	switch (nodeTag(node))
	{
		case T_Var:
			return words_of_var(words, scope, (Var *) node, path, depth);
		case T_Const:
			return words_of_const(words, (Const *) node, path);
		case T_RelabelType:
			return words_of(words, scope, (Node *) ((RelabelType *) node)->arg, path, depth + 1);
		case T_CollateExpr:
			return words_of(words, scope, (Node *) ((CollateExpr *) node)->arg, path, depth + 1);
		case T_CoalesceExpr:
			return words_of_all(words, scope, ((CoalesceExpr *) node)->args, path, depth);
		case T_CaseExpr:
			return words_of_case(words, scope, (CaseExpr *) node, path, depth);
		case T_Aggref:
			/* the fields of rows that are put into an array */
			return path != NIL && ((Aggref *) node)->aggfnoid == F_ARRAY_AGG_ANYNONARRAY && list_length(((Aggref *) node)->args) > 0 &&
				words_of(words, scope, (Node *) linitial_node(TargetEntry, ((Aggref *) node)->args)->expr, path, depth + 1);
		default:
			map = OutboxDecodeMap(node);
			if (map == NULL)
				return false;
			words->maps = lappend(words->maps, map);
			return true;
	}
}
