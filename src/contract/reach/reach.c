/*-------------------------------------------------------------------------
 *
 * reach.c
 *	  Which functions evaluating an expression, or planning and running a
 *	  query, may call.
 *
 * In doubt it finds too many. A built-in function that takes values of any type may
 * print, compare or hash them, so it reaches the functions of these types that do
 * so. A column that is only passed on reaches no function of its type.
 *
 * This is the one place that answers the question. Others ask here and then judge
 * one function at a time: may it raise, is it volatile, which settings does it read,
 * who owns it?
 *
 * It finds functions; operators with their negators and commutators; casts, explicit
 * and implicit; casts through text, with the output and input functions of the
 * types, of their elements and of their attributes; checks of domains; aggregates
 * with all their parts; window functions; comparison and hash functions of types
 * whose values are compared; and defaults of arguments that a call leaves out. It
 * finds the same for fields of anonymous records and of column definition lists. It
 * does not look into the bodies of functions: their owners are responsible for them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "nodes/nodeFuncs.h"
#include "nodes/parsenodes.h"
#include "parser/parse_coerce.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "compat.h"
#include "contract/reach/reach_private.h"

static bool run(OutboxReach *reach, Node *node);
static bool walk(Node *node, void *reach);
static bool report(Oid function, void *reach);
static bool reach_parts(OutboxReach *reach, Node *node);
static bool reach_json(OutboxReach *reach, Node *node);
static bool reach_call(OutboxReach *reach, Oid function, List *args, Oid result);
static bool reach_defaults(OutboxReach *reach, Oid function, int nargs);
static bool reach_operator(OutboxReach *reach, Oid opno, Oid function, List *args);
static bool reach_comparisons(OutboxReach *reach, const RowCompareExpr *row);
static bool reach_aggregate(OutboxReach *reach, Oid function, List *args);
static bool reach_text_cast(OutboxReach *reach, const CoerceViaIO *cast);
static bool reach_types_of(OutboxReach *reach, List *args, int use);
static bool reach_list(OutboxReach *reach, const List *types, int use);
static bool reach_definition(OutboxReach *reach, const RangeTblFunction *function);
static bool reach_sort(OutboxReach *reach, const SortGroupClause *clause);
static bool takes_any(Oid type);

/*
 * Calls the callback for all functions behind an expression, a list of expressions,
 * or a Query with its views expanded (OutboxRewrittenView). All of these may be
 * planned or not. True: a call of the callback returned true. Takes no lock.
 */
bool
OutboxReachFunctions(Node *node, OutboxReachedFunction callback, void *arg)
{
	return run(&(OutboxReach){.callback = callback, .arg = arg}, node);
}

/*
 * As OutboxReachFunctions() for a query, and also for the expressions that planning
 * evaluates: those of indexes, their predicates, checks, partition keys and extended
 * statistics of the tables that the query reads, and of their partitions.
 */
bool
OutboxReachFunctionsPlanned(Query *query, OutboxReachedFunction callback, void *arg)
{
	return run(&(OutboxReach){.callback = callback, .arg = arg, .planning = true}, (Node *) query);
}

/*
 * As OutboxReachFunctions(), for the functions that turn a value of the type into text: its output function and those
 * of its elements.
 */
bool
OutboxReachOutput(Oid type, OutboxReachedFunction callback, void *arg)
{
	return OutboxReachType(&(OutboxReach){.callback = callback, .arg = arg}, type, OUTBOX_REACH_OUTPUT);
}

static bool
run(OutboxReach *reach, Node *node)
{
	bool result = walk(node, reach);

	list_free(reach->seen);
	list_free(reach->seen_uses);
	list_free(reach->families);
	list_free(reach->operators);
	list_free(reach->record_fields);
	return result;
}

/* A node and what is inside of it. This and all functions below return true when the callback did. */
static bool
walk(Node *node, void *context)
{
	OutboxReach *reach = context;

	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		bool result;

		reach->queries = lappend(reach->queries, node);
		result = query_tree_walker((Query *) node, walk, reach, QTW_EXAMINE_RTES_BEFORE | QTW_EXAMINE_SORTGROUP);
		reach->queries = list_delete_last(reach->queries);
		return result;
	}
	/* the walker comes to its parts by itself */
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *entry = (RangeTblEntry *) node;

		return reach->planning && entry->rtekind == RTE_RELATION && OutboxReachTable(reach, entry->relid);
	}
	reach->node = node;
	if (check_functions_in_node(node, report, reach) || reach_parts(reach, node) || OutboxReachRecordMade(reach, node))
		return true;
	return expression_tree_walker(node, walk, reach);
}

bool
OutboxReachFunction(OutboxReach *reach, Oid function)
{
	return OidIsValid(function) && reach->callback(function, reach->node, reach->arg);
}

/* Reports code that nothing names. */
bool
OutboxReachUnseen(OutboxReach *reach)
{
	return reach->callback(InvalidOid, reach->node, reach->arg);
}

