/*-------------------------------------------------------------------------
 *
 * pause.c
 *	  Short waits, and timeouts that stand still meanwhile.
 *
 * When a statement of the application waits for us, its time must not end it:
 * without us it would not have waited. PostgreSQL itself stops statement_timeout
 * before a COMMIT that a client sends, but not for one inside a procedure or DO,
 * and transaction_timeout for neither. lock_timeout stays as it is: it runs in
 * the server's lock queue alone.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "util/util.h"

static const TimeoutId timers[] = {OUTBOX_SESSION_TIMERS};

StaticAssertDecl(lengthof(timers) <= OUTBOX_HELD_TIMERS, "room for all of them");

/*
 * Waits for the latch, at most `ms` milliseconds, resets it and acts on
 * interrupts, so it may raise. The wait event is what pg_stat_activity shows.
 */
void
OutboxPause(long ms, uint32 wait_event)
{
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, ms, wait_event);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

/*
 * From here to OutboxReleaseTimers no timeout of the session ends its statement
 * or transaction. A timeout that has already run out still counts. Never raises.
 * Release is called after an error in between, too: the statement may catch the
 * error and go on.
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

/* A timeout has as much left as it had when it was held. Never raises. */
void
OutboxReleaseTimers(const OutboxHeldTimers *held)
{
	for (int i = 0; i < lengthof(timers); i++)
	{
		if (held->ends[i] != 0)
			enable_timeout_at(timers[i], held->ends[i] + (GetCurrentTimestamp() - held->since));
	}
}
