/*-------------------------------------------------------------------------
 *
 * reach_record.c
 *	  Which types are in the anonymous records of an expression or query.
 *
 * Such a record has no type of its own that names its fields. Printing, comparing or
 * reading it uses the types of its fields, which only the place that made the record
 * knows. The way from there is not followed here. Instead all records that are made
 * anywhere count as one. Where nothing tells the fields, they may be anything
 * (OutboxReachUnseen).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"

#include "contract/reach/reach_private.h"

static bool is_record(Oid type);
static bool reach_result(OutboxReach *reach, Node *call, Oid function);
static bool reach_var(OutboxReach *reach, const Var *var);
static bool reach_columns(OutboxReach *reach, const RangeTblEntry *entry);
static bool reach_function_columns(OutboxReach *reach, const List *functions);
static bool reach_expressions(OutboxReach *reach, const List *expressions);
static bool reach_types(OutboxReach *reach, const List *types);
static bool reach_field(OutboxReach *reach, Oid type);
static bool reach_unknown(OutboxReach *reach);

/* Notes that something is done with an anonymous record. Which one is not known. */
bool
OutboxReachRecord(OutboxReach *reach, int use)
{
	reach->record_use |= use;
	if (reach->record_unknown)
		return OutboxReachUnseen(reach);
	for (int i = 0; i < list_length(reach->record_fields); i++) /* the list may grow meanwhile */
	{
		if (OutboxReachType(reach, list_nth_oid(reach->record_fields, i), use))
			return true;
	}
	return false;
}

/* Is an anonymous record made at the node? Then notes its fields. */
bool
OutboxReachRecordMade(OutboxReach *reach, Node *node)
{
	switch (nodeTag(node))
	{
		case T_RowExpr:
			return is_record(((RowExpr *) node)->row_typeid) && reach_expressions(reach, ((RowExpr *) node)->args);
		case T_FuncExpr:
			return is_record(((FuncExpr *) node)->funcresulttype) && reach_result(reach, node, ((FuncExpr *) node)->funcid);
		case T_OpExpr:
			return is_record(((OpExpr *) node)->opresulttype) && reach_result(reach, node, get_opcode(((OpExpr *) node)->opno));
		case T_Aggref:
			return is_record(((Aggref *) node)->aggtype) && reach_result(reach, node, ((Aggref *) node)->aggfnoid);
		case T_WindowFunc:
			return is_record(((WindowFunc *) node)->wintype) && reach_result(reach, node, ((WindowFunc *) node)->winfnoid);
		case T_Var:
			return is_record(((Var *) node)->vartype) && reach_var(reach, (Var *) node);
		case T_Const:
			return is_record(((Const *) node)->consttype) && !((Const *) node)->constisnull && reach_unknown(reach);
		case T_Param:
			return is_record(((Param *) node)->paramtype) && reach_unknown(reach);
		default: /* passes on records that others make */
			return false;
	}
}

static bool
is_record(Oid type)
{
	return type == RECORDOID || type == RECORDARRAYOID;
}

/* A polymorphic function returns a record that it was given. */
static bool
reach_result(OutboxReach *reach, Node *call, Oid function)
{
	TupleDesc row;

	if (!is_record(get_func_rettype(function)) || call == reach->defined)
		return false;
	if (get_expr_result_type(call, NULL, &row) != TYPEFUNC_COMPOSITE)
		return reach_unknown(reach);
	for (int i = 0; i < row->natts; i++)
	{
		Oid type = TupleDescAttr(row, i)->atttypid;

		if (is_record(type) ? reach_unknown(reach) : reach_field(reach, type))
			return true;
	}
	return false;
}

static bool
reach_var(OutboxReach *reach, const Var *var)
{
	int level = list_length(reach->queries) - 1 - (int) var->varlevelsup;
	Query *query = level >= 0 ? list_nth_node(Query, reach->queries, level) : NULL;

	if (query == NULL || var->varno < 1 || var->varno > list_length(query->rtable))
		return reach_unknown(reach);
	/* a column was made below, where the walk looks at it by itself */
	return var->varattno == InvalidAttrNumber && reach_columns(reach, rt_fetch(var->varno, query->rtable));
}

static bool
reach_columns(OutboxReach *reach, const RangeTblEntry *entry)
{
	switch (entry->rtekind)
	{
		case RTE_SUBQUERY:
			return reach_expressions(reach, entry->subquery->targetList);
		case RTE_JOIN:
			return reach_expressions(reach, entry->joinaliasvars);
		case RTE_FUNCTION:
			return reach_function_columns(reach, entry->functions);
		case RTE_VALUES:
		case RTE_CTE:
		case RTE_TABLEFUNC:
			return reach_types(reach, entry->coltypes);
		default:
			return reach_unknown(reach);
	}
}

static bool
reach_function_columns(OutboxReach *reach, const List *functions)
{
	ListCell *lc;

	foreach (lc, functions)
	{
		RangeTblFunction *function = lfirst_node(RangeTblFunction, lc);

		if (reach_field(reach, exprType(function->funcexpr)) || reach_types(reach, function->funccoltypes))
			return true;
	}
	return false;
}

static bool
reach_expressions(OutboxReach *reach, const List *expressions)
{
	ListCell *lc;

	foreach (lc, expressions)
	{
		/* NULL: a column that was dropped */
		if (lfirst(lc) && reach_field(reach, OutboxReachedType(lfirst(lc))))
			return true;
	}
	return false;
}

static bool
reach_types(OutboxReach *reach, const List *types)
{
	ListCell *lc;

	foreach (lc, types)
	{
		if (reach_field(reach, lfirst_oid(lc)))
			return true;
	}
	return false;
}

/* A record inside a record was made somewhere, too. */
static bool
reach_field(OutboxReach *reach, Oid type)
{
	if (!OidIsValid(type) || is_record(type))
		return false;
	reach->record_fields = list_append_unique_oid(reach->record_fields, type);
	return OutboxReachType(reach, type, reach->record_use);
}

static bool
reach_unknown(OutboxReach *reach)
{
	reach->record_unknown = true;
	return reach->record_use != 0 && OutboxReachUnseen(reach);
}
