/*-------------------------------------------------------------------------
 *
 * environment.h
 *	  The one environment in which code behind a contract is parsed, planned and run.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_CONTRACT_ENVIRONMENT_ENVIRONMENT_H
#define OUTBOX_CONTRACT_ENVIRONMENT_ENVIRONMENT_H

#include "nodes/pg_list.h"
#include "storage/lockdefs.h"

#include "contract/reach/reach.h"
#include "util/util.h"

/* ---- evaluation.c: The one way in and out for code that is parsed, planned or run for a contract. ---- */

typedef struct OutboxEvaluation
{
	bool entered;
	Oid user;
	int sec_context;
	ErrorContextCallback *error_context;
} OutboxEvaluation;

extern void OutboxEvaluationInit(void);
extern void OutboxEvaluationBegin(OutboxEvaluation *evaluation, Oid owner, OutboxTraits traits);
extern void OutboxEvaluationEnd(const OutboxEvaluation *evaluation);
extern int OutboxEvaluationDepth(void);

/* ---- guard.c: Running what may raise inside a customer's transaction. ---- */

/* True: a cancel comes from our own timer and not from the user, so it may be swallowed. */
extern volatile bool OutboxOwnCancel;

extern ErrorData *OutboxRunGuarded(OutboxGuardedStep step, void *arg, MemoryContext context);
extern ErrorData *OutboxRunIsolated(OutboxGuardedStep step, void *arg, MemoryContext context);
extern bool OutboxMustRethrow(const ErrorData *error);
extern bool OutboxIsVerdict(const ErrorData *error);

/* ---- lock_attempts.c: Strong locks on tables that an application is writing to. ---- */

extern void OutboxLockInAttempts(const List *relations, LOCKMODE mode);
extern void OutboxLockExtensionInAttempts(Oid extension, List *(*list)(void) );

/* ---- temp_last.c: Temporary objects of a session hide nothing from code behind a contract. ---- */

extern void OutboxTempLastInit(void);

#endif /* OUTBOX_CONTRACT_ENVIRONMENT_ENVIRONMENT_H */
