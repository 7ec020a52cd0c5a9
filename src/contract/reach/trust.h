/*-------------------------------------------------------------------------
 *
 * trust.h
 *	  Whose functions may run with the rights of a view's owner.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_TRUST_H
#define OUTBOX_TRUST_H

#include "access/tupdesc.h"
#include "nodes/parsenodes.h"

/* With whose rights something is evaluated, and what the errors call it. */
typedef struct OutboxRunner
{
	Oid role;
	const char *view; /* that the role owns, qualified and quoted; NULL: it does not exist yet */
	const char *what; /* contract "x", condition of event type "y" */
} OutboxRunner;

extern void OutboxRunnerOfView(OutboxRunner *runner, Oid view, const char *what);
extern bool OutboxMayRun(Oid role, Oid function);
extern bool OutboxMayRunAll(Oid role, Node *expression);

/* Whose a function is, and does it run as that role (SECURITY DEFINER)? False: there is none. */
extern bool OutboxFunctionOwner(Oid function, Oid *owner, bool *as_owner);

/* Was the function taken for harmless in this session because it runs as its own owner? From then on it must (definer.c). */
extern bool OutboxTookForDefiner(Oid function);

/* May what the owner makes run with the role's rights? */
extern bool OutboxTrustsRole(Oid role, Oid owner);
extern void OutboxCheckExpressionTrust(const OutboxRunner *runner, Node *expression);
extern void OutboxCheckQueryTrust(const OutboxRunner *runner, Query *query);
extern void OutboxCheckOutputTrust(const OutboxRunner *runner, Oid type);
extern void OutboxCheckInputTrust(const OutboxRunner *runner, Oid type);
extern void OutboxCheckTextTrust(const OutboxRunner *runner, Node *raw, TupleDesc row);

#endif /* OUTBOX_TRUST_H */
