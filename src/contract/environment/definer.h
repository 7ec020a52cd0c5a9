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

/* The function was taken for harmless because it runs as its own owner. From now on it must. */
extern void OutboxNoteDefiner(Oid function);

/* Raises when such a function is about to be made ready and runs as its caller by now. */
extern void OutboxCheckDefiner(Oid function);

#endif /* OUTBOX_DEFINER_H */
