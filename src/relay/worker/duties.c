/*-------------------------------------------------------------------------
 *
 * duties.c
 *	  What a relay owes the others: its position on disk, its report in
 *	  shared memory, and an eye on what they want of it.
 *
 * Both are written at most ten times a second while events flow. When only
 * snapshots move on (rolled-back sequence values, transactions of others) the
 * position is written much less often: a relay's own write takes a transaction
 * id, and an idle database must not be kept busy by its relays.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "pgstat.h"
#include "postmaster/interrupt.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#include "avro/outbox_avro.h"
#include "relay/session/session.h"
#include "relay/worker/worker.h"
#include "sink/sink.h"

#define BUSY_INTERVAL_MS 100
#define IDLE_INTERVAL_MS 10000
#define LEAF_INTERVAL_MS 1000

/* Others' transactions after which an idle position is worth a write. */
#define IDLE_XIDS 10000

static bool reads_alike(const OutboxSchema *schema, const char *other);
static bool moved(const OutboxRelay *relay);
static bool lets_leaf_pass(const OutboxRelay *relay);
static bool drifted(const OutboxRelay *relay);
static void fill_report(OutboxRelay *relay);
static void check_held(OutboxRelay *relay, bool reloaded);
static bool has_new_files(OutboxRelay *relay);

/* Were events acknowledged, or schemas registered, since the last write? */
static bool
moved(const OutboxRelay *relay)
{
	return relay->dispatch.tail != relay->saved_tail ||
		relay->dispatch.progress.acked != relay->saved_acked ||
		(relay->dispatch.progress.cur != NULL) != relay->saved_begun ||
		relay->schemas.nunsaved > 0;
}

/* Does a frozen leaf wait for a position that we have reached and not written? */
static bool
lets_leaf_pass(const OutboxRelay *relay)
{
	const OutboxSnapshot *last = relay->dispatch.progress.last;
	uint64 wanted = OutboxFreezeXmax();

	/* a snapshot with a larger xmax was taken later, and so sees all that ended before */
	return wanted != 0 && relay->saved_xmax <= wanted && last != NULL && last->xmax > wanted;
}

/* Did only snapshots move on? */
static bool
drifted(const OutboxRelay *relay)
{
	const OutboxProgress *progress = &relay->dispatch.progress;

	return progress->seq_seen != relay->saved_seq_seen || lets_leaf_pass(relay) ||
		(progress->last != NULL && progress->last->xmax > relay->saved_xmax + IDLE_XIDS);
}

/* Writes the position if it moved; with force, whatever the clock says. */
void
OutboxRelaySave(OutboxRelay *relay, bool force)
{
	OutboxProgress *progress = &relay->dispatch.progress;
	bool due = force ? moved(relay) || drifted(relay) : OutboxRelaySaveDue(relay, 1) == 0;
	OutboxOwnerScope scope;

	if (!due)
		return;
	OutboxTallyForgetSettled(&progress->tally, &relay->reader.leaves);
	OutboxSessionBeginQuery(&scope);
	OutboxProgressSave(&relay->progress_row, progress);
	OutboxSchemaSaveRegistrations(&relay->schemas);
	OutboxSessionEndQuery(&scope);

	relay->schemas.nunsaved = 0;
	relay->saved_at = relay->now;
	relay->saved_tail = relay->dispatch.tail;
	relay->saved_acked = progress->acked;
	relay->saved_begun = progress->cur != NULL;
	relay->saved_seq_seen = progress->seq_seen;
	relay->saved_xmax = progress->last != NULL ? progress->last->xmax : 0;
}

/* Milliseconds until OutboxRelaySave has something to do, at most `limit`. */
long
OutboxRelaySaveDue(const OutboxRelay *relay, long limit)
{
	long interval;
	long passed;

	if (moved(relay))
		interval = BUSY_INTERVAL_MS;
	else if (lets_leaf_pass(relay))
		interval = LEAF_INTERVAL_MS;
	else if (drifted(relay))
		interval = IDLE_INTERVAL_MS;
	else
		return limit;
	passed = TimestampDifferenceMilliseconds(relay->saved_at, relay->now);
	return Min(limit, Max(0, interval - passed));
}

