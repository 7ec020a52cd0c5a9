/*-------------------------------------------------------------------------
 *
 * loop.c
 *	  The relay at work: read, publish, take acknowledgements (acks.c), record, wait.
 *
 * No transaction is open while the sink works, and reading goes on while
 * messages are under way. The latch is reset before anything is looked at, so
 * that a commit during a turn is seen in the next one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "guc.h"
#include "relay/keeper/keeper.h"
#include "relay/loop/loop.h"
#include "relay/replay/replay.h"
#include "relay/session/session.h"

/* Messages per call of publish_cb. */
#define PUBLISH_BATCH 256

#define CONFIGURE_INTERVAL_MS 1000
/* A wake-up that brings nothing may mean that the sink's row changed. */
#define CONFIGURE_POKED_MS 100
/* How often a sink with messages under way is looked after, with and without a descriptor; */
#define SINK_INTERVAL_MS 100
/* and one in trouble, which may have to look by itself whether it is over. */
#define TROUBLE_INTERVAL_MS 250
/* How long a relay that does not pause may leave its report as it is. */
#define REPORT_BUSY_MS 300
#define SINK_POLL_MS 10

static bool sink_is_ready(OutboxRelay *relay);
static void read_clock(OutboxRelay *relay);
static OutboxAttemptEnd publish(OutboxRelay *relay, bool *busy);
static bool read_some(OutboxRelay *relay);
static bool hand_over(OutboxRelay *relay);
static int same_fate(OutboxRelay *relay, int n, bool *waits);
static bool hold_back(OutboxRelay *relay, int n);
static int batch_size(OutboxRelay *relay);
static bool is_idle(const OutboxRelay *relay);
static void wait_for_work(OutboxRelay *relay, bool busy);
static long wait_time(OutboxRelay *relay);

/* Publishes until something ends the attempt, and says what. */
OutboxAttemptEnd
OutboxRelayLoop(OutboxRelay *relay)
{
	OutboxAttemptEnd end;

	relay->look = true;
	for (;;)
	{
		bool busy = false;

		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		MemoryContextReset(relay->turn_context);
		MemoryContextSwitchTo(relay->turn_context);
		read_clock(relay);
		end = OutboxRelayConfigure(relay, CONFIGURE_INTERVAL_MS);
		if (end != OUTBOX_ATTEMPT_GOES_ON)
			return end;
		if (sink_is_ready(relay))
		{
			end = publish(relay, &busy);
			if (end != OUTBOX_ATTEMPT_GOES_ON)
				return end;
			if (!busy)
				busy = OutboxReplayTurn(relay);
		}
		OutboxRelayShowAcked(relay);
		OutboxRelaySave(relay, false);
		OutboxRelayTendLetters(relay);
		OutboxKeeperTurn(relay);
		OutboxRelayCheckTrouble(relay);
		/* between taking acknowledgements and handing over again nothing seems to be under way */
		if (!busy || TimestampDifferenceExceeds(relay->reported_at, relay->now, REPORT_BUSY_MS))
			OutboxRelayReportNow(relay, relay->report_changed && is_idle(relay));
		wait_for_work(relay, busy);
	}
}

/* When the clock was set back, what is due by it would stay undone until it has caught up. */
static void
read_clock(OutboxRelay *relay)
{
	TimestampTz now = GetCurrentTimestamp();

	if (now < relay->now)
	{
		relay->looked_at = 0;
		relay->configured_at = 0;
		relay->saved_at = 0;
		relay->reported_at = 0;
		relay->acked_shown_at = 0;
		relay->late_at = 0;
		relay->purged_at = 0;
		relay->rejection_logged_at = 0;
	}
	relay->now = now;
}

