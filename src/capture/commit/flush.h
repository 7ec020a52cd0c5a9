/*-------------------------------------------------------------------------
 *
 * flush.h
 *	  Contracts evaluated at commit: from queued keys to events.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_FLUSH_H
#define OUTBOX_FLUSH_H

extern void OutboxFlushInit(void); /* from _PG_init, after the event writer's */

/* Registers the callbacks of transactions; tests do it again, to come before another library. */
extern void OutboxFlushRegister(void);

/*
 * After a key was queued outside of any executor run: when the transaction's
 * flush is over already, it is evaluated now.
 */
extern void OutboxFlushStraggler(void);

#endif /* OUTBOX_FLUSH_H */
