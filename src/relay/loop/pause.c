/*-------------------------------------------------------------------------
 *
 * pause.c
 *	  The pause between two attempts.
 *
 * Nothing here counts failures against an event: an outage of any length ends
 * with everything published. Only the pause grows, and it always ends early
 * for a change of the sink's row, a SIGHUP or a stop.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/pg_prng.h"
#include "miscadmin.h"
#include "postmaster/interrupt.h"
#include "utils/timestamp.h"

#include "relay/keeper/keeper.h"
#include "relay/loop/loop.h"
#include "relay/session/session.h"

/*
 * Pause after the first failure in a row, and the longest one: what went wrong may be over at any time, and without an
 * attempt nobody knows.
 */
#define RETRY_FIRST_MS 100
#define RETRY_LONGEST_MS 5000

/* How often a copy that must not publish looks again. */
#define COPY_MS 30000

/* How often a waiting relay looks at its sink's row. */
#define CONFIGURE_INTERVAL_MS 1000

static long retry_pause(int failures);
static bool pause_relay(OutboxRelay *relay, long ms);
static OutboxAttemptEnd configure_safely(OutboxRelay *relay);

/* Pauses after an attempt; failures is the length of the streak, 0: no need to. False: the relay shall end. */
bool
OutboxRelayPause(OutboxRelay *relay, OutboxAttemptEnd end, int failures)
{
	char *text;

	switch (end)
	{
		case OUTBOX_ATTEMPT_RECONNECT:
			if (relay->row.copy_error == NULL)
				return true;
			text = psprintf("%s. HINT: %s", relay->row.copy_error, relay->row.copy_hint);
			OutboxRelayNoteError(relay, text);
			pfree(text);
			if (relay->report.state != OUTBOX_RELAY_BLOCKED)
				ereport(LOG, (errmsg("relay does not publish: %s", relay->row.copy_error), errhint("%s", relay->row.copy_hint)));
			OutboxRelaySetState(relay, OUTBOX_RELAY_BLOCKED);
			OutboxKeeperResign(relay);
			return pause_relay(relay, COPY_MS);
		case OUTBOX_ATTEMPT_REJECTED:
			OutboxRelaySetState(relay, OUTBOX_RELAY_BLOCKED);
			return pause_relay(relay, OUTBOX_REJECTED_MS);
		default:
			break;
	}

	if (failures == 0)
		return true;
	if (end == OUTBOX_ATTEMPT_RETRY)
		OutboxRelaySetState(relay, OUTBOX_RELAY_BACKOFF);
	return pause_relay(relay, retry_pause(failures));
}

static long
retry_pause(int failures)
{
	long ms = Min(RETRY_LONGEST_MS, (long) RETRY_FIRST_MS << Min(failures - 1, 16));

	return (long) (ms * (0.5 + pg_prng_double(&pg_global_prng_state)));
}

/*
 * Pauses after so many failures to begin, until it is over or the relay shall stop.
 *
 * The sink's row, which other pauses look at, is what could not be read.
 */
void
OutboxRelayPauseStart(OutboxRelay *relay, int failures)
{
	long ms = retry_pause(failures);
	TimestampTz until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), ms);
	TimestampTz now;

	relay->report.retry_at = until;
	OutboxRelayShow(relay, OUTBOX_ACTIVITY_PAUSING);
	OutboxRelayReportNow(relay, true);
	while (!OutboxTimeReached(until, now = GetCurrentTimestamp(), ms) && !OutboxSessionStopRequested())
		OutboxSessionWait(TimestampDifferenceMilliseconds(now, until));
}

/* Waits, but not past a change of the sink's row or a SIGHUP. False: the relay shall end. */
static bool
pause_relay(OutboxRelay *relay, long ms)
{
	TimestampTz until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), ms);
	bool foreign_copy = relay->row.copy_error != NULL;

	relay->report.retry_at = until;
	OutboxRelayShow(relay, OUTBOX_ACTIVITY_PAUSING);
	OutboxRelayReportNow(relay, true);
	for (;;)
	{
		bool reload = ConfigReloadPending;
		long left;

		relay->now = GetCurrentTimestamp();
		left = TimestampDifferenceMilliseconds(relay->now, until);
		if (OutboxTimeReached(until, relay->now, ms))
			return true;
		switch (configure_safely(relay))
		{
			case OUTBOX_ATTEMPT_STOP:
				return false;
			case OUTBOX_ATTEMPT_RECONNECT:
				if (!foreign_copy)
					return true;
				break;
			default:
				/* somebody confirmed the copy, or asks for another try now */
				if ((foreign_copy && relay->row.copy_error == NULL) || reload)
					return true;
				break;
		}
		/* the pause may be long, and storage is not the sink's affair */
		if (!foreign_copy)
			OutboxKeeperTurn(relay);
		OutboxSessionWait(Min(left, CONFIGURE_INTERVAL_MS));
	}
}

static OutboxAttemptEnd
configure_safely(OutboxRelay *relay)
{
	volatile OutboxAttemptEnd end = OUTBOX_ATTEMPT_GOES_ON;

	PG_TRY();
	{
		end = OutboxRelayConfigure(relay, CONFIGURE_INTERVAL_MS);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(relay->context);
		OutboxRelayNoteCaught(relay);
		if (OutboxSessionStopRequested())
			end = OUTBOX_ATTEMPT_STOP;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(relay->context);
	return end;
}
