/*-------------------------------------------------------------------------
 *
 * push_lookup.c
 *	  A condition on the root's rows, put where the view reads them.
 *
 * The condition is on the source's own columns and not on the view's, because
 * order_id::int = 7 would find no index. One column is compared with = ANY ($1),
 * which an index scan takes directly. Several are joined to the rows of
 * unnest($1, $2, ...).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_operator.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/tlist.h"
#include "parser/parse_collate.h"
#include "parser/parse_oper.h"
#include "parser/parse_relation.h"
#include "parser/parsetree.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "compat.h"
#include "contract/view/view_private.h"

#define LOOKUP_NAME "outbox_lookup_%d"

static Param *key_parameter(const OutboxContractConfig *config, const Var *column, int number);
static Node *equals_any(const Var *column, Param *keys);
static Node *join_keys(Query *query, List *columns, List *keys);
static RangeTblEntry *unnest_entry(List *keys);
static List *equality_operator(Oid type);
static List *select_columns(const OutboxContractConfig *config, const OutboxRootPath *path, int depth, List *columns);
static void name_column(RangeTblEntry *rte, int resno, int number);
static void refuse_grouping(const OutboxContractConfig *config, const Var *column);
static bool keeps_apart(Query *query, List *clauses, Node *column);
static int select_column(Query *query, Node *column, int number, bool top);
static void append_target(Query *query, Expr *expression, int number);

/*
 * Restricts the root's rows to the keys in $1, $2, ...: arrays of equal length with
 * one element per key, keys distinct. Appends the lookup columns to the view's
 * columns. Changes the queries of `path`. *array_types: the parameters' types,
 * palloc'd. Raises when a column cannot be looked up or selected.
 */
void
OutboxPushLookup(const OutboxContractConfig *config, const OutboxRootPath *path, Oid **array_types)
{
	OutboxRootLevel *base = llast(path->levels);
	FromExpr *jointree = base->query->jointree;
	List *keys = NIL;
	List *columns = path->lookup;
	Node *condition;
	ListCell *lc;

	*array_types = palloc(sizeof(Oid) * list_length(path->lookup));
	foreach (lc, path->lookup)
	{
		int number = foreach_current_index(lc);
		Param *key = key_parameter(config, lfirst(lc), number + 1);

		(*array_types)[number] = key->paramtype;
		keys = lappend(keys, key);
	}
	if (list_length(keys) == 1)
		condition = equals_any(linitial(columns), linitial(keys));
	else
		condition = join_keys(base->query, columns, keys);
	jointree->quals = make_and_qual(jointree->quals, condition);

	for (int i = list_length(path->levels) - 1; i >= 0; i--)
	{
		columns = select_columns(config, path, i, columns);
	}
}

static Param *
key_parameter(const OutboxContractConfig *config, const Var *column, int number)
{
	Param *param = makeNode(Param);
	Oid element = getBaseType(column->vartype);

	param->paramkind = PARAM_EXTERN;
	param->paramid = number;
	param->paramtype = get_array_type(element);
	param->paramtypmod = -1;
	param->paramcollid = column->varcollid;
	param->location = -1;
	if (!OidIsValid(param->paramtype) || !OidIsValid(lookup_type_cache(element, TYPECACHE_EQ_OPR)->eq_opr))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("column \"%s\" of the source \"%s\" cannot be looked up",
						get_attname(config->root, column->varattno, false), get_rel_name(config->root)),
				 errdetail("Its type %s has no equality, or no array type.", format_type_be(column->vartype)),
				 errhint("Choose a key that is made from other columns.")));
	return param;
}

/* column = ANY (keys) */
static Node *
equals_any(const Var *column, Param *keys)
{
	ParseState *pstate = make_parsestate(NULL);
	Node *condition = (Node *) make_scalar_array_op(pstate, equality_operator(column->vartype), true,
													copyObject((Node *) column), (Node *) keys, -1);

	assign_expr_collations(pstate, condition);
	free_parsestate(pstate);
	return condition;
}

/* Adds ROWS FROM (unnest(keys), ...) to FROM, and returns the condition that joins it. */
static Node *
join_keys(Query *query, List *columns, List *keys)
{
	ParseState *pstate = make_parsestate(NULL);
	RangeTblRef *ref = makeNode(RangeTblRef);
	Node *condition = NULL;
	ListCell *lc;

	query->rtable = lappend(query->rtable, unnest_entry(keys));
	ref->rtindex = list_length(query->rtable);
	query->jointree->fromlist = lappend(query->jointree->fromlist, ref);
	foreach (lc, columns)
	{
		Var *column = lfirst_node(Var, lc);
		int number = foreach_current_index(lc);
		Param *key = list_nth_node(Param, keys, number);
		Var *element = makeVar(ref->rtindex, number + 1, get_element_type(key->paramtype), -1,
							   key->paramcollid, 0);

		condition = make_and_qual(condition, (Node *) make_op(pstate, equality_operator(column->vartype), copyObject((Node *) column), (Node *) element, NULL, -1));
	}
	assign_expr_collations(pstate, condition);
	free_parsestate(pstate);
	return condition;
}