/* A step of each kind. *busy: the next turn has something to do without waiting. */
static OutboxAttemptEnd
publish(OutboxRelay *relay, bool *busy)
{
	uint64 windows = relay->reader.windows;
	uint64 acknowledged;
	bool empty;

	*busy = read_some(relay);
	empty = relay->reader.windows != windows && relay->chunk.n == 0;
	/* the wait for a standby may have been given up: what was read must not leave */
	if (OutboxSessionStopRequested())
		return OUTBOX_ATTEMPT_STOP;
	*busy |= hand_over(relay);
	OutboxRelayCheckBarrier(relay);
	*busy |= OutboxReleaseStep(relay);
	acknowledged = relay->dispatch.tail;
	OutboxRelayTakeAcks(relay);
	OutboxRelayStoreHeld(relay);
	/* there is room for what the bounds held back */
	if (relay->dispatch.tail != acknowledged && relay->chunk.next < relay->chunk.n)
		*busy = true;
	*busy |= OutboxReleaseSettled(&relay->release);
	if (relay->failure != OUTBOX_ATTEMPT_GOES_ON)
		return relay->failure;

	/* woken for nothing: somebody may have changed the sink's row */
	return empty ? OutboxRelayConfigure(relay, CONFIGURE_POKED_MS) : OUTBOX_ATTEMPT_GOES_ON;
}

static bool
sink_is_ready(OutboxRelay *relay)
{
	const char *detail = NULL;

	if (relay->ready)
		return true;
	if (relay->callbacks->check_configured_cb != NULL &&
		!relay->callbacks->check_configured_cb(&relay->sink, &detail))
	{
		OutboxRelayNoteError(relay, detail != NULL ? detail : "The sink is not configured.");
		OutboxRelaySetState(relay, OUTBOX_RELAY_BACKOFF);
		return false;
	}
	relay->ready = true;
	if (relay->barrier_seq == 0)
		OutboxRelaySetState(relay, OUTBOX_RELAY_RUNNING);
	return true;
}

/* Fills the chunk when it is empty and there is, or may be, something to read. */
static bool
read_some(OutboxRelay *relay)
{
	OutboxReader *reader = &relay->reader;
	OutboxChunk *chunk = &relay->chunk;

	if (chunk->next < chunk->n || chunk->closes)
		return false;
	if (!relay->look && !OutboxReaderHasMore(reader))
		return false;

	if (!reader->window.open)
	{
		relay->look = false;
		relay->looked_at = relay->now;
	}
	switch (OutboxReaderRead(reader, &relay->schemas, chunk))
	{
		case OUTBOX_READ_AGAIN:
			/* a leaf that went may have gone with the extension */
			relay->configured_at = 0;
			return true;
		case OUTBOX_READ_NOTHING:
			OutboxDispatchExtend(&relay->dispatch, chunk->opens, chunk->seq_seen);
			chunk->closes = false;
			break;
		case OUTBOX_READ_EVENTS:
			if (chunk->opens != NULL)
				OutboxDispatchOpen(&relay->dispatch, chunk->opens, chunk->seq_seen);
			break;
	}
	if (chunk->opens != NULL)
	{
		relay->report.seq_seen = chunk->seq_seen;
		relay->report_changed = true;
	}
	return chunk->n > 0 || OutboxReaderHasMore(reader);
}

/* Hands the chunk over as far as the bounds and the sink allow. True: all of it was taken, there may be more to read. */
static bool
hand_over(OutboxRelay *relay)
{
	OutboxChunk *chunk = &relay->chunk;
	OutboxDispatch *dispatch = &relay->dispatch;

	relay->hold.full = false;
	if (chunk->next < chunk->n)
		OutboxRelayShow(relay, OUTBOX_ACTIVITY_PUBLISHING);
	while (chunk->next < chunk->n)
	{
		OutboxMessage *messages = &chunk->messages[chunk->next];
		int n = batch_size(relay);
		int taken;

		if (n == 0)
			return false;
		if (OutboxHoldActive(&relay->hold))
		{
			bool waits = false;

			n = same_fate(relay, n, &waits);
			if (waits && !hold_back(relay, n))
				return false;
			if (waits)
				continue;
		}
		for (int i = 0; i < n; i++)
			messages[i].position = (OutboxPosition){.attempt = relay->attempt, .index = dispatch->head + i};
		taken = relay->callbacks->publish_cb(&relay->sink, messages, n);
		if (taken > 0)
		{
			if (relay->barrier_seq != 0 && chunk->places[chunk->next + taken - 1].seq == relay->barrier_seq &&
				chunk->places[chunk->next + taken - 1].completes)
				relay->barrier_handed = true;
			relay->report.published += OutboxDispatchTook(dispatch, chunk, taken);
			relay->report_changed = true;
		}
		if (taken < n)
			return false;
	}
	if (chunk->closes)
	{
		chunk->closes = false;
		OutboxDispatchClose(dispatch);
	}
	return OutboxReaderHasMore(&relay->reader);
}

