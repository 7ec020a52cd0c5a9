/*-------------------------------------------------------------------------
 *
 * refuse_operators.h
 *	  Estimates call no functions that are refused to code behind a contract.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_REFUSE_OPERATORS_H
#define OUTBOX_REFUSE_OPERATORS_H

extern void OutboxRefuseOperatorsInit(void);

#endif /* OUTBOX_REFUSE_OPERATORS_H */
