/*-------------------------------------------------------------------------
 *
 * acks.c
 *	  What the sink says of its messages, and what becomes of each.
 *
 * An acknowledgement moves the position; a rejected, blocked or returned
 * message is held or ends the attempt.  Nothing here reads or hands over.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/timestamp.h"

#include "guc.h"
#include "relay/loop/loop.h"

/* Acknowledgements per call of poll_cb. */
#define ACK_BATCH 1024

/* How often a sink is looked after while it drains, with and without a descriptor. */
#define SINK_INTERVAL_MS 100
#define SINK_POLL_MS 10

static void take_ack(OutboxRelay *relay, const OutboxAck *ack);
static void keep_rejected(OutboxRelay *relay, const OutboxAck *ack, OutboxPlace *place);
static void fail(OutboxRelay *relay, const OutboxAck *ack);

/* Takes what the sink reports. What it means for the attempt is in relay->failure. */
void
OutboxRelayTakeAcks(OutboxRelay *relay)
{
	static OutboxAck acks[ACK_BATCH];
	OutboxDispatch *dispatch = &relay->dispatch;
	uint64 acked = dispatch->acked;
	int n;

	do
	{
		n = relay->callbacks->poll_cb(&relay->sink, acks, ACK_BATCH, 0);
		for (int i = 0; i < n; i++)
			take_ack(relay, &acks[i]);
		if (n == 0)
			break;
		dispatch->now = GetCurrentTimestamp();
		OutboxDispatchAdvance(dispatch);
	} while (n == ACK_BATCH);

	if (dispatch->acked != acked)
	{
		relay->report.acked += dispatch->acked - acked;
		relay->report_changed = true;
	}
	if (relay->barrier_handed && OutboxDispatchInFlight(dispatch) == 0)
	{
		ereport(LOG, (errmsg("sink \"%s\" took the event that it had rejected", relay->row.name)));
		relay->barrier_seq = 0;
		relay->barrier_handed = false;
		OutboxRelaySetState(relay, OUTBOX_RELAY_RUNNING);
	}
}

static void
take_ack(OutboxRelay *relay, const OutboxAck *ack)
{
	OutboxPlace *place;

	if (ack->registration.id != 0)
		OutboxSchemaRegistered(&relay->schemas, ack->schema_id, &ack->registration);
	/* late news of an attempt that is over */
	if (ack->position.attempt != relay->attempt)
		return;
	if (ack->position.index >= OUTBOX_RELEASE_INDEX)
	{
		OutboxReleaseAck(relay, ack);
		return;
	}
	place = OutboxDispatchFind(&relay->dispatch, ack->position.index);
	if (place == NULL || place->waits)
		return;
	switch (ack->status)
	{
		case OUTBOX_ACK_OK:
			place->acked = true;
			return;
		case OUTBOX_ACK_BLOCKED:
			OutboxRelayNoteBlocked(relay, place, ack);
			OutboxHoldKeep(&relay->hold, ack->position.index, place, NULL);
			return;
		case OUTBOX_ACK_REJECT:
			if (relay->hold.on_reject == OUTBOX_ON_REJECT_STOP)
				break;
			keep_rejected(relay, ack, place);
			return;
		case OUTBOX_ACK_RETRY:
			/* given back because of an event before it, which has been dealt with */
			if (!OutboxHoldSkipped(&relay->hold, place) &&
				(!OutboxHoldActive(&relay->hold) || OutboxHoldWhy(&relay->hold, place) == OUTBOX_HOLD_NOT))
				break;
			OutboxHoldKeep(&relay->hold, ack->position.index, place, NULL);
			return;
	}
	fail(relay, ack);
}

/* Behind another rejected event of its aggregate it only waits: what becomes of that one may change its fate. */
static void
keep_rejected(OutboxRelay *relay, const OutboxAck *ack, OutboxPlace *place)
{
	OutboxHold *hold = &relay->hold;
	const char *words = ack->detail != NULL ? ack->detail : NO_REASON;

	if (hold->on_reject != OUTBOX_ON_REJECT_SKIP && OutboxHoldActive(hold) && OutboxHoldWhy(hold, place) != OUTBOX_HOLD_NOT)
		words = NULL;
	else
		OutboxRelayNoteRejection(relay, words);
	OutboxHoldKeep(hold, ack->position.index, place, words);
}

/* The attempt ends. A rejection outranks a retry; of several the first message counts. */
static void
fail(OutboxRelay *relay, const OutboxAck *ack)
{
	OutboxAttemptEnd failure = ack->status == OUTBOX_ACK_REJECT ? OUTBOX_ATTEMPT_REJECTED : OUTBOX_ATTEMPT_RETRY;

	if (failure < relay->failure || (failure == relay->failure && ack->position.index > relay->failed_index))
		return;
	relay->failure = failure;
	relay->failed_index = ack->position.index;
	OutboxRelayNoteError(relay, ack->detail != NULL ? ack->detail : NO_REASON);
}

/* Writes events that wait, and moves the position past them. */
void
OutboxRelayStoreHeld(OutboxRelay *relay)
{
	if (OutboxHoldStore(&relay->hold, &relay->dispatch, relay->row.name))
		OutboxDispatchAdvance(&relay->dispatch);
}

/* Waits, at most outbox.drain_timeout, for what can still move the position. */
void
OutboxRelayDrain(OutboxRelay *relay)
{
	OutboxDispatch *dispatch = &relay->dispatch;
	TimestampTz deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), outbox_drain_timeout);
	bool more = true; /* may the sink still report something? */

	/* the position cannot pass a message that failed */
	while (more && (dispatch->tail < (relay->failure == OUTBOX_ATTEMPT_GOES_ON ? dispatch->head : relay->failed_index) || OutboxReleaseInFlight(&relay->release) > 0))
	{
		long left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), deadline);

		if (left <= 0)
			break;
		left = Min(left, SINK_INTERVAL_MS);
		if (relay->callbacks->flush_cb != NULL)
			more = relay->callbacks->flush_cb(&relay->sink, left);
		else
		{
			(void) OutboxRelayWait(relay, !OutboxRelayHasSocket() ? SINK_POLL_MS : left);
			ResetLatch(MyLatch);
		}
		OutboxRelayTakeAcks(relay);
		OutboxRelayStoreHeld(relay);
		CHECK_FOR_INTERRUPTS();
	}
}
