/*-------------------------------------------------------------------------
 *
 * cached_expression.c
 *	  Planned expressions over a row, which know when they are out of date.
 *
 * The server keeps cached expressions for checks of domains, which have no
 * columns. Ours have, and no range table that says of what. The planner of
 * PostgreSQL 19 looks there whether a column that is tested for NULL can be
 * NULL, unless something above it makes rows of NULLs. That is no fiction: the
 * old row of an INSERT is missing. It also keeps the answer out of
 * the expression, which would not notice that NOT NULL is dropped.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/nodeFuncs.h"
#include "utils/memutils.h"

#include "compat.h"
#include "contract/view/view_private.h"

static bool set_missing(Node *node, void *missing);
static void free_expression(void *cached);

/*
 * Plans expressions, or a list of them, whose Vars are columns of rows. The result's is_valid becomes false when a
 * function or type behind them changes. It is freed with the memory context. Raises what the planner raises: it folds
 * constants.
 */
CachedExpression *
OutboxCacheExpression(const void *expressions, MemoryContext context)
{
	Node *copy = (Node *) copyObjectImpl(expressions);
	MemoryContextCallback *release = MemoryContextAllocZero(context, sizeof(MemoryContextCallback));
	CachedExpression *cached;
	bool missing = true;

	set_missing(copy, &missing);
	cached = GetCachedExpression(copy);
	release->func = free_expression;
	release->arg = cached;
	MemoryContextRegisterResetCallback(context, release);

	missing = false;
	set_missing(cached->expr, &missing);
	return cached;
}

/* Whether the rows of all columns may be missing. */
static bool
set_missing(Node *node, void *missing)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
		OutboxSetRowMayBeMissing((Var *) node, *(bool *) missing);
	return expression_tree_walker(node, set_missing, missing);
}

/* The plan cache keeps a cached expression in memory of its own. */
static void
free_expression(void *cached)
{
	FreeCachedExpression(cached);
}
