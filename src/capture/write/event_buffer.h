/*-------------------------------------------------------------------------
 *
 * event_buffer.h
 *	  Events that were appended but are not in the leaf yet.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_EVENT_BUFFER_H
#define OUTBOX_EVENT_BUFFER_H

/* Adopts the row type of outbox.event; rows added from now on belong to this installation. */
extern void OutboxEventBufferBind(Oid installation);

/*
 * Adds a row (columns of outbox.event but leaf, which the flush fills in) to
 * this nest level.  True when the level's rows should be flushed now.
 */
extern bool OutboxEventBufferAdd(int nest_level, Datum *values, bool *isnull);

/* True when a subtransaction should write its rows before it is released. */
extern bool OutboxEventBufferCrowded(void);

/* Writes this level's rows into the current leaf, with the current subtransaction's xid. */
extern void OutboxEventBufferFlush(int nest_level);

/* The rows of this level and deeper belong to the parent now, or are gone. */
extern void OutboxEventBufferPromote(int nest_level);
extern void OutboxEventBufferDrop(int nest_level);

/* End of transaction: empties the buffer. Never raises. */
extern void OutboxEventBufferReset(void);

#endif /* OUTBOX_EVENT_BUFFER_H */
