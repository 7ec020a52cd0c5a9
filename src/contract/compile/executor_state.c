/*-------------------------------------------------------------------------
 *
 * executor_state.c
 *	  What the executor needs to evaluate a compiled contract.
 *
 * It is thrown away and built anew after every caught error, which may have
 * left it half-way; the plans it is built from stay.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "utils/memutils.h"

#include "contract/compile/compile_private.h"

/* Which of the contract's columns a projection has; the others are NULL. */
typedef enum Columns
{
	ALL_COLUMNS,
	KEY_COLUMNS,
	MESSAGE_KEY_COLUMNS
} Columns;

static ProjectionInfo *build_projection(OutboxCompiledContract *contract, TupleTableSlot *slot, Columns columns);
static bool is_among(const int *columns, int ncolumns, int column);

/*
 * Builds the executor state anew. Checks rights on functions, so only as the
 * contract's owner, and may raise.
 */
void
OutboxBuildExecutor(OutboxCompiledContract *contract)
{
	MemoryContext caller;

	contract->stale = true;
	MemoryContextReset(contract->exec_context);
	caller = MemoryContextSwitchTo(contract->exec_context);
	contract->econtext = CreateStandaloneExprContext();
	contract->qual_state = contract->qual ? ExecInitQual(contract->qual, NULL) : NULL;
	if (contract->columns)
	{
		contract->project_before = build_projection(contract, contract->before, ALL_COLUMNS);
		contract->project_after = build_projection(contract, contract->after, ALL_COLUMNS);
		contract->project_key = build_projection(contract, contract->key_row, KEY_COLUMNS);
		if (contract->makes_tombstones)
			contract->project_message_key = build_projection(contract, contract->key_row, MESSAGE_KEY_COLUMNS);
	}
	for (int i = 0; i < contract->ntypes; i++)
	{
		OutboxCompiledEventType *type = &contract->types[i];

		type->condition_state = type->condition ? ExecInitExpr(type->condition, NULL) : NULL;
		for (int j = 0; j < type->nchecks; j++)
			type->checks[j].state = ExecInitExpr(type->checks[j].expression, NULL);
	}
	MemoryContextSwitchTo(caller);
	contract->stale = false;
}

static ProjectionInfo *
build_projection(OutboxCompiledContract *contract, TupleTableSlot *slot, Columns columns)
{
	List *targets = NIL;
	ListCell *lc;
	int column = 0;

	foreach (lc, contract->columns)
	{
		Expr *expression = lfirst(lc);

		if (columns != ALL_COLUMNS && !is_among(contract->key, contract->nkey, column) &&
			!(columns == MESSAGE_KEY_COLUMNS && is_among(contract->aggregate, contract->naggregate, column)))
			expression = (Expr *) makeNullConst(exprType((Node *) expression), -1, InvalidOid);
		targets = lappend(targets, makeTargetEntry(expression, ++column, NULL, false));
	}
	return ExecBuildProjectionInfo(targets, contract->econtext, slot, NULL, NULL);
}

static bool
is_among(const int *columns, int ncolumns, int column)
{
	for (int i = 0; i < ncolumns; i++)
	{
		if (columns[i] == column)
			return true;
	}
	return false;
}
