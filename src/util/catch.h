/*-------------------------------------------------------------------------
 *
 * catch.h
 *	  Catching an error, and going on in the same transaction.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_CATCH_H
#define OUTBOX_CATCH_H

#include "utils/elog.h"
#include "utils/palloc.h"

typedef void (*OutboxGuardedStep)(void *arg);

/* Shall this error leave the catch after all? Asked when everything is rolled back; must not raise. */
typedef bool (*OutboxRethrowRule)(const ErrorData *error);

/*
 * Runs step(arg) in an internal subtransaction. Returns NULL when it ended
 * well; otherwise its effects are rolled back and the error is returned,
 * allocated in `context`, or rethrown where must_rethrow says so.
 */
extern ErrorData *OutboxCatch(OutboxGuardedStep step, void *arg, MemoryContext context, OutboxRethrowRule must_rethrow);

/* The same for what never shall have happened: rolled back however it ends. Rethrows nothing. */
extern ErrorData *OutboxCatchAndUndo(OutboxGuardedStep step, void *arg, MemoryContext context);

#endif /* OUTBOX_CATCH_H */
