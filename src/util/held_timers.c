/*-------------------------------------------------------------------------
 *
 * held_timers.c
 *	  The application's timeouts stand still while it waits for us.
 *
 * Without us the statement would not have waited, so the time must not end it.
 * PostgreSQL itself stops statement_timeout before a COMMIT that a client sends,
 * but not for one inside a procedure or DO, and transaction_timeout for neither.
 * lock_timeout is none of them: it runs in the server's lock queue alone.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/timeout.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "util/util.h"

static const TimeoutId timers[] = {OUTBOX_SESSION_TIMERS};

StaticAssertDecl(lengthof(timers) <= OUTBOX_HELD_TIMERS, "room for all of them");

/*
 * Between the two no timeout of the session can end its statement or
 * transaction; one that ran has as much left afterwards as it had before. What
 * had already run out counts. Neither raises. An error in between must come by
 * Release: whoever catches it may go on in the same statement.
 */
void
OutboxHoldTimers(OutboxHeldTimers *held)
{
	memset(held, 0, sizeof(*held));
	for (int i = 0; i < lengthof(timers); i++)
	{
		if (!get_timeout_active(timers[i]))
			continue;
		held->ends[i] = get_timeout_finish_time(timers[i]);
		disable_timeout(timers[i], true);
		if (get_timeout_indicator(timers[i], false))
			held->ends[i] = 0;
		held->since = GetCurrentTimestamp();
	}
}

void
OutboxReleaseTimers(const OutboxHeldTimers *held)
{
	for (int i = 0; i < lengthof(timers); i++)
	{
		if (held->ends[i] != 0)
			enable_timeout_at(timers[i], held->ends[i] + (GetCurrentTimestamp() - held->since));
	}
}