/* How many messages from the next one on all wait, or all go. */
static int
same_fate(OutboxRelay *relay, int n, bool *waits)
{
	OutboxHold *hold = &relay->hold;
	const OutboxPlace *places = &relay->chunk.places[relay->chunk.next];
	int i;

	for (i = 0; i < n; i++)
	{
		OutboxHoldReason reason = OutboxHoldWhy(hold, &places[i]);

		if (i == 0)
			*waits = reason != OUTBOX_HOLD_NOT;
		if (*waits != (reason != OUTBOX_HOLD_NOT))
			break;
		/* what it waits for may be about to be published */
		hold->release |= reason == OUTBOX_HOLD_LANE;
	}
	return i;
}

/* The next n messages wait, and are passed. False: too many wait already. */
static bool
hold_back(OutboxRelay *relay, int n)
{
	OutboxDispatch *dispatch = &relay->dispatch;
	uint64 first = dispatch->head;

	if (relay->hold.total + n > outbox_max_held_events)
	{
		relay->hold.full = true;
		return false;
	}
	(void) OutboxDispatchTook(dispatch, &relay->chunk, n);
	for (int i = 0; i < n; i++)
		OutboxHoldKeep(&relay->hold, first + i, OutboxDispatchFind(dispatch, first + i), NULL);
	return true;
}

/* Messages for the next call of publish_cb; 0: none may be handed over now. */
static int
batch_size(OutboxRelay *relay)
{
	const OutboxChunk *chunk = &relay->chunk;
	int n = Min(OutboxDispatchRoom(&relay->dispatch, chunk), PUBLISH_BATCH);

	if (relay->probing)
	{
		if (relay->dispatch.head == 0)
			return Min(n, 1);
		if (OutboxDispatchInFlight(&relay->dispatch) > 0)
			return 0;
		relay->probing = false;
	}
	if (relay->barrier_seq == 0)
		return n;
	if (relay->barrier_handed)
		return 0;
	for (int i = 0; i < n; i++)
	{
		const OutboxPlace *place = &chunk->places[chunk->next + i];

		if (place->seq == relay->barrier_seq && place->completes)
			return i + 1;
	}
	return n;
}

static bool
is_idle(const OutboxRelay *relay)
{
	return OutboxDispatchInFlight(&relay->dispatch) == 0 && relay->chunk.next >= relay->chunk.n &&
		relay->release.chunk.n == 0;
}

static void
wait_for_work(OutboxRelay *relay, bool busy)
{
	if (!busy && relay->ready && is_idle(relay) && !OutboxReplayIsOpen(relay))
		OutboxRelayShow(relay, OUTBOX_ACTIVITY_IDLE);
	if (OutboxRelayWait(relay, busy ? 0 : wait_time(relay)) ||
		TimestampDifferenceExceeds(relay->looked_at, GetCurrentTimestamp(), outbox_poll_interval))
		relay->look = true;
}

static long
wait_time(OutboxRelay *relay)
{
	long timeout = Min(outbox_poll_interval, CONFIGURE_INTERVAL_MS);
	bool chunk_left = relay->chunk.next < relay->chunk.n;

	/* hints that came since the ring was drained: their wake-up may be lost to a lock wait */
	if (relay->ready && !chunk_left && (relay->look || OutboxReaderHasMore(&relay->reader)))
		return 0;
	/* an idle keeper looks when the relay does; one that is at work goes on */
	if (OutboxKeeperDue(relay, 1) == 0)
		return 0;
	timeout = OutboxReplayDue(relay, OutboxRelaySaveDue(relay, timeout));
	if (relay->ready)
		timeout = OutboxReleaseWait(relay, timeout);
	if (chunk_left || OutboxDispatchInFlight(&relay->dispatch) > 0 || relay->release.chunk.n > 0)
		timeout = Min(timeout, !OutboxRelayHasSocket() ? SINK_POLL_MS : SINK_INTERVAL_MS);
	else if (relay->report_changed)
		timeout = Min(timeout, SINK_INTERVAL_MS);
	if (relay->report.state == OUTBOX_RELAY_BACKOFF || relay->hold.routes != NULL)
		timeout = Min(timeout, TROUBLE_INTERVAL_MS);
	return timeout;
}
