/*-------------------------------------------------------------------------
 *
 * expression.c
 *	  Conditions over a contract's rows, and what expressions may do.
 *
 * Two questions decide the cost of evaluating a row. May an expression raise? Then
 * it runs in a subtransaction. Which settings must be pinned around it
 * (evaluation.c)? In doubt both answers are yes: a wrong no would break a customer's
 * write, or make events depend on the writer.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/transam.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "parser/parse_collate.h"
#include "parser/parse_expr.h"
#include "parser/parse_relation.h"
#include "parser/parser.h"
#include "rewrite/rewriteManip.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "catalog/outbox_catalog.h"
#include "contract/environment/environment.h"
#include "contract/reach/reach.h"
#include "contract/view/view_private.h"

/* The text that is being parsed, for messages. */
typedef struct ConditionSource
{
	const char *owner;
	const char *text;
	bool with_row;
	bool pinned; /* it fitted the view once */
} ConditionSource;

static Node *parse_expression_text(const char *text, const char *owner);
static Node *parse_boolean(ConditionSource *source, Oid view);
static Query *columns_of(Relation rel);
static void add_row(ParseState *pstate, Query *columns, const char *alias, bool unqualified);
static void check_condition(ParseState *pstate, Node *expression, const char *owner);
static void condition_error_context(void *arg);
static bool is_whole_row(Node *node, void *context);
static bool add_traits(Oid function, Node *node, void *traits);
static bool node_traits_walker(Node *node, void *context);
static OutboxTraits collation_traits(Oid collation, List *args);
static bool is_volatile(Oid function, Node *node, void *name);

/*
 * Parses a boolean expression over old.<column> and new.<column> of a view. Names
 * are looked up in pg_catalog alone, so that the meaning does not depend on the
 * session. `owner` says in messages whose condition it is ("condition of event type
 * \"X\""). `pinned`: the condition is kept, so an error comes from a change of the
 * view, and nobody can write the condition otherwise. Raises errors that point into
 * the text and name the remedy.
 */
Node *
OutboxParseCondition(const char *text, Oid view, const char *owner, bool pinned)
{
	return parse_boolean(&(ConditionSource){.owner = owner, .text = text, .pinned = pinned}, view);
}

/* Parses a check in the same way. Unqualified names are columns of the published row. */
Node *
OutboxParseCheck(const char *text, Oid view, const char *owner, bool pinned)
{
	return parse_boolean(&(ConditionSource){.owner = owner, .text = text, .with_row = true, .pinned = pinned}, view);
}

static Node *
parse_boolean(ConditionSource *source, Oid view)
{
	const char *owner = source->owner;
	ParseState *pstate = make_parsestate(NULL);
	ErrorContextCallback callback = {.callback = condition_error_context, .arg = source};
	Relation rel = OutboxOpenWithoutWait(view);
	OutboxEvaluation evaluation;
	OutboxRunner runner;
	Node *raw;
	Node *expression;

	OutboxEvaluationBegin(&evaluation, OutboxRelationOwner(view), OUTBOX_COMPILING);
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	pstate->p_sourcetext = source->text;
	add_row(pstate, columns_of(rel), "old", false);
	add_row(pstate, columns_of(rel), "new", false);
	if (source->with_row)
		add_row(pstate, columns_of(rel), "row", true);
	raw = parse_expression_text(source->text, owner);
	OutboxRunnerOfView(&runner, view, owner);
	error_context_stack = callback.previous; /* the hint about syntax does not fit any more */
	OutboxCheckTextTrust(&runner, raw, RelationGetDescr(rel));
	error_context_stack = &callback;
	expression = transformExpr(pstate, raw, EXPR_KIND_OTHER);
	expression = coerce_to_boolean(pstate, expression, source->with_row ? "check" : "condition");
	assign_expr_collations(pstate, expression);
	error_context_stack = callback.previous;
	check_condition(pstate, expression, owner);
	OutboxCheckExpressionTrust(&runner, expression);
	OutboxRefuseVolatile(expression, owner);
	OutboxEvaluationEnd(&evaluation);
	relation_close(rel, NoLock);
	free_parsestate(pstate);
	return expression;
}

/* The raw tree of an expression. It is parsed as the only column of a SELECT; everything else is refused. */
static Node *
parse_expression_text(const char *text, const char *owner)
{
	List *statements = raw_parser(text, RAW_PARSE_PLPGSQL_EXPR);
	SelectStmt *select = (SelectStmt *) linitial_node(RawStmt, statements)->stmt;

	if (!IsA(select, SelectStmt) || list_length(select->targetList) != 1 || select->fromClause ||
		select->whereClause || select->groupClause || select->havingClause || select->windowClause ||
		select->sortClause || select->limitCount || select->limitOffset || select->lockingClause ||
		select->withClause || select->op != SETOP_NONE || select->distinctClause)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("%s is not an expression", owner)));
	return linitial_node(ResTarget, select->targetList)->val;
}

/*
 * A query with the view's columns. It stands for the view, because the parser takes
 * only relations that the caller has locked. We have no lock while somebody replaces
 * the view, and need nothing but its columns.
 */
static Query *
columns_of(Relation rel)
{
	TupleDesc desc = RelationGetDescr(rel);
	Query *query = makeNode(Query);

	query->commandType = CMD_SELECT;
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(desc, i);
		Const *value = makeNullConst(column->atttypid, column->atttypmod, column->attcollation);

		query->targetList = lappend(query->targetList,
									makeTargetEntry((Expr *) value, i + 1, pstrdup(NameStr(column->attname)), false));
	}
	return query;
}

