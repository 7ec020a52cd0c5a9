/*-------------------------------------------------------------------------
 *
 * evaluate.c
 *	  A compiled contract applied to rows of its source.
 *
 * No query and no planner: the projections run on the tuples that are at hand.
 * This is the hot path of capture. preview() runs the same code.
 *
 * Call these between OutboxEvaluationStart and OutboxEvaluationStop, in the
 * contract's row_context. They may raise if OUTBOX_RAISES is among
 * contract->traits, or when a value is stored out of line or compressed. The
 * start itself may raise if contract->stale. In these cases the caller guards
 * the call.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "utils/memutils.h"

#include "compat.h"
#include "contract/codes/codes.h"
#include "contract/compile/compile_private.h"

/*
 * How deep evaluations may be nested. They nest when a function behind a view
 * writes to a source. Each may write several rows, so their number grows
 * exponentially: the limit of the stack would end them only after hours.
 */
#define MAX_DEPTH 4

/* Which of the contract's columns a projection has; the others are NULL. */
typedef enum Columns
{
	ALL_COLUMNS,
	KEY_COLUMNS,
	MESSAGE_KEY_COLUMNS
} Columns;

static void raise_too_deep(const OutboxCompiledContract *contract);
static bool evaluate_row(OutboxCompiledContract *contract, TupleTableSlot *source, ProjectionInfo *project);
static ProjectionInfo *build_projection(OutboxCompiledContract *contract, TupleTableSlot *slot, Columns columns);
static bool is_among(const int *columns, int ncolumns, int column);
static void set_sides(OutboxCompiledContract *contract, TupleTableSlot *before, TupleTableSlot *after);
static bool evaluate_rule(OutboxCompiledContract *contract, ExprState *state, bool *isnull);

/* Forgets the rows of the contract that were computed last, and frees what was allocated for them. */
void
OutboxEvaluateReset(OutboxCompiledContract *contract)
{
	ExecClearTuple(contract->before);
	ExecClearTuple(contract->after);
	ExecClearTuple(contract->key_row);
	if (!contract->stale)
		ResetExprContext(contract->econtext);
	MemoryContextReset(contract->row_context);
}

/*
 * Enters evaluation: from here to OutboxEvaluationStop() code runs with the rights
 * and settings of the contract. An error in between leaves the contract stale.
 * Raises only if the contract is stale before.
 */
void
OutboxEvaluationStart(OutboxCompiledContract *contract, OutboxEvaluation *evaluation)
{
	/* building the executor state checks rights on functions */
	OutboxEvaluationBegin(evaluation, contract->owner, contract->stale ? OUTBOX_ANYTHING : contract->traits);
	if (contract->stale)
		OutboxBuildExecutor(contract);
	contract->stale = true;
}

/* Leaves evaluation, and keeps the executor state for the next row. */
void
OutboxEvaluationStop(OutboxCompiledContract *contract, const OutboxEvaluation *evaluation)
{
	contract->stale = false;
	OutboxEvaluationEnd(evaluation);
}

/*
 * Call it after a caught error, before the next evaluation: the rows that were
 * computed so far stay readable while the executor state is built anew.
 */
void
OutboxEvaluationFailed(OutboxCompiledContract *contract)
{
	TupleTableSlot *rows[] = {contract->before, contract->after, contract->key_row};

	for (int i = 0; i < lengthof(rows); i++)
	{
		if (!TTS_EMPTY(rows[i]))
			ExecMaterializeSlot(rows[i]);
	}
}

/* Counts a failure of this contract in the running transaction. Returns how many it has now. */
uint64
OutboxCountFailure(OutboxCompiledContract *contract)
{
	if (contract->failing_transaction != OutboxLocalTransactionId())
	{
		contract->failing_transaction = OutboxLocalTransactionId();
		contract->failures = 0;
	}
	return ++contract->failures;
}

/* Fills contract->before from the source's row. False: the row is not in the view. */
bool
OutboxEvaluateBefore(OutboxCompiledContract *contract, TupleTableSlot *source)
{
	return evaluate_row(contract, source, contract->project_before);
}

/* Fills contract->after from the source's row. False: the row is not in the view. */
bool
OutboxEvaluateAfter(OutboxCompiledContract *contract, TupleTableSlot *source)
{
	return evaluate_row(contract, source, contract->project_after);
}

