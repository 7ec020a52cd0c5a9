/*-------------------------------------------------------------------------
 *
 * expression.h
 *	  Conditions over a contract's rows, and what expressions may do.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_EXPRESSION_H
#define OUTBOX_EXPRESSION_H

#include "nodes/nodes.h"

#include "contract/reach/traits.h"

/* Vars of a parsed condition: the contract row before and after. */
#define OUTBOX_OLD_VARNO 1
#define OUTBOX_NEW_VARNO 2
#define OUTBOX_ROW_VARNO 3 /* checks: the published row */

/*
 * Parses a boolean expression over old.<column> and new.<column> of a view.
 * Names are looked up in pg_catalog alone, so that the meaning does not
 * depend on who writes when. `owner` says whose condition it is in messages
 * ("condition of event type \"X\"").
 */
extern Node *OutboxParseCondition(const char *text, Oid view, const char *owner);

/* The same for a check: unqualified names are columns of the published row. */
extern Node *OutboxParseCheck(const char *text, Oid view, const char *owner);

/*
 * Sets what a message calls it, refuses what must not run while a row is
 * written: volatile functions, however they are reached. `owner` as above.
 */
extern void OutboxRefuseVolatile(Node *expression, const char *owner);

/* What evaluating it, planned, may do. */
extern OutboxTraits OutboxExpressionTraits(Node *expression);

/* The same for turning a value of this type into text. */
extern OutboxTraits OutboxTextTraits(Oid type);

#endif /* OUTBOX_EXPRESSION_H */