/* Makes the columns of a row visible, under an alias or by their unqualified names. */
static void
add_row(ParseState *pstate, Query *columns, const char *alias, bool unqualified)
{
	ParseNamespaceItem *item = addRangeTableEntryForSubquery(pstate, columns, makeAlias(alias, NIL), false, false);

	addNSItemToQuery(pstate, item, false, !unqualified, unqualified);
}

/* Lets the parser's errors point into the text instead of the caller's statement, and adds the remedy. */
static void
condition_error_context(void *arg)
{
	ConditionSource *source = arg;
	int position = geterrposition();

	if (position > 0)
	{
		errposition(0);
		internalerrposition(position);
		internalerrquery(source->text);
	}
	errdetail("It is in the %s.", source->owner);
	if (source->pinned)
		errhint("Bring back what it names as it was, such as a column of the view with ALTER VIEW ... RENAME COLUMN. Or change it: a condition with outbox.alter_event_type(), a check with outbox.add_check(or_replace => true).");
	else if (source->with_row)
		errhint("Write a boolean expression over the columns of the published row, old.<column> and new.<column>; qualify names outside pg_catalog.");
	else
		errhint("Write a boolean expression over old.<column> and new.<column>; qualify names outside pg_catalog.");
}

static void
check_condition(ParseState *pstate, Node *expression, const char *owner)
{
	const char *construct = NULL;

	if (pstate->p_hasSubLinks)
		construct = "a subquery";
	else if (pstate->p_hasAggs)
		construct = "an aggregate function";
	else if (pstate->p_hasWindowFuncs)
		construct = "a window function";
	else if (pstate->p_hasTargetSRFs || expression_returns_set(expression))
		construct = "a set-returning function";
	else if (is_whole_row(expression, NULL))
		construct = "a whole row";
	if (construct)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("%s must not use %s", owner, construct),
				 errdetail("It is evaluated for every changed row, on the contract's rows before and after alone."),
				 errhint("Compute it as a column of the contract's view, or compare old.<column> and new.<column>.")));
}

static bool
is_whole_row(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
		return ((Var *) node)->varattno == InvalidAttrNumber;
	return expression_tree_walker(node, is_whole_row, context);
}

/*
 * Raises for a volatile function, however the expression reaches it: such a
 * function must not run while a row is written. `owner` says in the message whose
 * expression it is.
 */
void
OutboxRefuseVolatile(Node *expression, const char *owner)
{
	char *name = NULL;

	if (!OutboxReachFunctions(expression, is_volatile, &name) && !contain_volatile_functions(expression))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("%s must not use the volatile function \"%s\"", owner, name ? name : "?"),
			 errdetail("It may give another value at each call, and may write."),
			 errhint("Use an immutable or stable expression, or store the value in the source table.")));
}

/* What evaluating a planned expression may do that concerns its caller. Takes no lock. */
OutboxTraits
OutboxExpressionTraits(Node *expression)
{
	OutboxTraits traits = 0;

	(void) OutboxReachFunctions(expression, add_traits, &traits);
	(void) node_traits_walker(expression, &traits);
	return traits;
}

/* What turning a value of this type into text may do that concerns the caller. Takes no lock. */
OutboxTraits
OutboxTextTraits(Oid type)
{
	OutboxTraits traits = 0;

	(void) OutboxReachOutput(type, add_traits, &traits);
	return traits;
}

static bool
add_traits(Oid function, Node *node, void *traits)
{
	*(OutboxTraits *) traits |= OutboxFunctionTraits(function);
	return false;
}

/* Adds what nodes do by themselves, beside the functions that they call. */
static bool
node_traits_walker(Node *node, void *context)
{
	OutboxTraits *traits = context;

	if (node == NULL)
		return false;
	switch (nodeTag(node))
	{
		case T_List:
		case T_TargetEntry:
		case T_Var:
		case T_Const:
		case T_RelabelType:
		case T_CaseExpr:
		case T_CaseWhen:
		case T_CaseTestExpr:
		case T_CoalesceExpr:
		case T_BoolExpr:
		case T_NullTest:
		case T_BooleanTest:
			break;
		case T_FuncExpr:
			*traits |= collation_traits(((FuncExpr *) node)->inputcollid, ((FuncExpr *) node)->args);
			break;
		case T_OpExpr:
		case T_DistinctExpr: /* the same struct */
		case T_NullIfExpr:
			*traits |= collation_traits(((OpExpr *) node)->inputcollid, ((OpExpr *) node)->args);
			break;
		case T_ScalarArrayOpExpr:
			*traits |= collation_traits(((ScalarArrayOpExpr *) node)->inputcollid, ((ScalarArrayOpExpr *) node)->args);
			break;
		case T_SQLValueFunction: /* the date of now depends on the zone, the user on whom it runs as */
			*traits |= OUTBOX_READS_TIME | OUTBOX_RAISES;
			break;
		case T_XmlExpr:
			*traits |= OUTBOX_READS_XML | OUTBOX_READS_TIME | OUTBOX_SPEAKS | OUTBOX_RAISES;
			break;
		default:
			*traits |= OUTBOX_RAISES | OutboxCollationTraits(exprInputCollation(node), false);
			break;
	}
	return expression_tree_walker(node, node_traits_walker, context);
}

static OutboxTraits
collation_traits(Oid collation, List *args)
{
	bool collatable = false;
	ListCell *lc;

	foreach (lc, args)
		collatable |= OidIsValid(get_typcollation(exprType(lfirst(lc))));
	return OutboxCollationTraits(collation, collatable);
}

static bool
is_volatile(Oid function, Node *node, void *name)
{
	/* trust.c refuses code that nothing names */
	if (!OidIsValid(function) || func_volatile(function) != PROVOLATILE_VOLATILE)
		return false;
	*(char **) name = get_func_name(function);
	return true;
}
