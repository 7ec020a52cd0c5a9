/*-------------------------------------------------------------------------
 *
 * rejected.h
 *	  Events that a broker rejected, worked by a person.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_REJECTED_H
#define OUTBOX_REJECTED_H

/* The relay shall offer the event of a dead letter again. False: it is not kept any more. */
extern bool OutboxRedriveRejected(int64 letter);

/* The event of a dead letter is not wanted any more; whatever waits behind it may go. False: it is not kept. */
extern bool OutboxDropRejected(int64 letter);

/* Once after any number of the above: makes the relays look. */
extern void OutboxTellSinks(void);

#endif /* OUTBOX_REJECTED_H */