/* Publishes the report if it changed; with force, whatever the clock says. */
void
OutboxRelayReportNow(OutboxRelay *relay, bool force)
{
	if (!force && !TimestampDifferenceExceeds(relay->reported_at, relay->now, BUSY_INTERVAL_MS))
		return;
	if (!relay->report_changed && !force)
		return;
	if (relay->prepared)
		fill_report(relay);
	relay->report.retries = relay->counters.retries;
	OutboxRelaySetReport(&relay->report, &relay->counters);
	relay->reported_at = relay->now;
	relay->report_changed = false;
}

/* Shows those who wait how far everything is acknowledged, if that moved. */
void
OutboxRelayShowAcked(OutboxRelay *relay)
{
	const OutboxSnapshot *last = relay->dispatch.progress.last;

	if (relay->acked_shown == relay->dispatch.moves || last == NULL)
		return;
	if (!OutboxAckedAwaited(relay->now) && !TimestampDifferenceExceeds(relay->acked_shown_at, relay->now, BUSY_INTERVAL_MS))
		return;
	OutboxAckedShow(last->xmin, last->xmax, last->xip, last->nxip);
	relay->acked_shown = relay->dispatch.moves;
	relay->acked_shown_at = relay->now;
}

static void
fill_report(OutboxRelay *relay)
{
	const OutboxDispatch *dispatch = &relay->dispatch;
	const OutboxChunk *chunk = &relay->chunk;
	const OutboxPlace *oldest = OutboxDispatchOldest(dispatch);
	int waiting = chunk->n - chunk->next;

	if (oldest == NULL && waiting > 0)
		oldest = &chunk->places[chunk->next];
	relay->report.in_flight = OutboxDispatchInFlight(dispatch);
	relay->report.in_flight_bytes = dispatch->held;
	relay->report.window_left = OutboxReaderRemaining(&relay->reader);
	relay->report.queued = relay->report.in_flight + waiting + relay->report.window_left;
	relay->report.oldest_unacked = oldest != NULL ? oldest->occurred_at : 0;
	relay->report.scans = relay->reader.scans;
	relay->report.cycles = relay->reader.windows;
}

/* Copies a text into OUTBOX_ERROR_LEN bytes, cut between characters. */
void
OutboxClipText(char *target, const char *text)
{
	char *printable = OutboxPrintable(text);
	int len = pg_mbcliplen(printable, strlen(printable), OUTBOX_ERROR_LEN - 1);

	memcpy(target, printable, len);
	target[len] = '\0';
	pfree(printable);
}

/* Remembers what went wrong, for status. */
void
OutboxRelayNoteError(OutboxRelay *relay, const char *text)
{
	OutboxClipText(relay->report.last_error, text);
	relay->report.last_error_at = GetCurrentTimestamp();
	relay->report_changed = true;
}

void
OutboxRelaySetState(OutboxRelay *relay, OutboxRelayState state)
{
	if (relay->report.state == state)
		return;
	relay->report.state = state;
	relay->report.since = GetCurrentTimestamp();
	relay->report_changed = true;
	OutboxRelayShow(relay, relay->activity);
}

/* Tells pg_stat_activity when it changes; cheap otherwise. */
void
OutboxRelayShow(OutboxRelay *relay, OutboxActivity activity)
{
	static const char *const texts[] = {
		[OUTBOX_ACTIVITY_NONE] = "",
		[OUTBOX_ACTIVITY_CONNECTING] = "connecting",
		[OUTBOX_ACTIVITY_PUBLISHING] = "publishing",
		[OUTBOX_ACTIVITY_IDLE] = "waiting for events",
		[OUTBOX_ACTIVITY_REPLAYING] = "replaying",
		[OUTBOX_ACTIVITY_DRAINING] = "waiting for acknowledgements before it ends",
		[OUTBOX_ACTIVITY_PAUSING] = "pausing before it tries again",
	};
	const char *state = relay->report.state == OUTBOX_RELAY_BACKOFF ? "backoff, " : relay->report.state == OUTBOX_RELAY_BLOCKED ? "blocked, "
																																: "";
	char text[NAMEDATALEN + 64];

	if (relay->activity == activity && relay->shown_state == relay->report.state)
		return;
	relay->activity = activity;
	relay->shown_state = relay->report.state;
	snprintf(text, sizeof(text), "sink \"%s\": %s%s", relay->row.name, state, texts[activity]);
	pgstat_report_activity(activity == OUTBOX_ACTIVITY_IDLE || activity == OUTBOX_ACTIVITY_PAUSING ? STATE_IDLE : STATE_RUNNING, text);
}