/* Walks an expression that a function or planning evaluates. */
bool
OutboxReachInside(OutboxReach *reach, Node *node)
{
	Node *caller = reach->node;
	bool result = walk(node, reach);

	reach->node = caller;
	return result;
}

/* Reaches a function that is called by its name. A type calls its input function with its own name only. */
static bool
report(Oid function, void *arg)
{
	OutboxReach *reach = arg;

	if (OutboxReachFunction(reach, function))
		return true;
	return !IsA(reach->node, CoerceViaIO) && OutboxRunsUnseen(function) && OutboxReachUnseen(reach);
}

/* Reaches what a node calls beside the functions that it names. */
static bool
reach_parts(OutboxReach *reach, Node *node)
{
	switch (nodeTag(node))
	{
		case T_FuncExpr:
			return reach_call(reach, ((FuncExpr *) node)->funcid, ((FuncExpr *) node)->args, ((FuncExpr *) node)->funcresulttype);
		case T_OpExpr:
		case T_DistinctExpr: /* the same struct */
		case T_NullIfExpr:
			return reach_operator(reach, ((OpExpr *) node)->opno, ((OpExpr *) node)->opfuncid, ((OpExpr *) node)->args);
		case T_ScalarArrayOpExpr:
			return reach_operator(reach, ((ScalarArrayOpExpr *) node)->opno, ((ScalarArrayOpExpr *) node)->opfuncid,
								  ((ScalarArrayOpExpr *) node)->args) ||
				OutboxReachFunction(reach, ((ScalarArrayOpExpr *) node)->hashfuncid);
		case T_MinMaxExpr:
			return OutboxReachType(reach, ((MinMaxExpr *) node)->minmaxtype, OUTBOX_REACH_COMPARE);
		case T_CoerceViaIO:
			return reach_text_cast(reach, (CoerceViaIO *) node);
		case T_CoerceToDomain:
			return OutboxReachType(reach, ((CoerceToDomain *) node)->resulttype, OUTBOX_REACH_CHECK);
		case T_XmlExpr:
			return reach_types_of(reach, ((XmlExpr *) node)->named_args, OUTBOX_REACH_OUTPUT) ||
				reach_types_of(reach, ((XmlExpr *) node)->args, OUTBOX_REACH_OUTPUT);
		case T_SubscriptingRef:
			return OutboxReachFunction(reach, get_typsubscript(((SubscriptingRef *) node)->refcontainertype, NULL));
		case T_Aggref:
			return reach_aggregate(reach, ((Aggref *) node)->aggfnoid, ((Aggref *) node)->args);
		case T_WindowFunc:
			return reach_aggregate(reach, ((WindowFunc *) node)->winfnoid, ((WindowFunc *) node)->args);
		case T_WindowClause:
			return OutboxReachFunction(reach, ((WindowClause *) node)->startInRangeFunc) ||
				OutboxReachFunction(reach, ((WindowClause *) node)->endInRangeFunc);
		case T_SortGroupClause:
			return reach_sort(reach, (SortGroupClause *) node);
		case T_TargetEntry:
			return ((TargetEntry *) node)->ressortgroupref != 0 &&
				OutboxReachType(reach, OutboxReachedType(node), OUTBOX_REACH_COMPARE);
		case T_SetOperationStmt:
			return reach_list(reach, ((SetOperationStmt *) node)->colTypes, OUTBOX_REACH_COMPARE);
		case T_RowCompareExpr:
			return reach_comparisons(reach, (RowCompareExpr *) node);
		case T_RangeTblFunction:
			return reach_definition(reach, (RangeTblFunction *) node);
		case T_TableFunc:
			return reach_list(reach, ((TableFunc *) node)->coltypes, OUTBOX_REACH_INPUT);
		case T_TableSampleClause:
			return OutboxReachFunction(reach, ((TableSampleClause *) node)->tsmhandler);
		default:
			return reach_json(reach, node);
	}
}

/* SQL/JSON makes json of anything, and anything of json. */
static bool
reach_json(OutboxReach *reach, Node *node)
{
	List *values;

	if (!OutboxIsJsonExpression(node, &values))
		return false;
	return OutboxReachType(reach, exprType(node), OUTBOX_REACH_INPUT | OUTBOX_REACH_OUTPUT) ||
		reach_types_of(reach, values, OUTBOX_REACH_OUTPUT | OUTBOX_REACH_JSON);
}

