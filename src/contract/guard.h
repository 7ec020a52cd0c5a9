/*-------------------------------------------------------------------------
 *
 * guard.h
 *	  Running what may raise inside a customer's transaction.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_GUARD_H
#define OUTBOX_GUARD_H

#include "utils/elog.h"
#include "utils/palloc.h"

typedef void (*OutboxGuardedStep)(void *arg);

/*
 * Runs step(arg) in an internal subtransaction. Returns NULL when it ended
 * well; otherwise its effects are rolled back and the error is returned,
 * allocated in `context`. Errors that are not ours to swallow (a cancel, a
 * serialization failure, a full disk, corruption) are rethrown.
 */
extern ErrorData *OutboxRunGuarded(OutboxGuardedStep step, void *arg, MemoryContext context);

/* The same, with another opinion of which errors are rethrown. */
extern ErrorData *OutboxRunCatching(OutboxGuardedStep step, void *arg, MemoryContext context, bool (*must_rethrow)(int sqlerrcode));

/*
 * The same for work of which each piece may fail on its own, though storage
 * cannot be read: only errors after which the transaction cannot go on, or
 * shall not, are rethrown.
 */
extern ErrorData *OutboxRunIsolated(OutboxGuardedStep step, void *arg, MemoryContext context);

/* Is this an error that is not ours to swallow? */
extern bool OutboxMustRethrow(int sqlerrcode);

/* A cancel that comes now is our own timer's: not the user's wish, so ours to swallow. */
extern volatile bool OutboxOwnCancel;

/* Evaluation with the rights of a contract's owner and, when asked, with pinned settings. */
typedef struct OutboxEvaluationScope
{
	Oid user;
	int sec_context;
	int guc_nest_level; /* 0: nothing pinned */
} OutboxEvaluationScope;

/* An error in between is undone by the (sub)transaction's abort. */
extern void OutboxEvaluationBegin(OutboxEvaluationScope *scope, Oid owner, bool pin_settings);
extern void OutboxEvaluationEnd(const OutboxEvaluationScope *scope);

#endif /* OUTBOX_GUARD_H */
