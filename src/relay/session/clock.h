/*-------------------------------------------------------------------------
 *
 * clock.h
 *	  Moments that are waited for, on a clock that may be turned back.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_CLOCK_H
#define OUTBOX_CLOCK_H

#include "utils/timestamp.h"

/*
 * Is a moment reached that was set at most this far ahead? One that is further
 * ahead was set before the clock was turned back: waiting for it would take as
 * long as the clock needs to catch up.
 */
static inline bool
OutboxTimeReached(TimestampTz when, TimestampTz now, long longest_ms)
{
	return when <= now || when > TimestampTzPlusMilliseconds(now, longest_ms);
}

#endif /* OUTBOX_CLOCK_H */
