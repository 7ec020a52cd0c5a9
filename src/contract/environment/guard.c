/*-------------------------------------------------------------------------
 *
 * guard.c
 *	  Running what may raise inside a customer's transaction.
 *
 * Which errors are ours to swallow, and the rights and settings with which
 * expressions of a contract run. What is guarded writes nothing, so that its
 * subtransaction (util/catch.c) never gets a transaction id.
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
 * OutboxCatch() that rethrows errors which are not ours to swallow: a cancel,
 * a serialization failure, a full disk, corruption; each if the server raised
 * it. A function's RAISE with such an SQLSTATE is an error like any other.
 */
ErrorData *
OutboxRunGuarded(OutboxGuardedStep step, void *arg, MemoryContext context)
{
	return OutboxCatch(step, arg, context, OutboxMustRethrow);
}

/*
 * The same for work of which each piece may fail on its own, though storage
 * cannot be read: only errors after which the transaction cannot go on, or
 * shall not, are rethrown.
 */
ErrorData *
OutboxRunIsolated(OutboxGuardedStep step, void *arg, MemoryContext context)
{
	return OutboxCatch(step, arg, context, ends_transaction);
}

/*
 * Going on would be of no use, or is not wished.  A serialization failure of a transaction whose snapshots are new
 * with each command would not go away when the whole transaction is tried again.
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
 * The writer asked for it (cancel, shutdown), must retry it (serialization),
 * or the server is in trouble that hiding would make worse. What is guarded writes nothing of ours, so rows that somebody
 * changed meanwhile are those of code behind the contract, and its own trouble.
 */
bool
OutboxMustRethrow(const ErrorData *error)
{
	if (OutboxIsCancel(error))
		return !OutboxOwnCancel;
	return OutboxIsIntervention(error) || OutboxIsDoomed(error) || OutboxIsStorageTrouble(error);
}
