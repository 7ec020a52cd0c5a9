/*-------------------------------------------------------------------------
 *
 * portals.h
 *	  The cursors of a session, kept from code behind a contract.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_PORTALS_H
#define OUTBOX_PORTALS_H

/*
 * From here on nothing can be read from the session's cursors, nor can they be
 * moved or closed. Returns a mark for the others; may raise, with nothing done.
 */
extern int OutboxFreezePortals(void);

/* Drops those that were made since. May raise, as closing a cursor may. */
extern void OutboxDropNewPortals(int mark);

/* Gives the session's own back; also after an abort. Never raises. */
extern void OutboxThawPortals(int mark);

#endif /* OUTBOX_PORTALS_H */
