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

#endif /* OUTBOX_EVALUATION_REFUSE_H */
