/*-------------------------------------------------------------------------
 *
 * compile_expressions.c
 *	  The expressions of a contract, planned together.
 *
 * All expressions of a contract go into one cached expression: its columns, its
 * WHERE clause, and the conditions and checks of its event types. The plan cache
 * then tells when a function or a type behind any of them changed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "rewrite/rewriteManip.h"

#include "contract/compile/compile_private.h"

static List *row_expressions(const OutboxViewExpansion *expansion, const Bitmapset *used);
static List *parse_rules(OutboxCompiledContract *contract);
static List *take_rule(Node *expression, Expr **rule, List *rest);
static Bitmapset *used_columns(const OutboxCompiledContract *contract, List *rules);
static Bitmapset *key_columns(const OutboxCompiledContract *contract);

/*
 * Plans the columns, the WHERE clause, the conditions and the checks of a contract
 * together. Without an expansion, for a contract that is evaluated at commit, a
 * query gives the columns. Columns that no schema, key or rule uses become NULL: a
 * column that is appended to the view later must neither cost nor fail. Raises
 * for functions that may not run with the rights of `runner`, and for volatile ones.
 */
void
OutboxPlanExpressions(OutboxCompiledContract *contract, OutboxViewExpansion *expansion, const OutboxRunner *runner)
{
	List *rules = parse_rules(contract);
	Bitmapset *used = used_columns(contract, rules);
	List *expressions = expansion ? row_expressions(expansion, used) : NIL;

	OutboxCheckExpressionTrust(runner, (Node *) expressions);
	if (expansion == NULL)
		contract->query = OutboxPlanCommitQuery(contract->config, used);
	if (expansion == NULL && contract->makes_tombstones)
		contract->key_query = OutboxPlanCommitQuery(contract->config, key_columns(contract));
	contract->cached = OutboxCacheExpression(list_concat(expressions, rules), contract->context);

	expressions = copyObject((List *) contract->cached->expr);
	/* a function may have been replaced since the contract was created */
	OutboxRefuseVolatile((Node *) expressions, psprintf("contract \"%s\"", contract->config->name));
	contract->traits |= OutboxExpressionTraits((Node *) expressions);

	if (expansion)
	{
		contract->columns = list_copy_head(expressions, contract->ncolumns);
		contract->qual = (List *) list_nth(expressions, contract->ncolumns);
		expressions = list_copy_tail(expressions, contract->ncolumns + 1);
	}
	for (int i = 0; i < contract->ntypes; i++)
	{
		OutboxCompiledEventType *type = &contract->types[i];

		expressions = take_rule(linitial(expressions), &type->condition, expressions);
		for (int j = 0; j < type->nchecks; j++)
			expressions = take_rule(linitial(expressions), &type->checks[j].expression, expressions);
	}
}

/* The view's columns, the unused ones as NULL, and then its WHERE clause. */
static List *
row_expressions(const OutboxViewExpansion *expansion, const Bitmapset *used)
{
	List *expressions = NIL;
	ListCell *lc;
	int column = 0;

	foreach (lc, expansion->columns)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, lc);

		if (bms_is_member(column++, used))
			expressions = lappend(expressions, entry->expr);
		else
			expressions = lappend(expressions, makeNullConst(exprType((Node *) entry->expr), exprTypmod((Node *) entry->expr), exprCollation((Node *) entry->expr)));
	}
	return lappend(expressions, make_ands_implicit((Expr *) expansion->qual));
}

/*
 * The conditions (NULL: none) and checks of all event types. OutboxPlanExpressions() takes them back in the same
 * order.
 */
static List *
parse_rules(OutboxCompiledContract *contract)
{
	Oid view = contract->config->view;
	List *rules = NIL;

	for (int i = 0; i < contract->ntypes; i++)
	{
		OutboxEventTypeConfig *type = contract->types[i].config;
		ListCell *lc;

		rules = lappend(rules, type->condition == NULL ? NULL : OutboxParseCondition(type->condition, view, psprintf("condition of event type \"%s\"", type->name), true));
		foreach (lc, type->checks)
		{
			OutboxCheckConfig *check = lfirst(lc);

			rules = lappend(rules, OutboxParseCheck(check->expression, view, psprintf("check \"%s\" of event type \"%s\"", check->name, type->name), true));
		}
	}
	return rules;
}

/*
 * Takes the first of the planned rules. Its rows old and new become the executor's inner and outer tuples; the row
 * of a check stays the scan tuple. Returns the list without the rule.
 */
static List *
take_rule(Node *expression, Expr **rule, List *rest)
{
	if (expression)
	{
		ChangeVarNodes(expression, OUTBOX_OLD_VARNO, INNER_VAR, 0);
		ChangeVarNodes(expression, OUTBOX_NEW_VARNO, OUTER_VAR, 0);
	}
	*rule = (Expr *) expression;
	return list_delete_first(rest);
}

/* The numbers (from 0) of the columns that a schema, the key, a rule, a previous_* field or a header uses. */
static Bitmapset *
used_columns(const OutboxCompiledContract *contract, List *rules)
{
	Bitmapset *attributes = NULL;
	Bitmapset *used = NULL;
	int attribute = -1;

	pull_varattnos((Node *) rules, OUTBOX_OLD_VARNO, &attributes);
	pull_varattnos((Node *) rules, OUTBOX_NEW_VARNO, &attributes);
	pull_varattnos((Node *) rules, OUTBOX_ROW_VARNO, &attributes);
	while ((attribute = bms_next_member(attributes, attribute)) >= 0)
		used = bms_add_member(used, attribute + FirstLowInvalidHeapAttributeNumber - 1);
	for (int i = 0; i < contract->ncolumns; i++)
	{
		if (contract->compared[i])
			used = bms_add_member(used, i);
	}
	used = bms_add_members(used, key_columns(contract));
	for (int i = 0; i < contract->ntypes; i++)
	{
		for (int j = 0; j < contract->types[i].nprevious; j++)
			used = bms_add_member(used, contract->types[i].previous[j]);
		for (int j = 0; j < contract->types[i].nheaders; j++)
			used = bms_add_member(used, contract->types[i].headers[j].column);
	}
	return used;
}

/* The numbers (from 0) of the columns of the contract's key and of aggregate_id. */
static Bitmapset *
key_columns(const OutboxCompiledContract *contract)
{
	Bitmapset *columns = NULL;

	for (int i = 0; i < contract->nkey; i++)
		columns = bms_add_member(columns, contract->key[i]);
	for (int i = 0; i < contract->naggregate; i++)
		columns = bms_add_member(columns, contract->aggregate[i]);
	return columns;
}
