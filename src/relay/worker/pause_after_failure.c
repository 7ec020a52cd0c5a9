/*-------------------------------------------------------------------------
 *
 * pause_after_failure.c
 *	  What a relay does about an attempt that failed: say so, and wait.
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
#include "pgstat.h"
#include "postmaster/interrupt.h"
#include "storage/lwlock.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "relay/session/session.h"
#include "relay/worker/worker_private.h"
#include "sink/sink.h"

/*
 * Pause after the first failure in a row, and the longest one: what went wrong may be over at any time, and without an
 * attempt nobody knows.
 */
#define RETRY_FIRST_MS 100
#define RETRY_LONGEST_MS 5000

/* How often a copy that must not publish looks again. */
#define COPY_MS 30000

/* Pause before a rejected event is offered again. */
#define REJECTED_MS 30000

/* Of events rejected in a row the log names one in this time. */
#define REJECTION_LOG_MS 60000

/* How often a waiting relay looks at its sink's row. */
#define CONFIGURE_INTERVAL_MS 1000

static long retry_pause(int failures);
static bool pause_relay(OutboxRelay *relay, long ms);
static OutboxAttemptEnd configure_safely(OutboxRelay *relay);

/*
 * In PG_CATCH: takes the error, ends what it interrupted, and says it: the
 * first of a streak in the log, all to status.
 */
void
OutboxRelayNoteCaught(OutboxRelay *relay)
{
	ErrorData *error = CopyErrorData();
	bool first = relay->report.state != OUTBOX_RELAY_BACKOFF;

	FlushErrorState();
	OutboxMakeErrorPrintable(error);
	LWLockReleaseAll();
	pgstat_report_wait_end();
	OutboxSessionAbort();
	OutboxReaderAborted(&relay->reader);
	MemoryContextSwitchTo(relay->context);

	/* whatever it was, it may have to do with the sink's row */
	relay->configured_at = 0;
	if (!OutboxSessionStopRequested() && !OutboxSinkRowGone(&relay->row))
	{
		char *text = psprintf("%s%s%s%s%s", error->message,
							  error->detail != NULL ? ". " : "", error->detail != NULL ? error->detail : "",
							  error->hint == NULL ? "" : error->detail != NULL ? " HINT: "
																			   : ". HINT: ",
							  error->hint != NULL ? error->hint : "");

		ereport(first ? LOG : DEBUG1,
				(errcode(error->sqlerrcode),
				 errmsg("relay of sink \"%s\" failed and will try again: %s", relay->row.name, error->message),
				 error->detail != NULL ? errdetail_internal("%s", error->detail) : 0,
				 error->hint != NULL ? errhint("%s", error->hint) : 0));
		OutboxRelayNoteError(relay, text);
		OutboxRelaySetState(relay, OUTBOX_RELAY_BACKOFF);
		pfree(text);
	}
	FreeErrorData(error);
}

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
			return pause_relay(relay, REJECTED_MS);
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

/* Names the rejected event for status, and lets nothing past it until the broker takes it. */
void
OutboxRelaySetBarrier(OutboxRelay *relay)
{
	OutboxPlace *place = OutboxDispatchFind(&relay->dispatch, relay->failed_index);
	bool first = place->seq != relay->barrier_seq;
	char *reason;

	/* freed with the attempt */
	MemoryContextSwitchTo(relay->attempt_context);
	reason = pstrdup(relay->report.last_error);

	relay->barrier_seq = place->seq;
	/* whoever resumes, this process or another, meets the event first */
	OutboxDispatchPin(&relay->dispatch);
	PG_TRY();
	{
		char *event = OutboxReaderDescribe(&relay->reader, place);
		char *text = psprintf("The broker rejected %s: %s", event, reason);

		OutboxRelayNoteError(relay, text);
		if (first)
			ereport(LOG, (errmsg("relay of sink \"%s\" stops at a rejected event", relay->row.name), errdetail_internal("%s", text), errhint("Nothing behind it is published; it is offered again every %d s.", REJECTED_MS / 1000)));
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(relay->context);
		OutboxRelayNoteCaught(relay);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(relay->context);
}

/*
 * Ends the barrier when its event is not there any more: dropped with its leaf, or kept aside.
 *
 * The event was read before, so the window that an attempt resumes has it, or
 * the one after that.
 */
void
OutboxRelayCheckBarrier(OutboxRelay *relay)
{
	const OutboxChunk *chunk = &relay->chunk;

	if (relay->barrier_seq == 0 || relay->barrier_handed)
		return;
	if (relay->reader.window.open || chunk->next < chunk->n || relay->reader.windows < relay->barrier_windows + 2)
		return;
	ereport(LOG,
			(errmsg("sink \"%s\" goes on without the event that it had rejected", relay->row.name),
			 errdetail("It is not among the events to publish any more: it was dropped because of outbox.max_backlog, or is held.")));
	relay->barrier_seq = 0;
	OutboxRelaySetState(relay, OUTBOX_RELAY_RUNNING);
}

/*
 * A rejected event, or a topic that takes nothing, for status and the log.
 *
 * Status has the words of the newest, the log of one a minute: there may be thousands.
 */
void
OutboxRelayNoteRejection(OutboxRelay *relay, const char *words)
{
	char *printable = OutboxPrintable(words);
	char *text = psprintf("The broker rejected an event, which is a dead letter now: %s", printable);

	relay->rejected++;
	OutboxRelayNoteError(relay, text);
	pfree(text);
	if (TimestampDifferenceExceeds(relay->rejection_logged_at, relay->now, REJECTION_LOG_MS))
	{
		relay->rejection_logged_at = relay->now;
		ereport(LOG,
				(errmsg("sink \"%s\" rejected an event, which is a dead letter now", relay->row.name),
				 errdetail_internal("%s", printable),
				 errhint("SELECT * FROM outbox.dead_letter WHERE sink = '%s' AND state = 'open';", relay->row.name)));
	}
	pfree(printable);
}

void
OutboxRelayNoteBlocked(OutboxRelay *relay, const OutboxPlace *place, const OutboxAck *ack)
{
	char *words = OutboxPrintable(ack->detail != NULL ? ack->detail : NO_REASON);

	if (OutboxRouteBlock(&relay->hold, place->schema, ack->only_schema, words))
		OutboxRelayNoteError(relay, words);
	pfree(words);
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
