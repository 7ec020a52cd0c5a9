/*-------------------------------------------------------------------------
 *
 * cached_expression.c
 *	  Planned expressions over a row, which know when they are out of date.
 *
 * The server makes cached expressions for checks of domains, which have no columns.
 * Ours have columns, but no range table. The planner of PostgreSQL 19 looks into
 * the range table whether a column that is tested for NULL can be NULL. It does not
 * look when an outer join may make rows of NULLs, so we tell it that. It is true:
 * the old row of an INSERT is missing. And the planned expression would not notice
 * that a NOT NULL is dropped later.
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
 * Plans an expression, or a list of them, whose Vars are columns of rows. The
 * result's is_valid becomes false when a function or type behind it changes. The
 * result is freed with `context`. Raises as the planner does, which folds constants
 * and so runs functions.
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

/* Marks all columns as columns of rows that may be missing. */
static bool
set_missing(Node *node, void *missing)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
		OutboxSetRowMayBeMissing((Var *) node, *(bool *) missing);
	return expression_tree_walker(node, set_missing, missing);
}

/* A callback of the memory context: the plan cache keeps a cached expression in memory of its own. */
static void
free_expression(void *cached)
{
	FreeCachedExpression(cached);
}