/* A function that takes any type may do anything with the values. One that returns any type may make them from text. */
static bool
reach_call(OutboxReach *reach, Oid function, List *args, Oid result)
{
	Oid *declared;
	int ndeclared;
	Oid returned = get_func_signature(function, &declared, &ndeclared);
	bool any = false;
	/* the call's column definition list has the fields of a record */
	bool stop = takes_any(returned) && returned != RECORDOID && OidIsValid(result) && OutboxReachType(reach, result, OUTBOX_REACH_INPUT);

	for (int i = 0; i < ndeclared; i++)
		any |= takes_any(declared[i]);
	if (any && !stop)
		stop = reach_types_of(reach, args, OUTBOX_REACH_OUTPUT | OUTBOX_REACH_JSON | OUTBOX_REACH_COMPARE) ||
			(OutboxReadsIntoArgument(function) && reach_types_of(reach, args, OUTBOX_REACH_INPUT));
	if (!stop && list_length(args) < ndeclared)
		stop = reach_defaults(reach, function, list_length(args));
	pfree(declared);
	return stop;
}

/* Reaches the defaults of missing arguments. Before planning a call has only the arguments that are written there. */
static bool
reach_defaults(OutboxReach *reach, Oid function, int nargs)
{
	HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	bool result = false;
	bool isnull;
	Datum defaults;

	if (!HeapTupleIsValid(tuple))
		return false;
	defaults = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_proargdefaults, &isnull);
	if (!isnull)
		result = OutboxReachInside(reach, stringToNode(TextDatumGetCString(defaults)));
	ReleaseSysCache(tuple);
	return result;
}

/* Reaches the families of an operator: in a query it may become a hash or merge join, or a scan of an index. */
static bool
reach_operator(OutboxReach *reach, Oid opno, Oid function, List *args)
{
	if (reach_call(reach, OidIsValid(function) ? function : get_opcode(opno), args, InvalidOid))
		return true;
	if (opno < FirstUnpinnedObjectId)
		return reach->queries != NIL && OutboxReachOperatorFamilies(reach, opno);
	return OutboxReachOperator(reach, opno);
}

static bool
reach_comparisons(OutboxReach *reach, const RowCompareExpr *row)
{
	ListCell *family;
	ListCell *operator;

	forboth (family, row->opfamilies, operator, row->opnos)
	{
		if (OutboxReachFamily(reach, lfirst_oid(family)) || OutboxReachOperator(reach, lfirst_oid(operator)))
			return true;
	}
	return false;
}

static bool
reach_aggregate(OutboxReach *reach, Oid function, List *args)
{
	HeapTuple tuple = SearchSysCache1(AGGFNOID, ObjectIdGetDatum(function));
	bool result;

	if (reach_call(reach, function, args, InvalidOid))
		return true;
	if (!HeapTupleIsValid(tuple)) /* a window function proper */
		return false;
	{
		Form_pg_aggregate aggregate = (Form_pg_aggregate) GETSTRUCT(tuple);
		Oid parts[] = {aggregate->aggtransfn, aggregate->aggfinalfn, aggregate->aggcombinefn, aggregate->aggserialfn,
					   aggregate->aggdeserialfn, aggregate->aggmtransfn, aggregate->aggminvtransfn, aggregate->aggmfinalfn};

		result = OutboxReachOperator(reach, aggregate->aggsortop);
		for (int i = 0; i < lengthof(parts) && !result; i++)
			result = report(parts[i], reach);
	}
	ReleaseSysCache(tuple);
	return result;
}

static bool
reach_text_cast(OutboxReach *reach, const CoerceViaIO *cast)
{
	return OutboxReachType(reach, exprType((Node *) cast->arg), OUTBOX_REACH_OUTPUT) ||
		OutboxReachType(reach, cast->resulttype, OUTBOX_REACH_INPUT);
}

static bool
reach_types_of(OutboxReach *reach, List *args, int use)
{
	ListCell *lc;

	foreach (lc, args)
	{
		/* arguments of an aggregate are columns of the rows that it reads */
		if (OutboxReachType(reach, OutboxReachedType(lfirst(lc)), use))
			return true;
	}
	return false;
}

/* The type of an expression, or of the one in a TargetEntry. */
Oid
OutboxReachedType(Node *expression)
{
	return exprType(IsA(expression, TargetEntry) ? (Node *) ((TargetEntry *) expression)->expr : expression);
}

/* The columns of a column definition list are made from json. */
static bool
reach_definition(OutboxReach *reach, const RangeTblFunction *function)
{
	if (function->funccoltypes == NIL)
		return false;
	reach->defined = function->funcexpr;
	return reach_list(reach, function->funccoltypes, OUTBOX_REACH_INPUT);
}

static bool
reach_list(OutboxReach *reach, const List *types, int use)
{
	ListCell *lc;

	foreach (lc, types)
	{
		if (OutboxReachType(reach, lfirst_oid(lc), use))
			return true;
	}
	return false;
}

static bool
reach_sort(OutboxReach *reach, const SortGroupClause *clause)
{
	return OutboxReachFunction(reach, OidIsValid(clause->eqop) ? get_opcode(clause->eqop) : InvalidOid) ||
		OutboxReachOperator(reach, clause->eqop) || OutboxReachOperator(reach, clause->sortop);
}

static bool
takes_any(Oid type)
{
	return IsPolymorphicType(type) || type == ANYOID || type == RECORDOID || type == RECORDARRAYOID;
}
