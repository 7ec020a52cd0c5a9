/*-------------------------------------------------------------------------
 *
 * guard.h
 *	  Running what may raise inside a customer's transaction.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_GUARD_H
#define OUTBOX_GUARD_H

#include "util/catch.h"

/*
 * OutboxCatch() that rethrows errors which are not ours to swallow: a cancel,
 * a serialization failure, a full disk, corruption; each if the server raised
 * it. A function's RAISE with such an SQLSTATE is an error like any other.
 */
extern ErrorData *OutboxRunGuarded(OutboxGuardedStep step, void *arg, MemoryContext context);

/*
 * The same for work of which each piece may fail on its own, though storage
 * cannot be read: only errors after which the transaction cannot go on, or
 * shall not, are rethrown.
 */
extern ErrorData *OutboxRunIsolated(OutboxGuardedStep step, void *arg, MemoryContext context);

/* Is this an error that is not ours to swallow? */
extern bool OutboxMustRethrow(const ErrorData *error);

/* A cancel that comes now is our own timer's: not the user's wish, so ours to swallow. */
extern volatile bool OutboxOwnCancel;

#endif /* OUTBOX_GUARD_H */
