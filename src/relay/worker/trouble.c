/*-------------------------------------------------------------------------
 *
 * trouble.c
 *	  What a relay says of its troubles, in status and in the log: errors, events
 *	  that were rejected, a transport that is down, too many held events.
 *
 * Trouble with the transport is shown and logged, never counted: the sink keeps
 * trying.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/interrupt.h"
#include "storage/lwlock.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "relay/session/session.h"
#include "relay/worker/worker.h"
#include "sink/sink.h"

/* Of events rejected in a row the log names one in this time. */
#define REJECTION_LOG_MS 60000

static void note_full(OutboxRelay *relay);

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
			ereport(LOG, (errmsg("relay of sink \"%s\" stops at a rejected event", relay->row.name), errdetail_internal("%s", text), errhint("Later events wait for it; it is offered again every %d s.", OUTBOX_REJECTED_MS / 1000)));
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
 * Ends the barrier when its event is not there any more: dropped with its leaf, or held.
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

/* Tells status, the log and pg_stat_activity whether the sink can publish. */
void
OutboxRelayCheckTrouble(OutboxRelay *relay)
{
	const char *trouble;
	char words[OUTBOX_ERROR_LEN];
	bool was_troubled = relay->report.state == OUTBOX_RELAY_BACKOFF;

	if (!relay->ready)
		return;
	if (relay->callbacks->revived_cb != NULL && relay->callbacks->revived_cb(&relay->sink))
		OutboxRouteRetry(&relay->hold, true);
	trouble = relay->callbacks->trouble_cb != NULL ? relay->callbacks->trouble_cb(&relay->sink) : NULL;
	if (trouble == NULL && relay->hold.full)
	{
		note_full(relay);
		return;
	}
	if (trouble == NULL)
	{
		if (relay->report.state == OUTBOX_RELAY_BLOCKED && relay->barrier_seq == 0)
			OutboxRelaySetState(relay, OUTBOX_RELAY_RUNNING);
		if (!was_troubled)
			return;
		OutboxRelaySetState(relay, OUTBOX_RELAY_RUNNING);
		ereport(LOG, (errmsg("sink \"%s\" works again", relay->row.name)));
		return;
	}
	OutboxClipText(words, trouble);
	if (!was_troubled)
		ereport(LOG, (errmsg("sink \"%s\" cannot publish at present, it keeps trying", relay->row.name), errdetail_internal("%s", words)));
	if (!was_troubled || strcmp(words, relay->report.last_error) != 0)
		OutboxRelayNoteError(relay, words);
	OutboxRelaySetState(relay, OUTBOX_RELAY_BACKOFF);
}

/* Behind events that must wait but have no room to. Said again after the words of a topic that was tried in vain. */
static void
note_full(OutboxRelay *relay)
{
	bool was_blocked = relay->report.state == OUTBOX_RELAY_BLOCKED;
	char text[160];

	if (was_blocked && relay->barrier_seq != 0)
		return;
	snprintf(text, sizeof(text), "%llu events wait behind rejected ones or for their topics, as many as outbox.max_held_events allows",
			 (unsigned long long) relay->hold.total);
	if (was_blocked && strcmp(text, relay->report.last_error) == 0)
		return;
	if (!was_blocked)
		ereport(LOG,
				(errmsg("sink \"%s\" publishes nothing any more, because it holds too many events", relay->row.name),
				 errdetail_internal("%s.", text),
				 errhint("Resolve its dead letters and blocked topics, give up what is never taken with outbox.discard_held(), or raise the setting.")));
	OutboxRelayNoteError(relay, text);
	OutboxRelaySetState(relay, OUTBOX_RELAY_BLOCKED);
}