/* Fills contract->key_row with the key columns. All others are NULL. */
void
OutboxEvaluateKey(OutboxCompiledContract *contract, TupleTableSlot *source)
{
	contract->econtext->ecxt_scantuple = source;
	ExecProject(contract->project_key);
}

/*
 * Fills contract->key_row with the key columns and those of aggregate_id. All
 * others are NULL. Only for contracts with contract->makes_tombstones.
 */
void
OutboxEvaluateMessageKey(OutboxCompiledContract *contract, TupleTableSlot *source)
{
	contract->econtext->ecxt_scantuple = source;
	ExecProject(contract->project_message_key);
}

/*
 * Fills contract->before when the row before is not known: with the key columns
 * of contract->key_row, or with NULL alone if that is empty. All others are NULL.
 */
void
OutboxBeforeFromKey(OutboxCompiledContract *contract)
{
	TupleTableSlot *slot = contract->before;

	ExecStoreAllNullTuple(slot);
	if (TTS_EMPTY(contract->key_row))
		return;
	for (int i = 0; i < contract->nkey; i++)
	{
		slot->tts_values[contract->key[i]] = contract->key_row->tts_values[contract->key[i]];
		slot->tts_isnull[contract->key[i]] = contract->key_row->tts_isnull[contract->key[i]];
	}
	ExecMaterializeSlot(slot);
}

static bool
evaluate_row(OutboxCompiledContract *contract, TupleTableSlot *source, ProjectionInfo *project)
{
	if (OutboxEvaluationDepth() > MAX_DEPTH && (contract->traits & OUTBOX_FOREIGN))
		raise_too_deep(contract);
	OutboxForgetUnknownCodes();
	contract->econtext->ecxt_scantuple = source;
	if (contract->qual_state && !ExecQual(contract->qual_state, contract->econtext))
		return false;
	ExecProject(project);
	return true;
}

static void
raise_too_deep(const OutboxCompiledContract *contract)
{
	ereport(ERROR,
			(errcode(ERRCODE_STATEMENT_TOO_COMPLEX),
			 errmsg("contract \"%s\" is evaluated within %d other evaluations", contract->config->name, MAX_DEPTH),
			 errdetail("A function behind its view writes to its source, or to that of another contract which does the same."),
			 errhint("Let a trigger of the table write such rows, instead of a function that a view calls.")));
}

/* Is the event type's condition true of these rows? A NULL slot stands for a row of NULLs. */
bool
OutboxConditionHolds(OutboxCompiledContract *contract, OutboxCompiledEventType *type,
					 TupleTableSlot *before, TupleTableSlot *after)
{
	bool isnull;

	if (type->condition_state == NULL)
		return true;
	set_sides(contract, before, after);
	return evaluate_rule(contract, type->condition_state, &isnull) && !isnull;
}

/*
 * The name of the first check of the event type that is false of the published
 * row; NULL when none is. NULL for `before` or `after` stands for a row of NULLs.
 */
const OutboxCheckConfig *
OutboxFailedCheck(OutboxCompiledContract *contract, OutboxCompiledEventType *type,
				  TupleTableSlot *row, TupleTableSlot *before, TupleTableSlot *after)
{
	if (type->nchecks == 0)
		return NULL;
	set_sides(contract, before, after);
	contract->econtext->ecxt_scantuple = row;
	for (int i = 0; i < type->nchecks; i++)
	{
		bool isnull;

		if (!evaluate_rule(contract, type->checks[i].state, &isnull) && !isnull)
			return type->checks[i].config;
	}
	return NULL;
}

/* Gives conditions and checks their rows old and new. */
static void
set_sides(OutboxCompiledContract *contract, TupleTableSlot *before, TupleTableSlot *after)
{
	TupleTableSlot *absent = contract->absent;

	contract->econtext->ecxt_innertuple = before ? before : absent;
	contract->econtext->ecxt_outertuple = after ? after : absent;
}

static bool
evaluate_rule(OutboxCompiledContract *contract, ExprState *state, bool *isnull)
{
	MemoryContext caller = MemoryContextSwitchTo(contract->econtext->ecxt_per_tuple_memory);
	Datum result = ExecEvalExpr(state, contract->econtext, isnull);

	MemoryContextSwitchTo(caller);
	return !*isnull && DatumGetBool(result);
}

/*
 * Builds the executor state anew: a caught error may have left it half-way. The
 * plans it is built from stay. Checks rights on functions, so call it with the
 * rights of the contract's owner. May raise.
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
