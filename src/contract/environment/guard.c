/*-------------------------------------------------------------------------
 *
 * guard.c
 *	  Running what may raise inside a customer's transaction.
 *
 * This decides which errors are ours to swallow. Guarded steps write nothing of
 * ours, so their subtransactions (util/catch.c) get no transaction id.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/guc.h"

#include "contract/environment/environment_private.h"
#include "util/util.h"

static bool ends_transaction(const ErrorData *error);

volatile bool OutboxOwnCancel = false;

/*
 * Runs a step in a subtransaction. Returns the error that it raised, in `context`,
 * or NULL. Errors that are not ours to swallow are rethrown: a cancel, a
 * serialization failure, a full disk, corruption; each only if the server raised
 * it. A function's RAISE with such an SQLSTATE is an error like any other.
 */
ErrorData *
OutboxRunGuarded(OutboxGuardedStep step, void *arg, MemoryContext context)
{
	return OutboxCatch(step, arg, context, OutboxMustRethrow);
}

/*
 * As OutboxRunGuarded(), for work whose pieces may each fail on their own, even when
 * storage cannot be read. Only errors are rethrown after which the transaction
 * cannot, or shall not, go on.
 */
ErrorData *
OutboxRunIsolated(OutboxGuardedStep step, void *arg, MemoryContext context)
{
	return OutboxCatch(step, arg, context, ends_transaction);
}

/*
 * Is it useless to go on after the error, or against somebody's wish? A
 * serialization failure counts only in a transaction with one snapshot: otherwise
 * trying the whole transaction again would not help.
 */
static bool
ends_transaction(const ErrorData *error)
{
	return OutboxIsDiskFull(error) || OutboxIsIntervention(error) ||
		(OutboxIsSerializationFailure(error) && IsolationUsesXactSnapshot());
}

/*
 * Is this an error that is not ours to swallow?
 *
 * Somebody asked for it (cancel, shutdown), or the writer must retry the
 * transaction (serialization), or the server is in trouble that hiding would make
 * worse. A row that somebody changed meanwhile is a row of code behind the contract,
 * because guarded steps write nothing of ours. So that is the contract's own
 * trouble.
 */
bool
OutboxMustRethrow(const ErrorData *error)
{
	if (OutboxIsCancel(error))
		return !OutboxOwnCancel;
	return OutboxIsIntervention(error) || OutboxIsDoomed(error) || OutboxIsStorageTrouble(error);
}

/* Is an error of looking at a contract the contract's own, and not that of the moment? */
bool
OutboxIsVerdict(const ErrorData *error)
{
	switch (ERRCODE_TO_CATEGORY(error->sqlerrcode))
	{
		case ERRCODE_INSUFFICIENT_RESOURCES:
		case ERRCODE_PROGRAM_LIMIT_EXCEEDED:
		case ERRCODE_OPERATOR_INTERVENTION:
		case ERRCODE_SYSTEM_ERROR:
		case ERRCODE_INTERNAL_ERROR:
		case MAKE_SQLSTATE('4', '0', '0', '0', '0'):
			return false;
		default:
			/* a look may not write, unlike a function that capture plans */
			return error->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE && error->sqlerrcode != ERRCODE_OBJECT_IN_USE &&
				error->sqlerrcode != ERRCODE_READ_ONLY_SQL_TRANSACTION;
	}
}