static RangeTblEntry *
unnest_entry(List *keys)
{
	ParseState *pstate = make_parsestate(NULL);
	RangeFunction *range = makeNode(RangeFunction);
	RangeTblEntry *rte;
	List *names = NIL;
	List *calls = NIL;
	List *definitions = NIL;
	List *columns = NIL;
	ListCell *lc;

	foreach (lc, keys)
	{
		Param *key = lfirst_node(Param, lc);
		FuncExpr *call = makeFuncExpr(F_UNNEST_ANYARRAY, get_element_type(key->paramtype), list_make1(key),
									  key->paramcollid, key->paramcollid, COERCE_EXPLICIT_CALL);

		call->funcretset = true;
		names = lappend(names, "unnest");
		calls = lappend(calls, call);
		definitions = lappend(definitions, NIL);
		columns = lappend(columns, makeString(psprintf("key_%d", foreach_current_index(lc) + 1)));
	}
	range->is_rowsfrom = true;
	range->alias = makeAlias("outbox_keys", columns);
	rte = addRangeTableEntryForFunction(pstate, names, calls, definitions, range, false, true)->p_rte;
	free_parsestate(pstate);
	return rte;
}

/* The qualified name of the type's own "=", in any schema. */
static List *
equality_operator(Oid type)
{
	Oid operator= lookup_type_cache(getBaseType(type), TYPECACHE_EQ_OPR)->eq_opr;
	HeapTuple tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(operator));
	Form_pg_operator form;
	List *name;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for operator %u", operator);
	form = (Form_pg_operator) GETSTRUCT(tuple);
	name = list_make2(makeString(get_namespace_name(form->oprnamespace)), makeString(pstrdup(NameStr(form->oprname))));
	ReleaseSysCache(tuple);
	return name;
}

/*
 * Adds the columns to the query at a depth. Returns the Vars that stand for them in
 * the query above.
 */
static List *
select_columns(const OutboxContractConfig *config, const OutboxRootPath *path, int depth, List *columns)
{
	Query *query = ((OutboxRootLevel *) list_nth(path->levels, depth))->query;
	OutboxRootLevel *parent = depth > 0 ? list_nth(path->levels, depth - 1) : NULL;
	bool grouped = query->groupClause || query->hasAggs || query->havingQual;
	List *outside = NIL;
	ListCell *lc;

	foreach (lc, columns)
	{
		if ((!grouped || keeps_apart(query, query->groupClause, lfirst(lc))) &&
			(!query->distinctClause || keeps_apart(query, query->distinctClause, lfirst(lc))))
			continue;
		refuse_grouping(config, list_nth_node(Var, path->lookup, foreach_current_index(lc)));
	}
	foreach (lc, columns)
	{
		Node *column = lfirst(lc);
		int number = foreach_current_index(lc) + 1;
		int resno = select_column(query, column, number, parent == NULL);

		if (parent == NULL)
			continue;
		name_column(rt_fetch(parent->varno, parent->query->rtable), resno, number);
		outside = lappend(outside, makeVar(parent->varno, resno, exprType(column), exprTypmod(column), exprCollation(column), 0));
	}
	return outside;
}

/* Adds the names of the columns to the subquery's entry in the query above. */
static void
name_column(RangeTblEntry *rte, int resno, int number)
{
	if (list_length(rte->eref->colnames) < resno)
		rte->eref->colnames = lappend(rte->eref->colnames, makeString(psprintf(LOOKUP_NAME, number)));
}

static void
refuse_grouping(const OutboxContractConfig *config, const Var *column)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("the view \"%s\" cannot be read by its key", get_rel_name(config->view)),
			 errdetail("It uses GROUP BY or DISTINCT on rows of the source \"%s\" without \"%s\", a column behind the key.",
					   get_rel_name(config->root), get_attname(config->root, column->varattno, false)),
			 errhint("Add the source's column itself to GROUP BY or DISTINCT, or aggregate in a LATERAL subquery beside the source.")));
}

/* Does GROUP BY or DISTINCT compare the column itself? */
static bool
keeps_apart(Query *query, List *clauses, Node *column)
{
	ListCell *lc;

	foreach (lc, clauses)
	{
		Node *expression = get_sortgroupclause_expr(lfirst_node(SortGroupClause, lc), query->targetList);

		if (equal(OutboxFlattenVars(query, expression), column))
			return true;
	}
	return false;
}

/* The number of the column in the query's result. In the topmost query the lookup columns always come last. */
static int
select_column(Query *query, Node *column, int number, bool top)
{
	ListCell *lc;
	int nvisible = 0;

	foreach (lc, query->targetList)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, lc);

		if (!entry->resjunk)
			nvisible++;
		if (!top && !entry->resjunk && equal(OutboxFlattenVars(query, (Node *) entry->expr), column))
			return entry->resno;
	}
	append_target(query, (Expr *) copyObject(column), number);
	return nvisible + 1;
}

/* Adds a column after the visible columns and before the junk ones, whose numbers nobody refers to. */
static void
append_target(Query *query, Expr *expression, int number)
{
	List *visible = NIL;
	List *junk = NIL;
	ListCell *lc;
	int resno = 0;

	foreach (lc, query->targetList)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, lc);

		if (entry->resjunk)
			junk = lappend(junk, entry);
		else
			visible = lappend(visible, entry);
	}
	visible = lappend(visible, makeTargetEntry(expression, 0, psprintf(LOOKUP_NAME, number), false));
	query->targetList = list_concat(visible, junk);
	foreach (lc, query->targetList)
		lfirst_node(TargetEntry, lc)->resno = ++resno;
}
