/*-------------------------------------------------------------------------
 *
 * evaluation_refuse.h
 *	  What code behind a contract must not do to a writer's session.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_EVALUATION_REFUSE_H
#define OUTBOX_EVALUATION_REFUSE_H

extern void OutboxRefuseInit(void); /* from OutboxEvaluationInit: installs hooks */

/* Raises when the function is refused during an evaluation. */
extern void OutboxRefuseFunction(Oid function);

#endif /* OUTBOX_EVALUATION_REFUSE_H */
