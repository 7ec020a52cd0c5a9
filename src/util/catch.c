/*-------------------------------------------------------------------------
 *
 * catch.c
 *	  Catching an error, and going on in the same transaction.
 *
 * An error can only be caught safely by rolling a subtransaction back:
 * otherwise locks, buffer pins and snapshots of the failed code stay behind.
 * This is the only place that does so. What ends a whole transaction after an
 * error (the relay's processes) does it with PG_TRY and an abort instead.
 *
 * PostgreSQL rolls an internal subtransaction back into a transaction that is
 * running, and asserts that. While COMMIT or PREPARE TRANSACTION fires deferred
 * triggers and calls us back, it is not: its block state is that of a
 * transaction at its end. Releasing a subtransaction is fine there, so the one
 * to be rolled back gets a parent, which is released.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "tcop/pquery.h"
#include "utils/resowner.h"

#include "util/util.h"

static ErrorData *run(OutboxGuardedStep step, void *arg, MemoryContext context, bool undo);
static ErrorData *run_inner(OutboxGuardedStep step, void *arg, MemoryContext context, bool undo);
static bool transaction_may_be_ending(void);

/*
 * Runs step(arg) in an internal subtransaction. Returns NULL when it ended
 * well. Otherwise its effects are rolled back, and the error is returned,
 * allocated in `context`, or rethrown when must_rethrow says so.
 */
ErrorData *
OutboxCatch(OutboxGuardedStep step, void *arg, MemoryContext context, OutboxRethrowRule must_rethrow)
{
	ErrorData *error = run(step, arg, context, false);

	/* Only now: whoever catches it up there rolls back its own subtransaction, not ours. */
	if (error && must_rethrow(error))
		ReThrowError(error);
	return error;
}

/* Runs step(arg) in an internal subtransaction that is always rolled back. Returns the error, or NULL; rethrows nothing. */
ErrorData *
OutboxCatchAndUndo(OutboxGuardedStep step, void *arg, MemoryContext context)
{
	return run(step, arg, context, true);
}

static ErrorData *
run(OutboxGuardedStep step, void *arg, MemoryContext context, bool undo)
{
	MemoryContext caller = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	bool nested = transaction_may_be_ending();
	ErrorData *error;

	if (nested)
	{
		BeginInternalSubTransaction(NULL);
		MemoryContextSwitchTo(caller);
	}
	error = run_inner(step, arg, context, undo);
	if (nested)
	{
		ReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(caller);
		CurrentResourceOwner = owner;
	}
	return error;
}

static ErrorData *
run_inner(OutboxGuardedStep step, void *arg, MemoryContext context, bool undo)
{
	MemoryContext caller = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(caller);
	PG_TRY();
	{
		step(arg);
		if (!undo)
			ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
	}
	PG_END_TRY();
	if (undo || error)
		RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(caller);
	CurrentResourceOwner = owner;
	return error;
}

/*
 * PostgreSQL does not tell a transaction at its end from one in the middle. But a statement is run in the middle only,
 * and the two are different states in a transaction block only; a subtransaction is always running. A wrong "true", in
 * workers that open a block without running statements, takes a microsecond.
 */
static bool
transaction_may_be_ending(void)
{
	return ActivePortal == NULL && GetCurrentTransactionNestLevel() == 1 && IsTransactionBlock();
}
