/*-------------------------------------------------------------------------
 *
 * held_timers.h
 *	  The application's timeouts stand still while it waits for us.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_HELD_TIMERS_H
#define OUTBOX_HELD_TIMERS_H

#include "datatype/timestamp.h"

/* statement_timeout, and transaction_timeout where there is one. */
#define OUTBOX_HELD_TIMERS 2

typedef struct OutboxHeldTimers
{
	TimestampTz since;
	TimestampTz ends[OUTBOX_HELD_TIMERS]; /* 0: it does not run */
} OutboxHeldTimers;

/*
 * Between the two no timeout of the session can end its statement or
 * transaction; one that ran has as much left afterwards as it had before. What
 * had already run out counts. Neither raises. An error in between must come by
 * Release: whoever catches it may go on in the same statement.
 */
extern void OutboxHoldTimers(OutboxHeldTimers *held);
extern void OutboxReleaseTimers(const OutboxHeldTimers *held);

#endif /* OUTBOX_HELD_TIMERS_H */
