/*-------------------------------------------------------------------------
 *
 * definer.h
 *	  Functions that may be called because they are SECURITY DEFINER.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_DEFINER_H
#define OUTBOX_DEFINER_H

extern void OutboxDefinerInit(void);

/* Raises when a function that was taken for harmless because it runs as its own owner is about to be made ready and runs as its caller by now. */
extern void OutboxCheckDefiner(Oid function);

#endif /* OUTBOX_DEFINER_H */