/* Settings after SIGHUP and, when due, the sink's row. */
OutboxAttemptEnd
OutboxRelayConfigure(OutboxRelay *relay, long every_ms)
{
	bool reloaded = false;

	if (OutboxSessionStopRequested())
		return OUTBOX_ATTEMPT_STOP;
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
		reloaded = true;
	}
	if (!reloaded && !TimestampDifferenceExceeds(relay->configured_at, relay->now, every_ms))
		return OUTBOX_ATTEMPT_GOES_ON;

	relay->configured_at = relay->now;
	pgstat_report_stat(false);
	switch (OutboxSinkRowLoad(&relay->row))
	{
		case OUTBOX_SINK_STOP:
			return OUTBOX_ATTEMPT_STOP;
		case OUTBOX_SINK_CHANGED:
			relay->retry_routes = true;
			return OUTBOX_ATTEMPT_RECONNECT;
		case OUTBOX_SINK_RUN:
			break;
	}
	if (relay->prepared)
		check_held(relay, reloaded);
	/* a copy of the data, or a new site: the worker knows what to say */
	if (relay->row.copy_error != NULL)
		return OUTBOX_ATTEMPT_RECONNECT;
	if (relay->started && (reloaded || relay->report.state == OUTBOX_RELAY_BACKOFF) && has_new_files(relay))
		return OUTBOX_ATTEMPT_RECONNECT;
	return OUTBOX_ATTEMPT_GOES_ON;
}

/* Dead letters that a person dealt with; and a reload asks to try everything now. */
static void
check_held(OutboxRelay *relay, bool reloaded)
{
	OutboxHold *hold = &relay->hold;

	if (hold->resolved != relay->row.resolved)
		hold->stale = true;
	hold->resolved = relay->row.resolved;
	if (reloaded)
		OutboxRouteRetry(hold, false);
}

/*
 * Options may be the content of files: a password that was rotated is what a
 * sink in trouble needs, and what SIGHUP asks to look for.
 */
static bool
has_new_files(OutboxRelay *relay)
{
	const OutboxSinkState *sink = &relay->sink;
	int n;
	const OutboxSinkOption *options = OutboxSinkOptions(relay->row.options, false, &n);

	for (int i = 0; i < n && i < sink->noptions; i++)
	{
		if (strcmp(options[i].value, sink->options[i].value) != 0)
			return true;
	}
	return false;
}

/* Fills what a sink's startup_cb needs; runs a transaction. Its memory is below the context. */
void
OutboxRelayPrepareSink(const OutboxRelay *relay, OutboxSinkState *sink, MemoryContext context, uint32 attempt)
{
	memset(sink, 0, sizeof(*sink));
	sink->context = AllocSetContextCreate(context, "outbox sink", ALLOCSET_DEFAULT_SIZES);
	sink->sink_name = MemoryContextStrdup(context, relay->row.name);
	sink->database = MemoryContextStrdup(context, relay->database);
	sink->origin = OutboxOriginName(context);
	MemoryContextSwitchTo(context);
	sink->options = OutboxSinkOptions(relay->row.options, false, &sink->noptions);
	sink->attempt = attempt;
	sink->forgotten = relay->row.forgotten;
	sink->reads_alike = reads_alike;
}

static bool
reads_alike(const OutboxSchema *schema, const char *other)
{
	return OutboxAvroReadsAlike(schema->text, other);
}
