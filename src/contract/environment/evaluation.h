/*-------------------------------------------------------------------------
 *
 * evaluation.h
 *	  The one way in and out for whatever is parsed, planned, folded or run for
 *	  a contract.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_EVALUATION_H
#define OUTBOX_EVALUATION_H

#include "contract/reach/traits.h"

typedef struct OutboxEvaluation
{
	bool entered;
	Oid user;
	int sec_context;
	ErrorContextCallback *error_context;
} OutboxEvaluation;

extern void OutboxEvaluationInit(void); /* from _PG_init */

/*
 * Enters evaluation for what has these traits: nothing to do for PostgreSQL's
 * own functions that read no setting; what they can read is pinned for others;
 * and for everything else all settings are pinned, the statement and the functions around it are hidden, the
 * session's cursors are out of reach (portals.c), and what could not be taken
 * back is refused (evaluation_refuse.c).
 * Anything runs as `owner`, in a security-restricted operation, and says
 * nothing to the client but errors.
 *
 * An error in between is undone by the abort of the (sub)transaction: whoever
 * catches it rolls one back (util/catch.h), as everywhere.
 */
extern void OutboxEvaluationBegin(OutboxEvaluation *evaluation, Oid owner, OutboxTraits traits);
extern void OutboxEvaluationEnd(const OutboxEvaluation *evaluation);

/* How many evaluations that were entered have not ended: functions behind a view may write to sources of contracts. */
extern int OutboxEvaluationDepth(void);

/* Is code running now that is not PostgreSQL's own and not ours? */
extern bool OutboxEvaluatesForeignCode(void);

/* And is that nothing but what a command of ours runs (OUTBOX_COMMANDS)? */
extern bool OutboxRunsCommands(void);

#endif /* OUTBOX_EVALUATION_H */
