/*-------------------------------------------------------------------------
 *
 * event_seq.h
 *	  Numbers from outbox.event_seq, without the session noticing.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_EVENT_SEQ_H
#define OUTBOX_EVENT_SEQ_H

/* Locks the sequence until the end of the transaction and finds its storage. */
extern void OutboxEventSeqBind(Oid sequence, bool lock);

/* The next number. The transaction must have its top-level xid. */
extern int64 OutboxEventSeqNext(void);

#endif							/* OUTBOX_EVENT_SEQ_H */
